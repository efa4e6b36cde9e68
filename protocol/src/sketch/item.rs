//! What a sketch is made of: an item's key and version, both hashed under a secret key.

use serde::{Deserialize, Serialize};

use super::field::{self, BITS, PRIME};
use super::siphash::siphash24;

const _: () = assert!(2 * BITS < u64::BITS, "two halves of a digest are one number");
const _: () = assert!(PRIME < 1 << BITS, "a half of a digest has so many bits");
const _: () = assert!(PRIME > 1 << (BITS - 1), "and needs them all");

/// The 128-bit key of a sketch: both sides have it, the authors of the items do not.
///
/// Under a key that they do not know, nobody can choose items that collide or that share their
/// cells. It goes with an epoch: when it changes, sketches made before say nothing any more.
#[derive(Clone, Copy)]
pub struct SketchKey {
    halves: (u64, u64),
}

impl core::fmt::Debug for SketchKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SketchKey(..)")
    }
}

impl SketchKey {
    /// Takes the key's bytes, little endian as SipHash reads them.
    #[must_use]
    pub const fn new(key: [u8; 16]) -> Self {
        let whole = u128::from_le_bytes(key);
        #[allow(clippy::cast_possible_truncation, reason = "the lower half is meant")]
        let low = whole as u64;
        Self { halves: (low, (whole >> 64) as u64) }
    }

    /// Returns the item with the name `id` and the content whose hash is `content`.
    ///
    /// Two different contents of one name have the same version with a probability of 2^-28; two
    /// of a million names the same digest with one of 1 in 140,000.
    #[must_use]
    pub fn item(&self, id: &[u8], content: &[u8]) -> Item {
        let key = self.digest(id);
        let word = siphash24(self.halves, &[u64::from(b'V'), key.get()], content);
        // Zero would be an item that no cell shows.
        let version = Version(field::element(word).max(1));
        assert!(version.0 < PRIME, "a version is an element of the field");
        assert!(version.0 > 0, "an item leaves a trace in its cells");
        Item { key, version }
    }

    /// Returns an item for an [`Estimator`](super::Estimator) only: its version is taken from the
    /// content's hash as it is, in a third of the time.
    ///
    /// An estimate needs no secret: whoever knows the hashes can make it wrong, which costs a
    /// question more. A sketch needs [`Self::item`].
    #[must_use]
    pub fn rough_item(&self, id: &[u8], content: &[u8; 32]) -> Item {
        let [a, b, c, d, ..] = *content;
        let word = u64::from(u32::from_le_bytes([a, b, c, d]));
        let item = Item { key: self.digest(id), version: Version(field::element(word).max(1)) };
        assert!(item.version.0 < PRIME, "a version is an element of the field");
        assert!(item.version.0 > 0, "an item pulls in its estimator");
        item
    }

    /// Returns the digest of the name `id`.
    #[must_use]
    pub fn digest(&self, id: &[u8]) -> KeyDigest {
        let word = siphash24(self.halves, &[u64::from(b'K')], id);
        let digest = KeyDigest::join(field::element(word), field::element(word >> BITS));
        assert!(KeyDigest::parse(digest.get()).is_some(), "what is made here can be read back");
        digest
    }
}

/// The keyed digest of an item's name: 56 bits, each half below 2^28 - 57.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct KeyDigest(u64);

impl KeyDigest {
    /// Reads back what [`Self::get`] returned; `None` if it is not what a digest can be.
    #[must_use]
    pub const fn parse(digest: u64) -> Option<Self> {
        let low = digest & ((1 << BITS) - 1);
        let high = digest >> BITS;
        if low < PRIME as u64 && high < PRIME as u64 { Some(Self(digest)) } else { None }
    }

    /// Returns the digest as a number below 2^56.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    pub(super) const fn join(low: u32, high: u32) -> Self {
        assert!(low < PRIME && high < PRIME, "both halves are elements of the field");
        let digest = Self((high as u64) << BITS | low as u64);
        assert!(digest.0 >> BITS == high as u64, "the halves do not overlap");
        digest
    }

    pub(super) const fn split(self) -> (u32, u32) {
        let (low, high) = (field::element(self.0), field::element(self.0 >> BITS));
        debug_assert!((high as u64) << BITS | low as u64 == self.0, "both halves are the digest");
        (low, high)
    }
}

impl From<KeyDigest> for u64 {
    fn from(digest: KeyDigest) -> Self {
        digest.0
    }
}

impl TryFrom<u64> for KeyDigest {
    type Error = &'static str;

    fn try_from(digest: u64) -> Result<Self, Self::Error> {
        Self::parse(digest).ok_or("each half of a key digest is below 2^28 - 57")
    }
}

/// The keyed digest of an item's content under its name: from 1 to 2^28 - 58.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u32);

impl Version {
    /// Reads back what [`Self::get`] returned; `None` if it is not what a version can be.
    #[must_use]
    pub const fn parse(version: u32) -> Option<Self> {
        if version > 0 && version < PRIME { Some(Self(version)) } else { None }
    }

    /// Returns the version as a number, for keeping beside the row.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// One member of a set: a name and its content. Same name, other content: another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// Which.
    pub key: KeyDigest,
    /// With what content.
    pub version: Version,
}
