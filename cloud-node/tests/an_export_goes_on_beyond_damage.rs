//! An export writes what can be read, and names what cannot.

mod support;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use counterfoil_cloud::export::export;
use counterfoil_protocol::cloud::{Cloud, Key, Record};
use counterfoil_protocol::machine::{Store as _, Writes};
use counterfoil_storage::{KeyValue, Location};
use serde_json::Value;
use support::{hex, start};

const BYTES: &[u8] = b"no event";

/// The rows of three sales, the second of which has lost its payload.
async fn damaged() -> Writes<Cloud> {
    let node = start();
    let mut till = node.till("T-1").await;
    node.greet(&till).await;
    let items = ["a", "b", "c"].map(|name| till.sell(name)).to_vec();
    node.push(&till, items).await;
    let mut rows: BTreeMap<Key, Record> = node.rows().into_iter().collect();
    let mut ledgers = rows
        .values_mut()
        .filter_map(|record| if let Record::Ledger(ledger) = record { Some(ledger) } else { None });
    ledgers.nth(1).expect("three sales").payload = BYTES.into();
    rows.into_iter().map(|(key, record)| (key, Some(Arc::new(record)))).collect()
}

#[tokio::test]
async fn a_payload_that_is_no_event_has_a_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = format!("redb:{}", directory.path().join("cloud").display());
    let location: Location = store.parse().expect("a location");
    let mut values = KeyValue::<Cloud, _>::new(location.open().expect("a store"));
    let writes = damaged().await;
    values.transact(Vec::new(), |_| writes.clone()).await.expect("a commit");
    let mut out = Vec::new();
    let summary = export(&values.reader(), &mut out).await.expect("an export");
    assert_eq!((summary.events, summary.unreadable), (2, 1));
    drop(values);
    let lines: Vec<Value> = out
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["localEventId"], "b");
    assert_eq!(lines[1]["payload"], hex(BYTES));
    assert!(lines[1]["error"].as_str().is_some_and(|said| said.contains("run the check")));
    for figures in [&[][..], &["--figures"]] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_cloud-node"));
        let output = program.args(["export", "--store", &store]).args(figures).output();
        let output = output.expect("the program runs");
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.contains("\"events\":2") && text.contains("\"unreadable\":1"), "{text}");
    }
}
