//! `GET`, `PUT /v1/admin/low-stock`: below which stock of a product somebody is told (S2.5).
//!
//! A threshold is of a product in every branch of its shop; without one it is zero. It is looked at
//! when a stock falls: one that lies below it already is told of when it falls below it again.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::threshold::Thresholds;
use counterfoil_protocol::cloud::{Input, Key, Output, Record};
use counterfoil_protocol::identity::{ProductId, ShopId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::problem::ErrorCode;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::{Manner, json};
use super::{Node, Reads, Shared, admin, auth, unreadable, wrong_output};
use crate::problem::Problem;

/// The most thresholds in one answer.
const LIST_MAX: usize = 1_000;
/// What setting them weighs in a transaction.
const SET_WEIGHT: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Page {
    shop_id: ShopId,
    after: Option<ProductId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    shop_id: ShopId,
    thresholds: Vec<Threshold>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Threshold {
    product_id: ProductId,
    /// Zero is what every product has.
    below_milli: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    thresholds: Vec<Threshold>,
    next: Option<ProductId>,
}

pub(super) async fn list<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    show(&node, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn set<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    take(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn show<Q: Reads>(
    node: &Node<Q>,
    wish: Result<Query<Page>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let Query(Page { shop_id, after }) = wish.map_err(|_| {
        let detail = "say whose: `?shopId=acme`, perhaps `&after=SKU`";
        Problem::new(ErrorCode::EventInvalid, detail)
    })?;
    let first = after.unwrap_or(ProductId(Label::FIRST));
    let found = between(node, shop_id, first, ProductId(Label::LAST), LIST_MAX + 1).await?;
    let whole = found.len() <= LIST_MAX;
    let others = found.into_iter().filter(|(product, _)| Some(*product) != after).take(LIST_MAX);
    let thresholds: Vec<Threshold> = others
        .map(|(product_id, quantity)| Threshold { product_id, below_milli: quantity.0 })
        .collect();
    let next = thresholds.last().map(|last| last.product_id).filter(|_| !whole);
    Ok(json(Manner::plain_json(), StatusCode::OK, &Listed { thresholds, next }))
}

/// Returns the thresholds of a run of products; those that are not among them are zero.
pub(super) async fn between<Q: Reads>(
    node: &Node<Q>,
    shop: ShopId,
    first: ProductId,
    last: ProductId,
    limit: usize,
) -> Result<BTreeMap<ProductId, Milli>, Problem> {
    let (from, until) = (Key::Threshold(shop, first), Key::Threshold(shop, last));
    let rows = node.parts.reads.scan(&from, &until, limit).await;
    let found = rows.map_err(|error| unreadable(&error))?.into_iter().filter_map(|row| match row {
        (Key::Threshold(_, product), Record::Threshold(quantity)) => Some((product, quantity)),
        _ => None,
    });
    Ok(found.collect())
}

async fn take<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (manner, wish) = admin::read::<Q, Wish>(node, request).await?;
    let pairs = wish.thresholds.iter().map(|set| (set.product_id, Milli(set.below_milli)));
    let changed = put(node, wish.shop_id, pairs.collect()).await?;
    let body = serde_json::json!({ "changed": changed });
    Ok(json(manner, StatusCode::OK, &body))
}

/// Sets thresholds in one commit, and returns how many were others before.
pub(super) async fn put<Q: Reads>(
    node: &Node<Q>,
    shop: ShopId,
    pairs: Vec<(ProductId, Milli)>,
) -> Result<u32, Problem> {
    let of = pairs.first().map(|(product, _)| product.to_string());
    let of = of.filter(|_| pairs.len() == 1).unwrap_or_default();
    let thresholds = Thresholds::new(shop, pairs).map_err(|error| {
        let detail = format!("{error}: correct it, nothing was changed");
        Problem::new(ErrorCode::EventInvalid, detail)
    })?;
    let input = Input::SetThresholds(thresholds);
    let output = node.ask_logged("lowstock.set", Some(shop), of, input, SET_WEIGHT).await?;
    let Output::ThresholdsSet { changed } = output else { return Err(wrong_output()) };
    tracing::info!(changed, "thresholds of low stock were set");
    Ok(changed)
}
