//! A run is a function of its seed: byte for byte, on one thread or on two.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use counterfoil_sim::plan::{Plan, Shape};
use counterfoil_sim::profile::Profile;
use counterfoil_sim::report;
use counterfoil_sim::runner::{self, Job, Level, run_plan};

const SHAPE: Shape = Shape { tills: 3, chaos_ms: 15_000 };

#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in 0..12 {
        let plan = Plan::draw(seed, SHAPE);
        let first = run_plan(Level::Model, &plan, None, true);
        let second = run_plan(Level::Model, &plan, None, true);
        assert!(first.story.steps().len() > 0, "something happened");
        assert_eq!(first.story, second.story, "seed {seed}");
        assert_eq!(first.digest, second.digest, "seed {seed}");
    }
}

#[test]
fn the_number_of_threads_does_not_show() {
    let job = |jobs| Job {
        level: Level::Model,
        from: 40,
        seeds: 24,
        shape: SHAPE,
        profile: Profile::Drawn,
        sales: None,
        jobs,
        fail_fast: false,
    };
    let report = |jobs| {
        let mut summary = runner::run(&job(jobs), |_, _| {});
        summary.wall_ms = 0;
        report::json(&[summary]).to_string()
    };
    assert_eq!(report(1), report(2));
}

#[test]
fn another_seed_gives_another_log() {
    let digest = |seed| run_plan(Level::Model, &Plan::draw(seed, SHAPE), None, false).digest;
    assert_ne!(digest(1), digest(2));
}
