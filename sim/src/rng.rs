//! Randomness in named streams: taking one draw away shifts no other stream.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A stream of draws: a function of the run's seed and the stream's name.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

/// One million: rates are in parts of it.
pub const MILLION: u32 = 1_000_000;

impl Stream {
    /// Opens the stream `name` number `index` of the run `seed`.
    #[must_use]
    pub fn new(seed: u64, name: &str, index: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.update(&index.to_le_bytes());
        hasher.update(name.as_bytes());
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Draws a number.
    pub fn draw(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Draws a number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64 }
    }

    /// Draws a number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "a range is not empty");
        low + self.below(high - low + 1)
    }

    /// Returns whether something happens that happens `ppm` times in a million. Nothing is drawn
    /// for what never happens.
    pub fn happens(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.below(u64::from(MILLION)) < u64::from(ppm)
    }

    /// Picks one of `choices`.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        assert!(!choices.is_empty(), "there is something to pick");
        &choices[self.below(choices.len() as u64) as usize]
    }
}
