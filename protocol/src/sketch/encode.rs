//! A sketch: the first cells of a set's endless sequence of them.

use alloc::vec;
use alloc::vec::Vec;

use super::cell::Cell;
use super::indices::Indices;
use super::item::{Item, KeyDigest};

/// The most cells of a sketch: 896 KiB on the wire, enough for about 34,000 drifted rows.
pub const CELLS_MAX: usize = 65_536;

const _: () = assert!(CELLS_MAX as u64 <= Indices::END_MAX, "the index law reaches every cell");

/// The first cells of a set: a sum over its items, whatever their order.
///
/// > **`Linear`**: the sketch of two disjoint sets together is the sum of theirs; an insertion and
/// > a removal of the same item cancel; the first `m` cells do not depend on how many follow.
///
/// So one sketch can follow a feed of changes, serve prefixes of any size, and be compared with
/// anybody's. It does not know its items: inserting one twice counts it twice, which its owner
/// prevents.
///
/// ```
/// use counterfoil_protocol::sketch::{Kind, Outcome, Sketch, SketchKey, decode};
///
/// let key = SketchKey::new([7; 16]);
/// let (milk, tea, tea_later) =
///     (key.item(b"milk", b"1"), key.item(b"tea", b"1"), key.item(b"tea", b"2"));
/// let cloud = Sketch::of(32, [tea_later, milk]);
/// let mut till = Sketch::of(32, [tea]);
/// till.insert(milk);
/// let Outcome::Decoded(drifts) = decode(&cloud.minus(&till)).outcome else { panic!() };
/// assert_eq!(drifts.len(), 1);
/// assert_eq!(drifts[0].key, tea.key);
/// assert_eq!(drifts[0].kind(Some(tea.version)), Kind::Different(tea_later.version));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    cells: Vec<Cell>,
}

impl Sketch {
    /// Returns the first `cells` cells of the empty set.
    ///
    /// # Panics
    /// If `cells` is above [`CELLS_MAX`].
    #[must_use]
    pub fn new(cells: usize) -> Self {
        assert!(cells <= CELLS_MAX, "a sketch is bounded");
        Self { cells: vec![Cell::EMPTY; cells] }
    }

    /// Returns the first `cells` cells of `items`.
    ///
    /// # Panics
    /// If `cells` is above [`CELLS_MAX`].
    #[must_use]
    pub fn of(cells: usize, items: impl IntoIterator<Item = Item>) -> Self {
        let mut sketch = Self::new(0);
        sketch.grow(cells, items);
        sketch
    }

    /// Appends cells until there are `cells`. `items` are all items of the set as it is now.
    ///
    /// # Panics
    /// If `cells` is above [`CELLS_MAX`], or below what there is.
    pub fn grow(&mut self, cells: usize, items: impl IntoIterator<Item = Item>) {
        assert!(cells <= CELLS_MAX, "a sketch is bounded");
        assert!(cells >= self.len(), "a sketch grows");
        let first = self.len();
        self.cells.resize(cells, Cell::EMPTY);
        for item in items {
            add(&mut self.cells, first, item.key, &Cell::of(item));
        }
        assert_eq!(self.len(), cells, "a sketch has the cells that were asked for");
    }

    /// Adds an item that is not in the set.
    pub fn insert(&mut self, item: Item) {
        add(&mut self.cells, 0, item.key, &Cell::of(item));
    }

    /// Takes away an item that is in the set.
    pub fn remove(&mut self, item: Item) {
        add(&mut self.cells, 0, item.key, &Cell::of(item).negated());
    }

    /// Returns the sketch of what `self` has and `other` has not, less what only `other` has, over
    /// the cells that both have.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        assert!(self.len().max(other.len()) <= CELLS_MAX, "a sketch is bounded");
        let mut difference = self.clone();
        difference.cells.truncate(other.len());
        for (cell, theirs) in difference.cells.iter_mut().zip(&other.cells) {
            cell.add(&theirs.negated());
        }
        assert_eq!(difference.len(), self.len().min(other.len()), "both have these cells");
        difference
    }

    /// Returns the first `cells` cells of both disjoint sets together.
    ///
    /// # Panics
    /// If either has fewer.
    #[must_use]
    pub fn plus(&self, other: &Self, cells: usize) -> Self {
        assert!(cells <= self.len() && cells <= other.len(), "both have these cells");
        let mut sum = Self { cells: self.cells[..cells].to_vec() };
        for (cell, theirs) in sum.cells.iter_mut().zip(&other.cells) {
            cell.add(theirs);
        }
        assert_eq!(sum.len(), cells, "a sum has the cells that were asked for");
        sum
    }

    /// Returns the cells, the first first.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Returns how many cells there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Returns whether there are no cells at all, which says nothing about the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub(super) fn cells_mut(&mut self) -> &mut Vec<Cell> {
        &mut self.cells
    }
}

/// Adds `term` to every cell of `key` from `first` on.
#[inline]
fn add(cells: &mut [Cell], first: usize, key: KeyDigest, term: &Cell) {
    assert!(first <= cells.len(), "cells are added to from one of them on");
    assert!(*term != Cell::EMPTY, "an item leaves a trace in its cells");
    for index in Indices::of(key, cells.len() as u64) {
        #[allow(clippy::cast_possible_truncation, reason = "it is below a length")]
        let index = index as usize;
        if index >= first {
            cells[index].add(term);
        }
    }
}
