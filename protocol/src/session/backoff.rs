//! Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", 2015): a wait
//! is drawn evenly from nothing to the doubled bound, so that tills that failed together do not
//! come back together.

use crate::time::Millis;

/// How often the bound of a wait is doubled at most.
const DOUBLINGS_MAX: u32 = 20;

const _: () = assert!(DOUBLINGS_MAX < u64::BITS, "a wait can be doubled so often");

/// Draws waits.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Millis,
    cap: Millis,
    failures: u32,
    state: u64,
}

impl Backoff {
    /// Starts without failures. The waits are a function of `seed`.
    #[must_use]
    pub fn new(base: Millis, cap: Millis, seed: u64) -> Self {
        assert!(base.0 > 0 && base <= cap, "a wait has a length and a bound");
        Self { base, cap, failures: 0, state: seed }
    }

    /// Counts a failure and returns the wait after it: 1 ms to the cap.
    pub fn next_wait(&mut self) -> Millis {
        let bound =
            self.base.0.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX)).min(self.cap.0);
        assert!(bound > 0 && bound <= self.cap.0, "there is something to draw from");
        assert!(bound >= self.base.0, "the first wait is the shortest");
        self.failures = self.failures.saturating_add(1);
        let wait = 1 + self.draw() % bound;
        assert!(wait <= self.cap.0.max(1), "a wait is bounded");
        assert!(wait > 0 && wait <= bound, "a wait is some time, and no more than was drawn from");
        assert!(self.failures > 0, "who waits has failed");
        Millis(wait)
    }

    /// Draws a span below `bound`.
    pub fn spread(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is something below the bound");
        let span = self.draw() % bound;
        assert!(span < bound, "a span is below its bound");
        span
    }

    /// Forgets the failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_are_spread() {
        let mut backoff = Backoff::new(Millis(500), Millis(30_000), 7);
        let waits: std::vec::Vec<u64> = (0..200).map(|_| backoff.next_wait().0).collect();
        assert!(waits[0] <= 500 && waits[1] <= 1_000);
        assert!(waits[10..].iter().any(|wait| *wait > 25_000), "the cap is reached");
        assert!(waits[10..].iter().any(|wait| *wait < 5_000), "full jitter reaches low too");
        assert!(waits.iter().all(|wait| (1..=30_000).contains(wait)));
    }
}
