//! The diary: what a till notes of its talks with the cloud, so that the way of a sale can be told.
//!
//! Nothing is decided by it. It is for people who ask what became of a sale. A note is written with
//! a commit that happens anyway: an opening, an answer, a greeting, entries that are carried over.
//! What is to be noted stays in memory until then, so a program that is killed forgets it: whoever
//! tells the way of a sale says what cannot be known. The newest [`NOTES_MAX`] notes are kept.
//!
//! Notes are of stretches of the journal, not of single events: an answer to 500 entries that were
//! all posted is one note of a few bytes.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::row::{Meta, Place};
use super::{Adoption, Key, Output, Parted, Record, Terminal};
use crate::identity::{Epoch, LocalEventId};
use crate::machine::{Query, ReadSet, Rows};
use crate::persist::COUNT_MAX;
use crate::problem::ErrorCode;
use crate::session::Fault;
use crate::time::Millis;
use crate::wire::message::{EditOutcome, PUSH_ITEMS_MAX, Push, PushAnswer, Verdict};

/// How many notes are kept; with each further one the oldest goes.
pub const NOTES_MAX: u64 = 4096;
/// The most notes that one commit takes along.
pub const NOTES_AT_ONCE_MAX: usize = 64;
/// The most stretches of one note: each item of a push may have an outcome of its own.
pub const RUNS_MAX: usize = PUSH_ITEMS_MAX;

const _: () = assert!(NOTES_MAX > NOTES_AT_ONCE_MAX as u64, "a commit drops none of its own notes");
const _: () = assert!(NOTES_MAX < COUNT_MAX, "the oldest note has a number");
const _: () = assert!(super::pull::ADOPTION_MAX <= RUNS_MAX, "any adoption is one note");
const _: () = assert!(NOTES_AT_ONCE_MAX > 1, "there is room beside what a commit itself is");
const _: () = {
    let run = Run { first: 2, count: 2, outcome: Outcome::NotLookedAt };
    assert!(!run.covers(1) && run.covers(2), "a stretch begins with its first entry");
    assert!(run.covers(3) && !run.covers(4), "and has so many");
    assert!(!run.outcome.settles(), "what was not looked at is settled by nothing");
    assert!(Outcome::Created.settles() && Outcome::Existing.settles(), "what is posted is settled");
    let unheard = Outcome::Unheard(Silence::NoAnswer);
    assert!(!unheard.settles(), "nobody concludes from silence");
};

/// How far the diary has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diary {
    /// The number of the newest note; notes count from 1.
    pub written: u64,
}

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The till's time of it.
    pub at: Millis,
    /// What happened.
    pub what: Noted,
}

/// What can be noted. Variants are stored: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Noted {
    /// The program took the database over.
    Started,
    /// A new history was opened.
    Parted {
        /// Why.
        why: Parted,
        /// The history that was opened.
        epoch: Epoch,
    },
    /// Entries were offered to the cloud.
    Offered {
        /// Their history.
        epoch: Epoch,
        /// How often, if nothing else happened in between; the first time is that of the note.
        times: u32,
        /// The last time.
        last: Millis,
        /// What came of it, in the order of the journal.
        runs: Vec<Run>,
    },
    /// Entries of a closed history were looked at, and carried over unless they were settled.
    Carried {
        /// The closed history.
        from: Epoch,
        /// The entries there: their first, and how many in a row.
        entries: Vec<(u64, u64)>,
    },
    /// A person wanted an entry to be tried again.
    Retried(Place),
    /// A person has corrected an entry, or let another one count.
    Replaced {
        /// The entry that counts no more.
        place: Place,
        /// What counts in its place, by its name on the register.
        by: LocalEventId,
    },
    /// A person has set an entry aside: it is not sent until it is tried again.
    SetAside(Place),
}

/// Entries in a row that had the same fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The first.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// What came of offering them.
    pub outcome: Outcome,
}

/// What came of offering an entry. Variants are stored: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// No answer was heard. The cloud may have posted it all the same.
    Unheard(Silence),
    /// The cloud answered, and had stopped before it.
    NotLookedAt,
    /// Posted by this very offer.
    Created,
    /// Posted before.
    Existing,
    /// Kept, without effect yet.
    Parked(ErrorCode),
    /// Kept, never with effect.
    Refused(ErrorCode),
    /// An edit of the catalog was decided.
    Edited(EditOutcome),
}

/// Why no answer was heard. Variants are stored: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Silence {
    /// No connection, a reset, a timeout, an unreadable answer.
    NoAnswer,
    /// The cloud has trouble of its own.
    Trouble,
    /// The cloud does not listen to this till.
    Denied,
    /// The cloud asked to slow down.
    SlowDown,
    /// The push was too large for the way.
    TooLarge,
    /// The two programs do not understand each other.
    NotUnderstood,
}

impl From<Fault> for Silence {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Transport | Fault::Untrusted(_) => Self::NoAnswer,
            Fault::Server => Self::Trouble,
            Fault::Denied(_) => Self::Denied,
            Fault::RateLimited(_) => Self::SlowDown,
            Fault::TooLarge => Self::TooLarge,
            Fault::Rejected => Self::NotUnderstood,
        }
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Created(_) => Self::Created,
            Verdict::Existing(_) => Self::Existing,
            Verdict::Parked(code) => Self::Parked(code),
            Verdict::Refused(code) => Self::Refused(code),
            Verdict::Edited(edited) => Self::Edited(edited.outcome),
        }
    }
}

impl Outcome {
    /// Returns whether the cloud durably holds what was offered, with its effects or its decision.
    #[must_use]
    pub const fn settles(self) -> bool {
        match self {
            Self::Created | Self::Existing | Self::Edited(_) => true,
            Self::Unheard(_) | Self::NotLookedAt | Self::Parked(_) | Self::Refused(_) => false,
        }
    }
}

impl Run {
    /// Returns whether an entry is among these.
    #[must_use]
    pub const fn covers(&self, seq: u64) -> bool {
        seq >= self.first && seq - self.first < self.count
    }
}

/// Returns entries with what came of them as stretches of the journal.
fn runs(entries: impl Iterator<Item = (u64, Outcome)>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (seq, outcome) in entries {
        match runs.last_mut() {
            Some(run) if run.outcome == outcome && run.first + run.count == seq => run.count += 1,
            Some(_) | None => runs.push(Run { first: seq, count: 1, outcome }),
        }
    }
    debug_assert!(runs.is_sorted_by(|a, b| a.first < b.first), "in the order of the journal");
    assert!(runs.iter().all(|run| run.count > 0), "a stretch has an entry");
    runs
}

impl Noted {
    /// Notes an offer at `at`, and what came of it. A push has its bounds ([`Push::check`]).
    #[must_use]
    pub fn offered(at: Millis, push: &Push, heard: Result<&PushAnswer, Fault>) -> Self {
        assert!(push.items.len() <= RUNS_MAX, "a push has its bound");
        let runs = runs(push.items.iter().map(|item| {
            let outcome = match heard {
                Err(fault) => Outcome::Unheard(fault.into()),
                Ok(answer) => {
                    let result = answer.results.iter().find(|result| result.seq == item.seq);
                    result.map_or(Outcome::NotLookedAt, |result| result.verdict.into())
                }
            };
            (item.seq, outcome)
        }));
        assert!(runs.len() <= push.items.len(), "each item is in one stretch");
        Self::Offered { epoch: push.epoch, times: 1, last: at, runs }
    }

    /// Notes the answers to an offer that nobody has at hand any more, as where a file is carried.
    #[must_use]
    pub fn answered(at: Millis, epoch: Epoch, answer: &PushAnswer) -> Self {
        assert!(answer.results.len() <= RUNS_MAX, "a push has its bound, and so has its answer");
        let runs = runs(answer.results.iter().map(|result| (result.seq, result.verdict.into())));
        assert!(runs.len() <= answer.results.len(), "each result is in one stretch");
        Self::Offered { epoch, times: 1, last: at, runs }
    }

    /// Notes which entries an adoption looks at.
    #[must_use]
    pub fn carried(adoption: &Adoption) -> Self {
        assert!(adoption.entries.len() <= RUNS_MAX, "an adoption has its bound");
        let mut entries: Vec<(u64, u64)> = Vec::new();
        for (seq, ..) in &adoption.entries {
            match entries.last_mut() {
                Some((first, count)) if *first + *count == *seq => *count += 1,
                Some(_) | None => entries.push((*seq, 1)),
            }
        }
        assert!(entries.len() <= adoption.entries.len(), "each entry is in one stretch");
        Self::Carried { from: adoption.from, entries }
    }

    /// Takes the same offer, once more without an answer, into this note. `false`: it is another.
    #[must_use]
    pub fn takes_in(&mut self, later: &Self) -> bool {
        let Self::Offered { epoch, times, last, runs } = self else { return false };
        let Self::Offered { epoch: again, times: more, last: until, runs: same } = later else {
            return false;
        };
        let unheard = same.iter().all(|run| matches!(run.outcome, Outcome::Unheard(_)));
        if epoch != again || runs != same || !unheard {
            return false;
        }
        let before = *times;
        *times = times.saturating_add(*more);
        *last = *until;
        assert!(*times >= before, "what was offered stays offered");
        assert!(!runs.is_empty() || same.is_empty(), "the same entries were offered");
        true
    }
}

pub(super) fn reads(keys: &mut ReadSet<Key>) {
    keys.insert(Key::Diary);
}

/// Writes notes, and drops those that are too old.
pub(super) fn step(rows: &mut Rows<'_, Terminal>, meta: &Meta, notes: &[Note]) -> Output {
    assert!(notes.len() <= NOTES_AT_ONCE_MAX, "a commit takes a few notes along");
    let mut diary = match rows.get(&Key::Diary) {
        Some(Record::Diary(diary)) => *diary,
        Some(_) => unreachable!("a store gives each key a record of its kind"),
        None => Diary::default(),
    };
    let before = diary.written;
    for note in notes {
        assert!(note.contradiction().is_none(), "what is noted can be read again");
        diary.written += 1;
        rows.append(Key::Note(diary.written), Record::Note(note.clone()));
        if let Some(oldest) = diary.written.checked_sub(NOTES_MAX).filter(|oldest| *oldest > 0) {
            rows.retract(Key::Note(oldest));
        }
    }
    assert_eq!(diary.written - before, notes.len() as u64, "each note has its number");
    assert!(notes.is_empty() || diary.written > before, "a diary only grows");
    if !notes.is_empty() {
        rows.put(Key::Diary, Record::Diary(diary));
    }
    Output::Settled(meta.backlog())
}

impl Note {
    /// Returns what is wrong with a note, if anything is.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        let sound = |first: u64, count: u64| {
            first > 0 && count > 0 && first <= COUNT_MAX && count <= COUNT_MAX
        };
        match &self.what {
            Noted::Started | Noted::Parted { .. } => None,
            Noted::Offered { times: 0, .. } => Some("what was offered was offered at least once"),
            Noted::Offered { runs, .. } if runs.len() > RUNS_MAX => {
                Some("no push has so many items")
            }
            Noted::Offered { runs, .. } if !runs.iter().all(|run| sound(run.first, run.count)) => {
                Some("a journal counts from 1, and not so far")
            }
            Noted::Carried { entries, .. } if entries.len() > RUNS_MAX => {
                Some("no adoption has so many entries")
            }
            Noted::Carried { entries, .. }
                if !entries.iter().all(|(first, count)| sound(*first, *count)) =>
            {
                Some("a journal counts from 1, and not so far")
            }
            Noted::Retried(place) | Noted::Replaced { place, .. } | Noted::SetAside(place)
                if !sound(place.seq, 1) =>
            {
                Some("a journal counts from 1, and not so far")
            }
            Noted::Offered { .. }
            | Noted::Carried { .. }
            | Noted::Retried(_)
            | Noted::Replaced { .. }
            | Noted::SetAside(_) => None,
        }
    }
}

/// Returns up to `limit` notes from number `from` on, in their order.
///
/// # Errors
/// The store's.
pub async fn notes<Q: Query<Terminal>>(
    store: &Q,
    from: u64,
    limit: usize,
) -> Result<Vec<(u64, Note)>, Q::Error> {
    assert!(from > 0, "notes count from 1");
    let page = store.scan(&Key::Note(from), &Key::Note(u64::MAX), limit).await?;
    assert!(page.len() <= limit, "a scan keeps its limit");
    let notes = page.into_iter().filter_map(|row| match row {
        (Key::Note(number), Record::Note(note)) => Some((number, note)),
        _ => None,
    });
    let notes: Vec<(u64, Note)> = notes.collect();
    assert!(notes.is_sorted_by(|a, b| a.0 < b.0), "notes have their order");
    Ok(notes)
}
