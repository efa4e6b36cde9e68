//! The same batches through every engine end in the same state.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use counterfoil_protocol::machine::{Machine, Query, Store, run};
use counterfoil_protocol::time::Millis;
use counterfoil_storage::engine::AFTER_LAST_KEY;
use counterfoil_storage::{
    Batch, Engine, KeyValue, Memory, MemoryEngine, Postgres, Read as _, Redb, Sled, StoreError, Url,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use support::ledger::{Input, Key, Ledger, Output, Record};
use support::now;
use support::postgres::Cluster;

fn values() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        2 => Just(None),
        6 => vec(any::<u8>(), 0..40).prop_map(Some),
        // around the size at which sled's values are chunked
        2 => (any::<u8>(), prop_oneof![4090..4100_usize, 8190..8200_usize, 0..20_000_usize])
            .prop_map(|(byte, len)| Some(vec![byte; len])),
    ]
}

/// Few different keys, so that they are written, replaced and removed again.
fn batches() -> impl Strategy<Value = Vec<(Batch, bool)>> {
    let key = vec(0..4_u8, 0..4);
    let batch = btree_map(key, values(), 0..12).prop_map(Batch::from_iter);
    vec((batch, any::<bool>()), 1..12)
}

fn inputs() -> impl Strategy<Value = Vec<Vec<Input>>> {
    let memo = prop_oneof![vec(any::<u8>(), 0..20), Just(vec![7; 5000])];
    let post = (0..3_u32, 0..8_u64, -50..50_i64, memo)
        .prop_map(|(account, id, amount, memo)| Input::Post { account, id, amount, memo });
    let forget = (0..3_u32, 0..8_u64).prop_map(|(account, id)| Input::Forget { account, id });
    vec(vec(prop_oneof![4 => post, 1 => forget], 0..8), 1..8)
}

fn config() -> ProptestConfig {
    let regressions = FileFailurePersistence::WithSource("regressions");
    ProptestConfig {
        cases: 40,
        failure_persistence: Some(Box::new(regressions)),
        ..ProptestConfig::default()
    }
}

fn feed<E: Engine>(
    batches: &[(Batch, bool)],
    mut engine: E,
    reopen: impl Fn(E) -> E,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    for (batch, reopens) in batches {
        engine.commit(batch).unwrap();
        if *reopens {
            engine = reopen(engine);
        }
    }
    engine.check().unwrap();
    engine.scan(&[], &AFTER_LAST_KEY, usize::MAX).unwrap()
}

fn play<S>(groups: &[Vec<Input>], store: &mut S) -> (Vec<Output>, Vec<(Key, Record)>)
where
    S: Store<Ledger, Error = StoreError> + Query<Ledger, Error = StoreError>,
{
    let mut outputs = Vec::new();
    for group in groups {
        outputs.extend(now(run(&Ledger, store, Millis(0), group)).unwrap());
    }
    let end = Key::Entry(u32::MAX, u64::MAX);
    (outputs, now(store.scan(&Key::Balance(0), &end, usize::MAX)).unwrap())
}

fn keyvalue<E: Engine>(engine: E) -> KeyValue<Ledger, E>
where
    Ledger: Machine,
{
    KeyValue::new(engine)
}

/// Returns an empty store: what the case before has left is removed.
fn emptied(url: &Url) -> Postgres {
    let mut engine = Postgres::open_plain(url).unwrap();
    let left = engine.scan(&[], &AFTER_LAST_KEY, usize::MAX).unwrap();
    engine.commit(&left.into_iter().map(|(key, _)| (key, None)).collect()).unwrap();
    engine
}

fn database() -> Url {
    Url::parse(&Cluster::shared().database().unwrap()).unwrap()
}

fn folded(batches: &[(Batch, bool)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut expected = BTreeMap::new();
    for (key, value) in batches.iter().flat_map(|(batch, _)| batch.iter()) {
        match value {
            Some(value) => expected.insert(key.to_vec(), value.to_vec()),
            None => expected.remove(key),
        };
    }
    expected.into_iter().collect()
}

#[test]
fn on_postgres_the_same_batches_end_in_the_same_bytes() {
    let url = database();
    let law = |batches: Vec<(Batch, bool)>| {
        let stored = feed(&batches, emptied(&url), |engine| {
            drop(engine);
            Postgres::open_plain(&url).unwrap()
        });
        prop_assert_eq!(stored, folded(&batches));
        Ok(())
    };
    TestRunner::new(config()).run(&batches(), law).unwrap();
}

#[test]
fn on_postgres_the_same_postings_have_the_same_outputs_and_rows() {
    let url = database();
    let law = |groups: Vec<Vec<Input>>| {
        let expected = play(&groups, &mut Memory::<Ledger>::new());
        prop_assert_eq!(play(&groups, &mut keyvalue(emptied(&url))), expected);
        Ok(())
    };
    TestRunner::new(config()).run(&inputs(), law).unwrap();
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_same_batches_end_in_the_same_bytes(batches in batches()) {
        let expected = folded(&batches);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let memory = feed(&batches, MemoryEngine::new(), |engine| {
            let bytes = engine.durable_bytes();
            MemoryEngine::open(engine.crash(bytes)).unwrap()
        });
        prop_assert_eq!(&memory, &expected);
        let open = || Redb::open(&path.join("redb")).unwrap();
        let redb = feed(&batches, open(), |engine| { drop(engine); open() });
        prop_assert_eq!(&redb, &expected);
        let open = || Sled::open(&path.join("sled")).unwrap();
        let sled = feed(&batches, open(), |engine| { drop(engine); open() });
        prop_assert_eq!(&sled, &expected);
    }

    #[test]
    fn the_same_postings_have_the_same_outputs_and_rows(groups in inputs()) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let expected = play(&groups, &mut Memory::<Ledger>::new());
        let redb = Redb::open(&path.join("redb")).unwrap();
        let sled = Sled::open(&path.join("sled")).unwrap();
        prop_assert_eq!(&play(&groups, &mut keyvalue(MemoryEngine::new())), &expected);
        prop_assert_eq!(&play(&groups, &mut keyvalue(redb)), &expected);
        prop_assert_eq!(&play(&groups, &mut keyvalue(sled)), &expected);
    }
}
