//! `POST /v1/admin/terminals/{id}/verify`, `POST /v1/reconcile-runs/{runId}`,
//! `GET /v1/admin/reconcile-runs`: an operator wants a till to compare its catalog, and sees what
//! came of it.
//!
//! The till is told over its live stream, now or when it next has one, again on each new stream
//! until it has answered. It only compares; what it finds is applied by a person at the till, or by
//! its own daily round. Runs live in memory, the newest [`RUNS_MAX`] of this node: a restart
//! forgets them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::{Key, Record, Site};
use counterfoil_protocol::identity::{ShopId, TerminalId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::reconcile::{Counts, PlanItem};
use counterfoil_protocol::time::Millis;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::{Manner, from_json, json};
use super::{Limits, Node, Reads, Shared, auth, unreadable};
use crate::problem::Problem;

/// The most runs that are remembered; the oldest is forgotten first.
const RUNS_MAX: usize = 256;
/// The most runs in one answer.
const LIST_MAX: usize = 100;
/// The most bytes of a result's body.
const RESULT_BYTES_MAX: usize = 192 * 1024;
/// The most bytes of a plan's text.
const PLAN_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of the line that says what came of it.
const SUMMARY_BYTES_MAX: usize = 512;

/// The name of a run, 16 hexadecimal digits: drawn, so that a node that was started anew takes no
/// answer to a question of its predecessor for one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunId(u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[derive(Debug)]
struct Run {
    id: RunId,
    terminal: TerminalId,
    site: Site,
    asked_at: Millis,
    answer: Option<(Millis, Found)>,
}

/// What a till says of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Found {
    state: Outcome,
    /// One line for people.
    summary: String,
    /// None if nothing differs, nothing was compared, or it is more than one plan can tell.
    plan: Option<ToldPlan>,
}

/// A plan as a till tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldPlan {
    /// As people read it.
    text: String,
    /// How many rows there are of each kind of change.
    counts: Counts,
    /// Row by row; none if that is too long to tell.
    items: Option<Vec<PlanItem>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    /// Nothing differs.
    Clean,
    /// Something does.
    Plan,
    /// It could not compare.
    Failed,
}

/// The runs of this node, oldest first.
#[derive(Debug, Default)]
pub(super) struct Runs(Mutex<VecDeque<Run>>);

impl Runs {
    /// Returns the run that a till has not answered yet.
    pub(super) fn asked(&self, terminal: TerminalId) -> Option<RunId> {
        let runs = self.lock();
        let open = |run: &&Run| run.terminal == terminal && run.answer.is_none();
        runs.iter().rev().find(open).map(|run| run.id)
    }

    /// Asks a till; a run that it has not answered yet is asked for once and no more.
    fn ask(&self, terminal: TerminalId, site: Site, now: Millis, fresh: u64) -> RunId {
        if let Some(asked) = self.asked(terminal) {
            return asked;
        }
        let mut runs = self.lock();
        if runs.len() >= RUNS_MAX {
            runs.pop_front();
        }
        let id = RunId(fresh);
        runs.push_back(Run { id, terminal, site, asked_at: now, answer: None });
        id
    }

    /// Keeps the first answer to a run; `false` if this till was asked no such thing.
    fn answer(&self, id: &str, terminal: TerminalId, now: Millis, found: Found) -> bool {
        let mut runs = self.lock();
        let asked = |run: &&mut Run| run.terminal == terminal && run.id.to_string() == id;
        let Some(run) = runs.iter_mut().find(asked) else { return false };
        run.answer.get_or_insert((now, found));
        true
    }

    /// Returns the newest runs of a shop, the newest first.
    fn of(&self, shop: ShopId) -> Vec<serde_json::Value> {
        let runs = self.lock();
        let of_shop = runs.iter().rev().filter(|run| run.site.shop == shop);
        of_shop.take(LIST_MAX).map(Run::told).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    fn told(&self) -> serde_json::Value {
        let found = self.answer.as_ref().map(|(_, found)| found);
        let state = found.map_or("asked", |found| found.state.word());
        serde_json::json!({
            "runId": self.id.to_string(), "terminalId": self.terminal,
            "branchId": self.site.branch, "askedAtMs": self.asked_at,
            "answeredAtMs": self.answer.as_ref().map(|(at, _)| at), "state": state,
            "summary": found.map(|found| &found.summary),
            "plan": found.and_then(|found| found.plan.as_ref()),
        })
    }
}

impl Outcome {
    /// As in JSON.
    const fn word(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Plan => "plan",
            Self::Failed => "failed",
        }
    }
}

impl Found {
    fn check(self) -> Result<Self, Problem> {
        let wrong = |what: &'static str| Problem::new(ErrorCode::EventInvalid, what);
        if self.summary.len() > SUMMARY_BYTES_MAX
            || self.plan.as_ref().is_some_and(|plan| plan.text.len() > PLAN_BYTES_MAX)
        {
            return Err(wrong("`summary` has 512 bytes at most, a plan's `text` 65536: cut them"));
        }
        if self.state != Outcome::Plan && self.plan.is_some() {
            return Err(wrong("only the state `plan` comes with a plan: correct it"));
        }
        Ok(self)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wish {
    shop_id: ShopId,
}

pub(super) async fn ask<Q: Reads>(
    State(node): State<Shared<Q>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    ask_till(&node, &id, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn answer<Q: Reads>(
    State(node): State<Shared<Q>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    take(&node, &id, request).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn list<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    show(&node, wish, &headers).unwrap_or_else(IntoResponse::into_response)
}

async fn ask_till<Q: Reads>(
    node: &Node<Q>,
    id: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let terminal = TerminalId::parse(id).map_err(|error| {
        Problem::new(ErrorCode::EventInvalid, format!("{error}: correct the terminal's name"))
    })?;
    let row = node.parts.reads.get(&Key::Terminal(terminal)).await;
    let Some(Record::Terminal(row)) = row.map_err(|error| unreadable(&error))? else {
        let detail = "there is no such terminal: check its name";
        return Err(Problem::new(ErrorCode::NotFound, detail));
    };
    if row.revoked {
        let detail = "the terminal was revoked: enrol it again to let it in, then ask";
        return Err(Problem::new(ErrorCode::EventInvalid, detail));
    }
    let random = node.parts.entropy.secret().ok_or_else(|| {
        Problem::unavailable("the system gives no randomness for a name: try again")
    })?;
    let mut fresh = [0; 8];
    fresh.copy_from_slice(&random[..8]);
    let now = node.parts.clock.now();
    let run = node.runs.ask(terminal, row.site, now, u64::from_be_bytes(fresh));
    node.parts.submit.news().wake(terminal);
    tracing::info!(terminalId = %terminal, runId = %run, "asked to compare its catalog");
    let body = serde_json::json!({ "runId": run.to_string() });
    Ok(json(Manner::plain_json(), StatusCode::ACCEPTED, &body))
}

async fn take<Q: Reads>(node: &Node<Q>, id: &str, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = auth::till(node, &head.headers).await?;
    let manner = Manner::json(&head.headers)?;
    let limits =
        Limits { wire_bytes: RESULT_BYTES_MAX, plain_bytes: RESULT_BYTES_MAX, ..node.parts.limits };
    let found = from_json::<Found>(&manner.read(&limits, body).await?)?.check()?;
    let state = found.state;
    if !node.runs.answer(id, caller.terminal, node.parts.clock.now(), found) {
        let detail = "this till was asked no such thing, or the node has forgotten: let it be";
        return Err(Problem::new(ErrorCode::NotFound, detail));
    }
    tracing::info!(runId = id, ?state, "a catalog was compared");
    Ok(json(manner, StatusCode::OK, &serde_json::json!({ "runId": id })))
}

fn show<Q>(
    node: &Node<Q>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let Query(Wish { shop_id }) =
        wish.map_err(|_| Problem::new(ErrorCode::EventInvalid, "say whose: `?shopId=acme`"))?;
    let body = serde_json::json!({ "runs": node.runs.of(shop_id) });
    Ok(json(Manner::plain_json(), StatusCode::OK, &body))
}
