//! `GET /v1/admin/live`: tells an operator's page that something was committed, as server-sent
//! events.
//!
//! An event carries no data of a shop, only this node's count of commits: the page asks again for
//! what it shows. There is one a second at most. Commits of other nodes on the same database are
//! not told: a page also asks by itself now and then.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use http_body_util::channel::{Channel, Sender};
use tokio::sync::Semaphore;

use super::{Reads, Shared, auth, login};
use crate::problem::Problem;
use crate::server::Stopping;

/// The most pages that listen.
const LISTENERS_MAX: usize = 64;
/// The shortest time between two events.
const GAP: Duration = Duration::from_secs(1);
/// After so many quiet gaps a listener hears that the node is there.
const QUIET_MAX: u32 = 10;

/// The places of listeners: none of the ordinary ones is held by a stream.
#[derive(Clone, Debug)]
pub(super) struct Seats(Arc<Semaphore>);

impl Default for Seats {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LISTENERS_MAX)))
    }
}

pub(super) async fn listen<Q: Reads>(
    State(node): State<Shared<Q>>,
    stopping: Option<Extension<Stopping>>,
    headers: HeaderMap,
) -> Response {
    open(&node, stopping, &headers).unwrap_or_else(IntoResponse::into_response)
}

fn open<Q: Reads>(
    node: &Shared<Q>,
    stopping: Option<Extension<Stopping>>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let seat = Arc::clone(&node.desk.seats.0).try_acquire_owned();
    let full = |_| Problem::unavailable("too many pages listen already: close one");
    let seat = seat.map_err(full)?;
    let by_token = headers.contains_key(header::AUTHORIZATION);
    let session = login::presented(headers).filter(|_| !by_token);
    let (mut events, body) = Channel::<Bytes>::new(1);
    let node = Shared::clone(node);
    tokio::spawn(async move {
        let _seat = seat; // until nobody listens any more
        let lasts = || {
            let now = node.parts.clock.now();
            session.is_none_or(|id| node.desk.holds(id, now, false))
        };
        let told = tell(&mut events, || node.parts.metrics.commits(), lasts);
        match stopping {
            Some(Extension(mut stopping)) => tokio::select! {
                () = told => {}
                // An error says that the server is gone.
                _ = stopping.0.wait_for(|stop| *stop) => {}
            },
            None => told.await,
        }
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // A proxy that gathers answers would tell of nothing.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::new(body)).into_response())
}

/// Tells of commits until nobody listens, or nobody may.
async fn tell(events: &mut Sender<Bytes>, commits: impl Fn() -> u64, lasts: impl Fn() -> bool) {
    let (mut told, mut quiet) = (None, 0);
    while lasts() {
        let now = commits();
        let event = if told != Some(now) {
            Bytes::from(format!("event: committed\ndata: {now}\n\n"))
        } else if quiet >= QUIET_MAX {
            Bytes::from_static(b":\n\n")
        } else {
            Bytes::new()
        };
        quiet = if event.is_empty() { quiet + 1 } else { 0 };
        told = Some(now);
        if !event.is_empty() && events.send_data(event).await.is_err() {
            return;
        }
        tokio::time::sleep(GAP).await;
    }
}
