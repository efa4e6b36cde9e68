//! The catalog end to end: an operator edits it, real tills follow over real sockets, each sees its
//! own branch's prices, and a till that was away hears of it when it is back.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::http;
use counterfoil_tests::till::{Door, Place, Till};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
const OPERATOR: &str = "an operator's token";

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

async fn edit(cloud: &str, edits: &[Value]) -> Value {
    let body = json!({ "shopId": "shop", "edits": edits }).to_string().into_bytes();
    let answer = http::ask(cloud, "POST", "/v1/admin/catalog", OPERATOR, body).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json().expect("JSON")
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

async fn installed(directory: &Path, name: &str, branch: &str, at: &str, token: &str) -> Till {
    let programs = binaries::build(Profile::Test).expect("the programs");
    let log = directory.join(format!("{name}.log"));
    let till = Till::new(&programs.terminal, directory.join(name), log);
    let place = Place { shop: "shop", branch, terminal: name };
    till.init(place, &format!("http://{at}"), token).await.expect("installed");
    till
}

#[tokio::test(flavor = "multi_thread")]
async fn tills_follow_the_catalog_of_their_branch() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let operator = directory.join("operator");
    std::fs::write(&operator, OPERATOR).expect("a file");
    let programs = binaries::build(Profile::Test).expect("the programs");
    let store = format!("sled:{}", directory.join("cloud").display());
    let mut cloud =
        Cloud::new(&programs.cloud, store, directory.join("cloud.log")).with_operator(operator);
    let north = cloud.enrol("shop", "north", "T-1").await.expect("enrolled");
    let south = cloud.enrol("shop", "south", "T-2").await.expect("enrolled");
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    let first = [product("apple", "Apple", 50), product("bread", "Bread", 200)];
    assert_eq!(edit(&address, &first).await, json!({ "version": 1, "changed": 2 }));

    let mut one = installed(directory, "T-1", "north", &address, &north).await;
    let mut two = installed(directory, "T-2", "south", &address, &south).await;
    let door = one.start().await.expect("the till is open");
    let other = two.start().await.expect("the till is open");
    sells(&door, &[("apple", 50), ("bread", 200)]).await;
    sells(&other, &[("apple", 50), ("bread", 200)]).await;

    edit(&address, &[branch_price("south", "bread", 180), product("cake", "Cake", 999)]).await;
    sells(&door, &[("apple", 50), ("bread", 200), ("cake", 999)]).await;
    sells(&other, &[("apple", 50), ("bread", 180), ("cake", 999)]).await;
    let scanned = other.products("4000bread").await.expect("a product");
    assert_eq!(scanned[0]["branchPrice"], true);
    assert_eq!(scanned.as_array().map(Vec::len), Some(1), "a barcode finds one");

    // One is killed, the cloud too; what changed meanwhile is there when both are back.
    one.kill().await.expect("killed");
    let gone = json!({ "delete": { "kind": "product", "id": "apple" } });
    edit(&address, &[gone, product("bread", "Bread", 210)]).await;
    cloud.kill().await.expect("killed");
    let door = one.start().await.expect("a till opens without the cloud");
    let offline = door.products("").await.expect("it sells what it knows");
    assert_eq!(offline.as_array().map(Vec::len), Some(3));
    assert_eq!(cloud.start(&address).await.expect("it serves again"), address);
    sells(&door, &[("bread", 210), ("cake", 999)]).await;
    sells(&other, &[("bread", 180), ("cake", 999)]).await;
    one.stop().await.expect("stopped");
    two.stop().await.expect("stopped");
    cloud.stop().await.expect("stopped");
    assert_eq!(cloud.check().await.expect("checked").problems_found, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_without_a_daemon_brings_the_catalog_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let operator = directory.join("operator");
    std::fs::write(&operator, OPERATOR).expect("a file");
    let programs = binaries::build(Profile::Test).expect("the programs");
    let store = format!("redb:{}", directory.join("cloud").display());
    let mut cloud =
        Cloud::new(&programs.cloud, store, directory.join("cloud.log")).with_operator(operator);
    let token = cloud.enrol("shop", "north", "T-1").await.expect("enrolled");
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    edit(&address, &[product("apple", "Apple", 50)]).await;
    let mut till = installed(directory, "T-1", "north", &address, &token).await;
    till.sync_alone().await.expect("nothing waits");
    cloud.stop().await.expect("stopped");
    let door = till.start().await.expect("the till is open");
    let known = door.products("").await.expect("it sells what it knows");
    assert_eq!(known[0]["productId"], "apple", "{known}");
    till.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_edit_changes_nothing_and_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let operator = directory.join("operator");
    std::fs::write(&operator, OPERATOR).expect("a file");
    let programs = binaries::build(Profile::Test).expect("the programs");
    let store = format!("redb:{}", directory.join("cloud").display());
    let mut cloud =
        Cloud::new(&programs.cloud, store, directory.join("cloud.log")).with_operator(operator);
    let token = cloud.enrol("shop", "north", "T-1").await.expect("enrolled");
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    edit(&address, &[product("apple", "Apple", 50)]).await;
    for (edits, status, word) in [
        (json!([]), 422, "1 to 500"),
        (json!([product("a", "", 1)]), 422, "a name has"),
        (json!([product("a", "A", -1)]), 422, "out of bounds"),
        (json!([product("a", "A", 1), product("a", "A", 2)]), 422, "named twice"),
        (json!([{ "delete": { "kind": "branchPrice", "id": "a" } }]), 422, "does not belong"),
        (json!([{ "put": null }]), 422, "either `put` or `delete`"),
        (json!([{ "erase": 1 }]), 422, "unknown field"),
    ] {
        let body = json!({ "shopId": "shop", "edits": edits }).to_string().into_bytes();
        let answer = http::ask(&address, "POST", "/v1/admin/catalog", OPERATOR, body).await;
        let answer = answer.expect("an answer");
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{said}");
        assert!(said.contains(word) && said.contains("POS_SYNC_EVENT_INVALID"), "{word}: {said}");
    }
    for (path, token, status) in [
        ("/v1/catalog/delta?from=0", "nobody", 401),
        ("/v1/catalog/delta?from=0", token.as_str(), 200),
        ("/v1/catalog/delta?from=x", token.as_str(), 422),
        ("/v1/catalog/delta", token.as_str(), 422),
        ("/v1/catalog/snapshot", token.as_str(), 200),
        ("/v1/catalog/snapshot?kind=product", token.as_str(), 422),
        ("/v1/catalog/snapshot?kind=shoe&id=1", token.as_str(), 422),
    ] {
        let answer = http::ask(&address, "GET", path, token, Vec::new()).await.expect("an answer");
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{path}: {said}");
        assert!(status != 200 || said.contains("\"name\":\"Apple\""), "{path}: {said}");
    }
    cloud.stop().await.expect("stopped");
}
