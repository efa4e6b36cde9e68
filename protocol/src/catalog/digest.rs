//! What a set of entities adds up to: kept up to date in two additions a change.

use serde::{Deserialize, Serialize};

use crate::hash::Hash;

/// The sum over the digests of all entities, and their number.
///
/// Equal sets have equal digests in whatever order they were changed. It finds drift, not fraud:
/// the sum is of 256-bit digests in four lanes of 64 bits, and whoever may choose entities at will
/// could look for sets of the same sum (generalised birthday, Wagner 2002). Only the cloud chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Digest {
    /// How many entities.
    pub count: u64,
    /// The lanes of the sum, each modulo 2^64.
    pub lanes: [u64; 4],
}

impl Digest {
    /// Takes an entity in.
    #[must_use]
    pub fn with(self, entity: Hash) -> Self {
        let count = self.count.wrapping_add(1);
        let with =
            Self { count, lanes: each_lane(self.lanes, lanes_of(entity), u64::wrapping_add) };
        assert_ne!(with, self, "an entity more is another set");
        let back = each_lane(with.lanes, lanes_of(entity), u64::wrapping_sub);
        assert_eq!(back, self.lanes, "an entity that is taken out again leaves no trace");
        with
    }

    /// Takes an entity out.
    #[must_use]
    pub fn without(self, entity: Hash) -> Self {
        let count = self.count.wrapping_sub(1);
        let without =
            Self { count, lanes: each_lane(self.lanes, lanes_of(entity), u64::wrapping_sub) };
        assert_ne!(without, self, "an entity less is another set");
        let back = each_lane(without.lanes, lanes_of(entity), u64::wrapping_add);
        assert_eq!(back, self.lanes, "an entity that is taken in again was never away");
        without
    }

    /// Returns what both sets add up to together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let count = self.count.wrapping_add(other.count);
        let both = Self { count, lanes: each_lane(self.lanes, other.lanes, u64::wrapping_add) };
        assert!(other != Self::default() || both == self, "nothing more is the same set");
        assert!(self != Self::default() || both == other, "in whatever order they are added");
        both
    }
}

const _: () = assert!(4 * 8 == size_of::<Hash>(), "the lanes are the whole hash");
const _: () =
    assert!(size_of::<Digest>() == 8 + size_of::<Hash>(), "a digest is a number and a sum");

fn lanes_of(hash: Hash) -> [u64; 4] {
    let mut lanes = [0; 4];
    for (lane, bytes) in lanes.iter_mut().zip(hash.0.chunks_exact(8)) {
        let mut word = [0; 8];
        word.copy_from_slice(bytes);
        *lane = u64::from_le_bytes(word);
    }
    debug_assert!(
        lanes.iter().flat_map(|lane| lane.to_le_bytes()).eq(hash.0),
        "each byte of the hash is in one lane"
    );
    lanes
}

fn each_lane(a: [u64; 4], b: [u64; 4], with: fn(u64, u64) -> u64) -> [u64; 4] {
    [with(a[0], b[0]), with(a[1], b[1]), with(a[2], b[2]), with(a[3], b[3])]
}
