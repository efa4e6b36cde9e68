//! Sketches: whatever cells come, they are read back in bounded time.

use counterfoil_protocol::sketch::{
    CELL_BYTES, CELLS_MAX, CellsV1, Estimator, KEYS_MAX, KeysV1, Outcome, STEPS_PER_CELL_MAX,
    Sketch, decode,
};
use counterfoil_protocol::wire::catalog::PAGE_BYTES_MAX;
use counterfoil_protocol::wire::reconcile::{
    ASKED_MAX, EntitiesAnswer, EntitiesAsk, EntityRow, ReconcileAnswer, ReconcileAsk,
};

use crate::again;
use crate::memory::bounded;
use crate::messages::MEMORY_MAX;

/// How many cells stand before those that come: more say nothing new.
const BEFORE_MAX: usize = 64;

/// Reads what travels alone, and the messages that carry it.
///
/// # Panics
/// If a law does not hold.
pub fn check(bytes: &[u8]) {
    bounded(MEMORY_MAX, || {
        if let Some(page) = again::frame(bytes, CellsV1::from_bytes, CellsV1::to_bytes) {
            of_cells(&page);
        }
        again::frame(bytes, Estimator::from_bytes, Estimator::to_bytes);
        if let Some(keys) = again::frame(bytes, KeysV1::from_bytes, KeysV1::to_bytes)
            && let Ok(parsed) = keys.parse()
        {
            assert!(parsed.len() <= KEYS_MAX, "a list of keys is bounded");
            assert_eq!(KeysV1::of(&parsed), keys, "keys have one form only");
        }
        again::frame(bytes, ReconcileAsk::decode, ReconcileAsk::encode);
        let answer = again::frame(bytes, ReconcileAnswer::decode, ReconcileAnswer::encode);
        if let Some(ReconcileAnswer::Cells(answer)) = answer {
            of_cells(&answer.cells);
        }
        if let Some(ask) = again::frame(bytes, EntitiesAsk::decode, EntitiesAsk::encode) {
            let keys = ask.keys.parse().expect("keys of a question were read");
            assert!(keys.len() + ask.extra.len() <= ASKED_MAX, "a question is bounded");
        }
        if let Some(answer) = again::frame(bytes, EntitiesAnswer::decode, EntitiesAnswer::encode) {
            assert!(answer.rows.len() <= ASKED_MAX, "an answer is bounded");
            let bytes: usize = answer.rows.iter().map(EntityRow::bytes).sum();
            assert!(bytes <= PAGE_BYTES_MAX, "in bytes too");
        }
    });
}

fn of_cells(page: &CellsV1) {
    let before = usize::try_from(page.first).unwrap_or(CELLS_MAX).min(BEFORE_MAX);
    let mut sketch = Sketch::new(before);
    let empty = sketch.clone();
    if sketch.append(page).is_err() {
        assert_eq!(sketch, empty, "what is refused changes nothing");
        return;
    }
    assert!(sketch.len() <= CELLS_MAX, "a sketch is bounded");
    assert_eq!(sketch.len(), before + page.cells.len() / CELL_BYTES, "each cell is at hand");
    assert_eq!(sketch.page(before, sketch.len()), *page, "cells have one form only");
    let decoding = decode(&sketch);
    assert!(decoding.steps <= sketch.len() * STEPS_PER_CELL_MAX, "the work is bounded");
    if let Outcome::Decoded(drifts) = &decoding.outcome {
        assert!(drifts.is_sorted(), "differences come in order");
        assert!(drifts.len() <= 2 * sketch.len(), "no more than cells can tell");
    }
}
