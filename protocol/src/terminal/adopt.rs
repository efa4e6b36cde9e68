//! Adoption: entries of a closed history that the cloud may lack become entries of the current one.
//!
//! It is always safe to carry an entry over: its event keeps its name and its bytes, and the
//! cloud's ledger answers `existing` if it knows it. So what is not certain is carried over.

use super::answered::ATTEMPTS_MAX;
use super::pull::ADOPTION_MAX;
use super::record::{chain, enter};
use super::row::{Entry, Known, Meta, Place, Queued, Seen, State};
use super::{Adoption, Key, Output, Record, Terminal, settle};
use crate::machine::{ReadSet, Rows};
use crate::time::Millis;

pub(super) fn reads(adoption: &Adoption, keys: &mut ReadSet<Key>) {
    for (seq, pos, local_id) in &adoption.entries {
        keys.insert(Key::Entry(adoption.from, *seq));
        keys.insert(Key::Queue(adoption.from, *seq));
        keys.insert(Key::Attention(adoption.from, *seq));
        keys.insert(Key::Local(*pos, *local_id));
    }
}

pub(super) fn step(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    mut meta: Meta,
    adoption: &Adoption,
) -> Output {
    assert!(adoption.entries.len() <= ADOPTION_MAX, "an adoption is bounded");
    let Some(index) = meta.closed.iter().position(|closed| closed.epoch == adoption.from) else {
        return settle(rows, meta, None);
    };
    let (closed, before) = (meta.closed[index], meta.head);
    if closed.next != adoption.next {
        return settle(rows, meta, None);
    }
    assert!(adoption.through + 1 >= closed.next, "it goes on where the one before ended");
    for (seq, ..) in &adoption.entries {
        assert!(*seq <= adoption.through, "what is carried over has been looked at");
        if let Some(entry) = rows.entry(adoption.from, *seq).cloned() {
            // What the cloud has answered for good and still holds stays where it is.
            let settled = matches!(entry.state, State::Synced(_)) && *seq <= closed.kept;
            let moved = matches!(entry.state, State::Moved(_));
            // What has its place names it, and withdraws it wherever it turns up.
            let replaced = matches!(entry.state, State::Replaced(_));
            let old = Place { epoch: adoption.from, seq: *seq };
            if !settled && !moved && !replaced {
                carry(rows, now, &mut meta, old, entry);
            }
            rows.remove(Key::Queue(old.epoch, old.seq));
            rows.remove(Key::Attention(old.epoch, old.seq));
        }
    }
    assert!(meta.head >= before, "a journal only grows");
    let carried = meta.head - before;
    assert!(carried <= adoption.entries.len() as u64, "each entry is carried over once");
    let closed = &mut meta.closed[index];
    assert_eq!(closed.epoch, adoption.from, "carrying over moves no history");
    if adoption.entries.is_empty() && adoption.through >= closed.head {
        closed.queue = false;
    }
    if adoption.through >= closed.next {
        closed.next = adoption.through.min(closed.head) + 1;
    }
    settle(rows, meta, None)
}

pub(super) fn carry(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    meta: &mut Meta,
    old: Place,
    entry: Entry,
) {
    let attempts = match (rows.queued(old.epoch, old.seq), rows.attention(old.epoch, old.seq)) {
        (Some(queued), _) => queued.attempts,
        // One more failure, and a person looks at it again.
        (None, Some(attention)) => attention.attempts.min(ATTEMPTS_MAX - 1),
        (None, None) => 0,
    };
    let place = chain(meta, entry.payload_hash);
    assert_ne!(place, old, "what is carried over gets a new place");
    assert_eq!(place.epoch, meta.epoch, "what is carried over joins the current history");
    assert_eq!(place.seq, meta.head, "and stands at its end");
    let local = Key::Local(entry.pos, entry.local_id);
    // If the row of its name is lost, the event itself says the same.
    let seen = rows.seen(entry.pos, entry.local_id).unwrap_or_else(|| Seen::again(&entry, old));
    let known = Known { place, ..seen.known };
    let moved = Entry { state: State::Moved(place), ..entry.clone() };
    rows.put(local, Seen { known, ..seen }.record());
    rows.put(Key::Entry(old.epoch, old.seq), Record::Entry(moved));
    let carried = Entry { chain: meta.hash, state: State::Open, ..entry };
    assert!(carried.state == State::Open, "what is carried over waits for an answer again");
    enter(rows, place, carried, Queued { attempts, due: now, code: None });
}
