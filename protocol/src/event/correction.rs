//! A sale that takes the place of one that could not be posted as it was.
//!
//! > A sale and its corrections count once, all together: the cloud posts at most one of them.
//!
//! The original is never changed: it keeps its name, its bytes, its receipt and its place in the
//! journal. The correction names it by both, and the cloud decides in one transaction: if what it
//! names counts already, the correction never does; if not, what it names never will.

use alloc::vec::Vec;

use super::{EventError, Trade};
use crate::hash::Hash;
use crate::identity::LocalEventId;

/// The most events whose place a correction takes: the sale, and earlier corrections of it.
pub const CORRECTED_MAX: usize = 8;

const _: () = assert!(CORRECTED_MAX > 1, "a correction can be corrected");
const _: () = assert!(CORRECTED_MAX <= 250, "the length of the list is one byte");
const _: () = assert!(CORRECTED_MAX < super::LINES_MAX, "what is sold says more than that");

/// A sale in place of others of the same register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// Whose place it takes, the latest first; at least one, at most [`CORRECTED_MAX`].
    pub of: Vec<Corrected>,
    /// What was sold, as it should have been said.
    pub trade: Trade,
}

/// An event whose place is taken, by its name on the register and by its content: another event
/// of the same name (B.2) is not meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Corrected {
    /// Its name on the register of the correction.
    pub local_id: LocalEventId,
    /// The digest of its canonical bytes.
    pub payload_hash: Hash,
}

impl Correction {
    /// Checks the names; `local_id` is its own.
    pub(super) fn check(&self, local_id: LocalEventId) -> Result<(), EventError> {
        let named = self.of.iter().enumerate();
        let once = named.into_iter().all(|(at, corrected)| {
            let before = &self.of[..at];
            corrected.local_id != local_id
                && before.iter().all(|other| other.local_id != corrected.local_id)
        });
        if !(1..=CORRECTED_MAX).contains(&self.of.len()) || !once {
            return Err(EventError::Corrected);
        }
        assert!(!self.of.is_empty(), "a correction takes the place of something");
        assert!(self.of.iter().all(|of| of.local_id != local_id), "and not of itself");
        self.trade.check()
    }
}
