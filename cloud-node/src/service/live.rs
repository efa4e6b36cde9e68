//! `GET /v1/live`: a till is told that there is news, over a stream of server-sent events.
//!
//! | event | data | when |
//! |---|---|---|
//! | `news` | `{"catalog":17,"inbox":42}` | at the beginning, then whenever one of them changes |
//! | `verify` | `{"runId":"..."}` | an operator wants the till to compare its catalog |
//! | a comment | | after each [`Limits::beat`], so that a dead connection is noticed |
//!
//! > An event is a hint. Data never travels here, and a till that misses one asks all the same.
//!
//! A terminal has one stream: a newer one ends the older. It ends as soon as its credential is no
//! longer good (revoked or rotated at this node: at once; at another node, or run out: at the next
//! beat), and when the node stops. It takes no place among the requests under way.
//!
//! [`Limits::beat`]: super::Limits::beat

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use counterfoil_protocol::cloud::{Caller, Key, Record};
use http::{HeaderName, header};
use hyper::body::Frame;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::{Node, Reads, Shared, auth};
use crate::news::{Heads, Seat};
use crate::problem::Problem;
use crate::server::Stopping;

/// How many events wait for a till that reads slowly.
const WAITING_MAX: usize = 4;
/// How long a till may leave them waiting, before its stream ends.
const PATIENCE: Duration = Duration::from_secs(30);
/// After how many seconds a till that found no room asks again.
const ROOM_IN_SECS: u64 = 60;

pub(super) async fn answer<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    listen(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn listen<Q: Reads>(node: &Shared<Q>, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let caller = auth::till(node, &head.headers).await?;
    let news = node.parts.submit.news();
    let limits = &node.parts.limits;
    let seat = news.enter(caller.terminal, limits.streams).ok_or_else(|| {
        let detail = "too many terminals listen to this node: ask for news as before, try later";
        Problem::unavailable(detail).retry_after(ROOM_IN_SECS)
    })?;
    let heads = news.follow(caller.site, &node.parts.reads, limits.look_every);
    let stopping = head.extensions.get::<Stopping>().cloned();
    let (events, received) = mpsc::channel(WAITING_MAX);
    let node = Shared::clone(node);
    tokio::spawn(async move {
        let stopped = async {
            match stopping {
                Some(Stopping(mut stopping)) => drop(stopping.wait_for(|stop| *stop).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stopped => {}
            () = events.closed() => {}
            () = tell(&node, caller, seat, heads, &events) => {}
        }
        tracing::debug!(terminalId = %caller.terminal, "a stream has ended");
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // A proxy that gathers answers would gather this one for ever.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::new(Events(received))).into_response())
}

/// Tells a till what there is, until its place or its credential is gone, or nobody reads.
async fn tell<Q: Reads>(
    node: &Node<Q>,
    caller: Caller,
    seat: Seat,
    mut heads: watch::Receiver<Option<Heads>>,
    events: &mpsc::Sender<Bytes>,
) {
    let beat = node.parts.limits.beat;
    let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + beat, beat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut told, mut run) = (None, None);
    loop {
        let asked = node.runs.asked(caller.terminal);
        if let Some(asked) = asked.filter(|asked| run != Some(*asked)) {
            run = Some(asked);
            if !say(events, format!("event: verify\ndata: {{\"runId\":\"{asked}\"}}\n\n")).await {
                return;
            }
        }
        let found = *heads.borrow_and_update();
        if let Some(found) = found.filter(|found| told != Some(*found)) {
            told = Some(found);
            let Heads { catalog, inbox } = found;
            let data = format!("{{\"catalog\":{catalog},\"inbox\":{inbox}}}");
            if !say(events, format!("event: news\ndata: {data}\n\n")).await {
                return;
            }
        }
        tokio::select! {
            biased;
            () = seat.woken() => if !seat.is_held() || !is_admitted(node, &caller).await {
                return;
            },
            changed = heads.changed() => if changed.is_err() {
                return;
            },
            _ = beats.tick() => {
                if !is_admitted(node, &caller).await || !say(events, ":\n\n".to_owned()).await {
                    return;
                }
            }
        }
    }
}

/// Reads the terminal's row once more: the stream is an answer without a transaction.
async fn is_admitted<Q: Reads>(node: &Node<Q>, caller: &Caller) -> bool {
    let now = node.parts.clock.now();
    match node.parts.reads.get(&Key::Terminal(caller.terminal)).await {
        Ok(Some(Record::Terminal(row))) => {
            row.site == caller.site && row.admits(now, caller.secret).is_ok()
        }
        Ok(_) => false,
        Err(error) => {
            tracing::error!(%error, "a committed row cannot be read");
            false
        }
    }
}

async fn say(events: &mpsc::Sender<Bytes>, text: String) -> bool {
    let said = tokio::time::timeout(PATIENCE, events.send(Bytes::from(text))).await;
    matches!(said, Ok(Ok(())))
}

/// A body whose parts come through a channel.
struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
    }
}
