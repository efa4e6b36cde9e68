//! A store that is watched: every commit goes to the checkers, and what was acknowledged is held
//! against the disk after every crash.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use counterfoil_protocol::machine::{Loaded, Machine, Page, Query, Slot, Store, Writes};
use counterfoil_protocol::persist::Persist;
use counterfoil_storage::{KeyValue, Reader, Redb, StoreError};

use super::scene::{Node, Scene, lock};
use crate::coverage::{Injected, Transition};
use crate::disk::{CACHE_BYTES, Disk, Trouble};
use crate::law::Law;
use crate::observed::at_once;
use crate::rng::Stream;
use crate::story::What;

/// Until a node is started again whose disk has failed by itself, in milliseconds.
pub(super) const SUPERVISED_MS: u64 = 500;

/// What the watcher must know of a role.
pub(super) trait Role: Persist + Sized + 'static
where
    Self: Machine<Key: Send + Sync + fmt::Debug, Record: Send + Sync + PartialEq>,
{
    /// What a commit was about, beside its writes.
    type Context: Send;

    /// The law that a lost commit breaks.
    const DURABLE: Law;
    /// What is injected when it dies before, or after, its commit became durable.
    const CRASHES: [Injected; 2];

    /// Reads the context from the loaded rows.
    fn context(loaded: &Loaded<Self>) -> Self::Context;

    /// A commit is durable: it is counted, and the checkers see it. `before` are the rows without
    /// it, `rows` those with it.
    fn committed(scene: &Scene, node: Node, commit: &Commit<'_, Self>);

    /// The rows of a store that was opened.
    fn opened(scene: &Scene, node: Node, rows: &BTreeMap<Self::Key, Arc<Self::Record>>);
}

/// A durable commit.
pub(super) struct Commit<'a, M: Role> {
    pub(super) context: &'a M::Context,
    pub(super) before: &'a BTreeMap<M::Key, Option<Arc<M::Record>>>,
    pub(super) rows: &'a BTreeMap<M::Key, Arc<M::Record>>,
    pub(super) written: &'a [Slot<M::Key, M::Record>],
}

/// The rows that were acknowledged, and the commit that nobody knows about, if there is one.
pub(super) struct Mirror<M: Role> {
    pub(super) rows: BTreeMap<M::Key, Arc<M::Record>>,
    pub(super) uncertain: Option<Uncertain<M>>,
}

/// A commit with an unknown outcome.
pub(super) struct Uncertain<M: Role> {
    writes: Writes<M>,
    context: M::Context,
    crash: bool,
}

impl<M: Role> Default for Mirror<M> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), uncertain: None }
    }
}

/// What a commit was about, and what it writes.
type Decided<M> = (<M as Role>::Context, Writes<M>);

/// What goes wrong with a commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plan {
    Nothing,
    Crash { after: bool },
    Error,
}

type Inner<M> = Arc<Mutex<KeyValue<M, Redb>>>;

/// The way to a node's open store for what no program does: to plant rows on its disk.
pub(super) struct Planted<M: Role>(Mutex<Weak<Mutex<KeyValue<M, Redb>>>>);

impl<M: Role> Default for Planted<M> {
    fn default() -> Self {
        Self(Mutex::new(Weak::new()))
    }
}

impl<M: Role> Planted<M> {
    /// The store was opened; an earlier one is forgotten.
    pub(super) fn opened(&self, store: &Watched<M>) {
        *lock(&self.0) = Arc::downgrade(&store.inner);
    }

    /// Puts a row onto the disk, or takes it away, and tells nobody. Returns whether a store is
    /// open.
    pub(super) fn plant(&self, key: M::Key, record: Option<Arc<M::Record>>) -> bool {
        let Some(inner) = lock(&self.0).upgrade() else { return false };
        let mut inner = lock(&inner);
        let write = |_: &Loaded<M>| vec![(key.clone(), record.clone())];
        at_once(inner.transact(Vec::new(), write)).is_ok()
    }
}

/// The real store of a node, watched.
pub(super) struct Watched<M: Role> {
    inner: Inner<M>,
    reader: Reader<M, Redb>,
    disk: Disk,
    mirror: Arc<Mutex<Mirror<M>>>,
    scene: Arc<Scene>,
    node: Node,
}

/// Opens a node's disk and compares it with what was acknowledged. `None`: a law is broken.
pub(super) fn open<M: Role>(
    scene: &Arc<Scene>,
    node: Node,
    disk: &Disk,
    mirror: &Arc<Mutex<Mirror<M>>>,
) -> Option<Watched<M>> {
    if disk.needs_recovery() {
        scene.board().recoveries += 1;
        scene.saw(Transition::StoreRepaired);
    }
    // Whoever starts a node here waits until its disk works: the model starts them on bad ones.
    disk.calm(true);
    let opened = Redb::open_with_backend_and_cache(disk.open(), CACHE_BYTES).and_then(|engine| {
        let inner = KeyValue::<M, Redb>::new(engine);
        let rows: Page<M> = inner.reader().scan_all(usize::MAX)?;
        Ok((inner, rows))
    });
    disk.calm(false);
    disk.recovered();
    see(scene, disk);
    let (inner, rows) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            scene.judge(|checker, at| {
                let what = || format!("{node:?} cannot open its store again: {error}");
                checker.tally.check(M::DURABLE, at, false, what)
            });
            return None;
        }
    };
    let rows: BTreeMap<_, _> =
        rows.into_iter().map(|(key, record)| (key, Arc::new(record))).collect();
    if !agree::<M>(scene, node, mirror, &rows) {
        return None;
    }
    M::opened(scene, node, &rows);
    let reader = inner.reader();
    Some(Watched {
        inner: Arc::new(Mutex::new(inner)),
        reader,
        disk: disk.clone(),
        mirror: Arc::clone(mirror),
        scene: Arc::clone(scene),
        node,
    })
}

/// Counts what a disk did.
fn see(scene: &Scene, disk: &Disk) {
    disk.seen().into_iter().for_each(|fault| scene.injected(fault));
}

/// Holds the rows of a disk against the mirror. The uncertain commit is there wholly, or not.
fn agree<M: Role>(
    scene: &Scene,
    node: Node,
    mirror: &Mutex<Mirror<M>>,
    rows: &BTreeMap<M::Key, Arc<M::Record>>,
) -> bool {
    let mut mirror = lock(mirror);
    if let Some(uncertain) = mirror.uncertain.take() {
        let happened = mirror.rows != *rows;
        if uncertain.crash {
            scene.injected(M::CRASHES[usize::from(happened)]);
        }
        if happened {
            settle(scene, node, &mut mirror, uncertain.context, uncertain.writes);
        }
    }
    let held = mirror.rows == *rows;
    scene.judge(|checker, at| {
        checker.tally.check(M::DURABLE, at, held, || {
            let lost = mirror.rows.iter().find(|(key, record)| rows.get(key) != Some(*record));
            let grown = rows.keys().find(|key| !mirror.rows.contains_key(key));
            format!(
                "{node:?} was told that its commits are durable; after a crash {} of {} rows are \
                 there; first lost or changed: {:?}, first unknown: {grown:?}",
                rows.len(),
                mirror.rows.len(),
                lost.map(|(key, _)| key),
            )
        })
    })
}

/// Takes a durable commit into the mirror and shows it to the checkers.
fn settle<M: Role>(
    scene: &Scene,
    node: Node,
    mirror: &mut Mirror<M>,
    context: M::Context,
    writes: Writes<M>,
) {
    let number = match node {
        Node::Cloud => u64::MAX,
        Node::Till(number) => number as u64,
    };
    let mut bytes = number.to_le_bytes().to_vec();
    let mut before = BTreeMap::new();
    for (key, record) in &writes {
        M::key_bytes(key, &mut bytes);
        let old = match record {
            Some(record) => {
                M::record_bytes(record, &mut bytes);
                mirror.rows.insert(key.clone(), Arc::clone(record))
            }
            None => mirror.rows.remove(key),
        };
        before.insert(key.clone(), old);
    }
    scene.trace(1, &[&bytes]);
    let commit =
        Commit { context: &context, before: &before, rows: &mirror.rows, written: &writes };
    M::committed(scene, node, &commit);
}

impl<M: Role> Watched<M> {
    pub(super) fn reader(&self) -> Reader<M, Redb> {
        self.reader.clone()
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Stream) -> T) -> T {
        match self.node {
            Node::Cloud => draw(&mut lock(&self.scene.cloud.luck)),
            Node::Till(number) => draw(&mut lock(&self.scene.till(number).luck)),
        }
    }

    /// Decides what goes wrong with the next commit, and sets the disk up for it.
    fn plan(&self) -> Plan {
        if self.scene.is_healed() || !self.disk.works() {
            return Plan::Nothing;
        }
        let (crash_ppm, error_ppm) = (self.scene.plan.crash_ppm, self.scene.plan.storage_error_ppm);
        let (crash, error, way, operations) = self.draw(|luck| {
            let crash = luck.happens(crash_ppm);
            let error = !crash && luck.happens(error_ppm);
            if !crash && !error {
                return (false, false, 0, 0);
            }
            (crash, error, luck.below(4), luck.below(16))
        });
        match (crash, way) {
            (true, 0) => {
                self.disk.power_cut();
                Plan::Crash { after: false }
            }
            (true, 1) => Plan::Crash { after: true },
            (true, _) => {
                self.disk.plan(operations, Trouble::PowerCut);
                Plan::Crash { after: true }
            }
            (false, _) if error => {
                self.disk.plan(operations, Trouble::Error);
                Plan::Error
            }
            (false, _) => Plan::Nothing,
        }
    }

    /// The disk has failed, as planned or by itself: the node ends, and is started again.
    fn fails(&self, planned: bool) {
        see(&self.scene, &self.disk);
        if planned {
            self.scene.injected(Injected::StorageError);
        }
        self.scene.crash_soon(self.node, if planned { 20 } else { SUPERVISED_MS });
    }

    /// A read of a node that runs: if it fails, the node ends.
    fn read<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if answer.is_err() && self.disk.failed() {
            self.fails(false);
        }
        answer
    }

    /// Says how a commit ended, and sees to it that a node that is hurt goes down.
    fn end(
        &self,
        plan: Plan,
        result: Result<(), StoreError>,
        decided: Option<Decided<M>>,
    ) -> Result<(), StoreError> {
        let spared = self.disk.spared();
        let why = match result {
            Ok(()) if plan == (Plan::Crash { after: true }) => {
                // The power goes right after the commit, before anybody hears of it.
                self.disk.power_cut();
                "the power was cut after the commit".to_owned()
            }
            Ok(()) => {
                let (context, writes) = decided.expect("a commit decides something");
                settle(&self.scene, self.node, &mut lock(&self.mirror), context, writes);
                if !self.disk.works() {
                    // An error that redb could bear: but the handle is lost.
                    self.fails(plan == Plan::Error);
                }
                return Ok(());
            }
            Err(error) => {
                let expected = plan != Plan::Nothing && !spared || self.disk.failed();
                let node = self.node;
                self.scene.judge(|checker, at| {
                    checker.tally.check(M::DURABLE, at, expected, || {
                        format!("the store of {node:?} failed by itself: {error}")
                    })
                });
                error.to_string()
            }
        };
        let crash = matches!(plan, Plan::Crash { .. });
        let (context, writes) =
            decided.unwrap_or_else(|| (M::context(&Loaded::<M>::new()), Writes::<M>::new()));
        lock(&self.mirror).uncertain = Some(Uncertain { writes, context, crash });
        self.scene.tell(self.node.lane(), What::Fault, || why.clone());
        if crash {
            let down = self.draw(|luck| luck.between(10, 3_000));
            self.scene.crash_soon(self.node, down);
        } else {
            self.fails(plan == Plan::Error);
        }
        Err(StoreError::Unknown { why })
    }
}

impl<M: Role> Store<M> for Watched<M> {
    type Error = StoreError;

    async fn transact(
        &mut self,
        keys: Vec<M::Key>,
        mut decide: impl FnMut(&Loaded<M>) -> Writes<M> + Send,
    ) -> Result<(), StoreError> {
        if !self.scene.is_healed() {
            // A commit that waits for its syncs is one that begins late: nobody sees it before.
            let wait_us = self.disk.begin(self.scene.now_ms() * 1000);
            if wait_us > 0 {
                see(&self.scene, &self.disk);
                tokio::time::sleep(Duration::from_micros(wait_us)).await;
            }
        }
        if !self.disk.works() {
            if self.disk.failed() {
                self.fails(false);
            }
            return Err(StoreError::Unknown { why: "the disk has failed before".to_owned() });
        }
        let plan = self.plan();
        let mut decided = None;
        let result = at_once(lock(&self.inner).transact(keys, |loaded| {
            let writes = decide(loaded);
            decided = Some((M::context(loaded), writes.clone()));
            writes
        }));
        self.end(plan, result, decided)
    }
}

impl<M: Role> Query<M> for Watched<M> {
    type Error = StoreError;

    async fn get(&self, key: &M::Key) -> Result<Option<M::Record>, StoreError> {
        self.read(self.reader.get(key).await)
    }

    async fn scan(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
    ) -> Result<Page<M>, StoreError> {
        self.read(self.reader.scan(from, until, limit).await)
    }
}
