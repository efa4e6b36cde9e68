//! A handshake and a push have the same effects and answers in both encodings.

mod support;

use counterfoil_protocol::wire::message::{PushAnswer, Stopped, Verdict, Welcome};
use http::StatusCode;
use serde_json::{Value, json};
use support::{BINARY, JSON, Node, hex, push_json, start};

async fn speak(form: &str, node: &Node) -> (Value, Value) {
    let mut till = node.till("T-1").await;
    let hello = till.hello();
    let items = vec![till.sell("a"), till.sell("b")];
    let push = till.push(items);
    let (hello, push) = if form == BINARY {
        (hello.encode(), push.encode())
    } else {
        (serde_json::to_vec(&hello).expect("JSON"), push_json(&push).to_string().into_bytes())
    };
    let welcome = node.post("/v1/handshake", &till.token, form, hello).await;
    let pushed = node.post("/v1/sales-events", &till.token, form, push).await;
    assert_eq!((welcome.status, pushed.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(welcome.headers["content-type"], form);
    if form == BINARY {
        let welcome = Welcome::decode(&welcome.body).expect("a welcome");
        let pushed = PushAnswer::decode(&pushed.body).expect("an answer");
        (json!(welcome), json!(pushed))
    } else {
        (welcome.json(), pushed.json())
    }
}

#[tokio::test]
async fn handshake_and_push_have_the_same_effects_in_both_encodings() {
    let (binary, text) = (start(), start());
    let said_in_binary = speak(BINARY, &binary).await;
    let said_in_json = speak(JSON, &text).await;
    assert_eq!(said_in_binary, said_in_json);
    assert_eq!(binary.rows(), text.rows());
    let (welcome, pushed) = said_in_json;
    assert_eq!(welcome["lanes"][0]["standing"], "inStep");
    assert_eq!(pushed["head"], 2);
    assert!(pushed["results"][0]["verdict"]["created"].is_string());
    assert_eq!(pushed["stopped"], Value::Null);
    assert_eq!(binary.metrics.synced_events(), 2);
}

#[tokio::test]
async fn json_takes_canonical_bytes_as_hexadecimal() {
    let node = start();
    let mut till = node.till("T-1").await;
    node.greet(&till).await;
    // Bytes that are no event hold their place, and the next item is posted.
    let items = [till.enter(b"no event".to_vec()), till.sell("a")];
    let items: Vec<Value> = items
        .iter()
        .map(|item| {
            json!({
                "seq": item.seq, "chainHash": item.chain_hash, "payload": hex(&item.payload),
            })
        })
        .collect();
    let body = json!({"terminalId": "T-1", "epoch": till.epoch, "items": items});
    let answer =
        node.post("/v1/sales-events", &till.token, JSON, body.to_string().into_bytes()).await;
    let answer = answer.json();
    assert_eq!(answer["results"][0]["verdict"], json!({"refused": "POS_SYNC_EVENT_INVALID"}));
    assert!(answer["results"][1]["verdict"]["created"].is_string());
}

#[tokio::test]
async fn an_unreadable_json_event_stops_at_itself_and_keeps_what_is_before_it() {
    let node = start();
    let mut till = node.till("T-1").await;
    node.greet(&till).await;
    let items = vec![till.sell("a"), till.sell("b"), till.sell("c")];
    let mut body = push_json(&till.push(items));
    body["items"][1]["event"]["body"] = json!({"gift": {}});
    let answer =
        node.post("/v1/sales-events", &till.token, JSON, body.to_string().into_bytes()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let answer = answer.json();
    assert_eq!((&answer["head"], &answer["stopped"]), (&json!(1), &json!("forked")));
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_push_without_a_greeting_is_told_to_greet() {
    let node = start();
    let mut till = node.till("T-1").await;
    let item = till.sell("a");
    let answer = node.push(&till, vec![item.clone()]).await;
    assert_eq!(answer.stopped, Some(Stopped::UnknownEpoch));
    node.greet(&till).await;
    let answer = node.push(&till, vec![item]).await;
    assert!(matches!(answer.results[0].verdict, Verdict::Created(_)));
}
