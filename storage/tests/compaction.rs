//! A compaction keeps every row, gives space back, and can be interrupted anywhere.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod support;

use std::fs;

use counterfoil_storage::engine::AFTER_LAST_KEY;
use counterfoil_storage::{AnyEngine, Batch, Engine as _, Location, Read as _, Sled};
use support::random::Random;

#[test]
fn a_compaction_keeps_the_rows_and_gives_space_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut random = Random::new(1);
    let mut engine = Sled::open(&path).unwrap();
    for _ in 0..40 {
        let rows: Batch = (0..50_u8).map(|key| (vec![key], Some(random.bytes(6000)))).collect();
        engine.commit(&rows).unwrap();
    }
    let expected = engine.scan(&[], &AFTER_LAST_KEY, usize::MAX).unwrap();
    drop(engine);
    for round in 0..3 {
        let done = Sled::compact(&path).unwrap();
        println!("{done:?}");
        assert_eq!(done.rows, 50);
        assert!(round > 0 || done.bytes_after * 2 < done.bytes_before, "{done:?}");
        let mut engine = Sled::open(&path).unwrap();
        assert_eq!(engine.scan(&[], &AFTER_LAST_KEY, usize::MAX).unwrap(), expected);
        engine.check().unwrap();
    }
}

#[test]
fn an_interrupted_compaction_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut engine = Sled::open(&path).unwrap();
    engine.commit(&Batch::from([(vec![1], Some(vec![1]))])).unwrap();
    drop(engine);
    // what a crash leaves: the next database in part, the next name unwritten
    fs::create_dir_all(path.join("store-2/blobs")).unwrap();
    fs::write(path.join("store-2/db"), b"half").unwrap();
    fs::write(path.join("current.new"), b"store-").unwrap();
    let mut engine = Sled::open(&path).unwrap();
    assert_eq!(engine.get(&[1]).unwrap(), Some(vec![1]));
    assert!(!path.join("store-2").exists(), "what did not count is removed");
    engine.commit(&Batch::from([(vec![2], Some(vec![2]))])).unwrap();
    drop(engine);
    assert_eq!(Sled::compact(&path).unwrap().rows, 2);
}

#[test]
fn a_location_opens_the_engine_that_it_names() {
    let directory = tempfile::tempdir().unwrap();
    for (text, files) in [("sled", true), ("redb", true), ("memory", false)] {
        let path = directory.path().join(text);
        let suffix = if files { path.display().to_string() } else { String::new() };
        let location: Location = format!("{text}:{suffix}").parse().unwrap();
        assert_eq!(location.to_string(), format!("{text}:{suffix}"));
        let mut engine = location.open().unwrap();
        let named = match engine {
            AnyEngine::Memory(_) => "memory",
            AnyEngine::Redb(_) => "redb",
            AnyEngine::Sled(_) => "sled",
            AnyEngine::Postgres(_) => "postgres",
        };
        assert_eq!(named, text);
        engine.commit(&Batch::from([(vec![1], Some(vec![1]))])).unwrap();
        assert_eq!(engine.reader().get(&[1]).unwrap(), Some(vec![1]));
        engine.check().unwrap();
        assert_eq!(path.exists(), files);
    }
    for bad in ["", "sled", "sled:", "redb:", "memory:/tmp", "postgres:x", "/var/lib/store"] {
        println!("{}", bad.parse::<Location>().unwrap_err());
    }
}
