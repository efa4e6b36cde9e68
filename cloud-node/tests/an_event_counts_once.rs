//! However often an event is sent, it is posted once and answered with the same name.

mod support;

use counterfoil_cloud::audit;
use counterfoil_cloud::export::{Summary, export};
use counterfoil_cloud::service::Limits;
use counterfoil_protocol::cloud::UnknownProducts;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::message::Verdict;
use serde_json::{Value, json};
use support::{sale, start, start_with};

#[tokio::test]
async fn a_repeated_push_is_answered_with_the_same_names() {
    let node = start();
    let mut till = node.till("T-1").await;
    node.greet(&till).await;
    let items: Vec<_> = (0..50).map(|number| till.sell(&format!("s{number}"))).collect();
    let first = node.push(&till, items.clone()).await;
    let rows = node.rows();
    let second = node.push(&till, items.clone()).await;
    for (created, existing) in first.results.iter().zip(&second.results) {
        let (Verdict::Created(name), Verdict::Existing(again)) =
            (created.verdict, existing.verdict)
        else {
            panic!("{created:?}, then {existing:?}");
        };
        assert_eq!(name, again);
    }
    assert_eq!(node.rows(), rows, "sending everything again writes nothing");
    assert_eq!(node.metrics.synced_events(), 50);

    let mut lines = Vec::new();
    let summary = export(&node.reads, &mut lines).await.expect("an export");
    let expected = Summary {
        events: 50,
        invoices: 50,
        lines: 50,
        quantity_milli: 100_000,
        money_minor: 15_000,
        parked: 0,
        unreadable: 0,
    };
    assert_eq!(summary, expected);
    let lines: Vec<Value> = String::from_utf8(lines)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    assert_eq!(lines.len(), 50);
    assert_eq!(lines[0]["fate"], "posted");
    assert_eq!(lines[0]["site"], json!({"shop": "shop", "branch": "branch"}));
    assert_eq!(lines[0]["event"]["body"]["sale"]["currency"], "GBP");
    assert!(audit::check(&node.reads).await.expect("readable").is_clean());
}

#[tokio::test]
async fn the_same_key_with_another_payload_is_refused_and_kept() {
    let node = start();
    let mut till = node.till("T-1").await;
    node.greet(&till).await;
    let items = vec![till.sell("a"), till.enter(sale("a", "tea", 9_000, 150).canonical())];
    let answer = node.push(&till, items).await;
    assert!(matches!(answer.results[0].verdict, Verdict::Created(_)));
    assert_eq!(answer.results[1].verdict, Verdict::Refused(ErrorCode::EventInvalid));
    let report = audit::check(&node.reads).await.expect("readable");
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!((report.posted, report.conflicts, report.entries), (1, 1, 2));
}

#[tokio::test]
async fn a_parked_event_is_posted_once_its_product_is_known() {
    let node = start_with(Limits::default(), UnknownProducts::Park);
    let mut till = node.till("T-1").await;
    node.greet(&till).await;
    let item = till.sell("a");
    let answer = node.push(&till, vec![item.clone()]).await;
    assert_eq!(answer.results[0].verdict, Verdict::Parked(ErrorCode::ProductUnknown));
    node.admin("/v1/admin/products", json!({"shopId": "shop", "productId": "tea"})).await;
    let answer = node.push(&till, vec![item]).await;
    assert!(matches!(answer.results[0].verdict, Verdict::Created(_)));
    assert!(audit::check(&node.reads).await.expect("readable").is_clean());
}
