//! The wire form of the catalog, version 1: entities, and the pages in which they travel.
//!
//! The canonical bytes of an entity are its version byte and the binary form of [`EntityV1`], so
//! fields and variants are never reordered, removed or reused. JSON has the same fields in camel
//! case.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::catalog::{Digest, ENTITY_BYTES_MAX, EntityId};
use crate::codec;
use crate::hash::Hash;
use crate::identity::{CategoryId, LocalEventId, PosId, ProductId};
use crate::label::Label;

use super::message::{MessageError, WIRE_VERSION};

/// The most entities in one page. A page may have as many as one commit changes.
pub const PAGE_ENTITIES_MAX: usize = 7_000;
/// How many entities a delta has at most, if no commit is larger.
pub const DELTA_ENTITIES_USUAL: usize = 2_000;
/// How many entities a run of a snapshot has at most: each is one commit of the till, so a few
/// large ones cost less than many small ones.
pub const RUN_ENTITIES_USUAL: usize = 5_000;
/// The most edits of its own that a till asks for with a delta: their names fit into an address.
pub const EDITS_ASKED_MAX: usize = 16;
/// The most entity bytes in one page.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(2 * DELTA_ENTITIES_USUAL <= PAGE_ENTITIES_MAX, "a usual delta is a page");
const _: () = assert!(RUN_ENTITIES_USUAL <= PAGE_ENTITIES_MAX, "a usual run is a page");
const _: () = assert!(
    size_of::<EntityId>() + 2 * (size_of::<u64>() + 1) <= 128,
    "beside its content a change is short"
);
const _: () = assert!(WIRE_VERSION > 0, "versions count from 1");
const _: () = assert!(ENTITY_BYTES_MAX <= PAGE_BYTES_MAX, "any entity fits into a page");
const _: () = assert!(
    PAGE_BYTES_MAX + PAGE_ENTITIES_MAX * 128 < codec::MESSAGE_BYTES_MAX,
    "the fullest page is a message"
);

/// An entity as it travels. Append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntityV1 {
    /// Of [`crate::catalog::Kind::Product`].
    Product(ProductV1),
    /// Of [`crate::catalog::Kind::Category`].
    Category(CategoryV1),
    /// Of [`crate::catalog::Kind::Customer`].
    Customer(CustomerV1),
    /// Of [`crate::catalog::Kind::BranchPrice`].
    BranchPrice(BranchPriceV1),
}

/// A product as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProductV1 {
    /// Its SKU.
    pub product_id: ProductId,
    /// What is printed.
    pub name: String,
    /// What is scanned; rising, each once.
    pub barcodes: Vec<Label>,
    /// In minor units.
    pub price_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// The tax rate that is contained in the price, in millionths.
    pub tax_ppm: u32,
    /// What is counted: `pcs`, `kg`.
    pub unit: Label,
    /// Where it is listed.
    pub category: Option<CategoryId>,
    /// Whether it is sold.
    pub active: bool,
}

/// A category as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CategoryV1 {
    /// Its name for programs.
    pub category_id: CategoryId,
    /// Its name for people.
    pub name: String,
}

/// A customer as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomerV1 {
    /// Its name for programs.
    pub customer_id: Label,
    /// Its name for people.
    pub name: String,
}

/// What a branch asks for a product, in place of the shop's price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BranchPriceV1 {
    /// Which product.
    pub product_id: ProductId,
    /// In minor units, in the currency of the product.
    pub price_minor: i64,
}

/// One entity as of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeV1 {
    /// Which.
    pub id: EntityId,
    /// The commit that made it what it is.
    pub version: u64,
    /// Its canonical bytes, or none if it was deleted.
    #[serde(with = "crate::codec::shared_option")]
    pub content: Option<Arc<[u8]>>,
}

/// What a catalog adds up to at a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CatalogHead {
    /// The last commit.
    pub version: u64,
    /// What all entities of a branch add up to.
    pub digest: Digest,
}

/// What has changed after a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeltaPage {
    /// The version that the asker has.
    pub from: u64,
    /// The version that it has after this page.
    pub to: u64,
    /// Rising by version. All that one commit has changed is in the same page.
    pub changes: Vec<ChangeV1>,
    /// If this page reaches the head: what the whole catalog adds up to there.
    pub head: Option<CatalogHead>,
}

/// The name that a till has given to an edit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EditName {
    /// The register.
    #[serde(rename = "posId")]
    pub pos: PosId,
    /// The event on it.
    #[serde(rename = "localEventId")]
    pub local_id: LocalEventId,
}

impl EditName {
    /// Returns the text of a question: a line for each, its two names with a tab between them. No
    /// name holds either character.
    #[must_use]
    pub fn to_text(names: &[Self]) -> String {
        assert!(names.len() <= EDITS_ASKED_MAX, "a question is bounded");
        let lines = names.iter().map(|name| alloc::format!("{}\t{}", name.pos, name.local_id));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Reads the text of a question.
    ///
    /// # Errors
    /// [`MessageError::Parts`]: more than [`EDITS_ASKED_MAX`], or a line that is no two names.
    pub fn from_text(text: &str) -> Result<Vec<Self>, MessageError> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let names = text.split('\n').take(EDITS_ASKED_MAX + 1).map(Self::from_line);
        let names: Vec<Self> = names.collect::<Option<_>>().ok_or(MessageError::Parts)?;
        if names.len() > EDITS_ASKED_MAX { Err(MessageError::Parts) } else { Ok(names) }
    }

    fn from_line(line: &str) -> Option<Self> {
        let (pos, local_id) = line.split_once('\t')?;
        let (pos, local_id) = (PosId::parse(pos).ok()?, LocalEventId::parse(local_id).ok()?);
        Some(Self { pos, local_id })
    }
}

/// An edit of the asker that the cloud has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeldEdit {
    /// Which.
    pub name: EditName,
    /// The digest of its canonical bytes: a copy of the till may have given the same name.
    pub payload_hash: Hash,
}

/// A run of entities, whole: what is not in it does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotPage {
    /// The version from which a delta completes the snapshot.
    pub pinned: u64,
    /// The run begins after this entity, or with the first.
    pub after: Option<EntityId>,
    /// The run ends with this entity, or with the last.
    pub last: Option<EntityId>,
    /// The entities of the run, rising by their id.
    pub entities: Vec<ChangeV1>,
}

/// What a till hears when it asks for a delta. Append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeltaAnswer {
    /// The changes.
    Page(DeltaPage),
    /// The cloud does not remember so far back, or not that far: compare by snapshot.
    Resync,
    /// The changes up to the head, for a till that has asked for edits of its own: those of them
    /// that the cloud has decided. The proof is of a catalog with them.
    WithEdits(DeltaPage, Vec<HeldEdit>),
}

impl DeltaPage {
    /// Checks every bound and every order.
    ///
    /// # Errors
    /// [`MessageError`] names the bound.
    pub fn check(self) -> Result<Self, MessageError> {
        check_changes(&self.changes)?;
        let within = self
            .changes
            .iter()
            .all(|change| self.from < change.version && change.version <= self.to);
        let rising = self.changes.is_sorted_by(|a, b| (a.version, a.id) < (b.version, b.id));
        let ends = self.head.is_none_or(|head| head.version == self.to);
        if !(self.from <= self.to && within && rising && ends) {
            return Err(MessageError::Order);
        }
        assert!(self.changes.is_empty() || self.from < self.to, "a page with changes leads on");
        assert!(self.changes.len() <= PAGE_ENTITIES_MAX, "a checked page keeps its bound");
        Ok(self)
    }
}

impl DeltaAnswer {
    /// Returns the changes, and if it tells of them, the edits of the asker that are in what the
    /// changes lead to.
    #[must_use]
    pub fn page(&self) -> Option<(&DeltaPage, Option<&[HeldEdit]>)> {
        match self {
            Self::Page(page) => Some((page, None)),
            Self::WithEdits(page, held) => Some((page, Some(held))),
            Self::Resync => None,
        }
    }

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
            Self::Resync => Ok(Self::Resync),
            Self::WithEdits(_, held) if held.len() > EDITS_ASKED_MAX => Err(MessageError::Parts),
            Self::WithEdits(page, held) => Ok(Self::WithEdits(page.check()?, held)),
        }
    }
}

impl SnapshotPage {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let frame = codec::encode(WIRE_VERSION, self);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
        assert!(frame.len() <= codec::MESSAGE_BYTES_MAX, "a run that was put together is read");
        frame
    }

    /// Reads a binary frame and checks it.
    ///
    /// # Errors
    /// [`MessageError`]; any bytes may be given.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        codec::decode::<Self>(WIRE_VERSION, bytes)?.check()
    }

    /// Checks every bound and every order.
    ///
    /// # Errors
    /// [`MessageError`] names the bound.
    pub fn check(self) -> Result<Self, MessageError> {
        check_changes(&self.entities)?;
        let rising = self.entities.is_sorted_by(|a, b| a.id < b.id);
        let first = self.entities.first().map(|change| change.id);
        let last = self.entities.last().map(|change| change.id);
        let begins = first.is_none() || self.after < first;
        let ends = self.last.is_none_or(|end| last <= Some(end) && self.after < Some(end));
        let whole = self.entities.iter().all(|change| change.content.is_some());
        if !(rising && begins && ends && whole) {
            return Err(MessageError::Order);
        }
        assert!(first <= last, "a run begins before it ends");
        assert!(last.is_none() || self.after < last, "a run with entities leads on");
        Ok(self)
    }
}

fn check_changes(changes: &[ChangeV1]) -> Result<(), MessageError> {
    if changes.len() > PAGE_ENTITIES_MAX {
        return Err(MessageError::Parts);
    }
    let sizes = changes.iter().filter_map(|change| change.content.as_ref()).map(|c| c.len());
    if sizes.sum::<usize>() > PAGE_BYTES_MAX { Err(MessageError::Bytes) } else { Ok(()) }
}
