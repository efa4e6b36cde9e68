//! Stock that moves without a trade.

use alloc::string::String;
use alloc::vec::Vec;

use super::{EventError, LINES_MAX, check_text};
use crate::identity::ProductId;
use crate::money::{MILLI_MAX, Milli};

/// Stock movements without a trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Why; may be empty.
    pub reason: String,
    /// At least one, at most [`LINES_MAX`].
    pub lines: Vec<AdjustmentLine>,
}

/// One product's part of an adjustment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdjustmentLine {
    /// Which product.
    pub product: ProductId,
    /// What was noted; may be empty.
    pub name: String,
    /// How much came (above zero) or went (below zero); never zero.
    pub delta: Milli,
}

impl Adjustment {
    pub(super) fn check(&self) -> Result<(), EventError> {
        check_text(&self.reason)?;
        if self.lines.is_empty() || self.lines.len() > LINES_MAX {
            return Err(EventError::Lines);
        }
        for line in &self.lines {
            check_text(&line.name)?;
            if line.delta.0 == 0 || line.delta.0.unsigned_abs() > MILLI_MAX.unsigned_abs() {
                return Err(EventError::Quantity);
            }
        }
        Ok(())
    }
}
