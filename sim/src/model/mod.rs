//! The model level: the pure roles over stores in memory, in a world of one event heap.
//!
//! Time is counted in microseconds, so that races below a millisecond exist. Everything that
//! happens is an entry of the heap; entries of the same time happen in the order of their making.

mod alarm;
mod archive;
pub(crate) mod catalog;
mod cloud;
mod compaction;
mod correct;
mod cover;
mod drain;
pub(crate) mod edits;
mod faults;
pub(crate) mod inbox;
mod link;
mod log;
mod moves;
pub mod retold;
pub(crate) mod sessions;
mod stores;
mod till;
pub(crate) mod verify;
pub(crate) mod work;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::sync::Arc;

use counterfoil_protocol::cloud::{Compact, RollUp, Site};
use counterfoil_protocol::identity::{PosId, SessionId, ShopId};
use counterfoil_protocol::session::{Config, Fault};
use counterfoil_protocol::terminal::archive::Step;
use counterfoil_protocol::terminal::catalog::Wanted;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::inbox::Cursor;

use crate::checker::Checker;
use crate::coverage::Coverage;
use crate::law::{Law, Violation};
use crate::plan::Plan;
use crate::rng::Stream;
use crate::runner::Outcome;
use crate::sales::Sales;
use crate::story::{self, Lane, Story, What};

use alarm::Part;
use cloud::CloudHost;
pub(crate) use compaction::LEASE_LIFE;
use inbox::StoreFront;
use log::Trace;
pub use stores::Medium;
use till::TillHost;

/// The clock of tills and cloud at the start of a run.
pub const START: u64 = 1_750_000_000_000;
/// How long a healed world may take until every queue is empty.
const DRAIN_MS: u64 = 20 * 60 * 1000;
/// How often a healed world's staff looks at what needs attention.
const STAFF_MS: u64 = 15_000;

/// Runs a plan over stores in memory.
#[must_use]
pub fn run(plan: &Plan, sales: Option<&Arc<Sales>>, keep_log: bool) -> Outcome {
    run_on(Medium::Memory, plan, sales, keep_log)
}

/// Runs a plan.
#[must_use]
pub fn run_on(medium: Medium, plan: &Plan, sales: Option<&Arc<Sales>>, keep_log: bool) -> Outcome {
    let mut world = World::new(medium, plan, sales.cloned(), keep_log);
    let violation = world.live().err();
    if let Some(violation) = &violation {
        world.tell(Lane::World, What::Violation, || violation.to_string());
    }
    let digest = world.trace.digest();
    let mut coverage = world.coverage;
    for till in &world.tills {
        coverage.add(&till.coverage);
    }
    Outcome {
        violation,
        coverage,
        tally: world.checker.tally,
        events: world.checker.events(),
        sim_ms: world.now_us / 1000,
        digest,
        story: world.story.unwrap_or_default(),
    }
}

/// The configuration of every session in a simulation: shorter waits, so that more happens.
#[must_use]
pub fn session_config() -> Config {
    Config {
        request_timeout: Millis::from_secs(5),
        backoff_base: Millis(250),
        backoff_cap: Millis::from_secs(10),
        retry_after_cap: Millis::from_secs(20),
        quarantine_probe: Millis::from_secs(10),
        idle_greeting: Millis::from_secs(30),
        items_max: 40,
    }
}

/// The most steps that a simulated second may have for each host. A busy one has a few hundred.
const STEPS_PER_SECOND_MAX: u64 = 5_000;

struct World {
    medium: Medium,
    plan: Plan,
    sales: Option<Arc<Sales>>,
    now_us: u64,
    made: u64,
    heap: BinaryHeap<Reverse<Scheduled>>,
    tills: Vec<TillHost>,
    cloud: CloudHost,
    checker: Checker,
    coverage: Coverage,
    trace: Trace,
    story: Option<Story>,
    healed: bool,
    /// The current second, and how many steps it has had.
    pace: (u64, u64),
    /// The till that was last found waiting after the faults.
    awaited: usize,
    /// Whoever edits the catalog.
    editor: Stream,
    /// The online store.
    front: StoreFront,
    /// Whatever compacts it.
    compactor: Stream,
}

#[derive(Debug)]
struct Scheduled {
    at_us: u64,
    made: u64,
    what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at_us, self.made) == (other.at_us, other.made)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.made).cmp(&(other.at_us, other.made))
    }
}

#[derive(Clone, Debug)]
enum Happening {
    Sell(usize),
    Wake(usize, u32, Part),
    Request(Box<Request>),
    Answer(Box<Answer>),
    CloudCommit(u32),
    RollUp(u32, Box<(Site, RollUp)>),
    EditCatalog,
    EditAtTill(usize),
    /// Somebody looks at what failed.
    Correct(usize),
    Archive(usize),
    Leave(usize, u32, Box<Step>),
    PlanCompaction,
    Compact(u32, Box<Compact>),
    Drawer(usize),
    Order,
    Relay,
    Verify(usize),
    ApplyPlan(usize, u32),
    RestartTill(usize),
    RestartCloud,
    Fault(usize),
    Reenrol(usize),
    Retire(usize),
    DefineProducts(u64),
    Heal,
    Staff,
    Admit,
}

/// A message on its way to the cloud.
#[derive(Clone, Debug)]
struct Request {
    till: usize,
    life: u32,
    number: u64,
    kind: Kind,
    bytes: Rc<Vec<u8>>,
    /// Its number in the story.
    message: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Hello,
    Push,
    Catalog(Wanted),
    Session(PosId, SessionId),
    Pending(Cursor),
    Ack,
    Reconcile,
    Entities,
}

/// A message on its way to a till.
#[derive(Clone, Debug)]
struct Answer {
    till: usize,
    life: u32,
    /// What it answers.
    request: u64,
    reply: Reply,
    /// Its number in the story.
    message: u64,
}

/// What comes back.
#[derive(Clone, Debug)]
enum Reply {
    Welcome(Vec<u8>),
    Pushed(counterfoil_protocol::identity::Epoch, Vec<u8>),
    Delta(Vec<u8>),
    Run(Vec<u8>),
    Session(Vec<u8>),
    Pending(Vec<u8>),
    Acked(Vec<u8>),
    Reconcile(Vec<u8>),
    Entities(Vec<u8>),
    Fault(Fault),
}

impl World {
    fn new(medium: Medium, plan: &Plan, sales: Option<Arc<Sales>>, keep_log: bool) -> Self {
        let mut world = Self {
            medium,
            plan: plan.clone(),
            sales,
            now_us: 0,
            made: 0,
            heap: BinaryHeap::new(),
            tills: Vec::new(),
            cloud: CloudHost::new(plan),
            checker: Checker::default(),
            coverage: Coverage::default(),
            trace: Trace::default(),
            story: keep_log.then(Story::default),
            healed: false,
            pace: (0, 0),
            awaited: 0,
            editor: Stream::new(plan.seed, "catalog/editor", 0),
            front: StoreFront::new(plan),
            compactor: Stream::new(plan.seed, "catalog/compactor", 0),
        };
        world.cloud.store = world.store("cloud/disk", 0, Vec::new());
        for till in 0..plan.tills as usize {
            world.add_till(till, plan.branch(till as u64));
        }
        for (index, timed) in plan.faults.iter().enumerate() {
            world.at(timed.at_ms * 1000, Happening::Fault(index));
        }
        if plan.park_unknown {
            for batch in 0..4 {
                let at_ms = plan.chaos_ms * (batch + 1) / 4;
                world.at(at_ms * 1000, Happening::DefineProducts(batch));
            }
        }
        if plan.catalog_edit_every_ms > 0 {
            world.at(plan.catalog_edit_every_ms * 1000, Happening::EditCatalog);
        }
        if plan.order_every_ms > 0 {
            world.at(plan.order_every_ms * 1000, Happening::Order);
        }
        if plan.relay {
            world.at(plan.chaos_ms * 125, Happening::Relay);
        }
        if plan.compact_every_ms > 0 {
            world.at(plan.compact_every_ms * 1000, Happening::PlanCompaction);
        }
        world.at(plan.chaos_ms * 1000, Happening::Heal);
        world
    }

    fn live(&mut self) -> Result<(), Violation> {
        self.start()?;
        self.go_on()
    }

    /// Lets happen what is to happen, until the faults have ended and everything has drained.
    fn go_on(&mut self) -> Result<(), Violation> {
        let end_us = (self.plan.chaos_ms + DRAIN_MS) * 1000;
        while let Some(Reverse(mut next)) = self.heap.pop() {
            assert!(next.at_us >= self.now_us, "time goes on");
            self.now_us = next.at_us;
            if self.now_us > end_us {
                return self.not_drained();
            }
            if self.waits(&mut next) || !self.rings(&next) {
                continue;
            }
            self.note(&next);
            self.keep_pace()?;
            self.happen(next.what)?;
            if self.healed && self.drained() {
                return self.check_everything();
            }
        }
        self.not_drained()
    }

    /// Counts a step. A protocol that answers its own answers is as dead as one that sleeps, and
    /// would keep the simulator busy for ever.
    fn keep_pace(&mut self) -> Result<(), Violation> {
        let second = self.now_us / 1_000_000;
        if self.pace.0 != second {
            self.pace = (second, 0);
        }
        self.pace.1 += 1;
        let bound = STEPS_PER_SECOND_MAX * (self.tills.len() as u64 + 1);
        let (steps, at) = (self.pace.1, self.now_ms());
        self.checker.tally.check(Law::QueueDrains, at, steps <= bound, || {
            format!("{steps} steps within one second: a livelock")
        })
    }

    fn happen(&mut self, what: Happening) -> Result<(), Violation> {
        match what {
            Happening::Sell(till) => self.sell(till),
            Happening::Wake(till, _, part) => self.wake(till, part),
            Happening::Request(request) => self.arrive(*request),
            Happening::Answer(answer) => self.receive(*answer),
            Happening::CloudCommit(life) => self.cloud_commit(life),
            Happening::RollUp(life, planned) => self.roll_up(life, *planned),
            Happening::EditCatalog => self.edit_catalog(),
            Happening::EditAtTill(till) => self.edit_at_till(till),
            Happening::Correct(till) => self.correct(till),
            Happening::Archive(till) => self.archive(till),
            Happening::Leave(till, life, step) => self.leave(till, life, *step),
            Happening::PlanCompaction => self.plan_compaction(),
            Happening::Compact(life, planned) => self.compact(life, *planned),
            Happening::Drawer(till) => self.drawer(till),
            Happening::Order => self.order(),
            Happening::Relay => self.switch_relay_on(),
            Happening::Verify(till) => self.verify(till),
            Happening::ApplyPlan(till, life) => self.apply_plan(till, life),
            Happening::RestartTill(till) => self.start_till(till),
            Happening::RestartCloud => self.start_cloud(),
            Happening::Fault(index) => self.inject(self.plan.faults[index].fault),
            Happening::Reenrol(till) => self.enrol(till, None),
            Happening::Retire(till) => self.retire(till),
            Happening::DefineProducts(batch) => self.define_products(batch),
            Happening::Heal => self.heal(),
            Happening::Staff => self.staff(),
            Happening::Admit => self.admit(),
        }
    }

    fn at(&mut self, at_us: u64, what: Happening) {
        self.made += 1;
        self.heap.push(Reverse(Scheduled { at_us, made: self.made, what }));
    }

    fn after(&mut self, us: u64, what: Happening) {
        self.at(self.now_us + us, what);
    }

    fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    /// Adds what happens to the digest, and to the log if one is kept.
    fn note(&mut self, next: &Scheduled) {
        let (kind, node, detail) = log::fingerprint(&next.what);
        let mut line = [0; 25];
        line[..8].copy_from_slice(&next.at_us.to_le_bytes());
        line[8] = kind;
        line[9..17].copy_from_slice(&(node as u64).to_le_bytes());
        line[17..].copy_from_slice(&detail.to_le_bytes());
        self.trace.add(&line);
        if self.story.is_some() {
            let (lane, what, text) = self.told(&next.what);
            self.tell(lane, what, || text);
        }
    }

    /// Adds a step to the story, if one is kept.
    fn tell(&mut self, lane: Lane, what: What, text: impl FnOnce() -> String) {
        let at_us = self.now_us;
        if let Some(story) = &mut self.story {
            story.add(story::Step { at_us, lane, what, text: text() });
        }
    }

    /// Tells that a message leaves, and returns its number in the story.
    fn leaves(&mut self, lane: Lane, text: impl FnOnce() -> String) -> u64 {
        let message = self.story.as_mut().map_or(0, Story::message);
        self.tell(lane, What::Send(message), text);
        message
    }

    fn check_everything(&mut self) -> Result<(), Violation> {
        self.check_disks()?;
        let at = self.now_ms();
        for till in 0..self.tills.len() {
            self.check_archive(till)?;
        }
        for till in &self.tills {
            self.checker.till_whole(at, till.device, till.rows())?;
            if self.plan.catalog_edit_every_ms > 0 {
                self.checker.catalog_drained(at, till.device, till.rows())?;
                self.checker.edits_drained(at, till.device, till.rows())?;
            }
            let cloud = self.cloud.store.memory.rows();
            self.checker.inbox_drained(at, till.device, till.rows(), cloud)?;
        }
        self.checker.cloud_whole(at, self.cloud.store.memory.rows())?;
        let rows = self.cloud.store.memory.rows();
        self.checker.drained(at, rows)?;
        self.checker.sessions_drained(at, rows)?;
        match &self.sales {
            Some(sales) => self.checker.sums(at, rows, sales.figures),
            None => Ok(()),
        }
    }
}

fn shop() -> ShopId {
    ShopId::parse("shop").expect("a short name")
}
