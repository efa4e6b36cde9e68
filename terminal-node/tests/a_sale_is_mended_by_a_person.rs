//! The program as a real process without a cloud: a sale is voided once, nothing else is taken back
//! of it then, and what needs the cloud says so.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod support;

use std::path::Path;
use std::process::Output;

use http::Method;
use serde_json::{Value, json};
use support::process::{NOWHERE, ask, daemon, init, json_of, run};

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
        init(path, NOWHERE);
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
    init(path, NOWHERE);
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
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        async move {
            let (status, said) = ask(method, &url, &token, body).await;
            (status.as_u16(), said)
        }
    };
    let (status, _) = ask("POST", "/refunds", refund("back", "part")).await;
    assert_eq!(status, 201);
    let (status, why) = ask("POST", "/sales/1/part/void", reason()).await;
    assert_eq!((status, &why["code"]), (409, &json!("POS_SYNC_EVENT_INVALID")), "{why}");
    let (status, _) = ask("POST", "/sales/1/whole/void", reason()).await;
    assert_eq!(status, 201);
    let (status, why) = ask("POST", "/refunds", refund("late", "whole")).await;
    assert_eq!(status, 409, "{why}");
    in_a_batch(&ask, &refund).await;
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

/// Among many events at once the same is refused, each with its code; the others are recorded.
async fn in_a_batch<A: Future<Output = (u16, Value)>>(
    ask: &impl Fn(&'static str, &str, String) -> A,
    refund: &impl Fn(&str, &str) -> String,
) {
    let refund = |id: &str, of: &str, reference: &str| {
        let mut body: Value = serde_json::from_str(&refund(id, of)).expect("JSON");
        body["reference"] = json!(reference);
        json!({ "refund": body })
    };
    let batch = json!([
        refund("late-1", "whole", ""),
        refund("more", "part", ""),
        refund("void-1", "never-sold", "void: a slip of nobody"),
        // A till that was restored may have forgotten this sale, and the cloud knows it.
        refund("old", "never-sold", "a slip of last year"),
    ]);
    for (recorded, again) in [(2, 0), (0, 2)] {
        let (status, told) = ask("POST", "/events", batch.to_string()).await;
        assert_eq!(status, 200, "{told}");
        assert_eq!((&told["recorded"], &told["again"]), (&json!(recorded), &json!(again)));
        let refused = told["refused"].as_array().expect("a list");
        let codes = refused.iter().map(|one| (one["localEventId"].clone(), one["code"].clone()));
        let expected = [
            (json!("late-1"), json!("POS_SYNC_EVENT_INVALID")),
            (json!("void-1"), json!("POS_SYNC_NOT_FOUND")),
        ];
        assert_eq!(codes.collect::<Vec<_>>(), expected, "{told}");
    }
    let (status, why) = ask("POST", "/sales/1/never-sold/void", reason()).await;
    assert_eq!((status, &why["code"]), (404, &json!("POS_SYNC_NOT_FOUND")), "{why}");
}

fn reason() -> String {
    json!({ "reason": "changed their mind" }).to_string()
}
