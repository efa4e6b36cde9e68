//! What `docs/wire.md` says is what the code does: its test vectors, numbers, bounds and codes.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use counterfoil_protocol::cloud::row::server_id;
use counterfoil_protocol::codec::{self, MESSAGE_BYTES_MAX};
use counterfoil_protocol::event::session::TAX_RATES_MAX;
use counterfoil_protocol::event::{
    CORRECTED_MAX, EVENT_BYTES_MAX, Event, LINES_MAX, PAYMENTS_MAX, TEXT_BYTES_MAX,
};
use counterfoil_protocol::hash::{Hash, genesis, link, payload_hash};
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::label::LABEL_BYTES_MAX;
use counterfoil_protocol::money::{MILLI_MAX, MINOR_MAX};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::event::EventAny;
use counterfoil_protocol::wire::message::{
    HELLO_LANES_MAX, HELLO_POINTS_MAX, MEDIA_TYPE, PUSH_BYTES_MAX, PUSH_ITEMS_MAX,
};
use counterfoil_protocol::wire::session::{CLOSINGS_MAX, LATE_MAX};
use support::{key_of, site, terminal_id};

const PAGE: &str = include_str!("../../docs/wire.md");

/// The fenced blocks that begin with `vector`, by what follows that word.
fn vectors() -> BTreeMap<String, String> {
    let mut vectors = BTreeMap::new();
    for block in PAGE.split("```vector ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let (body, _) = rest.split_once("```").unwrap();
        assert!(vectors.insert(name.to_owned(), body.to_owned()).is_none(), "{name} stands once");
    }
    vectors
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap_or_else(|| panic!("{c:?} is no digit")))
        .collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn hash(text: &str) -> Hash {
    Hash::parse(text.trim()).unwrap()
}

/// The cells of each row of a table.
fn rows() -> Vec<Vec<String>> {
    let lines = PAGE.lines().filter(|line| line.starts_with("| "));
    lines
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
        })
        .collect()
}

#[test]
fn the_test_vectors_are_what_the_code_writes() {
    let vectors = vectors();
    let mut chain = genesis(terminal_id(), Epoch { number: 1, nonce: 7 });
    assert_eq!(chain, hash(&vectors["genesis"]));
    for seq in 1..=8 {
        let vector = |name: &str| vectors[&format!("{name} {seq}")].as_str();
        let wire: EventAny = serde_json::from_str(vector("json")).unwrap();
        let event = wire.parse().unwrap();
        let canonical = hex(vector("canonical"));
        assert_eq!(event.canonical(), canonical, "event {seq}");
        assert_eq!(Event::from_canonical(&canonical), Ok(event), "event {seq}");
        let payload = payload_hash(&canonical);
        assert_eq!(payload, hash(vector("payload")), "event {seq}");
        chain = link(chain, seq, payload);
        assert_eq!(chain, hash(vector("chain")), "event {seq}");
    }
    let server = server_id(site().shop, &key_of("1", "a"));
    assert_eq!(server.0, hash(&vectors["server 1"]));
    assert_eq!(server.order_id(), vectors["order 1"].trim());
    assert_eq!(server.uuid(), vectors["uuid 1"].trim());
    assert_eq!(vectors.len(), 1 + 8 * 4 + 3, "each vector was looked at");
}

#[test]
fn the_numbers_have_the_bytes_it_shows() {
    let mut shown = 0;
    for row in rows().iter().filter(|row| row.len() == 3) {
        let written = match (row[1].as_str(), row[0].parse::<i64>()) {
            ("u64", Ok(number)) => codec::encode(0, &u64::try_from(number).unwrap()),
            ("i64", Ok(number)) => codec::encode(0, &number),
            _ => continue,
        };
        assert_eq!(written[1..], hex(&row[2]), "{row:?}");
        shown += 1;
    }
    assert_eq!(shown, 9);
}

#[test]
fn the_bounds_are_those_of_the_code() {
    let rows = rows();
    for (name, bound) in [
        ("events that a correction names", CORRECTED_MAX),
        ("lines in an event", LINES_MAX),
        ("payments in a trade", PAYMENTS_MAX),
        ("bytes in a text", TEXT_BYTES_MAX),
        ("bytes in a label", LABEL_BYTES_MAX),
        ("canonical bytes of an event", EVENT_BYTES_MAX),
        ("thousandths, either way", MILLI_MAX as usize),
        ("minor units", MINOR_MAX as usize),
        ("tax rates counted apart", TAX_RATES_MAX),
        ("closings in a report", CLOSINGS_MAX),
        ("late arrivals in a report", LATE_MAX),
        ("lanes in a greeting", HELLO_LANES_MAX),
        ("points in a lane", HELLO_POINTS_MAX),
        ("bytes of `app`", TEXT_BYTES_MAX),
        ("items in a push", PUSH_ITEMS_MAX),
        ("payload bytes in a push", PUSH_BYTES_MAX),
        ("payload bytes of one item", EVENT_BYTES_MAX),
    ] {
        let name = name.trim_matches('`');
        let row = rows.iter().find(|row| row[0] == name);
        let row = row.unwrap_or_else(|| panic!("{name} is on the page"));
        assert_eq!(row[1], bound.to_string(), "{name}");
    }
    assert!(PAGE.contains(&format!("at most {MESSAGE_BYTES_MAX} bytes")));
    assert!(PAGE.contains(MEDIA_TYPE));
}

#[test]
fn the_error_codes_are_those_of_the_code() {
    let shown: Vec<_> =
        rows().into_iter().filter(|row| row.len() == 3 && row[1].starts_with("POS_")).collect();
    let written: Vec<_> = ErrorCode::ALL
        .iter()
        .map(|code| vec![(*code as u8).to_string(), code.to_string(), code.status().to_string()])
        .collect();
    assert_eq!(shown, written);
}
