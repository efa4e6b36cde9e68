//! A session is of the pages alone: another page of the same machine cannot use it, and once it is
//! ended nobody can.

use counterfoil_tests::http;
use counterfoil_tests::shop::OPERATOR;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::operator::Operator;
use super::shop;

/// Serves a page that posts to the cloud as soon as it is looked at, and returns its address. It is
/// of the same machine, so a browser takes it for the same site, and sends the cookie along.
async fn rival(cloud: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let page = format!(
        "<!doctype html><form method=\"post\" enctype=\"text/plain\" \
         action=\"http://{cloud}/v1/admin/terminals/till-1/revoke\"><input name=\"a\" value=\"b\">\
         </form><script>document.forms[0].submit()</script>"
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{page}",
                page.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_session_is_of_the_pages_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let (shop, _till) = shop(directory.path()).await;
    let cloud = shop.address().to_owned();
    let mut operator = Operator::at(&cloud, directory.path()).await;
    operator.logs_in(OPERATOR).await;
    operator.sees("document.querySelector('[data-row=till-1]')").await;
    let cookie = operator.cookie(&cloud).await;
    let headers = |more: &[(&'static str, &'static str)]| -> Vec<(&'static str, String)> {
        let own = [("cookie", cookie.clone()), ("content-type", "application/json".to_owned())];
        own.into_iter()
            .chain(more.iter().map(|(name, value)| (*name, (*value).to_owned())))
            .collect()
    };
    let asks = async |method: &str, path: &str, headers: Vec<(&'static str, String)>| {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        http::ask_with(&cloud, method, path, &headers, Vec::new()).await.expect("an answer").status
    };
    let page = ("x-counterfoil-page", "person");
    let terminals = "/v1/admin/terminals?shopId=shop";
    assert_eq!(asks("GET", terminals, headers(&[page])).await, 200);
    assert_eq!(asks("GET", terminals, headers(&[])).await, 403, "a link shows nothing");
    let revoke = "/v1/admin/terminals/till-1/revoke";
    let elsewhere = ("origin", "https://rival.example");
    assert_eq!(asks("POST", revoke, headers(&[page, elsewhere])).await, 403);
    assert_eq!(asks("POST", revoke, headers(&[elsewhere])).await, 403);

    // A real page of another origin, with the cookie: refused as well.
    let rival = rival(&cloud).await;
    operator.screen.open(&format!("http://{rival}/")).await.expect("it navigates");
    operator.reads("body", "did not come from a page of this node").await;
    let listed = shop.operator("GET", terminals, None).await.expect("an answer");
    let listed: Value = listed.json().expect("JSON");
    let revoked = |till: &str| {
        let rows = listed["terminals"].as_array().expect("a list");
        rows.iter().find(|row| row["terminalId"] == till).expect("it is there")["revoked"].clone()
    };
    assert_eq!((revoked("till-1"), revoked("old-till")), (json!(false), json!(true)));

    // The session was not touched by it. It ends when the operator leaves.
    operator.screen.open(&format!("http://{cloud}/")).await.expect("it navigates");
    operator.sees("document.querySelector('[data-row=till-1]')").await;
    operator.clicks("#logout").await;
    operator.reads("main", "Logged out").await;
    assert_eq!(asks("GET", terminals, headers(&[page])).await, 401, "the old cookie is nothing");
    let log = shop.cloud_log().expect("a log");
    let secret = cookie.split_once('=').expect("a value").1;
    assert!(!log.contains(OPERATOR) && !log.contains(secret), "no secret is in the log");
    assert!(log.contains("an operator has logged in"), "but that somebody came is");
    operator.goes_home().await;
}
