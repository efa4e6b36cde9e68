//! A list of keys: what a transaction looks at.

use counterfoil_protocol::persist::KEY_BYTES_MAX;

use crate::engine::BATCH_ROWS_MAX;

const _: () = assert!(
    size_of::<usize>() * BATCH_ROWS_MAX <= 8 << 20,
    "the ends of a full list take little memory"
);

/// Sorted keys in one allocation: what a group commit of a thousand sales looks at.
#[derive(Clone, Debug, Default)]
pub struct KeyList {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl KeyList {
    /// Returns an empty list with room for `keys`.
    #[must_use]
    pub fn with_capacity(keys: usize) -> Self {
        Self { bytes: Vec::with_capacity(keys.saturating_mul(24)), ends: Vec::with_capacity(keys) }
    }

    /// Appends the key that `write` appends to the bytes.
    ///
    /// # Panics
    /// If the key is too long, or not above the one before: engines read in order.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        assert!(self.bytes.len() >= start, "a key is appended");
        let key = &self.bytes[start..];
        assert!(key.len() <= KEY_BYTES_MAX, "a key has at most {KEY_BYTES_MAX} bytes");
        if let Some(last) = self.ends.len().checked_sub(1) {
            assert!(self.key(last) < key, "keys ascend, in bytes as in their type");
        }
        self.ends.push(self.bytes.len());
        let bytes_max = self.ends.len().saturating_mul(KEY_BYTES_MAX);
        assert!(self.bytes.len() <= bytes_max, "every byte of the list belongs to a key");
        let bytes = self.bytes.len();
        assert_eq!(start + self.key(self.len() - 1).len(), bytes, "the key is the last one");
        assert!(self.ends.len() <= bytes + 1, "only the first of ascending keys can be empty");
    }

    /// Returns how many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the key at `index`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn key(&self, index: usize) -> &[u8] {
        assert!(index < self.ends.len(), "a key is asked for by its place");
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        let end = self.ends[index];
        assert!(start <= end && end <= self.bytes.len(), "a key lies within the list");
        assert!(end - start <= KEY_BYTES_MAX, "no longer key was let in");
        &self.bytes[start..end]
    }

    /// Visits the keys in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.key(index))
    }
}
