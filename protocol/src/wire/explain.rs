//! What the cloud holds of one event, told for people and programs: version 1, JSON alone.
//!
//! Fields may be added, and whoever reads leaves alone what it does not know; none is removed, and
//! none changes its meaning.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::event::EventKeyV1;
use super::message::ServerId;
use crate::hash::Hash;
use crate::identity::{BranchId, Epoch, ProductId, SessionId, ShopId};
use crate::inbox::EventId;
use crate::label::Label;
use crate::problem::ErrorCode;
use crate::time::Millis;

/// The version of the form.
pub const EXPLAIN_VERSION: u32 = 1;
/// The most entries of each list in a story.
pub const LISTED_MAX: usize = 64;

const _: () = assert!(EXPLAIN_VERSION > 0, "versions count from 1");
const _: () = assert!(LISTED_MAX > 0, "a list has room");

/// What the cloud holds of an event, and what it does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudStory {
    /// [`EXPLAIN_VERSION`].
    pub version: u32,
    /// Which event.
    pub event: EventKeyV1,
    /// Whose it is.
    pub shop_id: ShopId,
    /// Where it happened.
    pub branch_id: BranchId,
    /// What became of it.
    pub state: CloudState,
    /// What it waits for, or why it never counts.
    pub code: Option<ErrorCode>,
    /// A word for its kind; none as long as its bytes have not come, or if they are damaged.
    pub kind: Option<String>,
    /// The time that it carries.
    pub at_ms: Option<Millis>,
    /// The printed number with its series.
    pub receipt: Option<String>,
    /// The caller's document number.
    pub reference: String,
    /// What it comes to, if it is a sale or a refund.
    pub total_minor: Option<i64>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// The register session that counts it.
    pub session_id: Option<SessionId>,
    /// The customer, if it came without a journal and the shop knew the customer.
    pub customer_id: Option<Label>,
    /// The digest of its canonical bytes.
    pub payload_hash: Hash,
    /// The cloud's name for it, once it is posted.
    pub server_id: Option<ServerId>,
    /// The same as the contracts write it.
    pub uuid: Option<String>,
    /// The number that people know it by, if goods or money changed hands.
    pub order_id: Option<String>,
    /// When it came first; none if it was withdrawn before it came.
    pub received_ms: Option<Millis>,
    /// Where it stands in the cloud's copy of the journal that brought it first.
    pub journal: Option<CloudPlace>,
    /// Since when it waits, if it does.
    pub waiting_since_ms: Option<Millis>,
    /// What a person decided of it.
    pub decision: Option<ToldDecision>,
    /// The correction that has taken its place.
    pub withdrawn_by: Option<OtherEvent>,
    /// Whose place it takes, if it is a correction.
    pub corrects: Vec<OtherEvent>,
    /// What it takes back, if it is a refund that says so.
    pub original: Option<OtherEvent>,
    /// Refunds that name it.
    pub refunds: Vec<OtherEvent>,
    /// What it moved: nothing unless it is posted.
    pub movements: Vec<ToldMovement>,
    /// What of that the other tills of the branch were told, in its inbox.
    pub relayed: Vec<Relayed>,
    /// Other events that came under its name: kept, and never counted.
    pub conflicts: Vec<ToldConflict>,
    /// Where its history parted.
    pub forks: Vec<ToldFork>,
    /// The till as it is enrolled; none for a sale that came without one.
    pub terminal: Option<ToldTerminal>,
    /// What operators did about it, oldest first; none for who is no operator.
    pub log: Option<Vec<ToldNote>>,
    /// All of it in the order in which it happened, in words.
    pub steps: Vec<CloudStep>,
    /// What the cloud cannot know, said plainly.
    pub unknown: Vec<String>,
}

/// What became of an event in the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CloudState {
    /// It counts.
    Posted,
    /// It is kept, and does not count yet.
    Waits,
    /// A person decided that it never counts.
    Rejected,
    /// It is a correction that never counts.
    Refused,
    /// A correction has its place.
    Withdrawn,
}

/// A place in the cloud's copy of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudPlace {
    /// The history.
    pub epoch: Epoch,
    /// The entry in it.
    pub seq: u64,
    /// The segment that holds it.
    pub segment: u64,
    /// The chain hash there, as recomputed from the segment.
    pub chain_hash: Option<Hash>,
    /// Whether the copy has this event's bytes there.
    pub holds: bool,
    /// Where that history ends.
    pub head: Option<u64>,
    /// Its chain hash there.
    pub head_hash: Option<Hash>,
    /// The history that it continues.
    pub parent: Option<Epoch>,
    /// When the history last brought something.
    pub seen_ms: Option<Millis>,
}

/// What a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldDecision {
    /// Whether it was accepted; if not, it was rejected.
    pub accepted: bool,
    /// Why.
    pub reason: String,
    /// When.
    pub at_ms: Millis,
}

/// Another event of the ledger that has to do with this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherEvent {
    /// Which.
    pub event: EventKeyV1,
    /// What became of it; none if it has not come.
    pub state: Option<CloudState>,
    /// When it came.
    pub received_ms: Option<Millis>,
    /// What it comes to.
    pub total_minor: Option<i64>,
}

/// A movement of stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldMovement {
    /// Of which product.
    pub product_id: ProductId,
    /// By how much, in thousandths.
    pub delta_milli: i64,
}

/// A movement that the other tills of the branch are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relayed {
    /// Its place in the branch's inbox.
    pub place: u64,
    /// Its name there.
    pub event_id: EventId,
    /// Of which product.
    pub product_id: ProductId,
    /// By how much, in thousandths.
    pub delta_milli: i64,
}

/// Another event under the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldConflict {
    /// The digest of its bytes.
    pub payload_hash: Hash,
    /// Which history brought it.
    pub epoch: Epoch,
    /// As which entry.
    pub seq: u64,
    /// When.
    pub at_ms: Millis,
    /// A word for its kind; none if it cannot be read.
    pub kind: Option<String>,
    /// What it comes to.
    pub total_minor: Option<i64>,
}

/// A parting of the history in which the event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldFork {
    /// The history that was left.
    pub epoch: Epoch,
    /// The last entry that both are known to share.
    pub common: u64,
    /// The history that came after.
    pub successor: Epoch,
    /// When it was announced.
    pub at_ms: Millis,
    /// Whether the event stands behind the parting: then it is only in the history that was left,
    /// unless the till has carried it over.
    pub behind: bool,
}

/// A till as it is enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldTerminal {
    /// When it was enrolled first.
    pub since_ms: Millis,
    /// Whether it was turned away: what it still has waits on it, in quarantine.
    pub revoked: bool,
    /// When its credential runs out.
    pub expires_at_ms: Option<Millis>,
}

/// An entry of the operators' log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldNote {
    /// Its number.
    pub number: u64,
    /// When.
    pub at_ms: Millis,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// Whether it was done; if not, it was refused, or the event waited on.
    pub done: bool,
}

/// Something that happened to an event in the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudStep {
    /// The cloud's time of it.
    pub at_ms: Millis,
    /// What happened, for programs.
    pub what: CloudWhat,
    /// The same for people.
    pub text: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CloudWhat {
    /// It came first.
    Received,
    /// A correction took its place.
    Withdrawn,
    /// A person decided of it.
    Decided,
    /// A person did something else about it.
    Noted,
    /// A refund that names it came.
    Refunded,
    /// Another event came under its name.
    Conflict,
    /// Its history parted.
    Forked,
}

impl CloudStory {
    /// Reads the JSON of a story.
    ///
    /// # Errors
    /// [`UnreadableStory`]: it is from a program that tells stories in another way.
    pub fn from_json(bytes: &[u8]) -> Result<Self, UnreadableStory> {
        let story: Self = serde_json::from_slice(bytes).map_err(|_| UnreadableStory)?;
        let lists = [story.refunds.len(), story.corrects.len(), story.conflicts.len()];
        let told = story.version == EXPLAIN_VERSION && lists.iter().all(|n| *n <= LISTED_MAX);
        told.then_some(story).ok_or(UnreadableStory)
    }
}

/// A story in a form that this program does not know: update it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the story has a form that is not known here")]
pub struct UnreadableStory;
