//! The estimate has no bias, whatever the kind of drift, and its standard error is an eighth.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod sketch_support;

use counterfoil_protocol::sketch::Estimator;
use sketch_support::{Random, item};

#[derive(Clone, Copy, Debug)]
enum Only {
    Missing,
    Extra,
    Different,
}

/// Returns the estimates of `drifts` drifts of one kind, in many draws.
fn estimates(only: Only, drifts: u64, draws: u64) -> Vec<u64> {
    let mut random = Random(drifts);
    let mut draw = || {
        let (mut there, mut here) = (Estimator::default(), Estimator::default());
        for _ in 0..drifts {
            let id = random.next();
            if !matches!(only, Only::Extra) {
                there.insert(item(id, 1));
            }
            if !matches!(only, Only::Missing) {
                here.insert(item(id, 2));
            }
        }
        here.drifts(&there)
    };
    (0..draws).map(|_| draw()).collect()
}

#[test]
fn the_mean_is_the_number_of_drifts_and_the_error_an_eighth() {
    const DRAWS: u64 = 1000;
    println!("{:>9} {:>7} {:>8} {:>9}", "kind", "drifts", "mean, %", "error, %");
    for only in [Only::Missing, Only::Extra, Only::Different] {
        for drifts in [1, 10, 100, 1000] {
            let estimates = estimates(only, drifts, DRAWS);
            let mean = estimates.iter().sum::<u64>() * 100 / DRAWS / drifts;
            let squares: u64 = estimates.iter().map(|one| one.abs_diff(drifts).pow(2)).sum();
            let error = (squares * 10_000 / DRAWS).isqrt() / drifts;
            println!("{:>9} {drifts:>7} {mean:>8} {error:>9}", format!("{only:?}"));
            assert!((97..=103).contains(&mean), "{only:?} {drifts}: {mean} %");
            assert!(error <= 15, "{only:?} {drifts}: {error} %");
        }
    }
}
