//! An ordered map with an index: what a store in memory keeps its rows in.
//!
//! Keys of rows are long, and most look-ups are of one row. Each key stands at one place for as
//! long as it is there, and never moves. The index finds that place with one comparison, where a
//! tree has ten; the places stand in the order of their keys beside it, in short runs.

mod index;

use std::cmp::Ordering;
use std::hash::Hash;
use std::ops::{Bound, RangeBounds};

use self::index::{Index, hash};

/// The most entries of a run: what an insertion has to move at most.
const RUN_ENTRIES_MAX: usize = 64;
/// For how many entries a map makes room at first: a node's rows are many.
const ENTRIES_USUAL: usize = 64;

const _: () = assert!(RUN_ENTRIES_MAX >= 2, "a full run can be halved");
const _: () = assert!(RUN_ENTRIES_MAX <= 256, "an insertion moves few entries");
const _: () = assert!(RUN_ENTRIES_MAX.is_multiple_of(2), "both halves have the same room");
const _: () = assert!(ENTRIES_USUAL <= 1024, "an empty map takes little memory");

/// Entries in the order of their keys, each key once.
#[derive(Clone, Debug)]
pub struct Ordered<K, V> {
    /// The entries, each at its place.
    entries: Vec<Option<(K, V)>>,
    /// Where the entry of a key is.
    index: Index,
    /// The places in the order of their keys. No run is empty, each ends before the next begins.
    runs: Vec<Vec<u32>>,
    /// Places without an entry.
    free: Vec<u32>,
}

/// Where an entry is in the order: its run, and its place in that. What follows the last entry is
/// at the place zero of the run after the last.
type Place = (usize, usize);

impl<K, V> Ordered<K, V> {
    /// Returns a map without entries.
    #[must_use]
    pub const fn new() -> Self {
        let index = Index { table: Vec::new(), held: 0 };
        Self { entries: Vec::new(), index, runs: Vec::new(), free: Vec::new() }
    }

    /// Returns how many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.held
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.held == 0
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
        Range { runs: &self.runs, entries: &self.entries, next, end }
    }

    /// Returns the key at a place that a run names.
    fn key_at(&self, slot: u32) -> &K {
        let entry = self.entries[slot as usize].as_ref();
        let (key, _) = entry.expect("what is in a run is there");
        key
    }
}

impl<K: Ord + Hash + Clone, V> Ordered<K, V> {
    /// Returns what stands under `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        let slot = self.slot(key)?;
        let value = self.entries[slot].as_ref().map(|(_, value)| value);
        assert!(value.is_some(), "what is in the index is there");
        value
    }

    /// Returns whether something stands under `key`.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.slot(key).is_some()
    }

    /// Returns the place of a key's entry.
    fn slot(&self, key: &K) -> Option<usize> {
        self.index.find(hash(key), |slot| self.key_at(slot) == key).map(|slot| slot as usize)
    }

    /// Puts `value` under `key`, and returns what stood there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.put(&key, value)
    }

    /// Puts `value` under a key, which is copied if it is new, and returns what stood there.
    pub fn put(&mut self, key: &K, value: V) -> Option<V> {
        let hash = hash(key);
        if let Some(slot) = self.index.find(hash, |slot| self.key_at(slot) == key) {
            let (_, held) = self.entries[slot as usize].as_mut()?;
            return Some(std::mem::replace(held, value));
        }
        let place = self.find(key).expect_err("what is not in the index is in no run");
        let slot = self.free.pop().unwrap_or_else(|| {
            if self.entries.len() == self.entries.capacity() {
                // Few steps to many entries: each moves all of them.
                self.entries.reserve(ENTRIES_USUAL.max(3 * self.entries.len()));
            }
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).expect("a map in memory has fewer entries")
        });
        let before = self.entries[slot as usize].replace((key.clone(), value));
        assert!(before.is_none(), "a place without an entry is taken");
        assert!((slot as usize) < self.entries.len(), "an entry has its place");
        let (run, at) = self.make_room(place);
        assert!(self.runs[run].len() < RUN_ENTRIES_MAX, "there is room for one entry more");
        self.runs[run].insert(at, slot);
        assert!(self.runs[run].len() <= RUN_ENTRIES_MAX, "a run stays short");
        self.index.insert(hash, slot);
        self.check_places();
        None
    }

    /// Takes away what stands under `key`, and returns it.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let hash = hash(key);
        let slot = self.index.find(hash, |slot| self.key_at(slot) == key)?;
        let (run, at) = self.find(key).expect("what is in the index is in a run");
        let in_run = self.runs[run].remove(at);
        assert_eq!(in_run, slot, "a key has one place");
        if self.runs[run].is_empty() {
            self.runs.remove(run);
        }
        self.index.remove(hash, slot);
        let entry = self.entries[slot as usize].take();
        assert!(entry.is_some(), "what was in the index was there");
        self.free.push(slot);
        self.check_places();
        entry.map(|(_, value)| value)
    }

    fn check_places(&self) {
        assert!(self.free.len() <= self.entries.len(), "only places are free");
        let taken = self.entries.len() - self.free.len();
        assert_eq!(taken, self.index.held, "each place has an entry or is free");
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
        // Most ranges are short: where one begins is near to where it ends.
        let end = match bounds.end_bound() {
            Bound::Included(key) => self.first_after(next, key, Ordering::is_le),
            Bound::Excluded(key) => self.first_after(next, key, Ordering::is_lt),
            Bound::Unbounded => (self.runs.len(), 0),
        };
        assert!(next.0 <= self.runs.len(), "a range begins at an entry, or after the last");
        assert!(end.0 <= self.runs.len(), "a range ends at an entry, or after the last");
        self.between(next, end)
    }

    /// Returns where `key` is, or where it would be inserted.
    fn find(&self, key: &K) -> Result<Place, Place> {
        let after = self.runs.partition_point(|run| self.key_at(run[0]) <= key);
        // What stands before the first run would become its beginning.
        let run = after.saturating_sub(1);
        let Some(slots) = self.runs.get(run) else { return Err((run, 0)) };
        assert!(!slots.is_empty(), "no run is empty");
        assert!(slots.len() <= RUN_ENTRIES_MAX, "a run is short");
        match slots.binary_search_by(|slot| self.key_at(*slot).cmp(key)) {
            Ok(at) => Ok((run, at)),
            Err(at) => Err((run, at)),
        }
    }

    /// Returns the place of the first entry that is not `before` the key.
    fn first(&self, key: &K, before: impl Fn(Ordering) -> bool) -> Place {
        let is_before = |slot: u32| before(self.key_at(slot).cmp(key));
        let after = self.runs.partition_point(|run| is_before(run[0]));
        let Some(run) = after.checked_sub(1) else { return (0, 0) };
        let at = self.runs[run].partition_point(|slot| is_before(*slot));
        assert!(at > 0, "a run that begins before the key has an entry before it");
        assert!(at <= self.runs[run].len(), "a place is in its run, or after it");
        if at == self.runs[run].len() { (after, 0) } else { (run, at) }
    }

    /// As [`Self::first`], of a key that is mostly found shortly after a place: if it is before
    /// that, where the range is empty.
    fn first_after(&self, from: Place, key: &K, before: impl Fn(Ordering) -> bool) -> Place {
        let (run, at) = from;
        let Some(slots) = self.runs.get(run) else { return from };
        assert!(at < slots.len(), "a range begins at an entry, or after the last");
        let is_before = |slot: u32| before(self.key_at(slot).cmp(key));
        // Twice as far with each step, until one is not before the key.
        let mut step = 1;
        let mut low = at;
        while low + step < slots.len() && is_before(slots[low + step]) {
            low += step;
            step *= 2;
        }
        if low + step >= slots.len() {
            return if is_before(slots[slots.len() - 1]) {
                self.first(key, before)
            } else {
                let within = slots[low..].partition_point(|slot| is_before(*slot));
                (run, low + within)
            };
        }
        assert!(low + step < slots.len(), "a key that is not before is in the run");
        let within = slots[low..low + step].partition_point(|slot| is_before(*slot));
        assert!(low + within < slots.len(), "the key's place is in the run");
        (run, low + within)
    }

    /// Makes room for an entry, and returns where it is to be inserted.
    fn make_room(&mut self, (run, at): Place) -> Place {
        let Some(slots) = self.runs.get_mut(run) else {
            self.runs.push(Vec::with_capacity(RUN_ENTRIES_MAX));
            return (run, at);
        };
        if slots.len() < RUN_ENTRIES_MAX {
            return (run, at);
        }
        // Journals grow at their end: what is before stays together, and need not be halved.
        let keep = if at == RUN_ENTRIES_MAX { at } else { RUN_ENTRIES_MAX / 2 };
        let mut rest = Vec::with_capacity(RUN_ENTRIES_MAX);
        rest.extend(slots.drain(keep..));
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

/// Entries one after the other, from either end.
#[derive(Debug)]
pub struct Range<'a, K, V> {
    runs: &'a [Vec<u32>],
    entries: &'a [Option<(K, V)>],
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
        let slots = &self.runs[run];
        assert!(at < slots.len(), "what comes next is an entry");
        self.next = if at + 1 < slots.len() { (run, at + 1) } else { (run + 1, 0) };
        let (key, value) = self.entries[slots[at] as usize].as_ref()?;
        Some((key, value))
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
        let (key, value) = self.entries[self.runs[run][at] as usize].as_ref()?;
        Some((key, value))
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
                    assert!(high == low || map.range(high..low).eq([]));
                    let near = low..low + 1 + other % 9;
                    assert!(map.range(near.clone()).eq(tree.range(near)));
                    assert!(map.iter().eq(&tree) && map.iter().rev().eq(tree.iter().rev()));
                }
            }
            assert!(map.runs.iter().all(|run| !run.is_empty() && run.len() <= RUN_ENTRIES_MAX));
            assert_eq!(map.entries.iter().flatten().count() + map.free.len(), map.entries.len());
            assert_eq!(map.index.table.iter().filter(|held| **held != 0).count(), map.len());
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
