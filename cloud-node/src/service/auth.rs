//! Who speaks: decided from the headers alone, before the body is read.
//!
//! It spares the node the work for strangers. What counts for whatever goes to the committer is the
//! machine's own decision in the transaction; what is answered from committed rows alone has no
//! transaction, so there the terminal's row is read. Either way a revocation holds from its commit
//! on, whatever was under way.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use counterfoil_protocol::cloud::row::{Record, Terminal};
use counterfoil_protocol::cloud::{Caller, Key, Site};
use counterfoil_protocol::identity::TerminalId;
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::time::Millis;
use http::header;

use super::{Node, Reads, login};
use crate::credential::{Presented, bearer, operator_digest};
use crate::problem::Problem;
use crate::rate::Wait;

/// The most terminals that are remembered.
const SEEN_MAX: usize = 100_000;

/// The terminals that were seen, so that a push does not wait for a commit under way just to read
/// a row that hardly ever changes.
///
/// A stale row does no harm, because only routes that end in a transaction look here: one that
/// admits is judged again in the transaction, one that does not is read again first, and one that
/// the transaction contradicts is forgotten.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<BTreeMap<TerminalId, Terminal>>);

impl Seen {
    fn get(&self, terminal: TerminalId) -> Option<Terminal> {
        self.lock().get(&terminal).cloned()
    }

    fn put(&self, id: TerminalId, terminal: Terminal) {
        let mut seen = self.lock();
        if seen.len() >= SEEN_MAX {
            seen.clear();
        }
        seen.insert(id, terminal);
    }

    /// Forgets a terminal that the transaction judged otherwise.
    pub(super) fn forget(&self, terminal: TerminalId) {
        self.lock().remove(&terminal);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TerminalId, Terminal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Authenticates a till by its committed row, and takes one request from its rates.
pub(super) async fn till<Q: Reads>(node: &Node<Q>, headers: &HeaderMap) -> Result<Caller, Problem> {
    let presented = presented(headers)?;
    let now = node.parts.clock.now();
    let terminal = admitted(node, presented, now).await?;
    node.presence.heard(presented.terminal, headers, now);
    caller(node, headers, presented, terminal.site, now)
}

/// Authenticates a till whose request the committer judges again, and takes one request from its
/// rates: what this node remembers of the till will do. Never for an answer without a transaction.
pub(super) async fn till_to_be_judged<Q: Reads>(
    node: &Node<Q>,
    headers: &HeaderMap,
) -> Result<Caller, Problem> {
    let presented = presented(headers)?;
    let now = node.parts.clock.now();
    let seen = node.seen.get(presented.terminal);
    let terminal = match seen.filter(|seen| seen.admits(now, presented.secret).is_ok()) {
        Some(terminal) => terminal,
        None => {
            let terminal = admitted(node, presented, now).await?;
            node.seen.put(presented.terminal, terminal.clone());
            terminal
        }
    };
    node.presence.heard(presented.terminal, headers, now);
    caller(node, headers, presented, terminal.site, now)
}

fn presented(headers: &HeaderMap) -> Result<Presented, Problem> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| Presented::parse(value.as_bytes()))
        .ok_or_else(Problem::no_credential)
}

fn caller<Q>(
    node: &Node<Q>,
    headers: &HeaderMap,
    Presented { terminal, secret }: Presented,
    site: Site,
    now: Millis,
) -> Result<Caller, Problem> {
    let span = tracing::Span::current();
    span.record("terminalId", terminal.as_str());
    span.record("branchId", site.branch.as_str());
    node.till_gate.admit(terminal.0, now, headers).map_err(too_often)?;
    Ok(Caller { terminal, secret, site })
}

/// Says that a caller has to wait.
pub(super) fn too_often(wait: Wait) -> Problem {
    let (detail, secs) = match wait {
        Wait::Requests(secs) => {
            ("the caller asks too often: wait as `Retry-After` says, then go on", secs)
        }
        Wait::Bytes(secs) => (
            "the caller sends too much: wait as `Retry-After` says, then send the same again",
            secs,
        ),
    };
    Problem::new(ErrorCode::RateLimited, detail).retry_after(secs)
}

async fn admitted<Q: Reads>(
    node: &Node<Q>,
    presented: Presented,
    now: Millis,
) -> Result<Terminal, Problem> {
    let row = node.parts.reads.get(&Key::Terminal(presented.terminal)).await.map_err(|error| {
        tracing::error!(%error, "a committed row cannot be read");
        Problem::storage_failed()
    })?;
    let Some(Record::Terminal(terminal)) = row else {
        return Err(Problem::denied(Denial::UnknownTerminal));
    };
    terminal.admits(now, presented.secret).map_err(Problem::denied)?;
    Ok(terminal)
}

/// Authenticates the operator: by token, or by the session of a page ([`super::login`]).
/// Whoever sends a token is judged by it alone.
pub(super) fn operator<Q>(node: &Node<Q>, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |detail: &'static str| Problem::new(ErrorCode::Unauthorized, detail);
    let Some(expected) = node.parts.operator else {
        return Err(refused(
            "this node has no operator: start it with --operator-token-file to use admin routes",
        ));
    };
    if !headers.contains_key(header::AUTHORIZATION) && login::admits(node, headers)? {
        return Ok(());
    }
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| bearer(value.as_bytes()))
        .ok_or_else(|| refused("send `Authorization: Bearer <operator token>`"))?;
    if operator_digest(token).same_secret(&expected) {
        Ok(())
    } else {
        Err(refused("this is not the operator's token"))
    }
}
