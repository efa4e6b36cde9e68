//! What a till makes of a stream of news, and of a cloud that has none for it.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use counterfoil_protocol::session::{Config, Nudge};
use counterfoil_protocol::terminal::Terminal;
use counterfoil_protocol::time::Millis;
use counterfoil_storage::Memory;
use counterfoil_terminal::config::Config as Settings;
use counterfoil_terminal::live::LiveLoop;
use counterfoil_terminal::transport::{Endpoint, Transport};
use counterfoil_terminal::verify::desk;
use http::StatusCode;
use hyper_util::client::legacy::connect::HttpConnector;
use support::{TOKEN, till};

const LIMIT: Duration = Duration::from_secs(30);

/// Waits in proportions that tell each kind from the others.
fn config() -> Config {
    Config {
        backoff_base: Millis(1),
        backoff_cap: Millis(5),
        retry_after_cap: Millis(400),
        quarantine_probe: Millis(600),
        idle_greeting: Millis(2_000),
        ..Config::default()
    }
}

/// A cloud that answers a wish to listen always alike, and notes when it was asked.
#[derive(Clone)]
struct Cloud {
    answer: fn() -> Response,
    asked: Arc<Mutex<Vec<(Instant, HeaderMap)>>>,
}

async fn live(State(cloud): State<Cloud>, headers: HeaderMap) -> Response {
    cloud.asked.lock().expect("nobody panics").push((Instant::now(), headers));
    (cloud.answer)()
}

impl Cloud {
    /// Starts it with a till that listens.
    async fn with_till(
        answer: fn() -> Response,
    ) -> (Self, counterfoil_terminal::till::Till<Memory<Terminal>>) {
        let cloud = Self { answer, asked: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/v1/live", get(live)).with_state(cloud.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let till = till().await;
        let way = || {
            let endpoint = Endpoint::parse(&format!("http://{address}")).expect("an address");
            let way = Transport::new(HttpConnector::new(), endpoint, TOKEN).expect("a token");
            way.introducing(true)
        };
        let (desk, _orders) = desk();
        let listening = LiveLoop::new(till.clone(), [way(), way()], desk, config());
        tokio::spawn(listening.run());
        (cloud, till)
    }

    /// Returns how long the till waited between its first two questions.
    async fn gap(&self) -> Duration {
        let until = Instant::now() + LIMIT;
        loop {
            if let [(first, _), (second, _), ..] = &self.asked.lock().expect("nobody panics")[..] {
                return second.duration_since(*first);
            }
            assert!(Instant::now() < until, "it does not ask again");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn denied() -> Response {
    (StatusCode::UNAUTHORIZED, "{\"reason\":\"revoked\"}").into_response()
}

fn limited() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")], "").into_response()
}

fn full() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "60")], "").into_response()
}

fn absent() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

fn ended() -> Response {
    ([("content-type", "text/event-stream")], "event: news\ndata: {\"catalog\":3,\"inbox\":4}\n\n")
        .into_response()
}

#[tokio::test]
async fn an_older_cloud_is_polled_and_asked_for_a_stream_seldom() {
    // The least wait before the next question; what is asked for is believed within reason.
    for (what, answer, least) in [
        ("an older cloud", absent as fn() -> Response, 1_000),
        ("a till that is turned away", denied, 600),
        ("a till that asks too often", limited, 400),
        ("a node without room", full, 400),
        ("a stream that ends", ended, 0),
    ] {
        let (cloud, _till) = Cloud::with_till(answer).await;
        let gap = cloud.gap().await;
        assert!(gap >= Duration::from_millis(least), "{what}: {gap:?}");
    }
}

#[tokio::test]
async fn news_wake_the_loops_that_ask_and_the_till_says_how_it_is() {
    let (cloud, till) = Cloud::with_till(ended).await;
    let woken = async {
        assert_eq!(till.nudged_to_follow().await, Nudge::LinkUp);
        assert_eq!(till.nudged_to_collect().await, Nudge::LinkUp);
    };
    tokio::time::timeout(LIMIT, woken).await.expect("they are woken");
    let asked = cloud.asked.lock().expect("nobody panics").first().expect("a question").1.clone();
    let word = asked["counterfoil-till"].to_str().expect("text").to_owned();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!("version={version}; pending=0; oldest-ms=0; now-ms=1700000000000");
    assert_eq!(word, expected);
    assert_eq!(asked["accept"], "text/event-stream");
}

#[tokio::test]
async fn a_till_tells_how_many_events_wait_and_for_how_long() {
    let (cloud, till) = Cloud::with_till(ended).await;
    for name in ["a", "b", "c"] {
        till.record(support::sale(name, 100)).await.expect("recorded");
    }
    let until = Instant::now() + LIMIT;
    loop {
        let last = cloud.asked.lock().expect("nobody panics").last().cloned();
        let word = last.map(|(_, headers)| headers["counterfoil-till"].clone());
        let word = word.as_ref().and_then(|word| word.to_str().ok()).unwrap_or_default();
        if word.contains("pending=3; oldest-ms=0;") {
            break;
        }
        assert!(Instant::now() < until, "{word}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn settings_say_how_often_an_idle_till_asks_and_whether_it_listens() {
    let identity = serde_json::json!({"shop": "s", "branch": "b", "terminal": "t"});
    let plain = serde_json::json!({"identity": identity, "cloud": "http://localhost",
                                   "compress": false});
    let settings = |more: serde_json::Value| {
        let mut text = plain.clone();
        for (name, value) in more.as_object().expect("settings") {
            text[name] = value.clone();
        }
        serde_json::from_value::<Settings>(text).expect("settings")
    };
    let usual = settings(serde_json::json!({}));
    assert_eq!((usual.spans(), usual.stream), (Config::default(), true));
    assert_eq!(usual.spans().idle_greeting, Millis::from_secs(15 * 60), "S1.2");
    assert_eq!(serde_json::to_value(&usual).expect("JSON"), plain, "an older program reads it");
    for (secs, idle) in [(60, 60), (0, 1)] {
        let own = settings(serde_json::json!({"askEverySecs": secs, "stream": false}));
        assert_eq!((own.spans().idle_greeting, own.stream), (Millis::from_secs(idle), false));
        let text = serde_json::to_value(&own).expect("JSON");
        assert_eq!(serde_json::from_value::<Settings>(text).expect("settings"), own);
    }
}
