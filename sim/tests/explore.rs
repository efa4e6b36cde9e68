//! Every state of small configurations: the counts are pinned, so that a change of the protocol
//! shows; and the wrong protocols are found, by the law that they break.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::collections::BTreeSet;

use counterfoil_sim::explore::{Bounds, Config, Explored, Numbers, SIGHTS, Sabotage, explore};
use counterfoil_sim::law::Law;

/// More than any of these has.
const STATES_MAX: u64 = 1_000_000;

fn run(config: &Config) -> Explored {
    explore(config, STATES_MAX, None, |_, _, _| {})
}

fn bounds(sales: u8) -> Bounds {
    Bounds { sales, ..Bounds::default() }
}

#[test]
fn every_law_holds_in_every_state_and_the_states_are_these() {
    let plain = Config::default();
    let table = [
        ("a sale", Config { bounds: bounds(1), ..plain }, (20, 27, 9)),
        (
            "one fault of each kind",
            Config {
                bounds: Bounds { crashes: 1, losses: 1, late: 1, duplicates: 1, ..bounds(2) },
                ..plain
            },
            (18_586, 118_721, 18),
        ),
        (
            "two tills and a crash",
            Config { tills: 2, bounds: Bounds { crashes: 1, roll_ups: 1, ..bounds(2) }, ..plain },
            (30_271, 171_190, 19),
        ),
        (
            "a till is restored, and the cloud",
            Config { bounds: Bounds { restores: 1, cloud_restores: 1, ..bounds(2) }, ..plain },
            (9_681, 28_950, 32),
        ),
        (
            "a till is copied",
            Config { bounds: Bounds { copies: 1, ..bounds(2) }, ..plain },
            (12_582, 40_163, 24),
        ),
        (
            "a copied till gives names again",
            Config { numbers: Numbers::Own, bounds: Bounds { copies: 1, ..bounds(2) }, ..plain },
            (12_614, 40_247, 24),
        ),
        (
            "the witness stays, and a till is stopped for its backup",
            Config {
                with_witness: false,
                cold_backups: true,
                bounds: Bounds { crashes: 1, restores: 1, ..bounds(2) },
                ..plain
            },
            (180_806, 1_328_945, 27),
        ),
        (
            "two messages under way, one entry at a time",
            Config { in_flight: 2, items: 1, bounds: bounds(3), ..plain },
            (1_275, 3_565, 23),
        ),
    ];
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for (name, config, _) in &table {
        let explored = run(config);
        let broken = explored.counterexample.map(|found| (found.broken, found.steps));
        assert_eq!(broken, None, "{name}");
        assert!(explored.complete, "{name}");
        seen.extend(explored.seen);
        found.push((*name, (explored.states, explored.transitions, explored.depth)));
    }
    let expected: Vec<_> = table.iter().map(|(name, _, counts)| (*name, *counts)).collect();
    assert_eq!(found, expected);
    assert_eq!(seen, BTreeSet::from(SIGHTS), "what the laws are about does happen");
}

#[test]
fn a_wrong_protocol_is_found_by_the_law_that_it_breaks() {
    let faults = Bounds { crashes: 1, duplicates: 1, ..bounds(2) };
    let restored = Bounds { restores: 1, ..bounds(3) };
    for (sabotage, bounds, in_flight, law, steps) in [
        (Sabotage::AnswerBeforeCommit, faults, 1, Law::OutputAfterCommit, 6),
        (Sabotage::DuplicateUnderAnotherKey, faults, 1, Law::NoDuplicate, 5),
        (Sabotage::DuplicateMovesStock, faults, 1, Law::StockIsSum, 5),
        (Sabotage::SentIsReceived, faults, 1, Law::NeverForgotten, 3),
        (Sabotage::AnswersOutliveRestarts, restored, 1, Law::AckedIsDurable, 10),
        (Sabotage::AnswerOfAnyEpoch, restored, 2, Law::AckedIsDurable, 13),
    ] {
        let config = Config { bounds, in_flight, sabotage, ..Config::default() };
        let explored = run(&config);
        let found = explored.counterexample.expect("a wrong protocol is found");
        assert_eq!((found.broken.law, found.steps.len()), (law, steps), "{sabotage:?}: {found:?}");
        let honest = run(&Config { sabotage: Sabotage::None, in_flight: 1, ..config });
        assert!(honest.counterexample.is_none(), "without {sabotage:?} the law holds");
    }
}

/// The known limit of the witness: it tells starts apart, so it does not notice a backup that was
/// taken after the last start. The handshake does, as soon as the cloud has what was lost.
#[test]
fn a_restored_backup_of_the_present_start_prints_a_receipt_number_again() {
    let bounds = Bounds { restores: 1, ..bounds(2) };
    let config = Config { bounds, with_witness: false, ..Config::default() };
    let found = run(&config).counterexample.expect("the known limit");
    assert_eq!(found.broken.law, Law::ReceiptsGapless);
    let told: Vec<&str> =
        found.steps.iter().map(|step| step.split(':').next().unwrap_or(step)).collect();
    assert_eq!(
        told,
        [
            "a backup of machine 0 (till-0) is taken",
            "machine 0 (till-0) sells",
            "machine 0 (till-0) is restored from its backup, without its witness",
            "machine 0 (till-0) sells",
        ]
    );
    let cold = run(&Config { cold_backups: true, ..config });
    assert!(cold.complete && cold.counterexample.is_none(), "an earlier start is noticed");
}

#[test]
fn the_result_is_the_same_on_any_number_of_threads() {
    let bounds = Bounds { crashes: 1, losses: 1, ..bounds(2) };
    let config = Config { tills: 2, bounds, ..Config::default() };
    let wrong = Config { sabotage: Sabotage::DuplicateMovesStock, ..config };
    for config in [config, wrong] {
        let told = [1, 2, 5].map(|jobs| {
            let explored = explore(&config, STATES_MAX, Some(jobs), |_, _, _| {});
            let steps = explored.counterexample.map(|found| found.steps);
            (explored.states, explored.transitions, explored.depth, steps)
        });
        assert_eq!(told[0], told[1]);
        assert_eq!(told[0], told[2]);
    }
}

#[test]
fn a_search_that_was_cut_says_so() {
    let config = Config { tills: 2, bounds: bounds(2), ..Config::default() };
    let explored = explore(&config, 100, None, |_, _, _| {});
    assert!(!explored.complete && explored.counterexample.is_none());
    assert!(explored.states > 100);
    let told = counterfoil_sim::explore::text(&[explored]);
    assert!(told.contains("CUT, not complete"), "{told}");
}
