//! What a till stores.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::archive::Archive;
pub use super::correct::Replaced;
use super::diary::{Diary, Note};
use super::edits::LocalEdits;
use super::inbox::{InboxState, Movement, Review};
pub use super::migrate::{CodeIndex, Schema};
use super::register::{ClosedSession, Register};
pub use super::seen::{KnownInSession, Seen};
use super::{Backlog, Identity, Terminal};
use crate::catalog::{Digest, EntityId};
use crate::codec::MESSAGE_BYTES_MAX;
use crate::event::EVENT_BYTES_MAX;
use crate::hash::Hash;
use crate::identity::{Epoch, LocalEventId, PosId, ProductId};
use crate::inbox::EventId;
use crate::label::Label;
use crate::machine::{self, Rows};
use crate::money::Milli;
use crate::persist::{
    EPOCH_KEY_BYTES, KEY_BYTES_MAX, KIND_KEY_BYTES, LABEL_KEY_BYTES, NUMBER_KEY_BYTES,
};
use crate::problem::{Denial, ErrorCode};
use crate::time::Millis;
use crate::wire::event::ReceiptV1;
use crate::wire::message::{ParentV1, ServerId};

/// The version byte of every record.
pub const ROW_VERSION: u8 = 1;
/// The most closed histories a till remembers; the oldest that is settled is forgotten first.
pub const CLOSED_MAX: usize = 32;

const ENTRY_KEY_BYTES: usize = EPOCH_KEY_BYTES + NUMBER_KEY_BYTES;
/// The most bytes of a closed history in the till's books.
const CLOSED_BYTES_MAX: usize = 128;

const _: () = assert!(ROW_VERSION > 0, "versions count from 1");
const _: () =
    assert!(crate::catalog::ENTITY_BYTES_MAX + 64 <= MESSAGE_BYTES_MAX, "any entity can be read");
const _: () = assert!(CLOSED_MAX > 0, "a till remembers the history that it continues");
const _: () =
    assert!(KIND_KEY_BYTES + 2 * LABEL_KEY_BYTES <= KEY_BYTES_MAX, "an event's name is a key");
const _: () =
    assert!(KIND_KEY_BYTES + ENTRY_KEY_BYTES <= KEY_BYTES_MAX, "a place in the journal is a key");
const _: () = assert!(size_of::<Closed>() <= CLOSED_BYTES_MAX, "a closed history is a few numbers");
const _: () =
    assert!((CLOSED_MAX + 2) * CLOSED_BYTES_MAX <= MESSAGE_BYTES_MAX, "the books can be read");
const _: () = assert!(EVENT_BYTES_MAX + 4096 <= MESSAGE_BYTES_MAX, "any entry's row can be read");

/// The name of a row. Kinds are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The till's books. One row, from installation on.
    Meta,
    /// A journal entry. From its commit on.
    Entry(Epoch, u64),
    /// An entry that waits for an answer, or for another try. Until it is synced or needs
    /// attention.
    Queue(Epoch, u64),
    /// An entry that a person must look at.
    Attention(Epoch, u64),
    /// Where the event of a register stands in the journal.
    Local(PosId, LocalEventId),
    /// The last receipt number of a register.
    Series(PosId),
    /// The till's own view of a product's stock: the sum of its movements.
    Stock(ProductId),
    /// Where the till's catalog stands. One row, from the first page on.
    Catalog,
    /// An entity of the catalog, as the cloud has it.
    Item(EntityId),
    /// A register's session: what is open, and which closings wait for the cloud's word.
    Register(PosId),
    /// A closed session, by its closing event. For ever.
    Closing(PosId, LocalEventId),
    /// What was edited here and is not in the catalog yet. One row, while there is anything.
    LocalEdits,
    /// A movement that came through the inbox, by its number on this till, from 1. For ever.
    Movement(u64),
    /// An inventory event that was applied. For ever: it must not be applied again.
    Applied(EventId),
    /// A product whose stock an inventory event made negative. Until a person has looked at it.
    Review(ProductId),
    /// Where the till stands in its branch's inbox. One row, from the first event on.
    Inbox,
    /// What is scanned of a product. As long as the product has that barcode.
    Code(Label, ProductId),
    /// Which version of the tables this is. One row; a database without it is of version 1.
    Schema,
    /// How far the diary has come. One row, from the first note on.
    Diary,
    /// A note of the diary, by its number, from 1. Until so many newer ones are written.
    Note(u64),
    /// An entry that another counts in the place of. From its correction on, until it counts after
    /// all.
    Replaced(Epoch, u64),
    /// What stands in the archive. One row, from the first entry that has left.
    Archive,
}

/// The content of a row. Variants are stored: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Of [`Key::Meta`].
    Meta(Meta),
    /// Of [`Key::Entry`].
    Entry(Entry),
    /// Of [`Key::Queue`].
    Queue(Queued),
    /// Of [`Key::Attention`].
    Attention(Attention),
    /// Of [`Key::Local`].
    Local(Known),
    /// Of [`Key::Series`].
    Series(Series),
    /// Of [`Key::Stock`].
    Stock(Stock),
    /// Of [`Key::Catalog`].
    Catalog(CatalogState),
    /// Of [`Key::Item`].
    Item(CatalogItem),
    /// Of [`Key::Local`], for an event that a register session counts.
    LocalInSession(KnownInSession),
    /// Of [`Key::Register`].
    Register(Register),
    /// Of [`Key::Closing`].
    Closing(Box<ClosedSession>),
    /// Of [`Key::LocalEdits`].
    LocalEdits(LocalEdits),
    /// Of [`Key::Movement`].
    Movement(Movement),
    /// Of [`Key::Applied`]: the number of its movement.
    Applied(u64),
    /// Of [`Key::Review`].
    Review(Review),
    /// Of [`Key::Inbox`].
    Inbox(InboxState),
    /// Of [`Key::Code`]: the key says all.
    Code,
    /// Of [`Key::Schema`].
    Schema(Schema),
    /// Of [`Key::Diary`].
    Diary(Diary),
    /// Of [`Key::Note`].
    Note(Note),
    /// Of [`Key::Replaced`].
    Replaced(Replaced),
    /// Of [`Key::Archive`].
    Archive(Archive),
}

/// The till's books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Whose database this is.
    pub identity: Identity,
    /// The installation it belongs to, as the witness outside must say.
    pub install: u64,
    /// The present boot, as the witness outside will say.
    pub boot: u64,
    /// The boot before, as the witness outside says after a crash between the two writes.
    pub boot_before: u64,
    /// The current history.
    pub epoch: Epoch,
    /// The history it continues.
    pub parent: Option<ParentV1>,
    /// Its last entry.
    pub head: u64,
    /// The chain hash of that.
    pub hash: Hash,
    /// Each entry up to here has had an answer from the cloud as it stands now.
    pub acked: u64,
    /// The histories before, oldest first.
    pub closed: Vec<Closed>,
    /// Why the cloud does not listen, if it does not.
    pub quarantined: Option<Denial>,
}

/// A history that is not continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Which.
    pub epoch: Epoch,
    /// The history it continued.
    pub parent: Option<ParentV1>,
    /// Its last entry.
    pub head: u64,
    /// The chain hash of that.
    pub hash: Hash,
    /// The cloud's copy is believed to hold the entries up to here. Later ones are carried over.
    pub kept: u64,
    /// The next entry to look at when carrying over; above `head` when that is done.
    pub next: u64,
    /// Whether entries up to `kept` may still wait in the queue.
    pub queue: bool,
}

/// A journal entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The register of the event.
    pub pos: PosId,
    /// Its name there.
    pub local_id: LocalEventId,
    /// The digest of its canonical bytes.
    pub payload_hash: Hash,
    /// The chain hash of the entry.
    pub chain: Hash,
    /// The canonical bytes of the event.
    #[serde(with = "crate::codec::shared_bytes")]
    pub payload: Arc<[u8]>,
    /// What is known of it.
    pub state: State,
}

/// What a till knows of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Not synced: it has a row in the queue, or one that needs attention.
    Open,
    /// The cloud has durably posted it. Counts only up to [`Meta::acked`]: a cloud that lost its
    /// tail takes the answer back.
    Synced(ServerId),
    /// It was carried over into a later history.
    Moved(Place),
    /// Another event of its register, of this name, counts in its place.
    Replaced(LocalEventId),
}

/// An entry that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Item-level failures so far. Failures of link or cloud do not count (B.5).
    pub attempts: u8,
    /// Not before this time.
    pub due: Millis,
    /// The last item-level failure.
    pub code: Option<ErrorCode>,
}

/// An entry that a person must look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// Item-level failures so far.
    pub attempts: u8,
    /// Why.
    pub code: ErrorCode,
    /// Since when.
    pub since: Millis,
}

/// A place in a till's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The history.
    pub epoch: Epoch,
    /// The entry in it.
    pub seq: u64,
}

/// What the till knows of an event by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Where it stands in the journal.
    pub place: Place,
    /// The digest of its canonical bytes.
    pub payload_hash: Hash,
    /// The number on its receipt.
    pub receipt: Option<ReceiptV1>,
}

/// A series of receipt numbers. It ends with its epoch; the next one counts from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// The epoch of the series.
    pub epoch: Epoch,
    /// The last number that was given.
    pub last: u64,
}

/// The till's own view of a product's stock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// The sum of its movements on this till.
    pub quantity: Milli,
    /// How many.
    pub movements: u64,
}

/// Where the till's catalog stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogState {
    /// It has every commit up to this; none until the first snapshot is complete.
    pub version: Option<u64>,
    /// What its entities add up to, as the pages have told.
    pub digest: Digest,
    /// How far a snapshot has come, if one is under way.
    pub progress: Option<Progress>,
    /// Whether the digest was found to be the cloud's at this version.
    pub proven: bool,
    /// How often it was not.
    pub drifts: u32,
}

/// How far a snapshot has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The version from which a delta will complete it; none before its first run.
    pub pinned: Option<u64>,
    /// The last entity of the runs so far.
    pub after: Option<EntityId>,
    /// What the entities of the runs so far add up to: counted anew, so that a sum that has gone
    /// wrong is mended with the rows.
    pub digest: Digest,
}

/// An entity of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogItem {
    /// The commit that made it what it is.
    pub version: u64,
    /// Its canonical bytes.
    #[serde(with = "crate::codec::shared_bytes")]
    pub content: Arc<[u8]>,
}

impl Meta {
    /// Returns what is left to do.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        Backlog {
            fresh: self.head - self.acked,
            adopting: self.closed.iter().any(Closed::unsettled),
            quarantined: self.quarantined,
            parted: None,
        }
    }

    /// Ends the current history and begins the next. Entries after `kept` will be carried over.
    pub(super) fn part(&mut self, kept: u64, nonce: u64) {
        assert!(kept <= self.head, "only entries that exist can be kept");
        assert!(kept <= self.acked, "only what was answered can be kept");
        let left = self.epoch;
        self.closed.push(Closed {
            epoch: self.epoch,
            parent: self.parent,
            head: self.head,
            hash: self.hash,
            kept,
            next: kept + 1,
            queue: true,
        });
        if self.closed.len() > CLOSED_MAX
            && let Some(oldest) = self.closed.iter().position(|closed| !closed.unsettled())
        {
            self.closed.remove(oldest);
        }
        let last = self.closed.last();
        assert!(last.is_some_and(|last| last.epoch == left), "what is left is remembered");
        assert!(last.is_some_and(Closed::unsettled), "what is left is carried over");
        self.parent = Some(ParentV1 { epoch: self.epoch, common: kept });
        self.epoch = self.epoch.next(nonce);
        self.head = 0;
        self.acked = 0;
        assert!(self.epoch.number > left.number, "histories are counted");
        debug_assert!(
            self.closed.is_sorted_by(|a, b| a.epoch.number < b.epoch.number),
            "histories are closed in their order"
        );
        assert!(
            self.closed.last().map(|last| last.epoch) == self.parent.map(|parent| parent.epoch),
            "what is continued was closed last"
        );
        self.hash = crate::hash::genesis(self.identity.terminal, self.epoch);
    }
}

impl Closed {
    /// Returns whether entries may still have to be carried over.
    #[must_use]
    pub const fn unsettled(&self) -> bool {
        self.queue || self.next <= self.head
    }
}

impl Record {
    pub(super) const fn belongs_to(&self, key: &Key) -> bool {
        matches!(
            (self, key),
            (Self::Meta(_), Key::Meta)
                | (Self::Entry(_), Key::Entry(..))
                | (Self::Queue(_), Key::Queue(..))
                | (Self::Attention(_), Key::Attention(..))
                | (Self::Local(_), Key::Local(..))
                | (Self::Series(_), Key::Series(_))
                | (Self::Stock(_), Key::Stock(_))
                | (Self::Catalog(_), Key::Catalog)
                | (Self::Item(_), Key::Item(_))
                | (Self::LocalInSession(_), Key::Local(..))
                | (Self::Register(_), Key::Register(_))
                | (Self::Closing(_), Key::Closing(..))
                | (Self::LocalEdits(_), Key::LocalEdits)
                | (Self::Movement(_), Key::Movement(_))
                | (Self::Applied(_), Key::Applied(_))
                | (Self::Review(_), Key::Review(_))
                | (Self::Inbox(_), Key::Inbox)
                | (Self::Replaced(_), Key::Replaced(..))
                | (Self::Archive(_), Key::Archive)
                | (Self::Code, Key::Code(..))
                | (Self::Schema(_), Key::Schema)
                | (Self::Diary(_), Key::Diary)
                | (Self::Note(_), Key::Note(_))
        )
    }
}

impl Rows<'_, Terminal> {
    pub(super) fn meta(&self) -> Option<&Meta> {
        match self.get(&Key::Meta) {
            Some(Record::Meta(meta)) => Some(meta),
            Some(_) => unreachable!("a store gives each key a record of its kind"),
            None => None,
        }
    }
}

impl Rows<'_, Terminal> {
    pub(super) fn schema(&self) -> Option<&Schema> {
        match self.get(&Key::Schema) {
            Some(Record::Schema(schema)) => Some(schema),
            Some(_) => unreachable!("a store gives each key a record of its kind"),
            None => None,
        }
    }

    pub(super) fn catalog(&self) -> Option<&CatalogState> {
        match self.get(&Key::Catalog) {
            Some(Record::Catalog(state)) => Some(state),
            Some(_) => unreachable!("a store gives each key a record of its kind"),
            None => None,
        }
    }
}

impl Rows<'_, Terminal> {
    pub(super) fn local_edits(&self) -> Option<&LocalEdits> {
        match self.get(&Key::LocalEdits) {
            Some(Record::LocalEdits(edits)) => Some(edits),
            Some(_) => unreachable!("a store gives each key a record of its kind"),
            None => None,
        }
    }
}

impl Rows<'_, Terminal> {
    pub(super) fn entry_at(&self, place: machine::Place) -> Option<&Entry> {
        match self.at(place) {
            Some(Record::Entry(entry)) => Some(entry),
            Some(_) => unreachable!("a store gives each key a record of its kind"),
            None => None,
        }
    }
}

macro_rules! typed {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $kind:ident in $record:ident;)*) => {
        impl Rows<'_, Terminal> {$(
            pub(super) fn $name(&self, $($arg: $ty),*) -> Option<&$kind> {
                match self.get(&Key::$record($($arg),*)) {
                    Some(Record::$record(record)) => Some(record),
                    Some(_) => unreachable!("a store gives each key a record of its kind"),
                    None => None,
                }
            }
        )*}
    };
}

typed! {
    entry(epoch: Epoch, seq: u64) -> Entry in Entry;
    queued(epoch: Epoch, seq: u64) -> Queued in Queue;
    attention(epoch: Epoch, seq: u64) -> Attention in Attention;
    register(pos: PosId) -> Register in Register;
    closing(pos: PosId, local_id: LocalEventId) -> ClosedSession in Closing;
    series(pos: PosId) -> Series in Series;
    stock(product: ProductId) -> Stock in Stock;
    catalog_item(id: EntityId) -> CatalogItem in Item;
}
