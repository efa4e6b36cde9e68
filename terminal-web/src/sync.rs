//! The driver of the session: what it says becomes a request that the page sends, or a commit.
//!
//! The same loop as a till's daemon has (`terminal-node/src/sync.rs`), with the page in the place
//! of the network and of the timer. The numbers are those of the session's own loop.

use counterfoil_protocol::identity::{LocalEventId, PosId};
use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::session::{Answer, Commit, Fault, Input, Output, Reason};
use counterfoil_protocol::terminal::{self, Backlog, pull};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{
    Hello, MEDIA_TYPE, PUSH_BYTES_MAX, PUSH_ITEMS_MAX, Push, PushAnswer, Welcome,
};
use serde::Deserialize;

use crate::job::Wish;
use crate::till::{Till, strange};
use crate::{TillError, Told, look};

/// What this program calls itself in a greeting.
const APP: &str = "counterfoil-web/0.1.0";

/// What was sent, with the number of the request.
pub(crate) enum Asked {
    Hello(u64, Hello),
    Push(u64, Push),
}

/// What the page has heard.
pub(crate) struct Heard<'a> {
    pub(crate) request: u64,
    /// 0 if there was no answer.
    pub(crate) status: u16,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) body: &'a [u8],
}

type Outcome = Result<(Told, Vec<u8>), TillError>;

/// 1. Something happened that the cloud may hear of.
pub(crate) async fn nudge(till: &mut Till, wish: Wish) -> Outcome {
    let input = wish.nudge().map_or(Input::Wake, Input::Nudge);
    till.session.handle_input(till.at, input);
    settle(till).await
}

/// 1. The cloud has answered, or has not.
pub(crate) async fn answered(till: &mut Till, heard: Heard<'_>) -> Outcome {
    let request = heard.request;
    let answer = match till.asked.take() {
        Some(Asked::Hello(asked, hello)) if asked == request => to_hello(&hello, &heard),
        Some(Asked::Push(asked, push)) if asked == request => to_push(&push, &heard),
        // Of a request that was given up: the one under way is still waited for.
        other => {
            till.asked = other;
            return settle(till).await;
        }
    };
    if let Ok(Answer::Welcome(welcome)) = &answer {
        till.limits = limits_of(welcome);
    }
    till.fault = answer.as_ref().err().copied();
    till.session.handle_input(till.at, Input::Answered(request, answer));
    settle(till).await
}

/// Lets an event that needs attention be tried again.
pub(crate) async fn retry(
    till: &mut Till,
    pos: PosId,
    local_id: LocalEventId,
) -> Result<Told, TillError> {
    let Some(place) = look::place(till, pos, local_id).await? else {
        return Ok(Told::Retried { found: false });
    };
    let retry = terminal::Input::Retry { pos, local_id, place };
    let found = matches!(till.apply(retry).await?, terminal::Output::Settled(_));
    Ok(Told::Retried { found })
}

/// 2. Poll until there is nothing to do: send, or commit, as it says.
async fn settle(till: &mut Till) -> Outcome {
    while let Some(output) = till.session.poll_output() {
        let input = match output {
            Output::Hello(request) => {
                let meta = till.meta().await?;
                let hello = pull::hello(&till.store, &meta, till.now, APP).await?;
                let body = hello.encode();
                till.asked = Some(Asked::Hello(request, hello));
                return Ok((send(till, request, "/v1/handshake"), body));
            }
            Output::Push(request, items) => match batch(till, items).await? {
                pull::Batch::Push(push) => {
                    let body = push.encode();
                    till.asked = Some(Asked::Push(request, push));
                    return Ok((send(till, request, "/v1/sales-events"), body));
                }
                pull::Batch::Wait(span) => Input::NothingToPush(Some(span)),
                pull::Batch::Empty => Input::NothingToPush(None),
            },
            Output::Commit(wish) => Input::Committed(commit(till, wish).await?),
        };
        till.session.handle_input(till.at, input);
    }
    // 3. The page sleeps until then, or until something happens.
    let wake = till.session.wake_at();
    let rests = Told::Rests {
        wake_in_ms: wake.at.since(till.at),
        idle: wake.reason == Reason::Idle,
        fault: till.fault.map(explain),
    };
    Ok((rests, Vec::new()))
}

fn send(till: &Till, request: u64, route: &'static str) -> Told {
    let (attempt, timeout_ms) = (till.session.attempt(), till.config.request_timeout);
    Told::Send { request, route, media: MEDIA_TYPE, attempt, timeout_ms }
}

async fn batch(till: &Till, items: usize) -> Result<pull::Batch, TillError> {
    let meta = till.meta().await?;
    let items = items.min(till.limits.items).max(1);
    let limits = pull::Limits { items, ..till.limits };
    Ok(pull::batch(&till.store, &meta, till.now, limits).await?)
}

async fn commit(till: &mut Till, commit: Commit) -> Result<Backlog, TillError> {
    let input = match commit {
        Commit::Welcomed(welcome) => terminal::Input::Welcomed { welcome, nonce: till.draw()? },
        Commit::Answered(epoch, answer) => terminal::Input::Answered { epoch, answer },
        Commit::Denied(denial) => terminal::Input::Denied(denial),
        Commit::Adopt => {
            let meta = till.meta().await?;
            match pull::adoption(&till.store, &meta).await? {
                Some(adoption) => terminal::Input::Adopt(adoption),
                None => return Ok(meta.backlog()),
            }
        }
    };
    match till.apply(input).await? {
        terminal::Output::Settled(backlog) => Ok(backlog),
        terminal::Output::NotInstalled(other) => Err(TillError::NotInstalled(other)),
        other => Err(strange(&other)),
    }
}

/// An answer to another question is an unreadable answer.
fn to_hello(hello: &Hello, heard: &Heard<'_>) -> Result<Answer, Fault> {
    let welcome = Welcome::decode(judged(heard)?).map_err(|_| Fault::Transport)?;
    let asked = hello.lanes.iter().map(|lane| lane.epoch);
    let fits = hello.versions.contains(&welcome.version)
        && asked.eq(welcome.lanes.iter().map(|lane| lane.epoch));
    if fits { Ok(Answer::Welcome(welcome)) } else { Err(Fault::Transport) }
}

/// Only what was offered can have been taken: otherwise the till would believe in a sale that the
/// cloud has never seen.
fn to_push(push: &Push, heard: &Heard<'_>) -> Result<Answer, Fault> {
    let answer = PushAnswer::decode(judged(heard)?).map_err(|_| Fault::Transport)?;
    let mut offered = push.items.iter();
    let fits = answer.results.iter().all(|result| offered.any(|item| item.seq == result.seq));
    if fits { Ok(Answer::Pushed(push.epoch, answer)) } else { Err(Fault::Transport) }
}

fn judged<'a>(heard: &Heard<'a>) -> Result<&'a [u8], Fault> {
    match heard.status {
        200 => Ok(heard.body),
        401 => Err(Fault::Denied(denial(heard.body))),
        413 => Err(Fault::TooLarge),
        429 => Err(Fault::RateLimited(heard.retry_after_s.map(Millis::from_secs))),
        500..=599 => Err(Fault::Server),
        400..=499 => Err(Fault::Rejected),
        // No answer, or a redirect, which is not from our cloud.
        _ => Err(Fault::Transport),
    }
}

/// The part of a problem document that a till acts on.
#[derive(Deserialize)]
struct Problem {
    reason: Denial,
}

/// A 401 without a reason we know quarantines nothing: it may come from a proxy.
fn denial(body: &[u8]) -> Denial {
    let problem = serde_json::from_slice::<Problem>(body);
    problem.map_or(Denial::WrongCredential, |problem| problem.reason)
}

fn limits_of(welcome: &Welcome) -> pull::Limits {
    let bounded = |told: u32, own: usize| usize::try_from(told).unwrap_or(own).clamp(1, own);
    pull::Limits {
        items: bounded(welcome.push_items_max, PUSH_ITEMS_MAX),
        bytes: bounded(welcome.push_bytes_max, PUSH_BYTES_MAX),
    }
}

/// Returns what a person is told about a fault.
const fn explain(fault: Fault) -> &'static str {
    match fault {
        // What the browser distrusts it calls no answer too.
        Fault::Transport | Fault::Untrusted(_) => "the cloud cannot be reached",
        Fault::Server => "the cloud has trouble of its own",
        Fault::Denied(denial) => denial.explain(),
        Fault::RateLimited(_) => "the cloud asked to slow down",
        Fault::TooLarge => "a push was too large for the way to the cloud",
        Fault::Rejected => "the cloud does not understand this page: update one of them",
    }
}
