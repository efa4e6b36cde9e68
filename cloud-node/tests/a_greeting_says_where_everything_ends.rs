//! The line beside the answer to a greeting says what a question would be answered, of the till's
//! own branch.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod support;

use counterfoil_protocol::wire::heads::{HEADS_HEADER, Heads};
use counterfoil_protocol::wire::message::MEDIA_TYPE;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use support::{Node, Till, start};

async fn said(node: &Node, till: &Till) -> Heads {
    let hello = till.hello().encode();
    let answer = node.post("/v1/handshake", &till.token, MEDIA_TYPE, hello).await;
    assert_eq!(answer.status, StatusCode::OK);
    let line = answer.headers[HEADS_HEADER].to_str().expect("text").to_owned();
    Heads::from_text(&line).unwrap_or_else(|| panic!("{line}"))
}

async fn asked(node: &Node, till: &Till, path: &str) -> Value {
    let request = Request::get(path).header("authorization", format!("Bearer {}", till.token));
    let answer = node.send(request.body(axum::body::Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    answer.json()
}

async fn says_what_is_answered(node: &Node, till: &Till, head: u64, inbox: u64) {
    let heads = said(node, till).await;
    let delta = asked(node, till, "/v1/catalog/delta?from=0").await;
    assert_eq!(serde_json::to_value(heads.catalog).expect("JSON"), delta["head"]);
    let page = asked(node, till, "/v1/inventory-events/pending").await;
    assert_eq!((page["head"].as_u64(), page["acked"].as_u64()), (Some(inbox), Some(heads.acked)));
    assert_eq!(serde_json::to_value(heads.inbox).expect("JSON"), page["to"]);
    assert_eq!((heads.catalog.version, heads.inbox.seq), (head, inbox));
}

#[tokio::test]
async fn a_greeting_says_what_a_question_would_be_answered() {
    let node = start();
    let north = node.enrolled("T-1", "acme", "north").await;
    let south = node.enrolled("T-2", "acme", "south").await;
    let other = node.enrolled("T-3", "other", "north").await;
    for till in [&north, &south, &other] {
        says_what_is_answered(&node, till, 0, 0).await;
    }
    let put = json!({"productId": "tea", "name": "Tea", "barcodes": [], "priceMinor": 1,
                     "currency": "GBP", "taxPpm": 0, "unit": "pcs", "category": null,
                     "active": true});
    let body = json!({"shopId": "acme", "edits": [{"put": {"product": put}}]});
    assert_eq!(node.admin("/v1/admin/catalog", body).await.status, StatusCode::OK);
    let body = json!({"orderId": "o-1", "shopId": "acme", "branchId": "north", "createdAtMs": 1,
                      "lines": [{"productId": "tea", "quantityMilli": 1000}]});
    assert!(node.admin("/v1/admin/orders", body).await.status.is_success());
    says_what_is_answered(&node, &north, 1, 1).await;
    says_what_is_answered(&node, &south, 1, 0).await;
    says_what_is_answered(&node, &other, 0, 0).await;
    let through = said(&node, &north).await.inbox;
    let ack = serde_json::to_vec(&json!({ "through": through })).expect("JSON");
    let ack = node.post("/v1/inventory-events/ack", &north.token, "application/json", ack).await;
    assert_eq!(ack.status, StatusCode::OK, "{}", ack.json());
    assert_eq!(said(&node, &north).await.acked, 1);
    assert_eq!(said(&node, &south).await.acked, 0);
}
