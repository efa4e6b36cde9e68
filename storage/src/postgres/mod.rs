//! PostgreSQL: several cloud nodes on one database, and tables that a back office can query.
//!
//! * **Whoever is faster, wins.** A transaction reads its rows as of one moment, decides, and then
//!   writes and commits in one more round trip, in which every row that it has read must still be
//!   as it was, those that were absent too. PostgreSQL's serializable transactions watch over
//!   those that it does not write. Whoever comes too late decides again, alone (`turnstile`), so
//!   that it comes through. Measured, and compared with locks: `docs/decisions/0012-postgres.md`.
//! * **Commit order is feed order**: who appends to a feed replaces its head row in the same
//!   transaction, so two that do meet there, and each reader sees one snapshot: a head, and all
//!   that lies below it.
//! * **A lost COMMIT is [`StoreError::Unknown`]**: the handle refuses, and is opened again.
//!
//! A row is stored once: its key, its record in the frame of all engines, and columns beside them.
//! `docs/postgres.md` describes the tables.

mod cells;
mod driver;
mod link;
mod migrate;
mod reads;
mod statement;
mod table;
mod tables;
mod work;

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::Config;

use crate::StoreError;
use crate::engine::{
    Batch, Decide, Engine, Integrity, KeyList, LoadVisit, Read, Remote, ScanVisit,
    assert_within_limits,
};
use crate::url::Url;
use link::{Link, Says};
use reads::Shared;
use statement::Sheets;
use tables::Tables;
use work::{Ended, Found, Frame, Keys};

pub use reads::PostgresReader;

/// How often a transaction is decided before it gives up. The second time it is alone, and so is
/// each later one.
const DECISIONS_MAX: u32 = 8;
/// How long a lost connection is sought again before anything was written.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one waits before it tries again to connect.
const PACE: Duration = Duration::from_millis(100);

const _: () = assert!(DECISIONS_MAX > 1, "who was too late decides again");
const _: () = assert!(PACE.as_millis() < PATIENCE.as_millis(), "there is time for a second try");

/// A role's rows in a database that other nodes write to as well.
#[derive(Debug)]
pub struct Postgres {
    reads: PostgresReader,
    /// The connection of the writer; none after it was lost.
    link: Option<Link>,
    /// Shared with the writers beside it: the last that goes closes the store.
    open: Arc<Open>,
}

/// Closes every connection of a store when it goes.
#[derive(Debug)]
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        let Self(shared) = self;
        shared.end();
        assert!(shared.driver.has_ended(), "no connection outlives its store");
    }
}

impl Postgres {
    /// Opens the cloud's database, and makes its schema or brings it up to date.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] if the server would not keep the promise of a commit,
    /// [`StoreError::Unavailable`] if it cannot be reached or refuses.
    pub fn open(url: &Url) -> Result<Self, StoreError> {
        Self::start(url, Tables::CLOUD, true)
    }

    /// Opens the cloud's database, which must be there.
    ///
    /// # Errors
    /// [`StoreError::Absent`], and nothing is made; or as [`Self::open`].
    pub fn open_existing(url: &Url) -> Result<Self, StoreError> {
        Self::start(url, Tables::CLOUD, false)
    }

    /// Opens a database for any role: all its rows lie in one table.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_plain(url: &Url) -> Result<Self, StoreError> {
        Self::start(url, Tables::PLAIN, true)
    }

    fn start(url: &Url, tables: Tables, make: bool) -> Result<Self, StoreError> {
        let config = Config::from_str(url.secret()).map_err(|error| {
            // What was wrong is said; the text itself has a password.
            StoreError::unsupported(format!("the address {url}: {}", link::said(&error)))
        })?;
        let shared = Arc::new(Shared::start(config, tables)?);
        let config = shared.config.clone();
        let absent = StoreError::Absent { location: url.to_string() };
        let link = shared.driver.wait(async move {
            let link = Link::open(&config).await?;
            link.expect_durable().await?;
            if !make && !migrate::exists(&link.client).await? {
                return Err(absent);
            }
            migrate::migrate(&link.client).await?;
            work::settle(&link).await?;
            Ok(link)
        })??;
        assert!(tables.len() > 0, "every row has a table");
        let open = Arc::new(Open(Arc::clone(&shared)));
        Ok(Self { reads: PostgresReader::new(shared), open, link: Some(link) })
    }

    const fn shared(&self) -> &Arc<Shared> {
        self.reads.shared()
    }

    /// Lets a job have the connection, and takes it back.
    fn with_link<T, F, J>(&mut self, job: J) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = (Link, T)> + Send + 'static,
        J: FnOnce(Link, Tables) -> F,
    {
        assert!(self.shared().tables.len() > 0, "every row has a table");
        let link = self.connected()?;
        let (link, result) = self.shared().driver.wait(job(link, self.shared().tables))?;
        self.link = (!link.client.is_closed()).then_some(link);
        Ok(result)
    }

    fn connected(&mut self) -> Result<Link, StoreError> {
        if let Some(link) = self.link.take().filter(|link| !link.client.is_closed()) {
            return Ok(link);
        }
        assert!(self.link.is_none(), "a connection that is there is taken");
        let config = self.shared().config.clone();
        self.shared().driver.wait(async move { Link::open(&config).await })?
    }

    /// Reads what a transaction looks at. A connection that is lost here is sought again.
    fn load_to_write(
        &mut self,
        keys: &Keys,
        frame: Frame,
    ) -> Result<Result<Found, String>, StoreError> {
        let end = Instant::now() + PATIENCE;
        assert!(end > Instant::now(), "there is time to try");
        assert_ne!(frame, Frame::Within, "a transaction begins with what it reads");
        loop {
            let asked = Arc::clone(keys);
            let loaded = self.with_link(|mut link, tables| async move {
                let found = work::load(&mut link, tables, &asked, frame).await;
                (link, found)
            });
            let why = match loaded {
                Ok(Ok(found)) => {
                    assert_eq!(found.values.len(), keys.len(), "each key has its answer");
                    return Ok(Ok(found));
                }
                Ok(Err(Says::Conflict(why))) => {
                    self.roll_back();
                    return Ok(Err(why));
                }
                Ok(Err(Says::Refused(error))) => {
                    self.roll_back();
                    return Err(error);
                }
                Ok(Err(Says::Lost(why))) | Err(StoreError::Unavailable { why }) => why,
                Err(error) => return Err(error),
            };
            self.link = None;
            self.reads.usable()?;
            if Instant::now() >= end {
                return Err(StoreError::unavailable(why));
            }
            tracing::warn!(why, "the connection to PostgreSQL is lost; nothing was written");
            std::thread::sleep(PACE);
        }
    }

    /// Ends a transaction that is not wanted any more. If that fails, the connection goes with it.
    fn roll_back(&mut self) {
        let ended = self.with_link(|link, _| async move {
            let ended = work::roll_back(&link).await;
            (link, ended)
        });
        let done = matches!(ended, Ok(Ok(())));
        if !done {
            self.link = None;
        }
        assert!(done || self.link.is_none(), "no transaction stays open");
    }

    /// Writes and commits, in the transaction that was `begun` or in one of its own; `Ok(false)` if
    /// another was faster.
    fn write(&mut self, sheets: Sheets, begun: bool) -> Result<bool, StoreError> {
        assert!(!sheets.is_empty(), "a commit writes something");
        assert!(sheets.values().all(|sheet| !sheet.keys.is_empty()), "each statement has rows");
        let ended = self.with_link(|mut link, tables| async move {
            let ended = work::commit(&mut link, tables, sheets, begun).await;
            (link, ended)
        });
        match ended {
            Ok(Ended::Done) => Ok(true),
            Ok(Ended::Conflict(why)) => {
                tracing::debug!(why, "another node was faster: deciding again, alone");
                Ok(false)
            }
            Ok(Ended::Refused(error)) => {
                // An open transaction ends with its connection.
                self.link = None;
                Err(error)
            }
            // A job that was cut off may have been cut off anywhere.
            Ok(Ended::Unknown(why)) | Err(StoreError::Unavailable { why }) => {
                self.link = None;
                let error = StoreError::unknown(why);
                self.shared().refuse(&error);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

impl Read for Postgres {
    fn load(&self, keys: &KeyList, visit: &mut LoadVisit<'_>) -> Result<(), StoreError> {
        self.reads.load(keys, visit)
    }

    fn visit(
        &self,
        from: &[u8],
        until: &[u8],
        limit: usize,
        visit: &mut ScanVisit<'_>,
    ) -> Result<(), StoreError> {
        self.reads.visit(from, until, limit, visit)
    }

    fn remote(&self) -> Option<&dyn Remote> {
        self.reads.remote()
    }
}

impl Engine for Postgres {
    type Reader = PostgresReader;

    fn reader(&self) -> PostgresReader {
        self.reads.clone()
    }

    fn reader_of_one_moment(&self) -> Result<PostgresReader, StoreError> {
        self.reads.of_one_moment()
    }

    fn beside(&self) -> Option<Self> {
        let (reads, open) = (self.reads.clone(), Arc::clone(&self.open));
        assert!(Arc::strong_count(&open) > 1, "the store stays open for both");
        // It connects when it has something to do.
        Some(Self { reads, open, link: None })
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        assert_within_limits(batch);
        let mut copy = Batch::new();
        self.transact(&KeyList::default(), &mut copy, &mut |_, written| {
            written.clone_from(batch);
            Ok(())
        })
    }

    fn transact(
        &mut self,
        keys: &KeyList,
        batch: &mut Batch,
        decide: &mut Decide<'_>,
    ) -> Result<(), StoreError> {
        self.reads.usable()?;
        let asked: Keys = Arc::new(keys.clone());
        assert_eq!(asked.len(), keys.len(), "each key is asked for");
        let mut last = String::new();
        for decision in 0..DECISIONS_MAX {
            let alone = decision > 0;
            let frame = if alone { Frame::Alone } else { Frame::Moment };
            let found = match self.load_to_write(&asked, frame)? {
                Ok(found) => found,
                Err(why) => {
                    last = why;
                    continue;
                }
            };
            assert_eq!(found.values.len(), keys.len(), "each key has its answer");
            let decided = decide(&mut |visit| found.visit(visit), batch);
            if decided.is_err() || batch.is_empty() {
                if alone {
                    self.roll_back();
                }
                return decided;
            }
            assert_within_limits(batch);
            assert!(!batch.is_empty(), "what writes nothing has ended above");
            let sheets = work::sheets(self.shared().tables, keys, &found.stamps, batch);
            if sheets.is_err() && alone {
                self.roll_back();
            }
            if self.write(sheets?, alone)? {
                return Ok(());
            }
            "another node was faster each time".clone_into(&mut last);
        }
        assert!(!last.is_empty(), "a decision that did not count says why");
        Err(StoreError::unavailable(last))
    }

    fn check(&mut self) -> Result<Integrity, StoreError> {
        self.reads.usable()?;
        self.with_link(|mut link, tables| async move {
            let sound = match link.expect_durable().await {
                Ok(()) => work::expect_schema(&mut link, tables).await,
                Err(error) => Err(error),
            };
            (link, sound)
        })??;
        Ok(Integrity::Sound)
    }
}
