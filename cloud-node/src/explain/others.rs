//! Events, bytes and histories that have to do with an event, each found by its key.

use counterfoil_protocol::cloud::row::{Fate, Kept, Ledger};
use counterfoil_protocol::cloud::{Cloud, Key, Record};
use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, EventKey};
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::wire::explain::{CloudStory, LISTED_MAX, ToldConflict, ToldFork};

use super::{other, total};

/// Tells of what it takes back, whose place it takes, and what has taken its own.
pub(super) async fn relate<Q: Query<Cloud>>(
    reads: &Q,
    key: EventKey,
    ledger: &Ledger,
    event: Option<&Event>,
    story: &mut CloudStory,
) -> Result<(), Q::Error> {
    if let Fate::Withdrawn(by) = ledger.fate {
        story.withdrawn_by = Some(other(reads, EventKey { local_id: by, ..key }).await?);
    }
    let Some(event) = event else { return Ok(()) };
    for corrected in event.corrected().iter().take(LISTED_MAX) {
        story.corrects.push(other(reads, EventKey { local_id: corrected.local_id, ..key }).await?);
    }
    if let Some(original) = event.original() {
        story.original = Some(other(reads, original).await?);
    }
    Ok(())
}

/// Returns the first of the other events that came under the name.
pub(super) async fn conflicts<Q: Query<Cloud>>(
    reads: &Q,
    key: EventKey,
) -> Result<Vec<ToldConflict>, Q::Error> {
    let end = |byte| Key::Conflict(key, Hash([byte; 32]));
    let rows = reads.scan(&end(0), &end(0xff), LISTED_MAX).await?;
    let told = rows.into_iter().filter_map(|row| match row {
        (Key::Conflict(_, payload), Record::Conflict(kept)) => Some(told_conflict(payload, &kept)),
        _ => None,
    });
    Ok(told.collect())
}

fn told_conflict(payload_hash: Hash, kept: &Kept) -> ToldConflict {
    let event = Event::from_canonical(&kept.payload).ok();
    ToldConflict {
        payload_hash,
        epoch: kept.epoch,
        seq: kept.seq,
        at_ms: kept.at,
        kind: event.as_ref().map(|event| event.kind().to_owned()),
        total_minor: event.as_ref().and_then(total),
    }
}

/// Returns where the history that brought the event first parted.
pub(super) async fn forks<Q: Query<Cloud>>(
    reads: &Q,
    key: EventKey,
    ledger: &Ledger,
) -> Result<Vec<ToldFork>, Q::Error> {
    let Ledger { epoch, seq, .. } = *ledger;
    let end = |byte| Key::Fork(key.terminal, epoch, Hash([byte; 32]));
    let rows = reads.scan(&end(0), &end(0xff), LISTED_MAX).await?;
    let told = rows.into_iter().filter_map(|row| match row {
        (Key::Fork(_, epoch, _), Record::Fork(fork)) => {
            let (common, successor): (u64, Epoch) = (fork.common, fork.successor);
            Some(ToldFork { epoch, common, successor, at_ms: fork.at, behind: seq > common })
        }
        _ => None,
    });
    Ok(told.collect())
}
