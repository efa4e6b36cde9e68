//! The operator's pages: a token becomes a session, a session opens what the token opens, and no
//! page from elsewhere can use it.

mod support;

use axum::body::Body;
use counterfoil_cloud::service::Limits;
use counterfoil_protocol::cloud::UnknownProducts;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use support::{Answer, Node, OPERATOR, start, start_with};
use tower::ServiceExt as _;

const HOST: &str = "shop.example";
const HERE: [(&str, &str); 3] =
    [("host", HOST), ("origin", "https://shop.example"), ("x-counterfoil-page", "person")];

async fn ask(
    node: &Node,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_null() {
        request = request.header("content-type", "application/json");
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    node.send(request.body(body).expect("a request")).await
}

async fn log_in(node: &Node, token: &str) -> Answer {
    ask(node, "POST", "/login", &HERE, &json!({ "token": token })).await
}

/// Logs in, and returns the cookie as a browser sends it.
async fn session(node: &Node) -> String {
    let answer = log_in(node, OPERATOR).await;
    assert_eq!(answer.status, StatusCode::OK);
    let cookie = answer.headers["set-cookie"].to_str().expect("text");
    cookie.split(';').next().expect("a value").to_owned()
}

fn with<'a>(cookie: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [("cookie", cookie)].iter().chain(more).copied().collect()
}

async fn listed(node: &Node, cookie: &str) -> StatusCode {
    let headers = with(cookie, &HERE);
    ask(node, "GET", "/v1/admin/sites", &headers, &Value::Null).await.status
}

#[tokio::test]
async fn a_session_opens_what_the_token_opens_until_it_is_ended() {
    let node = start();
    let wrong = log_in(&node, "not the operator's token").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.json()["detail"].as_str().expect("words").contains("not the operator's token"));
    assert!(!wrong.headers.contains_key("set-cookie"));

    let answer = log_in(&node, &format!(" {OPERATOR}\n")).await;
    let cookie = answer.headers["set-cookie"].to_str().expect("text");
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "it came in the clear");
    assert!(!cookie.contains(OPERATOR) && !answer.json().to_string().contains(OPERATOR));
    assert_eq!(answer.headers["cache-control"], "no-store");

    let cookie = session(&node).await;
    let other = session(&node).await;
    assert_ne!(cookie, other);
    assert_eq!(listed(&node, &cookie).await, StatusCode::OK);
    let wish = json!({"shopId": "shop", "productId": "tea"});
    let put = ask(&node, "POST", "/v1/admin/products", &with(&cookie, &HERE), &wish).await;
    assert_eq!(put.status, StatusCode::CREATED);
    let front = "/v1/storefront/stock?shop=shop&branch=north&product=tea";
    let shown = ask(&node, "GET", front, &with(&cookie, &HERE), &Value::Null).await;
    assert_eq!(
        (shown.status, &shown.headers["cache-control"] == "no-store"),
        (StatusCode::OK, true)
    );

    // It is the operator's, and nobody else's: no till's or user's route hears it.
    for path in ["/v1/catalog/snapshot", "/api/v1/sync/downstream"] {
        let answer = ask(&node, "GET", path, &with(&cookie, &HERE), &Value::Null).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    // Who sends a token is judged by it alone.
    let both =
        with(&cookie, &[("authorization", "Bearer something else"), HERE[0], HERE[1], HERE[2]]);
    let answer = ask(&node, "GET", "/v1/admin/sites", &both, &Value::Null).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);

    let out = ask(&node, "POST", "/logout", &with(&cookie, &HERE), &Value::Null).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert!(out.headers["set-cookie"].to_str().expect("text").contains("Max-Age=0"));
    assert_eq!(listed(&node, &cookie).await, StatusCode::UNAUTHORIZED);
    assert_eq!(listed(&node, &other).await, StatusCode::OK, "the other goes on");
    node.clock.0.fetch_add(30 * 60_000, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(listed(&node, &other).await, StatusCode::UNAUTHORIZED, "nobody was there");
    assert_eq!(listed(&node, "counterfoil-session=").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn no_page_from_elsewhere_uses_a_session() {
    let node = start();
    let cookie = session(&node).await;
    let wish = json!({"shopId": "shop", "productId": "tea"});
    let rows = node.rows().len();
    let page = ("x-counterfoil-page", "person");
    let (host, origin) = (("host", HOST), ("origin", "https://shop.example"));
    for headers in [
        vec![host],
        vec![host, origin],
        vec![host, page],
        vec![host, page, ("origin", "https://rival.example")],
        vec![host, page, ("origin", "null")],
        vec![host, page, ("sec-fetch-site", "cross-site")],
        vec![host, page, ("sec-fetch-site", "same-site")],
        vec![host, page, origin, ("sec-fetch-site", "cross-site")],
    ] {
        for path in ["/v1/admin/products", "/logout"] {
            let answer = ask(&node, "POST", path, &with(&cookie, &headers), &wish).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {headers:?}");
        }
        let token = json!({ "token": OPERATOR });
        let answer = ask(&node, "POST", "/login", &headers, &token).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "/login {headers:?}");
    }
    assert_eq!(node.rows().len(), rows, "nothing was changed");
    let answer = ask(&node, "GET", "/v1/admin/log", &with(&cookie, &[host]), &Value::Null).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "nor is anything shown to a link");
    assert_eq!(listed(&node, &cookie).await, StatusCode::OK, "and nobody was logged out");
    // A program with the token says none of that.
    assert_eq!(node.admin("/v1/admin/products", wish).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn wrong_tokens_are_tried_a_few_times_only() {
    let node = start();
    for _ in 0..10 {
        assert_eq!(log_in(&node, "a wrong token").await.status, StatusCode::UNAUTHORIZED);
    }
    let limited = log_in(&node, OPERATOR).await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS, "not even the right one");
    assert_eq!(limited.headers["retry-after"], "6");
    node.clock.0.fetch_add(6_000, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(log_in(&node, OPERATOR).await.status, StatusCode::OK, "right ones cost none");
    }
    for body in [json!(OPERATOR), json!({ "token": 7 }), json!({ "token": "x".repeat(5_000) })] {
        let answer = ask(&node, "POST", "/login", &HERE, &body).await;
        assert!(answer.status.is_client_error(), "{}", answer.status);
        assert!(!answer.json().to_string().contains(OPERATOR));
    }
}

#[tokio::test]
async fn over_tls_a_cookie_is_secure() {
    // the node speaks it itself, a proxy is believed, what the proxy says    secure
    for (own_tls, believed, proto, secure) in [
        (false, true, "https", true),
        (false, true, "http", false),
        (false, false, "https", false),
        (true, false, "http", true),
        (true, true, "http", true),
    ] {
        let forwarded_proto = believed;
        let limits = Limits { rate: None, forwarded_proto, own_tls, ..Limits::default() };
        let node = start_with(limits, UnknownProducts::Accept);
        let headers = [HERE[0], HERE[1], HERE[2], ("x-forwarded-proto", proto)];
        let token = json!({ "token": OPERATOR });
        let answer = ask(&node, "POST", "/login", &headers, &token).await;
        let cookie = answer.headers["set-cookie"].to_str().expect("text");
        assert_eq!(cookie.ends_with("; Secure"), secure, "{believed} {proto}: {cookie}");
    }
}

#[tokio::test]
async fn the_pages_come_with_their_policy_and_are_sent_once() {
    let node = start();
    let index = ask(&node, "GET", "/", &[], &Value::Null).await;
    assert_eq!(index.status, StatusCode::OK);
    let policy = index.headers["content-security-policy"].to_str().expect("text");
    assert!(policy.starts_with("default-src 'self';") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(index.headers["x-content-type-options"], "nosniff");
    assert_eq!(index.headers["referrer-policy"], "no-referrer");
    let tag = index.headers["etag"].to_str().expect("text");
    let again = ask(&node, "GET", "/", &[("if-none-match", tag)], &Value::Null).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    for (name, status) in [("main.js", 200), ("style.css", 200), ("other.js", 404), ("..%2fx", 404)]
    {
        let answer = ask(&node, "GET", &format!("/page/{name}"), &[], &Value::Null).await;
        assert_eq!(answer.status.as_u16(), status, "{name}");
    }
}

/// Opens a stream of news.
async fn listen(node: &Node, headers: &[(&str, &str)]) -> http::Response<Body> {
    let mut request = Request::builder().uri("/v1/admin/live");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    node.router.clone().oneshot(request).await.expect("a router never fails")
}

async fn event(stream: &mut Body) -> Option<String> {
    let frame = stream.frame().await?.expect("a stream does not fail");
    Some(String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text"))
}

#[tokio::test]
async fn a_page_hears_of_commits_until_its_session_ends() {
    // No ordinary place is held: there is only one.
    let limits = Limits { rate: None, concurrent: 1, ..Limits::default() };
    let node = start_with(limits, UnknownProducts::Accept);
    let cookie = session(&node).await;
    assert_eq!(listen(&node, &[HERE[0]]).await.status(), StatusCode::UNAUTHORIZED);
    let answer = listen(&node, &with(&cookie, &HERE)).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut stream = answer.into_body();
    let told = event(&mut stream).await.expect("it begins");
    assert_eq!(told, "event: committed\ndata: 0\n\n");
    let wish = json!({"shopId": "shop", "productId": "tea"});
    assert_eq!(node.admin("/v1/admin/products", wish).await.status, StatusCode::CREATED);
    assert_eq!(event(&mut stream).await.as_deref(), Some("event: committed\ndata: 1\n\n"));
    let token = format!("Bearer {OPERATOR}");
    let mut open = Vec::new();
    for _ in 1..64 {
        let answer = listen(&node, &[("authorization", &token)]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        open.push(answer);
    }
    let full = listen(&node, &[("authorization", &token)]).await;
    assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE, "listeners are bounded");
    ask(&node, "POST", "/logout", &with(&cookie, &HERE), &Value::Null).await;
    assert_eq!(event(&mut stream).await, None, "it ends with the session");
}
