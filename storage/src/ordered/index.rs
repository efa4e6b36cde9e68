//! Where the entries of an ordered map are, by the hashes of their keys.

use std::hash::{Hash, Hasher};

/// How many cells the index of a small map has.
const CELLS_MIN: usize = 64;

const _: () = assert!(CELLS_MIN.is_power_of_two(), "a hash is a cell after a mask");
const _: () = assert!(CELLS_MIN > 2, "a search ends at a free cell");
const _: () = assert!(size_of::<Words>() == size_of::<u64>(), "a hasher is one number");

/// Finds places by the hashes of their keys: a table with open addressing, in which what met a
/// taken cell stands in the next free one. It holds no key, so that it grows without a look at any.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// A hash in the upper half, and a place, counted from 1, in the lower. Zero is a free cell.
    pub(super) table: Vec<u64>,
    /// How many cells are taken: half of them at most.
    pub(super) held: usize,
}

impl Index {
    /// Returns the place of what has this hash and `is` what is looked for.
    pub(super) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut cell = hash as usize;
        debug_assert!(2 * self.held <= self.table.len(), "a search ends at a free cell");
        loop {
            let held = *self.table.get(cell & self.table.len().wrapping_sub(1))?;
            if held == 0 {
                return None;
            }
            let (of, slot) = halves(held);
            if of == hash && is(slot) {
                return Some(slot);
            }
            cell += 1;
        }
    }

    /// Adds the place of a key that is not in the table.
    pub(super) fn insert(&mut self, hash: u32, slot: u32) {
        if self.table.len() <= 2 * self.held {
            self.grow();
        }
        assert!(slot < u32::MAX, "a place can be counted from 1");
        self.place(u64::from(hash) << 32 | u64::from(slot + 1));
        self.held += 1;
        assert!(self.held > 0, "what was added is held");
        assert!(2 * self.held <= self.table.len(), "a search ends at a free cell");
    }

    fn grow(&mut self) {
        let cells = CELLS_MIN.max(2 * self.table.len());
        assert!(cells > self.table.len(), "a table that is full grows");
        let before = std::mem::replace(&mut self.table, vec![0; cells]);
        assert!(self.table.len().is_power_of_two(), "a hash is a place after a mask");
        for held in before.into_iter().filter(|held| *held != 0) {
            self.place(held);
        }
    }

    /// Puts what is to be held into the first free cell from its own on.
    fn place(&mut self, held: u64) {
        let mask = self.table.len() - 1;
        let mut cell = halves(held).0 as usize & mask;
        while self.table[cell] != 0 {
            cell = (cell + 1) & mask;
        }
        self.table[cell] = held;
        assert!(cell <= mask, "a cell is in the table");
    }

    /// Takes away the place of a key, and moves up what had met its cell.
    pub(super) fn remove(&mut self, hash: u32, slot: u32) {
        let mask = self.table.len() - 1;
        let gone = u64::from(hash) << 32 | u64::from(slot + 1);
        let mut hole = hash as usize & mask;
        while self.table[hole] != gone {
            assert!(self.table[hole] != 0, "what is taken away is there");
            hole = (hole + 1) & mask;
        }
        let mut next = (hole + 1) & mask;
        while self.table[next] != 0 {
            let home = halves(self.table[next]).0 as usize & mask;
            // It may stand in the hole if its own cell is not between that and where it stands.
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.table[hole] = self.table[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.table[hole] = 0;
        self.held -= 1;
        assert!(self.held < self.table.len(), "a search ends at a free cell");
    }
}

/// Returns the hash and the place that a taken cell holds.
const fn halves(held: u64) -> (u32, u32) {
    assert!(held as u32 > 0, "places are counted from 1");
    ((held >> 32) as u32, held as u32 - 1)
}

/// A hasher of the names of rows, which nobody chooses to collide: each word is added and
/// multiplied in.
#[derive(Clone, Copy, Debug, Default)]
struct Words(u64);

/// Returns a hash of a key: of as many bits as there are places.
pub(super) fn hash<K: Hash>(key: &K) -> u32 {
    let mut words = Words::default();
    key.hash(&mut words);
    (words.finish() >> 32) as u32
}

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; size_of::<u64>()];
            assert!(rest.len() < word.len(), "what is left is no whole word");
            word[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0xf135_7aea_2e62_a9c5).rotate_left(23);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        // A product's high bits depend on all of a word.
        self.0.wrapping_mul(0xf135_7aea_2e62_a9c5)
    }
}
