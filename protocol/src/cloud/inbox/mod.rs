//! The inventory inbox in the cloud: online orders become events for the tills of a branch.
//!
//! | module | what |
//! |---|---|
//! | `orders` | [`Input::Place`], [`Input::Cancel`]: once each, by shop and order id |
//! | [`feed`] | a branch's events in the order of their commits; what is pending, acknowledged |
//! | [`storefront`] | what the online store may show; its safety buffer, which no till ever sees |
//! | `row` | what is stored |
//!
//! An order appends its events to the branch's inbox and its movements to the branch's stock in
//! one transaction, so `StockIsSum` holds on both sides without a counter that travels.

pub mod feed;
pub mod orders;
pub mod row;
pub mod storefront;

use crate::identity::{OrderId, ProductId};
use crate::machine::{ReadSet, Rows};
use crate::time::Millis;
use crate::wire::inbox::{Ack, AckAnswer};

use super::{Caller, Cloud, Key, Site, admit};

pub use orders::{Order, OrderError};
pub use row::{Buffer, InboxKey, InboxRecord};

/// What the cloud is asked about a branch's inbox.
#[derive(Clone, Debug)]
pub enum Input {
    /// Enters an online order. The same order again is harmless.
    Place(Order),
    /// Cancels an order: its goods go back. Again is harmless.
    Cancel {
        /// Whose.
        site: Site,
        /// Which.
        order: OrderId,
        /// When it was cancelled.
        created_at: Millis,
    },
    /// Sets or removes a safety buffer of the store front.
    Buffer {
        /// Whose.
        site: Site,
        /// Of which product; of all others if none.
        product: Option<ProductId>,
        /// How much is held back; none holds nothing back.
        buffer: Option<Buffer>,
    },
    /// Says whether sibling tills of a branch hear of each other's movements.
    Relay {
        /// Which branch.
        site: Site,
        /// From this commit on.
        on: bool,
    },
    /// A till has applied what was pending.
    Ack {
        /// Who.
        caller: Caller,
        /// How far.
        ack: Ack,
    },
}

/// What the cloud answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The order and its events are durable.
    Placed {
        /// Whether it was there before.
        again: bool,
        /// Whether it was cancelled since.
        cancelled: bool,
    },
    /// Another order has this id. Both are kept, the first one counts.
    OrderTaken,
    /// The order is cancelled.
    Cancelled {
        /// Whether it was before.
        again: bool,
    },
    /// The branch has no such order.
    NoSuchOrder,
    /// The buffer or the relay is as asked for.
    Set,
    /// What is acknowledged.
    Acked(AckAnswer),
}

pub(super) fn reads(input: &Input, keys: &mut ReadSet<Key>) {
    match input {
        Input::Place(order) => orders::reads(order.site(), order.id(), keys),
        Input::Cancel { site, order, .. } => orders::reads(*site, *order, keys),
        Input::Buffer { site, product, .. } => {
            keys.insert(InboxKey::Buffer(site.shop, site.branch, *product).into());
        }
        Input::Relay { site, .. } => {
            keys.insert(InboxKey::Relay(site.shop, site.branch).into());
        }
        Input::Ack { caller, ack } => {
            keys.insert(Key::Terminal(caller.terminal));
            feed::reads_ack(caller, ack, keys);
        }
    }
}

pub(super) fn step(rows: &mut Rows<'_, Cloud>, now: Millis, input: &Input) -> super::Output {
    let output = match input {
        Input::Place(order) => orders::place(rows, now, order),
        Input::Cancel { site, order, created_at } => {
            orders::cancel(rows, now, *site, *order, *created_at)
        }
        Input::Buffer { site, product, buffer } => {
            let key = InboxKey::Buffer(site.shop, site.branch, *product).into();
            let holds = buffer.is_none_or(|buffer| buffer.check(*product).is_ok());
            assert!(holds, "a buffer is checked at the border");
            match buffer {
                Some(buffer) => rows.put(key, InboxRecord::Buffer(*buffer).into()),
                None => rows.remove(key),
            }
            Output::Set
        }
        Input::Relay { site, on } => {
            let key = InboxKey::Relay(site.shop, site.branch).into();
            rows.put(key, InboxRecord::Relay(*on).into());
            assert_eq!(rows.relays(*site), *on, "a relay is as it was asked for");
            Output::Set
        }
        Input::Ack { caller, ack } => match admit(rows, now, caller, caller.terminal) {
            Ok(()) => Output::Acked(feed::ack(rows, now, caller, ack)),
            Err(refusal) => return refusal,
        },
    };
    super::Output::Inbox(output)
}
