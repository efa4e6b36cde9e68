//! Whatever bytes arrive: a stable code, no 5xx, no panic, and not a row changed.

mod support;

use axum::body::Body;
use counterfoil_protocol::wire::message::PUSH_ITEMS_MAX;
use http::{Request, StatusCode};
use proptest::prelude::*;
use serde_json::json;
use support::{BINARY, JSON, Node, OPERATOR, Till, push_json, sale_v1, start};

const TILL_ROUTES: [&str; 2] = ["/v1/handshake", "/v1/sales-events"];
const ADMIN_ROUTES: [&str; 3] =
    ["/v1/admin/terminals", "/v1/admin/products", "/v1/admin/terminals/T-1/revoke"];

async fn fresh() -> (Node, Till) {
    let node = start();
    let till = node.till("T-1").await;
    node.greet(&till).await;
    (node, till)
}

#[tokio::test]
async fn a_broken_message_has_a_stable_code() {
    let (node, till) = fresh().await;
    let mut seller = till.clone();
    let push = till.push(vec![seller.sell("a"), seller.sell("b")]);
    let frame = push.encode();
    let hello = till.hello().encode();
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    let with_first = |first: u8| [&[first], &frame[1..]].concat();
    let falling = till.push(push.items.iter().rev().cloned().collect());
    let none = till.push(Vec::new());
    let many = till.push(vec![push.items[0].clone(); PUSH_ITEMS_MAX + 1]);
    let mut heavy = till.clone();
    let heavy = till.push((0..3).map(|_| heavy.enter(vec![1; 400 * 1024])).collect());
    let mut old = till.hello();
    old.versions = vec![9];
    let mut extra = push_json(&push);
    extra["more"] = json!(1);
    let mut neither = push_json(&push);
    neither["items"][0].as_object_mut().expect("an item").remove("event");
    let json = |value: &serde_json::Value| value.to_string().into_bytes();
    let sale = "/v1/sales-events";
    let hand = "/v1/handshake";
    let invalid = "POS_SYNC_EVENT_INVALID";
    let version = "POS_SYNC_VERSION_UNSUPPORTED";
    let large = "POS_SYNC_TOO_LARGE";
    let before = node.rows();
    for (name, route, form, body, code) in [
        ("nothing", sale, BINARY, vec![], invalid),
        ("truncated", sale, BINARY, cut(&frame), invalid),
        ("left over", sale, BINARY, [&frame[..], &[0]].concat(), invalid),
        ("another version", sale, BINARY, with_first(2), version),
        ("no item", sale, BINARY, none.encode(), invalid),
        ("too many items", sale, BINARY, many.encode(), invalid),
        ("falling numbers", sale, BINARY, falling.encode(), invalid),
        ("too many bytes", sale, BINARY, heavy.encode(), large),
        ("a hello to push", sale, BINARY, hello.clone(), invalid),
        ("truncated hello", hand, BINARY, cut(&hello), invalid),
        ("no common version", hand, BINARY, old.encode(), version),
        ("binary called JSON", sale, JSON, frame.clone(), invalid),
        ("JSON called binary", sale, BINARY, json(&push_json(&push)), version),
        ("an unknown field", sale, JSON, json(&extra), invalid),
        ("neither form", sale, JSON, json(&neither), invalid),
        ("not even text", sale, JSON, vec![0xff, 0xfe], invalid),
        ("deep", sale, JSON, vec![b'['; 100_000], invalid),
        ("text", sale, "text/plain", frame.clone(), version),
    ] {
        let answer = node.post(route, &till.token, form, body).await;
        assert_eq!(answer.problem().0, code, "{name}");
        assert!(answer.status.is_client_error(), "{name}");
    }
    assert_eq!(node.rows(), before);
    assert_eq!(node.push(&till, push.items).await.head, 2, "the node serves on");
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems_too() {
    let node = start();
    let answer = node.get("/v1/nothing").await;
    assert_eq!(
        (answer.status, &*answer.problem().0),
        (StatusCode::NOT_FOUND, "POS_SYNC_NOT_FOUND")
    );
    let answer = node.get("/v1/handshake").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers["allow"], "POST");
    answer.problem();
    let request = Request::get("/healthz").header("x-request-id", "mine").body(Body::empty());
    let answer = node.send(request.expect("a request")).await;
    assert_eq!(
        (answer.status, &answer.headers["x-request-id"]),
        (StatusCode::OK, &"mine".parse().expect("a value"))
    );
    assert_eq!(node.get("/readyz").await.status, StatusCode::OK);
    let metrics = String::from_utf8(node.get("/metrics").await.body).expect("text");
    assert!(metrics.contains("synced_events_total 0"), "{metrics}");
    assert!(metrics.contains(r#"problems_total{code="POS_SYNC_NOT_FOUND"} 2"#), "{metrics}");
}

#[tokio::test]
async fn a_flipped_bit_is_never_posted_as_something_else() {
    let (node, till) = fresh().await;
    let mut seller = till.clone();
    let frame = till.push(vec![seller.sell("a")]).encode();
    let before = node.rows();
    for bit in 0..frame.len() * 8 {
        let mut flipped = frame.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let answer = node.post("/v1/sales-events", &till.token, BINARY, flipped).await;
        assert!(!answer.status.is_server_error(), "bit {bit}");
    }
    assert_eq!(node.rows(), before, "the chain hash covers every byte of the entry");
}

fn forms() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(BINARY), Just(JSON), Just("application/octet-stream"), Just("")]
}

/// Bytes that are noise, or a good message with a piece replaced.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let good = json!({
        "terminalId": "T-1", "epoch": {"number": 1, "nonce": 77},
        "items": [{"seq": 1, "chainHash": "00".repeat(32), "event": sale_v1("a", "tea", 1_000, 5)}],
    });
    let good = good.to_string().into_bytes();
    let noise = proptest::collection::vec(any::<u8>(), 0..300);
    let framed = noise.clone().prop_map(|bytes| [&[1], &bytes[..]].concat());
    let edited = (Just(good), 0..1_000_usize, proptest::collection::vec(any::<u8>(), 0..4))
        .prop_map(|(mut good, at, piece)| {
            let at = at % good.len();
            let end = (at + piece.len()).min(good.len());
            good.splice(at..end, piece);
            good
        });
    prop_oneof![noise, framed, edited]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_on_any_route_are_refused_without_an_effect(
        route in 0..5_usize, form in forms(), body in bodies(), zstd in any::<bool>(),
        token in prop_oneof![Just(None), "[ -~]{0,90}".prop_map(Some)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let (node, till) = fresh().await;
            let before = node.rows();
            let routes = [&TILL_ROUTES[..], &ADMIN_ROUTES[..2]].concat();
            let route = routes[route % routes.len()];
            let own = if TILL_ROUTES.contains(&route) { &till.token } else { OPERATOR };
            let token = token.as_deref().unwrap_or(own);
            let encoding = if zstd { "zstd" } else { "identity" };
            let request = Request::post(route)
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", form)
                .header("content-encoding", encoding)
                .body(Body::from(body))
                .expect("a request");
            let answer = node.send(request).await;
            assert!(!answer.status.is_server_error(), "{}", answer.status);
            if answer.status.is_client_error() {
                answer.problem();
            }
            assert_eq!(node.rows(), before);
        });
    }
}
