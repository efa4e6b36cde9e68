//! `GET /v1/admin/stock`: what a branch has of each product, and what it owes its shelves.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::Site;
use counterfoil_protocol::cloud::stocks::{Stocks, stocks};
use counterfoil_protocol::identity::{BranchId, ProductId, ShopId};
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::problem::ErrorCode;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::{Manner, json};

use super::{Node, Reads, Shared, auth, thresholds::between};
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    shop: ShopId,
    branch: BranchId,
    /// Only what is below zero.
    #[serde(default)]
    negative: bool,
    /// Only what is below its threshold.
    #[serde(default)]
    low: bool,
    after: Option<ProductId>,
}

/// The most thresholds that are read at a time.
const THRESHOLDS_MAX: usize = 1_000;

/// Products in the order of their SKUs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    stock: Vec<ToldStock>,
    /// Go on with `&after=`; none at the end. A page of a filtered list may be empty.
    next: Option<ProductId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldStock {
    product_id: ProductId,
    stock_milli: i64,
    movements: u64,
    /// More was sold than was there: count the shelf, and enter an adjustment at a till.
    negative: bool,
    /// Somebody is told when it falls below this.
    threshold_milli: i64,
    /// It lies below that.
    low: bool,
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
    let Query(Wish { shop, branch, negative, low, after }) = wish.map_err(|_| {
        let detail = "say `?shop=S&branch=B`, perhaps `&negative=true`, `&low=true`, `&after=SKU`";
        Problem::new(ErrorCode::EventInvalid, detail)
    })?;
    let found = stocks(&node.parts.reads, Site { shop, branch }, after).await;
    let found = found.map_err(|error| {
        tracing::error!(%error, branchId = %branch, "the stock cannot be read");
        Problem::storage_failed()
    })?;
    let Some(Stocks { products, next }) = found else {
        return Err(Problem::unavailable("the stock changes too fast to be read: ask again"));
    };
    let ends = products.first().zip(products.last()).map(|((first, _), (last, _))| (*first, *last));
    let thresholds = match ends {
        Some((first, last)) => thresholds(node, shop, first, last).await?,
        None => BTreeMap::new(),
    };
    let told = products.into_iter().map(|(product_id, stock)| {
        let threshold = thresholds.get(&product_id).copied().unwrap_or(Milli(0));
        ToldStock {
            product_id,
            stock_milli: stock.quantity.0,
            movements: stock.movements,
            negative: stock.quantity.0 < 0,
            threshold_milli: threshold.0,
            low: stock.quantity < threshold,
        }
    });
    let stock = told.filter(|told| (told.negative || !negative) && (told.low || !low)).collect();
    Ok(json(Manner::plain_json(), StatusCode::OK, &Told { stock, next }))
}

/// Returns the thresholds from `first` to `last`: there may be more of them than the branch has
/// stocks.
async fn thresholds<Q: Reads>(
    node: &Node<Q>,
    shop: ShopId,
    mut first: ProductId,
    last: ProductId,
) -> Result<BTreeMap<ProductId, Milli>, Problem> {
    let mut all = BTreeMap::new();
    loop {
        let page = between(node, shop, first, last, THRESHOLDS_MAX).await?;
        let end = page.last_key_value().map(|(product, _)| *product);
        let full = page.len() == THRESHOLDS_MAX;
        all.extend(page);
        match end {
            Some(end) if full => first = end,
            Some(_) | None => return Ok(all),
        }
    }
}
