//! `GET /v1/admin/fleet?shopId=`: the tills of a shop, each with what is durably known of it and
//! what it last said of itself.
//!
//! `active`, `epoch`, `journalSeq` and `forks` come from committed rows, `live` from the streams of
//! this node. The rest is what the till said to *this* node since its start (see `presence`): null
//! until then.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::row::{Lane, Terminal};
use counterfoil_protocol::cloud::{Key, Record};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, TerminalId};
use counterfoil_protocol::time::Millis;
use http::StatusCode;
use serde_json::{Value, json};

use super::body::{Manner, json as answer_json};
use super::terminals::{LOOKED_AT, Wish, asked, terminals};
use super::{Node, Reads, Shared, auth, unreadable};
use crate::problem::Problem;

const FIRST: Epoch = Epoch { number: 0, nonce: 0 };
const LAST: Epoch = Epoch { number: u32::MAX, nonce: u64::MAX };

pub(super) async fn list<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    show(&node, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

async fn show<Q: Reads>(
    node: &Node<Q>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let Wish { shop_id, after } = asked(wish)?;
    let now = node.parts.clock.now();
    let mut told = Vec::new();
    let mut after = after;
    // A page of terminals is of all shops: go on until the answer is full, or there is no more.
    loop {
        let (found, next) = terminals(node, after).await?;
        for (id, terminal) in found {
            if terminal.site.shop == shop_id {
                told.push(till(node, id, &terminal, now).await?);
            }
        }
        after = next;
        if next.is_none() || told.len() >= LOOKED_AT {
            break;
        }
    }
    let mut body = json!({ "terminals": told, "nowMs": now });
    if let Some(next) = after {
        body["next"] = json!(next);
    }
    Ok(answer_json(Manner::plain_json(), StatusCode::OK, &body))
}

async fn till<Q: Reads>(
    node: &Node<Q>,
    id: TerminalId,
    terminal: &Terminal,
    now: Millis,
) -> Result<Value, Problem> {
    let lane = lane(node, id).await?;
    let forks = forks(node, id).await?;
    let heard = node.presence.of(id, now);
    let said = heard.as_ref().and_then(|(_, said)| said.as_ref());
    let expired = terminal.expires_at.is_some_and(|at| at <= now);
    Ok(json!({
        "terminalId": id, "branchId": terminal.site.branch,
        "active": !terminal.revoked && !expired,
        "version": said.map(|said| &said.version),
        "lastSeenMs": heard.as_ref().map(|(seen, _)| seen),
        "live": node.parts.submit.news().is_live(id),
        "pending": said.map(|said| said.pending),
        "oldestAgeMs": said.and_then(|said| said.oldest),
        "clockOffsetMs": said.map(|said| said.ahead),
        "epoch": lane.as_ref().map(|(epoch, _)| epoch.number),
        "journalSeq": lane.as_ref().map(|(_, lane)| lane.head),
        "forks": forks,
    }))
}

/// Returns the newest history of a till.
async fn lane<Q: Reads>(node: &Node<Q>, id: TerminalId) -> Result<Option<(Epoch, Lane)>, Problem> {
    let mut newest = None;
    let mut from = FIRST;
    loop {
        let (from_key, until) = (Key::Lane(id, from), Key::Lane(id, LAST));
        let rows = node.parts.reads.scan(&from_key, &until, LOOKED_AT).await;
        let rows = rows.map_err(|error| unreadable(&error))?;
        let full = rows.len() == LOOKED_AT;
        for (key, record) in rows {
            if let (Key::Lane(_, epoch), Record::Lane(lane)) = (key, record) {
                from = Epoch { number: epoch.number, nonce: epoch.nonce.saturating_add(1) };
                newest = Some((epoch, lane));
            }
        }
        if !full {
            return Ok(newest);
        }
    }
}

async fn forks<Q: Reads>(node: &Node<Q>, id: TerminalId) -> Result<usize, Problem> {
    let from = Key::Fork(id, FIRST, Hash([0; 32]));
    let until = Key::Fork(id, LAST, Hash([0xff; 32]));
    let rows = node.parts.reads.scan(&from, &until, LOOKED_AT).await;
    Ok(rows.map_err(|error| unreadable(&error))?.len())
}
