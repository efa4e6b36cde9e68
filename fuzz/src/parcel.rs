//! Parcels.

use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::wire::parcel::{Answers, Offers, terminal_of};

use crate::memory::bounded;
use crate::messages::MEMORY_MAX;

const SECRET: Hash = Hash([7; 32]);

/// Reads a parcel that lacks its seal, which nobody could guess; it is put behind it here.
///
/// # Panics
/// If a law does not hold.
pub fn parcel(bytes: &[u8]) {
    let [offers, answers] = ["offers", "answers"].map(|what| {
        let key = blake3::derive_key(&format!("counterfoil 2026 parcel of {what} v1"), &SECRET.0);
        [bytes, blake3::keyed_hash(&key, bytes).as_bytes()].concat()
    });
    bounded(MEMORY_MAX, || {
        assert!(Offers::open(bytes, SECRET).is_err(), "nobody guesses a seal");
        if let Ok(read) = Offers::open(&offers, SECRET) {
            assert_eq!(terminal_of(&offers), Ok(read.hello.terminal_id));
            let (written, pushes) = read.seal(SECRET);
            assert_eq!(pushes, read.pushes.len(), "what was in one parcel has room in one");
            assert_eq!(Offers::open(&written, SECRET), Ok(read), "what is written is read");
        }
        if let Ok(read) = Answers::open(&answers, SECRET) {
            assert_eq!(Answers::open(&read.seal(SECRET), SECRET), Ok(read));
        }
    });
}
