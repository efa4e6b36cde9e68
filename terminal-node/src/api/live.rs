//! `GET /events`: the state of the till as server-sent events, whenever it changes.
//!
//! Each event is called `status` and carries what `GET /status` answers. A listener that is slow
//! misses what was in between, never the last word.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use tokio::sync::{Semaphore, mpsc, watch};

use super::export::Pages;
use super::{Api, Problem};
use crate::till::{TillError, TillStore};

/// The most listeners at a time: a till has one screen, and perhaps a few programs beside it.
pub const LISTENERS_MAX: usize = 16;
/// The shortest time between two events: a till that sells without a pause tells so much and no
/// more.
const GAP: Duration = Duration::from_millis(150);
/// How often a listener hears that the till is there, at least.
const BEAT: Duration = Duration::from_secs(10);

/// Who listens, and until when.
#[derive(Clone, Debug)]
pub struct Listeners {
    seats: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl Listeners {
    /// Makes room for listeners; all are sent away when `stopping` says so.
    #[must_use]
    pub fn new(stopping: watch::Receiver<bool>) -> Self {
        Self { seats: Arc::new(Semaphore::new(LISTENERS_MAX)), stopping }
    }
}

pub(super) async fn listen<S: TillStore + 'static>(
    State(api): State<Api<S>>,
) -> Result<Response, Problem> {
    let seat = Arc::clone(&api.listeners.seats).try_acquire_owned();
    let full = |_| Problem::unavailable("too many programs listen already: close one");
    let seat = seat.map_err(full)?;
    let (events, received) = mpsc::channel(1);
    tokio::spawn(async move {
        let _seat = seat; // until nobody listens any more
        let mut stopping = api.listeners.stopping.clone();
        tokio::select! {
            ended = tell(&api, &events) => if let Err(error) = ended {
                tracing::error!(%error, "nothing more can be told of the till");
            },
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = events.closed() => {}
        }
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream")];
    Ok((headers, Body::new(Pages(received))).into_response())
}

/// Tells the state of the till until nobody listens.
async fn tell<S: TillStore>(
    api: &Api<S>,
    events: &mpsc::Sender<Option<Bytes>>,
) -> Result<(), TillError> {
    let mut commits = api.till.commits();
    let mut link = api.link.clone();
    let mut told = String::new();
    loop {
        // Whatever changes from here on wakes this loop again.
        commits.borrow_and_update();
        link.borrow_and_update();
        let status = serde_json::to_string(&api.status().await?);
        let status = status.map_err(|error| TillError::StorageFailed(error.to_string()))?;
        let event = if status == told {
            Bytes::from_static(b":\n\n")
        } else {
            Bytes::from(format!("event: status\ndata: {status}\n\n"))
        };
        told = status;
        if events.send(Some(event)).await.is_err() {
            return Ok(());
        }
        tokio::time::sleep(GAP).await;
        tokio::select! {
            changed = commits.changed() => if changed.is_err() { return Ok(()) },
            changed = link.changed() => if changed.is_err() { return Ok(()) },
            () = tokio::time::sleep(BEAT) => {}
        }
    }
}
