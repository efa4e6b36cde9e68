//! The program as a real process without a cloud: a sale is voided once, nothing else is taken back
//! of it then, and what needs the cloud says so.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

fn program(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_terminal-node"));
    command.args(args).env("COUNTERFOIL_DIR", directory).env("NO_COLOR", "1");
    command
}

fn run(directory: &Path, args: &[&str]) -> Output {
    program(directory, args).output().expect("a process")
}

fn json_of(directory: &Path, args: &[&str]) -> Value {
    let output = run(directory, &[&["--json"], args].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {output:?}"))
}

fn init(directory: &Path) {
    let token = directory.join("given-token");
    std::fs::write(&token, "secret").expect("a write");
    let token = token.display().to_string();
    let args = ["init", "--shop", "S-1", "--branch", "B-1", "--terminal", "T-1"];
    let more = ["--cloud", "http://127.0.0.1:9", "--token-file", &token];
    let output = run(directory, &[&args[..], &more].concat());
    assert!(output.status.success(), "{output:?}");
}

/// A daemon that is killed when it is dropped, and its address.
struct Running(Child, String);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn daemon(directory: &Path) -> Running {
    let mut child = program(directory, &["run"]).stdout(Stdio::piped()).spawn().expect("a process");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
    Running(child, url)
}

fn sells(directory: &Path, id: &str) -> Value {
    json_of(directory, &["sell", "--pos", "1", "--id", id, "--item", "tea:2:1.49"])
}

fn voids(directory: &Path, id: &str) -> Output {
    let args = ["--json", "void", "--pos", "1", "--id", id, "--reason", "wrong customer"];
    run(directory, &args)
}

fn said(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn a_void_takes_everything_back_once_also_if_it_is_asked_for_again() {
    for served in [true, false] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        init(path);
        let running = served.then(|| daemon(path));
        sells(path, "a");
        let first = voids(path, "a");
        assert!(first.status.success(), "{first:?}");
        let (first, again) = (said(&first), said(&voids(path, "a")));
        assert_eq!((&first["again"], &again["again"]), (&json!(false), &json!(true)));
        assert_eq!(first["localEventId"], again["localEventId"], "one refund");
        let figures = json_of(path, &["figures"]);
        assert_eq!((&figures["money"], &figures["events"]), (&json!(0), &json!(2)));
        let other = voids(path, "nowhere");
        assert_eq!(other.status.code(), Some(1), "{other:?}");
        let refund = first["localEventId"].as_str().expect("a name");
        let other = voids(path, refund);
        assert_eq!(other.status.code(), Some(1), "a refund is not voided: {other:?}");
        drop(running);
    }
}

#[tokio::test]
async fn what_was_taken_back_is_not_voided_and_what_was_voided_is_not_taken_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    init(path);
    let running = daemon(path);
    let token = std::fs::read_to_string(path.join("api-token")).expect("a token");
    sells(path, "part");
    sells(path, "whole");
    let refund = |id: &str, of: &str| {
        let line = json!({ "productId": "tea", "quantityMilli": 1000, "unitPriceMinor": 149 });
        let original = json!({ "terminalId": "T-1", "posId": "1", "localEventId": of });
        let body = json!({
            "posId": "1", "localEventId": id, "currency": "GBP", "lines": [line],
            "original": original,
        });
        body.to_string()
    };
    let ask = |method: &'static str, place: &str, body: String| {
        let (url, token) = (format!("{}{place}", running.1), token.trim().to_owned());
        async move { asked(method, &url, &token, body).await }
    };
    let (status, _) = ask("POST", "/refunds", refund("back", "part")).await;
    assert_eq!(status, 201);
    let reason = || json!({ "reason": "changed their mind" }).to_string();
    let (status, why) = ask("POST", "/sales/1/part/void", reason()).await;
    assert_eq!((status, &why["code"]), (409, &json!("POS_SYNC_EVENT_INVALID")), "{why}");
    let (status, _) = ask("POST", "/sales/1/whole/void", reason()).await;
    assert_eq!(status, 201);
    let (status, why) = ask("POST", "/refunds", refund("late", "whole")).await;
    assert_eq!(status, 409, "{why}");
    let (_, shown) = ask("GET", "/receipts/1/whole", String::new()).await;
    assert!(shown["voidedBy"].is_string(), "{shown}");
    let (_, void) = ask(
        "GET",
        &format!("/receipts/1/{}", shown["voidedBy"].as_str().expect("a name")),
        String::new(),
    )
    .await;
    assert_eq!(void["reference"], json!("void: changed their mind"));
    for body in [json!({ "reason": "" }), json!({ "reason": "x".repeat(500) })] {
        let (status, _) = ask("POST", "/sales/1/part/void", body.to_string()).await;
        assert_eq!(status, 422);
    }
    // Nothing has failed yet: there is nothing to correct, to set aside or to give way.
    let named = json!({ "posId": "1", "localEventId": "part" }).to_string();
    for place in ["/queue/park", "/queue/give-way"] {
        let (status, _) = ask("POST", place, named.clone()).await;
        assert_eq!(status, 404, "{place}");
    }
    let line = json!({ "productId": "tea", "quantityMilli": 1000, "unitPriceMinor": 149 });
    let sale = json!({ "posId": "1", "localEventId": "c", "currency": "GBP", "lines": [line] });
    sells(path, "fresh");
    let (status, why) = ask("POST", "/sales/1/fresh/correct", sale.to_string()).await;
    assert_eq!(status, 409, "it was never offered: {why}");
    let (status, why) = ask("POST", "/sales/1/part/correct", sale.to_string()).await;
    assert_eq!(status, 409, "part of it was taken back: {why}");
    let (_, replaced) = ask("GET", "/queue/replaced", String::new()).await;
    assert_eq!(replaced, json!([]));
    // What is the cloud's alone says so, and what to do.
    for place in ["/reports/sales", "/users", "/settings"] {
        let (status, why) = ask("GET", place, String::new()).await;
        assert_eq!((status, &why["code"]), (503, &json!("POS_SYNC_UNAVAILABLE")), "{place}");
        let detail = why["detail"].as_str().expect("a detail");
        assert!(detail.contains("need the cloud") && detail.contains("sell on"), "{detail}");
    }
}

async fn asked(method: &str, url: &str, token: &str, body: String) -> (u16, Value) {
    use http_body_util::{BodyExt as _, Full};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = http::Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(bytes::Bytes::from(body)))
        .expect("a request");
    let response = client.request(request).await.expect("an answer");
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}
