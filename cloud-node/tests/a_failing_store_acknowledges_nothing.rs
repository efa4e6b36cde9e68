//! When the store fails, nobody hears of success, and the node says that it is not ready.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use support::{BINARY, start};

#[tokio::test]
async fn every_waiting_caller_hears_that_the_store_failed() {
    let node = Arc::new(start());
    let mut tills = Vec::new();
    for number in 0..300 {
        let till = node.till(&format!("T-{number}")).await;
        node.greet(&till).await;
        tills.push(till);
    }
    let before = node.rows();
    node.fails.store(true, Ordering::SeqCst);
    let callers: Vec<_> = tills
        .into_iter()
        .map(|mut till| {
            let node = Arc::clone(&node);
            tokio::spawn(async move {
                let items = vec![till.sell("a")];
                let body = till.push(items).encode();
                node.post("/v1/sales-events", &till.token, BINARY, body).await
            })
        })
        .collect();
    let mut failed = 0;
    for caller in callers {
        let answer = caller.await.expect("an answer");
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers["retry-after"], "1");
        match &*answer.problem().0 {
            "POS_SYNC_STORAGE_FAILED" => failed += 1,
            // More requests than places: these never came to the store.
            "POS_SYNC_UNAVAILABLE" => {}
            other => panic!("{other}"),
        }
    }
    assert!(failed >= 256);
    assert_eq!(node.metrics.synced_events(), 0);
    assert!(!node.submit.is_open(), "the committer ends with the error");
    assert_eq!(node.get("/readyz").await.problem().0, "POS_SYNC_UNAVAILABLE");
    assert_eq!(node.get("/healthz").await.status, StatusCode::OK);
    let Some(node) = Arc::into_inner(node) else { panic!("all callers are done") };
    let (store, result) = node.committer.await.expect("no panic");
    result.expect_err("the store's error");
    let after = store.inner.reader().scan_all(usize::MAX).expect("readable rows");
    assert_eq!(after, before);
}
