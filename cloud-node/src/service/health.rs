//! `GET /healthz`, `/readyz`, `/metrics`: the state of this node, for whoever watches it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::Key;
use counterfoil_protocol::identity::TerminalId;
use http::header;

use super::{Reads, Shared};
use crate::problem::Problem;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The committer works, and the database can be read.
pub(super) async fn readyz<Q: Reads>(State(node): State<Shared<Q>>) -> Response {
    if !node.parts.submit.is_open() {
        return Problem::unavailable("the committer has ended: restart the node").into_response();
    }
    let Ok(nobody) = TerminalId::parse("readyz") else {
        return Problem::storage_failed().into_response();
    };
    match node.parts.reads.get(&Key::Terminal(nobody)).await {
        Ok(_) => "ready\n".into_response(),
        Err(_) => Problem::storage_failed().into_response(),
    }
}

/// The counters of this node, and what its tills said of themselves.
pub(super) async fn metrics<Q: Reads>(State(node): State<Shared<Q>>) -> Response {
    let live = node.parts.submit.news().live();
    let tills = node.presence.text(live, node.parts.clock.now());
    let text = node.parts.metrics.text_with(&tills);
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}
