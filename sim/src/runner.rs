//! Many seeds over all cores, merged so that the order in which they ended does not show.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::asked;
use crate::coverage::{Coverage, Injected, Transition};
use crate::law::{Law, Tally, Violation};
use crate::model::{self, Medium};
use crate::network;
use crate::pairs::Pairs;
use crate::plan::{Plan, Shape};
use crate::profile::Profile;
use crate::sales::Sales;
use crate::story::Story;

/// Which simulator runs a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The pure roles over stores in memory: microseconds, thousands of seeds a minute.
    Model,
    /// The same, with the real redb on simulated disks.
    Disk,
    /// The real services over simulated TCP, with real stores on simulated disks.
    Network,
}

impl Level {
    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Disk => "disk",
            Self::Network => "network",
        }
    }

    /// Returns whether a fault can come at this level, on any profile on which laws hold.
    #[must_use]
    pub const fn has(self, fault: Injected) -> bool {
        let lies = matches!(fault, Injected::DiskLied);
        let repairs = matches!(fault, Injected::RecoveryCut);
        match self {
            Self::Model => !fault.of_disk(),
            Self::Disk => !lies,
            Self::Network => !lies && !repairs,
        }
    }

    /// Returns whether a transition can be seen at this level.
    #[must_use]
    pub const fn shows(self, kind: Transition) -> bool {
        use Transition::{StoreRepaired, TillArchive, TillCorrect, TillGiveWay, TillSetAside};
        match self {
            // Stores in memory need no repair.
            Self::Model => !matches!(kind, StoreRepaired),
            Self::Disk => true,
            // No cashier looks at what failed there, and a till has no second file.
            Self::Network => {
                !matches!(kind, TillArchive | TillCorrect | TillGiveWay | TillSetAside)
            }
        }
    }

    /// Returns what a few hundred seeds of this level need not show, and why. All else must happen.
    #[must_use]
    pub const fn rare(self) -> &'static [(Transition, &'static str)] {
        match self {
            Self::Model | Self::Disk => &[],
            Self::Network => &[
                (
                    Transition::InboxAckUnknown,
                    "the connection on which a till would acknowledge ends with a cloud that is \
                     restored, and on a new one it asks first: the cloud must be gone and back \
                     while its last page is on its way",
                ),
                (
                    Transition::VerifyMore,
                    "a first answer is made long enough for 99 of 100 comparisons, and at this \
                     level few tills have lost so many rows that it is not",
                ),
                (
                    Transition::ReconcileMoved,
                    "a first answer has too few cells once in a hundred times, and the catalog \
                     must be edited before the second question arrives",
                ),
            ],
        }
    }
}

/// What one run showed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The law that was broken, if one was.
    pub violation: Option<Violation>,
    /// What happened.
    pub coverage: Coverage,
    /// How often each law was checked.
    pub tally: Tally,
    /// How many events tills committed.
    pub events: u64,
    /// The simulated time.
    pub sim_ms: u64,
    /// The digest of everything that happened: same plan, same digest.
    pub digest: [u8; 32],
    /// What happened, if it was asked for.
    pub story: Story,
}

/// What many runs showed.
#[derive(Clone, Debug)]
pub struct Summary {
    /// At which level.
    pub level: Level,
    /// How many seeds.
    pub seeds: u64,
    /// What happened in all of them.
    pub coverage: Coverage,
    /// Which transition was seen after which fault.
    pub pairs: Pairs,
    /// For how long the seeds asked for each class of faults, in simulated milliseconds and in the
    /// order of [`Injected::ALL`].
    pub asked_ms: Vec<u64>,
    /// How often each law was checked in all of them.
    pub tally: Tally,
    /// How many events tills committed.
    pub events: u64,
    /// The simulated time, added up.
    pub sim_ms: u64,
    /// The time it took.
    pub wall_ms: u64,
    /// The seeds in which a law was broken, rising.
    pub failures: Vec<(u64, Violation)>,
    /// The digests of all runs, in the order of their seeds.
    pub digest: String,
}

impl Summary {
    /// Returns how many seeds broke `law`.
    #[must_use]
    pub fn violations(&self, law: Law) -> u64 {
        self.failures.iter().filter(|(_, violation)| violation.law == law).count() as u64
    }

    /// Returns the classes of faults that never came, though they were asked for over so many
    /// simulated milliseconds.
    #[must_use]
    pub fn never_came(&self) -> Vec<(Injected, u64)> {
        let all = Injected::ALL.iter().zip(&self.asked_ms).map(|(fault, asked)| (*fault, *asked));
        all.filter(|(fault, asked)| {
            *asked >= asked::CHAOS_MS_MIN && self.coverage.fault(*fault) == 0
        })
        .collect()
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// At which level.
    pub level: Level,
    /// The first seed.
    pub from: u64,
    /// How many seeds.
    pub seeds: u64,
    /// How large the plans are.
    pub shape: Shape,
    /// What kind of days they are.
    pub profile: Profile,
    /// Real sales in place of drawn ones.
    pub sales: Option<Arc<Sales>>,
    /// On how many threads.
    pub jobs: usize,
    /// Whether to begin no further seed once one has broken a law. All below it are finished, so
    /// the first failure is the same on any number of threads.
    pub fail_fast: bool,
}

/// Returns the plan of a seed of a job.
#[must_use]
pub fn plan(job: &Job, seed: u64) -> Plan {
    let mut plan = job.profile.draw(seed, job.shape);
    if let Some(sales) = &job.sales {
        sales.fit(&mut plan);
    }
    if job.level == Level::Network {
        network::fit(&mut plan);
    }
    plan
}

/// Runs one plan.
#[must_use]
pub fn run_plan(level: Level, plan: &Plan, sales: Option<&Arc<Sales>>, keep_log: bool) -> Outcome {
    let run = AssertUnwindSafe(|| match level {
        Level::Model => model::run(plan, sales, keep_log),
        Level::Disk => model::run_on(Medium::Disk, plan, sales, keep_log),
        Level::Network => network::run(plan, sales, keep_log),
    });
    match catch_unwind(run) {
        Ok(mut outcome) => {
            let held = outcome.tally.check(Law::NoPanic, outcome.sim_ms, true, String::new);
            assert!(held.is_ok(), "a check that holds is no violation");
            outcome
        }
        Err(panic) => Outcome {
            violation: Some(Violation { law: Law::NoPanic, at_ms: 0, what: said(panic.as_ref()) }),
            ..Outcome::default()
        },
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".into())
}

/// Runs a job. `progress` is told each time a seed has ended, with the count of failures so far.
pub fn run(job: &Job, progress: impl Fn(u64, u64) + Sync) -> Summary {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let done = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let merged = Mutex::new(Merged::new(job.level));
    std::thread::scope(|scope| {
        for _ in 0..job.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= job.seeds || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let seed = job.from + index;
                    let plan = plan(job, seed);
                    let outcome = run_plan(job.level, &plan, job.sales.as_ref(), false);
                    if outcome.violation.is_some() {
                        stop.fetch_or(job.fail_fast, Ordering::Relaxed);
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    let ended = done.fetch_add(1, Ordering::Relaxed) + 1;
                    merged
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .add(&plan, seed, outcome);
                    progress(ended, failed.load(Ordering::Relaxed));
                }
            });
        }
    });
    merged.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).finish(begun)
}

/// What the seeds that have ended showed: of each, only its digest is kept.
struct Merged {
    summary: Summary,
    digests: Vec<(u64, [u8; 32])>,
}

impl Merged {
    fn new(level: Level) -> Self {
        let summary = Summary {
            level,
            seeds: 0,
            coverage: Coverage::default(),
            pairs: Pairs::default(),
            asked_ms: vec![0; Injected::ALL.len()],
            tally: Tally::default(),
            events: 0,
            sim_ms: 0,
            wall_ms: 0,
            failures: Vec::new(),
            digest: String::new(),
        };
        Self { summary, digests: Vec::new() }
    }

    fn add(&mut self, plan: &Plan, seed: u64, outcome: Outcome) {
        let summary = &mut self.summary;
        summary.seeds += 1;
        summary.coverage.add(&outcome.coverage);
        summary.pairs.add(&outcome.coverage);
        for fault in asked::faults(summary.level, plan).iter() {
            summary.asked_ms[fault as usize] += plan.chaos_ms;
        }
        summary.tally.add(&outcome.tally);
        summary.events += outcome.events;
        summary.sim_ms += outcome.sim_ms;
        summary.failures.extend(outcome.violation.map(|violation| (seed, violation)));
        self.digests.push((seed, outcome.digest));
    }

    fn finish(mut self, begun: Instant) -> Summary {
        // The order in which the seeds ended does not show.
        self.digests.sort_unstable();
        self.summary.failures.sort_by_key(|(seed, _)| *seed);
        let mut digest = blake3::Hasher::new();
        for (_, of_seed) in &self.digests {
            digest.update(of_seed);
        }
        self.summary.digest = digest.finalize().to_hex()[..32].to_string();
        self.summary.wall_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.summary
    }
}
