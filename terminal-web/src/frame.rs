//! The wrapping of every stored value: the same as on a till's disk, so that rows can be compared.
//!
//! ```text
//! | 1 byte   | 4 bytes, little endian | n bytes |
//! | version  | crc32(key, body)       | body    |
//! ```
//!
//! `storage/src/frame.rs` has it for the engines, which cannot be compiled for a browser.

use crate::StoreError;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 5;

/// Returns the framed body that `write` appends.
pub(crate) fn seal(key: &[u8], write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![VERSION, 0, 0, 0, 0];
    write(&mut out);
    assert!(out.len() >= HEAD_BYTES, "a record is appended");
    let sum = checksum(key, &out[HEAD_BYTES..]);
    out[1..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
    out
}

/// Returns the body of a framed value.
pub(crate) fn unseal<'a>(key: &[u8], framed: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let damaged = |why: &str| Err(StoreError::Damaged(format!("{key:02x?}: {why}")));
    let Some(([version, sum @ ..], body)) = framed.split_first_chunk::<HEAD_BYTES>() else {
        return damaged("the value is shorter than its frame");
    };
    if *version != VERSION {
        return damaged("the frame has another version");
    }
    if u32::from_le_bytes(*sum) != checksum(key, body) {
        return damaged("the checksum does not match");
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
    use super::*;

    #[test]
    fn the_frame_is_that_of_a_tills_disk() {
        let framed = seal(b"k", |out| out.extend_from_slice(b"body"));
        // The bytes that `storage` has under test.
        assert_eq!(framed, [1, 0xef, 0x65, 0x2c, 0xd2, b'b', b'o', b'd', b'y']);
        assert_eq!(unseal(b"k", &framed), Ok(&b"body"[..]));
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let framed = seal(b"key", |out| out.extend_from_slice(b"twelve bytes"));
        for bit in 0..framed.len() * 8 {
            let mut bad = framed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(b"key", &bad).is_err(), "bit {bit}");
        }
        assert!(unseal(b"kex", &framed).is_err(), "another key");
        assert!(unseal(b"key", &framed[..4]).is_err(), "a cut frame");
    }
}
