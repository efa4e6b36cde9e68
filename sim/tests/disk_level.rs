//! The disk level: the model's world over the real redb on simulated disks.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::collections::BTreeMap;

use counterfoil_sim::coverage::{Coverage, Injected, Transition};
use counterfoil_sim::law::Law;
use counterfoil_sim::plan::{DiskPlan, Plan, Shape};
use counterfoil_sim::profile::Profile;
use counterfoil_sim::report;
use counterfoil_sim::runner::{self, Job, Level, run_plan};

const SHAPE: Shape = Shape { tills: 3, chaos_ms: 15_000 };

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in 0..4 {
        let plan = Profile::Chaos.draw(seed, SHAPE);
        let first = run_plan(Level::Disk, &plan, None, true);
        let second = run_plan(Level::Disk, &plan, None, true);
        assert!(first.story.steps().len() > 0, "something happened");
        assert_eq!(first.story, second.story, "seed {seed}");
        assert_eq!(first.digest, second.digest, "seed {seed}");
        assert_eq!(first.coverage, second.coverage, "seed {seed}");
    }
}

#[test]
fn the_number_of_threads_does_not_show() {
    let report = |jobs| {
        let job = Job {
            level: Level::Disk,
            from: 700,
            seeds: 12,
            shape: SHAPE,
            profile: Profile::Drawn,
            sales: None,
            jobs,
            fail_fast: false,
        };
        let mut summary = runner::run(&job, |_, _| {});
        summary.wall_ms = 0;
        report::json(&[summary]).to_string()
    };
    assert_eq!(report(1), report(2));
}

/// Without disks that do something, and without crashes, a store on a disk is a store in memory.
#[test]
fn where_nothing_happens_to_a_disk_the_medium_does_not_show() {
    for seed in 0..4 {
        let mut plan = Plan::draw(seed, SHAPE);
        plan.disk = DiskPlan::default();
        // What drifts on the disk of a node that is down is not in the model's power there.
        plan.verify_every_ms = 0;
        (plan.crash_ppm, plan.storage_error_ppm) = (0, 0);
        let [memory, disk] =
            [Level::Model, Level::Disk].map(|level| run_plan(level, &plan, None, false));
        assert_eq!(memory.digest, disk.digest, "seed {seed}");
        assert_eq!((memory.violation, disk.violation), (None, None), "seed {seed}");
    }
}

#[test]
fn bad_disks_do_all_that_they_can_and_no_law_is_broken() {
    let mut coverage = Coverage::default();
    for seed in 0..16 {
        let plan = Profile::BadDisks.draw(seed, SHAPE);
        let outcome = run_plan(Level::Disk, &plan, None, false);
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert!(outcome.events > 0, "seed {seed}: a disk that is full now has room again later");
        coverage.add(&outcome.coverage);
    }
    for fault in [
        Injected::DiskLost,
        Injected::DiskTorn,
        Injected::DiskFull,
        Injected::DiskRead,
        Injected::DiskSlow,
        Injected::RecoveryCut,
        Injected::TillCrashBefore,
        Injected::TillCrashAfter,
        Injected::CloudCrashBefore,
        Injected::StorageError,
    ] {
        assert!(coverage.fault(fault) > 0, "{} never happened", fault.as_str());
    }
    assert_eq!(coverage.fault(Injected::DiskLied), 0, "these disks are bad, but honest");
    let repairs = coverage.transition(Transition::StoreRepaired);
    assert!(repairs > 0, "crashes that close their stores cleanly would hide a missing sync");
}

/// What a lying disk breaks is listed, breaks, and is broken by the lies alone.
#[test]
fn lying_disks_break_the_laws_that_they_must_and_honest_ones_in_their_place_none() {
    let must = Profile::LyingFsync.breaks(Level::Disk);
    assert!(!must.is_empty(), "a lie has consequences");
    let mut broken: BTreeMap<Law, u64> = BTreeMap::new();
    for seed in 0..24 {
        let plan = Profile::LyingFsync.draw(seed, SHAPE);
        assert!(plan.disk.lies, "seed {seed}");
        if let Some(violation) = run_plan(Level::Disk, &plan, None, false).violation {
            assert!(must.contains(&violation.law), "seed {seed}: {violation}");
            *broken.entry(violation.law).or_default() += 1;
        }
        let honest = Plan { disk: DiskPlan { lies: false, ..plan.disk }, ..plan };
        let outcome = run_plan(Level::Disk, &honest, None, false);
        assert_eq!(outcome.violation, None, "seed {seed} on an honest disk");
    }
    // Here redb panicked while it closed a damaged file that it could not open.
    for seed in [10, 48] {
        let plan = Profile::LyingFsync.draw(seed, Shape { tills: 0, chaos_ms: 20_000 });
        let violation = run_plan(Level::Disk, &plan, None, false).violation;
        let violation = violation.expect("a lie has consequences");
        assert!(must.contains(&violation.law), "seed {seed}: {violation}");
    }
    for law in must {
        assert!(broken.contains_key(law), "{law} held in every seed: {broken:?}");
    }
}
