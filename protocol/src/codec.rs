//! The one place that turns structures into bytes and back.
//!
//! Binary form: bincode 2 `standard()` (little endian, variable-length integers) through serde,
//! always with a limit, always consumed whole. bincode is no longer maintained
//! (RUSTSEC-2025-0141): nothing outside this module may name it, and golden bytes hold its output
//! still, so that another implementation can take its place. For reading one has.

mod read;

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::read::Reader;

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

/// The name by which 32 bytes without a length are asked for, so that they are read at once.
pub(crate) const DIGEST: &str = "32 bytes";

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
    encode_about(version, value, 512)
}

/// As [`encode`], for a value whose form has about so many bytes.
pub(crate) fn encode_about<T: Serialize>(version: u8, value: &T, bytes: usize) -> Vec<u8> {
    assert!(bytes > 0, "a message has a version");
    let mut out = Vec::with_capacity(bytes);
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
    decode_with(version, bytes, MESSAGE_BYTES_MAX).map(|(value, _)| value)
}

/// Reads back what [`encode`] wrote with the same `version`, or nothing if these bytes say the
/// same and are not what it writes: no other bytes of the shape are equal to it.
///
/// # Errors
/// [`DecodeError`]; any bytes at all may be given.
pub fn decode_canonical<T: DeserializeOwned + Serialize>(
    version: u8,
    bytes: &[u8],
) -> Result<Option<T>, DecodeError> {
    let (value, shortest) = decode_with(version, bytes, MESSAGE_BYTES_MAX)?;
    debug_assert_eq!(shortest, is_encoded(version, &value, bytes), "a form is the shortest");
    Ok(shortest.then_some(value))
}

/// Reads back a row that [`encode`] wrote with the same `version`: all of them, if they have no
/// more than [`MESSAGE_BYTES_MAX`] bytes.
///
/// # Errors
/// [`DecodeError`]; any bytes at all may be given.
pub fn decode_row<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Result<T, DecodeError> {
    decode_with(version, bytes, ROW_COUNTED_MAX).map(|(value, _)| value)
}

/// Reads what counts up to `most`, and returns whether each of its numbers has its shortest form.
fn decode_with<T: DeserializeOwned>(
    version: u8,
    bytes: &[u8],
    most: usize,
) -> Result<(T, bool), DecodeError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(DecodeError::Length);
    }
    let (&found, body) = bytes.split_first().ok_or(DecodeError::Length)?;
    if found != version {
        return Err(DecodeError::Version(found));
    }
    assert!(body.len() < MESSAGE_BYTES_MAX, "the version counts towards the bound");
    let mut reader = Reader::new(body, most);
    let value = T::deserialize(&mut reader).map_err(|_| DecodeError::Shape)?;
    if reader.is_done() { Ok((value, reader.is_shortest())) } else { Err(DecodeError::Trailing) }
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

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use core::fmt::Debug;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::wire::event::{EventV1, EventV2};
    use crate::wire::message::{Hello, Push, PushAnswer, Welcome};
    use crate::{cloud, terminal};

    /// Each kind of field that a structure has.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Kinds {
        small: (u8, i8, bool),
        numbers: (u16, u32, u64),
        signed: (i16, i32, i64),
        text: Option<String>,
        list: Vec<Variant>,
        end: (),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Variant {
        Unit,
        New(i64),
        Two(u64, u16),
        Named { text: String, hash: [u8; 4] },
    }

    fn kinds(number: u64, signed: i64, text: String) -> Kinds {
        let [small, ..] = number.to_le_bytes();
        let (short, int) = (number as u16, number as u32);
        let named = Variant::Named { text: text.clone(), hash: int.to_le_bytes() };
        Kinds {
            small: (small, small.cast_signed(), small & 1 == 0),
            numbers: (short, int, number),
            signed: (signed as i16, signed as i32, signed),
            text: (small & 2 == 0).then_some(text),
            list: [Variant::Unit, Variant::New(signed), Variant::Two(number, short), named].into(),
            end: (),
        }
    }

    /// Both decoders say the same of these bytes, whatever they are: the value, and what is left;
    /// and they count the same towards the limit.
    fn same<const MOST: usize, T: DeserializeOwned + Serialize + PartialEq + Debug>(bytes: &[u8]) {
        let config = bincode::config::standard().with_limit::<MOST>();
        let general = bincode::serde::decode_from_slice::<T, _>(bytes, config).ok();
        let mut reader = Reader::new(bytes, MOST);
        let ours = T::deserialize(&mut reader).ok();
        if let (Some((value, used)), true) = (&general, reader.is_done()) {
            assert_eq!(*used, bytes.len());
            let mut versioned = alloc::vec![1];
            versioned.extend(bytes);
            assert_eq!(reader.is_shortest(), is_encoded(1, value, &versioned), "{bytes:?}");
        }
        let left = general.as_ref().map(|(_, used)| *used == bytes.len());
        assert_eq!(left, ours.as_ref().map(|_| reader.is_done()), "{bytes:?}");
        assert_eq!(general.map(|(value, _)| value), ours, "{bytes:?}");
    }

    fn each_shape(bytes: &[u8]) {
        same::<4096, Kinds>(bytes);
        same::<60, Kinds>(bytes);
        same::<4096, EventV1>(bytes);
        same::<200, EventV2>(bytes);
        same::<4096, Hello>(bytes);
        same::<4096, Push>(bytes);
        same::<4096, Welcome>(bytes);
        same::<4096, PushAnswer>(bytes);
        same::<4096, cloud::Record>(bytes);
        same::<4096, terminal::Record>(bytes);
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        // Small numbers are lengths and variants, and the largest begin wide numbers.
        let byte = prop_oneof![6 => 0_u8..4, 2 => 249_u8..=255, 1 => b'a'..=b'c', 2 => any::<u8>()];
        proptest::collection::vec(byte, 0..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn it_reads_as_the_general_decoder(bytes in bytes()) {
            each_shape(&bytes);
        }

        #[test]
        fn it_reads_what_was_written_and_then_garbled(
            number in any::<u64>(),
            shift in 0_u32..64,
            signed in any::<i64>(),
            text in "[a-zé]{0,8}",
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let mut bytes = encode(1, &kinds(number >> shift, signed >> shift, text));
            bytes.remove(0);
            same::<4096, Kinds>(&bytes);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                each_shape(&bytes);
                each_shape(&bytes[..at]);
            }
        }
    }
}
