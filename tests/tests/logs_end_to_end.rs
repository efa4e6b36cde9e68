//! The logs of real programs: each line says whose it is and which event it is about, by the names
//! of S4.14, on both sides alike; and no secret is in any.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil_tests::shop::{OPERATOR, Shop};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
const JSON: [&str; 2] = ["--log-format", "json"];

/// Returns the lines of a log; what is no JSON stands before the log begins.
fn lines(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).expect("a log");
    let line = |line: &str| serde_json::from_str::<Value>(line).ok();
    text.lines().filter_map(line).filter(|line| line.get("level").is_some()).collect()
}

/// Returns a field of a line: its own, or of what it happened in.
fn field<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    let within = line["spans"].as_array().into_iter().flatten();
    std::iter::once(&line["fields"]).chain(within).find_map(|place| place.get(name))
}

/// Returns the first line about an event that has an error code.
async fn failure(log: &Path, event: &str) -> Value {
    let until = Instant::now() + LIMIT;
    loop {
        let about = |line: &&Value| {
            field(line, "eventId").is_some_and(|of| of == event)
                && field(line, "errorCode").is_some()
        };
        if let Some(line) = lines(log).iter().find(about) {
            return line.clone();
        }
        assert!(Instant::now() < until, "{} has no failure of {event}", log.display());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_name_terminal_branch_event_attempt_and_code_and_no_secret() {
    let directory = tempfile::tempdir().expect("a directory");
    let arguments = [JSON[0], JSON[1], "--unknown-products", "park"];
    let tills = [("T-1", "north")];
    let shop = Shop::open_with(directory.path(), "redb", &tills, &arguments).await;
    let mut shop = shop.expect("a shop");
    let mut till = shop.install("T-1", None).await.expect("a till");
    let door = till.start_with(&JSON).await.expect("a daemon");
    door.ring_up("s-1", "nobody-knows-it").await.expect("a sale");

    let logs = ["T-1.log", "cloud.log"].map(|name| directory.path().join(name));
    for log in &logs {
        let line = failure(log, "T-1/front/s-1").await;
        assert_eq!(field(&line, "errorCode"), Some(&json!("POS_SYNC_PRODUCT_UNKNOWN")), "{line}");
        assert_eq!(field(&line, "terminalId"), Some(&json!("T-1")), "{line}");
        assert_eq!(field(&line, "branchId"), Some(&json!("north")), "{line}");
        let attempt = field(&line, "syncAttempt").and_then(Value::as_u64);
        assert!(attempt.is_some(), "{line}");
    }
    let refused = shop.as_till("T-1", "/v1/nothing").await.expect("an answer");
    assert!(refused.status >= 400, "{}", refused.status);
    till.stop().await.expect("it ends");
    shop.cloud.stop().await.expect("it ends");

    let token = shop.token("T-1").expect("a token").to_owned();
    let secret = token.rsplit('_').next().expect("a secret").to_owned();
    assert!(secret.len() >= 16, "a secret is long");
    for log in &logs {
        assert!(!lines(log).is_empty(), "{} says something", log.display());
        let text = fs::read_to_string(log).expect("a log");
        for held in [secret.as_str(), OPERATOR, door.token()] {
            assert!(!text.contains(held), "{} has a secret", log.display());
        }
    }
}
