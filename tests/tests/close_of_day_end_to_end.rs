//! Close of day end to end (B.17): real programs over real sockets. A cashier opens a register,
//! sells, counts and closes; the cloud confirms to the cent, or says exactly what differs.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil_protocol::money::Minor;
use counterfoil_terminal::drawer::{CloudStatus, CloudWord, Sheet};
use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::http;
use counterfoil_tests::process::output;
use counterfoil_tests::sales::sale;
use counterfoil_tests::till::{Door, Place, Refused, Till};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
const OPERATOR: &str = "an operator's token";

/// A cash sale of 4.20, 20 % tax included.
async fn sell(door: &Door, id: &str) {
    assert_eq!(door.sell(&[sale(id)]).await.expect("sold").recorded, 1);
}

async fn act(door: &Door, name: &str, id: &str, more: Value) -> Value {
    let mut body = json!({ "posId": "1", "localEventId": id });
    let fields = body.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    door.session(name, &body).await.expect("recorded")
}

async fn open(door: &Door, id: &str) -> Value {
    act(door, "open", id, json!({ "currency": "GBP", "floatMinor": 10_000 })).await
}

async fn close(door: &Door, id: &str, cash: i64) -> Value {
    let counted = json!([{ "tender": "cash", "amountMinor": cash }]);
    act(door, "close", id, json!({ "counted": counted })).await
}

/// The last closed session, as soon as the cloud's word on it is `status`.
async fn told(door: &Door, status: CloudStatus) -> (Sheet, CloudWord) {
    let until = Instant::now() + LIMIT;
    loop {
        door.sync().await.expect("it speaks");
        let last = door.drawer("1").await.expect("a drawer").last.expect("it was closed");
        let word = last.cloud.clone().expect("what was closed waits for a word");
        if word.status == status {
            return (last, word);
        }
        assert!(Instant::now() < until, "expected {status:?}: {word:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

struct Shop {
    cloud: Cloud,
    address: String,
    till: Till,
}

async fn shop(directory: &Path, engine: &str) -> Shop {
    let operator = directory.join("operator");
    fs::write(&operator, OPERATOR).expect("a file");
    let programs = binaries::build(Profile::Test).expect("the programs");
    let store = format!("{engine}:{}", directory.join("cloud").display());
    let mut cloud =
        Cloud::new(&programs.cloud, store, directory.join("cloud.log")).with_operator(operator);
    let token = cloud.enrol("shop", "north", "T-1").await.expect("enrolled");
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    let till = Till::new(&programs.terminal, directory.join("T-1"), directory.join("T-1.log"));
    let place = Place { shop: "shop", branch: "north", terminal: "T-1" };
    till.init(place, &format!("http://{address}"), &token).await.expect("installed");
    Shop { cloud, address, till }
}

async fn command(directory: &Path, arguments: &[&str]) -> String {
    let programs = binaries::build(Profile::Test).expect("the programs");
    let home = directory.join("T-1").display().to_string();
    let mut all: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    all.extend(["--dir".to_owned(), home, "--pos".to_owned(), "1".to_owned()]);
    let said = output(&programs.terminal, &all).await.expect("done");
    String::from_utf8(said).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_confirmed_to_the_cent_though_till_and_cloud_are_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let Shop { mut cloud, address, mut till } = shop(directory, "sled").await;
    let door = till.start().await.expect("the till is open");
    let opened = open(&door, "day-1").await;
    sell(&door, "a").await;
    cloud.kill().await.expect("killed");
    // Without the cloud, and with a till that dies: the day goes on.
    sell(&door, "b").await;
    till.kill().await.expect("killed");
    let door = till.start().await.expect("the till is open");
    act(&door, "cash", "out", json!({ "deltaMinor": -5_000, "reason": "bank" })).await;
    let again = open(&door, "day-1").await;
    assert_eq!((&again["again"], &again["seq"]), (&json!(true), &opened["seq"]), "harmless");

    let drawer = door.drawer("1").await.expect("a drawer").open.expect("it is open");
    assert_eq!((drawer.sales, drawer.turnover_minor, drawer.cash_out_minor), (2, 840, 5_000));
    assert_eq!(drawer.tenders[0].expected_minor, 10_000 + 840 - 5_000);
    // A penny is missing; that is the cashier's difference, not the cloud's.
    let closed = close(&door, "end-1", 5_839).await;
    let last = door.drawer("1").await.expect("a drawer").last.expect("it was closed");
    assert_eq!(last.sealed_at.map(|mark| mark.seq), closed["seq"].as_u64(), "sealed at its place");
    assert_eq!(last.tenders[0].difference_minor, Some(-1));
    assert_eq!(last.cloud.map(|word| word.status), Some(CloudStatus::Waiting));

    assert_eq!(cloud.start(&address).await.expect("it serves again"), address);
    let (sheet, word) = told(&door, CloudStatus::Confirmed).await;
    assert_eq!((sheet.sales, word.difference, word.late_events), (2, None, 0));
    let path = "/v1/admin/sessions?shop=shop&branch=north";
    let listed = http::ask(&address, "GET", path, OPERATOR, Vec::new()).await.expect("an answer");
    let listed: Value = listed.json().expect("JSON");
    assert_eq!(listed["sessions"][0]["status"], "confirmed", "{listed}");
    assert_eq!(listed["sessions"][0]["posted"]["cashOutMinor"], 5_000);

    // The word is kept: it is there without the cloud, and after a restart.
    cloud.stop().await.expect("stopped");
    till.kill().await.expect("killed");
    let text = command(directory, &["session", "show"]).await;
    for part in ["closed", "confirmed", "58.40 GBP", "58.39 GBP", "-0.01 GBP"] {
        assert!(text.contains(part), "{part} is in\n{text}");
    }
    assert_eq!(cloud.check().await.expect("checked").problems_found, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_that_was_restored_hears_exactly_what_it_forgot() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let Shop { mut cloud, mut till, .. } = shop(directory, "redb").await;
    let door = till.start().await.expect("the till is open");
    open(&door, "day-1").await;
    sell(&door, "a").await;
    till.stop().await.expect("stopped");
    let (database, backup) = (directory.join("T-1/till.redb"), directory.join("backup"));
    fs::copy(&database, &backup).expect("a copy");

    let door = till.start().await.expect("the till is open");
    sell(&door, "b").await;
    door.drain(LIMIT).await.expect("drained");
    till.stop().await.expect("stopped");
    fs::copy(&backup, &database).expect("restored");

    let door = till.start().await.expect("the till is open");
    sell(&door, "c").await;
    close(&door, "end-1", 10_840).await;
    let (sheet, word) = told(&door, CloudStatus::Difference).await;
    let difference = word.difference.expect("the sale that it forgot");
    assert_eq!(sheet.sales, 2, "a and c");
    assert_eq!((difference.sales, difference.refunds, difference.lines), (1, 0, 1));
    assert_eq!(difference.tenders[0].taken, Minor(420));
    assert_eq!(difference.taxes[0].amount, Minor(420));
    let text = command(directory, &["session", "show"]).await;
    assert!(text.contains("the cloud has +1 sales"), "{text}");
    till.stop().await.expect("stopped");
    cloud.stop().await.expect("stopped");
    assert_eq!(cloud.check().await.expect("checked").problems_found, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_happen_to_a_drawer_is_refused_and_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let Shop { mut cloud, mut till, .. } = shop(directory, "redb").await;
    // Without a daemon the command line is the cashier.
    let opened = command(directory, &["session", "open", "--float", "20.00", "--id", "x"]).await;
    assert!(opened.contains("open") && opened.contains("20.00 GBP"), "{opened}");
    let moved = command(directory, &["session", "cash", "--amount", "-5.00", "--id", "y"]).await;
    assert!(moved.contains("15.00 GBP") && moved.contains("not counted"), "{moved}");
    let door = till.start().await.expect("the till is open");
    let named = |id: &str, more: Value| {
        let mut body = json!({ "posId": "1", "localEventId": id });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        body
    };
    for (act, body, word) in [
        ("open", named("z", json!({"currency": "GBP", "floatMinor": 0})), "409"),
        ("open", named("z", json!({"currency": "GBP", "floatMinor": 0})), "close it first"),
        ("open", named("y", json!({"currency": "GBP", "floatMinor": 0})), "another event stands"),
        ("cash", named("z", json!({"deltaMinor": 0})), "out of bounds"),
        ("close", named("z", json!({"totals": {}})), "unknown field"),
        ("close", named("z", json!({"counted": [{"tender": "cash", "amountMinor": -1}]})), "422"),
    ] {
        let refused = door.session(act, &body).await.expect_err("refused");
        let said = refused.to_string();
        assert!(refused.is::<Refused>() && said.contains(word), "{act} {body}: {said}");
    }
    close(&door, "end", 1_500).await;
    let refused = door.session("close", &named("again", json!({}))).await.expect_err("refused");
    assert!(refused.to_string().contains("open one first"), "{refused}");
    till.stop().await.expect("stopped");
    cloud.stop().await.expect("stopped");
}
