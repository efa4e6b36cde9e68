//! The examples and the policies of the documents: S1, S2, S3.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::node::{Contract, Store, example, sale, sync};

pub(crate) async fn the_example_of_s2_is_answered_as_it_says_and_so_after_a_crash(store: Store) {
    let mut contract = Contract::new(store).await;
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

pub(crate) async fn the_policies_of_s2_hold(store: Store) {
    let contract = Contract::new(store).await;
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

pub(crate) async fn eight_clients_race_for_the_same_names_while_the_node_is_killed(store: Store) {
    const NAMES: usize = 400;
    let mut contract = Contract::new(store).await;
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

pub(crate) async fn the_examples_of_s1_and_s3_work(store: Store) {
    let contract = Contract::new(store).await;
    let edits = json!({"shopId": "shop", "edits": [{"put": {"product": {
        "productId": "prod_001", "name": "Coffee", "barcodes": [], "priceMinor": 500,
        "currency": "GBP", "taxPpm": 0, "unit": "pcs", "category": null, "active": true}}}]});
    assert_eq!(contract.operate("POST", "/v1/admin/catalog", &edits).await.status, 200);
    let down = async |since: &str| -> Value {
        let path = format!("/api/v1/sync/downstream?last_synced_at={since}");
        contract.get(&path, &contract.token).await.json().expect("JSON")
    };
    let first = down("2024-01-01T10:00:00Z").await;
    let product = &first["changes"]["products"][0];
    assert_eq!((&product["uuid"], &product["name"]), (&json!("prod_001"), &json!("Coffee")));
    assert_eq!(product["price"].to_string(), "5.0", "5.00, as this client reads it");
    let next = down(first["timestamp"].as_str().expect("a time")).await;
    assert_eq!(next["changes"]["products"], json!([]));

    let up = async |body: &Value| {
        contract.send("POST", "/api/v1/sync/upstream", &contract.token, body).await
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

/// The rows of the policies that the example does not show.
pub(crate) async fn a_name_stands_for_one_sale_and_a_duplicate_is_no_error(store: Store) {
    let contract = Contract::new(store).await;
    let first: Value = contract.sync(&json!({"sales": [sale("a")]})).await.json().expect("JSON");
    assert_eq!(first["synced"][0]["status"], "created", "an unknown customer is left out");
    let mut other = sale("a");
    other["items"][0]["quantity"] = json!(1);
    other["totalAmount"] = json!(15.99);
    let told: Value = contract.sync(&json!({"sales": [other]})).await.json().expect("JSON");
    assert_eq!(told["synced"], json!([]));
    assert_eq!(told["errors"][0]["code"], "POS_SYNC_EVENT_INVALID", "both are kept, one counts");
    let again: Value = contract.sync(&json!({"sales": [sale("a")]})).await.json().expect("JSON");
    assert_eq!(again["synced"][0]["status"], "existing");
    assert_eq!(again["synced"][0]["serverId"], first["synced"][0]["serverId"]);
    assert_eq!(contract.close().await, 1);
}

pub(crate) async fn a_low_stock_is_told_below_the_threshold_of_its_product(store: Store) {
    let contract = Contract::new(store).await;
    let csv = "productId,name,price,currency,lowStock\n\
               product-uuid,Coffee,15.99,GBP,10\nwater,Water,1.00,GBP,\n";
    let import = "/v1/admin/catalog/import?shopId=shop";
    let operator = format!("Bearer {}", crate::node::OPERATOR);
    let headers = [("authorization", &*operator), ("content-type", "text/csv")];
    let told: Value =
        contract.ask("POST", import, &headers, csv.into()).await.json().expect("JSON");
    assert_eq!((&told["rows"], &told["thresholds"]), (&json!(2), &json!(1)));
    let delivery = json!({"shopId": "shop", "branchId": "north", "adjustmentId": "delivery",
        "createdAtMs": 1_705_314_600_000_u64, "reason": "delivery", "lines": [
            {"productId": "product-uuid", "deltaMilli": 11_000},
            {"productId": "water", "deltaMilli": 11_000}]});
    assert_eq!(contract.operate("POST", "/v1/admin/adjustments", &delivery).await.status, 201);
    let notices = "/v1/admin/notifications?shop=shop&branch=north";
    let low = "/v1/admin/stock?shop=shop&branch=north&low=true";
    assert_eq!(contract.operator(low).await["stock"], json!([]));
    // 11 less 2 is below 10; of water there may be none.
    let mut water = sale("w");
    water["items"][0]["productId"] = json!("water");
    contract.sync(&json!({"sales": [sale("a"), water]})).await;
    let found = told_of(&contract, notices, 1).await;
    assert_eq!(
        (&found[0]["productId"], &found[0]["stockMilli"]),
        (&json!("product-uuid"), &json!(9_000))
    );
    let stock = contract.operator(low).await["stock"].clone();
    assert_eq!(stock.as_array().map(Vec::len), Some(1));
    assert_eq!((&stock[0]["thresholdMilli"], &stock[0]["low"]), (&json!(10_000), &json!(true)));
    // Another threshold, and it falls below that.
    let wish =
        json!({"shopId": "shop", "thresholds": [{"productId": "water", "belowMilli": 9_000}]});
    let set: Value =
        contract.operate("PUT", "/v1/admin/low-stock", &wish).await.json().expect("JSON");
    assert_eq!(set["changed"], 1);
    let mut water = sale("w2");
    water["items"][0]["productId"] = json!("water");
    contract.sync(&json!({"sales": [water]})).await;
    let found = told_of(&contract, notices, 2).await;
    assert_eq!(found[1]["productId"], "water");
    let listed = contract.operator("/v1/admin/low-stock?shopId=shop").await;
    assert_eq!(listed["thresholds"].as_array().map(Vec::len), Some(2));
    assert_eq!(contract.close().await, 4);
}

/// Waits until so many notices stand.
async fn told_of(contract: &Contract, path: &str, count: usize) -> Value {
    for _ in 0..200 {
        let notices = contract.operator(path).await["notifications"].clone();
        if notices.as_array().map(Vec::len) == Some(count) {
            return notices;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{count} notices never stood")
}
