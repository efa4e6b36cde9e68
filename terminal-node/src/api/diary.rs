//! `GET /diary?limit=`: the newest notes of what came of speaking to the cloud, oldest first.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::Value;

use super::{Api, Problem};
use crate::bundle::noted;
use crate::till::TillStore;

const NOTES: usize = 20;
/// The most notes of one answer.
const ANSWER_NOTES_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    limit: Option<usize>,
}

pub(super) async fn list<S: TillStore>(
    State(api): State<Api<S>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Vec<Value>>, Problem> {
    let Query(Which { limit }) = which?;
    let limit = limit.unwrap_or(NOTES).clamp(1, ANSWER_NOTES_MAX);
    let notes = api.till.newest_notes(limit).await?;
    let jotted = api.till.jotted();
    let all = notes.iter().map(|(number, note)| noted(Some(*number), note));
    let all: Vec<Value> = all.chain(jotted.iter().map(|note| noted(None, note))).collect();
    let skipped = all.len().saturating_sub(limit);
    Ok(Json(all.into_iter().skip(skipped).collect()))
}
