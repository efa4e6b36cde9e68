//! The books over the rows: what sled's recovery leaves out in silence is found here.
//!
//! sled stops reading its log at the first message whose checksum is wrong, or skips to the next
//! segment, and opens with what it has: no error, and acknowledged rows are gone. Two records of
//! ours show both:
//!
//! - the tally, a row that every commit rewrites in its own batch: how many rows there are, and
//!   a sum over them. Rows that are missing from the middle leave a tally that does not add up;
//! - the witness, a file beside the log: how many commits were made durable. A log that was cut
//!   has fewer. It is written after each sync and not synced itself, so it never runs ahead.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::chunks::{CHUNK_BYTES, key_of_row};
use crate::StoreError;

/// Three numbers of eight bytes.
const TALLY_BYTES: usize = 24;
/// A number of eight bytes and its checksum.
const WITNESS_BYTES: usize = 12;

const _: () = assert!(TALLY_BYTES == 3 * size_of::<u64>(), "a tally is three numbers");
const _: () = assert!(TALLY_BYTES <= CHUNK_BYTES, "a tally lies in the log like any small row");
const _: () = assert!(WITNESS_BYTES == size_of::<u64>() + size_of::<u32>(), "a number and its sum");
const _: () = assert!(WITNESS_BYTES <= 512, "a witness lies within one sector: it is never torn");

const MIX_ONE: u64 = 0xbf58_476d_1ce4_e5b9;
const MIX_TWO: u64 = 0x94d0_49bb_1331_11eb;

const _: () = assert!(MIX_ONE != MIX_TWO, "the second mixing is not the first again");
const _: () = assert!(WITNESS_BYTES != TALLY_BYTES, "neither is taken for the other");
const _: () = assert!(MIX_ONE % 2 == 1, "an odd factor maps no two weights to one");
const _: () = assert!(MIX_TWO % 2 == 1, "an odd factor maps no two weights to one");
const _: () = assert!(CHUNK_BYTES < u32::MAX as usize, "a length lies above its checksum");

/// What the rows add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many commits led here.
    pub(super) commits: u64,
    /// How many rows there are.
    pub(super) rows: u64,
    sum: u64,
}

const _: () = assert!(size_of::<Tally>() == TALLY_BYTES, "every field is written");

impl Tally {
    /// Counts a row in, as it lies in the tree.
    pub(super) fn add(&mut self, row_key: &[u8], stored: &[u8]) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(weight(row_key, stored));
    }

    /// Counts a row out, as it lay in the tree.
    pub(super) fn subtract(&mut self, row_key: &[u8], stored: &[u8]) {
        assert!(self.rows > 0, "only a row that was counted is replaced");
        self.rows -= 1;
        self.sum = self.sum.wrapping_sub(weight(row_key, stored));
        assert!(self.rows > 0 || self.sum == 0, "no rows add up to nothing");
    }

    pub(super) fn encode(self) -> [u8; TALLY_BYTES] {
        let mut out = [0; TALLY_BYTES];
        for (field, place) in
            [self.commits, self.rows, self.sum].iter().zip(out.as_chunks_mut::<8>().0)
        {
            *place = field.to_le_bytes();
        }
        assert_eq!(Self::decode(&out), Some(self), "a tally is read as it is written");
        out
    }

    pub(super) fn decode(stored: &[u8]) -> Option<Self> {
        let stored: &[u8; TALLY_BYTES] = stored.try_into().ok()?;
        let ([commits, rows, sum], []) = stored.as_chunks::<8>() else {
            return None;
        };
        let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        Some(Self { commits: number(commits), rows: number(rows), sum: number(sum) })
    }

    /// Compares the tally of the last commit with the rows that are there.
    pub(super) fn compare(self, found: Self) -> Result<(), StoreError> {
        assert_eq!(found.commits, 0, "rows do not tell how many commits made them");
        if (self.rows, self.sum) == (found.rows, found.sum) {
            return Ok(());
        }
        let why = format!("sled returned {} rows of {}, or others", found.rows, self.rows);
        Err(StoreError::damaged_part("sled rows", why))
    }
}

fn weight(row_key: &[u8], stored: &[u8]) -> u64 {
    assert!(key_of_row(row_key).is_some(), "only rows are counted");
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(row_key);
    hasher.update(stored);
    // A sum of checksums as they are would not see two errors that cancel out.
    let mut z = u64::from(hasher.finalize()) | (stored.len() as u64) << 32;
    z = (z ^ (z >> 30)).wrapping_mul(MIX_ONE);
    z = (z ^ (z >> 27)).wrapping_mul(MIX_TWO);
    z ^ (z >> 31)
}

/// The number of durable commits, in a file beside the log.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    /// The number that was recorded last, or is the first to be.
    pub(super) commits: u64,
}

impl Witness {
    /// Opens the witness of a database with `tally`, and refuses a database that went back.
    pub(super) fn open(path: &Path, tally: Tally) -> Result<Self, StoreError> {
        let failed = |error| StoreError::before_write("the witness of the log", &error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let mut witness = Self { file, commits: tally.commits };
        let seen = witness.read().map_err(failed)?;
        match seen {
            Some(seen) if seen <= tally.commits => {}
            Some(seen) => {
                let why = format!("it has {} commits of {seen} that were durable", tally.commits);
                return Err(StoreError::damaged_part("sled log", why));
            }
            // The first open writes it before anyone can commit.
            None if tally.commits == 0 => {}
            None => {
                return Err(StoreError::damaged_part("sled witness", "it cannot be read"));
            }
        }
        witness.record(tally.commits).map_err(failed)?;
        witness.file.sync_all().map_err(failed)?;
        if witness.read().map_err(failed)? != Some(tally.commits) {
            return Err(StoreError::damaged_part("sled witness", "it does not read as written"));
        }
        Ok(witness)
    }

    /// Records that `commits` are durable.
    pub(super) fn record(&mut self, commits: u64) -> io::Result<()> {
        assert!(commits >= self.commits, "the witness never goes back");
        assert!(commits - self.commits <= 1, "the witness sees every commit");
        self.commits = commits;
        let number = commits.to_le_bytes();
        let mut bytes = [0; WITNESS_BYTES];
        bytes[..8].copy_from_slice(&number);
        bytes[8..].copy_from_slice(&crc32fast::hash(&number).to_le_bytes());
        assert_eq!(Self::decode(&bytes), Some(commits), "a witness is read as it is written");
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes)
    }

    fn read(&mut self) -> io::Result<Option<u64>> {
        let mut bytes = Vec::with_capacity(WITNESS_BYTES);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        Ok(Self::decode(&bytes))
    }

    /// Returns the number, if the bytes are one and its checksum, and nothing else.
    fn decode(bytes: &[u8]) -> Option<u64> {
        let (number, sum) = bytes.split_first_chunk::<8>()?;
        let intact = crc32fast::hash(number).to_le_bytes() == *sum;
        intact.then(|| u64::from_le_bytes(*number))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::{Tally, Witness};
    use crate::StoreError;

    #[test]
    fn a_witness_with_bytes_left_over_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("witness");
        drop(Witness::open(&path, Tally::default()).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.push(0);
        std::fs::write(&path, bytes).unwrap();
        let refused = Witness::open(&path, Tally::default()).unwrap_err();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    }
}
