//! The per-device journal: contiguous sequence numbers, each entry chained to the one before.
//!
//! > **`JournalIntact`**: per device and epoch the cloud's accepted sequence has no gap and its
//! > hash chain verifies.
//!
//! `chain(0) = genesis(terminal, epoch)`, `chain(n) = link(chain(n-1), n, payload_hash(n))`.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec::MESSAGE_BYTES_MAX;
use crate::hash::{Hash, link};
use crate::wire::message::HELLO_POINTS_MAX;

/// How many entries the cloud keeps in one row of its copy of a journal.
pub const SEGMENT_ENTRIES: u64 = 16;

/// How many entries a till shows from its head towards the genesis.
const POINTS_BACK_MAX: usize = 36;

const _: () = assert!(SEGMENT_ENTRIES > 0, "a segment has entries");
const _: () = assert!(SEGMENT_ENTRIES <= u32::MAX as u64, "a place in a segment fits any machine");
const _: () = assert!(
    (SEGMENT_ENTRIES as usize + 2) * size_of::<Hash>() <= MESSAGE_BYTES_MAX,
    "a full segment's row can be read"
);
const _: () = assert!(Segment::number(1) == 0, "the first segment holds the first entry");
const _: () = assert!(Segment::number(SEGMENT_ENTRIES) == 0, "a segment is filled");
const _: () = assert!(Segment::number(SEGMENT_ENTRIES + 1) == 1, "what follows is in the next");
const _: () = assert!(Segment::first(1) == SEGMENT_ENTRIES + 1, "no entry is between segments");
const _: () = assert!(Segment::number(u64::MAX) > 0, "whatever number a till names has a segment");
const _: () = assert!(POINTS_BACK_MAX < HELLO_POINTS_MAX, "one more point can be asked for");
const _: () = assert!(POINTS_BACK_MAX > 32, "a journal of 2^32 entries is shown to its beginning");
const _: () = assert!(POINTS_BACK_MAX < 64, "no distance between points leaves 64 bits");

/// A run of at most [`SEGMENT_ENTRIES`] entries: enough to recompute every chain hash in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// The chain hash before its first entry.
    pub start: Hash,
    /// The payload hashes of its entries.
    pub payloads: Vec<Hash>,
    /// The chain hashes of its first entries, as far as they were known when those were appended.
    /// They are not stored: what comes from a disk is recomputed.
    #[serde(skip)]
    chains: Vec<Hash>,
}

impl PartialEq for Segment {
    fn eq(&self, other: &Self) -> bool {
        self.start == other.start && self.payloads == other.payloads
    }
}

impl Eq for Segment {}

impl Segment {
    /// Starts a run after the chain hash `start`.
    #[must_use]
    pub const fn new(start: Hash) -> Self {
        Self::of(start, Vec::new())
    }

    /// Returns a run of entries after the chain hash `start`.
    #[must_use]
    pub const fn of(start: Hash, payloads: Vec<Hash>) -> Self {
        Self { start, payloads, chains: Vec::new() }
    }

    /// Returns the number of the segment that holds entry `seq`.
    #[must_use]
    pub const fn number(seq: u64) -> u64 {
        assert!(seq > 0, "a journal counts from 1");
        let number = (seq - 1) / SEGMENT_ENTRIES;
        assert!(Self::first(number) <= seq, "a segment begins before its entries");
        assert!(seq - Self::first(number) < SEGMENT_ENTRIES, "an entry belongs to one segment");
        number
    }

    /// Returns the first sequence number of segment `number`.
    #[must_use]
    pub const fn first(number: u64) -> u64 {
        // No journal reaches a segment whose first entry has no number.
        number.saturating_mul(SEGMENT_ENTRIES).saturating_add(1)
    }

    /// Returns whether entry `seq`, with this chain hash, is the last one before what is to be
    /// appended: the last of this segment, or what stands before it.
    #[must_use]
    pub fn ends_with(&self, seq: u64, chain: Hash) -> bool {
        let held = self.payloads.len() as u64;
        if held != seq % SEGMENT_ENTRIES {
            return false;
        }
        assert!(held < SEGMENT_ENTRIES, "there is room for the next entry");
        if held == 0 { self.start == chain } else { self.chain_at(seq) == Some(chain) }
    }

    /// Appends entry `seq`, whose chain hash the caller has verified.
    ///
    /// # Panics
    /// If it is not the next one of this segment.
    pub fn push(&mut self, seq: u64, payload: Hash, chain: Hash) {
        assert!(seq > 0, "a journal counts from 1");
        let held = self.payloads.len() as u64;
        assert!(held < SEGMENT_ENTRIES, "a segment is bounded");
        assert_eq!((seq - 1) % SEGMENT_ENTRIES, held, "entries are appended in order");
        if self.payloads.len() == self.payloads.capacity() {
            // Segments grow by pushes, and pushes bring several entries.
            let room = SEGMENT_ENTRIES as usize - self.payloads.len();
            self.payloads.reserve_exact(room);
            assert!(room > 0, "a segment that is not full has room");
        }
        if self.chains.len() == self.payloads.len() {
            self.chains.reserve_exact(SEGMENT_ENTRIES as usize - self.chains.len());
            self.chains.push(chain);
        }
        self.payloads.push(payload);
        assert!(self.chains.len() <= self.payloads.len(), "a chain hash is that of an entry");
    }

    /// Returns the payload hash of entry `seq`, which belongs into this segment, if it is held.
    #[must_use]
    pub fn payload_at(&self, seq: u64) -> Option<Hash> {
        assert!(seq > 0, "a journal counts from 1");
        let index = usize::try_from((seq - 1) % SEGMENT_ENTRIES).ok()?;
        self.payloads.get(index).copied()
    }

    /// Returns the chain hash of entry `seq`, which belongs into this segment, if it is held.
    #[must_use]
    pub fn chain_at(&self, seq: u64) -> Option<Hash> {
        let number = Self::number(seq);
        let index = usize::try_from(seq - Self::first(number)).ok()?;
        assert!(index < SEGMENT_ENTRIES as usize, "an entry has a place in its segment");
        let held = self.payloads.get(..=index)?;
        if let Some(known) = self.chains.get(index) {
            return Some(*known);
        }
        let mut hash = self.chains.last().copied().unwrap_or(self.start);
        for (seq, payload) in (Self::first(number)..).zip(held).skip(self.chains.len()) {
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
    let mut seqs = Vec::with_capacity(16);
    let mut step = 1;
    let mut seq = head;
    seqs.push(head);
    while seq > step && seqs.len() < POINTS_BACK_MAX {
        seq -= step;
        seqs.push(seq);
        step *= 2;
    }
    assert!(seqs.len() <= POINTS_BACK_MAX, "the way back is bounded");
    seqs.push(also);
    seqs.sort_unstable_by(|a, b| b.cmp(a));
    seqs.dedup();
    if head > 0 {
        seqs.retain(|seq| *seq > 0);
    }
    assert!(seqs.len() <= HELLO_POINTS_MAX, "points are bounded");
    assert_eq!(seqs.first(), Some(&head), "the head is shown first");
    assert!(seqs.is_sorted_by(|a, b| a > b), "points fall");
    assert_eq!(seqs.last() == Some(&0), head == 0, "the genesis is all that an empty journal has");
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
            segment.push(seq, payload, chain);
            assert_eq!(segment.chain_at(seq), Some(chain));
            let stored = Segment::of(segment.start, segment.payloads.clone());
            assert_eq!(stored.chain_at(seq), Some(chain), "without what was remembered");
            assert_eq!(stored, segment);
            if seq < SEGMENT_ENTRIES {
                assert_eq!(segment.chain_at(seq + 1), None);
            }
        }
    }
}
