//! `GET /v1/admin/terminals/{id}/histories`: what the cloud has of a terminal's journals.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::row::Lane;
use counterfoil_protocol::cloud::{Key, Record};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{BranchId, Epoch, ShopId, TerminalId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::LOOKED_AT;
use crate::problem::Problem;
use crate::service::body::{Manner, json};
use crate::service::{Node, Reads, Shared, auth, unreadable};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::service) struct Wish {
    after: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    terminal_id: TerminalId,
    shop_id: ShopId,
    branch_id: BranchId,
    since_ms: Millis,
    expires_at_ms: Option<Millis>,
    revoked: bool,
    histories: Vec<ToldHistory>,
    /// Number and nonce of an epoch as text: a nonce has more digits than a number of JavaScript.
    next: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldHistory {
    epoch: Epoch,
    /// The last entry held, and its chain hash.
    head: u64,
    hash: Hash,
    /// The history that it continues.
    parent: Option<Epoch>,
    since_ms: Millis,
    /// When it last brought something.
    seen_ms: Millis,
    /// What its pushes have posted.
    events: u64,
    money_minor: i64,
}

pub(in crate::service) async fn list<Q: Reads>(
    State(node): State<Shared<Q>>,
    id: Result<Path<String>, PathRejection>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    answer(&node, &id, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer<Q: Reads>(
    node: &Node<Q>,
    id: &str,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let asked = |what: String| Problem::new(ErrorCode::EventInvalid, what);
    let terminal = TerminalId::parse(id)
        .map_err(|error| asked(format!("{error}: correct the terminal's name")))?;
    let wrong = || asked("go on as `next` says: `?after=1.17`".to_owned());
    let Query(Wish { after }) = wish.map_err(|_| wrong())?;
    let after = after.map(|text| epoch(&text).ok_or_else(wrong)).transpose()?;
    let reads = &node.parts.reads;
    let row = reads.get(&Key::Terminal(terminal)).await.map_err(|error| unreadable(&error))?;
    let Some(Record::Terminal(row)) = row else {
        let detail = "there is no such terminal: check its name";
        return Err(Problem::new(ErrorCode::NotFound, detail));
    };
    let from = Key::Lane(terminal, after.unwrap_or(Epoch { number: 0, nonce: 0 }));
    let until = Key::Lane(terminal, Epoch { number: u32::MAX, nonce: u64::MAX });
    let rows = reads.scan(&from, &until, LOOKED_AT + 1).await.map_err(|e| unreadable(&e))?;
    let whole = rows.len() <= LOOKED_AT;
    let lanes = rows.into_iter().filter_map(|row| match row {
        (Key::Lane(_, epoch), Record::Lane(lane)) => Some((epoch, lane)),
        _ => None,
    });
    let lanes: Vec<_> = lanes.filter(|(epoch, _)| Some(*epoch) != after).collect();
    let next = lanes.last().map(|(epoch, _)| format!("{}.{}", epoch.number, epoch.nonce));
    let told = Told {
        terminal_id: terminal,
        shop_id: row.site.shop,
        branch_id: row.site.branch,
        since_ms: row.since,
        expires_at_ms: row.expires_at,
        revoked: row.revoked,
        histories: lanes.into_iter().map(|(epoch, lane)| ToldHistory::of(epoch, &lane)).collect(),
        next: next.filter(|_| !whole),
    };
    Ok(json(Manner::plain_json(), StatusCode::OK, &told))
}

fn epoch(text: &str) -> Option<Epoch> {
    let (number, nonce) = text.split_once('.')?;
    Some(Epoch { number: number.parse().ok()?, nonce: nonce.parse().ok()? })
}

impl ToldHistory {
    fn of(epoch: Epoch, lane: &Lane) -> Self {
        Self {
            epoch,
            head: lane.head,
            hash: lane.hash,
            parent: lane.parent.as_ref().map(|parent| parent.epoch),
            since_ms: lane.since,
            seen_ms: lane.seen,
            events: lane.posted.events,
            money_minor: lane.posted.money.0,
        }
    }
}
