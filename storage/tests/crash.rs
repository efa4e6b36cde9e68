//! A process that is killed in the middle of its commits loses nothing it acknowledged.
//!
//! Each round starts a child that posts groups and says "acked n" after each commit, kills it with
//! SIGKILL at a random moment, opens what it left, and checks the books. The next child goes on
//! with the same file. A kill is not a power cut: what the kernel has, it keeps. That the sync
//! reaches the disk is the claim of `sled_sync`.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use counterfoil_storage::{Engine, KeyValue, Postgres, Redb, Sled, Url};
use support::child;
use support::ledger::{Input, Key, Ledger, Record, audit};
use support::postgres::Cluster;
use support::random::Random;

/// The rounds after which a new file is begun: the books are read in full each round.
const ROUNDS_PER_FILE: u64 = 12;

/// Not a test by itself: the process that is killed.
#[test]
fn child() {
    child::obey();
}

#[test]
fn redb_loses_nothing_to_a_kill() {
    rounds("redb", 11, 1, in_a_directory, |place| Redb::open(Path::new(place)).unwrap());
}

#[test]
fn sled_loses_nothing_to_a_kill() {
    rounds("sled", 13, 1, in_a_directory, |place| Sled::open(Path::new(place)).unwrap());
}

/// The kill leaves a session behind, which may still commit what it was sent.
#[test]
fn on_postgres_nothing_is_lost_to_a_kill_of_the_node() {
    let database = || (Cluster::shared().database().unwrap(), None);
    rounds("postgres", 17, 4, database, postgres);
}

#[test]
fn on_postgres_nothing_is_lost_to_a_kill_of_the_server() {
    let mut cluster = Cluster::start().unwrap();
    let place = cluster.database().unwrap();
    let mut random = Random::new(19);
    let mut done = 0;
    let mut acked_total = 0;
    for round in 0..crash_rounds().div_ceil(20) {
        let orders = format!("postgres {place} {} {}", done + 1, done + 1_000_000);
        let mut child = child::command(&[], &orders).spawn().unwrap();
        let stop_at = done + 1 + random.below(20);
        let (seen, mut lines) = child::acks(&mut child, |acked| acked >= stop_at);
        assert!(seen > done, "the child ended by itself: {:?}", child.wait_with_output());
        std::thread::sleep(Duration::from_micros(random.below(3000)));
        cluster.kill().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let mut acked = seen;
        while let Some(said) = child::next_ack(&mut lines) {
            acked = said; // said before the server was killed
        }
        cluster.restart().unwrap();
        let kept = books(postgres(&place), acked);
        let kept = kept.unwrap_or_else(|wrong| panic!("round {round}, acked {acked}: {wrong}"));
        acked_total += acked - done;
        done = kept;
    }
    println!("the server was killed: {acked_total} groups acked");
    assert!(acked_total > 0, "the children committed too little to show anything");
}

fn postgres(place: &str) -> Postgres {
    Postgres::open_plain(&Url::parse(place).unwrap()).unwrap()
}

/// Where a store lies, and what has to be kept for that.
type Place = (String, Option<tempfile::TempDir>);

fn in_a_directory() -> Place {
    let directory = tempfile::tempdir().unwrap();
    (directory.path().join("store").display().to_string(), Some(directory))
}

fn crash_rounds() -> u64 {
    std::env::var("COUNTERFOIL_CRASH_ROUNDS").map_or(200, |n| n.parse().unwrap())
}

fn rounds<E: Engine>(
    name: &str,
    seed: u64,
    fewer: u64,
    new: impl Fn() -> Place,
    open: impl Fn(&str) -> E,
) {
    let rounds = crash_rounds().div_ceil(fewer);
    let mut random = Random::new(seed);
    let (mut acked_total, mut unacked_kept) = (0, 0);
    let mut round = 0;
    while round < rounds {
        let (path, _kept) = new();
        let mut done = 0; // the last group that is known to be in the books
        for _ in 0..ROUNDS_PER_FILE.min(rounds - round) {
            let acked = kill_one(name, &path, done + 1, &mut random).max(done);
            let kept = {
                let _alone = alone();
                books(open(&path), acked)
            };
            let kept =
                kept.unwrap_or_else(|wrong| panic!("{name} round {round}, acked {acked}: {wrong}"));
            acked_total += acked - done;
            unacked_kept += kept - acked;
            done = kept;
            round += 1;
        }
    }
    println!("{name}: {rounds} kills, {acked_total} groups acked, {unacked_kept} kept unacked");
    assert!(acked_total > rounds, "the children committed too little to show anything");
}

/// Nobody starts a process while another test has its store open: until it begins its program, a
/// new process has a copy of every open file, and with it the lock on a store that was closed
/// meanwhile.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one child until a random moment, and returns the last group that it acknowledged.
fn kill_one(name: &str, path: &str, first: u64, random: &mut Random) -> u64 {
    let orders = format!("{name} {path} {first} {}", first + 1_000_000);
    let mut child = {
        let _alone = alone();
        child::command(&[], &orders).spawn().unwrap()
    };
    let stop_at = first + random.below(20);
    let (seen, mut lines) = child::acks(&mut child, |acked| acked >= stop_at);
    assert!(seen >= first, "{name}: the child ended by itself: {:?}", child.wait_with_output());
    let end = Instant::now() + Duration::from_micros(random.below(1500));
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut last = seen;
    while let Some(acked) = child::next_ack(&mut lines) {
        last = acked; // said before it was killed
    }
    last
}

/// Audits the books: every group up to `acked` is there, at most one more, each of them whole.
/// Returns the last group that is there.
fn books<E: Engine>(engine: E, acked: u64) -> Result<u64, String> {
    let mut store = KeyValue::<Ledger, _>::new(engine);
    let page = store.reader().scan_all(usize::MAX).map_err(|error| error.to_string())?;
    let rows: BTreeMap<Key, Record> = page.into_iter().collect();
    audit(&rows)?;
    let mut last = acked;
    let next = child::group(acked + 1);
    match next.iter().filter(|input| holds(&rows, input)).count() {
        0 => {}
        n if n == next.len() => last = acked + 1,
        n => {
            return Err(format!("{n} of {} postings of an unacked group", next.len()));
        }
    }
    let mut expected = 0;
    for number in 1..=last {
        for input in child::group(number) {
            if !holds(&rows, &input) {
                return Err(format!("acked group {number} lacks {input:?}"));
            }
            expected += 1;
        }
    }
    let entries = rows.keys().filter(|key| matches!(key, Key::Entry(..))).count();
    if entries != expected {
        return Err(format!("{entries} entries where {expected} were posted"));
    }
    if acked.is_multiple_of(4) {
        store.check().map_err(|error| error.to_string())?;
    }
    Ok(last)
}

fn holds(rows: &BTreeMap<Key, Record>, input: &Input) -> bool {
    let Input::Post { account, id, amount, memo } = input else {
        return false;
    };
    let Some(Record::Posting { number }) = rows.get(&Key::Posting(*account, *id)) else {
        return false;
    };
    let expected = Record::Entry { id: *id, amount: *amount, memo: memo.clone() };
    rows.get(&Key::Entry(*account, *number)) == Some(&expected)
}
