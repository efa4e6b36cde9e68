//! What a cloud's row that can be read must say, so that a step may rely on it.
//!
//! A row is looked at once, where its bytes are read: one that contradicts itself is damaged, and
//! the database is not used any further. What only several rows together could show is not looked
//! for here; the steps take it as it is.

use super::catalog::EDITS_MAX;
use super::decide::REASON_BYTES_MAX;
use super::row::{Fate, Item, Kept, Key, Lane, Ledger, Moved, Record};
use crate::catalog::ENTITY_BYTES_MAX;
use crate::event::EVENT_BYTES_MAX;
use crate::hash::genesis;
use crate::journal::{SEGMENT_ENTRIES, Segment};
use crate::money::MILLI_MAX;
use crate::persist::COUNT_MAX;

/// The number of the last segment that a journal can have.
const SEGMENT_NUMBER_MAX: u64 = Segment::number(COUNT_MAX);

const _: () = assert!(SEGMENT_NUMBER_MAX < COUNT_MAX, "a segment holds more than one entry");
const _: () =
    assert!(Segment::first(SEGMENT_NUMBER_MAX) <= COUNT_MAX, "the last segment begins in time");

/// Returns what is wrong with a record under `key`, if anything is.
pub(super) fn contradiction(key: &Key, record: &Record) -> Option<&'static str> {
    assert!(record.belongs_to(key), "a record is looked at under a key of its kind");
    match (key, record) {
        (Key::Lane(id, epoch), Record::Lane(lane)) => {
            let unbegun = lane.head == 0 && lane.hash != genesis(*id, *epoch);
            if unbegun { Some("a history without entries has a chain") } else { of_lane(lane) }
        }
        (Key::Segment(.., number), Record::Segment(segment)) => of_segment(*number, segment),
        (_, Record::Ledger(ledger)) if !is_place(ledger.seq) => Some("its event is in no journal"),
        // What is withdrawn before it comes has no bytes yet.
        (_, Record::Ledger(Ledger { fate: Fate::Withdrawn(_), payload, .. }))
            if payload.is_empty() =>
        {
            None
        }
        (_, Record::Ledger(ledger)) => of_payload(&ledger.payload),
        (_, Record::Conflict(kept)) => of_kept(kept),
        (Key::Opaque(.., seq), Record::Opaque(kept)) => {
            if kept.seq == *seq {
                of_kept(kept)
            } else {
                Some("it was kept from another entry")
            }
        }
        (_, Record::Movements(moved)) => of_movements(moved),
        (_, Record::Feed(feed)) if !is_place(feed.version) => {
            Some("commits count from 1, and not so far")
        }
        (_, Record::Stamped(version)) if !is_place(*version) => {
            Some("commits count from 1, and not so far")
        }
        (_, Record::LogHead(last)) if !is_place(*last) => Some("no log has so many entries"),
        (_, Record::Threshold(quantity)) if !(1..=MILLI_MAX).contains(&quantity.0) => {
            Some("a threshold is above zero, and has its bound")
        }
        (_, Record::Decision(decision)) if decision.reason.len() > REASON_BYTES_MAX => {
            Some("no reason is so long")
        }
        (Key::Item(_, scope, id), Record::Item(item)) => {
            let ours = scope.is_some() == id.kind.of_branch();
            if ours { of_item(item) } else { Some("an entity of that kind is not of that scope") }
        }
        (Key::Change(_, scope, version, index), Record::Change(id)) => {
            if scope.is_some() != id.kind.of_branch() {
                Some("an entity of that kind is not of that scope")
            } else {
                of_number(*version, *index)
            }
        }
        _ => None,
    }
}

const fn of_lane(lane: &Lane) -> Option<&'static str> {
    if lane.head > COUNT_MAX {
        Some("no journal has so many entries")
    } else if lane.posted.events > lane.head {
        Some("more events are posted than there are entries")
    } else {
        None
    }
}

const fn of_segment(number: u64, segment: &Segment) -> Option<&'static str> {
    let held = segment.payloads.len() as u64;
    if number > SEGMENT_NUMBER_MAX {
        Some("no journal has so many segments")
    } else if held == 0 || held > SEGMENT_ENTRIES {
        Some("no segment has so many entries")
    } else {
        None
    }
}

fn of_kept(kept: &Kept) -> Option<&'static str> {
    if is_place(kept.seq) { of_payload(&kept.payload) } else { Some("it was in no journal") }
}

const fn of_payload(payload: &[u8]) -> Option<&'static str> {
    if payload.len() > EVENT_BYTES_MAX { Some("no event has so many bytes") } else { None }
}

fn of_movements(moved: &[Moved]) -> Option<&'static str> {
    if moved.is_empty() || moved.iter().any(|moved| moved.by.movements == 0) {
        Some("a push that moved nothing left movements")
    } else if !moved.is_sorted_by(|a, b| a.product < b.product) {
        Some("its products are out of order")
    } else {
        None
    }
}

fn of_item(item: &Item) -> Option<&'static str> {
    let bytes = item.content.as_ref().map_or(1, |content| content.len());
    if bytes == 0 || bytes > ENTITY_BYTES_MAX {
        return Some("no entity has so many bytes");
    }
    of_number(item.version, item.index)
}

const fn of_number(version: u64, index: u32) -> Option<&'static str> {
    if !is_place(version) {
        Some("commits count from 1, and not so far")
    } else if index as usize >= EDITS_MAX {
        Some("no commit changes so many entities")
    } else {
        None
    }
}

const fn is_place(number: u64) -> bool {
    number > 0 && number <= COUNT_MAX
}

const _: () = assert!(is_place(1) && !is_place(0), "entries and commits count from 1");
const _: () = assert!(!is_place(u64::MAX), "an entry or a commit more has a number");
const _: () = assert!(of_number(1, 0).is_none(), "the first commit changes something");
const _: () = assert!(of_number(1, EDITS_MAX as u32).is_some(), "a commit has its bound");
