//! `POST /v1/admin/parcels`: takes in what a till had carried here as a file (B.19).
//!
//! The parcel's seal shows whose it is, as the credential does on a link; from there on it goes
//! the way of its messages, and each entry counts once. Answers with a parcel for the way back,
//! or with a summary for people if JSON is wanted.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use counterfoil_protocol::cloud::row::{Record, Terminal};
use counterfoil_protocol::cloud::{Caller, Input, Key, Output};
use counterfoil_protocol::identity::TerminalId;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::message::{Hello, PushAnswer, Stopped, Verdict, Welcome};
use counterfoil_protocol::wire::parcel::{
    Answers, Offered, Offers, PARCEL_BYTES_MAX, PARCEL_TYPE, ParcelError, terminal_of,
};
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use super::body::{Manner, json, media_type};
use super::handshake::HELLO_WEIGHT;
use super::{Limits, Node, Reads, Shared, auth, sales_events, unreadable, wrong_output};
use crate::problem::Problem;

/// How much longer a parcel may take to arrive than a message: 16 MiB come over 0.3 Mbit/s.
const SLOWNESS: u32 = 16;

/// What became of a parcel, for people.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    terminal_id: TerminalId,
    offered: usize,
    created: usize,
    existing: usize,
    /// Edits of the catalog that are decided, now or before.
    edited: usize,
    parked: usize,
    refused: usize,
    /// Why the rest was not looked at: the till's next parcel goes on from where this one ends.
    stopped: Option<Stopped>,
}

pub(super) async fn answer<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    take(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn take<Q: Reads>(node: &Shared<Q>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    auth::operator(node, &head.headers)?;
    let kind = media_type(&head.headers);
    let plain = !head.headers.contains_key(CONTENT_ENCODING);
    if !plain || kind.is_none_or(|kind| !kind.eq_ignore_ascii_case(PARCEL_TYPE)) {
        let detail = format!("this route takes parcels as they are: send {PARCEL_TYPE}");
        return Err(Problem::new(ErrorCode::VersionUnsupported, detail));
    }
    let own = node.parts.limits;
    let limits = Limits { wire_bytes: PARCEL_BYTES_MAX, deadline: SLOWNESS * own.deadline, ..own };
    let bytes = Manner::plain_json().read(&limits, body).await?;
    let (caller, Offers { number, hello, pushes }) = opened(node, &bytes).await?;
    drop(bytes);
    tracing::Span::current().record("terminalId", caller.terminal.as_str());
    tracing::Span::current().record("branchId", caller.site.branch.as_str());
    let offered = pushes.iter().map(|push| push.items.len()).sum();
    let mut answers = Answers {
        number,
        terminal: caller.terminal,
        welcome: greeted(node, caller, hello).await?,
        answers: Vec::with_capacity(pushes.len()),
    };
    for push in pushes {
        let offered = Offered::of(&push);
        let answer = sales_events::take_in(node, caller, push).await.map_err(to_operator)?;
        let stopped = answer.stopped.is_some();
        answers.answers.push((offered, answer));
        if stopped {
            break; // at what follows it would stop too
        }
    }
    let told = Told::of(&answers, offered);
    let Told { created, existing, parked, refused, .. } = told;
    tracing::info!(offered, created, existing, parked, refused, "a parcel was taken in");
    if wants_json(&head.headers) {
        return Ok(json(Manner::plain_json(), StatusCode::OK, &told));
    }
    let mut response = Response::new(answers.seal(caller.secret).into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PARCEL_TYPE));
    Ok(response)
}

/// Finds out whose parcel it is, and reads what is in it.
async fn opened<Q: Reads>(node: &Node<Q>, bytes: &Bytes) -> Result<(Caller, Offers), Problem> {
    let terminal = terminal_of(bytes).map_err(not_taken)?;
    let row = node.parts.reads.get(&Key::Terminal(terminal)).await;
    let Some(Record::Terminal(known)) = row.map_err(|error| unreadable(&error))? else {
        let detail = "the parcel is of a terminal that is not enrolled: enrol it, and have the \
                      parcel written again";
        return Err(Problem::new(ErrorCode::NotFound, detail));
    };
    let Terminal { site, secret, .. } = known;
    let offers = Offers::open(bytes, secret).map_err(not_taken)?;
    let admitted = known.admits(node.parts.clock.now(), secret);
    admitted.map_err(|denial| to_operator(Problem::denied(denial)))?;
    Ok((Caller { terminal, secret, site }, offers))
}

async fn greeted<Q: Reads>(
    node: &Node<Q>,
    caller: Caller,
    hello: Hello,
) -> Result<Welcome, Problem> {
    let (shop, input) = (Some(caller.site.shop), Input::Hello { caller, hello });
    let asked = node.ask_logged("parcel.take", shop, caller.terminal, input, HELLO_WEIGHT);
    let output = asked.await?;
    if let Output::Denied(denial) = output {
        node.seen.forget(caller.terminal);
        return Err(to_operator(Problem::denied(denial)));
    }
    if matches!(output, Output::Moved) {
        return Err(Problem::unavailable("the terminal was moved meanwhile: send it again"));
    }
    let Output::Welcome(welcome) = output else { return Err(wrong_output()) };
    Ok(welcome)
}

/// What is said against a terminal is nothing against the operator who asks.
fn to_operator(problem: Problem) -> Problem {
    if problem.code() != ErrorCode::Unauthorized {
        return problem;
    }
    let detail = "the terminal is not listened to: see /v1/admin/terminals, and keep the parcel";
    Problem::new(ErrorCode::EventInvalid, detail)
}

fn not_taken(error: ParcelError) -> Problem {
    let code = match error {
        ParcelError::Size => ErrorCode::TooLarge,
        ParcelError::Version(_) => ErrorCode::VersionUnsupported,
        ParcelError::Message(error) => return Problem::message(error, false),
        ParcelError::Form | ParcelError::Direction | ParcelError::Seal | ParcelError::Foreign => {
            ErrorCode::EventInvalid
        }
    };
    Problem::new(code, format!("{error}; nothing was changed"))
}

/// Returns whether JSON is asked for, and not the parcel: a list may name both.
fn wants_json(headers: &HeaderMap) -> bool {
    let names = |name: &str| {
        headers.get_all(ACCEPT).iter().any(|value| {
            let list = value.to_str().unwrap_or_default();
            list.split([',', ';']).any(|kind| kind.trim().eq_ignore_ascii_case(name))
        })
    };
    names("application/json") && !names(PARCEL_TYPE)
}

impl Told {
    fn of(answers: &Answers, offered: usize) -> Self {
        let all = || answers.answers.iter().flat_map(|(_, answer)| &answer.results);
        let count = |is: fn(&Verdict) -> bool| all().filter(|result| is(&result.verdict)).count();
        let stopped = |(_, answer): &(_, PushAnswer)| answer.stopped;
        Self {
            terminal_id: answers.terminal,
            offered,
            created: count(|verdict| matches!(verdict, Verdict::Created(_))),
            edited: count(|verdict| matches!(verdict, Verdict::Edited(_))),
            existing: count(|verdict| matches!(verdict, Verdict::Existing(_))),
            parked: count(|verdict| matches!(verdict, Verdict::Parked(_))),
            refused: count(|verdict| matches!(verdict, Verdict::Refused(_))),
            stopped: answers.answers.last().and_then(stopped),
        }
    }
}
