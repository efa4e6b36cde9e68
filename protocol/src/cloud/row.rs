//! What the cloud stores: one enum of keys, one of records, each with its lifecycle.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

pub use super::compaction::{Floor, Lease};
pub use super::decide::{Decision, Waiting};
use super::edited::EditNote;
use super::inbox::{InboxKey, InboxRecord};
pub use super::log::LogEntry;
pub use super::rollup::Notice;
use super::sessions::Session;
pub use super::users::User;
use super::{Cloud, Site};
use crate::catalog::{Digest, EntityId, Kind};
use crate::codec::MESSAGE_BYTES_MAX;
use crate::event::{EVENT_BYTES_MAX, Figures};
use crate::hash::Hash;
use crate::identity::{
    BranchId, Epoch, EventKey, LocalEventId, PosId, ProductId, SessionId, ShopId, TerminalId,
    UserId,
};
use crate::journal::Segment;
use crate::label::Label;
use crate::machine::Rows;
use crate::money::Milli;
use crate::persist::{
    EPOCH_KEY_BYTES, HASH_KEY_BYTES, KEY_BYTES_MAX, KIND_KEY_BYTES, LABEL_KEY_BYTES,
    NUMBER_KEY_BYTES,
};
use crate::problem::{Denial, ErrorCode};
use crate::time::Millis;
use crate::wire::message::{PUSH_BYTES_MAX, ParentV1, ServerId};

/// The version byte of every record.
pub const ROW_VERSION: u8 = 1;
/// The most bytes from which an event's name is hashed: its shop and its key.
pub(crate) const SERVER_NAME_BYTES_MAX: usize = 4 * LABEL_KEY_BYTES;

const EVENT_KEY_BYTES: usize = 3 * LABEL_KEY_BYTES;
const LANE_KEY_BYTES: usize = LABEL_KEY_BYTES + EPOCH_KEY_BYTES;

const _: () = assert!(ROW_VERSION > 0, "versions count from 1");
const _: () =
    assert!(crate::catalog::ENTITY_BYTES_MAX + 64 <= MESSAGE_BYTES_MAX, "any entity can be read");
const _: () = assert!(
    KIND_KEY_BYTES + 3 * LABEL_KEY_BYTES + size_of::<Kind>() <= KEY_BYTES_MAX,
    "an entity of a branch has a key"
);
const _: () = assert!(
    KIND_KEY_BYTES + 2 * LABEL_KEY_BYTES + NUMBER_KEY_BYTES + size_of::<u32>() <= KEY_BYTES_MAX,
    "a change has a key"
);
const _: () = assert!(
    KIND_KEY_BYTES + EVENT_KEY_BYTES + HASH_KEY_BYTES <= KEY_BYTES_MAX,
    "a conflict has a key"
);
const _: () =
    assert!(KIND_KEY_BYTES + LANE_KEY_BYTES + HASH_KEY_BYTES <= KEY_BYTES_MAX, "a fork has a key");
const _: () = assert!(
    KIND_KEY_BYTES + LANE_KEY_BYTES + NUMBER_KEY_BYTES <= KEY_BYTES_MAX,
    "a segment has a key"
);
const _: () = assert!(
    KIND_KEY_BYTES + 2 * LABEL_KEY_BYTES + HASH_KEY_BYTES <= KEY_BYTES_MAX,
    "movements have a key"
);
const _: () =
    assert!(KIND_KEY_BYTES + 4 * LABEL_KEY_BYTES <= KEY_BYTES_MAX, "a register session has a key");
const _: () = assert!(
    KIND_KEY_BYTES + LABEL_KEY_BYTES + EVENT_KEY_BYTES <= KEY_BYTES_MAX,
    "a note has a key"
);
const _: () = assert!(size_of::<ServerId>() == HASH_KEY_BYTES, "a name is a hash in a key");
// A line of a push is longer than the movement that is kept of it.
const _: () = assert!(PUSH_BYTES_MAX < MESSAGE_BYTES_MAX, "what a push moves is one row");
// Beside its payload a ledger row has a few names, numbers and hashes.
const _: () = assert!(EVENT_BYTES_MAX + 4096 <= MESSAGE_BYTES_MAX, "any event's row can be read");

/// The name of a row. The order is the order of locks; kinds are stored, never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// An enrolled till. From enrolment, for ever.
    Terminal(TerminalId),
    /// One history of a till. From its first greeting, for ever.
    Lane(TerminalId, Epoch),
    /// A run of a history's payload hashes.
    Segment(TerminalId, Epoch, u64),
    /// An event and its first answer: the idempotency ledger. From ingest, for ever.
    Ledger(EventKey),
    /// A second payload under a key that was taken (B.2). Kept for a person.
    Conflict(EventKey, Hash),
    /// Journal bytes that are no event. Kept for a person.
    Opaque(TerminalId, Epoch, u64),
    /// A product's stock at a branch: the sum of its movements, as far as they are rolled up.
    Stock(ShopId, BranchId, ProductId),
    /// A parting of histories, named for a person: the history that was left, and the genesis of
    /// the one that came after.
    Fork(TerminalId, Epoch, Hash),
    /// A product of a shop's catalog.
    Product(ShopId, ProductId),
    /// What one push moved at a branch, named by the first event that it posted. Until it is
    /// rolled up into the stock rows.
    Movements(ShopId, BranchId, ServerId),
    /// Where a shop's catalog feed stands. From its first edit, for ever.
    Feed(ShopId),
    /// What a branch's own entities add up to.
    BranchDigest(ShopId, BranchId),
    /// An entity of the catalog: the whole shop's, or one branch's. A deleted one stays as a
    /// tombstone.
    Item(ShopId, Option<BranchId>, EntityId),
    /// A place in the feed: the version, and a number within it. Until its entity changes again.
    Change(ShopId, Option<BranchId>, u64, u32),
    /// A session of a register. From the first of its events that is posted, for ever.
    Session(ShopId, TerminalId, PosId, SessionId),
    /// A row of a branch's inbox of inventory events.
    Inbox(InboxKey),
    /// The key of a shop's sketches. From its first reconcile, for ever.
    SketchSecret(ShopId),
    /// What became of a till's edit of the catalog. From ingest, for ever.
    EditNote(ShopId, EventKey),
    /// From which version a till will ask on. Until it has been silent for too long.
    Lease(ShopId, BranchId, TerminalId),
    /// How far a shop's feed is compacted. From its first lease or compaction, for ever.
    Floor(ShopId),
    /// Somebody who speaks for a shop without a journal of its own. For ever.
    User(UserId),
    /// The customer of a sale that came without a journal, if the shop knew the customer.
    Buyer(ShopId, LocalEventId),
    /// A command that was taken, and what it was about: its id must not stand for anything else.
    Command(ShopId, Label),
    /// The time of the last commit of a shop's catalog, as it is told.
    Stamp(ShopId),
    /// Which commit of a shop's catalog has this time. For ever.
    Stamped(ShopId, Millis),
    /// A stock that fell below its threshold, and by which of its movements. Until it is settled.
    Notice(ShopId, BranchId, ProductId, u64),
    /// An event that waits for a person, or for what it needs. Until it is posted or rejected.
    Waiting(ShopId, EventKey),
    /// What a person decided of an event. For ever.
    Decision(ShopId, EventKey),
    /// Where the log of what operators did ends.
    LogHead,
    /// What an operator did. For ever.
    Log(u64),
    /// Below which stock of a product somebody is told. Absent is zero.
    Threshold(ShopId, ProductId),
}

/// The content of a row. Variants are stored: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Of [`Key::Terminal`].
    Terminal(Terminal),
    /// Of [`Key::Lane`].
    Lane(Lane),
    /// Of [`Key::Segment`].
    Segment(Segment),
    /// Of [`Key::Ledger`].
    Ledger(Ledger),
    /// Of [`Key::Conflict`].
    Conflict(Kept),
    /// Of [`Key::Opaque`].
    Opaque(Kept),
    /// Of [`Key::Stock`].
    Stock(Stock),
    /// Of [`Key::Fork`].
    Fork(Fork),
    /// Of [`Key::Product`].
    Product,
    /// Of [`Key::Movements`]: products in their order, each once.
    Movements(Vec<Moved>),
    /// Of [`Key::Feed`].
    Feed(Feed),
    /// Of [`Key::BranchDigest`].
    BranchDigest(Digest),
    /// Of [`Key::Item`].
    Item(Item),
    /// Of [`Key::Change`]: which entity.
    Change(EntityId),
    /// Of [`Key::Session`].
    Session(Box<Session>),
    /// Of [`Key::EditNote`].
    EditNote(EditNote),
    /// Of [`Key::Inbox`].
    Inbox(InboxRecord),
    /// Of [`Key::SketchSecret`].
    SketchSecret([u8; 16]),
    /// Of [`Key::Lease`].
    Lease(Lease),
    /// Of [`Key::Floor`].
    Floor(Floor),
    /// Of [`Key::User`].
    User(User),
    /// Of [`Key::Buyer`]: the customer.
    Buyer(Label),
    /// Of [`Key::Command`]: the event that it brought.
    Command(LocalEventId),
    /// Of [`Key::Stamp`].
    Stamp(Millis),
    /// Of [`Key::Stamped`]: the version.
    Stamped(u64),
    /// Of [`Key::Notice`].
    Notice(Notice),
    /// Of [`Key::Waiting`].
    Waiting(Waiting),
    /// Of [`Key::Decision`].
    Decision(Decision),
    /// Of [`Key::LogHead`]: the number of the last entry.
    LogHead(u64),
    /// Of [`Key::Log`].
    Log(LogEntry),
    /// Of [`Key::Threshold`]: above zero.
    Threshold(Milli),
}

/// An enrolled till.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Where it stands.
    pub site: Site,
    /// The digest of its secret; the secret itself is nowhere.
    pub secret: Hash,
    /// When the secret runs out.
    pub expires_at: Option<Millis>,
    /// Whether an operator has turned it away.
    pub revoked: bool,
    /// How many histories it has begun.
    pub lanes: u32,
    /// When it was enrolled first.
    pub since: Millis,
}

impl Terminal {
    /// Decides whether a caller with this secret is listened to at `now`.
    ///
    /// # Errors
    /// The [`Denial`] to answer with.
    pub fn admits(&self, now: Millis, secret: Hash) -> Result<(), Denial> {
        if !self.secret.same_secret(&secret) {
            return Err(Denial::WrongCredential);
        }
        if self.revoked {
            return Err(Denial::Revoked);
        }
        if self.expires_at.is_some_and(|end| now >= end) {
            return Err(Denial::Expired);
        }
        Ok(())
    }
}

/// One history of a till, as far as the cloud holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The last entry held.
    pub head: u64,
    /// Its chain hash.
    pub hash: Hash,
    /// The history it continues.
    pub parent: Option<ParentV1>,
    /// When it was first heard of.
    pub since: Millis,
    /// When it last brought something.
    pub seen: Millis,
    /// What its pushes have posted.
    pub posted: Figures,
}

/// An event and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Where it happened.
    pub site: Site,
    /// The digest of its canonical bytes.
    pub payload_hash: Hash,
    /// The canonical bytes.
    #[serde(with = "crate::codec::shared_bytes")]
    pub payload: Arc<[u8]>,
    /// The history that brought it first.
    pub epoch: Epoch,
    /// Its place there.
    pub seq: u64,
    /// When it was taken in.
    pub at: Millis,
    /// What became of it.
    pub fate: Fate,
}

/// What became of an event in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It has its effects.
    Posted,
    /// It has none yet.
    Parked(ErrorCode),
    /// A person decided that it never has any.
    Rejected,
    /// It never has any: this correction, of the same till and register, has taken its place.
    /// Without bytes, if it has not come yet.
    Withdrawn(LocalEventId),
    /// It never has any: a correction of what counts already, or of what another has corrected.
    Refused(ErrorCode),
}

/// Bytes kept for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The history that brought them.
    pub epoch: Epoch,
    /// Their place there.
    pub seq: u64,
    /// When they came.
    pub at: Millis,
    /// The bytes.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
}

/// A product's stock at a branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// The sum of its movements; may be negative (S2.4).
    pub quantity: Milli,
    /// How many movements.
    pub movements: u64,
}

impl Stock {
    /// Adds movements; the sum saturates at the ends of `i64`.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        let sum = Self {
            quantity: Milli(self.quantity.0.saturating_add(other.quantity.0)),
            movements: self.movements.saturating_add(other.movements),
        };
        assert!(sum.movements >= self.movements, "movements are not taken back");
        assert!(sum.movements >= other.movements, "what is added is in the sum");
        sum
    }
}

/// What one push moved of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Which product.
    pub product: ProductId,
    /// The sum of the movements.
    pub by: Stock,
}

/// Where a shop's catalog feed stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// The last commit.
    pub version: u64,
    /// What the entities of the whole shop add up to.
    pub digest: Digest,
}

/// An entity of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The commit that made it what it is.
    pub version: u64,
    /// Its number within that commit.
    pub index: u32,
    /// Its canonical bytes; none if it was deleted.
    #[serde(with = "crate::codec::shared_option")]
    pub content: Option<Arc<[u8]>>,
    /// When that was.
    pub at: Millis,
}

/// A parting of histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The last entry of the left history that both are known to share.
    pub common: u64,
    /// Where the cloud's copy of it stood when the next one was announced.
    pub cloud_head: u64,
    /// The history that came after.
    pub successor: Epoch,
    /// When it was announced.
    pub at: Millis,
}

/// Returns the cloud's name for a posted event: a function of its key, so that even a cloud that
/// was restored from a backup gives the same name again.
#[must_use]
pub fn server_id(shop: ShopId, key: &EventKey) -> ServerId {
    let EventKey { terminal, pos, local_id } = key;
    let names = [&shop.0, &terminal.0, &pos.0, &local_id.0].map(Label::as_bytes);
    debug_assert!(names.iter().all(|name| !name.contains(&0)), "a name is text");
    assert!(names.iter().all(|name| name.len() < LABEL_KEY_BYTES), "a name has room for its end");
    ServerId(crate::hash::server_name(names))
}

impl Record {
    pub(super) const fn belongs_to(&self, key: &Key) -> bool {
        if let (Self::Inbox(record), Key::Inbox(key)) = (self, key) {
            return record.belongs_to(key);
        }
        matches!(
            (self, key),
            (Self::Terminal(_), Key::Terminal(..))
                | (Self::Lane(_), Key::Lane(..))
                | (Self::Segment(_), Key::Segment(..))
                | (Self::Ledger(_), Key::Ledger(..))
                | (Self::Conflict(_), Key::Conflict(..))
                | (Self::Opaque(_), Key::Opaque(..))
                | (Self::Stock(_), Key::Stock(..))
                | (Self::Fork(_), Key::Fork(..))
                | (Self::Product, Key::Product(..))
                | (Self::Movements(_), Key::Movements(..))
                | (Self::Feed(_), Key::Feed(..))
                | (Self::BranchDigest(_), Key::BranchDigest(..))
                | (Self::Item(_), Key::Item(..))
                | (Self::Change(_), Key::Change(..))
                | (Self::Session(_), Key::Session(..))
                | (Self::EditNote(_), Key::EditNote(..))
                | (Self::SketchSecret(_), Key::SketchSecret(..))
                | (Self::Lease(_), Key::Lease(..))
                | (Self::Floor(_), Key::Floor(..))
                | (Self::User(_), Key::User(..))
                | (Self::Buyer(_), Key::Buyer(..))
                | (Self::Command(_), Key::Command(..))
                | (Self::Stamp(_), Key::Stamp(..))
                | (Self::Stamped(_), Key::Stamped(..))
                | (Self::Notice(_), Key::Notice(..))
                | (Self::Waiting(_), Key::Waiting(..))
                | (Self::Decision(_), Key::Decision(..))
                | (Self::LogHead(_), Key::LogHead)
                | (Self::Log(_), Key::Log(..))
                | (Self::Threshold(_), Key::Threshold(..))
        )
    }
}

macro_rules! typed {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) -> $kind:ident;)*) => {
        impl Rows<'_, Cloud> {$(
            $(#[$doc])*
            pub(super) fn $name(&self, $($arg: $ty),*) -> Option<&$kind> {
                match self.get(&Key::$kind($($arg),*)) {
                    Some(Record::$kind(record)) => Some(record),
                    Some(_) => unreachable!("a store gives each key a record of its kind"),
                    None => None,
                }
            }
        )*}
    };
}

typed! {
    terminal(terminal: TerminalId) -> Terminal;
    lane(terminal: TerminalId, epoch: Epoch) -> Lane;
    segment(terminal: TerminalId, epoch: Epoch, number: u64) -> Segment;
    ledger(key: EventKey) -> Ledger;
    stock(shop: ShopId, branch: BranchId, product: ProductId) -> Stock;
    feed(shop: ShopId) -> Feed;
    session(shop: ShopId, terminal: TerminalId, pos: PosId, session: SessionId) -> Session;
    item(shop: ShopId, branch: Option<BranchId>, id: EntityId) -> Item;
    lease(shop: ShopId, branch: BranchId, terminal: TerminalId) -> Lease;
    floor(shop: ShopId) -> Floor;
    user(user: UserId) -> User;
}

impl Rows<'_, Cloud> {
    pub(super) fn branch_digest(&self, shop: ShopId, branch: BranchId) -> Option<&Digest> {
        match self.get(&Key::BranchDigest(shop, branch)) {
            Some(Record::BranchDigest(digest)) => Some(digest),
            Some(_) => unreachable!("a store gives each key a record of its kind"),
            None => None,
        }
    }

    pub(super) fn edit_note(&self, shop: ShopId, key: EventKey) -> Option<&EditNote> {
        match self.get(&Key::EditNote(shop, key)) {
            Some(Record::EditNote(note)) => Some(note),
            Some(_) => unreachable!("a store gives each key a record of its kind"),
            None => None,
        }
    }
}
