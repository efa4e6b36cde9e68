//! Kinds of days: plans that dwell on one sort of trouble, for whoever fears that sort most.
//!
//! The plans of [`Profile::Drawn`] mix everything, half of it left out by chance (swarm testing:
//! Groce et al., ISSTA 2012). The others keep what the seed drew of the shop - tills, branches, who
//! edits, who orders - and set its faults themselves, from streams of their own.

use crate::law::Law;
use crate::plan::{DiskPlan, Fault, LinkPlan, Plan, Shape, Timed, Way, draw_class};
use crate::rng::Stream;
use crate::runner::Level;

/// A kind of day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Every mixture: each class of faults in half of the seeds.
    #[default]
    Drawn,
    /// No fault at all: what the protocol costs, and that nothing hangs without one.
    Calm,
    /// Many sales at once over a link that is only slow, and a cloud that asks for patience.
    RushHour,
    /// Loss, jitter, duplicates, resets, short partitions.
    BadWifi,
    /// Crashes of both sides, at any commit and at any time.
    PowerCuts,
    /// Tills and the cloud come back from backups.
    RestoreFromBackup,
    /// Tills are copied, credential and all, and both go on.
    Clones,
    /// Each till is cut off for most of the day.
    LongOffline,
    /// Every class of faults in every seed.
    Chaos,
    /// Disks that are full, slow and unreadable now and then, and power cuts.
    BadDisks,
    /// Power cuts, and disks that say they have synced and have not. Laws must break here, so it is
    /// none of [`Profile::ALL`].
    LyingFsync,
}

/// The classes of faults of `plan::draw_class`.
mod class {
    pub(super) const PARTITION: u64 = 0;
    pub(super) const CRASH_TILL: u64 = 1;
    pub(super) const CRASH_CLOUD: u64 = 2;
    pub(super) const RESTORE_TILL: u64 = 3;
    pub(super) const CLONE_TILL: u64 = 4;
    pub(super) const RESTORE_CLOUD: u64 = 5;
    pub(super) const THROTTLE: u64 = 9;
    pub(super) const MOVE_TILL: u64 = 10;
}

impl Profile {
    /// All on which every law holds.
    pub const ALL: [Self; 10] = [
        Self::Drawn,
        Self::Calm,
        Self::RushHour,
        Self::BadWifi,
        Self::PowerCuts,
        Self::RestoreFromBackup,
        Self::Clones,
        Self::LongOffline,
        Self::Chaos,
        Self::BadDisks,
    ];

    /// Returns the laws that must break on such days at a level, and no others may: nothing that
    /// a program does survives a disk that loses what it has confirmed. A till that starts without
    /// what it had committed has forgotten it, and a cloud without what it had acknowledged has
    /// acknowledged what is not durable; both show at the first start after a power cut.
    #[must_use]
    pub const fn breaks(self, level: Level) -> &'static [Law] {
        match (self, level) {
            (Self::LyingFsync, Level::Disk | Level::Network) => {
                &[Law::AckedIsDurable, Law::NeverForgotten]
            }
            _ => &[],
        }
    }

    /// Returns its name, as the command line takes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drawn => "drawn",
            Self::Calm => "calm",
            Self::RushHour => "rush-hour",
            Self::BadWifi => "bad-wifi",
            Self::PowerCuts => "power-cuts",
            Self::RestoreFromBackup => "restore-from-backup",
            Self::Clones => "clones",
            Self::LongOffline => "long-offline",
            Self::Chaos => "chaos",
            Self::BadDisks => "bad-disks",
            Self::LyingFsync => "lying-fsync",
        }
    }

    /// Draws the plan of a seed.
    #[must_use]
    pub fn draw(self, seed: u64, shape: Shape) -> Plan {
        let mut plan = Plan::draw(seed, shape);
        if self == Self::Drawn {
            return plan;
        }
        let mut rng = Stream::new(seed, self.as_str(), 0);
        // Rows drift in any weather, where somebody verifies them.
        plan.faults.retain(|timed| matches!(timed.fault, Fault::Drift { .. }));
        plan.link = LinkPlan { latency_us: rng.between(300, 20_000), ..LinkPlan::default() };
        (plan.crash_ppm, plan.storage_error_ppm) = (0, 0);
        plan.disk = DiskPlan::default();
        match self {
            Self::Drawn => unreachable!("it is drawn above"),
            Self::Calm => {}
            Self::RushHour => self.rush(&mut plan, &mut rng),
            Self::BadWifi => self.drown(&mut plan, &mut rng),
            Self::PowerCuts => cut_power(&mut plan, &mut rng),
            Self::BadDisks => {
                cut_power(&mut plan, &mut rng);
                plan.disk = bad_disk(seed);
            }
            Self::LyingFsync => {
                cut_power(&mut plan, &mut rng);
                plan.disk.lies = true;
            }
            Self::RestoreFromBackup => {
                add(&mut plan, &mut rng, &[class::RESTORE_TILL, class::RESTORE_CLOUD], 3);
            }
            Self::Clones => add(&mut plan, &mut rng, &[class::CLONE_TILL], 3),
            Self::LongOffline => cut_off(&mut plan, &mut rng),
            Self::Chaos => {
                self.drown(&mut plan, &mut rng);
                self.rush(&mut plan, &mut rng);
                plan.crash_ppm = rng.between(500, 15_000) as u32;
                plan.storage_error_ppm = rng.between(500, 10_000) as u32;
                plan.disk = bad_disk(seed);
                let all: Vec<u64> = (0..=class::MOVE_TILL).collect();
                add(&mut plan, &mut rng, &all, 2);
            }
        }
        plan.faults.sort_by_key(|timed| timed.at_ms);
        plan
    }

    fn rush(self, plan: &mut Plan, rng: &mut Stream) {
        plan.sale_every_ms = rng.between(60, 400);
        plan.link.jitter_us = rng.between(1_000, 100_000);
        plan.link.slow_ppm = rng.below(20_000) as u32;
        plan.link.rate_limit_ppm = rng.between(5_000, 60_000) as u32;
        if self == Self::RushHour {
            add(plan, rng, &[class::THROTTLE], 3);
        }
    }

    fn drown(self, plan: &mut Plan, rng: &mut Stream) {
        let mut rate = |most: u64| rng.between(most / 10, most) as u32;
        plan.link.jitter_us = u64::from(rate(200_000));
        plan.link.loss_ppm = rate(250_000);
        plan.link.answer_loss_ppm = rate(250_000);
        plan.link.reset_ppm = rate(100_000);
        plan.link.duplicate_ppm = rate(200_000);
        plan.link.slow_ppm = rate(40_000);
        if self == Self::BadWifi {
            add(plan, rng, &[class::PARTITION], 6);
        }
    }
}

/// Lets the power go at commits and at any time.
fn cut_power(plan: &mut Plan, rng: &mut Stream) {
    plan.crash_ppm = rng.between(2_000, 30_000) as u32;
    plan.storage_error_ppm = rng.below(10_000) as u32;
    add(plan, rng, &[class::CRASH_TILL, class::CRASH_CLOUD], 3);
}

fn bad_disk(seed: u64) -> DiskPlan {
    let mut rng = Stream::new(seed, "profile/disk", 0);
    DiskPlan {
        read_error_ppm: rng.between(200, 2_000) as u32,
        full_ppm: rng.between(500, 5_000) as u32,
        full_ms: 3_000,
        slow_ppm: rng.between(1_000, 30_000) as u32,
        slow_ms: 3_000,
        lies: false,
    }
}

/// Adds one to `most` faults of each class.
fn add(plan: &mut Plan, rng: &mut Stream, classes: &[u64], most: u64) {
    for class in classes {
        for _ in 0..rng.between(1, most) {
            let at_ms = rng.below(plan.chaos_ms);
            let till = rng.below(u64::from(plan.tills)) as u32;
            draw_class(*class, rng, &mut plan.faults, at_ms, till, plan.chaos_ms);
        }
    }
}

/// Cuts each till off for two to nine tenths of the time.
fn cut_off(plan: &mut Plan, rng: &mut Stream) {
    for till in 0..plan.tills {
        let ms = rng.between(plan.chaos_ms / 5, plan.chaos_ms * 9 / 10);
        let at_ms = rng.below(plan.chaos_ms - ms);
        plan.faults.push(Timed { at_ms, fault: Fault::Partition { till, ms, way: Way::Both } });
    }
}

impl std::str::FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = || Self::ALL.into_iter().chain([Self::LyingFsync]);
        all().find(|profile| profile.as_str() == text).ok_or_else(|| {
            let names: Vec<_> = all().map(Self::as_str).collect();
            format!("there is no profile {text}; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calm_day_has_no_fault_and_chaos_has_every_class() {
        for seed in 0..40 {
            let calm = Profile::Calm.draw(seed, Shape::default());
            assert_eq!((calm.crash_ppm, calm.storage_error_ppm, calm.link.loss_ppm), (0, 0, 0));
            let drift = |timed: &Timed| matches!(timed.fault, Fault::Drift { .. });
            assert!(calm.faults.iter().all(drift), "seed {seed}");
            let chaos = Profile::Chaos.draw(seed, Shape::default());
            let kinds: std::collections::BTreeSet<_> = chaos
                .faults
                .iter()
                .map(|timed| std::mem::discriminant(&timed.fault))
                .map(|d| format!("{d:?}"))
                .collect();
            assert!(kinds.len() >= 12, "seed {seed}: {kinds:?}");
            assert!(chaos.faults.is_sorted_by_key(|timed| timed.at_ms), "seed {seed}");
        }
    }

    #[test]
    fn every_name_is_read_back() {
        for profile in Profile::ALL {
            assert_eq!(profile.as_str().parse(), Ok(profile));
        }
        assert_eq!("lying-fsync".parse(), Ok(Profile::LyingFsync));
        assert!("bad wifi".parse::<Profile>().is_err_and(|error| error.contains("bad-wifi")));
    }
}
