//! > **`Terminates`**: decoding takes at most 128 steps for each cell and never panics, whatever
//! > the cells are; damaged cells never become a wrong difference.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod sketch_support;

use counterfoil_protocol::sketch::{
    CELL_BYTES, Cell, CellsV1, Decoding, Drift, Indices, Outcome, STEPS_PER_CELL_MAX, Sketch,
    decode,
};
use proptest::prelude::*;
use sketch_support::{Pair, Random, item};

fn sketch(cells: &[Cell]) -> Sketch {
    let mut sketch = Sketch::new(0);
    let cells = cells.iter().flat_map(Cell::bytes).collect();
    sketch.append(&CellsV1 { first: 0, cells }).unwrap();
    sketch
}

fn terminates(cells: &[Cell]) -> Decoding {
    let decoding = decode(&sketch(cells));
    assert!(decoding.steps <= cells.len() * STEPS_PER_CELL_MAX, "{} steps", decoding.steps);
    if let Outcome::Decoded(drifts) = &decoding.outcome {
        assert!(drifts.windows(2).all(|pair| pair[0].key < pair[1].key), "each once, in order");
    }
    decoding
}

/// A cell of a few items, some of them taken away instead of added.
fn cell() -> impl Strategy<Value = Cell> {
    let few = prop::collection::vec((0..12_u64, 0..3_u64, any::<bool>()), 0..4);
    let sum = few.prop_map(|items| {
        let mut sum = Cell::EMPTY;
        for (id, content, away) in items {
            let cell = Cell::of(item(id, content));
            sum.add(&if away { cell.negated() } else { cell });
        }
        sum
    });
    let noise = any::<[u8; CELL_BYTES]>().prop_map(|bytes| Cell::parse(&bytes).unwrap_or_default());
    prop_oneof![4 => sum, 1 => noise, 1 => Just(Cell::EMPTY)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_cells_terminate(cells in prop::collection::vec(cell(), 0..80)) {
        terminates(&cells);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damaged_cells_are_never_a_wrong_difference(
        seed: u64, drifts in 0_usize..60, cells in 8_usize..120,
        flips in prop::collection::vec(any::<u32>(), 1..8),
    ) {
        let pair = Pair::draw(&mut Random(seed), 10, drifts);
        let mut page = Sketch::of(cells, pair.there.iter().copied()).page(0, cells);
        for flip in flips {
            let bit = flip as usize % (page.cells.len() * 8);
            page.cells[bit / 8] ^= 1 << (bit % 8);
        }
        let mut there = Sketch::new(0);
        // Refused at the border, or decoded to the truth (where two flips cancel), or not at all.
        if there.append(&page).is_ok() {
            let here = Sketch::of(cells, pair.here.iter().copied());
            if let Some(kinds) = pair.told(&there.minus(&here)) {
                prop_assert_eq!(kinds, pair.kinds);
            }
        }
    }
}

#[test]
fn every_single_flipped_bit_is_noticed() {
    let pair = Pair::draw(&mut Random(5), 10, 10);
    let here = Sketch::of(40, pair.here.iter().copied());
    let page = Sketch::of(40, pair.there.iter().copied()).page(0, 40);
    for bit in 0..page.cells.len() * 8 {
        let mut damaged = page.clone();
        damaged.cells[bit / 8] ^= 1 << (bit % 8);
        let mut there = Sketch::new(0);
        if there.append(&damaged).is_ok() {
            assert_eq!(pair.told(&there.minus(&here)), None, "bit {bit}");
        }
    }
}

#[test]
fn the_same_item_in_every_cell_ends_soon() {
    // Taken out of the cells where the law puts it, it would come back out of all the others.
    for cells in [1, 33, 1000] {
        let decoding = terminates(&vec![Cell::of(item(1, 1)); cells]);
        let honest = matches!(decoding.outcome, Outcome::Decoded(_));
        assert_eq!(honest, cells == 1, "{cells} cells: {decoding:?}");
    }
}

#[test]
fn one_item_with_another_weight_in_each_of_its_cells_ends_soon() {
    // Each look uncovers it again with what is left of the next weight.
    let item = item(1, 1);
    for cells in [2, 33, 1000, 20_000] {
        let mut hostile = vec![Cell::EMPTY; cells];
        let mut weight = Cell::of(item);
        for index in Indices::of(item.key, cells as u64) {
            hostile[index as usize] = weight;
            weight.add(&weight.clone());
        }
        let decoding = terminates(&hostile);
        assert!(!matches!(decoding.outcome, Outcome::Decoded(_)), "{cells}: {decoding:?}");
    }
}

#[test]
fn a_lone_item_in_each_cell_ends_soon() {
    // Each is where the law puts it, and none is in its other cells: the most to take out.
    let mut random = Random(9);
    let mut lone = |index: u64| {
        loop {
            let item = item(random.next(), 1);
            if Indices::of(item.key, index + 1).any(|at| at == index) {
                return Cell::of(item);
            }
        }
    };
    for cells in [2, 33, 1000] {
        let hostile: Vec<Cell> = (0..cells).map(&mut lone).collect();
        let decoding = terminates(&hostile);
        assert!(!matches!(decoding.outcome, Outcome::Decoded(_)), "{cells}: {decoding:?}");
    }
}

#[test]
fn an_honest_difference_stays_far_below_the_bound() {
    // The fewest cells that tell so many.
    let cells = 14_500;
    let honest = Sketch::of(cells, (0..10_000).map(|id| item(id, 1)));
    let decoding = decode(&honest);
    assert!(matches!(decoding.outcome, Outcome::Decoded(_)), "enough cells");
    assert!(decoding.steps * 3 <= cells * STEPS_PER_CELL_MAX, "{} steps", decoding.steps);
    assert!(decoding.steps > 20_000, "each is looked for and taken out");
}

#[test]
fn what_is_decoded_is_what_the_cells_hold() {
    // Two versions added, not subtracted, are no difference of sets, but these cells hold it.
    let cells = Sketch::of(32, [item(1, 1), item(1, 2), item(2, 1)]);
    let Outcome::Decoded(drifts) = decode(&cells).outcome else { panic!("enough cells") };
    let keys: Vec<_> = drifts.iter().map(|drift: &Drift| drift.key).collect();
    let mut expected = vec![item(1, 1).key, item(2, 1).key];
    expected.sort_unstable();
    assert_eq!(keys, expected);
}
