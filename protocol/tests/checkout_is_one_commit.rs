//! Checkout is one commit: event, receipt number, stock, journal entry and queue entry, or
//! nothing (S4.3).
//!
//! > **`ReceiptsGapless`**: receipt numbers of one register are unique and without gaps.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod support;

use std::collections::BTreeSet;

use counterfoil_protocol::event::{Body, EventError, Receipt};
use counterfoil_protocol::hash::{genesis, link};
use counterfoil_protocol::identity::Witness;
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::terminal::row::{State, Stock};
use counterfoil_protocol::terminal::{Draft, Identity, Input, Key, Output, Record};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::parcel::Outstanding;
use support::rows::{entries, event, queued};
use support::{
    Mem, Till, adjustment, draft, line, local, pos, product, refund, sale, site, terminal_id, trade,
};

const NOW: Millis = Millis(5_000);

fn receipt(output: &Output) -> Option<u64> {
    match output {
        Output::Recorded { receipt, .. } => receipt.map(|receipt| receipt.number),
        other => panic!("not recorded: {other:?}"),
    }
}

#[test]
fn a_checkout_writes_exactly_these_rows_in_one_commit() {
    for (what, draft, has_receipt) in [
        ("sale", sale("a", "tea"), true),
        ("refund", refund("a", "tea", None), true),
        ("adjustment", adjustment("a", "tea", -5), false),
    ] {
        let mut till = Till::install(1);
        let (commits, epoch) = (till.store.commits, till.meta().epoch);
        let place = till.sell(NOW, draft);
        assert_eq!(till.store.commits, commits + 1, "{what}");
        let mut expected = BTreeSet::from([
            Key::Meta,
            Key::Entry(epoch, 1),
            Key::Queue(epoch, 1),
            Key::Local(pos("1"), local("a")),
            Key::Stock(product("tea")),
        ]);
        if has_receipt {
            expected.insert(Key::Series(pos("1")));
        }
        assert_eq!(till.store.wrote, expected, "{what}");
        assert_eq!((place.epoch, place.seq), (epoch, 1), "{what}");
        let entry = &entries(&till)[&place];
        let start = genesis(terminal_id(), epoch);
        assert_eq!(entry.chain, link(start, 1, entry.payload_hash), "{what}");
        assert_eq!((till.meta().head, till.meta().hash), (1, entry.chain), "{what}");
        assert_eq!(entry.state, State::Open, "{what}");
        assert_eq!(event(&entry.payload).kind(), what);
        assert_eq!(queued(&till, place).map(|q| (q.attempts, q.due)), Some((0, NOW)), "{what}");
    }
}

#[test]
fn the_same_product_twice_moves_its_stock_twice() {
    let mut till = Till::install(1);
    let lines = vec![line("tea", 2_000, 10), line("tea", 500, 10)];
    till.sell(NOW, draft("1", "a", Body::Sale(trade(lines))));
    till.sell(NOW, refund("b", "tea", None));
    till.sell(NOW, adjustment("c", "tea", 10_000));
    let stock = till.store.rows.get(&Key::Stock(product("tea")));
    let expected = Stock { quantity: Milli(-2_500 + 1_000 + 10_000), movements: 4 };
    assert_eq!(stock, Some(&Record::Stock(expected)));
}

#[test]
fn receipts_count_from_one_per_register_and_epoch() {
    let mut till = Till::install(1);
    let at = |register: &str, id: &str| Draft { pos: pos(register), ..sale(id, "tea") };
    // register   id    what                        receipt
    for (draft, expected) in [
        (at("1", "a"), Some(1)),
        (at("1", "b"), Some(2)),
        (at("2", "a"), Some(1)),
        (adjustment("c", "tea", 1), None),
        (at("1", "d"), Some(3)),
        (refund("e", "tea", None), Some(4)),
        (at("1", "a"), Some(1)),
        (at("2", "b"), Some(2)),
        (at("1", "f"), Some(5)),
    ] {
        let shown = format!("{}/{}", draft.pos, draft.local_id);
        assert_eq!(receipt(&till.record(NOW, draft)), expected, "{shown}");
    }
    till.witness = None;
    till.open(NOW, 9);
    let output = till.record(NOW, at("1", "g"));
    let series = till.meta().epoch;
    assert!(
        matches!(output, Output::Recorded { receipt: Some(Receipt { series: s, number: 1 }), .. }
            if s == series),
        "a new epoch begins a new series: {output:?}"
    );
    assert_eq!(receipt(&till.record(NOW, at("1", "f"))), Some(5), "an old one keeps its number");
    assert_eq!(receipt(&till.record(NOW, at("1", "h"))), Some(2));
}

#[test]
fn the_same_again_is_harmless_and_another_under_its_name_is_told() {
    let first = [sale("a", "tea"), refund("a", "tea", None), adjustment("a", "tea", 1)];
    for one in &first {
        for other in first.iter().chain([
            &sale("a", "coffee"),
            &Draft { at: Millis(1), ..one.clone() },
            &Draft { reference: "R-7".into(), ..one.clone() },
        ]) {
            let mut till = Till::install(1);
            let place = till.sell(NOW, one.clone());
            let before = till.store.rows.clone();
            let output = till.record(NOW.after(Millis(9)), other.clone());
            if one == other {
                let again = matches!(output, Output::Recorded { again: true, place: p, .. }
                    if p == place);
                assert!(again, "{output:?}");
            } else {
                assert_eq!(output, Output::Taken(place), "{one:?} then {other:?}");
            }
            assert_eq!(till.store.rows, before, "nothing is written");
            assert!(till.store.wrote.is_empty());
        }
    }
    let mut till = Till::install(1);
    till.sell(NOW, sale("a", "tea"));
    let elsewhere = Draft { pos: pos("2"), ..sale("a", "coffee") };
    till.sell(NOW, elsewhere);
}

#[test]
fn a_draft_that_breaks_a_rule_writes_nothing() {
    let unpaid = |mut draft: Draft| {
        let Body::Sale(trade) = &mut draft.body else { unreachable!() };
        trade.payments.clear();
        draft
    };
    let empty = Body::Sale(trade(Vec::new()));
    for (draft, expected) in [
        (unpaid(sale("x", "tea")), EventError::Unbalanced),
        (draft("1", "x", empty), EventError::Lines),
        (adjustment("x", "tea", 0), EventError::Quantity),
        (Draft { reference: "\n".into(), ..sale("x", "tea") }, EventError::Text),
    ] {
        let mut till = Till::install(1);
        till.sell(NOW, sale("a", "tea"));
        let before = till.store.rows.clone();
        assert_eq!(till.record(NOW, draft), Output::Invalid(expected));
        assert_eq!(till.store.rows, before, "{expected}");
        assert!(till.store.wrote.is_empty(), "{expected}");
        assert_eq!(receipt(&till.record(NOW, sale("b", "tea"))), Some(2), "no gap is left");
    }
}

#[test]
fn without_an_installation_nothing_is_sold() {
    let outstanding = Outstanding::default();
    let mut till = Till { store: Mem::default(), witness: None, outstanding };
    let nothing = Output::NotInstalled(None);
    assert_eq!(till.record(NOW, sale("a", "tea")), nothing);
    let fresh = Witness { install: 1, boot: 1 };
    let open = Input::Open { witness: None, fresh, nonce: 1 };
    assert_eq!(till.run(NOW, open), nothing);
    assert!(till.store.rows.is_empty());
}

#[test]
fn installing_again_changes_nothing_and_not_another_tills_database() {
    let mut till = Till::install(1);
    till.sell(NOW, sale("a", "tea"));
    let before = till.store.rows.clone();
    let own = Identity { shop: site().shop, branch: site().branch, terminal: terminal_id() };
    let other = Identity {
        terminal: counterfoil_protocol::identity::TerminalId::parse("T-2").unwrap(),
        ..own
    };
    let witness = Witness { install: 5, boot: 5 };
    let install = |identity| Input::Install { identity, witness, nonce: 5 };
    let opened = Output::Opened { witness: till.witness.unwrap(), parted: None };
    assert_eq!(till.run(NOW, install(own)), opened);
    assert_eq!(till.run(NOW, install(other)), Output::NotInstalled(Some(own)));
    assert_eq!(till.store.rows, before);
}
