//! `GET /v1/admin/reports/sales`: what was sold, per day, branch or product.
//!
//! It is read from the ledger: every event of the shop is looked at, so it costs what the ledger
//! has, and is always what is in the books. Days are those of the event's own time, in UTC.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::row::{Fate, Ledger};
use counterfoil_protocol::event::{Body, Correction, Event, Trade};
use counterfoil_protocol::identity::{BranchId, ProductId, ShopId};
use counterfoil_protocol::problem::ErrorCode;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::{Manner, json};
use super::ledger::Entries;
use super::{Node, Reads, Shared, auth};
use crate::problem::Problem;
use crate::timestamp::date;

/// The most lines of a report: finer or longer ones are asked for in parts.
const ROWS_MAX: usize = 50_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wish {
    shop_id: ShopId,
    branch_id: Option<BranchId>,
    /// The first day, as 2024-01-15.
    from: Option<String>,
    /// The last day.
    to: Option<String>,
    /// What to tell apart: `day`, `branch`, `product`, with commas.
    by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    day: Option<String>,
    branch_id: Option<BranchId>,
    product_id: Option<ProductId>,
    currency: String,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sums {
    sales: u64,
    refunds: u64,
    lines: u64,
    /// Sold less returned.
    quantity_milli: i64,
    /// Taken less given back.
    money_minor: i64,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    group: Group,
    #[serde(flatten)]
    sums: Sums,
}

/// What a report tells apart.
#[derive(Clone, Copy, Debug, Default)]
struct By {
    day: bool,
    branch: bool,
    product: bool,
}

pub(super) async fn sales<Q: Reads>(
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
    let asked = |what: &'static str| Problem::new(ErrorCode::EventInvalid, what);
    let Query(wish) = wish.map_err(|_| {
        asked("say `?shopId=S`, perhaps `&branchId=B&from=2024-01-01&to=2024-01-31&by=day,product`")
    })?;
    let by = by(wish.by.as_deref().unwrap_or("day"))
        .ok_or_else(|| asked("`by` is of day, branch, product, with commas"))?;
    for day in [&wish.from, &wish.to].into_iter().flatten() {
        let readable = crate::timestamp::parse(&format!("{day}T00:00:00Z")).is_ok();
        if !readable || day.len() != 10 {
            return Err(asked("a day is written as 2024-01-15"));
        }
    }
    let mut rows: BTreeMap<Group, Sums> = BTreeMap::new();
    let mut entries = Entries::new(node);
    while let Some(page) = entries.next().await? {
        for (_, ledger) in page {
            count(&wish, by, &ledger, &mut rows);
        }
        if rows.len() > ROWS_MAX {
            let detail = "the report is too long: ask for fewer days, or tell less apart";
            return Err(Problem::new(ErrorCode::TooLarge, detail));
        }
    }
    let rows: Vec<Row> = rows.into_iter().map(|(group, sums)| Row { group, sums }).collect();
    let body = serde_json::json!({ "shopId": wish.shop_id, "rows": rows });
    Ok(json(Manner::plain_json(), StatusCode::OK, &body))
}

fn by(text: &str) -> Option<By> {
    let mut by = By::default();
    for word in text.split(',') {
        match word {
            "day" => by.day = true,
            "branch" => by.branch = true,
            "product" => by.product = true,
            _ => return None,
        }
    }
    Some(by)
}

fn count(wish: &Wish, by: By, ledger: &Ledger, rows: &mut BTreeMap<Group, Sums>) {
    let site = ledger.site;
    let here = site.shop == wish.shop_id && wish.branch_id.is_none_or(|only| only == site.branch);
    if !here || ledger.fate != Fate::Posted {
        return;
    }
    let Ok(event) = Event::from_canonical(&ledger.payload) else { return };
    let day = date(event.at());
    let after = wish.from.as_ref().is_none_or(|from| day >= *from);
    let before = wish.to.as_ref().is_none_or(|to| day <= *to);
    let (trade, sign): (&Trade, i64) = match event.body() {
        Body::Sale(trade) | Body::Correction(Correction { trade, .. }) => (trade, 1),
        Body::Refund { trade, .. } => (trade, -1),
        Body::Adjustment(_)
        | Body::SessionOpened(_)
        | Body::CashMoved(_)
        | Body::SessionClosed(_)
        | Body::CatalogEdited(_) => return,
    };
    if !(after && before) {
        return;
    }
    let group = |product| Group {
        day: by.day.then(|| day.clone()),
        branch_id: by.branch.then_some(site.branch),
        product_id: product,
        currency: trade.currency.to_string(),
    };
    let mut seen = std::collections::BTreeSet::new();
    for line in &trade.lines {
        let group = group(by.product.then_some(line.product));
        let first = seen.insert(group.clone());
        let sums = rows.entry(group).or_default();
        sums.sales += u64::from(first && sign > 0);
        sums.refunds += u64::from(first && sign < 0);
        sums.lines += 1;
        let (quantity, money) = (sign * line.quantity.0, sign * line.amount().0);
        sums.quantity_milli = sums.quantity_milli.saturating_add(quantity);
        sums.money_minor = sums.money_minor.saturating_add(money);
    }
}
