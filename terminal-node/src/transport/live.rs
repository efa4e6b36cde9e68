//! `GET /v1/live`: an answer that goes on for as long as the cloud has something to tell.

use std::time::Duration;

use counterfoil_protocol::session::Fault;
use counterfoil_protocol::time::Millis;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;

use super::{Ask, Connection, Connector, RawAnswer, Transport, retry_after, unreadable};

/// How long a stream may be silent: several of the cloud's beats.
const SILENCE_MAX: Duration = Duration::from_secs(150);
/// The most bytes of one event.
const EVENT_BYTES_MAX: usize = 4 * 1024;
/// The most bytes of a refusal.
const PROBLEM_BYTES_MAX: usize = 16 * 1024;

/// A stream of events, with the connection that it comes over.
pub(crate) struct LiveStream {
    _connection: Connection,
    body: Incoming,
    text: EventText,
}

/// What the cloud tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LiveEvent {
    /// There may be something to ask for.
    News(Heads),
    /// An operator wants the catalog compared.
    Verify(String),
}

/// Up to where there is something to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Heads {
    /// The version of the shop's catalog.
    pub(crate) catalog: u64,
    /// The last place of the branch's inbox.
    pub(crate) inbox: u64,
}

/// Why there is no stream, and what wait the cloud has asked for.
pub(crate) type Refused = (Fault, Option<Millis>);

impl<C: Connector> Transport<C> {
    /// Asks for a stream, on a connection of its own.
    ///
    /// # Errors
    /// As in the table of this module's parent. An older cloud has no such route:
    /// [`Fault::Rejected`].
    pub(crate) async fn live(&self, attempt: u32, request_id: u64) -> Result<LiveStream, Refused> {
        let failed = |fault| (fault, None);
        let ask = Ask::Get("/v1/live".to_owned());
        let mut request = self.request(ask, attempt, request_id).map_err(failed)?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.remove(header::ACCEPT_ENCODING);
        headers.remove(header::CONTENT_TYPE);
        let mut connection = self.connect().await.map_err(failed)?;
        let sent = connection.sender.send_request(request).await;
        let response = sent.map_err(|error| failed(unreadable(&error)))?;
        let status = response.status();
        if status == StatusCode::OK {
            let body = response.into_body();
            return Ok(LiveStream { _connection: connection, body, text: EventText::default() });
        }
        let retry_after = retry_after(response.headers());
        let body = Limited::new(response.into_body(), PROBLEM_BYTES_MAX).collect().await;
        let body = body.map_err(|_| failed(Fault::Transport))?.to_bytes();
        match (RawAnswer { status, retry_after, heads: None, body }).judge() {
            Err(fault) => Err((fault, retry_after)),
            Ok(_) => Err(failed(Fault::Transport)),
        }
    }
}

impl LiveStream {
    /// Returns the next event; none once the stream has ended, was silent for too long, or says
    /// what no cloud of ours says.
    pub(crate) async fn next(&mut self) -> Option<LiveEvent> {
        loop {
            match self.text.take() {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(TooLong) => return None,
            }
            let frame = tokio::time::timeout(SILENCE_MAX, self.body.frame()).await.ok()??.ok()?;
            if let Ok(bytes) = frame.into_data() {
                self.text.0.extend_from_slice(&bytes);
            }
        }
    }
}

/// Returns what a stream tells that comes in these pieces; `None` if it is given up.
#[cfg(feature = "fuzzing")]
pub(crate) fn told(pieces: &[&[u8]]) -> Option<Vec<LiveEvent>> {
    let (mut text, mut told) = (EventText::default(), Vec::new());
    for piece in pieces {
        text.0.extend_from_slice(piece);
        while let Some(event) = text.take().ok()? {
            told.push(event);
        }
    }
    Some(told)
}

/// What has come and is not read yet.
#[derive(Debug, Default)]
struct EventText(Vec<u8>);

/// More than an event has.
#[derive(Debug, PartialEq, Eq)]
struct TooLong;

impl EventText {
    /// Takes the next event that this program knows; events that it does not know, comments and
    /// what cannot be read are passed over.
    fn take(&mut self) -> Result<Option<LiveEvent>, TooLong> {
        while let Some(end) = self.0.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.0.drain(..end + 2).collect();
            if let Some(event) = std::str::from_utf8(&block).ok().and_then(event) {
                return Ok(Some(event));
            }
        }
        if self.0.len() > EVENT_BYTES_MAX { Err(TooLong) } else { Ok(None) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verify {
    run_id: String,
}

fn event(block: &str) -> Option<LiveEvent> {
    let field = |name: &str| {
        let value = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.strip_prefix(' ').unwrap_or(value))
    };
    let (name, data) = (field("event")?, field("data")?);
    match name {
        "news" => serde_json::from_str(data).ok().map(LiveEvent::News),
        "verify" => {
            let Verify { run_id } = serde_json::from_str(data).ok()?;
            let named = !run_id.is_empty() && run_id.len() <= 64;
            let plain = run_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
            (named && plain).then_some(LiveEvent::Verify(run_id))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_in_any_pieces_and_what_is_unknown_is_passed_over() {
        let text = ":\n\nevent: news\ndata: {\"catalog\":7,\"inbox\":2,\"more\":1}\n\n\
                    event: later\ndata: {}\n\nevent: news\ndata: nonsense\n\n\
                    event:verify\ndata:{\"runId\":\"00ff\"}\n\n\
                    event: verify\ndata: {\"runId\":\"../x\"}\n\nevent: news\n";
        let expected =
            [LiveEvent::News(Heads { catalog: 7, inbox: 2 }), LiveEvent::Verify("00ff".to_owned())];
        for size in 1..text.len() {
            let mut read = EventText::default();
            let mut events = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                read.0.extend_from_slice(piece);
                while let Ok(Some(event)) = read.take() {
                    events.push(event);
                }
            }
            assert_eq!(events, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_given_up() {
        let mut read = EventText::default();
        read.0.extend_from_slice(&[b'x'; EVENT_BYTES_MAX]);
        assert_eq!(read.take(), Ok(None));
        read.0.push(b'x');
        assert_eq!(read.take(), Err(TooLong));
    }
}
