//! The cloud's side of an event, asked for with the till's own credential.
//!
//! Each question has a connection of its own, so that no loop waits for it, and is asked once: a
//! story does not wait for a cloud that is not there.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use counterfoil_protocol::identity::{LocalEventId, PosId};
use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::session::Fault;
use counterfoil_protocol::wire::explain::CloudStory;
use http::{HeaderValue, Method, StatusCode};
use serde::Deserialize;

use crate::passage::{Passage, Passed};
use crate::transport::{TokenError, segment};

/// How long the cloud may take: somebody waits for the story.
pub const LIMIT: Duration = Duration::from_secs(3);

/// Asks the cloud about events of this till.
#[derive(Clone)]
pub struct Asker {
    passage: Passage,
    bearer: HeaderValue,
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token stays out of logs.
        f.debug_struct("Asker").field("passage", &self.passage).finish_non_exhaustive()
    }
}

/// Why nothing is known of the cloud's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// No answer, or a refusal.
    Fault(Fault),
    /// The cloud answers in a way that this program does not know: one of them is older.
    NotUnderstood,
}

/// What a 404 says, if it is about the event and not about the address.
#[derive(Deserialize)]
struct NothingOf {
    #[serde(rename = "event")]
    _event: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Refused {
    reason: Denial,
}

impl Asker {
    /// Makes an asker with the till's token.
    ///
    /// # Errors
    /// [`TokenError`] for a token that cannot be sent.
    pub fn new(passage: Passage, token: &str) -> Result<Self, TokenError> {
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| TokenError)?;
        bearer.set_sensitive(true);
        Ok(Self { passage, bearer })
    }

    /// Asks what the cloud holds of an event; none if it has nothing of this name.
    ///
    /// # Errors
    /// [`Unheard`], within [`LIMIT`].
    pub async fn ask(&self, pos: PosId, id: LocalEventId) -> Result<Option<CloudStory>, Unheard> {
        let path = format!("/v1/explain/{}/{}", segment(pos.as_str()), segment(id.as_str()));
        let bearer = self.bearer.clone();
        let asking = self.passage.ask(Method::GET, &path, bearer, None, Bytes::new());
        let answer = tokio::time::timeout(LIMIT, asking).await;
        let answer = answer.unwrap_or(Err(Fault::Transport)).map_err(Unheard::Fault)?;
        let story = judge(answer)?;
        // An answer to another question is none.
        let answers =
            |story: &CloudStory| story.event.pos_id == pos && story.event.local_event_id == id;
        if story.as_ref().is_some_and(|story| !answers(story)) {
            return Err(Unheard::NotUnderstood);
        }
        Ok(story)
    }
}

fn judge((status, _, body): Passed) -> Result<Option<CloudStory>, Unheard> {
    let fault = match status {
        StatusCode::OK => {
            return CloudStory::from_json(&body).map(Some).map_err(|_| Unheard::NotUnderstood);
        }
        StatusCode::NOT_FOUND => {
            let nothing = serde_json::from_slice::<NothingOf>(&body).is_ok();
            return if nothing { Ok(None) } else { Err(Unheard::NotUnderstood) };
        }
        StatusCode::UNAUTHORIZED => {
            let refused = serde_json::from_slice::<Refused>(&body);
            Fault::Denied(refused.map_or(Denial::WrongCredential, |refused| refused.reason))
        }
        StatusCode::TOO_MANY_REQUESTS => Fault::RateLimited(None),
        status if status.is_server_error() => Fault::Server,
        status if status.is_client_error() => Fault::Rejected,
        // A redirect is not from our cloud.
        _ => Fault::Transport,
    };
    Err(Unheard::Fault(fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_means_one_thing() {
        let not = Err(Unheard::NotUnderstood);
        let fault = |fault| Err(Unheard::Fault(fault));
        for (status, body, expected) in [
            (200, "{}", not.clone()),
            (200, "", not.clone()),
            (404, r#"{"code":"POS_SYNC_NOT_FOUND","event":{"posId":"1"}}"#, Ok(None)),
            // A cloud without this route, or a proxy.
            (404, r#"{"code":"POS_SYNC_NOT_FOUND"}"#, not.clone()),
            (404, "<html>", not),
            (401, r#"{"reason":"revoked"}"#, fault(Fault::Denied(Denial::Revoked))),
            (401, "", fault(Fault::Denied(Denial::WrongCredential))),
            (429, "", fault(Fault::RateLimited(None))),
            (503, "", fault(Fault::Server)),
            (422, "", fault(Fault::Rejected)),
            (302, "", fault(Fault::Transport)),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(judge((status, None, Bytes::from(body))), expected, "{status} {body}");
        }
    }
}
