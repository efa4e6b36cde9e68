//! `GET /v1/inventory-events/pending`, `POST /v1/inventory-events/ack`: a till asks what has
//! changed its branch's stock elsewhere, and says how far it has applied it.
//!
//! Shop and branch are those of the credential; nothing in a request can name another. What is
//! pending comes from committed rows and needs no committer; an acknowledgement is a transaction.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::inbox::feed::pending;
use counterfoil_protocol::cloud::inbox::{self};
use counterfoil_protocol::cloud::{Input, Output};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::inbox::{EventId, InboxEvent};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::inbox::{
    Ack, AckAnswer, Cursor, PENDING_EVENTS_MAX, PENDING_USUAL, PendingAnswer, PendingV1,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::{Form, Manner, from_json};
use super::{Node, Reads, Shared, auth, wrong_output};
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    after: Option<u64>,
    chain: Option<Hash>,
    limit: Option<usize>,
}

pub(super) async fn events<Q: Reads>(
    State(node): State<Shared<Q>>,
    after: Result<Query<After>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer(&node, after, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn acknowledge<Q: Reads>(
    State(node): State<Shared<Q>>,
    request: Request,
) -> Response {
    take(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer<Q: Reads>(
    node: &Node<Q>,
    after: Result<Query<After>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::till(node, headers).await?;
    let asked = |what: String| Problem::new(ErrorCode::EventInvalid, what);
    let Query(After { after, chain, limit }) = after.map_err(|_| {
        asked("go on as the last page says: `?after=17&chain=<64 hex digits>&limit=500`".into())
    })?;
    let after = match (after, chain) {
        (None, None) => None,
        (Some(0), _) => Some(Cursor::default()),
        (Some(seq), Some(chain)) => Some(Cursor { seq, chain }),
        (Some(_), None) | (None, Some(_)) => {
            let what = "`after` and `chain` name one place: send both, or neither to go on after \
                        what this terminal has acknowledged";
            return Err(asked(what.into()));
        }
    };
    let limit = limit.unwrap_or(PENDING_USUAL);
    if !(1..=PENDING_EVENTS_MAX).contains(&limit) {
        return Err(asked(format!("`limit` is 1 to {PENDING_EVENTS_MAX}")));
    }
    let answer = pending(&node.parts.reads, caller.site, caller.terminal, after, limit).await;
    let answer = answer.map_err(|error| {
        tracing::error!(%error, "the inbox cannot be read");
        Problem::storage_failed()
    })?;
    let manner = Manner::accepted(headers);
    Ok(match &answer {
        PendingAnswer::Page(page) => {
            tracing::debug!(after = page.after.seq, events = page.events.len(), "pending events");
            let told = Told {
                after: page.after,
                to: page.to,
                head: page.head,
                acked: page.acked,
                events: page.events.iter().map(Shown::of).collect(),
            };
            manner.answer(StatusCode::OK, &told, |_| answer.encode())
        }
        PendingAnswer::Restart => {
            tracing::info!("a terminal begins its inbox anew");
            let restart = serde_json::json!({ "restart": true });
            manner.answer(StatusCode::OK, &restart, |_| answer.encode())
        }
    })
}

async fn take<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = auth::till(node, &head.headers).await?;
    let manner = Manner::of(&head.headers)?;
    let bytes = manner.read(&node.parts.limits, body).await?;
    let ack = match manner.form {
        Form::Binary => {
            Ack::decode(&bytes).map_err(|error| Problem::message(error, bytes.is_empty()))?
        }
        Form::Json => from_json(&bytes)?,
    };
    let input = Input::Inbox(inbox::Input::Ack { caller, ack });
    let output = node.ask_for(&caller, input, 0).await?;
    let Output::Inbox(inbox::Output::Acked(answer)) = output else { return Err(wrong_output()) };
    tracing::debug!(through = answer.through, known = answer.known, "acknowledged");
    Ok(manner.answer(StatusCode::OK, &answer, AckAnswer::encode))
}

/// A page as JSON shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    after: Cursor,
    to: Cursor,
    head: u64,
    acked: u64,
    events: Vec<Shown>,
}

/// An event as JSON shows it: with the fields of S0.5 in place of its bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    at: Cursor,
    /// None: a later version of this program wrote it.
    event: Option<ShownEvent>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownEvent {
    event_id: EventId,
    created_at_ms: u64,
    product_id: ProductId,
    delta_milli: i64,
    source: &'static str,
    reference_type: &'static str,
    reference_id: String,
}

impl Shown {
    fn of(pending: &PendingV1) -> Self {
        let event = InboxEvent::from_canonical(&pending.content).ok();
        let event = event.map(|event| ShownEvent {
            event_id: event.id,
            created_at_ms: event.created_at.0,
            product_id: event.product,
            delta_milli: event.delta.0,
            source: event.reference.source(),
            reference_type: event.reference.kind(),
            reference_id: event.reference.to_string(),
        });
        Self { at: pending.at, event }
    }
}
