//! What travels: runs of cells, an estimator, lists of key digests. Bytes as wide as they are said
//! to be, for messages to carry; parsed once, at the border.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::cell::{CELL_BYTES, Cell};
use super::encode::{CELLS_MAX, Sketch};
use super::estimate::{COUNTERS, Estimator};
use super::field::BITS;
use super::item::KeyDigest;
use crate::codec::{self, DecodeError, MESSAGE_BYTES_MAX};

/// The version byte before each of these structures where it travels alone.
pub const SKETCH_VERSION: u8 = 1;

/// The most key digests in a [`KeysV1`].
pub const KEYS_MAX: usize = 1000;

/// The bytes of a key digest in a [`KeysV1`].
pub const KEY_BYTES: usize = 7;

/// The most bytes of a structure beside its list: a version, an index, a length.
const FRAME_BYTES_MAX: usize = 16;

const _: () = assert!(SKETCH_VERSION > 0, "versions count from 1");
const _: () = assert!(KEY_BYTES * 8 == 2 * BITS as usize, "two halves fill a digest");
const _: () = assert!(CELLS_MAX <= u32::MAX as usize, "a page can tell where it begins");
const _: () = assert!(
    CELLS_MAX * CELL_BYTES + FRAME_BYTES_MAX <= MESSAGE_BYTES_MAX,
    "the largest sketch can be decoded"
);
const _: () = assert!(
    KEYS_MAX * KEY_BYTES + FRAME_BYTES_MAX <= MESSAGE_BYTES_MAX,
    "the longest list of keys can be decoded"
);
const _: () =
    assert!(COUNTERS + FRAME_BYTES_MAX <= MESSAGE_BYTES_MAX, "an estimator can be decoded");

/// A structure that is not what it says. The caller refuses the message and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SketchError {
    /// The bytes are none of this version, or not of this shape.
    #[error(transparent)]
    Bytes(#[from] DecodeError),
    /// Not a whole number of cells, counters or key digests, or more than the bound.
    #[error("{0} bytes are no list of this kind")]
    Length(usize),
    /// The cells do not begin where those at hand end.
    #[error("the cells begin at {found}, those at hand end before {expected}")]
    Gap {
        /// The first index that is wanted.
        expected: usize,
        /// The first index that came.
        found: u32,
    },
    /// A sum or a half of a digest is not below 2^28 - 57.
    #[error("a number is not below 2^28 - 57")]
    Number,
}

/// Cells `first ..` of a sketch, [`CELL_BYTES`] each, at most [`CELLS_MAX`] of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CellsV1 {
    /// The index of the first cell.
    pub first: u32,
    /// The cells, one after the other.
    #[serde(with = "serde_bytes")]
    pub cells: Vec<u8>,
}

/// The counters of an estimator: [`COUNTERS`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EstimatorV1 {
    /// The counters, the first first.
    #[serde(with = "serde_bytes")]
    pub counters: Vec<u8>,
}

/// Which items are asked for: key digests, [`KEY_BYTES`] each, at most [`KEYS_MAX`] of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeysV1 {
    /// The digests, little endian, one after the other.
    #[serde(with = "serde_bytes")]
    pub keys: Vec<u8>,
}

impl Sketch {
    /// Returns cells `first .. end` as they travel; fewer, if there are fewer.
    #[must_use]
    pub fn page(&self, first: usize, end: usize) -> CellsV1 {
        let end = end.min(self.len());
        let begin = first.min(end);
        assert!(begin <= end && end <= CELLS_MAX, "a page is a part of the sketch");
        let mut cells = Vec::with_capacity((end - begin) * CELL_BYTES);
        for cell in &self.cells()[begin..end] {
            cells.extend_from_slice(&cell.bytes());
        }
        assert_eq!(cells.len(), (end - begin) * CELL_BYTES, "a cell has a fixed width");
        let first = u32::try_from(begin).expect("a sketch is bounded far below 2^32 cells");
        CellsV1 { first, cells }
    }

    /// Appends cells that came over the wire, and must begin where those at hand end.
    ///
    /// # Errors
    /// [`SketchError`]; the sketch is as it was then.
    pub fn append(&mut self, page: &CellsV1) -> Result<(), SketchError> {
        let have = self.len();
        if usize::try_from(page.first) != Ok(have) {
            return Err(SketchError::Gap { expected: have, found: page.first });
        }
        let (cells, rest) = page.cells.as_chunks::<CELL_BYTES>();
        if !rest.is_empty() || cells.len() > CELLS_MAX - have {
            return Err(SketchError::Length(page.cells.len()));
        }
        let parsed: Option<Vec<Cell>> = cells.iter().map(Cell::parse).collect();
        self.cells_mut().append(&mut parsed.ok_or(SketchError::Number)?);
        assert!(self.len() <= CELLS_MAX, "a sketch is bounded");
        assert_eq!(self.len(), have + cells.len(), "every cell that came is at hand");
        Ok(())
    }
}

impl CellsV1 {
    /// Returns the bytes of the page where it travels alone: [`SKETCH_VERSION`] first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = codec::encode(SKETCH_VERSION, self);
        assert_eq!(bytes.first(), Some(&SKETCH_VERSION), "the version comes first");
        bytes
    }

    /// Reads back what [`Self::to_bytes`] wrote. [`Sketch::append`] looks at the cells.
    ///
    /// # Errors
    /// [`SketchError::Bytes`]; any bytes at all may be given.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        Ok(codec::decode(SKETCH_VERSION, bytes)?)
    }
}

impl Estimator {
    /// Returns the counters as they travel.
    #[must_use]
    pub fn to_wire(&self) -> EstimatorV1 {
        EstimatorV1 { counters: self.counters.to_vec() }
    }

    /// Reads counters that came over the wire.
    ///
    /// # Errors
    /// [`SketchError::Length`] if there are not [`COUNTERS`] of them.
    pub fn from_wire(wire: &EstimatorV1) -> Result<Self, SketchError> {
        let counters = <[u8; COUNTERS]>::try_from(wire.counters.as_slice());
        let counters = counters.map_err(|_| SketchError::Length(wire.counters.len()))?;
        let estimator = Self { counters };
        debug_assert_eq!(estimator.to_wire(), *wire, "what is read is what has travelled");
        Ok(estimator)
    }

    /// Returns the bytes of the estimator where it travels alone: [`SKETCH_VERSION`] first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = codec::encode(SKETCH_VERSION, &self.to_wire());
        assert_eq!(bytes.first(), Some(&SKETCH_VERSION), "the version comes first");
        bytes
    }

    /// Reads back what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`SketchError`]; any bytes at all may be given.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        Self::from_wire(&codec::decode(SKETCH_VERSION, bytes)?)
    }
}

impl KeysV1 {
    /// Packs `keys`.
    ///
    /// # Panics
    /// If there are more than [`KEYS_MAX`].
    #[must_use]
    pub fn of(keys: &[KeyDigest]) -> Self {
        assert!(keys.len() <= KEYS_MAX, "a list of keys is bounded");
        let mut packed = Vec::with_capacity(keys.len() * KEY_BYTES);
        for key in keys {
            packed.extend_from_slice(&key.get().to_le_bytes()[..KEY_BYTES]);
        }
        assert_eq!(packed.len(), keys.len() * KEY_BYTES, "a key has a fixed width");
        Self { keys: packed }
    }

    /// Returns the keys, in the order in which they were packed.
    ///
    /// # Errors
    /// [`SketchError`]; any bytes at all may have come.
    pub fn parse(&self) -> Result<Vec<KeyDigest>, SketchError> {
        let (keys, rest) = self.keys.as_chunks::<KEY_BYTES>();
        if !rest.is_empty() || keys.len() > KEYS_MAX {
            return Err(SketchError::Length(self.keys.len()));
        }
        assert_eq!(keys.len() * KEY_BYTES, self.keys.len(), "every byte is one of a key");
        let parsed = keys.iter().map(|key| {
            let mut wide = [0; 8];
            wide[..KEY_BYTES].copy_from_slice(key);
            KeyDigest::parse(u64::from_le_bytes(wide))
        });
        let parsed: Vec<_> = parsed.collect::<Option<_>>().ok_or(SketchError::Number)?;
        assert_eq!(parsed.len(), keys.len(), "each key that came is read");
        Ok(parsed)
    }

    /// Returns the bytes of the list where it travels alone: [`SKETCH_VERSION`] first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = codec::encode(SKETCH_VERSION, self);
        assert_eq!(bytes.first(), Some(&SKETCH_VERSION), "the version comes first");
        bytes
    }

    /// Reads back what [`Self::to_bytes`] wrote. [`Self::parse`] looks at the keys.
    ///
    /// # Errors
    /// [`SketchError::Bytes`]; any bytes at all may be given.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        Ok(codec::decode(SKETCH_VERSION, bytes)?)
    }
}
