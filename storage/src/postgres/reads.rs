//! Readers beside the writer: a few connections that whoever reads takes turns with.
//!
//! Our own few lines and not the `deadpool` crate: a job owns its connection on the driver's
//! thread until it is done, so nobody's cancellation can put one back in the midst of something,
//! which is what a pool's recycling is for.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, Semaphore};
use tokio_postgres::Config;

use super::driver::Driver;
use super::link::{Link, Says};
use super::tables::{Span, Tables};
use super::work::{self, Found, Frame, Keys};
use crate::StoreError;
use crate::engine::{KeyList, Later, LoadVisit, RawPage, Read, Remote, ScanVisit, Values};

/// The most connections that readers of one store have.
const LINKS_MAX: usize = 8;
/// The rows that are brought at a time when a caller wants more than it can hold.
const PAGE_ROWS: usize = 512;

const _: () = assert!(LINKS_MAX > 0, "somebody can read");
const _: () = assert!(PAGE_ROWS > 1, "a page gets on");
const _: () = assert!(PAGE_ROWS <= 4_096, "a page is held in memory");

/// What the writer of a store and its readers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) driver: Driver,
    pub(super) config: Config,
    pub(super) tables: Tables,
    idle: Mutex<Vec<Link>>,
    places: Semaphore,
    refusal: Mutex<Option<StoreError>>,
}

impl Shared {
    pub(super) fn start(config: Config, tables: Tables) -> Result<Self, StoreError> {
        let driver = Driver::start()?;
        assert!(tables.len() > 0, "every row has a table");
        const { assert!(LINKS_MAX < 100, "a server has room for several nodes") };
        let (idle, refusal) = (Mutex::new(Vec::new()), Mutex::new(None));
        let places = Semaphore::new(LINKS_MAX);
        Ok(Self { driver, config, tables, idle, places, refusal })
    }

    /// Lets nobody read any more, as what is committed is not known.
    pub(super) fn refuse(&self, why: &StoreError) {
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = refusal.get_or_insert_with(|| why.clone());
        assert!(!refused.to_string().is_empty(), "an error says why");
    }

    /// Closes every connection.
    pub(super) fn end(&self) {
        self.refuse(&StoreError::closed());
        self.driver.end();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        assert!(self.usable().is_err(), "what is closed refuses");
    }

    fn usable(&self) -> Result<(), StoreError> {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(self.tables.len() > 0, "every row has a table");
        refusal.clone().map_or(Ok(()), Err)
    }

    fn take(&self) -> Option<Link> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(idle.len() <= LINKS_MAX, "no more connections are kept than are taken");
        while let Some(link) = idle.pop() {
            if !link.client.is_closed() {
                return Some(link);
            }
        }
        None
    }

    fn put_back(&self, link: Link) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !link.client.is_closed() {
            idle.push(link);
        }
        assert!(idle.len() <= LINKS_MAX, "no more connections are kept than are taken");
    }

    /// Does something with a connection; once more if the one that lay here was dead.
    async fn read<T: Send>(&self, job: &dyn Job<T>) -> Result<T, StoreError> {
        assert!(self.tables.len() > 0, "every row has a table");
        let _place = self.places.acquire().await.map_err(|_| StoreError::closed())?;
        let mut again = true;
        assert!(self.places.available_permits() < LINKS_MAX, "who reads has a place");
        loop {
            let kept = self.take();
            let fresh = kept.is_none();
            let mut link = match kept {
                Some(link) => link,
                None => Link::open(&self.config).await?,
            };
            let why = match job.run(&mut link, self.tables).await {
                Ok(result) => {
                    self.put_back(link);
                    return Ok(result);
                }
                Err(Says::Refused(error)) => return Err(error),
                Err(Says::Conflict(why) | Says::Lost(why)) => why,
            };
            if fresh && !again {
                return Err(StoreError::unavailable(why));
            }
            again = !fresh;
        }
    }
}

/// Something to read.
trait Job<T>: Send + Sync {
    fn run<'a>(&'a self, link: &'a mut Link, tables: Tables) -> Reading<'a, T>;
}

type Reading<'a, T> = Pin<Box<dyn Future<Output = Result<T, Says>> + Send + 'a>>;

struct LoadKeys(Keys, Frame);

impl Job<Found> for LoadKeys {
    fn run<'a>(&'a self, link: &'a mut Link, tables: Tables) -> Reading<'a, Found> {
        Box::pin(work::load(link, tables, &self.0, self.1))
    }
}

/// The first rows of a few spans, which are one page.
struct ScanSpans {
    spans: Vec<Span>,
    limit: usize,
    /// Whether a transaction is to be made for it.
    framed: bool,
}

impl Job<RawPage> for ScanSpans {
    fn run<'a>(&'a self, link: &'a mut Link, tables: Tables) -> Reading<'a, RawPage> {
        Box::pin(async move {
            // One statement is of one moment by itself.
            let framed = self.framed && self.spans.len() > 1;
            if framed {
                work::begin_moment(link).await?;
            }
            let mut page = RawPage::new();
            assert!(self.spans.is_sorted_by(|a, b| a.until <= b.from), "spans rise");
            for span in &self.spans {
                let left = self.limit - page.len();
                if left == 0 {
                    break;
                }
                page.extend(work::page(link, tables, span, left).await?);
            }
            if framed {
                work::roll_back(link).await?;
            }
            assert!(page.len() <= self.limit, "a scan keeps its limit");
            Ok(page)
        })
    }
}

/// Reads a [`Postgres`](super::Postgres) store from any thread.
#[derive(Clone, Debug)]
pub struct PostgresReader {
    shared: Arc<Shared>,
    /// The connection whose transaction sees one moment, if all is to be read as of it.
    still: Option<Arc<Turn<Link>>>,
}

impl PostgresReader {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, still: None }
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn usable(&self) -> Result<(), StoreError> {
        self.shared.usable()
    }

    /// Returns a reader that sees the store as it is now, whatever is committed later.
    pub(super) fn of_one_moment(&self) -> Result<Self, StoreError> {
        self.usable()?;
        let shared = Arc::clone(&self.shared);
        let begun = self.shared.driver.wait(async move {
            let link = Link::open(&shared.config).await?;
            // It may think about what it has read for as long as it likes: nobody waits for it.
            let patient = link.say("SET idle_in_transaction_session_timeout = 0").await;
            patient.map_err(|error| super::link::cannot(&error))?;
            work::begin_moment(&link).await.map_err(error_of)?;
            Ok(link)
        })?;
        assert!(self.still.is_none(), "a moment is not one of another");
        let still = Some(Arc::new(Turn::new(begun?)));
        assert!(still.is_some(), "its transaction stays open as long as it is there");
        Ok(Self { shared: Arc::clone(&self.shared), still })
    }

    async fn read<T: Send>(self, job: impl Job<T>) -> Result<T, StoreError> {
        self.usable()?;
        assert!(self.shared.tables.len() > 0, "every row has a table");
        let Some(still) = &self.still else { return self.shared.read(&job).await };
        let mut link = still.lock().await;
        let read = job.run(&mut link, self.shared.tables).await;
        drop(link);
        read.map_err(error_of)
    }

    const fn frame(&self) -> Frame {
        if self.still.is_some() { Frame::Within } else { Frame::Moment }
    }

    fn scan_job(&self, from: &[u8], until: &[u8], limit: usize) -> ScanSpans {
        let spans = self.shared.tables.spans(from, until);
        assert!(from < until || spans.is_empty(), "no row lies between crossed bounds");
        ScanSpans { spans, limit, framed: self.still.is_none() }
    }

    fn load_now(&self, keys: &KeyList, visit: &mut LoadVisit<'_>) -> Result<(), StoreError> {
        let job = LoadKeys(Arc::new(keys.clone()), self.frame());
        assert_eq!(job.0.len(), keys.len(), "each key is asked for");
        let found = self.shared.driver.wait(self.clone().read(job))??;
        assert_eq!(found.values.len(), keys.len(), "each key has its answer");
        found.visit(visit)
    }

    fn visit_now(
        &self,
        from: &[u8],
        until: &[u8],
        limit: usize,
        visit: &mut ScanVisit<'_>,
    ) -> Result<(), StoreError> {
        self.usable()?;
        if limit <= PAGE_ROWS || self.still.is_some() {
            return self.visit_pages(from, until, limit, visit);
        }
        // More than a page: all of them as of one moment, on a connection of their own.
        self.of_one_moment()?.visit_pages(from, until, limit, visit)
    }

    fn visit_pages(
        &self,
        from: &[u8],
        until: &[u8],
        limit: usize,
        visit: &mut ScanVisit<'_>,
    ) -> Result<(), StoreError> {
        let (mut next, mut left) = (from.to_vec(), limit);
        loop {
            assert!(left <= limit, "what is left gets less");
            let rows = left.min(PAGE_ROWS);
            let job = self.scan_job(&next, until, rows);
            let page = self.shared.driver.wait(self.clone().read(job))??;
            assert!(page.len() <= rows, "a scan keeps its limit");
            for (key, value) in &page {
                visit(key, value)?;
            }
            left -= page.len();
            let Some((last, _)) = page.last().filter(|_| page.len() == rows && left > 0) else {
                return Ok(());
            };
            next.clone_from(last);
            next.push(0); // the smallest key above the last
            assert!(next.as_slice() > from, "a walk gets on");
        }
    }
}

fn error_of(says: Says) -> StoreError {
    match says {
        Says::Refused(error) => error,
        Says::Conflict(why) | Says::Lost(why) => StoreError::unavailable(why),
    }
}

impl Found {
    /// Visits what was read, in the order of the keys.
    pub(super) fn visit(&self, visit: &mut LoadVisit<'_>) -> Result<(), StoreError> {
        assert_eq!(self.values.len(), self.stamps.len(), "what is there has a stamp");
        for (index, value) in self.values.iter().enumerate() {
            assert_eq!(value.is_some(), self.stamps[index].is_some(), "a row has a stamp");
            visit(index, value.as_deref())?;
        }
        Ok(())
    }
}

impl Read for PostgresReader {
    fn load(&self, keys: &KeyList, visit: &mut LoadVisit<'_>) -> Result<(), StoreError> {
        self.load_now(keys, visit)
    }

    fn visit(
        &self,
        from: &[u8],
        until: &[u8],
        limit: usize,
        visit: &mut ScanVisit<'_>,
    ) -> Result<(), StoreError> {
        self.visit_now(from, until, limit, visit)
    }

    fn remote(&self) -> Option<&dyn Remote> {
        Some(self)
    }
}

impl Remote for PostgresReader {
    fn load_later(&self, keys: KeyList) -> Later<'_, Values> {
        let asked = keys.len();
        let job = LoadKeys(Arc::new(keys), self.frame());
        let read = self.clone().read(job);
        Box::pin(async move {
            let found = self.shared.driver.later(read).await??;
            assert_eq!(found.values.len(), asked, "each key has its answer");
            assert_eq!(found.values.len(), found.stamps.len(), "what is there has a stamp");
            Ok(found.values)
        })
    }

    fn scan_later(&self, from: Vec<u8>, until: Vec<u8>, limit: usize) -> Later<'_, RawPage> {
        let read = self.clone().read(self.scan_job(&from, &until, limit));
        Box::pin(async move {
            let page = self.shared.driver.later(read).await??;
            assert!(page.len() <= limit, "a scan keeps its limit");
            Ok(page)
        })
    }
}
