//! Disks that are full, under real programs: who cannot keep a sale says so, and what was said to
//! be kept is there when there is room again, once (B.13).
//!
//! A file-size limit of the system stands for the disk: a write or a growth beyond it fails as on a
//! disk without room, and a test needs no disk of its own.
#![cfg(unix)]
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::http::Answer;
use counterfoil_tests::shop::Shop;
use counterfoil_tests::till::{Door, Till};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
/// The price of a piece that is offered, in minor units.
const PRICE: i64 = 149;
/// Sales after which any disk of these tests is full.
const SALES_MAX: u64 = 20_000;

/// Makes a program that runs another one, and lets no file of it grow beyond so many bytes.
fn with_room(directory: &Path, program: &Path, bytes: u64) -> PathBuf {
    let name = program.file_name().expect("a program has a name").to_string_lossy();
    let limited = directory.join(format!("{name}-with-little-room"));
    // The shell counts in blocks of 512 bytes, and a signal would end the program.
    let blocks = bytes / 512;
    let program = program.display();
    let script = format!("#!/bin/sh\ntrap '' XFSZ\nulimit -f {blocks}\nexec '{program}' \"$@\"\n");
    fs::write(&limited, script).expect("a script");
    fs::set_permissions(&limited, fs::Permissions::from_mode(0o755)).expect("it may be run");
    limited
}

/// Returns the size of the largest file below a directory.
fn largest(directory: &Path) -> u64 {
    if !directory.is_dir() {
        return fs::metadata(directory).map_or(0, |told| told.len());
    }
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| largest(&entry.expect("an entry").path())).max().unwrap_or(0)
}

/// Returns how large a file may become that is to be full soon: it grows by doubling, which it may
/// once.
fn room_of(place: &Path) -> u64 {
    2 * largest(place) + 64 * 1024
}

/// Offers a sale of one piece, and returns the status and the code of its refusal, if it is one.
async fn offered(door: &Door, number: u64) -> (u16, String) {
    let answer = offer(door, number).await.expect("an answer, whatever the disk says");
    let said: Value = answer.json().unwrap_or(Value::Null);
    (answer.status, said["code"].as_str().unwrap_or_default().to_owned())
}

async fn offer(door: &Door, number: u64) -> anyhow::Result<Answer> {
    door.offer(&format!("sale-{number}"), "tea").await
}

/// Holds what the cloud has against what the till sold.
async fn holds(shop: &mut Shop, sales: u64) {
    shop.cloud.stop().await.expect("stopped");
    let (held, parked) = shop.cloud.figures().await.expect("figures");
    assert_eq!((held.lines, held.money_minor, parked), (sales, sales as i64 * PRICE, 0));
    let check = shop.cloud.check().await.expect("checked");
    assert_eq!((check.posted, check.conflicts, check.problems_found), (sales, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_on_a_full_disk_refuses_and_loses_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut shop = Shop::open(directory.path(), "redb", &[("T-1", "north")]).await.expect("a shop");
    let mut till = shop.install("T-1", None).await.expect("a till");
    let door = till.start().await.expect("the till is open");
    assert_eq!(offered(&door, 0).await.0, 201);
    door.drain(LIMIT).await.expect("in step");
    till.stop().await.expect("stopped");
    shop.cloud.kill().await.expect("killed"); // so that nothing leaves the queue

    let room = room_of(till.home());
    let limited = with_room(directory.path(), shop.terminal_program(), room);
    let log = directory.path().join("limited.log");
    let mut narrow = Till::new(&limited, till.home().to_owned(), log.clone());
    let door = narrow.start().await.expect("the till is open");
    let mut next = 1;
    let (status, code) = loop {
        let (status, code) = offered(&door, next).await;
        if status >= 300 {
            break (status, code);
        }
        next += 1;
        assert!(next < SALES_MAX, "the disk is never full");
    };
    assert_eq!((status, code.as_str()), (503, "POS_SYNC_STORAGE_FAILED"));
    assert!(next > 1, "there was room for some");
    // It ends, as nobody knows what the file holds by now; until then it refuses.
    if let Ok(answer) = offer(&door, next).await {
        assert!(answer.status >= 500, "{}", answer.status);
    }
    let said = fs::read_to_string(&log).expect("a log");
    assert!(!said.contains("panicked"), "{said}");
    assert!(said.contains("the store is closed"), "it says why it ends: {said}");
    let _ended = narrow.kill().await;

    // With room again: the sale that was refused is said again under its name.
    let door = till.start().await.expect("the till is open");
    assert!(offered(&door, next).await.0 < 300);
    for number in 0..=next {
        assert!(offered(&door, number).await.0 < 300, "sale {number} is known");
    }
    shop.restart().await.expect("the cloud is back");
    door.drain(LIMIT).await.expect("drained");
    till.stop().await.expect("stopped");
    holds(&mut shop, next + 1).await;
}

async fn a_cloud_on_a_full_disk(engine: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut shop = Shop::open(directory.path(), engine, &[("T-1", "north")]).await.expect("a shop");
    let mut till = shop.install("T-1", None).await.expect("a till");
    let door = till.start().await.expect("the till is open");
    assert_eq!(offered(&door, 0).await.0, 201);
    door.drain(LIMIT).await.expect("in step");
    shop.cloud.stop().await.expect("stopped");

    let store = directory.path().join("cloud");
    let program = shop.terminal_program().with_file_name("cloud-node");
    let limited = with_room(directory.path(), &program, room_of(&store));
    let log = directory.path().join("limited.log");
    let narrow = Cloud::new(&limited, format!("{engine}:{}", store.display()), log.clone());
    let mut narrow = narrow.with_arguments(&["--rate", "0", "--byte-rate", "0"]);
    narrow.start(shop.address()).await.expect("there is room to begin");
    let (mut sold, mut pending, mut taken) = (1, 0, 0);
    while pending < 400 {
        for number in sold..sold + 100 {
            assert_eq!(offered(&door, number).await.0, 201, "a till needs no cloud");
        }
        sold += 100;
        door.sync().await.expect("asked");
        tokio::time::sleep(Duration::from_millis(300)).await;
        pending = door.status().await.expect("a state").pending;
        taken = taken.max(sold - pending);
        assert!(sold < SALES_MAX, "the disk is never full");
    }
    assert!(taken > 1, "there was room for some");
    let said = fs::read_to_string(&log).expect("a log");
    assert!(!said.contains("panicked"), "{said}");
    let why = ["the committer has ended", "the process ends"];
    assert!(why.iter().any(|why| said.contains(why)), "it says why it ends: {said}");
    // It has ended by itself, as a node does whose store has failed.
    let _ended = narrow.kill().await;

    shop.restart().await.expect("the cloud is back");
    door.drain(LIMIT).await.expect("drained");
    till.stop().await.expect("stopped");
    holds(&mut shop, sold).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redb_cloud_on_a_full_disk_acknowledges_nothing_that_it_cannot_keep() {
    a_cloud_on_a_full_disk("redb").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sled_cloud_on_a_full_disk_acknowledges_nothing_that_it_cannot_keep() {
    a_cloud_on_a_full_disk("sled").await;
}
