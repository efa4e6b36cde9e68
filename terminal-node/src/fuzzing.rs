//! A door for a fuzz target: a reader that nothing else can call from outside.

use crate::transport::live::told;

/// Returns what the stream of news tells that comes in these pieces, as text; `None` if it is given
/// up.
#[must_use]
pub fn stream(pieces: &[&[u8]]) -> Option<Vec<String>> {
    Some(told(pieces)?.iter().map(|event| format!("{event:?}")).collect())
}
