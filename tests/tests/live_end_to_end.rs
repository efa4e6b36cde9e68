//! News over a stream, end to end: real processes, and periods of polling (half of 15 minutes at
//! least) that are far beyond the limits of these tests, so that nothing here comes by polling.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use counterfoil_protocol::catalog::{Entity, EntityId};
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::wire::catalog::{EntityV1, ProductV1};
use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::events::Events;
use counterfoil_tests::postgres::Cluster;
use counterfoil_tests::shop::{OPERATOR, Shop};
use counterfoil_tests::till::{Door, Till};
use counterfoil_tests::{disk, http};
use serde_json::{Value, json};

/// Well below the period of polling.
const LIMIT: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(100);

fn wire(id: &str, price_minor: i64) -> ProductV1 {
    ProductV1 {
        product_id: ProductId::parse(id).expect("a name"),
        name: "Tea".to_owned(),
        barcodes: Vec::new(),
        price_minor,
        currency: "GBP".to_owned(),
        tax_ppm: 0,
        unit: Label::parse("pcs").expect("a name"),
        category: None,
        active: true,
    }
}

fn price(id: &str, price_minor: i64) -> Value {
    json!({ "put": { "product": wire(id, price_minor) } })
}

/// Looks until something holds; nobody is nudged meanwhile.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let limit = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < limit, "{what}: it does not come to that");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn till_of(shop: &Shop, name: &str) -> Value {
    let told = shop.operator("GET", "/v1/admin/fleet?shopId=shop", None).await;
    let told: Value = told.expect("an answer").json().expect("JSON");
    let tills = told["terminals"].as_array().expect("a list");
    tills.iter().find(|till| till["terminalId"] == name).expect("the till").clone()
}

async fn is_live(shop: &Shop, name: &str) {
    until("a stream", async || till_of(shop, name).await["live"].as_bool().filter(|live| *live))
        .await;
}

async fn costs(door: &Door, id: &str, minor: i64) {
    until("a price", async || {
        let products = door.products("").await.expect("products");
        let found = products.as_array()?.iter().find(|product| product["productId"] == id)?.clone();
        found.to_string().contains(&format!("\"priceMinor\":{minor}")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_and_an_order_reach_a_till_over_its_stream_also_after_the_cloud_was_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut shop = Shop::open(directory.path(), "redb", &[("T-1", "north")]).await.expect("a shop");
    shop.edit(&[price("tea", 100)]).await.expect("committed");
    let mut till = shop.install("T-1", None).await.expect("installed");
    let door = till.start().await.expect("the till is open");
    costs(&door, "tea", 100).await;
    is_live(&shop, "T-1").await;
    for minor in [101, 102] {
        shop.edit(&[price("tea", minor)]).await.expect("committed");
        costs(&door, "tea", minor).await;
    }
    let before = door.look("/stock?product=tea").await.expect("stock");
    let order = json!({"orderId": "order-1", "shopId": "shop", "branchId": "north",
                       "createdAtMs": 1, "lines": [{"productId": "tea", "quantityMilli": 2000}]});
    let told = shop.operator("POST", "/v1/admin/orders", Some(&order)).await.expect("an answer");
    assert!(told.status < 300, "{}", told.status);
    until("an order", async || {
        let now = door.look("/stock?product=tea").await.expect("stock");
        (now != before).then_some(())
    })
    .await;

    shop.kill_cloud().await.expect("it serves again");
    is_live(&shop, "T-1").await;
    shop.edit(&[price("tea", 103)]).await.expect("committed");
    costs(&door, "tea", 103).await;
    let seen = till_of(&shop, "T-1").await;
    assert_eq!(seen["version"], env!("CARGO_PKG_VERSION"), "{seen}");
    assert_eq!((&seen["pending"], &seen["active"]), (&json!(0), &json!(true)), "{seen}");
    let offset = seen["clockOffsetMs"].as_i64().expect("an offset");
    assert!(offset.abs() < 60_000, "both read one clock: {seen}");

    // A node that stops ends its streams, and does not wait for them to be cut off.
    shop.cloud.stop().await.expect("it ends in peace");
    let log = std::fs::read_to_string(directory.path().join("cloud.log")).expect("a log");
    assert!(!log.contains("cut off"), "{log}");
    till.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_tills_stream_ends_and_others_learn_nothing_of_its_branch() {
    let directory = tempfile::tempdir().expect("a directory");
    let tills = [("T-1", "north"), ("T-2", "south")];
    let shop = Shop::open(directory.path(), "sled", &tills).await.expect("a shop");
    let open = async |name: &str| {
        let token = shop.token(name).expect("a token");
        Events::open(shop.address(), "/v1/live", token).await
    };
    let mut north = open("T-1").await.expect("a stream");
    let mut south = open("T-2").await.expect("a stream");
    for stream in [&mut north, &mut south] {
        let first = stream.next(LIMIT).await.expect("an event");
        assert_eq!(first.as_deref(), Some("event: news\ndata: {\"catalog\":0,\"inbox\":0}"));
    }
    let order = json!({"orderId": "order-1", "shopId": "shop", "branchId": "north",
                       "createdAtMs": 1, "lines": [{"productId": "tea", "quantityMilli": 2000}]});
    shop.operator("POST", "/v1/admin/orders", Some(&order)).await.expect("an answer");
    let told = north.next(LIMIT).await.expect("an event");
    assert_eq!(told.as_deref(), Some("event: news\ndata: {\"catalog\":0,\"inbox\":1}"));
    shop.operator("POST", "/v1/admin/terminals/T-1/revoke", None).await.expect("an answer");
    assert_eq!(north.next(LIMIT).await.expect("in time"), None, "its stream ends");
    assert!(open("T-1").await.expect_err("refused").to_string().contains("401"));
    shop.edit(&[price("tea", 100)]).await.expect("committed");
    let told = south.next(LIMIT).await.expect("an event");
    assert_eq!(
        told.as_deref(),
        Some("event: news\ndata: {\"catalog\":1,\"inbox\":0}"),
        "the south has heard nothing of the order in the north"
    );
}

async fn run(shop: &Shop, id: &str) -> Value {
    until("an answer", async || {
        let told = shop.operator("GET", "/v1/admin/reconcile-runs?shopId=shop", None).await;
        let told: Value = told.expect("an answer").json().expect("JSON");
        let runs = told["runs"].as_array().expect("a list");
        let run = runs.iter().find(|run| run["runId"] == id).expect("the run").clone();
        (run["state"] != "asked").then_some(run)
    })
    .await
}

async fn ask(shop: &Shop) -> String {
    let told = shop.operator("POST", "/v1/admin/terminals/T-1/verify", None).await;
    let told = told.expect("an answer");
    assert_eq!(told.status, 202);
    let told: Value = told.json().expect("JSON");
    told["runId"].as_str().expect("a name").to_owned()
}

async fn has(door: &Door, products: usize) {
    until("the catalog", async || {
        let found = door.products("").await.expect("products");
        (found.as_array().map(Vec::len) == Some(products)).then_some(())
    })
    .await;
}

async fn mend(till: &Till, program: &Path) {
    let mut command = tokio::process::Command::new(program);
    command.arg("verify").arg("--dir").arg(till.home()).args(["--apply", "--yes"]);
    let done = command.stdin(Stdio::null()).output().await.expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_the_plan_of_a_drifted_till_and_nothing_is_applied_by_asking() {
    let directory = tempfile::tempdir().expect("a directory");
    let shop = Shop::open(directory.path(), "redb", &[("T-1", "north")]).await.expect("a shop");
    let all: Vec<Value> = (0..20).map(|n| price(&format!("p{n:02}"), 100 + n)).collect();
    shop.edit(&all).await.expect("committed");
    let mut till = shop.install("T-1", None).await.expect("installed");
    let door = till.start().await.expect("the till is open");
    has(&door, 20).await;
    till.stop().await.expect("stopped");
    let wrong = Entity::parse(EntityV1::Product(wire("p01", 1))).expect("a product");
    let id = EntityId::product(ProductId::parse("p01").expect("a name"));
    disk::drift(till.home(), &[(id, Some(&wrong))]).await.expect("nobody has the database");

    // Asked while the till is away: it is told on its next stream.
    let first = ask(&shop).await;
    assert_eq!(ask(&shop).await, first, "one run at a time");
    let door = till.start().await.expect("the till is open");
    let found = run(&shop, &first).await;
    assert_eq!((&found["state"], &found["terminalId"]), (&json!("plan"), &json!("T-1")), "{found}");
    let plan = found["plan"]["text"].as_str().expect("a text");
    assert!(plan.contains("GBP 0.01  ->  GBP 1.01"), "{plan}");
    assert_eq!(found["plan"]["counts"]["update"], 1, "{found}");
    assert_eq!(found["plan"]["items"][0]["id"]["id"], "p01", "{found}");
    assert!(found["summary"].as_str().expect("a line").starts_with("1 to change, 0 to add"));
    assert!(found["answeredAtMs"].as_u64() >= found["askedAtMs"].as_u64(), "{found}");
    // Nothing was applied: the price is wrong as before, until a person at the till mends it.
    costs(&door, "p01", 1).await;
    mend(&till, shop.terminal_program()).await;
    costs(&door, "p01", 101).await;
    // Asked while the till listens.
    is_live(&shop, "T-1").await;
    let second = ask(&shop).await;
    assert_ne!(second, first);
    let found = run(&shop, &second).await;
    assert_eq!((&found["state"], &found["plan"]), (&json!("clean"), &Value::Null), "{found}");
    till.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_a_commit_at_one_node_is_told_by_the_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let programs = binaries::build(Profile::Test).expect("the programs");
    let cluster = Cluster::start().expect("a server");
    let store = cluster.database().expect("a database");
    let operator = directory.path().join("operator");
    std::fs::write(&operator, OPERATOR).expect("a file");
    let node = |log: &str| {
        let log = directory.path().join(log);
        Cloud::new(&programs.cloud, store.clone(), log).with_operator(operator.clone())
    };
    let (mut one, mut two) = (node("one.log"), node("two.log"));
    let token = one.enrol("shop", "north", "T-1").await.expect("enrolled");
    let first = one.start("127.0.0.1:0").await.expect("it serves");
    let second = two.start("127.0.0.1:0").await.expect("it serves");
    let mut stream = Events::open(&second, "/v1/live", &token).await.expect("a stream");
    let told = stream.next(LIMIT).await.expect("an event");
    assert_eq!(told.as_deref(), Some("event: news\ndata: {\"catalog\":0,\"inbox\":0}"));
    let edits = json!({ "shopId": "shop", "edits": [price("tea", 100)] }).to_string();
    let path = "/v1/admin/catalog";
    let answer = http::ask(&first, "POST", path, OPERATOR, edits.into_bytes()).await;
    assert_eq!(answer.expect("an answer").status, 200);
    let told = stream.next(LIMIT).await.expect("an event");
    assert_eq!(told.as_deref(), Some("event: news\ndata: {\"catalog\":1,\"inbox\":0}"));
    // A revocation at the neighbour is found at the next beat, whatever comes before it.
    let path = "/v1/admin/terminals/T-1/revoke";
    let answer = http::ask(&first, "POST", path, OPERATOR, Vec::new()).await;
    assert_eq!(answer.expect("an answer").status, 200);
    assert_eq!(stream.next(LIMIT).await.expect("in time"), None, "its stream ends");
    one.stop().await.expect("it ends in peace");
    two.stop().await.expect("it ends in peace");
}
