//! The push in JSON that `docs/wire.md` shows is one that a node takes.

mod support;

use http::StatusCode;
use serde_json::{Value, json};
use support::{JSON, hex, sale, start};

const WIRE: &str = include_str!("../../docs/wire.md");

/// The example, before the hashes and the bytes are put in.
fn example() -> &'static str {
    let from = WIRE.split("```json\n").nth(1).expect("an example");
    from.split("```").next().expect("its end")
}

#[tokio::test]
async fn the_push_of_the_manual_is_posted() {
    let node = start();
    let mut till = node.till("T-1").await;
    node.greet(&till).await;
    let draft = example().replace("CHAIN-1", &"0".repeat(64)).replace("CHAIN-2", &"0".repeat(64));
    let draft: Value = serde_json::from_str(&draft).expect("JSON");
    let first = serde_json::from_value(draft["items"][0]["event"].clone()).expect("an event");
    let first = counterfoil_protocol::event::Event::parse(first).expect("an event by the rules");
    let first = till.enter(first.canonical());
    let second = till.enter(sale("b", "tea", 1_000, 150).canonical());
    let body = example()
        .replace("CHAIN-1", &hex(&first.chain_hash.0))
        .replace("CHAIN-2", &hex(&second.chain_hash.0))
        .replace("PAYLOAD-2", &hex(&second.payload));
    let answer = node.post("/v1/sales-events", &till.token, JSON, body.into_bytes()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    let told = answer.json();
    assert_eq!((told["head"].clone(), told["stopped"].clone()), (json!(2), Value::Null), "{told}");
    for item in told["results"].as_array().expect("results") {
        assert!(item["verdict"]["created"].is_string(), "{told}");
    }
}
