//! The inbox's bytes: those that must never change, those that any bytes are, and their order.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod inbox_support;
mod support;

use std::fmt::Write as _;

use counterfoil_protocol::cloud::inbox::row::{Acked, Content, Head, Held, OrderLine, Stored};
use counterfoil_protocol::cloud::inbox::{Buffer, InboxKey, InboxRecord};
use counterfoil_protocol::cloud::{self, Cloud};
use counterfoil_protocol::hash::{inbox_genesis, link, order_hash, payload_hash};
use counterfoil_protocol::identity::{BranchId, EventKey, OrderId, ProductId, ShopId, TerminalId};
use counterfoil_protocol::inbox::{
    EventId, INBOX_EVENT_BYTES_MAX, InboxEvent, InboxEventError, Reference, Side, order_event_id,
    relayed_event_id,
};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::money::{MILLI_MAX, Milli};
use counterfoil_protocol::persist::{KEY_BYTES_MAX, Persist};
use counterfoil_protocol::terminal::inbox::{InboxState, Movement, Review, read};
use counterfoil_protocol::terminal::{self, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::inbox::{
    Ack, AckAnswer, Cursor, PENDING_BYTES_MAX, PENDING_EVENTS_MAX, PendingAnswer, PendingPage,
    PendingV1, ReferenceV1,
};
use counterfoil_protocol::wire::message::MessageError;
use inbox_support::{hash, order_id, site};
use proptest::prelude::*;
use support::{key_of, product};

const AT: Millis = Millis(1_700_000_000_000);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn events() -> [InboxEvent; 2] {
    let key = key_of("1", "a");
    let online = InboxEvent {
        id: order_event_id(site("mitte").shop, order_id("web-7"), hash(7), Side::Placed, 3),
        created_at: AT,
        product: product("tea"),
        delta: Milli(-2_000),
        reference: Reference::Order(order_id("web-7")),
    };
    let id = relayed_event_id(site("mitte").shop, &key, hash(8), 4);
    [online, InboxEvent { id, delta: Milli(300), reference: Reference::Sale(key), ..online }]
}

fn page() -> PendingPage {
    let event = |(seq, event): (u64, &InboxEvent)| PendingV1 {
        at: Cursor { seq, chain: hash(9) },
        content: event.canonical().into(),
    };
    let events = (300..).zip(&events()).map(event).collect();
    PendingPage {
        after: Cursor { seq: 17, chain: hash(8) },
        to: Cursor { seq: 302, chain: hash(10) },
        head: 303,
        acked: 16,
        events,
    }
}

fn messages() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("page", PendingAnswer::Page(page()).encode()),
        ("restart", PendingAnswer::Restart.encode()),
        ("ack", Ack { through: page().to }.encode()),
        ("ack answer", AckAnswer { through: 302, known: true }.encode()),
    ]
}

#[test]
fn events_names_and_messages() {
    let mut text = String::new();
    for event in events() {
        writeln!(text, "{} {}", event.reference.kind(), hex(&event.canonical())).unwrap();
    }
    let shop = site("mitte").shop;
    let cancelled = order_event_id(shop, order_id("web-7"), hash(7), Side::Cancelled, 3);
    writeln!(text, "cancelled {}", cancelled.0).unwrap();
    let genesis = inbox_genesis(shop, site("mitte").branch);
    writeln!(text, "genesis {genesis}").unwrap();
    let first = link(genesis, 1, payload_hash(&events()[0].canonical()));
    writeln!(text, "first {first}").unwrap();
    writeln!(text, "order {}", content().hash()).unwrap();
    writeln!(text, "order of one byte {}", order_hash(&[1])).unwrap();
    for (name, bytes) in messages() {
        writeln!(text, "{name} {}", hex(&bytes)).unwrap();
    }
    insta::assert_snapshot!("inbox_messages", text);
}

fn content() -> Content {
    let line = OrderLine { product_id: product("tea"), quantity_milli: 2_000 };
    Content { branch: site("mitte").branch, created_at: AT, lines: vec![line] }
}

fn cloud_rows() -> Vec<(cloud::Key, cloud::Record)> {
    let (shop, branch) = (site("mitte").shop, site("mitte").branch);
    let held = Held { content: content(), at: AT, cancelled: Some(AT), others: vec![content()] };
    let stored = Stored {
        chain: hash(1),
        from: Some(support::terminal_id()),
        at: AT,
        content: [1, 2, 3].as_slice().into(),
    };
    let fixed = Buffer::Fixed { milli: Milli(300) };
    let rows = vec![
        (InboxKey::Head(shop, branch), InboxRecord::Head(Head { seq: 300, chain: hash(1) })),
        (InboxKey::Event(shop, branch, 300), InboxRecord::Event(stored)),
        (
            InboxKey::Ack(shop, branch, support::terminal_id()),
            InboxRecord::Ack(Acked { through: 300, at: AT }),
        ),
        (InboxKey::Order(shop, order_id("web-7")), InboxRecord::Order(held)),
        (InboxKey::Buffer(shop, branch, None), InboxRecord::Buffer(Buffer::Share { ppm: 300 })),
        (InboxKey::Buffer(shop, branch, Some(product("tea"))), InboxRecord::Buffer(fixed)),
        (InboxKey::Relay(shop, branch), InboxRecord::Relay(true)),
    ];
    rows.into_iter().map(|(key, record)| (key.into(), record.into())).collect()
}

fn till_rows() -> Vec<(terminal::Key, terminal::Record)> {
    use terminal::{Key, Record};
    let [event, sale] = events();
    let movement = |event: &InboxEvent| Movement {
        event: event.id,
        product: event.product,
        delta: event.delta,
        reference: ReferenceV1::of(event.reference),
        created_at: event.created_at,
        applied_at: AT,
        stock: Milli(-300),
        review: true,
    };
    let review = Review { since: AT, first: 300, movements: 2, lowest: Milli(-300) };
    let cursor = Cursor { seq: 300, chain: hash(2) };
    vec![
        (Key::Movement(300), Record::Movement(movement(&event))),
        (Key::Movement(301), Record::Movement(movement(&sale))),
        (Key::Applied(event.id), Record::Applied(300)),
        (Key::Review(product("tea")), Record::Review(review)),
        (Key::Inbox, Record::Inbox(InboxState { cursor, movements: 301, restarts: 1 })),
    ]
}

fn rows<M>(rows: &[(M::Key, M::Record)]) -> String
where
    M: Persist<Key: std::fmt::Debug, Record: std::fmt::Debug + PartialEq>,
{
    let mut text = String::new();
    for (key, record) in rows {
        let (mut key_bytes, mut bytes) = (Vec::new(), Vec::new());
        M::key_bytes(key, &mut key_bytes);
        M::record_bytes(record, &mut bytes);
        assert!(M::record_from_bytes(key, &bytes).is_ok_and(|read| read == *record));
        for other in rows.iter().map(|(other, _)| other) {
            let mut other_bytes = Vec::new();
            M::key_bytes(other, &mut other_bytes);
            if other_bytes[0] != key_bytes[0] {
                assert!(M::record_from_bytes(other, &bytes).is_err(), "{key:?} under {other:?}");
            }
        }
        for length in 0..bytes.len() {
            assert!(M::record_from_bytes(key, &bytes[..length]).is_err(), "{key:?} cut short");
        }
        writeln!(text, "{key:?}\n  key    {}\n  record {}", hex(&key_bytes), hex(&bytes)).unwrap();
    }
    text
}

#[test]
fn rows_of_the_cloud() {
    insta::assert_snapshot!("inbox_cloud_rows", rows::<Cloud>(&cloud_rows()));
}

#[test]
fn rows_of_a_till() {
    insta::assert_snapshot!("inbox_till_rows", rows::<Terminal>(&till_rows()));
}

/// Found by fuzzing: the hash of an event is over its bytes, so it may have one form only.
#[test]
fn an_event_with_a_number_in_a_longer_form_is_refused() {
    let [_, sale] = events();
    let bytes = sale.canonical();
    let at = bytes.windows(3).position(|part| part == [0xfb, 0x58, 0x02]).unwrap();
    for longer in [&[0xfc, 0x58, 0x02, 0, 0][..], &[0xfd, 0x58, 0x02, 0, 0, 0, 0, 0, 0]] {
        let mut other = bytes.clone();
        other.splice(at..at + 3, longer.iter().copied());
        assert_eq!(InboxEvent::from_canonical(&other), Err(InboxEventError::NotCanonical));
    }
    assert_eq!(InboxEvent::from_canonical(&bytes), Ok(sale));
}

#[test]
fn an_event_of_the_longest_names_keeps_its_bound() {
    let longest = Label::parse(&"~".repeat(36)).unwrap();
    let key = EventKey {
        terminal: TerminalId(longest),
        pos: counterfoil_protocol::identity::PosId(longest),
        local_id: counterfoil_protocol::identity::LocalEventId(longest),
    };
    for delta in [MILLI_MAX, -MILLI_MAX] {
        let event = InboxEvent {
            id: EventId(hash(255)),
            created_at: Millis(u64::MAX),
            product: ProductId(longest),
            delta: Milli(delta),
            reference: Reference::Sale(key),
        };
        assert!(event.canonical().len() <= INBOX_EVENT_BYTES_MAX);
        assert_eq!(InboxEvent::from_canonical(&event.canonical()), Ok(event));
    }
    for delta in [0, MILLI_MAX + 1, -MILLI_MAX - 1, i64::MIN] {
        let mut wire = counterfoil_protocol::wire::inbox::InboxEventV1::of(&events()[0]);
        wire.delta_milli = delta;
        assert_eq!(InboxEvent::parse(wire), Err(InboxEventError::Delta));
    }
}

#[test]
fn a_page_keeps_its_bounds_and_its_order() {
    let check = |change: &dyn Fn(&mut PendingPage)| {
        let mut page = page();
        change(&mut page);
        PendingAnswer::decode(&PendingAnswer::Page(page).encode()).map(|_| ())
    };
    assert_eq!(check(&|_| {}), Ok(()));
    assert_eq!(check(&|page| page.events.clear()), Ok(()), "a till's own events leave gaps");
    let order = Err(MessageError::Order);
    assert_eq!(check(&|page| page.events.swap(0, 1)), order);
    assert_eq!(check(&|page| page.events[1].at.seq = 300), order);
    assert_eq!(check(&|page| page.after.seq = 300), order);
    assert_eq!(check(&|page| page.to.seq = 300), order);
    assert_eq!(check(&|page| page.head = 301), order);
    assert_eq!(check(&|page| page.acked = 304), order);
    let long: std::sync::Arc<[u8]> = vec![0; PENDING_BYTES_MAX + 1].into();
    assert_eq!(check(&|page| page.events[0].content = long.clone()), Err(MessageError::Bytes));
    let many = |page: &mut PendingPage| {
        let event = |seq| PendingV1 { at: Cursor { seq, chain: hash(0) }, content: [].into() };
        page.events = (18..=18 + PENDING_EVENTS_MAX as u64).map(event).collect();
        page.head = u64::MAX;
        page.to.seq = u64::MAX;
    };
    assert_eq!(check(&many), Err(MessageError::Parts));
}

/// Reads bytes as everything of the inbox that comes from a network or a file; what is read is
/// taken in by a till without a panic.
fn read_all(bytes: &[u8]) {
    let _ = InboxEvent::from_canonical(bytes);
    let _ = (Ack::decode(bytes), AckAnswer::decode(bytes));
    if let Ok(answer) = PendingAnswer::decode(bytes) {
        let mut till = support::Till::install(1);
        let delivered = terminal::inbox::Input::Delivered(read(answer));
        till.run(AT, terminal::Input::Inbox(delivered));
    }
    for (key, _) in cloud_rows() {
        let _ = Cloud::record_from_bytes(&key, bytes);
    }
    for (key, _) in till_rows() {
        let _ = Terminal::record_from_bytes(&key, bytes);
    }
    let _ = (Cloud::key_from_bytes(bytes), Terminal::key_from_bytes(bytes));
}

fn label() -> impl Strategy<Value = Label> {
    prop_oneof!["[!a~]{1,4}", "[!a~]{36}", "[!-~]{1,36}"].prop_map(|t| Label::parse(&t).unwrap())
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..3, 254_u64..258, any::<u64>(), Just(u64::MAX)]
}

fn cloud_key() -> impl Strategy<Value = cloud::Key> {
    let site = || (label().prop_map(ShopId), label().prop_map(BranchId));
    let key = prop_oneof![
        site().prop_map(|(s, b)| InboxKey::Head(s, b)),
        (site(), number()).prop_map(|((s, b), seq)| InboxKey::Event(s, b, seq)),
        (site(), label()).prop_map(|((s, b), id)| InboxKey::Ack(s, b, TerminalId(id))),
        (label(), label()).prop_map(|(s, id)| InboxKey::Order(ShopId(s), OrderId(id))),
        (site(), prop::option::of(label().prop_map(ProductId)))
            .prop_map(|((s, b), product)| InboxKey::Buffer(s, b, product)),
        site().prop_map(|(s, b)| InboxKey::Relay(s, b)),
    ];
    prop_oneof![
        4 => key.prop_map(cloud::Key::Inbox),
        1 => site().prop_map(|(s, b)| cloud::Key::BranchDigest(s, b)),
    ]
}

fn till_key() -> impl Strategy<Value = terminal::Key> {
    use terminal::Key;
    prop_oneof![
        Just(Key::Inbox),
        Just(Key::Catalog),
        number().prop_map(Key::Movement),
        any::<[u8; 32]>()
            .prop_map(|bytes| { Key::Applied(EventId(counterfoil_protocol::hash::Hash(bytes))) }),
        label().prop_map(|product| Key::Review(ProductId(product))),
        label().prop_map(|product| Key::Stock(ProductId(product))),
    ]
}

fn check_pair<M: Persist<Key: std::fmt::Debug>>(a: &M::Key, b: &M::Key) {
    let bytes = |key: &M::Key| {
        let mut bytes = Vec::new();
        M::key_bytes(key, &mut bytes);
        bytes
    };
    let (bytes_a, bytes_b) = (bytes(a), bytes(b));
    assert_eq!(bytes_a.cmp(&bytes_b), a.cmp(b), "order of {a:?} and {b:?}");
    assert!(bytes_a.len() <= KEY_BYTES_MAX, "{a:?} is short");
    assert!(M::key_from_bytes(&bytes_a).is_ok_and(|read| read == *a), "{a:?} reads back");
    assert!(M::key_from_bytes(&[&bytes_a[..], &[0]].concat()).is_err(), "{a:?} and a byte");
    assert!(M::key_from_bytes(&bytes_a[..bytes_a.len() - 1]).is_err(), "{a:?} cut short");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn order_of_bytes_is_order_of_keys(a in cloud_key(), b in cloud_key(),
                                       c in till_key(), d in till_key()) {
        check_pair::<Cloud>(&a, &b);
        check_pair::<Terminal>(&c, &d);
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
        read_all(&[&[1][..], &bytes].concat());
    }

    #[test]
    fn damaged_messages_are_refused_or_read(
        which in 0..6_usize, at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut all: Vec<Vec<u8>> = messages().into_iter().map(|(_, bytes)| bytes).collect();
        all.extend(events().map(|event| event.canonical()));
        let mut bytes = all[which].clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read_all(&bytes);
        bytes.insert(at, byte);
        read_all(&bytes);
    }
}
