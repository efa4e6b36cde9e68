//! How a row lies in the tree: whole if it is small, in chunks if it is not.
//!
//! sled rewrites up to sixteen neighbours with each change of a leaf, and moves what exceeds a
//! quarter of a segment into files that it never syncs. So no value in the tree is above 4 KiB.
//!
//! ```text
//! 'c' key-length:2 key index:4   one chunk of a large value
//! 'f'                            the format version of the store
//! 'r' key                        0 value                      a small row
//! 'r' key                        1 length:4 crc32:4           the head of a large row
//! 't'                            what the rows add up to
//! ```

use counterfoil_protocol::persist::KEY_BYTES_MAX;

use crate::StoreError;
use crate::engine::VALUE_BYTES_MAX;

/// The most bytes of a value in the tree, its tag aside.
pub(super) const CHUNK_BYTES: usize = 4096;

pub(super) const FORMAT_KEY: &[u8] = &[FORMAT];
pub(super) const TALLY_KEY: &[u8] = &[TALLY];
const CHUNK: u8 = b'c';
const FORMAT: u8 = b'f';
const ROW: u8 = b'r';
const TALLY: u8 = b't';

const INLINE: u8 = 0;
const CHUNKED: u8 = 1;

/// The bytes of a chunk's key beside the row's: kind, length of the key, index.
const CHUNK_KEY_BYTES: usize = 7;
/// The bytes of a head: tag, length, checksum.
const HEAD_BYTES: usize = 9;
/// The most chunks that one row has.
const CHUNKS_MAX: u32 = VALUE_BYTES_MAX.div_ceil(CHUNK_BYTES) as u32;

/// sled splits a leaf of more than 16 rows, and merges one of at most 4 into its neighbour.
const LEAF_ROWS_MAX: usize = 16 + 4;
/// sled syncs its log, and what is larger lies beside it: a quarter of a segment.
const LOG_VALUE_BYTES_MAX: usize = (512 << 10) / 4;

const _: () = assert!(CHUNK < FORMAT && FORMAT < ROW && ROW < TALLY, "kinds do not overlap");
const _: () = assert!(INLINE != CHUNKED, "a tag says one thing");
const _: () = assert!(usize::BITS >= u32::BITS, "a length on the disk is one in memory");
const _: () = assert!(CHUNK_KEY_BYTES == 1 + size_of::<u16>() + size_of::<u32>(), "as drawn above");
const _: () = assert!(HEAD_BYTES == 1 + 2 * size_of::<u32>(), "as drawn above");
const _: () = assert!(HEAD_BYTES < CHUNK_BYTES, "a head is smaller than what it stands for");
const _: () = assert!(KEY_BYTES_MAX <= u16::MAX as usize, "two bytes hold the length of a key");
const _: () = assert!(VALUE_BYTES_MAX <= u32::MAX as usize, "four bytes hold that of a value");
const _: () = assert!(CHUNKS_MAX as usize * CHUNK_BYTES >= VALUE_BYTES_MAX, "chunks hold a value");
const _: () = assert!(VALUE_BYTES_MAX.is_multiple_of(CHUNK_BYTES), "the largest fills its chunks");
const _: () = assert!(CHUNKS_MAX > 1, "what is chunked has more than one chunk");
const _: () = assert!(CHUNKS_MAX as usize * CHUNK_BYTES < VALUE_BYTES_MAX + CHUNK_BYTES, "no more");
const _: () = assert!(FORMAT_KEY.len() == 1 && TALLY_KEY.len() == 1, "our own keys are their kind");
const _: () = assert!(
    LEAF_ROWS_MAX * (CHUNK_BYTES + 1 + KEY_BYTES_MAX + CHUNK_KEY_BYTES) < LOG_VALUE_BYTES_MAX,
    "a leaf of the largest chunks stays in the log, which is synced"
);

/// Returns the prefix under which all chunks lie.
pub(super) const fn chunk_prefix() -> [u8; 1] {
    [CHUNK]
}

/// Returns the prefix under which all rows lie.
pub(super) const fn row_prefix() -> [u8; 1] {
    [ROW]
}

/// Writes the tree's key of the row `key` over `out`.
pub(super) fn row_key(key: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.push(ROW);
    out.extend_from_slice(key);
    assert_eq!(key_of_row(out), Some(key), "a row's key is read as it is written");
    assert!(FORMAT_KEY < out.as_slice(), "rows lie behind the format: a scan does not meet it");
    assert!(out.as_slice() < TALLY_KEY, "rows lie before the tally: a scan does not meet it");
}

/// Returns the row's key, given the tree's.
pub(super) fn key_of_row(stored: &[u8]) -> Option<&[u8]> {
    stored.strip_prefix(&[ROW])
}

/// Returns the tree's key of one chunk.
pub(super) fn chunk_key(key: &[u8], index: u32) -> Vec<u8> {
    assert!(index < CHUNKS_MAX, "a value has at most {CHUNKS_MAX} chunks");
    assert!(key.len() <= KEY_BYTES_MAX, "the key is one that a store takes");
    let len = u16::try_from(key.len()).expect("a key is short");
    let mut out = Vec::with_capacity(key.len() + CHUNK_KEY_BYTES);
    out.push(CHUNK);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(&index.to_be_bytes());
    assert_eq!(out.len(), key.len() + CHUNK_KEY_BYTES, "a chunk's key has no other parts");
    assert!(out.starts_with(&chunk_prefix()), "a check that counts the chunks meets this one");
    assert!(key_of_row(&out).is_none(), "a chunk is not counted as a row");
    out
}

/// What lies at a row's place in the tree.
pub(super) enum Stored<'a> {
    /// The value.
    Inline(&'a [u8]),
    /// The value lies in chunks.
    Chunked(Head),
}

/// What a large row says of its chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    len: u32,
    sum: u32,
}

const _: () = assert!(HEAD_BYTES == 1 + size_of::<Head>(), "every field is written");

impl<'a> Stored<'a> {
    /// Returns how `value` is to be stored.
    pub(super) fn of(value: &'a [u8]) -> Self {
        if value.len() <= CHUNK_BYTES {
            return Self::Inline(value);
        }
        assert!(value.len() <= VALUE_BYTES_MAX, "a value is within the limit of every engine");
        let len = u32::try_from(value.len()).expect("a value is under 4 GiB");
        let stored = Self::Chunked(Head { len, sum: crc32fast::hash(value) });
        assert!(stored.chunks() > 1, "what fits into one chunk is stored whole");
        stored
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Inline(value) => {
                assert!(value.len() <= CHUNK_BYTES, "a large value is chunked");
                let mut out = Vec::with_capacity(value.len() + 1);
                out.push(INLINE);
                out.extend_from_slice(value);
                assert!(out.len() <= 1 + CHUNK_BYTES, "no value in the tree is large");
                let read = Stored::decode(&[], &out);
                assert!(
                    matches!(read, Ok(Stored::Inline(read)) if read == *value),
                    "a small row is read as it is written"
                );
                out
            }
            Self::Chunked(head) => {
                assert!(head.len as usize > CHUNK_BYTES, "a small value is not chunked");
                let mut out = Vec::with_capacity(HEAD_BYTES);
                out.push(CHUNKED);
                out.extend_from_slice(&head.len.to_le_bytes());
                out.extend_from_slice(&head.sum.to_le_bytes());
                assert_eq!(out.len(), HEAD_BYTES, "a head has no other parts");
                let read = Stored::decode(&[], &out);
                assert!(
                    matches!(read, Ok(Stored::Chunked(read)) if read == *head),
                    "a head is read as it is written"
                );
                out
            }
        }
    }

    pub(super) fn decode(key: &[u8], stored: &'a [u8]) -> Result<Self, StoreError> {
        match stored.split_first() {
            Some((&INLINE, value)) => Ok(Self::Inline(value)),
            Some((&CHUNKED, &[a, b, c, d, e, f, g, h])) => {
                let len = u32::from_le_bytes([a, b, c, d]);
                if len as usize > VALUE_BYTES_MAX {
                    return Err(StoreError::damaged_row(key, "it claims more bytes than can be"));
                }
                Ok(Self::Chunked(Head { len, sum: u32::from_le_bytes([e, f, g, h]) }))
            }
            Some(_) | None => Err(StoreError::damaged_row(key, "sled holds no row there")),
        }
    }

    /// Returns how many chunks belong to the row.
    pub(super) fn chunks(&self) -> u32 {
        match self {
            Self::Inline(_) => 0,
            Self::Chunked(head) => {
                let chunks = head.len.div_ceil(CHUNK_BYTES as u32);
                assert!(chunks <= CHUNKS_MAX, "a value has at most {CHUNKS_MAX} chunks");
                let room = chunks as usize * CHUNK_BYTES;
                assert!(room >= head.len as usize, "the chunks have room for the value");
                chunks
            }
        }
    }
}

impl Head {
    /// Puts the chunks of the row `key` together, in the order in which `next` returns them.
    pub(super) fn join<C: AsRef<[u8]>>(
        self,
        key: &[u8],
        mut next: impl FnMut(u32) -> Result<Option<C>, StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        assert!(self.len as usize <= VALUE_BYTES_MAX, "a head claims what a value may have");
        let mut value = Vec::with_capacity(self.len as usize);
        for index in 0..Stored::Chunked(self).chunks() {
            let Some(chunk) = next(index)? else {
                return Err(StoreError::damaged_row(key, format!("chunk {index} is missing")));
            };
            if chunk.as_ref().len() > CHUNK_BYTES {
                return Err(StoreError::damaged_row(key, format!("chunk {index} is too large")));
            }
            value.extend_from_slice(chunk.as_ref());
            assert!(value.len() <= VALUE_BYTES_MAX, "so many chunks are no more than a value");
        }
        if value.len() != self.len as usize || crc32fast::hash(&value) != self.sum {
            return Err(StoreError::damaged_row(key, "the chunks are not what was written"));
        }
        Ok(value)
    }
}
