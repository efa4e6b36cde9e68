//! Figures, on demand: `cargo test --release -p counterfoil-storage --test measure -- --ignored
//! --nocapture`. They compare engines on one machine; they are no claim and no test.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil_protocol::machine::run;
use counterfoil_protocol::time::Millis;
use counterfoil_storage::{Engine, KeyValue, Memory, MemoryEngine, Redb, Sled};
use support::ledger::{Input, Ledger};
use support::now;

const SPAN: Duration = Duration::from_secs(4);

#[test]
#[ignore = "it measures; it shows nothing"]
fn commits_a_second() {
    let directory = tempfile::tempdir().unwrap();
    for group in [1, 100, 1000] {
        let path = directory.path().join(format!("redb-{group}"));
        measure("redb", group, Redb::open(&path).unwrap());
        let path = directory.path().join(format!("sled-{group}"));
        measure("sled", group, Sled::open(&path).unwrap());
        let rows = reopening(&path);
        println!("  sled reopens with {rows} rows, all of them read");
        measure("memory engine", group, MemoryEngine::new());
    }
    let mut store = Memory::<Ledger>::new();
    let (commits, took) = fill(1, |inputs| {
        now(run(&Ledger, &mut store, Millis(0), inputs)).unwrap();
    });
    println!("typed memory, 1 a commit: {} postings/s", per_second(commits, took));
}

fn measure(name: &str, group: u64, engine: impl Engine) {
    let mut store = KeyValue::<Ledger, _>::new(engine);
    let (commits, took) = fill(group, |inputs| {
        now(run(&Ledger, &mut store, Millis(0), inputs)).unwrap();
    });
    let (rate, micros) = (per_second(commits, took), took.as_micros() / u128::from(commits));
    println!("{name}, {group} a commit: {} postings/s, {micros} us/commit", rate * group);
}

fn fill(group: u64, mut commit: impl FnMut(&[Input])) -> (u64, Duration) {
    let start = Instant::now();
    let mut commits = 0;
    while start.elapsed() < SPAN {
        let inputs: Vec<Input> = (0..group)
            .map(|n| Input::Post {
                account: (n % 50) as u32,
                id: commits * group + n,
                amount: 1,
                memo: vec![7; 250],
            })
            .collect();
        commit(&inputs);
        commits += 1;
    }
    (commits, start.elapsed())
}

fn reopening(path: &Path) -> u64 {
    let start = Instant::now();
    let mut store = KeyValue::<Ledger, _>::new(Sled::open(path).unwrap());
    println!("  sled opens in {} ms", start.elapsed().as_millis());
    store.check().unwrap().rows
}

fn per_second(count: u64, took: Duration) -> u64 {
    count * 1_000_000 / took.as_micros() as u64
}
