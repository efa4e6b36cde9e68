//! The one place that turns structures into bytes and back.
//!
//! Binary form: bincode 2 `standard()` (little endian, variable-length integers) through serde,
//! always with a limit, always consumed whole. bincode is no longer maintained
//! (RUSTSEC-2025-0141): nothing outside this module may name it, and golden bytes hold its output
//! still, so that another implementation can take its place.

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes a message or a row may have before it is decoded, and the most that a decoder of
/// messages may allocate.
pub const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The most bytes that a decoder counts for one that was written: it counts a number at its full
/// width, however short it is written.
const COUNTED_PER_BYTE_MAX: usize = size_of::<u64>();
/// The most a decoder of rows may allocate. A row that was written must be read, whatever it
/// holds: a message that asks for so much is refused, and its sender goes on without it.
const ROW_COUNTED_MAX: usize = COUNTED_PER_BYTE_MAX * MESSAGE_BYTES_MAX;

const _: () = assert!(ROW_COUNTED_MAX <= 16 << 20, "a damaged row takes little memory");
const _: () = assert!(MESSAGE_BYTES_MAX > 1, "a message has a version and a body");
const _: () = assert!(MESSAGE_BYTES_MAX <= u32::MAX as usize, "a length fits in 32 bits");

/// Bytes that are not what they should be. The caller refuses them and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Empty, or longer than [`MESSAGE_BYTES_MAX`].
    #[error("the message is empty or longer than {MESSAGE_BYTES_MAX} bytes")]
    Length,
    /// A first byte that names no version this build speaks.
    #[error("version {0} is not spoken here")]
    Version(u8),
    /// Truncated, or not of this shape.
    #[error("the bytes do not have the shape of this message")]
    Shape,
    /// More bytes than the message needs.
    #[error("bytes are left over after the message")]
    Trailing,
}

/// Appends `version` and the binary form of `value`.
///
/// # Panics
/// Never for the types of this crate: they hold nothing that bincode refuses.
pub fn encode_into<T: Serialize>(version: u8, value: &T, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(version);
    bincode::serde::encode_into_writer(value, Sink(out), config())
        .expect("plain structures always have a binary form");
    assert!(out.len() > start, "what was there before stays");
    assert!(out[start] == version, "the version comes first");
}

/// Returns `version` and the binary form of `value`.
pub fn encode<T: Serialize>(version: u8, value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    encode_into(version, value, &mut out);
    debug_assert!(is_encoded(version, value, &out), "what is written is recognised");
    out
}

/// Returns whether `bytes` are what [`encode`] writes; it writes nothing.
pub fn is_encoded<T: Serialize>(version: u8, value: &T, bytes: &[u8]) -> bool {
    let Some((&found, body)) = bytes.split_first() else { return false };
    let mut rest = Comparison(body);
    let same = bincode::serde::encode_into_writer(value, &mut rest, config()).is_ok();
    assert!(rest.0.len() <= body.len(), "what is left to compare gets shorter");
    found == version && same && rest.0.is_empty()
}

/// Reads back what [`encode`] wrote with the same `version`.
///
/// # Errors
/// [`DecodeError`]; any bytes at all may be given.
pub fn decode<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Result<T, DecodeError> {
    decode_with(version, bytes, config())
}

/// Reads back a row that [`encode`] wrote with the same `version`: all of them, if they have no
/// more than [`MESSAGE_BYTES_MAX`] bytes.
///
/// # Errors
/// [`DecodeError`]; any bytes at all may be given.
pub fn decode_row<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Result<T, DecodeError> {
    let config = bincode::config::standard().with_limit::<ROW_COUNTED_MAX>();
    decode_with(version, bytes, config)
}

fn decode_with<T: DeserializeOwned>(
    version: u8,
    bytes: &[u8],
    config: impl bincode::config::Config,
) -> Result<T, DecodeError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(DecodeError::Length);
    }
    let (&found, body) = bytes.split_first().ok_or(DecodeError::Length)?;
    if found != version {
        return Err(DecodeError::Version(found));
    }
    let (value, used) =
        bincode::serde::decode_from_slice(body, config).map_err(|_| DecodeError::Shape)?;
    assert!(used <= body.len(), "a decoder reads only what it is given");
    assert!(body.len() < MESSAGE_BYTES_MAX, "the version counts towards the bound");
    if used == body.len() { Ok(value) } else { Err(DecodeError::Trailing) }
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MESSAGE_BYTES_MAX>()
}

struct Sink<'a>(&'a mut Vec<u8>);

impl bincode::enc::write::Writer for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// What is left to compare.
struct Comparison<'a>(&'a [u8]);

impl bincode::enc::write::Writer for &mut Comparison<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0 = self.0.strip_prefix(bytes).ok_or(bincode::error::EncodeError::UnexpectedEnd)?;
        Ok(())
    }
}

/// The serde form of bytes that a request, a transaction and a store share.
pub(crate) mod shared_bytes {
    use alloc::sync::Arc;
    use alloc::vec::Vec;
    use core::fmt;

    use serde::{Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[u8]>, D::Error> {
        if from.is_human_readable() {
            return serde_bytes::deserialize::<Vec<u8>, D>(from).map(Arc::from);
        }
        from.deserialize_bytes(Shared)
    }

    /// Copies what is read once, to where it will be shared.
    struct Shared;

    impl de::Visitor<'_> for Shared {
        type Value = Arc<[u8]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Arc<[u8]>, E> {
            Ok(Arc::from(bytes))
        }
    }
}

/// The serde form of such bytes that may be absent.
pub(crate) mod shared_option {
    use alloc::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_bytes::{ByteBuf, Bytes};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(crate) fn serialize<S: Serializer>(
        bytes: &Option<Arc<[u8]>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(Bytes::new).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Arc<[u8]>>, D::Error> {
        let bytes = Option::<ByteBuf>::deserialize(from)?;
        Ok(bytes.map(|bytes| Arc::from(bytes.into_vec())))
    }
}
