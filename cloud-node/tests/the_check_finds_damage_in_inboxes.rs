//! The check holds orders, inboxes and stock against each other, and names each planted damage.

mod support;

use counterfoil_cloud::{audit, export};
use counterfoil_protocol::cloud::{InboxKey, InboxRecord, Key, Record};
use counterfoil_protocol::time::Millis;
use serde_json::{Value, json};
use support::rows::Rows;
use support::start;

fn order(id: &str, lines: &[(&str, i64)]) -> Value {
    let line = |(id, milli): &(&str, i64)| json!({ "productId": id, "quantityMilli": milli });
    let lines: Vec<Value> = lines.iter().map(line).collect();
    let (shop, branch) = ("shop", "mitte");
    json!({ "shopId": shop, "branchId": branch, "orderId": id, "createdAtMs": 7, "lines": lines })
}

/// Two orders, one of them cancelled, beside a till that sells and is relayed.
async fn honest() -> Rows {
    let node = start();
    let two = order("web-2", &[("tea", 1_000), ("milk", 2_000)]);
    for body in [order("web-1", &[("tea", 500), ("tea", 250)]), two] {
        assert_eq!(node.admin("/v1/admin/orders", body).await.status, 201);
    }
    let cancel = json!({ "shopId": "shop", "branchId": "mitte", "createdAtMs": 9 });
    assert_eq!(node.admin("/v1/admin/orders/web-2/cancel", cancel).await.status, 200);
    let mut till = node.till("T-1").await;
    node.greet(&till).await;
    let items = vec![till.sell("s1"), till.sell("s2")];
    node.push(&till, items).await;
    Rows::of(&node)
}

async fn laws(rows: &Rows) -> Vec<&'static str> {
    let report = audit::check(rows).await.expect("readable");
    let mut laws: Vec<_> = report.problems.iter().map(|problem| problem.law).collect();
    laws.sort_unstable();
    laws.dedup();
    laws
}

#[tokio::test]
async fn orders_are_counted_and_clean() {
    let rows = honest().await;
    let report = audit::check(&rows).await.expect("readable");
    assert_eq!((report.orders, report.inbox_events, &report.problems[..]), (2, 6, &[][..]));
    let mut lines = Vec::new();
    let summary = export::export(&rows, &mut lines).await.expect("written");
    assert_eq!(summary.events, 2, "an order is no event of a till");
    let lines = String::from_utf8(lines).expect("JSON");
    let last: Value = serde_json::from_str(lines.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["orderId"], &last["site"]["branch"]), (&json!("web-2"), &json!("mitte")));
    assert!(last["cancelledAtMs"].is_u64(), "{last}");
}

fn inbox(rows: &mut Rows, is: fn(&InboxKey) -> bool) -> &mut InboxRecord {
    let found = rows.0.iter_mut().find_map(|(key, record)| match (key, record) {
        (Key::Inbox(key), Record::Inbox(record)) if is(key) => Some(record),
        _ => None,
    });
    found.expect("a row of the kind")
}

/// A name, the damage, and the laws that it breaks.
type Case = (&'static str, fn(&mut Rows), &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "an order says another quantity",
        |rows| {
            let InboxRecord::Order(held) = inbox(rows, |key| matches!(key, InboxKey::Order(..)))
            else {
                panic!("an order")
            };
            held.content.lines[0].quantity_milli += 1;
        },
        &["StockIsSum"],
    ),
    (
        "an order is gone",
        |rows| {
            let first = rows.0.keys().find(|k| matches!(k, Key::Inbox(InboxKey::Order(..))));
            let first = *first.expect("an order");
            rows.0.remove(&first);
        },
        &["StockIsSum"],
    ),
    (
        "an order is cancelled, and its goods are not back",
        |rows| {
            let InboxRecord::Order(held) = inbox(rows, |key| matches!(key, InboxKey::Order(..)))
            else {
                panic!("an order")
            };
            held.cancelled = Some(Millis(1));
        },
        &["StockIsSum"],
    ),
    (
        "an event is gone",
        |rows| {
            rows.0.retain(|key, _| !matches!(key, Key::Inbox(InboxKey::Event(_, _, 2))));
        },
        &["InboxOnce", "StockIsSum"],
    ),
    (
        "an event has another chain",
        |rows| {
            let InboxRecord::Event(event) =
                inbox(rows, |key| matches!(key, InboxKey::Event(_, _, 2)))
            else {
                panic!("an event")
            };
            event.chain.0[0] ^= 1;
        },
        &["InboxOnce"],
    ),
    (
        "an event is none",
        |rows| {
            let InboxRecord::Event(event) =
                inbox(rows, |key| matches!(key, InboxKey::Event(_, _, 2)))
            else {
                panic!("an event")
            };
            event.content = [9, 9].as_slice().into();
        },
        &["InboxOnce", "StockIsSum"],
    ),
    (
        "the head is gone",
        |rows| rows.0.retain(|key, _| !matches!(key, Key::Inbox(InboxKey::Head(..)))),
        &["InboxOnce"],
    ),
    (
        "the movements of an order are gone",
        |rows| {
            let first = rows.0.keys().find(|key| matches!(key, Key::Movements(..)));
            let first = *first.expect("movements");
            rows.0.remove(&first);
        },
        &["StockIsSum"],
    ),
];

#[tokio::test]
async fn each_kind_of_damage_breaks_its_law() {
    let honest = honest().await;
    for (name, damage, expected) in CASES {
        let mut rows = honest.clone();
        damage(&mut rows);
        assert_eq!(laws(&rows).await, *expected, "{name}");
    }
}
