//! A credential is needed, of the very terminal that the body names, and only while it holds.

mod support;

use std::sync::atomic::Ordering;

use axum::body::Body;
use counterfoil_protocol::cloud::Input;
use counterfoil_protocol::time::Millis;
use http::{Request, StatusCode};
use serde_json::json;
use support::{Answer, BINARY, JSON, Node, OPERATOR, Till, start};

const ROUTES: [&str; 2] = ["/v1/handshake", "/v1/sales-events"];

fn bodies(till: &Till) -> [Vec<u8>; 2] {
    let mut next = till.clone();
    let item = next.sell("next");
    [till.hello().encode(), till.push(vec![item]).encode()]
}

/// The routes that answer from committed rows, without a transaction.
const PULLS: [&str; 2] = ["/v1/catalog/delta?from=0", "/v1/catalog/snapshot"];

async fn pull(node: &Node, route: &str, token: &str) -> Answer {
    let request = Request::get(route)
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .expect("a request");
    node.send(request).await
}

async fn reads_its_catalog(node: &Node, till: &Till) {
    for route in PULLS {
        assert_eq!(pull(node, route, &till.token).await.status, StatusCode::OK, "{route}");
    }
}

/// Asks and sends, and checks that all is refused alike and changes nothing. It asks first: a
/// refused message would make the node forget what it remembers of the till.
async fn refused(node: &Node, till: &Till, token: &str, reason: &str) {
    for route in PULLS {
        let answer = pull(node, route, token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{route}");
        assert_eq!(answer.problem(), ("POS_SYNC_UNAUTHORIZED".into(), reason.into()), "{route}");
    }
    messages_refused(node, till, token, reason).await;
}

/// Sends both messages and checks that both are refused alike and change nothing.
async fn messages_refused(node: &Node, till: &Till, token: &str, reason: &str) {
    let before = node.rows();
    for (route, body) in ROUTES.into_iter().zip(bodies(till)) {
        let answer = node.post(route, token, BINARY, body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{route}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert_eq!(answer.problem(), ("POS_SYNC_UNAUTHORIZED".into(), reason.into()), "{route}");
    }
    assert_eq!(node.rows(), before, "a refusal changes nothing");
}

#[tokio::test]
async fn every_wrong_credential_is_named_and_changes_nothing() {
    let node = start();
    let till = node.till("T-1").await;
    let other = node.till("T-2").await;
    let old = node.till_until("T-3", Some(Millis(1_000_500))).await;
    let gone = node.till("T-4").await;
    for till in [&till, &other, &old, &gone] {
        node.greet(till).await;
        reads_its_catalog(&node, till).await;
    }
    node.clock.0.store(1_000_500, Ordering::SeqCst);
    let revoke = Input::Revoke { terminal: gone.terminal };
    node.submit.ask(revoke, 0).await.expect("a working store");

    let secret = "0".repeat(64);
    refused(&node, &till, "", "").await;
    refused(&node, &till, "something-else", "").await;
    refused(&node, &till, &format!("cf_T-1_{secret}"), "wrongCredential").await;
    refused(&node, &till, &format!("cf_T-9_{secret}"), "unknownTerminal").await;
    // It opens what is its own, and nothing of the terminal that the body names.
    messages_refused(&node, &till, &other.token, "wrongCredential").await;
    reads_its_catalog(&node, &other).await;
    refused(&node, &old, &old.token, "expired").await;
    // The first message is refused by the transaction, the next before its body is read.
    refused(&node, &gone, &gone.token, "revoked").await;
    refused(&node, &gone, &gone.token, "revoked").await;
    node.greet(&till).await;
}

#[tokio::test]
async fn a_missing_header_is_refused_before_the_body_is_read() {
    let node = start();
    for route in ROUTES {
        // A body that never ends: it must not be waited for.
        let (_open, endless) = http_body_util::channel::Channel::<bytes::Bytes>::new(1);
        let endless = Body::new(endless);
        let request = Request::post(route).body(endless).expect("a request");
        let answer = node.send(request).await;
        assert_eq!(answer.problem().0, "POS_SYNC_UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_new_credential_replaces_the_old_one_at_once() {
    let node = start();
    let wish = json!({"terminalId": "T-1", "shopId": "shop", "branchId": "branch"});
    let enrol = async || -> Answer { node.admin("/v1/admin/terminals", wish.clone()).await };
    let first = enrol().await.json()["token"].as_str().expect("a token").to_owned();
    let mut till = node.till("T-0").await;
    till = Till { terminal: "T-1".parse().expect("a name"), token: first, ..till };
    till.hash = counterfoil_protocol::hash::genesis(till.terminal, till.epoch);
    node.greet(&till).await;
    reads_its_catalog(&node, &till).await;
    let second = enrol().await.json()["token"].as_str().expect("a token").to_owned();
    refused(&node, &till, &till.token.clone(), "wrongCredential").await;
    till.token = second;
    node.greet(&till).await;
    reads_its_catalog(&node, &till).await;
}

#[tokio::test]
async fn admin_routes_listen_to_the_operator_only() {
    let node = start();
    let till = node.till("T-1").await;
    let body = || json!({"shopId": "shop", "productId": "tea"}).to_string().into_bytes();
    for token in ["", "wrong", &till.token] {
        let answer = node.post("/v1/admin/products", token, JSON, body()).await;
        assert_eq!(answer.problem().0, "POS_SYNC_UNAUTHORIZED");
    }
    let answer = node.post("/v1/admin/products", OPERATOR, JSON, body()).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let route = "/v1/admin/terminals/T-1/revoke";
    let answer = node.admin(route, json!({})).await;
    assert_eq!((answer.status, answer.json()["revoked"].clone()), (StatusCode::OK, json!(true)));
    let answer = node.admin("/v1/admin/terminals/T-9/revoke", json!({})).await;
    assert_eq!(answer.problem().0, "POS_SYNC_NOT_FOUND");
    let elsewhere = json!({"terminalId": "T-1", "shopId": "shop", "branchId": "other"});
    let answer = node.admin("/v1/admin/terminals", elsewhere).await;
    assert_eq!(answer.problem().0, "POS_SYNC_EVENT_INVALID");
}
