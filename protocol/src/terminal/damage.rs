//! What a till's row that can be read must say, so that a step may rely on it.
//!
//! A row is looked at once, where its bytes are read: one that contradicts itself is damaged, and
//! the database is not used any further. What only several rows together could show is not looked
//! for here; the steps take it as it is.

use super::edits::{TOLD_MAX, WAITING_MAX};
use super::migrate::{SCHEMA_VERSION, SCHEMA_VERSION_UNSAID};
use super::register::{Register, UNSETTLED_MAX};
use super::row::{
    CatalogItem, CatalogState, Closed, CodeIndex, Entry, Key, KnownInSession, Meta, Record, Schema,
    State,
};
use crate::catalog::{ENTITY_BYTES_MAX, Kind};
use crate::event::EVENT_BYTES_MAX;
use crate::identity::Epoch;
use crate::persist::{COUNT_MAX, EPOCHS_MAX};

/// Returns what is wrong with a record under `key`, if anything is.
pub(super) fn contradiction(key: &Key, record: &Record) -> Option<&'static str> {
    assert!(record.belongs_to(key), "a record is looked at under a key of its kind");
    if let Key::Entry(_, seq) | Key::Queue(_, seq) | Key::Attention(_, seq) = key
        && !is_place(*seq)
    {
        return Some("a journal counts from 1, and not so far");
    }
    if let Key::Replaced(_, seq) = key
        && !is_place(*seq)
    {
        return Some("what is replaced is in no journal");
    }
    match record {
        Record::Meta(meta) => of_meta(meta),
        Record::Entry(entry) => of_entry(entry),
        Record::Local(known) | Record::LocalInSession(KnownInSession { known, .. })
            if !is_place(known.place.seq) =>
        {
            Some("its event is in no journal")
        }
        Record::Series(series) if series.last > COUNT_MAX => Some("no series counts so far"),
        Record::Stock(stock) if stock.movements > COUNT_MAX => Some("nothing moves so often"),
        Record::Catalog(state) => of_catalog(state),
        Record::Item(item) => of_item(item),
        Record::LocalEdits(edits)
            if edits.waiting.len() > WAITING_MAX || edits.told.len() > TOLD_MAX =>
        {
            Some("so many edits do not wait")
        }
        Record::Register(register) => of_register(register),
        Record::Schema(schema) => of_schema(schema),
        Record::Diary(diary) if diary.written > COUNT_MAX => Some("nothing is noted so often"),
        Record::Note(note) => note.contradiction(),
        Record::Archive(archive) => super::archive::contradiction(archive),
        Record::Queue(_)
        | Record::Attention(_)
        | Record::Local(_)
        | Record::LocalInSession(_)
        | Record::Closing(_)
        | Record::LocalEdits(_)
        | Record::Movement(_)
        | Record::Applied(_)
        | Record::Review(_)
        | Record::Inbox(_)
        | Record::Code
        | Record::Diary(_)
        | Record::Replaced(_)
        | Record::Series(_)
        | Record::Stock(_) => None,
    }
}

fn of_meta(meta: &Meta) -> Option<&'static str> {
    let last = meta.closed.last();
    let parent = meta.parent;
    if !is_epoch(meta.epoch) {
        Some("histories count from 1, and not so far")
    } else if meta.head > COUNT_MAX {
        Some("no journal has so many entries")
    } else if meta.acked > meta.head {
        Some("more entries are answered than there are")
    } else if let Some(why) = meta.closed.iter().find_map(of_closed) {
        Some(why)
    } else if !meta.closed.is_sorted_by(|a, b| a.epoch.number < b.epoch.number) {
        Some("its closed histories are out of order")
    } else if last.is_some_and(|last| last.epoch.number >= meta.epoch.number) {
        Some("a closed history is as new as the current one")
    } else if last.map(|last| last.epoch) != parent.map(|parent| parent.epoch) {
        Some("it continues another history than the one that was closed last")
    } else {
        None
    }
}

fn of_closed(closed: &Closed) -> Option<&'static str> {
    if !is_epoch(closed.epoch) {
        Some("closed histories count from 1, and not so far")
    } else if closed.head > COUNT_MAX {
        Some("no closed journal has so many entries")
    } else if closed.kept > closed.head {
        Some("more of a closed history is kept than there is")
    } else if closed.next <= closed.kept || closed.next > closed.head + 1 {
        Some("a closed history is carried over from outside of what was not kept")
    } else {
        None
    }
}

fn of_entry(entry: &Entry) -> Option<&'static str> {
    if entry.payload.is_empty() || entry.payload.len() > EVENT_BYTES_MAX {
        return Some("no event has so many bytes");
    }
    match entry.state {
        State::Moved(place) if !is_place(place.seq) => Some("it was carried over to no journal"),
        State::Moved(_) | State::Open | State::Synced(_) | State::Replaced(_) => None,
    }
}

fn of_catalog(state: &CatalogState) -> Option<&'static str> {
    if state.proven && state.version.is_none() {
        Some("a catalog that is at no version was proven")
    } else if state.version.is_some_and(|version| version > COUNT_MAX) {
        Some("no catalog has so many versions")
    } else {
        None
    }
}

fn of_item(item: &CatalogItem) -> Option<&'static str> {
    if item.content.is_empty() || item.content.len() > ENTITY_BYTES_MAX {
        Some("no entity has so many bytes")
    } else {
        None
    }
}

fn of_register(register: &Register) -> Option<&'static str> {
    let counted =
        register.open.as_ref().map_or(0, |open| open.totals.sales.max(open.totals.refunds));
    if register.unsettled.len() > UNSETTLED_MAX {
        Some("so many closings are not asked for")
    } else if counted > COUNT_MAX {
        Some("no session counts so far")
    } else {
        None
    }
}

/// Of a newer database the version is believed, so that it is refused for what it is.
fn of_schema(schema: &Schema) -> Option<&'static str> {
    assert_ne!(SCHEMA_VERSION, SCHEMA_VERSION_UNSAID, "what says a version is newer");
    match schema.codes {
        _ if schema.version <= SCHEMA_VERSION_UNSAID => Some("its version is one that no row says"),
        CodeIndex::Until(Some(id)) if id.kind != Kind::Product => Some("only products are scanned"),
        CodeIndex::Until(_) | CodeIndex::Whole => None,
    }
}

const fn is_place(seq: u64) -> bool {
    seq > 0 && seq <= COUNT_MAX
}

const fn is_epoch(epoch: Epoch) -> bool {
    epoch.number > 0 && epoch.number <= EPOCHS_MAX
}

const _: () = assert!(is_place(1) && !is_place(0), "a journal counts from 1");
const _: () = assert!(!is_place(u64::MAX), "an entry more has a number");
const _: () = assert!(!is_epoch(Epoch { number: 0, nonce: 7 }), "histories count from 1");
const _: () = assert!(is_epoch(Epoch { number: 0, nonce: 7 }.next(7)), "the first one is one");
const _: () = assert!(!is_epoch(Epoch { number: u32::MAX, nonce: 7 }), "a history more follows");
