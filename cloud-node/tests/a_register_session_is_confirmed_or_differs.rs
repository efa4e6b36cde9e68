//! Close of day over HTTP: a till asks whether the cloud has what it has stated, an operator sees
//! the days of a branch, and the check recounts them.

mod support;

use axum::body::Body;
use counterfoil_cloud::audit;
use counterfoil_protocol::cloud::{Key, Record};
use counterfoil_protocol::event::Event;
use counterfoil_protocol::money::Minor;
use counterfoil_protocol::wire::event::EventAny;
use counterfoil_protocol::wire::message::Verdict;
use counterfoil_protocol::wire::session::{SessionReport, SessionStatus};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use support::rows::Rows;
use support::{Answer, BINARY, JSON, Node, OPERATOR, Till, start};

fn event(id: &str, receipt: Option<u64>, body: &Value) -> Event {
    let receipt =
        receipt.map(|number| json!({"series": {"number": 1, "nonce": 77}, "number": number}));
    let wire: EventAny = serde_json::from_value(json!({
        "posId": "P-1", "localEventId": id, "atMs": 1_000, "receipt": receipt, "reference": "",
        "body": body, "sessionId": "day 1",
    }))
    .expect("the shape of an event");
    wire.parse().expect("an event")
}

fn opening() -> Event {
    event("day 1", None, &json!({"sessionOpened": {"currency": "GBP", "floatMinor": 10_000}}))
}

fn sale(id: &str, number: u64) -> Event {
    let line = json!({
        "productId": "tea", "name": "", "quantityMilli": 1_000, "unitPriceMinor": 300,
        "discountMinor": 0, "taxPpm": 200_000,
    });
    let payment = json!({"tender": 2, "amountMinor": 300});
    let trade = json!({"currency": "GBP", "lines": [line], "payments": [payment]});
    event(id, Some(number), &json!({ "sale": trade }))
}

/// A closing that states so many such sales.
fn closing(id: &str, sales: u64) -> Event {
    let money = 300 * sales;
    let place = |seq: u64| json!({"epoch": {"number": 1, "nonce": 77}, "seq": seq});
    let closed = json!({
        "currency": "GBP", "from": place(1), "to": place(9), "floatMinor": 10_000,
        "totals": {
            "sales": sales, "refunds": 0, "lines": sales,
            "tenders": [{"tender": 2, "takenMinor": money, "returnedMinor": 0}],
            "taxes": [{"taxPpm": 200_000, "amountMinor": money}],
            "otherTaxesMinor": 0, "cashInMinor": 0, "cashOutMinor": 0,
        },
        "counted": [],
    });
    event(id, None, &json!({ "sessionClosed": closed }))
}

async fn push(node: &Node, till: &mut Till, events: &[Event]) {
    let items: Vec<_> = events.iter().map(|event| till.enter(event.canonical())).collect();
    for result in node.push(till, items).await.results {
        assert!(matches!(result.verdict, Verdict::Created(_)), "{result:?}");
    }
}

async fn get(node: &Node, path: &str, token: &str, form: &str) -> Answer {
    let request = Request::get(path)
        .header("authorization", format!("Bearer {token}"))
        .header("accept", form)
        .body(Body::empty())
        .expect("a request");
    node.send(request).await
}

async fn report(node: &Node, till: &Till) -> SessionReport {
    let path = "/v1/sessions/P-1/day%201";
    let json = get(node, path, &till.token, JSON).await;
    assert_eq!(json.status, StatusCode::OK, "{}", String::from_utf8_lossy(&json.body));
    let binary = get(node, path, &till.token, BINARY).await;
    assert_eq!(binary.headers["content-type"], BINARY);
    let report = SessionReport::decode(&binary.body).expect("a report");
    assert_eq!(json.json(), serde_json::to_value(&report).expect("JSON"), "both mean the same");
    report
}

async fn day() -> (Node, Till) {
    let node = start();
    let mut till = node.till("T-1").await;
    node.greet(&till).await;
    push(&node, &mut till, &[opening(), sale("a", 1), sale("b", 2)]).await;
    (node, till)
}

#[tokio::test]
async fn a_till_hears_open_confirmed_and_the_difference() {
    let (node, mut till) = day().await;
    assert_eq!(report(&node, &till).await.status, SessionStatus::Open);
    push(&node, &mut till, &[closing("end", 2)]).await;
    let told = report(&node, &till).await;
    assert_eq!((told.status, told.closings.len()), (SessionStatus::Confirmed, 1));
    push(&node, &mut till, &[sale("late", 3)]).await;
    let told = report(&node, &till).await;
    assert_eq!((told.status, told.late.events), (SessionStatus::Difference, 1));
    let difference = told.closings[0].difference.as_ref().expect("a difference");
    assert_eq!((difference.sales, difference.lines), (1, 1));
    assert_eq!(difference.tenders[0].taken, Minor(300));
    let found = audit::check(&node.reads).await.expect("readable");
    assert!(found.is_clean(), "{:?}", found.problems);
    assert_eq!(found.sessions, 1);
}

#[tokio::test]
async fn a_session_is_told_to_its_own_till_and_to_the_operator() {
    let (node, till) = day().await;
    let other = node.till("T-2").await;
    for (path, token, status, code) in [
        ("/v1/sessions/P-1/day%201", other.token.as_str(), 404, "POS_SYNC_NOT_FOUND"),
        ("/v1/sessions/P-2/day%201", till.token.as_str(), 404, "POS_SYNC_NOT_FOUND"),
        ("/v1/sessions/P-1/day%202", till.token.as_str(), 404, "POS_SYNC_NOT_FOUND"),
        ("/v1/sessions/P-1/day%01", till.token.as_str(), 422, "POS_SYNC_EVENT_INVALID"),
        ("/v1/sessions/P-1/day%201", "nobody", 401, "POS_SYNC_UNAUTHORIZED"),
        ("/v1/sessions/P-1/day%201", OPERATOR, 401, "POS_SYNC_UNAUTHORIZED"),
        ("/v1/admin/sessions?shop=shop", till.token.as_str(), 401, "POS_SYNC_UNAUTHORIZED"),
        ("/v1/admin/sessions", OPERATOR, 422, "POS_SYNC_EVENT_INVALID"),
        ("/v1/admin/sessions?shop=shop&posId=1", OPERATOR, 422, "POS_SYNC_EVENT_INVALID"),
    ] {
        let answer = get(&node, path, token, JSON).await;
        assert_eq!((answer.status.as_u16(), answer.problem().0.as_str()), (status, code), "{path}");
    }
    for (query, expected) in [
        ("shop=shop", 1),
        ("shop=shop&branch=branch", 1),
        ("shop=shop&branch=other", 0),
        ("shop=other", 0),
        ("shop=shop&terminalId=T-1&posId=P-1&sessionId=day%201", 0),
    ] {
        let answer = get(&node, &format!("/v1/admin/sessions?{query}"), OPERATOR, JSON).await;
        let told = answer.json();
        let sessions = told["sessions"].as_array().map(Vec::len);
        assert_eq!((sessions, &told["next"]), (Some(expected), &Value::Null), "{query}");
    }
}

#[tokio::test]
async fn a_push_in_json_brings_a_session_too() {
    let node = start();
    let mut till = node.till("T-1").await;
    node.greet(&till).await;
    let events = [opening(), sale("a", 1), closing("end", 1)];
    let items: Vec<_> = events.iter().map(|event| till.enter(event.canonical())).collect();
    let items: Vec<Value> = items
        .iter()
        .zip(&events)
        .map(|(item, event)| {
            let event = EventAny::from_event(event);
            json!({"seq": item.seq, "chainHash": item.chain_hash, "event": event})
        })
        .collect();
    let body = json!({"terminalId": till.terminal, "epoch": till.epoch, "items": items});
    let body = body.to_string().into_bytes();
    let answer = node.post("/v1/sales-events", &till.token, JSON, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(report(&node, &till).await.status, SessionStatus::Confirmed);
}

type Damage = fn(&mut counterfoil_protocol::cloud::sessions::Session);

#[tokio::test]
async fn the_check_finds_damage_in_a_sessions_sums() {
    let (node, mut till) = day().await;
    push(&node, &mut till, &[closing("end", 2), sale("late", 3)]).await;
    let honest = Rows::of(&node);
    assert!(audit::check(&honest).await.expect("readable").is_clean());
    let damages: [(&str, Damage); 7] = [
        ("a sale more", |row| row.posted.sales += 1),
        ("a penny more", |row| row.posted.taxes[0].amount.0 += 1),
        ("another tender", |row| row.posted.tenders.clear()),
        ("another float", |row| row.float = None),
        ("an event of another currency", |row| row.foreign = 1),
        ("a closing less", |row| row.closed = 0),
        ("more late than there are", |row| row.late_events = 99),
    ];
    for (name, damage) in damages {
        let mut rows = honest.clone();
        for record in rows.0.values_mut() {
            if let Record::Session(row) = record {
                damage(row);
            }
        }
        let found = audit::check(&rows).await.expect("readable");
        let laws: Vec<_> = found.problems.iter().map(|problem| problem.law).collect();
        assert_eq!(laws, ["NoDuplicate"], "{name}: {:?}", found.problems);
    }
    let mut rows = honest.clone();
    rows.0.retain(|key, _| !matches!(key, Key::Session(..)));
    let found = audit::check(&rows).await.expect("readable");
    assert_eq!(found.problems_found, 1, "the row is gone: {:?}", found.problems);
}
