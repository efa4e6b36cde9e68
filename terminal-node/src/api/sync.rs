//! `POST /sync`, `GET /status`: speaking to the cloud, and how that goes.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::session::Nudge;
use counterfoil_protocol::time::Millis;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{Api, Problem};
use crate::books::Status;
use crate::light::Connection;
use crate::sync::Link;
use crate::till::{TillError, TillStore};

/// The longest that a caller may wait for the sync to rest.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The answer of `GET /status`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusBody {
    /// The till's books.
    #[serde(flatten)]
    pub status: Status,
    /// How long the oldest pending event has waited.
    pub oldest_pending_age_ms: Option<Millis>,
    /// What a person is told about the quarantine, if there is one.
    pub quarantine_reason: Option<&'static str>,
    /// The address of the cloud.
    pub cloud: String,
    /// How the link is doing; absent if no daemon runs.
    pub link: Option<Link>,
    /// Whether the cloud is heard, and why not; absent if no daemon runs.
    pub connection: Option<Connection>,
    /// Whether the cloud durably holds every event: then nothing is lost, though this machine be
    /// switched off and never come back.
    pub safe_to_switch_off: bool,
}

impl StatusBody {
    /// Puts the till's books and the link together, as of `now`.
    #[must_use]
    pub fn new(status: Status, link: Option<Link>, cloud: &str, now: Millis) -> Self {
        Self {
            oldest_pending_age_ms: status.oldest_pending_ms.map(|since| now.since(since)),
            quarantine_reason: status.quarantined.map(|denial| denial.explain()),
            cloud: cloud.to_owned(),
            link,
            connection: link.map(|link| Connection::of(&link, status.quarantined, cloud)),
            safe_to_switch_off: status.pending == 0 && status.needs_attention == 0,
            status,
        }
    }
}

/// What is told to who listens: the state, and which catalog the till sells from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    #[serde(flatten)]
    status: StatusBody,
    /// The version of the till's catalog; none before the first is whole.
    catalog_version: Option<u64>,
}

impl<S: TillStore> Api<S> {
    /// Returns the state of the till as of now.
    pub(super) async fn status(&self) -> Result<Told, TillError> {
        let status = self.till.status().await?;
        let link = *self.link.borrow();
        let now = self.till.clock().now();
        let catalog = self.till.catalog_state().await?;
        Ok(Told {
            status: StatusBody::new(status, Some(link), &self.cloud, now),
            catalog_version: catalog.and_then(|catalog| catalog.version),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wait {
    /// How long to wait until the sync rests, in milliseconds; not at all if it is not given.
    wait_ms: Option<u64>,
}

pub(super) async fn sync<S: TillStore>(
    State(api): State<Api<S>>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Wait { wait_ms }) = wait?;
    let mut link = api.link.clone();
    let before = link.borrow().rests;
    api.till.nudge(Nudge::Manual);
    // Lets the loop take it up before the caller asks for the status.
    tokio::task::yield_now().await;
    let Some(wait_ms) = wait_ms else { return Ok(StatusCode::ACCEPTED.into_response()) };
    let rests = async { link.wait_for(|link| link.rests > before).await.is_ok() };
    let limit = WAIT_MAX.min(Duration::from_millis(wait_ms));
    let _still_under_way = tokio::time::timeout(limit, rests).await;
    Ok(Json(api.status().await?).into_response())
}

pub(super) async fn status<S: TillStore>(State(api): State<Api<S>>) -> Result<Json<Told>, Problem> {
    Ok(Json(api.status().await?))
}
