//! The simulator for a protocol of your own.
//!
//! Whatever is written as a [`Machine`] can be put into the world that our own roles live in: one
//! cloud, tills around it, links that lose, double and delay, nodes that lose their power before or
//! after a commit, disks that are replaced by a backup. The faults are those of the same [`Plan`],
//! drawn, made small and kept as files in the same way; the laws are yours.
//!
//! | of a plan | here |
//! |---|---|
//! | `tills`, `chaos_ms` | how many tills, how long faults happen |
//! | `sale_every_ms` | how often each till has [work](System::work) |
//! | `link` | latency, jitter, slow, duplicates; what is lost, reset or refused is lost |
//! | `crash_ppm`, `storage_error_ppm` | a node starts anew after a commit, with or without it |
//! | `partition`, `crash_till`, `crash_cloud`, `throttle`, `clock_jump` | as they say |
//! | `backup_*`, `restore_*` | a node's rows are replaced by an earlier copy of them |
//! | all else | has no meaning here, and is left out |
//!
//! `docs/simulate-your-own.md` builds a small protocol, breaks it, and looks at what is shown.

mod faults;
mod hunt;
mod world;

use std::collections::BTreeMap;
use std::fmt;

use counterfoil_protocol::machine::Machine;
use counterfoil_protocol::time::Millis;

use crate::plan::{Fault, Plan, Shape};
use crate::rng::Stream;
use crate::story::{Lane, Story};

pub use hunt::{Finding, Hunt, hunt};
pub use world::{View, run};

/// What a node of a system is asked.
pub type Input<S> = <<S as System>::Machine as Machine>::Input;
/// What it answers.
pub type Output<S> = <<S as System>::Machine as Machine>::Output;
/// The names of its rows.
pub type Key<S> = <<S as System>::Machine as Machine>::Key;
/// Their contents.
pub type Record<S> = <<S as System>::Machine as Machine>::Record;

/// A protocol under simulation. It is a value without state of its own: what a node knows is in its
/// rows, and what must not be forgotten in a crash has to be there.
pub trait System: Sync {
    /// Every role of it. A machine may be another one for each node ([`System::machine`]).
    type Machine: Machine<
            Input: Clone + fmt::Debug + Send + Sync,
            Output: fmt::Debug + Send,
            Key: fmt::Debug + Send + Sync,
            Record: fmt::Debug + Send + Sync,
        > + Sync;

    /// Returns the role of a node.
    fn machine(&self, node: Node) -> Self::Machine;

    /// Draws what somebody asks of a till now, if anything.
    fn work(&self, till: u32, draws: &mut Stream) -> Option<Input<Self>>;

    /// Returns what a node does when it starts, at first and after each crash: from its rows, as it
    /// remembers nothing else.
    fn started(&self, node: Node, view: &View<'_, Self>) -> Vec<Act<Input<Self>>>;

    /// Returns what follows from an answer, which is durable by now.
    fn follow(
        &self,
        node: Node,
        input: &Input<Self>,
        output: Output<Self>,
        view: &View<'_, Self>,
    ) -> Vec<Act<Input<Self>>>;

    /// Returns whether the protocol promises to survive a fault: others are left out of its plans.
    fn survives(&self, _fault: Fault) -> bool {
        true
    }

    /// Checks what must hold after every commit.
    ///
    /// # Errors
    /// The first law that does not.
    fn always(&self, view: &View<'_, Self>, laws: &mut Laws) -> Result<(), Broken>;

    /// Checks what must hold in the end: faults are over, nothing is under way (or [`REST`] has
    /// passed).
    ///
    /// # Errors
    /// The first law that does not.
    fn at_rest(&self, view: &View<'_, Self>, laws: &mut Laws) -> Result<(), Broken>;

    /// Returns what has to happen in some run, or nothing interesting was tried: the names that
    /// [`Laws::saw`] is told.
    fn sometimes(&self) -> &'static [&'static str] {
        &[]
    }
}

/// For how long a system may go on by itself after the faults.
pub const REST: Millis = Millis::from_secs(3_600);

/// A node of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// The one in the middle.
    Cloud,
    /// One of those around it, counted from 0.
    Till(u32),
}

impl Node {
    const fn lane(self) -> Lane {
        match self {
            Self::Cloud => Lane::Cloud,
            Self::Till(number) => Lane::Till(number),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lane().fmt(f)
    }
}

/// What a node does beside its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act<I> {
    /// Sends a message: an input of another node. It may be lost, late, or arrive twice.
    Send {
        /// To whom.
        to: Node,
        /// What.
        input: I,
    },
    /// Asks itself later, unless it crashes before.
    After {
        /// How much later.
        span: Millis,
        /// What.
        input: I,
    },
}

/// How often each law was checked, and what was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Laws {
    checked: BTreeMap<&'static str, u64>,
    seen: BTreeMap<&'static str, u64>,
}

impl Laws {
    /// Counts a check of `law`.
    ///
    /// # Errors
    /// [`Broken`] with what was expected and found, if it does not hold.
    pub fn check(
        &mut self,
        law: &'static str,
        holds: bool,
        what: impl FnOnce() -> String,
    ) -> Result<(), Broken> {
        *self.checked.entry(law).or_default() += 1;
        if holds { Ok(()) } else { Err(Broken { law, at_ms: 0, what: what() }) }
    }

    /// Counts something that is worth seeing in some run ([`System::sometimes`]).
    pub fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Returns each law with how often it was checked.
    pub fn checked(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.checked.iter().map(|(law, count)| (*law, *count))
    }

    /// Returns how often something was seen.
    #[must_use]
    pub fn seen(&self, what: &str) -> u64 {
        self.seen.get(what).copied().unwrap_or_default()
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in [(&mut self.checked, &other.checked), (&mut self.seen, &other.seen)] {
            for (name, count) in theirs {
                *mine.entry(name).or_default() += count;
            }
        }
    }
}

/// A law that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{law} broken at {at_ms} ms: {what}")]
pub struct Broken {
    /// Which.
    pub law: &'static str,
    /// When, in milliseconds since the start.
    pub at_ms: u64,
    /// What was expected, and what was found.
    pub what: String,
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The first law that was broken, if one was.
    pub broken: Option<Broken>,
    /// What was checked and seen.
    pub laws: Laws,
    /// Each kind of fault that came, with how often.
    pub faults: BTreeMap<&'static str, u64>,
    /// How many transactions were committed.
    pub commits: u64,
    /// How long the run was in its own time, in milliseconds.
    pub sim_ms: u64,
    /// The same for the same plan, always.
    pub digest: [u8; 32],
    /// What happened, if it was to be told.
    pub story: Option<Story>,
}

/// Returns the plan of a seed, without the faults that have no meaning here, or that the system
/// does not promise to survive.
#[must_use]
pub fn plan<S: System + ?Sized>(system: &S, seed: u64, shape: Shape) -> Plan {
    let mut plan = Plan::draw(seed, shape);
    plan.faults.retain(|timed| faults::has_meaning(timed.fault) && system.survives(timed.fault));
    plan
}
