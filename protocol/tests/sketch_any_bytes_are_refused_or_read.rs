//! Whatever bytes come, they are refused with a reason or read, and what is read is bounded.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod sketch_support;

use counterfoil_protocol::codec::DecodeError;
use counterfoil_protocol::sketch::{
    CELL_BYTES, CELLS_MAX, COUNTERS, CellsV1, Estimator, EstimatorV1, KEY_BYTES, KEYS_MAX,
    KeyDigest, KeysV1, Sketch, SketchError, Version, longer, prefix,
};
use proptest::prelude::*;
use sketch_support::item;

fn appended(first: u32, cells: Vec<u8>) -> Result<usize, SketchError> {
    let mut sketch = Sketch::new(2);
    let result = sketch.append(&CellsV1 { first, cells });
    assert!(result.is_ok() || sketch == Sketch::new(2), "what is refused changes nothing");
    result.map(|()| sketch.len())
}

#[test]
fn cells_are_refused_with_a_reason() {
    let most = (CELLS_MAX - 2) * CELL_BYTES;
    for (first, cells, expected) in [
        (2, vec![], Ok(2)),
        (2, vec![0; CELL_BYTES], Ok(3)),
        (2, vec![0; most], Ok(CELLS_MAX)),
        (2, vec![0; most + CELL_BYTES], Err(SketchError::Length(most + CELL_BYTES))),
        (2, vec![0; CELL_BYTES + 1], Err(SketchError::Length(CELL_BYTES + 1))),
        (2, vec![0xff; CELL_BYTES], Err(SketchError::Number)),
        (0, vec![], Err(SketchError::Gap { expected: 2, found: 0 })),
        (3, vec![], Err(SketchError::Gap { expected: 2, found: 3 })),
        (u32::MAX, vec![], Err(SketchError::Gap { expected: 2, found: u32::MAX })),
    ] {
        assert_eq!(appended(first, cells), expected);
    }
}

#[test]
fn a_page_holds_what_there_is() {
    let sketch = Sketch::of(5, [item(1, 1)]);
    for (first, end, expected) in [
        (0, 5, (0, 5)),
        (0, 0, (0, 0)),
        (2, 4, (2, 2)),
        (2, 9, (2, 3)),
        (5, 9, (5, 0)),
        (7, 9, (5, 0)),
        (4, 2, (2, 0)),
    ] {
        let page = sketch.page(first, end);
        assert_eq!((page.first, page.cells.len() / CELL_BYTES), expected, "{first}..{end}");
    }
}

#[test]
fn estimators_and_keys_are_refused_with_a_reason() {
    for length in [0, COUNTERS - 1, COUNTERS + 1] {
        let wire = EstimatorV1 { counters: vec![0; length] };
        assert_eq!(Estimator::from_wire(&wire), Err(SketchError::Length(length)));
    }
    let parsed = |keys: Vec<u8>| KeysV1 { keys }.parse().map(|keys| keys.len());
    assert_eq!(parsed(vec![]), Ok(0));
    assert_eq!(parsed(vec![0; KEYS_MAX * KEY_BYTES]), Ok(KEYS_MAX));
    let more = (KEYS_MAX + 1) * KEY_BYTES;
    assert_eq!(parsed(vec![0; more]), Err(SketchError::Length(more)));
    assert_eq!(parsed(vec![0; 8]), Err(SketchError::Length(8)));
    assert_eq!(parsed(vec![0xff; KEY_BYTES]), Err(SketchError::Number));
}

#[test]
fn another_version_is_refused() {
    let mut bytes = Estimator::default().to_bytes();
    bytes[0] = 2;
    let expected = SketchError::Bytes(DecodeError::Version(2));
    assert_eq!(Estimator::from_bytes(&bytes), Err(expected));
    assert_eq!(CellsV1::from_bytes(&bytes), Err(expected));
    assert_eq!(KeysV1::from_bytes(&bytes), Err(expected));
}

#[test]
fn digests_and_versions_are_elements_of_the_field() {
    const PRIME: u64 = (1 << 28) - 57;
    for (digest, read) in [
        (0, true),
        (PRIME - 1, true),
        (PRIME, false),
        ((PRIME - 1) << 28 | (PRIME - 1), true),
        (PRIME << 28, false),
        (1 << 56, false),
        (u64::MAX, false),
    ] {
        assert_eq!(KeyDigest::parse(digest).map(KeyDigest::get), read.then_some(digest));
    }
    for (version, read) in [(0, false), (1, true), (PRIME as u32 - 1, true), (PRIME as u32, false)]
    {
        assert_eq!(Version::parse(version).map(Version::get), read.then_some(version));
    }
    let json = |text: &str| serde_json::from_str::<KeyDigest>(text).ok();
    assert_eq!(json("7"), KeyDigest::parse(7));
    assert_eq!(json("268435399"), None);
}

#[test]
fn a_prefix_is_sized_or_refused() {
    for (drifts, expected) in [
        (0, Some(32)),
        (6, Some(32)),
        (7, Some(34)),
        (100, Some(208)),
        (34_941, Some(65_535)),
        (34_942, None),
        (u64::MAX, None),
    ] {
        assert_eq!(prefix(drifts), expected, "{drifts} drifts");
    }
    for (cells, expected) in [
        (0, Some(64)),
        (32, Some(128)),
        (32_736, Some(65_536)),
        (32_737, None),
        (usize::MAX / 2, None),
        (usize::MAX, None),
    ] {
        assert_eq!(longer(cells), expected, "{cells} cells");
    }
}

#[test]
fn more_drifts_than_a_sketch_can_tell_are_refused_by_the_estimate() {
    // The counters wrap; the estimate must not come down again.
    for drifts in [45_000, 100_000, 300_000, 1_000_000] {
        let there = Estimator::of((0..drifts).map(|id| item(id, 1)));
        let estimate = there.drifts(&Estimator::default());
        assert_eq!(prefix(estimate), None, "{drifts} drifts, estimated {estimate}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut versioned = vec![1];
        versioned.extend(&bytes);
        for bytes in [&bytes, &versioned] {
            if let Ok(page) = CellsV1::from_bytes(bytes) {
                let _ = Sketch::new(0).append(&page);
            }
            if let Ok(keys) = KeysV1::from_bytes(bytes) {
                let _ = keys.parse();
            }
            let _ = Estimator::from_bytes(bytes);
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        ids in prop::collection::vec(any::<u64>(), 0..60), cells in 0_usize..80,
    ) {
        let items: Vec<_> = ids.iter().map(|id| item(*id, 1)).collect();
        let sketch = Sketch::of(cells, items.iter().copied());
        let page = CellsV1::from_bytes(&sketch.page(0, cells).to_bytes()).unwrap();
        let mut read = Sketch::new(0);
        read.append(&page).unwrap();
        prop_assert_eq!(read, sketch);
        let estimator = Estimator::of(items.iter().copied());
        prop_assert_eq!(Estimator::from_bytes(&estimator.to_bytes()).unwrap(), estimator);
        let keys: Vec<_> = items.iter().map(|item| item.key).collect();
        let wire = KeysV1::from_bytes(&KeysV1::of(&keys).to_bytes()).unwrap();
        prop_assert_eq!(wire.parse().unwrap(), keys);
    }
}
