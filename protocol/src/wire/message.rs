//! The messages of protocol version 1: `Hello`/`Welcome`, `Push`/`PushAnswer`.
//!
//! Binary frames are [`codec::encode`]d with version byte [`WIRE_VERSION`]; JSON has the same
//! fields in camel case. Bounds are checked by [`Hello::check`] and [`Push::check`].

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError, MESSAGE_BYTES_MAX};
use crate::event::{EVENT_BYTES_MAX, TEXT_BYTES_MAX};
use crate::hash::Hash;
use crate::identity::{Epoch, TerminalId};
use crate::label::LABEL_BYTES_MAX;
use crate::problem::ErrorCode;
use crate::terminal::row::CLOSED_MAX;

/// The version of the messages, and the first byte of each binary frame.
pub const WIRE_VERSION: u8 = 1;
/// The media type of binary frames.
pub const MEDIA_TYPE: &str = "application/vnd.counterfoil.v1+bincode";
/// The most epochs a till reports: the current one and all that it remembers.
pub const HELLO_LANES_MAX: usize = CLOSED_MAX + 1;
/// The most points of one journal in a `Hello`.
pub const HELLO_POINTS_MAX: usize = 40;
/// The most items in one `Push`.
pub const PUSH_ITEMS_MAX: usize = 500;
/// The most payload bytes in one `Push`.
pub const PUSH_BYTES_MAX: usize = 1024 * 1024;
/// The most message versions that a till names.
pub const HELLO_VERSIONS_MAX: usize = 16;

/// The most bytes of a number in a binary frame.
const NUMBER_BYTES_MAX: usize = 9;
/// The most bytes of a sequence number with its hash.
const POINT_BYTES_MAX: usize = NUMBER_BYTES_MAX + size_of::<Hash>();
/// The most bytes of an epoch.
const EPOCH_BYTES_MAX: usize = 2 * NUMBER_BYTES_MAX;
/// The most bytes of a lane in a greeting: epoch, parent, two numbers, points.
const HELLO_LANE_BYTES_MAX: usize =
    2 * EPOCH_BYTES_MAX + 4 * NUMBER_BYTES_MAX + HELLO_POINTS_MAX * POINT_BYTES_MAX;
/// The most bytes of a lane in the answer: epoch, head, common, standing.
const WELCOME_LANE_BYTES_MAX: usize = EPOCH_BYTES_MAX + POINT_BYTES_MAX + 2 * NUMBER_BYTES_MAX;
/// The most bytes of a message beside its parts.
const FRAME_BYTES_MAX: usize = 1024;

const _: () = assert!(WIRE_VERSION > 0, "versions count from 1");
const _: () = assert!(HELLO_VERSIONS_MAX > 0, "a till speaks some version");
const _: () = assert!(HELLO_LANES_MAX > CLOSED_MAX, "a till can report all that it remembers");
const _: () = assert!(HELLO_POINTS_MAX > 1, "a till shows its head, and what led to it");
const _: () = assert!(EVENT_BYTES_MAX <= PUSH_BYTES_MAX, "every event fits in a push");
const _: () = assert!(PUSH_ITEMS_MAX > 0, "a push has items");
const _: () = assert!(PUSH_ITEMS_MAX <= u32::MAX as usize, "a welcome can tell the bound of items");
const _: () = assert!(PUSH_BYTES_MAX <= u32::MAX as usize, "a welcome can tell the bound of bytes");
const _: () = assert!(FRAME_BYTES_MAX > TEXT_BYTES_MAX + LABEL_BYTES_MAX, "a frame has its texts");
const _: () = assert!(
    HELLO_LANES_MAX * HELLO_LANE_BYTES_MAX + FRAME_BYTES_MAX <= MESSAGE_BYTES_MAX,
    "the longest greeting can be decoded"
);
const _: () = assert!(
    HELLO_LANES_MAX * WELCOME_LANE_BYTES_MAX + FRAME_BYTES_MAX <= MESSAGE_BYTES_MAX,
    "the longest answer to a greeting can be decoded"
);
const _: () = assert!(
    PUSH_BYTES_MAX + PUSH_ITEMS_MAX * (POINT_BYTES_MAX + NUMBER_BYTES_MAX) + FRAME_BYTES_MAX
        <= MESSAGE_BYTES_MAX,
    "the longest push can be decoded"
);
const _: () = assert!(
    PUSH_ITEMS_MAX * (POINT_BYTES_MAX + NUMBER_BYTES_MAX) + FRAME_BYTES_MAX <= MESSAGE_BYTES_MAX,
    "the longest answer to a push can be decoded"
);

/// A till introduces itself and shows where its journals stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hello {
    /// Who speaks; must be the terminal of the credential.
    pub terminal_id: TerminalId,
    /// The message versions it speaks.
    pub versions: Vec<u8>,
    /// Its program version, for people.
    pub app: String,
    /// Its clock; the cloud compares, and never orders by it.
    pub clock_ms: u64,
    /// Its journals, the current one first.
    pub lanes: Vec<HelloLane>,
}

/// One journal of a till, as the till sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HelloLane {
    /// Which history.
    pub epoch: Epoch,
    /// The history it continues, and the last sequence number they share.
    pub parent: Option<ParentV1>,
    /// Up to here the till has had an answer for each entry.
    pub acked: u64,
    /// Points of its chain, falling, the head first; the distance about doubles.
    pub points: Vec<Point>,
}

/// Where a history began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParentV1 {
    /// The history before it.
    pub epoch: Epoch,
    /// The last sequence number of it that is known to be shared.
    pub common: u64,
}

/// A place in a journal, and the chain hash there. Sequence number 0 is the genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Point {
    /// The sequence number.
    pub seq: u64,
    /// The chain hash of that entry.
    pub hash: Hash,
}

/// The cloud's answer to a `Hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    /// The version both will speak.
    pub version: u8,
    /// The cloud's clock.
    pub server_time_ms: u64,
    /// The most items it takes in one push.
    pub push_items_max: u32,
    /// The most payload bytes it takes in one push.
    pub push_bytes_max: u32,
    /// One entry for each lane of the `Hello`, in its order.
    pub lanes: Vec<WelcomeLane>,
}

/// One journal of a till, as the cloud's durable state has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WelcomeLane {
    /// Which history.
    pub epoch: Epoch,
    /// The last entry that the cloud durably holds.
    pub head: Point,
    /// The highest of the till's points that is on the cloud's chain too.
    pub common: u64,
    /// What the cloud makes of it. The till draws its own conclusion from the other fields.
    pub standing: Standing,
}

/// How a till's journal stands to the cloud's copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// Both end at the same entry.
    InStep,
    /// The till has more: the normal case after selling.
    TillAhead,
    /// The cloud has less than it once acknowledged: it was restored from a backup.
    CloudLostTail,
    /// The till's journal is a true prefix of the cloud's: it was restored, or is a copy.
    TillLostTail,
    /// Both went on after a common entry, differently: a copy, or restored and sold on.
    Forked,
}

/// Entries of one journal, offered in rising order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Push {
    /// Who speaks; must be the terminal of the credential.
    pub terminal_id: TerminalId,
    /// Which history they belong to.
    pub epoch: Epoch,
    /// The entries, rising by sequence number.
    pub items: Vec<PushItem>,
}

/// One journal entry, offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushItem {
    /// Its sequence number.
    pub seq: u64,
    /// Its chain hash.
    pub chain_hash: Hash,
    /// Its canonical bytes.
    #[serde(with = "crate::codec::shared_bytes")]
    pub payload: Arc<[u8]>,
}

/// The cloud's answer to a `Push`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushAnswer {
    /// The last entry of this history that the cloud durably holds.
    pub head: u64,
    /// One result for each item that was looked at, in order.
    pub results: Vec<ItemResult>,
    /// Why it stopped before the last item, if it did.
    pub stopped: Option<Stopped>,
}

/// Why a push was not looked at to its end. What stands in `results` holds all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stopped {
    /// An entry is missing before this one: greet, and offer from the head.
    Gap,
    /// The entry is not the continuation of the cloud's chain: greet, and open a new epoch.
    Forked,
    /// The cloud does not know this history (any more): greet.
    UnknownEpoch,
}

/// What became of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemResult {
    /// Which entry.
    pub seq: u64,
    /// What became of it.
    pub verdict: Verdict,
}

/// The cloud's durable answer for one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Posted by this very push.
    Created(ServerId),
    /// Posted before; the effect was not repeated.
    Existing(ServerId),
    /// Kept, without effect yet: an item-level failure that another try may end.
    Parked(ErrorCode),
    /// Kept, never with effect: a person must look at it.
    Refused(ErrorCode),
    /// An edit of the catalog is decided, by this very push or before: the answer is the same
    /// each time, as long as the cloud holds it.
    Edited(Edited),
}

/// What became of an edit of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Edited {
    /// The cloud's name for the event.
    pub server_id: ServerId,
    /// The version with which the catalog became as the edit left it. To be there proves nothing,
    /// as a cloud that was restored may come there again without the edit: see
    /// [`DeltaAnswer::WithEdits`](super::catalog::DeltaAnswer::WithEdits).
    pub version: u64,
    /// The worst that became of its fields.
    pub outcome: EditOutcome,
}

/// What became of an edit, or of one of its fields: the later, the more a person should know.
/// Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EditOutcome {
    /// The catalog says what the edit says.
    Taken,
    /// The same, and what somebody else had written since was overwritten; it is kept.
    Overwrote,
    /// A field that only the cloud decides: not taken, kept for a person.
    ServerOwned,
    /// The entity was deleted: an edit does not bring it back.
    Deleted,
    /// The catalog never had such an entity.
    Unknown,
}

/// The cloud's name for a posted event: a function of its key, so the same for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerId(pub Hash);

/// A message that breaks a bound. The whole message is refused, nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The bytes have no readable form.
    #[error(transparent)]
    Form(#[from] DecodeError),
    /// Too many lanes, points or items, or none.
    #[error("the message has too many parts, or none")]
    Parts,
    /// Too many payload bytes.
    #[error("the payloads have more than {PUSH_BYTES_MAX} bytes")]
    Bytes,
    /// Sequence numbers that do not rise, or fall where they must.
    #[error("the sequence numbers are not in order")]
    Order,
    /// No common message version.
    #[error("no message version in common; this build speaks {WIRE_VERSION}")]
    Versions,
}

impl Hello {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let frame = codec::encode(WIRE_VERSION, self);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
        frame
    }

    /// Reads a binary frame and checks it.
    ///
    /// # Errors
    /// [`MessageError`]; any bytes may be given.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        codec::decode::<Self>(WIRE_VERSION, bytes)?.check()
    }

    /// Checks every bound, and that the points fall.
    ///
    /// # Errors
    /// [`MessageError`] names the bound.
    pub fn check(self) -> Result<Self, MessageError> {
        if !self.versions.contains(&WIRE_VERSION) || self.versions.len() > HELLO_VERSIONS_MAX {
            return Err(MessageError::Versions);
        }
        let lanes = 1..=HELLO_LANES_MAX;
        if !lanes.contains(&self.lanes.len()) || self.app.len() > TEXT_BYTES_MAX {
            return Err(MessageError::Parts);
        }
        for lane in &self.lanes {
            if !(1..=HELLO_POINTS_MAX).contains(&lane.points.len()) {
                return Err(MessageError::Parts);
            }
            if !lane.points.is_sorted_by(|a, b| a.seq > b.seq) || lane.acked > lane.points[0].seq {
                return Err(MessageError::Order);
            }
            let (first, last) = (lane.points[0].seq, lane.points[lane.points.len() - 1].seq);
            assert!(first - last >= lane.points.len() as u64 - 1, "no two points are of one entry");
        }
        Ok(self)
    }
}

impl Push {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let of_item = |item: &PushItem| item.payload.len() + POINT_BYTES_MAX + NUMBER_BYTES_MAX;
        let bytes = self.items.iter().map(of_item).sum::<usize>() + 3 * EPOCH_BYTES_MAX;
        let frame = codec::encode_about(WIRE_VERSION, self, bytes);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
        frame
    }

    /// Reads a binary frame and checks it.
    ///
    /// # Errors
    /// [`MessageError`]; any bytes may be given.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        codec::decode::<Self>(WIRE_VERSION, bytes)?.check()
    }

    /// Checks every bound, and that the sequence numbers rise from at least 1.
    ///
    /// # Errors
    /// [`MessageError`] names the bound.
    pub fn check(self) -> Result<Self, MessageError> {
        if !(1..=PUSH_ITEMS_MAX).contains(&self.items.len()) {
            return Err(MessageError::Parts);
        }
        let bytes: usize = self.items.iter().map(|item| item.payload.len()).sum();
        let largest = self.items.iter().map(|item| item.payload.len()).max().unwrap_or(0);
        assert!(bytes >= largest, "the largest payload is one of them");
        if bytes > PUSH_BYTES_MAX || largest > EVENT_BYTES_MAX {
            return Err(MessageError::Bytes);
        }
        let rising = self.items.is_sorted_by(|a, b| a.seq < b.seq);
        if !rising || self.items[0].seq == 0 || self.items.iter().any(|i| i.seq == u64::MAX) {
            return Err(MessageError::Order);
        }
        let (first, last) = (self.items[0].seq, self.items[self.items.len() - 1].seq);
        assert!(first > 0 && last < u64::MAX, "there is a number before and after each entry");
        assert!(last - first >= self.items.len() as u64 - 1, "no two items are of one entry");
        Ok(self)
    }
}

impl Welcome {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let frame = codec::encode(WIRE_VERSION, self);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
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

impl PushAnswer {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let bytes = (self.results.len() + 1) * (POINT_BYTES_MAX + NUMBER_BYTES_MAX);
        let frame = codec::encode_about(WIRE_VERSION, self, bytes);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
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
