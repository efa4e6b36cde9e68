//! The per-device journal: contiguous sequence numbers, each entry chained to the one before.
//!
//! > **`JournalIntact`**: per device and epoch the cloud's accepted sequence has no gap and its
//! > hash chain verifies.
//!
//! `chain(0) = genesis(terminal, epoch)`, `chain(n) = link(chain(n-1), n, payload_hash(n))`.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::hash::{Hash, link};

/// How many entries the cloud keeps in one row of its copy of a journal.
pub const SEGMENT_ENTRIES: u64 = 16;

/// A run of at most [`SEGMENT_ENTRIES`] entries: enough to recompute every chain hash in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The chain hash before its first entry.
    pub start: Hash,
    /// The payload hashes of its entries.
    pub payloads: Vec<Hash>,
}

impl Segment {
    /// Starts a run after the chain hash `start`.
    #[must_use]
    pub const fn new(start: Hash) -> Self {
        Self { start, payloads: Vec::new() }
    }

    /// Returns the number of the segment that holds entry `seq`.
    #[must_use]
    pub const fn number(seq: u64) -> u64 {
        assert!(seq > 0, "a journal counts from 1");
        (seq - 1) / SEGMENT_ENTRIES
    }

    /// Returns the first sequence number of segment `number`.
    #[must_use]
    pub const fn first(number: u64) -> u64 {
        number * SEGMENT_ENTRIES + 1
    }

    /// Appends entry `seq`.
    ///
    /// # Panics
    /// If it is not the next one of this segment.
    pub fn push(&mut self, seq: u64, payload: Hash) {
        let held = self.payloads.len() as u64;
        assert!(held < SEGMENT_ENTRIES, "a segment is bounded");
        assert_eq!((seq - 1) % SEGMENT_ENTRIES, held, "entries are appended in order");
        self.payloads.push(payload);
    }

    /// Returns the payload hash of entry `seq`, which belongs into this segment, if it is held.
    #[must_use]
    pub fn payload_at(&self, seq: u64) -> Option<Hash> {
        let index = usize::try_from((seq - 1) % SEGMENT_ENTRIES).ok()?;
        self.payloads.get(index).copied()
    }

    /// Returns the chain hash of entry `seq`, which belongs into this segment, if it is held.
    #[must_use]
    pub fn chain_at(&self, seq: u64) -> Option<Hash> {
        let number = Self::number(seq);
        let index = usize::try_from(seq - Self::first(number)).ok()?;
        let held = self.payloads.get(..=index)?;
        let mut hash = self.start;
        for (seq, payload) in (Self::first(number)..).zip(held) {
            hash = link(hash, seq, *payload);
        }
        Some(hash)
    }
}

/// Returns the sequence numbers at which a till shows its chain: the head, `also`, and then ever
/// fewer towards the genesis, so that the last common entry is found within a factor of two.
///
/// At most 40 numbers, strictly falling; 0 (the genesis) only if the journal is empty.
#[must_use]
pub fn points(head: u64, also: u64) -> Vec<u64> {
    assert!(also <= head, "only entries that exist can be shown");
    let mut seqs = Vec::new();
    let mut step = 1;
    let mut seq = head;
    seqs.push(head);
    while seq > step && seqs.len() < 36 {
        seq -= step;
        seqs.push(seq);
        step *= 2;
    }
    seqs.push(also);
    seqs.sort_unstable_by(|a, b| b.cmp(a));
    seqs.dedup();
    if head > 0 {
        seqs.retain(|seq| *seq > 0);
    }
    assert!(seqs.len() <= crate::wire::message::HELLO_POINTS_MAX, "points are bounded");
    seqs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{genesis, payload_hash};
    use crate::identity::{Epoch, TerminalId};

    #[test]
    fn points_fall_and_thin_out() {
        for (head, also, expected) in [
            (0, 0, &[0][..]),
            (1, 0, &[1]),
            (10, 4, &[10, 9, 7, 4, 3]),
            (100, 90, &[100, 99, 97, 93, 90, 85, 69, 37]),
        ] {
            assert_eq!(points(head, also), expected, "head {head}, also {also}");
        }
        assert!(points(u64::MAX - 1, 7).len() <= 40);
    }

    #[test]
    fn a_segment_recomputes_the_chain() {
        let terminal = TerminalId::parse("T").expect("a short name");
        let start = genesis(terminal, Epoch { number: 1, nonce: 2 });
        let mut segment = Segment::new(start);
        let mut chain = start;
        for seq in 1..=SEGMENT_ENTRIES {
            let payload = payload_hash(&[seq as u8]);
            chain = link(chain, seq, payload);
            segment.push(seq, payload);
            assert_eq!(segment.chain_at(seq), Some(chain));
            if seq < SEGMENT_ENTRIES {
                assert_eq!(segment.chain_at(seq + 1), None);
            }
        }
    }
}
