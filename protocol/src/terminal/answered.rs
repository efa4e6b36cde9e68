//! Per-item answers, and retry by class (S1.5, S4.9, B.5).
//!
//! Only an answer about the item itself costs one of its attempts. Whatever went wrong on the
//! way (no link, a timeout, 5xx, 401, 429) never reaches this module: the session backs off.
//!
//! > **`AckedIsDurable`**: a till marks a sale as synced only if the cloud's durable state holds
//! > it.

use super::edits;
use super::row::{Attention, Entry, Meta, Queued, State};
use super::{Key, Output, Record, Terminal, settle};
use crate::hash::Hash;
use crate::identity::Epoch;
use crate::machine::{Place, ReadSet, Rows};
use crate::time::Millis;
use crate::wire::message::{Edited, PushAnswer, Verdict};

/// How many item-level failures an item may have before a person must look at it.
pub const ATTEMPTS_MAX: u8 = 5;
/// The wait after the first item-level failure; it doubles with each.
pub const RETRY_BASE: Millis = Millis::from_secs(2);
/// The longest wait between two tries of an item.
pub const RETRY_CAP: Millis = Millis::from_secs(300);

/// How often the wait is doubled at most.
const DOUBLINGS_MAX: u8 = ATTEMPTS_MAX - 1;
/// What the spread of a wait is counted in.
const SPREAD: u64 = 1 << 16;

const _: () = assert!(ATTEMPTS_MAX > 1, "an item that failed is tried again");
const _: () = assert!(ATTEMPTS_MAX < u8::MAX, "one failure more can be counted");
const _: () = assert!(
    ATTEMPTS_MAX as u64 * RETRY_CAP.0 <= 30 * 60 * 1000,
    "an item that keeps failing has waited for half an hour at most when a person sees it"
);
const _: () = assert!(RETRY_BASE.0 >= 2, "half of the first wait is a wait");
const _: () = assert!(RETRY_BASE.0 <= RETRY_CAP.0, "the first wait is the shortest");
const _: () =
    assert!(RETRY_BASE.0 <= u64::MAX >> DOUBLINGS_MAX, "a wait can be doubled with each failure");
const _: () = assert!(RETRY_CAP.0 <= u64::MAX / SPREAD, "a wait can be spread");
const _: () = assert!(SPREAD - 1 == u16::MAX as u64, "two bytes of a digest spread a wait");

pub(super) fn reads(epoch: Epoch, answer: &PushAnswer, keys: &mut ReadSet<Key>) {
    let answered = || answer.results.iter().map(|result| result.seq);
    keys.reserve(3 * answer.results.len() + 1);
    // In the order of the keys, so that nothing is left to sort.
    keys.extend(answered().map(|seq| Key::Entry(epoch, seq)));
    keys.extend(answered().map(|seq| Key::Queue(epoch, seq)));
    keys.extend(answered().map(|seq| Key::Attention(epoch, seq)));
    keys.insert(Key::LocalEdits);
}

pub(super) fn step(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    mut meta: Meta,
    epoch: Epoch,
    answer: &PushAnswer,
) -> Output {
    if epoch != meta.epoch {
        // An answer to a history that is closed by now: its entries are carried over anyway.
        return settle(rows, meta, None);
    }
    let before = meta.acked;
    let mut places = Places::default();
    for result in &answer.results {
        // The rows of an entry stand where those of the one before end, kind by kind.
        places = places.after(rows, epoch, result.seq);
        // What the books do not know of has no answer, even if a row of it is there.
        let known = rows.entry_at(places.entry).filter(|_| result.seq <= meta.head);
        let Some(entry) = known.cloned() else {
            continue;
        };
        take(rows, now, places, entry, result.verdict);
        if result.seq == meta.acked + 1 {
            meta.acked = result.seq;
        }
    }
    assert!(meta.acked >= before, "an answer takes no answer back");
    let answered = meta.acked - before;
    assert!(answered <= answer.results.len() as u64, "each entry has its own answer");
    meta.quarantined = None;
    settle(rows, meta, None)
}

/// Where the rows of an answered entry are.
#[derive(Clone, Copy, Default)]
struct Places {
    entry: Place,
    queue: Place,
    attention: Place,
}

impl Places {
    /// Returns those of an entry that mostly follows the one whose places these are.
    fn after(self, rows: &Rows<'_, Terminal>, epoch: Epoch, seq: u64) -> Self {
        let entry = rows.place(&Key::Entry(epoch, seq), self.entry.next());
        let queue = rows.place(&Key::Queue(epoch, seq), self.queue.next());
        let attention = rows.place(&Key::Attention(epoch, seq), self.attention.next());
        assert_ne!(entry, queue, "an entry does not stand in its queue");
        assert_ne!(queue, attention, "what waits does not stand where a person looks");
        Self { entry, queue, attention }
    }
}

fn take(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    Places { entry: place, queue, attention }: Places,
    entry: Entry,
    verdict: Verdict,
) {
    if matches!(entry.state, State::Replaced(_)) {
        // Another has its place, whatever the cloud makes of it: that one's answer says more.
        return;
    }
    let attempts = match (rows.at(queue), rows.at(attention)) {
        (Some(Record::Queue(queued)), _) => queued.attempts,
        (None, Some(Record::Attention(attention))) => attention.attempts,
        (None, None) => 0,
        _ => unreachable!("a store gives each key a record of its kind"),
    };
    let state = match verdict {
        Verdict::Created(id)
        | Verdict::Existing(id)
        | Verdict::Edited(Edited { server_id: id, .. }) => {
            rows.remove_at(attention);
            rows.remove_at(queue);
            edits::decided(rows, &entry, verdict);
            State::Synced(id)
        }
        Verdict::Parked(code) if attempts < ATTEMPTS_MAX - 1 => {
            let attempts = attempts + 1;
            assert!(attempts < ATTEMPTS_MAX, "who waits has an attempt left");
            let due = now.after(retry_wait(attempts, entry.payload_hash));
            assert!(due >= now, "a retry is not due in the past");
            assert!(due.since(now) <= RETRY_CAP, "a retry is due within the longest wait");
            rows.remove_at(attention);
            rows.put_at(queue, Record::Queue(Queued { attempts, due, code: Some(code) }));
            State::Open
        }
        Verdict::Parked(code) | Verdict::Refused(code) => {
            let attempts = attempts.saturating_add(1);
            assert!(attempts > 0, "nobody is asked to look at what never failed");
            rows.remove_at(queue);
            rows.put_at(attention, Record::Attention(Attention { attempts, code, since: now }));
            edits::refused(rows, &entry);
            State::Open
        }
    };
    let own = !matches!(state, State::Moved(_) | State::Replaced(_));
    assert!(own, "an answer carries nothing over, and replaces nothing");
    if entry.state != state {
        rows.put_at(place, Record::Entry(Entry { state, ..entry }));
    }
}

/// Returns how long an item waits after its `attempts`-th failure: between half and the whole of
/// the doubled wait, spread by the item's own digest, so that a thousand tills do not come back
/// in the same second and the same item always waits the same.
fn retry_wait(attempts: u8, payload_hash: Hash) -> Millis {
    assert!(attempts > 0, "only a failure makes an item wait");
    assert!(attempts <= ATTEMPTS_MAX, "beyond the last attempt nothing waits");
    let doubled = RETRY_BASE.0 << (attempts - 1).min(DOUBLINGS_MAX);
    let full = doubled.min(RETRY_CAP.0);
    let spread = u64::from(u16::from_le_bytes([payload_hash.0[0], payload_hash.0[1]]));
    assert!(spread < SPREAD, "the spread is less than a whole");
    let wait = full / 2 + (full / 2) * spread / SPREAD;
    assert!(wait >= RETRY_BASE.0 / 2, "no wait is shorter than half of the first");
    assert!(wait <= full && wait <= RETRY_CAP.0, "no wait is longer than the longest");
    Millis(wait)
}
