//! A lease is renewed when that is worth a commit, and not with each question.
#![allow(missing_docs, reason = "tests")]

use counterfoil_protocol::cloud::compaction::{RENEW_PART, RENEW_VERSIONS, due};
use counterfoil_protocol::cloud::row::Lease;
use counterfoil_protocol::time::Millis;

#[test]
fn a_lease_is_renewed_when_it_is_worth_a_commit() {
    let seen = Millis(1_000_000);
    let held = Lease { version: 100, seen };
    let life = Millis(30_000);
    let part = life.0 / RENEW_PART;
    for (held, version, now, expected) in [
        (None, 0, seen, true),
        (Some(&held), 100, seen, false),
        (Some(&held), 99 + RENEW_VERSIONS, seen, false),
        (Some(&held), 100 + RENEW_VERSIONS, seen, true),
        (Some(&held), 99, seen, true),
        (Some(&held), 100, Millis(seen.0 + part - 1), false),
        (Some(&held), 100, Millis(seen.0 + part), true),
        (Some(&held), 100, Millis(0), false),
    ] {
        assert_eq!(due(held, version, now, life), expected, "{held:?} {version} {now:?}");
    }
}
