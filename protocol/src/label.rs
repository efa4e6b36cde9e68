//! Short names without an allocation: the text behind every identifier.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The most bytes in a label: room for a UUID in its usual form.
pub const LABEL_BYTES_MAX: usize = 36;

/// How many bytes of a label are compared first.
const HEAD_BYTES: usize = size_of::<u128>();

const _: () = assert!(2 * HEAD_BYTES <= LABEL_BYTES_MAX, "a label has a head, and a rest");
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
        Self::parse_bytes(text.as_bytes())
    }

    /// Parses the bytes of a name: what is no text is no name either.
    const fn parse_bytes(source: &[u8]) -> Result<Self, LabelError> {
        if source.is_empty() {
            return Err(LabelError::Empty);
        }
        if source.len() > LABEL_BYTES_MAX {
            return Err(LabelError::TooLong);
        }
        let mut bytes = [0; LABEL_BYTES_MAX];
        let at = source.len();
        bytes.split_at_mut(at).0.copy_from_slice(source);
        // Most are short, and all of a part are looked at, so that it is done many at a time.
        let head = printable_in::<0, HEAD_BYTES>(&bytes);
        let rest =
            if at > HEAD_BYTES { printable_in::<HEAD_BYTES, LABEL_BYTES_MAX>(&bytes) } else { 0 };
        let printable = head + rest;
        if printable != at || bytes[0] == b' ' || bytes[at - 1] == b' ' {
            return Err(LabelError::Character);
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 36, checked above")]
        let len = source.len() as u8;
        assert!(len > 0 && printable == len as usize, "every character was looked at");
        assert!(bytes[0] != b' ' && bytes[at - 1] != b' ', "a label has no space at its ends");
        assert!(at == LABEL_BYTES_MAX || bytes[at] == 0, "what a label does not use is zero");
        Ok(Self { bytes, len })
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).expect("a label is ASCII")
    }

    /// Returns the first bytes as one number. Each look-up of a row compares several labels: most
    /// differ here, or have no more.
    fn head(&self) -> u128 {
        let mut head = [0; HEAD_BYTES];
        head.copy_from_slice(&self.bytes[..HEAD_BYTES]);
        u128::from_ne_bytes(head)
    }

    /// Returns the bytes after those as two numbers in the order of the text.
    fn rest(&self) -> (u128, u32) {
        let mut second = [0; HEAD_BYTES];
        let mut last = [0; LABEL_BYTES_MAX - 2 * HEAD_BYTES];
        second.copy_from_slice(&self.bytes[HEAD_BYTES..2 * HEAD_BYTES]);
        last.copy_from_slice(&self.bytes[2 * HEAD_BYTES..]);
        (u128::from_be_bytes(second), u32::from_be_bytes(last))
    }

    /// Returns whether the first bytes are all of two names.
    const fn short(&self, other: &Self) -> bool {
        self.len as usize <= HEAD_BYTES && other.len as usize <= HEAD_BYTES
    }

    /// Returns the text's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Returns how many of the bytes from one place to another are printable.
const fn printable_in<const FROM: usize, const TO: usize>(bytes: &[u8; LABEL_BYTES_MAX]) -> usize {
    let (mut next, mut printable) = (FROM, 0_u8);
    while next < TO {
        printable += (bytes[next] >= b' ' && bytes[next] <= b'~') as u8;
        next += 1;
    }
    assert!(printable as usize <= TO - FROM, "no byte counts twice");
    printable as usize
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> Ordering {
        // Zero fill sorts before every printable byte, so fixed-size order is text order.
        let (head, theirs) = (self.head(), other.head());
        if head != theirs {
            return u128::from_be(head).cmp(&u128::from_be(theirs));
        }
        if self.short(other) { Ordering::Equal } else { self.rest().cmp(&other.rest()) }
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.head() == other.head() && (self.short(other) || self.rest() == other.rest())
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Unused bytes are zero, so that what two equal names have beyond the first is the same.
        let head = self.head();
        state.write_u64(head as u64);
        state.write_u64((head >> 64) as u64);
        if usize::from(self.len) > HEAD_BYTES {
            let (second, last) = self.rest();
            state.write_u64(second as u64);
            state.write_u64((second >> 64) as u64);
            state.write_u32(last);
        }
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
        if serializer.is_human_readable() {
            serializer.serialize_str(self.as_str())
        } else {
            // A text and its bytes have the same binary form.
            serializer.serialize_bytes(self.as_bytes())
        }
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(LabelVisitor)
        } else {
            deserializer.deserialize_bytes(LabelVisitor)
        }
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

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Label, E> {
        Label::parse_bytes(bytes).map_err(E::custom)
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
