//! The inbox in the model: customers order online, and the tills of a branch hear of it.

use std::collections::BTreeSet;

use counterfoil_protocol::cloud::inbox::{self, Buffer, Order, feed, row::OrderLine};
use counterfoil_protocol::cloud::{InboxKey, Output as CloudOutput, Record as CloudRecord, Site};
use counterfoil_protocol::cloud::{InboxRecord, Input as CloudInput, Key as CloudKey};
use counterfoil_protocol::identity::{OrderId, TerminalId};
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::session::inbox::{Collector, Input as Heard, Output as Does};
use counterfoil_protocol::session::{Fault, Nudge};
use counterfoil_protocol::terminal::inbox as till_inbox;
use counterfoil_protocol::terminal::{Identity, Input, Key, Output, Record};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::inbox::{AckAnswer, Cursor, PendingAnswer};

use super::alarm::Part;
use super::till::TillHost;
use super::{Happening, Kind as Asks, Reply, START, World, session_config, shop};
use crate::checker::{CloudRows, TillRows};
use crate::coverage::Transition;
use crate::law::Violation;
use crate::observed::{answered, at_once};
use crate::plan::{Plan, branch_of};
use crate::rng::Stream;

/// Requests of the collector are numbered from here, those of the follower below.
pub(super) const COLLECTS_FROM: u64 = 1 << 40;
/// The events of one page: few, so that most batches have several.
const PAGE: usize = 5;

/// The online store: it enters orders, and enters those again that it heard no answer to.
pub(crate) struct StoreFront {
    rng: Stream,
    placed: Vec<Order>,
    pub(super) unsure: Option<inbox::Input>,
}

impl StoreFront {
    pub(crate) fn new(plan: &Plan) -> Self {
        let rng = Stream::new(plan.seed, "inbox/orders", 0);
        Self { rng, placed: Vec::new(), unsure: None }
    }

    /// Draws how long it is until the next customer: up to `most`.
    pub(crate) fn wait(&mut self, most: u64) -> u64 {
        self.rng.between(1, most)
    }

    /// Draws what customers do: mostly order, sometimes cancel; the store sometimes says it twice,
    /// or uses a number again.
    pub(crate) fn drawn(&mut self, now_ms: u64, branches: u64) -> inbox::Input {
        // Orders are made at one time and entered at another.
        let created_at = Millis((START + now_ms).saturating_sub(self.rng.below(600_000)));
        if !self.placed.is_empty() {
            let order = self.rng.pick(&self.placed).clone();
            match self.rng.below(8) {
                0 => return inbox::Input::Place(order),
                1 => {
                    let other = drawn_order(&mut self.rng, order.id(), order.site(), created_at);
                    return inbox::Input::Place(other);
                }
                2 | 3 => {
                    let (site, order) = (order.site(), order.id());
                    return inbox::Input::Cancel { site, order, created_at };
                }
                _ => {}
            }
        }
        if self.rng.happens(50_000) {
            let site = Site { shop: shop(), branch: branch_of(self.rng.below(branches)) };
            let product = Some(super::work::product(self.rng.below(super::work::PRODUCTS)));
            let buffer = Some(Buffer::Fixed { milli: Milli(self.rng.below(5_000) as i64) });
            return inbox::Input::Buffer { site, product, buffer };
        }
        let id = OrderId::parse(&format!("order-{}", self.placed.len())).expect("a short name");
        let site = Site { shop: shop(), branch: branch_of(self.rng.below(branches)) };
        let order = drawn_order(&mut self.rng, id, site, created_at);
        self.placed.push(order.clone());
        inbox::Input::Place(order)
    }
}

fn drawn_order(rng: &mut Stream, id: OrderId, site: Site, created_at: Millis) -> Order {
    let line = |rng: &mut Stream| OrderLine {
        product_id: super::work::product(rng.below(super::work::PRODUCTS)),
        quantity_milli: rng.between(1, 6) as i64 * 500,
    };
    let lines = (0..rng.between(1, 4)).map(|_| line(rng)).collect();
    Order::new(site, id, created_at, lines).expect("drawn by the rules")
}

/// Returns what became of an order.
pub(crate) fn order_transition(output: &inbox::Output) -> Transition {
    match output {
        inbox::Output::Placed { again: false, .. } => Transition::OrderPlaced,
        inbox::Output::Placed { again: true, .. } => Transition::OrderAgain,
        inbox::Output::OrderTaken => Transition::OrderTaken,
        inbox::Output::Cancelled { .. } | inbox::Output::NoSuchOrder => Transition::OrderCancelled,
        inbox::Output::Set => Transition::StoreBuffer,
        inbox::Output::Acked(_) => unreachable!("a store acknowledges nothing"),
    }
}

/// Returns whether a till stands at the end of its branch's inbox, and the cloud knows.
pub(crate) fn stands_at_head(cloud: &CloudRows, identity: Identity, till: &TillRows) -> bool {
    let Identity { shop, branch, terminal } = identity;
    let of_inbox = |key: InboxKey| match cloud.get(&CloudKey::Inbox(key)).map(AsRef::as_ref) {
        Some(CloudRecord::Inbox(record)) => Some(record),
        Some(_) | None => None,
    };
    let Some(InboxRecord::Head(head)) = of_inbox(InboxKey::Head(shop, branch)) else {
        return true;
    };
    let acked = match of_inbox(InboxKey::Ack(shop, branch, terminal)) {
        Some(InboxRecord::Ack(acked)) => acked.through,
        Some(_) | None => 0,
    };
    let cursor = match till.get(&Key::Inbox).map(AsRef::as_ref) {
        Some(Record::Inbox(state)) => state.cursor,
        Some(_) | None => Cursor::default(),
    };
    cursor == Cursor { seq: head.seq, chain: head.chain } && acked == head.seq
}

impl World {
    pub(super) const fn has_inbox(&self) -> bool {
        self.plan.order_every_ms > 0 || self.plan.relay
    }

    /// Starts to collect inventory events, if there are any.
    pub(super) fn start_collecting(&mut self, till: usize) -> Result<(), Violation> {
        if !self.has_inbox() {
            return Ok(());
        }
        let now = Millis(self.now_ms());
        let host = &mut self.tills[till];
        host.delivered = None;
        host.collector = Some(Collector::new(session_config(), host.inbox_entropy.draw(), now));
        self.collect(till, Heard::Wake)
    }

    /// Hands the collector what happened, and does what it wants.
    pub(super) fn collect(&mut self, till: usize, heard: Heard) -> Result<(), Violation> {
        let now = Millis(self.now_ms());
        let host = &mut self.tills[till];
        let Some(collector) = &mut host.collector else { return Ok(()) };
        host.coverage.saw(Transition::CollectorInput);
        collector.handle_input(now, heard);
        while let Some(collector) = &mut self.tills[till].collector {
            let Some(does) = collector.poll_output() else { break };
            self.keep_pace()?;
            match does {
                Does::Ask(number) => {
                    let wanted = at_once(till_inbox::wanted(&self.tills[till].store));
                    let wanted = Asks::Pending(answered(wanted));
                    self.send(till, COLLECTS_FROM + number, wanted, Vec::new());
                }
                Does::Ack(number) => self.acknowledge(till, COLLECTS_FROM + number)?,
                Does::Commit => self.commit_inbox(till)?,
            }
        }
        if let Some(wake) = self.tills[till].collector.as_ref().map(Collector::wake_at) {
            self.set_alarm(till, Part::Collector, wake);
        }
        Ok(())
    }

    fn acknowledge(&mut self, till: usize, number: u64) -> Result<(), Violation> {
        let at = self.now_ms();
        let host = &self.tills[till];
        let ack = answered(at_once(till_inbox::ack(&host.store)));
        let ack = ack.expect("who acknowledges has applied something");
        self.checker.acknowledges(at, host.device, ack.through, host.store.memory.rows())?;
        self.send(till, number, Asks::Ack, ack.encode());
        Ok(())
    }

    fn commit_inbox(&mut self, till: usize) -> Result<(), Violation> {
        let answer = self.tills[till].delivered.take().expect("a commit follows an answer");
        let events = match &answer {
            PendingAnswer::Page(page) => page.events.len(),
            PendingAnswer::Restart => 0,
        };
        let input = Input::Inbox(till_inbox::Input::Delivered(till_inbox::read(answer)));
        let Some(output) = self.till_step(till, &input, true)? else { return Ok(()) };
        let Output::Inbox(till_inbox::Output::Stands(standing)) = output else {
            unreachable!("a page has its own answer")
        };
        let now = Millis(self.now_ms());
        let host = &mut self.tills[till];
        if (standing.applied as usize) < events {
            host.coverage.saw(Transition::TillInboxAgain);
        }
        let reviews = host.store.written.iter().any(|(key, _)| matches!(key, Key::Review(_)));
        if reviews {
            host.coverage.saw(Transition::TillReview);
        }
        if let Some(collector) = &mut host.collector {
            collector.handle_input(now, Heard::Committed(standing));
        }
        Ok(())
    }

    /// An answer for a till's collector arrives.
    pub(super) fn hear_inbox(
        &mut self,
        till: usize,
        number: u64,
        reply: Reply,
    ) -> Result<(), Violation> {
        let answer = match reply {
            Reply::Fault(fault) => Err(fault),
            Reply::Pending(bytes) => match PendingAnswer::decode(&bytes) {
                Ok(answer) => {
                    self.tills[till].delivered = Some(answer);
                    Ok(())
                }
                Err(_) => Err(Fault::Transport),
            },
            Reply::Acked(bytes) => match AckAnswer::decode(&bytes) {
                Ok(answer) if answer.known => Ok(()),
                Ok(_) => Err(Fault::Server),
                Err(_) => Err(Fault::Transport),
            },
            Reply::Welcome(_)
            | Reply::Pushed(..)
            | Reply::Session(_)
            | Reply::Reconcile(_)
            | Reply::Entities(_)
            | Reply::Delta(_)
            | Reply::Run(_) => Err(Fault::Transport),
        };
        self.collect(till, Heard::Answered(number - COLLECTS_FROM, answer))
    }

    /// The cloud answers from its committed rows.
    pub(super) fn serve_inbox(&mut self, site: Site, terminal: TerminalId, from: Cursor) -> Reply {
        let answer = feed::pending(&self.cloud.store, site, terminal, Some(from), PAGE);
        let answer = answered(at_once(answer));
        self.coverage.saw(match answer {
            PendingAnswer::Page(_) => Transition::InboxPage,
            PendingAnswer::Restart => Transition::InboxRestart,
        });
        Reply::Pending(answer.encode())
    }

    /// Customers order and cancel, until the faults end.
    pub(super) fn order(&mut self) -> Result<(), Violation> {
        if !self.healed {
            let us = self.front.wait(self.plan.order_every_ms * 2_000);
            self.after(us, Happening::Order);
        } else if self.front.unsure.is_some() {
            self.after(500_000, Happening::Order);
        }
        if !self.cloud.up {
            return Ok(());
        }
        let branches = u64::from(self.plan.branches.max(1));
        let now = self.now_ms();
        let input = match self.front.unsure.take() {
            Some(input) => input,
            None if self.healed => return Ok(()),
            None => self.front.drawn(now, branches),
        };
        let site = match &input {
            inbox::Input::Place(order) => order.site(),
            inbox::Input::Cancel { site, .. } | inbox::Input::Buffer { site, .. } => *site,
            inbox::Input::Relay { .. } | inbox::Input::Ack { .. } => {
                unreachable!("customers order and cancel")
            }
        };
        let sites = BTreeSet::from([site]);
        let asked = CloudInput::Inbox(input.clone());
        let Some(outputs) = self.cloud_step(&[asked], &sites, true)? else {
            self.front.unsure = Some(input);
            return Ok(());
        };
        let [CloudOutput::Inbox(output)] = &outputs[..] else {
            unreachable!("an order has its own answer")
        };
        self.coverage.saw(order_transition(output));
        Ok(())
    }

    /// Somebody has the tills of all branches hear of each other.
    pub(super) fn switch_relay_on(&mut self) -> Result<(), Violation> {
        for branch in 0..u64::from(self.plan.branches.max(1)) {
            let site = Site { shop: shop(), branch: branch_of(branch) };
            let input = CloudInput::Inbox(inbox::Input::Relay { site, on: true });
            if !self.administer(Transition::InboxRelay, input)? {
                self.after(500_000, Happening::Relay);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns whether a till stands at the end of its branch's inbox, and the cloud knows.
    pub(super) fn inbox_applied(&self, till: &TillHost) -> bool {
        let cloud = self.cloud.store.memory.rows();
        stands_at_head(cloud, till.identity, till.store.memory.rows())
    }

    /// The faults have ended: the tills ask what they have missed.
    pub(super) fn inbox_link_up(&mut self, till: usize) -> Result<(), Violation> {
        self.collect(till, Heard::Nudge(Nudge::LinkUp))
    }
}
