//! Till and cloud over real sockets: no cloud, lost answers, refusals, revocation, a restored till.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use counterfoil_protocol::cloud::Input as CloudInput;
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::session::{Config, Fault};
use counterfoil_protocol::terminal::Output;
use counterfoil_protocol::time::Millis;
use counterfoil_storage::Memory;
use counterfoil_terminal::witness::WitnessCell;
use support::{FakeCloud, closed_till, drain, id, identity, pos, quick, sale, sync_loop, till};

#[tokio::test]
async fn a_till_sells_without_any_cloud() {
    let till = till().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let sync = sync_loop(&till, &url, quick());
    let link = sync.link();
    let running = tokio::spawn(sync.run());
    for index in 0..20 {
        let output = till.record(sale(&format!("s-{index}"), 100)).await.expect("a sale");
        assert!(matches!(output, Output::Recorded { again: false, .. }));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!running.is_finished(), "the loop goes on trying");
    assert_eq!(link.borrow().last_fault, Some(Fault::Transport));
    let status = till.status().await.expect("a status");
    assert_eq!((status.pending, status.synced, status.needs_attention), (20, 0, 0));
    running.abort();
}

#[tokio::test]
async fn a_cloud_that_accepts_and_never_answers_blocks_nobody() {
    let till = till().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let config = Config { request_timeout: Millis(50), ..quick() };
    let sync = sync_loop(&till, &url, config);
    let link = sync.link();
    let running = tokio::spawn(sync.run());
    till.record(sale("a", 100)).await.expect("a sale");
    let mut connections = Vec::new();
    for _ in 0..3 {
        let accepted = tokio::time::timeout(Duration::from_secs(5), silent.accept()).await;
        connections.push(accepted.expect("a new connection after each silence"));
    }
    assert_eq!(link.borrow().last_fault, Some(Fault::Transport));
    running.abort();
}

#[tokio::test]
async fn lost_answers_and_refusals_lose_and_double_nothing() {
    for (lose, refuse) in [(0, 0), (1, 0), (3, 0), (0, 3), (5, 5)] {
        let cloud = FakeCloud::start().await;
        let till = till().await;
        cloud.faults.lose_answers.store(lose, Ordering::SeqCst);
        cloud.faults.refuse.store(refuse, Ordering::SeqCst);
        let drafts = (0..450).map(|index| sale(&format!("s-{index}"), index)).collect();
        till.record_all(drafts).await.expect("sales");
        let mut sync = sync_loop(&till, &cloud.url(), quick());
        drain(&till, &mut sync).await;
        let status = till.status().await.expect("a status");
        assert_eq!((status.synced, status.pending), (450, 0), "{lose} {refuse}");
        assert_eq!(cloud.ledger().await, 450, "{lose} {refuse}");
        assert!(till.queue(10).await.expect("a queue").is_empty());
    }
}

#[tokio::test]
async fn a_recording_wakes_an_idle_loop() {
    let cloud = FakeCloud::start().await;
    let till = till().await;
    let sync = sync_loop(&till, &cloud.url(), Config::default());
    let mut link = sync.link();
    let running = tokio::spawn(sync.run());
    let limit = Duration::from_secs(5);
    let idle = link.wait_for(|link| link.drained);
    drop(tokio::time::timeout(limit, idle).await.expect("it comes to rest").expect("it runs"));
    till.record(sale("a", 100)).await.expect("a sale");
    let synced = async {
        while till.status().await.expect("a status").synced == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(limit, synced).await.expect("no wait for the idle greeting");
    running.abort();
}

#[tokio::test]
async fn a_revoked_till_quarantines_its_queue_and_sells_on() {
    let cloud = FakeCloud::start().await;
    let till = till().await;
    let terminal = identity().terminal;
    cloud.decide(CloudInput::Revoke { terminal }).await;
    till.record(sale("a", 100)).await.expect("a sale");
    let mut sync = sync_loop(&till, &cloud.url(), quick());
    sync.settle_now().await.expect("a store");
    let status = till.status().await.expect("a status");
    assert_eq!(status.quarantined, Some(Denial::Revoked));
    till.record(sale("b", 100)).await.expect("a sale");
    assert_eq!(till.status().await.expect("a status").pending, 2);
    assert_eq!(cloud.ledger().await, 0);
}

#[tokio::test]
async fn a_till_whose_witness_was_lost_brings_everything_in_its_new_epoch() {
    let cloud = FakeCloud::start().await;
    let before = till().await;
    for index in 0..10 {
        before.record(sale(&format!("s-{index}"), index)).await.expect("a sale");
    }
    let mut sync = sync_loop(&before, &cloud.url(), quick());
    drain(&before, &mut sync).await;
    for index in 10..100 {
        before.record(sale(&format!("s-{index}"), index)).await.expect("a sale");
    }
    let mut disk = Memory::new();
    disk.restore(before.reading().await.expect("a store").image());
    let after = closed_till(disk, 77);
    let opened = after.open(&mut WitnessCell(None)).await.expect("an open till");
    assert!(opened.parted.is_some());
    after.record(sale("new", 1)).await.expect("a sale");
    let figures = after.figures().await.expect("figures");
    let mut sync = sync_loop(&after, &cloud.url(), quick());
    drain(&after, &mut sync).await;
    let status = after.status().await.expect("a status");
    assert_eq!((status.epoch.number, status.synced, status.pending), (2, 101, 0));
    assert_eq!(cloud.ledger().await, 101);
    assert_eq!(after.figures().await.expect("figures"), figures, "moved entries count once");
    assert_eq!(figures.figures.events, 101);
    let (exported, _) = after.export(None).await.expect("an export");
    assert_eq!(exported.len(), 101);
}

#[tokio::test]
async fn a_restored_cloud_is_brought_up_again() {
    let cloud = FakeCloud::start().await;
    let till = till().await;
    till.record(sale("a", 1)).await.expect("a sale");
    let mut sync = sync_loop(&till, &cloud.url(), quick());
    drain(&till, &mut sync).await;
    let backup = cloud.store.lock().await.image();
    till.record(sale("b", 1)).await.expect("a sale");
    drain(&till, &mut sync).await;
    cloud.store.lock().await.restore(backup);
    assert_eq!(cloud.ledger().await, 1);
    // A fresh session greets first, and so learns of it.
    let mut sync = sync_loop(&till, &cloud.url(), quick());
    sync.settle_now().await.expect("a store");
    assert_eq!(cloud.ledger().await, 2);
    let status = till.status().await.expect("a status");
    assert_eq!((status.synced, status.pending), (2, 0));
}

#[tokio::test]
async fn a_refused_event_needs_attention_until_a_person_has_decided() {
    let cloud = FakeCloud::start().await;
    let first = till().await;
    first.record(sale("a", 1)).await.expect("a sale");
    let mut sync = sync_loop(&first, &cloud.url(), quick());
    drain(&first, &mut sync).await;
    // A second device under the same name sells something else under the same id.
    let second = closed_till(Memory::new(), 5);
    let mut witness = WitnessCell::default();
    second.install(identity(), &mut witness).await.expect("a new till");
    second.open(&mut witness).await.expect("an open till");
    second.record(sale("a", 2)).await.expect("a sale");
    second.record(sale("b", 2)).await.expect("a sale");
    for round in 0..2 {
        let mut sync = sync_loop(&second, &cloud.url(), quick());
        drain(&second, &mut sync).await;
        let status = second.status().await.expect("a status");
        let counts = (status.synced, status.pending, status.needs_attention);
        assert_eq!(counts, (1, 0, 1), "round {round}");
        let queue = second.queue(10).await.expect("a queue");
        assert_eq!(queue.len(), 1, "what is synced does not wait");
        assert_eq!(queue[0].local_event_id, id("a"));
        assert_eq!(queue[0].code, Some(ErrorCode::EventInvalid));
        assert!(second.retry(pos(), id("a")).await.expect("a store"));
        assert!(!second.retry(pos(), id("a")).await.expect("a store"), "it waits now");
        assert_eq!(second.status().await.expect("a status").pending, 1);
    }
    assert!(!second.retry(pos(), id("b")).await.expect("a store"), "b is synced");
    assert!(!second.retry(pos(), id("c")).await.expect("a store"), "c is unknown");
}
