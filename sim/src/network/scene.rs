//! What the driver and the hosts of one run share. Nothing is global: each run has its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use counterfoil_protocol::cloud::{self, Cloud};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{PosId, TerminalId, Witness};
use counterfoil_protocol::terminal::row::Meta;
use counterfoil_protocol::terminal::{Draft, Identity, Key, Record, SessionDraft, Terminal};
use counterfoil_protocol::time::Millis;
use tokio::sync::{Notify, watch};

use super::Sabotage;
use super::edits::Wish;
use super::goodbye::Goodbyes;
use super::observe::{Mirror, Planted};
use crate::checker::{Checker, CloudBackup, CloudRows, DeviceBackup, TillRows};
use crate::coverage::{Coverage, Injected, Transition};
use crate::disk::Disk;
use crate::law::Violation;
use crate::model::START;
use crate::plan::{DiskPlan, Plan};
use crate::rng::Stream;
use crate::sales::Sales;
use crate::story::{Lane, Step, Story, What};

/// Locks; what these locks guard is never left half changed.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Cloud,
    Till(usize),
}

impl Node {
    /// Returns its lane of the story.
    pub(super) fn lane(self) -> Lane {
        match self {
            Self::Cloud => Lane::Cloud,
            Self::Till(number) => Lane::Till(u32::try_from(number).unwrap_or(u32::MAX)),
        }
    }
}

/// A run.
pub(super) struct Scene {
    pub(super) plan: Plan,
    pub(super) sales: Option<Arc<Sales>>,
    pub(super) sabotage: Sabotage,
    pub(super) healed: watch::Sender<bool>,
    pub(super) cloud: CloudSlot,
    tills: Mutex<Vec<Arc<TillSlot>>>,
    board: Mutex<Board>,
    now_ms: AtomicU64,
}

/// What is written down.
pub(super) struct Board {
    pub(super) checker: Checker,
    pub(super) coverage: Coverage,
    pub(super) violation: Option<Violation>,
    pub(super) trace: blake3::Hasher,
    pub(super) story: Option<Story>,
    /// Nodes that have lost their store and wait for their end.
    pub(super) crashes: Vec<Crash>,
    /// How often a store was opened that a crash had left open.
    pub(super) recoveries: u64,
}

/// A node must go down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crash {
    pub(super) node: Node,
    pub(super) down_ms: u64,
}

/// What stays of the cloud while its host comes and goes.
pub(super) struct CloudSlot {
    pub(super) disk: Disk,
    pub(super) goodbyes: Goodbyes,
    pub(super) mirror: Arc<Mutex<Mirror<Cloud>>>,
    pub(super) luck: Mutex<Stream>,
    pub(super) link: Mutex<Stream>,
    pub(super) throttled_until_ms: AtomicU64,
    /// What it draws its keys from.
    pub(super) secrecy: Mutex<Stream>,
    /// Whatever compacts its catalog.
    pub(super) compactor: Mutex<Stream>,
    pub(super) errands: Mutex<std::collections::VecDeque<Errand>>,
    pub(super) errand: Notify,
    pub(super) tokens: Mutex<BTreeMap<TerminalId, Credential>>,
    pub(super) state: Mutex<CloudState>,
}

#[derive(Default)]
pub(super) struct CloudState {
    pub(super) up: bool,
    pub(super) backup: Option<(Vec<u8>, CloudRows, CloudBackup)>,
}

/// Something an operator does.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    pub(super) input: cloud::Input,
    pub(super) fault: Option<Injected>,
    /// The token that the tills of a terminal learn once it is enrolled.
    pub(super) token: Option<(TerminalId, Credential)>,
}

/// What a till presents, and what the cloud stores of it.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    pub(super) text: String,
    pub(super) digest: Hash,
}

/// What stays of a till while its host comes and goes.
pub(super) struct TillSlot {
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) identity: Identity,
    pub(super) disk: Disk,
    pub(super) goodbyes: Goodbyes,
    pub(super) mirror: Arc<Mutex<Mirror<Terminal>>>,
    /// The file outside the disk.
    pub(super) witness: Arc<Mutex<Option<Witness>>>,
    pub(super) token: watch::Sender<String>,
    pub(super) skew_ms: AtomicI64,
    pub(super) entropy: Arc<Mutex<Stream>>,
    pub(super) luck: Mutex<Stream>,
    pub(super) link: Mutex<Stream>,
    pub(super) work: Mutex<Stream>,
    /// What happens to its drawers.
    pub(super) drawer: Mutex<Stream>,
    /// What is edited here.
    pub(super) edits: Mutex<Stream>,
    /// When its catalog is verified.
    pub(super) verify: Mutex<Stream>,
    /// What its disk makes of its rows.
    pub(super) drift: Mutex<Stream>,
    /// The store that is open, to plant rows in.
    pub(super) planted: Planted<Terminal>,
    pub(super) registers: [PosId; 2],
    pub(super) state: Mutex<TillState>,
}

#[derive(Default)]
pub(super) struct TillState {
    pub(super) up: bool,
    pub(super) cut_to_ms: u64,
    pub(super) cut_from_ms: u64,
    pub(super) backup: Option<TillBackup>,
    pub(super) last_draft: Option<Draft>,
    /// How many of its real sales the till has begun.
    pub(super) sold: usize,
    /// The cashier does not know whether this was recorded.
    pub(super) unsure: Option<Draft>,
    /// As little does the one at the drawer of this.
    pub(super) unsure_act: Option<SessionDraft>,
    pub(super) last_act: Option<SessionDraft>,
    /// Nor does whoever edits the catalog of this.
    pub(super) unsure_wish: Option<Wish>,
    /// A greeting that was sent after the faults was answered.
    pub(super) greeted_since_heal: bool,
    /// The device has been moved to another branch: nobody sells with this database any more.
    pub(super) moved: bool,
    /// The request under way is a greeting.
    pub(super) hello_out: bool,
    /// It was sent after the faults.
    pub(super) hello_since_heal: bool,
    /// A greeting was answered, and not yet committed.
    pub(super) welcome_in: bool,
    /// The catalog was asked for after the faults, and proven.
    pub(super) followed_since_heal: bool,
    /// The catalog was compared after the faults, and nothing differed.
    pub(super) clean_since_heal: bool,
}

/// What is put aside when a till is backed up.
#[derive(Clone)]
pub(super) struct TillBackup {
    pub(super) image: Vec<u8>,
    pub(super) rows: TillRows,
    pub(super) witness: Option<Witness>,
    pub(super) owed: DeviceBackup,
}

impl Scene {
    pub(super) fn new(
        plan: &Plan,
        sales: Option<Arc<Sales>>,
        sabotage: Sabotage,
        keep_log: bool,
    ) -> Self {
        let stream = |name: &str| Stream::new(plan.seed, name, 0);
        Self {
            plan: plan.clone(),
            sales,
            sabotage,
            healed: watch::Sender::new(false),
            cloud: CloudSlot {
                disk: Disk::new(stream("network/cloud/disk"), disk_plan(plan, sabotage)),
                goodbyes: Goodbyes::default(),
                mirror: Arc::default(),
                luck: Mutex::new(stream("network/cloud/luck")),
                link: Mutex::new(stream("network/cloud/link")),
                throttled_until_ms: AtomicU64::new(0),
                secrecy: Mutex::new(stream("network/cloud/secrecy")),
                compactor: Mutex::new(stream("catalog/compactor")),
                errands: Mutex::default(),
                errand: Notify::new(),
                tokens: Mutex::default(),
                state: Mutex::default(),
            },
            tills: Mutex::default(),
            board: Mutex::new(Board {
                checker: Checker::default(),
                coverage: Coverage::default(),
                violation: None,
                trace: blake3::Hasher::new(),
                story: keep_log.then(Story::default),
                crashes: Vec::new(),
                recoveries: 0,
            }),
            now_ms: AtomicU64::new(0),
        }
    }

    /// Returns what the disks of this run do.
    pub(super) fn disk_plan(&self) -> DiskPlan {
        disk_plan(&self.plan, self.sabotage)
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }

    pub(super) fn till(&self, number: usize) -> Arc<TillSlot> {
        Arc::clone(&lock(&self.tills)[number])
    }

    pub(super) fn tills(&self) -> Vec<Arc<TillSlot>> {
        lock(&self.tills).clone()
    }

    pub(super) fn add_till(&self, slot: Arc<TillSlot>) {
        let mut tills = lock(&self.tills);
        assert_eq!(slot.number, tills.len(), "tills are numbered as they come");
        tills.push(slot);
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.tills).len()
    }

    /// Tells the time to those who ask from outside of every host.
    pub(super) fn set_now(&self, ms: u64) {
        self.now_ms.store(ms, Ordering::Relaxed);
    }

    /// Returns the time since the start: inside a host the host's own, which is exact.
    pub(super) fn now_ms(&self) -> u64 {
        turmoil::sim_elapsed().map_or_else(
            || self.now_ms.load(Ordering::Relaxed),
            |elapsed| elapsed.as_millis() as u64,
        )
    }

    pub(super) fn is_healed(&self) -> bool {
        *self.healed.borrow()
    }

    pub(super) fn saw(&self, transition: Transition) {
        self.board().coverage.saw(transition);
    }

    pub(super) fn injected(&self, fault: Injected) {
        self.board().coverage.injected(fault);
    }

    /// Checks something; the first violation ends the run.
    pub(super) fn judge(
        &self,
        check: impl FnOnce(&mut Checker, u64) -> Result<(), Violation>,
    ) -> bool {
        let at = self.now_ms();
        let mut board = self.board();
        match check(&mut board.checker, at) {
            Ok(()) => true,
            Err(violation) => {
                board.violation.get_or_insert(violation);
                false
            }
        }
    }

    /// Adds something that happened to the digest.
    pub(super) fn trace(&self, kind: u8, parts: &[&[u8]]) {
        let at = self.now_ms();
        let mut board = self.board();
        board.trace.update(&at.to_le_bytes());
        board.trace.update(&[kind]);
        for part in parts {
            board.trace.update(&(part.len() as u64).to_le_bytes());
            board.trace.update(part);
        }
    }

    /// Adds a step to the story, if one is kept.
    pub(super) fn tell(&self, lane: Lane, what: What, text: impl FnOnce() -> String) {
        let at_us = self.now_ms() * 1_000;
        let mut board = self.board();
        if let Some(story) = &mut board.story {
            story.add(Step { at_us, lane, what, text: text() });
        }
    }

    /// Asks the driver to end a node after this tick, and to start it again later.
    pub(super) fn crash_soon(&self, node: Node, down_ms: u64) {
        self.board().crashes.push(Crash { node, down_ms });
    }

    /// Hands the operator something to do; it waits while the cloud is down.
    pub(super) fn send_operator(&self, errand: Errand) {
        lock(&self.cloud.errands).push_back(errand);
        self.cloud.errand.notify_one();
    }
}

impl TillSlot {
    /// Returns its lane of the story.
    pub(super) fn lane(&self) -> Lane {
        Node::Till(self.number).lane()
    }

    /// Returns the time that the till's clock shows.
    pub(super) fn wall(&self, now_ms: u64) -> Millis {
        Millis((START + now_ms).saturating_add_signed(self.skew_ms.load(Ordering::Relaxed)))
    }

    /// Returns whether everything has been said since the faults ended.
    pub(super) fn drained(&self) -> bool {
        let heard = {
            let (state, mirror) = (lock(&self.state), lock(&self.mirror));
            let meta = meta(&mirror.rows);
            state.up
                && state.greeted_since_heal
                && state.is_sure()
                && meta.is_some_and(|meta| meta.backlog().quarantined.is_none())
        };
        heard && self.is_answered()
    }

    /// Returns whether the cloud has answered all that was recorded.
    pub(super) fn is_answered(&self) -> bool {
        let mirror = lock(&self.mirror);
        let Some(meta) = meta(&mirror.rows) else { return false };
        let backlog = meta.backlog();
        mirror.uncertain.is_none()
            && backlog.fresh == 0
            && !backlog.adopting
            && queue_is_empty(&mirror.rows)
    }

    pub(super) fn explain(&self) -> String {
        let state = lock(&self.state);
        let mirror = lock(&self.mirror);
        let backlog = meta(&mirror.rows).map(Meta::backlog);
        format!(
            "up {}, greeted {}, unsure {}, {backlog:?}, queue empty {}",
            state.up,
            state.greeted_since_heal,
            !state.is_sure(),
            queue_is_empty(&mirror.rows),
        )
    }
}

impl TillState {
    /// Returns whether whoever works at the till knows what was recorded.
    const fn is_sure(&self) -> bool {
        self.unsure.is_none() && self.unsure_act.is_none() && self.unsure_wish.is_none()
    }
}

const fn disk_plan(plan: &Plan, sabotage: Sabotage) -> DiskPlan {
    DiskPlan { lies: plan.disk.lies || sabotage.lying_disks, ..plan.disk }
}

fn meta(rows: &TillRows) -> Option<&Meta> {
    match rows.get(&Key::Meta).map(Arc::as_ref) {
        Some(Record::Meta(meta)) => Some(meta),
        Some(_) | None => None,
    }
}

fn queue_is_empty(rows: &TillRows) -> bool {
    let first = Key::Queue(counterfoil_protocol::identity::Epoch::default(), 0);
    !matches!(rows.range(first..).next(), Some((Key::Queue(..), _)))
}
