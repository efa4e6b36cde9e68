//! A till's database of schema version 1, made by the program of that time, becomes one of version
//! 2: every row stays as it is, and the index is what the products say, wherever it was killed.
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is has no barcode")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use counterfoil_protocol::catalog::Entity;
use counterfoil_protocol::identity::{Epoch, ProductId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::machine::Store as _;
use counterfoil_protocol::terminal::migrate::SCHEMA_VERSION;
use counterfoil_protocol::terminal::row::{CodeIndex, Schema};
use counterfoil_protocol::terminal::{Key, Record, Terminal};
use counterfoil_storage::{KeyValue, Redb};
use counterfoil_terminal::config::Home;
use counterfoil_terminal::daemon;
use counterfoil_terminal::shelf::{by_code, products};
use counterfoil_terminal::till::{Till, TillError};
use counterfoil_terminal::witness::WitnessCell;

mod support;
use support::{TestClock, TestEntropy, sale};

const VERSION_1: &[u8] = include_bytes!("fixtures/till-schema-1.redb.zst");

type Disk = KeyValue<Terminal, Redb>;
type Rows = BTreeMap<Key, Record>;

fn unpack(to: &Path) {
    let bytes = zstd::decode_all(VERSION_1).expect("a packed database");
    std::fs::write(to, bytes).expect("a place for it");
}

fn store(path: &Path) -> Disk {
    KeyValue::new(Redb::open(path).expect("a database"))
}

fn rows(path: &Path) -> Rows {
    let page = store(path).reader().scan_all(100_000).expect("every row can be read");
    page.into_iter().collect()
}

/// The witness that belongs to the database as it is.
fn witness(path: &Path) -> WitnessCell {
    let rows = rows(path);
    let Record::Meta(meta) = &rows[&Key::Meta] else { panic!("books") };
    let (install, boot) = (meta.install, meta.boot);
    WitnessCell(Some(counterfoil_protocol::identity::Witness { install, boot }))
}

async fn opened(path: &Path) -> Till<Disk> {
    let mut witness = witness(path);
    let clock = std::sync::Arc::new(TestClock::default());
    let till = Till::new(store(path), clock, Box::new(TestEntropy(3)));
    let opened = till.open(&mut witness).await.expect("it opens");
    assert_eq!(opened.parted, None, "a migration begins no epoch");
    till
}

/// All that is not new, and does not change with each start.
fn lasting(rows: &Rows) -> Rows {
    let mut rows = rows.clone();
    let added = |key: &Key| matches!(key, Key::Schema | Key::Code(..) | Key::Diary | Key::Note(_));
    rows.retain(|key, _| !added(key));
    let Some(Record::Meta(meta)) = rows.get_mut(&Key::Meta) else { panic!("books") };
    (meta.boot, meta.boot_before) = (0, 0);
    rows
}

fn held(rows: &Rows) -> BTreeSet<(Label, ProductId)> {
    let codes = rows.keys().filter_map(|key| match key {
        Key::Code(code, product) => Some((*code, *product)),
        _ => None,
    });
    codes.collect()
}

fn said(rows: &Rows) -> BTreeSet<(Label, ProductId)> {
    let mut said = BTreeSet::new();
    for (key, record) in rows {
        if let (Key::Item(id), Record::Item(item)) = (key, record)
            && let Ok(Entity::Product(product)) = Entity::from_canonical(*id, &item.content)
        {
            said.extend(product.barcodes.iter().map(|code| (*code, product.id)));
        }
    }
    said
}

fn is_migrated(before: &Rows, after: &Rows) {
    assert_eq!(lasting(after), lasting(before), "no row but the new ones has changed");
    assert_eq!(held(after), said(before), "the index is what the products say");
    let whole = Schema { version: SCHEMA_VERSION, codes: CodeIndex::Whole };
    assert_eq!(after.get(&Key::Schema), Some(&Record::Schema(whole)));
}

fn code(text: &str) -> Label {
    Label::parse(text).expect("a code")
}

#[test]
fn the_fixture_is_of_version_1_and_has_something_of_everything() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("till.redb");
    unpack(&path);
    let rows = rows(&path);
    assert!(!rows.contains_key(&Key::Schema) && held(&rows).is_empty());
    let count = |is: fn(&Key) -> bool| rows.keys().filter(|key| is(key)).count();
    assert_eq!(count(|key| matches!(key, Key::Entry(..))), 9);
    assert_eq!(count(|key| matches!(key, Key::Attention(..))), 1);
    assert!(count(|key| matches!(key, Key::Queue(..))) >= 4);
    assert_eq!(count(|key| matches!(key, Key::Item(_))), 202);
    assert!(said(&rows).len() > 200);
    let epochs: BTreeSet<Epoch> = rows
        .keys()
        .filter_map(|key| if let Key::Entry(epoch, _) = key { Some(*epoch) } else { None })
        .collect();
    assert_eq!(epochs.len(), 2, "one history was closed");
}

#[tokio::test]
async fn every_row_stays_and_the_index_comes() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("till.redb");
    unpack(&path);
    let before = rows(&path);
    let till = opened(&path).await;
    // Before the first step everything works as it did.
    let shared = by_code(&till, code("4000000000199")).await.expect("a look-up");
    assert!(shared.len() <= 1, "no product has it, or one");
    let found = by_code(&till, code("4000000000021")).await.expect("a look-up");
    assert_eq!(found.first().map(|p| p.product_id.as_str()), Some("sku-021"));
    let progress = till.migrate(|_| ()).await.expect("a migration");
    assert!(progress.complete && progress.steps == 1, "{progress:?}");
    let again = till.migrate(|_| ()).await.expect("a migration");
    assert_eq!(again.steps, 0, "nothing is left");
    let found = by_code(&till, code("4000000000021")).await.expect("a look-up");
    assert_eq!(found.first().map(|p| p.product_id.as_str()), Some("sku-021"));
    let own = by_code(&till, code("sku-007")).await.expect("a look-up");
    assert_eq!(own.first().map(|p| (p.price_minor, p.branch_price)), Some((77, true)));
    let shared = by_code(&till, code("9000000000000")).await.expect("a look-up");
    let shared: Vec<_> = shared.iter().map(|p| p.product_id.as_str()).collect();
    assert_eq!(shared, ["sku-011", "sku-012"], "a person chooses");
    let inactive = by_code(&till, code("4000000000013")).await.expect("a look-up");
    assert!(inactive.is_empty(), "what is not sold is not found");
    let searched = products(&till, "4000000000021", 10).await.expect("a search");
    assert_eq!(searched, found);
    drop(till);
    is_migrated(&before, &rows(&path));
}

#[tokio::test]
async fn stopped_after_any_step_the_next_start_goes_on() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("till.redb");
    const MOST: usize = 37; // six steps
    for stopped in 0..=6_usize {
        unpack(&path);
        let before = rows(&path);
        let till = opened(&path).await;
        for _ in 0..stopped {
            assert!(till.migrate_once(MOST).await.expect("a step"), "there is one more");
        }
        drop(till);
        let part = rows(&path);
        assert_eq!(lasting(&part), lasting(&before));
        assert!(held(&part).is_subset(&said(&before)), "nothing is there too early");
        let till = opened(&path).await;
        let mut steps = stopped;
        while till.migrate_once(MOST).await.expect("a step") {
            steps += 1;
        }
        assert_eq!(steps, 6, "no step is taken twice");
        drop(till);
        is_migrated(&before, &rows(&path));
    }
}

#[tokio::test]
async fn it_sells_while_it_is_migrated() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("till.redb");
    unpack(&path);
    let till = opened(&path).await;
    let mut sold = 0;
    while till.migrate_once(50).await.expect("a step") {
        till.record(sale(&format!("new-{sold}"), 5)).await.expect("a sale");
        sold += 1;
    }
    assert_eq!(sold, 5);
    drop(till);
    let after = rows(&path);
    assert_eq!(held(&after), said(&after));
    let entries = after.keys().filter(|key| matches!(key, Key::Entry(..))).count();
    assert_eq!(entries, 9 + sold);
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = Home::new(directory.path());
    let path = home.database();
    unpack(&path);
    let newer = Schema { version: SCHEMA_VERSION + 1, codes: CodeIndex::Whole };
    let write = vec![(Key::Schema, Some(std::sync::Arc::new(Record::Schema(newer))))];
    store(&path).transact(vec![Key::Schema], |_| write.clone()).await.expect("a commit");
    let before = rows(&path);
    let refused = daemon::store(&home).expect_err("every command refuses it").to_string();
    assert!(refused.starts_with("POS_TILL_DATABASE_TOO_NEW: "), "{refused}");
    assert!(refused.contains("install the newer program"), "{refused}");
    let mut kept = witness(&path);
    let clock = std::sync::Arc::new(TestClock::default());
    let till = Till::new(store(&path), clock, Box::new(TestEntropy(3)));
    assert_eq!(till.open(&mut kept).await, Err(TillError::TooNew(SCHEMA_VERSION + 1)));
    drop(till);
    assert_eq!(rows(&path), before);
}
