//! S1 over HTTP: downstream by the time of the last commit, upstream as a queue sends it.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::body::Body;
use counterfoil_cloud::{audit, export};
use counterfoil_protocol::cloud::{Key, Record};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use support::{Answer, JSON, Node, start};

const EVERYTHING: [&str; 3] = ["sales:create", "stock:adjust", "catalog:read"];

async fn user(node: &Node, name: &str, branch: &str, scopes: &[&str]) -> String {
    let wish = json!({"userId": name, "shopId": "shop", "branchId": branch, "scopes": scopes,
                      "currency": "GBP"});
    let answer = node.admin("/v1/admin/users", wish).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
    answer.json()["token"].as_str().expect("a token").to_owned()
}

async fn down(node: &Node, token: &str, since: &str) -> Value {
    let path = format!("/api/v1/sync/downstream{since}");
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    let answer = node.send(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.json()
}

async fn since(node: &Node, token: &str, last: &Value) -> Value {
    let last = last.as_str().expect("a time");
    down(node, token, &format!("?last_synced_at={last}")).await
}

async fn up(node: &Node, token: &str, body: &Value) -> Answer {
    node.post("/api/v1/sync/upstream", token, JSON, body.to_string().into_bytes()).await
}

fn product(id: &str, name: &str, price: i64) -> Value {
    json!({"put": {"product": {
        "productId": id, "name": name, "barcodes": [], "priceMinor": price, "currency": "GBP",
        "taxPpm": 0, "unit": "pcs", "category": null, "active": true,
    }}})
}

async fn edit(node: &Node, edits: &[Value]) {
    let edits = json!({"shopId": "shop", "edits": edits});
    assert_eq!(node.admin("/v1/admin/catalog", edits).await.status, StatusCode::OK);
}

fn uuids(answer: &Value, list: &str) -> Vec<String> {
    let list = answer["changes"][list].as_array().expect("a list");
    list.iter().map(|told| told["uuid"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn a_delta_has_what_changed_and_the_form_of_the_contract() {
    let node = start();
    let token = user(&node, "anna", "north", &EVERYTHING).await;
    let empty = down(&node, &token, "").await;
    assert_eq!(
        empty["changes"],
        json!({"products": [], "categories": [], "customers": [],
                                        "deleted": [], "sales": []})
    );
    let category = json!({"put": {"category": {"categoryId": "drinks", "name": "Drinks"}}});
    let customer = json!({"put": {"customer": {"customerId": "c-1", "name": "Carla"}}});
    edit(&node, &[product("prod_001", "Coffee", 500), category, customer]).await;
    let first = down(&node, &token, "?last_synced_at=2024-01-01T10:00:00Z").await;
    assert_eq!(first["full"], true, "that time is of no commit");
    assert!(first["sync_id"].is_string());
    let coffee = &first["changes"]["products"][0];
    assert_eq!((&coffee["uuid"], &coffee["name"]), (&json!("prod_001"), &json!("Coffee")));
    assert_eq!(coffee["updated_at"], first["timestamp"]);
    assert_eq!(uuids(&first, "categories"), ["drinks"]);
    assert_eq!(uuids(&first, "customers"), ["c-1"]);
    let request =
        Request::get("/api/v1/sync/downstream").header("authorization", format!("Bearer {token}"));
    let text = node.send(request.body(Body::empty()).expect("a request")).await.body;
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains("\"price\":5.00"), "a decimal, as it was written: {text}");

    let none = since(&node, &token, &first["timestamp"]).await;
    assert_eq!(
        (none["full"].clone(), none["timestamp"].clone()),
        (json!(false), first["timestamp"].clone())
    );
    for list in ["products", "categories", "customers", "deleted"] {
        assert_eq!(none["changes"][list], json!([]), "{list}");
    }
    let gone = json!({"delete": {"kind": "customer", "id": "c-1"}});
    edit(&node, &[product("prod_002", "Cake", 250), gone]).await;
    let next = since(&node, &token, &first["timestamp"]).await;
    assert_eq!(uuids(&next, "products"), ["prod_002"]);
    assert_eq!(uuids(&next, "deleted"), ["c-1"]);
    assert_eq!(next["changes"]["deleted"][0]["entity_type"], "customer");
}

#[tokio::test]
async fn a_branch_hears_its_own_price_with_the_product() {
    let node = start();
    let north = user(&node, "anna", "north", &EVERYTHING).await;
    let south = user(&node, "sid", "south", &EVERYTHING).await;
    edit(&node, &[product("tea", "Tea", 300), product("cake", "Cake", 250)]).await;
    let first = down(&node, &north, "").await;
    let own = json!({"branchId": "north",
                     "put": {"branchPrice": {"productId": "tea", "priceMinor": 275}}});
    edit(&node, &[own]).await;
    let delta = since(&node, &north, &first["timestamp"]).await;
    assert_eq!(uuids(&delta, "products"), ["tea"], "its price has changed");
    assert_eq!(delta["changes"]["products"][0]["price"].to_string(), "2.75");
    let whole = down(&node, &north, "").await;
    assert_eq!(uuids(&whole, "products"), ["cake", "tea"]);
    assert_eq!(whole["changes"]["products"][1]["price"].to_string(), "2.75");
    let other = since(&node, &south, &first["timestamp"]).await;
    assert_eq!(other["changes"]["products"], json!([]), "another branch's price is not its own");
}

#[tokio::test]
async fn whoever_echoes_no_time_of_a_commit_gets_everything() {
    let node = start();
    let token = user(&node, "anna", "north", &EVERYTHING).await;
    edit(&node, &[product("a", "A", 1)]).await;
    let first = down(&node, &token, "").await;
    edit(&node, &[product("b", "B", 2)]).await;
    let said = first["timestamp"].as_str().expect("a time");
    for wrong in [
        "2999-01-01T00:00:00Z".to_owned(),
        "1970-01-01T00:00:00Z".to_owned(),
        "0001-01-01T00:00:00Z".to_owned(),
        "garbage".to_owned(),
        String::new(),
        said.replace('Z', "5Z"),
        said.replace('Z', "%2B01:00"),
    ] {
        let answer = down(&node, &token, &format!("?last_synced_at={wrong}")).await;
        assert_eq!(answer["full"], true, "{wrong}");
        assert_eq!(uuids(&answer, "products"), ["a", "b"], "{wrong}");
    }
    // Another way to write the same time is the same time.
    let same =
        down(&node, &token, &format!("?last_synced_at={}", said.replace('Z', "%2B00:00"))).await;
    assert_eq!(
        (same["full"].clone(), uuids(&same, "products")),
        (json!(false), vec!["b".to_owned()])
    );
    let reader = user(&node, "no", "north", &["sales:create"]).await;
    let request =
        Request::get("/api/v1/sync/downstream").header("authorization", format!("Bearer {reader}"));
    let answer = node.send(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(
        (answer.status, answer.problem().0.as_str()),
        (StatusCode::FORBIDDEN, "POS_SYNC_UNAUTHORIZED")
    );
}

#[tokio::test]
async fn times_of_commits_rise_whatever_the_clock_says() {
    let node = start();
    let token = user(&node, "anna", "north", &EVERYTHING).await;
    let mut last = String::new();
    for (number, clock) in [5_000_000_000_000_u64, 1_000, 0, 1_700_000_000_000, 1_700_000_000_000]
        .into_iter()
        .enumerate()
    {
        node.clock.0.store(clock, Ordering::SeqCst);
        edit(&node, &[product("tea", &format!("Tea {number}"), 1)]).await;
        let answer = down(&node, &token, "").await;
        let now = answer["timestamp"].as_str().expect("a time").to_owned();
        assert!(now > last, "{now} comes after {last}");
        if !last.is_empty() {
            let delta = since(&node, &token, &json!(last)).await;
            assert_eq!(uuids(&delta, "products"), ["tea"]);
            assert_eq!(delta["full"], false);
        }
        last = now;
    }
}

/// B.8: writers and readers at the same time; what a reader has in the end is the catalog.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_among_writers_have_everything_in_the_end() {
    let node = Arc::new(start());
    let token = user(&node, "anna", "north", &EVERYTHING).await;
    // How often each reader has read between commits. Writers go on until all have, and readers
    // until no writer does any more: so nothing hangs on who is how fast.
    let between: Arc<[AtomicUsize; 3]> = Arc::default();
    let written = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..4 {
        let (node, between) = (Arc::clone(&node), Arc::clone(&between));
        writers.push(tokio::spawn(async move {
            for round in 0..10_000 {
                let all = between.iter().all(|deltas| deltas.load(Ordering::Relaxed) > 3);
                if round >= 60 && all {
                    break;
                }
                let id = format!("p{}", (writer * 7 + round * 3) % 25);
                edit(&node, &[product(&id, &format!("{writer}/{round}"), round + 1)]).await;
            }
        }));
    }
    let mut readers = Vec::new();
    for reader in 0..3 {
        let (node, token) = (Arc::clone(&node), token.clone());
        let (between, written) = (Arc::clone(&between), Arc::clone(&written));
        readers.push(tokio::spawn(async move {
            let mut have = BTreeMap::new();
            let mut last = json!("");
            loop {
                let all = written.load(Ordering::SeqCst);
                let answer = since(&node, &token, &last).await;
                let products = answer["changes"]["products"].as_array().expect("a list");
                if products.is_empty() && all {
                    break have;
                }
                let delta = answer["full"] == false && !products.is_empty();
                between[reader].fetch_add(usize::from(delta), Ordering::Relaxed);
                for product in products {
                    have.insert(product["uuid"].to_string(), product["name"].clone());
                }
                last = answer["timestamp"].clone();
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        }));
    }
    for writer in writers {
        writer.await.expect("a writer");
    }
    written.store(true, Ordering::SeqCst);
    let whole = down(&node, &token, "").await;
    let expected: BTreeMap<String, Value> = whole["changes"]["products"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|product| (product["uuid"].to_string(), product["name"].clone()))
        .collect();
    assert!(between.iter().all(|deltas| deltas.load(Ordering::Relaxed) > 3), "{between:?}");
    for reader in readers {
        let have = reader.await.expect("a reader");
        let late = since(&node, &token, &whole["timestamp"]).await;
        assert_eq!(late["changes"]["products"], json!([]));
        assert_eq!(have, expected);
    }
    assert!(audit::check(&node.reads).await.expect("readable").is_clean());
}

#[tokio::test]
async fn a_large_catalog_comes_whole_in_one_answer() {
    let node = start();
    let token = user(&node, "anna", "north", &EVERYTHING).await;
    for part in 0..10 {
        let edits: Vec<_> =
            (0..500).map(|at| product(&format!("p{:05}", part * 500 + at), "P", 1)).collect();
        edit(&node, &edits).await;
    }
    let whole = down(&node, &token, "").await;
    assert_eq!(uuids(&whole, "products").len(), 5_000);
    let rows = node.rows();
    let third = rows.iter().filter_map(|(key, record)| match (key, record) {
        (Key::Stamped(_, at), Record::Stamped(3)) => Some(*at),
        _ => None,
    });
    let third = counterfoil_cloud::timestamp::Written(third.max().expect("a commit")).to_string();
    let rest = since(&node, &token, &json!(third)).await;
    assert_eq!((rest["full"].clone(), uuids(&rest, "products").len()), (json!(false), 3_500));
}

fn sale(id: &str) -> Value {
    json!({"uuid": id, "totalAmount": 5.00, "createdAt": "2024-01-01T12:00:00Z",
           "items": [{"productId": "tea", "quantity": 1, "price": 5.00}]})
}

fn sync(changes: &Value) -> Value {
    json!({"sync_id": "req_12345", "timestamp": "2024-01-01T12:00:00Z", "changes": changes})
}

async fn events(node: &Node) -> (u64, i64) {
    let report = audit::check(&node.reads).await.expect("readable");
    assert!(report.is_clean(), "{:?}", report.problems);
    let summary = export::summary(&node.reads).await.expect("readable");
    (summary.events, summary.quantity_milli)
}

#[tokio::test]
async fn what_is_queued_comes_up_once_and_200_says_that_all_of_it_did() {
    let node = start();
    let token = user(&node, "anna", "north", &EVERYTHING).await;
    edit(&node, &[product("tea", "Tea", 500)]).await;
    let adjusted = json!({"uuid": "adj", "productId": "tea", "quantity": -1.5,
                          "reason": "broken", "createdAt": "2024-01-01T12:00:00Z"});
    let named = json!({"uuid": "tea", "name": "Mine", "price": 1.00, "updated_at": "..."});
    let body = sync(&json!({"products": [named], "categories": [], "sales": [sale("s-1")],
                            "adjustments": [adjusted]}));
    let answer = up(&node, &token, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    let told = answer.json();
    assert_eq!(told["sync_id"], "req_12345");
    let statuses = |told: &Value| -> BTreeMap<String, String> {
        let results = told["results"].as_array().expect("results").iter();
        results
            .map(|told| {
                (told["uuid"].to_string(), told["status"].as_str().expect("one").to_owned())
            })
            .collect()
    };
    let expected = |sold: &str| {
        BTreeMap::from([("\"s-1\"", sold), ("\"adj\"", sold), ("\"tea\"", "server_wins")])
            .into_iter()
            .map(|(uuid, status)| (uuid.to_owned(), status.to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(statuses(&told), expected("created"));
    let again = up(&node, &token, &body).await.json();
    assert_eq!(statuses(&again), expected("existing"));
    assert_eq!(events(&node).await, (2, 1_000 - 1_500));
    // The time of an upstream answer is that of no commit: to echo it misses nothing.
    let echoed = since(&node, &token, &told["timestamp"]).await;
    assert_eq!((echoed["full"].clone(), uuids(&echoed, "products").len()), (json!(true), 1));

    // One bad item: no 200, or the client would take the queue item for done.
    let mut bad = sale("s-2");
    bad["totalAmount"] = json!(4.00);
    let answer = up(&node, &token, &sync(&json!({"sales": [bad, sale("s-3")]}))).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.problem().0, "POS_SYNC_EVENT_INVALID");
    let told = answer.json();
    assert_eq!(told["results"].as_array().map(Vec::len), Some(2));
    assert_eq!(statuses(&told)["\"s-3\""], "created", "its neighbour is taken");
    assert_eq!(statuses(&told)["\"s-2\""], "error");
    assert_eq!(events(&node).await.0, 3);
}

fn command(id: &str, kind: &str, entity: &str) -> Value {
    let payload = json!({"totalAmount": 5.00, "status": "PAID",
                         "items": [{"productId": "tea", "quantity": 1, "price": 5.00}]});
    json!({"command_id": id, "type": kind, "entity_id": entity, "payload": payload,
           "status": "PENDING", "created_at": "2024-01-01T12:00:00Z"})
}

#[tokio::test]
async fn a_command_counts_once_by_its_id_and_by_its_entity() {
    let node = start();
    let token = user(&node, "anna", "north", &EVERYTHING).await;
    edit(&node, &[product("tea", "Tea", 500)]).await;
    let kind = "CREATE_TRANSACTION";
    // The whole body, then in a list, then as a sale of S1 and of S2.
    let first = up(&node, &token, &command("c-1", kind, "t-1")).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.json());
    assert_eq!(first.json()["results"][0]["status"], "created");
    let server = first.json()["results"][0]["serverId"].clone();
    for body in [
        sync(&json!({"commands": [command("c-1", kind, "t-1")]})),
        sync(&json!({"commands": [command("c-9", kind, "t-1")]})),
        sync(&json!({"sales": [sale("t-1")]})),
    ] {
        let answer = up(&node, &token, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
        let told = answer.json()["results"][0].clone();
        assert_eq!((&told["status"], &told["serverId"]), (&json!("existing"), &server));
    }
    for wrong in [command("c-1", kind, "t-2"), command("c-2", "DROP_TABLE", "t-3")] {
        let answer = up(&node, &token, &sync(&json!({"commands": [wrong]}))).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(events(&node).await, (1, 1_000));
}

#[tokio::test]
async fn each_item_needs_its_permission() {
    let node = start();
    edit(&node, &[product("tea", "Tea", 500)]).await;
    let seller = user(&node, "s", "north", &["sales:create"]).await;
    let keeper = user(&node, "k", "north", &["stock:adjust"]).await;
    let adjusted = json!({"uuid": "adj", "productId": "tea", "quantity": 2,
                          "createdAt": "2024-01-01T12:00:00Z"});
    let sales = sync(&json!({"sales": [sale("a")]}));
    let stock = sync(&json!({"adjustments": [adjusted]}));
    for (token, body, status) in [
        (&seller, &sales, 200),
        (&seller, &stock, 403),
        (&keeper, &sales, 403),
        (&keeper, &stock, 200),
    ] {
        assert_eq!(up(&node, token, body).await.status.as_u16(), status, "{body}");
    }
    assert_eq!(events(&node).await.0, 2);
    for body in ["{}", "[]", "", r#"{"changes":[]}"#, r#"{"changes":{"sales":7}}"#] {
        let answer = node.post("/api/v1/sync/upstream", &seller, JSON, body.into()).await;
        assert_eq!(answer.problem().0, "POS_SYNC_EVENT_INVALID", "{body}");
    }
}
