//! What drawn plans of the network level hardly ever show, under plans that were made for it.

use counterfoil_sim::coverage::{Coverage, Transition};
use counterfoil_sim::network;
use counterfoil_sim::plan::{DiskPlan, DriftKind, Fault, LinkPlan, Plan, Timed, VERSION};

/// Tills of one branch, for twenty seconds, on slow links.
fn plan(seed: u64, tills: u32) -> Plan {
    Plan {
        version: VERSION,
        seed,
        tills,
        branches: 1,
        chaos_ms: 20_000,
        sale_every_ms: 1_000,
        park_unknown: false,
        catalog_edit_every_ms: 0,
        session_every_ms: 0,
        till_edit_every_ms: 0,
        order_every_ms: 0,
        relay: false,
        verify_every_ms: 0,
        compact_every_ms: 0,
        correct_every_ms: 0,
        archive_every_ms: 0,
        link: LinkPlan { latency_us: 60_000, jitter_us: 120_000, ..LinkPlan::default() },
        disk: DiskPlan::default(),
        crash_ppm: 0,
        storage_error_ppm: 0,
        faults: Vec::new(),
    }
}

/// Runs plans one after the other until these have happened, and returns what is still missing.
fn missing(plans: impl Iterator<Item = Plan>, wanted: &'static [Transition]) -> Vec<&'static str> {
    let mut coverage = Coverage::default();
    let never = |coverage: &Coverage| -> Vec<&'static str> {
        let never = wanted.iter().filter(|kind| coverage.transition(**kind) == 0);
        never.map(|kind| kind.as_str()).collect()
    };
    for plan in plans {
        let outcome = network::run(&plan, None, false);
        assert_eq!(outcome.violation, None, "seed {}", plan.seed);
        coverage.add(&outcome.coverage);
        if never(&coverage).is_empty() {
            break;
        }
    }
    never(&coverage)
}

/// Each till asks for its inbox when it starts; the cloud is restored while it does, and forgets
/// what it has just told.
#[test]
fn a_till_acknowledges_what_a_restored_cloud_does_not_know() {
    let plans = (0..8).map(|seed| {
        let mut plan = plan(seed, 6);
        plan.order_every_ms = 150;
        plan.faults.push(Timed { at_ms: 500, fault: Fault::BackupCloud });
        for round in 1..=12 {
            let at_ms = round * 1_500;
            let start = |till| Timed { at_ms, fault: Fault::CrashTill { till, ms: 1 } };
            plan.faults.extend((0..6).map(start));
            let at_ms = at_ms + 300 + round * 50;
            plan.faults.push(Timed { at_ms, fault: Fault::RestoreCloud });
        }
        plan
    });
    assert_eq!(missing(plans, &[Transition::InboxAckUnknown]), Vec::<&str>::new());
}

/// Dozens of rows drift again and again, and the catalog is edited without a pause.
#[test]
fn a_comparison_asks_for_more_and_is_overtaken() {
    let plans = (0..8).map(|seed| {
        let mut plan = plan(seed, 4);
        plan.catalog_edit_every_ms = 60;
        plan.verify_every_ms = 250;
        for round in 1..36 {
            let (at_ms, till) = (1_500 + round * 500, round as u32 % 4);
            let kind = if round % 3 == 0 { DriftKind::Extra } else { DriftKind::Changed };
            let row = Timed { at_ms, fault: Fault::Drift { till, kind } };
            plan.faults.extend(std::iter::repeat_n(row, 60));
        }
        plan
    });
    let wanted = &[Transition::VerifyMore, Transition::ReconcileMoved, Transition::VerifySnapshot];
    assert_eq!(missing(plans, wanted), Vec::<&str>::new());
}

/// More rows drift at once than a comparison tells, and it comes before the next delta.
#[test]
fn too_much_drifts_to_be_told() {
    let plans = (0..8).map(|seed| {
        let mut plan = plan(seed, 2);
        plan.catalog_edit_every_ms = 2_500;
        plan.verify_every_ms = 100;
        for round in 1..6 {
            let (at_ms, till) = (round * 3_500, round as u32 % 2);
            let row = Timed { at_ms, fault: Fault::Drift { till, kind: DriftKind::Extra } };
            plan.faults.extend(std::iter::repeat_n(row, 400));
        }
        plan
    });
    let wanted = &[Transition::ReconcileTooLarge, Transition::VerifySnapshot];
    assert_eq!(missing(plans, wanted), Vec::<&str>::new());
}
