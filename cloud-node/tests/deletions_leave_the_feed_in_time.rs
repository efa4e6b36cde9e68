//! A node notes how far its tills have come, compacts when it is told and by itself, and sends
//! whoever asks from below the floor to compare.

mod support;

use std::sync::atomic::Ordering;

use axum::body::Body;
use counterfoil_cloud::compaction::EVERY_COMMITS;
use counterfoil_protocol::cloud::compaction::LEASE_LIFE;
use counterfoil_protocol::cloud::row::Lease;
use counterfoil_protocol::cloud::{Key, Record};
use counterfoil_protocol::wire::catalog::DeltaAnswer;
use http::{Request, StatusCode};
use serde_json::json;
use support::{BINARY, Node, Till, site, start};

async fn edit(node: &Node, number: u32, put: bool) {
    let id = format!("c{number}");
    let edit = if put {
        json!({ "put": { "category": { "categoryId": id, "name": "Tea" } } })
    } else {
        json!({ "delete": { "kind": "category", "id": id } })
    };
    let body = json!({ "shopId": site().shop, "edits": [edit] });
    assert_eq!(node.admin("/v1/admin/catalog", body).await.status, StatusCode::OK);
}

async fn delta(node: &Node, till: &Till, from: u64) -> DeltaAnswer {
    let request = Request::get(format!("/v1/catalog/delta?from={from}"))
        .header("authorization", format!("Bearer {}", till.token))
        .header("accept", BINARY)
        .body(Body::empty())
        .expect("a request");
    let answer = node.send(request).await;
    assert_eq!(answer.status, StatusCode::OK);
    DeltaAnswer::decode(&answer.body).expect("an answer")
}

/// What was noted beside an answer is durable a moment later.
async fn leases(node: &Node, expected: usize) -> Vec<Lease> {
    for _ in 0..1_000 {
        let rows = node.rows().into_iter();
        let leases = rows
            .filter_map(|(_, row)| if let Record::Lease(lease) = row { Some(lease) } else { None });
        let leases: Vec<Lease> = leases.collect();
        if leases.len() == expected {
            return leases;
        }
        tokio::task::yield_now().await;
    }
    panic!("there are not {expected} leases");
}

async fn compact(node: &Node) -> (u64, u64) {
    let body = json!({ "shopId": site().shop });
    let answer = node.admin("/v1/admin/catalog/compact", body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let told = answer.json();
    let number = |name: &str| told[name].as_u64().expect("a number");
    (number("floor"), number("removed"))
}

#[tokio::test]
async fn a_question_holds_a_lease_and_costs_no_commit_when_it_is_repeated() {
    let node = start();
    let till = node.till("T-1").await;
    edit(&node, 1, true).await;
    assert!(matches!(delta(&node, &till, 0).await, DeltaAnswer::Page(_)));
    assert_eq!(leases(&node, 1).await[0].version, 0);
    let before = node.metrics.commits();
    for _ in 0..20 {
        delta(&node, &till, 1).await;
    }
    assert_eq!(node.metrics.commits(), before, "its lease is young, and close by");
}

#[tokio::test]
async fn deletions_stay_for_a_leased_till_and_leave_when_it_has_lapsed() {
    let node = start();
    let till = node.till("T-1").await;
    edit(&node, 1, true).await;
    delta(&node, &till, 1).await;
    leases(&node, 1).await;
    edit(&node, 1, false).await;
    assert_eq!(compact(&node).await, (0, 0), "it has not heard of the deletion");
    node.clock.0.fetch_add(LEASE_LIFE.0 + 1, Ordering::SeqCst);
    assert_eq!(compact(&node).await, (2, 1));
    assert!(matches!(delta(&node, &till, 1).await, DeltaAnswer::Resync));
    assert!(matches!(delta(&node, &till, 2).await, DeltaAnswer::Page(_)));
    let text = node.metrics.text();
    assert!(text.contains("catalog_compacted_deletions_total 1"), "{text}");
    assert!(text.contains("catalog_resyncs_total 1"), "{text}");
}

#[tokio::test]
async fn a_shop_is_compacted_by_itself_after_so_many_commits() {
    let node = start();
    for number in 0..EVERY_COMMITS / 2 {
        let number = u32::try_from(number).expect("a few hundred");
        edit(&node, number, true).await;
        edit(&node, number, false).await;
    }
    for _ in 0..1_000 {
        let rows = node.rows();
        if !rows.iter().any(|(key, _)| matches!(key, Key::Item(..) | Key::Change(..))) {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{EVERY_COMMITS} commits have passed, and the deletions are still there");
}

#[tokio::test]
async fn only_the_operator_compacts() {
    let node = start();
    let till = node.till("T-1").await;
    let body = json!({ "shopId": site().shop }).to_string().into_bytes();
    let answer = node.post("/v1/admin/catalog/compact", &till.token, support::JSON, body).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}
