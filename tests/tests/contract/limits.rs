//! Every limit of the HTTP surface, as a caller meets it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::node::{Contract, JSON, OPERATOR, Store, code, example, sale, wait};

const LIMITED: (u16, &str) = (429, "POS_SYNC_RATE_LIMITED");

pub(crate) async fn whoever_asks_too_often_waits_and_is_heard_again(store: Store) {
    let contract = Contract::with(store, &["--rate", "1", "--burst", "3"]).await;
    let mut limited = None;
    for _ in 0..6 {
        let answer = contract.sync(&example()).await;
        if answer.status != 200 {
            assert_eq!((answer.status, code(&answer).as_str()), LIMITED);
            limited = Some(wait(&answer));
        }
    }
    let wait = limited.expect("the bucket has three");
    tokio::time::sleep(wait + Duration::from_millis(200)).await;
    assert_eq!(contract.sync(&example()).await.status, 200);
    assert_eq!(contract.close().await, 1);
}

/// A body of about so many bytes: fields that nobody knows are left alone.
fn wide(sales: &Value, bytes: usize) -> Value {
    let mut body = sales.clone();
    body["filling"] = json!("x".repeat(bytes));
    body
}

pub(crate) async fn whoever_sends_too_much_waits_alone_and_is_heard_again(store: Store) {
    let arguments = ["--rate", "0", "--byte-rate", "1000", "--byte-burst", "10000"];
    let contract = Contract::with(store, &arguments).await;
    let till = contract.enrol("T-1").await;
    assert_eq!(contract.sync(&wide(&example(), 8_000)).await.status, 200);
    let answer = contract.sync(&wide(&example(), 8_000)).await;
    assert_eq!((answer.status, code(&answer).as_str()), LIMITED);
    let told = wait(&answer);
    assert!(told.as_secs() <= 8, "what is missing, at 1,000 a second: {told:?}");
    // What brings no body costs no bytes; others have bytes of their own.
    assert_eq!(contract.get("/api/v1/sync/downstream", &contract.token).await.status, 200);
    let ack = json!({"through": {"seq": 0, "chain": "0".repeat(64)}});
    let acked = contract.send("POST", "/v1/inventory-events/ack", &till, &ack).await;
    assert_eq!(acked.status, 200);
    // A till is held to the same.
    let bearer = format!("Bearer {till}");
    let headers = [("authorization", &*bearer), ("content-type", JSON)];
    let blank = |bytes: usize| [ack.to_string().into_bytes(), vec![b' '; bytes]].concat();
    let path = "/v1/inventory-events/ack";
    assert_eq!(contract.ask("POST", path, &headers, blank(9_000)).await.status, 200);
    let answer = contract.ask("POST", path, &headers, blank(9_000)).await;
    assert_eq!((answer.status, code(&answer).as_str()), LIMITED);
    tokio::time::sleep(told + Duration::from_millis(200)).await;
    let again: Value = contract.sync(&wide(&example(), 8_000)).await.json().expect("JSON");
    assert_eq!(again["synced"][0]["status"], "existing", "what was limited was not lost");
    assert_eq!(contract.close().await, 1);
}

pub(crate) async fn a_list_beyond_its_limit_is_refused_whole(store: Store) {
    let contract = Contract::new(store).await;
    let till = contract.enrol("T-1").await;
    let sales = |count: usize| {
        let sales: Vec<Value> = (0..count).map(|at| sale(&format!("s-{at}"))).collect();
        json!({ "sales": sales })
    };
    let told = |answer: &counterfoil_tests::http::Answer| (answer.status, code(answer));
    let too_large = (413, "POS_SYNC_TOO_LARGE".to_owned());
    let invalid = (422, "POS_SYNC_EVENT_INVALID".to_owned());
    assert_eq!(told(&contract.sync(&sales(201)).await), too_large);
    let user = format!("Bearer {}", contract.token);
    let user = [("authorization", &*user), ("content-type", JSON)];
    let upstream = json!({"changes": {"products": vec![json!({}); 201]}}).to_string().into_bytes();
    let answer = contract.ask("POST", "/api/v1/sync/upstream", &user, upstream).await;
    assert_eq!(told(&answer), too_large);
    let own = format!("Bearer {till}");
    let own = [("authorization", &*own), ("content-type", JSON)];
    let item = |seq: u64| json!({"seq": seq, "chainHash": "0".repeat(64), "payload": "00"});
    for count in [0, 501] {
        let items: Vec<Value> = (1..=count).map(item).collect();
        let push = json!({"terminalId": "T-1", "epoch": {"number": 1, "nonce": 1}, "items": items});
        let push = push.to_string().into_bytes();
        let answer = contract.ask("POST", "/v1/sales-events", &own, push).await;
        assert_eq!(told(&answer), invalid, "{count} items");
    }
    // 1 MiB of payloads in a push, in bytes that are two digits each.
    let long = json!({"terminalId": "T-1", "epoch": {"number": 1, "nonce": 1}, "items": [
        {"seq": 1, "chainHash": "0".repeat(64), "payload": "00".repeat(1024 * 1024 - 200)}]});
    let long = long.to_string().into_bytes();
    let answer = contract.ask("POST", "/v1/sales-events", &own, long).await;
    assert_eq!(told(&answer), too_large, "an event is shorter");
    let operator = format!("Bearer {OPERATOR}");
    let operator = [("authorization", &*operator), ("content-type", JSON)];
    let edit = json!({"delete": {"kind": "category", "id": "none"}});
    let threshold = |at: usize| json!({"productId": format!("p-{at}"), "belowMilli": 1});
    for (method, path, body) in [
        ("POST", "/v1/admin/catalog", json!({"shopId": "shop", "edits": vec![edit; 501]})),
        ("POST", "/v1/admin/catalog", json!({"shopId": "shop", "edits": []})),
        (
            "PUT",
            "/v1/admin/low-stock",
            json!({"shopId": "shop",
                   "thresholds": (0..501).map(threshold).collect::<Vec<Value>>()}),
        ),
        (
            "POST",
            "/v1/admin/adjustments",
            json!({"shopId": "shop", "branchId": "north", "adjustmentId": "a", "createdAtMs": 1,
                   "reason": "", "lines": []}),
        ),
        ("POST", "/v1/admin/products", json!({"shopId": "shop", "productId": "x".repeat(37)})),
    ] {
        let answer = contract.ask(method, path, &operator, body.to_string().into_bytes()).await;
        assert_eq!(told(&answer), invalid, "{path}");
    }
    let asked = [
        format!("/v1/admin/catalog?shopId=shop&search={}", "x".repeat(101)),
        format!("/v1/admin/catalog?shopId=shop&ids={}", vec!["a"; 201].join("%0A")),
        "/v1/admin/reports/sales?shopId=shop&from=yesterday".to_owned(),
        "/v1/admin/fleet".to_owned(),
    ];
    for path in asked {
        assert_eq!(told(&contract.get(&path, OPERATOR).await), invalid, "{path}");
    }
    let path = "/v1/inventory-events/pending?limit=1001";
    assert_eq!(told(&contract.get(path, &till).await), invalid);
    assert_eq!(contract.close().await, 0);
}

pub(crate) async fn a_file_beyond_its_limit_changes_nothing(store: Store) {
    let contract = Contract::new(store).await;
    let rows: String = (0..=20_000).map(|at| format!("p-{at},Tea,1.00,GBP\n")).collect();
    let csv = format!("productId,name,price,currency\n{rows}");
    let operator = format!("Bearer {OPERATOR}");
    let headers = [("authorization", &*operator), ("content-type", "text/csv")];
    let path = "/v1/admin/catalog/import?shopId=shop";
    let answer = contract.ask("POST", path, &headers, csv.into_bytes()).await;
    assert_eq!((answer.status, code(&answer).as_str()), (413, "POS_SYNC_TOO_LARGE"));
    let bad = "productId,name,price,currency,lowStock\ntea,Tea,1.00,GBP,1\ncup,Cup,1.00,GBP,-1\n";
    let answer = contract.ask("POST", path, &headers, bad.into()).await;
    assert_eq!((answer.status, code(&answer).as_str()), (422, "POS_SYNC_EVENT_INVALID"));
    let catalog = contract.operator("/v1/admin/catalog?shopId=shop").await;
    assert_eq!(catalog["entities"], json!([]));
    let low = contract.operator("/v1/admin/low-stock?shopId=shop").await;
    assert_eq!(low["thresholds"], json!([]));
    assert_eq!(contract.close().await, 0);
}

pub(crate) async fn what_unpacks_beyond_its_limit_is_too_large(store: Store) {
    let contract = Contract::new(store).await;
    let bearer = format!("Bearer {}", contract.token);
    let headers = [
        ("authorization", &*bearer),
        ("content-type", JSON),
        ("content-encoding", "zstd"),
        ("x-shop-id", "shop"),
    ];
    let bomb = zstd::bulk::compress(&vec![b' '; 4 * 1024 * 1024 + 1], 3).expect("it is packed");
    assert!(bomb.len() < 10_000, "little on the wire: {}", bomb.len());
    let answer = contract.ask("POST", "/api/pos/sync", &headers, bomb).await;
    assert_eq!((answer.status, code(&answer).as_str()), (413, "POS_SYNC_TOO_LARGE"));
    let packed = zstd::bulk::compress(example().to_string().as_bytes(), 3).expect("it is packed");
    let answer = contract.ask("POST", "/api/pos/sync", &headers, packed).await;
    assert_eq!(answer.status, 200);
    assert_eq!(contract.close().await, 1);
}

pub(crate) async fn wrong_tokens_run_out(store: Store) {
    let contract = Contract::new(store).await;
    let origin = format!("http://{}", contract.address);
    let headers = [("content-type", JSON), ("x-counterfoil-page", "person"), ("origin", &*origin)];
    let enter = async |token: &str, headers: &[(&str, &str)]| {
        let body = json!({ "token": token }).to_string().into_bytes();
        contract.ask("POST", "/login", headers, body).await
    };
    let answer = enter("a guess", &headers[..1]).await;
    assert_eq!((answer.status, code(&answer).as_str()), (403, "POS_SYNC_UNAUTHORIZED"));
    for _ in 0..10 {
        let answer = enter("a guess", &headers).await;
        assert_eq!((answer.status, code(&answer).as_str()), (401, "POS_SYNC_UNAUTHORIZED"));
    }
    let answer = enter(OPERATOR, &headers).await;
    assert_eq!((answer.status, code(&answer).as_str()), LIMITED);
    tokio::time::sleep(wait(&answer) + Duration::from_millis(200)).await;
    assert_eq!(enter(OPERATOR, &headers).await.status, 200);
    assert_eq!(enter(&"x".repeat(5_000), &headers).await.status, 413);
    assert_eq!(contract.close().await, 0);
}
