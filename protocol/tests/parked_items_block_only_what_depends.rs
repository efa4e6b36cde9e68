//! Parked and failing items block only what depends on them; an item has five attempts, and only
//! an answer about the item itself costs one (S1.5, S2.4, B.5).
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use counterfoil_protocol::cloud::{self, Cloud, UnknownProducts};
use counterfoil_protocol::identity::{EventKey, ShopId, TerminalId};
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::terminal::pull::{self, Batch, Pending};
use counterfoil_protocol::terminal::row::State;
use counterfoil_protocol::terminal::{
    ATTEMPTS_MAX, Input, Output, Parted, Place, RETRY_BASE, RETRY_CAP,
};
use counterfoil_protocol::time::{Millis, Span};
use counterfoil_protocol::wire::message::{PushAnswer, Stopped, Verdict};
use support::rows::{at_rest, attention, entries, ledger, never_forgotten, queued, stock_is_sum};
use support::{Pair, block_on, key_of, local, pos, refund, sale};

const UNKNOWN: ErrorCode = ErrorCode::ProductUnknown;
const PENDING: ErrorCode = ErrorCode::OriginalPending;

/// A pair whose cloud knows tea, and parks what it does not know.
fn strict() -> Pair {
    let mut pair = Pair::new(Cloud { unknown_products: UnknownProducts::Park });
    pair.node.define("tea");
    pair
}

fn verdicts(answer: Option<PushAnswer>) -> Vec<(u64, Verdict)> {
    let answer = answer.expect("there was something to offer");
    assert_eq!(answer.stopped, None);
    answer.results.iter().map(|result| (result.seq, result.verdict)).collect()
}

fn words(answer: Option<PushAnswer>) -> Vec<(u64, &'static str)> {
    let word = |verdict| match verdict {
        Verdict::Created(_) => "created",
        Verdict::Existing(_) => "existing",
        Verdict::Edited(_) => "edited",
        Verdict::Parked(code) | Verdict::Refused(code) => code.as_str(),
    };
    verdicts(answer).into_iter().map(|(seq, verdict)| (seq, word(verdict))).collect()
}

/// Waits until whatever failed is due again.
fn wait(pair: &mut Pair) {
    pair.now = pair.now.after(RETRY_CAP);
}

#[test]
fn a_refund_waits_for_its_sale_and_nobody_else_does() {
    let mut pair = strict();
    pair.sell(sale("a", "ghost"));
    pair.sell(refund("b", "tea", Some(key_of("1", "a"))));
    pair.sell(sale("c", "tea"));
    pair.sell(refund("d", "tea", Some(key_of("1", "c"))));
    pair.sell(refund("e", "tea", Some(key_of("1", "nowhere"))));
    pair.sell(refund("f", "tea", None));
    pair.greet();
    let (unknown, pending) = (UNKNOWN.as_str(), PENDING.as_str());
    let first = words(pair.offer());
    let expected =
        [(1, unknown), (2, pending), (3, "created"), (4, "created"), (5, pending), (6, "created")];
    assert_eq!(first, expected);
    assert_eq!(pair.till.meta().acked, 6, "each of them was answered");
    never_forgotten(&pair.till);

    pair.sell(sale("g", "tea"));
    assert_eq!(words(pair.offer()), [(7, "created")], "new work does not wait for old failures");

    pair.node.define("ghost");
    wait(&mut pair);
    let second = words(pair.offer());
    assert_eq!(second, [(1, "created"), (2, "created"), (5, pending)], "first the sale, then it");
    stock_is_sum(&pair.node);
    never_forgotten(&pair.till);
}

#[test]
fn a_refund_does_not_take_back_another_tills_unknown_sale_or_itself() {
    let mut pair = strict();
    let mut foreign = key_of("1", "a");
    foreign.terminal = TerminalId::parse("T-9").unwrap();
    pair.sell(sale("a", "tea"));
    pair.sell(refund("b", "tea", Some(foreign)));
    pair.sell(refund("c", "tea", Some(key_of("1", "c"))));
    pair.greet();
    let expected = [(1, "created"), (2, PENDING.as_str()), (3, PENDING.as_str())];
    assert_eq!(words(pair.offer()), expected);
}

/// Puts a copy of the sale `a` into the ledger, as another till of `shop` would have posted it.
fn posted_elsewhere(pair: &mut Pair, shop: &str) -> EventKey {
    let mut sold = ledger(&pair.node).remove(&key_of("1", "a")).expect("it was posted");
    sold.site.shop = ShopId::parse(shop).unwrap();
    let foreign = EventKey { terminal: TerminalId::parse("T-9").unwrap(), ..key_of("1", "a") };
    pair.node.store.rows.insert(cloud::Key::Ledger(foreign), cloud::Record::Ledger(sold));
    foreign
}

#[test]
fn a_refund_takes_back_a_sale_of_its_own_shop_only() {
    for (shop, expected) in [("shop", "created"), ("another", PENDING.as_str())] {
        let mut pair = strict();
        pair.sell(sale("a", "tea"));
        pair.greet();
        assert_eq!(words(pair.offer()), [(1, "created")]);
        let foreign = posted_elsewhere(&mut pair, shop);
        pair.sell(refund("b", "tea", Some(foreign)));
        assert_eq!(words(pair.offer()), [(2, expected)], "the sale is one of {shop}");
    }
}

#[test]
fn five_failures_need_attention_and_each_wait_is_longer() {
    let mut pair = strict();
    let place = pair.sell(sale("a", "ghost"));
    pair.greet();
    for attempt in 1..ATTEMPTS_MAX {
        assert_eq!(words(pair.offer()), [(1, UNKNOWN.as_str())]);
        let row = queued(&pair.till, place).expect("it waits");
        assert_eq!((row.attempts, row.code), (attempt, Some(UNKNOWN)));
        let full = (RETRY_BASE.0 << (attempt - 1)).min(RETRY_CAP.0);
        let wait = row.due.since(pair.now);
        assert!((full / 2..=full).contains(&wait.0), "attempt {attempt} waits {wait}");
        assert_eq!(pair.till.batch(pair.now), Batch::Wait(Span(wait)), "not before it is due");
        pair.now = row.due;
    }
    pair.offer();
    assert_eq!(queued(&pair.till, place), None);
    let row = attention(&pair.till, place).expect("a person must look at it");
    assert_eq!((row.attempts, row.code, row.since), (ATTEMPTS_MAX, UNKNOWN, pair.now));
    wait(&mut pair);
    assert_eq!(pair.till.batch(pair.now), Batch::Empty, "it is not offered by itself");
    never_forgotten(&pair.till);
    let pending = block_on(pull::pending(&pair.till.store, 10)).unwrap();
    assert_eq!(pending, [(place.epoch, place.seq, Pending::Attention(row))]);
}

fn retry(pair: &mut Pair, place: Place, id: &str) -> Output {
    let input = Input::Retry { pos: pos("1"), local_id: local(id), place };
    pair.till.run(pair.now, input)
}

/// A pair with one item that needs attention.
fn stuck() -> (Pair, Place) {
    let mut pair = strict();
    let place = pair.sell(sale("a", "ghost"));
    pair.greet();
    for _ in 0..ATTEMPTS_MAX {
        pair.offer();
        wait(&mut pair);
    }
    assert!(attention(&pair.till, place).is_some());
    (pair, place)
}

#[test]
fn a_person_puts_an_item_back_with_all_its_attempts() {
    let (mut pair, place) = stuck();
    assert!(matches!(retry(&mut pair, place, "a"), Output::Settled(_)));
    let row = queued(&pair.till, place).unwrap();
    assert_eq!((row.attempts, row.due, row.code), (0, pair.now, None));
    assert_eq!(attention(&pair.till, place), None);
    assert_eq!(retry(&mut pair, place, "a"), Output::NothingToRetry, "once is enough");
    pair.node.define("ghost");
    assert_eq!(words(pair.offer()), [(1, "created")]);
    assert_eq!(retry(&mut pair, place, "a"), Output::NothingToRetry, "it is synced");
    let nowhere = Place { seq: 99, ..place };
    assert_eq!(retry(&mut pair, nowhere, "a"), Output::NothingToRetry);
    at_rest(&pair.till, &pair.node);
}

#[test]
fn a_refusal_needs_attention_at_once() {
    let mut pair = strict();
    // The cloud knows another sale by this name: the till was installed anew.
    pair.sell(sale("a", "tea"));
    pair.sync();
    let mut second = Pair { till: support::Till::install(2), ..pair };
    let place = second.sell(refund("a", "tea", None));
    second.sell(sale("b", "tea"));
    second.greet();
    let expected = [(1, ErrorCode::EventInvalid.as_str()), (2, "created")];
    assert_eq!(words(second.offer()), expected);
    let row = attention(&second.till, place).unwrap();
    assert_eq!((row.attempts, row.code), (1, ErrorCode::EventInvalid));
    assert_eq!(entries(&second.till)[&place].state, State::Open, "it is not synced");
    assert_eq!(ledger(&second.node).len(), 2);
}

#[test]
fn nothing_but_an_answer_about_the_item_costs_an_attempt() {
    let mut pair = strict();
    let place = pair.sell(sale("a", "ghost"));
    pair.sell(sale("b", "tea"));
    pair.greet();
    pair.offer();
    let before = queued(&pair.till, place).unwrap();
    assert_eq!(before.attempts, 1);
    let epoch = place.epoch;
    let empty = |stopped| PushAnswer { head: 2, results: Vec::new(), stopped };
    let hello = pair.till.hello(pair.now);
    let cloud::Output::Welcome(welcome) = pair.node.greet(pair.now, &hello) else { panic!() };
    let elsewhere = counterfoil_protocol::identity::Epoch { number: 9, nonce: 9 };
    let other = PushAnswer {
        results: vec![counterfoil_protocol::wire::message::ItemResult {
            seq: 1,
            verdict: Verdict::Refused(ErrorCode::EventInvalid),
        }],
        ..empty(None)
    };
    for (name, input) in [
        ("expired", Input::Denied(Denial::Expired)),
        ("wrong credential", Input::Denied(Denial::WrongCredential)),
        ("revoked", Input::Denied(Denial::Revoked)),
        ("unknown", Input::Denied(Denial::UnknownTerminal)),
        ("welcomed", Input::Welcomed { welcome, nonce: 3 }),
        ("a gap", Input::Answered { epoch, answer: empty(Some(Stopped::Gap)) }),
        ("a fork", Input::Answered { epoch, answer: empty(Some(Stopped::Forked)) }),
        ("no epoch", Input::Answered { epoch, answer: empty(Some(Stopped::UnknownEpoch)) }),
        ("another history's answer", Input::Answered { epoch: elsewhere, answer: other }),
        ("the same sale again", Input::Record(sale("a", "ghost"))),
        ("another sale", Input::Record(sale("c", "tea"))),
    ] {
        pair.till.run(pair.now, input);
        assert_eq!(queued(&pair.till, place), Some(before), "{name}");
    }
    assert_eq!(pair.till.open(pair.now, 9), None);
    assert_eq!(queued(&pair.till, place), Some(before), "a restart of the program");
}

#[test]
fn attempts_go_along_when_an_item_is_carried_over() {
    let mut pair = strict();
    let place = pair.sell(sale("a", "ghost"));
    pair.greet();
    pair.offer();
    pair.till.witness = None;
    assert_eq!(pair.till.open(pair.now, 77), Some(Parted::Copied));
    pair.greet();
    support::adopt(&mut pair.till, pair.now);
    let State::Moved(to) = entries(&pair.till)[&place].state else { panic!("carried over") };
    assert_eq!(queued(&pair.till, to).unwrap().attempts, 1);
    never_forgotten(&pair.till);

    let (mut pair, place) = stuck();
    pair.till.witness = None;
    pair.till.open(pair.now, 77);
    pair.greet();
    support::adopt(&mut pair.till, pair.now);
    let State::Moved(to) = entries(&pair.till)[&place].state else { panic!("carried over") };
    assert_eq!(queued(&pair.till, to).unwrap().attempts, ATTEMPTS_MAX - 1);
    pair.greet();
    pair.offer();
    assert!(attention(&pair.till, to).is_some(), "one more failure, and a person looks again");
    never_forgotten(&pair.till);
    assert_eq!(pair.till.batch(Millis(u64::MAX)), Batch::Empty);
}
