//! The handshake, from the till's side: draw conclusions from what the cloud durably holds.
//!
//! | the cloud's head of this history | it means | the till |
//! |---|---|---|
//! | on its chain, from `acked` on | in step, or the till is ahead | offers what follows `acked` |
//! | on its chain, before `acked` | the cloud was restored (B.4) | takes `acked` back |
//! | after the till's head | the till was restored or copied (B.3) | opens a new epoch |
//! | not on the till's chain | histories have parted (B.3) | opens a new epoch |
//!
//! The conclusion is drawn from the till's own rows, not from the cloud's word, so an answer that
//! was long on its way can at most cause work that is done twice.

use super::row::{Closed, Meta};
use super::{Key, Output, Parted, Terminal, settle};
use crate::hash::genesis;
use crate::machine::{ReadSet, Rows};
use crate::wire::message::{Welcome, WelcomeLane};

pub(super) fn reads(welcome: &Welcome, keys: &mut ReadSet<Key>) {
    for lane in &welcome.lanes {
        if lane.head.seq > 0 {
            keys.insert(Key::Entry(lane.epoch, lane.head.seq));
        }
    }
}

pub(super) fn step(
    rows: &mut Rows<'_, Terminal>,
    mut meta: Meta,
    welcome: &Welcome,
    nonce: u64,
) -> Output {
    meta.quarantined = None;
    for lane in &welcome.lanes {
        if let Some(closed) = meta.closed.iter_mut().find(|closed| closed.epoch == lane.epoch) {
            reconsider(closed, lane);
        }
    }
    let current = welcome.lanes.iter().find(|lane| lane.epoch == meta.epoch);
    let Some(current) = current else {
        // An answer to a greeting from before the current epoch: greet again.
        return settle(rows, meta, None);
    };
    let before = meta.acked;
    let parted = parted(rows, &meta, current);
    if parted.is_some() {
        let kept = current.common.min(meta.head).min(meta.acked);
        meta.part(kept, nonce);
    } else {
        // Only ever takes back: what comes after is offered (again), and answered.
        meta.acked = meta.acked.min(current.head.seq);
    }
    let left = meta.epoch != current.epoch;
    assert_eq!(parted.is_some(), left, "a history is left if it has parted, and only then");
    assert!(left || meta.acked <= current.head.seq, "what the cloud lacks is offered again");
    assert!(left || meta.acked <= before, "a greeting answers no entry");
    settle(rows, meta, parted)
}

fn parted(rows: &Rows<'_, Terminal>, meta: &Meta, lane: &WelcomeLane) -> Option<Parted> {
    let (seq, hash) = (lane.head.seq, lane.head.hash);
    assert_eq!(lane.epoch, meta.epoch, "only the current history is left");
    if seq > meta.head {
        let prefix = lane.common == meta.head;
        return Some(if prefix { Parted::LostTail } else { Parted::Forked });
    }
    let own = match seq {
        0 => Some(genesis(meta.identity.terminal, meta.epoch)),
        _ => rows.entry(meta.epoch, seq).map(|entry| entry.chain),
    };
    // A till keeps each entry of its current history. If the row is gone all the same, nothing of
    // the chain can be shown any more: what is left of it is carried over.
    if own == Some(hash) { None } else { Some(Parted::Forked) }
}

/// A closed history is never offered again; what the cloud lacks of it is carried over.
fn reconsider(closed: &mut Closed, lane: &WelcomeLane) {
    let held = lane.common.min(closed.head);
    assert_eq!(closed.epoch, lane.epoch, "a history is compared with its own copy");
    if held < closed.kept {
        closed.kept = held;
        closed.next = closed.next.min(held + 1);
        closed.queue = true;
        assert!(closed.unsettled(), "what the cloud lacks is carried over");
        assert!(closed.kept <= closed.head, "only entries that exist are kept");
        assert!(closed.next > closed.kept, "what is kept is not carried over");
    }
}
