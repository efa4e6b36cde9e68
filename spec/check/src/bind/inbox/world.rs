//! Real nodes with an inbox: what tills ask the cloud, what they are told, what they acknowledge.
//!
//! The nodes are those of `Journal`, so a sale that is relayed is a real sale of a real till that
//! is pushed; a restored disk is restored with its journal and its inbox.

use std::collections::BTreeSet;

use counterfoil_protocol::cloud::inbox::row::{Content, OrderLine};
use counterfoil_protocol::cloud::inbox::{self as orders, Order, feed};
use counterfoil_protocol::cloud::{Caller, Cloud, Input, Output, Site};
use counterfoil_protocol::identity::{BranchId, OrderId};
use counterfoil_protocol::inbox::{Side, order_event_id};
use counterfoil_protocol::session::inbox::{Collector, Input as Heard, Output as Does};
use counterfoil_protocol::session::{Config, Fault};
use counterfoil_protocol::terminal::{self, Key, inbox};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::inbox::{Ack, Cursor, PendingAnswer};
use counterfoil_storage::Memory;
use counterfoil_storage::memory::Failure;

use crate::bind::journal::cloud::secret;
use crate::bind::journal::constants as journal;
use crate::bind::journal::world::{World as Nodes, name, product, register, site, till};
use crate::bind::nodes::{START, at_once, opened};

use super::constants::{Constants, Left};

/// Everything there is.
#[derive(Clone)]
pub(super) struct World {
    pub(super) constants: Constants,
    pub(super) nodes: Nodes,
    /// What each till asks, or is told, or acknowledges.
    pub(super) talk: Vec<Talk>,
    /// Messages that nobody waits for any more.
    pub(super) stray: BTreeSet<(usize, Talk)>,
    pub(super) left: Left,
    /// Who says when each till asks, if it may not at any time.
    pub(super) collectors: Vec<Option<Asker>>,
    /// What is broken on purpose, to show that it is noticed.
    pub(super) sabotage: Sabotage,
}

/// What is under way between a till and the cloud.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Talk {
    Rest,
    /// A question after a place.
    Ask(Cursor),
    /// The bytes of an answer.
    Told(Vec<u8>),
    /// The bytes of an acknowledgement.
    Ack(Vec<u8>),
}

/// A till's collector, and the request for whose answer it waits.
#[derive(Clone)]
pub(super) struct Asker {
    collector: Collector,
    asked: u64,
}

/// Something that is broken on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sabotage {
    #[default]
    None,
    /// What is sent to a till counts as acknowledged.
    AckBeforeApply,
    /// A till loses a note of what it has applied with each page.
    AppliedForgets,
    /// A till takes pages of any place.
    AnyAnswer,
}

/// What an order takes, in thousandths.
pub(super) const UNIT: i64 = 1_000;

/// The site of the foreign orders.
pub(super) fn other_site() -> Site {
    Site { branch: BranchId::parse("other").expect("a short name"), ..site() }
}

impl World {
    /// Returns tills that were installed, and a cloud that lets them hear of each other.
    pub(super) fn new(constants: &Constants) -> Self {
        let mut nodes = Nodes::new(&journal::Constants {
            tills: constants.tills,
            sales: constants.orders,
            items: 1,
            batch: 1,
            general: true,
            ..journal::Constants::default()
        });
        let relay = Input::Inbox(orders::Input::Relay { site: site(), on: true });
        nodes.at_cloud(&[relay], None).expect("a new store works");
        let mut world = Self {
            constants: constants.clone(),
            nodes,
            talk: vec![Talk::Rest; constants.tills],
            stray: BTreeSet::new(),
            left: constants.faults,
            collectors: vec![None; constants.tills],
            sabotage: Sabotage::None,
        };
        for number in 1..=constants.tills {
            world.begins(number);
        }
        world
    }

    /// The program of a till begins: it waits for nothing.
    pub(super) fn begins(&mut self, number: usize) {
        self.talk[number - 1] = Talk::Rest;
        if self.constants.by_collector {
            let collector = Collector::new(Config::default(), number as u64, self.nodes.now);
            self.collectors[number - 1] = Some(Asker { collector, asked: 0 });
        }
    }

    fn caller(number: usize) -> Caller {
        let terminal = till(number);
        Caller { terminal, secret: secret(terminal), site: site() }
    }

    fn cloud(&self) -> Memory<Cloud> {
        opened(&self.nodes.cloud)
    }

    /// A customer orders online; the same order again changes nothing.
    pub(super) fn order(&mut self, order: u64) {
        let foreign = self.constants.foreign.contains(&order);
        let site = if foreign { other_site() } else { site() };
        let joined = self.constants.joined.contains(&order);
        let of_it = if joined { self.constants.joined.clone() } else { [order].into() };
        let line = |order| OrderLine { product_id: product(order), quantity_milli: UNIT };
        let lines: Vec<OrderLine> = of_it.into_iter().map(line).collect();
        let created_at = self.created(order);
        let content = Content { branch: site.branch, created_at, lines: lines.clone() };
        let id = self.order_id(order, site, &content);
        let placed = Order::new(site, id, created_at, lines).expect("a few lines");
        let input = Input::Inbox(orders::Input::Place(placed));
        let outputs = self.nodes.at_cloud(&[input], None).expect("an open store works");
        assert!(matches!(outputs[..], [Output::Inbox(orders::Output::Placed { .. })]));
    }

    /// Returns a name for an order. Events of one time are applied in the order of their ids, which
    /// are digests: this name gives them the order that the specification has for them.
    fn order_id(&self, order: u64, site: Site, content: &Content) -> OrderId {
        let named = |number| OrderId::parse(&format!("order-{order}-{number}"));
        let ids = (0..).map(|number| named(number).expect("a short name"));
        let lines = 0..u32::try_from(content.lines.len()).expect("a few lines");
        let mut fits = ids.filter(|id| {
            let event = |line| order_event_id(site.shop, *id, content.hash(), Side::Placed, line);
            let backwards = self.constants.backwards;
            lines.clone().map(event).is_sorted_by(|a, b| (a > b) == backwards)
        });
        fits.next().expect("half of the names of two lines fit")
    }

    /// Returns when an order was made, as it says.
    pub(super) fn created(&self, order: u64) -> Millis {
        START.after(Millis(1_000 * self.constants.created(order)))
    }

    /// Returns whether the first till's disk has this sale.
    pub(super) fn has_sold(&self, sale: u64) -> bool {
        let disk = self.nodes.machines[0].as_ref().expect("the first till is there");
        disk.image.rows().contains_key(&Key::Local(register(), name(sale)))
    }

    pub(super) fn was_sold(&self, sale: u64) -> bool {
        self.nodes.told.iter().any(|told| told.sale == sale)
    }

    /// The first till makes a sale, or has one that the cloud has lost, and offers what waits.
    pub(super) fn sell(&mut self, sale: u64) {
        if !self.was_sold(sale) {
            self.nodes.sell_this(1, (sale, sale), self.created(sale), false);
        }
        self.nodes.settle(1);
    }

    /// A till asks after its place.
    pub(super) fn ask(&mut self, number: usize) {
        let after = at_once(inbox::wanted(&self.nodes.machine(number).rows()));
        self.talk[number - 1] = Talk::Ask(after.expect("an open store answers"));
    }

    /// The cloud answers from its committed rows.
    pub(super) fn answer(&mut self, number: usize) {
        let Talk::Ask(after) = self.talk[number - 1] else { unreachable!("who asks is answered") };
        let (cloud, page) = (self.cloud(), self.constants.page);
        let answer = at_once(feed::pending(&cloud, site(), till(number), Some(after), page));
        let answer = answer.expect("an open store answers");
        if self.sabotage == Sabotage::AckBeforeApply
            && let PendingAnswer::Page(page) = &answer
        {
            self.note(number, Ack { through: page.to }, None);
        }
        self.talk[number - 1] = Talk::Told(answer.encode());
    }

    /// A till takes what it was told. If the power fails, the program starts anew.
    pub(super) fn deliver(&mut self, number: usize, fails: Option<Failure>) {
        let Talk::Told(frame) = &self.talk[number - 1] else {
            unreachable!("only what was told is taken")
        };
        let frame = frame.clone();
        let now = self.nodes.now;
        if let Some(asker) = &mut self.collectors[number - 1] {
            asker.collector.handle_input(now, Heard::Answered(asker.asked, Ok(())));
            let does = asker.collector.poll_output();
            assert_eq!(does, Some(Does::Commit), "an answer that is waited for is committed");
        }
        let standing = self.take(number, &frame, fails);
        self.talk[number - 1] = Talk::Rest;
        if let (Some(standing), Some(asker)) = (standing, &mut self.collectors[number - 1]) {
            asker.collector.handle_input(now, Heard::Committed(standing));
        }
        if fails.is_some() {
            self.restart(number);
        }
    }

    /// The rows take an answer in. None if the power failed.
    pub(super) fn take(
        &mut self,
        number: usize,
        frame: &[u8],
        fails: Option<Failure>,
    ) -> Option<inbox::Standing> {
        let mut answer = PendingAnswer::decode(frame).expect("the cloud's own frame");
        let (now, sabotage) = (self.nodes.now, self.sabotage);
        let machine = self.nodes.machine(number);
        if sabotage == Sabotage::AnyAnswer
            && let PendingAnswer::Page(page) = &mut answer
        {
            let place = at_once(inbox::wanted(&machine.rows())).expect("an open store answers");
            if place.seq <= page.to.seq {
                page.after = place;
            }
        }
        let delivered = inbox::Input::Delivered(inbox::read(answer));
        let output = machine.step(now, terminal::Input::Inbox(delivered), fails);
        if sabotage == Sabotage::AppliedForgets {
            let mut memory = machine.rows();
            let note = machine.image.rows().keys().find(|key| matches!(key, Key::Applied(_)));
            if let Some(key) = note.copied() {
                memory.plant(key, None);
            }
            machine.image = memory.image();
        }
        match output {
            Some(terminal::Output::Inbox(inbox::Output::Stands(standing))) => Some(standing),
            Some(other) => unreachable!("an answer has its own output: {other:?}"),
            None => None,
        }
    }

    /// A till acknowledges what is committed; returns whether there is anything.
    pub(super) fn acknowledge(&mut self, number: usize) -> bool {
        let ack = at_once(inbox::ack(&self.nodes.machine(number).rows()));
        let Some(ack) = ack.expect("an open store answers") else { return false };
        self.talk[number - 1] = Talk::Ack(ack.encode());
        true
    }

    /// The cloud takes an acknowledgement in; the till hears of it unless the power fails.
    pub(super) fn acknowledged(&mut self, number: usize, fails: Option<Failure>) {
        let Talk::Ack(frame) = &self.talk[number - 1] else {
            unreachable!("only what was sent arrives")
        };
        let ack = Ack::decode(frame).expect("a till's own frame");
        let known = self.note(number, ack, fails);
        self.talk[number - 1] = Talk::Rest;
        let now = self.nodes.now;
        if let Some(asker) = &mut self.collectors[number - 1] {
            let answer = match known {
                Some(true) => Ok(()),
                Some(false) => Err(Fault::Server),
                None => Err(Fault::Transport),
            };
            asker.collector.handle_input(now, Heard::Answered(asker.asked, answer));
        }
    }

    /// Returns whether the place is one of the cloud's. None if the power failed.
    pub(super) fn note(&mut self, from: usize, ack: Ack, fails: Option<Failure>) -> Option<bool> {
        let input = Input::Inbox(orders::Input::Ack { caller: Self::caller(from), ack });
        match self.nodes.at_cloud(&[input], fails)?[..] {
            [Output::Inbox(orders::Output::Acked(answer))] => Some(answer.known),
            _ => unreachable!("an enrolled till is served"),
        }
    }

    /// A till waits no longer; what was on its way may still arrive.
    pub(super) fn strays(&mut self, number: usize) {
        let talk = std::mem::replace(&mut self.talk[number - 1], Talk::Rest);
        if matches!(talk, Talk::Told(_) | Talk::Ack(_)) {
            // A network may lose one of two that say the same to the specification.
            self.stray.retain(|(of, stray)| *of != number || !stray.says_same(&talk));
            self.stray.insert((number, talk));
        }
    }

    /// The collector of a till waits until it waits no longer.
    pub(super) fn waits(&mut self, number: usize) {
        if let Some(asker) = &mut self.collectors[number - 1] {
            let then = self.nodes.now.max(asker.collector.wake_at());
            asker.collector.handle_input(then, Heard::Wake);
            self.nodes.now = then;
        }
    }

    pub(super) fn restart(&mut self, number: usize) {
        self.nodes.restart(number, false);
        self.begins(number);
    }

    /// Lets the collector of a till do the next thing that it wants to; returns what that is in
    /// the specification.
    pub(super) fn turn(&mut self, number: usize) -> Option<&'static str> {
        let asker = self.collectors[number - 1].as_mut()?;
        match asker.collector.poll_output() {
            None => {
                self.waits(number);
                None
            }
            Some(Does::Ask(asked)) => {
                asker.asked = asked;
                self.ask(number);
                Some("Ask")
            }
            Some(Does::Ack(asked)) => {
                asker.asked = asked;
                assert!(self.acknowledge(number), "who acknowledges has applied something");
                Some("Ack")
            }
            Some(Does::Commit) => unreachable!("committed with its answer"),
        }
    }
}

impl Talk {
    /// Returns whether two messages are one to the specification: where the inbox ends, and what is
    /// acknowledged of it, are told beside a page and change nothing.
    fn says_same(&self, other: &Self) -> bool {
        let (Self::Told(a), Self::Told(b)) = (self, other) else { return self == other };
        let [a, b] = [a, b].map(|frame| match PendingAnswer::decode(frame) {
            Ok(PendingAnswer::Page(page)) => Some((page.after, page.to, page.events)),
            Ok(PendingAnswer::Restart) | Err(_) => None,
        });
        a == b
    }
}
