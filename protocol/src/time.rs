//! Time as a number that is passed in.

use serde::{Deserialize, Serialize};

/// A point in time, or a span, in milliseconds.
///
/// Points count from the Unix epoch. The protocol never reads a clock: whoever drives it passes
/// the time in, so a run is a function of its inputs.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Returns the span of `secs` seconds; the bound is `u64::MAX` milliseconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns the point `span` later, or the end of time.
    #[must_use]
    pub const fn after(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// Returns how long ago `earlier` was, or zero if it lies ahead (clocks jump).
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

/// A stretch of time in milliseconds, where a point in time would be a bug that nobody sees: both
/// are numbers, and the till has two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Millis);

impl Span {
    /// Returns the point that lies this stretch after `start`, or the end of time.
    #[must_use]
    pub const fn from(self, start: Millis) -> Millis {
        start.after(self.0)
    }
}

const _: () = {
    let end = Millis(u64::MAX);
    assert!(end.after(Millis(1)).0 == end.0, "nothing comes after the end of time");
    assert!(Millis::ZERO.since(end).0 == 0, "what lies ahead is no time ago");
    assert!(end.since(Millis::ZERO).0 == end.0, "any two points have a distance");
    assert!(Millis::from_secs(u64::MAX).0 == end.0, "a span that is too long is the longest");
};

impl core::fmt::Display for Millis {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
