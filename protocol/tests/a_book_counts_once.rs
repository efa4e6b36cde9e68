//! `NoDuplicate`, `StockIsSum`, `JournalIntact` for sales that come without a journal: users race,
//! send again, reuse names, wait for products and for people, in any order and any batches; what
//! becomes of each sale is what a list of a few lines says.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use counterfoil_protocol::cloud::decide::{Decided, Verb, plan};
use counterfoil_protocol::cloud::direct::{Brought, Direct, Outcome, book, head, history};
use counterfoil_protocol::cloud::row::Fate;
use counterfoil_protocol::cloud::users::{AddUser, Scope, UserCaller};
use counterfoil_protocol::cloud::{Cloud, InboxRecord, Input, Key, Output, Record, Site, inbox};
use counterfoil_protocol::event::{Line, Tender, Trade};
use counterfoil_protocol::hash::{Hash, genesis, link, secret_hash};
use counterfoil_protocol::identity::{BranchId, EventKey, TerminalId, UserId};
use counterfoil_protocol::journal::SEGMENT_ENTRIES;
use counterfoil_protocol::machine::run;
use counterfoil_protocol::money::{Currency, Milli, Minor};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::ServerId;
use proptest::prelude::*;
use support::{Node, block_on, local, product, site};

const PRODUCTS: [&str; 3] = ["cake", "milk", "tea"];

/// Two users of one branch, and one of another.
fn caller(user: usize) -> UserCaller {
    let branch = if user < 2 { site().branch } else { BranchId::parse("south").unwrap() };
    let site = Site { branch, ..site() };
    let user = UserId::parse(["anna", "bert", "carl"][user]).unwrap();
    UserCaller { user, secret: secret_hash(user.as_str().as_bytes()), site }
}

fn name(id: usize) -> String {
    format!("sale-{id}")
}

/// A sale under a name; another variant is another sale.
fn sale(id: usize, variant: usize) -> Direct {
    let line = Line {
        product: product(PRODUCTS[(id + variant) % PRODUCTS.len()]),
        name: String::new(),
        quantity: Milli(1_000),
        unit_price: Minor(100),
        discount: Minor(0),
        tax_ppm: 0,
    };
    let trade = Trade::paid(Currency::GBP, vec![line], Tender::Other);
    Direct::sale(site().shop, local(&name(id)), Millis(5), trade).unwrap()
}

#[derive(Clone, Debug)]
enum Act {
    /// Requests that one transaction decides; each is of a user, and has names and variants.
    Bring(Vec<(usize, Vec<(usize, usize)>)>),
    Define(usize),
    Decide(usize, usize),
    RollUp,
}

fn act() -> impl Strategy<Value = Act> {
    let sales = proptest::collection::vec(
        (0..9_usize, prop_oneof![4 => Just(0), 1 => Just(1_usize)]),
        1..9,
    );
    let batch = proptest::collection::vec((0..3_usize, sales), 1..4);
    prop_oneof![
        8 => batch.prop_map(Act::Bring),
        2 => (0..PRODUCTS.len()).prop_map(Act::Define),
        2 => (0..9_usize, 0..3_usize).prop_map(|(id, verb)| Act::Decide(id, verb)),
        1 => Just(Act::RollUp),
    ]
}

/// What a sale is, as whoever keeps a list would have it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Listed {
    variant: usize,
    site: Site,
    state: Fate,
}

#[derive(Default)]
struct List {
    sales: BTreeMap<usize, Listed>,
    known: [bool; PRODUCTS.len()],
    names: BTreeMap<usize, ServerId>,
}

impl List {
    fn expect(&mut self, caller: &UserCaller, id: usize, variant: usize) -> &'static str {
        let waits = Fate::Parked(counterfoil_protocol::problem::ErrorCode::ProductUnknown);
        let known = self.known[(id + variant) % PRODUCTS.len()];
        let fresh = Listed { variant, site: caller.site, state: waits };
        let first = !self.sales.contains_key(&id);
        let listed = self.sales.entry(id).or_insert(fresh);
        if listed.variant != variant {
            return "taken";
        }
        match listed.state {
            Fate::Posted => "existing",
            Fate::Rejected | Fate::Withdrawn(_) | Fate::Refused(_) => "rejected",
            Fate::Parked(_) if !first && listed.site != caller.site => "elsewhere",
            Fate::Parked(_) if !known => "unknown",
            Fate::Parked(_) => {
                listed.state = Fate::Posted;
                "created"
            }
        }
    }

    fn told(&mut self, id: usize, outcome: Outcome) -> &'static str {
        match outcome {
            Outcome::Created(name) | Outcome::Existing(name) => {
                assert_eq!(*self.names.entry(id).or_insert(name), name, "one name for ever");
                if matches!(outcome, Outcome::Created(_)) { "created" } else { "existing" }
            }
            Outcome::ProductUnknown(_) => "unknown",
            Outcome::NameTaken => "taken",
            Outcome::CommandTaken => "command",
            Outcome::OtherBranch => "elsewhere",
            Outcome::Rejected => "rejected",
        }
    }
}

fn shop() -> Node {
    let mut node = Node::new(Cloud::default());
    for user in 0..3 {
        let UserCaller { user, secret, site } = caller(user);
        let scopes = vec![Scope::SalesCreate];
        let (expires_at, currency) = (None, Currency::GBP);
        let wish = AddUser { user, site, secret, expires_at, scopes, currency };
        assert_eq!(node.run(Millis(1), Input::AddUser(wish)), Output::UserAdded);
    }
    node
}

fn bring(node: &mut Node, list: &mut List, batch: Vec<(usize, Vec<(usize, usize)>)>) {
    let request = |node: &Node, user: usize, sales: &[(usize, usize)]| {
        let caller = caller(user);
        let head = block_on(head(&node.store, site().shop, caller.user)).unwrap();
        let events = sales.iter().map(|(id, variant)| sale(*id, *variant)).collect();
        Input::Bring(Brought::new(caller, head, events))
    };
    let inputs: Vec<Input> =
        batch.iter().map(|(user, sales)| request(node, *user, sales)).collect();
    let outputs = block_on(run(&node.machine, &mut node.store, Millis(9), &inputs)).unwrap();
    for ((user, sales), mut output) in batch.into_iter().zip(outputs) {
        while output == Output::HeadMoved {
            let again = request(node, user, &sales);
            output = node.run(Millis(9), again);
        }
        let Output::Brought(outcomes) = output else { panic!("{output:?}") };
        assert_eq!(outcomes.len(), sales.len());
        for ((id, variant), outcome) in sales.into_iter().zip(outcomes) {
            let expected = list.expect(&caller(user), id, variant);
            assert_eq!(list.told(id, outcome), expected, "{id}/{variant} of {user}");
        }
    }
}

fn decide(node: &mut Node, list: &mut List, id: usize, verb: usize) {
    let key = EventKey {
        terminal: book(site().shop),
        pos: counterfoil_protocol::cloud::direct::POS,
        local_id: local(&name(id)),
    };
    let asked = [Verb::Retry, Verb::Accept("so".into()), Verb::Reject("no".into())];
    let planned = block_on(plan(&node.store, site().shop, key, asked[verb].clone())).unwrap();
    let Some(listed) = list.sales.get_mut(&id) else {
        assert!(planned.is_none(), "nobody decides of what is not there");
        return;
    };
    let output = node.run(Millis(9), Input::Decide(Box::new(planned.expect("an event"))));
    let known = list.known[(id + listed.variant) % PRODUCTS.len()];
    if let Fate::Parked(code) = listed.state {
        match verb {
            0 if !known => {
                assert_eq!(output, Output::Decided(Decided::Waits(code)));
                return;
            }
            0 | 1 => listed.state = Fate::Posted,
            _ => listed.state = Fate::Rejected,
        }
    }
    let expected = if listed.state == Fate::Posted { Decided::Posted } else { Decided::Rejected };
    assert_eq!(output, Output::Decided(expected));
}

/// Compares the rows with the list: ledger, stock, what waits, the chains, the sums.
fn check(node: &Node, list: &List) {
    let (shop, rows) = (site().shop, &node.store.rows);
    let mut stock: BTreeMap<(BranchId, String), i64> = BTreeMap::new();
    let mut add = |branch: &BranchId, product: &dyn ToString, by: i64| {
        *stock.entry((*branch, product.to_string())).or_default() += by;
    };
    let (mut waiting, mut posted, mut entered) = (0, 0, 0);
    for (key, record) in rows {
        match (key, record) {
            (Key::Stock(_, branch, product), Record::Stock(held)) => {
                add(branch, product, held.quantity.0);
            }
            (Key::Movements(_, branch, _), Record::Movements(moved)) => {
                moved.iter().for_each(|m| add(branch, &m.product, m.by.quantity.0));
            }
            (Key::Waiting(..), Record::Waiting(_)) => waiting += 1,
            (Key::Lane(terminal, epoch), Record::Lane(lane)) => {
                let mut chain = genesis(*terminal, *epoch);
                for seq in 1..=lane.head {
                    let segment = Key::Segment(*terminal, *epoch, (seq - 1) / SEGMENT_ENTRIES);
                    let Some(Record::Segment(segment)) = rows.get(&segment) else { panic!() };
                    chain = link(chain, seq, segment.payload_at(seq).expect("an entry"));
                }
                assert_eq!(chain, lane.hash, "the chain verifies");
                posted += lane.posted.events;
                entered += lane.head;
            }
            _ => {}
        }
    }
    let fates = |fate: fn(&Fate) -> bool| list.sales.values().filter(|s| fate(&s.state)).count();
    assert_eq!(waiting, fates(|fate| matches!(fate, Fate::Parked(_))), "what waits is listed");
    assert_eq!(posted, fates(|fate| *fate == Fate::Posted) as u64, "sums are of what is posted");
    let conflicts = rows.keys().filter(|key| matches!(key, Key::Conflict(..))).count();
    assert!(entered >= (list.sales.len() + conflicts) as u64, "each has an entry");
    assert!(entered <= (2 * list.sales.len() + conflicts) as u64, "and few have two");
    let mut expected: BTreeMap<(BranchId, String), i64> = BTreeMap::new();
    for (id, listed) in &list.sales {
        let key = EventKey {
            terminal: book(shop),
            pos: counterfoil_protocol::cloud::direct::POS,
            local_id: local(&name(*id)),
        };
        let Some(Record::Ledger(held)) = rows.get(&Key::Ledger(key)) else { panic!("{id}") };
        assert_eq!((held.fate, held.site), (listed.state, listed.site), "{id}");
        if listed.state == Fate::Posted {
            let product = PRODUCTS[(id + listed.variant) % PRODUCTS.len()].to_owned();
            *expected.entry((listed.site.branch, product)).or_default() -= 1_000;
        }
    }
    assert_eq!(stock, expected, "stock is the sum of what is posted");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_each_sale_counts_once(acts in proptest::collection::vec(act(), 1..40)) {
        let (mut node, mut list) = (shop(), List::default());
        for act in acts {
            match act {
                Act::Bring(batch) => bring(&mut node, &mut list, batch),
                Act::Define(at) => {
                    node.define(PRODUCTS[at]);
                    list.known[at] = true;
                }
                Act::Decide(id, verb) => decide(&mut node, &mut list, id, verb),
                Act::RollUp => {
                    node.roll_up();
                }
            }
            check(&node, &list);
        }
    }
}

/// More of one user at once than the segments that a request has named.
#[test]
fn a_request_that_the_head_has_left_behind_writes_nothing() {
    let mut node = shop();
    node.define("tea");
    let far = |from: usize| {
        let events = (from..from + 200).map(|id| sale(id * 3 + 2, 0)).collect();
        Input::Bring(Brought::new(caller(0), 0, events))
    };
    let inputs = [far(0), far(200), far(400)];
    let outputs = block_on(run(&node.machine, &mut node.store, Millis(9), &inputs)).unwrap();
    assert!(matches!(outputs[0], Output::Brought(_)));
    assert_eq!((&outputs[1], &outputs[2]), (&Output::HeadMoved, &Output::HeadMoved));
    let key = Key::Lane(book(site().shop), history(caller(0).user));
    let Some(Record::Lane(lane)) = node.store.rows.get(&key) else { panic!("a history") };
    assert_eq!((lane.head, lane.posted.events), (200, 200));
}

/// Who may bring what is decided in the transaction.
#[test]
fn a_stranger_brings_nothing() {
    let mut node = shop();
    node.define("tea");
    let known = caller(0);
    let before = node.store.rows.clone();
    let south = BranchId::parse("south").unwrap();
    for (caller, expected) in [
        (UserCaller { secret: Hash::default(), ..known }, "Denied(WrongCredential)"),
        (UserCaller { user: UserId::parse("eve").unwrap(), ..known }, "Denied(UnknownTerminal)"),
        (UserCaller { site: Site { branch: south, ..known.site }, ..known }, "Moved"),
    ] {
        let output = node.run(Millis(9), Input::Bring(Brought::new(caller, 0, vec![sale(2, 0)])));
        assert_eq!(format!("{output:?}"), expected);
    }
    assert_eq!(node.store.rows, before);
    let user = known.user;
    assert_eq!(node.run(Millis(9), Input::RevokeUser(user)), Output::Revoked);
    let output = node.run(Millis(9), Input::Bring(Brought::new(known, 0, vec![sale(2, 0)])));
    assert_eq!(format!("{output:?}"), "Denied(Revoked)");
}

#[test]
fn what_a_user_brings_is_relayed_to_every_till_of_the_branch() {
    let (mut node, mut list) = (shop(), List::default());
    let site = caller(0).site;
    let on = Input::Inbox(inbox::Input::Relay { site, on: true });
    node.run(Millis(1), on);
    for (number, sku) in PRODUCTS.iter().enumerate() {
        node.define(sku);
        list.known[number] = true;
    }
    bring(&mut node, &mut list, vec![(0, vec![(0, 0), (1, 0), (0, 0)])]);
    let rows = node.store.rows.values();
    let told: Vec<Option<TerminalId>> = rows
        .filter_map(|record| {
            let Record::Inbox(InboxRecord::Event(stored)) = record else { return None };
            Some(stored.from)
        })
        .collect();
    assert_eq!(told, [None, None], "each sale once, and no till has counted it itself");
}
