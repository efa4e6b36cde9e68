//! The archive's file: one writer, many readers, opened again after a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use counterfoil_protocol::machine::{Page, Query, Store as _};
use counterfoil_protocol::terminal::archive::{Archive, Step};
use counterfoil_protocol::terminal::{Key, Record, Terminal};
use counterfoil_storage::{KeyValue, Reader, Redb, StoreError};

/// The bytes of cache: it is seldom read.
const CACHE_BYTES: usize = 8 << 20;

type Rows = KeyValue<Terminal, Redb>;
type RowsReader = Reader<Terminal, Redb>;

/// A till's archive; clones are the same file. There may be none yet.
#[derive(Clone, Debug)]
pub struct ArchiveFile(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    writer: Mutex<Option<Rows>>,
    /// Readers do not wait for the writer.
    reader: RwLock<Result<Option<RowsReader>, StoreError>>,
}

impl ArchiveFile {
    /// Opens the archive at `path`, if there is one.
    ///
    /// # Errors
    /// As [`Redb::open`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let rows = if is_there(path)? { Some(open(path)?) } else { None };
        let reader = RwLock::new(Ok(rows.as_ref().map(KeyValue::reader)));
        let path = path.to_owned();
        Ok(Self(Arc::new(Shared { path, writer: Mutex::new(rows), reader })))
    }

    /// Returns where it stands.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Returns the books of the archive, if there is one.
    ///
    /// # Errors
    /// The file's.
    pub fn books(&self) -> Result<Option<Archive>, StoreError> {
        let Some(reader) = self.reader()? else { return Ok(None) };
        Ok(match reader.get_now(&Key::Archive)? {
            Some(Record::Archive(books)) => Some(books),
            Some(_) | None => None,
        })
    }

    /// Looks whether this is the archive that a database has left its entries for, and holds them.
    ///
    /// # Errors
    /// Why not.
    pub fn must_hold(&self, left: &Archive) -> Result<(), String> {
        let entries = left.entries;
        match self.books().map_err(|error| error.to_string())? {
            None => Err(format!("it is not there, and {entries} entries have left for it")),
            Some(held) if held.id != left.id => {
                Err(format!("it is another one than {entries} entries have left for"))
            }
            Some(held) if held.step < left.step => Err(format!(
                "it is older than the database: it has {} of {} steps",
                held.step, left.step
            )),
            Some(_) => Ok(()),
        }
    }

    /// Copies the rows of a step that are not there, and makes them durable; `id` names the archive
    /// if there is none. It waits for the disk.
    ///
    /// # Errors
    /// The file's: then nobody knows what was copied, and the file is opened again. Readers are
    /// told if that fails too.
    pub fn copy(&self, id: u64, step: &Step) -> Result<(), StoreError> {
        let mut writer = self.writer();
        if writer.is_none() {
            // What could not be opened again may be there.
            let path = &self.0.path;
            let rows = if is_there(path)? { open(path)? } else { create(path)? };
            self.read_from(Ok(Some(rows.reader())));
            *writer = Some(rows);
        }
        let rows = writer.as_mut().expect("it was made above");
        let copied = at_once(rows.transact(step.keys(), |held| step.copy(id, held)));
        if copied.is_err() {
            // Its handle is dead. What was committed before is in the file.
            *writer = None;
            let opened = open(&self.0.path);
            self.read_from(match &opened {
                Ok(rows) => Ok(Some(rows.reader())),
                Err(error) => Err(error.clone()),
            });
            *writer = opened.ok();
        }
        copied
    }

    fn writer(&self) -> MutexGuard<'_, Option<Rows>> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_from(&self, reader: Result<Option<RowsReader>, StoreError>) {
        *self.0.reader.write().unwrap_or_else(PoisonError::into_inner) = reader;
    }

    fn reader(&self) -> Result<Option<RowsReader>, StoreError> {
        self.0.reader.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Query<Terminal> for ArchiveFile {
    type Error = StoreError;

    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        match self.reader()? {
            Some(reader) => reader.get_now(key),
            None => Ok(None),
        }
    }

    async fn scan(
        &self,
        from: &Key,
        until: &Key,
        limit: usize,
    ) -> Result<Page<Terminal>, StoreError> {
        match self.reader()? {
            Some(reader) => reader.scan_now(from, until, limit),
            None => Ok(Vec::new()),
        }
    }
}

fn is_there(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|error| StoreError::Unavailable { why: error.to_string() })
}

fn open(path: &Path) -> Result<Rows, StoreError> {
    Ok(KeyValue::new(Redb::open_with_cache(path, CACHE_BYTES)?))
}

/// Makes an archive under another name first: whoever is killed meanwhile leaves none, or all.
fn create(path: &Path) -> Result<Rows, StoreError> {
    let new = path.with_extension("new");
    let failed = |error: std::io::Error| StoreError::Unavailable { why: error.to_string() };
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    drop(open(&new)?);
    fs::rename(&new, path).map_err(failed)?;
    open(path) // which makes the name durable
}

/// Drives a future that never waits for anything but the disk.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => unreachable!("a store of files is ready at once"),
    }
}
