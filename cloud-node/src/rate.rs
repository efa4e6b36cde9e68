//! How often a terminal may ask: one token bucket for each authenticated terminal.
//!
//! Our own few lines and not the `governor` crate, because that reads a clock of its own: a
//! simulated node would be limited by the time of the machine it is simulated on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use counterfoil_protocol::label::Label;
use counterfoil_protocol::time::Millis;

/// The most buckets that are remembered. Only enrolled terminals have one.
const BUCKETS_MAX: usize = 100_000;

/// How often one terminal may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run, requests in a second; at least 1.
    pub per_second: u32,
    /// At once, after a pause; at least 1.
    pub burst: u32,
}

impl Default for Rate {
    fn default() -> Self {
        Self { per_second: 50, burst: 200 }
    }
}

/// Remembers what each terminal has left. Amounts are in thousandths of a request.
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: Rate,
    buckets: Mutex<BTreeMap<Label, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u64,
    at: Millis,
}

impl Limiter {
    pub(crate) fn new(rate: Rate) -> Self {
        let rate = Rate { per_second: rate.per_second.max(1), burst: rate.burst.max(1) };
        Self { rate, buckets: Mutex::new(BTreeMap::new()) }
    }

    /// Takes one request of whoever has this name, or says in how many seconds it may come back.
    pub(crate) fn admit(&self, name: Label, now: Millis) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&name) {
            self.forget(&mut buckets, now);
        }
        let full = Bucket { left: self.full(), at: now };
        let bucket = buckets.entry(name).or_insert(full);
        bucket.left = self.refilled(*bucket, now);
        // Also when the clock was set back: otherwise nothing refills until it has caught up.
        bucket.at = now;
        if bucket.left >= 1_000 {
            bucket.left -= 1_000;
            return Ok(());
        }
        let missing = 1_000 - bucket.left;
        let wait_ms = missing.div_ceil(u64::from(self.rate.per_second));
        Err(wait_ms.div_ceil(1_000))
    }

    fn full(&self) -> u64 {
        u64::from(self.rate.burst) * 1_000
    }

    fn refilled(&self, bucket: Bucket, now: Millis) -> u64 {
        // One request a second is one thousandth in a millisecond.
        let grown = now.since(bucket.at).0.saturating_mul(u64::from(self.rate.per_second));
        bucket.left.saturating_add(grown).min(self.full())
    }

    /// Forgets whom a full bucket would change nothing for; if that is nobody, everybody.
    fn forget(&self, buckets: &mut BTreeMap<Label, Bucket>, now: Millis) {
        buckets.retain(|_, bucket| self.refilled(*bucket, now) < self.full());
        if buckets.len() >= BUCKETS_MAX {
            buckets.clear();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_refills_by_the_clock_it_is_given() {
        let limiter = Limiter::new(Rate { per_second: 2, burst: 3 });
        let [a, b] = ["A", "B"].map(|name| Label::parse(name).unwrap());
        for (terminal, at, expected) in [
            (a, 1_000, Ok(())),
            (a, 1_000, Ok(())),
            (a, 1_000, Ok(())),
            (a, 1_000, Err(1)),
            (b, 1_000, Ok(())),
            (a, 1_499, Err(1)),
            (a, 1_500, Ok(())),
            (a, 1_500, Err(1)),
            // The clock was set back: nothing is gained, and nothing is lost for later.
            (a, 0, Err(1)),
            (a, 500, Ok(())),
        ] {
            assert_eq!(limiter.admit(terminal, Millis(at)), expected, "{terminal} at {at}");
        }
    }
}
