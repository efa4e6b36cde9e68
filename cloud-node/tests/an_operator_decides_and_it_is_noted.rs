//! The operator's desk: what waits is decided once, whatever is done is in the log, credentials are
//! rotated without locking anybody out, a file of products is taken whole or not at all.

mod support;

use axum::body::Body;
use counterfoil_cloud::{audit, export};
use counterfoil_protocol::cloud::UnknownProducts;
use counterfoil_protocol::hash::secret_hash;
use counterfoil_protocol::wire::message::Verdict;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use support::{Answer, BINARY, Node, OPERATOR, start, start_with};

async fn ask(node: &Node, method: &str, path: &str, form: &str, body: String) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {OPERATOR}"))
        .header("content-type", form);
    node.send(request.body(Body::from(body)).expect("a request")).await
}

async fn see(node: &Node, path: &str) -> Value {
    let answer = ask(node, "GET", path, "application/json", String::new()).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.json());
    answer.json()
}

async fn decide(node: &Node, id: &str, decision: &str, reason: &str) -> Answer {
    let wish = json!({"shopId": "shop", "terminalId": "T-1", "posId": "P-1", "localEventId": id,
                      "decision": decision, "reason": reason});
    node.admin("/v1/admin/parked/decide", wish).await
}

/// A node that parks, and a till that has sold what nobody defined.
async fn parked() -> (Node, support::Till) {
    let limits = counterfoil_cloud::service::Limits { rate: None, ..Default::default() };
    let node = start_with(limits, UnknownProducts::Park);
    let mut till = node.enrolled("T-1", "shop", "north").await;
    let items = vec![till.sell("a"), till.sell("b"), till.sell("c")];
    for result in node.push(&till, items).await.results {
        assert!(matches!(result.verdict, Verdict::Parked(_)), "{result:?}");
    }
    (node, till)
}

async fn booked(node: &Node) -> (u64, u64) {
    let report = audit::check(&node.reads).await.expect("readable rows");
    assert!(report.is_clean(), "{:?}", report.problems);
    let summary = export::summary(&node.reads).await.expect("readable rows");
    (summary.events, summary.parked)
}

#[tokio::test]
async fn what_waits_is_accepted_rejected_or_tried_again_once() {
    let (node, till) = parked().await;
    let listed = see(&node, "/v1/admin/parked?shopId=shop").await;
    let ids: Vec<_> = listed["parked"].as_array().expect("a list").iter().collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[0]["code"], "POS_SYNC_PRODUCT_UNKNOWN");
    assert!(ids[0]["event"]["body"]["sale"].is_object(), "{}", ids[0]);
    assert_eq!(see(&node, "/v1/admin/parked?shopId=rival").await["parked"], json!([]));

    assert_eq!(decide(&node, "a", "retry", "").await.json()["status"], "waits");
    assert_eq!(booked(&node).await, (0, 3));
    assert_eq!(decide(&node, "a", "accept", "sold as tea").await.json()["status"], "posted");
    assert_eq!(decide(&node, "a", "reject", "too late").await.json()["status"], "posted");
    assert_eq!(decide(&node, "b", "reject", "").await.problem().0, "POS_SYNC_EVENT_INVALID");
    assert_eq!(decide(&node, "b", "reject", "a test").await.json()["status"], "rejected");
    assert_eq!(decide(&node, "b", "accept", "no").await.json()["status"], "rejected");
    assert_eq!(decide(&node, "x", "accept", "no").await.status, StatusCode::NOT_FOUND);
    let mut wish = json!({"shopId": "rival", "terminalId": "T-1", "posId": "P-1",
                          "localEventId": "c", "decision": "accept"});
    assert_eq!(
        node.admin("/v1/admin/parked/decide", wish.clone()).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(booked(&node).await, (1, 1));
    // The product appears: the same question has another answer.
    let defined = json!({"shopId": "shop", "productId": "tea"});
    assert_eq!(node.admin("/v1/admin/products", defined).await.status, StatusCode::CREATED);
    wish["shopId"] = json!("shop");
    wish["decision"] = json!("retry");
    assert_eq!(node.admin("/v1/admin/parked/decide", wish).await.json()["status"], "posted");
    assert_eq!(see(&node, "/v1/admin/parked?shopId=shop").await["parked"], json!([]));
    assert_eq!(booked(&node).await, (2, 0));

    // The till hears what became of each when it sends them again.
    let mut again = support::Till::new(till.terminal, till.token.clone());
    let items = vec![again.sell("a"), again.sell("b"), again.sell("c")];
    let verdicts: Vec<_> =
        node.push(&again, items).await.results.iter().map(|result| result.verdict).collect();
    assert!(matches!(verdicts[0], Verdict::Existing(_)), "{verdicts:?}");
    assert!(matches!(verdicts[1], Verdict::Refused(_)), "{verdicts:?}");
    assert!(matches!(verdicts[2], Verdict::Existing(_)), "{verdicts:?}");
    assert_eq!(booked(&node).await, (2, 0));
}

#[tokio::test]
async fn every_action_is_in_the_log_with_what_came_of_it() {
    let (node, _till) = parked().await;
    decide(&node, "a", "retry", "").await;
    decide(&node, "a", "accept", "seen").await;
    let line = json!({"productId": "tea", "deltaMilli": 5_000});
    let wish = json!({"shopId": "shop", "branchId": "north", "adjustmentId": "n-1",
                      "createdAtMs": 7, "lines": [line]});
    assert_eq!(
        node.admin("/v1/admin/adjustments", wish.clone()).await.problem().0,
        "POS_SYNC_PRODUCT_UNKNOWN",
        "it waits like a sale"
    );
    node.admin("/v1/admin/products", json!({"shopId": "shop", "productId": "tea"})).await;
    assert_eq!(node.admin("/v1/admin/adjustments", wish.clone()).await.status, StatusCode::CREATED);
    assert_eq!(node.admin("/v1/admin/adjustments", wish).await.status, StatusCode::OK);
    node.admin("/v1/admin/terminals/T-9/revoke", json!({})).await;
    let log = see(&node, "/v1/admin/log").await;
    let entries = log["entries"].as_array().expect("a list");
    let told: Vec<(String, bool)> = entries
        .iter()
        .rev()
        .map(|entry| {
            let action = entry["action"].as_str().expect("a word").to_owned();
            (action, entry["done"].as_bool().expect("one or the other"))
        })
        .collect();
    let told: Vec<(&str, bool)> = told.iter().map(|(action, done)| (&**action, *done)).collect();
    assert_eq!(
        told,
        [
            ("terminal.enrol", true),
            ("parked.retry", false),
            ("parked.accept", true),
            ("stock.adjust", true),
            ("product.define", true),
            ("stock.adjust", true),
            ("stock.adjust", true),
            ("terminal.revoke", false),
        ]
    );
    assert_eq!(entries[0]["number"], 8);
    assert_eq!(see(&node, "/v1/admin/log?before=3").await["entries"][0]["number"], 2);
    let text = log.to_string();
    assert!(!text.contains("cf_") && !text.contains(OPERATOR), "no secret is in the log");
    assert_eq!(booked(&node).await, (2, 2));
}

#[tokio::test]
async fn a_rotation_whose_answer_was_lost_locks_nobody_out() {
    let node = start();
    let mut till = node.enrolled("T-1", "shop", "north").await;
    let secret = "5e".repeat(32);
    let fresh = format!("cf_T-1_{secret}");
    let digest = secret_hash(secret.as_bytes()).to_string();
    let path = "/v1/admin/terminals/T-1/credential";
    let body = json!({"secretDigest": digest}).to_string();
    for _ in 0..3 {
        let answer = ask(&node, "PUT", path, "application/json", body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK);
        let push = till.push(vec![till.clone().sell("a")]).encode();
        let old = node.post("/v1/sales-events", &till.token, BINARY, push.clone()).await;
        assert_eq!(old.status, StatusCode::UNAUTHORIZED);
        let new = node.post("/v1/sales-events", &fresh, BINARY, push).await;
        assert_eq!(new.status, StatusCode::OK);
    }
    till.token = fresh;
    assert_eq!(
        node.admin("/v1/admin/terminals/T-1/revoke", json!({})).await.status,
        StatusCode::OK
    );
    let answer = ask(&node, "PUT", path, "application/json", body).await;
    assert_eq!(answer.problem().0, "POS_SYNC_EVENT_INVALID", "a rotation lets nobody in again");
    let listed = see(&node, "/v1/admin/terminals?shopId=shop").await;
    assert_eq!(listed["terminals"][0]["revoked"], true);
}

#[tokio::test]
async fn a_file_of_products_is_taken_whole_or_not_at_all() {
    let node = start();
    let import = |body: &str| {
        let path = "/v1/admin/catalog/import?shopId=shop";
        ask(&node, "POST", path, "text/csv; charset=utf-8", body.to_owned())
    };
    let good = "productId,name,price,currency,taxPercent,barcodes\n\
                tea,\"Tea, green\",2.55,GBP,20,40 41\ncake,Cake,12,JPY,,\n";
    assert_eq!(
        import(good).await.json(),
        json!({"rows": 2, "changed": 2, "thresholds": 0, "version": 1})
    );
    assert_eq!(
        import(good).await.json(),
        json!({"rows": 2, "changed": 0, "thresholds": 0, "version": 1})
    );
    let rows = node.rows().len();
    for bad in [
        "productId,name,price,currency\nnew,New,1.00,GBP\nbad,Bad,1.001,GBP\n",
        "productId,name,price,currency\nnew,New,1.00,GBP\nnew,New,1.00,GBP\n",
        "productId,name,price,currency\nnew,New,-1,GBP\n",
        "productId,name,price,currency\nnew,New,1.00,pounds\n",
        "productId,name,price,currency,stock\nnew,New,1.00,GBP,7\n",
        "productId,name,price,currency\nnew,,1.00,GBP\n",
        "productId,name,price,currency\n",
        "\u{0}\u{1}",
        "",
    ] {
        assert_eq!(import(bad).await.problem().0, "POS_SYNC_EVENT_INVALID", "{bad}");
    }
    assert_eq!(node.rows().len(), rows, "nothing of a bad file is written");
    let many: String = (0..1_200).map(|at| format!("p{at},Product {at},1.00,GBP\n")).collect();
    let many = format!("productId,name,price,currency\n{many}");
    let taken = json!({"rows": 1_200, "changed": 1_200, "thresholds": 0, "version": 4});
    assert_eq!(import(&many).await.json(), taken);
    assert!(audit::check(&node.reads).await.expect("readable").is_clean());
}

#[tokio::test]
async fn a_notice_stands_until_it_is_settled() {
    let (node, mut till) = parked().await;
    node.admin("/v1/admin/products", json!({"shopId": "shop", "productId": "tea"})).await;
    let item = till.sell("d");
    node.push(&till, vec![item]).await;
    decide(&node, "a", "retry", "").await;
    let path = "/v1/admin/notifications?shop=shop&branch=north";
    let mut notices = Value::Null;
    for _ in 0..200 {
        notices = see(&node, path).await["notifications"].clone();
        if notices != json!([]) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(notices[0]["productId"], "tea");
    let settled = json!({"shopId": "shop", "branchId": "north", "productId": "tea",
                         "movement": notices[0]["movement"]});
    assert_eq!(node.admin("/v1/admin/notifications/settle", settled).await.status, StatusCode::OK);
    assert_eq!(see(&node, path).await["notifications"], json!([]));
}
