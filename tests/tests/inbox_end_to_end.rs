//! The inbox end to end: orders come in while a till is off, it is killed in the middle of taking
//! them in, and in the end each has moved its stock once, and the cloud knows.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::http;
use counterfoil_tests::process::output;
use counterfoil_tests::till::{Door, Place, Till};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
const OPERATOR: &str = "an operator's token";
/// Orders of a hundred lines each: several pages, so that a till can die between two of them.
const ORDERS: u64 = 50;
const LINES: u64 = 100;

async fn ask(cloud: &str, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = http::ask(cloud, method, path, token, body).await.expect("an answer");
    (answer.status, answer.json().expect("JSON"))
}

async fn operator(cloud: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    ask(cloud, method, path, OPERATOR, &body).await
}

fn order(branch: &str, id: &str, product: &str, lines: u64) -> Value {
    let line = json!({ "productId": product, "quantityMilli": 1000 });
    let lines: Vec<Value> = (0..lines).map(|_| line.clone()).collect();
    json!({ "shopId": "shop", "branchId": branch, "orderId": id, "createdAtMs": 1_000,
            "lines": lines })
}

/// Waits until the till has taken in so many movements of a product, and returns its stock.
async fn takes_in(door: &Door, product: &str, movements: u64) -> i64 {
    let until = Instant::now() + LIMIT;
    loop {
        door.sync().await.expect("it asks");
        let found = door.look(&format!("/stock?product={product}")).await.expect("stock");
        if found[0]["movements"].as_u64() == Some(movements) {
            return found[0]["quantityMilli"].as_i64().expect("a quantity");
        }
        assert!(Instant::now() < until, "{movements} movements of {product}: {found}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the cloud holds a till's acknowledgement of everything.
async fn acknowledged(cloud: &str, token: &str, head: u64) {
    let until = Instant::now() + LIMIT;
    loop {
        let path = "/v1/inventory-events/pending?limit=1";
        let (status, page) = ask(cloud, "GET", path, token, &Value::Null).await;
        assert_eq!((status, page["head"].as_u64()), (200, Some(head)), "{page}");
        if page["acked"].as_u64() == Some(head) {
            assert_eq!(page["events"], json!([]), "nothing is pending");
            return;
        }
        assert!(Instant::now() < until, "{page}");
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

fn cloud_in(directory: &Path, store: &str) -> Cloud {
    let operator = directory.join("operator");
    std::fs::write(&operator, OPERATOR).expect("a file");
    let programs = binaries::build(Profile::Test).expect("the programs");
    let store = format!("{store}:{}", directory.join("cloud").display());
    Cloud::new(&programs.cloud, store, directory.join("cloud.log")).with_operator(operator)
}

/// What a till that does not run has on its disk, by the command line.
async fn on_disk(directory: &Path, till: &str, command: &str) -> Value {
    let programs = binaries::build(Profile::Test).expect("the programs");
    let home = directory.join(till).display().to_string();
    let arguments = [command, "--json", "--dir", &home].map(str::to_owned);
    let found = output(&programs.terminal, &arguments).await.expect("it is told");
    serde_json::from_slice(&found).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_a_night_are_taken_in_once_whatever_happens() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let mut cloud = cloud_in(directory, "sled");
    let north = cloud.enrol("shop", "north", "T-1").await.expect("enrolled");
    let south = cloud.enrol("shop", "south", "T-2").await.expect("enrolled");
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    let mut till = installed(directory, "T-1", "north", &address, &north).await;
    // Nobody is there when the orders come in; one comes twice, one for the other branch.
    for number in 0..ORDERS {
        let order = order("north", &format!("web-{number}"), "tea", LINES);
        assert_eq!(operator(&address, "POST", "/v1/admin/orders", order.clone()).await.0, 201);
        if number == 7 {
            let (status, again) = operator(&address, "POST", "/v1/admin/orders", order).await;
            assert_eq!((status, &again["again"]), (200, &json!(true)));
        }
    }
    let elsewhere = order("south", "web-south", "tea", 1);
    assert_eq!(operator(&address, "POST", "/v1/admin/orders", elsewhere).await.0, 201);
    let all = ORDERS * LINES;

    // The till is killed in the middle of the batch.
    let door = till.start().await.expect("the till is open");
    let until = Instant::now() + LIMIT;
    while door.look("/movements?limit=1").await.expect("movements") == json!([]) {
        assert!(Instant::now() < until, "it takes something in");
    }
    till.kill().await.expect("killed");
    let begun = on_disk(directory, "T-1", "stock").await;
    let taken = begun[0]["movements"].as_u64().expect("a number");
    assert!(0 < taken && taken < all, "it died between two pages: {taken} of {all}");
    assert_eq!(begun[0]["quantityMilli"], json!(-1000 * taken as i64), "what it has is a sum");

    // The cloud dies too. The till opens without it, and has what it had.
    cloud.kill().await.expect("killed");
    let door = till.start().await.expect("a till opens without the cloud");
    let alone = door.look("/stock?product=tea").await.expect("stock");
    assert_eq!(alone[0]["movements"], json!(taken));
    assert_eq!(cloud.start(&address).await.expect("it serves again"), address);
    assert_eq!(takes_in(&door, "tea", all).await, -1000 * all as i64);
    acknowledged(&address, &north, all).await;
    let movement = door.look("/movements?limit=1").await.expect("movements")[0].clone();
    for (field, expected) in [
        ("source", json!("ONLINE")),
        ("referenceType", json!("ORDER")),
        ("deltaMilli", json!(-1000)),
        ("createdAtMs", json!(1_000)),
        ("review", json!(true)),
    ] {
        assert_eq!(movement[field], expected, "{field} of {movement}");
    }
    // The other branch has its own, and nothing is acknowledged for it.
    let path = "/v1/inventory-events/pending";
    let (_, other) = ask(&address, "GET", path, &south, &Value::Null).await;
    assert_eq!((&other["head"], &other["acked"]), (&json!(1), &json!(0)));
    assert_eq!(other["events"][0]["event"]["referenceId"], "web-south");

    // A cancelled order comes back.
    let body = json!({ "shopId": "shop", "branchId": "north", "createdAtMs": 2_000 });
    let cancelled = operator(&address, "POST", "/v1/admin/orders/web-3/cancel", body).await;
    assert_eq!(cancelled.0, 200, "{cancelled:?}");
    let back = all + LINES;
    assert_eq!(takes_in(&door, "tea", back).await, -1000 * (all - LINES) as i64);
    acknowledged(&address, &north, back).await;
    till.stop().await.expect("stopped");
    let review = on_disk(directory, "T-1", "review").await;
    assert_eq!(review[0]["lowestMilli"], json!(-1000 * all as i64));
    cloud.stop().await.expect("stopped");
    assert_eq!(cloud.check().await.expect("checked").problems_found, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_front_holds_back_and_no_till_can_look() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let mut cloud = cloud_in(directory, "redb");
    let token = cloud.enrol("shop", "north", "T-1").await.expect("enrolled");
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    let buffer = |product: Option<&str>, buffer: Value| {
        let (shop, branch) = ("shop", "north");
        json!({ "shopId": shop, "branchId": branch, "productId": product, "buffer": buffer })
    };
    let fixed = json!({ "fixed": { "milli": 300 } });
    let share = json!({ "share": { "ppm": 100_000 } });
    for (product, held, status) in [
        (Some("tea"), fixed.clone(), 200),
        (None, share.clone(), 200),
        (None, fixed.clone(), 422),
        (Some("tea"), share, 422),
        (Some("tea"), json!({ "fixed": { "milli": -1 } }), 422),
        (Some("tea"), json!({ "other": 1 }), 422),
    ] {
        let set = operator(&address, "PUT", "/v1/admin/buffer", buffer(product, held)).await;
        assert_eq!(set.0, status, "{set:?}");
    }
    let path = "/v1/admin/buffer?shop=shop&branch=north&product=tea";
    let (status, told) = operator(&address, "GET", path, Value::Null).await;
    assert_eq!((status, &told["buffer"]), (200, &fixed));
    let path = "/v1/storefront/stock?shop=shop&branch=north&product=tea";
    let (status, stock) = operator(&address, "GET", path, Value::Null).await;
    assert_eq!((status, &stock["availableMilli"]), (200, &json!(0)), "{stock}");
    let line = json!({ "productId": "tea", "quantityMilli": 1 });
    let (shop, branch) = ("shop", "north");
    for (method, path, body, status) in [
        ("GET", path, Value::Null, 401),
        ("GET", "/v1/admin/buffer?shop=shop&branch=north", Value::Null, 401),
        ("POST", "/v1/admin/orders", order("north", "a", "tea", 1), 401),
        ("PUT", "/v1/admin/relay", json!({ "shopId": shop, "branchId": branch, "on": true }), 401),
        ("GET", "/v1/inventory-events/pending?after=1", Value::Null, 422),
        ("GET", "/v1/inventory-events/pending?limit=0", Value::Null, 422),
        ("GET", "/v1/inventory-events/pending?limit=1001", Value::Null, 422),
        ("GET", "/v1/inventory-events/pending?branch=south", Value::Null, 422),
        ("GET", "/v1/inventory-events/pending", Value::Null, 200),
    ] {
        let said = ask(&address, method, path, &token, &body).await;
        assert_eq!(said.0, status, "{method} {path}: {said:?}");
    }
    for (body, status) in [
        (order("north", "a", "tea", 0), 422),
        (order("north", "a", "tea", 101), 422),
        (order("north", "a", "tea", 2), 201),
        (order("north", "a", "tea", 3), 409),
        (order("north", "a", "tea", 2), 200),
        (json!({ "shopId": shop, "branchId": branch, "orderId": "b", "lines": [line] }), 422),
    ] {
        let said = operator(&address, "POST", "/v1/admin/orders", body).await;
        assert_eq!(said.0, status, "{said:?}");
        assert!(status < 300 || said.1["code"] == "POS_SYNC_EVENT_INVALID", "{said:?}");
    }
    let body = json!({ "shopId": shop, "branchId": branch, "createdAtMs": 1 });
    let unknown = operator(&address, "POST", "/v1/admin/orders/nothing/cancel", body).await;
    assert_eq!((unknown.0, &unknown.1["code"]), (404, &json!("POS_SYNC_NOT_FOUND")));
    cloud.stop().await.expect("stopped");
    assert_eq!(cloud.check().await.expect("checked").problems_found, 0);
}
