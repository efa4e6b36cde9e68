//! Where a store lies, as an operator writes it, and the engine that is found there.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::engine::{
    Batch, Decide, Engine, Integrity, KeyList, LoadVisit, Read, Remote, ScanVisit, VALUE_BYTES_MAX,
};
#[cfg(feature = "postgres")]
use crate::postgres::{Postgres, PostgresReader};
use crate::redb::CACHE_BYTES_DEFAULT;
use crate::url::Url;
use crate::{MemoryEngine, MemoryReader, Redb, RedbReader, Sled, SledReader, StoreError};

/// The bytes of cache of a redb store that is opened by its location: those who choose their
/// engine are servers.
const SERVER_CACHE_BYTES: usize = 256 << 20;

const _: () = assert!(SERVER_CACHE_BYTES > CACHE_BYTES_DEFAULT, "a server has more than a till");
const _: () = assert!(SERVER_CACHE_BYTES >= VALUE_BYTES_MAX, "the cache holds any one value");
const _: () = assert!(
    SERVER_CACHE_BYTES <= 1 << 30,
    "a cache is a part of a small server's memory, not all of it"
);

/// `sled:PATH`, `redb:PATH`, `postgres://...` or `memory:`. It is shown without a password.
///
/// ```
/// use counterfoil_storage::Location;
///
/// let location: Location = "redb:/var/lib/till/sales.redb".parse()?;
/// assert_eq!(location.to_string(), "redb:/var/lib/till/sales.redb");
/// # Ok::<(), counterfoil_storage::location::LocationError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory that sled keeps.
    Sled(PathBuf),
    /// A file that redb keeps.
    Redb(PathBuf),
    /// A database that a PostgreSQL server keeps, for as many nodes as like.
    Postgres(Url),
    /// Nothing survives the process: trials and tests.
    Memory,
}

/// Why a text names no store. The caller shows it beside the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// It begins with none of the engines. What comes after may be a secret, and is not shown.
    #[error("a store is sled:PATH, redb:PATH, postgres://... or memory:, not {0}")]
    Engine(String),
    /// It is no address of a database.
    #[error(
        "a database is postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE, or the same with the \
         directory of a Unix socket for HOST, each / of it written as %2F"
    )]
    Address,
    /// The engine keeps files, but no path says where.
    #[error("{0}: needs a path, as in {0}:/var/lib/counterfoil/store")]
    NoPath(&'static str),
    /// The engine keeps no files, but a path is given.
    #[error("memory: keeps no files, so it has no path {0:?}")]
    Path(String),
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let path_of = |engine, path: &str| match path {
            "" => Err(LocationError::NoPath(engine)),
            path => Ok(PathBuf::from(path)),
        };
        let location = match text.split_once(':') {
            Some(("sled", path)) => path_of("sled", path).map(Self::Sled)?,
            Some(("redb", path)) => path_of("redb", path).map(Self::Redb)?,
            Some(("memory", "")) => Self::Memory,
            Some(("memory", path)) => return Err(LocationError::Path(path.to_owned())),
            Some(("postgres" | "postgresql", _)) => {
                Self::Postgres(Url::parse(text).ok_or(LocationError::Address)?)
            }
            Some((engine, _)) => return Err(LocationError::Engine(beginning(engine))),
            None => return Err(LocationError::Engine("a text without a colon".to_owned())),
        };
        let kept = !text.starts_with("memory");
        assert_eq!(location != Self::Memory, kept, "files are kept if, and only if, so named");
        let secret = matches!(location, Self::Postgres(_));
        assert!(secret || location.to_string() == text, "a path is shown as it was written");
        Ok(location)
    }
}

/// Returns so much of a name as tells which engine was meant.
fn beginning(engine: &str) -> String {
    const SHOWN_CHARS: usize = 12;
    let shown: String = engine.chars().take(SHOWN_CHARS).collect();
    assert!(engine.starts_with(&shown), "what is shown was given");
    format!("{shown:?}")
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sled(path) => write!(f, "sled:{}", path.display()),
            Self::Redb(path) => write!(f, "redb:{}", path.display()),
            Self::Postgres(url) => url.fmt(f),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

impl Location {
    /// Opens the store, which must be there: whoever wants to look at a store, or to change what is
    /// in it, has mistyped its place otherwise.
    ///
    /// # Errors
    /// [`StoreError::Absent`], and nothing is made; or that of the engine.
    pub fn open_existing(&self) -> Result<AnyEngine, StoreError> {
        let exists = match self {
            Self::Sled(path) => Sled::exists(path),
            Self::Redb(path) => path.exists(),
            Self::Postgres(url) => return postgres(url, false),
            Self::Memory => {
                let why = "memory: begins empty and ends with its process; name sled:PATH or \
                           redb:PATH";
                return Err(StoreError::unsupported(why));
            }
        };
        if exists { self.open() } else { Err(StoreError::Absent { location: self.to_string() }) }
    }

    /// Opens the store, or creates it.
    ///
    /// # Errors
    /// That of the engine.
    pub fn open(&self) -> Result<AnyEngine, StoreError> {
        let engine = match self {
            Self::Sled(path) => AnyEngine::Sled(Sled::open(path)?),
            Self::Redb(path) => AnyEngine::Redb(Redb::open_with_cache(path, SERVER_CACHE_BYTES)?),
            Self::Postgres(url) => postgres(url, true)?,
            Self::Memory => AnyEngine::Memory(MemoryEngine::new()),
        };
        let in_memory = matches!(engine, AnyEngine::Memory(_));
        assert_eq!(in_memory, *self == Self::Memory, "files are kept if, and only if, so named");
        Ok(engine)
    }
}

#[cfg(feature = "postgres")]
fn postgres(url: &Url, make: bool) -> Result<AnyEngine, StoreError> {
    let engine = if make { Postgres::open(url)? } else { Postgres::open_existing(url)? };
    assert!(engine.remote().is_some(), "a server lies behind a network");
    Ok(AnyEngine::Postgres(Box::new(engine)))
}

#[cfg(not(feature = "postgres"))]
fn postgres(url: &Url, make: bool) -> Result<AnyEngine, StoreError> {
    assert!(!url.to_string().is_empty(), "an address says where");
    let wish = if make { "make" } else { "open" };
    Err(StoreError::unsupported(format!("this program was built without PostgreSQL to {wish} it")))
}

/// An engine that was chosen at run time.
#[derive(Debug)]
pub enum AnyEngine {
    /// In memory.
    Memory(MemoryEngine),
    /// In a redb file.
    Redb(Redb),
    /// In a sled directory.
    Sled(Sled),
    /// In a PostgreSQL database.
    #[cfg(feature = "postgres")]
    Postgres(Box<Postgres>),
}

/// Reads an [`AnyEngine`] from another thread.
#[derive(Clone, Debug)]
pub enum AnyReader {
    /// In memory.
    Memory(MemoryReader),
    /// In a redb file.
    Redb(RedbReader),
    /// In a sled directory.
    Sled(SledReader),
    /// In a PostgreSQL database.
    #[cfg(feature = "postgres")]
    Postgres(PostgresReader),
}

impl Engine for AnyEngine {
    type Reader = AnyReader;

    fn reader(&self) -> AnyReader {
        match self {
            Self::Memory(engine) => AnyReader::Memory(engine.reader()),
            Self::Redb(engine) => AnyReader::Redb(engine.reader()),
            Self::Sled(engine) => AnyReader::Sled(engine.reader()),
            #[cfg(feature = "postgres")]
            Self::Postgres(engine) => AnyReader::Postgres(engine.reader()),
        }
    }

    fn reader_of_one_moment(&self) -> Result<AnyReader, StoreError> {
        match self {
            Self::Memory(_) | Self::Redb(_) | Self::Sled(_) => Ok(self.reader()),
            #[cfg(feature = "postgres")]
            Self::Postgres(engine) => Ok(AnyReader::Postgres(engine.reader_of_one_moment()?)),
        }
    }

    fn beside(&self) -> Option<Self> {
        match self {
            // A file has one writer.
            Self::Memory(_) | Self::Redb(_) | Self::Sled(_) => None,
            #[cfg(feature = "postgres")]
            Self::Postgres(engine) => engine.beside().map(|other| Self::Postgres(Box::new(other))),
        }
    }

    fn transact(
        &mut self,
        keys: &KeyList,
        batch: &mut Batch,
        decide: &mut Decide<'_>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Memory(engine) => engine.transact(keys, batch, decide),
            Self::Redb(engine) => engine.transact(keys, batch, decide),
            Self::Sled(engine) => engine.transact(keys, batch, decide),
            #[cfg(feature = "postgres")]
            Self::Postgres(engine) => engine.transact(keys, batch, decide),
        }
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match self {
            Self::Memory(engine) => engine.commit(batch),
            Self::Redb(engine) => engine.commit(batch),
            Self::Sled(engine) => engine.commit(batch),
            #[cfg(feature = "postgres")]
            Self::Postgres(engine) => engine.commit(batch),
        }
    }

    fn check(&mut self) -> Result<Integrity, StoreError> {
        match self {
            Self::Memory(engine) => engine.check(),
            Self::Redb(engine) => engine.check(),
            Self::Sled(engine) => engine.check(),
            #[cfg(feature = "postgres")]
            Self::Postgres(engine) => engine.check(),
        }
    }
}

macro_rules! read_the_chosen {
    ($reads:ty) => {
        impl Read for $reads {
            fn load(&self, keys: &KeyList, visit: &mut LoadVisit<'_>) -> Result<(), StoreError> {
                match self {
                    Self::Memory(reads) => reads.load(keys, visit),
                    Self::Redb(reads) => reads.load(keys, visit),
                    Self::Sled(reads) => reads.load(keys, visit),
                    #[cfg(feature = "postgres")]
                    Self::Postgres(reads) => reads.load(keys, visit),
                }
            }

            fn visit(
                &self,
                from: &[u8],
                until: &[u8],
                limit: usize,
                visit: &mut ScanVisit<'_>,
            ) -> Result<(), StoreError> {
                match self {
                    Self::Memory(reads) => reads.visit(from, until, limit, visit),
                    Self::Redb(reads) => reads.visit(from, until, limit, visit),
                    Self::Sled(reads) => reads.visit(from, until, limit, visit),
                    #[cfg(feature = "postgres")]
                    Self::Postgres(reads) => reads.visit(from, until, limit, visit),
                }
            }

            fn remote(&self) -> Option<&dyn Remote> {
                match self {
                    Self::Memory(_) | Self::Redb(_) | Self::Sled(_) => None,
                    #[cfg(feature = "postgres")]
                    Self::Postgres(reads) => reads.remote(),
                }
            }
        }
    };
}

read_the_chosen!(AnyEngine);
read_the_chosen!(AnyReader);
