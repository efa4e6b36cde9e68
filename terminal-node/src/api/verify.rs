//! `POST /verify`, `POST /plan/apply`: a person looks at a plan before it is applied.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use counterfoil_protocol::reconcile::{Counts, Plan};
use serde::{Deserialize, Serialize};

use super::{Api, Problem};
use crate::till::TillStore;
use crate::verify::Verified;

/// The answer of `POST /verify`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBody {
    /// What is to be done; none if more differs than one plan can tell.
    pub plan: Option<Plan>,
    /// The same for people.
    pub text: String,
    /// About how many entries differ, if there is no plan and it is known.
    pub estimated: Option<u64>,
}

/// The answer of `POST /plan/apply`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedBody {
    /// What was done.
    pub counts: Counts,
    /// The version that the catalog has now.
    pub version: Option<u64>,
}

impl VerifiedBody {
    /// Makes the answer of what was shown.
    #[must_use]
    pub fn new(verified: Verified) -> Self {
        match verified {
            Verified::Plan(plan) => Self { text: plan.text(), plan: Some(*plan), estimated: None },
            Verified::Snapshot { estimated } => {
                let about = estimated.map_or_else(String::new, |n| format!(" (about {n} entries)"));
                let text = format!(
                    "More differs than can be told entry by entry{about}.\nApplying fetches the \
                     whole catalog again; sales and the queue are not touched.\n"
                );
                Self { plan: None, text, estimated }
            }
        }
    }
}

pub(super) async fn verify<S: TillStore>(
    State(api): State<Api<S>>,
) -> Result<Json<VerifiedBody>, Problem> {
    Ok(Json(VerifiedBody::new(api.desk.verify().await?)))
}

pub(super) async fn apply<S: TillStore>(
    State(api): State<Api<S>>,
    body: Bytes,
) -> Result<Json<AppliedBody>, Problem> {
    // `null` in place of a plan: fetch everything again.
    if body.as_ref() == b"null" {
        let standing = api.till.fetch_whole().await?;
        let version = standing.and_then(|standing| standing.version);
        return Ok(Json(AppliedBody { counts: Counts::default(), version }));
    }
    let plan = Plan::from_json(&body).map_err(|why| Problem::invalid(&why))?;
    let applied = api.till.apply_plan(plan).await?;
    Ok(Json(AppliedBody { counts: applied.counts, version: applied.standing.version }))
}
