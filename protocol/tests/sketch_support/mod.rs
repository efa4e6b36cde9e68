//! What the tests of the sketch share: sets that differ in a known way, and a till and a cloud that
//! exchange bytes.
#![allow(dead_code, reason = "each test file uses its own part of the kit")]
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(unreachable_pub, reason = "one module, compiled into each test file")]

use std::collections::BTreeMap;

use counterfoil_protocol::sketch::{
    CellsV1, Estimator, Item, KEYS_MAX, KeyDigest, KeysV1, Kind, Outcome, Sketch, SketchKey,
    Version, decode, longer, prefix,
};

/// SplitMix64, so that every run draws the same.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

pub fn key() -> SketchKey {
    SketchKey::new([7; 16])
}

pub fn item(id: u64, content: u64) -> Item {
    key().item(&id.to_le_bytes(), &content.to_le_bytes())
}

/// Two sets, and how they differ seen from here.
pub struct Pair {
    pub there: Vec<Item>,
    pub here: Vec<Item>,
    pub kinds: BTreeMap<KeyDigest, Kind>,
}

impl Pair {
    /// Draws sets with `common` equal items and `drifts` that differ: of ten eight are different,
    /// one is missing, one is extra; a lone one is different.
    pub fn draw(random: &mut Random, common: usize, drifts: usize) -> Self {
        let mut pair = Self { there: vec![], here: vec![], kinds: BTreeMap::new() };
        for _ in 0..common {
            let item = item(random.next(), random.next());
            pair.there.push(item);
            pair.here.push(item);
        }
        for place in 0..drifts {
            let id = random.next();
            let (theirs, ours) = (item(id, random.next()), item(id, random.next()));
            let kind = match place % 10 {
                8 => Kind::Missing,
                9 => Kind::Extra,
                _ => Kind::Different(theirs.version),
            };
            if kind != Kind::Extra {
                pair.there.push(theirs);
            }
            if kind != Kind::Missing {
                pair.here.push(ours);
            }
            pair.kinds.insert(theirs.key, kind);
        }
        assert_eq!(pair.kinds.len(), drifts, "no two drawn names have the same digest");
        pair
    }

    pub fn version_here(&self, key: KeyDigest) -> Option<Version> {
        self.here.iter().find(|item| item.key == key).map(|item| item.version)
    }

    /// The kinds that `cells` cells tell, if they are enough.
    pub fn told_by(&self, cells: usize) -> Option<BTreeMap<KeyDigest, Kind>> {
        let there = Sketch::of(cells, self.there.iter().copied());
        let here = Sketch::of(cells, self.here.iter().copied());
        self.told(&there.minus(&here))
    }

    pub fn told(&self, difference: &Sketch) -> Option<BTreeMap<KeyDigest, Kind>> {
        let versions: BTreeMap<_, _> =
            self.here.iter().map(|item| (item.key, item.version)).collect();
        match decode(difference).outcome {
            Outcome::Decoded(drifts) => Some(
                drifts
                    .into_iter()
                    .map(|drift| (drift.key, drift.kind(versions.get(&drift.key).copied())))
                    .collect(),
            ),
            Outcome::NotEnough { .. } | Outcome::Corrupt => None,
        }
    }
}

/// What a reconcile cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub estimator: usize,
    pub cells: usize,
    pub keys: usize,
    /// Answers with cells until the difference was known.
    pub answers: usize,
    pub estimate: u64,
}

impl Cost {
    pub fn bytes(&self) -> usize {
        self.estimator + self.cells + self.keys
    }
}

/// The till finds out how it differs from the cloud; all that passes between them is bytes.
pub fn reconcile(pair: &Pair) -> (BTreeMap<KeyDigest, Kind>, Cost) {
    let request = Estimator::of(pair.here.iter().copied()).to_bytes();
    let mut cost = Cost { estimator: request.len(), ..Cost::default() };

    let asked = Estimator::from_bytes(&request).unwrap();
    cost.estimate = asked.drifts(&Estimator::of(pair.there.iter().copied()));
    let mut want = prefix(cost.estimate).expect("so many can be told");
    let mut there = Sketch::new(0);
    let mut here = Sketch::new(0);
    loop {
        let cached = Sketch::of(want, pair.there.iter().copied());
        let answer = cached.page(there.len(), want).to_bytes();
        cost.cells += answer.len();
        cost.answers += 1;

        there.append(&CellsV1::from_bytes(&answer).unwrap()).unwrap();
        here.grow(want, pair.here.iter().copied());
        if let Some(kinds) = pair.told(&there.minus(&here)) {
            let keys: Vec<_> = kinds.keys().copied().collect();
            cost.keys = keys.chunks(KEYS_MAX).map(|keys| KeysV1::of(keys).to_bytes().len()).sum();
            return (kinds, cost);
        }
        want = longer(want).expect("a sketch this long tells so few");
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
