//! How a posted event's name is written for people and for the contracts (S2.3): one rule, which
//! both sides follow from the name alone, so that neither has to be told.

use alloc::string::String;
use core::fmt::Write as _;

use super::message::ServerId;

/// The digits of an order number: Crockford's base 32, without I, L, O and U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Of which bytes of a name an order number is made.
const ORDER_BYTES: core::ops::Range<usize> = 16..26;
/// How many digits it has, five bits each.
const ORDER_DIGITS: usize = 16;
/// After so many of them stands a hyphen.
const ORDER_BREAK: usize = 6;

const _: () = assert!(8 * (ORDER_BYTES.end - ORDER_BYTES.start) == 5 * ORDER_DIGITS, "no bit left");
const _: () = assert!(ORDER_BREAK < ORDER_DIGITS, "the hyphen stands between digits");

impl ServerId {
    /// Returns the number that people know a posted sale, correction or refund by: 80 bits of its
    /// name, as `ORD-0123AB-CDEFGHJKMN`. The `orderId` of S2.
    #[must_use]
    pub fn order_id(&self) -> String {
        let bits =
            self.0.0[ORDER_BYTES].iter().fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
        let mut text = String::from("ORD-");
        for at in 0..ORDER_DIGITS {
            if at == ORDER_BREAK {
                text.push('-');
            }
            let digit = bits >> (5 * (ORDER_DIGITS - 1 - at)) & 31;
            text.push(char::from(DIGITS[digit as usize]));
        }
        assert!(bits >> (5 * ORDER_DIGITS) == 0, "every bit is written");
        assert_eq!(text.len(), "ORD--".len() + ORDER_DIGITS, "every number is as long");
        text
    }

    /// Returns the first half of the name as a UUID (version 8 of RFC 9562). The `serverId` of S2.
    #[must_use]
    pub fn uuid(&self) -> String {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0.0[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut text = String::new();
        for (at, byte) in bytes.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            write!(text, "{byte:02x}").expect("a string takes what is written");
        }
        assert_eq!(text.len(), 36, "a UUID has its length");
        assert_eq!(text.as_bytes()[14], b'8', "it tells its version");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;

    #[test]
    fn names_have_their_forms() {
        for (name, uuid, order) in [
            (
                ServerId(Hash(core::array::from_fn(|at| at as u8 * 8 + 3))),
                "030b131b-232b-833b-834b-535b636b737b",
                "ORD-GE5S76-X3NESVQGYB",
            ),
            (
                ServerId(Hash([0xff; 32])),
                "ffffffff-ffff-8fff-bfff-ffffffffffff",
                "ORD-ZZZZZZ-ZZZZZZZZZZ",
            ),
            (
                ServerId(Hash([0; 32])),
                "00000000-0000-8000-8000-000000000000",
                "ORD-000000-0000000000",
            ),
        ] {
            assert_eq!(name.uuid(), uuid);
            assert_eq!(name.order_id(), order);
        }
    }
}
