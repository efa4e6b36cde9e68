//! What the cloud tells of one event is what it holds, and what it cannot know it says; a till
//! hears of its own events alone.

mod support;

use axum::body::Body;
use counterfoil_cloud::explain::{Viewer, explain, text};
use counterfoil_cloud::service::Limits;
use counterfoil_protocol::cloud::UnknownProducts;
use counterfoil_protocol::event::Event;
use counterfoil_protocol::identity::{EventKey, LocalEventId, PosId, TerminalId};
use counterfoil_protocol::wire::event::{BodyV1, EventKeyV1, RefundV1};
use counterfoil_protocol::wire::explain::CloudStory;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use support::{Answer, Node, OPERATOR, Till, sale, sale_v1, start_with};

async fn get(node: &Node, path: &str, token: &str) -> Answer {
    let request = Request::builder().uri(path).header("authorization", format!("Bearer {token}"));
    node.send(request.body(Body::empty()).expect("a request")).await
}

fn path(id: &str) -> String {
    format!("/v1/admin/explain?terminalId=T-1&posId=P-1&localEventId={id}")
}

/// What the operator is told; the till is told the same, but for what is not its business.
async fn story(node: &Node, till: &Till, id: &str) -> Value {
    let answer = get(node, &path(id), OPERATOR).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    let told = answer.json();
    let own = get(node, &format!("/v1/explain/P-1/{id}"), &till.token).await;
    assert_eq!(own.status, StatusCode::OK, "{}", own.json());
    let own = own.json();
    assert_eq!(own["log"], Value::Null, "what operators do is their business");
    for field in ["event", "state", "payloadHash", "serverId", "orderId", "journal", "movements"] {
        assert_eq!(own[field], told[field], "{field}");
    }
    CloudStory::from_json(told.to_string().as_bytes()).expect("the published form");
    told
}

fn happened(story: &Value) -> Vec<&str> {
    let steps = story["steps"].as_array().expect("steps");
    steps.iter().map(|step| step["what"].as_str().expect("a word")).collect()
}

fn unknown(story: &Value) -> String {
    story["unknown"].to_string()
}

fn refund_of(id: &str, original: &str) -> Vec<u8> {
    let mut event = sale_v1(id, "tea", 1_000, 199);
    let BodyV1::Sale(trade) = event.body else { panic!("it makes a sale") };
    let (terminal_id, pos_id) = (name("T-1"), event.pos_id);
    let original = EventKeyV1 {
        terminal_id: TerminalId(terminal_id),
        pos_id,
        local_event_id: LocalEventId(name(original)),
    };
    event.body = BodyV1::Refund(RefundV1 { original: Some(original), trade });
    Event::parse(event).expect("a refund").canonical()
}

fn name(text: &str) -> counterfoil_protocol::label::Label {
    counterfoil_protocol::label::Label::parse(text).expect("a name")
}

/// A node whose tills hear of each other, a till that sold, and a rival.
async fn shop(products: UnknownProducts) -> (Node, Till) {
    let node = start_with(Limits { rate: None, ..Limits::default() }, products);
    let till = node.enrolled("T-1", "shop", "north").await;
    (node, till)
}

#[tokio::test]
async fn a_posted_sale_is_told_with_its_place_movements_and_refunds() {
    let (node, mut till) = shop(UnknownProducts::Accept).await;
    let relay = json!({ "shopId": "shop", "branchId": "north", "on": true });
    let on = Request::builder()
        .method("PUT")
        .uri("/v1/admin/relay")
        .header("authorization", format!("Bearer {OPERATOR}"))
        .header("content-type", "application/json")
        .body(Body::from(relay.to_string()))
        .expect("a request");
    assert_eq!(node.send(on).await.status, StatusCode::OK);
    let items = vec![till.sell("a"), till.enter(refund_of("r", "a")), till.sell("b")];
    let verdicts = node.push(&till, items).await.results;
    let told = story(&node, &till, "a").await;
    assert_eq!((&told["state"], &told["code"]), (&json!("posted"), &Value::Null), "{told:#}");
    assert_eq!((&told["kind"], &told["journal"]["seq"]), (&json!("sale"), &json!(1)));
    assert_eq!((&told["journal"]["holds"], &told["journal"]["head"]), (&json!(true), &json!(3)));
    assert_eq!(told["journal"]["segment"], 0);
    let counterfoil_protocol::wire::message::Verdict::Created(id) = verdicts[0].verdict else {
        panic!("it was posted: {verdicts:?}")
    };
    assert_eq!(told["serverId"], json!(id));
    assert_eq!((&told["uuid"], &told["orderId"]), (&json!(id.uuid()), &json!(id.order_id())));
    assert_eq!(told["movements"].as_array().map(Vec::len), Some(1), "{told:#}");
    assert_eq!(told["relayed"][0]["deltaMilli"], told["movements"][0]["deltaMilli"], "{told:#}");
    assert_eq!(told["refunds"][0]["event"]["localEventId"], "r", "{told:#}");
    assert_eq!(happened(&told), ["received", "refunded"], "{told:#}");
    assert!(unknown(&told).contains("how often it was offered"), "{told:#}");
    let refund = story(&node, &till, "r").await;
    assert_eq!(refund["original"]["event"]["localEventId"], "a", "{refund:#}");
    assert_eq!(refund["original"]["state"], "posted", "{refund:#}");
    assert_eq!(refund["refunds"], json!([]));

    let named = told["event"].clone();
    let key = EventKey {
        terminal: TerminalId(name("T-1")),
        pos: PosId(name(named["posId"].as_str().expect("a name"))),
        local_id: LocalEventId(name("a")),
    };
    let read = explain(&node.reads, None, key, Viewer::Operator).await.expect("readable rows");
    let words = format!("{:?}{}", text::facts(read.as_ref().expect("a story")), {
        text::way(read.as_ref().expect("a story"))
    });
    for part in ["T-1/P-1/a", "posted", "ORD-", "taken back by", "not known: how often"] {
        assert!(words.contains(part), "{part}: {words}");
    }
}

#[tokio::test]
async fn what_waited_is_told_with_who_decided_and_why() {
    let (node, mut till) = shop(UnknownProducts::Park).await;
    let items = vec![till.sell("a"), till.sell("b")];
    node.push(&till, items).await;
    let waits = story(&node, &till, "a").await;
    assert_eq!((&waits["state"], &waits["serverId"]), (&json!("waits"), &Value::Null));
    assert_eq!(waits["code"], "POS_SYNC_PRODUCT_UNKNOWN");
    assert_eq!(waits["waitingSinceMs"], waits["receivedMs"]);
    assert_eq!((&waits["movements"], &waits["orderId"]), (&json!([]), &Value::Null));
    let decide = |id: &str, decision: &str, reason: &str| {
        json!({ "shopId": "shop", "terminalId": "T-1", "posId": "P-1", "localEventId": id,
                "decision": decision, "reason": reason })
    };
    for (id, decision, reason) in
        [("a", "retry", ""), ("a", "accept", "seen on the slip"), ("b", "reject", "a test")]
    {
        let answer = node.admin("/v1/admin/parked/decide", decide(id, decision, reason)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    }
    let accepted = story(&node, &till, "a").await;
    assert_eq!(accepted["state"], "posted", "{accepted:#}");
    assert_eq!(accepted["decision"]["reason"], "seen on the slip", "{accepted:#}");
    assert_eq!(accepted["waitingSinceMs"], Value::Null);
    let actions: Vec<_> = accepted["log"].as_array().expect("a log").iter().collect();
    assert_eq!(actions.len(), 2, "{accepted:#}");
    assert_eq!(
        (&actions[0]["action"], &actions[0]["done"]),
        (&json!("parked.retry"), &json!(false))
    );
    assert_eq!(happened(&accepted)[0], "received", "{accepted:#}");
    assert!(happened(&accepted).contains(&"decided"), "{accepted:#}");
    assert!(!unknown(&accepted).contains("whether it waited"), "{accepted:#}");
    let rejected = story(&node, &till, "b").await;
    assert_eq!(
        (&rejected["state"], &rejected["decision"]["accepted"]),
        (&json!("rejected"), &json!(false))
    );
    assert_eq!((&rejected["movements"], &rejected["serverId"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn another_event_under_the_name_and_a_till_turned_away_are_told() {
    let (node, mut till) = shop(UnknownProducts::Accept).await;
    let other = sale("a", "tea", 2_000, 398).canonical();
    let items = vec![till.sell("a"), till.enter(other)];
    node.push(&till, items).await;
    let told = story(&node, &till, "a").await;
    assert_eq!(told["conflicts"][0]["seq"], 2, "{told:#}");
    assert_ne!(told["conflicts"][0]["payloadHash"], told["payloadHash"]);
    assert!(happened(&told).contains(&"conflict"), "{told:#}");
    node.admin("/v1/admin/terminals/T-1/revoke", json!({})).await;
    let answer = get(&node, &path("a"), OPERATOR).await.json();
    assert_eq!(answer["terminal"]["revoked"], true, "{answer:#}");
    assert!(unknown(&answer).contains("it was turned away"), "{answer:#}");
    let refused = get(&node, "/v1/explain/P-1/a", &till.token).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nobody_is_told_of_what_is_not_there_or_not_theirs() {
    let (node, mut till) = shop(UnknownProducts::Accept).await;
    let rival = node.enrolled("T-2", "rival", "north").await;
    let sibling = node.enrolled("T-3", "shop", "north").await;
    let items = vec![till.sell("a")];
    node.push(&till, items).await;
    for (who, path) in [
        (&rival.token, "/v1/explain/P-1/a"),
        (&sibling.token, "/v1/explain/P-1/a"),
        (&till.token, "/v1/explain/P-1/b"),
    ] {
        let answer = get(&node, path, who).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.problem().0, "POS_SYNC_NOT_FOUND");
        assert_eq!(answer.json()["event"]["posId"], "P-1", "the question was understood");
    }
    for (who, path, status) in [
        (OPERATOR, "/v1/admin/explain", StatusCode::UNPROCESSABLE_ENTITY),
        (OPERATOR, "/v1/admin/explain?terminalId=T-1&posId=P-1", StatusCode::UNPROCESSABLE_ENTITY),
        (OPERATOR, "/v1/admin/explain?clientTempId=a", StatusCode::UNPROCESSABLE_ENTITY),
        (OPERATOR, "/v1/admin/explain?shopId=shop&clientTempId=a", StatusCode::NOT_FOUND),
        (&till.token, "/v1/admin/explain?shopId=shop&clientTempId=a", StatusCode::UNAUTHORIZED),
        (OPERATOR, "/v1/explain/P-1/a", StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(get(&node, path, who).await.status, status, "{path}");
    }
    let elsewhere = format!("{}&shopId=rival", path("a"));
    assert_eq!(get(&node, &elsewhere, OPERATOR).await.status, StatusCode::NOT_FOUND);
}
