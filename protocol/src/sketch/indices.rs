//! The index law: which cells hold an item.
//!
//! > **`IndexLaw`**: an item is in cell 0, and in cell `i` with probability `1 / (1 + i / 2)`,
//! > independently for each `i`, however many cells there are.
//!
//! It is the law of the rateless IBLT (Yang, Gilad, Alizadeh, SIGCOMM 2024) with its parameter
//! 0.5. Their code draws the next index through a square root in floating point, an approximation
//! of the law. Here it is drawn exactly, from two uniform numbers and in integers: the probability
//! that an item which is in cell `i` is in none of `i+1 ..= j` is the product of `k / (k+2)`, and
//! that telescopes to `(i+1)/(j+1) * (i+2)/(j+2)`: two independent events.

use super::item::KeyDigest;

/// The increment of SplitMix64: 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const _: () = assert!(GOLDEN % 2 == 1, "no two words of a stream are made of the same number");

/// Returns word `number` of the stream that begins at `seed`: SplitMix64 (Steele, Lea, Flood,
/// OOPSLA 2014).
#[must_use]
pub(super) const fn word(seed: u64, number: u64) -> u64 {
    let z = seed.wrapping_add(GOLDEN.wrapping_mul(number.wrapping_add(1)));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The cells of one item, rising from 0: a position in its sequence, which has no end.
///
/// ```
/// # use counterfoil_protocol::sketch::{Indices, SketchKey};
/// let key = SketchKey::new([7; 16]).digest(b"tea");
/// let cells: Vec<u64> = Indices::of(key, 1000).collect();
/// assert_eq!(cells[0], 0);
/// assert!(cells.is_sorted() && cells.len() < 64);
/// ```
#[derive(Clone, Debug)]
pub struct Indices {
    seed: u64,
    /// The word that decides the step after `at`. Word 0 is the item's check.
    step: u64,
    at: u64,
    end: u64,
}

impl Indices {
    /// The most cells a sequence is followed for: indices and their products fit in 64 bits.
    pub const END_MAX: u64 = 1 << 31;
    const FITS: () =
        assert!(Self::END_MAX + 2 <= u64::MAX >> 32, "an index and its product fit in 64 bits");

    /// Starts the sequence of `key`, up to and without `end`.
    ///
    /// # Panics
    /// If `end` is above [`Self::END_MAX`].
    #[must_use]
    pub const fn of(key: KeyDigest, end: u64) -> Self {
        const { Self::FITS };
        assert!(end <= Self::END_MAX, "indices fit in 31 bits");
        Self { seed: key.get(), step: 1, at: 0, end }
    }
}

impl Iterator for Indices {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        let at = self.at;
        if at >= self.end {
            return None;
        }
        self.at = after(at, word(self.seed, self.step));
        self.step += 1;
        assert!(self.at > at, "indices rise");
        Some(at)
    }
}

/// Returns the smallest `j` with `(j+1) * a >= (i+1) * 2^32` or `(j+2) * b >= (i+2) * 2^32`, where
/// `a` is the lower half of the word and `b` the upper one, each at least 1.
#[inline]
const fn after(i: u64, word: u64) -> u64 {
    let (a, b) = (word & 0xffff_ffff, word >> 32);
    let (a, b) = (if a == 0 { 1 } else { a }, if b == 0 { 1 } else { b });
    assert!(i < Indices::END_MAX, "an index and 32 bits fit in 64");
    let first = ((i + 1) << 32).div_ceil(a) - 1;
    let second = ((i + 2) << 32).div_ceil(b) - 2;
    debug_assert!(first > i && second > i, "either event lies ahead");
    if first < second { first } else { second }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_of_a_word_are_steps_too() {
        const ALMOST_ONE: u64 = 0xffff_ffff;
        for (i, a, b, expected) in [
            // Both numbers as large as they can be: the next cell.
            (0, ALMOST_ONE, ALMOST_ONE, 1),
            (1000, ALMOST_ONE, ALMOST_ONE, 1001),
            // One of them is enough.
            (0, ALMOST_ONE, 0, 1),
            (0, 0, ALMOST_ONE, 1),
            // Half: twice as far, counted from -1 or from -2.
            (9, 1 << 31, 0, 19),
            (9, 0, 1 << 31, 20),
            // Zero stands for one.
            (0, 0, 0, (1 << 32) - 1),
            (0, 1, 1, (1 << 32) - 1),
            (1, 0, 1 << 1, (3 << 31) - 2),
        ] {
            assert_eq!(after(i, b << 32 | a), expected, "after {i} with {a} and {b}");
        }
    }
}
