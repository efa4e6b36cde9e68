//! What stands between the network and the cloud's real router: proxies, overload, lost and
//! repeated messages. It also sees every answer, before a till does.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header, request};
use http_body_util::BodyExt as _;

use super::cover;
use super::scene::{Scene, lock};
use crate::coverage::Injected;
use crate::plan::SLOW;
use crate::story::{Lane, What};

/// The layer's state, made anew when the cloud starts.
pub(super) struct Layer {
    scene: Arc<Scene>,
    /// The latest arrival that was handled, by credential and by what speaks: each part of a till
    /// has a connection of its own.
    handled: Mutex<BTreeMap<Vec<u8>, u64>>,
    arrivals: Mutex<u64>,
}

/// What happens to a request.
#[derive(Clone, Copy)]
struct Fate {
    refused: Option<StatusCode>,
    slow: bool,
    twice: bool,
    unheard: Unheard,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unheard {
    No,
    /// The answer is cut off.
    Cut,
    /// The answer never comes.
    Never,
}

impl Layer {
    pub(super) fn new(scene: &Arc<Scene>) -> Arc<Self> {
        Arc::new(Self {
            scene: Arc::clone(scene),
            handled: Mutex::default(),
            arrivals: Mutex::new(0),
        })
    }

    fn fate(&self, bytes: usize) -> Fate {
        let scene = &self.scene;
        let fine = Fate { refused: None, slow: false, twice: false, unheard: Unheard::No };
        if scene.is_healed() {
            return fine;
        }
        let link = scene.plan.link;
        if link.latency_us + link.jitter_us > 0 {
            scene.injected(Injected::Latency);
        }
        if scene.now_ms() < scene.cloud.throttled_until_ms.load(Ordering::Relaxed) {
            scene.injected(Injected::RateLimited);
            return Fate { refused: Some(StatusCode::TOO_MANY_REQUESTS), ..fine };
        }
        if link.proxy_bytes_max > 0 && bytes > link.proxy_bytes_max as usize {
            scene.injected(Injected::ProxyLimit);
            return Fate { refused: Some(StatusCode::PAYLOAD_TOO_LARGE), ..fine };
        }
        let mut luck = lock(&scene.cloud.link);
        if luck.happens(link.rate_limit_ppm) {
            scene.injected(Injected::RateLimited);
            return Fate { refused: Some(StatusCode::TOO_MANY_REQUESTS), ..fine };
        }
        if luck.happens(link.server_error_ppm) {
            scene.injected(Injected::ServerError);
            return Fate { refused: Some(StatusCode::SERVICE_UNAVAILABLE), ..fine };
        }
        let slow = luck.happens(link.slow_ppm);
        let twice = luck.happens(link.duplicate_ppm);
        let unheard = match (luck.happens(link.answer_loss_ppm), luck.below(2)) {
            (false, _) => Unheard::No,
            (true, 0) => Unheard::Cut,
            (true, _) => Unheard::Never,
        };
        Fate { refused: None, slow, twice, unheard }
    }

    /// Notes that a request is handled now; whether a later one of the same till was before.
    fn reordered(&self, head: &request::Parts, arrival: u64) -> bool {
        let credential = head.headers.get(header::AUTHORIZATION);
        let mut credential = credential.map(|value| value.as_bytes().to_vec()).unwrap_or_default();
        credential.push(speaker(head.uri.path()));
        let mut handled = lock(&self.handled);
        let latest = handled.entry(credential).or_default();
        let reordered = arrival < *latest;
        *latest = arrival.max(*latest);
        reordered
    }
}

/// Tells the parts of a till apart by what they ask for.
fn speaker(path: &str) -> u8 {
    match path {
        "/v1/catalog/delta" | "/v1/catalog/snapshot" => 1,
        "/v1/catalog/reconcile" | "/v1/catalog/reconcile/entities" => 2,
        "/v1/inventory-events/pending" | "/v1/inventory-events/ack" => 3,
        _ => 0,
    }
}

/// Lets the link do what it does to a request and its answer.
pub(super) async fn inject(
    State(layer): State<Arc<Layer>>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return refusal(StatusCode::BAD_REQUEST);
    };
    let bytes = body.to_bytes();
    let fate = layer.fate(bytes.len());
    let arrival = {
        let mut arrivals = lock(&layer.arrivals);
        *arrivals += 1;
        *arrivals
    };
    layer.scene.trace(2, &[head.uri.path().as_bytes(), &bytes]);
    if let Some(status) = fate.refused {
        let text = || format!("a proxy answers {} with {status}", head.uri.path());
        layer.scene.tell(Lane::World, What::Fault, text);
        return refusal(status);
    }
    // In a task of its own: it ends even if the till has gone away meanwhile.
    let task = {
        let layer = Arc::clone(&layer);
        tokio::spawn(async move { handle(&layer, next, head, bytes, fate, arrival).await })
    };
    let answer = match task.await {
        Ok(answer) => answer,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    match fate.unheard {
        Unheard::No => answer,
        Unheard::Cut => {
            layer.scene.injected(Injected::AnswerLost);
            cut(answer)
        }
        Unheard::Never => {
            layer.scene.injected(Injected::AnswerLost);
            std::future::pending().await
        }
    }
}

async fn handle(
    layer: &Layer,
    next: Next,
    head: request::Parts,
    bytes: Bytes,
    fate: Fate,
    arrival: u64,
) -> Response {
    if fate.slow {
        layer.scene.injected(Injected::Slow);
        let us = layer.scene.plan.link.latency_us * SLOW;
        tokio::time::sleep(Duration::from_micros(us)).await;
    }
    if layer.reordered(&head, arrival) {
        layer.scene.injected(Injected::Reorder);
    }
    if fate.twice {
        layer.scene.injected(Injected::Duplicate);
        once(layer, next.clone(), &head, &bytes).await;
    }
    once(layer, next, &head, &bytes).await
}

/// Runs the real router on a request, and looks at its answer.
async fn once(layer: &Layer, next: Next, head: &request::Parts, bytes: &Bytes) -> Response {
    let request = Request::from_parts(head.clone(), Body::from(bytes.clone()));
    let (answer, body) = next.run(request).await.into_parts();
    let body = body.collect().await.expect("an answer is in memory").to_bytes();
    let status = answer.status;
    let wire = body.clone();
    let body = plain(&answer.headers, body);
    layer.scene.trace(3, &[&status.as_u16().to_le_bytes(), &body]);
    layer.scene.tell(Lane::Cloud, What::Note, || {
        let path = head.uri.path();
        format!("{path}, {} bytes: {status}, {} bytes", bytes.len(), body.len())
    });
    cover::answered(&layer.scene, &head.uri, status, bytes, &body);
    Response::from_parts(answer, Body::from(wire))
}

/// What an answer says, compressed or not.
fn plain(headers: &http::HeaderMap, body: Bytes) -> Bytes {
    if headers.get(header::CONTENT_ENCODING).is_none() {
        return body;
    }
    zstd::decode_all(&*body).expect("the cloud answers what it should").into()
}

fn refusal(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Breaks the connection in the middle of an answer.
fn cut(answer: Response) -> Response {
    let (head, _) = answer.into_parts();
    Response::from_parts(head, Body::new(Broken))
}

/// A body that fails at once.
struct Broken;

impl hyper::body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        let error = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
        std::task::Poll::Ready(Some(Err(error)))
    }
}
