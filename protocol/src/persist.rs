//! How rows become bytes: order-preserving keys and versioned records.

use alloc::vec::Vec;

use crate::label::LABEL_BYTES_MAX;
use crate::machine::Machine;

/// A stored byte string that is not what its place promises.
///
/// The caller treats the database as damaged: it stops, names the key, and offers export and
/// restore. It never guesses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored {what} cannot be read: {why}")]
pub struct Damaged {
    /// Which kind of row or key.
    pub what: &'static str,
    /// What was wrong with it.
    pub why: &'static str,
}

/// The disk format of a role's rows: what a byte-oriented engine needs to store them.
///
/// Laws, shown by property tests: `key_from_bytes(key_bytes(k)) == k`, the order of the bytes is
/// the order of the keys, and `record_from_bytes(k, record_bytes(r)) == r`.
pub trait Persist: Machine {
    /// Appends the bytes of `key`: at most [`KEY_BYTES_MAX`], ordered as the keys are.
    fn key_bytes(key: &Self::Key, out: &mut Vec<u8>);

    /// Reads a key back.
    ///
    /// # Errors
    /// [`Damaged`] if the bytes are no key.
    fn key_from_bytes(bytes: &[u8]) -> Result<Self::Key, Damaged>;

    /// Appends the bytes of `record`: a version byte, then its body.
    fn record_bytes(record: &Self::Record, out: &mut Vec<u8>);

    /// Reads a record back.
    ///
    /// # Errors
    /// [`Damaged`] if the bytes are no record of the kind that `key` names.
    fn record_from_bytes(key: &Self::Key, bytes: &[u8]) -> Result<Self::Record, Damaged>;
}

/// The most bytes a key may have.
pub const KEY_BYTES_MAX: usize = 256;

/// The most that a stored number which counts something may say. Nothing is counted so far, and
/// whatever is has a next one: a row with more is damaged.
pub(crate) const COUNT_MAX: u64 = u64::MAX >> 1;
/// The highest number of a stored history, likewise.
pub(crate) const EPOCHS_MAX: u32 = u32::MAX >> 1;

/// The bytes of a kind at the beginning of a key.
pub(crate) const KIND_KEY_BYTES: usize = 1;
/// The most bytes of a label in a key, its end mark included.
pub(crate) const LABEL_KEY_BYTES: usize = LABEL_BYTES_MAX + 1;
/// The bytes of a number in a key.
pub(crate) const NUMBER_KEY_BYTES: usize = size_of::<u64>();
/// The bytes of an epoch in a key.
pub(crate) const EPOCH_KEY_BYTES: usize = size_of::<u32>() + NUMBER_KEY_BYTES;
/// The bytes of a hash in a key.
pub(crate) const HASH_KEY_BYTES: usize = size_of::<crate::hash::Hash>();

const _: () =
    assert!(KIND_KEY_BYTES + LABEL_KEY_BYTES <= KEY_BYTES_MAX, "a kind and a name fit in a key");
const _: () = assert!(COUNT_MAX < u64::MAX - 1, "what is counted has a next one, and an end");
const _: () = assert!(EPOCHS_MAX < u32::MAX - 1, "a history has a next one");
const _: () = assert!(
    size_of::<crate::identity::Epoch>() >= EPOCH_KEY_BYTES,
    "nothing is in an epoch's key that is not in the epoch"
);
const _: () = assert!(LABEL_BYTES_MAX < LABEL_KEY_BYTES, "a name's end is beyond its bytes");
const _: () = assert!(HASH_KEY_BYTES == 32, "a hash has one width wherever it stands");
const _: () = assert!(KEY_BYTES_MAX <= u16::MAX as usize, "an engine can tell a key's length");

/// Writes the parts of a key so that the order of the bytes is the order of the parts.
#[derive(Debug)]
pub struct KeyWriter<'a>(pub &'a mut Vec<u8>);

impl KeyWriter<'_> {
    /// Appends the kind of the row. Kinds are stored: never reuse one.
    pub fn kind(self, kind: u8) -> Self {
        assert!(kind > 0, "kinds count from 1");
        self.0.push(kind);
        self
    }

    /// Appends a label and its end mark, which sorts before every character.
    pub fn label(self, label: crate::label::Label) -> Self {
        let name = label.as_bytes();
        assert!(!name.is_empty() && name[0] != 0, "a name does not begin with its end");
        assert!(name.len() < LABEL_KEY_BYTES, "a name has room for its end");
        debug_assert!(!name.contains(&0), "a name ends where it is said to end");
        self.0.extend_from_slice(name);
        self.0.push(0);
        self
    }

    /// Appends a label that may be absent; absence sorts first.
    pub fn scope(self, label: Option<crate::label::Label>) -> Self {
        match label {
            Some(label) => self.label(label),
            None => self.byte(0),
        }
    }

    /// Appends one byte, such as a kind of the catalog's entities.
    pub fn byte(self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    /// Appends a small number, most significant byte first.
    pub fn index(self, index: u32) -> Self {
        self.0.extend_from_slice(&index.to_be_bytes());
        self
    }

    /// Appends a number, most significant byte first.
    pub fn number(self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Appends an epoch.
    pub fn epoch(self, epoch: crate::identity::Epoch) -> Self {
        let before = self.0.len();
        self.0.extend_from_slice(&epoch.number.to_be_bytes());
        let to = self.number(epoch.nonce);
        assert_eq!(to.0.len() - before, EPOCH_KEY_BYTES, "an epoch has a fixed width");
        to
    }

    /// Appends a hash.
    pub fn hash(self, hash: crate::hash::Hash) -> Self {
        let before = self.0.len();
        self.0.extend_from_slice(&hash.0);
        assert_eq!(self.0.len() - before, HASH_KEY_BYTES, "a hash has a fixed width");
        self
    }
}

/// Reads the parts of a key back.
#[derive(Debug)]
pub struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    /// Starts at the kind, which is returned.
    ///
    /// # Errors
    /// [`Damaged`] if the key is empty.
    pub fn new(bytes: &'a [u8]) -> Result<(u8, Self), Damaged> {
        let (&kind, rest) = bytes.split_first().ok_or(Damaged { what: "key", why: "empty" })?;
        Ok((kind, Self(rest)))
    }

    /// Reads a label.
    ///
    /// # Errors
    /// [`Damaged`] if there is none.
    pub fn label(&mut self) -> Result<crate::label::Label, Damaged> {
        let damaged = Damaged { what: "key", why: "a name is cut short or unreadable" };
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(|| damaged.clone())?;
        let text = core::str::from_utf8(&self.0[..end]).map_err(|_| damaged.clone())?;
        let label = crate::label::Label::parse(text).map_err(|_| damaged)?;
        assert!(end > 0 && end < LABEL_KEY_BYTES, "what is read as a name has its length");
        assert_eq!(label.as_bytes().len(), end, "a name is read whole");
        self.0 = &self.0[end + 1..];
        Ok(label)
    }

    /// Reads a label that may be absent.
    ///
    /// # Errors
    /// [`Damaged`] if there is none.
    pub fn scope(&mut self) -> Result<Option<crate::label::Label>, Damaged> {
        match self.0.split_first() {
            Some((0, rest)) => {
                self.0 = rest;
                Ok(None)
            }
            Some(_) | None => self.label().map(Some),
        }
    }

    /// Reads a small number.
    ///
    /// # Errors
    /// [`Damaged`] if the key is too short.
    pub fn index(&mut self) -> Result<u32, Damaged> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// [`Damaged`] if the key is too short.
    pub fn byte(&mut self) -> Result<u8, Damaged> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    /// Reads a number.
    ///
    /// # Errors
    /// [`Damaged`] if the key is too short.
    pub fn number(&mut self) -> Result<u64, Damaged> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads an epoch.
    ///
    /// # Errors
    /// [`Damaged`] if the key is too short.
    pub fn epoch(&mut self) -> Result<crate::identity::Epoch, Damaged> {
        let before = self.0.len();
        let number = u32::from_be_bytes(self.array()?);
        let nonce = self.number()?;
        assert_eq!(before - self.0.len(), EPOCH_KEY_BYTES, "an epoch is as wide as it is written");
        Ok(crate::identity::Epoch { number, nonce })
    }

    /// Reads a hash.
    ///
    /// # Errors
    /// [`Damaged`] if the key is too short.
    pub fn hash(&mut self) -> Result<crate::hash::Hash, Damaged> {
        self.array().map(crate::hash::Hash)
    }

    /// Ends the key with `value`.
    ///
    /// # Errors
    /// [`Damaged`] if bytes are left.
    pub fn end<T>(self, value: T) -> Result<T, Damaged> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(Damaged { what: "key", why: "bytes are left over" })
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (array, rest) =
            self.0.split_first_chunk().ok_or(Damaged { what: "key", why: "cut short" })?;
        assert!(rest.len() + N == self.0.len(), "a field has a fixed width");
        self.0 = rest;
        Ok(*array)
    }
}
