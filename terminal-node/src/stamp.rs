//! Events whose caller gives no time: they get that of their first recording, or now.
//!
//! Without that a caller could not ask again after it heard no answer: the time is a part of an
//! event, and another time makes another event. The local API and the command line share this.

use counterfoil_protocol::terminal::Output;
use counterfoil_protocol::time::Millis;

use crate::api::body::EventBody;
use crate::till::{Till, TillError, TillStore};

/// Records an event.
///
/// # Errors
/// The store's. A refusal is an [`Output`].
pub(crate) async fn record<S: TillStore>(
    till: &Till<S>,
    body: EventBody,
) -> Result<Output, TillError> {
    let unstamped = body.at().is_none();
    let output = record_once(till, body.clone()).await?;
    if unstamped && matches!(output, Output::Taken(_)) {
        // The same event may have come in twice at the same time: now its time is known.
        return record_once(till, body).await;
    }
    Ok(output)
}

/// Records many events, and returns what became of each.
///
/// # Errors
/// The store's. Some of them may be recorded then: the caller asks again with the same names.
pub(crate) async fn record_all<S: TillStore>(
    till: &Till<S>,
    bodies: Vec<EventBody>,
) -> Result<Vec<Output>, TillError> {
    let mut outputs = Vec::with_capacity(bodies.len());
    let mut drafts = Vec::with_capacity(bodies.len());
    for body in &bodies {
        let at = stamp(till, body).await?;
        match body.clone().draft(at) {
            Ok(draft) => {
                outputs.push(None);
                drafts.push(draft);
            }
            Err(error) => outputs.push(Some(Output::Invalid(error))),
        }
    }
    let mut recorded = till.record_all(drafts).await?.into_iter();
    let mut answers = Vec::with_capacity(bodies.len());
    for (body, refused) in bodies.into_iter().zip(outputs) {
        let output = refused.or_else(|| recorded.next()).expect("each draft has its output");
        // As above: the first of two may have been recorded meanwhile, or stand in this batch.
        let again = matches!(output, Output::Taken(_)) && body.at().is_none();
        answers.push(if again { record_once(till, body).await? } else { output });
    }
    Ok(answers)
}

async fn record_once<S: TillStore>(till: &Till<S>, body: EventBody) -> Result<Output, TillError> {
    let at = stamp(till, &body).await?;
    match body.draft(at) {
        Ok(draft) => till.record(draft).await,
        Err(error) => Ok(Output::Invalid(error)),
    }
}

async fn stamp<S: TillStore>(till: &Till<S>, body: &EventBody) -> Result<Millis, TillError> {
    let (pos, id) = body.name();
    till.stamp(body.at(), pos, id).await
}
