//! `GET /v1/admin/fleet`, and an operator's wish that a till compares its catalog.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod support;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use support::{Answer, BINARY, JSON, Node, OPERATOR, start};
use tower::ServiceExt as _;

async fn operator(node: &Node, path: &str) -> Answer {
    let request = Request::get(path).header("authorization", format!("Bearer {OPERATOR}"));
    node.send(request.body(Body::empty()).expect("a request")).await
}

async fn fleet(node: &Node, shop: &str) -> Vec<Value> {
    let answer = operator(node, &format!("/v1/admin/fleet?shopId={shop}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    let told = answer.json();
    assert_eq!(told["nowMs"], node.clock.0.load(std::sync::atomic::Ordering::SeqCst));
    told["terminals"].as_array().expect("a list").clone()
}

async fn runs(node: &Node, shop: &str) -> Vec<Value> {
    let answer = operator(node, &format!("/v1/admin/reconcile-runs?shopId={shop}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    answer.json()["runs"].as_array().expect("a list").clone()
}

/// Pushes with a word of the till about itself.
async fn push(node: &Node, till: &mut support::Till, sale: &str, word: &str) {
    let item = till.sell(sale);
    let request = Request::post("/v1/sales-events")
        .header("authorization", format!("Bearer {}", till.token))
        .header("content-type", BINARY)
        .header("counterfoil-till", word)
        .body(Body::from(till.push(vec![item]).encode()))
        .expect("a request");
    assert_eq!(node.send(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_fleet_is_what_is_committed_and_what_tills_said() {
    let node = start();
    let mut till = node.enrolled("T-1", "acme", "north").await;
    let wish = json!({"terminalId": "T-2", "shopId": "acme", "branchId": "south"});
    node.admin("/v1/admin/terminals", wish).await;
    node.enrolled("T-3", "other", "north").await;
    push(&node, &mut till, "a", "version=0.1.0; pending=3; oldest-ms=5000; now-ms=1000250").await;
    node.clock.0.store(1_010_000, std::sync::atomic::Ordering::SeqCst);
    let told = fleet(&node, "acme").await;
    assert_eq!(
        told,
        [
            json!({"terminalId": "T-1", "branchId": "north", "active": true, "version": "0.1.0",
                   "lastSeenMs": 1_000_000, "live": false, "pending": 2, "oldestAgeMs": 15_000,
                   "clockOffsetMs": 250, "epoch": 1, "journalSeq": 1, "forks": 0}),
            json!({"terminalId": "T-2", "branchId": "south", "active": true, "version": null,
                   "lastSeenMs": null, "live": false, "pending": null, "oldestAgeMs": null,
                   "clockOffsetMs": null, "epoch": null, "journalSeq": null, "forks": 0}),
        ],
        "the pushed event waits no more, and those of another shop are not told"
    );
    // What cannot be read changes nothing but when the till was seen.
    push(&node, &mut till, "b", "version=0.1.0; pending=x").await;
    let seen = &fleet(&node, "acme").await[0];
    assert_eq!((&seen["lastSeenMs"], &seen["pending"]), (&json!(1_010_000), &json!(1)));
    push(&node, &mut till, "c", "version=0.1.1; pending=1; oldest-ms=7; now-ms=1").await;
    let seen = &fleet(&node, "acme").await[0];
    assert_eq!((&seen["pending"], &seen["oldestAgeMs"]), (&json!(0), &json!(null)));
    assert_eq!((&seen["version"], &seen["journalSeq"]), (&json!("0.1.1"), &json!(3)));

    let listen = Request::get("/v1/live").header("authorization", format!("Bearer {}", till.token));
    let listen = listen.body(Body::empty()).expect("a request");
    let stream = node.router.clone().oneshot(listen).await.expect("an answer").into_body();
    assert_eq!(fleet(&node, "acme").await[0]["live"], true);
    node.admin("/v1/admin/terminals/T-1/revoke", json!({})).await;
    let ended = stream.collect().await.expect("it ends");
    assert!(ended.to_bytes().starts_with(b"event: news\n"));
    let seen = &fleet(&node, "acme").await[0];
    assert_eq!((&seen["live"], &seen["active"]), (&json!(false), &json!(false)));
    let metrics = String::from_utf8(node.get("/metrics").await.body).expect("text");
    for line in ["queued_events 0", "oldest_unsynced_seconds{terminal=\"T-1\"} 0.000"] {
        assert!(metrics.lines().any(|told| told == line), "{line}: {metrics}");
    }
    assert!(metrics.ends_with("# EOF\n") && metrics.matches("# EOF").count() == 1);
}

#[tokio::test]
async fn a_run_is_asked_told_and_answered_once() {
    let node = start();
    let till = node.enrolled("T-1", "acme", "north").await;
    let sibling = node.enrolled("T-2", "acme", "north").await;
    node.enrolled("T-3", "other", "north").await;
    let ask =
        async |id: &str| node.admin(&format!("/v1/admin/terminals/{id}/verify"), json!({})).await;
    let asked = ask("T-1").await;
    assert_eq!(asked.status, StatusCode::ACCEPTED);
    let run = asked.json()["runId"].as_str().expect("a name").to_owned();
    assert_eq!(ask("T-1").await.json()["runId"], run, "a run that waits is not asked for twice");
    assert_eq!(ask("nobody").await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask("T-3").await.status, StatusCode::ACCEPTED);
    let waits = json!({"runId": run, "terminalId": "T-1", "branchId": "north",
                       "askedAtMs": 1_000_000, "answeredAtMs": null, "state": "asked",
                       "summary": null, "plan": null});
    assert_eq!(runs(&node, "acme").await, [waits], "of another shop nothing is told");

    // It is told on the next stream, first of all.
    let listen = Request::get("/v1/live").header("authorization", format!("Bearer {}", till.token));
    let listen = listen.body(Body::empty()).expect("a request");
    let mut stream = node.router.clone().oneshot(listen).await.expect("an answer").into_body();
    let told = stream.frame().await.expect("an event").expect("a part").into_data();
    let verify = format!("event: verify\ndata: {{\"runId\":\"{run}\"}}\n\n");
    assert_eq!(told.expect("data"), verify.as_bytes());

    let counts = json!({"insert": 0, "update": 1, "delete": 0, "keep": 0});
    let plan = json!({"text": "p1: 1 -> 2", "counts": counts, "items": []});
    let found = json!({"state": "plan", "summary": "1 to change", "plan": plan});
    let path = format!("/v1/reconcile-runs/{run}");
    let say = async |token: &str, path: &str, body: &Value| {
        node.post(path, token, JSON, body.to_string().into_bytes()).await
    };
    let clean = json!({"state": "clean", "summary": "", "plan": null});
    let mut clean_with_plan = clean.clone();
    clean_with_plan["plan"] = plan.clone();
    let mut long = found.clone();
    long["plan"]["text"] = json!("x".repeat(64 * 1024 + 1));
    let mut longer = found.clone();
    longer["plan"]["text"] = json!("x".repeat(200 * 1024));
    let mut more = found.clone();
    more["more"] = json!(1);
    let mut strange = found.clone();
    strange["plan"]["items"] = json!([{"id": "p1"}]);
    for (token, path, body, status) in [
        (sibling.token.as_str(), path.as_str(), &found, 404),
        (till.token.as_str(), "/v1/reconcile-runs/0000000000000000", &found, 404),
        (OPERATOR, path.as_str(), &found, 401),
        (till.token.as_str(), path.as_str(), &clean_with_plan, 422),
        (till.token.as_str(), path.as_str(), &long, 422),
        (till.token.as_str(), path.as_str(), &longer, 413),
        (till.token.as_str(), path.as_str(), &more, 422),
        (till.token.as_str(), path.as_str(), &strange, 422),
        (till.token.as_str(), path.as_str(), &json!({"state": "asked"}), 422),
        (till.token.as_str(), path.as_str(), &found, 200),
        (till.token.as_str(), path.as_str(), &clean, 200),
    ] {
        let answer = say(token, path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {}", answer.json());
    }
    let told = &runs(&node, "acme").await[0];
    assert_eq!(told["state"], "plan", "the first answer counts");
    for name in ["summary", "plan"] {
        assert_eq!(told[name], found[name]);
    }
    assert_eq!(told["answeredAtMs"], 1_000_000);
    // Answered: the next wish is another run, and the newest comes first.
    let next = ask("T-1").await.json()["runId"].clone();
    assert_ne!(next, json!(run));
    assert_eq!(runs(&node, "acme").await[0]["runId"], next);
    node.admin("/v1/admin/terminals/T-2/revoke", json!({})).await;
    assert_eq!(ask("T-2").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn only_the_operator_asks_and_looks() {
    let node = start();
    let till = node.till("T-1").await;
    for path in ["/v1/admin/fleet?shopId=shop", "/v1/admin/reconcile-runs?shopId=shop"] {
        let request = Request::get(path).header("authorization", format!("Bearer {}", till.token));
        let answer = node.send(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        let path = path.replace("shopId", "shop");
        assert_eq!(operator(&node, &path).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let path = "/v1/admin/terminals/T-1/verify";
    assert_eq!(node.post(path, &till.token, JSON, b"{}".to_vec()).await.status, 401);
}

#[tokio::test]
async fn the_metrics_of_s4_14_are_stated() {
    let node = start();
    let mut till = node.enrolled("T-1", "acme", "north").await;
    push(&node, &mut till, "a", "version=0.1.0; pending=4; oldest-ms=5000; now-ms=1").await;
    let ask = async |path: &str| {
        let request = Request::get(path).header("authorization", format!("Bearer {}", till.token));
        node.send(request.body(Body::empty()).expect("a request")).await.status
    };
    assert_eq!(ask("/v1/catalog/delta?from=0").await, StatusCode::OK);
    let zero = json!({"count": 0, "lanes": [0, 0, 0, 0]});
    let compare = json!({"version": 0, "digest": zero, "more": null,
                         "estimator": {"counters": vec![0; 128]}});
    let path = "/v1/catalog/reconcile";
    node.post(path, &till.token, JSON, compare.to_string().into_bytes()).await;
    let metrics = String::from_utf8(node.get("/metrics").await.body).expect("text");
    for line in ["queued_events 3", "synced_events_total 1", "delta_sync_runs_total 1"] {
        assert!(metrics.lines().any(|told| told == line), "{line}: {metrics}");
    }
    assert!(metrics.contains("\nreconcile_runs_total{answer="), "{metrics}");
    assert!(metrics.contains("\noldest_unsynced_seconds{terminal=\"T-1\"} 5.000\n"), "{metrics}");
}
