//! What the cloud reads beside the protocol's own forms.

use std::path::Path;

use counterfoil_cloud::backup::rows_of;
use counterfoil_cloud::decimal::{self, Decimal};
use counterfoil_cloud::service::fuzzing;
use counterfoil_cloud::timestamp::{self, Written};
use counterfoil_protocol::catalog::Entity;
use counterfoil_protocol::codec::MESSAGE_BYTES_MAX;
use counterfoil_protocol::event::EVENT_BYTES_MAX;
use counterfoil_protocol::wire::message::Push;

use crate::memory::bounded;
use crate::messages::MEMORY_MAX;

/// What a row of a backup has at most is taken before it is read.
const BACKUP_MEMORY_MAX: usize = 40 << 20;
/// A window of the decoder (8 MiB), what it puts out, and its own tables.
const UNPACKED_MEMORY_MAX: usize = 24 << 20;

/// Reads a push in JSON.
///
/// # Panics
/// If a law does not hold.
pub fn push_json(bytes: &[u8]) {
    bounded(MEMORY_MAX, || {
        if let Some(push) = fuzzing::push(bytes)
            && let Ok(push) = push.check()
        {
            assert_eq!(Push::decode(&push.encode()), Ok(push), "both forms mean the same");
        }
    });
}

/// Reads the bodies of the contracts.
///
/// # Panics
/// If a law does not hold.
pub fn contracts(bytes: &[u8]) {
    bounded(MEMORY_MAX, || {
        for event in fuzzing::contracts(bytes) {
            assert!((1..=EVENT_BYTES_MAX).contains(&event.weight()), "an event is bounded");
            assert!(!event.id().as_str().is_empty(), "and has a name");
        }
    });
}

/// Reads a file of products.
///
/// # Panics
/// If a law does not hold.
pub fn products(bytes: &[u8]) {
    bounded(MEMORY_MAX, || {
        for product in fuzzing::products(bytes).unwrap_or_default() {
            let canonical = product.canonical();
            let read = Entity::from_canonical(product.id(), &canonical);
            assert_eq!(read, Ok(product), "what a file says can travel");
        }
    });
}

/// Reads a backup that lacks its digest, which nobody could guess; it is put behind it here.
///
/// # Panics
/// If a law does not hold.
pub fn backup(bytes: &[u8]) {
    let whole = [bytes, blake3::hash(bytes).as_bytes()].concat();
    bounded(BACKUP_MEMORY_MAX, || {
        let mut written = b"counterfoil backup 1\n".to_vec();
        let mut count = 0_u64;
        let read = rows_of(&whole[..], Path::new("fuzz"), |key, row| {
            written.extend_from_slice(&u16::try_from(key.len()).expect("short").to_le_bytes());
            written.extend_from_slice(key);
            written.extend_from_slice(&u32::try_from(row.len()).expect("bounded").to_le_bytes());
            written.extend_from_slice(row);
            count += 1;
            Ok(())
        });
        if let Ok(copied) = read {
            written.extend_from_slice(&0_u16.to_le_bytes());
            written.extend_from_slice(&count.to_le_bytes());
            assert_eq!(written, bytes, "a backup has one form only");
            assert_eq!((copied.rows, copied.bytes), (count, whole.len() as u64), "all is counted");
        }
    });
}

/// Reads decimals and points in time; the first byte says how many decimals are held.
///
/// # Panics
/// If a law does not hold.
pub fn numbers(bytes: &[u8]) {
    let Some((scale, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let scale = u32::from(scale % 7);
    bounded(1 << 20, || {
        if let Ok(value) = decimal::parse(text, scale) {
            let written = Decimal { value, scale }.to_string();
            assert_eq!(decimal::parse(&written, scale), Ok(value), "what is written is read");
        }
        if let Ok(read) = timestamp::parse(text) {
            let written = Written(read.at).to_string();
            let again = timestamp::parse(&written);
            assert_eq!(again.map(|again| (again.at, again.exact)), Ok((read.at, true)));
        }
    });
}

/// Reads a compressed body.
///
/// # Panics
/// If a law does not hold.
pub fn packed_body(bytes: &[u8]) {
    bounded(UNPACKED_MEMORY_MAX, || {
        if let Some(plain) = fuzzing::unpacked(bytes, MESSAGE_BYTES_MAX) {
            assert!(plain.len() <= MESSAGE_BYTES_MAX, "a body is bounded");
        }
    });
}
