//! How much two sets differ, roughly, before a single cell is sent: so that the first prefix is
//! large enough, and not much larger.

use super::encode::CELLS_MAX;
use super::indices::word;
use super::item::Item;

/// The counters of an estimator, one byte each.
pub const COUNTERS: usize = 128;

/// The fewest cells that are sent.
pub const PREFIX_MIN: usize = 32;

const _: () = assert!(PREFIX_MIN > 0 && PREFIX_MIN <= CELLS_MAX, "the first prefix is a sketch");
const _: () = assert!(CELLS_MAX <= usize::MAX / 15, "cells for any drift can be computed");

/// A sum of random signs in each of [`COUNTERS`] counters, modulo 256.
///
/// "Tug of war" (Alon, Matias, Szegedy, STOC 1996): the signs of different items do not pull
/// together, so the squares of the counters add up to about the number of items. Each item pulls
/// once by its key, and once by its key and version. Both pulls are left of an item that only one
/// side has; of one with two versions it is two pulls of the second kind: every drift adds 2 on
/// average, whatever its kind. The standard error is an eighth of the estimate.
///
/// The counters of large sets grow; their differences do not, so the lowest eight bits are enough
/// for as many drifts as a sketch can tell. Beyond that they wrap, and the estimate stays above
/// what [`prefix`] accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimator {
    pub(super) counters: [u8; COUNTERS],
}

impl Default for Estimator {
    fn default() -> Self {
        Self { counters: [0; COUNTERS] }
    }
}

impl Estimator {
    /// Returns the estimator of `items`.
    #[must_use]
    pub fn of(items: impl IntoIterator<Item = Item>) -> Self {
        let mut estimator = Self::default();
        items.into_iter().for_each(|item| estimator.insert(item));
        estimator
    }

    /// Adds an item that is not in the set.
    pub fn insert(&mut self, item: Item) {
        self.pull(item, false);
    }

    /// Takes away an item that is in the set.
    pub fn remove(&mut self, item: Item) {
        self.pull(item, true);
    }

    /// Returns the estimator of both disjoint sets together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        for (counter, theirs) in sum.counters.iter_mut().zip(&other.counters) {
            *counter = counter.wrapping_add(*theirs);
        }
        assert_eq!(sum.counters.len(), COUNTERS, "a sum has every counter");
        debug_assert!(*other != Self::default() || sum == *self, "nothing adds nothing");
        sum
    }

    /// Returns about how many items differ.
    #[must_use]
    pub fn drifts(&self, other: &Self) -> u64 {
        let pairs = self.counters.iter().zip(&other.counters);
        let squares: u64 = pairs
            .map(|(ours, theirs)| {
                let distance = ours.wrapping_sub(*theirs).cast_signed().unsigned_abs();
                u64::from(distance).pow(2)
            })
            .sum();
        assert!(squares <= COUNTERS as u64 * 128 * 128, "a counter has eight bits");
        assert!(self != other || squares == 0, "whoever has the same differs in nothing");
        squares / 2
    }

    fn pull(&mut self, item: Item, away: bool) {
        const { assert!(COUNTERS == 128, "seven bits of a word name a counter") };
        let key = item.key.get();
        for word in [word(key, 0), word(key ^ u64::from(item.version.get()), 0)] {
            // Bits 0 to 6 are the counter, bit 7 is the sign.
            let [low, ..] = word.to_le_bytes();
            let counter = &mut self.counters[usize::from(low) % COUNTERS];
            let down = low >= 128;
            *counter = if down == away { counter.wrapping_add(1) } else { counter.wrapping_sub(1) };
        }
    }
}

/// Returns how many cells to send first where `drifts` are estimated: with these one answer is
/// enough in 99 of 100 cases. `None`: no sketch can tell so many, take a snapshot.
#[must_use]
pub fn prefix(drifts: u64) -> Option<usize> {
    let drifts = usize::try_from(drifts).ok().filter(|drifts| *drifts < CELLS_MAX)?;
    // 1.36 cells for each drift are needed at least; the rest pays for the error of the estimate.
    let cells = (drifts * 15).div_ceil(8) + 20;
    let cells = cells.max(PREFIX_MIN);
    assert!(cells > drifts, "each drift needs a cell of its own");
    (cells <= CELLS_MAX).then_some(cells)
}

/// Returns how many cells to have in all when `cells` were not enough: twice as many, and some for
/// the few drifts that happen to share all their cells so far. `None`: take a snapshot.
#[must_use]
pub fn longer(cells: usize) -> Option<usize> {
    let longer = cells.checked_mul(2)?.checked_add(2 * PREFIX_MIN)?;
    assert!(longer > cells, "more cells are asked for");
    (longer <= CELLS_MAX).then_some(longer)
}
