//! Every line and both programs of `docs/integrate.md` work as they stand there, against a real
//! till and a real cloud; and every route of the local API has a line.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use counterfoil_tests::binaries::root;
use counterfoil_tests::manual::{Manual, routes};
use counterfoil_tests::openapi::Document;
use counterfoil_tests::proxy::{Mode, Proxy};
use counterfoil_tests::shop::{OPERATOR, Shop};
use counterfoil_tests::till::{Door, Till};
use serde_json::{Value, json};

const MANUAL: &str = "docs/integrate.md";
const ROUTER: &str = "terminal-node/src/api/mod.rs";
const LIMIT: Duration = Duration::from_secs(60);

/// A shop with a product, a till that knows it, and the link between them.
async fn shop(directory: &Path) -> (Shop, Till, Door, Proxy) {
    let shop = Shop::open(directory, "redb", &[("T-1", "north")]).await.expect("a shop");
    let product = json!({
        "productId": "tea", "name": "Green tea", "barcodes": ["4001"], "priceMinor": 149,
        "currency": "GBP", "taxPpm": 200_000, "unit": "pcs", "category": null, "active": true,
    });
    shop.edit(&[json!({ "put": { "product": product } })]).await.expect("a catalog");
    let link = Proxy::open(shop.address().parse().expect("an address")).await.expect("a link");
    let mut till = shop.install("T-1", Some(link.address())).await.expect("a till");
    let door = till.start().await.expect("the till is open");
    let until = tokio::time::Instant::now() + LIMIT;
    while door.products("tea").await.expect("an answer").as_array().map(Vec::len) != Some(1) {
        assert!(tokio::time::Instant::now() < until, "the catalog comes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (shop, till, door, link)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_manual_answers_as_it_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, door, _link) = shop(directory.path()).await;
    let (address, token) = (format!("http://{}", door.address()), door.token().to_owned());
    let work = directory.path().join("work");
    std::fs::create_dir(&work).expect("a directory");
    let (told, ran) = tokio::task::spawn_blocking(move || {
        let json = "content-type: application/json";
        let mine = [("TILL", address.as_str()), ("TOKEN", &token), ("JSON", json)];
        let all = [&mine[..], &[("OPERATOR", OPERATOR)]].concat();
        Manual::read(MANUAL).run(&work, &all)
    })
    .await
    .expect("a thread");
    let said = String::from_utf8_lossy(&ran.stderr);
    for (block, told) in &told {
        assert_eq!(told.status, block.status, "{}\n{}\n{said}", block.script, told.body);
        let problem = !told.status.starts_with('2');
        let is_one = told.body.contains("\"code\":\"POS_") && told.body.contains("\"detail\"");
        assert_eq!(is_one, problem, "{}\n{}", block.script, told.body);
    }
    assert!(ran.status.success(), "{said}");
    assert!(told.len() > 35, "the manual was found");
    let found = told.iter().find(|(block, _)| block.script.contains("code=4001"));
    assert!(found.is_some_and(|(_, told)| told.body.contains("\"tea\"")), "by its barcode");
    door.drain(LIMIT).await.expect("what the manual sells comes to the cloud");
    till.stop().await.expect("it ends in peace");
    shop.cloud.stop().await.expect("it ends in peace");
}

#[test]
fn every_route_of_the_local_api_has_a_line() {
    assert!(routes(ROUTER).len() > 25, "the router was read");
    Manual::read(MANUAL).assert_lines_for(ROUTER, "$TILL");
}

/// What the manual's lines send is as the document of the API says.
#[test]
fn what_the_manual_sends_fits_the_schemas() {
    let document = std::fs::read_to_string(root().join("terminal-node/src/api/openapi.json"));
    let document = serde_json::from_str(&document.expect("a document")).expect("JSON");
    let document = Document::new(document);
    let mut looked = 0;
    for block in Manual::read(MANUAL).blocks() {
        let Some((head, body)) = block.script.split_once("-d '") else { continue };
        let body: Value =
            serde_json::from_str(body.trim().trim_end_matches('\'')).expect("a body is JSON");
        let words: Vec<&str> = head.split_whitespace().collect();
        let method = words[2].to_lowercase();
        let path = words[3].trim_matches('"').trim_start_matches("$TILL");
        let path = path.replace("/products/tea", "/products/{id}");
        let path = path.replace("/front/basket-1/", "/{pos}/{id}/");
        let path = path.replace("/front/basket-0/", "/{pos}/{id}/");
        assert_eq!(document.refuses(&method, &path, &body), None, "{method} {path} {body}");
        let mut wrong = body.clone();
        if let Some(fields) = wrong.as_object_mut() {
            fields.insert("unheardOf".to_owned(), json!(1));
            let refused = document.refuses(&method, &path, &wrong);
            assert!(refused.is_some(), "{path}: strict as the till is");
        }
        looked += 1;
    }
    assert!(looked > 10, "the manual was read");
}

/// Runs a program of the manual, and returns what it said.
async fn sells(program: &str, file: &Path, till: &Path, name: &str) -> (bool, String) {
    let (program, file, till) = (program.to_owned(), file.to_owned(), till.to_owned());
    let name = name.to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        Command::new(program).arg(file).arg(till).args(["tea", "2", &name]).output()
    });
    let ran = ran.await.expect("a thread").expect("it runs");
    let said = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (ran.status.success(), said.concat())
}

async fn a_program_sells_once(program: &str, language: &str, file: &str, register: &str) {
    if Command::new(program).arg("--version").output().is_err() {
        eprintln!("there is no {program} here: its program of the manual is not run");
        return;
    }
    let manual = Manual::read(MANUAL);
    let [text] = manual.programs(language)[..] else { panic!("one program in {language}") };
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, door, link) = shop(directory.path()).await;
    let file = directory.path().join(file);
    std::fs::write(&file, text).expect("a file");
    let home = till.home().to_owned();

    let (well, said) = sells(program, &file, &home, "one").await;
    assert!(well && said.contains("(recorded)") && said.contains("in the cloud as"), "{said}");
    // Who starts it again with the same name has sold once.
    let (well, said) = sells(program, &file, &home, "one").await;
    assert!(well && said.contains("(known already)"), "{said}");
    // The program of the till is dead when the sale is made, and the cloud is out of reach.
    link.set(Mode::Reset);
    till.kill().await.expect("killed");
    let selling = tokio::spawn({
        let (program, file, home) = (program.to_owned(), file.clone(), home.clone());
        async move { sells(&program, &file, &home, "two").await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let door_again = till.start().await.expect("the till is open again");
    assert_eq!(door_again.token(), door.token());
    door_again.until(LIMIT, |status| status.pending == 1).await.expect("it is recorded");
    link.set(Mode::Pass);
    let (well, said) = selling.await.expect("it ends");
    assert!(well && said.contains("in the cloud as"), "{said}");
    door_again.drain(LIMIT).await.expect("all is in the cloud");

    let receipts = door_again.look(&format!("/receipts?posId={register}")).await.expect("a list");
    let receipts = receipts["receipts"].as_array().cloned().unwrap_or_default();
    let states: Vec<&Value> = receipts.iter().map(|receipt| &receipt["state"]).collect();
    assert_eq!(states, ["synced", "synced"], "{receipts:?}");
    till.stop().await.expect("it ends in peace");
    shop.cloud.stop().await.expect("it ends in peace");
    let check = shop.cloud.check().await.expect("the books are in order");
    assert_eq!((check.problems_found, check.posted), (0, 2), "{check:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_in_python_sells_once() {
    a_program_sells_once("python3", "python", "sell.py", "python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_in_javascript_sells_once() {
    a_program_sells_once("node", "js", "sell.mjs", "node").await;
}
