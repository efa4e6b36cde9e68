//! `GET /v1/live`: who is told what, and when a stream ends.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod support;

use std::time::Duration;

use axum::body::Body;
use counterfoil_cloud::service::Limits;
use counterfoil_protocol::cloud::UnknownProducts;
use counterfoil_protocol::time::Millis;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use support::{Node, OPERATOR, Till, start, start_with};
use tower::ServiceExt as _;

const LIMIT: Duration = Duration::from_secs(20);
/// Long enough for an event that should not come; nothing rests on it but the sharpness of a test.
const QUIET: Duration = Duration::from_millis(600);

struct Stream(Body);

impl Stream {
    async fn open(node: &Node, token: &str) -> Self {
        let response = node.router.clone().oneshot(ask(token)).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self(response.into_body())
    }

    /// Returns the next part, or none at the end.
    async fn next(&mut self) -> Option<String> {
        let frame = tokio::time::timeout(LIMIT, self.0.frame()).await.expect("in time")?;
        let bytes = frame.expect("a part").into_data().expect("data");
        Some(String::from_utf8(bytes.to_vec()).expect("text"))
    }

    async fn news(&mut self) -> (u64, u64) {
        let text = self.next().await.expect("an event");
        let data = text.strip_prefix("event: news\ndata: ").unwrap_or_else(|| panic!("{text}"));
        let heads: Value = serde_json::from_str(data.trim()).expect("JSON");
        let number = |name: &str| heads[name].as_u64().expect("a number");
        (number("catalog"), number("inbox"))
    }

    async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(QUIET, self.0.frame()).await.is_err()
    }

    async fn ends(mut self) -> bool {
        self.next().await.is_none()
    }
}

fn ask(token: &str) -> Request<Body> {
    let request = Request::get("/v1/live").header("authorization", format!("Bearer {token}"));
    request.body(Body::empty()).expect("a request")
}

async fn edit(node: &Node, shop: &str, product: &str) {
    let put = json!({"productId": product, "name": "Tea", "barcodes": [], "priceMinor": 1,
                     "currency": "GBP", "taxPpm": 0, "unit": "pcs", "category": null,
                     "active": true});
    let body = json!({"shopId": shop, "edits": [{"put": {"product": put}}]});
    let answer = node.admin("/v1/admin/catalog", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
}

async fn order(node: &Node, shop: &str, branch: &str, id: &str) {
    let body = json!({"orderId": id, "shopId": shop, "branchId": branch, "createdAtMs": 1,
                      "lines": [{"productId": "tea", "quantityMilli": 1000}]});
    let answer = node.admin("/v1/admin/orders", body).await;
    assert!(answer.status.is_success(), "{}", answer.json());
}

#[tokio::test]
async fn a_commit_is_told_to_the_tills_that_it_concerns_and_to_no_others() {
    let node = start();
    let north = node.enrolled("T-1", "acme", "north").await;
    let south = node.enrolled("T-2", "acme", "south").await;
    let other = node.enrolled("T-3", "other", "north").await;
    let mut north = Stream::open(&node, &north.token).await;
    let mut south = Stream::open(&node, &south.token).await;
    let mut other = Stream::open(&node, &other.token).await;
    for stream in [&mut north, &mut south, &mut other] {
        assert_eq!(stream.news().await, (0, 0), "each learns where it begins");
    }
    edit(&node, "acme", "tea").await;
    assert_eq!(north.news().await, (1, 0));
    assert_eq!(south.news().await, (1, 0));
    order(&node, "acme", "south", "order-1").await;
    assert_eq!(south.news().await, (1, 1));
    assert!(north.is_quiet().await, "an order is of one branch");
    assert!(other.is_quiet().await, "nothing of one shop is told to another");
    // What happens while nobody listens is told at the beginning of the next stream.
    drop(north);
    edit(&node, "acme", "cake").await;
    let north = node.enrolled("T-1", "acme", "north").await;
    let mut north = Stream::open(&node, &north.token).await;
    assert_eq!(north.news().await, (2, 0));
    assert_eq!(south.news().await, (2, 1));
}

#[tokio::test]
async fn only_a_till_with_a_good_credential_may_listen() {
    let node = start();
    let till = node.till("T-1").await;
    let user = json!({"userId": "anna", "shopId": "shop", "branchId": "branch", "currency": "GBP",
                      "scopes": ["sales:create", "stock:adjust", "catalog:read"]});
    let user = node.admin("/v1/admin/users", user).await;
    let user = user.json()["token"].as_str().expect("a token").to_owned();
    let wrong = format!("{}0", &till.token[..till.token.len() - 1]);
    for token in [user.as_str(), OPERATOR, wrong.as_str(), "cf_T-9_00", ""] {
        let answer = node.send(ask(token)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{token}");
        assert_eq!(answer.problem().0, "POS_SYNC_UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_credential_or_for_a_newer_one() {
    let node = start_with(
        Limits { rate: None, beat: Duration::from_millis(100), ..Limits::default() },
        UnknownProducts::Accept,
    );
    let Till { token, .. } = node.till_until("T-1", Some(Millis(2_000_000))).await;
    let mut older = Stream::open(&node, &token).await;
    assert_eq!(older.news().await, (0, 0));
    let mut newer = Stream::open(&node, &token).await;
    assert!(older.ends().await, "a till has one stream");
    assert_eq!(newer.news().await, (0, 0));
    assert_eq!(newer.next().await.expect("a beat"), ":\n\n");
    // The credential runs out.
    node.clock.0.store(2_000_000, std::sync::atomic::Ordering::SeqCst);
    while let Some(beat) = newer.next().await {
        assert_eq!(beat, ":\n\n");
    }

    let revoked = node.till("T-2").await;
    let rotated = node.till("T-3").await;
    let bystander = node.till("T-4").await;
    let mut streams = Vec::new();
    for till in [&revoked, &rotated, &bystander] {
        let mut stream = Stream::open(&node, &till.token).await;
        assert_eq!(stream.news().await, (0, 0));
        streams.push(stream);
    }
    let mut bystander = streams.pop().expect("three");
    node.admin("/v1/admin/terminals/T-2/revoke", json!({})).await;
    node.enrolled("T-3", "shop", "branch").await;
    for mut stream in streams {
        while let Some(beat) = stream.next().await {
            assert_eq!(beat, ":\n\n", "a beat may come before the end");
        }
    }
    assert_eq!(node.send(ask(&revoked.token)).await.problem().1, "revoked");
    assert_eq!(bystander.next().await.as_deref(), Some(":\n\n"), "others listen on");
}

#[tokio::test]
async fn streams_are_bounded_and_take_no_place_of_a_request() {
    let limits = Limits { rate: None, concurrent: 1, streams: 2, ..Limits::default() };
    let node = start_with(limits, UnknownProducts::Accept);
    let mut tills = Vec::new();
    for name in ["T-1", "T-2", "T-3"] {
        tills.push(node.till(name).await);
    }
    let mut first = Stream::open(&node, &tills[0].token).await;
    let second = Stream::open(&node, &tills[1].token).await;
    let full = node.send(ask(&tills[2].token)).await;
    assert_eq!(full.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(full.headers["retry-after"], "60");
    // With one place for requests, and two streams: ordinary requests are served.
    node.greet(&tills[2]).await;
    // A terminal that has a stream finds room for its newer one.
    let mut again = Stream::open(&node, &tills[1].token).await;
    assert_eq!(again.news().await, (0, 0));
    drop(second);
    drop(again);
    // The place of a stream that nobody reads any more is free.
    let mut third = None;
    for _ in 0..200 {
        let answer = node.router.clone().oneshot(ask(&tills[2].token)).await.expect("an answer");
        if answer.status() == StatusCode::OK {
            third = Some(Stream(answer.into_body()));
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(third.expect("there is room").news().await, (0, 0));
    assert_eq!(first.news().await, (0, 0));
}
