//! What a back office reads of PostgreSQL is what the events say: of every kind, and of rows that
//! an older version has written.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use counterfoil_protocol::cloud::row::{Fate, Ledger, Moved, Stock};
use counterfoil_protocol::cloud::{Cloud, Key, Record, Site};
use counterfoil_protocol::event::{Body, Correction, Event, Line, Payment, Tender, Trade};
use counterfoil_protocol::hash::{Hash, payload_hash};
use counterfoil_protocol::identity::{BranchId, Epoch, ProductId, ShopId, TerminalId};
use counterfoil_protocol::machine::{Query as _, Store as _, Writes};
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::ServerId;
use counterfoil_storage::{KeyValue, Postgres, Read as _, Url};
use serde_json::{Value, json};
use support::now;
use support::postgres::Cluster;

const PAGE: &str = include_str!("../../docs/wire.md");
const TAKEN: u64 = 1_760_000_000_000;

/// The events of `docs/wire.md`: one of each kind but an edit of the catalog.
fn events() -> Vec<Vec<u8>> {
    let blocks = PAGE.split("```vector canonical ").skip(1);
    let events = blocks.map(|block| {
        let (_, rest) = block.split_once('\n').unwrap();
        let digits: String = rest.split("```").next().unwrap().split_whitespace().collect();
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect()
    });
    let events: Vec<Vec<u8>> = events.collect();
    assert_eq!(events.len(), 8, "each vector is found");
    events
}

fn site() -> Site {
    let (shop, branch) = (ShopId::parse("acme").unwrap(), BranchId::parse("north").unwrap());
    Site { shop, branch }
}

fn till() -> TerminalId {
    TerminalId::parse("T-1").unwrap()
}

fn row(seq: u64, payload: &[u8], fate: Fate) -> (Key, Ledger) {
    let event = Event::from_canonical(payload).unwrap();
    let entry = Ledger {
        site: site(),
        payload_hash: payload_hash(payload),
        payload: Arc::from(payload),
        epoch: Epoch { number: 3, nonce: u64::MAX },
        seq,
        at: Millis(TAKEN),
        fate,
    };
    (Key::Ledger(event.key(till())), entry)
}

fn write(store: &mut KeyValue<Cloud, Postgres>, mut rows: Vec<(Key, Record)>) {
    rows.sort_by_key(|(key, _)| *key);
    let keys = rows.iter().map(|(key, _)| *key).collect();
    let writes = || -> Writes<Cloud> {
        rows.iter().map(|(key, record)| (*key, Some(Arc::new(record.clone())))).collect()
    };
    now(store.transact(keys, |_| writes())).unwrap();
}

/// What the views say of an event, made from the event.
fn expected(seq: u64, payload: &[u8], state: &str) -> Value {
    let event = Event::from_canonical(payload).unwrap();
    let trade: Option<(&Trade, i64)> = match event.body() {
        Body::Sale(trade) | Body::Correction(Correction { trade, .. }) => Some((trade, 1)),
        Body::Refund { trade, .. } => Some((trade, -1)),
        Body::Adjustment(_)
        | Body::SessionOpened(_)
        | Body::CashMoved(_)
        | Body::SessionClosed(_)
        | Body::CatalogEdited(_) => None,
    };
    let mut lines: Option<Value> = trade.map(|(trade, sign)| {
        let line = |line: &Line| {
            json!({
                "product": line.product.to_string(),
                "name": line.name,
                "quantityMilli": sign * line.quantity.0,
                "unitPriceMinor": line.unit_price.0,
                "discountMinor": line.discount.0,
                "taxPpm": line.tax_ppm,
                "amountMinor": sign * line.amount().0,
            })
        };
        trade.lines.iter().map(line).collect()
    });
    if let Body::Adjustment(adjustment) = event.body() {
        let line = |product: String, delta: i64| {
            let quantity = -delta;
            json!({ "product": product, "quantityMilli": quantity })
        };
        let moved = adjustment.lines.iter();
        lines = Some(moved.map(|of| line(of.product.to_string(), of.delta.0)).collect());
    }
    let payments: Option<Value> = trade.map(|(trade, sign)| {
        let named = |tender| match tender {
            Tender::Cash => "cash",
            Tender::Card => "card",
            Tender::Other => "other",
        };
        let payment = |paid: &Payment| {
            json!({ "tender": named(paid.tender), "amountMinor": sign * paid.amount.0 })
        };
        trade.payments.iter().map(payment).collect()
    });
    let reference = event.reference().to_owned();
    json!({
        "terminal": "T-1", "pos": event.pos().to_string(),
        "local_id": event.local_id().to_string(), "shop": "acme", "branch": "north",
        "kind": event.kind(), "state": state, "payload_hash": payload_hash(payload).to_string(),
        "epoch": 3, "seq": seq, "at_ms": event.at().0, "taken_ms": TAKEN,
        "receipt": event.receipt().map(|receipt| receipt.number),
        "reference": (!reference.is_empty()).then_some(reference),
        "session": event.session().map(|session| session.to_string()),
        "original": event.original().map(|original| original.to_string()),
        "currency": event.body().currency().map(|currency| currency.as_str().to_owned()),
        "total_minor": trade.map(|_| event.figures().money.0),
        "lines": lines, "payments": payments,
    })
}

const ASKED: &str = "SELECT to_jsonb(e) - 'key' - 'record' - 'stamp' \
    FROM counterfoil.events e ORDER BY seq";

/// Asks as somebody who knows nothing of search paths.
fn said(cluster: &Cluster, address: &str, sql: &str) -> Vec<Value> {
    let told = cluster.query(address, &format!("RESET search_path; {sql}")).unwrap();
    told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn on_postgres_the_views_say_what_the_events_say() {
    let cluster = Cluster::shared();
    let address = cluster.database().unwrap();
    let postgres = Postgres::open(&Url::parse(&address).unwrap()).unwrap();
    let mut store = KeyValue::<Cloud, Postgres>::new(postgres);
    let events = events();
    let fates = [
        (Fate::Posted, "posted"),
        (Fate::Parked(ErrorCode::ProductUnknown), "POS_SYNC_PRODUCT_UNKNOWN"),
        (Fate::Rejected, "rejected"),
        (Fate::Refused(ErrorCode::OriginalPosted), "POS_SYNC_ORIGINAL_POSTED"),
    ];
    // Each number has its short form and its long ones.
    for (round, (fate, state)) in [1, 300, 70_000, 1 << 40].into_iter().zip(fates) {
        let rows = events.iter().zip(round..).map(|(payload, seq)| {
            let (key, entry) = row(seq, payload, fate);
            (key, Record::Ledger(entry))
        });
        write(&mut store, rows.collect());
        let told = said(cluster, &address, ASKED);
        let all: Vec<Value> = events
            .iter()
            .zip(round..)
            .map(|(payload, seq)| expected(seq, payload, state))
            .collect();
        assert_eq!(told, all, "{state}");
    }
    let sold = said(cluster, &address, "SELECT count(*) FROM counterfoil.sales");
    assert_eq!(sold, [json!(0)], "what is not posted is no sale");
}

#[test]
fn on_postgres_stock_is_the_sum_of_what_pushes_moved() {
    let cluster = Cluster::shared();
    let address = cluster.database().unwrap();
    let postgres = Postgres::open(&Url::parse(&address).unwrap()).unwrap();
    let mut store = KeyValue::<Cloud, Postgres>::new(postgres);
    let Site { shop, branch } = site();
    let products = ["coffee", "tea"].map(|name| ProductId::parse(name).unwrap());
    let moved = |by: i64| -> Vec<Moved> {
        let quantities = [-by, i64::from(i32::MAX) * by];
        let by = |quantity| Stock { quantity: Milli(quantity), movements: 300 };
        let each = products.iter().zip(quantities);
        each.map(|(product, quantity)| Moved { product: *product, by: by(quantity) }).collect()
    };
    let rows = [1, 2, 3].map(|push: u8| {
        let name = ServerId(Hash([push; 32]));
        (Key::Movements(shop, branch, name), Record::Movements(moved(i64::from(push))))
    });
    let held = Stock { quantity: Milli(10), movements: 1 };
    let stock = (Key::Stock(shop, branch, products[0]), Record::Stock(held));
    write(&mut store, rows.into_iter().chain([stock]).collect());
    let asked = "SELECT to_jsonb(s) FROM counterfoil.stock_now s ORDER BY product";
    let row = |product: &str, quantity: i64, movements: u64| {
        json!({ "shop": "acme", "branch": "north", "product": product,
            "quantity_milli": quantity, "movements": movements })
    };
    let expected = [row("coffee", 4, 901), row("tea", 6 * i64::from(i32::MAX), 900)];
    assert_eq!(said(cluster, &address, asked), expected);
}

#[test]
fn on_postgres_a_database_of_before_keeps_its_rows() {
    let cluster = Cluster::shared();
    let (written, old) = (cluster.database().unwrap(), cluster.database().unwrap());
    let payload = &events()[0];
    let (key, entry) = row(7, payload, Fate::Posted);
    let postgres = Postgres::open(&Url::parse(&written).unwrap()).unwrap();
    let mut store = KeyValue::<Cloud, Postgres>::new(postgres);
    write(&mut store, vec![(key, Record::Ledger(entry.clone()))]);
    let bytes = cluster.query(&written, "SELECT key, record FROM ledger").unwrap();
    let (raw_key, record) = bytes.split_once('|').unwrap();
    // As the version before has left it: its schema, and a row with all its columns.
    let frame = include_str!("../src/postgres/migrations/0001_frame.sql");
    let cloud = include_str!("../src/postgres/migrations/0002_cloud.sql");
    let left = format!(
        "CREATE SCHEMA counterfoil; {frame}; {cloud}; \
         CREATE TABLE migrations (number int PRIMARY KEY, name text NOT NULL, \
         applied_at timestamptz NOT NULL DEFAULT now()); \
         INSERT INTO migrations (number, name) VALUES (1, 'frame'), (2, 'cloud'); \
         INSERT INTO events (terminal, key, record, stamp, pos, local_id, shop, branch, kind, \
         state, payload_hash, epoch, seq, at_ms, taken_ms, total_minor, lines, payments) \
         VALUES ('T-1', '{raw_key}', '{record}', nextval('stamps'), '1', 'a', 'acme', 'north', \
         'sale', 'posted', 'of old', 3, 7, 1, {TAKEN}, 510, '[]', '[]')"
    );
    cluster.query(&old, &left).unwrap();
    let postgres = Postgres::open_existing(&Url::parse(&old).unwrap()).unwrap();
    let mut store = KeyValue::<Cloud, Postgres>::new(postgres);
    assert_eq!(now(store.get(&key)).unwrap(), Some(Record::Ledger(entry.clone())));
    assert_eq!(said(cluster, &old, ASKED), [expected(7, payload, "posted")]);
    // It can be written again, and read, and another beside it.
    let rejected = Ledger { fate: Fate::Rejected, ..entry };
    let (other, second) = row(8, &events()[1], Fate::Posted);
    write(&mut store, vec![(key, Record::Ledger(rejected)), (other, Record::Ledger(second))]);
    let both = [expected(7, payload, "rejected"), expected(8, &events()[1], "posted")];
    assert_eq!(said(cluster, &old, ASKED), both);
    assert!(store.engine().get(b"\x04nobody\0").unwrap().is_none());
}
