//! The user's documents as any HTTP client sees them: a plain client, a real node, no internals.
//!
//! The store is a parameter: `COUNTERFOIL_CONTRACT_STORE` as on the command line, with `{}` for a
//! new directory; sled if it is not set.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::http::{Answer, ask, ask_with};
use serde_json::{Value, json};
use tempfile::TempDir;

const OPERATOR: &str = "an operator's token";
const JSON: &str = "application/json";
const SCOPES: [&str; 3] = ["sales:create", "stock:adjust", "catalog:read"];

/// A node, and what a client knows of it.
struct Contract {
    cloud: Cloud,
    address: String,
    token: String,
    _directory: TempDir,
}

fn cloud(directory: &Path) -> Cloud {
    let programs = binaries::build(Profile::Test).expect("the programs are built");
    let token = directory.join("operator");
    std::fs::write(&token, OPERATOR).expect("a file");
    let store = std::env::var("COUNTERFOIL_CONTRACT_STORE").unwrap_or_else(|_| "sled:{}".into());
    let store = store.replace("{}", &directory.join("cloud").display().to_string());
    Cloud::new(&programs.cloud, store, directory.join("cloud.log")).with_operator(token)
}

impl Contract {
    async fn new() -> Self {
        Self::with(&["--rate", "0"]).await
    }

    /// A node whose shop sells coffee, and a user of it.
    async fn with(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut cloud = cloud(directory.path()).with_arguments(arguments);
        let token = cloud.add_user("shop", "north", "anna", &SCOPES).await.expect("a user");
        let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
        let contract = Self { cloud, address, token, _directory: directory };
        contract.define("product-uuid").await;
        contract
    }

    async fn define(&self, product: &str) {
        let wish = json!({"shopId": "shop", "productId": product}).to_string().into_bytes();
        let told = ask(&self.address, "POST", "/v1/admin/products", OPERATOR, wish).await;
        assert_eq!(told.expect("an answer").status, 201);
    }

    async fn sync(&self, body: &Value) -> Answer {
        let sent = sync(&self.address, &self.token, "shop", body).await;
        sent.expect("an answer")
    }

    async fn operator(&self, path: &str) -> Value {
        let told = ask(&self.address, "GET", path, OPERATOR, Vec::new()).await.expect("an answer");
        assert_eq!(told.status, 200, "{path}");
        told.json().expect("JSON")
    }

    /// Kills the node without warning, and starts it again where clients expect it.
    async fn crash(&mut self) {
        self.cloud.kill().await.expect("killed");
        self.address = self.cloud.start(&self.address).await.expect("the cloud serves again");
    }

    /// Ends it, and checks its books.
    async fn close(mut self) -> u64 {
        self.cloud.stop().await.expect("it ends in peace");
        let check = self.cloud.check().await.expect("the books are in order");
        assert_eq!(check.problems_found, 0, "{check:?}");
        check.posted
    }
}

async fn sync(address: &str, token: &str, shop: &str, body: &Value) -> anyhow::Result<Answer> {
    let token = format!("Bearer {token}");
    let headers = [("authorization", &*token), ("content-type", JSON), ("x-shop-id", shop)];
    ask_with(address, "POST", "/api/pos/sync", &headers, body.to_string().into_bytes()).await
}

/// The body of the document, byte for byte.
fn example() -> Value {
    serde_json::from_str(
        r#"{
  "sales": [
    {
      "clientTempId": "uuid-generated-by-client",
      "items": [
        {
          "productId": "product-uuid",
          "quantity": 2,
          "price": 15.99,
          "discountPercent": 0
        }
      ],
      "totalAmount": 31.98,
      "customerId": "optional-customer-uuid",
      "createdAt": "2024-01-15T10:30:00Z"
    }
  ]
}"#,
    )
    .expect("the document's example")
}

fn sale(id: &str) -> Value {
    let mut sale = example()["sales"][0].clone();
    sale["clientTempId"] = json!(id);
    sale
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_s2_is_answered_as_it_says_and_so_after_a_crash() {
    let mut contract = Contract::new().await;
    let first: Value = contract.sync(&example()).await.json().expect("JSON");
    let names: Vec<_> = first.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["errors", "synced"]);
    let synced = &first["synced"][0];
    let names: Vec<_> = synced.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["clientTempId", "orderId", "serverId", "status"]);
    assert_eq!(synced["status"], "created");
    for _ in 0..2 {
        contract.crash().await;
        let again: Value = contract.sync(&example()).await.json().expect("JSON");
        let mut known = synced.clone();
        known["status"] = json!("existing");
        assert_eq!(again, json!({"synced": [known], "errors": []}));
    }
    assert_eq!(contract.close().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policies_of_s2_hold() {
    let contract = Contract::new().await;
    let mut unknown = sale("failed-sale-uuid");
    unknown["items"][0]["productId"] = json!("xyz");
    let body = json!({"sales": [unknown.clone(), sale("a"), sale("a")], "more": {"of": ["it"]}});
    let told: Value = contract.sync(&body).await.json().expect("JSON");
    let error = &told["errors"][0];
    assert_eq!(error["clientTempId"], "failed-sale-uuid");
    assert_eq!(error["error"], "Product xyz not found");
    let statuses: Vec<_> =
        told["synced"].as_array().expect("a list").iter().map(|s| s["status"].clone()).collect();
    assert_eq!(statuses, ["created", "existing"]);
    let stock = contract.operator("/v1/admin/stock?shop=shop&branch=north&negative=true").await;
    assert_eq!(stock["stock"][0]["stockMilli"], -2_000, "insufficient stock: accepted, negative");
    let mut notices = Value::Null;
    for _ in 0..100 {
        let path = "/v1/admin/notifications?shop=shop&branch=north";
        notices = contract.operator(path).await["notifications"].clone();
        if notices != json!([]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        (&notices[0]["type"], &notices[0]["productId"]),
        (&json!("low_stock"), &json!("product-uuid"))
    );
    let parked = contract.operator("/v1/admin/parked?shopId=shop").await;
    assert_eq!(parked["parked"][0]["localEventId"], "failed-sale-uuid", "nothing is lost");
    contract.define("xyz").await;
    let told: Value = contract.sync(&json!({"sales": [unknown]})).await.json().expect("JSON");
    assert_eq!(told["synced"][0]["status"], "created");
    let parked = contract.operator("/v1/admin/parked?shopId=shop").await;
    assert_eq!(parked["parked"], json!([]));
    let path = "/v1/admin/reports/sales?shopId=shop&by=day,product";
    let report = contract.operator(path).await;
    let rows = report["rows"].as_array().expect("rows").len();
    assert_eq!((rows, &report["rows"][0]["day"]), (2, &json!("2024-01-15")));
    assert_eq!(contract.close().await, 2);
}

/// Sends until there is an answer, as the document's client does.
async fn with_retry(address: &str, token: &str, body: &Value) -> Value {
    loop {
        if let Ok(answer) = sync(address, token, "shop", body).await
            && answer.status == 200
        {
            return answer.json().expect("JSON");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_clients_race_for_the_same_names_while_the_node_is_killed() {
    const NAMES: usize = 400;
    let mut contract = Contract::new().await;
    let done = Arc::new(AtomicUsize::new(0));
    let mut racing = Vec::new();
    for racer in 0..8 {
        let (address, token) = (contract.address.clone(), contract.token.clone());
        let done = Arc::clone(&done);
        racing.push(tokio::spawn(async move {
            let mut names = BTreeMap::new();
            for part in 0..NAMES / 20 {
                let from = (part + racer * 3) % (NAMES / 20) * 20;
                let sales: Vec<_> = (from..from + 20).map(|at| sale(&format!("s-{at}"))).collect();
                let told = with_retry(&address, &token, &json!({ "sales": sales })).await;
                assert_eq!(told["errors"], json!([]), "{told}");
                for synced in told["synced"].as_array().expect("a list") {
                    let id = synced["clientTempId"].to_string();
                    names.insert(id, (synced["serverId"].clone(), synced["orderId"].clone()));
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            names
        }));
    }
    for crash in 1..=4 {
        while done.load(Ordering::Relaxed) < crash * 30 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        contract.crash().await;
    }
    let mut agreed: Option<BTreeMap<_, _>> = None;
    for racer in racing {
        let names = racer.await.expect("a racer");
        assert_eq!(names.len(), NAMES);
        assert_eq!(*agreed.get_or_insert_with(|| names.clone()), names);
    }
    let stock = contract.operator("/v1/admin/stock?shop=shop&branch=north").await;
    assert_eq!(stock["stock"][0]["stockMilli"], -2_000 * NAMES as i64);
    assert_eq!(contract.close().await, NAMES as u64, "each counts once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_s1_and_s3_work() {
    let contract = Contract::new().await;
    let edits = json!({"shopId": "shop", "edits": [{"put": {"product": {
        "productId": "prod_001", "name": "Coffee", "barcodes": [], "priceMinor": 500,
        "currency": "GBP", "taxPpm": 0, "unit": "pcs", "category": null, "active": true}}}]});
    let edits = edits.to_string().into_bytes();
    let told = ask(&contract.address, "POST", "/v1/admin/catalog", OPERATOR, edits).await;
    assert_eq!(told.expect("an answer").status, 200);
    let down = async |since: &str| -> Value {
        let path = format!("/api/v1/sync/downstream?last_synced_at={since}");
        let told = ask(&contract.address, "GET", &path, &contract.token, Vec::new()).await;
        told.expect("an answer").json().expect("JSON")
    };
    let first = down("2024-01-01T10:00:00Z").await;
    let product = &first["changes"]["products"][0];
    assert_eq!((&product["uuid"], &product["name"]), (&json!("prod_001"), &json!("Coffee")));
    assert_eq!(product["price"].to_string(), "5.0", "5.00, as this client reads it");
    let next = down(first["timestamp"].as_str().expect("a time")).await;
    assert_eq!(next["changes"]["products"], json!([]));

    let up = async |body: &Value| {
        let (path, body) = ("/api/v1/sync/upstream", body.to_string().into_bytes());
        let told = ask(&contract.address, "POST", path, &contract.token, body).await;
        told.expect("an answer")
    };
    let mut sold = sale("x");
    sold["uuid"] = json!("s-1");
    sold.as_object_mut().expect("an object").remove("clientTempId");
    let batch = json!({"sync_id": "req_12345", "timestamp": "2024-01-01T12:00:00Z",
        "changes": {"products": [{"uuid": "prod_001", "name": "Coffee", "price": 5.00,
                                  "updated_at": "..."}], "categories": [], "sales": [sold]}});
    let answer = up(&batch).await;
    let told: Value = answer.json().expect("JSON");
    assert_eq!((answer.status, &told["sync_id"]), (200, &json!("req_12345")));
    let command = json!({"command_id": "uuid", "type": "CREATE_TRANSACTION",
        "entity_id": "transaction-uuid", "payload": example()["sales"][0].clone(),
        "status": "PENDING", "created_at": "2024-01-01T12:00:00Z"});
    let mut command = command;
    command["payload"].as_object_mut().expect("an object").remove("clientTempId");
    for status in ["created", "existing"] {
        let answer = up(&command).await;
        let told: Value = answer.json().expect("JSON");
        assert_eq!((answer.status, &told["results"][0]["status"]), (200, &json!(status)), "{told}");
    }
    // The same transaction by S2: it is known.
    let mut same = example();
    same["sales"][0]["clientTempId"] = json!("transaction-uuid");
    let told: Value = contract.sync(&same).await.json().expect("JSON");
    assert_eq!(told["synced"][0]["status"], "existing");
    assert_eq!(contract.close().await, 2);
}

fn code(answer: &Answer) -> String {
    let told: Value = answer.json().expect("a problem document");
    told["code"].as_str().expect("a code").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_their_codes() {
    let contract = Contract::new().await;
    let (address, token) = (&contract.address, &contract.token);
    let bearer = format!("Bearer {token}");
    let many: Vec<_> = (0..201).map(|at| sale(&at.to_string())).collect();
    let many = json!({ "sales": many }).to_string().into_bytes();
    let huge = vec![b' '; 3 * 1024 * 1024];
    let deep = format!("{{\"sales\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let form = ("content-type", JSON);
    let shop = ("x-shop-id", "shop");
    let own = ("authorization", &*bearer);
    let till = ("authorization", "Bearer cf_T-1_no");
    let post = |path: &'static str, headers: Vec<(&'static str, String)>, body: Vec<u8>| {
        let address = address.clone();
        async move {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            ask_with(&address, "POST", path, &headers, body).await.expect("an answer")
        }
    };
    let owned = |pairs: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let good = example().to_string().into_bytes();
    let pos = "/api/pos/sync";
    for (path, headers, body, status, expected) in [
        (pos, owned(&[form, shop]), good.clone(), 401, "POS_SYNC_UNAUTHORIZED"),
        (pos, owned(&[form, shop, till]), good.clone(), 401, "POS_SYNC_UNAUTHORIZED"),
        (
            pos,
            owned(&[form, ("x-shop-id", "other"), own]),
            good.clone(),
            403,
            "POS_SYNC_UNAUTHORIZED",
        ),
        (pos, owned(&[form, own]), good.clone(), 400, "POS_SYNC_EVENT_INVALID"),
        (pos, owned(&[shop, own]), good.clone(), 415, "POS_SYNC_VERSION_UNSUPPORTED"),
        (pos, owned(&[form, shop, own]), many, 413, "POS_SYNC_TOO_LARGE"),
        (pos, owned(&[form, shop, own]), huge, 413, "POS_SYNC_TOO_LARGE"),
        (pos, owned(&[form, shop, own]), b"{".to_vec(), 422, "POS_SYNC_EVENT_INVALID"),
        ("/api/pos/other", owned(&[form, shop, own]), good.clone(), 404, "POS_SYNC_NOT_FOUND"),
        ("/api/v1/sync/upstream", owned(&[form]), good.clone(), 401, "POS_SYNC_UNAUTHORIZED"),
        ("/api/v1/sync/downstream", owned(&[own]), Vec::new(), 405, "POS_SYNC_NOT_FOUND"),
        ("/v1/sales-events", owned(&[form, own]), good.clone(), 401, "POS_SYNC_UNAUTHORIZED"),
        ("/v1/admin/users", owned(&[form, own]), good, 401, "POS_SYNC_UNAUTHORIZED"),
    ] {
        let answer = post(path, headers, body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (status, expected), "{path}");
    }
    // Depth is no way in: such an item is an error of its own.
    let answer = post(pos, owned(&[form, shop, own]), deep.into_bytes()).await;
    let told: Value = answer.json().expect("JSON");
    assert_eq!(
        (answer.status, &told["errors"][0]["code"]),
        (200, &json!("POS_SYNC_EVENT_INVALID"))
    );
    assert_eq!(contract.close().await, 0, "nothing that was refused counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_too_often_waits_and_is_heard_again() {
    let contract = Contract::with(&["--rate", "1", "--burst", "3"]).await;
    let mut limited = 0;
    for _ in 0..6 {
        let answer = contract.sync(&example()).await;
        if answer.status != 200 {
            assert_eq!((answer.status, code(&answer).as_str()), (429, "POS_SYNC_RATE_LIMITED"));
            limited += 1;
        }
    }
    assert!(limited >= 2, "the bucket has three: {limited}");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(contract.sync(&example()).await.status, 200);
    assert_eq!(contract.close().await, 1);
}
