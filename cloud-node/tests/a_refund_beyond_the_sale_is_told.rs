//! More is taken back of a sale than it sold, by two tills that do not know of each other: both
//! refunds are posted, once each, and a person is told.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod support;

use counterfoil_protocol::event::Event;
use counterfoil_protocol::wire::message::Verdict;
use serde_json::{Value, json};
use support::{Node, Till, sale, start};

/// A refund of so much of the sale `a` of T-1.
fn refund(name: &str, quantity_milli: i64, price: i64) -> Vec<u8> {
    let amount = quantity_milli * price / 1_000;
    let event = serde_json::from_value(json!({
        "posId": "P-1", "localEventId": name, "atMs": 2_000,
        "receipt": {"series": {"number": 1, "nonce": 77}, "number": 2},
        "reference": "",
        "body": {"refund": {
            "original": {"terminalId": "T-1", "posId": "P-1", "localEventId": "a"},
            "trade": {
                "currency": "GBP",
                "lines": [{
                    "productId": "tea", "name": "", "quantityMilli": quantity_milli,
                    "unitPriceMinor": price, "discountMinor": 0, "taxPpm": 200_000,
                }],
                "payments": [{"tender": 1, "amountMinor": amount}],
            },
        }},
    }));
    Event::parse(event.expect("the shape of an event")).expect("a refund").canonical()
}

fn named(terminal: &str, name: &str) -> Value {
    json!({"terminalId": terminal, "posId": "P-1", "localEventId": name})
}

async fn returns(node: &Node, shop: &str) -> Value {
    let request = http::Request::get(format!("/v1/admin/returns?shopId={shop}"))
        .header("authorization", format!("Bearer {}", support::OPERATOR))
        .body(axum::body::Body::empty());
    let answer = node.send(request.expect("a request")).await;
    assert_eq!(answer.status, http::StatusCode::OK, "{}", answer.json());
    answer.json()["returns"].clone()
}

async fn created(node: &Node, till: &mut Till, payload: Vec<u8>) {
    let item = till.enter(payload);
    for again in [false, true] {
        let answer = node.push(till, vec![item.clone()]).await;
        let verdict = answer.results[0].verdict;
        let posted = match verdict {
            Verdict::Created(_) => !again,
            Verdict::Existing(_) => again,
            Verdict::Parked(_) | Verdict::Refused(_) | Verdict::Edited(_) => false,
        };
        assert!(posted, "{verdict:?}");
    }
}

#[tokio::test]
async fn a_refund_of_more_than_was_sold_is_posted_once_and_listed() {
    let node = start();
    let mut one = node.enrolled("T-1", "shop", "north").await;
    let mut two = node.enrolled("T-2", "shop", "south").await;
    created(&node, &mut one, sale("a", "tea", 2_000, 150).canonical()).await;
    created(&node, &mut one, refund("back-1", 2_000, 150)).await;
    assert_eq!(returns(&node, "shop").await, json!([]), "all of it came back, and no more");
    created(&node, &mut two, refund("back-2", 500, 150)).await;
    let listed = returns(&node, "shop").await;
    assert_eq!(
        listed,
        json!([{
            "original": named("T-1", "a"), "branchId": "north", "currency": "GBP",
            "soldMinor": 300, "returnedMinor": 375,
            "products": [{"productId": "tea", "soldMilli": 2_000, "returnedMilli": 2_500}],
            "refunds": [named("T-1", "back-1"), named("T-2", "back-2")],
        }]),
        "{listed:#}"
    );
    assert_eq!(returns(&node, "other").await, json!([]), "it is no other shop's");
}

#[tokio::test]
async fn money_beyond_the_price_is_listed_though_the_goods_agree() {
    let node = start();
    let mut till = node.enrolled("T-1", "shop", "north").await;
    created(&node, &mut till, sale("a", "tea", 2_000, 150).canonical()).await;
    created(&node, &mut till, refund("dear", 2_000, 151)).await;
    let listed = returns(&node, "shop").await;
    assert_eq!((&listed[0]["soldMinor"], &listed[0]["returnedMinor"]), (&json!(300), &json!(302)));
    assert_eq!(listed[0]["products"], json!([]), "{listed:#}");
}
