//! A store that remembers what its last transaction wrote, in memory or on a simulated disk.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use counterfoil_protocol::machine::{Loaded, Machine, Page, Query, Store, Writes};
use counterfoil_protocol::persist::Persist;
use counterfoil_storage::memory::{Failure, Image};

use counterfoil_storage::{KeyValue, Memory, Ordered, Redb, StoreError};

use crate::coverage::Injected;
use crate::disk::{CACHE_BYTES, Disk, Trouble};

/// A commit has about so many operations of the disk.
const OPERATIONS: u64 = 16;

/// A role whose rows can be watched.
pub trait Watchable:
    Persist + Machine<Key: Send + Sync + fmt::Debug, Record: Send + Sync + PartialEq> + 'static
{
}

impl<M> Watchable for M where
    M: Persist + Machine<Key: Send + Sync + fmt::Debug, Record: Send + Sync + PartialEq> + 'static
{
}

/// A store that the checkers can watch: rows in memory, or the real store on a simulated disk.
pub struct Observed<M: Machine> {
    /// The committed rows: the store itself, or what is known to be on the disk.
    pub memory: Memory<M>,
    /// What the last transaction that decided something writes.
    pub written: Writes<M>,
    disk: Option<Box<OnDisk<M>>>,
}

/// The real store, and what is to go wrong with it.
struct OnDisk<M> {
    disk: Disk,
    /// `None` while the node is down.
    open: Option<KeyValue<M, Redb>>,
    planned: Option<Planned>,
    /// A read has failed, or an error was borne that leaves the handle dead.
    failed: AtomicBool,
    /// Why, if the disk had done nothing: then what was committed is not there.
    damage: OnceLock<String>,
}

/// What goes wrong with the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planned {
    /// The power goes, at the latest when the commit is through.
    Crash,
    Error,
}

/// All of a node's rows, put aside.
pub struct Backup<M: Machine> {
    rows: Image<M>,
    bytes: Option<Vec<u8>>,
}

impl<M: Machine> Clone for Backup<M> {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone(), bytes: self.bytes.clone() }
    }
}

impl<M: Machine> Backup<M> {
    /// Returns a copy of the disk that was put aside, if there was one.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        self.bytes.clone()
    }
}

/// How an opening ended.
#[derive(Debug)]
pub(crate) enum Opened {
    /// It serves. Whether it had to be repaired.
    Serves { repaired: bool },
    /// The disk would not have it: it is tried again later.
    NotYet {
        /// The power went while it was being repaired.
        power_cut: bool,
    },
    /// It is not what was acknowledged.
    Broken(String),
}

impl<M: Machine> Default for Observed<M> {
    fn default() -> Self {
        Self { memory: Memory::new(), written: Writes::<M>::new(), disk: None }
    }
}

impl<M: Watchable> Observed<M> {
    /// Puts an empty store onto a disk. It is closed.
    pub(crate) fn on(disk: Disk) -> Self {
        let on = OnDisk {
            disk,
            open: None,
            planned: None,
            failed: AtomicBool::new(false),
            damage: OnceLock::new(),
        };
        Self { disk: Some(Box::new(on)), ..Self::default() }
    }

    /// Lets the next commit fail: by a crash, or with an unknown outcome.
    pub(crate) fn fail_next(&mut self, failure: Failure, crash: bool) {
        let Some(on) = &mut self.disk else { return self.memory.fail_next(failure) };
        assert_eq!(on.planned, None, "one planned failure at a time");
        let (midst, operations) = on.disk.draw_operation(OPERATIONS);
        on.planned = Some(if crash { Planned::Crash } else { Planned::Error });
        match (crash, midst, failure) {
            (false, _, _) => on.disk.plan(operations, Trouble::Error),
            (true, true, _) => on.disk.plan(operations, Trouble::PowerCut),
            (true, false, Failure::Before) => on.disk.power_cut(),
            // The power goes when the commit is through.
            (true, false, Failure::After) => {}
        }
    }

    /// A step begins. Returns for how long its commit will wait for the disk, in microseconds.
    pub(crate) fn begin(&mut self, now_us: u64, healed: bool) -> u64 {
        self.written.clear();
        match &self.disk {
            Some(on) if !healed => on.disk.begin(now_us),
            Some(_) | None => 0,
        }
    }

    /// A step has failed, `planned` or by itself: finds out whether its commit happened, and
    /// forgets what it wrote if not.
    ///
    /// # Errors
    /// What is wrong, if the disk does not hold what was acknowledged.
    pub(crate) fn settle(&mut self, planned: Option<Failure>) -> Result<Failure, String> {
        let Some(on) = &self.disk else {
            let failure = planned.expect("a store in memory fails when it is told to");
            if failure == Failure::Before {
                self.written.clear();
            }
            return Ok(failure);
        };
        if let Some(damage) = on.damage.get() {
            return Err(damage.clone());
        }
        if planned.is_none() && on.disk.works() {
            return Err("the store had failed by itself".to_owned());
        }
        // As the node will find it when it starts again, if nothing happens to it until then.
        let (_, rows) = open::<M>(&on.disk.copy(), |_| {})
            .map_err(|error| format!("its store cannot be opened again: {error}"))?;
        let failure = if rows == *self.memory.rows() {
            self.written.clear();
            Failure::Before
        } else {
            self.memory_takes_written();
            Failure::After
        };
        self.holds(&rows).map(|()| failure)
    }

    /// Opens the store again.
    pub(crate) fn reopen(&mut self, now_us: u64, power_may_go: bool) -> Opened {
        let Some(on) = &mut self.disk else {
            self.memory.reopen();
            return Opened::Serves { repaired: false };
        };
        let dead = *on.failed.get_mut();
        if on.open.is_some() && on.disk.works() && !dead {
            return Opened::Serves { repaired: false };
        }
        on.open = None;
        on.failed = AtomicBool::new(false);
        if let Some(damage) = on.damage.take() {
            return Opened::Broken(damage);
        }
        on.disk.at(now_us);
        let repaired = on.disk.needs_recovery();
        let opened = open::<M>(&on.disk, |disk| {
            if power_may_go {
                disk.plan_for_recovery();
            }
        });
        match opened {
            Ok((store, rows)) => {
                on.disk.recovered();
                if let Err(what) = self.holds(&rows) {
                    // What a destructor makes of a damaged file is of no interest.
                    self.power_cut();
                    return Opened::Broken(what);
                }
                if let Some(on) = &mut self.disk {
                    on.open = Some(store);
                }
                Opened::Serves { repaired }
            }
            Err(_) if !on.disk.works() => Opened::NotYet { power_cut: !on.disk.failed() },
            Err(error) => Opened::Broken(format!("its store cannot be opened again: {error}")),
        }
    }

    /// The node ends: its power goes, unless an error of its store has ended it. The disk hears
    /// of it first, so that nothing which a destructor does reaches it.
    pub(crate) fn go_down(&mut self) {
        let Some(on) = &mut self.disk else { return };
        if on.open.is_some() && on.disk.works() && !*on.failed.get_mut() {
            on.disk.power_cut();
        }
        on.open = None;
    }

    /// The power goes.
    pub(crate) fn power_cut(&mut self) {
        if let Some(on) = &mut self.disk {
            on.disk.power_cut();
            on.open = None;
        }
    }

    /// Returns whether the store can answer: after an error it says nothing more.
    pub(crate) fn works(&self) -> bool {
        self.disk
            .as_ref()
            .is_none_or(|on| on.open.is_some() && on.disk.works() && !on.failed.load(Relaxed))
    }

    /// Takes a backup, while the node runs or not.
    pub(crate) fn image(&self) -> Backup<M> {
        let bytes = self.disk.as_ref().map(|on| on.disk.image());
        Backup { rows: self.memory.image(), bytes }
    }

    /// Replaces every row by those of a backup. A store on a disk is closed then.
    pub(crate) fn restore(&mut self, backup: Backup<M>) {
        self.memory.restore(backup.rows);
        if let (Some(on), Some(bytes)) = (&mut self.disk, backup.bytes) {
            on.disk.restore(bytes);
            on.open = None;
        }
    }

    /// Changes a row behind everybody's back. Returns whether it could be.
    pub(crate) fn plant(&mut self, key: M::Key, record: Option<Arc<M::Record>>) -> bool {
        if let Some(on) = &mut self.disk {
            let Some(open) = on.open.as_mut().filter(|_| on.disk.works()) else { return false };
            on.disk.calm(true);
            let write = |_: &Loaded<M>| vec![(key.clone(), record.clone())];
            let planted = at_once(open.transact(Vec::new(), write));
            on.disk.calm(false);
            if planted.is_err() {
                return false; // a read had failed before
            }
        }
        self.memory.plant(key, record);
        true
    }

    /// Lets nothing go wrong with the disk until it is told otherwise.
    pub(crate) fn calm(&self, calm: bool) {
        if let Some(on) = &self.disk {
            on.disk.calm(calm);
        }
    }

    /// All faults of the disk end.
    pub(crate) fn heal(&self) {
        if let Some(on) = &self.disk {
            on.disk.heal();
        }
    }

    /// Returns what the disk did since it was asked last.
    pub(crate) fn seen(&self) -> Vec<Injected> {
        self.disk.as_ref().map_or_else(Vec::new, |on| on.disk.seen())
    }

    fn memory_takes_written(&mut self) {
        for (key, record) in &self.written {
            self.memory.plant(key.clone(), record.clone());
        }
    }

    /// Holds the rows of the disk against those that were acknowledged.
    fn holds(&self, rows: &Ordered<M::Key, Arc<M::Record>>) -> Result<(), String> {
        let known = self.memory.rows();
        if known == rows {
            return Ok(());
        }
        let lost =
            known.iter().find(|(key, record)| rows.get(key).is_none_or(|held| held != *record));
        let grown = rows.keys().find(|key| !known.contains_key(key));
        Err(format!(
            "its store holds {} of {} rows; first lost or changed: {:?}, first unknown: {grown:?}",
            rows.len(),
            known.len(),
            lost.map(|(key, _)| key),
        ))
    }
}

/// A store, and all of its rows.
type Whole<M> = (KeyValue<M, Redb>, Ordered<<M as Machine>::Key, Arc<<M as Machine>::Record>>);

fn open<M: Watchable>(disk: &Disk, meanwhile: impl FnOnce(&Disk)) -> Result<Whole<M>, StoreError> {
    let handle = disk.open();
    meanwhile(disk);
    let engine = Redb::open_with_backend_and_cache(handle, CACHE_BYTES)?;
    let store = KeyValue::<M, Redb>::new(engine);
    let rows = store.reader().scan_all(usize::MAX)?;
    Ok((store, rows.into_iter().map(|(key, record)| (key, Arc::new(record))).collect()))
}

impl<M: Watchable> OnDisk<M> {
    async fn transact(
        &mut self,
        keys: Vec<M::Key>,
        decide: impl FnMut(&Loaded<M>) -> Writes<M> + Send,
    ) -> Result<(), StoreError> {
        let planned = self.planned.take();
        let Some(open) = &mut self.open else {
            return Err(StoreError::Unavailable { why: "the store is closed".to_owned() });
        };
        let done = open.transact(keys, decide).await;
        let spared = self.disk.spared();
        match (done, planned) {
            (Ok(()), Some(Planned::Crash)) => {
                if self.disk.works() || spared {
                    self.disk.power_cut();
                }
                Err(StoreError::Unknown { why: "the power went after the commit".to_owned() })
            }
            (done, _) => {
                // An error that the store could bear: but its handle is dead.
                self.failed.fetch_or(!self.disk.works(), Relaxed);
                done
            }
        }
    }

    fn note<T>(&self, answer: Result<T, StoreError>) -> Option<T> {
        if let Err(error) = &answer {
            if self.disk.works() {
                let _first = self.damage.set(format!("a read failed by itself: {error}"));
            }
            self.failed.store(true, Relaxed);
        }
        answer.ok()
    }
}

impl<M: Watchable> Store<M> for Observed<M> {
    type Error = StoreError;

    async fn transact(
        &mut self,
        keys: Vec<M::Key>,
        mut decide: impl FnMut(&Loaded<M>) -> Writes<M> + Send,
    ) -> Result<(), Self::Error> {
        let Some(on) = &mut self.disk else {
            return self.memory.transact_now(keys, decide, &mut self.written);
        };
        let written = &mut self.written;
        let decide = |loaded: &Loaded<M>| {
            let writes = decide(loaded);
            written.clone_from(&writes);
            writes
        };
        on.transact(keys, decide).await?;
        self.memory_takes_written();
        Ok(())
    }
}

/// A store on a disk that fails to read answers as if it had not, and says no more from then on:
/// `Observed::works` is asked before anything leaves the node.
impl<M: Watchable> Query<M> for Observed<M> {
    type Error = StoreError;

    async fn get(&self, key: &M::Key) -> Result<Option<M::Record>, Self::Error> {
        if let Some(on) = &self.disk
            && let Some(open) = &on.open
            && let Some(row) = on.note(open.get(key).await)
        {
            return Ok(row);
        }
        self.memory.get(key).await
    }

    async fn scan(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
    ) -> Result<Page<M>, Self::Error> {
        if let Some(on) = &self.disk
            && let Some(open) = &on.open
            && let Some(page) = on.note(open.scan(from, until, limit).await)
        {
            return Ok(page);
        }
        self.memory.scan(from, until, limit).await
    }

    async fn look<T: Send>(
        &self,
        key: &M::Key,
        take: impl FnOnce(&M::Record) -> Option<T> + Send,
    ) -> Result<Option<T>, Self::Error> {
        if self.disk.is_none() {
            return self.memory.look(key, take).await;
        }
        Ok(self.get(key).await?.as_ref().and_then(take))
    }

    async fn select<T: Send>(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
        mut take: impl FnMut(&M::Key, &M::Record) -> Option<T> + Send,
    ) -> Result<Vec<T>, Self::Error> {
        if self.disk.is_none() {
            return self.memory.select(from, until, limit, take).await;
        }
        let page = self.scan(from, until, limit).await?;
        Ok(page.iter().filter_map(|(key, record)| take(key, record)).collect())
    }
}

/// Returns what a store in memory answers. It is open: the model reopens one that has failed
/// before it is asked again.
///
/// # Panics
/// If it is not open: a bug of the simulator.
pub fn answered<T, E: fmt::Debug>(answer: Result<T, E>) -> T {
    answer.expect("an open store answers")
}

/// Drives a future that never waits: the stores of the model level answer at once.
///
/// # Panics
/// If it waits after all.
pub fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => unreachable!("a store in memory never waits"),
    }
}
