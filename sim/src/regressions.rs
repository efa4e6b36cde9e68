//! Plans that must hold, kept in the program: they run before any seed.

use crate::law::Violation;
use crate::plan::Plan;
use crate::runner::{Level, run_plan};

macro_rules! plan_file {
    ($name:literal) => {
        ($name, include_str!(concat!("../regressions/", $name, ".json")))
    };
}

/// The files of `sim/regressions`; a test sees that none is left out.
const FILES: [(&str, &str); 8] = [
    plan_file!("disk-QueueDrains-restored-credential"),
    plan_file!("model-OwnershipHolds-same-version-again"),
    plan_file!("model-OwnershipHolds-two-tills-one-version"),
    plan_file!("model-QueueDrains-restored-credential"),
    plan_file!("model-ZeroLoss-double-disaster"),
    plan_file!("model-ZeroLoss-welcome-from-before"),
    plan_file!("network-InboxOnce-relay-in-a-group"),
    plan_file!("network-QueueDrains-restored-credential"),
];

/// A kept plan.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The name of its file, without the ending.
    pub name: &'static str,
    /// Where it runs: its name begins with it.
    pub level: Level,
    /// What it does.
    pub plan: Plan,
}

/// Returns the plans that are kept for a level.
///
/// # Panics
/// If one cannot be read, which a test would have found.
#[must_use]
pub fn kept(level: Level) -> Vec<Kept> {
    let read = |(name, text): &(&'static str, &str)| {
        let plan = serde_json::from_str(text).expect("what is kept is a plan");
        let level = match name.split('-').next() {
            Some("network") => Level::Network,
            Some("disk") => Level::Disk,
            Some(_) | None => Level::Model,
        };
        Kept { name, level, plan }
    };
    FILES.iter().map(read).filter(|kept| kept.level == level).collect()
}

/// Runs the plans that are kept for a level, and returns those that break a law.
#[must_use]
pub fn run(level: Level) -> Vec<(&'static str, Violation)> {
    let broken = |kept: Kept| {
        let violation = run_plan(kept.level, &kept.plan, None, false).violation;
        violation.map(|violation| (kept.name, violation))
    };
    kept(level).into_iter().filter_map(broken).collect()
}
