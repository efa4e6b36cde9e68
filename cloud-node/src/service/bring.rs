//! Brings events of a user to the committer, and names what became of them for the contracts.

use counterfoil_protocol::cloud::direct::{Brought, Direct, Outcome, head};
use counterfoil_protocol::cloud::users::{Scope, UserCaller};
use counterfoil_protocol::cloud::{Input, Output, Site};
use counterfoil_protocol::identity::UserId;
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::wire::message::ServerId;

use super::sale::Bad;
use super::users::Known;
use super::{Reads, Shared, rollup, wrong_output};
use crate::problem::Problem;

/// How often the head of a history is read anew, because others of the same user were faster.
const TRIES: usize = 32;

/// A sale that is in the books.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) name: ServerId,
    pub(super) created: bool,
}

/// Posts events, and returns what became of each, in their order.
pub(super) async fn bring<Q: Reads>(
    node: &Shared<Q>,
    known: &Known,
    events: Vec<Direct>,
) -> Result<Vec<Result<Taken, Bad>>, Problem> {
    let UserCaller { user, site, .. } = known.caller;
    let brought = |head, events| Input::Bring(Brought::new(known.caller, head, events));
    post(node, site, user, events, brought).await
}

/// Posts events of whoever `wrap` names, and returns what became of each, in their order.
pub(super) async fn post<Q: Reads>(
    node: &Shared<Q>,
    site: Site,
    user: UserId,
    events: Vec<Direct>,
    wrap: impl Fn(u64, Vec<Direct>) -> Input,
) -> Result<Vec<Result<Taken, Bad>>, Problem> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let weight = events.iter().map(Direct::weight).sum();
    for _ in 0..TRIES {
        let head = head(&node.parts.reads, site.shop, user).await;
        let head = head.map_err(|error| {
            tracing::error!(%error, "a committed row cannot be read");
            Problem::storage_failed()
        })?;
        let output = node.ask(wrap(head, events.clone()), weight).await?;
        if let Output::HeadMoved = output {
            continue;
        }
        if let Output::Denied(denial) = output {
            return Err(denied(denial));
        }
        if let Output::Forbidden(scope) = output {
            return Err(forbidden(scope));
        }
        if let Output::Moved = output {
            let detail = "the user was moved while it asked: send the same again";
            return Err(Problem::unavailable(detail));
        }
        let Output::Brought(outcomes) = output else { return Err(wrong_output()) };
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Created(_))) {
            rollup::soon(node, site);
        }
        return Ok(outcomes.into_iter().map(taken).collect());
    }
    Err(Problem::unavailable("too many requests of this user at once: send the same again"))
}

fn taken(outcome: Outcome) -> Result<Taken, Bad> {
    let invalid = |what: &str| Bad::new(what);
    match outcome {
        Outcome::Created(name) => Ok(Taken { name, created: true }),
        Outcome::Existing(name) => Ok(Taken { name, created: false }),
        Outcome::ProductUnknown(product) => Err(Bad {
            code: ErrorCode::ProductUnknown,
            what: format!("Product {product} not found"),
        }),
        Outcome::NameTaken => Err(invalid(
            "another sale has this id, and counts; both are kept for a person to decide",
        )),
        Outcome::CommandTaken => Err(invalid("this command_id has brought another entity before")),
        Outcome::OtherBranch => {
            Err(invalid("it waits at the branch that brought it first, which alone can post it"))
        }
        Outcome::Rejected => Err(invalid("it was rejected by the head office")),
    }
}

/// Says that a user is not listened to.
pub(super) fn denied(denial: Denial) -> Problem {
    let detail = match denial {
        Denial::UnknownTerminal => "there is no such user: ask an operator for a token",
        Denial::Revoked => "this user was revoked: ask an operator for a new token",
        Denial::Expired => "the token has expired: ask an operator for a new one",
        Denial::WrongCredential => "the token is not valid for this user",
    };
    Problem::new(ErrorCode::Unauthorized, detail)
}

/// Says that a user may not do this.
pub(super) fn forbidden(scope: Scope) -> Problem {
    let detail = format!("this user lacks the permission {}: ask an operator", scope.as_str());
    Problem::new(ErrorCode::Unauthorized, detail).with_status(403)
}
