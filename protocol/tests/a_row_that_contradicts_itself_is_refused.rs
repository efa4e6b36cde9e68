//! A row whose bytes can be read may still be damaged: what contradicts itself is refused where it
//! is read, so that no step meets it; what only several rows together show stops no step.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test's name is its documentation")]
#![allow(
    clippy::type_complexity,
    clippy::wildcard_enum_match_arm,
    reason = "a table of damages; what is not damaged here is damaged further down"
)]

mod support;

use std::sync::Arc;

use counterfoil_protocol::catalog::{ENTITY_BYTES_MAX, EntityId, Kind};
use counterfoil_protocol::cloud::{self, Cloud};
use counterfoil_protocol::event::{EVENT_BYTES_MAX, Figures};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::journal::{SEGMENT_ENTRIES, Segment};
use counterfoil_protocol::persist::Persist;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::terminal::migrate::SCHEMA_VERSION;
use counterfoil_protocol::terminal::row::{
    CatalogItem, CatalogState, Closed, CodeIndex, Entry, Meta, Place, Replaced, Schema, State,
};
use counterfoil_protocol::terminal::{self, Terminal};
use counterfoil_protocol::wire::message::{ParentV1, Stopped};
use support::*;

/// Returns whether `record` is read back from its bytes under `key`; all else is a refusal.
fn reads<M: Persist<Record: PartialEq>>(key: &M::Key, record: &M::Record) -> bool {
    let mut bytes = Vec::new();
    M::record_bytes(record, &mut bytes);
    M::record_from_bytes(key, &bytes).is_ok_and(|read| read == *record)
}

/// A till that has parted once, and has sold since.
fn books() -> Meta {
    let mut till = Till::install(7);
    till.sell(NOW, sale("a", "tea"));
    till.witness = None;
    till.open(NOW, 9);
    till.sell(NOW, sale("b", "tea"));
    till.meta()
}

const NOW: counterfoil_protocol::time::Millis = counterfoil_protocol::time::Millis(1);
const FAR: u64 = u64::MAX;

#[test]
fn the_books_of_a_till() {
    let sound = books();
    let whole = |meta: &Meta| reads::<Terminal>(&terminal::Key::Meta, &row(meta));
    fn row(meta: &Meta) -> terminal::Record {
        terminal::Record::Meta(meta.clone())
    }
    assert!(whole(&sound), "as it was written");
    let damages: [(&str, fn(&mut Meta)); 9] = [
        ("acked beyond the head", |meta| meta.acked = meta.head + 1),
        ("a head without an end", |meta| meta.head = FAR),
        ("no history", |meta| meta.epoch.number = 0),
        ("the last history of all", |meta| meta.epoch.number = u32::MAX),
        ("the current one closed", |meta| meta.closed[0].epoch = meta.epoch),
        ("closed twice", |meta| meta.closed.push(meta.closed[0])),
        ("the closed one forgotten", |meta| meta.closed.clear()),
        ("no parent", |meta| meta.parent = None),
        ("another parent", |meta| {
            meta.parent = Some(ParentV1 { epoch: Epoch { number: 1, nonce: 8 }, common: 0 });
        }),
    ];
    for (name, damage) in damages {
        let mut meta = sound.clone();
        damage(&mut meta);
        assert!(!whole(&meta), "{name}");
    }
    let damages: [(&str, fn(&mut Closed)); 5] = [
        ("kept beyond the head", |closed| closed.kept = closed.head + 1),
        ("carried over beyond the head", |closed| closed.next = closed.head + 2),
        ("carried over from what is kept", |closed| closed.next = closed.kept),
        ("a head without an end", |closed| closed.head = FAR),
        ("no history", |closed| closed.epoch.number = 0),
    ];
    for (name, damage) in damages {
        let mut meta = sound.clone();
        damage(&mut meta.closed[0]);
        meta.parent = meta.parent.map(|p| ParentV1 { epoch: meta.closed[0].epoch, ..p });
        assert!(!whole(&meta), "closed: {name}");
    }
}

#[test]
fn the_other_rows_of_a_till() {
    use terminal::{Key, Record};
    let mut till = Till::install(7);
    till.sell(NOW, sale("a", "tea"));
    for (key, record) in &till.store.rows {
        assert!(reads::<Terminal>(key, record), "{key:?} as it was written");
        let (mut place, mut damaged) = (*key, record.clone());
        match (&mut place, &mut damaged) {
            (Key::Queue(_, seq) | Key::Attention(_, seq), _) => *seq = 0,
            (_, Record::Entry(entry)) => entry.payload = vec![1; EVENT_BYTES_MAX + 1].into(),
            (_, Record::Local(known)) => known.place.seq = FAR,
            (_, Record::Series(series)) => series.last = FAR,
            (_, Record::Stock(stock)) => stock.movements = FAR,
            _ => continue,
        }
        assert!(!reads::<Terminal>(&place, &damaged), "{place:?}");
    }
    let entry = |payload: Vec<u8>, state| {
        let (local_id, zero) = (local("a"), Hash::default());
        let (payload_hash, chain, payload) = (zero, zero, payload.into());
        Record::Entry(Entry { pos: pos("1"), local_id, payload_hash, chain, payload, state })
    };
    let moved = |seq| State::Moved(Place { epoch: Epoch { number: 1, nonce: 7 }, seq });
    let catalog =
        |version, proven| Record::Catalog(CatalogState { version, proven, ..Default::default() });
    let schema = |version, codes| Record::Schema(Schema { version, codes });
    let now = SCHEMA_VERSION;
    let until = |kind| CodeIndex::Until(Some(EntityId { kind, id: product("tea").0 }));
    let place = Key::Entry(Epoch { number: 1, nonce: 7 }, 1);
    let replaced = |seq| Key::Replaced(Epoch { number: 1, nonce: 7 }, seq);
    let (by, code) = (local("b"), ErrorCode::EventInvalid);
    let by = Record::Replaced(Replaced { by, code, since: NOW });
    for (name, key, record, whole) in [
        ("an entry", place, entry(vec![1], State::Open), true),
        ("an entry of nothing", place, entry(vec![], State::Open), false),
        ("an entry elsewhere", place, entry(vec![1], moved(3)), true),
        ("an entry nowhere", place, entry(vec![1], moved(0)), false),
        ("a catalog", Key::Catalog, catalog(Some(3), true), true),
        ("proven nowhere", Key::Catalog, catalog(None, true), false),
        ("a catalog without an end", Key::Catalog, catalog(Some(FAR), false), false),
        ("a schema", Key::Schema, schema(now, CodeIndex::Whole), true),
        ("a schema of a newer program", Key::Schema, schema(now + 1, CodeIndex::Whole), true),
        ("a schema that is not said", Key::Schema, schema(1, CodeIndex::Whole), false),
        ("an index up to a product", Key::Schema, schema(now, until(Kind::Product)), true),
        ("an index up to a customer", Key::Schema, schema(now, until(Kind::Customer)), false),
        ("what was replaced", replaced(1), by.clone(), true),
        ("what was replaced nowhere", replaced(0), by, false),
    ] {
        assert_eq!(reads::<Terminal>(&key, &record), whole, "{name}");
    }
    let item = |bytes: usize| CatalogItem { version: 1, content: vec![1; bytes].into() };
    let key = Key::Item(EntityId::product(product("tea")));
    for (bytes, whole) in [(0, false), (1, true), (ENTITY_BYTES_MAX + 1, false)] {
        assert_eq!(reads::<Terminal>(&key, &Record::Item(item(bytes))), whole, "{bytes} bytes");
    }
}

#[test]
fn the_rows_of_the_cloud() {
    use cloud::{Key, Record};
    let mut pair = Pair::new(Cloud::default());
    pair.sell(sale("a", "tea"));
    pair.sync();
    for (key, record) in &pair.node.store.rows {
        assert!(reads::<Cloud>(key, record), "{key:?} as it was written");
        let mut damaged = record.clone();
        match &mut damaged {
            Record::Lane(lane) => lane.head = 0,
            Record::Segment(segment) => segment.payloads.clear(),
            Record::Ledger(ledger) => ledger.seq = 0,
            Record::Movements(moved) => moved.push(moved[0]),
            _ => continue,
        }
        assert!(!reads::<Cloud>(key, &damaged), "{key:?}");
    }
    let (shop, tea) = (site().shop, EntityId::product(product("tea")));
    let full = vec![Hash::default(); usize::try_from(SEGMENT_ENTRIES).unwrap()];
    let over = vec![Hash::default(); full.len() + 1];
    let segment = |payloads| Record::Segment(Segment::of(Hash::default(), payloads));
    let at = |number| Key::Segment(terminal_id(), Epoch { number: 1, nonce: 7 }, number);
    let item = |index, bytes| {
        let content: Option<Arc<[u8]>> = Some(vec![1; bytes].into());
        Record::Item(cloud::row::Item { version: 7, index, content, at: NOW })
    };
    let feed = |version| Record::Feed(cloud::row::Feed { version, ..Default::default() });
    let branch = Some(site().branch);
    let (id, epoch) = (terminal_id(), Epoch { number: 1, nonce: 7 });
    let lane = |head, events| {
        let posted = Figures { events, ..Default::default() };
        let (hash, since, seen) = (Hash::default(), NOW, NOW);
        Record::Lane(cloud::row::Lane { head, hash, parent: None, since, seen, posted })
    };
    let opaque = |seq, bytes: usize| {
        Record::Opaque(cloud::row::Kept { epoch, seq, at: NOW, payload: vec![1; bytes] })
    };
    let stamp = Key::Stamped(shop, NOW);
    for (name, key, record, whole) in [
        ("a history", Key::Lane(id, epoch), lane(2, 2), true),
        ("a history without an end", Key::Lane(id, epoch), lane(FAR, 0), false),
        ("more posted than came", Key::Lane(id, epoch), lane(2, 3), false),
        ("what could not be read", Key::Opaque(id, epoch, 2), opaque(2, 1), true),
        ("from another entry", Key::Opaque(id, epoch, 2), opaque(3, 1), false),
        ("from no entry", Key::Opaque(id, epoch, 0), opaque(0, 1), false),
        ("of too many bytes", Key::Opaque(id, epoch, 2), opaque(2, EVENT_BYTES_MAX + 1), false),
        ("a time", stamp, Record::Stamped(1), true),
        ("a time of no commit", stamp, Record::Stamped(0), false),
        ("a log", Key::LogHead, Record::LogHead(1), true),
        ("a log without an end", Key::LogHead, Record::LogHead(FAR), false),
        ("a full segment", at(0), segment(full.clone()), true),
        ("an overfull segment", at(0), segment(over), false),
        ("a segment beyond all", at(FAR), segment(full), false),
        ("a feed", Key::Feed(shop), feed(1), true),
        ("a feed without a commit", Key::Feed(shop), feed(0), false),
        ("a feed without an end", Key::Feed(shop), feed(FAR), false),
        ("an entity", Key::Item(shop, None, tea), item(0, 1), true),
        ("a product of a branch", Key::Item(shop, branch, tea), item(0, 1), false),
        ("an empty entity", Key::Item(shop, None, tea), item(0, 0), false),
        ("a huge entity", Key::Item(shop, None, tea), item(0, ENTITY_BYTES_MAX + 1), false),
        ("a huge commit", Key::Item(shop, None, tea), item(u32::MAX, 1), false),
        ("a change", Key::Change(shop, None, 7, 0), Record::Change(tea), true),
        ("a change of no commit", Key::Change(shop, None, 0, 0), Record::Change(tea), false),
        ("a change too many", Key::Change(shop, None, 7, 500), Record::Change(tea), false),
        ("a change elsewhere", Key::Change(shop, branch, 7, 0), Record::Change(tea), false),
    ] {
        assert_eq!(reads::<Cloud>(&key, &record), whole, "{name}");
    }
}

#[test]
fn a_till_that_lost_an_entry_row_leaves_its_history() {
    let mut pair = Pair::new(Cloud::default());
    pair.sell(sale("a", "tea"));
    pair.sync();
    let meta = pair.till.meta();
    pair.till.store.rows.remove(&terminal::Key::Entry(meta.epoch, 1)).unwrap();
    let (_, backlog) = pair.greet();
    assert_eq!(backlog.parted, Some(terminal::Parted::Forked));
    pair.sell(sale("b", "tea"));
    pair.quiesce();
}

#[test]
fn an_event_whose_name_row_is_lost_is_carried_over_with_its_name() {
    let mut pair = Pair::new(Cloud::default());
    pair.sell(sale("a", "tea"));
    let key = terminal::Key::Local(pos("1"), local("a"));
    let known = pair.till.store.rows.remove(&key).unwrap();
    pair.till.witness = None;
    pair.till.open(NOW, 9);
    pair.quiesce();
    let (terminal::Record::Local(before), terminal::Record::Local(after)) =
        (&known, &pair.till.store.rows[&key])
    else {
        panic!("a name's row")
    };
    assert_eq!((after.receipt, after.payload_hash), (before.receipt, before.payload_hash));
}

#[test]
fn an_answer_beyond_the_books_acknowledges_nothing_beyond_them() {
    let mut pair = Pair::new(Cloud::default());
    pair.sell(sale("a", "tea"));
    pair.greet();
    let terminal::pull::Batch::Push(push) = pair.till.batch(NOW) else { panic!("a push") };
    let cloud::Output::Pushed(answer) = pair.node.push(NOW, &push) else { panic!("an answer") };
    // The books say less than the journal has.
    let mut meta = pair.till.meta();
    let epoch = meta.epoch;
    meta.head = 0;
    let books = terminal::Record::Meta(meta);
    pair.till.store.rows.insert(terminal::Key::Meta, books);
    let output = pair.till.run(NOW, terminal::Input::Answered { epoch, answer });
    assert!(matches!(output, terminal::Output::Settled(_)), "{output:?}");
    assert_eq!(pair.till.meta().acked, 0);
}

#[test]
fn a_copy_that_does_not_reach_its_head_takes_nothing_more() {
    let damages: [(&str, fn(&mut Segment)); 3] = [
        ("an entry is missing", |segment| segment.payloads.truncate(1)),
        ("an entry is too many", |segment| segment.payloads.push(Hash([9; 32]))),
        ("another beginning", |segment| segment.start = Hash([9; 32])),
    ];
    for (name, damage) in damages {
        let mut pair = Pair::new(Cloud::default());
        pair.sell_all(&["a", "b"]);
        pair.sync();
        let key = cloud::Key::Segment(terminal_id(), pair.till.meta().epoch, 0);
        let cloud::Record::Segment(held) = &pair.node.store.rows[&key] else { panic!("{name}") };
        let mut segment = held.clone();
        damage(&mut segment);
        // Nothing is remembered of what comes from a disk.
        let segment = Segment::of(segment.start, segment.payloads);
        pair.node.store.rows.insert(key, cloud::Record::Segment(segment));
        pair.sell(sale("c", "tea"));
        let terminal::pull::Batch::Push(push) = pair.till.batch(NOW) else { panic!("{name}") };
        let cloud::Output::Pushed(answer) = pair.node.push(NOW, &push) else { panic!("{name}") };
        assert_eq!((answer.head, answer.stopped), (2, Some(Stopped::Forked)), "{name}");
    }
}

#[test]
fn the_first_entry_of_any_segment_is_a_number() {
    assert_eq!(Segment::first(0), 1);
    assert_eq!(Segment::first(1), SEGMENT_ENTRIES + 1);
    assert_eq!(Segment::first(FAR), FAR, "no such segment has a beginning that can be reached");
}
