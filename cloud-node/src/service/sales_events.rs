//! `POST /v1/sales-events`: a till offers journal entries and hears what became of each.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::{Caller, Input, Offer, Output};
use counterfoil_protocol::identity::EventKey;
use counterfoil_protocol::wire::message::{Push, PushAnswer, Verdict};
use http::StatusCode;
use tracing::field;

use super::body::{Form, Manner};
use super::{Reads, Shared, auth, json, rollup, wrong_output};
use crate::problem::Problem;

pub(super) async fn answer<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    push(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn push<Q: Reads>(node: &Shared<Q>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = auth::till_to_be_judged(node, &head.headers).await?;
    let manner = Manner::of(&head.headers)?;
    let bytes = manner.read(&node.parts.limits, body).await?;
    let push = match manner.form {
        Form::Binary => Push::decode(&bytes),
        Form::Json => json::read(&bytes)?.check(),
    };
    let push = push.map_err(|error| Problem::message(error, bytes.is_empty()))?;
    drop(bytes);
    let answer = take_in(node, caller, push).await?;
    Ok(manner.answer(StatusCode::OK, &answer, PushAnswer::encode))
}

/// Takes a push in, and says what became of each of its entries.
pub(super) async fn take_in<Q: Reads>(
    node: &Shared<Q>,
    caller: Caller,
    push: Push,
) -> Result<PushAnswer, Problem> {
    let weight = push.items.iter().map(|item| item.payload.len()).sum();
    // The costly part, here and not in the committer: hashing and parsing need no database.
    let offer = Offer::read(push, caller.site.shop);
    log_single(&offer);
    let names: Vec<_> = offer.entries().map(|(seq, key, _)| (seq, key)).collect();
    let output = node.ask_for(&caller, Input::Push { caller, offer }, weight).await?;
    let Output::Pushed(answer) = output else { return Err(wrong_output()) };
    log_answer(&answer, &names);
    let done = |verdict| {
        matches!(verdict, Verdict::Created(_) | Verdict::Existing(_) | Verdict::Edited(_))
    };
    let done = answer.results.iter().filter(|result| done(result.verdict)).count();
    node.presence.settled(caller.terminal, done as u64);
    if answer.results.iter().any(|result| matches!(result.verdict, Verdict::Created(_))) {
        rollup::note(node, caller.site);
    }
    Ok(answer)
}

/// Names the event of a push that has only one; in a batch it would cost more than the push.
fn log_single(offer: &Offer) {
    if offer.len() == 1
        && let Some((seq, Some(key), _)) = offer.entries().next()
    {
        tracing::debug!(eventId = %key, seq, "offered");
    }
}

fn log_answer(answer: &PushAnswer, names: &[(u64, Option<EventKey>)]) {
    let name = |seq| names[names.binary_search_by_key(&seq, |(of, _)| *of).ok()?].1;
    tracing::debug!(
        head = answer.head,
        results = answer.results.len(),
        stopped = ?answer.stopped,
        "taken in"
    );
    for result in &answer.results {
        match result.verdict {
            Verdict::Created(_) | Verdict::Existing(_) => {}
            Verdict::Edited(edited) => {
                let (version, outcome) = (edited.version, edited.outcome);
                tracing::debug!(seq = result.seq, version, ?outcome, "edit decided");
            }
            Verdict::Parked(code) => {
                let event = name(result.seq).map(field::display);
                tracing::info!(eventId = event, errorCode = code.as_str(), "parked");
            }
            Verdict::Refused(code) => {
                let event = name(result.seq).map(field::display);
                tracing::info!(eventId = event, errorCode = code.as_str(), "refused");
            }
        }
    }
}
