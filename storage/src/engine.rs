//! The byte-level port: an ordered map from keys to values with atomic, durable commits.
//!
//! An engine knows nothing of rows and roles; [`KeyValue`](crate::KeyValue) puts those on top.
//! Reads are visits, so that a row is decoded out of the engine's own page and never copied.

use std::collections::BTreeMap;
use std::ops::Range;
use std::pin::Pin;

use counterfoil_protocol::persist::KEY_BYTES_MAX;

use crate::StoreError;

pub use crate::keys::KeyList;

/// Takes the value under the n-th asked key, if there is one.
pub type LoadVisit<'a> = dyn FnMut(usize, Option<&[u8]>) -> Result<(), StoreError> + 'a;

/// Takes a key and its value.
pub type ScanVisit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// Gives the values under the keys of a transaction to a visitor.
pub type Loads<'a> = dyn FnMut(&mut LoadVisit<'_>) -> Result<(), StoreError> + 'a;

/// Looks at the values of a transaction, and makes its batch anew: pure, it may be called again.
pub type Decide<'a> = dyn FnMut(&mut Loads<'_>, &mut Batch) -> Result<(), StoreError> + 'a;

/// The most bytes one value may have: a limit against a runaway role, not a target.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

/// The most rows one commit may change.
pub const BATCH_ROWS_MAX: usize = 1 << 20;

/// Lies behind every key.
pub const AFTER_LAST_KEY: [u8; KEY_BYTES_MAX + 1] = [0xff; KEY_BYTES_MAX + 1];

const _: () = assert!(KEY_BYTES_MAX > 0, "there is more than one key");
const _: () = assert!(AFTER_LAST_KEY.len() > KEY_BYTES_MAX, "the end is longer than any key");
const _: () = assert!(AFTER_LAST_KEY[KEY_BYTES_MAX] == u8::MAX, "the end has the highest bytes");
const _: () = assert!(KEY_BYTES_MAX < VALUE_BYTES_MAX, "a key is short beside its value");
const _: () = assert!(BATCH_ROWS_MAX < u32::MAX as usize, "the rows of a batch can be counted");
const _: () = assert!(
    KEY_BYTES_MAX as u64 * (BATCH_ROWS_MAX as u64) < u32::MAX as u64,
    "the keys of a full batch fit into memory"
);

/// Reads committed state, and only that: what is returned here survives a power cut.
pub trait Read: Send + Sync {
    /// Visits the value of each key, in their order, as of one moment.
    ///
    /// # Errors
    /// The engine's, or the first that `visit` returns.
    fn load(&self, keys: &KeyList, visit: &mut LoadVisit<'_>) -> Result<(), StoreError>;

    /// Visits the first `limit` rows with `from <= key < until`, as of one moment.
    ///
    /// # Errors
    /// The engine's, or the first that `visit` returns.
    fn visit(
        &self,
        from: &[u8],
        until: &[u8],
        limit: usize,
        visit: &mut ScanVisit<'_>,
    ) -> Result<(), StoreError>;

    /// Returns the way to read without holding a thread, if what is read lies behind a network.
    fn remote(&self) -> Option<&dyn Remote> {
        None
    }

    /// Returns a copy of the value under `key`.
    ///
    /// # Errors
    /// The engine's.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut keys = KeyList::default();
        keys.push_with(|out| out.extend_from_slice(key));
        assert_eq!(keys.key(0), key, "what is asked for is what was given");
        let mut visits = 0_usize;
        let mut found = None;
        self.load(&keys, &mut |index, value| {
            assert_eq!(index, 0, "one key has one index");
            visits += 1;
            found = value.map(<[u8]>::to_vec);
            Ok(())
        })?;
        assert_eq!(visits, 1, "an engine visits each key once, absent or not");
        let bytes = found.as_ref().map_or(0, Vec::len);
        assert!(bytes <= VALUE_BYTES_MAX, "an engine returns no value that nobody could write");
        Ok(found)
    }

    /// Returns copies of the first `limit` rows with `from <= key < until`.
    ///
    /// # Errors
    /// The engine's.
    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Result<RawPage, StoreError> {
        let mut page = RawPage::new();
        self.visit(from, until, limit, &mut |key, value| {
            assert!(page.len() < limit, "an engine keeps the limit");
            assert!(from <= key && key < until, "an engine keeps the bounds");
            assert!(key.len() <= KEY_BYTES_MAX, "an engine returns no key that nobody could write");
            assert!(value.len() <= VALUE_BYTES_MAX, "an engine returns no value beyond the limit");
            if let Some((last, _)) = page.last() {
                assert!(last.as_slice() < key, "an engine ascends, each key once");
            }
            page.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        assert!(from < until || page.is_empty(), "no row lies between crossed bounds");
        Ok(page)
    }
}

/// The values of asked keys, in the order of the keys; `None` is an absent row.
pub type Values = Vec<Option<Vec<u8>>>;

/// An answer that is waited for.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Reads what lies behind a network, as [`Read`] does.
pub trait Remote: Send + Sync {
    /// Returns the value of each key, in their order, as of one moment.
    fn load_later(&self, keys: KeyList) -> Later<'_, Values>;

    /// Returns the first `limit` rows with `from <= key < until`, as of one moment.
    fn scan_later(&self, from: Vec<u8>, until: Vec<u8>, limit: usize) -> Later<'_, RawPage>;
}

/// A page of keys and values, in the order of the keys.
pub type RawPage = Vec<(Vec<u8>, Vec<u8>)>;

/// A store with one writer, which is whoever holds it; or with several, if the engine says so.
pub trait Engine: Read + 'static {
    /// A handle for readers in other threads. It refuses once the engine is closed.
    type Reader: Read + Clone + 'static;

    /// Returns a handle that reads beside the writer.
    fn reader(&self) -> Self::Reader;

    /// Returns a reader that sees the store as it is now, whatever is committed later: a check of
    /// a store that others write to. Where there is one writer, it is the reader.
    ///
    /// # Errors
    /// The engine's.
    fn reader_of_one_moment(&self) -> Result<Self::Reader, StoreError> {
        Ok(self.reader())
    }

    /// Returns another writer of the same store, if the engine lets several write at once. The
    /// store stays open until the last of them is dropped.
    fn beside(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Loads `keys`, lets `decide` fill `batch`, and makes that durable: atomic, and isolated from
    /// every other writer. It may decide again after a conflict.
    ///
    /// # Errors
    /// As [`Self::commit`]; or the first of `decide`, and nothing is written.
    fn transact(
        &mut self,
        keys: &KeyList,
        batch: &mut Batch,
        decide: &mut Decide<'_>,
    ) -> Result<(), StoreError> {
        assert!(u32::try_from(keys.len()).is_ok(), "a batch reads fewer rows than that");
        let reads = &*self;
        decide(&mut |visit| reads.load(keys, visit), batch)?;
        self.commit(batch)
    }

    /// Makes all of `batch` durable, or none of it.
    ///
    /// `Ok` means that the batch survives a power cut. An empty batch changes nothing and waits
    /// for nothing: every row that can be read is durable already.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if the outcome is not known: the engine refuses from then on.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Examines the engine's own structure; slow.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it is beyond repair.
    fn check(&mut self) -> Result<Integrity, StoreError>;
}

/// What an engine found out about its own structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Nothing was wrong.
    Sound,
    /// Something was wrong and is repaired; no committed row is lost.
    Repaired,
}

/// What one commit changes, in the order of the keys, each once, in one allocation: a group commit
/// of a thousand sales makes it anew each time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

/// Where a key and its value end; the key begins where the change before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    key_end: usize,
    /// `None` removes the key.
    value_end: Option<usize>,
}

const _: () = assert!(
    size_of::<Change>() * BATCH_ROWS_MAX <= 32 << 20,
    "the places of a full batch take little memory"
);

impl Change {
    fn end(self) -> usize {
        self.value_end.unwrap_or(self.key_end)
    }
}

impl Batch {
    /// Returns a batch that changes nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), changes: Vec::new() }
    }

    /// Begins again, in the memory of before.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
        assert_eq!(self.last_key(), None, "no key is compared with one of before");
    }

    /// Sets the key that `key` appends to the value that `value` appends; `value` is told where the
    /// key lies.
    ///
    /// # Panics
    /// If the key is not above the one before.
    pub fn put_with(
        &mut self,
        key: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>, Range<usize>),
    ) {
        let key = self.append_key(key);
        let key_end = key.end;
        let written = cfg!(debug_assertions).then(|| self.bytes[key.clone()].to_vec());
        value(&mut self.bytes, key.clone());
        let value_end = self.bytes.len();
        assert!(value_end >= key_end, "a value is appended");
        debug_assert_eq!(written.as_deref(), Some(&self.bytes[key.clone()]), "its key stays");
        self.push(Change { key_end, value_end: Some(value_end) });
        assert_eq!(self.last_key(), Some(key), "the next key is compared with this one");
    }

    /// Removes the key that `key` appends.
    ///
    /// # Panics
    /// If the key is not above the one before.
    pub fn remove_with(&mut self, key: impl FnOnce(&mut Vec<u8>)) {
        let key = self.append_key(key);
        self.push(Change { key_end: key.end, value_end: None });
        assert_eq!(self.last_key(), Some(key), "the next key is compared with this one");
    }

    /// Returns how many keys change.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.changes.len()
    }

    /// Returns whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Visits the changes in the order of their keys; `None` removes the key.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut start = 0;
        self.changes.iter().map(move |change| {
            assert!(start <= change.key_end, "a key begins where the change before it ends");
            assert!(change.key_end <= change.end(), "a value lies behind its key");
            assert!(change.end() <= self.bytes.len(), "a change lies within the batch");
            let key = &self.bytes[start..change.key_end];
            let value = change.value_end.map(|end| &self.bytes[change.key_end..end]);
            start = change.end();
            (key, value)
        })
    }

    fn append_key(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let start = self.bytes.len();
        write(&mut self.bytes);
        assert!(self.bytes.len() >= start, "a key is appended");
        let key = start..self.bytes.len();
        assert!(key.len() <= KEY_BYTES_MAX, "a key has at most {KEY_BYTES_MAX} bytes");
        if let Some(last) = self.last_key() {
            assert!(last.end <= key.start, "a key lies behind those before it");
            assert!(self.bytes[last] < self.bytes[key.clone()], "keys ascend, each once");
        }
        key
    }

    fn push(&mut self, change: Change) {
        let before = self.changes.last().map_or(0, |change| change.end());
        assert!(before <= change.key_end, "changes do not overlap");
        assert_eq!(change.end(), self.bytes.len(), "every byte belongs to a change");
        self.changes.push(change);
        let bytes = self.bytes.len();
        assert!(self.changes.len() <= bytes + 1, "only the first of ascending keys can be empty");
    }

    fn last_key(&self) -> Option<Range<usize>> {
        let (last, before) = self.changes.split_last()?;
        let key = before.last().map_or(0, |change| change.end())..last.key_end;
        assert!(key.start <= key.end, "a key ends behind its beginning");
        assert!(last.end() <= self.bytes.len(), "a change lies within the batch");
        assert!(key.len() <= KEY_BYTES_MAX, "no longer key was let in");
        Some(key)
    }
}

impl FromIterator<(Vec<u8>, Option<Vec<u8>>)> for Batch {
    /// Sorts the changes; of two of the same key, the later one counts.
    fn from_iter<I: IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>>(changes: I) -> Self {
        let sorted: BTreeMap<_, _> = changes.into_iter().collect();
        let mut batch = Self::new();
        for (key, value) in &sorted {
            let append_key = |out: &mut Vec<u8>| out.extend_from_slice(key);
            match value {
                Some(value) => {
                    batch.put_with(append_key, |out, _| out.extend_from_slice(value));
                }
                None => batch.remove_with(append_key),
            }
        }
        assert_eq!(batch.len(), sorted.len(), "each key changes once");
        let given = sorted.iter().map(|(key, value)| (key.as_slice(), value.as_deref()));
        debug_assert!(batch.iter().eq(given), "a batch says what it was made of");
        batch
    }
}

impl<const N: usize> From<[(Vec<u8>, Option<Vec<u8>>); N]> for Batch {
    fn from(changes: [(Vec<u8>, Option<Vec<u8>>); N]) -> Self {
        changes.into_iter().collect()
    }
}

/// Copies every row of `from` into the empty `to`, and returns how many there were.
///
/// This is export, restore, compaction and the way from one engine to another.
///
/// # Errors
/// [`StoreError::Unsupported`] if `to` is not empty: it would become a mixture of two stores.
/// Otherwise that of either engine; `to` is then incomplete, and the caller discards it.
pub fn copy_rows(from: &impl Read, to: &mut impl Engine) -> Result<u64, StoreError> {
    if !to.scan(&[], &AFTER_LAST_KEY, 1)?.is_empty() {
        return Err(StoreError::unsupported("the target of a copy must be empty; name a new one"));
    }
    copy_pages(from, |batch| to.commit(batch))
}

/// Hands every row of `from` to `put`, a page at a time, and returns how many there were.
pub(crate) fn copy_pages(
    from: &impl Read,
    mut put: impl FnMut(&Batch) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    const PAGE_ROWS: usize = 256;
    const { assert!(PAGE_ROWS > 0, "a page moves the copy forward") };
    const { assert!(PAGE_ROWS <= BATCH_ROWS_MAX, "a page is one commit") };
    let (mut rows, mut pages) = (0_u64, 0_u64);
    let mut next = Vec::new();
    loop {
        let page = from.scan(&next, &AFTER_LAST_KEY, PAGE_ROWS)?;
        let Some((last, _)) = page.last() else { break };
        assert!(*last >= next, "a copy moves forward");
        assert!(page.len() <= PAGE_ROWS, "a page keeps its limit");
        next.clone_from(last);
        next.push(0); // the smallest key above `last`
        assert!(next.as_slice() < AFTER_LAST_KEY.as_slice(), "a copy stays before the end");
        let copied = page.len();
        let batch: Batch = page.into_iter().map(|(key, value)| (key, Some(value))).collect();
        assert_eq!(batch.len(), copied, "a page has each key once");
        debug_assert!(batch.iter().all(|(_, value)| value.is_some()), "a copy removes nothing");
        put(&batch)?;
        rows += copied as u64;
        pages += 1;
        assert!(rows <= pages * PAGE_ROWS as u64, "no row is counted on two pages");
    }
    assert_eq!(rows == 0, next.is_empty(), "a copy moved if, and only if, it met a row");
    Ok(rows)
}

/// Lets an engine and its readers read through the part that they share.
macro_rules! read_through {
    ($shared:ident: $($reads:ty),+) => {$(
        impl $crate::engine::Read for $reads {
            fn load(
                &self,
                keys: &$crate::engine::KeyList,
                visit: &mut $crate::engine::LoadVisit<'_>,
            ) -> Result<(), $crate::StoreError> {
                let mut visits = 0_usize;
                self.$shared.load(keys, &mut |index, value| {
                    assert_eq!(index, visits, "the keys are visited in their order");
                    visits += 1;
                    visit(index, value)
                })?;
                assert_eq!(visits, keys.len(), "each key is visited, absent or not");
                Ok(())
            }

            fn visit(
                &self,
                from: &[u8],
                until: &[u8],
                limit: usize,
                visit: &mut $crate::engine::ScanVisit<'_>,
            ) -> Result<(), $crate::StoreError> {
                let mut rows = 0_usize;
                self.$shared.visit(from, until, limit, &mut |key, value| {
                    assert!(from <= key && key < until, "a scan keeps its bounds");
                    rows += 1;
                    visit(key, value)
                })?;
                assert!(rows <= limit, "a scan keeps its limit");
                assert!(from < until || rows == 0, "no row lies between crossed bounds");
                Ok(())
            }
        }
    )+};
}
pub(crate) use read_through;

/// Refuses what a file holds if nobody could write it, so that whoever copies it need not fear it.
pub(crate) fn expect_within_limits(key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    if key.len() > KEY_BYTES_MAX {
        return Err(StoreError::damaged_row(key, "the key is longer than any that was written"));
    }
    if value.len() > VALUE_BYTES_MAX {
        return Err(StoreError::damaged_row(key, "the value is larger than any that was written"));
    }
    Ok(())
}

/// Checks the limits of a batch, in every engine alike.
pub(crate) fn assert_within_limits(batch: &Batch) {
    assert!(batch.len() <= BATCH_ROWS_MAX, "a batch has at most {BATCH_ROWS_MAX} rows");
    let end = batch.changes.last().map_or(0, |change| change.end());
    assert_eq!(end, batch.bytes.len(), "every byte of a batch belongs to a change");
    let ascends = |a: &[u8], b: &[u8]| a < b;
    debug_assert!(
        batch.iter().is_sorted_by(|(a, _), (b, _)| ascends(a, b)),
        "keys ascend, so no change undoes another"
    );
    for (key, value) in batch.iter() {
        assert!(key.len() <= KEY_BYTES_MAX, "a key has at most {KEY_BYTES_MAX} bytes");
        let bytes = value.map_or(0, <[u8]>::len);
        assert!(bytes <= VALUE_BYTES_MAX, "a value has at most {VALUE_BYTES_MAX} bytes");
    }
}
