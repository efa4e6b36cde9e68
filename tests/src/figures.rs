//! What both sides must agree on, in the same words.

use serde::{Deserialize, Serialize};

/// Sums over all events: sales positive, refunds negative, adjustments as the stock moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Distinct documents: an invoice counts once, whatever events it became.
    pub invoices: u64,
    /// Their lines.
    pub lines: u64,
    /// In whole units.
    pub quantity: i64,
    /// In minor units.
    pub money_minor: i64,
}

impl Figures {
    /// Adds the figures of other documents.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            invoices: self.invoices + other.invoices,
            lines: self.lines + other.lines,
            quantity: self.quantity + other.quantity,
            money_minor: self.money_minor + other.money_minor,
        }
    }
}

/// Returns thousandths as whole units.
///
/// # Panics
/// If there is a remainder: the published file sells whole units only.
#[must_use]
pub fn whole(milli: i64) -> i64 {
    assert_eq!(milli % 1_000, 0, "the file sells whole units");
    milli / 1_000
}
