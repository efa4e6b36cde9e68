//! Drawn plans break no law, and what they ought to try really happens.

use std::time::Instant;

use counterfoil_sim::coverage::{Coverage, Injected, Transition};
use counterfoil_sim::law::Law;
use counterfoil_sim::network::{self, Sabotage};
use counterfoil_sim::plan::{Plan, Shape};
use counterfoil_sim::runner::Level;

/// What hundreds of seeds show, and forty may not.
const RARE: [Transition; 7] = [
    Transition::ItemRefused,
    Transition::PlanDeleted,
    Transition::InboxAckUnknown,
    Transition::ReconcileMoved,
    Transition::ReconcileTooLarge,
    Transition::VerifyMore,
    Transition::VerifySnapshot,
];

#[test]
fn forty_drawn_seeds_break_no_law_and_try_every_fault() {
    let mut coverage = Coverage::default();
    let mut recoveries = 0;
    for seed in 100..140 {
        let mut plan = Plan::draw(seed, Shape { tills: 0, chaos_ms: 60_000 });
        network::fit(&mut plan);
        let (outcome, disks) = network::run_sabotaged(&plan, None, false, Sabotage::default());
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert!(outcome.events > 0, "seed {seed}: somebody sells");
        assert!(outcome.tally.checked(Law::AckedIsDurable) > 0, "seed {seed}");
        coverage.add(&outcome.coverage);
        recoveries += disks.recoveries;
    }
    assert!(recoveries > 40, "stores are opened after crashes: {recoveries}");
    for fault in Injected::ALL.iter().filter(|fault| Level::Network.has(**fault)) {
        assert!(coverage.fault(*fault) > 0, "{} never happened", fault.as_str());
    }
    let shown = Transition::ALL.iter().filter(|kind| Level::Network.shows(**kind));
    let never = shown.filter(|kind| coverage.transition(**kind) == 0);
    let never: Vec<_> = never.filter(|kind| !RARE.contains(kind)).map(|k| k.as_str()).collect();
    assert!(never.is_empty(), "never happened: {}", never.join(", "));
}

#[test]
fn what_need_not_happen_is_little_and_rare_indeed() {
    for level in [Level::Model, Level::Disk, Level::Network] {
        assert!(level.rare().len() <= 3, "each needs a very good reason");
        assert!(level.rare().iter().all(|(kind, why)| RARE.contains(kind) && why.len() > 40));
    }
}

/// Prints the speed; it fails only if it is hopeless, because machines differ.
#[test]
#[allow(clippy::print_stderr, reason = "a measurement is for whoever runs it")]
fn ten_tills_run_faster_than_time() {
    let mut plan = Plan::draw(1, Shape { tills: 10, chaos_ms: 60_000 });
    network::fit(&mut plan);
    let begun = Instant::now();
    let outcome = network::run(&plan, None, false);
    let ms = begun.elapsed().as_millis().max(1) as u64;
    assert_eq!(outcome.violation, None);
    let ratio = outcome.sim_ms / ms;
    eprintln!("{} simulated ms in {ms} ms: {ratio} times real time", outcome.sim_ms);
    assert!(ratio >= 2, "{ratio}");
}
