//! Each way in which a till and its cloud can have lost each other, and how they meet again.
//!
//! > **`ZeroLoss`**, **`NoDuplicate`**, **`NoPhantom`**, **`JournalIntact`**: at the end of each
//! > line of the ledger below the cloud holds every event of both histories exactly once.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod support;

use std::collections::BTreeMap;

use counterfoil_protocol::cloud::{self, Cloud, Output};
use counterfoil_protocol::identity::{BranchId, TerminalId};
use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::terminal::{self, Input, Parted, Place, pull};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{Standing, Stopped};
use support::rows::{always, at_rest, entries, event, forks, lanes, ledger};
use support::{Node, Pair, Till, block_on, caller, key_of, sale, secret, terminal_id};

/// What a case leaves behind: the pair, and the ids of everything that must be in the cloud.
struct Told {
    pair: Pair,
    sold: &'static [&'static str],
}

fn told(pair: Pair, sold: &'static [&'static str]) -> Told {
    Told { pair, sold }
}

fn pair() -> Pair {
    Pair::new(Cloud::default())
}

/// A pair that has synced `ids`.
fn synced(ids: &[&str]) -> Pair {
    let mut pair = pair();
    pair.sell_all(ids);
    pair.sync();
    pair
}

fn nothing_yet() -> Told {
    told(pair(), &[])
}

fn all_synced() -> Told {
    told(synced(&["a", "b"]), &["a", "b"])
}

fn sold_since() -> Told {
    let mut pair = synced(&["a"]);
    pair.sell_all(&["b", "c"]);
    told(pair, &["a", "b", "c"])
}

fn answer_lost() -> Told {
    let mut pair = synced(&["a"]);
    pair.sell_all(&["b"]);
    support::offer(&mut pair.till, &mut pair.node, pair.now, false);
    told(pair, &["a", "b"])
}

fn answer_lost_and_sold_on() -> Told {
    let Told { mut pair, .. } = answer_lost();
    pair.sell_all(&["c"]);
    told(pair, &["a", "b", "c"])
}

fn cloud_restored() -> Told {
    let mut pair = synced(&["a"]);
    let backup = pair.node.clone();
    pair.sell_all(&["b", "c"]);
    pair.sync();
    pair.node = backup;
    told(pair, &["a", "b", "c"])
}

fn cloud_restored_to_before_the_lane() -> Told {
    let mut pair = pair();
    let backup = pair.node.clone();
    pair.sell_all(&["a", "b"]);
    pair.sync();
    pair.node = backup;
    told(pair, &["a", "b"])
}

fn till_restored() -> Told {
    let mut pair = synced(&["a"]);
    let backup = pair.till.clone();
    pair.sell_all(&["b"]);
    pair.sync();
    pair.till = backup;
    told(pair, &["a", "b"])
}

fn till_restored_with_unsynced_sales() -> Told {
    let mut pair = synced(&["a"]);
    pair.sell_all(&["b"]);
    let backup = pair.till.clone();
    pair.sell_all(&["c"]);
    pair.sync();
    pair.till = backup;
    told(pair, &["a", "b", "c"])
}

fn till_restored_and_sold_on_less() -> Told {
    let mut pair = synced(&["a"]);
    let backup = pair.till.clone();
    pair.sell_all(&["b", "c"]);
    pair.sync();
    pair.till = backup;
    pair.sell_all(&["d"]);
    told(pair, &["a", "b", "c", "d"])
}

fn till_restored_and_sold_on_as_much() -> Told {
    let Told { mut pair, .. } = till_restored();
    pair.sell_all(&["c"]);
    told(pair, &["a", "b", "c"])
}

fn till_restored_and_sold_on_more() -> Told {
    let Told { mut pair, .. } = till_restored();
    pair.sell_all(&["c", "d"]);
    told(pair, &["a", "b", "c", "d"])
}

/// The till comes back from a backup while its clone is online, and the cloud lost its tail.
fn double_disaster() -> Told {
    let mut pair = synced(&["a"]);
    let cloud_backup = pair.node.clone();
    let mut clone = pair.till.clone();
    pair.sell_all(&["b", "c"]);
    pair.sync();
    let till_backup = pair.till.clone();
    pair.sell_all(&["d"]);
    pair.sync();
    pair.node = cloud_backup;
    pair.till = till_backup;
    // The clone reaches the restored cloud first, with other entries at the same places.
    clone.sell(pair.now, sale("x", "x"));
    clone.sell(pair.now, sale("y", "y"));
    support::quiesce(&mut clone, &mut pair.node, &mut pair.now);
    told(pair, &["a", "b", "c", "x", "y"])
}

/// A till with a closed history that the cloud has lost altogether.
fn cloud_lost_a_closed_lane() -> Told {
    let mut pair = pair();
    let backup = pair.node.clone();
    pair.sell_all(&["a", "b"]);
    pair.sync();
    pair.till.witness = None;
    assert_eq!(pair.till.open(pair.now, 99), Some(Parted::Copied));
    pair.sell_all(&["c"]);
    pair.quiesce();
    pair.node = backup;
    told(pair, &["a", "b", "c"])
}

type Case = (&'static str, fn() -> Told, Standing, Option<Parted>, u64);

#[test]
fn every_case_is_recognised_and_ends_in_step() {
    use Parted::{Forked, LostTail};
    use Standing as S;
    // how it is reached, the case, what the cloud answers, why the till parts, its acked floor
    let cases: [Case; 14] = [
        ("a new till", nothing_yet, S::InStep, None, 0),
        ("all is synced", all_synced, S::InStep, None, 2),
        ("sold since", sold_since, S::TillAhead, None, 1),
        ("the answer was lost", answer_lost, S::InStep, None, 1),
        ("... and sold on", answer_lost_and_sold_on, S::TillAhead, None, 1),
        ("cloud restored", cloud_restored, S::CloudLostTail, None, 1),
        ("... to nothing", cloud_restored_to_before_the_lane, S::CloudLostTail, None, 0),
        ("till restored", till_restored, S::TillLostTail, Some(LostTail), 0),
        ("... unsynced", till_restored_with_unsynced_sales, S::TillLostTail, Some(LostTail), 0),
        ("... sold less", till_restored_and_sold_on_less, S::Forked, Some(Forked), 0),
        ("... as much", till_restored_and_sold_on_as_much, S::Forked, Some(Forked), 0),
        ("... more", till_restored_and_sold_on_more, S::Forked, Some(Forked), 0),
        ("double disaster", double_disaster, S::Forked, Some(Forked), 0),
        ("closed lane lost", cloud_lost_a_closed_lane, S::CloudLostTail, None, 0),
    ];
    for (name, case, standing, parted, acked) in cases {
        let Told { mut pair, sold } = case();
        let (answered, backlog) = pair.greet();
        assert_eq!((answered, backlog.parted), (standing, parted), "{name}");
        assert_eq!(pair.till.meta().acked, acked, "{name}: up to where answers hold");
        let named = matches!(standing, Standing::TillLostTail | Standing::Forked);
        pair.quiesce();
        assert!(!named || !forks(&pair.node).is_empty(), "{name}: the parting is named");
        let ids: Vec<_> = ledger(&pair.node).keys().map(|key| key.local_id.to_string()).collect();
        assert_eq!(ids, sold, "{name}: every event of both histories, exactly once");
        let committed = ledger(&pair.node).into_iter().map(|(k, l)| (k, l.payload_hash)).collect();
        always(&pair.till, &pair.node, &committed);
        at_rest(&pair.till, &pair.node);
        assert_eq!(pair.greet().0, Standing::InStep, "{name}: in step at the end");
        let settled = pair.node.store.rows.clone();
        pair.now = pair.now.after(Millis(1));
        pair.sync();
        assert_eq!(pair.node.store.rows, settled, "{name}: once more changes nothing");
    }
}

#[test]
fn a_lost_place_in_the_journal_stops_the_push_and_says_why() {
    type Reach = fn() -> Pair;
    let cases: [(&str, Reach, Stopped); 3] = [
        (
            "cloud restored",
            || {
                let Told { mut pair, .. } = cloud_restored();
                pair.sell_all(&["d"]);
                pair
            },
            Stopped::Gap,
        ),
        (
            "cloud restored to nothing",
            || {
                let Told { mut pair, .. } = cloud_restored_to_before_the_lane();
                pair.sell_all(&["d"]);
                pair
            },
            Stopped::UnknownEpoch,
        ),
        ("a copy was here first", || till_restored_and_sold_on_more().pair, Stopped::Forked),
    ];
    for (name, reach, expected) in cases {
        let mut pair = reach();
        let before = pair.node.store.rows.clone();
        let answer = pair.offer().unwrap();
        assert_eq!((answer.results.len(), answer.stopped), (0, Some(expected)), "{name}");
        assert_eq!(pair.node.store.rows, before, "{name}: nothing was written");
        pair.quiesce();
        at_rest(&pair.till, &pair.node);
    }
}

#[test]
fn a_till_that_is_turned_away_keeps_everything_and_comes_back() {
    let (now, long_ago) = (Millis(1_000), Some(Millis(999)));
    let (id, site) = (terminal_id(), support::site());
    type Spoil = Box<dyn Fn(&mut Node)>;
    let cases: [(&str, Spoil, Denial, bool); 4] = [
        ("unknown", Box::new(|node| node.store.rows.clear()), Denial::UnknownTerminal, true),
        (
            "revoked",
            Box::new(move |node| {
                node.run(now, cloud::Input::Revoke { terminal: id });
            }),
            Denial::Revoked,
            true,
        ),
        (
            "expired",
            Box::new(move |node| {
                node.enrol(long_ago);
            }),
            Denial::Expired,
            false,
        ),
        (
            "wrong",
            Box::new(move |node| {
                let secret = counterfoil_protocol::hash::secret_hash(b"another");
                let input = cloud::Input::Enrol { terminal: id, site, secret, expires_at: None };
                node.run(now, input);
            }),
            Denial::WrongCredential,
            false,
        ),
    ];
    for (name, spoil, denial, quarantines) in cases {
        let mut pair = synced(&["a"]);
        pair.sell_all(&["b"]);
        spoil(&mut pair.node);
        let before = pair.node.store.rows.clone();
        let hello = pair.till.hello(pair.now);
        assert_eq!(pair.node.greet(pair.now, &hello), Output::Denied(denial), "{name}");
        let pull::Batch::Push(push) = pair.till.batch(pair.now) else { panic!() };
        assert_eq!(pair.node.push(pair.now, &push), Output::Denied(denial), "{name}");
        assert_eq!(pair.node.store.rows, before, "{name}: nothing was written");

        let kept = entries(&pair.till);
        pair.till.run(pair.now, Input::Denied(denial));
        let quarantined = quarantines.then_some(denial);
        assert_eq!(pair.till.meta().quarantined, quarantined, "{name}");
        assert_eq!(entries(&pair.till), kept, "{name}: the queue is kept");
        pair.sell_all(&["c"]);

        pair.node.enrol(None);
        pair.quiesce();
        assert_eq!(pair.till.meta().quarantined, None, "{name}: released by a welcome");
        assert_eq!(ledger(&pair.node).len(), 3, "{name}: nothing is lost");
        at_rest(&pair.till, &pair.node);
    }
}

#[test]
fn who_speaks_is_the_terminal_of_the_credential_at_its_site() {
    let mut node = Node::new(Cloud::default());
    let till = Till::install(1);
    let mut hello = till.hello(Millis(0));
    let elsewhere = cloud::Site { branch: BranchId::parse("nord").unwrap(), ..support::site() };
    let stale = cloud::Caller { site: elsewhere, ..caller() };
    let input = cloud::Input::Hello { caller: stale, hello: hello.clone() };
    assert_eq!(node.run(Millis(0), input), Output::Moved);
    let (terminal, secret) = (terminal_id(), secret());
    let input = cloud::Input::Enrol { terminal, site: elsewhere, secret, expires_at: None };
    assert_eq!(node.run(Millis(0), input), Output::OtherSite(support::site()));
    hello.terminal_id = TerminalId::parse("T-2").unwrap();
    assert_eq!(node.greet(Millis(0), &hello), Output::Denied(Denial::WrongCredential));
    let ghost = cloud::Input::Revoke { terminal: hello.terminal_id };
    assert_eq!(node.run(Millis(0), ghost), Output::NoSuchTerminal);
    assert!(lanes(&node).is_empty(), "nobody was let in");
}

#[test]
fn both_histories_of_a_fork_are_kept_and_named() {
    let Told { mut pair, .. } = till_restored_and_sold_on_more();
    let first = pair.till.meta().epoch;
    pair.quiesce();
    let fork = forks(&pair.node)[0];
    assert_eq!((fork.common, fork.cloud_head), (1, 2));
    let second = pair.till.meta();
    let lanes = lanes(&pair.node);
    assert_eq!((lanes[&first].head, lanes[&second.epoch].head), (2, 2));
    assert_eq!(lanes[&second.epoch].parent.unwrap().epoch, first);
    for (place, entry) in entries(&pair.till) {
        let moved = matches!(entry.state, terminal::row::State::Moved(_));
        assert_eq!(moved, place.epoch == first && place.seq > 1, "{place:?}");
    }
}

#[test]
fn a_stale_welcome_causes_at_most_work_that_is_done_twice() {
    let mut pair = synced(&["a"]);
    let hello = pair.till.hello(pair.now);
    let Output::Welcome(stale) = pair.node.greet(pair.now, &hello) else { panic!() };
    pair.sell_all(&["b", "c"]);
    pair.sync();
    pair.till.run(pair.now, Input::Welcomed { welcome: stale, nonce: 5 });
    assert_eq!(pair.till.meta().acked, 1, "taken back");
    let before = pair.node.store.rows.clone();
    pair.quiesce();
    assert_eq!(pair.node.store.rows, before, "what was done twice had no second effect");
    at_rest(&pair.till, &pair.node);
}

#[test]
fn the_witness_outside_tells_which_database_this_is() {
    type Spoil = fn(&mut Till);
    let cases: [(&str, Spoil, Option<Parted>); 5] = [
        ("as it was", |_| {}, None),
        (
            "crash before the witness was written",
            |till| {
                let outside = till.witness;
                till.open(Millis(0), 50);
                till.witness = outside;
            },
            None,
        ),
        ("lost", |till| till.witness = None, Some(Parted::Copied)),
        (
            "of another installation",
            |till| {
                till.witness = till
                    .witness
                    .map(|w| counterfoil_protocol::identity::Witness { install: 77, ..w });
            },
            Some(Parted::Copied),
        ),
        (
            "of a later boot",
            |till| {
                let backup = till.store.clone();
                till.open(Millis(0), 50);
                till.open(Millis(0), 51);
                till.store = backup;
            },
            Some(Parted::Restored),
        ),
    ];
    for (name, spoil, parted) in cases {
        let mut pair = synced(&["a"]);
        pair.sell_all(&["b"]);
        let epoch = pair.till.meta().epoch;
        spoil(&mut pair.till);
        assert_eq!(pair.till.open(pair.now, 60), parted, "{name}");
        assert_eq!(pair.till.meta().epoch != epoch, parted.is_some(), "{name}");
        assert_eq!(pair.till.open(pair.now, 61), None, "{name}: then all is as it was");
        pair.sell_all(&["c"]);
        pair.quiesce();
        assert_eq!(ledger(&pair.node).len(), 3, "{name}");
        at_rest(&pair.till, &pair.node);
    }
}

#[test]
fn a_long_closed_history_is_carried_over_in_parts() {
    let mut pair = pair();
    let ids: Vec<String> = (0..150).map(|n| format!("s{n}")).collect();
    for id in &ids {
        pair.sell(sale(id, "tea"));
    }
    pair.till.witness = None;
    pair.till.open(pair.now, 9);
    pair.quiesce();
    assert_eq!(ledger(&pair.node).len(), 150);
    let committed: BTreeMap<_, _> = entries(&pair.till)
        .values()
        .map(|entry| (event(&entry.payload).key(terminal_id()), entry.payload_hash))
        .collect();
    always(&pair.till, &pair.node, &committed);
    at_rest(&pair.till, &pair.node);
    let places: Vec<Place> = ids
        .iter()
        .map(|id| match pair.till.record(pair.now, sale(id, "tea")) {
            terminal::Output::Recorded { place, again: true, .. } => place,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(places.is_sorted(), "in the order in which they were sold");
    assert_eq!(ledger(&pair.node)[&key_of("1", "s0")].epoch.number, 2);
}

/// What was read of a closed history before the cloud was heard is not what is left of it.
#[test]
fn a_part_that_was_read_before_the_cloud_was_heard_is_read_again() {
    let mut pair = Pair::new(Cloud::default());
    let before = pair.node.clone();
    pair.sell_all(&["a", "b", "c"]);
    pair.sync();
    pair.till.witness = None;
    assert!(pair.till.open(pair.now, 77).is_some(), "a new epoch");
    let read = block_on(pull::adoption(&pair.till.store, &pair.till.meta())).unwrap().unwrap();
    pair.node = before;
    pair.greet();
    pair.till.run(pair.now, Input::Adopt(read));
    pair.quiesce();
    assert_eq!(ledger(&pair.node).len(), 3, "ZeroLoss");
}
