//! Where the cloud's catalog and a branch's inbox end, said in one line beside the answer to a
//! greeting: a till that stands there already need not ask for either.
//!
//! ```text
//! catalog=17; entities=3; digest=<64 hex digits>; inbox=42; chain=<64 hex digits>; acked=42
//! ```
//!
//! In this order, and in no other form: whoever cannot read it has heard nothing, and asks.

use core::fmt;

use super::catalog::CatalogHead;
use super::inbox::Cursor;
use crate::catalog::Digest;
use crate::hash::Hash;

/// The name of the header that has them.
pub const HEADS_HEADER: &str = "counterfoil-heads";
/// The most bytes of the line: four numbers, two hashes and their names.
pub const HEADS_BYTES_MAX: usize = 272;

const _: () = assert!(4 * 20 + 2 * 64 + 58 <= HEADS_BYTES_MAX, "the longest line fits");

/// Up to where there is something to ask for, and what the till is known to have applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Where the catalog of the till's branch ends, and what it adds up to there.
    pub catalog: CatalogHead,
    /// Where the branch's inbox ends.
    pub inbox: Cursor,
    /// The place up to which the cloud holds the till's acknowledgement.
    pub acked: u64,
}

impl Heads {
    /// Reads what [`Display`](fmt::Display) writes, and nothing else.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        if text.len() > HEADS_BYTES_MAX {
            return None;
        }
        let mut parts = text.split("; ");
        let mut part = |name| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        let number = |digits: &str| digits.parse().ok();
        let version = number(part("catalog")?)?;
        let count = number(part("entities")?)?;
        let lanes = lanes(part("digest")?)?;
        let seq = number(part("inbox")?)?;
        let chain = Hash::parse(part("chain")?)?;
        let acked = number(part("acked")?)?;
        let catalog = CatalogHead { version, digest: Digest { count, lanes } };
        let heads = Self { catalog, inbox: Cursor { seq, chain }, acked };
        // One meaning has one form: no sign, no other zeros, no other case, nothing behind it.
        let read = Written::matches(&heads, text).then_some(heads);
        assert!(read.is_none() || text.is_ascii(), "the line can stand in a header");
        read
    }
}

impl fmt::Display for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { catalog: CatalogHead { version, digest }, inbox, acked } = self;
        let Digest { count, lanes: [a, b, c, d] } = digest;
        let Cursor { seq, chain } = inbox;
        write!(f, "catalog={version}; entities={count}; digest={a:016x}{b:016x}{c:016x}{d:016x}")?;
        write!(f, "; inbox={seq}; chain={chain}; acked={acked}")
    }
}

fn lanes(digits: &str) -> Option<[u64; 4]> {
    let mut lanes = [0; 4];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    assert_eq!(digits.len(), 16 * lanes.len(), "each lane has its digits");
    for (lane, digits) in lanes.iter_mut().zip(digits.as_bytes().chunks(16)) {
        *lane = u64::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(lanes)
}

/// What of a text is still to be written.
struct Written<'a>(&'a str);

impl Written<'_> {
    fn matches(heads: &Heads, text: &str) -> bool {
        let mut rest = Written(text);
        fmt::write(&mut rest, format_args!("{heads}")).is_ok() && rest.0.is_empty()
    }
}

impl fmt::Write for Written<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let rest = self.0.strip_prefix(part).ok_or(fmt::Error)?;
        assert_eq!(rest.len() + part.len(), self.0.len(), "what was written is taken off");
        self.0 = rest;
        Ok(())
    }
}
