//! Connections: from the listener to the end of their last answer.
//!
//! Our own loop and not `axum::serve`, which has no bound on connections, no deadline for the
//! head of a request, and no end to a graceful stop.

use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The most connections at once; more wait to be accepted.
pub const CONNECTIONS_MAX: usize = 4096;
/// How long the head of a request may take, and a kept connection may be idle.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(60);
/// How long answers under way may take once the node stops.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Told to each request: when it turns true, an answer without an end ends.
#[derive(Clone, Debug)]
pub(crate) struct Stopping(pub(crate) watch::Receiver<bool>);

/// Serves until `shutdown` ends, then lets answers under way finish, for [`DRAIN_LIMIT`].
///
/// Returns how many connections were cut off. HTTP/1.1 with keep-alive; the listener brings
/// connections of any kind, so that a simulation can bring its own.
pub async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> usize {
    let (stop, stopping) = watch::channel(false);
    let router = router.layer(Extension(Stopping(stopping.clone())));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await.0)
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (place, io) = next => {
                let (router, stopping) = (router.clone(), stopping.clone());
                connections.spawn(async move {
                    connection(io, router, stopping).await;
                    drop(place);
                });
            }
        }
    }
    drop(listener);
    let _ = stop.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    let in_time = tokio::time::timeout(DRAIN_LIMIT, drained).await.is_ok();
    let cut_off = connections.len();
    assert!(!in_time || cut_off == 0, "a drained server has no connections");
    connections.shutdown().await;
    cut_off
}

async fn connection<I>(io: I, router: Router, mut stopping: watch::Receiver<bool>)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // It would be the machine's wall clock, which a simulated node must not show.
        .auto_date_header(false)
        .header_read_timeout(HEAD_DEADLINE)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let stopped = async { stopping.wait_for(|stop| *stop).await.is_ok() };
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        _ = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Tills come and go; a broken connection is no news.
        tracing::debug!(%error, "a connection ended early");
    }
}
