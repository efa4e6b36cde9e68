//! `GET /v1/sessions/{pos}/{session}`: a till asks whether the cloud has what it has stated;
//! `GET /v1/admin/sessions`: an operator looks at a branch's days.
//!
//! Answers come from committed rows, so they need no committer and no transaction.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::sessions::{session_report, sessions};
use counterfoil_protocol::identity::{BranchId, PosId, SessionId, ShopId, TerminalId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::session::SessionReport;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::Manner;
use super::{Node, Reads, Shared, auth};
use crate::problem::Problem;

pub(super) type Named = Result<Path<(PosId, SessionId)>, PathRejection>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wish {
    shop: ShopId,
    branch: Option<BranchId>,
    terminal_id: Option<TerminalId>,
    pos_id: Option<PosId>,
    session_id: Option<SessionId>,
}

/// A page of an operator's list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    sessions: Vec<SessionReport>,
    /// What to ask for next; none at the end.
    next: Option<Next>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Next {
    terminal_id: TerminalId,
    pos_id: PosId,
    session_id: SessionId,
}

pub(super) async fn report<Q: Reads>(
    State(node): State<Shared<Q>>,
    named: Named,
    headers: HeaderMap,
) -> Response {
    answer(&node, named, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn list<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer_list(&node, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer<Q: Reads>(
    node: &Node<Q>,
    named: Named,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::till(node, headers).await?;
    let Path((pos, session)) = named.map_err(|_| {
        let detail = "name the register and the session: `/v1/sessions/1/2025-06-15`";
        Problem::new(ErrorCode::EventInvalid, detail)
    })?;
    let (shop, reads) = (caller.site.shop, &node.parts.reads);
    let found = session_report(reads, shop, caller.terminal, pos, session).await;
    let found = found.map_err(|error| failed(&error))?;
    let report = found.ok_or_else(|| {
        let detail = "no event of this session is posted: push what waits, then ask again";
        Problem::new(ErrorCode::NotFound, detail)
    })?;
    tracing::debug!(%pos, %session, status = ?report.status, "a session was asked for");
    Ok(Manner::accepted(headers).answer(StatusCode::OK, &report, |report| report.encode()))
}

async fn answer_list<Q: Reads>(
    node: &Node<Q>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let invalid = |what: &'static str| Problem::new(ErrorCode::EventInvalid, what);
    let Query(wish) = wish.map_err(|_| invalid("say whose: `?shop=shop&branch=mitte`"))?;
    let after = match (wish.terminal_id, wish.pos_id, wish.session_id) {
        (Some(terminal), Some(pos), Some(session)) => Some((terminal, pos, session)),
        (None, None, None) => None,
        (_, _, _) => return Err(invalid("go on as `next` of the last page says, or name nothing")),
    };
    let page = sessions(&node.parts.reads, wish.shop, after).await;
    let (mut sessions, next) = page.map_err(|error| failed(&error))?;
    sessions.retain(|session| wish.branch.is_none_or(|branch| session.branch_id == branch));
    let next =
        next.map(|(terminal_id, pos_id, session_id)| Next { terminal_id, pos_id, session_id });
    let listed = Listed { sessions, next };
    Ok(Manner::plain_json().answer(StatusCode::OK, &listed, |_| Vec::new()))
}

fn failed(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "a committed row cannot be read");
    Problem::storage_failed()
}
