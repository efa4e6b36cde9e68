//! What travels when a till compares its catalog with the cloud's, version 1.
//!
//! Two questions: *which rows differ?* ([`ReconcileAsk`]), and *what are they?* ([`EntitiesAsk`]).
//! The cloud keeps nothing of either: each question stands by itself.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::catalog::{CatalogHead, ChangeV1, PAGE_BYTES_MAX};
use super::message::{MessageError, WIRE_VERSION};
use crate::catalog::{Digest, EntityId};
use crate::codec;
use crate::label::LABEL_BYTES_MAX;
use crate::sketch::{CELL_BYTES, CELLS_MAX, COUNTERS, CellsV1, EstimatorV1, KEYS_MAX, KeysV1};

/// The most entities that one question names, keys and names together.
pub const ASKED_MAX: usize = KEYS_MAX;

const _: () = assert!(ASKED_MAX > 0, "something can be asked for");
const _: () = assert!(COUNTERS <= 250, "an estimator's length is one byte");
const _: () = assert!(CELLS_MAX <= u32::MAX as usize, "cells can be numbered");
const _: () = assert!(
    CELLS_MAX * CELL_BYTES + 256 <= codec::MESSAGE_BYTES_MAX,
    "the largest answer is a message"
);
const _: () = assert!(
    PAGE_BYTES_MAX + ASKED_MAX * 128 <= codec::MESSAGE_BYTES_MAX,
    "rows of the most entities are a message"
);
const _: () = assert!(
    ASKED_MAX * (LABEL_BYTES_MAX + 8) <= codec::MESSAGE_BYTES_MAX,
    "the longest question is a message"
);

/// Which rows differ? A till shows what its rows add up to, counted anew from the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReconcileAsk {
    /// The version that the till has.
    pub version: u64,
    /// What its rows add up to.
    pub digest: Digest,
    /// Its estimator, under the public key.
    pub estimator: EstimatorV1,
    /// The cells that it has already, if they did not suffice.
    pub more: Option<MoreV1>,
}

/// The cells that a till has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MoreV1 {
    /// The version whose cells they are.
    pub version: u64,
    /// How many they are, from the first on.
    pub have: u32,
}

/// What the cloud answers to [`ReconcileAsk`]. Append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReconcileAnswer {
    /// Nothing differs: the till's rows are the cloud's at this version.
    InSync(CatalogHead),
    /// Cells of the cloud's sketch, for the till to decode.
    Cells(CellsAnswer),
    /// Too much differs to be told so: take a snapshot.
    TooLarge {
        /// About how many rows differ.
        estimated: u64,
    },
    /// The till is ahead of the cloud, which was restored: ask for a delta, it says how to go on.
    Ahead {
        /// The cloud's version.
        version: u64,
    },
    /// The cells that the till has are of another version than the cloud's: begin again.
    Moved {
        /// The cloud's version.
        version: u64,
    },
}

/// Cells of the cloud's sketch at a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CellsAnswer {
    /// The version, and what the catalog adds up to there.
    pub head: CatalogHead,
    /// The shop's key, under which the sketch was made.
    pub key: [u8; 16],
    /// The cells.
    pub cells: CellsV1,
}

/// What are these? At most [`ASKED_MAX`], both lists together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntitiesAsk {
    /// Entities that are missing on the till, or different there, by their keys in the sketch.
    pub keys: KeysV1,
    /// Entities that the till has and the cloud seems not to have, to be confirmed.
    pub extra: Vec<EntityId>,
}

/// What the cloud has under one key or name. Append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntityRow {
    /// The entity as it is now; without content, it was deleted.
    Known(ChangeV1),
    /// The branch never had an entity of this key or name.
    Absent,
}

/// What the cloud answers to [`EntitiesAsk`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntitiesAnswer {
    /// Where the catalog stood when the rows were read.
    pub head: CatalogHead,
    /// Up to which version deletions may be forgotten: a till that stands below asks for a delta
    /// first, as "absent" may mean "deleted since".
    pub floor: u64,
    /// One for each key, then one for each name, in the order of the question; fewer if their
    /// bytes would not fit: then the rest is to be asked for again.
    pub rows: Vec<EntityRow>,
}

impl ReconcileAsk {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let frame = codec::encode(WIRE_VERSION, self);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
        assert!(frame.len() <= 2 * COUNTERS, "a question is small");
        frame
    }

    /// Reads a binary frame and checks it.
    ///
    /// # Errors
    /// [`MessageError`]; any bytes may be given.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        codec::decode::<Self>(WIRE_VERSION, bytes)?.check()
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// [`MessageError`] names the bound.
    pub fn check(self) -> Result<Self, MessageError> {
        let whole = self.estimator.counters.len() == COUNTERS;
        let within = self.more.is_none_or(|more| more.have as usize <= CELLS_MAX);
        if whole && within { Ok(self) } else { Err(MessageError::Parts) }
    }
}

impl ReconcileAnswer {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let frame = codec::encode(WIRE_VERSION, self);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
        assert!(frame.len() <= codec::MESSAGE_BYTES_MAX, "any sketch is a message");
        frame
    }

    /// Reads a binary frame. Whoever uses the cells looks at them.
    ///
    /// # Errors
    /// [`MessageError`]; any bytes may be given.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let answer: Self = codec::decode(WIRE_VERSION, bytes)?;
        match &answer {
            Self::Cells(page) if page.cells.cells.len() > CELLS_MAX * CELL_BYTES => {
                Err(MessageError::Bytes)
            }
            Self::Cells(_)
            | Self::InSync(_)
            | Self::TooLarge { .. }
            | Self::Ahead { .. }
            | Self::Moved { .. } => Ok(answer),
        }
    }
}

impl EntitiesAsk {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let frame = codec::encode(WIRE_VERSION, self);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
        assert!(frame.len() <= codec::MESSAGE_BYTES_MAX, "a question is a message");
        frame
    }

    /// Reads a binary frame and checks it.
    ///
    /// # Errors
    /// [`MessageError`]; any bytes may be given.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        codec::decode::<Self>(WIRE_VERSION, bytes)?.check()
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// [`MessageError`] names the bound.
    pub fn check(self) -> Result<Self, MessageError> {
        let keys = self.keys.parse().map_err(|_| MessageError::Parts)?;
        assert!(keys.len() <= KEYS_MAX, "keys that were read keep their bound");
        let asked = keys.len() + self.extra.len();
        if (1..=ASKED_MAX).contains(&asked) { Ok(self) } else { Err(MessageError::Parts) }
    }
}

impl EntitiesAnswer {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let frame = codec::encode(WIRE_VERSION, self);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
        assert!(frame.len() <= codec::MESSAGE_BYTES_MAX, "rows that were put together are read");
        frame
    }

    /// Reads a binary frame and checks it.
    ///
    /// # Errors
    /// [`MessageError`]; any bytes may be given.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let answer: Self = codec::decode(WIRE_VERSION, bytes)?;
        if answer.rows.len() > ASKED_MAX {
            return Err(MessageError::Parts);
        }
        let sizes = answer.rows.iter().map(EntityRow::bytes);
        if sizes.sum::<usize>() > PAGE_BYTES_MAX { Err(MessageError::Bytes) } else { Ok(answer) }
    }
}

impl EntityRow {
    /// Returns how many bytes of content it has.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Known(change) => change.content.as_ref().map_or(0, |content| content.len()),
            Self::Absent => 0,
        }
    }
}
