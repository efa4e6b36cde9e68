//! Reading a difference of sketches back into items, in bounded time whatever the cells are.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::cell::Cell;
use super::encode::{CELLS_MAX, Sketch};
use super::field;
use super::indices::Indices;
use super::item::{KeyDigest, Version};

/// The most steps of the index law for each cell that [`decode`] takes; an honest difference takes
/// less than a third of them.
pub const STEPS_PER_CELL_MAX: usize = 128;

const _: () = assert!(
    CELLS_MAX <= u32::MAX as usize / STEPS_PER_CELL_MAX,
    "the steps can be counted on a small machine"
);

/// What [`decode`] found, and how much work it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoding {
    /// What the cells say.
    pub outcome: Outcome,
    /// The steps of the index law it took: at most [`STEPS_PER_CELL_MAX`] for each cell.
    pub steps: usize,
}

/// What a difference of sketches says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every cell is accounted for: these are the differences, in the order of their keys.
    Decoded(Vec<Drift>),
    /// The difference is larger than these cells can tell, or the cells are damaged. Ask for more
    /// cells, at most twice; then take a snapshot.
    NotEnough {
        /// How many differences were found before it stalled: "at least so many".
        found: usize,
    },
    /// No two sets have this difference. Start over once; then take a snapshot.
    Corrupt,
}

/// One item in which two sets differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    /// Which item.
    pub key: KeyDigest,
    /// Its version there less its version here, where an item that is absent has version 0.
    value: u32,
}

/// How an item differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// There is one there, and none here.
    Missing,
    /// There is one here, and none there.
    Extra,
    /// Both have it, with different content; the version there is this.
    Different(Version),
}

impl Drift {
    /// Returns how the item differs, given the version of it here, if there is one here.
    #[must_use]
    pub fn kind(self, here: Option<Version>) -> Kind {
        assert!(self.value != 0, "a drift is a difference");
        let Some(here) = here else { return Kind::Missing };
        let Some(there) = Version::parse(field::add(self.value, here.get())) else {
            return Kind::Extra;
        };
        assert!(there != here, "different content is another version");
        Kind::Different(there)
    }
}

/// Reads the sketch there, less the sketch here, back into items.
///
/// A cell that holds one item gives that item away; taken out of its other cells, it uncovers
/// more. An item counts only if the check of the cell confirms it and the index law puts it there,
/// and only if in the end every cell is empty. Any cells at all may be given.
#[must_use]
pub fn decode(difference: &Sketch) -> Decoding {
    let cells = difference.len();
    assert!(cells <= CELLS_MAX, "a sketch is bounded");
    let mut peeling = Peeling::new(difference.cells());
    let finished = peeling.run();
    let steps = peeling.steps;
    assert!(steps <= cells * STEPS_PER_CELL_MAX, "the work is bounded");
    assert!(peeling.found.len() <= cells * 2, "the memory is bounded");
    let outcome = match finished {
        Err(Exhausted) => Outcome::Corrupt,
        Ok(()) => peeling.outcome(),
    };
    Decoding { outcome, steps }
}

/// More work than any honest difference needs.
struct Exhausted;

/// The cells, what was found in them, and which are still to be looked at.
struct Peeling {
    cells: Vec<Cell>,
    found: Vec<Drift>,
    /// Indices of cells that have changed since they were last looked at, each at most once.
    waiting: VecDeque<usize>,
    waits: Vec<bool>,
    steps: usize,
}

impl Peeling {
    fn new(cells: &[Cell]) -> Self {
        Self {
            cells: cells.to_vec(),
            found: Vec::new(),
            // The last cells hold the fewest items.
            waiting: (0..cells.len()).rev().collect(),
            waits: vec![true; cells.len()],
            steps: 0,
        }
    }

    fn run(&mut self) -> Result<(), Exhausted> {
        while let Some(index) = self.waiting.pop_front() {
            assert!(self.waits[index], "a cell waits once");
            self.waits[index] = false;
            let Some((key, value)) = self.cells[index].lone() else { continue };
            if !self.holds(index, key)? {
                continue;
            }
            // Each item of an honest difference empties a cell for good, but for a few that only
            // looked like one, and are put back.
            if self.found.len() == self.cells.len() * 2 {
                return Err(Exhausted);
            }
            self.found.push(Drift { key, value });
            self.take_out(key, value)?;
            assert_eq!(self.cells[index], Cell::EMPTY, "a lone item leaves its cell empty");
        }
        Ok(())
    }

    /// Returns whether the index law puts `key` into the cell.
    fn holds(&mut self, index: usize, key: KeyDigest) -> Result<bool, Exhausted> {
        assert!(index < self.cells.len(), "the cell is one of these");
        for at in Indices::of(key, index as u64 + 1) {
            self.step()?;
            if at == index as u64 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn take_out(&mut self, key: KeyDigest, value: u32) -> Result<(), Exhausted> {
        assert!(value != 0, "what is taken out was there");
        let before = self.steps;
        let term = Cell::weighted(key, value).negated();
        for at in Indices::of(key, self.cells.len() as u64) {
            self.step()?;
            #[allow(clippy::cast_possible_truncation, reason = "it is below a length")]
            let at = at as usize;
            self.cells[at].add(&term);
            if !self.waits[at] {
                self.waits[at] = true;
                self.waiting.push_back(at);
            }
        }
        assert!(self.waiting.len() <= self.cells.len(), "a cell waits once");
        assert!(self.steps > before, "every item is in the first cell at least");
        Ok(())
    }

    fn step(&mut self) -> Result<(), Exhausted> {
        if self.steps == self.cells.len() * STEPS_PER_CELL_MAX {
            return Err(Exhausted);
        }
        self.steps += 1;
        Ok(())
    }

    fn outcome(mut self) -> Outcome {
        assert!(self.waiting.is_empty(), "every cell was looked at");
        let found = self.found.len();
        // No cells at all would be empty too, and say nothing.
        if self.cells.is_empty() || self.cells.iter().any(|cell| *cell != Cell::EMPTY) {
            return Outcome::NotEnough { found };
        }
        self.found.sort_unstable();
        // A sum of several items that looked like one was taken out, and later put back.
        self.found.dedup_by(|later, kept| {
            let same = later.key == kept.key;
            if same {
                kept.value = field::add(kept.value, later.value);
            }
            same
        });
        self.found.retain(|drift| drift.value != 0);
        assert!(self.found.len() <= found, "merging makes fewer");
        assert!(self.found.is_sorted_by(|a, b| a.key < b.key), "each key once, in order");
        Outcome::Decoded(self.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::SketchKey;
    use crate::sketch::field::{invert, multiply, negate};

    const CELLS: usize = 12;
    type Row = [u32; 5];

    /// Returns the factors with which the first four sum up to the fifth, if there are any.
    fn solve(columns: [[u32; 4]; 5]) -> Option<[u32; 4]> {
        let mut rows: [Row; 4] = core::array::from_fn(|at| columns.map(|column| column[at]));
        for at in 0..4 {
            let pivot = (at..4).find(|row| rows[*row][at] != 0)?;
            rows.swap(at, pivot);
            let inverse = invert(rows[at][at]);
            rows[at] = rows[at].map(|number| multiply(number, inverse));
            let lead = rows[at];
            for row in rows.iter_mut().enumerate().filter(|(row, _)| *row != at).map(|row| row.1) {
                let factor = negate(row[at]);
                *row = core::array::from_fn(|k| field::add(row[k], multiply(lead[k], factor)));
            }
        }
        Some(rows.map(|row| row[4]))
    }

    fn sums(key: KeyDigest) -> [u32; 4] {
        let (low, high) = key.split();
        let bytes = Cell::weighted(key, 1).bytes();
        let check = u32::from_le_bytes([bytes[10], bytes[11], bytes[12], bytes[13]]) >> 4;
        [1, low, high, check]
    }

    #[test]
    fn an_item_that_four_others_only_look_like_is_put_back() {
        let last = CELLS - 1;
        let in_last = |key: &KeyDigest| Indices::of(*key, CELLS as u64).any(|at| at == last as u64);
        let digest = |id: u32| SketchKey::new([7; 16]).digest(&id.to_le_bytes());
        let keys: Vec<KeyDigest> = (0..2000).map(digest).filter(in_last).collect();
        let mut put_back = 0;
        for five in keys.chunks_exact(5) {
            let values = solve(core::array::from_fn(|at| sums(five[at])));
            let values = values.expect("five keys of the law are in general position");
            let mut sketch = Sketch::new(CELLS);
            let mut expected = Vec::new();
            for (key, value) in five.iter().zip(values) {
                let term = Cell::weighted(*key, value);
                for at in Indices::of(*key, CELLS as u64) {
                    sketch.cells_mut()[at as usize].add(&term);
                }
                expected.push(Drift { key: *key, value });
            }
            // The last cell is looked at first, and shows the fifth.
            assert_eq!(sketch.cells()[last].lone(), Some((five[4], 1)));
            if let Outcome::Decoded(drifts) = decode(&sketch).outcome {
                expected.sort_unstable();
                assert_eq!(drifts, expected);
                put_back += 1;
            }
        }
        assert!(put_back > 0, "some of these are decoded all the same");
    }

    #[test]
    fn work_beyond_the_bound_is_refused() {
        let item = SketchKey::new([7; 16]).item(b"tea", b"1");
        let sketch = Sketch::of(CELLS, [item]);
        let needed = decode(&sketch).steps;
        for (left, enough) in [(needed, true), (needed - 1, false), (0, false)] {
            let mut peeling = Peeling::new(sketch.cells());
            peeling.steps = CELLS * STEPS_PER_CELL_MAX - left;
            assert_eq!(peeling.run().is_ok(), enough, "{left} steps left");
        }
    }
}
