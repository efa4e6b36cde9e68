//! The check is clean on an honest database, and names each kind of planted damage.

mod support;

use counterfoil_cloud::audit::{self, Report};
use counterfoil_protocol::cloud::row::{Fate, Item};
use counterfoil_protocol::cloud::{EditNote, Key, Record};
use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::ShopId;
use counterfoil_protocol::identity::{EventKey, PosId};
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::edit::FieldValueV1;
use counterfoil_protocol::wire::message::EditOutcome;
use serde_json::json;
use support::rows::Rows;
use support::{sale, start};

/// A catalog of the shop's and of one branch's; two tills, one with 40 entries, a conflict and
/// bytes that are no event. What the first has moved is rolled up, what the second has is not.
async fn honest() -> Rows {
    let node = start();
    for name in ["T-1", "T-2"] {
        let mut till = node.till(name).await;
        node.greet(&till).await;
        let mut items: Vec<_> = (0..40).map(|number| till.sell(&format!("s{number}"))).collect();
        if name == "T-1" {
            items.push(till.enter(sale("s0", "tea", 1_000, 1).canonical()));
            items.push(till.enter(b"no event".to_vec()));
        } else {
            items.push(till.enter(edit("e0").canonical()));
        }
        node.push(&till, items).await;
        if name == "T-1" {
            node.roll_up().await;
        }
    }
    node.admin("/v1/admin/products", json!({"shopId": "shop", "productId": "tea"})).await;
    let put = |name: &str| {
        json!({"put": {"product": {
            "productId": name, "name": name, "barcodes": [], "priceMinor": 1, "currency": "GBP",
            "taxPpm": 0, "unit": "pcs", "category": null, "active": true,
        }}})
    };
    let price = json!({"branchPrice": {"productId": "tea", "priceMinor": 2}});
    let gone = json!({"delete": {"kind": "product", "id": "milk"}});
    for edits in [
        json!([put("tea"), put("milk")]),
        json!([gone, put("jam"), {"branchId": "branch", "put": price}]),
    ] {
        let edits = json!({"shopId": "shop", "edits": edits});
        let answer = node.admin("/v1/admin/catalog", edits).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    Rows::of(&node)
}

async fn laws(rows: &Rows) -> (Report, Vec<&'static str>) {
    let report = audit::check(rows).await.expect("readable");
    let mut laws: Vec<_> = report.problems.iter().map(|problem| problem.law).collect();
    laws.sort_unstable();
    laws.dedup();
    (report, laws)
}

#[tokio::test]
async fn an_honest_database_is_clean_and_counted() {
    let (report, laws) = laws(&honest().await).await;
    assert_eq!(laws, [""; 0], "{:?}", report.problems);
    let counts: Vec<u64> = report.counts().into_iter().map(|(_, count)| count).collect();
    assert_eq!(counts, [2, 2, 83, 81, 0, 1, 1, 0, 1, 0, 1, 0, 0, 1, 3, 0]);
}

fn is(kind: fn(&Key) -> bool, rows: &Rows) -> Key {
    rows.0.keys().find(|key| kind(key)).cloned().expect("a row of the kind")
}

/// An edit of a name, and of a price that is not the till's.
fn edit(name: &str) -> Event {
    let wire = serde_json::json!({
        "posId": "P-1", "localEventId": name, "atMs": 1_000, "receipt": null, "reference": "",
        "body": {"catalogEdited": {
            "entity": {"kind": "product", "id": "tea"}, "baseVersion": 0,
            "changes": [
                {"from": {"name": "Taet"}, "to": {"name": "Tea"}},
                {"from": {"priceMinor": 2}, "to": {"priceMinor": 1}},
            ],
        }},
    });
    Event::parse(serde_json::from_value(wire).expect("the shape of an event")).expect("an edit")
}

fn noted(rows: &mut Rows) -> &mut EditNote {
    let key = is(|key| matches!(key, Key::EditNote(..)), rows);
    let Some(Record::EditNote(note)) = rows.0.get_mut(&key) else { panic!("a note") };
    note
}

const EDITS: &[Case] = &[
    (
        "note gone",
        |rows| {
            rows.0.retain(|key, _| !matches!(key, Key::EditNote(..)));
        },
        &["OwnershipHolds"],
    ),
    ("decided in the future", |rows| noted(rows).version = 9, &["OwnershipHolds"]),
    (
        "another wish",
        |rows| noted(rows).fields[0].to = FieldValueV1::Name("Coffee".into()),
        &["OwnershipHolds"],
    ),
    (
        "a price taken from a till",
        |rows| noted(rows).fields[1].outcome = EditOutcome::Taken,
        &["OwnershipHolds"],
    ),
    (
        "a note of an edit that nobody made",
        |rows| {
            let note = noted(rows).clone();
            let key = is(|key| matches!(key, Key::EditNote(..)), rows);
            let Key::EditNote(shop, event) = key else { panic!("a note") };
            let pos = "P-9".parse().expect("a name");
            let event = EventKey { pos: PosId(pos), ..event };
            rows.0.insert(Key::EditNote(shop, event), Record::EditNote(note));
        },
        &["OwnershipHolds"],
    ),
];

/// A name, the damage, and the laws that it breaks.
type Case = (&'static str, fn(&mut Rows), &'static [&'static str]);

const STOCK: &[Case] = &[
    (
        "wrong stock",
        |rows| {
            let key = is(|key| matches!(key, Key::Stock(..)), rows);
            let Some(Record::Stock(stock)) = rows.0.get_mut(&key) else { panic!("stock") };
            stock.quantity = Milli(stock.quantity.0 + 1);
        },
        &["StockIsSum"],
    ),
    (
        "stock row gone",
        |rows| {
            rows.0.retain(|key, _| !matches!(key, Key::Stock(..)));
        },
        &["StockIsSum"],
    ),
    (
        "wrong movements",
        |rows| {
            let key = is(|key| matches!(key, Key::Movements(..)), rows);
            let Some(Record::Movements(moved)) = rows.0.get_mut(&key) else { panic!("moved") };
            moved[0].by.quantity = Milli(moved[0].by.quantity.0 + 1);
        },
        &["StockIsSum"],
    ),
    (
        "movements gone",
        |rows| {
            rows.0.retain(|key, _| !matches!(key, Key::Movements(..)));
        },
        &["StockIsSum"],
    ),
];

const JOURNAL: &[Case] = &[
    (
        "first segment gone",
        |rows| {
            let key = is(|key| matches!(key, Key::Segment(_, _, 0)), rows);
            rows.0.remove(&key);
        },
        &["JournalIntact", "NoPhantom"],
    ),
    (
        "middle segment gone",
        |rows| {
            let key = is(|key| matches!(key, Key::Segment(_, _, 1)), rows);
            rows.0.remove(&key);
        },
        &["JournalIntact", "NoPhantom"],
    ),
    (
        "last segment gone",
        |rows| {
            let key = is(|key| matches!(key, Key::Segment(_, _, 2)), rows);
            rows.0.remove(&key);
        },
        &["JournalIntact", "NoPhantom"],
    ),
    (
        "history gone",
        |rows| {
            let key = is(|key| matches!(key, Key::Lane(..)), rows);
            rows.0.remove(&key);
        },
        &["JournalIntact", "NoDuplicate", "NoPhantom"],
    ),
    (
        "head moved",
        |rows| {
            let key = is(|key| matches!(key, Key::Lane(..)), rows);
            let Some(Record::Lane(lane)) = rows.0.get_mut(&key) else { panic!("a lane") };
            lane.hash = Hash([1; 32]);
        },
        &["JournalIntact"],
    ),
    (
        "terminal gone",
        |rows| {
            let key = is(|key| matches!(key, Key::Terminal(..)), rows);
            rows.0.remove(&key);
        },
        &["JournalIntact"],
    ),
];

const LEDGER: &[Case] = &[
    (
        "payload altered",
        |rows| {
            let key = is(|key| matches!(key, Key::Ledger(..)), rows);
            let Some(Record::Ledger(row)) = rows.0.get_mut(&key) else { panic!("a row") };
            row.payload = sale("s0", "tea", 2_000, 151).canonical().into();
        },
        &["NoDuplicate", "NoPhantom", "ZeroLoss"],
    ),
    (
        "payload and hash altered",
        |rows| {
            let key = is(|key| matches!(key, Key::Ledger(..)), rows);
            let Some(Record::Ledger(row)) = rows.0.get_mut(&key) else { panic!("a row") };
            let (hash, payload) = sale("s0", "tea", 2_000, 149).hashed();
            (row.payload_hash, row.payload) = (hash, payload.into());
        },
        &["NoDuplicate", "NoPhantom", "ZeroLoss"],
    ),
    (
        "event gone",
        |rows| {
            let key = is(|key| matches!(key, Key::Ledger(..)), rows);
            rows.0.remove(&key);
        },
        &["NoDuplicate", "StockIsSum", "ZeroLoss"],
    ),
    (
        "event unposted",
        |rows| {
            let key = is(|key| matches!(key, Key::Ledger(..)), rows);
            let Some(Record::Ledger(row)) = rows.0.get_mut(&key) else { panic!("a row") };
            row.fate = Fate::Parked(ErrorCode::ProductUnknown);
        },
        &["NoDuplicate", "StockIsSum"],
    ),
    (
        "opaque bytes gone",
        |rows| {
            rows.0.retain(|key, _| !matches!(key, Key::Opaque(..)));
        },
        &["ZeroLoss"],
    ),
    (
        "conflict altered",
        |rows| {
            let key = is(|key| matches!(key, Key::Conflict(..)), rows);
            let Some(Record::Conflict(kept)) = rows.0.get_mut(&key) else { panic!("kept") };
            kept.payload.push(0);
        },
        &["NoPhantom", "ZeroLoss"],
    ),
    (
        "sums doubled",
        |rows| {
            let key = is(|key| matches!(key, Key::Lane(..)), rows);
            let Some(Record::Lane(lane)) = rows.0.get_mut(&key) else { panic!("a lane") };
            lane.posted = lane.posted.plus(lane.posted);
        },
        &["NoDuplicate"],
    ),
];

const CATALOG: &[Case] = &[
    (
        "entity altered",
        |rows| {
            let item = item(rows, |item| item.content.is_some());
            let mut content = item.content.as_deref().expect("content").to_vec();
            content.push(0);
            item.content = Some(content.into());
        },
        &["CatalogConverges"],
    ),
    (
        "entity deleted without a commit",
        |rows| item(rows, |item| item.content.is_some()).content = None,
        &["CatalogConverges"],
    ),
    (
        "entity at another version",
        |rows| item(rows, |item| item.version == 1).version = 2,
        &["CatalogConverges"],
    ),
    ("entities gone", |rows| drop_all(rows, |key| matches!(key, Key::Item(..))), CONVERGES),
    ("feed rows gone", |rows| drop_all(rows, |key| matches!(key, Key::Change(..))), CONVERGES),
    ("feed gone", |rows| drop_all(rows, |key| matches!(key, Key::Feed(..))), CONVERGES),
    ("sum gone", |rows| drop_all(rows, |key| matches!(key, Key::BranchDigest(..))), CONVERGES),
    (
        "feed set back",
        |rows| {
            let key = is(|key| matches!(key, Key::Feed(..)), rows);
            let Some(Record::Feed(feed)) = rows.0.get_mut(&key) else { panic!("a feed") };
            feed.version = 1;
        },
        CONVERGES,
    ),
    (
        "a feed row of another entity",
        |rows| {
            let keys = rows.0.keys().filter(|key| matches!(key, Key::Change(_, None, _, _)));
            let keys: Vec<Key> = keys.copied().collect();
            let last = rows.0[keys.last().expect("a place in the feed")].clone();
            rows.0.insert(Key::Change(shop(), None, 1, 7), last);
        },
        CONVERGES,
    ),
];

const CONVERGES: &[&str] = &["CatalogConverges"];

fn shop() -> ShopId {
    ShopId::parse("shop").expect("a name")
}

fn drop_all(rows: &mut Rows, which: fn(&Key) -> bool) {
    let before = rows.0.len();
    rows.0.retain(|key, _| !which(key));
    assert!(rows.0.len() < before, "there was something to lose");
}

fn item(rows: &mut Rows, which: fn(&Item) -> bool) -> &mut Item {
    let mut items = rows
        .0
        .values_mut()
        .filter_map(|record| if let Record::Item(item) = record { Some(item) } else { None });
    items.find(|item| which(item)).expect("such an entity")
}

#[tokio::test]
async fn each_kind_of_damage_breaks_its_law() {
    let honest = honest().await;
    for (name, damage, expected) in [STOCK, JOURNAL, LEDGER, EDITS, CATALOG].concat() {
        let mut rows = honest.clone();
        damage(&mut rows);
        let (report, laws) = laws(&rows).await;
        assert!(!report.is_clean(), "{name}");
        assert_eq!(laws, expected, "{name}: {:?}", report.problems.first());
    }
}

#[tokio::test]
async fn a_database_of_many_pages_is_read_to_its_end() {
    let node = start();
    let mut till = node.till("T-1").await;
    node.greet(&till).await;
    for push in 0..5 {
        let items = (0..500).map(|item| till.sell(&format!("{push}-{item}"))).collect();
        node.push(&till, items).await;
    }
    let mut rows = Rows::of(&node);
    let (report, found) = laws(&rows).await;
    assert_eq!((report.posted, report.entries, found), (2_500, 2_500, vec![]));
    let last = rows.0.keys().rfind(|key| matches!(key, Key::Ledger(..))).copied();
    rows.0.remove(&last.expect("an event"));
    assert_eq!(laws(&rows).await.1, ["NoDuplicate", "StockIsSum", "ZeroLoss"]);
}
