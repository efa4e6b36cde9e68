//! What a parcel needs to know of a till's rows.

use alloc::vec::Vec;

use super::{Batch, Limits, batch, entry_in, fresh};
use crate::identity::Epoch;
use crate::machine::Query;
use crate::terminal::row::Meta;
use crate::terminal::{Key, Terminal};
use crate::time::Millis;
use crate::wire::message::{Point, Push};

/// Returns all there is to push now, as pushes in their order: `most` of them, and none after they
/// have `bytes` of payload.
///
/// Nobody waits for the answer to one before the next is made, as where a file is carried: a push
/// that the cloud stops at ends what it takes of those that follow.
///
/// # Errors
/// The store's.
pub async fn batches<Q: Query<Terminal>>(
    store: &Q,
    meta: &Meta,
    now: Millis,
    limits: Limits,
    (most, bytes): (usize, usize),
) -> Result<Vec<Push>, Q::Error> {
    assert!(most > 0 && bytes > 0, "something is asked for");
    let of = |push: &Push| push.items.iter().map(|item| item.payload.len()).sum::<usize>();
    let (mut pushes, mut payload) = (Vec::new(), 0);
    let mut next = match batch(store, meta, now, limits).await? {
        Batch::Push(push) => {
            // What waits for another try comes first, and may be all there is room for.
            let last = push.items.last().map_or(0, |item| item.seq);
            assert!(last > 0, "a push has items");
            payload += of(&push);
            pushes.push(push);
            last.max(meta.acked) + 1
        }
        Batch::Wait(_) | Batch::Empty => return Ok(pushes),
    };
    while pushes.len() < most && payload < bytes && next <= meta.head {
        let (mut items, mut more) = (Vec::new(), 0);
        fresh(store, meta, next, limits, &mut items, &mut more).await?;
        let Some(last) = items.last() else { break };
        assert!(last.seq >= next, "each push gets on");
        next = last.seq + 1;
        assert!(more <= limits.bytes || items.len() == 1, "only an item alone may be larger");
        payload += more;
        pushes.push(Push { terminal_id: meta.identity.terminal, epoch: meta.epoch, items });
    }
    assert!(pushes.len() <= most, "so many were asked for and no more");
    assert!(next > meta.acked, "what was answered is not offered again");
    Ok(pushes)
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
