//! One sled database: opened with the hard sync, read and written as rows.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::chunks::{self, CHUNK_BYTES, FORMAT_KEY, Stored, TALLY_KEY};
use super::hard_sync::HardSync;
use super::tally::{Tally, Witness};
use crate::contain::contain;
use crate::engine::{
    BATCH_ROWS_MAX, Batch, Integrity, KeyList, LoadVisit, Read, ScanVisit, VALUE_BYTES_MAX,
    expect_within_limits,
};
use crate::{StoreError, fsync};

/// What the damage messages call this store.
pub(super) const PART: &str = "sled store";

const CACHE_BYTES: u64 = 64 << 20;
const FORMAT_VERSION: &[u8] = &[1];
/// The most commits that a store opens with: as many more can follow before the count ends.
const COMMITS_MAX: u64 = u64::MAX / 2;

const _: () = assert!(CACHE_BYTES >= VALUE_BYTES_MAX as u64, "the cache holds any one value");
const _: () = assert!(COMMITS_MAX <= u64::MAX - COMMITS_MAX, "as many commits can follow");
const _: () = assert!(CACHE_BYTES <= 1 << 30, "a cache is a part of a small server's memory");
const _: () = assert!(FORMAT_VERSION.len() <= CHUNK_BYTES, "the format lies in the log");
const _: () = assert!(FORMAT_VERSION.len() == 1, "a version is one byte");
const _: () = assert!(FORMAT_VERSION[0] != 0, "a version is not what a page of zeroes says");

/// Fields drop in this order: sled first, then our handle on its log.
#[derive(Debug)]
pub(super) struct Generation {
    db: ::sled::Db,
    log: File,
    path: PathBuf,
    /// What the rows add up to, as of the last commit.
    tally: Tally,
    witness: Witness,
}

impl Generation {
    pub(super) fn open(path: &Path, hard_sync: HardSync) -> Result<Self, StoreError> {
        remove_unfinished_snapshots(path)?;
        let db = open_sled(path)?;
        hard_sync.verify()?; // sled may have started threads
        let log_path = path.join("db");
        let log = File::open(&log_path)
            .map_err(|error| StoreError::before_write("sled's log cannot be opened", &error))?;
        check_format(&db, &log)?;
        let tally = check_tally(&db)?;
        let witness = Witness::open(&path.join("witness"), tally)?;
        for part in ["conf", "blobs", ""] {
            fsync::entry(&path.join(part))?;
        }
        fsync::parent(path)?;
        assert_eq!(witness.commits, tally.commits, "the witness begins where the tally stands");
        Ok(Self { db, log, path: path.to_owned(), tally, witness })
    }

    /// Applies the batch to the tree and to the disk. It ends the process rather than return
    /// without knowing what lies there: see [`end_process`].
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        assert!(batch.len() <= BATCH_ROWS_MAX, "a batch is within the limit of every engine");
        assert_eq!(self.witness.commits, self.tally.commits, "the witness saw every commit");
        assert!(self.tally.commits < u64::MAX, "there is a next commit, since so few led here");
        let (mut appeared, mut vanished) = (0_u64, 0_u64);
        let mut writes = ::sled::Batch::default();
        let mut tally = self.tally;
        let mut row_key = Vec::with_capacity(64);
        for (key, value) in batch.iter() {
            chunks::row_key(key, &mut row_key);
            let (mut before, mut replaces) = (0, false);
            if let Some(replaced) = contain(PART, || self.db.get(&row_key))?.map_err(reading)? {
                before = Stored::decode(key, &replaced)?.chunks();
                tally.subtract(&row_key, &replaced);
                replaces = true;
            }
            let now = match value {
                Some(value) => {
                    let stored = Stored::of(value);
                    let bytes = stored.encode();
                    tally.add(&row_key, &bytes);
                    writes.insert(row_key.as_slice(), bytes);
                    insert_chunks(&mut writes, key, value, stored.chunks());
                    stored.chunks()
                }
                None => {
                    writes.remove(row_key.as_slice());
                    0
                }
            };
            appeared += u64::from(value.is_some() && !replaces);
            vanished += u64::from(value.is_none() && replaces);
            for index in now..before {
                writes.remove(chunks::chunk_key(key, index));
            }
        }
        let changes = batch.len() as u64;
        assert!(appeared + vanished <= changes, "a change adds or removes at most one row");
        assert_eq!(
            tally.rows + vanished,
            self.tally.rows + appeared,
            "the tally has what was there, what came, and not what went"
        );
        tally.commits += 1;
        writes.insert(TALLY_KEY, &tally.encode());
        apply(&self.db, &self.log, writes);
        if let Err(error) = self.witness.record(tally.commits) {
            end_process(&error.to_string());
        }
        self.tally = tally;
        assert_eq!(self.witness.commits, self.tally.commits, "the witness saw this commit");
        Ok(())
    }

    pub(super) fn check(&self) -> Result<Integrity, StoreError> {
        assert_eq!(self.witness.commits, self.tally.commits, "the witness saw every commit");
        self.tally.compare(add_up(&self.db)?)?;
        let mut chunks = 0_u64;
        let mut found = self.db.scan_prefix(chunks::chunk_prefix());
        while let Some(chunk) = contain(PART, || found.next())? {
            chunk.map_err(reading)?;
            chunks += 1;
        }
        let mut expected = 0_u64;
        let mut stored = self.db.scan_prefix(chunks::row_prefix());
        while let Some(row) = contain(PART, || stored.next())? {
            let (key, value) = row.map_err(reading)?;
            let key = chunks::key_of_row(&key).expect("a range of rows holds rows");
            expected += u64::from(Stored::decode(key, &value)?.chunks());
        }
        if chunks != expected {
            let why = format!("{chunks} chunks where the rows have {expected}");
            return Err(StoreError::damaged_part(PART, why));
        }
        match self.blob_files()? {
            0 => Ok(Integrity::Sound),
            some => Err(StoreError::damaged_part(PART, format!("{some} unsynced blobs"))),
        }
    }

    /// Returns how many rows there are, as of the last commit.
    pub(super) const fn rows(&self) -> u64 {
        self.tally.rows
    }

    /// Returns the directory in which the database lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn blob_files(&self) -> Result<usize, StoreError> {
        fs::read_dir(self.path.join("blobs"))
            .map(Iterator::count)
            .map_err(|error| StoreError::before_write("blobs/", &error))
    }

    fn give(
        &self,
        key: &[u8],
        stored: &[u8],
        give: impl FnOnce(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // Before anything is made of the key: a chunk's key has no room for a longer one.
        expect_within_limits(key, &[])?;
        match Stored::decode(key, stored)? {
            Stored::Inline(value) => {
                expect_within_limits(key, value)?;
                give(value)
            }
            Stored::Chunked(head) => {
                let value = head.join(key, |index| {
                    let chunk = chunks::chunk_key(key, index);
                    contain(PART, || self.db.get(chunk))?.map_err(reading)
                })?;
                expect_within_limits(key, &value)?;
                give(&value)
            }
        }
    }
}

impl Read for Generation {
    fn load(&self, keys: &KeyList, visit: &mut LoadVisit<'_>) -> Result<(), StoreError> {
        let mut row_key = Vec::with_capacity(64);
        for (index, key) in keys.iter().enumerate() {
            chunks::row_key(key, &mut row_key);
            match contain(PART, || self.db.get(&row_key))?.map_err(reading)? {
                Some(stored) => self.give(key, &stored, |value| visit(index, Some(value)))?,
                None => visit(index, None)?,
            }
        }
        Ok(())
    }

    fn visit(
        &self,
        from: &[u8],
        until: &[u8],
        limit: usize,
        visit: &mut ScanVisit<'_>,
    ) -> Result<(), StoreError> {
        if from >= until {
            return Ok(());
        }
        let (mut first, mut end) = (Vec::new(), Vec::new());
        chunks::row_key(from, &mut first);
        chunks::row_key(until, &mut end);
        assert!(first < end, "the order of the tree is the order of the keys");
        let mut rows = self.db.range(first..end);
        for _ in 0..limit {
            let Some(row) = contain(PART, || rows.next())? else {
                break;
            };
            let (row_key, stored) = row.map_err(reading)?;
            let key = chunks::key_of_row(&row_key).expect("a range of rows holds rows");
            assert!(from <= key && key < until, "a scan keeps its bounds");
            self.give(key, &stored, |value| visit(key, value))?;
        }
        Ok(())
    }
}

/// Applies a batch to the tree, then to the disk: after this it is durable.
fn apply(db: &::sled::Db, log: &File, writes: ::sled::Batch) {
    // One batch is one atomic unit of sled's recovery: a torn one is cut off as a whole.
    if let Err(why) = flatten(contain(PART, || db.apply_batch(writes))) {
        end_process(&why);
    }
    if let Err(why) = flatten(contain(PART, || db.flush())) {
        end_process(&why);
    }
    if let Err(error) = log.sync_data() {
        end_process(&error.to_string());
    }
}

fn insert_chunks(writes: &mut ::sled::Batch, key: &[u8], value: &[u8], count: u32) {
    if count == 0 {
        assert!(value.len() <= CHUNK_BYTES, "a row without chunks is small");
        return;
    }
    assert!(value.len() > CHUNK_BYTES, "a row with chunks is large");
    assert_eq!(value.chunks(CHUNK_BYTES).len(), count as usize, "the head counts the chunks");
    let mut bytes = 0;
    for (index, chunk) in (0..count).zip(value.chunks(CHUNK_BYTES)) {
        bytes += chunk.len();
        assert!(!chunk.is_empty(), "a chunk holds a part of the value");
        assert!(chunk.len() <= CHUNK_BYTES, "sled keeps small values in its log");
        writes.insert(chunks::chunk_key(key, index), chunk);
    }
    assert_eq!(bytes, value.len(), "the chunks are the whole value");
}

/// Refuses a store of another format; begins a new one with a format and an empty tally.
fn check_format(db: &::sled::Db, log: &File) -> Result<(), StoreError> {
    match contain(PART, || db.get(FORMAT_KEY))?.map_err(reading)? {
        Some(format) if format == FORMAT_VERSION => Ok(()),
        Some(format) => Err(StoreError::unsupported(format!(
            "the store has format {format:?}, this version reads {FORMAT_VERSION:?}; update"
        ))),
        None if contain(PART, || db.iter().next())?.is_none() => {
            let mut first = ::sled::Batch::default();
            first.insert(FORMAT_KEY, FORMAT_VERSION);
            first.insert(TALLY_KEY, &Tally::default().encode());
            apply(db, log, first);
            Ok(())
        }
        None => Err(StoreError::damaged_part(PART, "it has rows but no format version")),
    }
}

/// Reads the tally of the last commit, and every row: they must add up to it.
fn check_tally(db: &::sled::Db) -> Result<Tally, StoreError> {
    let stored = contain(PART, || db.get(TALLY_KEY))?.map_err(reading)?;
    let tally = stored
        .and_then(|stored| Tally::decode(&stored))
        .ok_or_else(|| StoreError::damaged_part(PART, "it has no tally of its rows"))?;
    if tally.commits > COMMITS_MAX {
        return Err(StoreError::damaged_part(PART, "it counts more commits than can have been"));
    }
    tally.compare(add_up(db)?)?;
    Ok(tally)
}

fn add_up(db: &::sled::Db) -> Result<Tally, StoreError> {
    let mut found = Tally::default();
    let mut rows = db.scan_prefix(chunks::row_prefix());
    while let Some(row) = contain(PART, || rows.next())? {
        let (row_key, stored) = row.map_err(reading)?;
        found.add(&row_key, &stored);
    }
    assert!(found.rows > 0 || found == Tally::default(), "no rows add up to nothing");
    Ok(found)
}

/// Ends the process after a write or a sync that failed.
///
/// The kernel drops the pages that it could not write and forgets the error with the first report,
/// so a second sync would succeed and mean nothing. sled's own memory is ahead of its disk as
/// well. Only a new process reads what truly lies there, so this one must not say another word.
pub(super) fn end_process(why: &str) -> ! {
    tracing::error!(why, "sled could not make a commit durable; the process ends");
    eprintln!("counterfoil: sled could not make a commit durable, the process ends: {why}");
    std::process::abort()
}

fn flatten<T>(result: Result<::sled::Result<T>, StoreError>) -> Result<T, String> {
    match result {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(panic.to_string()),
    }
}

/// Opens sled. Another process cannot have it, as we hold the lock on its home; what may have it
/// for a moment is the last background task of a handle that this process has just dropped.
fn open_sled(path: &Path) -> Result<::sled::Db, StoreError> {
    const TRIES_MAX: u32 = 500;
    const PAUSE: Duration = Duration::from_millis(10);
    const { assert!(TRIES_MAX > 0, "it is tried at least once") };
    const { assert!(TRIES_MAX as u128 * PAUSE.as_millis() <= 10_000, "nobody waits for long") };
    let config = ::sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let mut tries = 0;
    loop {
        match contain(PART, || config.open())? {
            Ok(db) => return Ok(db),
            Err(::sled::Error::Io(error)) if error.to_string().contains("acquire lock") => {
                tries += 1;
                if tries == TRIES_MAX {
                    return Err(StoreError::Locked { path: path.to_owned() });
                }
                assert!(tries < TRIES_MAX, "the tries end");
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(reading(error)),
        }
    }
}

/// Removes what a crash left of a snapshot in the making. sled would write the next one of the
/// same name over it without cutting it, and take the rest of the longer one for its checksum.
fn remove_unfinished_snapshots(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::before_write("an unfinished snapshot", &error);
    if !path.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        if entry.extension().is_some_and(|extension| extension == "generating") {
            assert!(entry.starts_with(path), "only what lies in the store is removed");
            fs::remove_file(&entry).map_err(failed)?;
        }
    }
    Ok(())
}

fn reading(error: ::sled::Error) -> StoreError {
    let refusal = match error {
        ::sled::Error::Io(error) => StoreError::before_write("sled", &error),
        ::sled::Error::Unsupported(why) => StoreError::unsupported(why),
        ::sled::Error::Corruption { .. }
        | ::sled::Error::ReportableBug(_)
        | ::sled::Error::CollectionNotFound(_) => StoreError::damaged_part(PART, error),
    };
    assert!(!matches!(refusal, StoreError::Unknown { .. }), "a read leaves no commit in doubt");
    refusal
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    #![allow(clippy::field_reassign_with_default, reason = "the sum is the tally's own")]

    use super::super::chunks::{Stored, TALLY_KEY};
    use super::super::hard_sync;
    use super::super::tally::Tally;
    use super::Generation;
    use crate::StoreError;
    use crate::engine::{AFTER_LAST_KEY, Read as _};

    #[test]
    fn a_key_longer_than_any_that_was_written_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let hard_sync = hard_sync::install().unwrap();
        let generation = Generation::open(&directory.path().join("store-1"), hard_sync).unwrap();
        let row_key = [&b"r"[..], &[b'k'; 70_000]].concat();
        for value in [&[7_u8; 10][..], &[7; 5_000]] {
            generation.db.insert(&row_key, Stored::of(value).encode()).unwrap();
            let read = generation.visit(&[], &AFTER_LAST_KEY, usize::MAX, &mut |_, _| Ok(()));
            assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
        }
    }

    #[test]
    fn a_count_of_commits_that_nobody_can_have_made_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store-1");
        let hard_sync = hard_sync::install().unwrap();
        let generation = Generation::open(&path, hard_sync).unwrap();
        let mut tally = Tally::default();
        tally.commits = u64::MAX;
        generation.db.insert(TALLY_KEY, &tally.encode()).unwrap();
        generation.db.flush().unwrap();
        drop(generation);
        let refused = Generation::open(&path, hard_sync).err();
        assert!(matches!(refused, Some(StoreError::Damaged { .. })), "{refused:?}");
    }
}
