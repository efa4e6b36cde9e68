//! `GET /v1/admin/returns`: sales of which more was taken back than they sold.
//!
//! A refund that a till has made is a fact: goods and money have changed hands, perhaps offline, at
//! two tills at once. So the cloud posts it, as it posts what makes stock negative (S3.8), and says
//! so to a person; it neither refuses nor parks it, which would lose the movement and the sum of a
//! session that was counted. Nothing is stored for it: it is read from the ledger, as reports are,
//! so it holds for what was posted before there was this list, and an event that comes twice
//! changes nothing.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::row::{Fate, Ledger};
use counterfoil_protocol::cloud::{Key, Record};
use counterfoil_protocol::event::{Body, Correction, Event, Trade};
use counterfoil_protocol::identity::{BranchId, EventKey, ProductId, ShopId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::event::EventKeyV1;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::{Manner, json};
use super::ledger::Entries;
use super::{Node, Reads, Shared, auth, unreadable};
use crate::problem::Problem;

/// The most sales of which anything was taken back that are looked at.
const RETURNS_MAX: usize = 200_000;
/// The most that are listed.
const LISTED_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wish {
    shop_id: ShopId,
}

/// What was taken back of one sale.
#[derive(Default)]
struct Returned {
    goods: BTreeMap<ProductId, i64>,
    money: i64,
    by: Vec<EventKeyV1>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    original: EventKeyV1,
    branch_id: BranchId,
    currency: String,
    sold_minor: i64,
    returned_minor: i64,
    products: Vec<Product>,
    refunds: Vec<EventKeyV1>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    product_id: ProductId,
    sold_milli: i64,
    returned_milli: i64,
}

pub(super) async fn list<Q: Reads>(
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
    let Query(Wish { shop_id }) =
        wish.map_err(|_| Problem::new(ErrorCode::EventInvalid, "say `?shopId=S`"))?;
    let mut returned: BTreeMap<EventKey, Returned> = BTreeMap::new();
    let mut entries = Entries::new(node);
    while let Some(page) = entries.next().await? {
        for (key, ledger) in page {
            take(shop_id, key, &ledger, &mut returned);
        }
        if returned.len() > RETURNS_MAX {
            let detail = "too much was taken back to be looked through here";
            return Err(Problem::new(ErrorCode::TooLarge, detail));
        }
    }
    let mut rows = Vec::new();
    for (key, returned) in returned {
        let found = node.parts.reads.get(&Key::Ledger(key)).await;
        let found = found.map_err(|error| unreadable(&error))?;
        if let Some(Record::Ledger(ledger)) = found {
            rows.extend(beyond(key, &ledger, returned));
        }
        if rows.len() == LISTED_MAX {
            break;
        }
    }
    let body = serde_json::json!({ "shopId": shop_id, "returns": rows });
    Ok(json(Manner::plain_json(), StatusCode::OK, &body))
}

/// Counts a posted refund that names what it takes back.
fn take(shop: ShopId, key: EventKey, ledger: &Ledger, returned: &mut BTreeMap<EventKey, Returned>) {
    if ledger.site.shop != shop || ledger.fate != Fate::Posted {
        return;
    }
    let Ok(event) = Event::from_canonical(&ledger.payload) else { return };
    let Body::Refund { original: Some(original), trade } = event.body() else { return };
    let of = returned.entry(*original).or_default();
    for line in &trade.lines {
        let quantity = of.goods.entry(line.product).or_default();
        *quantity = quantity.saturating_add(line.quantity.0);
    }
    of.money = of.money.saturating_add(trade.total().0);
    of.by.push(EventKeyV1::from_key(key));
}

/// Returns the line of a sale of which more came back than went out.
fn beyond(key: EventKey, ledger: &Ledger, returned: Returned) -> Option<Row> {
    let event = Event::from_canonical(&ledger.payload).ok()?;
    let trade: &Trade = match event.body() {
        Body::Sale(trade) | Body::Correction(Correction { trade, .. }) => trade,
        Body::Refund { .. }
        | Body::Adjustment(_)
        | Body::SessionOpened(_)
        | Body::CashMoved(_)
        | Body::SessionClosed(_)
        | Body::CatalogEdited(_) => return None,
    };
    let mut sold: BTreeMap<ProductId, i64> = BTreeMap::new();
    for line in &trade.lines {
        let quantity = sold.entry(line.product).or_default();
        *quantity = quantity.saturating_add(line.quantity.0);
    }
    let products = returned.goods.iter().map(|(product, back)| Product {
        product_id: *product,
        sold_milli: sold.get(product).copied().unwrap_or(0),
        returned_milli: *back,
    });
    let products = products.filter(|product| product.returned_milli > product.sold_milli);
    let products: Vec<Product> = products.collect();
    let (sold_minor, returned_minor) = (trade.total().0, returned.money);
    let more = !products.is_empty() || returned_minor > sold_minor;
    more.then(|| Row {
        original: EventKeyV1::from_key(key),
        branch_id: ledger.site.branch,
        currency: trade.currency.to_string(),
        sold_minor,
        returned_minor,
        products,
        refunds: returned.by,
    })
}
