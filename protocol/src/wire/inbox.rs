//! The wire form of the inventory inbox, version 1: events, the pages in which they travel, and
//! acknowledgements.
//!
//! The canonical bytes of an event are its version byte and the binary form of [`InboxEventV1`],
//! so fields and variants are never reordered, removed or reused. In a page each event stays
//! bytes: a till that cannot read one still takes what came before it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::hash::Hash;
use crate::identity::{LocalEventId, OrderId, PosId, ProductId, TerminalId};
use crate::inbox::{EventId, INBOX_EVENT_BYTES_MAX, InboxEvent, Reference};

use super::message::{MessageError, WIRE_VERSION};

/// The version byte of an inventory event.
pub const INBOX_EVENT_VERSION: u8 = 1;
/// The most events in one page.
pub const PENDING_EVENTS_MAX: usize = 1_000;
/// How many events a page has, if nobody asks for fewer.
pub const PENDING_USUAL: usize = 500;
/// The most bytes of one event of any version.
pub const PENDING_BYTES_MAX: usize = 1_024;

/// The most bytes of an acknowledgement, or of its answer: a version, a number, and a hash.
const FRAME_BYTES_MAX: usize = 64;

const _: () = assert!(size_of::<Cursor>() + 2 <= FRAME_BYTES_MAX, "a place is short");
const _: () = assert!(INBOX_EVENT_VERSION > 0, "versions count from 1");
const _: () = assert!(PENDING_USUAL > 0, "a page brings something");
const _: () = assert!(PENDING_USUAL <= PENDING_EVENTS_MAX, "a usual page is a page");
const _: () = assert!(INBOX_EVENT_BYTES_MAX <= PENDING_BYTES_MAX, "a later version has room");
const _: () = assert!(
    PENDING_EVENTS_MAX * (PENDING_BYTES_MAX + 64) + 128 < codec::MESSAGE_BYTES_MAX,
    "the fullest page is a message"
);

/// An inventory event as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InboxEventV1 {
    /// Its name.
    pub event_id: EventId,
    /// When it happened.
    pub created_at_ms: u64,
    /// Which product.
    pub product_id: ProductId,
    /// What is added to its stock, in thousandths.
    pub delta_milli: i64,
    /// Where it comes from.
    pub reference: ReferenceV1,
}

/// Where an event comes from, as it travels. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ReferenceV1 {
    /// Of [`Reference::Order`].
    Order {
        /// The order.
        order_id: OrderId,
    },
    /// Of [`Reference::Sale`].
    Sale {
        /// The till that made it.
        terminal_id: TerminalId,
        /// The register.
        pos_id: PosId,
        /// Its name there.
        local_event_id: LocalEventId,
    },
}

impl InboxEventV1 {
    /// Returns the wire form.
    #[must_use]
    pub const fn of(event: &InboxEvent) -> Self {
        Self {
            event_id: event.id,
            created_at_ms: event.created_at.0,
            product_id: event.product,
            delta_milli: event.delta.0,
            reference: ReferenceV1::of(event.reference),
        }
    }
}

impl ReferenceV1 {
    /// Returns the wire form.
    #[must_use]
    pub const fn of(reference: Reference) -> Self {
        match reference {
            Reference::Order(order_id) => Self::Order { order_id },
            Reference::Sale(key) => Self::Sale {
                terminal_id: key.terminal,
                pos_id: key.pos,
                local_event_id: key.local_id,
            },
        }
    }
}

/// A place in a branch's inbox, and the chain hash there: the same number in a history that a
/// restore has ended has another one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cursor {
    /// Every event up to here; 0 before the first.
    pub seq: u64,
    /// The chain hash of that event; not looked at for 0.
    pub chain: Hash,
}

/// One event of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PendingV1 {
    /// Where it stands.
    pub at: Cursor,
    /// Its canonical bytes.
    #[serde(with = "crate::codec::shared_bytes")]
    pub content: Arc<[u8]>,
}

/// What a branch's inbox holds after a place, in the order of its commits. A till's own relayed
/// events are left out, so the numbers may have gaps; nothing else is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PendingPage {
    /// The place that was asked from: with its chain hash, as an answer that was long on its way
    /// may be of another history than the till stands in by now.
    pub after: Cursor,
    /// The place that this page reaches.
    pub to: Cursor,
    /// The last place of the inbox.
    pub head: u64,
    /// The place up to which the cloud holds the till's acknowledgement: one that was lost is made
    /// again.
    pub acked: u64,
    /// Rising by place.
    pub events: Vec<PendingV1>,
}

/// What a till hears when it asks for its pending events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PendingAnswer {
    /// The next events.
    Page(PendingPage),
    /// The place that was named is not in this inbox (any more): the cloud was restored from a
    /// backup. Begin at the first event; what was applied is skipped.
    Restart,
}

/// A till has durably applied every event up to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ack {
    /// The place.
    pub through: Cursor,
}

/// What the cloud holds of a till's acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AckAnswer {
    /// Every event up to here is acknowledged. A late acknowledgement takes nothing back.
    pub through: u64,
    /// Whether the place is one of this inbox. If not, ask for what is pending.
    pub known: bool,
}

impl PendingPage {
    /// Checks every bound and every order.
    ///
    /// # Errors
    /// [`MessageError`] names the bound.
    pub fn check(self) -> Result<Self, MessageError> {
        if self.events.len() > PENDING_EVENTS_MAX {
            return Err(MessageError::Parts);
        }
        if self.events.iter().any(|event| event.content.len() > PENDING_BYTES_MAX) {
            return Err(MessageError::Bytes);
        }
        let within = self
            .events
            .iter()
            .all(|event| self.after.seq < event.at.seq && event.at.seq <= self.to.seq);
        let rising = self.events.is_sorted_by(|a, b| a.at.seq < b.at.seq);
        let forward = self.after.seq <= self.to.seq && self.to.seq <= self.head;
        if !(within && rising && forward && self.acked <= self.head) {
            return Err(MessageError::Order);
        }
        let places = self.to.seq - self.after.seq;
        assert!(self.events.len() as u64 <= places, "no two events have one place");
        assert!(self.events.is_empty() || places > 0, "a page with events leads on");
        Ok(self)
    }
}

impl PendingAnswer {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let frame = codec::encode(WIRE_VERSION, self);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
        assert!(frame.len() <= codec::MESSAGE_BYTES_MAX, "a page that was put together is read");
        frame
    }

    /// Reads a binary frame and checks it.
    ///
    /// # Errors
    /// [`MessageError`]; any bytes may be given.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        match codec::decode::<Self>(WIRE_VERSION, bytes)? {
            Self::Page(page) => page.check().map(Self::Page),
            Self::Restart => Ok(Self::Restart),
        }
    }
}

impl Ack {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let frame = codec::encode(WIRE_VERSION, self);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
        assert!(frame.len() <= FRAME_BYTES_MAX, "an acknowledgement is short");
        frame
    }

    /// Reads a binary frame.
    ///
    /// # Errors
    /// [`MessageError`]; any bytes may be given.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        Ok(codec::decode::<Self>(WIRE_VERSION, bytes)?)
    }
}

impl AckAnswer {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let frame = codec::encode(WIRE_VERSION, self);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
        assert!(frame.len() <= FRAME_BYTES_MAX, "an acknowledgement is short");
        frame
    }

    /// Reads a binary frame.
    ///
    /// # Errors
    /// [`MessageError`]; any bytes may be given.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        Ok(codec::decode::<Self>(WIRE_VERSION, bytes)?)
    }
}
