//! Whatever arrives is read or refused: no bytes make a decoder panic, loop, or take memory for
//! what is not there, and an event has one form only.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use counterfoil_protocol::catalog::{CatalogEdit, EntityId, FieldChange, FieldValue};
use counterfoil_protocol::cloud::sessions::session_report;
use counterfoil_protocol::cloud::{self, Cloud};
use counterfoil_protocol::codec::{DecodeError, MESSAGE_BYTES_MAX};
use counterfoil_protocol::event::{Body, Event, EventError};
use counterfoil_protocol::money::{Currency, Minor};
use counterfoil_protocol::persist::Persist;
use counterfoil_protocol::terminal::diary::{Note, Noted};
use counterfoil_protocol::terminal::pull::Batch;
use counterfoil_protocol::terminal::{self, SessionAct, SessionDraft, Terminal};
use counterfoil_protocol::wire::message::{Hello, MessageError, Push, PushAnswer, Welcome};
use counterfoil_protocol::wire::session::SessionReport;
use proptest::prelude::*;
use support::{
    Pair, adjustment, block_on, draft, key_of, local, pos, product, refund, sale, site, terminal_id,
};

/// Frames and rows as they are on an ordinary day.
struct Day {
    events: Vec<Vec<u8>>,
    hello: Vec<u8>,
    push: Vec<u8>,
    welcome: Vec<u8>,
    answer: Vec<u8>,
    report: Vec<u8>,
    till_records: Vec<(terminal::Key, Vec<u8>)>,
    cloud_records: Vec<(cloud::Key, Vec<u8>)>,
}

/// A register's session, one event of each kind.
fn sell_in_a_session(pair: &mut Pair) {
    let draft = |id: &str, act| {
        let (at, reference) = (pair.now, String::new());
        SessionDraft { pos: pos("1"), local_id: local(id), at, reference, act }
    };
    let float = Minor(10_000);
    let acts = [
        draft("d", SessionAct::Open { currency: Currency::GBP, float }),
        draft("e", SessionAct::Cash { delta: Minor(-500), reason: "bank".into() }),
        draft("f", SessionAct::Close { counted: Vec::new() }),
    ];
    for act in acts {
        if act.local_id == local("f") {
            pair.sell(sale("g", "tea"));
        }
        pair.till.run(pair.now, terminal::Input::Session(act));
    }
}

fn edit() -> CatalogEdit {
    let name = |text: &str| FieldValue::Name(text.into());
    let price = |minor| FieldValue::Price(Minor(minor));
    let changes = vec![
        FieldChange::new(name("Tea"), name("Green tea")).unwrap(),
        FieldChange::new(price(149), price(1)).unwrap(),
    ];
    CatalogEdit::new(EntityId::product(product("tea")), 7, changes).unwrap()
}

fn day() -> Day {
    let mut pair = Pair::new(Cloud::default());
    pair.sell(sale("a", "tea"));
    pair.sell(refund("b", "tea", Some(key_of("1", "a"))));
    pair.sell(adjustment("c", "tea", -300));
    sell_in_a_session(&mut pair);
    pair.sell(draft("1", "h", Body::CatalogEdited(edit())));
    let hello = pair.till.hello(pair.now);
    let cloud::Output::Welcome(welcome) = pair.node.greet(pair.now, &hello) else { panic!() };
    let Batch::Push(push) = pair.till.batch(pair.now) else { panic!() };
    let answer = pair.offer().unwrap();
    let bytes_of = |record: &terminal::Record| {
        let mut bytes = Vec::new();
        Terminal::record_bytes(record, &mut bytes);
        bytes
    };
    let report = session_report(&pair.node.store, site().shop, terminal_id(), pos("1"), local("d"));
    let report = block_on(report).unwrap().unwrap();
    pair.till.run(pair.now, terminal::Input::SessionVerdict(report.clone()));
    let what = Noted::offered(pair.now, &push, Ok(&answer));
    let note = Note { at: pair.now, what };
    pair.till.run(pair.now, terminal::Input::Note(vec![note]));
    let till = &pair.till.store.rows;
    Day {
        report: report.encode(),
        events: push.items.iter().map(|item| item.payload.to_vec()).collect(),
        hello: hello.encode(),
        push: push.encode(),
        welcome: welcome.encode(),
        answer: answer.encode(),
        till_records: till.iter().map(|(key, record)| (*key, bytes_of(record))).collect(),
        cloud_records: pair
            .node
            .store
            .rows
            .iter()
            .map(|(key, record)| {
                let mut bytes = Vec::new();
                Cloud::record_bytes(record, &mut bytes);
                (*key, bytes)
            })
            .collect(),
    }
}

/// Reads `bytes` in every way there is. What is read is written again as it should be.
fn read_all(day: &Day, bytes: &[u8]) {
    if let Ok(event) = Event::from_canonical(bytes) {
        assert_eq!(event.canonical(), bytes, "an event has one form only");
    }
    if let Ok(hello) = Hello::decode(bytes) {
        assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
    }
    if let Ok(push) = Push::decode(bytes) {
        assert_eq!(Push::decode(&push.encode()).as_ref(), Ok(&push));
        assert_eq!(cloud::Offer::read(push.clone(), site().shop).len(), push.items.len());
    }
    if let Ok(welcome) = Welcome::decode(bytes) {
        assert_eq!(Welcome::decode(&welcome.encode()), Ok(welcome));
    }
    if let Ok(answer) = PushAnswer::decode(bytes) {
        assert_eq!(PushAnswer::decode(&answer.encode()), Ok(answer));
    }
    if let Ok(report) = SessionReport::decode(bytes) {
        assert_eq!(SessionReport::decode(&report.encode()), Ok(report));
    }
    if let Ok(key) = Terminal::key_from_bytes(bytes) {
        let mut again = Vec::new();
        Terminal::key_bytes(&key, &mut again);
        assert_eq!(again, bytes, "a till's key has one form only");
    }
    if let Ok(key) = Cloud::key_from_bytes(bytes) {
        let mut again = Vec::new();
        Cloud::key_bytes(&key, &mut again);
        assert_eq!(again, bytes, "a cloud's key has one form only");
    }
    for (key, _) in &day.till_records {
        let _ = Terminal::record_from_bytes(key, bytes);
    }
    for (key, _) in &day.cloud_records {
        let _ = Cloud::record_from_bytes(key, bytes);
    }
}

fn frames(day: &Day) -> Vec<Vec<u8>> {
    let mut frames = day.events.clone();
    frames
        .extend([&day.hello, &day.push, &day.welcome, &day.answer, &day.report].map(Clone::clone));
    frames.extend(day.till_records.iter().map(|(_, bytes)| bytes.clone()));
    frames.extend(day.cloud_records.iter().map(|(_, bytes)| bytes.clone()));
    frames
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(first in 0_u8..10, rest in prop::collection::vec(any::<u8>(), 0..200)) {
        thread_local!(static DAY: Day = day());
        let mut bytes = vec![first];
        bytes.extend(rest);
        DAY.with(|day| {
            read_all(day, &bytes);
            read_all(day, &bytes[1..]);
        });
    }

    #[test]
    fn damaged_frames(
        frame in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        damage in 0_u8..4,
        byte in any::<u8>(),
    ) {
        thread_local!(static DAY: (Day, Vec<Vec<u8>>) = {
            let day = day();
            let frames = frames(&day);
            (day, frames)
        });
        DAY.with(|(day, frames)| {
            let mut bytes = frame.get(frames).clone();
            let at = at.index(bytes.len());
            match damage {
                0 => bytes[at] ^= 1 << (byte % 8),
                1 => bytes[at] = byte,
                2 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
            read_all(day, &bytes);
        });
    }
}

#[test]
fn each_cut_and_each_byte_too_many_is_refused() {
    let day = day();
    type Refuses = fn(&[u8]) -> bool;
    let event: Refuses = |bytes| Event::from_canonical(bytes).is_err();
    let hello: Refuses = |bytes| Hello::decode(bytes).is_err();
    let push: Refuses = |bytes| Push::decode(bytes).is_err();
    let welcome: Refuses = |bytes| Welcome::decode(bytes).is_err();
    let answer: Refuses = |bytes| PushAnswer::decode(bytes).is_err();
    let report: Refuses = |bytes| SessionReport::decode(bytes).is_err();
    for (name, bytes, refuses) in [
        ("sale", &day.events[0], event),
        ("refund", &day.events[1], event),
        ("adjustment", &day.events[2], event),
        ("opening", &day.events[3], event),
        ("cash moved", &day.events[4], event),
        ("sale of a session", &day.events[5], event),
        ("closing", &day.events[6], event),
        ("hello", &day.hello, hello),
        ("push", &day.push, push),
        ("welcome", &day.welcome, welcome),
        ("answer", &day.answer, answer),
        ("report", &day.report, report),
    ] {
        assert!(!refuses(bytes), "{name} as written is read");
        for length in 0..bytes.len() {
            assert!(refuses(&bytes[..length]), "{name} cut to {length}");
        }
        for byte in 0..=255 {
            assert!(refuses(&[bytes.as_slice(), &[byte]].concat()), "{name} and {byte}");
        }
        for version in (0..=255).filter(|version| *version != bytes[0]) {
            assert!(refuses(&[&[version], &bytes[1..]].concat()), "{name} of version {version}");
        }
    }
    for (key, bytes) in &day.till_records {
        for length in 0..bytes.len() {
            assert!(Terminal::record_from_bytes(key, &bytes[..length]).is_err(), "{key:?}");
        }
    }
    for (key, bytes) in &day.cloud_records {
        for length in 0..bytes.len() {
            assert!(Cloud::record_from_bytes(key, &bytes[..length]).is_err(), "{key:?}");
        }
    }
}

#[test]
fn a_number_has_only_its_shortest_form_in_an_event() {
    let day = day();
    // `quantityMilli` of the sale is 2000, zigzag 4000: 251 and two bytes.
    let sale = &day.events[0];
    let at = sale.windows(3).position(|bytes| bytes == [251, 0xa0, 0x0f]).unwrap();
    for longer in [
        [&[252][..], &4000_u32.to_le_bytes()].concat(),
        [&[253][..], &4000_u64.to_le_bytes()].concat(),
    ] {
        let mut bytes = sale.clone();
        bytes.splice(at..at + 3, longer);
        assert_eq!(Event::from_canonical(&bytes), Err(EventError::NotCanonical));
    }
    // 128-bit numbers are no 64-bit numbers, however small; 255 marks nothing at all.
    for marker in [254_u8, 255] {
        let mut bytes = sale.clone();
        bytes.splice(at..at + 3, [&[marker][..], &4000_u128.to_le_bytes()].concat());
        assert_eq!(Event::from_canonical(&bytes), Err(EventError::Form(DecodeError::Shape)));
    }
}

#[test]
fn a_huge_length_takes_no_memory() {
    let huge = [&[253][..], &u64::MAX.to_le_bytes()].concat();
    let gigabyte = [&[252][..], &(1_u32 << 30).to_le_bytes()].concat();
    for length in [huge, gigabyte] {
        // Version, then the first text of each message.
        let bytes = [&[1][..], &length, b"rest"].concat();
        assert!(Event::from_canonical(&bytes).is_err());
        assert!(Hello::decode(&bytes).is_err());
        assert!(Push::decode(&bytes).is_err());
        // A push of so many items, and an item of so many bytes.
        let items = [&[1, 1, b'T', 1, 7][..], &length].concat();
        assert!(Push::decode(&items).is_err());
        let payload = [&[1, 1, b'T', 1, 7, 1, 1][..], &[0; 32], &length].concat();
        assert!(Push::decode(&payload).is_err());
        // A welcome of so many lanes, an answer of so many results.
        assert!(Welcome::decode(&[&[1, 1, 0, 0, 0][..], &length].concat()).is_err());
        assert!(PushAnswer::decode(&[&[1, 0][..], &length].concat()).is_err());
    }
}

#[test]
fn a_message_beyond_its_length_is_not_looked_at() {
    let bytes = vec![1; MESSAGE_BYTES_MAX + 1];
    let refused = MessageError::Form(DecodeError::Length);
    assert_eq!(Hello::decode(&bytes), Err(refused));
    assert_eq!(Push::decode(&bytes), Err(refused));
    assert_eq!(Welcome::decode(&bytes), Err(refused));
    assert_eq!(PushAnswer::decode(&bytes), Err(refused));
}
