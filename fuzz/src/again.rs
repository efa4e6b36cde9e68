//! What was read is written, and read again as the same.

use std::fmt::Debug;

use counterfoil_protocol::codec::MESSAGE_BYTES_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Holds a binary form to its laws: what is read is written as the shortest form of the same, and
/// that is a fixed point.
///
/// # Panics
/// If it is not so.
pub fn frame<T: PartialEq + Debug, E: PartialEq + Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Option<T> {
    let value = decode(bytes).ok()?;
    assert!(bytes.len() <= MESSAGE_BYTES_MAX, "what is longer than a message is refused");
    let written = encode(&value);
    assert!(written.len() <= bytes.len(), "the form that is written is the shortest");
    let read = decode(&written);
    assert_eq!(read.as_ref(), Ok(&value), "what is written is read as the same");
    assert_eq!(read.ok().map(|read| encode(&read)), Some(written), "one value has one form");
    Some(value)
}

/// Holds a JSON form to the same: what is read is written, and read again as the same.
///
/// # Panics
/// If it is not so.
pub fn json<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&value).expect("a message has a form in JSON");
    let read: T = serde_json::from_slice(&written).expect("what is written is read");
    assert_eq!(read, value, "what is written is read as the same");
    Some(value)
}
