//! The file outside the database by which a till notices that its database was exchanged.
//!
//! Text, three lines: `counterfoil witness 1`, `install <16 hex>`, `boot <16 hex>`. What cannot be
//! read counts as absent and is reported: the till then opens a new epoch, which is always safe.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use counterfoil_protocol::identity::Witness;

const HEADER: &str = "counterfoil witness 1";
/// A witness has 67 bytes; what is longer is none.
const BYTES_MAX: u64 = 256;

/// Where a till keeps its witness: a file, or a simulator's memory.
pub trait Keeper: Send {
    /// Returns what stands there.
    ///
    /// # Errors
    /// The place cannot be read at all. The caller must not open the till: it could not tell a
    /// restored database from its own.
    fn read(&mut self) -> io::Result<Found>;

    /// Replaces it, durably, or leaves it as it was.
    ///
    /// # Errors
    /// Nothing is known to have been written; the caller must not sell.
    fn write(&mut self, witness: Witness) -> io::Result<()>;
}

/// What stood where a witness should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A witness.
    Witness(Witness),
    /// Nothing.
    Absent,
    /// Something else. It counts as absent, and a person is told.
    Garbage,
}

impl Found {
    /// Returns the witness, if there is a readable one.
    #[must_use]
    pub const fn witness(self) -> Option<Witness> {
        match self {
            Self::Witness(witness) => Some(witness),
            Self::Absent | Self::Garbage => None,
        }
    }
}

/// The witness as a file.
#[derive(Clone, Debug)]
pub struct WitnessFile {
    path: PathBuf,
}

impl WitnessFile {
    /// Names the file; its directory must exist when it is written.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Keeper for WitnessFile {
    fn read(&mut self) -> io::Result<Found> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(parse(&bytes).map_or(Found::Garbage, Found::Witness))
    }

    fn write(&mut self, witness: Witness) -> io::Result<()> {
        write_atomically(&self.path, text(witness).as_bytes(), 0o644)
    }
}

/// A witness in memory: tests and simulation.
#[derive(Clone, Copy, Debug, Default)]
pub struct WitnessCell(pub Option<Witness>);

impl Keeper for WitnessCell {
    fn read(&mut self) -> io::Result<Found> {
        Ok(self.0.map_or(Found::Absent, Found::Witness))
    }

    fn write(&mut self, witness: Witness) -> io::Result<()> {
        self.0 = Some(witness);
        Ok(())
    }
}

/// Returns the content of a witness file.
#[must_use]
pub fn text(witness: Witness) -> String {
    let Witness { install, boot } = witness;
    format!("{HEADER}\ninstall {install:016x}\nboot {boot:016x}\n")
}

/// Reads the content of a witness file; `None` is anything but the form that [`text`] writes.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Witness> {
    let content = std::str::from_utf8(bytes).ok()?;
    let mut lines = content.lines();
    if lines.next() != Some(HEADER) {
        return None;
    }
    let install = number(lines.next()?.strip_prefix("install ")?)?;
    let boot = number(lines.next()?.strip_prefix("boot ")?)?;
    let witness = Witness { install, boot };
    // One canonical form: a file that was cut, or has more in it, is not what we wrote.
    (text(witness) == content).then_some(witness)
}

fn number(hex: &str) -> Option<u64> {
    u64::from_str_radix(hex, 16).ok()
}

/// Replaces `path`: a new file beside it, synced, renamed over it, and the directory synced.
///
/// # Errors
/// The file system's. The old content stands unless only the last step failed.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // A leftover of a crash may have another mode.
    match fs::remove_file(&beside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = created(mode).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)?;
    sync_directory(directory)
}

#[cfg(unix)]
fn created(mode: u32) -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    options
}

#[cfg(not(unix))]
fn created(_mode: u32) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    options
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Elsewhere a directory cannot be opened as a file; the rename is journalled by the system.
#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}
