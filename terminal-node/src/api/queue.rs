//! `GET /queue`, `GET /queue/records`, `GET /queue/{posId}/{localEventId}`, `POST /retry`: what is
//! not synced, why, and another try.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use counterfoil_protocol::identity::{LocalEventId, PosId};
use http::StatusCode;
use serde::Deserialize;

use super::{Api, Posted, Problem};
use crate::books::QueueItem;
use crate::queue::QueueRecord;
use crate::till::TillStore;

pub(super) const QUEUE_DEFAULT: usize = 100;
const QUEUE_MAX: usize = 10_000;
/// The most records of one answer: each has its whole event with it.
const RECORDS_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    limit: Option<usize>,
    /// Only what a person must look at.
    #[serde(default)]
    attention: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Named {
    pub(super) pos_id: PosId,
    pub(super) local_event_id: LocalEventId,
}

pub(super) async fn list<S: TillStore>(
    State(api): State<Api<S>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Vec<QueueItem>>, Problem> {
    let Query(Which { limit, attention }) = which?;
    let limit = limit.unwrap_or(QUEUE_DEFAULT).clamp(1, QUEUE_MAX);
    Ok(Json(items(&api, limit, attention).await?))
}

pub(super) async fn records<S: TillStore>(
    State(api): State<Api<S>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Vec<QueueRecord>>, Problem> {
    let Query(Which { limit, attention }) = which?;
    let limit = limit.unwrap_or(QUEUE_DEFAULT).clamp(1, RECORDS_MAX);
    let mut records = Vec::new();
    for item in items(&api, limit, attention).await? {
        records.push(api.till.queue_record(item).await?);
    }
    Ok(Json(records))
}

async fn items<S: TillStore>(
    api: &Api<S>,
    limit: usize,
    attention: bool,
) -> Result<Vec<QueueItem>, Problem> {
    Ok(if attention { api.till.attention(limit).await? } else { api.till.queue(limit).await? })
}

pub(super) async fn show<S: TillStore>(
    State(api): State<Api<S>>,
    name: Result<Path<(PosId, LocalEventId)>, PathRejection>,
) -> Result<Json<QueueItem>, Problem> {
    let Path((pos, id)) = name?;
    let item = api.till.queued(pos, id).await?;
    item.map(Json).ok_or_else(|| Problem::nothing("no event of this name waits"))
}

pub(super) async fn retry<S: TillStore>(
    State(api): State<Api<S>>,
    body: Posted<Named>,
) -> Result<StatusCode, Problem> {
    let Json(Named { pos_id, local_event_id }) = body?;
    if api.till.retry(pos_id, local_event_id).await? {
        Ok(StatusCode::ACCEPTED)
    } else {
        Err(Problem::nothing("no event of this name needs attention"))
    }
}
