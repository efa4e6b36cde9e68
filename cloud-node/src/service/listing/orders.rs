//! `GET /v1/admin/orders`: a shop's online orders, in the order of their numbers.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::inbox::row::{Held, InboxKey, InboxRecord, OrderLine};
use counterfoil_protocol::cloud::{Key, Record};
use counterfoil_protocol::identity::{BranchId, OrderId, ShopId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::service::body::{Manner, json};
use crate::service::{Node, Reads, Shared, auth, unreadable};

/// The most orders that one answer looks at: each may have many lines.
const ORDERS_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::service) struct Wish {
    shop_id: ShopId,
    branch_id: Option<BranchId>,
    after: Option<OrderId>,
}

#[derive(Serialize)]
struct Told {
    orders: Vec<ToldOrder>,
    next: Option<OrderId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldOrder {
    order_id: OrderId,
    branch_id: BranchId,
    created_at_ms: Millis,
    taken_at_ms: Millis,
    cancelled_at_ms: Option<Millis>,
    lines: Vec<OrderLine>,
    /// How many other contents came under the same number: a person looks at why.
    others: usize,
}

pub(in crate::service) async fn list<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer(&node, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer<Q: Reads>(
    node: &Node<Q>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let Query(Wish { shop_id, branch_id, after }) = wish.map_err(|_| {
        let detail = "say `?shopId=S`, perhaps `&branchId=B&after=ORDER`";
        Problem::new(ErrorCode::EventInvalid, detail)
    })?;
    let end = |label| Key::from(InboxKey::Order(shop_id, OrderId(label)));
    let from = end(after.map_or(Label::FIRST, |after| after.0));
    let rows = node.parts.reads.scan(&from, &end(Label::LAST), ORDERS_MAX + 1).await;
    let rows = rows.map_err(|error| unreadable(&error))?;
    let whole = rows.len() <= ORDERS_MAX;
    let orders = rows.into_iter().filter_map(|row| match row {
        (Key::Inbox(InboxKey::Order(_, id)), Record::Inbox(InboxRecord::Order(held))) => {
            Some((id, held))
        }
        _ => None,
    });
    let mut orders: Vec<_> = orders.filter(|(id, _)| Some(*id) != after).collect();
    orders.truncate(ORDERS_MAX);
    let next = orders.last().map(|(id, _)| *id).filter(|_| !whole);
    orders.retain(|(_, held)| branch_id.is_none_or(|branch| branch == held.content.branch));
    let orders = orders.into_iter().map(|(id, held)| ToldOrder::of(id, held)).collect();
    let told = Told { orders, next };
    Ok(json(Manner::plain_json(), StatusCode::OK, &told))
}

impl ToldOrder {
    fn of(order_id: OrderId, held: Held) -> Self {
        Self {
            order_id,
            branch_id: held.content.branch,
            created_at_ms: held.content.created_at,
            taken_at_ms: held.at,
            cancelled_at_ms: held.cancelled,
            lines: held.content.lines,
            others: held.others.len(),
        }
    }
}
