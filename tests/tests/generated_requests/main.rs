//! Requests that nobody would send, drawn from what the node says of itself: no server error, no
//! panic, no answer that is not documented, and memory within bounds.
//!
//! A few hundred for each route; `COUNTERFOIL_REQUESTS=100000` draws so many, and
//! `COUNTERFOIL_ROUTES=/v1/handshake,/api/` asks the routes that begin so and no others. They
//! follow from the number of the route alone, so that a failure comes again. Left out are the
//! streams of events, which have no end: strangers alone ask there.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod draw;

use std::collections::BTreeMap;
use std::sync::Arc;

use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::http::{Kept, ask, ask_with};
use counterfoil_tests::openapi::Document;
use draw::{Drawer, Drawn};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const OPERATOR: &str = "an operator's token";
const SCOPES: [&str; 3] = ["sales:create", "stock:adjust", "catalog:read"];
const USUAL: u32 = 250;
/// Routes that are asked at the same time.
const AT_ONCE: usize = 4;
/// What a node may take, however many requests there are: a debug build with its caches.
const PEAK_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A route, and the credential that opens it.
struct Asked {
    number: u64,
    method: String,
    route: String,
    said: Value,
    token: Option<String>,
}

fn routes(document: &Document, tokens: &[(&str, String)]) -> Vec<Asked> {
    let asked = document.operations().enumerate().map(|(number, (method, route, said))| {
        let by = said["security"][0].as_object().into_iter().flatten().next();
        let token = by.and_then(|(by, _)| tokens.iter().find(|(name, _)| name == by));
        let stream = route == "/v1/live" || route == "/v1/admin/live";
        Asked {
            number: number as u64,
            method: method.to_uppercase(),
            route: route.to_owned(),
            said: said.clone(),
            token: token.map(|(_, token)| token.clone()).filter(|_| !stream),
        }
    });
    asked.collect()
}

/// Asks a route so often, says what came of it, and returns how many answers said that it was
/// done.
async fn ask_often(document: &Document, address: &str, asked: Asked, times: u32) -> u32 {
    let mut drawer = Drawer::new(document, asked.number, &asked.route, &asked.said);
    let (mut link, mut done) = (Kept::new(address), 0);
    let mut statuses = BTreeMap::new();
    for number in 0..times {
        let Drawn { path, headers, body } = drawer.next(asked.token.as_deref());
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let told = link.ask(&asked.method, &path, &headers, &body).await;
        let told = told.unwrap_or_else(|error| {
            panic!("{} {path} {headers:?} {}: {error:#}", asked.method, shown(&body))
        });
        let wrong = document.undocumented(&asked.method, &path, &told);
        assert!(
            told.status < 500 && wrong.is_none(),
            "request {number}: {} {path} {headers:?} {} -> {} {wrong:?} {}",
            asked.method,
            shown(&body),
            told.status,
            shown(&told.body),
        );
        done += u32::from(told.status < 300);
        *statuses.entry(told.status).or_insert(0_u32) += 1;
    }
    println!("{} {}: {times} requests, by status {statuses:?}", asked.method, asked.route);
    done
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(2_000)]).into_owned()
}

async fn node(directory: &std::path::Path) -> (Cloud, String, [(&'static str, String); 3]) {
    let programs = binaries::build(Profile::Test).expect("the programs are built");
    let token = directory.join("operator");
    std::fs::write(&token, OPERATOR).expect("a file");
    let store = format!("sled:{}", directory.join("cloud").display());
    let cloud = Cloud::new(&programs.cloud, store, directory.join("cloud.log"));
    let mut cloud = cloud.with_operator(token).with_arguments(&["--rate", "0", "--byte-rate", "0"]);
    let user = cloud.add_user("shop", "north", "anna", &SCOPES).await.expect("a user");
    let till = cloud.enrol("shop", "north", "T-1").await.expect("a till");
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    let edits = json!({"shopId": "shop", "edits": [{"put": {"product": {"productId": "tea",
        "name": "Tea", "barcodes": [], "priceMinor": 255, "currency": "GBP", "taxPpm": 0,
        "unit": "pcs", "category": null, "active": true}}}]});
    let edits = edits.to_string().into_bytes();
    let told = ask(&address, "POST", "/v1/admin/catalog", OPERATOR, edits).await;
    assert_eq!(told.expect("an answer").status, 200);
    (cloud, address, [("till", till), ("user", user), ("operator", OPERATOR.to_owned())])
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_meets_a_server_error_and_memory_is_bounded() {
    let times = std::env::var("COUNTERFOIL_REQUESTS");
    let times = times.map_or(USUAL, |text| text.parse().expect("a number of requests"));
    let directory = tempfile::tempdir().expect("a directory");
    let (mut cloud, address, tokens) = node(directory.path()).await;
    let told = ask_with(&address, "GET", "/openapi.json", &[], Vec::new()).await;
    let document = Arc::new(Document::new(told.expect("an answer").json().expect("JSON")));
    let (mut under_way, mut done, mut routes_asked) = (JoinSet::new(), 0, 0);
    let wanted = std::env::var("COUNTERFOIL_ROUTES").ok();
    let begins = |route: &str| match &wanted {
        Some(wanted) => wanted.split(',').any(|begin| route.starts_with(begin)),
        None => true,
    };
    for asked in routes(&document, &tokens).into_iter().filter(|asked| begins(&asked.route)) {
        if under_way.len() == AT_ONCE {
            done += under_way.join_next().await.expect("one is under way").expect("it holds");
        }
        routes_asked += 1;
        let (document, address) = (Arc::clone(&document), address.clone());
        // What draws stays on its thread.
        under_way.spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let asks = ask_often(&document, &address, asked, times);
            runtime.expect("a runtime").block_on(asks)
        });
    }
    while let Some(more) = under_way.join_next().await {
        done += more.expect("it holds");
    }
    let peak = cloud.peak_bytes().expect("a peak");
    println!(
        "{routes_asked} routes, {} requests, {done} of them done; the node's peak: {} MiB",
        routes_asked * times,
        peak / (1024 * 1024),
    );
    if wanted.is_none() {
        assert!(routes_asked > 50, "the document was read");
        assert!(done > times, "some were what the node takes: {done}");
    }
    assert!(peak < PEAK_BYTES_MAX, "{peak} bytes");
    cloud.stop().await.expect("it ends in peace");
    let check = cloud.check().await.expect("the books are in order");
    assert_eq!(check.problems_found, 0, "{check:?}");
    let log = std::fs::read_to_string(directory.path().join("cloud.log")).expect("a log");
    assert!(!log.contains("panicked"), "a handler panicked");
}
