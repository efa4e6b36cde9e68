//! The bytes of a sketch that must never change. A snapshot that differs is a new version of the
//! format, not a snapshot to accept.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod sketch_support;

use std::fmt::Write as _;

use counterfoil_protocol::sketch::{
    Cell, Estimator, Indices, Item, KeysV1, Sketch, SketchKey, decode,
};
use insta::assert_snapshot;
use sketch_support::hex;

fn key() -> SketchKey {
    SketchKey::new(std::array::from_fn(|at| at as u8))
}

fn items() -> Vec<(&'static str, Item)> {
    let content = |byte: u8| [byte; 32];
    vec![
        ("tea 1", key().item(b"tea", &content(1))),
        ("tea 2", key().item(b"tea", &content(2))),
        ("milk", key().item(b"milk", &content(1))),
        ("no name", key().item(b"", &[])),
        ("long name", key().item("Zwölf Boxkämpfer jagen Viktor".as_bytes(), &content(255))),
    ]
}

#[test]
fn items_indices_and_cells() {
    let mut text = String::new();
    for (name, item) in items() {
        let (digest, version) = (item.key.get(), item.version.get());
        writeln!(text, "{name}: digest {digest:014x} version {version}").unwrap();
        let indices: Vec<u64> = Indices::of(item.key, 100_000).collect();
        writeln!(text, "  cells {indices:?}").unwrap();
        writeln!(text, "  alone {}", hex(&Cell::of(item).bytes())).unwrap();
    }
    assert_snapshot!(text);
}

#[test]
fn sketches_estimators_and_keys() {
    let items: Vec<Item> = items().into_iter().skip(1).map(|(_, item)| item).collect();
    let keys: Vec<_> = items.iter().map(|item| item.key).collect();
    let sketch = Sketch::of(12, items.iter().copied());
    let mut text = String::new();
    for cell in sketch.cells() {
        writeln!(text, "cell {}", hex(&cell.bytes())).unwrap();
    }
    for (name, bytes) in [
        ("page 0..12", sketch.page(0, 12).to_bytes()),
        ("page 3..5", sketch.page(3, 5).to_bytes()),
        ("estimator", Estimator::of(items).to_bytes()),
        ("keys", KeysV1::of(&keys).to_bytes()),
    ] {
        writeln!(text, "{name} {}", hex(&bytes)).unwrap();
    }
    writeln!(text, "json {}", serde_json::to_string(&sketch.page(0, 1)).unwrap()).unwrap();
    writeln!(text, "json {}", serde_json::to_string(&keys[0]).unwrap()).unwrap();
    assert_snapshot!(text);
}

#[test]
fn decoding_takes_the_same_steps_everywhere() {
    let all: Vec<Item> = (0..300_u64).map(|id| key().item(&id.to_le_bytes(), b"1")).collect();
    let mut text = String::new();
    for (drifts, cells) in [(1, 32), (10, 40), (100, 208), (100, 120), (300, 600)] {
        let decoding = decode(&Sketch::of(cells, all[..drifts].iter().copied()));
        let (told, steps) = (format!("{:?}", decoding.outcome), decoding.steps);
        let told: String = told.chars().take_while(|c| *c != '(').take(32).collect();
        writeln!(text, "{drifts} items in {cells} cells: {told}, {steps} steps").unwrap();
    }
    assert_snapshot!(text);
}
