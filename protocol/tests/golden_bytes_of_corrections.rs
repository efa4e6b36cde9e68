//! The bytes of corrections that must never change: the rows of both sides and the notes of the
//! diary. As in `golden_bytes.rs`, a snapshot that differs is a new version. The event itself is a
//! test vector of `docs/wire.md`.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::fmt::{Debug, Write as _};

use counterfoil_protocol::cloud::{self, Cloud, UnknownProducts};
use counterfoil_protocol::persist::Persist;
use counterfoil_protocol::terminal::diary::{Note, Noted};
use counterfoil_protocol::terminal::{self, Input, Output, Place, Terminal, correct};
use counterfoil_protocol::time::Millis;
use insta::assert_snapshot;
use support::{Pair, block_on, local, sale};

const AT: Millis = Millis(1_700_000_000_000);

fn row<M: Persist<Key: Debug, Record: Debug + PartialEq>>(
    text: &mut String,
    key: &M::Key,
    record: &M::Record,
) {
    let (mut key_bytes, mut bytes) = (Vec::new(), Vec::new());
    M::key_bytes(key, &mut key_bytes);
    M::record_bytes(record, &mut bytes);
    let read = M::record_from_bytes(&M::key_from_bytes(&key_bytes).unwrap(), &bytes).unwrap();
    assert_eq!(read, *record, "what is written is read back");
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    };
    writeln!(text, "{key:?}\n  {}\n  {}", hex(&key_bytes), hex(&bytes)).unwrap();
}

/// A sale that is corrected, and one that is withdrawn before it comes.
fn corrected() -> Pair {
    let mut pair = Pair::new(Cloud { unknown_products: UnknownProducts::Park });
    pair.node.define("tea");
    pair.now = AT;
    pair.sell(sale("a", "ghost"));
    pair.greet();
    pair.offer();
    let planned = block_on(correct::plan(&pair.till.store, local("a"), sale("b", "tea"))).unwrap();
    let output = pair.till.run(AT, planned.unwrap());
    assert!(matches!(output, Output::Recorded { .. }), "{output:?}");
    pair.offer();
    let place = Place { epoch: pair.till.meta().epoch, seq: 1 };
    let what = [Noted::Replaced { place, by: local("b") }, Noted::SetAside(place)];
    let notes = what.map(|what| Note { at: AT, what }).into();
    pair.till.run(AT, Input::Note(notes));
    pair
}

#[test]
fn rows_of_a_correction() {
    let pair = corrected();
    let mut text = String::new();
    for (key, record) in &pair.till.store.rows {
        use terminal::Key::{Entry, Note, Replaced, Schema};
        if matches!(key, Entry(..) | Replaced(..) | Note(_) | Schema) {
            row::<Terminal>(&mut text, key, record);
        }
    }
    let mut ledgers = Vec::new();
    for (key, record) in &pair.node.store.rows {
        if let (cloud::Key::Ledger(_), cloud::Record::Ledger(held)) = (key, record) {
            ledgers.push((*key, held.clone()));
        }
    }
    assert_eq!(ledgers.len(), 2);
    let (key, withdrawn) = ledgers[0].clone();
    let unbrought = cloud::row::Ledger { payload: [].into(), ..withdrawn };
    let code = counterfoil_protocol::problem::ErrorCode::OriginalPosted;
    let refused = cloud::row::Ledger { fate: cloud::row::Fate::Refused(code), ..withdrawn.clone() };
    for held in [withdrawn, unbrought, refused] {
        row::<Cloud>(&mut text, &key, &cloud::Record::Ledger(held));
    }
    assert_snapshot!("correction_rows", text);
}
