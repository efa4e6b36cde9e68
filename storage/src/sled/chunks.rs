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

use crate::StoreError;

/// The most bytes of a value in the tree, its tag aside.
pub(super) const CHUNK_BYTES: usize = 4096;

pub(super) const FORMAT_KEY: &[u8] = b"f";
pub(super) const TALLY_KEY: &[u8] = b"t";
const CHUNK: u8 = b'c';
const ROW: u8 = b'r';

const INLINE: u8 = 0;
const CHUNKED: u8 = 1;

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
}

/// Returns the row's key, given the tree's.
pub(super) fn key_of_row(stored: &[u8]) -> Option<&[u8]> {
    stored.strip_prefix(&[ROW])
}

/// Returns the tree's key of one chunk.
pub(super) fn chunk_key(key: &[u8], index: u32) -> Vec<u8> {
    let len = u16::try_from(key.len()).expect("a key is short");
    let mut out = Vec::with_capacity(key.len() + 7);
    out.push(CHUNK);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(&index.to_be_bytes());
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

impl<'a> Stored<'a> {
    /// Returns how `value` is to be stored.
    pub(super) fn of(value: &'a [u8]) -> Self {
        if value.len() <= CHUNK_BYTES {
            return Self::Inline(value);
        }
        let len = u32::try_from(value.len()).expect("a value is under 4 GiB");
        Self::Chunked(Head { len, sum: crc32fast::hash(value) })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Inline(value) => {
                assert!(value.len() <= CHUNK_BYTES, "a large value is chunked");
                let mut out = Vec::with_capacity(value.len() + 1);
                out.push(INLINE);
                out.extend_from_slice(value);
                out
            }
            Self::Chunked(head) => {
                assert!(head.len as usize > CHUNK_BYTES, "a small value is not chunked");
                let mut out = Vec::with_capacity(9);
                out.push(CHUNKED);
                out.extend_from_slice(&head.len.to_le_bytes());
                out.extend_from_slice(&head.sum.to_le_bytes());
                out
            }
        }
    }

    pub(super) fn decode(key: &[u8], stored: &'a [u8]) -> Result<Self, StoreError> {
        match stored.split_first() {
            Some((&INLINE, value)) => Ok(Self::Inline(value)),
            Some((&CHUNKED, &[a, b, c, d, e, f, g, h])) => Ok(Self::Chunked(Head {
                len: u32::from_le_bytes([a, b, c, d]),
                sum: u32::from_le_bytes([e, f, g, h]),
            })),
            Some(_) | None => Err(StoreError::damaged_row(key, "sled holds no row there")),
        }
    }

    /// Returns how many chunks belong to the row.
    pub(super) fn chunks(&self) -> u32 {
        match self {
            Self::Inline(_) => 0,
            Self::Chunked(head) => head.len.div_ceil(CHUNK_BYTES as u32),
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
        let mut value = Vec::with_capacity(self.len as usize);
        for index in 0..Stored::Chunked(self).chunks() {
            let Some(chunk) = next(index)? else {
                return Err(StoreError::damaged_row(key, format!("chunk {index} is missing")));
            };
            value.extend_from_slice(chunk.as_ref());
        }
        if value.len() != self.len as usize || crc32fast::hash(&value) != self.sum {
            return Err(StoreError::damaged_row(key, "the chunks are not what was written"));
        }
        Ok(value)
    }
}
