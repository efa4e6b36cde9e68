//! Defects that were found by reading and by trying, each with the test that showed it.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test's name is its documentation")]

mod support;

use counterfoil_protocol::cloud::{Cloud, Output};
use counterfoil_protocol::money::{Milli, Minor};
use counterfoil_protocol::session::{Answer, Config, Fault, Input, Output as Wanted, Session};
use counterfoil_protocol::terminal::Backlog;
use counterfoil_protocol::terminal::pull::{self, Batch};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::Welcome;
use support::rows::*;
use support::*;

/// Answers each greeting and fails each push with `fault`, so many times; returns the sizes of
/// the pushes and the time it took.
fn greeted_but_failed(fault: Fault, wakes: usize) -> (Vec<usize>, Millis) {
    let mut session = Session::new(Config::default(), 1, Millis(0));
    let mut now = Millis(0);
    let mut sizes = Vec::new();
    let welcome = Welcome {
        version: 1,
        server_time_ms: 0,
        push_items_max: 1,
        push_bytes_max: 1,
        lanes: Vec::new(),
    };
    for _ in 0..wakes {
        now = now.max(session.wake_at().at);
        session.handle_input(now, Input::Wake);
        while let Some(wanted) = session.poll_output() {
            let heard = match wanted {
                Wanted::Hello(number) => {
                    Input::Answered(number, Ok(Answer::Welcome(welcome.clone())))
                }
                Wanted::Push(number, items) => {
                    sizes.push(items);
                    Input::Answered(number, Err(fault))
                }
                Wanted::Commit(_) => Input::Committed(Backlog { fresh: 5, ..Backlog::default() }),
            };
            session.handle_input(now, heard);
        }
    }
    (sizes, now)
}

#[test]
fn a_push_that_is_too_large_is_halved_down_to_one_item() {
    let (sizes, _) = greeted_but_failed(Fault::TooLarge, 20);
    assert_eq!(sizes.last(), Some(&1), "{sizes:?}");
}

#[test]
fn pushes_that_fail_back_off_although_greetings_succeed() {
    let (_, took) = greeted_but_failed(Fault::Server, 60);
    assert!(took > Millis(200_000), "60 failed pushes in {took}");
}

#[test]
fn a_cloud_that_lost_ten_epochs_gets_all_of_them_back() {
    let mut pair = Pair::new(Cloud::default());
    let backup = pair.node.clone();
    for n in 0..10_u64 {
        pair.sell(sale(&format!("s{n}"), "tea"));
        pair.quiesce();
        pair.till.witness = None;
        pair.till.open(pair.now, 100 + n);
    }
    pair.quiesce();
    zero_loss(&pair.till, &pair.node);
    pair.node = backup;
    pair.quiesce();
    zero_loss(&pair.till, &pair.node);
}

#[test]
fn a_fork_is_named_although_the_cloud_could_not_see_it() {
    let mut pair = Pair::new(Cloud::default());
    for n in 0..5 {
        pair.sell(sale(&format!("s{n}"), "tea"));
    }
    pair.sync();
    let mut clone = pair.till.clone();
    clone.sell(pair.now, sale("x", "tea"));
    for n in 5..10 {
        pair.sell(sale(&format!("s{n}"), "tea"));
    }
    quiesce(&mut clone, &mut pair.node, &mut pair.now);
    pair.quiesce();
    assert!(!forks(&pair.node).is_empty());
}

#[test]
fn what_the_cloud_lost_is_pending_again() {
    let mut pair = Pair::new(Cloud::default());
    let backup = pair.node.clone();
    pair.sell_all(&["a", "b"]);
    pair.sync();
    pair.node = backup;
    let (_, backlog) = pair.greet();
    let pending = block_on(pull::pending(&pair.till.store, 10)).unwrap();
    assert_eq!((pending.len() as u64, backlog.fresh), (2, 2));
}

#[test]
fn other_bytes_under_a_true_chain_hash_are_a_fork() {
    let mut pair = Pair::new(Cloud::default());
    pair.sell_all(&["a"]);
    pair.greet();
    let Batch::Push(mut push) = pair.till.batch(pair.now) else { panic!("something to push") };
    pair.offer();
    let mut other = Pair::new(Cloud::default());
    other.sell_all(&["z"]);
    let Batch::Push(forged) = other.till.batch(pair.now) else { panic!("something to push") };
    push.items[0].payload = forged.items[0].payload.clone();
    let Output::Pushed(answer) = pair.node.push(pair.now, &push) else { panic!("an answer") };
    assert!(answer.results.is_empty() && answer.stopped.is_some(), "{answer:?}");
    assert_eq!(ledger(&pair.node).len(), 1);
}

#[test]
fn wild_numbers_are_out_of_bounds_and_no_overflow() {
    assert_eq!(Milli(1000).price(Minor(i64::MIN)), None);
    let mut wild = line("a", 1000, 1);
    wild.discount = Minor(i64::MIN);
    assert_eq!(trade(vec![wild.clone(), wild]).total(), Minor(i64::MAX));
}

#[test]
fn a_program_with_a_long_name_is_greeted() {
    let till = Till::install(1);
    let name = "é".repeat(100);
    let hello = block_on(pull::hello(&till.store, &till.meta(), Millis(0), &name)).unwrap();
    assert!(hello.check().is_ok());
}

#[test]
fn a_till_that_was_restored_many_times_before_it_could_speak_greets_and_loses_nothing() {
    let mut pair = Pair::new(Cloud::default());
    for number in 0..40 {
        pair.sell_all(&[&format!("e{number}")]);
        pair.till.witness = None;
        pair.till.open(pair.now, 1_000 + number);
    }
    assert!(pair.till.meta().closed.len() >= 40, "none of them is settled");
    let hello = block_on(pull::hello(&pair.till.store, &pair.till.meta(), pair.now, "x")).unwrap();
    assert!(hello.check().is_ok());
    quiesce(&mut pair.till, &mut pair.node, &mut pair.now);
    assert_eq!(ledger(&pair.node).len(), 40, "ZeroLoss");
    at_rest(&pair.till, &pair.node);
}
