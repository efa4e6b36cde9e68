//! What stands around every request: id, span, panic guard, and a place among those under way.

use std::any::Any;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue};
use tracing::Instrument as _;

use super::Shared;
use crate::problem::{Problem, Refusal};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SYNC_ATTEMPT: HeaderName = HeaderName::from_static("x-sync-attempt");

/// The longest request id that is echoed.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Names the request, opens its span, counts and logs its refusal.
pub(super) async fn frame<Q: Send + Sync + 'static>(
    State(node): State<Shared<Q>>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id(&request).unwrap_or_else(|| {
        // Counted, not drawn: a simulated run is a function of its seed.
        HeaderValue::from(node.next_request())
    });
    let attempt = request.headers().get(SYNC_ATTEMPT).and_then(|value| value.to_str().ok());
    let attempt: Option<u32> = attempt.and_then(|text| text.parse().ok());
    let span = tracing::info_span!(
        "request",
        path = request.uri().path(),
        requestId = id.to_str().unwrap_or(""),
        syncAttempt = attempt,
        terminalId = tracing::field::Empty,
        branchId = tracing::field::Empty,
    );
    #[cfg(feature = "otel")]
    crate::traces::begin(&span, &request);
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(Refusal { code, reason }) = response.extensions().get().copied() {
        node.parts.metrics.refused(code, reason);
        let status = response.status().as_u16();
        span.in_scope(|| tracing::info!(errorCode = code.as_str(), ?reason, status, "refused"));
    }
    #[cfg(feature = "otel")]
    crate::traces::end(&span, response.status());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn request_id(request: &Request) -> Option<HeaderValue> {
    let id = request.headers().get(REQUEST_ID)?;
    let fits = !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX;
    (fits && id.to_str().is_ok()).then(|| id.clone())
}

/// Gives the request a place among those under way, or sends it away at once: a queue without an
/// end would answer nobody in time.
pub(super) async fn place<Q: Send + Sync + 'static>(
    State(node): State<Shared<Q>>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_place) = node.places.try_acquire() else {
        return Problem::unavailable("too many requests are under way: wait, then try again")
            .into_response();
    };
    next.run(request).await
}

/// Answers for a handler that panicked. The panic itself is in the log of the panic hook.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked");
    Problem::unavailable("the node failed on this request: report it, and send it again")
        .into_response()
}
