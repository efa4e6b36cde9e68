//! What may leave the rows that a till sells from, and what stays: an entry leaves when the cloud
//! has answered it for good, long ago, and the archive durably holds it as it is.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod support;

use std::fmt::Write as _;

use counterfoil_protocol::cloud::{Cloud, UnknownProducts};
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::machine::Store as _;
use counterfoil_protocol::persist::Persist;
use counterfoil_protocol::terminal::archive::{self, Archive, Step};
use counterfoil_protocol::terminal::row::State;
use counterfoil_protocol::terminal::{Input, Key, Place, Record, Terminal};
use counterfoil_protocol::time::Millis;
use insta::assert_snapshot;
use support::rows::entries;
use support::{Mem, Pair, block_on};

/// When the sales of these tests were made.
const SOLD: Millis = Millis(1_700_000_000_000);
const DAY: Millis = Millis::from_secs(86_400);

fn found(pair: &Pair, now: Millis, keep: Millis) -> Step {
    block_on(archive::look(&pair.till.store, now, keep, None)).unwrap().step
}

fn copy(cold: &mut Mem<Terminal>, step: &Step) {
    block_on(cold.transact(step.keys(), |held| step.copy(7, held))).unwrap();
}

fn leave(pair: &mut Pair, cold: &Mem<Terminal>, step: Step) {
    if let Some(input) = block_on(archive::confirm(cold, step)).unwrap() {
        pair.till.run(pair.now, input);
    }
}

/// Archives everything that may leave, however young.
fn archive_now(pair: &mut Pair, cold: &mut Mem<Terminal>) {
    let step = found(pair, SOLD, Millis::ZERO);
    copy(cold, &step);
    leave(pair, cold, step);
}

fn stays(pair: &Pair) -> Vec<u64> {
    entries(&pair.till).keys().map(|place| place.seq).collect()
}

fn synced(ids: &[&str]) -> Pair {
    let mut pair = Pair::new(Cloud::default());
    pair.sell_all(ids);
    pair.quiesce();
    pair
}

#[test]
fn what_the_cloud_has_answered_for_good_leaves() {
    let mut pair = synced(&["a", "b", "c"]);
    pair.sell_all(&["d"]);
    let (mut cold, before) = (Mem::default(), entries(&pair.till));
    archive_now(&mut pair, &mut cold);
    assert_eq!(stays(&pair), [4], "what was never answered stays");
    for (place, entry) in before.iter().take(3) {
        let held = &cold.rows[&Key::Entry(place.epoch, place.seq)];
        assert_eq!(*held, Record::Entry(entry.clone()), "as it was, byte for byte");
        assert!(cold.rows.contains_key(&Key::Local(entry.pos, entry.local_id)));
        assert!(!pair.till.store.rows.contains_key(&Key::Local(entry.pos, entry.local_id)));
    }
    let Record::Archive(books) = &pair.till.store.rows[&Key::Archive] else { panic!("books") };
    let epoch = pair.till.meta().epoch;
    assert_eq!((books.id, books.step, books.entries), (7, 1, 3));
    assert_eq!(books.through, [(epoch, 3)]);
    for seq in 1..=4 {
        assert_eq!(books.shows(Place { epoch, seq }), seq <= 3);
    }
    assert!(!books.shows(Place { epoch: epoch.next(9), seq: 1 }), "of another history nothing has");
}

#[test]
fn what_waits_or_needs_a_person_stays() {
    let mut pair = Pair::new(Cloud { unknown_products: UnknownProducts::Park });
    pair.node.define("a");
    pair.node.define("c");
    pair.sell_all(&["a", "ghost", "c"]);
    pair.greet();
    pair.offer();
    let mut early = pair.clone();
    archive_now(&mut early, &mut Mem::default());
    assert_eq!(stays(&early), [2], "it waits for another try");
    pair.quiesce();
    archive_now(&mut pair, &mut Mem::default());
    assert_eq!(stays(&pair), [2], "a person must look at it");
    assert_eq!(entries(&pair.till).values().next().unwrap().state, State::Open);
}

#[test]
fn what_a_restored_cloud_lacks_stays() {
    let mut pair = synced(&["a"]);
    let backup = pair.node.clone();
    pair.sell_all(&["b", "c"]);
    pair.quiesce();
    pair.node = backup;
    pair.greet();
    let mut cold = Mem::default();
    archive_now(&mut pair, &mut cold);
    assert_eq!(stays(&pair), [2, 3]);
    pair.quiesce();
    archive_now(&mut pair, &mut cold);
    assert_eq!(stays(&pair), [0; 0], "it has them again");
}

#[test]
fn what_changes_after_it_was_copied_stays() {
    let mut pair = synced(&["a"]);
    let backup = pair.node.clone();
    pair.sell_all(&["b"]);
    pair.quiesce();
    let mut cold = Mem::default();
    let step = found(&pair, SOLD, Millis::ZERO);
    copy(&mut cold, &step);
    let input = block_on(archive::confirm(&cold, step)).unwrap().unwrap();
    pair.node = backup;
    pair.greet();
    let mut later = pair.clone();
    pair.till.run(pair.now, input.clone());
    assert_eq!(stays(&pair), [2], "the cloud has lost it since");
    later.quiesce();
    later.till.run(later.now, input);
    assert_eq!(stays(&later), [0; 0], "and has it again");
}

#[test]
fn only_what_the_archive_holds_as_it_is_leaves() {
    let mut pair = synced(&["a", "b"]);
    let step = found(&pair, SOLD, Millis::ZERO);
    let none = block_on(archive::confirm(&Mem::<Terminal>::default(), step.clone())).unwrap();
    assert!(none.is_none(), "nothing was copied");
    let mut cold = Mem::default();
    copy(&mut cold, &step);
    let epoch = pair.till.meta().epoch;
    cold.rows.remove(&Key::Entry(epoch, 1));
    leave(&mut pair, &cold, step.clone());
    assert_eq!(stays(&pair), [1], "half of the copy is there");
    // A later life of the database has left another entry at this place.
    let Some(Record::Entry(mut other)) = cold.rows.get(&Key::Entry(epoch, 2)).cloned() else {
        panic!("it was copied");
    };
    other.payload_hash.0[0] ^= 1;
    cold.rows.insert(Key::Entry(epoch, 1), Record::Entry(other.clone()));
    archive_now(&mut pair, &mut cold);
    assert_eq!(stays(&pair), [1]);
    assert_eq!(cold.rows[&Key::Entry(epoch, 1)], Record::Entry(other), "and is not overwritten");
}

#[test]
fn nothing_leaves_for_another_archive() {
    let mut pair = synced(&["a", "b"]);
    let (mut first, mut another) = (Mem::default(), Mem::default());
    let step = found(&pair, SOLD, Millis::ZERO);
    copy(&mut first, &step);
    first.rows.remove(&Key::Entry(pair.till.meta().epoch, 2));
    leave(&mut pair, &first, step);
    let step = found(&pair, SOLD, Millis::ZERO);
    block_on(another.transact(step.keys(), |held| step.copy(8, held))).unwrap();
    leave(&mut pair, &another, step);
    assert_eq!(stays(&pair), [2], "what has left before stands in the first one");
}

#[test]
fn only_what_is_old_enough_leaves() {
    let pair = synced(&["a"]);
    let check = |now: Millis, leaves: usize| {
        assert_eq!(found(&pair, now, DAY).entries(), leaves, "at {now}");
    };
    check(SOLD, 0);
    check(SOLD.after(Millis(DAY.0 - 1)), 0);
    check(SOLD.after(DAY), 1);
    // The clock was wrong when it was sold: it would stay for years.
    check(Millis(SOLD.0 - DAY.0), 1);
}

#[test]
fn a_step_is_bounded_and_the_next_one_goes_on() {
    let ids: Vec<String> = (0..700).map(|n| format!("s{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut pair = synced(&ids);
    let (mut cold, mut after, mut steps) = (Mem::default(), None, Vec::new());
    loop {
        let hot = &pair.till.store;
        let look = block_on(archive::look(hot, SOLD, Millis::ZERO, after)).unwrap();
        assert!(look.step.entries() <= archive::STEP_ENTRIES_MAX);
        steps.push(look.step.entries());
        copy(&mut cold, &look.step);
        leave(&mut pair, &cold, look.step);
        after = look.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(steps.iter().sum::<usize>(), 700, "{steps:?}");
    assert_eq!(stays(&pair), [0; 0]);
    let Record::Archive(books) = &cold.rows[&Key::Archive] else { panic!("books") };
    assert_eq!((books.entries, books.step as usize), (700, steps.len()), "{steps:?}");
}

#[test]
fn a_step_twice_is_a_step_once() {
    let mut pair = synced(&["a", "b"]);
    let mut cold = Mem::default();
    let step = found(&pair, SOLD, Millis::ZERO);
    copy(&mut cold, &step);
    let once = cold.rows.clone();
    copy(&mut cold, &step);
    assert_eq!(cold.rows, once, "whoever was killed after the copy copies the same again");
    leave(&mut pair, &cold, step.clone());
    let left = pair.till.store.rows.clone();
    leave(&mut pair, &cold, step);
    assert_eq!(pair.till.store.rows, left);
}

/// A snapshot that differs is a new version of the disk format.
#[test]
fn golden_bytes_of_the_archive() {
    let epoch = Epoch { number: 1, nonce: 2 };
    let through = vec![(epoch, 300), (epoch.next(5), 7)];
    let books = Archive { id: 77, step: 3, entries: 301, bytes: 70_000, through };
    let (mut key, mut bytes, mut text) = (Vec::new(), Vec::new(), String::new());
    Terminal::key_bytes(&Key::Archive, &mut key);
    Terminal::record_bytes(&Record::Archive(books.clone()), &mut bytes);
    let read = Terminal::record_from_bytes(&Key::Archive, &bytes).unwrap();
    assert_eq!(read, Record::Archive(books.clone()));
    for byte in key.iter().chain(&bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    assert_snapshot!("archive_row", text);
    let damaged = [
        Archive { step: 0, ..books.clone() },
        Archive { entries: u64::MAX, ..books.clone() },
        Archive { through: vec![(epoch, 0)], ..books.clone() },
        Archive { through: vec![(epoch, 1), (epoch, 2)], ..books },
    ];
    for wrong in damaged {
        let mut bytes = Vec::new();
        Terminal::record_bytes(&Record::Archive(wrong.clone()), &mut bytes);
        assert!(Terminal::record_from_bytes(&Key::Archive, &bytes).is_err(), "{wrong:?}");
    }
}

/// Only a transition of the machine takes rows away; the input is made by `confirm` alone.
#[test]
fn an_entry_that_left_and_waits_again_has_its_row_again() {
    let mut pair = synced(&["a"]);
    let backup = Pair::new(Cloud::default()).node;
    let mut cold = Mem::default();
    archive_now(&mut pair, &mut cold);
    pair.node = backup;
    // A store that reads both is what the till's driver has; here they are put together by hand.
    for (key, record) in cold.rows.iter().filter(|(key, _)| archive::may_hold(key)) {
        pair.till.store.rows.entry(*key).or_insert_with(|| record.clone());
    }
    pair.quiesce();
    assert_eq!(support::rows::ledger(&pair.node).len(), 1, "the cloud has it again");
    assert!(matches!(pair.till.meta(), meta if meta.acked == 1));
    let input = block_on(archive::confirm(&cold, found(&pair, SOLD, Millis::ZERO))).unwrap();
    assert!(matches!(input, Some(Input::Archive(_))), "as it stands in the archive");
}
