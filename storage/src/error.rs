//! The one error of this crate, and what its receiver does next.

use std::io;
use std::path::PathBuf;

/// Why a store did not do what it was asked.
///
/// The variants differ in what the caller may assume and must do, not in what went wrong inside:
/// that is prose in `why`, for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, and nothing was written. The caller reports it and may open
    /// the store again later.
    #[error("the store is unavailable, nothing was written: {why}")]
    Unavailable {
        /// What the engine or the system said.
        why: String,
    },
    /// The disk is full, and nothing was written. The caller frees space and opens the store
    /// again.
    #[error("the disk is full, nothing was written: {why}")]
    Full {
        /// What the engine or the system said.
        why: String,
    },
    /// The transaction may or may not have happened. The caller discards what it was about to
    /// say, drops the handle (which refuses from then on), reopens the store and re-reads.
    #[error("it is not known whether the commit happened, reopen and re-read: {why}")]
    Unknown {
        /// What failed on the way to the disk.
        why: String,
    },
    /// What is stored is not what was written. The caller stops serving, keeps the files, exports
    /// what can still be read, and restores a backup.
    #[error("the store is damaged at {key}: {why}; keep the files, export, restore a backup")]
    Damaged {
        /// The key in hexadecimal, or the part of the store that holds it.
        key: String,
        /// What was expected.
        why: String,
    },
    /// Another handle or process has the store open. The caller asks that process instead.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// What is in use.
        path: PathBuf,
    },
    /// There is no store at that place, and none was made. The caller corrects the place.
    #[error("there is no store at {location}: check its name; nothing was made there")]
    Absent {
        /// Where it was looked for.
        location: String,
    },
    /// This machine or this version cannot keep the engine's promise, so it was not opened. The
    /// caller follows the advice in `why`; waiting does not help.
    #[error("the store cannot be used here: {why}")]
    Unsupported {
        /// What is missing, and what to use instead.
        why: String,
    },
}

impl StoreError {
    /// Returns the code under which this error is shown and logged; it never changes.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. }
            | Self::Full { .. }
            | Self::Unknown { .. }
            | Self::Damaged { .. }
            | Self::Locked { .. }
            | Self::Absent { .. }
            | Self::Unsupported { .. } => "POS_SYNC_STORAGE_FAILED",
        }
    }

    pub(crate) fn unavailable(why: impl ToString) -> Self {
        let why = why.to_string();
        assert!(!why.is_empty(), "an error says why");
        Self::Unavailable { why }
    }

    /// Says that the handle was closed, by its owner.
    pub(crate) fn closed() -> Self {
        Self::unavailable("the store is closed")
    }

    pub(crate) fn unknown(why: impl ToString) -> Self {
        let why = why.to_string();
        assert!(!why.is_empty(), "an error says why");
        Self::Unknown { why }
    }

    pub(crate) fn unsupported(why: impl ToString) -> Self {
        let why = why.to_string();
        assert!(!why.is_empty(), "an error says why");
        Self::Unsupported { why }
    }

    /// Names a place in a store that is not a row.
    pub(crate) fn damaged_part(part: &str, why: impl ToString) -> Self {
        assert!(!part.is_empty(), "damage has a place");
        let why = why.to_string();
        assert!(!why.is_empty(), "an error says why");
        Self::Damaged { key: part.to_owned(), why }
    }

    pub(crate) fn damaged_row(key: &[u8], why: impl ToString) -> Self {
        use std::fmt::Write as _;
        let mut hex = String::with_capacity(key.len() * 2);
        for byte in key {
            write!(hex, "{byte:02x}").expect("a string takes every write");
        }
        assert_eq!(hex.len(), key.len() * 2, "two digits name a byte");
        let why = why.to_string();
        assert!(!why.is_empty(), "an error says why");
        Self::Damaged { key: hex, why }
    }

    /// An I/O error on the way to a file, before any row of a batch was written.
    pub(crate) fn before_write(what: &str, error: &io::Error) -> Self {
        assert!(!what.is_empty(), "an error says what was tried");
        let why = format!("{what}: {error}");
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        match full.contains(&error.kind()) {
            true => Self::Full { why },
            false => Self::Unavailable { why },
        }
    }
}
