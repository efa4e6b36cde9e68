//! `POST /v1/admin/adjustments`: an operator corrects a branch's stock (S2.5).
//!
//! It is an event like a till's, under the caller's own id, so that sending it again changes
//! nothing; the stock stays the sum of its movements.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::direct::{Brought, Direct, OPERATOR};
use counterfoil_protocol::cloud::log::{Logged, Note};
use counterfoil_protocol::cloud::{Input, Site};
use counterfoil_protocol::event::{Adjustment, AdjustmentLine};
use counterfoil_protocol::identity::{BranchId, LocalEventId, ProductId, ShopId};
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use http::StatusCode;
use serde::Deserialize;

use super::body::json;
use super::bring::post;
use super::{Reads, Shared, admin};
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    shop_id: ShopId,
    branch_id: BranchId,
    adjustment_id: LocalEventId,
    created_at_ms: u64,
    #[serde(default)]
    reason: String,
    lines: Vec<LineWish>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LineWish {
    product_id: ProductId,
    delta_milli: i64,
}

pub(super) async fn answer<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    take(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn take<Q: Reads>(node: &Shared<Q>, request: Request) -> Result<Response, Problem> {
    let (manner, wish) = admin::read::<Q, Wish>(node, request).await?;
    let site = Site { shop: wish.shop_id, branch: wish.branch_id };
    let lines = wish.lines.into_iter().map(|line| AdjustmentLine {
        product: line.product_id,
        name: String::new(),
        delta: Milli(line.delta_milli),
    });
    let adjustment = Adjustment { reason: wish.reason, lines: lines.collect() };
    let (id, at) = (wish.adjustment_id, Millis(wish.created_at_ms));
    let event = Direct::adjustment(site.shop, id, at, adjustment).map_err(|error| {
        let detail = format!("{error}: correct it, nothing was changed");
        Problem::new(ErrorCode::EventInvalid, detail)
    })?;
    let brought = |head, events| {
        let note = Note {
            actor: "operator".to_owned(),
            action: "stock.adjust".to_owned(),
            shop: Some(site.shop),
            target: id.to_string(),
        };
        let brought = Brought::of_operator(site, head, events);
        Input::Logged(Logged::new(note, Input::Bring(brought)))
    };
    let mut outcomes = post(node, site, OPERATOR, vec![event], brought).await?;
    let Some(outcome) = outcomes.pop() else { return Err(super::wrong_output()) };
    let taken = outcome.map_err(|bad| Problem::new(bad.code, bad.what))?;
    let (status, word) =
        if taken.created { (StatusCode::CREATED, "created") } else { (StatusCode::OK, "existing") };
    let body = serde_json::json!({
        "adjustmentId": id, "serverId": taken.name.uuid(), "status": word,
    });
    Ok(json(manner, status, &body))
}
