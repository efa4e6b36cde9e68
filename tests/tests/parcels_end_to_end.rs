//! Tills without a link, with real programs: what they sell is carried to the cloud as a file, and
//! the answers back (B.19).
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use counterfoil_tests::http::{self, Answer};
use counterfoil_tests::process::output;
use counterfoil_tests::shop::{OPERATOR, Shop};
use counterfoil_tests::till::{Door, Till};
use serde_json::{Value, json};

const PARCEL: &str = "application/vnd.counterfoil.v1.parcel";
const PRICE: i64 = 149;
const LIMIT: Duration = Duration::from_secs(60);

/// An address at which nobody listens.
fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|there| there.local_addr()).expect("an address")
}

async fn far_away(directory: &Path, engine: &str) -> (Shop, Till) {
    let shop = Shop::open(directory, engine, &[("T-1", "north"), ("T-2", "north")]).await;
    let shop = shop.expect("a shop");
    let till = shop.install("T-1", Some(nowhere())).await.expect("a till");
    (shop, till)
}

async fn sell(door: &Door, numbers: std::ops::Range<u32>) {
    for number in numbers {
        door.ring_up(&format!("sale-{number}"), "tea").await.expect("a till needs no cloud");
    }
}

/// Runs `terminal-node parcel WHAT FILE`, beside a daemon or without one.
async fn parcel(shop: &Shop, till: &Till, what: &str, file: &Path) -> anyhow::Result<Value> {
    let (home, file) = (till.home().display().to_string(), file.display().to_string());
    let arguments = ["--json", "parcel", what, "--dir", &home, &file].map(str::to_owned);
    let said = output(shop.terminal_program(), &arguments).await?;
    Ok(serde_json::from_slice(&said)?)
}

/// Gives a file to the cloud, as the operator's `curl --data-binary @FILE` does.
async fn give(shop: &Shop, bytes: Vec<u8>, accept: &str) -> Answer {
    let bearer = format!("Bearer {OPERATOR}");
    let headers =
        [("authorization", bearer.as_str()), ("content-type", PARCEL), ("accept", accept)];
    let asked = http::ask_with(shop.address(), "POST", "/v1/admin/parcels", &headers, bytes);
    asked.await.expect("an answer")
}

async fn refused(shop: &Shop, bytes: Vec<u8>) -> (u16, String) {
    let answer = give(shop, bytes, PARCEL).await;
    let said: Value = answer.json().expect("a problem");
    assert!(said["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{said}");
    (answer.status, said["code"].as_str().expect("a code").to_owned())
}

/// Carries a file there and its answers back.
async fn trip(shop: &Shop, till: &Till, files: &[PathBuf; 2]) -> Value {
    let [there, back] = files;
    parcel(shop, till, "write", there).await.expect("written");
    let answers = give(shop, fs::read(there).expect("a file"), PARCEL).await;
    assert_eq!(answers.status, 200, "{}", String::from_utf8_lossy(&answers.body));
    assert_eq!(answers.headers["content-type"], PARCEL);
    fs::write(back, &answers.body).expect("a file");
    parcel(shop, till, "take", back).await.expect("taken")
}

async fn holds(shop: &mut Shop, sales: u64) {
    shop.cloud.stop().await.expect("stopped");
    let (held, parked) = shop.cloud.figures().await.expect("figures");
    let money = i64::try_from(sales).expect("few sales") * PRICE;
    assert_eq!((held.invoices, held.money_minor, parked), (sales, money, 0));
    let check = shop.cloud.check().await.expect("checked");
    assert_eq!((check.posted, check.conflicts, check.problems_found), (sales, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_without_a_link_is_settled_by_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = ["there", "back"].map(|name| directory.path().join(name));
    let (mut shop, mut till) = far_away(directory.path(), "sled").await;
    let door = till.start().await.expect("the till is open");
    sell(&door, 0..25).await;

    let lost = parcel(&shop, &till, "write", &files[0]).await.expect("written");
    assert_eq!((&lost["entries"], &lost["left"]), (&json!(25), &json!(0)), "{lost}");
    let bytes = fs::read(&files[0]).expect("a file");
    let told: Value =
        give(&shop, bytes.clone(), "application/json").await.json().expect("a summary");
    assert_eq!((&told["offered"], &told["created"]), (&json!(25), &json!(25)), "{told}");
    let told: Value = give(&shop, bytes, "application/json").await.json().expect("a summary");
    assert_eq!((&told["created"], &told["existing"]), (&json!(0), &json!(25)), "{told}");
    assert_eq!(door.status().await.expect("a state").pending, 25, "no answer has come back");

    let taken = trip(&shop, &till, &files).await;
    let expected = json!({
        "synced": 25, "refused": 0, "pending": 0, "needsAttention": 0, "again": false,
        "late": false,
    });
    assert_eq!(taken, expected);
    assert_eq!(door.status().await.expect("a state").pending, 0);

    // The same without a daemon, and with the answers of before once more.
    let old = fs::read(&files[1]).expect("a file");
    sell(&door, 25..30).await;
    till.kill().await.expect("killed");
    let taken = trip(&shop, &till, &files).await;
    assert_eq!((&taken["synced"], &taken["pending"]), (&json!(5), &json!(0)), "{taken}");
    fs::write(&files[1], old).expect("a file");
    let taken = parcel(&shop, &till, "take", &files[1]).await.expect("told");
    assert_eq!((&taken["late"], &taken["synced"]), (&json!(true), &json!(0)), "{taken}");

    // With a link at last, a till finds that all is there.
    let door = {
        till = shop.install("T-1", None).await.expect("the cloud's address is known now");
        till.start().await.expect("the till is open")
    };
    sell(&door, 30..31).await;
    door.drain(LIMIT).await.expect("in step");
    till.stop().await.expect("stopped");
    holds(&mut shop, 31).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_parcel_of_an_enrolled_till_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = ["there", "back"].map(|name| directory.path().join(name));
    let (mut shop, mut till) = far_away(directory.path(), "redb").await;
    let door = till.start().await.expect("the till is open");
    sell(&door, 0..3).await;
    parcel(&shop, &till, "write", &files[0]).await.expect("written");
    let whole = fs::read(&files[0]).expect("a file");

    let invalid = (422, "POS_SYNC_EVENT_INVALID".to_owned());
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    assert_eq!(refused(&shop, damaged.clone()).await, invalid);
    assert_eq!(refused(&shop, whole[..whole.len() - 1].to_vec()).await, invalid);
    assert_eq!(refused(&shop, Vec::new()).await, invalid);
    assert_eq!(refused(&shop, b"a letter".to_vec()).await, invalid);
    let mut later = whole.clone();
    later[8] = 2;
    assert_eq!(refused(&shop, later).await, (415, "POS_SYNC_VERSION_UNSUPPORTED".to_owned()));
    let mut stranger = whole.clone();
    stranger[21] = b'9'; // T-9
    assert_eq!(refused(&shop, stranger).await, (404, "POS_SYNC_NOT_FOUND".to_owned()));
    let mut other = whole.clone();
    other[21] = b'2'; // T-2, whose secret is another
    assert_eq!(refused(&shop, other).await, invalid);
    let long = vec![0; 16 * 1024 * 1024 + 1];
    if let Ok(answer) = large(&shop, long).await {
        assert_eq!(answer.status, 413);
    }

    // At the till: a damaged file, one that goes the other way, and one of nothing at all.
    for wrong in [&damaged[..], &whole, b""] {
        fs::write(&files[1], wrong).expect("a file");
        let told = parcel(&shop, &till, "take", &files[1]).await.expect_err("no answers");
        assert!(format!("{told:#}").contains("parcel"), "{told:#}");
    }
    let missing = parcel(&shop, &till, "take", &directory.path().join("none")).await;
    assert!(missing.is_err());
    assert_eq!(door.status().await.expect("a state").pending, 3);

    // A terminal that is turned away is not heard through a file either.
    let revoked = shop.operator("POST", "/v1/admin/terminals/T-1/revoke", None).await;
    assert_eq!(revoked.expect("revoked").status, 200);
    assert_eq!(refused(&shop, whole).await, invalid);
    till.stop().await.expect("stopped");
    holds(&mut shop, 0).await;
}

/// What is too large may meet a closed connection before it has been sent.
async fn large(shop: &Shop, bytes: Vec<u8>) -> anyhow::Result<Answer> {
    http::ask_as(shop.address(), "POST", "/v1/admin/parcels", OPERATOR, PARCEL, bytes).await
}
