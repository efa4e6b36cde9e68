//! The wrapping of every stored value: a version, a checksum over key and value, the value.
//!
//! ```text
//! | 1 byte   | 4 bytes, little endian | n bytes |
//! | version  | crc32(key, body)       | body    |
//! ```
//!
//! The engines do not verify what they read in normal operation. The key is under the checksum,
//! so a value that an engine returns for the wrong key is found as well.

use std::ops::Range;

use counterfoil_protocol::persist::KEY_BYTES_MAX;

use crate::StoreError;
use crate::engine::VALUE_BYTES_MAX;

/// The only frame there is. A reader of this version refuses others, as it cannot check them.
const VERSION: u8 = 1;

/// The bytes before the body.
const HEAD_BYTES: usize = 5;

const _: () = assert!(VERSION != 0, "a page of zeroes is no frame");
const _: () = assert!(HEAD_BYTES == size_of_val(&VERSION) + size_of::<u32>(), "version and sum");
const _: () = assert!(HEAD_BYTES < VALUE_BYTES_MAX, "a frame leaves room for a body");

/// Appends the framed body that `write` appends, for the key that lies at `key` in `out`.
pub(crate) fn seal(out: &mut Vec<u8>, key: Range<usize>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    assert!(key.start <= key.end, "a key ends behind its beginning");
    assert!(key.end <= start, "the key lies before its value");
    assert!(key.len() <= KEY_BYTES_MAX, "the key is one that a store takes");
    out.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
    write(out);
    assert!(out.len() >= start + HEAD_BYTES, "a record is appended");
    assert!(out.len() - start <= VALUE_BYTES_MAX, "a record and its frame are one value");
    let sum = checksum(&out[key.clone()], &out[start + HEAD_BYTES..]);
    out[start + 1..start + HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(out[start], VERSION, "a record is appended, not written over the head");
    debug_assert_eq!(
        unseal(&out[key], &out[start..]),
        Ok(&out[start + HEAD_BYTES..]),
        "what is sealed opens again"
    );
}

/// Returns the body of a framed value.
pub(crate) fn unseal<'a>(key: &[u8], framed: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let Some((head, body)) = framed.split_first_chunk::<HEAD_BYTES>() else {
        return Err(StoreError::damaged_row(key, "the value is shorter than its frame"));
    };
    assert!(key.len() <= KEY_BYTES_MAX, "the key is one that a store takes");
    assert!(framed.len() <= VALUE_BYTES_MAX, "a record and its frame are one value");
    let [version, sum @ ..] = *head;
    if version != VERSION {
        return Err(StoreError::damaged_row(key, format!("the frame has version {version}")));
    }
    if u32::from_le_bytes(sum) != checksum(key, body) {
        return Err(StoreError::damaged_row(key, "the checksum does not match"));
    }
    Ok(body)
}

fn checksum(key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::unseal;

    fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = key.to_vec();
        super::seal(&mut out, 0..key.len(), |out| out.extend_from_slice(body));
        out.split_off(key.len())
    }

    #[test]
    fn the_frame_on_disk_never_changes() {
        let framed = seal(b"k", b"body");
        assert_eq!(framed, [1, 0xef, 0x65, 0x2c, 0xd2, b'b', b'o', b'd', b'y']);
        assert_eq!(unseal(b"k", &framed), Ok(&b"body"[..]));
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let framed = seal(b"key", b"twelve bytes");
        for bit in 0..framed.len() * 8 {
            let mut bad = framed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(b"key", &bad).is_err(), "bit {bit}");
        }
        assert!(unseal(b"kex", &framed).is_err(), "another key");
        assert!(unseal(b"key", &framed[..4]).is_err(), "a cut frame");
    }
}
