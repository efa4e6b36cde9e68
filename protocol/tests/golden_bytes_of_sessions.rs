//! The bytes of register sessions that must never change: events of version 2, the cloud's report,
//! and the rows of both sides. As in `golden_bytes.rs`, a snapshot that differs is a new version.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::fmt::Write as _;

use counterfoil_protocol::cloud::sessions::session_report;
use counterfoil_protocol::cloud::{self, Cloud};
use counterfoil_protocol::event::Tender;
use counterfoil_protocol::event::session::Counted;
use counterfoil_protocol::hash::payload_hash;
use counterfoil_protocol::money::{Currency, Minor};
use counterfoil_protocol::persist::Persist;
use counterfoil_protocol::terminal::{self, Input, SessionAct, SessionDraft, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::event::EventAny;
use counterfoil_protocol::wire::session::SessionReport;
use insta::assert_snapshot;
use support::rows::{entries, event};
use support::{Pair, block_on, key_of, local, pos, refund, sale, site, terminal_id};

const AT: Millis = Millis(1_700_000_000_000);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn act(pair: &mut Pair, id: &str, act: SessionAct) {
    let (pos, local_id, reference) = (pos("1"), local(id), String::new());
    let draft = SessionDraft { pos, local_id, at: AT, reference, act };
    let output = pair.till.run(AT, Input::Session(draft));
    assert!(matches!(output, terminal::Output::Recorded { .. }), "{output:?}");
}

/// A day with one event of each kind; the cloud lacks one sale when the till is told.
fn day() -> (Pair, SessionReport) {
    let mut pair = Pair::new(Cloud::default());
    let float = Minor(10_000);
    act(&mut pair, "day-1", SessionAct::Open { currency: Currency::GBP, float });
    pair.sell(sale("a", "tea"));
    pair.sell(refund("b", "tea", Some(key_of("1", "a"))));
    act(&mut pair, "out", SessionAct::Cash { delta: Minor(-500), reason: "bank".into() });
    let mut copy = pair.till.clone();
    let counted = vec![Counted { tender: Tender::Cash, amount: Minor(9_755) }];
    act(&mut pair, "end-1", SessionAct::Close { counted });
    act(&mut pair, "day-2", SessionAct::Open { currency: Currency::GBP, float });
    pair.quiesce();
    // A copy of the till sells on in the closed session.
    copy.witness = None;
    copy.open(AT, 99);
    copy.sell(AT, sale("c", "tea"));
    support::quiesce(&mut copy, &mut pair.node, &mut pair.now);
    let found =
        session_report(&pair.node.store, site().shop, terminal_id(), pos("1"), local("day-1"));
    let report = block_on(found).unwrap().unwrap();
    pair.till.run(AT, Input::SessionVerdict(report.clone()));
    (pair, report)
}

#[test]
fn events_of_a_session() {
    let (pair, _) = day();
    let mut text = String::new();
    for entry in entries(&pair.till).into_values() {
        let event = event(&entry.payload);
        let json = serde_json::to_string(&EventAny::from_event(&event)).unwrap();
        assert_eq!(payload_hash(&event.canonical()), entry.payload_hash);
        let (bytes, hash) = (hex(&entry.payload), entry.payload_hash);
        writeln!(text, "{}\n  {bytes}\n  payload {hash}\n  {json}", event.kind()).unwrap();
    }
    assert_snapshot!("session_events", text);
}

#[test]
fn the_report_of_a_session() {
    let (_, report) = day();
    let json = serde_json::to_string_pretty(&report).unwrap();
    let read: SessionReport = serde_json::from_str(&json).unwrap();
    assert_eq!(read, report);
    assert_snapshot!("session_report", format!("{}\n{json}", hex(&report.encode())));
}

fn row<M: Persist<Key: std::fmt::Debug>>(text: &mut String, key: &M::Key, record: &M::Record) {
    let (mut key_bytes, mut bytes) = (Vec::new(), Vec::new());
    M::key_bytes(key, &mut key_bytes);
    M::record_bytes(record, &mut bytes);
    writeln!(text, "{key:?}\n  {}\n  {}", hex(&key_bytes), hex(&bytes)).unwrap();
}

#[test]
fn rows_of_a_session() {
    let (pair, _) = day();
    let mut text = String::new();
    for (key, record) in &pair.till.store.rows {
        let named = *key == terminal::Key::Local(pos("1"), local("a"));
        if named || matches!(key, terminal::Key::Register(_) | terminal::Key::Closing(..)) {
            row::<Terminal>(&mut text, key, record);
        }
    }
    for (key, record) in &pair.node.store.rows {
        if matches!(key, cloud::Key::Session(..)) {
            row::<Cloud>(&mut text, key, record);
        }
    }
    assert_snapshot!("session_rows", text);
}
