//! A shop with branches and tills for the tests of the inbox, wired together by hand.
#![allow(dead_code, reason = "each test file uses its own part of the kit")]
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]
#![allow(unreachable_pub, reason = "one module, compiled into each test file")]

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_protocol::cloud::inbox::row::{OrderLine, Stored};
use counterfoil_protocol::cloud::inbox::{self, Order, feed};
use counterfoil_protocol::cloud::{self, Caller, Cloud, InboxKey, InboxRecord, Offer, Site};
use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::identity::{BranchId, OrderId, ProductId, ShopId, TerminalId, Witness};
use counterfoil_protocol::inbox::{EventId, InboxEvent};
use counterfoil_protocol::machine::run;
use counterfoil_protocol::terminal::inbox::{self as till_inbox, Movement, Standing};
use counterfoil_protocol::terminal::{self, Identity};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::inbox::{Ack, AckAnswer, Cursor, PendingAnswer, PendingPage};
use counterfoil_protocol::wire::message::{Hello, Push};

use super::support::{Mem, Node, Till, block_on, product};

pub const NOW: Millis = Millis(1_000_000);

pub fn site(branch: &str) -> Site {
    Site { shop: ShopId::parse("shop").unwrap(), branch: BranchId::parse(branch).unwrap() }
}

pub fn order_id(text: &str) -> OrderId {
    OrderId::parse(text).unwrap()
}

/// An order of some products, in whole pieces.
pub fn order(branch: &str, id: &str, at: u64, lines: &[(&str, i64)]) -> Order {
    let line = |(sku, pieces): &(&str, i64)| OrderLine {
        product_id: product(sku),
        quantity_milli: pieces * 1000,
    };
    Order::new(site(branch), order_id(id), Millis(at), lines.iter().map(line).collect()).unwrap()
}

/// A till, and who it is.
#[derive(Clone)]
pub struct Counter {
    pub till: Till,
    pub caller: Caller,
}

/// A cloud and the tills of a shop.
#[derive(Clone)]
pub struct Shop {
    pub node: Node,
}

impl Shop {
    pub fn new() -> Self {
        Self { node: Node::new(Cloud::default()) }
    }

    pub fn inbox(&mut self, input: inbox::Input) -> inbox::Output {
        match self.node.run(NOW, cloud::Input::Inbox(input)) {
            cloud::Output::Inbox(output) => output,
            other => panic!("{other:?}"),
        }
    }

    pub fn place(&mut self, order: &Order) -> inbox::Output {
        self.inbox(inbox::Input::Place(order.clone()))
    }

    pub fn cancel(&mut self, branch: &str, id: &str, at: u64) -> inbox::Output {
        let (site, order, created_at) = (site(branch), order_id(id), Millis(at));
        self.inbox(inbox::Input::Cancel { site, order, created_at })
    }

    pub fn relay(&mut self, branch: &str, on: bool) {
        let set = self.inbox(inbox::Input::Relay { site: site(branch), on });
        assert_eq!(set, inbox::Output::Set);
    }

    /// Enrols and installs a till.
    pub fn till(&mut self, branch: &str, name: &str) -> Counter {
        let terminal = TerminalId::parse(name).unwrap();
        let (site, secret) = (site(branch), secret_hash(name.as_bytes()));
        let enrol = cloud::Input::Enrol { terminal, site, secret, expires_at: None };
        assert_eq!(self.node.run(NOW, enrol), cloud::Output::Enrolled);
        let witness = Witness { install: 1, boot: 1 };
        let mut till =
            Till { store: Mem::default(), witness: Some(witness), outstanding: <_>::default() };
        let identity = Identity { shop: site.shop, branch: site.branch, terminal };
        till.run(NOW, terminal::Input::Install { identity, witness, nonce: 7 });
        Counter { till, caller: Caller { terminal, secret, site } }
    }

    pub fn pending(&self, caller: &Caller, after: Option<Cursor>, limit: usize) -> PendingAnswer {
        let found = feed::pending(&self.node.store, caller.site, caller.terminal, after, limit);
        PendingAnswer::decode(&block_on(found).unwrap().encode()).unwrap()
    }

    pub fn page(&self, caller: &Caller, after: Option<Cursor>, limit: usize) -> PendingPage {
        match self.pending(caller, after, limit) {
            PendingAnswer::Page(page) => page,
            PendingAnswer::Restart => panic!("the place is known"),
        }
    }

    pub fn ack(&mut self, caller: &Caller, ack: &Ack) -> AckAnswer {
        let ack = Ack::decode(&ack.encode()).unwrap();
        match self.inbox(inbox::Input::Ack { caller: *caller, ack }) {
            inbox::Output::Acked(answer) => AckAnswer::decode(&answer.encode()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// What the cloud holds as acknowledged.
    pub fn acked(&self, caller: &Caller) -> u64 {
        block_on(feed::acked(&self.node.store, caller.site, caller.terminal)).unwrap()
    }

    /// The whole start-up handshake of S0.1, `limit` events at a time.
    pub fn collect(&mut self, counter: &mut Counter, limit: usize) {
        for _ in 0..1_000 {
            let answer = self.pending(&counter.caller, Some(counter.wanted()), limit);
            let standing = counter.deliver(answer);
            if standing.restarted || (standing.cursor < standing.head && !standing.unreadable) {
                continue;
            }
            if let Some(ack) = counter.ack() {
                assert!(self.ack(&counter.caller, &ack).known, "it stands in this inbox");
            }
            return;
        }
        panic!("an inbox comes to its end");
    }

    /// Pushes everything that a till has sold.
    pub fn sync(&mut self, counter: &mut Counter) {
        let Counter { till, caller } = counter;
        let hello = Hello::decode(&till.hello(NOW).encode()).unwrap();
        let hello = cloud::Input::Hello { caller: *caller, hello };
        let cloud::Output::Welcome(welcome) = self.node.run(NOW, hello) else { panic!("welcome") };
        till.run(NOW, terminal::Input::Welcomed { welcome, nonce: 9 });
        while let terminal::pull::Batch::Push(push) = till.batch(NOW) {
            let epoch = push.epoch;
            let offer = Offer::read(Push::decode(&push.encode()).unwrap(), caller.site.shop);
            let pushed = cloud::Input::Push { caller: *caller, offer };
            let cloud::Output::Pushed(answer) = self.node.run(NOW, pushed) else { panic!("push") };
            till.run(NOW, terminal::Input::Answered { epoch, answer });
        }
    }

    /// The events of a branch's inbox, in its order.
    pub fn events(&self, branch: &str) -> Vec<InboxEvent> {
        self.stored(branch)
            .iter()
            .map(|s| InboxEvent::from_canonical(&s.content).unwrap())
            .collect()
    }

    pub fn stored(&self, branch: &str) -> Vec<Stored> {
        let Site { shop, branch } = site(branch);
        let key = |seq| cloud::Key::Inbox(InboxKey::Event(shop, branch, seq));
        let [first, end] = [0, u64::MAX].map(key);
        let rows = self.node.store.rows.range(first..end);
        rows.filter_map(|(_, record)| match record {
            cloud::Record::Inbox(InboxRecord::Event(stored)) => Some(stored.clone()),
            _ => None,
        })
        .collect()
    }

    /// The branch's stock in the cloud: stock rows, and what was moved since.
    pub fn stock(&self, branch: &str, sku: &str) -> i64 {
        let (of, wanted) = (site(branch), product(sku));
        let rows = self.node.store.rows.iter();
        rows.map(|(key, record)| match (key, record) {
            (cloud::Key::Stock(shop, branch, product), cloud::Record::Stock(stock))
                if (*shop, *branch, *product) == (of.shop, of.branch, wanted) =>
            {
                stock.quantity.0
            }
            (cloud::Key::Movements(shop, branch, _), cloud::Record::Movements(moved))
                if (*shop, *branch) == (of.shop, of.branch) =>
            {
                let of_it = moved.iter().filter(|moved| moved.product == wanted);
                of_it.map(|moved| moved.by.quantity.0).sum()
            }
            _ => 0,
        })
        .sum()
    }
}

impl Counter {
    pub fn wanted(&self) -> Cursor {
        block_on(till_inbox::wanted(&self.till.store)).unwrap()
    }

    pub fn ack(&self) -> Option<Ack> {
        block_on(till_inbox::ack(&self.till.store)).unwrap()
    }

    pub fn deliver(&mut self, answer: PendingAnswer) -> Standing {
        self.deliver_at(NOW, answer)
    }

    pub fn deliver_at(&mut self, now: Millis, answer: PendingAnswer) -> Standing {
        let delivered = till_inbox::Input::Delivered(till_inbox::read(answer));
        match self.till.run(now, terminal::Input::Inbox(delivered)) {
            terminal::Output::Inbox(till_inbox::Output::Stands(standing)) => standing,
            other => panic!("{other:?}"),
        }
    }

    /// Asks, and commits the answer with a commit that is lost: the power went before it.
    pub fn crash_in_commit(&self, answer: PendingAnswer) {
        let mut lost = self.till.store.clone();
        let delivered = till_inbox::Input::Delivered(till_inbox::read(answer));
        let input = terminal::Input::Inbox(delivered);
        block_on(run(&terminal::Terminal, &mut lost, NOW, &[input])).unwrap();
    }

    pub fn movements(&self) -> Vec<Movement> {
        let rows = self.till.store.rows.values();
        rows.filter_map(|record| match record {
            terminal::Record::Movement(movement) => Some(*movement),
            _ => None,
        })
        .collect()
    }

    pub fn applied(&self) -> BTreeSet<EventId> {
        let rows = self.till.store.rows.keys();
        rows.filter_map(|key| match key {
            terminal::Key::Applied(event) => Some(*event),
            _ => None,
        })
        .collect()
    }

    pub fn stock(&self, sku: &str) -> i64 {
        match self.till.store.rows.get(&terminal::Key::Stock(product(sku))) {
            Some(terminal::Record::Stock(stock)) => stock.quantity.0,
            _ => 0,
        }
    }

    pub fn review(&self, sku: &str) -> Option<till_inbox::Review> {
        match self.till.store.rows.get(&terminal::Key::Review(product(sku))) {
            Some(terminal::Record::Review(review)) => Some(*review),
            _ => None,
        }
    }

    /// `StockIsSum` of a till that has sold nothing: its stock is what came through the inbox.
    pub fn stock_is_sum(&self) {
        let mut sums: BTreeMap<ProductId, (i64, u64)> = BTreeMap::new();
        for movement in self.movements() {
            let sum = sums.entry(movement.product).or_default();
            *sum = (sum.0 + movement.delta.0, sum.1 + 1);
        }
        let held = self.till.store.rows.iter().filter_map(|(key, record)| match (key, record) {
            (terminal::Key::Stock(product), terminal::Record::Stock(stock)) => {
                Some((*product, (stock.quantity.0, stock.movements)))
            }
            _ => None,
        });
        assert_eq!(held.collect::<BTreeMap<_, _>>(), sums, "StockIsSum");
        assert_eq!(self.movements().len(), self.applied().len(), "each event is one movement");
    }
}

pub fn hash(byte: u8) -> Hash {
    Hash([byte; 32])
}
