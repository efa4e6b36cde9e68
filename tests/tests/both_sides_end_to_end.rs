//! `explain` on both sides, with real processes: after a lost answer and a killed daemon, for what
//! an operator decided, for refunds and corrections, till and cloud tell one true story; and S2's
//! route and a till write the number of an order by one rule.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::path::Path;
use std::time::Duration;

use counterfoil_tests::http::{ask, ask_with};
use counterfoil_tests::process::output;
use counterfoil_tests::proxy::{Mode, Proxy};
use counterfoil_tests::shop::Shop;
use counterfoil_tests::story::{furnish, story, story_with};
use counterfoil_tests::till::{Door, Till};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

async fn shop(directory: &Path) -> (Shop, Till, Proxy) {
    let tills = [("T-1", "north"), ("T-2", "north")];
    let park = ["--unknown-products", "park"];
    let shop = Shop::open_with(directory, "redb", &tills, &park).await.expect("a shop");
    let (till, link) = furnish(&shop).await.expect("a till that sells tea");
    (shop, till, link)
}

/// The cloud's own story, as an operator hears it.
async fn cloud_story(shop: &Shop, id: &str) -> Value {
    let path = format!("/v1/admin/explain?terminalId=T-1&posId=front&localEventId={id}");
    let answer = shop.operator("GET", &path, None).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json().expect("JSON")
}

fn happened(story: &Value) -> Vec<&str> {
    let steps = story["steps"].as_array().expect("steps");
    steps.iter().filter_map(|step| step["what"].as_str()).collect()
}

/// Both sides say that it is posted, under one name and one number.
async fn is_posted_on_both_sides(shop: &Shop, door: &Door, id: &str) -> Value {
    let told = story(door, id).await.expect("a story");
    let cloud = &told["cloud"];
    assert_eq!(
        (&told["state"], &cloud["agreement"]),
        (&json!("synced"), &json!("same")),
        "{told:#}"
    );
    assert_eq!((&cloud["heard"], &cloud["remarks"]), (&json!("told"), &json!([])), "{told:#}");
    let operator = cloud_story(shop, id).await;
    assert_eq!(operator["state"], "posted", "{operator:#}");
    for field in ["serverId", "orderId", "payloadHash", "receipt", "reference", "atMs", "kind"] {
        assert_eq!(told[field], cloud["story"][field], "{field}: {told:#}");
        assert_eq!(told[field], operator[field], "{field}: {told:#}");
    }
    let place = |of: &Value| (of["epoch"].clone(), of["seq"].clone());
    assert_eq!(place(&told["place"]), place(&operator["journal"]), "{told:#}");
    assert_eq!(operator["journal"]["holds"], true);
    let receipt = door.look(&format!("/receipts/front/{id}")).await.expect("a receipt");
    let order = receipt["orderId"].as_str().expect("a number");
    assert!(order.starts_with("ORD-") && order.len() == 21, "{order}");
    assert_eq!((&receipt["orderId"], &receipt["serverId"]), (&told["orderId"], &told["serverId"]));
    told
}

async fn command(shop: &Shop, till: &Till, arguments: &[&str]) -> String {
    let home = till.home().display().to_string();
    let arguments: Vec<String> =
        arguments.iter().chain(&["--dir", home.as_str()]).map(ToString::to_string).collect();
    let said = output(shop.terminal_program(), &arguments).await.expect("it is told");
    String::from_utf8(said).expect("text")
}

/// An answer is lost, the daemon is killed, the cloud is out of reach: each says what it knows.
async fn loses_an_answer(shop: &Shop, mut till: Till, door: Door, link: &Proxy) -> (Till, Door) {
    link.set(Mode::CutAnswer(0));
    door.ring_up("b", "tea").await.expect("a sale");
    let unheard = |told: &Value| told["steps"].to_string().contains("unheard");
    let told = story_with(&door, "b", unheard).await.expect("it comes to that");
    assert_eq!((&told["state"], &told["orderId"]), (&json!("pending"), &Value::Null), "{told:#}");
    let cloud = &told["cloud"];
    assert_eq!(
        (&cloud["heard"], &cloud["agreement"]),
        (&json!("notNow"), &Value::Null),
        "{told:#}"
    );
    assert!(cloud["lastHeardMs"].as_u64().is_some(), "it was heard before: {told:#}");
    assert!(cloud["explanation"].to_string().contains("cannot be reached"), "{told:#}");
    // The till does not guess; and the cloud has it.
    assert_eq!(cloud_story(shop, "b").await["state"], "posted");
    till.kill().await.expect("killed");
    // A way on which nothing is answered and nothing is closed does not hold the story up.
    link.set(Mode::BlackHole);
    let text = command(shop, &till, &["explain", "front/b"]).await;
    for words in ["its side is not known now", "last heard  20"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    link.set(Mode::Pass);
    let text = command(shop, &till, &["explain", "front/b"]).await;
    assert!(text.contains("the cloud has posted it, and the till has not heard of that"), "{text}");
    let door = till.start().await.expect("open again");
    door.drain(LIMIT).await.expect("drained");
    (till, door)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_tell_one_story_after_a_lost_answer_and_a_killed_daemon() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    link.set(Mode::Reset);
    door.ring_up("a", "tea").await.expect("a sale");
    let told = story(&door, "a").await.expect("a story");
    assert_eq!(
        (&told["cloud"]["heard"], &told["cloud"]["story"]),
        (&json!("notNow"), &Value::Null)
    );
    link.set(Mode::Pass);
    door.drain(LIMIT).await.expect("drained");
    is_posted_on_both_sides(&shop, &door, "a").await;
    let (mut till, door) = loses_an_answer(&shop, till, door, &link).await;
    let told = is_posted_on_both_sides(&shop, &door, "b").await;
    assert_eq!(happened(&told["cloud"]["story"]), ["received"], "it came once: {told:#}");
    shop.kill_cloud().await.expect("it is back");
    is_posted_on_both_sides(&shop, &door, "b").await;

    // Another till is told nothing of it.
    let other = shop.as_till("T-2", "/v1/explain/front/b").await.expect("an answer");
    let problem: Value = other.json().expect("a problem");
    assert_eq!((other.status, &problem["code"]), (404, &json!("POS_SYNC_NOT_FOUND")));

    till.stop().await.expect("stopped");
    let text = command(&shop, &till, &["explain", "front/b"]).await;
    for words in ["order       ORD-", "both sides  tell the same", "not known in the cloud:"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    shop.cloud.stop().await.expect("stopped");
    let named = ["--terminal", "T-1", "--pos", "front", "--id", "b"];
    let text = shop.cloud.command("explain", &named).await.expect("it is told");
    let text = String::from_utf8(text).expect("text");
    for words in ["event: T-1/front/b", "state: posted", "order: ORD-", "not known: how often"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let whole = shop.cloud.command("explain", &[&named[..], &["--json"]].concat()).await;
    let whole: Value = serde_json::from_slice(&whole.expect("it is told")).expect("JSON");
    assert_eq!(whole["serverId"], told["serverId"]);
    let nobody = ["--terminal", "T-1", "--pos", "front", "--id", "nobody"];
    let refused = shop.cloud.command("explain", &nobody).await.expect_err("nobody").to_string();
    assert!(refused.contains("nothing has come under the name T-1/front/nobody"), "{refused}");
}

async fn decides(shop: &Shop, id: &str, decision: &str) {
    let body = json!({
        "shopId": "shop", "terminalId": "T-1", "posId": "front", "localEventId": id,
        "decision": decision, "reason": "seen on the slip",
    });
    let answer = shop.operator("POST", "/v1/admin/parked/decide", Some(&body)).await;
    assert_eq!(answer.expect("an answer").status, 200);
}

async fn posts(door: &Door, path: &str, body: &Value) {
    let answer = door.raw("POST", path, body.to_string().into_bytes()).await.expect("an answer");
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
}

/// The till has heard that the cloud keeps it without effect.
fn has_failed(told: &Value) -> bool {
    told["next"]["code"] == "POS_SYNC_PRODUCT_UNKNOWN"
}

/// What waits in the cloud is accepted there: the cloud knows first, and then the till.
async fn is_accepted(shop: &Shop, door: &Door) {
    door.ring_up("waits", "figs").await.expect("a sale");
    let told = story_with(door, "waits", has_failed).await.expect("it comes to that");
    assert_eq!(told["cloud"]["agreement"], "same", "{told:#}");
    let cloud = &told["cloud"]["story"];
    assert_eq!((&cloud["state"], &cloud["log"]), (&json!("waits"), &Value::Null), "{told:#}");
    assert_eq!(cloud["code"], "POS_SYNC_PRODUCT_UNKNOWN", "{told:#}");
    // Set aside, so that the till does not hear by itself of what is decided.
    let name = json!({ "posId": "front", "localEventId": "waits" });
    let aside = door.raw("POST", "/queue/park", name.to_string().into_bytes()).await;
    assert!(aside.expect("an answer").status < 300);
    let set = |told: &Value| told["state"] == "needsAttention";
    story_with(door, "waits", set).await.expect("it comes to that");
    decides(shop, "waits", "accept").await;
    let told = story(door, "waits").await.expect("a story");
    assert_eq!(told["cloud"]["agreement"], "tillBehind", "{told:#}");
    assert_eq!(told["cloud"]["story"]["decision"]["reason"], "seen on the slip", "{told:#}");
    let operator = cloud_story(shop, "waits").await;
    assert_eq!(operator["log"][0]["action"], "parked.accept", "{operator:#}");
    assert_eq!(happened(&operator), ["received", "decided"], "{operator:#}");
    let retry = door.raw("POST", "/retry", name.to_string().into_bytes()).await;
    assert!(retry.expect("an answer").status < 300);
    story_with(door, "waits", |told| told["state"] == "synced").await.expect("it comes to that");
    is_posted_on_both_sides(shop, door, "waits").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_tell_of_decisions_refunds_and_corrections() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, _link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    is_accepted(&shop, &door).await;

    door.ring_up("sold", "tea").await.expect("a sale");
    let line = json!({
        "productId": "tea", "name": "Tea", "quantityMilli": 1000, "unitPriceMinor": 149,
        "discountMinor": 0, "taxPpm": 200_000,
    });
    let original = json!({ "terminalId": "T-1", "posId": "front", "localEventId": "sold" });
    let refund = json!({
        "posId": "front", "localEventId": "back", "currency": "GBP", "lines": [line],
        "payments": [{ "tender": "cash", "amountMinor": 149 }], "original": original,
    });
    posts(&door, "/refunds", &refund).await;
    door.drain(LIMIT).await.expect("drained");
    let sold = is_posted_on_both_sides(&shop, &door, "sold").await;
    let refunds = &sold["cloud"]["story"]["refunds"];
    assert_eq!(refunds[0]["event"]["localEventId"], "back", "{sold:#}");
    assert_eq!(cloud_story(&shop, "sold").await["refunds"], *refunds);
    let back = is_posted_on_both_sides(&shop, &door, "back").await;
    let taken = &back["cloud"]["story"]["original"];
    assert_eq!((&taken["event"], &taken["state"]), (&original, &json!("posted")), "{back:#}");
    let moved = json!([{ "productId": "tea", "deltaMilli": 1000 }]);
    assert_eq!(back["cloud"]["story"]["movements"], moved, "{back:#}");

    door.ring_up("typo", "tae").await.expect("a sale");
    story_with(&door, "typo", has_failed).await.expect("it comes to that");
    let correction = json!({
        "posId": "front", "localEventId": "right", "currency": "GBP", "lines": [line],
        "payments": [{ "tender": "cash", "amountMinor": 149 }],
    });
    let name = json!({ "posId": "front", "localEventId": "typo" });
    door.raw("POST", "/queue/park", name.to_string().into_bytes()).await.expect("an answer");
    story_with(&door, "typo", |told| told["state"] == "needsAttention")
        .await
        .expect("it comes to that");
    posts(&door, "/sales/front/typo/correct", &correction).await;
    story_with(&door, "right", |told| told["state"] == "synced").await.expect("it comes to that");
    let right = is_posted_on_both_sides(&shop, &door, "right").await;
    let corrected = &right["cloud"]["story"]["corrects"][0];
    assert_eq!((&right["corrects"], &corrected["state"]), (&json!(["typo"]), &json!("withdrawn")));
    let typo = story(&door, "typo").await.expect("a story");
    assert_eq!((&typo["state"], &typo["replacedBy"]), (&json!("replaced"), &json!("right")));
    assert_eq!(typo["cloud"]["agreement"], "same", "{typo:#}");
    let cloud = &typo["cloud"]["story"];
    assert_eq!((&cloud["state"], &cloud["orderId"]), (&json!("withdrawn"), &Value::Null));
    assert_eq!(cloud["withdrawnBy"]["event"]["localEventId"], "right", "{typo:#}");
    assert_eq!(cloud["movements"], json!([]), "it moved nothing: {typo:#}");
    assert_eq!(happened(cloud), ["received", "withdrawn"], "{typo:#}");
    till.stop().await.expect("stopped");
    shop.cloud.stop().await.expect("stopped");
    assert_eq!(shop.cloud.check().await.expect("books").problems_found, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rule_numbers_the_sales_of_tills_and_of_the_contract() {
    let directory = tempfile::tempdir().expect("a directory");
    let (shop, mut till, _link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    door.ring_up("a", "tea").await.expect("a sale");
    door.drain(LIMIT).await.expect("drained");
    let receipt = door.look("/receipts/front/a").await.expect("a receipt");
    let user = json!({
        "userId": "anna", "shopId": "shop", "branchId": "north", "currency": "GBP",
        "scopes": ["sales:create"],
    });
    let user = shop.operator("POST", "/v1/admin/users", Some(&user)).await.expect("an answer");
    let user: Value = user.json().expect("JSON");
    let bearer = format!("Bearer {}", user["token"].as_str().expect("a token"));
    let item = json!({ "productId": "tea", "quantity": 1, "price": 1.49 });
    let sale = json!({ "sales": [{
        "clientTempId": "temp-1", "items": [item], "totalAmount": 1.49,
        "createdAt": "2024-01-15T10:30:00Z",
    }] });
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("x-shop-id", "shop"),
    ];
    let body = sale.to_string().into_bytes();
    let synced = ask_with(shop.address(), "POST", "/api/pos/sync", &headers, body).await;
    let synced: Value = synced.expect("an answer").json().expect("JSON");
    let synced = &synced["synced"][0];
    let told = shop
        .operator("GET", "/v1/admin/explain?shopId=shop&clientTempId=temp-1", None)
        .await
        .expect("an answer");
    let told: Value = told.json().expect("JSON");
    assert_eq!((&told["orderId"], &told["uuid"]), (&synced["orderId"], &synced["serverId"]));
    // The number follows from the name: what the till shows is what the contract would.
    for (number, name) in
        [(&told["orderId"], &told["serverId"]), (&receipt["orderId"], &receipt["serverId"])]
    {
        let name = name.as_str().expect("64 digits");
        let bits = u128::from_str_radix(&name[32..52], 16).expect("a number");
        let digits = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let digit = |at: u32| char::from(digits[(bits >> (75 - 5 * at) & 31) as usize]);
        let text: String = (0..16).map(digit).collect();
        assert_eq!(*number, json!(format!("ORD-{}-{}", &text[..6], &text[6..])));
    }
    let cloud = cloud_story(&shop, "a").await;
    assert_eq!(cloud["orderId"], receipt["orderId"]);
    // Without a till's credential, and with another's, nothing is told.
    let nobody = ask(shop.address(), "GET", "/v1/explain/front/a", "cf_T-1_00", Vec::new()).await;
    assert_eq!(nobody.expect("an answer").status, 401);
}
