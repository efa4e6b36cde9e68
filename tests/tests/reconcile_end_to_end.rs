//! Reconcile end to end: a real till's redb file is changed behind its back, and the program shows
//! what differs, asks before it removes much, and mends it; sales go on all the while.
#![allow(missing_docs, reason = "a test's name is its documentation")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use counterfoil_protocol::catalog::{Entity, EntityId};
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::wire::catalog::{EntityV1, ProductV1};
use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::till::{Door, Place, Till};
use counterfoil_tests::{disk, http};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
const OPERATOR: &str = "an operator's token";

fn wire(id: &str, name: &str, price_minor: i64) -> ProductV1 {
    ProductV1 {
        product_id: ProductId::parse(id).expect("a name"),
        name: name.to_owned(),
        barcodes: Vec::new(),
        price_minor,
        currency: "GBP".to_owned(),
        tax_ppm: 200_000,
        unit: Label::parse("pcs").expect("a name"),
        category: None,
        active: true,
    }
}

fn sku(id: &str) -> EntityId {
    EntityId::product(ProductId::parse(id).expect("a name"))
}

async fn edit(cloud: &str, edits: &[Value]) {
    let body = json!({ "shopId": "shop", "edits": edits }).to_string().into_bytes();
    let answer = http::ask(cloud, "POST", "/v1/admin/catalog", OPERATOR, body).await;
    assert_eq!(answer.expect("an answer").status, 200);
}

/// A shop with forty products, a till that has them, and where its database lies.
struct Shop {
    cloud: Cloud,
    address: String,
    token: String,
    till: Till,
    program: PathBuf,
    home: PathBuf,
}

async fn shop(directory: &Path) -> Shop {
    let operator = directory.join("operator");
    std::fs::write(&operator, OPERATOR).expect("a file");
    let programs = binaries::build(Profile::Test).expect("the programs");
    let store = format!("redb:{}", directory.join("cloud").display());
    let mut cloud =
        Cloud::new(&programs.cloud, store, directory.join("cloud.log")).with_operator(operator);
    let token = cloud.enrol("shop", "north", "T-1").await.expect("enrolled");
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    let product =
        |n: i64| json!({ "put": { "product": wire(&format!("p{n:02}"), "Tea", 100 + n) } });
    edit(&address, &(0..40).map(product).collect::<Vec<_>>()).await;
    let home = directory.join("T-1");
    let till = Till::new(&programs.terminal, home.clone(), directory.join("T-1.log"));
    let place = Place { shop: "shop", branch: "north", terminal: "T-1" };
    till.init(place, &format!("http://{address}"), &token).await.expect("installed");
    Shop { cloud, address, token, till, program: programs.terminal.clone(), home }
}

impl Shop {
    /// Starts the till and waits until it sells so many products.
    async fn open(&mut self, products: usize) -> Door {
        let door = self.till.start().await.expect("the till is open");
        let until = Instant::now() + LIMIT;
        while door.products("").await.expect("products").as_array().map(Vec::len) != Some(products)
        {
            assert!(Instant::now() < until, "the catalog does not come");
            door.sync().await.expect("it asks");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        door
    }

    /// Changes rows of the closed database, as a defect or a person with an editor would.
    async fn drift(&self, changes: &[(EntityId, Option<&Entity>)]) {
        disk::drift(&self.home, changes).await.expect("nobody has the database");
    }

    /// Runs the program's `verify` with these arguments.
    async fn verify(&self, arguments: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(&self.program);
        command.arg("verify").arg("--dir").arg(&self.home).args(arguments);
        command.stdin(std::process::Stdio::null());
        command.output().await.expect("it runs")
    }
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn product(id: &str, name: &str, price: i64) -> Entity {
    Entity::parse(EntityV1::Product(wire(id, name, price))).expect("a product")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drifted_database_is_shown_and_mended() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut shop = shop(directory.path()).await;
    shop.open(40).await;
    let (code, text, error) = said(&shop.verify(&[]).await);
    assert_eq!(code, Some(0), "{text}{error}");
    assert!(text.contains("Nothing differs"), "{text}");

    shop.till.stop().await.expect("stopped");
    let (wrong, extra) = (product("p01", "Teabags", 1), product("x1", "Nobody's", 5));
    let changes = [(sku("p00"), None), (sku("p01"), Some(&wrong)), (sku("x1"), Some(&extra))];
    shop.drift(&changes).await;

    // Without the daemon the command opens the database itself.
    let file = directory.path().join("plan.json");
    let file = file.to_str().expect("a path");
    let (code, text, error) = said(&shop.verify(&["--plan", file]).await);
    assert_eq!(code, Some(1), "something differs: {text}{error}");
    for part in ["1 to change, 1 to add, 1 to remove", "GBP 0.01  ->  GBP 1.01", "REMOVE"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // A sale between the plan and its application disturbs neither.
    shop.open(40).await;
    let mut sell = tokio::process::Command::new(&shop.program);
    sell.arg("sell").arg("--dir").arg(&shop.home);
    sell.args(["--pos", "1", "--item", "x1:1:0.05", "--id", "sale-1"]);
    assert!(sell.output().await.expect("it sells").status.success());
    let (code, text, error) = said(&shop.verify(&["--apply", "--plan", file]).await);
    assert_eq!(code, Some(0), "{text}{error}");
    assert!(text.contains("1 changed, 1 added, 1 removed"), "{text}");
    let (code, text, error) = said(&shop.verify(&["--json"]).await);
    assert_eq!(code, Some(0), "{text}{error}");
    let plan: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(plan["items"], json!([]));
    // The same plan again is refused: its rows are no longer what it saw.
    let (code, text, error) = said(&shop.verify(&["--apply", "--plan", file]).await);
    assert_eq!(code, Some(1), "{text}{error}");
    assert!(error.contains("nothing was changed"), "{error}");
    let door = shop.open_again().await;
    assert_eq!(door.drain(LIMIT).await.expect("drained").synced, 1, "the sale is there");
    shop.till.stop().await.expect("stopped");
    shop.cloud.stop().await.expect("stopped");
    assert_eq!(shop.cloud.check().await.expect("checked").problems_found, 0);
}

impl Shop {
    async fn open_again(&mut self) -> Door {
        self.till.stop().await.expect("stopped");
        self.open(40).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_removals_are_confirmed_and_too_much_drift_is_fetched_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut shop = shop(directory.path()).await;
    shop.open(40).await;
    shop.till.stop().await.expect("stopped");
    let extras: Vec<Entity> = (0..4).map(|n| product(&format!("x{n}"), "Nobody's", n)).collect();
    let changes: Vec<_> = extras.iter().map(|entity| (entity.id(), Some(entity))).collect();
    shop.drift(&changes).await;
    shop.open(44).await;
    let (code, text, error) = said(&shop.verify(&["--apply"]).await);
    assert_eq!(code, Some(1), "{text}{error}");
    assert!(text.contains("ATTENTION: this removes 4 of 44 entries (9.0 %)"), "{text}");
    assert!(error.contains("--yes"), "{error}");
    let (code, text, error) = said(&shop.verify(&["--apply", "--yes"]).await);
    assert_eq!(code, Some(0), "{text}{error}");
    shop.open_again().await;

    shop.till.stop().await.expect("stopped");
    let many: Vec<Entity> = (0..400).map(|n| product(&format!("y{n}"), "Nobody's", n)).collect();
    let changes: Vec<_> = many.iter().map(|entity| (entity.id(), Some(entity))).collect();
    shop.drift(&changes).await;
    let (code, text, error) = said(&shop.verify(&[]).await);
    assert_eq!(code, Some(1), "{text}{error}");
    assert!(error.contains("POS_CATALOG_MANIFEST_TOO_LARGE"), "{error}");
    let (code, text, error) = said(&shop.verify(&["--apply", "--yes"]).await);
    assert_eq!(code, Some(0), "{text}{error}");
    shop.open(40).await;
    let (code, text, error) = said(&shop.verify(&[]).await);
    assert_eq!(code, Some(0), "{text}{error}");
    // Without the cloud it says so, and changes nothing.
    shop.cloud.kill().await.expect("killed");
    let (code, text, error) = said(&shop.verify(&["--apply", "--yes"]).await);
    assert_eq!(code, Some(4), "{text}{error}");
    shop.till.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_routes_speak_json_and_refuse_what_breaks_a_rule() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut shop = shop(directory.path()).await;
    let zero = json!({ "count": 0, "lanes": [0, 0, 0, 0] });
    let ask = |version: u64, counters: usize| {
        json!({ "version": version, "digest": zero, "more": null,
                "estimator": { "counters": vec![0; counters] } })
    };
    let (compare, rows) = ("/v1/catalog/reconcile", "/v1/catalog/reconcile/entities");
    let extra = json!({ "keys": { "keys": [] }, "extra": [{ "kind": "product", "id": "p01" }] });
    let none = json!({ "keys": { "keys": [] }, "extra": [] });
    for (path, token, body, status, word) in [
        (compare, "nobody", ask(1, 128), 401, "POS_SYNC_UNAUTHORIZED"),
        (compare, shop.token.as_str(), ask(1, 128), 200, "\"cells\""),
        (compare, shop.token.as_str(), ask(9, 128), 200, "\"ahead\""),
        (compare, shop.token.as_str(), ask(1, 127), 422, "POS_SYNC_EVENT_INVALID"),
        (compare, shop.token.as_str(), json!({}), 422, "POS_SYNC_EVENT_INVALID"),
        (rows, "nobody", extra.clone(), 401, "POS_SYNC_UNAUTHORIZED"),
        (rows, shop.token.as_str(), extra, 200, "\"known\""),
        (rows, shop.token.as_str(), none, 422, "POS_SYNC_EVENT_INVALID"),
    ] {
        let body = body.to_string().into_bytes();
        let answer = http::ask(&shop.address, "POST", path, token, body).await.expect("an answer");
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{path}: {said}");
        assert!(said.contains(word), "{word}: {said}");
    }
    let metrics = http::ask(&shop.address, "GET", "/metrics", "", Vec::new()).await;
    let metrics = String::from_utf8_lossy(&metrics.expect("an answer").body).into_owned();
    assert!(metrics.contains("reconcile_runs_total{answer=\"cells\"} 1"), "{metrics}");
    shop.cloud.stop().await.expect("stopped");
}
