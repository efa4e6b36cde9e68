//! SipHash-2-4, 64 bits: a keyed hash of short inputs.
//!
//! Aumasson, Bernstein, "SipHash: a fast short-input PRF" (INDOCRYPT 2012). The core library has
//! it too, but deprecated.

/// Returns SipHash-2-4 under the key `(k0, k1)` of `words`, each as eight bytes little endian, and
/// then `bytes`.
#[must_use]
pub(super) fn siphash24((k0, k1): (u64, u64), words: &[u64], bytes: &[u8]) -> u64 {
    let mut state = State {
        v0: k0 ^ 0x736f_6d65_7073_6575,
        v1: k1 ^ 0x646f_7261_6e64_6f6d,
        v2: k0 ^ 0x6c79_6765_6e65_7261,
        v3: k1 ^ 0x7465_6462_7974_6573,
    };
    for word in words {
        state.absorb(*word);
    }
    let (blocks, rest) = bytes.as_chunks::<8>();
    for block in blocks {
        state.absorb(u64::from_le_bytes(*block));
    }
    assert_eq!(blocks.len() * 8 + rest.len(), bytes.len(), "every byte is hashed once");
    assert!(rest.len() < 8, "the last block has room for the length");
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let length = words.len() * 8 + bytes.len();
    // The length modulo 256 is the last byte, as published.
    last[7] = length.to_le_bytes()[0];
    state.absorb(u64::from_le_bytes(last));
    state.finish()
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
    }

    fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        for _ in 0..4 {
            self.round();
        }
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use core::hash::Hasher as _;

    use super::*;

    /// The key of the published vectors: bytes 00 to 0f.
    const KEY: (u64, u64) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);

    fn counting(length: u8) -> alloc::vec::Vec<u8> {
        (0..length).collect()
    }

    #[test]
    fn the_published_vectors_hold() {
        for (length, expected) in [
            (0, 0x726f_db47_dd0e_0e31),
            (1, 0x74f8_39c5_93dc_67fd),
            (7, 0xab02_00f5_8b01_d137),
            (8, 0x93f5_f579_9a93_2462),
            // The example of the paper's appendix.
            (15, 0xa129_ca61_49be_45e5),
            (63, 0x958a_324c_eb06_4572),
        ] {
            assert_eq!(siphash24(KEY, &[], &counting(length)), expected, "length {length}");
        }
    }

    #[test]
    fn every_length_is_hashed_as_the_core_library_does() {
        for length in 0..=255 {
            let bytes = counting(length);
            #[allow(deprecated, reason = "an implementation that shares no code with ours")]
            let mut other = core::hash::SipHasher::new_with_keys(KEY.0, KEY.1);
            other.write(&bytes);
            assert_eq!(siphash24(KEY, &[], &bytes), other.finish(), "length {length}");
        }
    }

    #[test]
    fn words_are_their_bytes() {
        let bytes = counting(21);
        let word = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(siphash24(KEY, &[word], &bytes[8..]), siphash24(KEY, &[], &bytes));
    }
}
