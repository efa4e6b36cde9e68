//! Digests: of payloads, and of the chain that ties a till's events together.
//!
//! BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020), 256 bits, one domain tag each.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::cloud::row::SERVER_NAME_BYTES_MAX;
use crate::codec::DIGEST;
use crate::identity::{BranchId, Epoch, ShopId, TerminalId, UserId};
use crate::label::LABEL_BYTES_MAX;

/// The most bytes, tag included, that are hashed in one piece.
const SHORT_BYTES: usize = 512;

/// The same for most rows of a catalog.
const MIDDLE_BYTES: usize = 256;

/// The same for links and names.
const TINY_BYTES: usize = 128;

const LINK_BYTES: usize = 1 + 32 + 8 + 32;
const _: () = assert!(TINY_BYTES < MIDDLE_BYTES, "what is shorter has less room");
const _: () = assert!(MIDDLE_BYTES < SHORT_BYTES, "what is shorter has less room");
const _: () = assert!(LINK_BYTES <= TINY_BYTES, "a link of the chain is hashed in one piece");
const _: () = assert!(LINK_BYTES <= 2 * 64, "a link is two blocks: chains are walked often");
const GENESIS_BYTES: usize = 1 + 4 + 8 + LABEL_BYTES_MAX;
const _: () = assert!(GENESIS_BYTES <= SHORT_BYTES, "a genesis is hashed in one piece");
const _: () = assert!(SERVER_NAME_BYTES_MAX < SHORT_BYTES, "a name is hashed in one piece");
const _: () = assert!(blake3::OUT_LEN == size_of::<Hash>(), "a hash is a whole digest");

/// A 256-bit digest. Text form: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

/// Returns the digest of an event's canonical bytes: what "the same payload" means (B.2).
#[must_use]
pub fn payload_hash(canonical: &[u8]) -> Hash {
    digest(b'P', &[canonical])
}

/// Returns what stands before the first entry of a journal.
#[must_use]
pub fn genesis(terminal: TerminalId, epoch: Epoch) -> Hash {
    let (number, nonce) = (epoch.number.to_le_bytes(), epoch.nonce.to_le_bytes());
    let name = terminal.0.as_bytes();
    assert!(!name.is_empty(), "a journal belongs to a till with a name");
    assert!(1 + 4 + 8 + name.len() <= GENESIS_BYTES, "a genesis has its bound");
    digest(b'G', &[&number, &nonce, name])
}

/// Returns the chain hash of entry `seq`, whose predecessor's is `previous`.
#[must_use]
pub fn link(previous: Hash, seq: u64, payload: Hash) -> Hash {
    assert!(seq > 0, "a journal counts from 1");
    digest(b'L', &[&previous.0, &seq.to_le_bytes(), &payload.0])
}

/// Returns the digest of a secret, for storing in its place.
#[must_use]
pub fn secret_hash(secret: &[u8]) -> Hash {
    digest(b'S', &[secret])
}

/// Returns the digest of a catalog entity: of its kind, its name and its canonical bytes.
#[must_use]
pub fn content_hash(kind: u8, id: &[u8], canonical: &[u8]) -> Hash {
    // A name is text, so the zero ends it.
    debug_assert!(!id.contains(&0), "a name has its end where it ends");
    assert!(!id.is_empty(), "an entity has a name");
    digest(b'C', &[&[kind], id, &[0], canonical])
}

/// Returns the digest behind the cloud's name for an event: of its shop, and of the three names
/// that are its key.
pub(crate) fn server_name([shop, terminal, pos, local_id]: [&[u8]; 4]) -> Hash {
    let names = shop.len() + terminal.len() + pos.len() + local_id.len();
    assert!(names >= 4, "each name has a character");
    assert!(names + 4 <= SERVER_NAME_BYTES_MAX, "a key is short");
    let end = &[0][..]; // a name is text, so a zero ends it
    digest(b'N', &[shop, end, terminal, end, pos, end, local_id, end])
}

/// Returns the digest behind the name of a shop's book: of the shop.
pub(crate) fn book_name(shop: ShopId) -> Hash {
    let shop = shop.0.as_bytes();
    assert!(!shop.is_empty(), "a book belongs to a shop with a name");
    assert!(shop.len() < TINY_BYTES, "a name is hashed in one piece");
    digest(b'K', &[shop])
}

/// Returns the digest behind a user's part of a shop's book: of the user.
pub(crate) fn book_part(user: UserId) -> Hash {
    let user = user.0.as_bytes();
    assert!(!user.is_empty(), "a part belongs to a user with a name");
    assert!(user.len() < TINY_BYTES, "a name is hashed in one piece");
    digest(b'U', &[user])
}

/// Returns the digest of an online order's canonical bytes: what "the same order" means.
#[must_use]
pub fn order_hash(canonical: &[u8]) -> Hash {
    assert!(!canonical.is_empty(), "an order says something");
    digest(b'O', &[canonical])
}

/// Returns what stands before the first event of a branch's inbox.
#[must_use]
pub fn inbox_genesis(shop: ShopId, branch: BranchId) -> Hash {
    let (shop, branch) = (shop.0.as_bytes(), branch.0.as_bytes());
    assert!(!shop.is_empty() && !branch.is_empty(), "an inbox belongs to a branch with a name");
    assert!(!shop.contains(&0), "a name is text, so a zero ends it");
    digest(b'B', &[shop, &[0], branch])
}

/// Returns the digest behind the id of an inventory event: of all that it comes from.
pub(crate) fn inbox_event_id(origin: &[u8]) -> Hash {
    assert!(!origin.is_empty(), "an event comes from somewhere");
    assert!(origin.len() < SHORT_BYTES, "an origin is hashed in one piece");
    digest(b'E', &[origin])
}

/// Returns the digest of the tag and the parts, one after the other.
fn digest(tag: u8, parts: &[&[u8]]) -> Hash {
    // What is mostly hashed is short. In one piece it needs no hasher, which is 2 KiB to set up.
    assert!(tag.is_ascii_uppercase(), "each kind of digest has its letter");
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    if length <= TINY_BYTES {
        short_digest::<TINY_BYTES>(tag, parts)
    } else if length <= MIDDLE_BYTES {
        short_digest::<MIDDLE_BYTES>(tag, parts)
    } else if length <= SHORT_BYTES {
        short_digest::<SHORT_BYTES>(tag, parts)
    } else {
        long_digest(tag, parts)
    }
}

/// Hashes in one piece what has room in `ROOM` bytes with its tag.
fn short_digest<const ROOM: usize>(tag: u8, parts: &[&[u8]]) -> Hash {
    let mut whole = [0; ROOM];
    whole[0] = tag;
    let mut end = 1;
    for part in parts {
        whole[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    assert!(end > 0 && end <= ROOM, "the tag is hashed, and no more than there is");
    Hash(*blake3::hash(&whole[..end]).as_bytes())
}

fn long_digest(tag: u8, parts: &[&[u8]]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[tag]);
    for part in parts {
        hasher.update(part);
    }
    assert!(hasher.count() > SHORT_BYTES as u64, "what is short is hashed in one piece");
    Hash(*hasher.finalize().as_bytes())
}

impl Hash {
    /// Compares in constant time: for secrets.
    #[must_use]
    pub fn same_secret(&self, other: &Self) -> bool {
        blake3::Hash::from_bytes(self.0) == blake3::Hash::from_bytes(other.0)
    }

    /// Parses 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hash = blake3::Hash::from_hex(text).ok().map(|hash| Self(*hash.as_bytes()));
        assert!(hash.is_none() || text.len() == 2 * size_of::<Self>(), "two digits are a byte");
        hash
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0[..4] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("..")
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Self::parse(&text).ok_or_else(|| de::Error::custom("a hash has 64 hex digits"))
        } else {
            deserializer.deserialize_newtype_struct(DIGEST, DigestVisitor)
        }
    }
}

/// Reads 32 bytes at once, from a decoder that knows them by their name, or one after the other.
struct DigestVisitor;

impl<'de> de::Visitor<'de> for DigestVisitor {
    type Value = Hash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a hash")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Hash, D::Error> {
        <[u8; 32]>::deserialize(from).map(Hash)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Hash, E> {
        let digest = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
        Ok(Hash(digest))
    }
}
