//! What a reconcile costs in bytes, both ways: the table of `docs/sketch.md`, and its budget.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod sketch_support;

use std::time::Instant;

use counterfoil_protocol::sketch::{Estimator, Item, Outcome, Sketch, decode};
use sketch_support::{Pair, Random, item, key, reconcile};

#[test]
fn the_bytes_are_within_their_budget() {
    println!(
        "{:>6} {:>9} {:>8} {:>7} {:>7} {:>7} {:>8}",
        "drifts", "estimator", "cells", "keys", "all", "/drift", "answers"
    );
    for (drifts, trials) in [(1, 200), (10, 200), (100, 100), (1000, 40), (10_000, 4)] {
        let mut random = Random(drifts as u64 + 7);
        let (mut estimator, mut cells, mut keys, mut answers) = (0, 0, 0, 0);
        for _ in 0..trials {
            let pair = Pair::draw(&mut random, 10, drifts);
            let (kinds, cost) = reconcile(&pair);
            assert_eq!(kinds, pair.kinds);
            estimator += cost.estimator;
            cells += cost.cells;
            keys += cost.keys;
            answers += cost.answers;
        }
        let all = estimator + cells + keys;
        let (per, of) = (all * 10 / drifts / trials, answers * 100 / trials);
        println!(
            "{drifts:>6} {:>9} {:>8} {:>7} {:>7} {:>5}.{} {:>5}.{:02}",
            estimator / trials,
            cells / trials,
            keys / trials,
            all / trials,
            per / 10,
            per % 10,
            of / 100,
            of % 100
        );
        let budget = if drifts <= 10 { 1200 } else { 40 * drifts };
        assert!(all / trials <= budget, "{drifts} drifts cost {} bytes", all / trials);
    }
}

#[test]
fn where_nothing_has_drifted_one_estimator_is_all() {
    // The answer says so in a word, as the estimate is 0 and the digests are equal.
    let estimator = Estimator::of((0..1000).map(|id| item(id, 1)));
    assert_eq!(estimator.drifts(&estimator), 0);
    assert!(estimator.to_bytes().len() <= 131, "{} bytes", estimator.to_bytes().len());
    // Even with the fewest cells it stays below one packet.
    let (kinds, cost) = reconcile(&Pair::draw(&mut Random(1), 100, 0));
    assert!(kinds.is_empty() && cost.bytes() < 600, "{cost:?}");
}

#[test]
#[ignore = "measured by hand: cargo test --release --test sketch_costs_little -- --ignored"]
fn the_pace_with_a_million_items() {
    const ITEMS: u64 = 1_000_000;
    let since = |start: Instant| start.elapsed().as_micros();

    let start = Instant::now();
    let items: Vec<Item> = (0..ITEMS)
        .map(|id| key().item(format!("product-{id:08}").as_bytes(), &[id as u8; 32]))
        .collect();
    println!("keys and versions of {ITEMS}: {} us", since(start));

    let start = Instant::now();
    let estimator = Estimator::of(items.iter().copied());
    println!(
        "estimator: {} us, estimate of all {}",
        since(start),
        estimator.drifts(&Estimator::default())
    );

    for cells in [32, 64, 1024, 20_000, 65_536] {
        let start = Instant::now();
        let sketch = Sketch::of(cells, items.iter().copied());
        let micros = since(start);
        println!("encode into {cells} cells: {micros} us");
        assert_eq!(sketch.len(), cells);
    }

    let mut sketch = Sketch::of(20_000, items.iter().copied());
    let start = Instant::now();
    for item in &items[..100_000] {
        sketch.remove(*item);
        sketch.insert(*item);
    }
    println!("change of one item in 20000 cells: {} ns", since(start) * 1000 / 100_000);

    for drifts in [1, 10, 100, 1000, 10_000, 30_000] {
        let cells = 32 + drifts * 15 / 8;
        let whole = Sketch::of(cells, items.iter().copied());
        let less = Sketch::of(cells, items[drifts..].iter().copied());
        let difference = whole.minus(&less);
        let start = Instant::now();
        let decoding = decode(&difference);
        let micros = since(start);
        let Outcome::Decoded(found) = decoding.outcome else { panic!("enough cells") };
        assert_eq!(found.len(), drifts);
        println!("decode {drifts} from {cells} cells: {micros} us, {} steps", decoding.steps);
    }
}
