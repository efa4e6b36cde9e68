//! `GET /v1/admin/notifications`, `POST .../settle`: stocks that fell below zero (S2.5).
//! `GET /v1/admin/log`: what operators did.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::log::{LIST_MAX, LogEntry, entries};
use counterfoil_protocol::cloud::{Input, Key, Output, Record, Site};
use counterfoil_protocol::identity::{BranchId, ProductId, ShopId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::problem::ErrorCode;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::{Manner, json};
use super::{Node, Reads, Shared, admin, auth, unreadable, wrong_output};
use crate::problem::Problem;
use crate::timestamp::Written;

/// The most notices in one answer.
const NOTICES_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    shop: ShopId,
    branch: BranchId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    before: Option<u64>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settled {
    shop_id: ShopId,
    branch_id: BranchId,
    product_id: ProductId,
    movement: u64,
}

pub(super) async fn list<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Place>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer(&node, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn settle<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    take(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn log<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Before>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    show_log(&node, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer<Q: Reads>(
    node: &Node<Q>,
    wish: Result<Query<Place>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let Query(Place { shop, branch }) =
        wish.map_err(|_| Problem::new(ErrorCode::EventInvalid, "say where: `?shop=S&branch=B`"))?;
    let end = |label, movement| Key::Notice(shop, branch, ProductId(label), movement);
    let (from, until) = (end(Label::FIRST, 0), end(Label::LAST, u64::MAX));
    let rows = node.parts.reads.scan(&from, &until, NOTICES_MAX).await;
    let rows = rows.map_err(|error| unreadable(&error))?;
    let told = rows.into_iter().filter_map(|row| match row {
        (Key::Notice(_, _, product, movement), Record::Notice(notice)) => Some(serde_json::json!({
            "type": "low_stock", "productId": product, "movement": movement,
            "stockMilli": notice.quantity, "createdAt": Written(notice.at).to_string(),
        })),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    let body = serde_json::json!({ "notifications": told });
    Ok(json(Manner::plain_json(), StatusCode::OK, &body))
}

async fn take<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (manner, wish) = admin::read::<Q, Settled>(node, request).await?;
    let Settled { shop_id: shop, branch_id: branch, product_id: product, movement } = wish;
    let input = Input::Settle { site: Site { shop, branch }, product, movement };
    let output = node.ask_logged("notification.settle", Some(shop), product, input, 0).await?;
    let Output::Settled = output else { return Err(wrong_output()) };
    Ok(json(manner, StatusCode::OK, &wish))
}

async fn show_log<Q: Reads>(
    node: &Node<Q>,
    wish: Result<Query<Before>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let Query(Before { before }) = wish
        .map_err(|_| Problem::new(ErrorCode::EventInvalid, "go on as `next` says: `?before=17`"))?;
    let found = entries(&node.parts.reads, before).await.map_err(|error| unreadable(&error))?;
    let next = found.last().map(|(number, _)| *number);
    let next = next.filter(|number| found.len() == LIST_MAX && *number > 1);
    let told = found.into_iter().map(|(number, entry)| {
        let LogEntry { at, actor, action, shop, target, done } = entry;
        serde_json::json!({
            "number": number, "at": Written(at).to_string(), "actor": actor, "action": action,
            "shopId": shop, "target": target, "done": done,
        })
    });
    let told: Vec<_> = told.collect();
    let body = serde_json::json!({ "entries": told, "next": next });
    Ok(json(Manner::plain_json(), StatusCode::OK, &body))
}
