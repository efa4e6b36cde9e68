//! A store in memory, typed and fast: tests, model checking, simulation.

use std::ops::Bound;
use std::sync::Arc;

use counterfoil_protocol::machine::{Loaded, Machine, Page, Query, Store, Writes};

use crate::StoreError;
use crate::engine::BATCH_ROWS_MAX;
use crate::ordered::Ordered;

/// A role's rows in a map, with the failures of a real store on demand.
///
/// It shares its rows with the transactions and copies none, as the simulator runs hundreds of
/// thousands of transitions a second through it.
#[derive(Debug)]
pub struct Memory<M: Machine> {
    rows: Ordered<M::Key, Arc<M::Record>>,
    /// What the last transaction has loaded: its memory serves the next one.
    loaded: Loaded<M>,
    next_failure: Option<Failure>,
    refuses: bool,
    counters: Counters,
}

/// How the next commit goes wrong. Both look the same to the caller, as they would with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The power fails first: nothing is written.
    Before,
    /// The power fails afterwards: all is written, the answer is lost.
    After,
}

/// What a store has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// How many transactions were committed, those with a lost answer included.
    pub commits: u64,
    /// How many rows they wrote or removed.
    pub rows_written: u64,
}

/// A copy of all rows: a backup, or the disk that a crashed node left behind.
#[derive(Debug)]
pub struct Image<M: Machine>(Ordered<M::Key, Arc<M::Record>>);

impl<M: Machine> Clone for Image<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Machine> Image<M> {
    /// Returns the rows.
    #[must_use]
    pub const fn rows(&self) -> &Ordered<M::Key, Arc<M::Record>> {
        &self.0
    }
}

impl<M: Machine> Default for Memory<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Machine> Memory<M> {
    /// Returns a store without rows.
    #[must_use]
    pub const fn new() -> Self {
        let counters = Counters { commits: 0, rows_written: 0 };
        let rows = Ordered::new();
        Self { rows, loaded: Vec::new(), next_failure: None, refuses: false, counters }
    }

    /// Lets the next transaction fail; after it the store refuses until [`Self::reopen`].
    ///
    /// # Panics
    /// If a failure is planned already: one of the two would be lost.
    pub fn fail_next(&mut self, failure: Failure) {
        assert_eq!(self.next_failure, None, "one planned failure at a time");
        assert!(!self.refuses, "a store that refuses is reopened first");
        self.next_failure = Some(failure);
    }

    /// Opens the store again after a failure: the committed rows are there.
    pub fn reopen(&mut self) {
        assert!(
            !(self.refuses && self.next_failure.is_some()),
            "a failure that came is planned no more"
        );
        self.refuses = false;
        self.next_failure = None;
    }

    /// Changes a row behind everybody's back, as a failing disk or a person with an editor would:
    /// no transaction, no counter.
    pub fn plant(&mut self, key: M::Key, record: Option<Arc<M::Record>>) {
        let (before, stays) = (self.rows.len(), record.is_some());
        match record {
            Some(record) => self.rows.put(&key, record),
            None => self.rows.remove(&key),
        };
        assert_eq!(self.rows.contains_key(&key), stays, "the row is as it was planted");
        assert!(self.rows.len().abs_diff(before) <= 1, "one row changes");
    }

    /// Takes a backup.
    #[must_use]
    pub fn image(&self) -> Image<M> {
        Image(self.rows.clone())
    }

    /// Replaces every row by those of a backup, and opens the store.
    pub fn restore(&mut self, image: Image<M>) {
        self.rows = image.0;
        self.reopen();
        assert!(self.readable().is_ok(), "a restored store is open, whatever failed before");
    }

    /// Returns the committed rows.
    #[must_use]
    pub const fn rows(&self) -> &Ordered<M::Key, Arc<M::Record>> {
        &self.rows
    }

    /// Returns what was done so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// As [`Store::transact`], at once, and says what the transaction decided to write: nothing if
    /// it was not begun, and all of it if its outcome is unknown.
    ///
    /// # Errors
    /// The planned failure, or that an earlier one has left the store closed.
    pub fn transact_now(
        &mut self,
        keys: Vec<M::Key>,
        mut decide: impl FnMut(&Loaded<M>) -> Writes<M>,
        written: &mut Writes<M>,
    ) -> Result<(), StoreError> {
        written.clear();
        self.readable()?;
        debug_assert!(keys.is_sorted_by(|a, b| a < b), "a row is asked for once, in order");
        let asked = keys.len();
        let rows = &self.rows;
        self.loaded.clear(); // a decision that panicked has left it
        self.loaded.extend(keys.into_iter().map(|key| {
            let row = rows.get(&key).cloned();
            (key, row)
        }));
        assert_eq!(self.loaded.len(), asked, "each row is looked for");
        *written = decide(&self.loaded);
        self.loaded.clear();
        assert!(!self.refuses, "a decision closes no store");
        assert!(written.len() <= BATCH_ROWS_MAX, "a transaction is one batch, as on a disk");
        debug_assert!(written.is_sorted_by(|(a, _), (b, _)| a < b), "a row is written once");
        self.commit(written)
    }

    fn readable(&self) -> Result<(), StoreError> {
        if self.refuses {
            return Err(StoreError::unknown("an earlier commit failed; reopen the store"));
        }
        Ok(())
    }

    fn commit(&mut self, writes: &Writes<M>) -> Result<(), StoreError> {
        assert!(!self.refuses, "a transaction begins on an open store");
        let commits_before = self.counters.commits;
        let failure = self.next_failure.take();
        self.refuses = failure.is_some();
        if failure == Some(Failure::Before) {
            return Err(StoreError::unknown("a planned failure"));
        }
        self.counters.commits += 1;
        self.counters.rows_written += writes.len() as u64;
        let (rows_before, changes) = (self.rows.len(), writes.len());
        for (key, record) in writes {
            match record {
                Some(record) => self.rows.put(key, Arc::clone(record)),
                None => self.rows.remove(key),
            };
        }
        assert!(self.rows.len() <= rows_before + changes, "a write adds at most one row");
        assert!(self.rows.len() + changes >= rows_before, "a write removes at most one row");
        assert_eq!(self.counters.commits, commits_before + 1, "a lost answer is a commit too");
        match failure {
            Some(_) => Err(StoreError::unknown("a planned failure")),
            None => Ok(()),
        }
    }
}

impl<M: Machine<Key: Send + Sync, Record: Send + Sync>> Store<M> for Memory<M> {
    type Error = StoreError;

    async fn transact(
        &mut self,
        keys: Vec<M::Key>,
        decide: impl FnMut(&Loaded<M>) -> Writes<M> + Send,
    ) -> Result<(), StoreError> {
        self.transact_now(keys, decide, &mut Writes::<M>::new())
    }
}

impl<M: Machine<Key: Send + Sync, Record: Send + Sync>> Query<M> for Memory<M> {
    type Error = StoreError;

    async fn get(&self, key: &M::Key) -> Result<Option<M::Record>, StoreError> {
        self.readable()?;
        Ok(self.rows.get(key).map(|record| M::Record::clone(record)))
    }

    async fn scan(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
    ) -> Result<Page<M>, StoreError> {
        self.readable()?;
        if from >= until {
            return Ok(Page::<M>::new());
        }
        let range = self.rows.range((Bound::Included(from), Bound::Excluded(until))).take(limit);
        let mut page = Page::<M>::with_capacity(range.len());
        for (key, record) in range {
            page.push((key.clone(), M::Record::clone(record)));
        }
        assert!(page.len() <= limit, "a scan keeps its limit");
        assert!(page.first().is_none_or(|(key, _)| from <= key), "a scan begins within its bounds");
        assert!(page.last().is_none_or(|(key, _)| key < until), "a scan ends within its bounds");
        Ok(page)
    }

    async fn look<T: Send>(
        &self,
        key: &M::Key,
        take: impl FnOnce(&M::Record) -> Option<T> + Send,
    ) -> Result<Option<T>, StoreError> {
        self.readable()?;
        assert!(!self.refuses, "only an open store is read");
        Ok(self.rows.get(key).and_then(|record| take(record)))
    }

    async fn select<T: Send>(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
        mut take: impl FnMut(&M::Key, &M::Record) -> Option<T> + Send,
    ) -> Result<Vec<T>, StoreError> {
        self.readable()?;
        if from >= until {
            return Ok(Vec::new());
        }
        let range = self.rows.range((Bound::Included(from), Bound::Excluded(until))).take(limit);
        assert!(range.len() <= limit, "a scan keeps its limit");
        let mut taken = Vec::with_capacity(range.len());
        taken.extend(range.filter_map(|(key, record)| take(key, record)));
        assert!(taken.len() <= limit, "each row is taken once");
        Ok(taken)
    }
}
