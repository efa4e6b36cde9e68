//! `GET /doctor`: what only whoever has the database open can look at.

use axum::Json;
use axum::extract::State;

use super::{Api, Problem};
use crate::doctor::Finding;
use crate::till::TillStore;

pub(super) async fn doctor<S: TillStore>(
    State(api): State<Api<S>>,
) -> Result<Json<Vec<Finding>>, Problem> {
    Ok(Json(api.till.examine().await?))
}
