//! A cell: four sums over the items that fall into it, from which a lone item is read back.
//!
//! ```text
//! value  sum of v            v  the item's version
//! low    sum of v * low      low, high  the halves of its key digest
//! high   sum of v * high
//! check  sum of v * g        g  the upper 28 bits of word 0 of its stream
//! ```
//!
//! All modulo 2^28 - 57. The sums of one set less those of another are the sums of their
//! difference: of an item that only the first has, with `v`; of one that only the second has, with
//! `-v`; of one with two versions, once, with the difference of both. If one item is left, the
//! second and third sum divided by the first are its key, and the fourth confirms it.

use super::field::{self, BITS, PRIME};
use super::indices::word;
use super::item::{Item, KeyDigest};

/// The bytes of a cell on the wire: four times 28 bits.
pub const CELL_BYTES: usize = 14;

const _: () = assert!(CELL_BYTES * 8 == 4 * BITS as usize, "four sums fill a cell");

/// Four sums, each below 2^28 - 57: value, low, high, check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cell([u32; 4]);

impl Cell {
    /// A cell without items.
    pub const EMPTY: Self = Self([0; 4]);

    /// Returns the cell that holds `item` and nothing else.
    #[must_use]
    pub const fn of(item: Item) -> Self {
        Self::weighted(item.key, item.version.get())
    }

    /// Returns the cell that holds `key` with `value` for its version.
    pub(super) const fn weighted(key: KeyDigest, value: u32) -> Self {
        assert!(value < PRIME, "a value is an element of the field");
        let (low, high) = key.split();
        Self([
            value,
            field::multiply(value, low),
            field::multiply(value, high),
            field::multiply(value, check(key)),
        ])
    }

    /// Adds the items of `other`.
    #[inline]
    pub fn add(&mut self, other: &Self) {
        for (sum, term) in self.0.iter_mut().zip(other.0) {
            *sum = field::add(*sum, term);
        }
    }

    /// Returns the cell that takes away what `self` adds.
    #[must_use]
    pub fn negated(&self) -> Self {
        let negated = Self(self.0.map(field::negate));
        debug_assert!(
            self.0.iter().zip(negated.0).all(|(sum, less)| field::add(*sum, less) == 0),
            "a cell and what takes it away leave nothing"
        );
        negated
    }

    /// Returns the key of the only item and its value, if the cell looks like that of one item.
    ///
    /// A cell with more items, or with arbitrary sums, looks so with a probability of 2^-28.
    #[must_use]
    pub(super) fn lone(&self) -> Option<(KeyDigest, u32)> {
        let [value, low, high, sum] = self.0;
        if value == 0 {
            return None;
        }
        assert!(*self != Self::EMPTY, "a value is something");
        let inverse = field::invert(value);
        let key = KeyDigest::join(field::multiply(low, inverse), field::multiply(high, inverse));
        let fits = field::multiply(value, check(key)) == sum;
        assert!(!fits || Self::weighted(key, value) == *self, "a lone item is the whole cell");
        fits.then_some((key, value))
    }

    /// Reads the form that [`Self::bytes`] writes; `None` if a sum is not below 2^28 - 57.
    #[must_use]
    pub fn parse(bytes: &[u8; CELL_BYTES]) -> Option<Self> {
        let mut wide = [0; 16];
        wide[..CELL_BYTES].copy_from_slice(bytes);
        let packed = u128::from_le_bytes(wide);
        let sums = [0, 1, 2, 3].map(|place| {
            let sum = (packed >> (place * BITS)) & ((1 << BITS) - 1);
            u32::try_from(sum).expect("28 bits fit in 32")
        });
        assert!(packed >> (4 * BITS) == 0, "four sums are the whole cell");
        let cell = sums.iter().all(|sum| *sum < PRIME).then_some(Self(sums));
        debug_assert!(cell.is_none_or(|cell| cell.bytes() == *bytes), "a cell has one form only");
        cell
    }

    /// Returns the four sums in order, 28 bits each, the first in the lowest bits, little endian.
    #[must_use]
    pub fn bytes(&self) -> [u8; CELL_BYTES] {
        let mut packed = 0;
        for sum in self.0.iter().rev() {
            assert!(*sum < PRIME, "a sum is an element of the field");
            packed = packed << BITS | u128::from(*sum);
        }
        let mut bytes = [0; CELL_BYTES];
        bytes.copy_from_slice(&packed.to_le_bytes()[..CELL_BYTES]);
        bytes
    }
}

/// Returns the number that is multiplied into the check: no linear function of the key.
const fn check(key: KeyDigest) -> u32 {
    field::element(word(key.get(), 0) >> (64 - BITS))
}
