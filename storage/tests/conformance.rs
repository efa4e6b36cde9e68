//! Every engine keeps the same promises.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod support;

use std::path::PathBuf;

use counterfoil_protocol::machine::{Query as _, Store as _, run};
use counterfoil_protocol::time::Millis;
use counterfoil_storage::engine::{AFTER_LAST_KEY, copy_rows};
use counterfoil_storage::{
    Batch, Engine, KeyValue, MemoryEngine, Postgres, Read, Redb, Sled, StoreError, Url,
};
use support::ledger::{Input, Key, Ledger, Output, Record};
use support::now;
use support::postgres::Cluster;
use support::random::Random;

/// A way to have an engine, and to have it again after it was dropped.
trait Bench {
    type Engine: Engine;
    fn open(&mut self) -> Self::Engine;
    fn reopen(&mut self, engine: Self::Engine) -> Self::Engine;
}

struct InMemory;

impl Bench for InMemory {
    type Engine = MemoryEngine;

    fn open(&mut self) -> MemoryEngine {
        MemoryEngine::new()
    }

    fn reopen(&mut self, engine: MemoryEngine) -> MemoryEngine {
        let durable = engine.durable_bytes();
        MemoryEngine::open(engine.crash(durable)).unwrap()
    }
}

struct OnDisk<E> {
    directory: tempfile::TempDir,
    open: fn(PathBuf) -> E,
}

impl<E> OnDisk<E> {
    fn new(open: fn(PathBuf) -> E) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), open }
    }
}

impl<E: Engine> Bench for OnDisk<E> {
    type Engine = E;

    fn open(&mut self) -> E {
        (self.open)(self.directory.path().join("store"))
    }

    fn reopen(&mut self, engine: E) -> E {
        drop(engine);
        self.open()
    }
}

fn redb() -> OnDisk<Redb> {
    OnDisk::new(|path| Redb::open(&path).unwrap())
}

fn sled() -> OnDisk<Sled> {
    OnDisk::new(|path| Sled::open(&path).unwrap())
}

/// A database on the server of this process. Nothing but the database survives a reopening.
struct OnPostgres(Url);

impl Bench for OnPostgres {
    type Engine = Postgres;

    fn open(&mut self) -> Postgres {
        Postgres::open_plain(&self.0).unwrap()
    }

    fn reopen(&mut self, engine: Postgres) -> Postgres {
        drop(engine);
        self.open()
    }
}

fn postgres() -> OnPostgres {
    OnPostgres(Url::parse(&Cluster::shared().database().unwrap()).unwrap())
}

/// Makes a test of each claim for each engine.
macro_rules! each_engine {
    ($($claim:ident)*) => {
        mod memory { $(#[test] fn $claim() { super::$claim(super::InMemory); })* }
        mod redb { $(#[test] fn $claim() { super::$claim(super::redb()); })* }
        mod on_postgres { $(#[test] fn $claim() { super::$claim(super::postgres()); })* }
        mod sled { $(#[test] fn $claim() { super::$claim(super::sled()); })* }
    };
}

each_engine! {
    an_absent_row_is_absent
    a_scan_is_in_the_order_of_the_bytes_and_keeps_its_bounds
    a_removed_row_is_gone_and_may_come_back
    a_batch_is_visible_as_a_whole
    an_empty_batch_changes_nothing
    reopening_keeps_everything
    a_value_may_be_large_then_small_then_gone
    a_key_may_have_256_bytes_and_a_value_none
    a_reader_sees_commits_and_ends_with_the_store
    a_load_visits_each_key_in_order
    a_role_runs_on_it
    a_flipped_byte_is_reported_with_its_key
    an_integrity_check_reads_every_row
    a_copy_has_the_same_rows_and_refuses_a_full_target
    concurrent_readers_never_see_half_a_batch
}

fn batch(rows: &[(&[u8], Option<&[u8]>)]) -> Batch {
    rows.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect()
}

fn all(engine: &impl Read) -> Vec<(Vec<u8>, Vec<u8>)> {
    engine.scan(&[], &AFTER_LAST_KEY, usize::MAX).unwrap()
}

fn an_absent_row_is_absent(mut bench: impl Bench) {
    let mut engine = bench.open();
    assert_eq!(engine.get(b"a").unwrap(), None);
    assert_eq!(all(&engine), []);
    engine.commit(&batch(&[(b"b", Some(b"1"))])).unwrap();
    assert_eq!(engine.get(b"a").unwrap(), None);
    assert_eq!(engine.get(b"bb").unwrap(), None);
    engine.commit(&batch(&[(b"a", None)])).unwrap();
    assert_eq!(engine.get(b"b").unwrap(), Some(b"1".to_vec()));
}

fn a_scan_is_in_the_order_of_the_bytes_and_keeps_its_bounds(mut bench: impl Bench) {
    let mut engine = bench.open();
    let keys: [&[u8]; 6] = [b"", b"\0", b"a", b"a\0", b"b", b"\xff\xff"];
    for key in keys.iter().rev() {
        engine.commit(&batch(&[(key, Some(key))])).unwrap();
    }
    let check = |from: &[u8], until: &[u8], limit: usize, expected: &[&[u8]]| {
        let found = engine.scan(from, until, limit).unwrap();
        let found: Vec<&[u8]> = found.iter().map(|(key, _)| key.as_slice()).collect();
        assert_eq!(found, expected, "{from:?}..{until:?} limit {limit}");
    };
    check(b"", &AFTER_LAST_KEY, 9, &keys);
    check(b"", &AFTER_LAST_KEY, 2, &[b"", b"\0"]);
    check(b"a", b"b", 9, &[b"a", b"a\0"]);
    check(b"a\0", b"b\0", 9, &[b"a\0", b"b"]);
    check(b"c", b"\xff", 9, &[]);
    check(b"a", b"b", 0, &[]);
    check(b"b", b"a", 9, &[]);
    check(b"b", b"b", 9, &[]);
}

fn a_removed_row_is_gone_and_may_come_back(mut bench: impl Bench) {
    let mut engine = bench.open();
    engine.commit(&batch(&[(b"a", Some(b"1")), (b"b", Some(b"2"))])).unwrap();
    engine.commit(&batch(&[(b"a", None)])).unwrap();
    assert_eq!(all(&engine), [(b"b".to_vec(), b"2".to_vec())]);
    let mut engine = bench.reopen(engine);
    assert_eq!(engine.get(b"a").unwrap(), None);
    engine.commit(&batch(&[(b"a", Some(b"3"))])).unwrap();
    assert_eq!(engine.get(b"a").unwrap(), Some(b"3".to_vec()));
}

fn a_batch_is_visible_as_a_whole(mut bench: impl Bench) {
    let mut engine = bench.open();
    let many: Batch =
        (0..2000_u32).map(|n| (n.to_be_bytes().to_vec(), Some(vec![7; 100]))).collect();
    engine.commit(&many).unwrap();
    assert_eq!(all(&engine).len(), 2000);
    let half: Batch = (0..1000_u32).map(|n| (n.to_be_bytes().to_vec(), None)).collect();
    engine.commit(&half).unwrap();
    let engine = bench.reopen(engine);
    assert_eq!(all(&engine).len(), 1000);
    assert_eq!(all(&engine)[0].0, 1000_u32.to_be_bytes());
}

fn an_empty_batch_changes_nothing(mut bench: impl Bench) {
    let mut engine = bench.open();
    engine.commit(&Batch::new()).unwrap();
    engine.commit(&batch(&[(b"a", Some(b"1"))])).unwrap();
    engine.commit(&Batch::new()).unwrap();
    let engine = bench.reopen(engine);
    assert_eq!(all(&engine), [(b"a".to_vec(), b"1".to_vec())]);
}

fn reopening_keeps_everything(mut bench: impl Bench) {
    let mut engine = bench.open();
    let mut expected = Vec::new();
    for n in 0..20_u8 {
        engine.commit(&batch(&[(&[n], Some(&[n; 300]))])).unwrap();
        expected.push((vec![n], vec![n; 300]));
        engine = bench.reopen(engine);
        assert_eq!(all(&engine), expected);
    }
}

fn a_value_may_be_large_then_small_then_gone(mut bench: impl Bench) {
    let mut engine = bench.open();
    let mut random = Random::new(7);
    for len in [4095, 4096, 4097, 8192, 100_000, 1 << 20, 5000, 10, 300_000, 0] {
        let value = random.bytes(len);
        engine.commit(&batch(&[(b"big", Some(&value)), (b"bih", Some(b"beside"))])).unwrap();
        assert_eq!(engine.get(b"big").unwrap().as_ref(), Some(&value), "{len}");
        engine = bench.reopen(engine);
        assert_eq!(all(&engine)[0], (b"big".to_vec(), value), "{len}");
        assert_eq!(all(&engine).len(), 2, "{len}");
        engine.check().unwrap();
    }
    engine.commit(&batch(&[(b"big", Some(&[1; 9000]))])).unwrap();
    engine.commit(&batch(&[(b"big", None)])).unwrap();
    assert_eq!(all(&engine), [(b"bih".to_vec(), b"beside".to_vec())]);
    engine.check().unwrap();
}

fn a_key_may_have_256_bytes_and_a_value_none(mut bench: impl Bench) {
    let mut engine = bench.open();
    let long = [0xff; 256];
    let rows: [(&[u8], Option<&[u8]>); 3] =
        [(&long, Some(b"")), (&long[..255], Some(&[9; 9000])), (b"", Some(b"empty"))];
    engine.commit(&batch(&rows)).unwrap();
    let engine = bench.reopen(engine);
    assert_eq!(engine.get(&long).unwrap(), Some(Vec::new()));
    assert_eq!(engine.get(&long[..255]).unwrap(), Some(vec![9; 9000]));
    assert_eq!(engine.get(b"").unwrap(), Some(b"empty".to_vec()));
    assert_eq!(all(&engine).len(), 3);
}

fn a_reader_sees_commits_and_ends_with_the_store(mut bench: impl Bench) {
    let mut engine = bench.open();
    let reader = engine.reader();
    assert_eq!(reader.get(b"a").unwrap(), None);
    engine.commit(&batch(&[(b"a", Some(b"1"))])).unwrap();
    assert_eq!(reader.get(b"a").unwrap(), Some(b"1".to_vec()));
    let engine = bench.reopen(engine); // although the reader lives
    assert!(reader.get(b"a").is_err(), "the reader of a closed store refuses");
    assert_eq!(engine.reader().get(b"a").unwrap(), Some(b"1".to_vec()));
}

fn a_load_visits_each_key_in_order(mut bench: impl Bench) {
    let mut engine = bench.open();
    engine.commit(&batch(&[(b"b", Some(b"2")), (b"d", Some(b"4"))])).unwrap();
    let mut keys = counterfoil_storage::engine::KeyList::default();
    for key in [b"a", b"b", b"c", b"d"] {
        keys.push_with(|out| out.extend_from_slice(key));
    }
    let mut seen = Vec::new();
    engine
        .load(&keys, &mut |index, value| {
            seen.push((index, value.map(<[u8]>::to_vec)));
            Ok(())
        })
        .unwrap();
    let two = Some(b"2".to_vec());
    assert_eq!(seen, [(0, None), (1, two), (2, None), (3, Some(b"4".to_vec()))]);
    let stop = StoreError::Unavailable { why: "enough".to_owned() };
    assert_eq!(engine.load(&keys, &mut |_, _| Err(stop.clone())), Err(stop.clone()));
}

fn post(account: u32, id: u64, amount: i64) -> Input {
    Input::Post { account, id, amount, memo: Vec::new() }
}

fn a_role_runs_on_it(mut bench: impl Bench) {
    let mut store = KeyValue::<Ledger, _>::new(bench.open());
    let inputs = [post(1, 10, 5), post(1, 11, -2), post(2, 10, 9), post(1, 10, 5)];
    let outputs = now(run(&Ledger, &mut store, Millis(0), &inputs)).unwrap();
    let expected = [
        Output::Posted { number: 1 },
        Output::Posted { number: 2 },
        Output::Posted { number: 1 },
        Output::Known { number: 1 },
    ];
    assert_eq!(outputs, expected);
    let store = KeyValue::<Ledger, _>::new(bench.reopen(store.into_engine()));
    let reader = store.reader();
    for balance in
        [now(store.get(&Key::Balance(1))).unwrap(), now(reader.get(&Key::Balance(1))).unwrap()]
    {
        assert_eq!(balance, Some(Record::Balance(3)));
    }
    let page = now(store.scan(&Key::Entry(1, 0), &Key::Entry(2, 0), 9)).unwrap();
    let numbers: Vec<Key> = page.iter().map(|(key, _)| *key).collect();
    assert_eq!(numbers, [Key::Entry(1, 1), Key::Entry(1, 2)]);
    let rows = reader.scan_all(99).unwrap().into_iter().collect();
    support::ledger::audit(&rows).unwrap();
}

fn a_flipped_byte_is_reported_with_its_key(mut bench: impl Bench) {
    let mut store = KeyValue::<Ledger, _>::new(bench.open());
    now(run(&Ledger, &mut store, Millis(0), &[post(1, 10, 5)])).unwrap();
    let mut key = Vec::new();
    <Ledger as counterfoil_protocol::persist::Persist>::key_bytes(&Key::Balance(1), &mut key);
    let good = store.engine().get(&key).unwrap().unwrap();
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 0x20;
        store.engine_mut().commit(&Batch::from([(key.clone(), Some(bad))])).unwrap();
        let expected = "0000000001".to_owned();
        let is_damage = |error: StoreError| {
            let StoreError::Damaged { key, .. } = error else { panic!("byte {index}: {error}") };
            assert_eq!(key, expected, "byte {index}");
        };
        is_damage(now(run(&Ledger, &mut store, Millis(0), &[post(1, 12, 1)])).unwrap_err());
        is_damage(now(store.get(&Key::Balance(1))).unwrap_err());
        is_damage(now(store.scan(&Key::Balance(0), &Key::Balance(9), 9)).unwrap_err());
        is_damage(store.check().unwrap_err());
    }
    store.engine_mut().commit(&Batch::from([(key, Some(good))])).unwrap();
    now(run(&Ledger, &mut store, Millis(0), &[post(1, 12, 1)])).unwrap();
    assert_eq!(now(store.get(&Key::Counter(1))).unwrap(), Some(Record::Counter(2)));
}

fn an_integrity_check_reads_every_row(mut bench: impl Bench) {
    let mut store = KeyValue::<Ledger, _>::new(bench.open());
    for id in 0..50 {
        now(run(&Ledger, &mut store, Millis(0), &[post(1, id, 1)])).unwrap();
    }
    assert_eq!(store.check().unwrap().rows, 2 + 2 * 50);
    assert_eq!(now(store.get(&Key::Balance(1))).unwrap(), Some(Record::Balance(50)));
    now(run(&Ledger, &mut store, Millis(0), &[post(1, 99, 1)])).unwrap();
    let forget = Input::Forget { account: 1, id: 99 };
    now(run(&Ledger, &mut store, Millis(0), &[forget])).unwrap();
    assert_eq!(store.check().unwrap().rows, 2 + 2 * 50 + 1);
    now(store.transact(vec![Key::Counter(7)], |loaded| {
        assert_eq!(*loaded, [(Key::Counter(7), None)]);
        support::ledger::writes([])
    }))
    .unwrap();
}

fn a_copy_has_the_same_rows_and_refuses_a_full_target(mut bench: impl Bench) {
    let mut engine = bench.open();
    let many: Batch =
        (0..1000_u32).map(|n| (n.to_be_bytes().to_vec(), Some(n.to_le_bytes().to_vec()))).collect();
    engine.commit(&many).unwrap();
    let mut copy = MemoryEngine::new();
    assert_eq!(copy_rows(&engine, &mut copy).unwrap(), 1000);
    assert_eq!(all(&copy), all(&engine));
    let refused = copy_rows(&copy, &mut engine).unwrap_err();
    assert!(matches!(refused, StoreError::Unsupported { .. }), "{refused}");
}

fn concurrent_readers_never_see_half_a_batch(mut bench: impl Bench) {
    let mut engine = bench.open();
    let state = |n: u32| -> Batch {
        (0..40_u8).map(|key| (vec![key], Some(n.to_be_bytes().to_vec()))).collect()
    };
    engine.commit(&state(0)).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let reader = engine.reader();
            let done = &done;
            scope.spawn(move || {
                let mut last = Vec::new();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let rows = all(&reader);
                    assert_eq!(rows.len(), 40);
                    assert!(rows.iter().all(|(_, value)| *value == rows[0].1), "half a batch");
                    assert!(last <= rows[0].1, "a reader goes back");
                    last.clone_from(&rows[0].1);
                }
            });
        }
        for n in 1..200 {
            engine.commit(&state(n)).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn sled_keeps_large_values_out_of_unsynced_files() {
    let mut bench = sled();
    let mut engine = bench.open();
    let mut random = Random::new(3);
    for n in 0..30_u8 {
        let value = random.bytes(1 + usize::from(n) * 30_000);
        let rows: Batch = (0..4_u8).map(|k| (vec![k, n % 3], Some(value.clone()))).collect();
        engine.commit(&rows).unwrap();
        assert_eq!(engine.blob_files().unwrap(), 0, "round {n}");
    }
    let engine = bench.reopen(engine);
    assert_eq!(engine.blob_files().unwrap(), 0);
}

#[test]
fn a_second_handle_is_locked_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("redb");
    let first = Redb::open(&path).unwrap();
    assert_eq!(Redb::open(&path).unwrap_err(), StoreError::Locked { path: path.clone() });
    drop(first);
    drop(Redb::open(&path).unwrap());
    let path = directory.path().join("sled");
    let first = Sled::open(&path).unwrap();
    assert_eq!(Sled::open(&path).unwrap_err(), StoreError::Locked { path: path.clone() });
    assert_eq!(Sled::compact(&path).unwrap_err(), StoreError::Locked { path: path.clone() });
    drop(first);
    drop(Sled::open(&path).unwrap());
}
