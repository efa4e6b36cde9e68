//! Sales that went wrong: corrected, voided, set aside.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use counterfoil_protocol::identity::{LocalEventId, PosId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use http::StatusCode;
use serde::Deserialize;

use super::body::{EventBody, RecordedBody, TradeBody};
use super::queue::Named;
use super::{Api, Posted, Problem, Recorded};
use crate::mend::{Mended, REASON_BYTES_MAX, ReplacedItem, Unmended, is_void};
use crate::till::{TillError, TillStore};

/// The most entries of a list.
const LIST_MAX: usize = 200;

/// Why a sale is voided.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VoidBody {
    /// A person's words; they stand in the reference of the refund.
    reason: String,
    /// The time to print; that of the first recording, or now.
    #[serde(default)]
    at_ms: Option<Millis>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    limit: Option<usize>,
}

type Name = Result<Path<(PosId, LocalEventId)>, PathRejection>;

pub(super) async fn correct<S: TillStore>(
    State(api): State<Api<S>>,
    name: Name,
    body: Posted<TradeBody>,
) -> Recorded {
    let Path((pos, original)) = name?;
    let Json(body) = body?;
    if body.original.is_some() {
        return Err(Problem::invalid("a correction names what it corrects in its address"));
    }
    if body.pos_id != pos {
        return Err(Problem::invalid("a correction is made on the register of the sale"));
    }
    let body = EventBody::Sale(body);
    let at = api.till.stamp(body.at(), pos, body.name().1).await?;
    let draft = body.draft(at).map_err(|error| Problem::invalid(&error.to_string()))?;
    answer(api.till.correct(original, draft).await)
}

pub(super) async fn void<S: TillStore>(
    State(api): State<Api<S>>,
    name: Name,
    body: Posted<VoidBody>,
) -> Recorded {
    let Path((pos, sale)) = name?;
    let Json(VoidBody { reason, at_ms }) = body?;
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        let detail = format!("say why, in 1 to {REASON_BYTES_MAX} bytes");
        return Err(Problem::invalid(&detail));
    }
    answer(api.till.void(pos, sale, &reason, at_ms).await)
}

pub(super) async fn park<S: TillStore>(
    State(api): State<Api<S>>,
    body: Posted<Named>,
) -> Result<StatusCode, Problem> {
    let Json(Named { pos_id, local_event_id }) = body?;
    if api.till.set_aside(pos_id, local_event_id).await? {
        return Ok(StatusCode::ACCEPTED);
    }
    Err(Problem::nothing(
        "no event of this name failed and waits for another try: what was never offered goes \
         first, as a journal has no gaps",
    ))
}

pub(super) async fn give_way<S: TillStore>(
    State(api): State<Api<S>>,
    body: Posted<Named>,
) -> Result<StatusCode, Problem> {
    let Json(Named { pos_id, local_event_id }) = body?;
    if api.till.give_way(pos_id, local_event_id).await? {
        return Ok(StatusCode::ACCEPTED);
    }
    Err(Problem::nothing("of no event of this name the cloud says that another counts"))
}

pub(super) async fn replaced<S: TillStore>(
    State(api): State<Api<S>>,
    limit: Result<Query<Limit>, QueryRejection>,
) -> Result<Json<Vec<ReplacedItem>>, Problem> {
    let Query(Limit { limit }) = limit?;
    Ok(Json(api.till.replaced(limit.unwrap_or(LIST_MAX).clamp(1, LIST_MAX)).await?))
}

/// Returns why nothing is taken back of a sale, if that is so: it was voided here; or this is to be
/// its void, and there is no such sale of this till. A refund that names a sale which is not known
/// here is no such case: a till that was restored has forgotten some, and the cloud knows them.
pub(super) async fn refusal<S: TillStore>(
    api: &Api<S>,
    body: &TradeBody,
) -> Result<Option<(ErrorCode, &'static str)>, TillError> {
    let Some(of) = body.original else { return Ok(None) };
    let (pos, sale) = (of.pos_id, of.local_event_id);
    let own = api.till.meta().await?.identity.terminal == of.terminal_id;
    // The same again is the same again, whatever happened since.
    if !own || api.till.known(body.pos_id, body.local_event_id).await?.is_some() {
        return Ok(None);
    }
    if api.till.is_voided(pos, sale).await? {
        let why = "the sale was voided: nothing is left to take back";
        return Ok(Some((ErrorCode::EventInvalid, why)));
    }
    if is_void(&body.reference) && api.till.known(pos, sale).await?.is_none() {
        let why = "there is no sale of this name here: nothing is there to void";
        return Ok(Some((ErrorCode::NotFound, why)));
    }
    Ok(None)
}

fn answer(done: Result<Mended, Unmended>) -> Recorded {
    match done {
        Ok((id, place, receipt, again)) => {
            let status = if again { StatusCode::OK } else { StatusCode::CREATED };
            Ok((status, Json(RecordedBody::new(id, place, receipt, again))))
        }
        Err(Unmended::Till(error)) => Err(error.into()),
        Err(error @ Unmended::Unknown) => Err(Problem::nothing(&error.to_string())),
        Err(Unmended::Not(why)) => Err(Problem::not_as_it_stands(why)),
        Err(Unmended::Taken(id)) => Err(Problem::taken(id)),
        Err(Unmended::Invalid(error)) => Err(Problem::invalid(&error.to_string())),
    }
}
