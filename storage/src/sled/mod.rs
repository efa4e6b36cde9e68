//! sled 0.34.7: the embedded default of the cloud, with the sync that it lacks by itself.
//!
//! sled's `flush` on Linux is `sync_file_range`, which reaches neither the drive's cache nor the
//! file's metadata. Here that call does not exist (see [`hard_sync`]), upon which sled syncs its
//! log itself, on every write, those of its garbage collector included. A store whose process
//! cannot prove that is not opened. The reasons: `docs/decisions/0003-sled-hard-sync.md`.

pub mod hard_sync;

mod chunks;
mod generation;
mod home;
mod tally;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use self::generation::Generation;
use self::home::Home;
use crate::StoreError;
use crate::contain::contain;
use crate::engine::{
    Batch, Engine, Integrity, KeyList, LoadVisit, Read, ScanVisit, assert_within_limits,
    copy_pages, read_through,
};

/// A sled store, open in this process alone.
#[derive(Debug)]
pub struct Sled {
    shared: Arc<Shared>,
}

/// Reads a [`Sled`] from another thread; it waits while a commit is on its way to the disk.
///
/// sled shows a write before it is durable. A reader that said so to a till would break the law
/// that nothing leaves before it is durable, so readers and commits exclude each other.
#[derive(Clone, Debug)]
pub struct SledReader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    open: RwLock<Option<Open>>,
}

/// Fields drop in this order: the lock on the home outlives sled.
#[derive(Debug)]
struct Open {
    generation: Generation,
    _home: Home,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// How many rows live in the store.
    pub rows: u64,
    /// What the store took on the disk.
    pub bytes_before: u64,
    /// What it takes now.
    pub bytes_after: u64,
}

impl Sled {
    /// Returns whether a store lies in the directory `path`, whole or not.
    #[must_use]
    pub fn exists(path: &Path) -> bool {
        Home::exists(path)
    }

    /// Opens or creates the store in the directory `path`.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] if the hard sync is not in force, [`StoreError::Locked`] if
    /// another process has the store, [`StoreError::Damaged`] if sled cannot read it, or reads
    /// less than was committed: every row is read once and must add up.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let hard_sync = hard_sync::install()?;
        let home = Home::open(path)?;
        let generation = Generation::open(&home.current(), hard_sync)?;
        home.confirm()?;
        assert_eq!(generation.path(), home.current(), "what is open is what counts");
        let open = Open { generation, _home: home };
        Ok(Self { shared: Arc::new(Shared { open: RwLock::new(Some(open)) }) })
    }

    /// Copies the live rows into a new store and puts it in the place of the old one.
    ///
    /// sled never gives space back. The switch is one atomic rename: a crash at any moment
    /// leaves either store, whole. The store must not be open elsewhere.
    ///
    /// # Errors
    /// As [`Self::open`]; the old store is then still in place.
    pub fn compact(path: &Path) -> Result<Compacted, StoreError> {
        let hard_sync = hard_sync::install()?;
        let mut home = Home::open(path)?;
        let old = home.current();
        let new = home.next();
        assert_ne!(old, new, "a compaction does not write over what it reads");
        let bytes_before = home::bytes_in(&old)?;
        let rows = {
            let from = Generation::open(&old, hard_sync)?;
            let mut to = Generation::open(&new, hard_sync)?;
            let rows = copy_pages(&from, |batch| to.commit(batch))?;
            assert_eq!(to.rows(), rows, "a copy has each row that was copied, once");
            assert!(to.rows() <= from.rows(), "a copy makes no rows");
            assert_ne!(from.path(), to.path(), "a compaction does not write over what it reads");
            rows
        };
        home.switch_to_next()?;
        assert_eq!(home.current(), new, "what was copied is what counts");
        let bytes_after = home::bytes_in(&new)?;
        Ok(Compacted { rows, bytes_before, bytes_after })
    }

    /// Returns how many files lie beside the log because a value was too large for it.
    ///
    /// sled never syncs those, so there must be none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the directory cannot be read.
    pub fn blob_files(&self) -> Result<usize, StoreError> {
        self.shared.with(|open| open.generation.blob_files())
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        let open = self.shared.open.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Err(error) = contain(generation::PART, || drop(open)) {
            tracing::error!(%error, "sled panicked while it closed");
        }
    }
}

impl Engine for Sled {
    type Reader = SledReader;

    fn reader(&self) -> SledReader {
        SledReader { shared: Arc::clone(&self.shared) }
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        assert_within_limits(batch);
        let mut open = self.shared.open.write().unwrap_or_else(PoisonError::into_inner);
        let outcome = match &mut *open {
            Some(open) => open.generation.commit(batch),
            None => Err(StoreError::closed()),
        };
        let locked = matches!(outcome, Err(StoreError::Locked { .. }));
        assert!(!locked, "an open store is this process's alone");
        let in_doubt = matches!(outcome, Err(StoreError::Unknown { .. }));
        assert!(!in_doubt, "a commit that is in doubt ends the process");
        outcome
    }

    fn check(&mut self) -> Result<Integrity, StoreError> {
        self.shared.with(|open| open.generation.check())
    }
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&Open) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.open.read().unwrap_or_else(PoisonError::into_inner) {
            Some(open) => act(open),
            None => Err(StoreError::closed()),
        }
    }
}

impl Read for Shared {
    fn load(&self, keys: &KeyList, visit: &mut LoadVisit<'_>) -> Result<(), StoreError> {
        self.with(|open| open.generation.load(keys, visit))
    }

    fn visit(
        &self,
        from: &[u8],
        until: &[u8],
        limit: usize,
        visit: &mut ScanVisit<'_>,
    ) -> Result<(), StoreError> {
        self.with(|open| open.generation.visit(from, until, limit, visit))
    }
}

read_through!(shared: Sled, SledReader);
