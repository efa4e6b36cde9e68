//! > **`ExactDifference`**: what is decoded is the difference of the two sets, or nothing is.
//!
//! The first prefix is enough in at least 97 of 100 cases, for any number of drifts, and one
//! doubling in all that are drawn here. Every run of that test draws the same sets.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod sketch_support;

use counterfoil_protocol::sketch::{Kind, Outcome, Sketch, decode};
use proptest::prelude::*;
use sketch_support::{Pair, Random, item, reconcile};

#[test]
fn the_first_prefix_is_enough_in_97_of_100_cases_and_one_doubling_always() {
    let trials = 400;
    println!("{:>6} {:>12} {:>10}", "drifts", "first of 400", "estimate/d");
    for drifts in [0, 1, 2, 5, 10, 20, 50, 100, 300, 1000, 2000] {
        let mut random = Random(drifts as u64);
        let (mut first, mut estimates) = (0_u64, 0_u64);
        for _ in 0..trials {
            let pair = Pair::draw(&mut random, 40, drifts);
            let (kinds, cost) = reconcile(&pair);
            assert_eq!(kinds, pair.kinds, "{drifts} drifts");
            assert!(cost.answers <= 2, "{drifts} drifts took {} answers", cost.answers);
            first += u64::from(cost.answers == 1);
            estimates += cost.estimate;
        }
        let hundredths = estimates * 100 / (trials * drifts as u64).max(1);
        println!("{drifts:>6} {first:>12} {:>7}.{:02}", hundredths / 100, hundredths % 100);
        assert!(first * 100 >= trials * 97, "{drifts} drifts: {first} of {trials}");
        assert!(drifts == 0 || (90..=110).contains(&hundredths), "the estimate has no bias");
    }
}

#[test]
fn each_kind_of_drift_is_told_apart() {
    let (ours, theirs) = (item(1, 1), item(1, 2));
    for (there, here, expected) in [
        (Some(theirs), None, Kind::Missing),
        (None, Some(ours), Kind::Extra),
        (Some(theirs), Some(ours), Kind::Different(theirs.version)),
    ] {
        let pair = Pair {
            there: there.into_iter().collect(),
            here: here.into_iter().collect(),
            kinds: [(ours.key, expected)].into(),
        };
        assert_eq!(reconcile(&pair).0, pair.kinds);
        assert_eq!(pair.told_by(1), Some(pair.kinds.clone()), "one cell tells one drift");
    }
}

#[test]
fn no_cells_say_nothing() {
    assert_eq!(Pair::draw(&mut Random(1), 5, 0).told_by(0), None);
    assert_eq!(Pair::draw(&mut Random(1), 5, 0).told_by(1), Some([].into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_two_sets_are_told_apart_exactly(
        seed: u64, common in 0_usize..200, drifts in 0_usize..2000,
    ) {
        let pair = Pair::draw(&mut Random(seed), common, drifts);
        let (kinds, cost) = reconcile(&pair);
        prop_assert_eq!(kinds, pair.kinds);
        // Very rarely two drifts share all their cells up to the doubling.
        prop_assert!(cost.answers <= 3, "{} answers", cost.answers);
    }

    #[test]
    fn too_few_cells_are_never_a_wrong_answer(
        seed: u64, common in 0_usize..20, drifts in 0_usize..60, cells in 0_usize..90,
    ) {
        let pair = Pair::draw(&mut Random(seed), common, drifts);
        if let Some(kinds) = pair.told_by(cells) {
            prop_assert_eq!(kinds, pair.kinds);
        }
    }

    #[test]
    fn sketches_of_different_lengths_are_compared_as_far_as_both_go(
        seed: u64, cells in 32_usize..64,
    ) {
        let pair = Pair::draw(&mut Random(seed), 20, 4);
        let there = Sketch::of(64, pair.there.iter().copied());
        let here = Sketch::of(cells, pair.here.iter().copied());
        prop_assert_eq!(there.minus(&here).len(), cells);
        let told = matches!(decode(&there.minus(&here)).outcome, Outcome::Decoded(_));
        let swapped = matches!(decode(&here.minus(&there)).outcome, Outcome::Decoded(_));
        prop_assert_eq!(told, swapped);
    }
}
