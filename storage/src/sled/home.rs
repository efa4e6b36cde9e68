//! The directory of a store: a lock, the databases, and the name of the one that counts.
//!
//! ```text
//! PATH/lock       held by the process that has the store open
//! PATH/current    "store-7": the database that counts
//! PATH/store-7/   that database
//! PATH/store-8/   one that a compaction is writing, or was when it crashed
//! ```
//!
//! A compaction replaces `current` by a rename, so at every moment one whole database counts.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::{StoreError, fsync};

#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    current: u64,
    /// Whether a file says so. It is written once the first database is there.
    confirmed: bool,
    /// The lock lasts as long as the file is open.
    _lock: File,
}

impl Home {
    /// Returns whether a store lies there, whole or not.
    pub(super) fn exists(path: &Path) -> bool {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.any(|name| name == CURRENT || number(&name).is_some())
    }

    /// Takes the lock, and creates what is missing.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::before_write("the store's directory", &error);
        fs::create_dir_all(path).map_err(failed)?;
        fsync::parent(path)?;
        let lock = File::create(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: path.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let (current, confirmed) = match fs::read_to_string(path.join(CURRENT)) {
            Ok(text) => {
                let current = number(text.trim_end()).ok_or_else(|| {
                    StoreError::damaged_part(CURRENT, format!("{text:?} names no database"))
                })?;
                (current, true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (FIRST, false),
            Err(error) => return Err(failed(error)),
        };
        let home = Self { path: path.to_owned(), current, confirmed, _lock: lock };
        home.expect_current()?;
        Ok(home)
    }

    /// Refuses a store that lost what counts: sled would begin an empty one in its place.
    fn expect_current(&self) -> Result<(), StoreError> {
        if self.confirmed {
            expect_database(&self.current())?;
            return self.remove_others();
        }
        // A crash in the first open leaves at most the first database, which nobody wrote to.
        for found in self.databases()? {
            if found != self.current {
                return Err(StoreError::damaged_part(CURRENT, "it is missing, a database is not"));
            }
        }
        Ok(())
    }

    /// Makes the database that was opened the one that counts, if none did before.
    pub(super) fn confirm(&self) -> Result<(), StoreError> {
        expect_database(&self.current())?;
        match self.confirmed {
            true => Ok(()),
            false => write_current(&self.path, self.current),
        }
    }

    /// Returns the directory of the database that counts.
    pub(super) fn current(&self) -> PathBuf {
        self.path.join(name(self.current))
    }

    /// Returns the directory in which a compaction writes.
    pub(super) fn next(&self) -> PathBuf {
        self.path.join(name(self.current + 1))
    }

    /// Lets the next database count, and removes the one that did.
    pub(super) fn switch_to_next(&mut self) -> Result<(), StoreError> {
        let next = self.next();
        expect_database(&next)?;
        write_current(&self.path, self.current + 1)?;
        self.current += 1;
        self.confirmed = true;
        assert_eq!(self.current(), next, "what was next counts");
        self.remove_others()
    }

    /// Removes the databases that do not count: a finished or an interrupted compaction's.
    fn remove_others(&self) -> Result<(), StoreError> {
        assert!(self.confirmed, "a file says which one is kept");
        for found in self.databases()? {
            if found != self.current {
                let other = self.path.join(name(found));
                assert_ne!(other, self.current(), "what counts is never removed");
                assert!(other.starts_with(&self.path), "only what lies in the store is removed");
                fs::remove_dir_all(other)
                    .map_err(|error| StoreError::before_write("an old database", &error))?;
            }
        }
        Ok(())
    }

    fn databases(&self) -> Result<Vec<u64>, StoreError> {
        let failed = |error| StoreError::before_write("the store's directory", &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            found.extend(entry.map_err(failed)?.file_name().to_str().and_then(number));
        }
        Ok(found)
    }
}

/// Returns how many bytes the files in a directory and below it have.
pub(super) fn bytes_in(path: &Path) -> Result<u64, StoreError> {
    let failed = |error| StoreError::before_write("the size of the store", &error);
    let mut bytes = 0;
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        assert!(directory.starts_with(path), "only what lies below is counted");
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let metadata = entry.metadata().map_err(failed)?;
            match metadata.is_dir() {
                true => directories.push(entry.path()),
                false => bytes += metadata.len(),
            }
        }
    }
    Ok(bytes)
}

const LOCK: &str = "lock";
const CURRENT: &str = "current";
const CURRENT_NEW: &str = "current.new";
const FIRST: u64 = 1;
const PREFIX: &str = "store-";

const _: () = assert!(FIRST < u64::MAX, "there is a next database after the first");
const _: () = assert!(LOCK.as_bytes()[0] != PREFIX.as_bytes()[0], "the lock is no database");
const _: () = assert!(CURRENT.as_bytes()[0] != PREFIX.as_bytes()[0], "nor is the name of one");
const _: () = assert!(CURRENT.len() < CURRENT_NEW.len(), "a name is replaced, not written over");

fn name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Refuses a database that is not there: sled would begin an empty one in its place.
fn expect_database(path: &Path) -> Result<(), StoreError> {
    if path.join("db").exists() {
        return Ok(());
    }
    Err(StoreError::damaged_part(CURRENT, format!("{} is not there", path.display())))
}

fn write_current(path: &Path, current: u64) -> Result<(), StoreError> {
    let name = name(current);
    assert_eq!(number(&name), Some(current), "a name is read as it is written");
    let failed = |error| StoreError::before_write("the name of the current database", &error);
    let new = path.join(CURRENT_NEW);
    let mut file = File::create(&new).map_err(failed)?;
    file.write_all(name.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&new, path.join(CURRENT)).map_err(failed)?;
    fsync::entry(path)
}
