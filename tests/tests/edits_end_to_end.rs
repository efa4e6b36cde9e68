//! A name is corrected at a till, end to end: offline, sent again, decided by the cloud, seen by
//! every till, shown to an operator; a price is not a till's to change.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::time::{Duration, Instant};

use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::http;
use counterfoil_tests::till::{Door, Place, Till};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
const OPERATOR: &str = "an operator's token";

fn product(id: &str, name: &str, price: i64) -> Value {
    json!({ "put": { "product": {
        "productId": id, "name": name, "barcodes": [], "priceMinor": price, "currency": "GBP",
        "taxPpm": 200_000, "unit": "pcs", "category": null, "active": true,
    }}})
}

async fn operator(cloud: &str, method: &str, path: &str, body: Option<Value>) -> Value {
    let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
    let answer = http::ask(cloud, method, path, OPERATOR, body).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json().expect("JSON")
}

async fn correct(door: &Door, id: &str, edit: &str, wish: Value) -> (u16, Value) {
    let mut body = json!({ "posId": "1", "localEventId": edit });
    let fields = wish.as_object().expect("fields").clone();
    body.as_object_mut().expect("an object").extend(fields);
    let body = body.to_string().into_bytes();
    let answer = door.raw("PATCH", &format!("/products/{id}"), body).await.expect("an answer");
    (answer.status, answer.json().expect("JSON"))
}

async fn shown(door: &Door, id: &str) -> Value {
    let answer = door.raw("GET", &format!("/products/{id}"), Vec::new()).await.expect("an answer");
    answer.json().expect("JSON")
}

/// Waits until the till shows the product so, and with nothing of its own lying over.
async fn settles(door: &Door, id: &str, name: &str) -> Value {
    let until = Instant::now() + LIMIT;
    loop {
        let product = shown(door, id).await;
        if product["name"] == name && product["pendingEdit"] == false {
            return product;
        }
        assert!(Instant::now() < until, "{product}");
        door.sync().await.expect("it asks");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_corrected_at_a_till_reaches_everybody() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let file = directory.join("operator");
    std::fs::write(&file, OPERATOR).expect("a file");
    let programs = binaries::build(Profile::Test).expect("the programs");
    let store = format!("redb:{}", directory.join("cloud").display());
    let mut cloud =
        Cloud::new(&programs.cloud, store, directory.join("cloud.log")).with_operator(file);
    let tokens = [
        cloud.enrol("shop", "north", "T-1").await.expect("enrolled"),
        cloud.enrol("shop", "south", "T-2").await.expect("enrolled"),
    ];
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    let edits = json!({ "shopId": "shop", "edits": [product("tea", "Tae", 149)] });
    operator(&address, "POST", "/v1/admin/catalog", Some(edits)).await;
    let mut tills = Vec::new();
    for ((name, branch), token) in [("T-1", "north"), ("T-2", "south")].iter().zip(&tokens) {
        let log = directory.join(format!("{name}.log"));
        let till = Till::new(&programs.terminal, directory.join(name), log);
        let place = Place { shop: "shop", branch, terminal: name };
        till.init(place, &format!("http://{address}"), token).await.expect("installed");
        tills.push(till);
    }
    let door = tills[0].start().await.expect("the till is open");
    let other = tills[1].start().await.expect("the till is open");
    settles(&door, "tea", "Tae").await;
    settles(&other, "tea", "Tae").await;

    // Without the cloud: the name is there at once, and stays over a kill.
    cloud.kill().await.expect("killed");
    let wish = json!({ "name": "Tea", "unit": "box" });
    assert_eq!(correct(&door, "tea", "e1", wish.clone()).await.0, 201);
    let (status, again) = correct(&door, "tea", "e1", wish).await;
    assert_eq!((status, &again["again"]), (200, &json!(true)));
    tills[0].kill().await.expect("killed");
    let door = tills[0].start().await.expect("a till opens without the cloud");
    let product_now = shown(&door, "tea").await;
    assert_eq!(
        (&product_now["name"], &product_now["unit"], &product_now["pendingEdit"]),
        (&json!("Tea"), &json!("box"), &json!(true))
    );
    let found = door.products("tea").await.expect("it sells");
    assert_eq!(found[0]["name"], "Tea");
    for (id, edit, wish, status, code) in [
        ("tea", "e2", json!({ "priceMinor": 1 }), 403, "POS_CATALOG_SERVER_OWNED"),
        ("tea", "e2", json!({ "name": "T", "active": false }), 403, "POS_CATALOG_SERVER_OWNED"),
        ("tea", "e2", json!({ "name": "Tea" }), 422, "POS_SYNC_EVENT_INVALID"),
        ("tea", "e2", json!({ "name": "" }), 422, "POS_SYNC_EVENT_INVALID"),
        ("tea", "e2", json!({}), 422, "POS_SYNC_EVENT_INVALID"),
        ("tea", "e2", json!({ "category": null }), 422, "POS_SYNC_EVENT_INVALID"),
        ("tea", "e2", json!({ "colour": "red" }), 422, "POS_SYNC_EVENT_INVALID"),
        ("tea", "e1", json!({ "name": "Coffee" }), 409, "POS_SYNC_EVENT_INVALID"),
        ("milk", "e2", json!({ "name": "Milk" }), 404, "POS_SYNC_NOT_FOUND"),
    ] {
        let (found, problem) = correct(&door, id, edit, wish.clone()).await;
        assert_eq!((found, &problem["code"]), (status, &json!(code)), "{wish}: {problem}");
    }

    // The cloud is back, and an operator is faster: the later commit wins the name, field by field,
    // and what it overwrote is kept. The price is the operator's.
    tills[0].kill().await.expect("killed");
    assert_eq!(cloud.start(&address).await.expect("it serves again"), address);
    let edits = json!({ "shopId": "shop", "edits": [product("tea", "Chai", 159)] });
    operator(&address, "POST", "/v1/admin/catalog", Some(edits)).await;
    settles(&other, "tea", "Chai").await;
    let door = tills[0].start().await.expect("the till is open");
    let mine = settles(&door, "tea", "Tea").await;
    let theirs = settles(&other, "tea", "Tea").await;
    assert_eq!((&mine["priceMinor"], &theirs["priceMinor"]), (&json!(159), &json!(159)));
    assert_eq!(mine["lastEdits"][0]["outcome"], "overwrote", "{mine}");
    assert_eq!(theirs["unit"], "box");
    let edits = operator(&address, "GET", "/v1/admin/edits?shopId=shop&conflicts=true", None).await;
    assert_eq!(edits["edits"][0]["localEventId"], "e1", "{edits}");
    let field = &edits["edits"][0]["fields"][0];
    assert_eq!(field["to"], json!({ "name": "Tea" }), "{edits}");
    assert_eq!(field["stood"], json!({ "name": "Chai" }), "{edits}");
    assert_eq!(field["outcome"], "overwrote", "{edits}");
    assert_eq!(edits["next"], Value::Null);

    // Who made the edit is told that the cloud has it, and nobody else under that name.
    for (token, held) in tokens.iter().zip([vec!["e1"], vec![]]) {
        let path = "/v1/catalog/delta?from=0&edits=1%09e1%0A1%09e2";
        let answer = http::ask(&address, "GET", path, token, Vec::new()).await.expect("an answer");
        let answer: Value = answer.json().expect("JSON");
        let told = answer["edits"].as_array().expect("what was asked for is told");
        let names: Vec<&Value> = told.iter().map(|edit| &edit["name"]["localEventId"]).collect();
        assert_eq!(names, held, "{answer}");
    }
    for till in &mut tills {
        till.stop().await.expect("stopped");
    }
    cloud.stop().await.expect("stopped");
    assert_eq!(cloud.check().await.expect("checked").problems_found, 0);
}
