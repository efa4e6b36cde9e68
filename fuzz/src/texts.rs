//! Texts that stand in headers and addresses.

use counterfoil_protocol::catalog::EntityId;
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::label::{LABEL_BYTES_MAX, Label};
use counterfoil_protocol::money::Currency;
use counterfoil_protocol::wire::catalog::{EDITS_ASKED_MAX, EditName};
use counterfoil_protocol::wire::heads::{HEADS_BYTES_MAX, Heads};

use crate::again;
use crate::memory::bounded;

/// Texts are short, and copied a few times.
const MEMORY_MAX: usize = 1 << 20;

/// Reads a text in each way.
///
/// # Panics
/// If a law does not hold.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    bounded(MEMORY_MAX, || {
        if let Some(heads) = Heads::from_text(text) {
            assert_eq!(heads.to_string(), text, "heads have one form only");
            assert!(text.len() <= HEADS_BYTES_MAX, "and are bounded");
        }
        if let Ok(names) = EditName::from_text(text) {
            assert!(names.len() <= EDITS_ASKED_MAX, "a question is bounded");
            assert_eq!(EditName::to_text(&names), text, "and has one form only");
        }
        if let Ok(label) = Label::parse(text) {
            assert_eq!(label.as_str(), text, "a name is what was written");
            assert!(text.len() <= LABEL_BYTES_MAX, "and is bounded");
        }
        if let Some(hash) = Hash::parse(text) {
            assert_eq!(hash.to_string(), text.to_ascii_lowercase(), "a hash is its digits");
        }
        if let Ok(currency) = Currency::parse(text) {
            assert_eq!(currency.as_str(), text, "a currency is its code");
        }
        again::json::<EntityId>(bytes);
        again::json::<Label>(bytes);
    });
}
