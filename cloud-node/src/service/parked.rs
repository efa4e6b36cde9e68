//! `GET /v1/admin/parked`, `POST /v1/admin/parked/decide`: events that wait, and what becomes of
//! them.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::decide::{
    Decided, LIST_MAX, REASON_BYTES_MAX, Verb, plan, waiting,
};
use counterfoil_protocol::cloud::row::Ledger;
use counterfoil_protocol::cloud::{Input, Key, Output, Record, Site};
use counterfoil_protocol::event::Event;
use counterfoil_protocol::identity::{EventKey, LocalEventId, PosId, ShopId, TerminalId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::event::{EventAny, EventKeyV1};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::{Manner, json};
use super::{Node, Reads, Shared, admin, auth, edits, rollup, unreadable, wrong_output};
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wish {
    shop_id: ShopId,
    terminal_id: Option<TerminalId>,
    pos_id: Option<PosId>,
    local_event_id: Option<LocalEventId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(flatten)]
    key: EventKeyV1,
    code: ErrorCode,
    since_ms: u64,
    site: Option<Site>,
    /// None: it cannot be read, run the check.
    event: Option<EventAny>,
}

/// What is to be done with one of them.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Choice {
    Retry,
    Accept,
    Reject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Decision {
    shop_id: ShopId,
    terminal_id: TerminalId,
    pos_id: PosId,
    local_event_id: LocalEventId,
    decision: Choice,
    #[serde(default)]
    reason: String,
}

pub(super) async fn list<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer(&node, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn decide<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    take(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer<Q: Reads>(
    node: &Node<Q>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let asked = |what: &'static str| Problem::new(ErrorCode::EventInvalid, what);
    let Query(wish) = wish.map_err(|_| asked("say whose: `?shopId=acme`"))?;
    let after = edits::after_of(wish.terminal_id, wish.pos_id, wish.local_event_id)?;
    let reads = &node.parts.reads;
    let found = waiting(reads, wish.shop_id, after).await.map_err(|error| unreadable(&error))?;
    let last = found.last().map(|(key, _)| EventKeyV1::from_key(*key));
    let next = last.filter(|_| found.len() == LIST_MAX);
    let mut parked = Vec::new();
    for (key, waiting) in found {
        let row = reads.get(&Key::Ledger(key)).await.map_err(|error| unreadable(&error))?;
        let (site, event) = match row {
            Some(Record::Ledger(Ledger { site, payload, .. })) => {
                (Some(site), Event::from_canonical(&payload).ok())
            }
            Some(_) | None => (None, None),
        };
        parked.push(Told {
            key: EventKeyV1::from_key(key),
            code: waiting.code,
            since_ms: waiting.since.0,
            site,
            event: event.map(|event| EventAny::from_event(&event)),
        });
    }
    let body = serde_json::json!({ "parked": parked, "next": next });
    Ok(json(Manner::plain_json(), StatusCode::OK, &body))
}

async fn take<Q: Reads>(node: &Shared<Q>, request: Request) -> Result<Response, Problem> {
    let (manner, wish) = admin::read::<Q, Decision>(node, request).await?;
    let asked = |what: String| Problem::new(ErrorCode::EventInvalid, what);
    if wish.reason.len() > REASON_BYTES_MAX || wish.reason.chars().any(char::is_control) {
        let what = format!("a reason has {REASON_BYTES_MAX} bytes at most, in one line");
        return Err(asked(what));
    }
    if matches!(wish.decision, Choice::Reject) && wish.reason.is_empty() {
        return Err(asked("a rejection has a reason: send `reason`".to_owned()));
    }
    let (verb, action) = match wish.decision {
        Choice::Retry => (Verb::Retry, "parked.retry"),
        Choice::Accept => (Verb::Accept(wish.reason), "parked.accept"),
        Choice::Reject => (Verb::Reject(wish.reason), "parked.reject"),
    };
    let Decision { shop_id, terminal_id, pos_id, local_event_id, .. } = wish;
    let key = EventKey { terminal: terminal_id, pos: pos_id, local_id: local_event_id };
    let gone = || Problem::new(ErrorCode::NotFound, "the shop has no such event: check its key");
    let planned = plan(&node.parts.reads, shop_id, key, verb).await;
    let planned = planned.map_err(|error| unreadable(&error))?.ok_or_else(gone)?;
    let site = planned.site();
    let shop = Some(shop_id);
    let output = node.ask_logged(action, shop, key, Input::Decide(Box::new(planned)), 0).await?;
    if let Output::NoSuchEvent = output {
        return Err(gone());
    }
    let Output::Decided(decided) = output else { return Err(wrong_output()) };
    let (status, code) = match decided {
        Decided::Posted => ("posted", None),
        Decided::Waits(code) => ("waits", Some(code)),
        Decided::Rejected => ("rejected", None),
        Decided::Withdrawn => ("withdrawn", Some(ErrorCode::Withdrawn)),
    };
    if matches!(decided, Decided::Posted) {
        rollup::soon(node, site);
    }
    tracing::info!(eventId = %key, status, action, "a parked event was decided");
    let body = serde_json::json!({ "status": status, "code": code });
    Ok(json(manner, StatusCode::OK, &body))
}
