//! The inventory inbox on the till: events come in, each moves the stock once, and only what is
//! committed is acknowledged.
//!
//! > **`InboxOnce`**: each terminal applies each inventory event addressed to its branch exactly
//! > once, acks after its commit, in (`created_at`, `event_id`) order within what it has fetched.
//!
//! * Exactly once is decided by the *applied* rows, by event id, in the commit that moves the
//!   stock. The place in the inbox only says what to ask for next: it may be lost, go back, or
//!   point into a history that the cloud has lost, and costs time then, never a movement.
//! * For the same reason applied rows are never removed: whoever has no row for an event applies
//!   it, and a cloud that was restored from a backup may deliver any event again.
//! * An acknowledgement is a query over committed rows ([`ack`]): there is no other way to one, so
//!   it cannot come before the commit.
//! * The till takes no stock from the cloud, only movements. What the store front holds back is
//!   not part of any of this (S0.7).

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::row::{Meta, Stock};
use super::{Key, Record, Terminal};
use crate::identity::ProductId;
use crate::inbox::{EventId, InboxEvent, Reference};
use crate::machine::{Place, Query, ReadSet, Rows};
use crate::money::Milli;
use crate::time::Millis;
use crate::wire::inbox::{
    Ack, Cursor, PENDING_EVENTS_MAX, PendingAnswer, PendingPage, ReferenceV1,
};

/// Where the till stands in its branch's inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxState {
    /// Every event up to here is applied.
    pub cursor: Cursor,
    /// The number of the last movement.
    pub movements: u64,
    /// How often the cloud's inbox was found to be another one than before.
    pub restarts: u32,
}

/// A movement that came through the inbox (S0.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// The event.
    pub event: EventId,
    /// Which product.
    pub product: ProductId,
    /// What was added to its stock.
    pub delta: Milli,
    /// Where it comes from: source, kind and name.
    pub reference: ReferenceV1,
    /// When it happened.
    pub created_at: Millis,
    /// When this till took it in.
    pub applied_at: Millis,
    /// The stock after it.
    pub stock: Milli,
    /// It took what was not there: somebody is to look at it (S0.6).
    pub review: bool,
}

/// A product that was sold online and is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Since when.
    pub since: Millis,
    /// The first movement that took what was not there.
    pub first: u64,
    /// How many did so.
    pub movements: u64,
    /// The lowest stock that one of them left.
    pub lowest: Milli,
}

/// What the till is told about its branch's inbox.
#[derive(Clone, Debug)]
pub enum Input {
    /// What the cloud has answered, as [`read`] has read it.
    Delivered(Delivered),
    /// A person has looked at a product whose stock was negative.
    Reviewed(ProductId),
}

/// What the till answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// How the till stands in the inbox now.
    Stands(Standing),
    /// Whether there was something to look at.
    Reviewed(bool),
}

/// How the till stands in its branch's inbox after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Every event up to here is applied.
    pub cursor: u64,
    /// The last event of the inbox, as the answer has told.
    pub head: u64,
    /// What the cloud holds as acknowledged, as the answer has told.
    pub acked: u64,
    /// How many events this step has applied.
    pub applied: u32,
    /// The next event is one that this program cannot read: it needs an update, and sells on.
    pub unreadable: bool,
    /// The cloud's inbox is another one than before: the till begins anew.
    pub restarted: bool,
}

/// An answer whose events have been read, in the order in which they are applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    page: Option<DeliveredPage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct DeliveredPage {
    after: Cursor,
    /// How far these events reach; none if that is not beyond `after`.
    to: Option<Cursor>,
    head: u64,
    acked: u64,
    /// In the order of `(created_at, event_id)` (S0.3).
    events: Vec<InboxEvent>,
    unreadable: bool,
}

/// Reads a checked answer of the cloud. Events from the first unreadable one on are left for later
/// (S0.8): the till takes what it can read, in the order of the inbox, and asks again from there.
#[must_use]
pub fn read(answer: PendingAnswer) -> Delivered {
    let page = match answer {
        PendingAnswer::Page(page) => page,
        PendingAnswer::Restart => return Delivered { page: None },
    };
    assert!(page.events.len() <= PENDING_EVENTS_MAX, "a checked page is bounded");
    let (mut reached, mut unreadable) = (None, false);
    let mut events = Vec::with_capacity(page.events.len());
    for pending in &page.events {
        let Ok(event) = InboxEvent::from_canonical(&pending.content) else {
            unreadable = true;
            break;
        };
        reached = Some(pending.at);
        events.push(event);
    }
    events.sort_unstable_by_key(InboxEvent::order);
    let to = if unreadable { reached } else { Some(page.to) };
    let to = to.filter(|to| to.seq > page.after.seq);
    assert!(events.len() <= page.events.len(), "nothing is made up");
    assert_eq!(events.len() < page.events.len(), unreadable, "nothing else is left out");
    assert!(to.is_none_or(|to| to.seq <= page.to.seq), "nobody is further than the page");
    assert!(events.is_sorted_by_key(InboxEvent::order), "events have an order");
    let PendingPage { after, head, acked, .. } = page;
    Delivered { page: Some(DeliveredPage { after, to, head, acked, events, unreadable }) }
}

/// Returns the place that the till asks from.
///
/// # Errors
/// The store's.
pub async fn wanted<Q: Query<Terminal>>(store: &Q) -> Result<Cursor, Q::Error> {
    Ok(state(store).await?.cursor)
}

/// Returns the acknowledgement of what is committed, if there is something to acknowledge.
///
/// # Errors
/// The store's.
pub async fn ack<Q: Query<Terminal>>(store: &Q) -> Result<Option<Ack>, Q::Error> {
    let cursor = state(store).await?.cursor;
    Ok((cursor.seq > 0).then_some(Ack { through: cursor }))
}

/// Returns how the till stands.
///
/// # Errors
/// The store's.
pub async fn state<Q: Query<Terminal>>(store: &Q) -> Result<InboxState, Q::Error> {
    let held = |record: &Record| {
        let Record::Inbox(state) = record else { return None };
        Some(*state)
    };
    Ok(store.look(&Key::Inbox, held).await?.unwrap_or_default())
}

pub(super) fn reads(input: &Input, keys: &mut ReadSet<Key>) {
    match input {
        Input::Delivered(Delivered { page }) => {
            let events = || page.iter().flat_map(|page| &page.events);
            keys.reserve(3 * events().count() + 1);
            keys.extend(events().map(|event| Key::Stock(event.product)));
            keys.extend(events().map(|event| Key::Applied(event.id)));
            keys.extend(events().map(|event| Key::Review(event.product)));
            keys.insert(Key::Inbox);
        }
        Input::Reviewed(product) => keys.insert(Key::Review(*product)),
    }
}

pub(super) fn step(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    meta: &Meta,
    input: &Input,
) -> Output {
    match input {
        Input::Delivered(Delivered { page: Some(page) }) => {
            Output::Stands(deliver(rows, now, meta, page))
        }
        Input::Delivered(Delivered { page: None }) => Output::Stands(restart(rows)),
        Input::Reviewed(product) => {
            let there = rows.review(*product).is_some();
            rows.remove(Key::Review(*product));
            assert!(rows.review(*product).is_none(), "what was looked at is done");
            Output::Reviewed(there)
        }
    }
}

/// The cloud's inbox is another one: ask from its beginning. What was applied is known by its id.
fn restart(rows: &mut Rows<'_, Terminal>) -> Standing {
    let mut state = rows.inbox().copied().unwrap_or_default();
    let movements = state.movements;
    if state.cursor.seq > 0 {
        state.cursor = Cursor::default();
        state.restarts = state.restarts.saturating_add(1);
        rows.put(Key::Inbox, Record::Inbox(state));
    }
    assert_eq!(state.cursor.seq, 0, "who begins anew asks for everything");
    assert_eq!(state.movements, movements, "no movement is taken back");
    Standing { cursor: 0, head: 0, acked: 0, applied: 0, unreadable: false, restarted: true }
}

fn deliver(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    meta: &Meta,
    page: &DeliveredPage,
) -> Standing {
    let mut state = rows.inbox().copied().unwrap_or_default();
    let before = state;
    let mut standing = Standing {
        cursor: state.cursor.seq,
        head: page.head,
        acked: page.acked,
        applied: 0,
        unreadable: page.unreadable,
        restarted: false,
    };
    // An answer to another question: of another place, or of the same number in another history.
    if page.after != state.cursor {
        return standing;
    }
    for event in &page.events {
        standing.applied += u32::from(apply(rows, now, meta, &mut state, event));
    }
    state.cursor = page.to.unwrap_or(state.cursor);
    standing.cursor = state.cursor.seq;
    assert!(state.cursor.seq >= before.cursor.seq, "a page leads on");
    assert_eq!(state.restarts, before.restarts, "a page is no new beginning");
    assert!(standing.applied as usize <= page.events.len(), "each event is applied once at most");
    assert_eq!(
        state.movements - before.movements,
        u64::from(standing.applied),
        "each event that is applied is one movement"
    );
    if state != before {
        rows.put(Key::Inbox, Record::Inbox(state));
    }
    standing
}

/// Applies an event, unless it is known or the till's own. It is never refused: stock may be
/// negative, and is looked at by a person then (S0.6).
fn apply(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    meta: &Meta,
    state: &mut InboxState,
    event: &InboxEvent,
) -> bool {
    let own = match event.reference {
        Reference::Sale(key) => key.terminal == meta.identity.terminal,
        Reference::Order(_) => false,
    };
    let applied = rows.place(&Key::Applied(event.id), Place::default());
    if own || rows.at(applied).is_some() {
        return false;
    }
    let stocked = rows.place(&Key::Stock(event.product), Place::default());
    assert_ne!(applied, stocked, "a note of an event is no stock");
    let held = rows.stock_at(stocked).copied().unwrap_or_default();
    let quantity = Milli(held.quantity.0.saturating_add(event.delta.0));
    let stock = Stock { quantity, movements: held.movements.saturating_add(1) };
    assert!(stock.movements >= held.movements, "each movement is counted");
    assert!(stock.movements > 0, "what has moved is counted");
    let review = event.delta.0 < 0 && quantity.0 < 0;
    state.movements += 1;
    let number = state.movements;
    let movement = Movement {
        event: event.id,
        product: event.product,
        delta: event.delta,
        reference: ReferenceV1::of(event.reference),
        created_at: event.created_at,
        applied_at: now,
        stock: quantity,
        review,
    };
    rows.append(Key::Movement(number), Record::Movement(movement));
    rows.put_at(applied, Record::Applied(number));
    rows.put_at(stocked, Record::Stock(stock));
    if review {
        flag(rows, now, event.product, number, quantity);
    }
    assert!(rows.at(applied) == Some(&Record::Applied(number)), "what is applied is known");
    assert!(!review || rows.review(event.product).is_some(), "a debt is looked at");
    true
}

/// Notes that a product was taken that is not there.
fn flag(rows: &mut Rows<'_, Terminal>, now: Millis, product: ProductId, number: u64, stock: Milli) {
    assert!(stock.0 < 0, "only a debt is looked at");
    let fresh = Review { since: now, first: number, movements: 0, lowest: stock };
    let mut review = rows.review(product).copied().unwrap_or(fresh);
    review.movements = review.movements.saturating_add(1);
    review.lowest = Milli(review.lowest.0.min(stock.0));
    assert!(review.movements > 0 && review.lowest.0 < 0, "a review has a reason");
    assert!(review.lowest <= stock, "the lowest is no higher than this one");
    rows.put(Key::Review(product), Record::Review(review));
}

impl Rows<'_, Terminal> {
    fn inbox(&self) -> Option<&InboxState> {
        match self.get(&Key::Inbox) {
            Some(Record::Inbox(state)) => Some(state),
            Some(_) => unreachable!("a store gives each key a record of its kind"),
            None => None,
        }
    }

    fn stock_at(&self, place: Place) -> Option<&Stock> {
        match self.at(place) {
            Some(Record::Stock(stock)) => Some(stock),
            Some(_) => unreachable!("a store gives each key a record of its kind"),
            None => None,
        }
    }

    fn review(&self, product: ProductId) -> Option<&Review> {
        match self.get(&Key::Review(product)) {
            Some(Record::Review(review)) => Some(review),
            Some(_) => unreachable!("a store gives each key a record of its kind"),
            None => None,
        }
    }
}
