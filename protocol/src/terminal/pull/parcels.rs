//! What a parcel needs to know of a till's rows.

use alloc::vec::Vec;

use super::{Limits, entry_in, fresh};
use crate::identity::Epoch;
use crate::machine::Query;
use crate::terminal::row::Meta;
use crate::terminal::{Key, Terminal};
use crate::wire::message::{Point, Push};

/// Returns the push after the first that [`batch`](super::batch) gives, or after another of these:
/// what was never answered, from `next` on, as `meta` has it.
///
/// Nobody waits for the answer to one before the next is made, as where a file is carried: a push
/// that the cloud stops at ends what it takes of those that follow. Entries never change, so each
/// may be read by itself.
///
/// # Errors
/// The store's.
pub async fn fresh_push<Q: Query<Terminal>>(
    store: &Q,
    meta: &Meta,
    next: u64,
    limits: Limits,
) -> Result<Option<Push>, Q::Error> {
    assert!(next > meta.acked, "what was answered is not offered again");
    let (mut items, mut bytes) = (Vec::new(), 0);
    fresh(store, meta, next, limits, &mut items, &mut bytes).await?;
    assert!(bytes <= limits.bytes || items.len() == 1, "only an item alone may be larger");
    assert!(items.len() <= limits.items, "a push has so many items and no more");
    assert!(items.first().is_none_or(|first| first.seq >= next), "each push gets on");
    let push = Push { terminal_id: meta.identity.terminal, epoch: meta.epoch, items };
    Ok((!push.items.is_empty()).then_some(push))
}

/// Returns whether a place is on the till's own chain: whether it has this very entry there.
///
/// # Errors
/// The store's.
pub async fn has<Q: Query<Terminal>>(
    store: &Q,
    epoch: Epoch,
    Point { seq, hash }: Point,
) -> Result<bool, Q::Error> {
    assert!(seq > 0, "a journal counts from 1");
    let key = Key::Entry(epoch, seq);
    let own = store.look(&key, |row| entry_in(row).map(|entry| entry.chain)).await?;
    Ok(own == Some(hash))
}
