//! `POST /v1/sales-events`: a till offers journal entries and hears what became of each.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::{Input, Offer, Output};
use counterfoil_protocol::wire::message::{Push, PushAnswer, Verdict};
use http::StatusCode;

use super::body::{Form, Manner};
use super::handshake::moved;
use super::{Node, Reads, Shared, auth, json, wrong_output};
use crate::problem::Problem;

pub(super) async fn answer<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    push(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn push<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = auth::till(node, &head.headers).await?;
    let manner = Manner::of(&head.headers)?;
    let bytes = manner.read(&node.parts.limits, body).await?;
    let push = match manner.form {
        Form::Binary => Push::decode(&bytes),
        Form::Json => json::read(&bytes)?.check(),
    };
    let push = push.map_err(|error| Problem::message(error, bytes.is_empty()))?;
    drop(bytes);
    let weight = push.items.iter().map(|item| item.payload.len()).sum();
    // The costly part, here and not in the committer: hashing and parsing need no database.
    let offer = Offer::read(push, caller.site.shop);
    log_single(&offer);
    match node.ask(Input::Push { caller, offer }, weight).await? {
        Output::Pushed(answer) => {
            log_answer(&answer);
            Ok(manner.answer(StatusCode::OK, &answer, PushAnswer::encode))
        }
        Output::Denied(denial) => {
            node.seen.forget(caller.terminal);
            Err(Problem::denied(denial))
        }
        Output::Moved => {
            node.seen.forget(caller.terminal);
            Err(moved())
        }
        Output::Enrolled
        | Output::OtherSite(_)
        | Output::Revoked
        | Output::NoSuchTerminal
        | Output::Defined
        | Output::Welcome(_) => Err(wrong_output()),
    }
}

/// Names the event of a push that has only one; in a batch it would cost more than the push.
fn log_single(offer: &Offer) {
    if offer.len() == 1
        && let Some((seq, Some(key), _)) = offer.entries().next()
    {
        tracing::debug!(eventId = %key, seq, "offered");
    }
}

fn log_answer(answer: &PushAnswer) {
    tracing::debug!(
        head = answer.head,
        results = answer.results.len(),
        stopped = ?answer.stopped,
        "taken in"
    );
    for result in &answer.results {
        match result.verdict {
            Verdict::Created(_) | Verdict::Existing(_) => {}
            Verdict::Parked(code) => {
                tracing::debug!(seq = result.seq, errorCode = code.as_str(), "parked");
            }
            Verdict::Refused(code) => {
                tracing::debug!(seq = result.seq, errorCode = code.as_str(), "refused");
            }
        }
    }
}
