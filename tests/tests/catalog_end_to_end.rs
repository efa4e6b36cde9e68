//! The catalog end to end: an operator edits it, real tills follow over real sockets, each sees its
//! own branch's prices, and a till that was away hears of it when it is back.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil_protocol::catalog::{Entity, EntityId, Kind};
use counterfoil_protocol::terminal::row::CatalogItem;
use counterfoil_tests::disk;
use counterfoil_tests::http;
use counterfoil_tests::shop::Shop;
use counterfoil_tests::till::Door;
use serde_json::{Value, json};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

fn product(id: &str, name: &str, price: i64) -> Value {
    json!({ "put": { "product": {
        "productId": id, "name": name, "barcodes": [format!("4000{id}")], "priceMinor": price,
        "currency": "GBP", "taxPpm": 200_000, "unit": "pcs", "category": null, "active": true,
    }}})
}

fn branch_price(branch: &str, id: &str, price: i64) -> Value {
    json!({ "branchId": branch, "put": {
        "branchPrice": { "productId": id, "priceMinor": price }
    }})
}

/// Waits until the till sells exactly these, by SKU and price.
async fn sells(door: &Door, expected: &[(&str, i64)]) {
    let until = Instant::now() + LIMIT;
    loop {
        door.sync().await.expect("it asks");
        let all = door.products("").await.expect("products");
        let found: Vec<(String, i64)> = all
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| {
                let id = one["productId"].as_str().expect("a name").to_owned();
                (id, one["priceMinor"].as_i64().expect("a price"))
            })
            .collect();
        if found.iter().map(|(id, price)| (id.as_str(), *price)).eq(expected.iter().copied()) {
            return;
        }
        assert!(Instant::now() < until, "expected {expected:?}, found {found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A shop with these tills, and this as the first commit of its catalog.
async fn shop(directory: &TempDir, engine: &str, tills: &[(&str, &str)], first: &[Value]) -> Shop {
    let shop = Shop::open(directory.path(), engine, tills).await.expect("the cloud serves");
    let told = shop.edit(first).await.expect("it is taken");
    assert_eq!(told, json!({ "version": 1, "changed": first.len() }));
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn tills_follow_the_catalog_of_their_branch() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = [product("apple", "Apple", 50), product("bread", "Bread", 200)];
    let mut shop = shop(&directory, "sled", &[("T-1", "north"), ("T-2", "south")], &first).await;
    let mut one = shop.install("T-1", None).await.expect("installed");
    let mut two = shop.install("T-2", None).await.expect("installed");
    let door = one.start().await.expect("the till is open");
    let other = two.start().await.expect("the till is open");
    sells(&door, &[("apple", 50), ("bread", 200)]).await;
    sells(&other, &[("apple", 50), ("bread", 200)]).await;

    let next = [branch_price("south", "bread", 180), product("cake", "Cake", 999)];
    shop.edit(&next).await.expect("it is taken");
    sells(&door, &[("apple", 50), ("bread", 200), ("cake", 999)]).await;
    sells(&other, &[("apple", 50), ("bread", 180), ("cake", 999)]).await;
    let scanned = other.products("4000bread").await.expect("a product");
    assert_eq!(scanned[0]["branchPrice"], true);
    assert_eq!(scanned.as_array().map(Vec::len), Some(1), "a barcode finds one");

    // One is killed, the cloud too; what changed meanwhile is there when both are back.
    one.kill().await.expect("killed");
    let gone = json!({ "delete": { "kind": "product", "id": "apple" } });
    shop.edit(&[gone, product("bread", "Bread", 210)]).await.expect("it is taken");
    shop.cloud.kill().await.expect("killed");
    let door = one.start().await.expect("a till opens without the cloud");
    let offline = door.products("").await.expect("it sells what it knows");
    assert_eq!(offline.as_array().map(Vec::len), Some(3));
    shop.restart().await.expect("it serves again");
    sells(&door, &[("bread", 210), ("cake", 999)]).await;
    sells(&other, &[("bread", 180), ("cake", 999)]).await;
    one.stop().await.expect("stopped");
    two.stop().await.expect("stopped");
    shop.cloud.stop().await.expect("stopped");
    assert_eq!(shop.cloud.check().await.expect("checked").problems_found, 0);
}

/// What a till has on its disk, by kind and name: the name for people, and the price if there is
/// one.
fn held(home: &Path) -> BTreeMap<(Kind, String), (String, Option<i64>)> {
    let mut held = BTreeMap::new();
    let each = |id: EntityId, item: CatalogItem| {
        let told = match Entity::from_canonical(id, &item.content).expect("an entity") {
            Entity::Product(product) => (product.name, Some(product.price.0)),
            Entity::Category(category) => (category.name, None),
            Entity::Customer(customer) => (customer.name, None),
            Entity::BranchPrice(price) => (String::new(), Some(price.price.0)),
        };
        held.insert((id.kind, id.id.as_str().to_owned()), told);
    };
    disk::entities(home, each).expect("the till does not run");
    held
}

/// S1.1: what has a uuid already is replaced, what has none yet comes, and the rest stays.
#[tokio::test(flavor = "multi_thread")]
async fn products_categories_and_customers_are_upserted_by_uuid() {
    let directory = tempfile::tempdir().expect("a directory");
    let [coffee, drinks, alice, tea] = [
        "0b7f7f3e-3a0e-4d51-9a55-1f0c5a2f9c01",
        "0b7f7f3e-3a0e-4d51-9a55-1f0c5a2f9c02",
        "0b7f7f3e-3a0e-4d51-9a55-1f0c5a2f9c03",
        "0b7f7f3e-3a0e-4d51-9a55-1f0c5a2f9c04",
    ];
    let product = |id: &str, name: &str, price: i64| {
        json!({ "put": { "product": {
            "productId": id, "name": name, "barcodes": [], "priceMinor": price, "currency": "GBP",
            "taxPpm": 200_000, "unit": "pcs", "category": drinks, "active": true,
        }}})
    };
    let category =
        |name: &str| json!({ "put": { "category": { "categoryId": drinks, "name": name } } });
    let customer =
        |name: &str| json!({ "put": { "customer": { "customerId": alice, "name": name } } });
    let first = [product(coffee, "Coffee", 500), category("Drinks"), customer("Alice")];
    let mut shop = shop(&directory, "sled", &[("T-1", "north")], &first).await;
    let mut till = shop.install("T-1", None).await.expect("installed");
    till.sync_alone().await.expect("nothing waits");
    let is = |kind, id: &str, name: &str, price| ((kind, id.to_owned()), (name.to_owned(), price));
    let before = BTreeMap::from([
        is(Kind::Product, coffee, "Coffee", Some(500)),
        is(Kind::Category, drinks, "Drinks", None),
        is(Kind::Customer, alice, "Alice", None),
    ]);
    assert_eq!(held(till.home()), before, "a snapshot brings every kind");
    assert_eq!(disk::catalog(till.home()).expect("it does not run").version, Some(1));

    // From here on by deltas: each kind once, one product more, and one commit that changes little.
    let second = [
        product(coffee, "Espresso", 450),
        category("Hot"),
        customer("Alice B."),
        product(tea, "Tea", 300),
    ];
    shop.edit(&second).await.expect("it is taken");
    shop.edit(&[product(tea, "Green tea", 310)]).await.expect("it is taken");
    till.sync_alone().await.expect("nothing waits");
    let mut after = BTreeMap::from([
        is(Kind::Product, coffee, "Espresso", Some(450)),
        is(Kind::Product, tea, "Green tea", Some(310)),
        is(Kind::Category, drinks, "Hot", None),
        is(Kind::Customer, alice, "Alice B.", None),
    ]);
    assert_eq!(held(till.home()), after);
    let gone = json!({ "delete": { "kind": "customer", "id": alice } });
    shop.edit(&[gone]).await.expect("it is taken");
    till.sync_alone().await.expect("nothing waits");
    after.remove(&(Kind::Customer, alice.to_owned()));
    assert_eq!(held(till.home()), after, "and what is deleted goes");
    let state = disk::catalog(till.home()).expect("it does not run");
    assert_eq!((state.version, state.proven), (Some(4), true));

    // A till sells what it was told.
    let door = till.start().await.expect("the till is open");
    sells(&door, &[(coffee, 450), (tea, 310)]).await;
    till.stop().await.expect("stopped");
    shop.cloud.stop().await.expect("stopped");
    assert_eq!(shop.cloud.check().await.expect("checked").problems_found, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_without_a_daemon_brings_the_catalog_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let apple = [product("apple", "Apple", 50)];
    let mut shop = shop(&directory, "redb", &[("T-1", "north")], &apple).await;
    let mut till = shop.install("T-1", None).await.expect("installed");
    till.sync_alone().await.expect("nothing waits");
    shop.cloud.stop().await.expect("stopped");
    let door = till.start().await.expect("the till is open");
    let known = door.products("").await.expect("it sells what it knows");
    assert_eq!(known[0]["productId"], "apple", "{known}");
    till.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_edit_changes_nothing_and_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let apple = [product("apple", "Apple", 50)];
    let mut shop = shop(&directory, "redb", &[("T-1", "north")], &apple).await;
    for (edits, status, word) in [
        (json!([]), 422, "1 to 500"),
        (json!([product("a", "", 1)]), 422, "a name has"),
        (json!([product("a", "A", -1)]), 422, "out of bounds"),
        (json!([product("a", "A", 1), product("a", "A", 2)]), 422, "named twice"),
        (json!([{ "delete": { "kind": "branchPrice", "id": "a" } }]), 422, "does not belong"),
        (json!([{ "put": null }]), 422, "either `put` or `delete`"),
        (json!([{ "erase": 1 }]), 422, "unknown field"),
    ] {
        let answer = shop.offer(&edits).await.expect("an answer");
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{said}");
        assert!(said.contains(word) && said.contains("POS_SYNC_EVENT_INVALID"), "{word}: {said}");
    }
    let token = shop.token("T-1").expect("enrolled");
    for (path, token, status) in [
        ("/v1/catalog/delta?from=0", "nobody", 401),
        ("/v1/catalog/delta?from=0", token, 200),
        ("/v1/catalog/delta?from=x", token, 422),
        ("/v1/catalog/delta", token, 422),
        ("/v1/catalog/delta?from=0&edits=1%09never-made", token, 200),
        ("/v1/catalog/delta?from=0&edits=nothing", token, 422),
        ("/v1/catalog/snapshot", token, 200),
        ("/v1/catalog/snapshot?kind=product", token, 422),
        ("/v1/catalog/snapshot?kind=shoe&id=1", token, 422),
    ] {
        let answer = http::ask(shop.address(), "GET", path, token, Vec::new()).await;
        let answer = answer.expect("an answer");
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{path}: {said}");
        assert!(status != 200 || said.contains("\"name\":\"Apple\""), "{path}: {said}");
    }
    shop.cloud.stop().await.expect("stopped");
}
