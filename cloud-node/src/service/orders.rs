//! `POST /v1/admin/orders`, `POST /v1/admin/orders/{id}/cancel`: the online store enters and
//! cancels orders; `GET /v1/storefront/stock`: what it may show; `GET`, `PUT /v1/admin/buffer`:
//! what it holds back; `PUT /v1/admin/relay`: whether sibling tills hear of each other.
//!
//! All of them speak with the operator's token. No till's credential opens them, so no till can
//! see a stock of the cloud, or a buffer (S0.7).

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::inbox::row::OrderLine;
use counterfoil_protocol::cloud::inbox::storefront::{self, StoreFront};
use counterfoil_protocol::cloud::inbox::{self, Buffer, Order};
use counterfoil_protocol::cloud::{Input, Output, Site};
use counterfoil_protocol::identity::{BranchId, OrderId, ProductId, ShopId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::{Manner, json};
use super::{Node, Reads, Shared, admin, auth, rollup, wrong_output};
use crate::problem::Problem;

/// What an order weighs in a transaction: a hundred events and their movements.
const ORDER_WEIGHT: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlaceOrder {
    shop_id: ShopId,
    branch_id: BranchId,
    order_id: OrderId,
    created_at_ms: u64,
    lines: Vec<OrderLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CancelOrder {
    shop_id: ShopId,
    branch_id: BranchId,
    created_at_ms: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entered {
    order_id: OrderId,
    /// Whether it was so before.
    again: bool,
    cancelled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Product {
    shop: ShopId,
    branch: BranchId,
    product: Option<ProductId>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BufferBody {
    shop_id: ShopId,
    branch_id: BranchId,
    #[serde(default)]
    product_id: Option<ProductId>,
    buffer: Option<Buffer>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RelayBody {
    shop_id: ShopId,
    branch_id: BranchId,
    on: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StockBody {
    product_id: ProductId,
    /// The branch's stock as the cloud has it.
    stock_milli: i64,
    /// What the store may show.
    available_milli: i64,
    buffer: Option<Buffer>,
}

pub(super) async fn place<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    enter(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn cancel<Q: Reads>(
    State(node): State<Shared<Q>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    take_back(&node, &id, request).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn stock<Q: Reads>(
    State(node): State<Shared<Q>>,
    of: Result<Query<Product>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    show_stock(&node, of, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn buffer<Q: Reads>(
    State(node): State<Shared<Q>>,
    of: Result<Query<Product>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    show_buffer(&node, of, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn set_buffer<Q: Reads>(
    State(node): State<Shared<Q>>,
    request: Request,
) -> Response {
    hold_back(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn set_relay<Q: Reads>(
    State(node): State<Shared<Q>>,
    request: Request,
) -> Response {
    relay(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn enter<Q: Reads>(node: &Shared<Q>, request: Request) -> Result<Response, Problem> {
    let (manner, wish) = admin::read::<Q, PlaceOrder>(node, request).await?;
    let site = Site { shop: wish.shop_id, branch: wish.branch_id };
    let id = wish.order_id;
    let order = Order::new(site, id, Millis(wish.created_at_ms), wish.lines);
    let order = order.map_err(|error| invalid(&error))?;
    match ask(node, "order.place", site, id, inbox::Input::Place(order)).await? {
        inbox::Output::Placed { again, cancelled } => {
            tracing::info!(orderId = %id, branchId = %site.branch, again, "an order was entered");
            if !again {
                rollup::note(node, site);
            }
            let status = if again { StatusCode::OK } else { StatusCode::CREATED };
            Ok(json(manner, status, &Entered { order_id: id, again, cancelled }))
        }
        inbox::Output::OrderTaken => {
            tracing::warn!(orderId = %id, "an order's number was used again");
            let detail = format!(
                "order {id} was entered with another content, which counts; both are kept: give \
                 the new order a number of its own"
            );
            Err(Problem::new(ErrorCode::EventInvalid, detail).with_status(409))
        }
        inbox::Output::Cancelled { .. }
        | inbox::Output::NoSuchOrder
        | inbox::Output::Set
        | inbox::Output::Acked(_) => Err(wrong_output()),
    }
}

async fn take_back<Q: Reads>(
    node: &Shared<Q>,
    id: &str,
    request: Request,
) -> Result<Response, Problem> {
    let (manner, wish) = admin::read::<Q, CancelOrder>(node, request).await?;
    let order = OrderId::parse(id).map_err(|error| invalid(&error))?;
    let site = Site { shop: wish.shop_id, branch: wish.branch_id };
    let created_at = Millis(wish.created_at_ms);
    let input = inbox::Input::Cancel { site, order, created_at };
    match ask(node, "order.cancel", site, order, input).await? {
        inbox::Output::Cancelled { again } => {
            let branch = site.branch;
            tracing::info!(orderId = %order, branchId = %branch, again, "an order is cancelled");
            if !again {
                rollup::note(node, site);
            }
            Ok(json(manner, StatusCode::OK, &Entered { order_id: order, again, cancelled: true }))
        }
        inbox::Output::NoSuchOrder => {
            let detail = "the branch has no such order: check its number, enter it first";
            Err(Problem::new(ErrorCode::NotFound, detail))
        }
        inbox::Output::Placed { .. }
        | inbox::Output::OrderTaken
        | inbox::Output::Set
        | inbox::Output::Acked(_) => Err(wrong_output()),
    }
}

async fn show_stock<Q: Reads>(
    node: &Node<Q>,
    of: Result<Query<Product>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let asked = || Problem::new(ErrorCode::EventInvalid, "say `?shop=S&branch=B&product=P`");
    let Query(Product { shop, branch, product }) = of.map_err(|_| asked())?;
    let product_id = product.ok_or_else(asked)?;
    let found = storefront::stock(&node.parts.reads, Site { shop, branch }, product_id).await;
    let found = found.map_err(|error| unreadable(&error))?;
    let Some(StoreFront { stock, available, buffer }) = found else {
        return Err(Problem::unavailable("the stock changes too fast to be read: ask again"));
    };
    let (stock_milli, available_milli) = (stock.0, available.0);
    let body = StockBody { product_id, stock_milli, available_milli, buffer };
    Ok(json(Manner::plain_json(), StatusCode::OK, &body))
}

async fn show_buffer<Q: Reads>(
    node: &Node<Q>,
    of: Result<Query<Product>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let Query(Product { shop, branch, product }) = of.map_err(|_| {
        Problem::new(ErrorCode::EventInvalid, "say `?shop=S&branch=B`, perhaps `&product=P`")
    })?;
    let buffer = storefront::buffer(&node.parts.reads, Site { shop, branch }, product).await;
    let buffer = buffer.map_err(|error| unreadable(&error))?;
    let body = BufferBody { shop_id: shop, branch_id: branch, product_id: product, buffer };
    Ok(json(Manner::plain_json(), StatusCode::OK, &body))
}

async fn hold_back<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (manner, body) = admin::read::<Q, BufferBody>(node, request).await?;
    let product = body.product_id;
    let checked = body.buffer.map(|buffer| buffer.check(product)).transpose();
    let buffer = checked.map_err(|error| invalid(&error))?;
    let site = Site { shop: body.shop_id, branch: body.branch_id };
    let of = product.map_or_else(|| "all others".to_owned(), |product| product.to_string());
    let input = inbox::Input::Buffer { site, product, buffer };
    let set = ask(node, "buffer.set", site, of, input).await?;
    let inbox::Output::Set = set else { return Err(wrong_output()) };
    Ok(json(manner, StatusCode::OK, &body))
}

async fn relay<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (manner, body) = admin::read::<Q, RelayBody>(node, request).await?;
    let site = Site { shop: body.shop_id, branch: body.branch_id };
    let input = inbox::Input::Relay { site, on: body.on };
    let set = ask(node, "relay.set", site, site.branch, input).await?;
    let inbox::Output::Set = set else { return Err(wrong_output()) };
    tracing::info!(branchId = %site.branch, on = body.on, "relay of sibling tills");
    Ok(json(manner, StatusCode::OK, &body))
}

async fn ask<Q: Reads>(
    node: &Node<Q>,
    action: &'static str,
    site: Site,
    target: impl ToString,
    input: inbox::Input,
) -> Result<inbox::Output, Problem> {
    let (shop, input) = (Some(site.shop), Input::Inbox(input));
    let output = node.ask_logged(action, shop, target, input, ORDER_WEIGHT).await?;
    let Output::Inbox(output) = output else { return Err(wrong_output()) };
    Ok(output)
}

fn invalid(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(ErrorCode::EventInvalid, format!("{error}: correct it, nothing was changed"))
}

fn unreadable(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "the stock cannot be read");
    Problem::storage_failed()
}
