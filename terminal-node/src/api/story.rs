//! `GET /sales/{posId}/{localEventId}/explain`: the way of one event, here and in the cloud.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use counterfoil_protocol::identity::{LocalEventId, PosId};

use super::{Api, Problem};
use crate::story::Story;
use crate::till::TillStore;

pub(super) async fn explain<S: TillStore>(
    State(api): State<Api<S>>,
    name: Result<Path<(PosId, LocalEventId)>, PathRejection>,
) -> Result<Json<Story>, Problem> {
    let Path((pos, id)) = name?;
    let heard = api.link.borrow().last_success_ms;
    let story = api.till.both_sides(&api.outside.asker, heard, pos, id).await?;
    story.map(Json).ok_or_else(|| Problem::nothing("no event of this name was made here"))
}
