//! Rows of the stores, with their keys: what a damaged file says is refused, or read.
//!
//! An input is the length of the key in one byte, the key, and the record.

use std::fmt::Debug;

use counterfoil_protocol::cloud::Cloud;
use counterfoil_protocol::persist::{KEY_BYTES_MAX, Persist};
use counterfoil_protocol::terminal::Terminal;

use crate::memory::bounded;

/// What `codec` counts for a row at most, held twice while it is compared.
const MEMORY_MAX: usize = 32 << 20;

/// Reads a row of a till: of its database, or of its archive, which has the same rows.
///
/// # Panics
/// If a law does not hold.
pub fn till(bytes: &[u8]) {
    bounded(MEMORY_MAX, || check::<Terminal>(bytes));
}

/// Reads a row of the cloud.
///
/// # Panics
/// If a law does not hold.
pub fn cloud(bytes: &[u8]) {
    bounded(MEMORY_MAX, || check::<Cloud>(bytes));
}

fn check<M: Persist>(bytes: &[u8])
where
    M::Key: Debug,
    M::Record: PartialEq + Debug,
{
    let Some((length, rest)) = bytes.split_first() else { return };
    let Some((name, record)) = rest.split_at_checked(usize::from(*length)) else { return };
    let Ok(key) = M::key_from_bytes(name) else { return };
    let mut written = Vec::new();
    M::key_bytes(&key, &mut written);
    assert_eq!(written, name, "a key has one form only");
    assert!(written.len() <= KEY_BYTES_MAX, "and is bounded");
    let Ok(record) = M::record_from_bytes(&key, record) else { return };
    let mut written = Vec::new();
    M::record_bytes(&record, &mut written);
    let read = M::record_from_bytes(&key, &written);
    assert_eq!(read.as_ref(), Ok(&record), "what is written is read as the same");
    let mut again = Vec::new();
    M::record_bytes(&record, &mut again);
    assert_eq!(again, written, "a record has one form");
}
