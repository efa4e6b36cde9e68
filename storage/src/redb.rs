//! redb: the engine of the tills, and of a cloud that chooses it.
//!
//! Every commit is two-phase with quick repair: a crash at any instant leaves the old or the new
//! state, and reopening takes no walk over the file. What it costs, beside sled, is measured in
//! `docs/decisions/0003-sled-hard-sync.md`.
#![allow(clippy::wildcard_enum_match_arm, reason = "redb's error enums are non-exhaustive")]

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ::redb::{
    AccessGuard, CommitError, Database, DatabaseError, Durability, ReadOnlyTable,
    ReadableDatabase as _, ReadableTable as _, StorageError, TableDefinition, TableError,
    TransactionError,
};

pub use ::redb::StorageBackend;

use crate::contain::contain;
use crate::engine::{
    Batch, Engine, Integrity, KeyList, LoadVisit, ScanVisit, VALUE_BYTES_MAX, assert_within_limits,
    expect_within_limits, read_through,
};
use crate::{StoreError, fsync};

/// The rows. The name and the types are the file format: they never change.
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
/// One row, which says how the rows are to be read.
const FORMAT: TableDefinition<'_, &str, u64> = TableDefinition::new("format");
const FORMAT_KEY: &str = "version";
const FORMAT_VERSION: u64 = 1;

/// What the damage messages call this store.
const PART: &str = "redb file";

/// The bytes of cache that [`Redb::open`] takes. A till has little memory to spare; but redb gives
/// a tenth of it to what is written, and a page of news touches a thousand pages of the file.
pub const CACHE_BYTES_DEFAULT: usize = 64 << 20;

const _: () = assert!(FORMAT_VERSION > 0, "a version is not what a page of zeroes says");
const _: () = assert!(CACHE_BYTES_DEFAULT >= VALUE_BYTES_MAX, "the cache holds any one value");
const _: () = assert!(CACHE_BYTES_DEFAULT <= 64 << 20, "a till has little memory to spare");
const _: () = assert!(!PART.is_empty(), "damage has a place");
const _: () = assert!(!FORMAT_KEY.is_empty(), "the version has a name");
const _: () = assert!((VALUE_BYTES_MAX as u64) < 3 << 30, "redb takes values of less than 3 GiB");

/// A redb file, open for writing by this process alone.
#[derive(Debug)]
pub struct Redb {
    shared: Arc<Shared>,
}

/// Reads a [`Redb`] from another thread, each time as of the last commit.
#[derive(Clone, Debug)]
pub struct RedbReader {
    shared: Arc<Shared>,
}

/// Readers and the committer share an open database; only its end takes the lock for writing.
#[derive(Debug)]
struct Shared {
    /// The database, or what everyone is told since it was closed: the file can be opened again.
    handle: RwLock<Result<Database, StoreError>>,
}

impl Redb {
    /// Opens or creates the file at `path`, with the default cache.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has it, [`StoreError::Damaged`] if it is not
    /// what redb wrote, [`StoreError::Unsupported`] if a newer version wrote it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with_cache(path, CACHE_BYTES_DEFAULT)
    }

    /// Opens or creates the file at `path`, with `cache_bytes` of cache.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_cache(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        assert!(cache_bytes > 0, "a cache holds something");
        let opened = contain(PART, || builder(cache_bytes).create(path))?;
        let database = opened.map_err(|error| opening(error, path))?;
        // redb syncs the file, not its name: without this a power cut can take the whole file.
        fsync::parent(path)?;
        Self::begin(database)
    }

    /// Opens or creates a database on any disk, such as a simulated one.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_backend(backend: impl StorageBackend) -> Result<Self, StoreError> {
        Self::open_with_backend_and_cache(backend, CACHE_BYTES_DEFAULT)
    }

    /// Opens or creates a database on any disk, with `cache_bytes` of cache: with little of it,
    /// what is asked for is read from the disk.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_backend_and_cache(
        backend: impl StorageBackend,
        cache_bytes: usize,
    ) -> Result<Self, StoreError> {
        assert!(cache_bytes > 0, "a cache holds something");
        let opened = contain(PART, || builder(cache_bytes).create_with_backend(backend))?;
        let database = opened.map_err(|error| opening(error, Path::new("the given backend")))?;
        Self::begin(database)
    }

    fn begin(database: Database) -> Result<Self, StoreError> {
        // From here on its end is ours: redb writes when it closes, and panics on damage there.
        let store = Self { shared: Arc::new(Shared { handle: RwLock::new(Ok(database)) }) };
        store.shared.with(|database| match contain(PART, || format_version(database))?? {
            Some(FORMAT_VERSION) => Ok(()),
            Some(newer) => Err(StoreError::unsupported(format!(
                "the file has format {newer}, this version reads {FORMAT_VERSION}; update"
            ))),
            None => contain(PART, || create_tables(database))?,
        })?;
        assert!(store.shared.with(|_| Ok(())).is_ok(), "a store that was begun is open");
        Ok(store)
    }
}

impl Drop for Redb {
    fn drop(&mut self) {
        self.shared.close(StoreError::closed());
    }
}

impl Engine for Redb {
    type Reader = RedbReader;

    fn reader(&self) -> RedbReader {
        RedbReader { shared: Arc::clone(&self.shared) }
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        assert_within_limits(batch);
        let outcome = self.shared.with(|database| {
            if batch.is_empty() {
                return Ok(Ok(()));
            }
            Ok(contain(PART, || write(database, batch))
                .unwrap_or_else(|panic| Err(StoreError::unknown(panic))))
        })?;
        if let Err(error) = &outcome {
            tracing::error!(%error, "a redb transaction failed; the store is closed");
            self.shared.close(StoreError::unknown(error));
            let next = self.shared.with(|_| Ok(()));
            assert!(matches!(next, Err(StoreError::Unknown { .. })), "who lost a commit refuses");
        } else {
            let next = self.shared.with(|_| Ok(()));
            assert!(next.is_ok(), "a commit that succeeded leaves the store open");
        }
        outcome
    }

    fn check(&mut self) -> Result<Integrity, StoreError> {
        let mut handle = self.shared.handle.write().unwrap_or_else(PoisonError::into_inner);
        let database = handle.as_mut().map_err(|refusal| refusal.clone())?;
        let checked = contain(PART, || database.check_integrity())?;
        match checked.map_err(|error| opening(error, Path::new(PART)))? {
            true => Ok(Integrity::Sound),
            false => Ok(Integrity::Repaired),
        }
    }
}

impl Shared {
    fn with<T>(
        &self,
        act: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        act(handle.as_ref().map_err(StoreError::clone)?)
    }

    /// Closes the file, so that it can be opened again; waits for reads that are under way.
    fn close(&self, refusal: StoreError) {
        assert!(
            matches!(refusal, StoreError::Unknown { .. } | StoreError::Unavailable { .. }),
            "who meets a closed store may open it again"
        );
        let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        let last = matches!(refusal, StoreError::Unavailable { .. });
        assert!(handle.is_ok() || last, "what is closed is closed again by its end alone");
        let before = std::mem::replace(&mut *handle, Err(refusal));
        if let Err(error) = contain(PART, || drop(before)) {
            tracing::error!(%error, "redb panicked while it closed");
        }
    }

    fn load(&self, keys: &KeyList, visit: &mut LoadVisit<'_>) -> Result<(), StoreError> {
        self.with(|database| {
            let rows = contain(PART, || rows(database))??;
            for (index, key) in keys.iter().enumerate() {
                let found = contain(PART, || rows.get(key))?.map_err(reading)?;
                let value = contain(PART, || found.as_ref().map(AccessGuard::value))?;
                expect_within_limits(key, value.unwrap_or_default())?;
                visit(index, value)?;
            }
            Ok(())
        })
    }

    fn visit(
        &self,
        from: &[u8],
        until: &[u8],
        limit: usize,
        visit: &mut ScanVisit<'_>,
    ) -> Result<(), StoreError> {
        self.with(|database| {
            if from >= until {
                return Ok(());
            }
            let bounds = (Bound::Included(from), Bound::Excluded(until));
            let rows = contain(PART, || rows(database))??;
            let mut range = contain(PART, || rows.range::<&[u8]>(bounds))?.map_err(reading)?;
            let mut last: Option<AccessGuard<'_, &[u8]>> = None;
            for _ in 0..limit {
                let Some(row) = contain(PART, || range.next())? else {
                    break;
                };
                let row = row.map_err(reading)?;
                // redb trusts what a page says of itself; in a damaged one it points elsewhere.
                let (key, value) = contain(PART, || (row.0.value(), row.1.value()))?;
                let ascends = last.as_ref().map_or(from <= key, |last| last.value() < key);
                if !ascends || key >= until {
                    return Err(StoreError::damaged_row(key, "it lies outside of its order"));
                }
                expect_within_limits(key, value)?;
                visit(key, value)?;
                last = Some(row.0);
            }
            Ok(())
        })
    }
}

read_through!(shared: Redb, RedbReader);

fn builder(cache_bytes: usize) -> ::redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    builder
}

/// Returns the format of the file, or none if the file is new.
fn format_version(database: &Database) -> Result<Option<u64>, StoreError> {
    let transaction = database.begin_read().map_err(beginning)?;
    match transaction.open_table(FORMAT) {
        Ok(format) => {
            let version = format.get(FORMAT_KEY).map_err(reading)?;
            match version {
                Some(version) => Ok(Some(version.value())),
                None => Err(StoreError::damaged_part(PART, "it has no format version")),
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {
            let mut tables = transaction.list_tables().map_err(reading)?;
            let mut multimaps = transaction.list_multimap_tables().map_err(reading)?;
            match (tables.next(), multimaps.next()) {
                (None, None) => Ok(None),
                (Some(_), _) | (_, Some(_)) => {
                    Err(StoreError::damaged_part(PART, "it belongs to another program"))
                }
            }
        }
        Err(error) => Err(tabling(error)),
    }
}

fn create_tables(database: &Database) -> Result<(), StoreError> {
    let transaction = begin(database)?;
    {
        let mut format = transaction.open_table(FORMAT).map_err(tabling)?;
        let before = format.insert(FORMAT_KEY, FORMAT_VERSION).map_err(writing)?;
        assert!(before.is_none(), "a new file has no format version");
        let rows = transaction.open_table(ROWS).map_err(tabling)?;
        assert!(rows.first().map_err(writing)?.is_none(), "a new file has no rows");
    }
    transaction.commit().map_err(committing)
}

fn rows(database: &Database) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, StoreError> {
    database.begin_read().map_err(beginning)?.open_table(ROWS).map_err(tabling)
}

fn begin(database: &Database) -> Result<::redb::WriteTransaction, StoreError> {
    let mut transaction = database.begin_write().map_err(beginning)?;
    transaction.set_durability(Durability::Immediate).map_err(StoreError::unsupported)?;
    // Implies two phases. Only the last commit before a crash counts, so it is set on all.
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn write(database: &Database, batch: &Batch) -> Result<(), StoreError> {
    assert!(!batch.is_empty(), "an empty batch needs no transaction");
    let transaction = begin(database)?;
    {
        let mut rows = transaction.open_table(ROWS).map_err(tabling)?;
        for (key, value) in batch.iter() {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(key),
            }
            .map_err(writing)?;
        }
    }
    transaction.commit().map_err(committing)
}

fn opening(error: DatabaseError, path: &Path) -> StoreError {
    let refusal = match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { path: PathBuf::from(path) },
        DatabaseError::UpgradeRequired(version) => StoreError::unsupported(format!(
            "the file is of redb format {version}; export it with the version that wrote it"
        )),
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() == std::io::ErrorKind::InvalidData =>
        {
            StoreError::damaged_part(PART, error)
        }
        DatabaseError::Storage(error) => reading(error),
        other => StoreError::unavailable(other),
    };
    assert!(!matches!(refusal, StoreError::Unknown { .. }), "an open leaves no commit in doubt");
    refusal
}

fn beginning(error: TransactionError) -> StoreError {
    match error {
        TransactionError::Storage(error) => writing(error),
        other => StoreError::unavailable(other),
    }
}

fn tabling(error: TableError) -> StoreError {
    match error {
        TableError::Storage(error) => writing(error),
        other => StoreError::damaged_part(PART, other),
    }
}

/// An error of a read: it says nothing of any commit.
fn reading(error: StorageError) -> StoreError {
    match error {
        StorageError::Corrupted(why) => StoreError::damaged_part(PART, why),
        other => StoreError::unavailable(other),
    }
}

/// An error before `commit` was called: redb has made nothing of the transaction visible.
fn writing(error: StorageError) -> StoreError {
    let refusal = match error {
        StorageError::Io(error) => StoreError::before_write("redb", &error),
        other => reading(other),
    };
    assert!(
        !matches!(refusal, StoreError::Unknown { .. }),
        "what was not committed is not in doubt"
    );
    refusal
}

fn committing(error: CommitError) -> StoreError {
    StoreError::unknown(format!("redb could not finish the commit: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs;

    use super::Redb;
    use crate::MemoryEngine;
    use crate::engine::{AFTER_LAST_KEY, Batch, Engine as _, Read as _, copy_rows};

    /// redb verifies no page that it reads: what it hands out may lie beyond the page, be out of
    /// order, or be longer than anything that was written.
    #[test]
    fn a_damaged_page_is_an_answer_whatever_is_read() {
        const PAGE: usize = 4096;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let mut engine = Redb::open(&path).unwrap();
        for n in 0..20_u8 {
            let rows: Batch = (0..60_u8).map(|key| (vec![key, n], Some(vec![n; 80]))).collect();
            engine.commit(&rows).unwrap();
        }
        drop(engine);
        let good = fs::read(&path).unwrap();
        let mut state = 7_u64;
        let mut below = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
            (state >> 33) as usize % end
        };
        let (mut opened, mut reported) = (0, 0);
        for round in 0..600 {
            let mut bad = good.clone();
            let page = below(good.len() / PAGE) * PAGE;
            for _ in 0..=below(4) {
                // a page says at its beginning where its rows lie
                bad[page + below(if round % 2 == 0 { 64 } else { PAGE })] ^= 1 << below(8);
            }
            fs::write(&path, bad).unwrap();
            let Ok(engine) = Redb::open(&path) else { continue };
            opened += 1;
            let answers = [
                engine.scan(&[], &AFTER_LAST_KEY, usize::MAX).map(drop),
                engine.scan(&[20], &[30], usize::MAX).map(drop),
                copy_rows(&engine, &mut MemoryEngine::new()).map(drop),
                (0..60).try_for_each(|key| engine.get(&[key, 3]).map(drop)),
            ];
            reported += u32::from(answers.iter().any(Result::is_err));
            // redb writes when it closes, and ends the process if it meets the damage then
            std::mem::forget(engine);
            fs::remove_file(&path).unwrap();
        }
        println!("{opened} opened, {reported} of them with damage that was met");
        assert!(reported > 20, "only {reported} were met");
    }
}
