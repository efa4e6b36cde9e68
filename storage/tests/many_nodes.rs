//! Several handles on one PostgreSQL database: what they do together is as if one did it after the
//! other, and whoever reads a feed misses nothing.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use counterfoil_protocol::machine::run;
use counterfoil_protocol::time::Millis;
use counterfoil_storage::engine::KeyList;
use counterfoil_storage::{Batch, Engine as _, KeyValue, Postgres, Read as _, Url};
use support::ledger::{Input, Key, Ledger, Output, Record, audit};
use support::now;
use support::postgres::Cluster;
use support::random::Random;

fn database() -> Url {
    Url::parse(&Cluster::shared().database().unwrap()).unwrap()
}

fn store(url: &Url) -> KeyValue<Ledger, Postgres> {
    KeyValue::new(Postgres::open_plain(url).unwrap())
}

fn keys(names: &[&[u8]]) -> KeyList {
    let mut list = KeyList::default();
    names.iter().for_each(|name| list.push_with(|out| out.extend_from_slice(name)));
    list
}

#[test]
fn on_postgres_what_all_post_counts_once_and_the_books_are_right() {
    const NODES: u64 = 4;
    const POSTINGS: u64 = 60;
    let url = database();
    let numbers = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for node in 0..NODES {
            let (url, numbers) = (&url, &numbers);
            scope.spawn(move || {
                let mut store = store(url);
                let mut random = Random::new(node);
                // Everybody posts everything, each in an order of its own.
                let mut ids: Vec<u64> = (0..POSTINGS).collect();
                for at in (1..ids.len()).rev() {
                    ids.swap(at, random.below(at as u64 + 1) as usize);
                }
                for group in ids.chunks(4) {
                    let post = |id: &u64| Input::Post {
                        account: (*id % 3) as u32,
                        id: *id,
                        amount: *id as i64,
                        memo: vec![1],
                    };
                    let inputs: Vec<Input> = group.iter().map(post).collect();
                    let outputs = now(run(&Ledger, &mut store, Millis(0), &inputs)).unwrap();
                    let new = outputs.iter().filter(|o| matches!(o, Output::Posted { .. }));
                    numbers.fetch_add(new.count() as u64, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(numbers.into_inner(), POSTINGS, "each posting was new once");
    let rows: BTreeMap<Key, Record> =
        store(&url).reader().scan_all(usize::MAX).unwrap().into_iter().collect();
    audit(&rows).unwrap();
    let entries = rows.keys().filter(|key| matches!(key, Key::Entry(..))).count();
    assert_eq!(entries as u64, POSTINGS);
}

/// Two decide on what the other has not written yet: each looks at both rows, and writes its own
/// only if the other's is as it was. One after the other, only one of them can.
fn skew(before: &[(&[u8], &[u8])], expected: fn(&[Option<Vec<u8>>]) -> bool) {
    const ROUNDS: usize = 60;
    let url = database();
    let mut nodes = [(); 2].map(|()| Postgres::open_plain(&url).unwrap());
    for round in 0..ROUNDS {
        let first: Batch =
            before.iter().map(|(key, value)| (key.to_vec(), Some(value.to_vec()))).collect();
        let gone = Batch::from([(b"a".to_vec(), None), (b"b".to_vec(), None)]);
        nodes[0].commit(&gone).unwrap();
        nodes[0].commit(&first).unwrap();
        let start = Arc::new(Barrier::new(2));
        std::thread::scope(|scope| {
            for (node, own) in nodes.iter_mut().zip([b"a", b"b"]) {
                let start = Arc::clone(&start);
                scope.spawn(move || {
                    let both = keys(&[b"a", b"b"]);
                    let mut batch = Batch::new();
                    let mut decisions = 0;
                    node.transact(&both, &mut batch, &mut |loads, batch| {
                        let mut untouched = true;
                        loads(&mut |_, value| {
                            untouched &= value.is_none_or(|value| value == b"old");
                            Ok(())
                        })?;
                        if decisions == 0 {
                            start.wait(); // both have read before either writes
                        }
                        decisions += 1;
                        batch.clear();
                        if untouched {
                            let key = |out: &mut Vec<u8>| out.extend_from_slice(own);
                            batch.put_with(key, |out, _| out.extend_from_slice(b"new"));
                        }
                        Ok(())
                    })
                    .unwrap();
                });
            }
        });
        let found = [b"a", b"b"].map(|key| nodes[0].get(key).unwrap());
        assert!(expected(&found), "round {round}: {found:?}");
    }
}

fn one_is_new(found: &[Option<Vec<u8>>]) -> bool {
    found.iter().filter(|value| value.as_deref() == Some(b"new")).count() == 1
}

#[test]
fn on_postgres_what_was_absent_is_held_against_other_nodes() {
    skew(&[], one_is_new);
}

#[test]
fn on_postgres_what_was_only_read_is_held_against_other_nodes() {
    skew(&[(b"a", b"old"), (b"b", b"old")], one_is_new);
}

/// Each commit of an account takes its counter's next number. Readers at other nodes follow: they
/// ask what lies behind the last number that they have seen, and must meet every number.
#[test]
fn on_postgres_no_reader_ever_skips_a_late_commit() {
    const NODES: u64 = 3;
    const POSTINGS: u64 = 60;
    let url = database();
    let done = AtomicBool::new(false);
    let met = std::thread::scope(|scope| {
        let (url, done) = (&url, &done);
        let readers: Vec<_> =
            (0..3).map(|_| scope.spawn(move || follow(url, NODES * POSTINGS, done))).collect();
        let writers: Vec<_> = (0..NODES)
            .map(|node| {
                scope.spawn(move || {
                    let mut store = store(url);
                    for number in 0..POSTINGS {
                        let id = node * POSTINGS + number;
                        let input = Input::Post { account: 0, id, amount: 1, memo: vec![9; 300] };
                        now(run(&Ledger, &mut store, Millis(0), &[input])).unwrap();
                    }
                })
            })
            .collect();
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join().is_ok()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(|ended| *ended), "a writer has failed");
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    for (reader, looks) in met.iter().enumerate() {
        println!("reader {reader}: every number in its place, in {looks} looks");
    }
}

/// Follows an account to its end, and returns in how many looks.
fn follow(url: &Url, last: u64, done: &AtomicBool) -> u64 {
    let store = store(url);
    let reader = store.reader();
    let (mut seen, mut looks) = (0, 0);
    while seen < last {
        let ended = done.load(Ordering::Relaxed);
        let page = reader.scan_now(&Key::Entry(0, seen + 1), &Key::Entry(0, u64::MAX), 7).unwrap();
        looks += 1;
        assert!(!(ended && page.is_empty()), "all is written, {seen} of {last} are seen");
        for (key, _) in page {
            seen += 1;
            assert_eq!(key, Key::Entry(0, seen), "a number was skipped");
        }
    }
    looks
}

#[test]
fn on_postgres_a_reader_of_one_moment_sees_nothing_later() {
    let url = database();
    let (mut store, mut other) = (store(&url), store(&url));
    let post = |id| Input::Post { account: 1, id, amount: 1, memo: Vec::new() };
    now(run(&Ledger, &mut store, Millis(0), &[post(1)])).unwrap();
    let still = store.reader_of_one_moment().unwrap();
    assert_eq!(still.scan_all(99).unwrap().len(), 4);
    now(run(&Ledger, &mut other, Millis(0), &[post(2)])).unwrap();
    now(run(&Ledger, &mut store, Millis(0), &[post(3)])).unwrap();
    assert_eq!(still.scan_all(99).unwrap().len(), 4);
    assert_eq!(still.get_now(&Key::Counter(1)).unwrap(), Some(Record::Counter(1)));
    assert_eq!(store.reader().get_now(&Key::Counter(1)).unwrap(), Some(Record::Counter(3)));
}
