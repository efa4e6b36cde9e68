//! Inventory events: what has changed a branch's stock outside of a till, as facts with names.
//!
//! An online order takes goods from a branch; each till of it must hear so, and count it once. No
//! counter is ever synchronised (S4.17): the event travels, and each side folds its own stock.
//!
//! > **`InboxOnce`**: each terminal applies each inventory event addressed to its branch exactly
//! > once, acks after its commit, in (`created_at`, `event_id`) order within what it has fetched.
//!
//! An event's id is a digest of all that it comes from, so a cloud that was restored from a backup
//! and is told of the same order again gives its events the same ids again: a till that has
//! applied them before skips them.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::hash::{Hash, inbox_event_id};
use crate::identity::{EventKey, OrderId, ProductId, ShopId};
use crate::money::{MILLI_MAX, Milli};
use crate::persist::{HASH_KEY_BYTES, KeyWriter, LABEL_KEY_BYTES};
use crate::time::Millis;
use crate::wire::inbox::{INBOX_EVENT_VERSION, InboxEventV1, ReferenceV1};

/// The most canonical bytes that an inventory event of this version has.
pub const INBOX_EVENT_BYTES_MAX: usize = 256;

const _: () = assert!(
    1 + HASH_KEY_BYTES + 4 * LABEL_KEY_BYTES + 3 * 9 < INBOX_EVENT_BYTES_MAX,
    "an event is an id, four names at most, and three numbers"
);

/// The name of an inventory event, unique for ever: the digest of its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub Hash);

/// Which side of an order an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The order takes the goods.
    Placed,
    /// Its cancellation gives them back.
    Cancelled,
}

/// What an event refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// An online order, or its cancellation.
    Order(OrderId),
    /// An event of a sibling till, relayed.
    Sale(EventKey),
}

impl Reference {
    /// Returns the source of the movement, as S0.5 names it.
    #[must_use]
    pub const fn source(&self) -> &'static str {
        match self {
            Self::Order(_) => "ONLINE",
            Self::Sale(_) => "POS",
        }
    }

    /// Returns the kind of what is referred to, as S0.5 names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Order(_) => "ORDER",
            Self::Sale(_) => "SALE",
        }
    }
}

impl core::fmt::Display for Reference {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Order(order) => order.fmt(f),
            Self::Sale(key) => key.fmt(f),
        }
    }
}

/// One movement of one product at a branch, and where it comes from. It never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxEvent {
    /// Its name.
    pub id: EventId,
    /// When it happened, by the clock of whoever told the cloud.
    pub created_at: Millis,
    /// Which product.
    pub product: ProductId,
    /// What is added to its stock; never nothing, and [`MILLI_MAX`] at most either way.
    pub delta: Milli,
    /// Where it comes from.
    pub reference: Reference,
}

/// Bytes that are no inventory event of this version. The till keeps what came before, and waits
/// for its update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InboxEventError {
    /// The bytes have no readable form.
    #[error(transparent)]
    Form(#[from] codec::DecodeError),
    /// The bytes decode, but another encoder would write them differently.
    #[error("the event's bytes are not the shortest form of their content")]
    NotCanonical,
    /// Moves nothing, or more than there can be.
    #[error("an event moves something, and at most {MILLI_MAX} thousandths")]
    Delta,
}

impl InboxEvent {
    /// Returns the canonical bytes.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let bytes = codec::encode(INBOX_EVENT_VERSION, &InboxEventV1::of(self));
        assert!(bytes.len() <= INBOX_EVENT_BYTES_MAX, "an event is bounded");
        debug_assert_eq!(Self::from_canonical(&bytes), Ok(*self), "what is written can be read");
        bytes
    }

    /// Reads canonical bytes back.
    ///
    /// # Errors
    /// [`InboxEventError`]; in particular bytes that [`Self::canonical`] would not have written.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, InboxEventError> {
        let wire: Option<InboxEventV1> = codec::decode_canonical(INBOX_EVENT_VERSION, bytes)?;
        let event = Self::parse(wire.ok_or(InboxEventError::NotCanonical)?)?;
        assert!(bytes.len() <= INBOX_EVENT_BYTES_MAX, "no event has a longer form");
        Ok(event)
    }

    /// Parses the wire form.
    ///
    /// # Errors
    /// [`InboxEventError::Delta`].
    pub fn parse(wire: InboxEventV1) -> Result<Self, InboxEventError> {
        let delta = Milli(wire.delta_milli);
        if delta.0 == 0 || delta.0.unsigned_abs() > MILLI_MAX.unsigned_abs() {
            return Err(InboxEventError::Delta);
        }
        let reference = match wire.reference {
            ReferenceV1::Order { order_id } => Reference::Order(order_id),
            ReferenceV1::Sale { terminal_id, pos_id, local_event_id } => {
                let key = EventKey { terminal: terminal_id, pos: pos_id, local_id: local_event_id };
                Reference::Sale(key)
            }
        };
        assert!(delta.0 != 0, "what moves nothing is no event");
        let (id, product, created_at) =
            (wire.event_id, wire.product_id, Millis(wire.created_at_ms));
        Ok(Self { id, created_at, product, delta, reference })
    }

    /// Returns what orders events (S0.3).
    #[must_use]
    pub const fn order(&self) -> (Millis, EventId) {
        (self.created_at, self.id)
    }
}

/// Returns the id of the event of one line of an order, whose content has this digest.
#[must_use]
pub fn order_event_id(
    shop: ShopId,
    order: OrderId,
    content: Hash,
    side: Side,
    line: u32,
) -> EventId {
    let kind = match side {
        Side::Placed => 1,
        Side::Cancelled => 2,
    };
    let mut origin = Vec::with_capacity(INBOX_EVENT_BYTES_MAX);
    KeyWriter(&mut origin).kind(kind).label(shop.0).label(order.0).hash(content).index(line);
    assert!(origin.len() <= INBOX_EVENT_BYTES_MAX, "an origin is bounded");
    assert_eq!(origin.first(), Some(&kind), "both sides of an order have their own events");
    EventId(inbox_event_id(&origin))
}

/// Returns the id of the event that relays one movement of a till's event.
#[must_use]
pub fn relayed_event_id(shop: ShopId, key: &EventKey, payload: Hash, movement: u32) -> EventId {
    let mut origin = Vec::with_capacity(INBOX_EVENT_BYTES_MAX);
    KeyWriter(&mut origin)
        .kind(3)
        .label(shop.0)
        .label(key.terminal.0)
        .label(key.pos.0)
        .label(key.local_id.0)
        .hash(payload)
        .index(movement);
    assert!(origin.len() <= INBOX_EVENT_BYTES_MAX, "an origin is bounded");
    assert!(origin.len() > HASH_KEY_BYTES, "an origin names more than bytes");
    EventId(inbox_event_id(&origin))
}
