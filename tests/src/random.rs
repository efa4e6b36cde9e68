//! A seeded stream of draws: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).

/// The stream.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts the stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Draws 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number from `least` to `most`, both included.
    ///
    /// # Panics
    /// If there is none.
    pub const fn between(&mut self, least: u64, most: u64) -> u64 {
        assert!(least <= most, "a range has at least one number");
        least + self.next() % (most - least + 1)
    }

    /// Draws an index below `len`.
    ///
    /// # Panics
    /// If there is none.
    pub fn index(&mut self, len: usize) -> usize {
        assert!(len > 0, "something can be drawn");
        usize::try_from(self.next() % len as u64).unwrap_or(0)
    }
}
