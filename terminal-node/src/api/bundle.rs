//! `GET /bundle?entries=&contents=`: the inside of an incident bundle, see [`crate::bundle`].

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::{Api, Problem};
use crate::bundle::{BUNDLE_ENTRIES, Inside, Wish};
use crate::till::TillStore;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    entries: Option<usize>,
    #[serde(default)]
    contents: bool,
}

pub(super) async fn bundle<S: TillStore>(
    State(api): State<Api<S>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Inside>, Problem> {
    let Query(Which { entries, contents }) = which?;
    let wish = Wish { entries: entries.unwrap_or(BUNDLE_ENTRIES), contents };
    Ok(Json(api.till.bundle(wish).await?))
}
