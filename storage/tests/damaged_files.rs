//! A damaged file is an answer, not a panic: damaged, or exactly the rows that were written.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use counterfoil_protocol::machine::run;
use counterfoil_protocol::time::Millis;
use counterfoil_storage::{Engine, KeyValue, Location, Redb, Sled, StoreError};
use support::ledger::{Input, Key, Ledger, Record};
use support::now;
use support::random::Random;

fn fill<E: Engine>(engine: E) -> Vec<(Key, Record)> {
    let mut store = KeyValue::<Ledger, _>::new(engine);
    for id in 0..30 {
        let memo = vec![id as u8; 700];
        let post = Input::Post { account: 1, id, amount: 3, memo };
        now(run(&Ledger, &mut store, Millis(0), &[post])).unwrap();
    }
    store.reader().scan_all(usize::MAX).unwrap()
}

/// Opens and reads everything; whatever is returned without an error is compared.
fn examine<E: Engine>(
    open: impl FnOnce() -> Result<E, StoreError>,
) -> Result<Vec<(Key, Record)>, StoreError> {
    let mut store = KeyValue::<Ledger, _>::new(open()?);
    let rows = store.reader().scan_all(usize::MAX)?;
    store.check()?;
    Ok(rows)
}

#[test]
fn redb_never_serves_a_row_that_was_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("good");
    let expected = fill(Redb::open(&path).unwrap());
    let good = fs::read(&path).unwrap();
    let mut random = Random::new(5);
    let (mut damaged, mut healed) = (0, 0);
    for round in 0..150 {
        let mut bad = good.clone();
        match round % 3 {
            0 => {
                let at = random.below(bad.len() as u64) as usize;
                bad[at] ^= 1 << random.below(8);
            }
            1 => {
                let page = random.below(bad.len() as u64 / 4096) as usize * 4096;
                bad[page..page + 4096].fill(0xa5);
            }
            _ => bad.truncate(random.below(good.len() as u64) as usize + 1),
        }
        let path = directory.path().join(format!("bad-{round}"));
        fs::write(&path, bad).unwrap();
        match examine(|| Redb::open(&path)) {
            Ok(rows) => {
                assert_eq!(rows, expected, "round {round}");
                healed += 1;
            }
            Err(StoreError::Damaged { .. } | StoreError::Unsupported { .. }) => damaged += 1,
            Err(other) => panic!("round {round}: {other}"),
        }
        fs::remove_file(&path).unwrap();
    }
    println!("redb: {damaged} reported, {healed} had no effect");
    assert!(damaged > 20, "only {damaged} were met");
}

#[test]
fn sled_never_opens_with_fewer_rows_than_were_committed() {
    let directory = tempfile::tempdir().unwrap();
    let good = directory.path().join("good");
    let expected = fill(Sled::open(&good).unwrap());
    let log = fs::read(good.join("store-1/db")).unwrap();
    let mut random = Random::new(6);
    let (mut damaged, mut healed) = (0, 0);
    for round in 0..120 {
        let path = directory.path().join(format!("bad-{round}"));
        copy(&good, &path);
        let mut bad = log.clone();
        for _ in 0..random.below(64).min(round) {
            let at = random.below(bad.len() as u64) as usize;
            bad[at] ^= 1 << random.below(8);
        }
        fs::write(path.join("store-1/db"), bad).unwrap();
        match examine(|| Sled::open(&path)) {
            Ok(rows) => {
                assert_eq!(rows, expected, "round {round}");
                healed += 1;
            }
            Err(StoreError::Damaged { .. }) => damaged += 1,
            Err(other) => panic!("round {round}: {other}"),
        }
        fs::remove_dir_all(&path).unwrap();
    }
    println!("sled: {damaged} reported, {healed} had no effect");
    assert!(damaged > 20, "only {damaged} were met");
}

#[test]
fn a_store_that_lost_its_database_does_not_begin_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    fill(Sled::open(&path).unwrap());
    Sled::compact(&path).unwrap();
    let copied = directory.path().join("copy");
    copy(&path, &copied);
    fs::remove_dir_all(path.join("store-2")).unwrap();
    assert!(matches!(Sled::open(&path), Err(StoreError::Damaged { .. })));
    fs::remove_file(copied.join("current")).unwrap();
    assert!(matches!(Sled::open(&copied), Err(StoreError::Damaged { .. })));
    fs::write(copied.join("current"), "stone-2").unwrap();
    assert!(matches!(Sled::open(&copied), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_foreign_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let refused = Redb::open(&path).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    let other = directory.path().join("other");
    {
        let database = redb::Database::create(&other).unwrap();
        let transaction = database.begin_write().unwrap();
        let table = redb::TableDefinition::<u64, u64>::new("theirs");
        transaction.open_table(table).unwrap().insert(1, 2).unwrap();
        transaction.commit().unwrap();
    }
    let refused = Redb::open(&other).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    let multimap = directory.path().join("multimap");
    {
        let database = redb::Database::create(&multimap).unwrap();
        let transaction = database.begin_write().unwrap();
        let table = redb::MultimapTableDefinition::<u64, u64>::new("theirs");
        transaction.open_multimap_table(table).unwrap().insert(1, 2).unwrap();
        transaction.commit().unwrap();
    }
    let refused = Redb::open(&multimap).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
}

#[test]
fn a_missing_directory_is_unavailable() {
    let location: Location = "redb:/nowhere/at/all/store".parse().unwrap();
    let refused = location.open().unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let entries: Vec<PathBuf> =
        fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    for entry in entries {
        let target = to.join(entry.file_name().unwrap());
        match entry.is_dir() {
            true => copy(&entry, &target),
            false => drop(fs::copy(&entry, &target).unwrap()),
        }
    }
}
