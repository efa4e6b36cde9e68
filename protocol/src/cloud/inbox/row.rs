//! What the cloud stores of its branches' inboxes.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec::MESSAGE_BYTES_MAX;
use crate::hash::Hash;
use crate::identity::{BranchId, OrderId, ProductId, ShopId, TerminalId};
use crate::machine::Rows;
use crate::money::Milli;
use crate::persist::{
    Damaged, KEY_BYTES_MAX, KIND_KEY_BYTES, KeyReader, KeyWriter, LABEL_KEY_BYTES, NUMBER_KEY_BYTES,
};
use crate::time::Millis;
use crate::wire::inbox::PENDING_BYTES_MAX;

use crate::cloud::{Cloud, Key, Record, Site};

const _: () = assert!(
    KIND_KEY_BYTES + 3 * LABEL_KEY_BYTES <= KEY_BYTES_MAX,
    "an acknowledgement has a key, and a buffer"
);
const _: () = assert!(
    KIND_KEY_BYTES + 2 * LABEL_KEY_BYTES + NUMBER_KEY_BYTES <= KEY_BYTES_MAX,
    "an event has a key"
);
const _: () = assert!(
    PENDING_BYTES_MAX + 256 <= MESSAGE_BYTES_MAX,
    "an event's row can be read, whatever version it has"
);
const _: () = {
    let (first, last) = (*InboxKey::KINDS.start(), *InboxKey::KINDS.end());
    assert!(first > 14, "the catalog's rows come before");
    assert!(last - first == 5, "each row has its own kind");
};

/// The name of a row of an inbox. Kinds are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InboxKey {
    /// Where a branch's inbox ends. From its first event, for ever.
    Head(ShopId, BranchId),
    /// An event of a branch's inbox. From its commit, for ever.
    Event(ShopId, BranchId, u64),
    /// What a till has acknowledged of its branch's inbox.
    Ack(ShopId, BranchId, TerminalId),
    /// An online order. For ever: its id must not count twice.
    Order(ShopId, OrderId),
    /// What the store front holds back: of a product, or of all others.
    Buffer(ShopId, BranchId, Option<ProductId>),
    /// Whether a branch's tills hear of each other's movements. Absent is no.
    Relay(ShopId, BranchId),
}

/// The content of a row of an inbox. Variants are stored: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InboxRecord {
    /// Of [`InboxKey::Head`].
    Head(Head),
    /// Of [`InboxKey::Event`].
    Event(Stored),
    /// Of [`InboxKey::Ack`].
    Ack(Acked),
    /// Of [`InboxKey::Order`].
    Order(Held),
    /// Of [`InboxKey::Buffer`].
    Buffer(Buffer),
    /// Of [`InboxKey::Relay`].
    Relay(bool),
}

/// Where a branch's inbox ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last event; 0 before the first.
    pub seq: u64,
    /// Its chain hash.
    pub chain: Hash,
}

/// An event of a branch's inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its chain hash: over all events of the branch up to it.
    pub chain: Hash,
    /// The till that it was relayed from: it is not told of it.
    pub from: Option<TerminalId>,
    /// When it was taken in.
    pub at: Millis,
    /// Its canonical bytes.
    #[serde(with = "crate::codec::shared_bytes")]
    pub content: Arc<[u8]>,
}

/// What a till has acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acked {
    /// Every event up to here.
    pub through: u64,
    /// When it said so.
    pub at: Millis,
}

/// An online order, and what else came under its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The one that counts.
    pub content: Content,
    /// When it was taken in.
    pub at: Millis,
    /// When it was cancelled, if it was: in the cloud's time.
    pub cancelled: Option<Millis>,
    /// Other contents under the same id, kept for a person: the first few.
    pub others: Vec<Content>,
}

/// What an order says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The branch that it takes goods from.
    pub branch: BranchId,
    /// When it was made.
    pub created_at: Millis,
    /// Products and quantities.
    pub lines: Vec<OrderLine>,
}

/// One line of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderLine {
    /// Which product.
    pub product_id: ProductId,
    /// How much of it; more than nothing.
    pub quantity_milli: i64,
}

/// What the store front holds back of a stock (S0.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Buffer {
    /// So much.
    Fixed {
        /// In thousandths; not negative.
        milli: Milli,
    },
    /// Such a part, rounded up.
    Share {
        /// In millionths; a million is all.
        ppm: u32,
    },
}

impl From<InboxKey> for Key {
    fn from(key: InboxKey) -> Self {
        Self::Inbox(key)
    }
}

impl From<InboxRecord> for Record {
    fn from(record: InboxRecord) -> Self {
        Self::Inbox(record)
    }
}

impl InboxKey {
    /// The kinds of these rows.
    pub(in crate::cloud) const KINDS: core::ops::RangeInclusive<u8> = 16..=21;

    pub(in crate::cloud) fn write<'a>(&self, to: KeyWriter<'a>) -> KeyWriter<'a> {
        match self {
            Self::Head(shop, branch) => to.kind(16).label(shop.0).label(branch.0),
            Self::Event(shop, branch, seq) => {
                to.kind(17).label(shop.0).label(branch.0).number(*seq)
            }
            Self::Ack(shop, branch, terminal) => {
                to.kind(18).label(shop.0).label(branch.0).label(terminal.0)
            }
            Self::Order(shop, order) => to.kind(19).label(shop.0).label(order.0),
            Self::Buffer(shop, branch, product) => {
                to.kind(20).label(shop.0).label(branch.0).scope(product.map(|product| product.0))
            }
            Self::Relay(shop, branch) => to.kind(21).label(shop.0).label(branch.0),
        }
    }

    pub(in crate::cloud) fn read(kind: u8, from: &mut KeyReader<'_>) -> Result<Self, Damaged> {
        assert!(Self::KINDS.contains(&kind), "only its own kinds are read here");
        let shop = ShopId(from.label()?);
        Ok(match kind {
            16 => Self::Head(shop, BranchId(from.label()?)),
            17 => Self::Event(shop, BranchId(from.label()?), from.number()?),
            18 => Self::Ack(shop, BranchId(from.label()?), TerminalId(from.label()?)),
            19 => Self::Order(shop, OrderId(from.label()?)),
            20 => Self::Buffer(shop, BranchId(from.label()?), from.scope()?.map(ProductId)),
            21 => Self::Relay(shop, BranchId(from.label()?)),
            _ => return Err(Damaged { what: "cloud key", why: "its kind is unknown" }),
        })
    }
}

impl InboxRecord {
    pub(in crate::cloud) const fn belongs_to(&self, key: &InboxKey) -> bool {
        matches!(
            (self, key),
            (Self::Head(_), InboxKey::Head(..))
                | (Self::Event(_), InboxKey::Event(..))
                | (Self::Ack(_), InboxKey::Ack(..))
                | (Self::Order(_), InboxKey::Order(..))
                | (Self::Buffer(_), InboxKey::Buffer(..))
                | (Self::Relay(_), InboxKey::Relay(..))
        )
    }
}

impl Rows<'_, Cloud> {
    fn of_inbox(&self, key: InboxKey) -> Option<&InboxRecord> {
        match self.get(&Key::Inbox(key)) {
            Some(Record::Inbox(record)) => {
                assert!(record.belongs_to(&key), "a store gives each key a record of its kind");
                Some(record)
            }
            Some(_) => unreachable!("a store gives each key a record of its kind"),
            None => None,
        }
    }

    pub(in crate::cloud) fn inbox_head(&self, site: Site) -> Option<&Head> {
        match self.of_inbox(InboxKey::Head(site.shop, site.branch)) {
            Some(InboxRecord::Head(head)) => Some(head),
            Some(_) | None => None,
        }
    }

    pub(in crate::cloud) fn inbox_event(&self, site: Site, seq: u64) -> Option<&Stored> {
        match self.of_inbox(InboxKey::Event(site.shop, site.branch, seq)) {
            Some(InboxRecord::Event(event)) => Some(event),
            Some(_) | None => None,
        }
    }

    pub(in crate::cloud) fn inbox_ack(&self, site: Site, terminal: TerminalId) -> Option<&Acked> {
        match self.of_inbox(InboxKey::Ack(site.shop, site.branch, terminal)) {
            Some(InboxRecord::Ack(acked)) => Some(acked),
            Some(_) | None => None,
        }
    }

    pub(in crate::cloud) fn order(&self, shop: ShopId, order: OrderId) -> Option<&Held> {
        match self.of_inbox(InboxKey::Order(shop, order)) {
            Some(InboxRecord::Order(order)) => Some(order),
            Some(_) | None => None,
        }
    }

    /// Returns whether the tills of a branch hear of each other.
    pub(in crate::cloud) fn relays(&self, site: Site) -> bool {
        let key = InboxKey::Relay(site.shop, site.branch);
        matches!(self.of_inbox(key), Some(InboxRecord::Relay(true)))
    }
}
