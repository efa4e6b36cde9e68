//! What events add up to.

use crate::money::{Milli, Minor};

/// Sums that both sides keep, and that must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// How many events.
    pub events: u64,
    /// Their lines.
    pub lines: u64,
    /// Sold less returned, plus adjusted, in thousandths.
    pub quantity: Milli,
    /// Taken less given back, in minor units.
    pub money: Minor,
}

impl Figures {
    /// Adds `other`; sums saturate at the ends of `i64`, which nine million of the largest reach.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        let sum = Self {
            events: self.events.saturating_add(other.events),
            lines: self.lines.saturating_add(other.lines),
            quantity: Milli(self.quantity.0.saturating_add(other.quantity.0)),
            money: Minor(self.money.0.saturating_add(other.money.0)),
        };
        assert!(sum.events >= self.events && sum.lines >= self.lines, "nothing is taken back");
        assert!(sum.events >= other.events && sum.lines >= other.lines, "what is added counts");
        sum
    }
}
