//! The line beside the answer to a greeting: its bytes, and that no others mean the same.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use counterfoil_protocol::catalog::Digest;
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::wire::catalog::CatalogHead;
use counterfoil_protocol::wire::heads::{HEADS_BYTES_MAX, Heads};
use counterfoil_protocol::wire::inbox::Cursor;
use proptest::prelude::*;

const GOLDEN: &str = "catalog=17; entities=3; \
    digest=0000000000000001ffffffffffffffff000000000000abcd0123456789abcdef; inbox=42; \
    chain=0707070707070707070707070707070707070707070707070707070707070707; acked=41";

fn heads() -> Heads {
    let lanes = [1, u64::MAX, 0xabcd, 0x0123_4567_89ab_cdef];
    Heads {
        catalog: CatalogHead { version: 17, digest: Digest { count: 3, lanes } },
        inbox: Cursor { seq: 42, chain: Hash([7; 32]) },
        acked: 41,
    }
}

#[test]
fn the_golden_line_is_written_and_read() {
    assert_eq!(heads().to_string(), GOLDEN);
    assert_eq!(Heads::from_text(GOLDEN), Some(heads()));
}

#[test]
fn whatever_is_written_otherwise_is_not_heard() {
    for (from, to) in [
        ("catalog=17", "catalog=017"),
        ("catalog=17", "catalog=+17"),
        ("catalog=17", "catalog=18446744073709551616"),
        ("catalog=17; ", ""),
        ("entities", "Entities"),
        ("; inbox", ";  inbox"),
        ("abcd", "ABCD"),
        ("abcd", "abc"),
        ("0707", "07"),
        ("acked=41", "acked=41 "),
        ("acked=41", "acked=41; more=1"),
        ("acked=41", "acked=-1"),
        ("acked=41", "acked="),
    ] {
        let text = GOLDEN.replacen(from, to, 1);
        assert_ne!(text, GOLDEN);
        assert_eq!(Heads::from_text(&text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_is_written_is_read(
        version: u64, count: u64, lanes: [u64; 4], seq: u64, chain: [u8; 32], acked: u64,
    ) {
        let catalog = CatalogHead { version, digest: Digest { count, lanes } };
        let heads = Heads { catalog, inbox: Cursor { seq, chain: Hash(chain) }, acked };
        let text = heads.to_string();
        prop_assert!(text.len() <= HEADS_BYTES_MAX);
        prop_assert_eq!(Heads::from_text(&text), Some(heads));
    }

    #[test]
    fn any_text_is_refused_or_is_the_one_form(text in ".{0,300}") {
        if let Some(heads) = Heads::from_text(&text) {
            prop_assert_eq!(heads.to_string(), text);
        }
    }
}
