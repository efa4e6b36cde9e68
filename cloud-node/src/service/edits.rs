//! `GET /v1/admin/edits`: what tills have edited, and what became of it, for a person.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::catalog::EntityId;
use counterfoil_protocol::cloud::{EditNote, FieldNote, Key, Record};
use counterfoil_protocol::identity::{EventKey, LocalEventId, PosId, ShopId, TerminalId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::edit::FieldValueV1;
use counterfoil_protocol::wire::event::EventKeyV1;
use counterfoil_protocol::wire::message::EditOutcome;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::Manner;
use super::{Node, Reads, Shared, auth};
use crate::problem::Problem;

/// The most edits that one request looks at.
const LOOKED_AT: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wish {
    shop_id: ShopId,
    /// Leaves out what was simply taken.
    #[serde(default)]
    conflicts: bool,
    terminal_id: Option<TerminalId>,
    pos_id: Option<PosId>,
    local_event_id: Option<LocalEventId>,
}

/// Edits in the order of their keys.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    edits: Vec<ToldEdit>,
    /// Where to go on; none at the end.
    next: Option<EventKeyV1>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldEdit {
    #[serde(flatten)]
    key: EventKeyV1,
    entity: EntityId,
    base_version: u64,
    version: u64,
    at_ms: Millis,
    outcome: EditOutcome,
    fields: Vec<ToldField>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldField {
    to: FieldValueV1,
    stood: Option<FieldValueV1>,
    outcome: EditOutcome,
}

pub(super) async fn list<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer(&node, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer<Q: Reads>(
    node: &Node<Q>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    // A question without a body has no form of its own.
    let manner = Manner::plain_json();
    let asked = |what: &'static str| Problem::new(ErrorCode::EventInvalid, what);
    let Query(wish) = wish.map_err(|_| asked("say whose edits: `?shopId=acme`"))?;
    let after = after_of(wish.terminal_id, wish.pos_id, wish.local_event_id)?;
    let end = |label| EventKey {
        terminal: TerminalId(label),
        pos: PosId(label),
        local_id: LocalEventId(label),
    };
    let from = Key::EditNote(wish.shop_id, after.unwrap_or_else(|| end(Label::FIRST)));
    let until = Key::EditNote(wish.shop_id, end(Label::LAST));
    let page = node.parts.reads.scan(&from, &until, LOOKED_AT + 1).await;
    let page = page.map_err(|error| {
        tracing::error!(%error, "the edits cannot be read");
        Problem::storage_failed()
    })?;
    let whole = page.len() <= LOOKED_AT;
    let mut told = Told { edits: Vec::new(), next: None };
    for (key, record) in page {
        let (Key::EditNote(_, key), Record::EditNote(note)) = (key, record) else { continue };
        told.next = Some(EventKeyV1::from_key(key));
        if Some(key) == after || (wish.conflicts && note.outcome() == EditOutcome::Taken) {
            continue;
        }
        told.edits.push(ToldEdit::of(key, note));
    }
    if whole {
        told.next = None;
    }
    Ok(manner.answer(StatusCode::OK, &told, |_| Vec::new()))
}

/// Returns the event behind which a list goes on, if it does.
pub(super) fn after_of(
    terminal: Option<TerminalId>,
    pos: Option<PosId>,
    local_id: Option<LocalEventId>,
) -> Result<Option<EventKey>, Problem> {
    match (terminal, pos, local_id) {
        (Some(terminal), Some(pos), Some(local_id)) => {
            Ok(Some(EventKey { terminal, pos, local_id }))
        }
        (None, None, None) => Ok(None),
        _ => {
            let detail = "go on as `next` says: all three of its names, or none";
            Err(Problem::new(ErrorCode::EventInvalid, detail))
        }
    }
}

impl ToldEdit {
    fn of(key: EventKey, note: EditNote) -> Self {
        let outcome = note.outcome();
        let field = |FieldNote { to, stood, outcome }| ToldField { to, stood, outcome };
        Self {
            key: EventKeyV1::from_key(key),
            entity: note.entity,
            base_version: note.base_version,
            version: note.version,
            at_ms: note.at,
            outcome,
            fields: note.fields.into_iter().map(field).collect(),
        }
    }
}
