//! `GET /v1/admin/terminals`, `PUT /v1/admin/terminals/{id}/credential`, `GET /v1/admin/forks`.
//!
//! A credential is rotated by its digest: whoever rotates draws the new secret, keeps it beside the
//! old one, and tells the cloud `secretDigest` alone. To say the same again changes nothing, so a
//! lost answer locks nobody out: until there is an answer one of the two secrets opens, and both
//! are known to whoever asks again.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::row::Terminal;
use counterfoil_protocol::cloud::{Input, Key, Output, Record};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, ShopId, TerminalId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use http::StatusCode;
use serde::Deserialize;

use super::body::{Manner, json};
use super::{Node, Reads, Shared, admin, auth, unreadable, wrong_output};
use crate::problem::Problem;

/// The most rows that one answer looks at.
pub(super) const LOOKED_AT: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wish {
    pub(super) shop_id: ShopId,
    pub(super) after: Option<TerminalId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Credential {
    secret_digest: Hash,
    #[serde(default)]
    expires_at_ms: Option<u64>,
}

pub(super) async fn list<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    show(&node, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn rotate<Q: Reads>(
    State(node): State<Shared<Q>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    give(&node, &id, request).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn forks<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    show_forks(&node, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) fn asked(wish: Result<Query<Wish>, QueryRejection>) -> Result<Wish, Problem> {
    let Query(wish) = wish.map_err(|_| {
        let detail = "say whose: `?shopId=acme`, perhaps `&after=T-1`";
        Problem::new(ErrorCode::EventInvalid, detail)
    })?;
    Ok(wish)
}

async fn show<Q: Reads>(
    node: &Node<Q>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let Wish { shop_id, after } = asked(wish)?;
    let (found, next) = terminals(node, after).await?;
    let told = found.into_iter().filter(|(_, terminal)| terminal.site.shop == shop_id);
    let told: Vec<_> = told
        .map(|(id, terminal)| {
            serde_json::json!({
                "terminalId": id, "shopId": terminal.site.shop, "branchId": terminal.site.branch,
                "expiresAtMs": terminal.expires_at, "revoked": terminal.revoked,
                "histories": terminal.lanes, "sinceMs": terminal.since,
            })
        })
        .collect();
    let body = serde_json::json!({ "terminals": told, "next": next });
    Ok(json(Manner::plain_json(), StatusCode::OK, &body))
}

/// Returns enrolled terminals after `after`, and where to go on.
pub(super) async fn terminals<Q: Reads>(
    node: &Node<Q>,
    after: Option<TerminalId>,
) -> Result<(Vec<(TerminalId, Terminal)>, Option<TerminalId>), Problem> {
    let from = Key::Terminal(after.unwrap_or(TerminalId(Label::FIRST)));
    let until = Key::Terminal(TerminalId(Label::LAST));
    let rows = node.parts.reads.scan(&from, &until, LOOKED_AT + 1).await;
    let rows = rows.map_err(|error| unreadable(&error))?;
    let whole = rows.len() <= LOOKED_AT;
    let found = rows.into_iter().filter_map(|row| match row {
        (Key::Terminal(id), Record::Terminal(terminal)) => Some((id, terminal)),
        _ => None,
    });
    let found: Vec<_> = found.filter(|(id, _)| Some(*id) != after).collect();
    let next = found.last().map(|(id, _)| *id).filter(|_| !whole);
    Ok((found, next))
}

async fn give<Q: Reads>(node: &Node<Q>, id: &str, request: Request) -> Result<Response, Problem> {
    let (manner, wish) = admin::read::<Q, Credential>(node, request).await?;
    let terminal = TerminalId::parse(id).map_err(|error| {
        Problem::new(ErrorCode::EventInvalid, format!("{error}: correct the terminal's name"))
    })?;
    let row = node.parts.reads.get(&Key::Terminal(terminal)).await;
    let Some(Record::Terminal(row)) = row.map_err(|error| unreadable(&error))? else {
        let detail = "there is no such terminal: enrol it";
        return Err(Problem::new(ErrorCode::NotFound, detail));
    };
    if row.revoked {
        let detail = "the terminal was revoked: enrol it again to let it in";
        return Err(Problem::new(ErrorCode::EventInvalid, detail));
    }
    let expires_at = wish.expires_at_ms.map(Millis);
    let input = Input::Enrol { terminal, site: row.site, secret: wish.secret_digest, expires_at };
    let shop = Some(row.site.shop);
    let output = node.ask_logged("terminal.rotate", shop, terminal, input, 0).await?;
    let Output::Enrolled = output else { return Err(wrong_output()) };
    node.seen.forget(terminal);
    tracing::info!(terminalId = %terminal, "a credential was rotated");
    let body = serde_json::json!({ "terminalId": terminal, "expiresAtMs": expires_at });
    Ok(json(manner, StatusCode::OK, &body))
}

async fn show_forks<Q: Reads>(
    node: &Node<Q>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let Wish { shop_id, after } = asked(wish)?;
    let (found, next) = terminals(node, after).await?;
    let mut told = Vec::new();
    for (id, _) in found.iter().filter(|(_, terminal)| terminal.site.shop == shop_id) {
        let end = |number, byte| {
            let epoch = Epoch { number, nonce: if byte == 0 { 0 } else { u64::MAX } };
            Key::Fork(*id, epoch, Hash([byte; 32]))
        };
        let rows = node.parts.reads.scan(&end(0, 0), &end(u32::MAX, 0xff), LOOKED_AT).await;
        for row in rows.map_err(|error| unreadable(&error))? {
            let (Key::Fork(_, epoch, _), Record::Fork(fork)) = row else { continue };
            told.push(serde_json::json!({
                "terminalId": id, "epoch": epoch, "common": fork.common,
                "cloudHead": fork.cloud_head, "successor": fork.successor, "atMs": fork.at,
            }));
        }
    }
    let body = serde_json::json!({ "forks": told, "next": next });
    Ok(json(Manner::plain_json(), StatusCode::OK, &body))
}
