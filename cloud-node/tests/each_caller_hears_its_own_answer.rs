//! Many callers share a commit, and each hears its own answer; limits hold for each alone.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use counterfoil_cloud::rate::Rate;
use counterfoil_cloud::service::Limits;
use counterfoil_cloud::{audit, committer};
use counterfoil_protocol::cloud::UnknownProducts;
use counterfoil_protocol::wire::message::Verdict;
use http::StatusCode;
use support::{BINARY, start, start_with};

#[tokio::test]
async fn concurrent_pushes_of_many_tills_share_commits_and_get_their_own_results() {
    const TILLS: usize = 150;
    const ROUNDS: usize = 4;
    let node = Arc::new(start());
    let mut callers = Vec::new();
    for number in 0..TILLS {
        let mut till = node.till(&format!("T-{number}")).await;
        node.greet(&till).await;
        let node = Arc::clone(&node);
        callers.push(tokio::spawn(async move {
            for round in 1..=ROUNDS {
                // A different number of items for each till tells the answers apart.
                let count = 1 + number % 7;
                let items: Vec<_> =
                    (0..count).map(|item| till.sell(&format!("{round}-{item}"))).collect();
                let answer = node.push(&till, items).await;
                assert_eq!(answer.head, (round * count) as u64);
                assert_eq!(answer.results.len(), count);
                let created = |verdict| matches!(verdict, Verdict::Created(_));
                assert!(answer.results.iter().all(|result| created(result.verdict)));
            }
        }));
    }
    let before = node.metrics.commits();
    for caller in callers {
        caller.await.expect("a caller that heard its own answer");
    }
    let commits = node.metrics.commits() - before;
    let pushes = (TILLS * ROUNDS) as u64;
    assert!(commits >= pushes / committer::BATCH_MAX as u64, "a batch is bounded");
    assert!(commits < pushes / 10, "{commits} commits for {pushes} pushes");
    let report = audit::check(&node.reads).await.expect("readable");
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!(report.posted, node.metrics.synced_events());
}

#[tokio::test]
async fn a_terminal_that_asks_too_often_waits_alone() {
    let rate = Some(Rate { per_second: 1, burst: 2 });
    let node = start_with(Limits { rate, ..Limits::default() }, UnknownProducts::Accept);
    let (eager, calm) = (node.till("T-1").await, node.till("T-2").await);
    let greet = async |till: &support::Till| {
        node.post("/v1/handshake", &till.token, BINARY, till.hello().encode()).await
    };
    for expected in [StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
        assert_eq!(greet(&eager).await.status, expected);
    }
    let answer = greet(&eager).await;
    assert_eq!(answer.problem().0, "POS_SYNC_RATE_LIMITED");
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(greet(&calm).await.status, StatusCode::OK);
    node.clock.0.fetch_add(1_000, Ordering::SeqCst);
    assert_eq!(greet(&eager).await.status, StatusCode::OK);
}
