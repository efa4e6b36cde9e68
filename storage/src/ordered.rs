//! An ordered map with an index: what a store in memory keeps its rows in.
//!
//! Keys of rows are long, and most look-ups are of one row. The index answers those with one
//! comparison, where a tree has ten; the keys stand in their order beside it, in short runs.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::ops::{Bound, RangeBounds};

/// The most entries of a run: what an insertion has to move at most.
const RUN_ENTRIES_MAX: usize = 64;

const _: () = assert!(RUN_ENTRIES_MAX >= 2, "a full run can be halved");
const _: () = assert!(RUN_ENTRIES_MAX <= 256, "an insertion moves few entries");
const _: () = assert!(size_of::<Words>() == size_of::<u64>(), "a hasher is one number");
const _: () = assert!(RUN_ENTRIES_MAX.is_multiple_of(2), "both halves have the same room");

/// Entries in the order of their keys, each key once.
#[derive(Clone, Debug)]
pub struct Ordered<K, V> {
    /// Where the value of a key is. Nothing depends on its order.
    index: HashMap<K, usize, BuildHasherDefault<Words>>,
    /// The keys with the places of their values. No run is empty, each ends before the next begins.
    runs: Vec<Vec<(K, usize)>>,
    values: Vec<Option<V>>,
    /// Places without a value.
    free: Vec<usize>,
}

/// Where an entry is: its run, and its place in that. What follows the last entry is at the place
/// zero of the run after the last.
type Place = (usize, usize);

impl<K, V> Ordered<K, V> {
    /// Returns a map without entries.
    #[must_use]
    pub const fn new() -> Self {
        let index = HashMap::with_hasher(BuildHasherDefault::new());
        Self { index, runs: Vec::new(), values: Vec::new(), free: Vec::new() }
    }

    /// Returns how many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Returns all entries in the order of their keys.
    #[must_use]
    pub fn iter(&self) -> Range<'_, K, V> {
        self.between((0, 0), (self.runs.len(), 0))
    }

    /// Returns the keys in their order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// Returns what stands under the keys, in their order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    fn between(&self, next: Place, end: Place) -> Range<'_, K, V> {
        Range { runs: &self.runs, values: &self.values, next, end }
    }
}

impl<K: Ord + Hash + Clone, V> Ordered<K, V> {
    /// Returns what stands under `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        let slot = *self.index.get(key)?;
        assert!(slot < self.values.len(), "the index names places that there are");
        let value = self.values[slot].as_ref();
        assert!(value.is_some(), "what is in the index is there");
        value
    }

    /// Returns whether something stands under `key`.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.index.contains_key(key)
    }

    /// Puts `value` under `key`, and returns what stood there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(slot) = self.index.get(&key) {
            let before = self.values[*slot].replace(value);
            assert!(before.is_some(), "what is in the index is there");
            return before;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            self.values.len() - 1
        });
        let before = self.values[slot].replace(value);
        assert!(before.is_none(), "a place without a value is taken");
        let place = self.find(&key).expect_err("what is not in the index is in no run");
        let (run, at) = self.make_room(place);
        assert!(self.runs[run].len() < RUN_ENTRIES_MAX, "there is room for one entry more");
        self.runs[run].insert(at, (key.clone(), slot));
        assert!(self.runs[run].len() <= RUN_ENTRIES_MAX, "a run stays short");
        let indexed = self.index.insert(key, slot);
        assert!(indexed.is_none(), "a new key was not in the index");
        self.check_places();
        None
    }

    /// Takes away what stands under `key`, and returns it.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.index.remove(key)?;
        let (run, at) = self.find(key).expect("what is in the index is in a run");
        let (_, in_run) = self.runs[run].remove(at);
        assert_eq!(in_run, slot, "a key has one value");
        if self.runs[run].is_empty() {
            self.runs.remove(run);
        }
        let value = self.values[slot].take();
        assert!(value.is_some(), "what was in the index was there");
        self.free.push(slot);
        self.check_places();
        value
    }

    fn check_places(&self) {
        assert!(self.free.len() <= self.values.len(), "only places are free");
        let taken = self.values.len() - self.free.len();
        assert_eq!(taken, self.index.len(), "each place has a value or is free");
        assert_eq!(self.runs.is_empty(), taken == 0, "what is in the index is in a run");
    }

    /// Returns the entries whose keys are within `bounds`, in their order.
    #[must_use]
    pub fn range(&self, bounds: impl RangeBounds<K>) -> Range<'_, K, V> {
        let next = match bounds.start_bound() {
            Bound::Included(key) => self.first(key, Ordering::is_lt),
            Bound::Excluded(key) => self.first(key, Ordering::is_le),
            Bound::Unbounded => (0, 0),
        };
        let end = match bounds.end_bound() {
            Bound::Included(key) => self.first(key, Ordering::is_le),
            Bound::Excluded(key) => self.first(key, Ordering::is_lt),
            Bound::Unbounded => (self.runs.len(), 0),
        };
        assert!(next.0 <= self.runs.len(), "a range begins at an entry, or after the last");
        assert!(end.0 <= self.runs.len(), "a range ends at an entry, or after the last");
        self.between(next, end)
    }

    /// Returns where `key` is, or where it would be inserted.
    fn find(&self, key: &K) -> Result<Place, Place> {
        let after = self.runs.partition_point(|run| run[0].0.cmp(key).is_le());
        // What stands before the first run would become its beginning.
        let run = after.saturating_sub(1);
        let Some(entries) = self.runs.get(run) else { return Err((run, 0)) };
        assert!(!entries.is_empty(), "no run is empty");
        assert!(entries.len() <= RUN_ENTRIES_MAX, "a run is short");
        match entries.binary_search_by(|(held, _)| held.cmp(key)) {
            Ok(at) => Ok((run, at)),
            Err(at) => Err((run, at)),
        }
    }

    /// Returns the place of the first entry that is not `before` the key.
    fn first(&self, key: &K, before: impl Fn(Ordering) -> bool) -> Place {
        let after = self.runs.partition_point(|run| before(run[0].0.cmp(key)));
        let Some(run) = after.checked_sub(1) else { return (0, 0) };
        let at = self.runs[run].partition_point(|(held, _)| before(held.cmp(key)));
        assert!(at > 0, "a run that begins before the key has an entry before it");
        assert!(at <= self.runs[run].len(), "a place is in its run, or after it");
        if at == self.runs[run].len() { (after, 0) } else { (run, at) }
    }

    /// Makes room for an entry, and returns where it is to be inserted.
    fn make_room(&mut self, (run, at): Place) -> Place {
        let Some(entries) = self.runs.get_mut(run) else {
            self.runs.push(Vec::with_capacity(RUN_ENTRIES_MAX));
            return (run, at);
        };
        if entries.len() < RUN_ENTRIES_MAX {
            return (run, at);
        }
        // Journals grow at their end: what is before stays together, and need not be halved.
        let keep = if at == RUN_ENTRIES_MAX { at } else { RUN_ENTRIES_MAX / 2 };
        let mut rest = Vec::with_capacity(RUN_ENTRIES_MAX);
        rest.extend(entries.drain(keep..));
        self.runs.insert(run + 1, rest);
        assert!(at <= RUN_ENTRIES_MAX, "an entry has its place in a run, or after it");
        assert!(keep > 0, "what is before an entry stays where it is");
        if at < keep { (run, at) } else { (run + 1, at - keep) }
    }
}

impl<K, V> Default for Ordered<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Ordered<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Ordered<K, V> {}

impl<K: Ord + Hash + Clone, V> FromIterator<(K, V)> for Ordered<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut all = Self::new();
        for (key, value) in entries {
            all.insert(key, value);
        }
        all
    }
}

impl<'a, K, V> IntoIterator for &'a Ordered<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Range<'a, K, V>;

    fn into_iter(self) -> Range<'a, K, V> {
        self.iter()
    }
}

/// A hasher of the names of rows, which nobody chooses to collide: each word is added and
/// multiplied in.
#[derive(Clone, Copy, Debug, Default)]
struct Words(u64);

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
        // A product's high bits depend on all of a word, and tables look at both ends.
        self.0.wrapping_mul(0xf135_7aea_2e62_a9c5).rotate_left(26)
    }
}

/// Entries one after the other, from either end.
#[derive(Debug)]
pub struct Range<'a, K, V> {
    runs: &'a [Vec<(K, usize)>],
    values: &'a [Option<V>],
    next: Place,
    end: Place,
}

impl<K, V> Clone for Range<'_, K, V> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, K, V> Iterator for Range<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let (run, at) = self.next;
        let entries = &self.runs[run];
        assert!(at < entries.len(), "what comes next is an entry");
        self.next = if at + 1 < entries.len() { (run, at + 1) } else { (run + 1, 0) };
        let (key, slot) = &entries[at];
        Some((key, self.values[*slot].as_ref()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let ((first, from), (last, until)) = (self.next, self.end);
        let left = match first.cmp(&last) {
            Ordering::Less => {
                let between = self.runs[first..last].iter().map(Vec::len).sum::<usize>();
                assert!(from < self.runs[first].len(), "what comes next is an entry");
                between - from + until
            }
            Ordering::Equal => until.saturating_sub(from),
            Ordering::Greater => 0,
        };
        assert!(left > 0 || self.next >= self.end, "a range that goes on has entries");
        (left, Some(left))
    }
}

impl<K, V> ExactSizeIterator for Range<'_, K, V> {}

impl<K, V> DoubleEndedIterator for Range<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let (run, at) = match self.end {
            (run, 0) => (run - 1, self.runs[run - 1].len() - 1),
            (run, at) => (run, at - 1),
        };
        assert!((run, at) >= self.next, "a range ends where it begins");
        self.end = (run, at);
        let (key, slot) = &self.runs[run][at];
        Some((key, self.values[*slot].as_ref()?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A draw that is the same in each run.
    fn draw(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *state >> 33
    }

    #[test]
    fn it_answers_as_a_tree_does() {
        for span in [3, 100, 700, 5_000] {
            let mut state = span;
            let (mut map, mut tree) = (Ordered::new(), BTreeMap::new());
            for step in 0..4_000_u64 {
                let key = draw(&mut state) % span;
                if draw(&mut state).is_multiple_of(3) {
                    assert_eq!(map.remove(&key), tree.remove(&key));
                } else {
                    assert_eq!(map.insert(key, step), tree.insert(key, step));
                }
                let other = draw(&mut state) % span;
                assert_eq!((map.len(), map.get(&other)), (tree.len(), tree.get(&other)));
                if step % 50 == 0 {
                    let (low, high) = (key.min(other), key.max(other));
                    let range = map.range(low..high);
                    assert_eq!(range.len(), tree.range(low..high).count());
                    assert!(range.eq(tree.range(low..high)));
                    assert!(map.range(low..=high).rev().eq(tree.range(low..=high).rev()));
                    assert!(map.range(low..).eq(tree.range(low..)));
                    assert!(map.iter().eq(&tree) && map.iter().rev().eq(tree.iter().rev()));
                }
            }
            assert!(map.runs.iter().all(|run| !run.is_empty() && run.len() <= RUN_ENTRIES_MAX));
            assert_eq!(map.values.iter().flatten().count() + map.free.len(), map.values.len());
            let again: Ordered<_, _> = tree.clone().into_iter().collect();
            assert!(again.iter().eq(&tree), "collected from a tree of {span}");
        }
    }

    #[test]
    fn what_rises_fills_its_runs() {
        let map: Ordered<u64, ()> = (0..640).map(|key| (key, ())).collect();
        assert_eq!(map.runs.len(), 640 / RUN_ENTRIES_MAX);
        assert_eq!(map.range(64..).next(), Some((&64, &())));
        assert_eq!(map.range(640..).next(), None);
        assert!(Ordered::<u64, ()>::new().iter().next_back().is_none());
    }
}
