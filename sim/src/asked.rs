//! Which classes of faults a plan asks for: one that is asked for and never comes tests nothing.

use crate::coverage::{Faults, Injected};
use crate::model::session_config;
use crate::plan::{Fault, LinkPlan, Plan, SLOW, Way};
use crate::runner::Level;

/// For so long a class must have been asked for, over all seeds, before its absence says something:
/// a single short day may have had no commit to crash at, and the rarest class of the plans that
/// are drawn comes once in five minutes.
pub const CHAOS_MS_MIN: u64 = 30 * 60_000;

/// Returns the classes of faults that `plan` asks for at a level.
#[must_use]
pub fn faults(level: Level, plan: &Plan) -> Faults {
    let mut asked = Faults::default();
    let mut ask = |on: bool, faults: &[Injected]| {
        for fault in faults.iter().filter(|_| on) {
            asked.insert(*fault);
        }
    };
    let link = plan.link;
    ask(link.latency_us + link.jitter_us > 0, &[Injected::Latency]);
    ask(reorders(level, link), &[Injected::Reorder]);
    ask(link.loss_ppm > 0, &[Injected::Loss]);
    ask(link.answer_loss_ppm > 0, &[Injected::AnswerLost]);
    ask(link.reset_ppm > 0, &[Injected::Reset]);
    ask(link.duplicate_ppm > 0, &[Injected::Duplicate]);
    ask(link.rate_limit_ppm > 0, &[Injected::RateLimited]);
    ask(link.server_error_ppm > 0, &[Injected::ServerError]);
    ask(link.slow_ppm > 0, &[Injected::Slow]);
    ask(link.proxy_bytes_max > 0, &[Injected::ProxyLimit]);
    let crashes = [
        Injected::TillCrashBefore,
        Injected::TillCrashAfter,
        Injected::CloudCrashBefore,
        Injected::CloudCrashAfter,
    ];
    ask(plan.crash_ppm > 0, &crashes);
    ask(plan.storage_error_ppm > 0, &[Injected::StorageError]);
    if level != Level::Model {
        let disk = plan.disk;
        ask(plan.crash_ppm > 0, &[Injected::DiskLost, Injected::DiskTorn]);
        ask(plan.crash_ppm > 0 && level == Level::Disk, &[Injected::RecoveryCut]);
        ask(disk.read_error_ppm > 0, &[Injected::DiskRead]);
        ask(disk.full_ppm > 0, &[Injected::DiskFull]);
        ask(disk.slow_ppm > 0, &[Injected::DiskSlow]);
        ask(disk.lies, &[Injected::DiskLied]);
    }
    for timed in &plan.faults {
        if let Some(fault) = of(plan, timed.fault) {
            ask(true, &[fault]);
        }
    }
    asked
}

/// Returns whether messages of a till can overtake each other. Over TCP they do if one is held up
/// for so long that the till gives up, and asks again on another connection.
fn reorders(level: Level, link: LinkPlan) -> bool {
    match level {
        Level::Model | Level::Disk => link.jitter_us > 0,
        Level::Network => {
            let patience_us = session_config().request_timeout.0 * 1000;
            link.slow_ppm > 0 && link.latency_us * SLOW > patience_us
        }
    }
}

/// Returns what a timed fault is counted as, if it can come in this plan.
fn of(plan: &Plan, fault: Fault) -> Option<Injected> {
    Some(match fault {
        Fault::Partition { way: Way::Both, .. } => Injected::Partition,
        Fault::Partition { way: Way::ToCloud | Way::FromCloud, .. } => Injected::OneWay,
        Fault::CrashTill { .. } => Injected::TillCrash,
        Fault::CrashCloud { .. } => Injected::CloudCrash,
        Fault::RestoreTill { with_witness: false, .. } => Injected::TillRestored,
        Fault::RestoreTill { with_witness: true, .. } => Injected::MachineRestored,
        Fault::CloneTill { with_witness: false, .. } => Injected::TillCopied,
        Fault::CloneTill { with_witness: true, .. } => Injected::MachineCloned,
        Fault::MoveTill { .. } if plan.branches > 1 => Injected::TillMoved,
        Fault::RestoreCloud => Injected::CloudRestored,
        Fault::ClockJump { .. } => Injected::ClockJump,
        Fault::Revoke { .. } => Injected::Revoked,
        Fault::Expire { .. } => Injected::Expired,
        Fault::Throttle { .. } => Injected::Throttled,
        // What is not there yet cannot be lost: another row is added in its place.
        Fault::Drift { .. } if plan.verify_every_ms > 0 && plan.catalog_edit_every_ms > 0 => {
            Injected::DriftExtra
        }
        Fault::Drift { .. }
        | Fault::MoveTill { .. }
        | Fault::BackupTill { .. }
        | Fault::BackupCloud => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Shape;
    use crate::profile::Profile;

    #[test]
    fn a_calm_day_asks_for_no_more_than_a_way_that_takes_time_and_a_bad_disk_only_where_it_is() {
        let plan = Profile::Calm.draw(3, Shape::default());
        let asked = faults(Level::Disk, &plan);
        let without_drift = asked.iter().filter(|fault| *fault != Injected::DriftExtra);
        assert_eq!(without_drift.collect::<Vec<_>>(), [Injected::Latency]);
        let bad = Profile::BadDisks.draw(3, Shape::default());
        for (level, has) in [(Level::Model, false), (Level::Disk, true), (Level::Network, true)] {
            let asked = faults(level, &bad);
            assert_eq!(asked.contains(Injected::DiskRead), has, "{}", level.as_str());
            assert!(asked.contains(Injected::TillCrashBefore), "{}", level.as_str());
            assert!(!asked.contains(Injected::DiskLied), "{}", level.as_str());
        }
    }
}
