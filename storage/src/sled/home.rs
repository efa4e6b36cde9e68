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
        fsync::create_directory(path)?;
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
                let named = number(text.trim_end()).filter(|number| *number <= CURRENT_MAX);
                let current = named.ok_or_else(|| {
                    StoreError::damaged_part(CURRENT, format!("{text:?} names no database"))
                })?;
                (current, true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (FIRST, false),
            Err(error) => return Err(failed(error)),
        };
        let home = Self { path: path.to_owned(), current, confirmed, _lock: lock };
        assert!(home.confirmed || home.current == FIRST, "a store that no file names is a first");
        home.expect_current()?;
        Ok(home)
    }

    /// Refuses a store that lost what counts: sled would begin an empty one in its place.
    fn expect_current(&self) -> Result<(), StoreError> {
        if self.confirmed {
            expect_database(&self.current())?;
            // A crash may have come between a rename and its sync: what that name replaced is
            // removed only when the name cannot go back.
            fsync::entry(&self.path)?;
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
        assert!(self.confirmed || self.current == FIRST, "only a first database has no name yet");
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
        assert!(self.current < u64::MAX, "there is a next database, since so few led here");
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
        assert_ne!(self.next(), next, "the next compaction does not write over what counts");
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
/// The highest number that a store opens with: there are as many after it.
const CURRENT_MAX: u64 = u64::MAX / 2;
const PREFIX: &str = "store-";

const _: () = assert!(FIRST < u64::MAX, "there is a next database after the first");
const _: () = assert!(FIRST <= CURRENT_MAX, "a new store opens again");
const _: () = assert!(CURRENT_MAX <= u64::MAX - CURRENT_MAX, "as many databases can follow");
const _: () = assert!(LOCK.as_bytes()[0] != CURRENT.as_bytes()[0], "the lock names no database");
const _: () = assert!(CURRENT_NEW.as_bytes()[0] != PREFIX.as_bytes()[0], "nor is the next name");
const _: () = assert!(PREFIX.as_bytes()[PREFIX.len() - 1] == b'-', "a number begins behind it");
const _: () = assert!(LOCK.as_bytes()[0] != PREFIX.as_bytes()[0], "the lock is no database");
const _: () = assert!(CURRENT.as_bytes()[0] != PREFIX.as_bytes()[0], "nor is the name of one");
const _: () = assert!(CURRENT.len() < CURRENT_NEW.len(), "a name is replaced, not written over");

fn name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

/// Returns the number of a database, given its name as [`name`] writes it: "store-07" is somebody
/// else's, and is not taken for "store-7".
fn number(given: &str) -> Option<u64> {
    let number = given.strip_prefix(PREFIX)?.parse().ok()?;
    (name(number) == given).then_some(number)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs;
    use std::path::Path;

    use super::{CURRENT, Home, name, number};
    use crate::StoreError;

    #[test]
    fn a_name_is_a_databases_if_it_is_written_as_one() {
        for any in [0, 1, 7, 10, u64::MAX] {
            assert_eq!(number(&name(any)), Some(any));
        }
        for other in ["store-", "store-07", "store-+7", "store-7 ", "store-18446744073709551616"] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    fn database(home: &Path, name: &str) {
        fs::create_dir_all(home.join(name)).unwrap();
        fs::write(home.join(name).join("db"), "").unwrap();
    }

    #[test]
    fn a_directory_of_somebody_else_neither_counts_nor_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("home");
        database(&home, "store-8");
        database(&home, "store-07");
        fs::write(home.join(CURRENT), "store-8").unwrap();
        drop(Home::open(&home).unwrap());
        assert!(home.join("store-07").exists());
    }

    #[test]
    fn a_database_after_which_there_is_none_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let last = name(u64::MAX);
        database(directory.path(), &last);
        fs::write(directory.path().join(CURRENT), last).unwrap();
        let refused = Home::open(directory.path()).err();
        assert!(matches!(refused, Some(StoreError::Damaged { .. })), "{refused:?}");
    }
}
