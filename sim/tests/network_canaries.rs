//! Things that are broken on purpose. Each must be noticed; if not, nothing above can be believed.

use counterfoil_sim::coverage::Injected;
use counterfoil_sim::law::Law;
use counterfoil_sim::network::{self, Sabotage};
use counterfoil_sim::plan::{DiskPlan, Fault, LinkPlan, Plan, Timed, VERSION, Way};
use counterfoil_sim::story::{Lane, What};

/// Two tills that sell for ten seconds, and these faults.
fn plan(faults: &[(u64, Fault)]) -> Plan {
    Plan {
        version: VERSION,
        seed: 5,
        tills: 2,
        branches: 1,
        chaos_ms: 10_000,
        sale_every_ms: 300,
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
        link: LinkPlan { latency_us: 5_000, jitter_us: 20_000, ..LinkPlan::default() },
        disk: DiskPlan::default(),
        crash_ppm: 0,
        storage_error_ppm: 0,
        faults: faults
            .iter()
            .map(|(at_ms, fault)| Timed { at_ms: *at_ms, fault: *fault })
            .collect(),
    }
}

#[test]
fn a_till_whose_disk_acknowledges_without_syncing_is_caught_after_a_power_cut() {
    let plan = plan(&[(5_000, Fault::CrashTill { till: 0, ms: 500 })]);
    let (honest, disks) = network::run_sabotaged(&plan, None, false, Sabotage::default());
    assert_eq!(honest.violation, None);
    assert_eq!(honest.coverage.fault(Injected::TillCrash), 1);
    assert!(disks.recoveries > 0, "a crash that closes the store cleanly would hide everything");
    assert!(disks.syncs > 2 * honest.events, "each commit syncs twice: {disks:?}");

    let lying = Sabotage { lying_disks: true, ..Sabotage::default() };
    let (outcome, _) = network::run_sabotaged(&plan, None, false, lying);
    let violation = outcome.violation.expect("lost commits are noticed");
    assert_eq!(violation.law, Law::NeverForgotten, "{violation}");
    assert!(violation.at_ms < 6_000, "when it restarts: {violation}");
}

#[test]
fn a_cloud_whose_disk_acknowledges_without_syncing_is_caught_after_a_power_cut() {
    let plan = plan(&[(5_000, Fault::CrashCloud { ms: 500 })]);
    assert_eq!(network::run(&plan, None, false).violation, None);
    let lying = Sabotage { lying_disks: true, ..Sabotage::default() };
    let (outcome, _) = network::run_sabotaged(&plan, None, true, lying);
    let violation = outcome.violation.expect("lost commits are noticed");
    assert_eq!(violation.law, Law::AckedIsDurable, "{violation}");
    let last = outcome.story.steps().next_back().expect("it was told");
    assert_eq!((last.what, &last.text), (What::Violation, &violation.to_string()));
    assert!(outcome.story.steps().any(|step| (step.lane, step.what) == (Lane::Cloud, What::Crash)));
}

#[test]
fn a_panic_in_a_spawned_task_surfaces() {
    let panics = Sabotage { panic_at_ms: Some(2_000), ..Sabotage::default() };
    let plan = plan(&[]);
    let run = || network::run_sabotaged(&plan, None, false, panics);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    assert!(caught.is_err(), "without `--cfg tokio_unstable` it would be swallowed");
}

/// What a partition drops is never sent again: the stream stands, and nothing comes over it. If
/// only requests were dropped, the server's own deadline ends the connection a minute later; if an
/// answer was dropped, even that goodbye never comes through.
#[test]
fn a_stream_that_a_partition_killed_hangs_a_client_without_timeouts_and_not_ours() {
    for (way, fault) in [(Way::Both, Injected::Partition), (Way::FromCloud, Injected::OneWay)] {
        let plan = plan(&[(4_000, Fault::Partition { till: 0, ms: 3_000, way })]);
        let ours = network::run(&plan, None, false);
        assert_eq!(ours.violation, None);
        assert_eq!(ours.coverage.fault(fault), 1);
        // Ten seconds of faults, thirty until an idle till greets: and no minute of waiting.
        assert!(ours.sim_ms < 45_000, "it waits for the server: {} ms", ours.sim_ms);
    }
    let cut = Fault::Partition { till: 0, ms: 3_000, way: Way::FromCloud };
    let patient = Sabotage { no_timeouts: true, ..Sabotage::default() };
    let (outcome, _) = network::run_sabotaged(&plan(&[(4_000, cut)]), None, false, patient);
    let violation = outcome.violation.expect("it waits for ever");
    assert_eq!(violation.law, Law::QueueDrains, "{violation}");
}
