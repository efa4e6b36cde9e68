//! Short names without an allocation: the text behind every identifier.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The most bytes in a label: room for a UUID in its usual form.
pub const LABEL_BYTES_MAX: usize = 36;

const _: () = assert!(LABEL_BYTES_MAX <= u8::MAX as usize, "a label's length fits in a byte");
const _: () =
    assert!(LABEL_BYTES_MAX == 16 + 16 + 4, "a label is two long numbers and a short one");
const _: () =
    assert!(LABEL_BYTES_MAX >= 32 + 4, "a label has room for a UUID and its four hyphens");
const _: () = assert!(size_of::<Label>() == LABEL_BYTES_MAX + 1, "a label holds nothing else");

/// A name of 1 to 36 printable ASCII characters, without leading or trailing space.
///
/// It is `Copy` and holds its bytes itself, because identifiers are in every key.
#[derive(Clone, Copy)]
pub struct Label {
    // Unused bytes are zero, so that they alone tell two texts apart, and order them.
    bytes: [u8; LABEL_BYTES_MAX],
    len: u8,
}

/// A text that is no [`Label`]. The caller shows it to whoever chose the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Nothing was given.
    #[error("a name has at least one character")]
    Empty,
    /// More than 36 bytes.
    #[error("a name has at most {LABEL_BYTES_MAX} bytes")]
    TooLong,
    /// A control character, a non-ASCII character, or space at an end.
    #[error("a name has printable ASCII characters only, and no space at its ends")]
    Character,
}

impl Label {
    /// Sorts before or with every label, and is one.
    pub const FIRST: Self = match Self::parse("!") {
        Ok(label) => label,
        Err(_) => panic!("a graphic character is a name"),
    };
    /// Sorts after every label but itself.
    pub const LAST: Self = Self { bytes: [b'~'; LABEL_BYTES_MAX], len: LABEL_BYTES_MAX as u8 };

    /// Parses a name.
    ///
    /// # Errors
    /// [`LabelError`] says which rule the text breaks.
    pub const fn parse(text: &str) -> Result<Self, LabelError> {
        let source = text.as_bytes();
        if source.is_empty() {
            return Err(LabelError::Empty);
        }
        if source.len() > LABEL_BYTES_MAX {
            return Err(LabelError::TooLong);
        }
        let mut bytes = [0; LABEL_BYTES_MAX];
        let mut at = 0;
        while at < source.len() {
            let end = at == 0 || at + 1 == source.len();
            if !(source[at].is_ascii_graphic() || (source[at] == b' ' && !end)) {
                return Err(LabelError::Character);
            }
            bytes[at] = source[at];
            at += 1;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 36, checked above")]
        let len = source.len() as u8;
        assert!(len > 0 && at == len as usize, "every character was looked at");
        assert!(bytes[0] != b' ' && bytes[at - 1] != b' ', "a label has no space at its ends");
        assert!(at == LABEL_BYTES_MAX || bytes[at] == 0, "what a label does not use is zero");
        Ok(Self { bytes, len })
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).expect("a label is ASCII")
    }

    /// Returns the bytes as three numbers in the order of the text: each look-up of a row compares
    /// several labels, and numbers are compared without a call.
    fn words(&self) -> (u128, u128, u32) {
        let mut first = [0; 16];
        let mut second = [0; 16];
        let mut last = [0; 4];
        first.copy_from_slice(&self.bytes[..16]);
        second.copy_from_slice(&self.bytes[16..32]);
        last.copy_from_slice(&self.bytes[32..]);
        (u128::from_be_bytes(first), u128::from_be_bytes(second), u32::from_be_bytes(last))
    }

    /// Returns the text's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> Ordering {
        // Zero fill sorts before every printable byte, so fixed-size order is text order.
        self.words().cmp(&other.words())
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.words() == other.words()
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Label {
    type Err = LabelError;
    fn from_str(text: &str) -> Result<Self, LabelError> {
        Self::parse(text)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(LabelVisitor)
    }
}

struct LabelVisitor;

impl de::Visitor<'_> for LabelVisitor {
    type Value = Label;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a name of 1 to {LABEL_BYTES_MAX} printable ASCII characters")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Label, E> {
        Label::parse(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_short_printable_and_trimmed() {
        for (text, expected) in [
            ("T-1", Ok("T-1")),
            ("BANK CHARGES", Ok("BANK CHARGES")),
            ("6f464882-9ee0-5071-8000-000000000001", Ok("6f464882-9ee0-5071-8000-000000000001")),
            ("", Err(LabelError::Empty)),
            (" x", Err(LabelError::Character)),
            ("x ", Err(LabelError::Character)),
            ("é", Err(LabelError::Character)),
            ("6f464882-9ee0-5071-8000-0000000000012", Err(LabelError::TooLong)),
        ] {
            let parsed = Label::parse(text);
            assert_eq!(parsed.as_ref().map(Label::as_str).map_err(|e| *e), expected, "{text}");
        }
    }
}
