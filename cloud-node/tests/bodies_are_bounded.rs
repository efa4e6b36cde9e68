//! A body is bounded on the wire and after decompression; answers are compressed if asked.

mod support;

use std::time::Duration;

use axum::body::Body;
use counterfoil_cloud::service::Limits;
use counterfoil_protocol::cloud::UnknownProducts;
use counterfoil_protocol::wire::message::PushAnswer;
use http::{Request, StatusCode};
use support::{Answer, BINARY, JSON, Node, Till, start, start_with};

async fn compressed(node: &Node, till: &Till, form: &str, body: Vec<u8>, accept: &str) -> Answer {
    let request = Request::post("/v1/sales-events")
        .header("authorization", format!("Bearer {}", till.token))
        .header("content-type", form)
        .header("content-encoding", "zstd")
        .header("accept-encoding", accept)
        .body(Body::from(body))
        .expect("a request");
    node.send(request).await
}

#[tokio::test]
async fn a_small_body_that_grows_without_end_is_too_large() {
    let node = start();
    let till = node.till("T-1").await;
    let before = node.rows();
    let bomb = zstd::encode_all(&vec![0_u8; 64 << 20][..], 19).expect("compressed");
    assert!(bomb.len() < 10_000);
    for form in [JSON, BINARY] {
        let answer = compressed(&node, &till, form, bomb.clone(), "").await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer.problem().0, "POS_SYNC_TOO_LARGE");
    }
    assert_eq!(node.rows(), before);
}

#[tokio::test]
async fn a_body_beyond_the_limit_of_the_wire_is_too_large() {
    let node = start();
    let till = node.till("T-1").await;
    for form in [JSON, BINARY] {
        let body = vec![b' '; 3 << 20];
        let answer = node.post("/v1/sales-events", &till.token, form, body).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer.problem().0, "POS_SYNC_TOO_LARGE");
    }
}

#[tokio::test]
async fn compressed_pushes_are_read_and_long_answers_compressed_if_asked() {
    let node = start();
    let mut till = node.till("T-1").await;
    node.greet(&till).await;
    let items: Vec<_> = (0..60).map(|number| till.sell(&format!("s{number}"))).collect();
    let frame = till.push(items).encode();
    let body = zstd::encode_all(&frame[..], 1).expect("compressed");
    let answer = compressed(&node, &till, BINARY, body.clone(), "gzip, zstd;q=0.5").await;
    assert_eq!(answer.headers["content-encoding"], "zstd");
    let plain = zstd::decode_all(&answer.body[..]).expect("plain");
    assert_eq!(PushAnswer::decode(&plain).expect("an answer").head, 60);
    for accept in ["gzip", "zstd;q=0", "zstd; q=0.0"] {
        let answer = compressed(&node, &till, BINARY, body.clone(), accept).await;
        assert!(!answer.headers.contains_key("content-encoding"), "{accept}");
        assert_eq!(PushAnswer::decode(&answer.body).expect("an answer").head, 60);
    }
    let cut = body[..body.len() / 2].to_vec();
    let answer = compressed(&node, &till, BINARY, cut, "").await;
    assert_eq!(answer.problem().0, "POS_SYNC_EVENT_INVALID");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_awaited_for_ever() {
    let limits = Limits { deadline: Duration::from_secs(30), ..Limits::default() };
    let node = start_with(limits, UnknownProducts::Accept);
    let till = node.till("T-1").await;
    let (_open, body) = http_body_util::channel::Channel::<bytes::Bytes>::new(1);
    let request = Request::post("/v1/sales-events")
        .header("authorization", format!("Bearer {}", till.token))
        .header("content-type", BINARY)
        .body(Body::new(body))
        .expect("a request");
    let answer = node.send(request).await;
    assert_eq!(answer.problem().0, "POS_SYNC_UNAVAILABLE");
}
