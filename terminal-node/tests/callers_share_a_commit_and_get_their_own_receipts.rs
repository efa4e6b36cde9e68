//! Group commit: each caller gets its own receipt, receipts have no gaps, and a failed store
//! refuses everybody until it is reopened.

mod support;

use std::collections::BTreeSet;

use counterfoil_protocol::terminal::{Output, Terminal};
use counterfoil_storage::{Failure, Memory};
use counterfoil_terminal::till::{TillError, TillStore};
use counterfoil_terminal::witness::WitnessCell;
use support::{closed_till, id, identity, pos, sale, till};

#[tokio::test]
async fn two_hundred_callers_get_two_hundred_gapless_receipts() {
    let till = till().await;
    let mut callers = tokio::task::JoinSet::new();
    for index in 0..200_i64 {
        let till = till.clone();
        callers
            .spawn(async move { (index, till.record(sale(&format!("s-{index}"), index)).await) });
    }
    let mut numbers = BTreeSet::new();
    let mut places = BTreeSet::new();
    while let Some(done) = callers.join_next().await {
        let (index, output) = done.expect("no panic");
        let Ok(Output::Recorded { place, receipt, again: false }) = output else {
            panic!("{output:?}")
        };
        numbers.insert(receipt.expect("a sale has a receipt").number);
        places.insert(place);
        let known = till.known(pos(), id(&format!("s-{index}"))).await.expect("a read");
        assert_eq!(known.expect("a known sale").place, place, "the caller's own answer");
    }
    assert_eq!(numbers, (1..=200).collect());
    assert_eq!(places.len(), 200);
}

#[tokio::test]
async fn callers_that_wait_together_share_one_commit() {
    let till = till().await;
    let before = till.reading().await.expect("a store").counters().commits;
    let held = till.reading().await.expect("a store");
    let mut callers = tokio::task::JoinSet::new();
    for index in 0..50_i64 {
        let till = till.clone();
        callers.spawn(async move { till.record(sale(&format!("s-{index}"), index)).await });
    }
    tokio::task::yield_now().await;
    drop(held);
    while let Some(done) = callers.join_next().await {
        assert!(matches!(done, Ok(Ok(Output::Recorded { .. }))));
    }
    let after = till.reading().await.expect("a store").counters().commits;
    assert_eq!(after - before, 1, "fifty sales, one commit");
}

#[tokio::test]
async fn nothing_is_sold_before_the_till_is_open() {
    let till = closed_till(Memory::new(), 1);
    assert_eq!(till.record(sale("a", 1)).await, Err(TillError::NotOpen));
    let mut witness = WitnessCell::default();
    till.install(identity(), &mut witness).await.expect("a new till");
    assert_eq!(till.record(sale("a", 1)).await, Err(TillError::NotOpen));
    till.open(&mut witness).await.expect("an open till");
    assert!(matches!(till.record(sale("a", 1)).await, Ok(Output::Recorded { .. })));
}

/// Fails its second transaction, as it is told.
fn failing(failure: Failure) -> Memory<Terminal> {
    let mut store = Memory::new();
    store.fail_next(failure);
    store
}

#[tokio::test]
async fn a_store_error_poisons_the_till() {
    for failure in [Failure::Before, Failure::After] {
        let till = closed_till(failing(failure), 1);
        let mut witness = WitnessCell::default();
        let first = till.install(identity(), &mut witness).await;
        assert!(matches!(first, Err(TillError::StorageFailed(_))), "{first:?}");
        let next = till.record(sale("a", 1)).await;
        assert!(matches!(next, Err(TillError::StorageFailed(_))), "{next:?}");
        assert!(till.open(&mut witness).await.is_err());
        assert!(till.status().await.is_err());
        assert!(!till.failed().await.is_empty(), "whoever supervises is told");
        assert_eq!(witness.0, None, "no witness without a commit");
    }
}

#[tokio::test]
async fn the_same_sale_again_is_the_same_receipt_and_another_is_told() {
    let till = till().await;
    let first = till.record(sale("a", 100)).await.expect("a record");
    let Output::Recorded { place, receipt, again: false } = first else { panic!("{first:?}") };
    let second = till.record(sale("a", 100)).await.expect("a record");
    assert_eq!(second, Output::Recorded { place, receipt, again: true });
    assert_eq!(till.record(sale("a", 101)).await, Ok(Output::Taken(place)));
}

#[test]
fn every_engine_of_the_storage_crate_is_a_till_store() {
    fn is_till_store<S: TillStore>() {}
    is_till_store::<Memory<Terminal>>();
    is_till_store::<counterfoil_storage::KeyValue<Terminal, counterfoil_storage::Redb>>();
    is_till_store::<counterfoil_terminal::daemon::Disk>();
}
