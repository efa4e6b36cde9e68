//! What `docs/sketch.md` says is what the code does: its test vectors and its bounds.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod sketch_support;

use std::collections::BTreeMap;

use counterfoil_protocol::sketch::{
    CELL_BYTES, CELLS_MAX, COUNTERS, Cell, Estimator, Indices, Item, KEYS_MAX, KeysV1, PREFIX_MIN,
    STEPS_PER_CELL_MAX, Sketch, SketchKey,
};
use sketch_support::{Random, hex};

const PAGE: &str = include_str!("../../docs/sketch.md");

/// The fenced blocks that begin with `vector`, by what follows that word.
fn vectors() -> BTreeMap<&'static str, &'static str> {
    let blocks = PAGE.split("```vector ").skip(1);
    blocks
        .map(|block| {
            let (name, rest) = block.split_once('\n').unwrap();
            (name, rest.split_once("\n```").unwrap().0)
        })
        .collect()
}

/// The cells of each row of a table, without the marks of code.
fn rows() -> Vec<Vec<String>> {
    let lines = PAGE.lines().filter(|line| line.starts_with("| "));
    lines
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().replace('`', "")).collect()
        })
        .collect()
}

fn items() -> Vec<Item> {
    let key = SketchKey::new(std::array::from_fn(|at| at as u8));
    vec![
        key.item(b"tea", &[1; 32]),
        key.item(b"tea", &[2; 32]),
        key.item(b"milk", &[1; 32]),
        key.item(b"", &[]),
        key.item("Zwölf Boxkämpfer jagen Viktor".as_bytes(), &[255; 32]),
    ]
}

#[test]
fn the_items_are_those_of_the_code() {
    let rows = rows();
    let head = ["name", "content", "key digest", "version"];
    let table = rows.iter().position(|row| row.iter().eq(head)).unwrap() + 1;
    assert_eq!(rows.len(), table + items().len(), "it is the last table");
    for (row, item) in rows[table..].iter().zip(items()) {
        let digest = format!("{:014x}", item.key.get());
        assert_eq!(row[2..], [digest, item.version.get().to_string()], "{row:?}");
    }
}

#[test]
fn the_vectors_are_what_the_code_writes() {
    let vectors = vectors();
    let items = items();
    let mut stream = Random(items[0].key.get());
    let words: Vec<_> = (0..4).map(|_| format!("{:016x}", stream.next())).collect();
    let indices: Vec<_> =
        Indices::of(items[0].key, 100_000).map(|index| index.to_string()).collect();
    let alone: Vec<_> = items[..2].iter().map(|item| hex(&Cell::of(*item).bytes())).collect();
    let set = &items[1..];
    let keys: Vec<_> = set.iter().map(|item| item.key).collect();
    for (name, separator, expected) in [
        ("words", "\n", words.join("\n")),
        ("indices", " ", indices.join(" ")),
        ("cells", "\n", alone.join("\n")),
        ("page", "", hex(&Sketch::of(12, set.iter().copied()).page(0, 12).to_bytes())),
        ("estimator", "", hex(&Estimator::of(set.iter().copied()).to_bytes())),
        ("keys", "", hex(&KeysV1::of(&keys).to_bytes())),
    ] {
        assert_eq!(vectors[name].replace('\n', separator), expected, "{name}");
    }
    assert_eq!(vectors.len(), 6, "each vector was looked at");
}

#[test]
fn the_bounds_are_those_of_the_code() {
    let rows = rows();
    for (name, bound) in [
        ("cells in a sketch", CELLS_MAX),
        ("bytes of a cell", CELL_BYTES),
        ("counters", COUNTERS),
        ("fewest cells in a prefix", PREFIX_MIN),
        ("keys in a list", KEYS_MAX),
        ("steps of decoding for each cell", STEPS_PER_CELL_MAX),
    ] {
        let row = rows.iter().find(|row| row[0] == name);
        let row = row.unwrap_or_else(|| panic!("{name} is on the page"));
        assert_eq!(row[1], bound.to_string(), "{name}");
    }
}
