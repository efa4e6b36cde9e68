//! The network level: the real cloud service and the real till client, on redb over simulated
//! disks, speaking HTTP over simulated TCP ([turmoil]).
//!
//! It runs the same plans as the model level and has the same checkers and coverage. What it adds
//! are the parts that the model leaves out: sockets that die silently, timeouts and reconnects,
//! HTTP, group commit, and a database whose unsynced writes a power cut may take. The traps of such
//! a simulation, and how each is met, are in `docs/decisions/0004-turmoil.md`.
//!
//! | module | what it is |
//! |---|---|
//! | `drive` | steps the simulation, starts and ends hosts, decides when all is drained |
//! | `faults` | the timed faults of a plan, and the end of all faults |
//! | `cloud`, `layer` | the cloud's host, and what stands between it and the network |
//! | `catalog` | who edits the catalog, and how a till follows it |
//! | `till`, `wire` | a till's host, and its end of the network |
//! | `drawer`, `edits` | who counts the cash at a till, and who edits its catalog |
//! | `inbox` | customers who order online, and the tills that hear of it |
//! | `verify`, `compaction` | rows that drift and who compares them; deletions that leave |
//! | `goodbye` | what a host that goes down says to its peers |
//! | `cover` | what the cloud's answers say happened |
//! | `observe`, `roles` | each commit goes to the checkers, each crash to a comparison |
//! | `scene` | what the driver and the hosts of one run share |
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the watchers look at a few of the rows, and at no others"
)]

mod catalog;
mod cloud;
mod compaction;
mod cover;
mod drawer;
mod drive;
mod edits;
mod faults;
mod goodbye;
mod inbox;
mod layer;
mod moves;
mod observe;
mod roles;
mod scene;
mod till;
mod verify;
mod wire;

use std::sync::Arc;

use counterfoil_protocol::session::Config;
use counterfoil_protocol::time::Millis;

use crate::model::session_config;
use crate::plan::{DriftKind, Fault, Plan, Timed};
use crate::rng::Stream;
use crate::runner::Outcome;
use crate::sales::Sales;

/// The most tills: the cost of a simulated network grows with the square of its hosts.
const TILLS_MAX: u32 = 10;
/// The longest time in which faults happen.
const CHAOS_MS_MAX: u64 = 30_000;
/// The shortest mean time between two happenings of a kind, where the plan has no shorter one.
const EVERY_MS_MIN: u64 = 200;
/// In how many of the plans in which rows drift many of them do at once.
const BURSTS_PPM: u32 = 500_000;
/// The most copies of tills.
const CLONES_MAX: usize = 3;

/// Something that is broken on purpose, to show that it would be noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sabotage {
    /// Disks say that they have synced, and have not.
    pub lying_disks: bool,
    /// A spawned task of the cloud panics at this time.
    pub panic_at_ms: Option<u64>,
    /// Tills wait for answers for ever.
    pub no_timeouts: bool,
}

/// What the disks of a run went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disks {
    /// How often a store was opened that had not been closed: a crash came before.
    pub recoveries: u64,
    /// How often a disk was asked to sync.
    pub syncs: u64,
}

/// Fits a drawn plan to this level: few tills, and faults for half a minute at most.
pub fn fit(plan: &mut Plan) {
    plan.tills = plan.tills.clamp(1, TILLS_MAX);
    plan.branches = plan.branches.clamp(1, plan.tills);
    if plan.chaos_ms > CHAOS_MS_MAX {
        hasten(plan);
    }
    add_burst(plan);
}

/// Many rows of a till drift at once, in some of the plans in which rows drift: about as many as a
/// comparison can tell, or far more. They do so at the end, before the next delta shows that a
/// proof fails and has all rows fetched anew.
fn add_burst(plan: &mut Plan) {
    let mut rng = Stream::new(plan.seed, "plan/network/burst", 0);
    if plan.verify_every_ms == 0 || plan.catalog_edit_every_ms == 0 || !rng.happens(BURSTS_PPM) {
        return;
    }
    let till = rng.below(u64::from(plan.tills)) as u32;
    let at_ms = plan.chaos_ms.saturating_sub(rng.below(300));
    let kind = *rng.pick(&[DriftKind::Extra, DriftKind::Extra, DriftKind::Changed]);
    let row = Timed { at_ms, fault: Fault::Drift { till, kind } };
    let rows = if rng.happens(500_000) { rng.between(60, 110) } else { rng.between(200, 400) };
    plan.faults.extend(std::iter::repeat_n(row, rows as usize));
    plan.faults.sort_by_key(|timed| timed.at_ms);
}

/// Makes a plan short, with as many faults, and as many edits, comparisons and compactions of the
/// catalog.
fn hasten(plan: &mut Plan) {
    let (before, now) = (plan.chaos_ms, 20_000 + plan.seed % 11 * 1_000);
    let scaled = |ms: u64| (u128::from(ms) * u128::from(now) / u128::from(before)) as u64;
    plan.chaos_ms = now;
    for every_ms in [
        &mut plan.catalog_edit_every_ms,
        &mut plan.till_edit_every_ms,
        &mut plan.verify_every_ms,
        &mut plan.compact_every_ms,
    ] {
        // What never happens stays so.
        *every_ms = scaled(*every_ms).max((*every_ms).min(EVERY_MS_MIN));
    }
    for timed in &mut plan.faults {
        timed.at_ms = scaled(timed.at_ms);
        match &mut timed.fault {
            Fault::Partition { ms, .. }
            | Fault::CrashTill { ms, .. }
            | Fault::CrashCloud { ms }
            | Fault::Revoke { ms, .. }
            | Fault::Expire { ms, .. }
            | Fault::Throttle { ms } => *ms = scaled(*ms).max(100),
            Fault::BackupTill { .. }
            | Fault::RestoreTill { .. }
            | Fault::CloneTill { .. }
            | Fault::MoveTill { .. }
            | Fault::BackupCloud
            | Fault::RestoreCloud
            | Fault::ClockJump { .. }
            | Fault::Drift { .. } => {}
        }
    }
}

/// Runs a plan.
///
/// # Panics
/// If a node or the simulator does: a panic anywhere in a host ends the run.
#[must_use]
pub fn run(plan: &Plan, sales: Option<&Arc<Sales>>, keep_log: bool) -> Outcome {
    run_sabotaged(plan, sales, keep_log, Sabotage::default()).0
}

/// Runs a plan with something broken on purpose, and tells what the disks went through.
///
/// # Panics
/// As [`run`].
#[must_use]
pub fn run_sabotaged(
    plan: &Plan,
    sales: Option<&Arc<Sales>>,
    keep_log: bool,
    sabotage: Sabotage,
) -> (Outcome, Disks) {
    drive::run(plan, sales.cloned(), keep_log, sabotage)
}

/// The configuration of the sessions: that of the model.
fn config(sabotage: Sabotage) -> Config {
    let usual = session_config();
    if sabotage.no_timeouts {
        Config { request_timeout: Millis::from_secs(86_400), ..usual }
    } else {
        usual
    }
}
