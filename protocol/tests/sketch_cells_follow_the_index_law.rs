//! > **`IndexLaw`**: an item is in cell 0, and in cell `i` with probability `1 / (1 + i / 2)`,
//! > independently for each `i`, however many cells there are.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod sketch_support;

use counterfoil_protocol::sketch::{Indices, KeyDigest};
use sketch_support::{Random, item};

/// The law as `docs/sketch.md` states it, looked for one index after the other.
fn by_the_book(key: KeyDigest, end: u64) -> Vec<u64> {
    let mut words = Random(key.get());
    words.next();
    let mut found = vec![];
    let mut at = 0_u128;
    while at < u128::from(end) {
        found.push(at as u64);
        let word = words.next();
        let a = u128::from((word as u32).max(1));
        let b = u128::from(((word >> 32) as u32).max(1));
        let reached = |j: &u128| {
            (j + 1) * a >= (at + 1) << 32 || (j + 2) * b >= (at + 2) << 32 || *j == u128::from(end)
        };
        at = (at + 1..).find(reached).unwrap();
    }
    found
}

#[test]
fn the_indices_are_those_of_the_definition() {
    for id in 0..300 {
        let key = item(id, 0).key;
        let found: Vec<u64> = Indices::of(key, 20_000).collect();
        assert_eq!(found, by_the_book(key, 20_000), "{key:?}");
    }
}

#[test]
fn each_cell_holds_its_share_and_neighbours_do_not_care_for_each_other() {
    const KEYS: u64 = 40_000;
    let cells = [0_u64, 1, 2, 3, 5, 10, 30, 100, 1000];
    let mut held = [0_u64; 9];
    let mut both = 0_u64;
    for id in 0..KEYS {
        let indices: Vec<u64> = Indices::of(item(id, 0).key, 1001).collect();
        for (cell, held) in cells.iter().zip(&mut held) {
            *held += u64::from(indices.contains(cell));
        }
        both += u64::from(indices.contains(&2) && indices.contains(&3));
    }
    // At most five standard deviations from a share of `part / whole`; all squared, times whole^2.
    let check = |held: u64, part: u64, whole: u64, what: &str| {
        let off = (held * whole).abs_diff(part * KEYS);
        let spread = 25 * KEYS * part * (whole - part);
        assert!(off * off <= spread, "{what}: {held}, expected {}", part * KEYS / whole);
    };
    for (cell, held) in cells.into_iter().zip(held) {
        check(held, 2, cell + 2, &format!("cell {cell}"));
    }
    check(both, 1, 5, "cells 2 and 3 together");
}

#[test]
fn a_shorter_sequence_is_the_beginning_of_a_longer_one() {
    for id in 0..100 {
        let key = item(id, 0).key;
        let long: Vec<u64> = Indices::of(key, 5000).collect();
        for end in [0, 1, 2, 64, 4999] {
            let short: Vec<u64> = Indices::of(key, end).collect();
            let beginning: Vec<u64> = long.iter().copied().take_while(|at| *at < end).collect();
            assert_eq!(short, beginning, "up to {end}");
        }
    }
}

#[test]
fn the_largest_index_is_reached_without_overflow() {
    for id in 0..1000 {
        let indices: Vec<u64> = Indices::of(item(id, 0).key, Indices::END_MAX).collect();
        assert!(indices.is_sorted() && indices.len() < 128, "{} indices", indices.len());
    }
}
