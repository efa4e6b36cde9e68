//! `GET /receipts?find=&posId=&limit=`, `GET /receipts/{posId}/{localEventId}`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use counterfoil_protocol::identity::{LocalEventId, PosId};
use serde::Deserialize;

use super::{Api, Problem};
use crate::receipts::{FIND_BYTES_MAX, RECEIPTS_MAX, ReceiptBody, Receipts};
use crate::till::TillStore;

const RECEIPTS_DEFAULT: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Find {
    #[serde(default)]
    find: String,
    pos_id: Option<PosId>,
    limit: Option<usize>,
}

pub(super) async fn list<S: TillStore>(
    State(api): State<Api<S>>,
    wish: Result<Query<Find>, QueryRejection>,
) -> Result<Json<Receipts>, Problem> {
    let Query(Find { find, pos_id, limit }) = wish?;
    if find.len() > FIND_BYTES_MAX {
        return Err(Problem::invalid("look for at most 128 bytes of text"));
    }
    let limit = limit.unwrap_or(RECEIPTS_DEFAULT).clamp(1, RECEIPTS_MAX);
    Ok(Json(api.till.receipts(pos_id, find.trim(), limit).await?))
}

pub(super) async fn show<S: TillStore>(
    State(api): State<Api<S>>,
    name: Result<Path<(PosId, LocalEventId)>, PathRejection>,
) -> Result<Json<ReceiptBody>, Problem> {
    let Path((pos, id)) = name?;
    let receipt = api.till.receipt(pos, id).await?;
    receipt
        .map(Json)
        .ok_or_else(|| Problem::nothing("no sale or refund of this name was made here"))
}
