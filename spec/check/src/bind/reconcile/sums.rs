//! Digests, looked up: which contents have one, and what a sum of hashes is the sum of.

use std::collections::BTreeMap;
use std::sync::Arc;

use counterfoil_protocol::catalog::{Digest, entity_hash};
use counterfoil_protocol::hash::Hash;
use tla_checker::ast::Value;

use crate::bind::bound::{Unmapped, unmapped};
use crate::bind::catalog::constants::Constants as Plain;
use crate::bind::catalog::items::{entity, id_of};
use crate::bind::value::{int, sequence};

use super::constants::{Constants, STRAY};

/// How often the hash of each value of an entity stands in a sum, in the order of
/// [`Constants::values`].
pub(super) type Sum = Vec<BTreeMap<u64, i64>>;

type Lanes = (u64, [u64; 4]);

/// All contents that a catalog can have here, by what they add up to.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    constants: Constants,
    hashes: Arc<BTreeMap<(u64, u64), Hash>>,
    contents: Arc<BTreeMap<Lanes, Vec<u64>>>,
}

/// Returns the hash of an entity with a content.
pub(super) fn hash(item: u64, value: u64) -> Hash {
    let entity = entity(&Plain::default(), item, value);
    entity_hash(id_of(item), &entity.canonical())
}

const fn lanes(digest: Digest) -> Lanes {
    (digest.count, digest.lanes)
}

impl Sums {
    pub(super) fn new(constants: Constants) -> Self {
        let mut hashes = BTreeMap::new();
        let mut all = vec![(Digest::default(), Vec::new())];
        for item in 1..=constants.items {
            for value in constants.values(item) {
                hashes.insert((item, value), hash(item, value));
            }
            let mut longer = Vec::new();
            for (digest, held) in all {
                let of: &Vec<u64> = &held;
                longer.push((digest, of.iter().copied().chain([0]).collect()));
                for value in constants.values(item).into_iter().filter(|value| *value != STRAY) {
                    let with = digest.with(hashes[&(item, value)]);
                    longer.push((with, of.iter().copied().chain([value]).collect()));
                }
            }
            all = longer;
        }
        let contents = all.into_iter().map(|(digest, held)| (lanes(digest), held)).collect();
        Self { constants, hashes: Arc::new(hashes), contents: Arc::new(contents) }
    }

    /// Returns the contents that add up to a digest.
    pub(super) fn contents(&self, digest: Digest) -> Result<Vec<u64>, Unmapped> {
        match self.contents.get(&lanes(digest)) {
            Some(held) => Ok(held.clone()),
            None => unmapped("a digest of no catalog"),
        }
    }

    /// Returns the sum of contents.
    pub(super) fn bag(&self, contents: &[u64]) -> Sum {
        let mut sum: Sum = (1..=self.constants.items)
            .map(|item| self.constants.values(item).into_iter().map(|value| (value, 0)).collect())
            .collect();
        change(&mut sum, contents, 1);
        sum
    }

    /// Returns what a digest is the sum of: that which it was before, with the rows of before
    /// taken out and those of now taken in, or the rows of now, or with a stray one. Else one
    /// that differs from these in one entity, as a node that is broken may have it.
    pub(super) fn found(
        &self,
        digest: Digest,
        before: &Sum,
        rows_before: &[u64],
        rows: &[u64],
    ) -> Result<Sum, Unmapped> {
        let mut moved = before.clone();
        change(&mut moved, rows_before, -1);
        change(&mut moved, rows, 1);
        let mut likely = vec![before.clone(), moved, self.bag(rows)];
        for item in 0..before.len() {
            let mut stray = before.clone();
            *stray[item].entry(STRAY).or_default() += 1;
            likely.push(stray);
        }
        for sum in &likely {
            if self.digest(sum) == digest {
                return Ok(sum.clone());
            }
        }
        for sum in &likely {
            if let Some(sum) = self.near(digest, sum) {
                return Ok(sum);
            }
        }
        unmapped("a sum of what nobody has added")
    }

    fn near(&self, digest: Digest, sum: &Sum) -> Option<Sum> {
        let base = self.digest(sum);
        for ((item, value), hash) in self.hashes.iter() {
            for (by, near) in [(1, base.with(*hash)), (-1, base.without(*hash))] {
                if near == digest {
                    let mut sum = sum.clone();
                    let place = usize::try_from(item - 1).expect("there are few entities");
                    *sum[place].entry(*value).or_default() += by;
                    return Some(sum);
                }
            }
        }
        None
    }

    /// Returns the digest that a sum has.
    fn digest(&self, sum: &Sum) -> Digest {
        let mut digest = Digest::default();
        for (item, counts) in (1..).zip(sum) {
            for (value, count) in counts {
                let hash = self.hashes[&(item, *value)];
                for _ in 0..count.unsigned_abs() {
                    digest = if *count > 0 { digest.with(hash) } else { digest.without(hash) };
                }
            }
        }
        digest
    }
}

fn change(sum: &mut Sum, contents: &[u64], by: i64) {
    for (counts, value) in sum.iter_mut().zip(contents) {
        if *value != 0 {
            *counts.entry(*value).or_default() += by;
        }
    }
}

/// Returns a sum as the specification has it.
pub(super) fn value(sum: &Sum) -> Value {
    sequence(sum.iter().map(|counts| {
        Value::func(counts.iter().map(|(value, count)| (int(*value), int(*count))).collect())
    }))
}
