//! Requests to the cloud, over whatever connects: TCP, or a simulator's network.
//!
//! | answer | fault |
//! |---|---|
//! | no connection, a reset, a cut or unreadable answer, a redirect | `Transport` |
//! | a certificate that is not believed, or none | `Untrusted`, with the reason |
//! | 5xx | `Server` |
//! | 401 | `Denied`, with the problem document's `reason` |
//! | 429 | `RateLimited`, with `Retry-After` in seconds |
//! | 413 | `TooLarge` |
//! | any other 4xx | `Rejected` |

pub(crate) mod live;
mod query;

use std::error::Error as StdError;
use std::fmt;
use std::io::Read as _;

use bytes::Bytes;
use counterfoil_protocol::catalog::EntityId;
use counterfoil_protocol::identity::{PosId, SessionId};
use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::session::Fault;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{DeltaAnswer, EditName, SnapshotPage};
use counterfoil_protocol::wire::heads::{HEADS_HEADER, Heads};
use counterfoil_protocol::wire::inbox::{Ack, AckAnswer, Cursor, PendingAnswer};
use counterfoil_protocol::wire::message::{Hello, MEDIA_TYPE, Push, PushAnswer, Welcome};
use counterfoil_protocol::wire::reconcile::{
    EntitiesAnswer, EntitiesAsk, ReconcileAnswer, ReconcileAsk,
};
use counterfoil_protocol::wire::session::SessionReport;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use serde::Deserialize;
use tokio::task::AbortHandle;
use tower::ServiceExt as _;

use crate::tls::Untrusted;

use query::run_query;
pub(crate) use query::segment;

pub use crate::endpoint::{Endpoint, EndpointError};

/// The most bytes of an answer that are read, on the wire and after decompression.
pub const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Request bodies below this size are never compressed.
pub const COMPRESS_FROM: usize = 1024;
/// The most memory that a compressed answer may ask of the decoder, as a power of two.
const WINDOW_LOG_MAX: u32 = 23;
const ZSTD: &str = "zstd";

/// Something that connects to the host and port of a URI.
pub trait Connector: Clone + Send + Sync + 'static {
    /// The stream.
    type Stream: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static;

    /// Connects.
    fn connect(
        &self,
        to: Uri,
    ) -> impl Future<Output = Result<Self::Stream, Box<dyn StdError + Send + Sync>>> + Send;
}

impl<C> Connector for C
where
    C: tower::Service<Uri, Future: Send> + Clone + Send + Sync + 'static,
    C::Response: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    C::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Stream = C::Response;

    async fn connect(&self, to: Uri) -> Result<C::Response, Box<dyn StdError + Send + Sync>> {
        self.clone().oneshot(to).await.map_err(Into::into)
    }
}

/// Speaks to one cloud over one connection at a time.
pub struct Transport<C> {
    connector: C,
    endpoint: Endpoint,
    bearer: HeaderValue,
    compress: bool,
    introduces: bool,
    word: Option<HeaderValue>,
    /// What the last answer said of the cloud's heads.
    heads: Option<Heads>,
    connection: Option<Connection>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl<C> fmt::Debug for Transport<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token stays out of logs.
        f.debug_struct("Transport").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// A token that cannot stand in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token has characters that cannot be sent")]
pub struct TokenError;

impl<C: Connector> Transport<C> {
    /// Makes a transport that is not connected yet.
    ///
    /// # Errors
    /// [`TokenError`] for a token with control or non-ASCII characters, or an empty one.
    pub fn new(connector: C, endpoint: Endpoint, token: &str) -> Result<Self, TokenError> {
        let token = token.trim();
        if token.is_empty() {
            return Err(TokenError);
        }
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| TokenError)?;
        bearer.set_sensitive(true);
        let (compress, introduces) = (false, false);
        let (word, heads, connection) = (None, None, None);
        Ok(Self { connector, endpoint, bearer, compress, introduces, word, heads, connection })
    }

    /// Says beside each request how the till is, if whoever drives it knows.
    #[must_use]
    pub const fn introducing(mut self, introduces: bool) -> Self {
        self.introduces = introduces;
        self
    }

    pub(crate) const fn introduces(&self) -> bool {
        self.introduces
    }

    pub(crate) fn introduce(&mut self, word: HeaderValue) {
        self.word = Some(word);
    }

    /// Compresses request bodies of at least [`COMPRESS_FROM`] bytes.
    #[must_use]
    pub const fn compressing(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Greets the cloud.
    ///
    /// # Errors
    /// As in the table above.
    pub async fn greet(
        &mut self,
        hello: &Hello,
        attempt: u32,
        request_id: u64,
    ) -> Result<Welcome, Fault> {
        let ask = Ask::Post("/v1/handshake", hello.encode());
        let answer = self.send(ask, attempt, request_id).await?;
        Welcome::decode(&answer).map_err(|error| unreadable(&error))
    }

    /// Returns what the cloud said of its heads beside the last answer; none if it said nothing
    /// that can be read.
    pub(crate) const fn heads(&self) -> Option<Heads> {
        self.heads
    }

    /// Offers journal entries.
    ///
    /// # Errors
    /// As in the table above.
    pub async fn push(
        &mut self,
        push: &Push,
        attempt: u32,
        request_id: u64,
    ) -> Result<PushAnswer, Fault> {
        let ask = Ask::Post("/v1/sales-events", push.encode());
        let answer = self.send(ask, attempt, request_id).await?;
        PushAnswer::decode(&answer).map_err(|error| unreadable(&error))
    }

    /// Asks what the catalog has that `from` has not, and which of these edits of this till it has.
    ///
    /// # Errors
    /// As in the table above.
    pub async fn delta(
        &mut self,
        from: u64,
        edits: &[EditName],
        attempt: u32,
        request_id: u64,
    ) -> Result<DeltaAnswer, Fault> {
        let mut path = format!("/v1/catalog/delta?from={from}");
        if !edits.is_empty() {
            path = format!("{path}&edits={}", segment(&EditName::to_text(edits)));
        }
        let ask = Ask::Get(path);
        let answer = self.send(ask, attempt, request_id).await?;
        DeltaAnswer::decode(&answer).map_err(|error| unreadable(&error))
    }

    /// Asks for the run of the catalog after an entity.
    ///
    /// # Errors
    /// As in the table above.
    pub async fn catalog_run(
        &mut self,
        pinned: Option<u64>,
        after: Option<EntityId>,
        attempt: u32,
        request_id: u64,
    ) -> Result<SnapshotPage, Fault> {
        let ask = Ask::Get(format!("/v1/catalog/snapshot?{}", run_query(pinned, after)));
        let answer = self.send(ask, attempt, request_id).await?;
        SnapshotPage::decode(&answer).map_err(|error| unreadable(&error))
    }

    /// Asks what the cloud makes of a register session.
    ///
    /// # Errors
    /// As in the table above; [`Fault::Rejected`] if it has no event of that session.
    pub async fn session(
        &mut self,
        pos: PosId,
        session: SessionId,
        request_id: u64,
    ) -> Result<SessionReport, Fault> {
        let (pos, session) = (segment(pos.as_str()), segment(session.as_str()));
        let ask = Ask::Get(format!("/v1/sessions/{pos}/{session}"));
        let answer = self.send(ask, 0, request_id).await?;
        SessionReport::decode(&answer).map_err(|error| unreadable(&error))
    }

    /// Asks for inventory events after a place.
    ///
    /// # Errors
    /// As in the table above.
    pub async fn pending(
        &mut self,
        after: Cursor,
        limit: usize,
        attempt: u32,
        request_id: u64,
    ) -> Result<PendingAnswer, Fault> {
        let Cursor { seq, chain } = after;
        let query = format!("after={seq}&chain={chain}&limit={limit}");
        let ask = Ask::Get(format!("/v1/inventory-events/pending?{query}"));
        let answer = self.send(ask, attempt, request_id).await?;
        PendingAnswer::decode(&answer).map_err(|error| unreadable(&error))
    }

    /// Says how far inventory events are applied.
    ///
    /// # Errors
    /// As in the table above.
    pub async fn acknowledge(
        &mut self,
        ack: &Ack,
        attempt: u32,
        request_id: u64,
    ) -> Result<AckAnswer, Fault> {
        let ask = Ask::Post("/v1/inventory-events/ack", ack.encode());
        let answer = self.send(ask, attempt, request_id).await?;
        AckAnswer::decode(&answer).map_err(|error| unreadable(&error))
    }

    /// Asks which rows of the catalog differ.
    ///
    /// # Errors
    /// As in the table above.
    pub async fn reconcile(
        &mut self,
        ask: &ReconcileAsk,
        request_id: u64,
    ) -> Result<ReconcileAnswer, Fault> {
        let ask = Ask::Post("/v1/catalog/reconcile", ask.encode());
        let answer = self.send(ask, 0, request_id).await?;
        ReconcileAnswer::decode(&answer).map_err(|error| unreadable(&error))
    }

    /// Asks for rows of the catalog.
    ///
    /// # Errors
    /// As in the table above.
    pub async fn entities(
        &mut self,
        ask: &EntitiesAsk,
        request_id: u64,
    ) -> Result<EntitiesAnswer, Fault> {
        let ask = Ask::Post("/v1/catalog/reconcile/entities", ask.encode());
        let answer = self.send(ask, 0, request_id).await?;
        EntitiesAnswer::decode(&answer).map_err(|error| unreadable(&error))
    }

    /// Says what came of a comparison that the operator asked for.
    ///
    /// # Errors
    /// As in the table above; [`Fault::Rejected`] if the cloud has forgotten that it asked.
    pub(crate) async fn compared(
        &mut self,
        run: &str,
        found: &serde_json::Value,
        attempt: u32,
        request_id: u64,
    ) -> Result<(), Fault> {
        let path = format!("/v1/reconcile-runs/{}", segment(run));
        let ask = Ask::Tell(path, found.to_string().into_bytes());
        self.send(ask, attempt, request_id).await.map(drop)
    }

    /// Drops the connection; the next request makes a new one.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    async fn send(&mut self, ask: Ask, attempt: u32, request_id: u64) -> Result<Bytes, Fault> {
        let request = self.request(ask, attempt, request_id)?;
        self.heads = None;
        // Out of `self` while under way: if this future is dropped, so is the connection.
        let kept = self.connection.take().filter(|kept| !kept.sender.is_closed());
        let reused = kept.is_some();
        let connection = match kept {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        let (connection, answer) = match exchange(connection, request.clone()).await {
            // The cloud may have closed an idle connection. Every request may be repeated.
            Err(_) if reused => exchange(self.connect().await?, request).await?,
            other => other?,
        };
        self.connection = Some(connection);
        self.heads = answer.heads;
        answer.judge()
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let to = self.endpoint.route("/").ok_or(Fault::Transport)?;
        let stream = self.connector.connect(to).await.map_err(|error| {
            tracing::debug!(%error, "cannot connect");
            let untrusted = error.downcast_ref::<Untrusted>();
            untrusted.map_or(Fault::Transport, |Untrusted(why)| Fault::Untrusted(*why))
        })?;
        let (sender, driver) =
            http1::handshake(stream).await.map_err(|error| unreadable(&error))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "the connection ended");
            }
        });
        Ok(Connection { sender, driver: driver.abort_handle() })
    }

    fn request(
        &self,
        ask: Ask,
        attempt: u32,
        request_id: u64,
    ) -> Result<Request<Full<Bytes>>, Fault> {
        let (method, path, mut body, form) = match ask {
            Ask::Post(path, body) => (Method::POST, path.to_owned(), body, MEDIA_TYPE),
            Ask::Tell(path, body) => (Method::POST, path, body, "application/json"),
            Ask::Get(path) => (Method::GET, path, Vec::new(), MEDIA_TYPE),
        };
        let uri = self.endpoint.route(&path).ok_or(Fault::Transport)?;
        let origin = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut builder = Request::builder()
            .method(method)
            .uri(origin)
            .header(header::HOST, self.endpoint.host())
            .header(header::AUTHORIZATION, self.bearer.clone())
            .header(header::CONTENT_TYPE, form)
            .header(header::ACCEPT, form)
            .header(header::ACCEPT_ENCODING, ZSTD)
            .header(header::USER_AGENT, crate::sync::APP)
            .header("x-sync-attempt", attempt)
            .header("x-request-id", format!("{request_id:016x}"));
        if let Some(word) = &self.word {
            builder = builder.header("counterfoil-till", word);
        }
        if self.compress
            && body.len() >= COMPRESS_FROM
            && let Ok(smaller) = zstd::encode_all(body.as_slice(), 3)
        {
            builder = builder.header(header::CONTENT_ENCODING, ZSTD);
            body = smaller;
        }
        builder.body(Full::from(body)).map_err(|error| unreadable(&error))
    }
}

/// A request before it has its headers.
enum Ask {
    Post(&'static str, Vec<u8>),
    /// In JSON.
    Tell(String, Vec<u8>),
    Get(String),
}

struct RawAnswer {
    status: StatusCode,
    retry_after: Option<Millis>,
    heads: Option<Heads>,
    body: Bytes,
}

async fn exchange(
    mut connection: Connection,
    request: Request<Full<Bytes>>,
) -> Result<(Connection, RawAnswer), Fault> {
    connection.sender.ready().await.map_err(|error| unreadable(&error))?;
    let response: http::Response<Incoming> =
        connection.sender.send_request(request).await.map_err(|error| unreadable(&error))?;
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let heads = heads(response.headers());
    let compressed = response.headers().get(header::CONTENT_ENCODING).is_some();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let body = body.collect().await.map_err(|error| {
        tracing::debug!(%error, "the answer was cut off, or too long");
        Fault::Transport
    })?;
    let body = body.to_bytes();
    let body = if compressed { unpack(&body)? } else { body };
    Ok((connection, RawAnswer { status, retry_after, heads, body }))
}

/// Decompresses an answer; no other encoding than zstd was asked for.
fn unpack(wire: &[u8]) -> Result<Bytes, Fault> {
    let cannot = |error: std::io::Error| unreadable(&error);
    let mut decoder = zstd::stream::read::Decoder::with_buffer(wire).map_err(cannot)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(cannot)?;
    let mut plain = Vec::with_capacity(wire.len().saturating_mul(4).min(ANSWER_BYTES_MAX));
    decoder.take(ANSWER_BYTES_MAX as u64 + 1).read_to_end(&mut plain).map_err(cannot)?;
    if plain.len() > ANSWER_BYTES_MAX {
        return Err(unreadable(&"it is too long"));
    }
    Ok(plain.into())
}

fn heads(headers: &http::HeaderMap) -> Option<Heads> {
    Heads::from_text(headers.get(HEADS_HEADER)?.to_str().ok()?)
}

fn retry_after(headers: &http::HeaderMap) -> Option<Millis> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Millis::from_secs)
}

impl RawAnswer {
    fn judge(self) -> Result<Bytes, Fault> {
        if self.status == StatusCode::OK {
            return Ok(self.body);
        }
        tracing::debug!(status = self.status.as_u16(), "the cloud refused");
        Err(match self.status {
            StatusCode::UNAUTHORIZED => Fault::Denied(denial(&self.body)),
            StatusCode::TOO_MANY_REQUESTS => Fault::RateLimited(self.retry_after),
            StatusCode::PAYLOAD_TOO_LARGE => Fault::TooLarge,
            status if status.is_server_error() => Fault::Server,
            status if status.is_client_error() => Fault::Rejected,
            // A redirect is not from our cloud: a hotel's login page, perhaps.
            _ => Fault::Transport,
        })
    }
}

/// The part of a problem document that a till acts on.
#[derive(Deserialize)]
struct Problem {
    reason: Denial,
}

/// A 401 without a reason we know quarantines nothing: it may come from a proxy.
fn denial(body: &[u8]) -> Denial {
    serde_json::from_slice::<Problem>(body)
        .map_or(Denial::WrongCredential, |problem| problem.reason)
}

fn unreadable(error: &dyn fmt::Display) -> Fault {
    tracing::debug!(%error, "no readable answer");
    Fault::Transport
}
