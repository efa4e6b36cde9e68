//! `POST /verify`, `POST /plan/apply`: a person looks at a plan before it is applied.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
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
    /// The plan once more as one text, if it was asked for so: its sums have 64 bits, and in some
    /// languages a number has fewer. Whoever applies it sends this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// Whether nothing differs.
    #[serde(default)]
    pub clean: bool,
    /// Whether applying it removes so much that a person should confirm that.
    #[serde(default)]
    pub needs_confirmation: bool,
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
            Verified::Plan(plan) => Self {
                text: plan.text(),
                exact: None,
                clean: plan.is_clean(),
                needs_confirmation: plan.needs_confirmation(),
                plan: Some(*plan),
                estimated: None,
            },
            Verified::Snapshot { estimated } => {
                let about = estimated.map_or_else(String::new, |n| format!(" (about {n} entries)"));
                let text = format!(
                    "More differs than can be told entry by entry{about}.\nApplying fetches the \
                     whole catalog again; sales and the queue are not touched.\n"
                );
                Self {
                    plan: None,
                    text,
                    exact: None,
                    clean: false,
                    needs_confirmation: true,
                    estimated,
                }
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    /// Whether the plan is wanted as one text too.
    #[serde(default)]
    exact: bool,
}

pub(super) async fn verify<S: TillStore>(
    State(api): State<Api<S>>,
    form: Result<Query<Form>, QueryRejection>,
) -> Result<Json<VerifiedBody>, Problem> {
    let Query(Form { exact }) = form?;
    let mut verified = VerifiedBody::new(api.desk.verify().await?);
    verified.exact = verified.plan.as_ref().filter(|_| exact).map(Plan::json);
    Ok(Json(verified))
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
