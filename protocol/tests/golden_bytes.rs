//! The bytes that must never change: what is hashed, what travels, what is stored. A snapshot that
//! differs is a new version of the format, not a snapshot to accept.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::fmt::Write as _;

use counterfoil_protocol::catalog::{CatalogEdit, Digest, EntityId, FieldChange, FieldValue};
use counterfoil_protocol::cloud::row as cloud_row;
use counterfoil_protocol::cloud::{self, Cloud, row::server_id};
use counterfoil_protocol::codec;
use counterfoil_protocol::event::{Body, Event, Figures};
use counterfoil_protocol::hash::{Hash, genesis, link, payload_hash, secret_hash};
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::journal::Segment;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::money::{Milli, Minor};
use counterfoil_protocol::persist::Persist;
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::terminal::edits::{Told, Waiting};
use counterfoil_protocol::terminal::row as till_row;
use counterfoil_protocol::terminal::{self, Identity, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::edit::FieldValueV1;
use counterfoil_protocol::wire::event::{EventV1, ReceiptV1};
use counterfoil_protocol::wire::message::{
    EditOutcome, Edited, Hello, HelloLane, ItemResult, ParentV1, Point, Push, PushAnswer, PushItem,
    ServerId, Standing, Stopped, Verdict, Welcome, WelcomeLane,
};
use insta::assert_snapshot;
use support::rows::{entries, event};
use support::{
    Till, adjustment, draft, key_of, local, pos, product, refund, sale, site, terminal_id,
};

const EPOCH: Epoch = Epoch { number: 2, nonce: 0x0102_0304_0506_0708 };
const PARENT: ParentV1 = ParentV1 { epoch: Epoch { number: 1, nonce: 7 }, common: 300 };
const HASH: Hash = Hash([0xab; 32]);
const DIGEST: Digest = Digest { count: 2, lanes: [1, 2, 3, u64::MAX] };
const CONTENT: [u8; 3] = [1, 2, 3];
const OUTCOMES: [EditOutcome; 5] = [
    EditOutcome::Taken,
    EditOutcome::Overwrote,
    EditOutcome::ServerOwned,
    EditOutcome::Deleted,
    EditOutcome::Unknown,
];
const AT: Millis = Millis(1_700_000_000_000);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The sale, the refund and the adjustment that the other snapshots are made of.
fn events() -> Vec<Event> {
    let mut till = Till::install(7);
    till.sell(AT, sale("a", "tea"));
    till.sell(AT, refund("b", "tea", Some(key_of("1", "a"))));
    till.sell(AT, adjustment("c", "tea", -300));
    entries(&till).values().map(|entry| event(&entry.payload)).collect()
}

/// An edit with a field of each owner.
fn catalog_edit() -> Event {
    let value = |wire| FieldValue::parse(wire).unwrap();
    let change = |from, to| FieldChange::new(value(from), value(to)).unwrap();
    let changes = vec![
        change(FieldValueV1::Name("Tea".into()), FieldValueV1::Name("Green tea".into())),
        change(FieldValueV1::PriceMinor(149), FieldValueV1::PriceMinor(1)),
    ];
    let edit = CatalogEdit::new(EntityId::product(product("tea")), 7, changes).unwrap();
    let mut till = Till::install(7);
    till.sell(AT, draft("1", "d", Body::CatalogEdited(edit)));
    entries(&till).values().map(|entry| event(&entry.payload)).next().unwrap()
}

/// Edits came later: they have a snapshot of their own.
#[test]
fn catalog_edits() {
    let event = catalog_edit();
    let mut text = String::new();
    writeln!(text, "{} {}", event.kind(), hex(&event.canonical())).unwrap();
    writeln!(text, "payload {}", payload_hash(&event.canonical())).unwrap();
    writeln!(text, "{}", serde_json::to_string(&EventV1::from_event(&event)).unwrap()).unwrap();
    let values = [
        FieldValueV1::Name("Tea".into()),
        FieldValueV1::Unit(Label::parse("kg").unwrap()),
        FieldValueV1::Category(None),
        FieldValueV1::PriceMinor(149),
        FieldValueV1::Currency("GBP".into()),
        FieldValueV1::TaxPpm(200_000),
        FieldValueV1::Active(true),
        FieldValueV1::Barcodes(vec![Label::parse("400").unwrap()]),
    ];
    for value in values {
        let json = serde_json::to_string(&value).unwrap();
        writeln!(text, "{} {json}", hex(&codec::encode(1, &value))).unwrap();
    }
    for outcome in OUTCOMES {
        let edited = Edited { server_id: ServerId(HASH), version: 300, outcome };
        let results = vec![ItemResult { seq: 300, verdict: Verdict::Edited(edited) }];
        let answer = PushAnswer { head: 300, results, stopped: None };
        let json = serde_json::to_string(&answer).unwrap();
        writeln!(text, "{} {json}", hex(&answer.encode())).unwrap();
    }
    assert_snapshot!("catalog_edits", text);
}

#[test]
fn events_and_their_hashes() {
    let mut text = String::new();
    let epoch = Epoch { number: 1, nonce: 7 };
    let mut chain = genesis(terminal_id(), epoch);
    writeln!(text, "genesis {chain}").unwrap();
    for (seq, event) in (1..).zip(events()) {
        let payload = payload_hash(&event.canonical());
        chain = link(chain, seq, payload);
        writeln!(text, "\n{} {}", event.kind(), hex(&event.canonical())).unwrap();
        writeln!(text, "payload {payload}\nchain {chain}").unwrap();
    }
    writeln!(text, "\nsecret {}", secret_hash(b"secret")).unwrap();
    writeln!(text, "server id {}", server_id(site().shop, &key_of("1", "a")).0).unwrap();
    assert_snapshot!("events", text);
}

#[test]
fn events_as_json() {
    let wire: Vec<_> = events().iter().map(EventV1::from_event).collect();
    assert_snapshot!("events_json", serde_json::to_string_pretty(&wire).unwrap());
}

fn hello() -> Hello {
    let points = vec![Point { seq: 300, hash: HASH }, Point { seq: 299, hash: Hash::default() }];
    let closed = HelloLane {
        epoch: PARENT.epoch,
        parent: None,
        acked: 0,
        points: vec![Point { seq: 0, hash: HASH }],
    };
    Hello {
        terminal_id: terminal_id(),
        versions: vec![1],
        app: "test".into(),
        clock_ms: AT.0,
        lanes: vec![HelloLane { epoch: EPOCH, parent: Some(PARENT), acked: 299, points }, closed],
    }
}

fn welcome() -> Welcome {
    let standings = [
        Standing::InStep,
        Standing::TillAhead,
        Standing::CloudLostTail,
        Standing::TillLostTail,
        Standing::Forked,
    ];
    let lane = |standing| WelcomeLane {
        epoch: EPOCH,
        head: Point { seq: 300, hash: HASH },
        common: 299,
        standing,
    };
    Welcome {
        version: 1,
        server_time_ms: AT.0,
        push_items_max: 500,
        push_bytes_max: 1 << 20,
        lanes: standings.map(lane).into(),
    }
}

fn push() -> Push {
    let item = PushItem { seq: 300, chain_hash: HASH, payload: events()[0].canonical().into() };
    Push { terminal_id: terminal_id(), epoch: EPOCH, items: vec![item] }
}

fn answers() -> Vec<PushAnswer> {
    let id = ServerId(HASH);
    let verdicts = [
        Verdict::Created(id),
        Verdict::Existing(id),
        Verdict::Parked(ErrorCode::ProductUnknown),
        Verdict::Refused(ErrorCode::EventInvalid),
    ];
    let results: Vec<_> =
        (299..).zip(verdicts).map(|(seq, verdict)| ItemResult { seq, verdict }).collect();
    let empty = |stopped| PushAnswer { head: 298, results: Vec::new(), stopped: Some(stopped) };
    vec![
        PushAnswer { head: 302, results, stopped: None },
        empty(Stopped::Gap),
        empty(Stopped::Forked),
        empty(Stopped::UnknownEpoch),
    ]
}

#[test]
fn messages() {
    let mut text = String::new();
    writeln!(text, "hello {}", hex(&hello().encode())).unwrap();
    writeln!(text, "welcome {}", hex(&welcome().encode())).unwrap();
    writeln!(text, "push {}", hex(&push().encode())).unwrap();
    for answer in answers() {
        writeln!(text, "answer {}", hex(&answer.encode())).unwrap();
    }
    assert_snapshot!("messages", text);
}

#[test]
fn messages_as_json() {
    let mut text = String::new();
    writeln!(text, "{}", serde_json::to_string_pretty(&hello()).unwrap()).unwrap();
    writeln!(text, "{}", serde_json::to_string_pretty(&welcome()).unwrap()).unwrap();
    writeln!(text, "{}", serde_json::to_string(&push()).unwrap()).unwrap();
    for answer in answers() {
        writeln!(text, "{}", serde_json::to_string(&answer).unwrap()).unwrap();
    }
    assert_snapshot!("messages_json", text);
}

fn rows<M>(rows: Vec<(M::Key, M::Record)>) -> String
where
    M: Persist<Key: std::fmt::Debug, Record: std::fmt::Debug + PartialEq>,
{
    let mut text = String::new();
    for (key, record) in rows {
        let (mut key_bytes, mut record_bytes) = (Vec::new(), Vec::new());
        M::key_bytes(&key, &mut key_bytes);
        M::record_bytes(&record, &mut record_bytes);
        assert!(M::record_from_bytes(&key, &record_bytes).is_ok_and(|read| read == record));
        writeln!(text, "{key:?}").unwrap();
        writeln!(text, "  key    {}", hex(&key_bytes)).unwrap();
        writeln!(text, "  record {}", hex(&record_bytes)).unwrap();
    }
    text
}

fn meta() -> till_row::Meta {
    let closed = till_row::Closed {
        epoch: PARENT.epoch,
        parent: None,
        head: 301,
        hash: HASH,
        kept: 300,
        next: 302,
        queue: true,
    };
    till_row::Meta {
        identity: Identity { shop: site().shop, branch: site().branch, terminal: terminal_id() },
        install: 1,
        boot: 300,
        boot_before: 70_000,
        epoch: EPOCH,
        parent: Some(PARENT),
        head: 9,
        hash: HASH,
        acked: 8,
        closed: vec![closed],
        quarantined: Some(Denial::Revoked),
    }
}

fn local_edits() -> terminal::LocalEdits {
    let waiting = Waiting {
        entity: EntityId::product(product("tea")),
        value: FieldValueV1::Name("Green tea".into()),
        pos: pos("1"),
        local_id: local("d"),
        decided: Some(300),
        unused: Some(7),
    };
    let outcome = EditOutcome::Overwrote;
    let told = Told { pos: pos("1"), local_id: local("d"), outcome, version: 300 };
    terminal::LocalEdits { waiting: vec![waiting], told: vec![told] }
}

#[test]
fn till_rows() {
    use terminal::{Key, Place, Record};
    let place = Place { epoch: EPOCH, seq: 9 };
    let entry = |state| till_row::Entry {
        pos: pos("1"),
        local_id: local("a"),
        payload_hash: HASH,
        chain: Hash::default(),
        payload: [1, 2, 3].into(),
        state,
    };
    let queued = till_row::Queued { attempts: 1, due: AT, code: Some(ErrorCode::ProductUnknown) };
    let attention = till_row::Attention { attempts: 5, code: ErrorCode::EventInvalid, since: AT };
    let receipt = Some(ReceiptV1 { series: EPOCH, number: 300 });
    let at = Key::Entry(EPOCH, 9);
    let progress = till_row::Progress { pinned: Some(7), after: None, digest: DIGEST };
    let catalog = till_row::CatalogState {
        version: Some(6),
        digest: DIGEST,
        progress: Some(progress),
        proven: true,
        drifts: 1,
    };
    assert_snapshot!(
        "till_rows",
        rows::<Terminal>(vec![
            (Key::Meta, Record::Meta(meta())),
            (at, Record::Entry(entry(till_row::State::Open))),
            (at, Record::Entry(entry(till_row::State::Synced(ServerId(HASH))))),
            (at, Record::Entry(entry(till_row::State::Moved(place)))),
            (Key::Queue(EPOCH, 9), Record::Queue(queued)),
            (Key::Queue(EPOCH, 9), Record::Queue(till_row::Queued { code: None, ..queued })),
            (Key::Attention(EPOCH, 9), Record::Attention(attention)),
            (
                Key::Local(pos("1"), local("a")),
                Record::Local(till_row::Known { place, payload_hash: HASH, receipt }),
            ),
            (Key::Series(pos("1")), Record::Series(till_row::Series { epoch: EPOCH, last: 300 })),
            (
                Key::Stock(product("tea")),
                Record::Stock(till_row::Stock { quantity: Milli(-2_500), movements: 4 }),
            ),
            (Key::Catalog, Record::Catalog(catalog)),
            (
                Key::Item(EntityId::product(product("tea"))),
                Record::Item(till_row::CatalogItem { version: 7, content: CONTENT.into() }),
            ),
            (Key::LocalEdits, Record::LocalEdits(local_edits())),
        ])
    );
}

#[test]
fn cloud_rows() {
    use cloud::{Key, Record};
    let id = terminal_id();
    let key = key_of("1", "a");
    let figures = Figures { events: 1, lines: 2, quantity: Milli(2_000), money: Minor(-510) };
    let ledger = |fate| cloud_row::Ledger {
        site: site(),
        payload_hash: HASH,
        payload: [1, 2, 3].into(),
        epoch: EPOCH,
        seq: 9,
        at: AT,
        fate,
    };
    let kept = cloud_row::Kept { epoch: EPOCH, seq: 9, at: AT, payload: vec![1, 2, 3] };
    let terminal = cloud_row::Terminal {
        site: site(),
        secret: HASH,
        expires_at: Some(AT),
        revoked: false,
        lanes: 2,
        since: AT,
    };
    let lane = cloud_row::Lane {
        head: 9,
        hash: HASH,
        parent: Some(PARENT),
        since: AT,
        seen: AT,
        posted: figures,
    };
    let fork = cloud_row::Fork { common: 1, cloud_head: 2, successor: EPOCH, at: AT };
    let mut segment = Segment::new(HASH);
    segment.push(1, Hash::default(), Hash::default());
    let parked = cloud_row::Fate::Parked(ErrorCode::OriginalPending);
    let stock = cloud_row::Stock { quantity: Milli(-2_500), movements: 4 };
    let feed = cloud_row::Feed { version: 7, digest: DIGEST };
    let lease = cloud_row::Lease { version: 6, seen: AT };
    let floor = cloud_row::Floor { version: 4, swept: 5, leases: 3 };
    let item = |content| Record::Item(cloud_row::Item { version: 7, index: 1, content, at: AT });
    let tea = EntityId::product(product("tea"));
    let tea_price = EntityId::branch_price(product("tea"));
    let taken = cloud::FieldNote {
        to: FieldValueV1::Name("Green tea".into()),
        stood: Some(FieldValueV1::Name("Tea".into())),
        outcome: EditOutcome::Overwrote,
    };
    let fields = vec![taken];
    let note = cloud::EditNote { entity: tea, base_version: 7, version: 300, at: AT, fields };
    let moved = Record::Movements([cloud_row::Moved { product: product("tea"), by: stock }].into());
    assert_snapshot!(
        "cloud_rows",
        rows::<Cloud>(vec![
            (Key::Terminal(id), Record::Terminal(terminal)),
            (Key::Lane(id, EPOCH), Record::Lane(lane)),
            (Key::Segment(id, EPOCH, 0), Record::Segment(segment)),
            (Key::Ledger(key), Record::Ledger(ledger(cloud_row::Fate::Posted))),
            (Key::Ledger(key), Record::Ledger(ledger(parked))),
            (Key::Conflict(key, HASH), Record::Conflict(kept.clone())),
            (Key::Opaque(id, EPOCH, 9), Record::Opaque(kept)),
            (Key::Stock(site().shop, site().branch, product("tea")), Record::Stock(stock)),
            (Key::Fork(id, EPOCH, HASH), Record::Fork(fork)),
            (Key::Product(site().shop, product("tea")), Record::Product),
            (Key::Movements(site().shop, site().branch, ServerId(HASH)), moved),
            (Key::Feed(site().shop), Record::Feed(feed)),
            (Key::BranchDigest(site().shop, site().branch), Record::BranchDigest(DIGEST)),
            (Key::Item(site().shop, None, tea), item(Some(CONTENT.into()))),
            (Key::Item(site().shop, Some(site().branch), tea_price), item(None)),
            (Key::Change(site().shop, None, 7, 1), Record::Change(tea)),
            (Key::Change(site().shop, Some(site().branch), 7, 2), Record::Change(tea_price)),
            (Key::EditNote(site().shop, key), Record::EditNote(note)),
            (Key::SketchSecret(site().shop), Record::SketchSecret(*b"sixteen bytes...")),
            (Key::Lease(site().shop, site().branch, id), Record::Lease(lease)),
            (Key::Floor(site().shop), Record::Floor(floor)),
        ])
    );
}

#[test]
fn stored_numbers_of_codes_and_denials() {
    let mut text = String::new();
    for code in ErrorCode::ALL {
        let bytes = codec::encode(1, code);
        assert_eq!(bytes, [1, *code as u8], "{code}: the number and its place are the same");
        writeln!(text, "{} {} {}", *code as u8, code, code.status()).unwrap();
    }
    for denial in
        [Denial::UnknownTerminal, Denial::Revoked, Denial::Expired, Denial::WrongCredential]
    {
        let bytes = codec::encode(1, &denial);
        let json = serde_json::to_string(&denial).unwrap();
        writeln!(text, "{} {json} quarantines: {}", hex(&bytes), denial.quarantines()).unwrap();
    }
    assert_snapshot!("codes", text);
}
