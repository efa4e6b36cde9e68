//! A copy of a whole store in one file, and back: for any engine, so that a store can also be moved
//! from one to another.
//!
//! | bytes | what |
//! |---|---|
//! | 21 | `counterfoil backup 1`, and a line feed |
//! | 2, little-endian | the length of a key, from 1; 0 behind the last row |
//! | that many | the key, above the one before it |
//! | 4, little-endian | the length of the row |
//! | that many | the row, with its checksum, as engines keep it |
//! | 8, little-endian | behind the last row: how many rows there are |
//! | 32 | the BLAKE3 digest of all bytes before it |
//!
//! A backup is read to its end and proven before the first row is written, and a store that is
//! restored has its name only once it is whole and checked: nothing half-done is ever served. In
//! PostgreSQL, where it has its name before, one transaction brings all of it. What the cloud lost
//! since its backup, the tills offer again (B.4).

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use counterfoil_protocol::persist::KEY_BYTES_MAX;
use counterfoil_storage::engine::{AFTER_LAST_KEY, BATCH_ROWS_MAX, VALUE_BYTES_MAX};
use counterfoil_storage::{Batch, Engine as _, Location, Read as _, StoreError};

use crate::node::{AnyReads, Local};

const MAGIC: &[u8; 21] = b"counterfoil backup 1\n";
/// How many rows are read, or written, at once.
const PAGE: usize = 4_096;
/// How many bytes of rows are written at once; a row alone may be larger.
const PAGE_BYTES: usize = 8 << 20;
const DIGEST: usize = blake3::OUT_LEN;

const _: () = assert!(KEY_BYTES_MAX <= u16::MAX as usize, "a key's length can be written");
const _: () = assert!(VALUE_BYTES_MAX <= u32::MAX as usize, "a row's length can be written");

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Copied {
    /// How many rows.
    pub rows: u64,
    /// How many bytes the file has.
    pub bytes: u64,
}

/// Why there is no copy. Nothing that was there has changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store cannot be opened, read or written; its message says what to do.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Something stands where the copy is to be.
    #[error("{0} is there already: name another place, or move it away")]
    Exists(String),
    /// The file is no backup, or not whole.
    #[error("{} is no whole backup ({why}): take another one", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There are more rows than one transaction may have.
    #[error(
        "{rows} rows are more than one transaction may write ({BATCH_ROWS_MAX}): copy a PostgreSQL \
         database of that size with pg_dump and pg_restore"
    )]
    TooLarge {
        /// How many.
        rows: u64,
    },
    /// Such a store cannot be restored into.
    #[error("memory: ends with this command: name sled:PATH or redb:PATH")]
    Memory,
}

fn file(path: &Path) -> impl Fn(io::Error) -> BackupError {
    move |error| BackupError::File { path: path.to_owned(), error }
}

/// Copies a store into a new file; `reads` are of one moment.
///
/// # Errors
/// [`BackupError`]; there is no new file then.
pub fn back_up(reads: &AnyReads, to: &Path) -> Result<Copied, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.display().to_string()));
    }
    let partial = beside(to, "partial");
    let out = File::create(&partial).map_err(file(&partial))?;
    let copied = write_rows(reads, BufWriter::new(out), &partial);
    let copied = copied.and_then(|copied| {
        fs::rename(&partial, to).map_err(file(to))?;
        sync_parent(to)?;
        Ok(copied)
    });
    if copied.is_err() {
        let _gone = fs::remove_file(&partial);
    }
    copied
}

/// Makes a new store of a backup.
///
/// # Errors
/// [`BackupError`]; there is no new store then.
pub fn restore(from: &Path, to: &Location) -> Result<Copied, BackupError> {
    let place = match to {
        Location::Sled(path) | Location::Redb(path) => path,
        Location::Postgres(_) => return restore_at_once(from, to),
        Location::Memory => return Err(BackupError::Memory),
    };
    if place.exists() {
        return Err(BackupError::Exists(to.to_string()));
    }
    // Once to prove all of it, then to write it.
    let proven = read_rows(from, |_, _| Ok(()))?;
    let partial = beside(place, "restoring");
    clear(&partial)?;
    let located = match to {
        Location::Sled(_) => Location::Sled(partial.clone()),
        Location::Redb(_) | Location::Postgres(_) | Location::Memory => {
            Location::Redb(partial.clone())
        }
    };
    let written = write_store(from, &located).and_then(|written| {
        let checked = Local::open_existing(&located)?.check()?;
        if written != proven || checked.rows != proven.rows {
            return Err(broken(from, "it has changed while it was read"));
        }
        fs::rename(&partial, place).map_err(file(place))?;
        sync_parent(place)?;
        Ok(written)
    });
    if written.is_err() {
        clear(&partial)?;
    }
    written
}

/// A database has its name already: all rows become visible in one transaction, or none.
fn restore_at_once(from: &Path, to: &Location) -> Result<Copied, BackupError> {
    let proven = read_rows(from, |_, _| Ok(()))?;
    if proven.rows > BATCH_ROWS_MAX as u64 {
        return Err(BackupError::TooLarge { rows: proven.rows });
    }
    let mut engine = to.open()?;
    if !engine.scan(&[], &AFTER_LAST_KEY, 1)?.is_empty() {
        return Err(BackupError::Exists(to.to_string()));
    }
    let mut batch = Batch::new();
    let written = read_rows(from, |key, row| {
        batch.put_with(|out| out.extend_from_slice(key), |out, _| out.extend_from_slice(row));
        Ok(())
    })?;
    if written != proven {
        return Err(broken(from, "it has changed while it was read"));
    }
    engine.commit(&batch)?;
    Ok(written)
}

fn write_rows(
    reads: &AnyReads,
    mut out: BufWriter<File>,
    place: &Path,
) -> Result<Copied, BackupError> {
    let mut digest = blake3::Hasher::new();
    let mut copied = Copied::default();
    let mut put = |bytes: &[u8]| {
        digest.update(bytes);
        copied.bytes += bytes.len() as u64;
        out.write_all(bytes).map_err(file(place))
    };
    put(MAGIC)?;
    let mut from = Vec::new();
    let mut rows = 0_u64;
    loop {
        let page = reads.raw().scan(&from, &AFTER_LAST_KEY, PAGE)?;
        for (key, row) in &page {
            put(&(key.len() as u16).to_le_bytes())?;
            put(key)?;
            put(&(row.len() as u32).to_le_bytes())?;
            put(row)?;
            rows += 1;
        }
        match page.into_iter().last() {
            Some((last, _)) => from = [&last[..], &[0]].concat(),
            None => break,
        }
    }
    put(&0_u16.to_le_bytes())?;
    put(&rows.to_le_bytes())?;
    let sum = digest.finalize();
    out.write_all(sum.as_bytes()).map_err(file(place))?;
    let out = out.into_inner().map_err(|error| file(place)(error.into_error()))?;
    out.sync_all().map_err(file(place))?;
    Ok(Copied { rows, bytes: copied.bytes + DIGEST as u64 })
}

fn write_store(from: &Path, to: &Location) -> Result<Copied, BackupError> {
    let mut engine = to.open()?;
    let mut batch = Batch::new();
    let (mut rows, mut bytes) = (0, 0);
    let copied = read_rows(from, |key, row| {
        batch.put_with(|out| out.extend_from_slice(key), |out, _| out.extend_from_slice(row));
        (rows, bytes) = (rows + 1, bytes + key.len() + row.len());
        if rows == PAGE || bytes >= PAGE_BYTES {
            engine.commit(&batch)?;
            batch.clear();
            (rows, bytes) = (0, 0);
        }
        Ok(())
    })?;
    engine.commit(&batch)?;
    Ok(copied)
}

/// Reads a backup to its end, and hands over each row in the order of the keys.
fn read_rows(
    from: &Path,
    row: impl FnMut(&[u8], &[u8]) -> Result<(), BackupError>,
) -> Result<Copied, BackupError> {
    rows_of(BufReader::new(File::open(from).map_err(file(from))?), from, row)
}

/// The same of what was opened; `from` is what a person is told.
///
/// # Errors
/// [`BackupError`]; what was handed over by then is not to be used.
pub fn rows_of(
    input: impl Read,
    from: &Path,
    mut row: impl FnMut(&[u8], &[u8]) -> Result<(), BackupError>,
) -> Result<Copied, BackupError> {
    let mut input = Input { input, digest: blake3::Hasher::new(), bytes: 0, path: from };
    let mut magic = [0; MAGIC.len()];
    input.take(&mut magic)?;
    if magic != *MAGIC {
        return Err(broken(from, "it begins otherwise"));
    }
    let (mut key, mut value, mut last) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = 0_u64;
    loop {
        let mut length = [0; 2];
        input.take(&mut length)?;
        let length = usize::from(u16::from_le_bytes(length));
        if length == 0 {
            break;
        }
        if length > KEY_BYTES_MAX {
            return Err(broken(from, "a key is too long"));
        }
        input.fill(&mut key, length)?;
        if key <= last {
            return Err(broken(from, "its rows are not in order"));
        }
        let mut length = [0; 4];
        input.take(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > VALUE_BYTES_MAX {
            return Err(broken(from, "a row is too long"));
        }
        input.fill(&mut value, length)?;
        row(&key, &value)?;
        std::mem::swap(&mut key, &mut last);
        rows += 1;
    }
    let mut counted = [0; 8];
    input.take(&mut counted)?;
    if u64::from_le_bytes(counted) != rows {
        return Err(broken(from, "rows are missing"));
    }
    let sum = input.digest.finalize();
    let mut written = [0; DIGEST];
    input.input.read_exact(&mut written).map_err(|_| broken(from, "it ends too early"))?;
    if sum != blake3::Hash::from_bytes(written) {
        return Err(broken(from, "its sum is another"));
    }
    if input.input.read(&mut [0]).map_err(file(from))? != 0 {
        return Err(broken(from, "there is more behind its end"));
    }
    Ok(Copied { rows, bytes: input.bytes + DIGEST as u64 })
}

struct Input<'a, R> {
    input: R,
    digest: blake3::Hasher,
    bytes: u64,
    path: &'a Path,
}

impl<R: Read> Input<'_, R> {
    fn take(&mut self, to: &mut [u8]) -> Result<(), BackupError> {
        self.input.read_exact(to).map_err(|error| {
            let cut = error.kind() == io::ErrorKind::UnexpectedEof;
            if cut { broken(self.path, "it ends too early") } else { file(self.path)(error) }
        })?;
        self.digest.update(to);
        self.bytes += to.len() as u64;
        Ok(())
    }

    fn fill(&mut self, to: &mut Vec<u8>, length: usize) -> Result<(), BackupError> {
        assert!(length <= VALUE_BYTES_MAX, "a length was checked before memory is taken");
        to.clear();
        to.resize(length, 0);
        self.take(to)
    }
}

fn broken(path: &Path, why: &'static str) -> BackupError {
    BackupError::Broken { path: path.to_owned(), why }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn clear(path: &Path) -> Result<(), BackupError> {
    let gone = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match gone {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync_parent(path: &Path) -> Result<(), BackupError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(file(parent))
}
