//! A device goes to another branch and sells there as a new terminal: whatever fails meanwhile,
//! each sale is of the branch where it was made, and what was left behind drains and is let go.
#![allow(missing_docs, reason = "tests")]

use counterfoil_sim::coverage::{Injected, Transition};
use counterfoil_sim::plan::{Fault, LinkPlan, Plan, Shape, Timed};
use counterfoil_sim::runner::{Level, Outcome, run_plan};

/// Three tills of three branches; two are moved, one of them twice: that changes nothing.
fn plan(seed: u64) -> Plan {
    let mut plan = Plan::draw(seed, Shape { tills: 3, chaos_ms: 25_000 });
    plan.branches = 3;
    plan.sale_every_ms = 300;
    plan.link = LinkPlan { latency_us: 5_000, loss_ppm: 20_000, ..LinkPlan::default() };
    let at = |at_ms: u64, fault: Fault| Timed { at_ms, fault };
    plan.faults = vec![
        at(3_000, Fault::MoveTill { till: 0, by: 1 }),
        at(4_000, Fault::MoveTill { till: 0, by: 2 }),
        at(5_000, Fault::CrashTill { till: 1, ms: 2_000 }),
        at(6_000, Fault::MoveTill { till: 1, by: 2 }),
        at(6_500, Fault::MoveTill { till: 2, by: 3 }),
        at(9_000, Fault::CrashCloud { ms: 1_000 }),
    ];
    plan
}

fn run(level: Level, seed: u64) -> Outcome {
    let outcome = run_plan(level, &plan(seed), None, false);
    assert_eq!(outcome.violation, None, "seed {seed}");
    outcome
}

#[test]
fn what_is_left_behind_drains_and_is_revoked() {
    for level in [Level::Model, Level::Network] {
        let mut revoked = 0;
        for seed in 0..4 {
            let outcome = run(level, seed);
            // Nor does one go that would end where it is.
            assert_eq!(outcome.coverage.fault(Injected::TillMoved), 2, "seed {seed}");
            revoked += outcome.coverage.transition(Transition::CloudRevoke);
            assert!(outcome.events > 20, "seed {seed}: five terminals sell");
        }
        assert!(revoked >= 6, "most have drained before the faults end: {revoked}");
    }
}
