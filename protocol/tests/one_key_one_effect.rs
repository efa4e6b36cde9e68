//! > **`NoDuplicate`**: a sale, and each of its effects, counts once in the cloud, however often
//! > it was sent.
//!
//! The same key and payload: the first answer, for ever. The same key and another payload:
//! refused, both kept, a person decides (B.2).
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod support;

use std::sync::Arc;

use counterfoil_protocol::cloud::row::{Fate, server_id};
use counterfoil_protocol::cloud::{self, Cloud, UnknownProducts};
use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::{Hash, genesis, link, payload_hash};
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::terminal::Draft;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::event::{BodyV1, EventV1};
use counterfoil_protocol::wire::message::{
    Hello, HelloLane, Point, Push, PushAnswer, PushItem, ServerId, Stopped, Verdict,
};
use support::rows::{entries, journal_intact, ledger, stock_is_sum};
use support::{Node, Till, key_of, sale, site, terminal_id};

const NOW: Millis = Millis(1_000);

/// The canonical bytes of a draft, as a till would write them.
fn bytes(draft: Draft) -> Vec<u8> {
    let mut till = Till::install(1);
    let place = till.sell(NOW, draft);
    entries(&till)[&place].payload.to_vec()
}

/// The same event with another reference: the same key, another payload.
fn changed(payload: &[u8]) -> Vec<u8> {
    let event = Event::from_canonical(payload).unwrap();
    let wire = EventV1 { reference: "changed".into(), ..EventV1::from_event(&event) };
    Event::parse(wire).unwrap().canonical()
}

/// A history written by hand: whatever bytes, in whatever order.
struct Lane {
    epoch: Epoch,
    items: Vec<PushItem>,
}

impl Lane {
    fn begin(node: &mut Node, number: u32) -> Self {
        let epoch = Epoch { number, nonce: 7 };
        let points = vec![Point { seq: 0, hash: genesis(terminal_id(), epoch) }];
        let lane = HelloLane { epoch, parent: None, acked: 0, points };
        let hello = Hello {
            terminal_id: terminal_id(),
            versions: vec![1],
            app: String::new(),
            clock_ms: 0,
            lanes: vec![lane],
        };
        assert!(matches!(node.greet(NOW, &hello), cloud::Output::Welcome(_)));
        Self { epoch, items: Vec::new() }
    }

    fn add(&mut self, payload: &[u8]) {
        let start = genesis(terminal_id(), self.epoch);
        let before = self.items.last().map_or(start, |item| item.chain_hash);
        let seq = self.items.len() as u64 + 1;
        let chain_hash = link(before, seq, payload_hash(payload));
        self.items.push(PushItem { seq, chain_hash, payload: payload.into() });
    }

    /// Offers the entries from number `from` on.
    fn offer(&self, node: &mut Node, from: usize) -> PushAnswer {
        let items = self.items[from - 1..].to_vec();
        let push = Push { terminal_id: terminal_id(), epoch: self.epoch, items };
        match node.push(NOW, &push) {
            cloud::Output::Pushed(answer) => answer,
            other => panic!("not answered: {other:?}"),
        }
    }

    fn verdicts(&self, node: &mut Node, from: usize) -> Vec<Verdict> {
        let answer = self.offer(node, from);
        assert_eq!((answer.head, answer.stopped), (self.items.len() as u64, None));
        journal_intact(node);
        stock_is_sum(node);
        answer.results.iter().map(|result| result.verdict).collect()
    }
}

fn id(local: &str) -> ServerId {
    server_id(site().shop, &key_of("1", local))
}

fn conflicts(node: &Node) -> Vec<Hash> {
    let rows = node.store.rows.iter();
    rows.filter_map(|(key, record)| match (key, record) {
        (cloud::Key::Conflict(_, hash), cloud::Record::Conflict(kept)) => {
            assert_eq!(payload_hash(&kept.payload), *hash, "the other payload is kept");
            Some(*hash)
        }
        _ => None,
    })
    .collect()
}

#[test]
fn the_first_answer_holds_for_ever_wherever_it_is_asked_for() {
    use Verdict::{Created, Existing};
    let (a, b) = (bytes(sale("a", "tea")), bytes(sale("b", "tea")));
    let mut node = Node::new(Cloud::default());
    let mut first = Lane::begin(&mut node, 1);
    first.add(&a);
    first.add(&a);
    first.add(&b);
    let created = [Created(id("a")), Existing(id("a")), Created(id("b"))];
    assert_eq!(first.verdicts(&mut node, 1), created, "twice in the same batch");
    let rows = node.store.rows.clone();
    for _ in 0..3 {
        let existing = [Existing(id("a")), Existing(id("a")), Existing(id("b"))];
        assert_eq!(first.verdicts(&mut node, 1), existing, "the whole push again");
        assert_eq!(node.store.rows, rows, "and nothing was written");
    }
    let mut second = Lane::begin(&mut node, 2);
    second.add(&b);
    second.add(&a);
    assert_eq!(second.verdicts(&mut node, 1), [Existing(id("b")), Existing(id("a"))]);
    let entry = &ledger(&node)[&key_of("1", "b")];
    assert_eq!((entry.epoch, entry.seq), (first.epoch, 3), "the ledger keeps who brought it first");
}

#[test]
fn the_cloud_gives_the_same_name_again_after_it_was_restored() {
    let mut node = Node::new(Cloud::default());
    let backup = node.clone();
    let verdict = |node: &mut Node| {
        let mut lane = Lane::begin(node, 1);
        lane.add(&bytes(sale("a", "tea")));
        lane.verdicts(node, 1)
    };
    let before = verdict(&mut node);
    node = backup;
    assert_eq!(verdict(&mut node), before);
}

#[test]
fn what_was_parked_is_posted_once_under_the_same_name() {
    let mut node = Node::new(Cloud { unknown_products: UnknownProducts::Park });
    let mut lane = Lane::begin(&mut node, 1);
    lane.add(&bytes(sale("a", "tea")));
    let parked = [Verdict::Parked(ErrorCode::ProductUnknown)];
    assert_eq!(lane.verdicts(&mut node, 1), parked);
    let rows = node.store.rows.clone();
    assert_eq!(lane.verdicts(&mut node, 1), parked, "as before");
    assert_eq!(node.store.rows, rows, "and nothing was written");
    node.define("tea");
    assert_eq!(lane.verdicts(&mut node, 1), [Verdict::Created(id("a"))]);
    assert_eq!(lane.verdicts(&mut node, 1), [Verdict::Existing(id("a"))]);
}

#[test]
fn another_payload_under_the_same_key_is_refused_and_kept_beside_the_first() {
    use Verdict::{Created, Existing, Refused};
    let refused = Refused(ErrorCode::EventInvalid);
    let (a, b, c) = (bytes(sale("a", "tea")), bytes(sale("b", "tea")), bytes(sale("c", "tea")));
    let mut node = Node::new(Cloud::default());
    let mut lane = Lane::begin(&mut node, 1);
    for payload in [&a, &b, &changed(&a), &c] {
        lane.add(payload);
    }
    let expected = [Created(id("a")), Created(id("b")), refused, Created(id("c"))];
    assert_eq!(lane.verdicts(&mut node, 1), expected, "its neighbours go on");
    assert_eq!(ledger(&node)[&key_of("1", "a")].payload[..], a, "the first one stands");
    assert_eq!(conflicts(&node), [payload_hash(&changed(&a))]);
    let rows = node.store.rows.clone();
    let again = [Existing(id("a")), Existing(id("b")), refused, Existing(id("c"))];
    assert_eq!(lane.verdicts(&mut node, 1), again);
    assert_eq!(node.store.rows, rows, "and nothing was written");
}

#[test]
fn a_parked_event_holds_its_key_against_another_payload() {
    let mut node = Node::new(Cloud { unknown_products: UnknownProducts::Park });
    let a = bytes(sale("a", "tea"));
    let mut lane = Lane::begin(&mut node, 1);
    lane.add(&a);
    lane.add(&changed(&a));
    let refused = Verdict::Refused(ErrorCode::EventInvalid);
    let parked = Verdict::Parked(ErrorCode::ProductUnknown);
    assert_eq!(lane.verdicts(&mut node, 1), [parked, refused]);
    node.define("tea");
    assert_eq!(lane.verdicts(&mut node, 1), [Verdict::Created(id("a")), refused]);
    assert_eq!(ledger(&node).len(), 1);
    assert_eq!(conflicts(&node).len(), 1);
}

#[test]
fn bytes_that_are_no_event_take_their_place_and_block_nobody() {
    let (a, b) = (bytes(sale("a", "tea")), bytes(sale("b", "tea")));
    let mut unbalanced = EventV1::from_event(&Event::from_canonical(&b).unwrap());
    let BodyV1::Sale(trade) = &mut unbalanced.body else { panic!() };
    trade.payments.clear();
    let unbalanced = counterfoil_protocol::codec::encode(1, &unbalanced);
    let mut node = Node::new(Cloud::default());
    let mut lane = Lane::begin(&mut node, 1);
    for payload in [&a[..], b"", b"what?", &unbalanced, &b] {
        lane.add(payload);
    }
    let refused = Verdict::Refused(ErrorCode::EventInvalid);
    let expected =
        [Verdict::Created(id("a")), refused, refused, refused, Verdict::Created(id("b"))];
    assert_eq!(lane.verdicts(&mut node, 1), expected);
    for (seq, payload) in [(2, &b""[..]), (3, b"what?"), (4, &unbalanced)] {
        let key = cloud::Key::Opaque(terminal_id(), lane.epoch, seq);
        match node.store.rows.get(&key) {
            Some(cloud::Record::Opaque(kept)) => assert_eq!(kept.payload, payload, "kept"),
            other => panic!("entry {seq} is not kept: {other:?}"),
        }
    }
}

#[test]
fn the_journal_stops_where_it_does_not_continue_and_keeps_what_came_before() {
    let payloads: Vec<_> = ["a", "b", "c"].iter().map(|id| bytes(sale(id, "tea"))).collect();
    type Spoil = fn(&mut Lane);
    for (name, spoil, taken, stopped) in [
        ("a gap", (|lane| drop(lane.items.remove(1))) as Spoil, 1, Some(Stopped::Gap)),
        (
            "a false chain",
            |lane| lane.items[1].chain_hash = Hash([9; 32]),
            1,
            Some(Stopped::Forked),
        ),
        (
            "a payload bit",
            |lane| Arc::make_mut(&mut lane.items[2].payload)[3] ^= 1,
            2,
            Some(Stopped::Forked),
        ),
        ("another history", |lane| lane.epoch.nonce += 1, 0, Some(Stopped::UnknownEpoch)),
        ("nothing", |_| {}, 3, None),
    ] {
        let mut node = Node::new(Cloud::default());
        let mut lane = Lane::begin(&mut node, 1);
        payloads.iter().for_each(|payload| lane.add(payload));
        spoil(&mut lane);
        let answer = lane.offer(&mut node, 1);
        assert_eq!((answer.results.len(), answer.stopped), (taken, stopped), "{name}");
        assert_eq!((answer.head, ledger(&node).len()), (taken as u64, taken), "{name}");
        assert!(answer.results.iter().all(|r| matches!(r.verdict, Verdict::Created(_))), "{name}");
        journal_intact(&node);
        stock_is_sum(&node);
    }
}

#[test]
fn a_posted_event_is_the_sum_of_its_movements_and_figures() {
    let mut node = Node::new(Cloud::default());
    let mut lane = Lane::begin(&mut node, 1);
    for payload in [
        bytes(sale("a", "tea")),
        bytes(support::refund("b", "tea", Some(key_of("1", "a")))),
        bytes(support::adjustment("c", "tea", 700)),
    ] {
        lane.add(&payload);
    }
    assert_eq!(lane.verdicts(&mut node, 1).len(), 3);
    let (quantity, movements) = support::rows::stock(&node)[&support::product("tea")];
    assert_eq!((quantity.0, movements), (-2_000 + 1_000 + 700, 3));
    let posted = support::rows::lanes(&node)[&lane.epoch].posted;
    assert_eq!((posted.events, posted.lines), (3, 3));
    assert_eq!((posted.quantity.0, posted.money.0), (2_000 - 1_000 + 700, 510 - 255));
    assert!(ledger(&node).values().all(|ledger| ledger.fate == Fate::Posted));
}
