//! The wire form of a correction.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::event::TradeV1;
use crate::event::{CORRECTED_MAX, Corrected, Correction, EventError};
use crate::hash::Hash;
use crate::identity::LocalEventId;

/// A correction as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CorrectionV1 {
    /// Whose place it takes, the latest first.
    pub of: Vec<CorrectedV1>,
    /// What was sold.
    pub trade: TradeV1,
}

/// An event whose place is taken, as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CorrectedV1 {
    /// Its name on the register of the correction.
    pub local_event_id: LocalEventId,
    /// The digest of its canonical bytes.
    pub payload_hash: Hash,
}

impl CorrectedV1 {
    /// Returns the wire form of a name.
    #[must_use]
    pub const fn of(corrected: Corrected) -> Self {
        let Corrected { local_id, payload_hash } = corrected;
        Self { local_event_id: local_id, payload_hash }
    }

    const fn into_corrected(self) -> Corrected {
        let Self { local_event_id, payload_hash } = self;
        Corrected { local_id: local_event_id, payload_hash }
    }
}

impl CorrectionV1 {
    pub(super) fn into_correction(self) -> Result<Correction, EventError> {
        if self.of.len() > CORRECTED_MAX {
            return Err(EventError::Corrected);
        }
        let named = self.of.len();
        let of = self.of.into_iter().map(CorrectedV1::into_corrected).collect();
        let correction = Correction { of, trade: self.trade.into_trade()? };
        assert_eq!(correction.of.len(), named, "each event that came is named");
        assert!(named <= CORRECTED_MAX, "so many and no more");
        Ok(correction)
    }

    pub(super) fn from_correction(correction: &Correction) -> Self {
        let of = correction.of.iter().copied().map(CorrectedV1::of).collect();
        let wire = Self { of, trade: TradeV1::from_trade(&correction.trade) };
        assert_eq!(wire.of.len(), correction.of.len(), "each event that is named travels");
        assert_eq!(wire.trade.lines.len(), correction.trade.lines.len(), "and each line");
        wire
    }
}
