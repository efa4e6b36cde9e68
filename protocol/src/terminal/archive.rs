//! The archive: entries that the cloud has answered for good leave the file that a till sells from.
//!
//! An entry is copied, then read back, then removed:
//!
//! 1. [`look`] finds entries that may leave, a bounded number of them, in the hot rows.
//! 2. The driver copies them into a second store as [`Step::copy`] says, and makes them durable.
//!    Nothing there is overwritten.
//! 3. [`confirm`] reads them back. Only what stands there as it stands here goes on: nothing else
//!    makes an [`Input::Archive`].
//! 4. The transition removes from the hot rows what still is as it was copied, and notes in
//!    [`Key::Archive`] how far each history may stand in the archive by now.
//!
//! Whoever is killed in between has copied something that is still in the hot rows: that counts,
//! and the next step copies it again, to the same effect.
//!
//! > **What is read stays the same.** A store that looks into the archive for what the hot rows
//! > lack ([`Archive::shows`]) holds the same rows before and after each step, so no law can be
//! > broken by one: no entry is forgotten, and all of them can be offered again.
//!
//! What stands in the archive is never changed: a database that is restored from a backup finds
//! there what it had left there, whatever a later life of it has added. That is behind what this
//! database says that its histories have left, and is not shown.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::row::{Entry, Meta, Seen, State};
use super::{Input, Key, Output, Place, Record, Terminal, pull};
use crate::event::Event;
use crate::identity::Epoch;
use crate::machine::{Loaded, Query, ReadSet, Rows, Writes};
use crate::time::Millis;

/// The most entries of one step. A sale waits for one step at most.
pub const STEP_ENTRIES_MAX: usize = 128;
/// The most payload bytes of one step; a single larger entry goes alone.
pub const STEP_BYTES_MAX: usize = 256 << 10;
/// The most entries that one look reads.
pub const LOOKED_MAX: usize = 256;
/// The most histories that leave entries; those of later ones stay.
pub const HISTORIES_MAX: usize = 256;

/// How many entries are read at a time: each may have half a megabyte.
const PAGE: usize = 32;

/// Before every entry.
const FIRST: Key = Key::Entry(Epoch { number: 0, nonce: 0 }, 0);

const _: () = assert!(PAGE > 0 && PAGE <= LOOKED_MAX, "each look gets on");
const _: () = assert!(STEP_ENTRIES_MAX > 0 && STEP_ENTRIES_MAX <= LOOKED_MAX, "each step gets on");

/// What stands in the archive. Two stores have such a row: the hot one says what has left it, the
/// archive what was copied into it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Random; tells one archive from another.
    pub id: u64,
    /// The last step. That of an archive is never behind that of the rows which have left for it.
    pub step: u64,
    /// How many entries.
    pub entries: u64,
    /// The bytes of their events.
    pub bytes: u64,
    /// Of each history that entries have left, the last of them.
    pub through: Vec<(Epoch, u64)>,
}

impl Archive {
    /// Returns whether the entry at a place may have left: then the archive says what it is, unless
    /// the hot rows do.
    #[must_use]
    pub fn shows(&self, place: Place) -> bool {
        let found = self.through.binary_search_by_key(&place.epoch, |(epoch, _)| *epoch);
        let shows = found.is_ok_and(|index| place.seq <= self.through[index].1);
        assert!(!shows || self.step > 0, "without a step nothing has left");
        shows
    }

    /// Returns whether a history can leave entries.
    fn has_room(&self, epoch: Epoch) -> bool {
        assert!(self.through.len() <= HISTORIES_MAX, "so many histories and no more");
        debug_assert!(self.through.is_sorted_by(|(a, _), (b, _)| a < b), "in their order");
        let known = self.through.binary_search_by_key(&epoch, |(epoch, _)| *epoch).is_ok();
        known || self.through.len() < HISTORIES_MAX
    }

    /// Notes that an entry leaves.
    fn takes(&mut self, place: Place, bytes: u64) {
        assert!(self.has_room(place.epoch), "only what can be noted leaves");
        assert!(place.seq > 0, "a journal counts from 1");
        self.entries += 1;
        self.bytes += bytes;
        match self.through.binary_search_by_key(&place.epoch, |(epoch, _)| *epoch) {
            Ok(index) => self.through[index].1 = self.through[index].1.max(place.seq),
            Err(index) => self.through.insert(index, (place.epoch, place.seq)),
        }
        assert!(self.shows(place), "what leaves is looked for in the archive");
        assert!(self.through.len() <= HISTORIES_MAX, "so many histories and no more");
    }
}

/// An entry that may leave, and what is known of it by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Leaving {
    place: Place,
    entry: Entry,
    seen: Option<Seen>,
}

/// Entries to copy into the archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step(Vec<Leaving>);

/// Entries of which the archive durably holds a copy; only [`confirm`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    id: u64,
    step: u64,
    leaving: Vec<Leaving>,
}

/// What a look has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// What may leave.
    pub step: Step,
    /// Behind which place the next look goes on; none if all is looked at that is old enough.
    pub next: Option<Place>,
}

impl Step {
    /// Returns whether nothing may leave.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many entries.
    #[must_use]
    pub const fn entries(&self) -> usize {
        self.0.len()
    }

    /// Returns the bytes of their events.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        assert!(self.0.len() <= STEP_ENTRIES_MAX, "a step has its bound");
        self.0.iter().map(|leaving| leaving.entry.payload.len() as u64).sum()
    }

    /// Returns the keys of what is copied, and of the archive's books, in their order.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.rows().into_iter().map(|(key, _)| key).collect();
        keys.push(Key::Archive);
        assert!(keys.is_sorted_by(|a, b| a < b), "the books come last");
        keys
    }

    /// Decides what to write into an archive, of which `held` are the rows under [`Self::keys`]:
    /// what it has not, and its books. What it has stays as it is. A new one gets the name `id`.
    #[must_use]
    pub fn copy(&self, id: u64, held: &Loaded<Terminal>) -> Writes<Terminal> {
        let known = match held.last() {
            Some((Key::Archive, Some(row))) => books_in(row),
            Some(_) | None => None,
        };
        let mut books = known.unwrap_or_else(|| Archive { id, ..Archive::default() });
        let absent = |key: &Key| held.iter().any(|(held, row)| held == key && row.is_none());
        let mut writes = Writes::<Terminal>::new();
        for (key, record) in self.rows().into_iter().filter(|(key, _)| absent(key)) {
            if let Record::Entry(entry) = &record {
                books.entries += 1;
                books.bytes += entry.payload.len() as u64;
            }
            writes.push((key, Some(Arc::new(record))));
        }
        if !writes.is_empty() {
            books.step += 1;
            writes.push((Key::Archive, Some(Arc::new(Record::Archive(books)))));
        }
        assert!(writes.len() <= held.len(), "only what was asked for is written");
        debug_assert!(writes.is_sorted_by(|(a, _), (b, _)| a < b), "each row is written once");
        writes
    }

    /// Returns the rows to copy, in the order of their keys.
    fn rows(&self) -> Vec<(Key, Record)> {
        let mut rows = Vec::with_capacity(2 * self.0.len());
        for Leaving { place, entry, seen } in &self.0 {
            rows.push((Key::Entry(place.epoch, place.seq), Record::Entry(entry.clone())));
            let local = Key::Local(entry.pos, entry.local_id);
            rows.extend(seen.map(|seen| (local, seen.record())));
        }
        rows.sort_unstable_by_key(|(key, _)| *key);
        assert!(rows.len() >= self.0.len(), "each entry is a row");
        assert!(rows.is_sorted_by(|(a, _), (b, _)| a < b), "each row is copied once");
        rows
    }
}

/// Returns the books, if a row is such.
#[must_use]
pub fn books_in(row: &Record) -> Option<Archive> {
    if let Record::Archive(books) = row { Some(books.clone()) } else { None }
}

/// Returns whether a row of this name can stand in the archive.
#[must_use]
pub const fn may_hold(key: &Key) -> bool {
    matches!(key, Key::Entry(..) | Key::Local(..))
}

/// Returns whether what the archive knows by a name is the event that stands at its place: a later
/// life of the database may have left another one there.
#[must_use]
pub fn is_of(key: &Key, seen: Seen, entry: &Entry) -> bool {
    assert!(matches!(key, Key::Local(..)), "it is known by its name");
    let named = *key == Key::Local(entry.pos, entry.local_id);
    assert!(seen.known.place.seq > 0, "what is known stands in a journal");
    named && seen.known.payload_hash == entry.payload_hash
}

/// Returns the entries behind `after` that may leave the hot rows, as many as one step has. They
/// were recorded `keep` ago, or so far ahead that the clock was wrong.
///
/// # Errors
/// The store's.
pub async fn look<Q: Query<Terminal>>(
    hot: &Q,
    now: Millis,
    keep: Millis,
    after: Option<Place>,
) -> Result<Look, Q::Error> {
    let mut found = Look::default();
    let Some(meta) = pull::meta(hot).await? else { return Ok(found) };
    let until = Key::Entry(meta.epoch, meta.acked + 1);
    let (mut last, mut looked, mut bytes) = (after, 0, 0);
    while looked < LOOKED_MAX {
        let from = last.map_or(FIRST, |Place { epoch, seq }| Key::Entry(epoch, seq + 1));
        let page = if from < until { hot.scan(&from, &until, PAGE).await? } else { Vec::new() };
        assert!(page.len() <= PAGE, "a scan keeps its limit");
        looked += PAGE;
        let whole = page.len() < PAGE;
        for row in page {
            let (Key::Entry(epoch, seq), Record::Entry(entry)) = row else { continue };
            let place = Place { epoch, seq };
            let full = found.step.entries() == STEP_ENTRIES_MAX;
            if full || (bytes > 0 && bytes + entry.payload.len() > STEP_BYTES_MAX) {
                assert!(!found.step.is_empty(), "a step that is full takes something");
                assert!(last > after, "each look gets on");
                found.next = last;
                return Ok(found);
            }
            if is_settled(&meta, place, &entry) {
                if !is_old(&entry, now, keep) {
                    return Ok(found); // and what follows is younger
                }
                bytes += entry.payload.len();
                let local = Key::Local(entry.pos, entry.local_id);
                let seen = hot.look(&local, Seen::of).await?;
                let seen = seen.filter(|seen| seen.known.place == place);
                found.step.0.push(Leaving { place, entry, seen });
            }
            last = Some(place);
        }
        if whole {
            return Ok(found);
        }
    }
    found.next = last;
    assert!(found.next > after, "each look gets on");
    assert!(found.step.entries() <= STEP_ENTRIES_MAX, "a step has its bound");
    Ok(found)
}

/// Returns the input that lets leave what `archive` holds as it was copied; none if that is
/// nothing. What it returns is durable: a query sees committed rows only.
///
/// # Errors
/// The archive's.
pub async fn confirm<Q: Query<Terminal>>(
    archive: &Q,
    step: Step,
) -> Result<Option<Input>, Q::Error> {
    let books = archive.look(&Key::Archive, books_in).await?;
    let Some(Archive { id, step: number, .. }) = books else { return Ok(None) };
    let copied = step.entries();
    assert!(copied <= STEP_ENTRIES_MAX, "a step has its bound");
    let mut leaving = Vec::with_capacity(copied);
    for Leaving { place, entry, seen } in step.0 {
        let local = Key::Local(entry.pos, entry.local_id);
        let held = archive.get(&Key::Entry(place.epoch, place.seq)).await?;
        if !matches!(held, Some(Record::Entry(held)) if held == entry) {
            continue;
        }
        let named = archive.look(&local, Seen::of).await?;
        let seen = seen.filter(|seen| named == Some(*seen));
        leaving.push(Leaving { place, entry, seen });
    }
    assert!(leaving.len() <= copied, "only what was copied leaves");
    if leaving.is_empty() {
        return Ok(None);
    }
    Ok(Some(Input::Archive(Box::new(Copied { id, step: number, leaving }))))
}

pub(super) fn reads(copied: &Copied, keys: &mut ReadSet<Key>) {
    assert!(copied.leaving.len() <= STEP_ENTRIES_MAX, "a step has its bound");
    assert!(!copied.leaving.is_empty(), "a step that takes nothing is none");
    keys.insert(Key::Archive);
    for Leaving { place, entry, seen } in &copied.leaving {
        keys.insert(Key::Entry(place.epoch, place.seq));
        keys.insert(Key::Queue(place.epoch, place.seq));
        keys.insert(Key::Attention(place.epoch, place.seq));
        keys.extend(seen.map(|_| Key::Local(entry.pos, entry.local_id)));
    }
}

/// Removes what still is as it was copied.
pub(super) fn step(rows: &mut Rows<'_, Terminal>, meta: &Meta, copied: &Copied) -> Output {
    let known = rows.get(&Key::Archive).and_then(books_in);
    let mut books = known.unwrap_or_else(|| Archive { id: copied.id, ..Archive::default() });
    let before = books.entries;
    if books.id != copied.id {
        return Output::Settled(meta.backlog()); // it was copied into another archive
    }
    books.step = books.step.max(copied.step).max(1);
    for Leaving { place, entry, seen } in &copied.leaving {
        let Place { epoch, seq } = *place;
        let waits = rows.queued(epoch, seq).is_some() || rows.attention(epoch, seq).is_some();
        let same = rows.entry(epoch, seq) == Some(entry);
        if waits || !same || !is_settled(meta, *place, entry) || !books.has_room(epoch) {
            continue;
        }
        books.takes(*place, entry.payload.len() as u64);
        rows.remove(Key::Entry(epoch, seq));
        if seen.is_some() && rows.seen(entry.pos, entry.local_id) == *seen {
            rows.remove(Key::Local(entry.pos, entry.local_id));
        }
    }
    assert!(books.entries >= before, "nothing comes back");
    assert!(books.step > 0, "whatever has left has left by a step");
    let left = books.entries - before;
    assert!(left <= copied.leaving.len() as u64, "each entry leaves once");
    assert!(left == 0 || !books.through.is_empty(), "what has left can be found");
    if left > 0 {
        rows.put(Key::Archive, Record::Archive(books));
    }
    Output::Settled(meta.backlog())
}

/// Returns whether the till has nothing left to do for an entry.
fn is_settled(meta: &Meta, place: Place, entry: &Entry) -> bool {
    let closed = meta.closed.iter().find(|closed| closed.epoch == place.epoch);
    let held = match closed {
        _ if place.epoch == meta.epoch => meta.acked,
        Some(closed) => closed.kept,
        // It was forgotten as settled.
        None if place.epoch < meta.epoch => u64::MAX,
        None => 0,
    };
    assert!(held <= meta.head || place.epoch != meta.epoch, "only what there is is answered");
    match entry.state {
        State::Synced(_) => place.seq <= held,
        State::Moved(to) => place.epoch < to.epoch && place.epoch < meta.epoch,
        // It may count again.
        State::Open | State::Replaced(_) => false,
    }
}

/// Returns whether an event was recorded `keep` ago. A clock that was wrong keeps nothing for ever.
fn is_old(entry: &Entry, now: Millis, keep: Millis) -> bool {
    let at = Event::from_canonical(&entry.payload).map_or(Millis::ZERO, |event| event.at());
    let age = now.since(at).max(at.since(now));
    assert!(at == now || age > Millis::ZERO, "time that has passed is an age");
    age >= keep
}

/// Returns what is wrong with such a row, if anything is.
pub(super) fn contradiction(archive: &Archive) -> Option<&'static str> {
    let count_max = crate::persist::COUNT_MAX;
    let Archive { step, entries, bytes, through, .. } = archive;
    if *step > count_max || *entries > count_max || *bytes > count_max {
        Some("nothing is archived so often")
    } else if through.len() > HISTORIES_MAX {
        Some("so many histories leave nothing")
    } else if !through.is_sorted_by(|(a, _), (b, _)| a < b) {
        Some("its histories are out of order")
    } else if through.iter().any(|(_, seq)| *seq == 0 || *seq > count_max) {
        Some("a journal counts from 1, and not so far")
    } else if *step == 0 && (*entries > 0 || !through.is_empty()) {
        Some("without a step nothing has left")
    } else {
        None
    }
}
