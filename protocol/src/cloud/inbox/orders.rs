//! Online orders: once each, by shop and order id.
//!
//! The same id with the same content is the same order. With another it is refused, and kept
//! beside the first for a person (B.2): which one the customer meant, no program can know.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::row::{Content, Held, InboxKey, InboxRecord, OrderLine};
use super::{Output, feed};
use crate::cloud::row::{Moved, Stock};
use crate::cloud::{Cloud, Key, Record, Site};
use crate::codec;
use crate::hash::{Hash, order_hash};
use crate::identity::{OrderId, ProductId};
use crate::inbox::{InboxEvent, Reference, Side, order_event_id};
use crate::machine::{ReadSet, Rows};
use crate::money::{MILLI_MAX, Milli};
use crate::time::Millis;
use crate::wire::message::ServerId;

/// The most lines of one order.
pub const ORDER_LINES_MAX: usize = 100;
/// The most other contents that are kept under the id of an order.
pub const OTHERS_MAX: usize = 4;

/// The version byte of an order's canonical bytes.
const ORDER_VERSION: u8 = 1;

const _: () = assert!(ORDER_LINES_MAX > 0, "an order has a line");
const _: () = assert!(ORDER_LINES_MAX <= u32::MAX as usize, "a line's number fits its field");
const _: () = assert!(OTHERS_MAX > 0, "a second content is kept for a person");
const _: () = assert!(ORDER_VERSION > 0, "versions count from 1");
const _: () = assert!(
    (1 + OTHERS_MAX) * (64 + ORDER_LINES_MAX * 64) < codec::MESSAGE_BYTES_MAX,
    "an order's row can be read"
);

/// An online order that can be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    site: Site,
    id: OrderId,
    content: Content,
}

/// Lines that are no order. The caller shows it to whoever made them; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// None, or more than [`ORDER_LINES_MAX`].
    #[error("an order has 1 to {ORDER_LINES_MAX} lines")]
    Lines,
    /// A quantity of nothing, of less than that, or beyond [`MILLI_MAX`].
    #[error("the quantity of {0} is not between 1 and {MILLI_MAX} thousandths")]
    Quantity(ProductId),
}

impl Order {
    /// Puts an order together.
    ///
    /// # Errors
    /// [`OrderError`] names the rule that is broken.
    pub fn new(
        site: Site,
        id: OrderId,
        created_at: Millis,
        lines: Vec<OrderLine>,
    ) -> Result<Self, OrderError> {
        if !(1..=ORDER_LINES_MAX).contains(&lines.len()) {
            return Err(OrderError::Lines);
        }
        if let Some(line) = lines.iter().find(|l| !(1..=MILLI_MAX).contains(&l.quantity_milli)) {
            return Err(OrderError::Quantity(line.product_id));
        }
        assert!(!lines.is_empty(), "an order asks for something");
        assert!(lines.iter().all(|line| line.quantity_milli > 0), "an order takes, never gives");
        Ok(Self { site, id, content: Content { branch: site.branch, created_at, lines } })
    }

    /// Returns the branch that it takes goods from.
    #[must_use]
    pub const fn site(&self) -> Site {
        self.site
    }

    /// Returns its name.
    #[must_use]
    pub const fn id(&self) -> OrderId {
        self.id
    }
}

impl Content {
    /// Returns the digest of what it says.
    #[must_use]
    pub fn hash(&self) -> Hash {
        order_hash(&codec::encode(ORDER_VERSION, self))
    }

    /// Returns the events of one side of it.
    fn events(&self, site: Site, id: OrderId, side: Side, at: Millis) -> Vec<InboxEvent> {
        let content = self.hash();
        let sign = match side {
            Side::Placed => -1,
            Side::Cancelled => 1,
        };
        let event = |(number, line): (u32, &OrderLine)| InboxEvent {
            id: order_event_id(site.shop, id, content, side, number),
            created_at: at,
            product: line.product_id,
            delta: Milli(sign * line.quantity_milli),
            reference: Reference::Order(id),
        };
        let events: Vec<_> = (0..).zip(&self.lines).map(event).collect();
        assert_eq!(events.len(), self.lines.len(), "each line is one event");
        assert!(events.iter().all(|event| event.delta.0 != 0), "each event moves something");
        assert!(
            events.iter().all(|event| event.delta.0.signum() == sign),
            "an order takes, its cancellation gives back"
        );
        events
    }
}

pub(super) fn reads(site: Site, order: OrderId, keys: &mut ReadSet<Key>) {
    keys.insert(InboxKey::Order(site.shop, order).into());
    keys.insert(InboxKey::Head(site.shop, site.branch).into());
}

pub(super) fn place(rows: &mut Rows<'_, Cloud>, now: Millis, order: &Order) -> Output {
    let Order { site, id, content } = order;
    let key = InboxKey::Order(site.shop, *id);
    if let Some(held) = rows.order(site.shop, *id) {
        if held.content == *content {
            return Output::Placed { again: true, cancelled: held.cancelled.is_some() };
        }
        if held.others.len() < OTHERS_MAX && !held.others.contains(content) {
            let mut held = held.clone();
            held.others.push(content.clone());
            assert!(held.others.len() <= OTHERS_MAX, "only the first few are kept");
            assert!(!held.others.contains(&held.content), "what counts is no other");
            rows.put(key.into(), InboxRecord::Order(held).into());
        }
        return Output::OrderTaken;
    }
    take_effect(rows, now, *site, content.events(*site, *id, Side::Placed, content.created_at));
    let held = Held { content: content.clone(), at: now, cancelled: None, others: Vec::new() };
    assert_eq!(held.content.branch, site.branch, "an order takes goods from its own branch");
    rows.put(key.into(), InboxRecord::Order(held).into());
    Output::Placed { again: false, cancelled: false }
}

pub(super) fn cancel(
    rows: &mut Rows<'_, Cloud>,
    now: Millis,
    site: Site,
    id: OrderId,
    created_at: Millis,
) -> Output {
    let held = rows.order(site.shop, id).filter(|held| held.content.branch == site.branch);
    let Some(mut held) = held.cloned() else {
        return Output::NoSuchOrder;
    };
    if held.cancelled.is_some() {
        return Output::Cancelled { again: true };
    }
    // What is on a disk is believed as little as what comes from a network.
    let Content { created_at: placed_at, lines, .. } = &held.content;
    if Order::new(site, id, *placed_at, lines.clone()).is_err() {
        return Output::NoSuchOrder;
    }
    take_effect(rows, now, site, held.content.events(site, id, Side::Cancelled, created_at));
    assert!(held.cancelled.is_none(), "goods go back once");
    held.cancelled = Some(now);
    rows.put(InboxKey::Order(site.shop, id).into(), InboxRecord::Order(held).into());
    Output::Cancelled { again: false }
}

/// Appends the events to the branch's inbox and their movements to its stock: both, or neither.
fn take_effect(rows: &mut Rows<'_, Cloud>, now: Millis, site: Site, events: Vec<InboxEvent>) {
    assert!(!events.is_empty() && events.len() <= ORDER_LINES_MAX, "an order is bounded");
    let mut moved: BTreeMap<ProductId, Stock> = BTreeMap::new();
    for event in &events {
        let sum = moved.entry(event.product).or_default();
        *sum = sum.plus(Stock { quantity: event.delta, movements: 1 });
    }
    assert!(moved.len() <= events.len(), "each event moves one product");
    let movements: u64 = moved.values().map(|by| by.movements).sum();
    assert_eq!(movements, events.len() as u64, "each event is one movement");
    let moved = moved.into_iter().map(|(product, by)| Moved { product, by }).collect();
    // Named by the first event, as what a push moves is: a digest of another domain, so no push
    // has the same name.
    let name = ServerId(events[0].id.0);
    rows.append(Key::Movements(site.shop, site.branch, name), Record::Movements(moved));
    feed::append(rows, now, site, None, &events);
}
