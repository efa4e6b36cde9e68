//! The bytes of the rows that came with the contracts of others (S1, S2, S3), and of what is made
//! of a sale without a journal. A snapshot that differs is a new version of the format.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::fmt::Write as _;

use counterfoil_protocol::cloud::decide::{Decision, Waiting};
use counterfoil_protocol::cloud::direct::{book, history};
use counterfoil_protocol::cloud::log::LogEntry;
use counterfoil_protocol::cloud::rollup::Notice;
use counterfoil_protocol::cloud::row::{Fate, Ledger};
use counterfoil_protocol::cloud::users::{Scope, User};
use counterfoil_protocol::cloud::{Cloud, Key, Record};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, UserId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::money::{Currency, Milli};
use counterfoil_protocol::persist::Persist;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use insta::assert_snapshot;
use support::{key_of, local, product, site};

const AT: Millis = Millis(1_700_000_000_000);
const HASH: Hash = Hash([0xab; 32]);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn rows() -> Vec<(Key, Record)> {
    let (shop, branch) = (site().shop, site().branch);
    let (key, label) = (key_of("1", "a"), Label::parse("c-1").unwrap());
    let user = User {
        site: site(),
        secret: HASH,
        expires_at: Some(AT),
        revoked: true,
        scopes: Scope::ALL.to_vec(),
        currency: Currency::GBP,
        since: AT,
    };
    let ledger = Ledger {
        site: site(),
        payload_hash: HASH,
        payload: [1, 2, 3].into(),
        epoch: Epoch { number: 1, nonce: 7 },
        seq: 9,
        at: AT,
        fate: Fate::Rejected,
    };
    let entry = LogEntry {
        at: AT,
        actor: "operator".into(),
        action: "user.add".into(),
        shop: Some(shop),
        target: "anna".into(),
        done: true,
    };
    let waiting = Waiting { code: ErrorCode::ProductUnknown, since: AT };
    let decision = Decision { accepted: true, reason: "seen".into(), at: AT };
    vec![
        (Key::Ledger(key), Record::Ledger(ledger)),
        (Key::User(UserId::parse("anna").unwrap()), Record::User(user)),
        (Key::Buyer(shop, local("a")), Record::Buyer(label)),
        (Key::Command(shop, label), Record::Command(local("a"))),
        (Key::Stamp(shop), Record::Stamp(AT)),
        (Key::Stamped(shop, AT), Record::Stamped(300)),
        (
            Key::Notice(shop, branch, product("tea"), 300),
            Record::Notice(Notice { quantity: Milli(-2_500), at: AT }),
        ),
        (Key::Waiting(shop, key), Record::Waiting(waiting)),
        (Key::Decision(shop, key), Record::Decision(decision)),
        (Key::LogHead, Record::LogHead(300)),
        (Key::Log(300), Record::Log(entry)),
        (Key::Threshold(shop, product("tea")), Record::Threshold(Milli(2_500))),
    ]
}

#[test]
fn rows_of_the_book() {
    let mut text = String::new();
    for (key, record) in rows() {
        let (mut key_bytes, mut record_bytes) = (Vec::new(), Vec::new());
        Cloud::key_bytes(&key, &mut key_bytes);
        Cloud::record_bytes(&record, &mut record_bytes);
        assert!(Cloud::record_from_bytes(&key, &record_bytes).is_ok_and(|read| read == record));
        writeln!(text, "{key:?}").unwrap();
        writeln!(text, "  key    {}", hex(&key_bytes)).unwrap();
        writeln!(text, "  record {}", hex(&record_bytes)).unwrap();
    }
    let anna = UserId::parse("anna").unwrap();
    writeln!(text, "book {} history {:?}", book(site().shop), history(anna)).unwrap();
    assert_snapshot!("rows_of_the_book", text);
}

#[test]
fn a_record_is_read_under_its_own_kind_of_key_only_and_cut_bytes_are_refused() {
    let rows = rows();
    for (at, (key, record)) in rows.iter().enumerate() {
        let mut written = Vec::new();
        Cloud::record_bytes(record, &mut written);
        for (other, (other_key, _)) in rows.iter().enumerate() {
            let read = Cloud::record_from_bytes(other_key, &written);
            assert_eq!(read.is_ok(), at == other, "{key:?} under {other_key:?}");
        }
        for end in 0..written.len() {
            assert!(
                Cloud::record_from_bytes(key, &written[..end]).is_err(),
                "{key:?} cut at {end}"
            );
        }
        for byte in 0..written.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut broken = written.clone();
                broken[byte] = value;
                let _ = Cloud::record_from_bytes(key, &broken);
            }
        }
    }
}
