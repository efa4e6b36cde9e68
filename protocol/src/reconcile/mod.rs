//! Reconcile: which rows of a till's catalog have drifted from the cloud's, and what is to be done
//! about it, as a plan that a person can read before it is applied.
//!
//! The feed tells what *changed*; it cannot see what silently *differs*. So a till counts its rows
//! anew ([`census`](census())), never trusting a sum that it keeps, and asks two questions:
//!
//! ```text
//! till                                             cloud
//!  |  digest, estimator                              |
//!  | ----------------------------------------------> |  compares with its Mirror
//!  |                    in sync | cells | too large  |
//!  | <---------------------------------------------- |
//!  |  decodes: which rows                            |
//!  |  keys of missing and different, names of extra  |
//!  | ----------------------------------------------> |  reads its committed rows
//!  |                    rows | tombstones | absent   |
//!  | <---------------------------------------------- |
//!  |  Plan: read, approved, applied in one commit    |
//! ```
//!
//! > **`PlanIsSafe`**: applying a plan makes the till's catalog equal to the cloud's at the plan's
//! > version, and touches no other row. If it would not, nothing is written.
//!
//! | module | question it answers |
//! |---|---|
//! | `census` | what does the till really have? |
//! | `verify` | what is asked next, and what do the answers say? |
//! | [`plan`] | what is to be done, row by row? |
//! | [`text`] | what does a shop manager read? |
//! | [`mirror`] | how does the cloud answer without looking at its catalog? |

mod census;
pub mod fields;
pub mod mirror;
pub mod plan;
pub mod text;
mod verify;
mod width;

use crate::catalog::EntityId;
use crate::hash::Hash;
use crate::label::LABEL_BYTES_MAX;
use crate::sketch::{Item, KeyDigest, SketchKey};

pub use census::{Census, census, reduced, unsynced};
pub use plan::{Action, Class, Counts, ITEMS_MAX, Plan, PlanItem, PlanRefusal};
pub use verify::{Inputs, Next, Refusal, Verify};

/// The key of estimators, which every till knows before it asks. An estimate only chooses how many
/// cells are sent, so who can steer it gains a longer answer, or one more question.
const PUBLIC_KEY: SketchKey = SketchKey::new(*b"counterfoil/est1");

/// The name of an entity in a sketch: its kind, then its id.
struct Name {
    bytes: [u8; 1 + LABEL_BYTES_MAX],
    len: usize,
}

const _: () = assert!(LABEL_BYTES_MAX < u8::MAX as usize, "a name is short");

impl Name {
    fn of(id: EntityId) -> Self {
        let text = id.id.as_bytes();
        let mut bytes = [0; 1 + LABEL_BYTES_MAX];
        bytes[0] = id.kind as u8;
        bytes[1..=text.len()].copy_from_slice(text);
        assert!(!text.is_empty(), "an entity has a name beside its kind");
        Self { bytes, len: 1 + text.len() }
    }

    fn as_bytes(&self) -> &[u8] {
        assert!(self.len > 1 && self.len <= self.bytes.len(), "a name has its length");
        &self.bytes[..self.len]
    }
}

/// Returns the item that stands for an entity in a sketch; `content` is what it adds to a digest.
#[must_use]
pub fn item_of(key: &SketchKey, id: EntityId, content: Hash) -> Item {
    key.item(Name::of(id).as_bytes(), &content.0)
}

/// Returns the item that stands for an entity in an estimator.
pub(crate) fn rough_item_of(id: EntityId, content: Hash) -> Item {
    PUBLIC_KEY.rough_item(Name::of(id).as_bytes(), &content.0)
}

/// Returns the key of an entity in a sketch.
#[must_use]
pub fn key_of(key: &SketchKey, id: EntityId) -> KeyDigest {
    key.digest(Name::of(id).as_bytes())
}
