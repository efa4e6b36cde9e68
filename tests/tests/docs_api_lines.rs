//! S4.18: every line of `docs/api.md` works as it stands there, against a real node; and every
//! route of the node has a line. Each answer, and each body that is sent, is as the `/openapi.json`
//! of the node says.
//!
//! The store is that of `COUNTERFOIL_CONTRACT_STORE` (as on the command line, empty), or sled in a
//! new directory.

use counterfoil_protocol::hash::{genesis, secret_hash};
use counterfoil_protocol::identity::{Epoch, TerminalId};
use counterfoil_protocol::wire::message::{Hello, HelloLane, Point};
use counterfoil_protocol::wire::parcel::Offers;
use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::http;
use counterfoil_tests::manual::{Manual, routes};
use counterfoil_tests::openapi::Document;

const OPERATOR: &str = "an operator's token";
const MANUAL: &str = "docs/api.md";
const ROUTER: &str = "cloud-node/src/service/mod.rs";

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_manual_answers_as_it_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let programs = binaries::build(Profile::Test).expect("the programs are built");
    let token = path.join("operator");
    std::fs::write(&token, OPERATOR).expect("a file");
    let own = format!("sled:{}", path.join("cloud").display());
    let store = std::env::var("COUNTERFOIL_CONTRACT_STORE").unwrap_or(own);
    let mut cloud = Cloud::new(&programs.cloud, store, path.join("cloud.log")).with_operator(token);
    let secret = cloud.enrol("shop", "north", "T-3").await.expect("a till without a link");
    std::fs::write(path.join("T-3.parcel"), parcel(&secret)).expect("a file");
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    let work = path.to_owned();
    let document = http::ask_with(&address, "GET", "/openapi.json", &[], Vec::new()).await;
    let document = Document::new(document.expect("an answer").json().expect("JSON"));
    let (told, ran) = tokio::task::spawn_blocking(move || {
        let cloud = format!("http://{address}");
        let json = "content-type: application/json";
        Manual::read(MANUAL)
            .run(&work, &[("CLOUD", &cloud), ("OPERATOR", OPERATOR), ("JSON", json)])
    })
    .await
    .expect("a thread");
    let said = String::from_utf8_lossy(&ran.stderr);
    let mut looked = 0;
    for (block, told) in &told {
        assert_eq!(told.status, block.status, "{}\n{}\n{said}", block.script, told.body);
        let problem = !told.status.starts_with('2');
        let is_one = told.body.starts_with("{\"type\":\"urn:");
        assert_eq!(is_one, problem, "{}\n{}", block.script, told.body);
        // What the node says of itself is what it answers, and takes what the manual sends.
        let (method, path) = block.asks("$CLOUD");
        let undocumented = document.undocumented(&method, &path, &told.answer());
        assert_eq!(undocumented, None, "{}\n{}", block.script, told.body);
        if let Some(body) = block.sends() {
            assert_eq!(document.refuses(&method, &path, &body), None, "{}", block.script);
            looked += 1;
        }
    }
    assert!(ran.status.success(), "{said}");
    assert!(told.len() > 40 && looked > 20, "the manual was found: {looked} bodies");
    cloud.stop().await.expect("it ends in peace");
    let check = cloud.check().await.expect("the books are in order");
    assert_eq!((check.problems_found, check.posted > 5), (0, true), "{check:?}");
}

/// The parcel of a till that has sold nothing yet.
fn parcel(token: &str) -> Vec<u8> {
    let (terminal, epoch) =
        (TerminalId::parse("T-3").expect("a name"), Epoch { number: 1, nonce: 3 });
    let (_, secret) = token.trim().rsplit_once('_').expect("a credential");
    let points = vec![Point { seq: 0, hash: genesis(terminal, epoch) }];
    let lanes = vec![HelloLane { epoch, parent: None, acked: 0, points }];
    let (versions, app) = (vec![1], "a till".to_owned());
    let hello = Hello { terminal_id: terminal, versions, app, clock_ms: 0, lanes };
    Offers { number: 7, hello, pushes: Vec::new() }.seal(secret_hash(secret.as_bytes())).0
}

#[test]
fn every_route_has_a_line() {
    assert!(routes(ROUTER).len() > 35, "the router was read");
    Manual::read(MANUAL).assert_lines_for(ROUTER, "$CLOUD");
}
