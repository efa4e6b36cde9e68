//! Each checker can fail: fed with what must never happen, it names the law.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::collections::BTreeSet;
use std::sync::Arc;

use counterfoil_protocol::cloud::row::{Fate, Ledger};
use counterfoil_protocol::cloud::{self, Site};
use counterfoil_protocol::hash::{Hash, payload_hash};
use counterfoil_protocol::identity::{
    BranchId, Epoch, EventKey, LocalEventId, PosId, ProductId, ShopId, TerminalId,
};
use counterfoil_protocol::journal::Segment;
use counterfoil_protocol::terminal::row::{Entry, Queued, State};
use counterfoil_protocol::terminal::{self, Identity};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::ServerId;
use counterfoil_sim::checker::{Checker, CloudRows, TillRows};
use counterfoil_sim::law::{Law, Violation};

const EPOCH: Epoch = Epoch { number: 1, nonce: 7 };

fn identity() -> Identity {
    Identity {
        shop: ShopId::parse("shop").expect("a short name"),
        branch: BranchId::parse("branch").expect("a short name"),
        terminal: TerminalId::parse("till").expect("a short name"),
    }
}

fn site() -> Site {
    Site { shop: identity().shop, branch: identity().branch }
}

fn key(local: &str) -> EventKey {
    EventKey {
        terminal: identity().terminal,
        pos: PosId::parse("pos").expect("a short name"),
        local_id: LocalEventId::parse(local).expect("a short name"),
    }
}

fn entry(state: State) -> Entry {
    let payload = *b"never an event";
    let EventKey { pos, local_id, .. } = key("x");
    let payload_hash = payload_hash(&payload);
    let payload = payload.into();
    Entry { pos, local_id, payload_hash, chain: Hash::default(), payload, state }
}

fn ledger(site: Site) -> Ledger {
    let payload = *b"nobody committed this";
    Ledger {
        site,
        payload_hash: payload_hash(&payload),
        payload: payload.into(),
        epoch: EPOCH,
        seq: 1,
        at: Millis(0),
        fate: Fate::Posted,
    }
}

fn broken(result: Result<(), Violation>) -> Option<Law> {
    result.err().map(|violation| violation.law)
}

fn cloud_commit(key: cloud::Key, record: cloud::Record) -> Option<Law> {
    let mut checker = Checker::default();
    let written = [(key, Some(Arc::new(record)))];
    broken(checker.cloud_committed(0, &BTreeSet::new(), &written))
}

#[test]
fn a_sale_from_nowhere_is_a_phantom() {
    let record = cloud::Record::Ledger(ledger(site()));
    assert_eq!(cloud_commit(cloud::Key::Ledger(key("x")), record), Some(Law::NoPhantom));
}

#[test]
fn a_gap_in_a_journal_is_seen() {
    let segment = Segment::of(Hash::default(), vec![Hash::default()]);
    let key = cloud::Key::Segment(identity().terminal, EPOCH, 3);
    assert_eq!(cloud_commit(key, cloud::Record::Segment(segment)), Some(Law::JournalIntact));
}

#[test]
fn stock_of_a_branch_that_did_not_speak_is_seen() {
    let Site { shop, branch } = site();
    let product = ProductId::parse("tea").expect("a short name");
    let record = cloud::Record::Stock(cloud::row::Stock::default());
    let law = cloud_commit(cloud::Key::Stock(shop, branch, product), record);
    assert_eq!(law, Some(Law::BranchIsolation));
}

#[test]
fn synced_without_the_cloud_is_seen() {
    let mut checker = Checker::default();
    let device = checker.add_device(identity());
    let record = terminal::Record::Entry(entry(State::Synced(ServerId(Hash::default()))));
    let written = [(terminal::Key::Entry(EPOCH, 1), Some(Arc::new(record)))];
    let law = broken(checker.till_committed(0, device, &written));
    assert_eq!(law, Some(Law::AckedIsDurable));
}

#[test]
fn an_answer_before_its_commit_is_seen() {
    let mut checker = Checker::default();
    let law = broken(checker.answered(0, key("x"), Hash::default(), &CloudRows::new()));
    assert_eq!(law, Some(Law::OutputAfterCommit));
}

#[test]
fn an_attempt_that_nobody_answered_is_seen() {
    let mut checker = Checker::default();
    let device = checker.add_device(identity());
    let mut rows = TillRows::new();
    let meta = terminal::Meta {
        identity: identity(),
        install: 0,
        boot: 0,
        boot_before: 0,
        epoch: EPOCH,
        parent: None,
        head: 1,
        hash: Hash::default(),
        acked: 1,
        closed: Vec::new(),
        quarantined: None,
    };
    rows.insert(terminal::Key::Meta, Arc::new(terminal::Record::Meta(meta)));
    let place = terminal::Key::Entry(EPOCH, 1);
    let open = Arc::new(terminal::Record::Entry(entry(State::Open)));
    rows.insert(place, Arc::clone(&open));
    let written = [(place, Some(Arc::clone(&open)))];
    let law = broken(checker.till_entries(0, device, &rows, &written));
    assert_eq!(law, Some(Law::NeverForgotten), "neither queued, nor synced, nor in attention");
    let queued = Queued { attempts: 1, due: Millis(0), code: None };
    let queued = Arc::new(terminal::Record::Queue(queued));
    let queue = terminal::Key::Queue(EPOCH, 1);
    rows.insert(queue, Arc::clone(&queued));
    let written = [(place, Some(open)), (queue, Some(queued))];
    let law = broken(checker.till_entries(0, device, &rows, &written));
    assert_eq!(law, Some(Law::QueueDrains));
}
