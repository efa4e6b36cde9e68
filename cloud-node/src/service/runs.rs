//! `POST /v1/admin/terminals/{id}/verify`, `POST /v1/reconcile-runs/{runId}`,
//! `GET /v1/admin/reconcile-runs`: an operator wants a till to compare its catalog, and sees what
//! came of it.
//!
//! The till is told over its live stream, now or when it next has one, again on each new stream
//! until it has answered. It only compares; what it finds is applied by a person at the till, or by
//! its own daily round. Runs live in memory, the newest [`RUNS_MAX`] of this node, and fewer if
//! what was answered would take more than [`ANSWERS_BYTES_MAX`]: a restart forgets them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::{Key, Record, Site};
use counterfoil_protocol::identity::{BranchId, ShopId, TerminalId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::reconcile::{Counts, PlanItem};
use counterfoil_protocol::time::Millis;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::body::{Manner, from_json, json};
use super::{Limits, Node, Reads, Shared, auth, unreadable};
use crate::problem::Problem;

/// The most runs that are remembered; the oldest is forgotten first.
const RUNS_MAX: usize = 256;
/// The most bytes of all answers that are remembered; the oldest run is forgotten first.
const ANSWERS_BYTES_MAX: usize = 8 * 1024 * 1024;
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
    answer: Option<(Millis, Kept)>,
}

/// What a till has said of a run, as it is told: its bytes are what it takes.
#[derive(Debug)]
struct Kept {
    state: Outcome,
    summary: String,
    plan: Option<Box<RawValue>>,
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
pub(super) struct Runs(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    runs: VecDeque<Run>,
    /// What all answers take.
    bytes: usize,
}

impl Runs {
    /// Returns the run that a till has not answered yet.
    pub(super) fn asked(&self, terminal: TerminalId) -> Option<RunId> {
        let inner = self.lock();
        let open = |run: &&Run| run.terminal == terminal && run.answer.is_none();
        inner.runs.iter().rev().find(open).map(|run| run.id)
    }

    /// Asks a till; a run that it has not answered yet is asked for once and no more.
    fn ask(&self, terminal: TerminalId, site: Site, now: Millis, fresh: u64) -> RunId {
        if let Some(asked) = self.asked(terminal) {
            return asked;
        }
        let mut inner = self.lock();
        if inner.runs.len() >= RUNS_MAX {
            inner.forget_oldest();
        }
        let id = RunId(fresh);
        inner.runs.push_back(Run { id, terminal, site, asked_at: now, answer: None });
        id
    }

    /// Keeps the first answer to a run; `false` if this till was asked no such thing.
    fn answer(&self, id: &str, terminal: TerminalId, now: Millis, found: Kept) -> bool {
        let mut inner = self.lock();
        let asked = |run: &Run| run.terminal == terminal && run.id.to_string() == id;
        let Some(at) = inner.runs.iter().position(asked) else { return false };
        if inner.runs[at].answer.is_some() {
            return true;
        }
        inner.bytes += found.bytes();
        inner.runs[at].answer = Some((now, found));
        while inner.bytes > ANSWERS_BYTES_MAX && inner.runs.len() > 1 {
            inner.forget_oldest();
        }
        true
    }

    /// Returns the newest runs of a shop, the newest first.
    fn of(&self, shop: ShopId) -> Vec<Box<RawValue>> {
        let inner = self.lock();
        let of_shop = inner.runs.iter().rev().filter(|run| run.site.shop == shop);
        of_shop.take(LIST_MAX).filter_map(|run| to_raw_value(&run.told()).ok()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget_oldest(&mut self) {
        let answer = self.runs.pop_front().and_then(|run| run.answer);
        self.bytes -= answer.map_or(0, |(_, kept)| kept.bytes());
        assert!(!self.runs.is_empty() || self.bytes == 0, "what is forgotten takes nothing");
    }
}

/// A run as an operator is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldRun<'a> {
    run_id: String,
    terminal_id: TerminalId,
    branch_id: BranchId,
    asked_at_ms: Millis,
    answered_at_ms: Option<Millis>,
    state: &'static str,
    summary: Option<&'a str>,
    plan: Option<&'a RawValue>,
}

impl Run {
    fn told(&self) -> ToldRun<'_> {
        let kept = self.answer.as_ref().map(|(_, kept)| kept);
        ToldRun {
            run_id: self.id.to_string(),
            terminal_id: self.terminal,
            branch_id: self.site.branch,
            asked_at_ms: self.asked_at,
            answered_at_ms: self.answer.as_ref().map(|(at, _)| *at),
            state: kept.map_or("asked", |kept| kept.state.word()),
            summary: kept.map(|kept| kept.summary.as_str()),
            plan: kept.and_then(|kept| kept.plan.as_deref()),
        }
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        self.summary.len() + self.plan.as_ref().map_or(0, |plan| plan.get().len())
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
    /// Returns what is kept of it.
    fn check(self) -> Result<Kept, Problem> {
        let wrong = |what: &'static str| Problem::new(ErrorCode::EventInvalid, what);
        if self.summary.len() > SUMMARY_BYTES_MAX
            || self.plan.as_ref().is_some_and(|plan| plan.text.len() > PLAN_BYTES_MAX)
        {
            return Err(wrong("`summary` has 512 bytes at most, a plan's `text` 65536: cut them"));
        }
        if self.state != Outcome::Plan && self.plan.is_some() {
            return Err(wrong("only the state `plan` comes with a plan: correct it"));
        }
        let Self { state, mut summary, plan } = self;
        summary.shrink_to_fit();
        let plan = plan.map(|plan| to_raw_value(&plan)).transpose();
        let plan = plan.map_err(|_| wrong("the plan has no form in JSON: correct it"))?;
        Ok(Kept { state, summary, plan })
    }
}

/// A value would take the plans twice more than they have.
#[derive(Serialize)]
struct Listed {
    runs: Vec<Box<RawValue>>,
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
    let runs = node.runs.of(shop_id);
    Ok(json(Manner::plain_json(), StatusCode::OK, &Listed { runs }))
}

#[cfg(test)]
mod tests {
    use counterfoil_protocol::label::Label;

    use super::*;

    #[test]
    fn answers_are_bounded_by_their_bytes_and_the_oldest_is_forgotten_first() {
        let runs = Runs::default();
        let site = Site {
            shop: ShopId(Label::parse("shop").expect("a name")),
            branch: BranchId(Label::parse("north").expect("a name")),
        };
        let till = |number: u64| TerminalId(Label::parse(&format!("T-{number}")).expect("a name"));
        // The longest answer that a body has room for.
        let text = "x".repeat(PLAN_BYTES_MAX);
        let found = || Found {
            state: Outcome::Plan,
            summary: "much".to_owned(),
            plan: Some(ToldPlan { text: text.clone(), counts: Counts::default(), items: None }),
        };
        let one = found().check().expect("within its bounds").bytes();
        assert!((PLAN_BYTES_MAX..RESULT_BYTES_MAX).contains(&one), "{one} bytes");
        let fit = (ANSWERS_BYTES_MAX / one) as u64;
        assert!(fit > 100 && fit < RUNS_MAX as u64, "bytes bound before the count does: {fit}");
        for number in 0..RUNS_MAX as u64 {
            let id = runs.ask(till(number), site, Millis(number), number);
            let kept = found().check().expect("within its bounds");
            assert!(runs.answer(&id.to_string(), till(number), Millis(number), kept));
            // To say it again changes nothing.
            let kept = found().check().expect("within its bounds");
            assert!(runs.answer(&id.to_string(), till(number), Millis(number), kept));
            let inner = runs.lock();
            assert_eq!(inner.bytes, inner.runs.len() * one, "each byte is counted once");
            assert!(inner.bytes <= ANSWERS_BYTES_MAX);
        }
        let inner = runs.lock();
        assert_eq!(inner.runs.len() as u64, fit);
        assert_eq!(inner.runs.front().expect("a run").id, RunId(RUNS_MAX as u64 - fit));
        drop(inner);
        for number in 0..RUNS_MAX as u64 {
            runs.ask(till(1_000 + number), site, Millis(number), 1_000 + number);
        }
        let inner = runs.lock();
        assert_eq!((inner.runs.len(), inner.bytes), (RUNS_MAX, 0), "the count bounds too");
    }
}
