//! What support has of a till, with real processes: `doctor` beside a daemon and without one, over
//! a sound database and damaged ones; `bundle` without a secret; `watch`.
#![allow(missing_docs, reason = "a test's name is its documentation")]
#![allow(clippy::wildcard_enum_match_arm, reason = "what is not damaged here is left alone")]

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::machine::{Loaded, Query as _, Store as _};
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::terminal::row::{Entry, Stock};
use counterfoil_protocol::terminal::{Key, Record, Terminal};
use counterfoil_storage::{KeyValue, Redb};
use counterfoil_tests::proxy::{Mode, Proxy};
use counterfoil_tests::shop::Shop;
use counterfoil_tests::till::{Door, Till};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

async fn shop(directory: &Path) -> (Shop, Till, Proxy) {
    let shop = Shop::open(directory, "redb", &[("T-1", "north")]).await.expect("a shop");
    let product = json!({
        "productId": "green-tea", "name": "Green tea", "barcodes": [], "priceMinor": 149,
        "currency": "GBP", "taxPpm": 200_000, "unit": "pcs", "category": null, "active": true,
    });
    shop.edit(&[json!({ "put": { "product": product } })]).await.expect("a catalog");
    let link = Proxy::open(shop.address().parse().expect("an address")).await.expect("a link");
    let till = shop.install("T-1", Some(link.address())).await.expect("a till");
    (shop, till, link)
}

async fn sell(door: &Door, id: &str) {
    let line = json!({
        "productId": "green-tea", "name": "Green tea", "quantityMilli": 1000,
        "unitPriceMinor": 77_123, "discountMinor": 0, "taxPpm": 200_000,
    });
    let sale = json!({
        "posId": "front-desk", "localEventId": id, "currency": "GBP", "lines": [line],
        "reference": format!("slip-{id}"),
        "payments": [{ "tender": "cash", "amountMinor": 77_123 }],
    });
    let answer = door.raw("POST", "/sales", sale.to_string().into_bytes()).await;
    assert_eq!(answer.expect("an answer").status, 201);
}

/// Runs a command at the till, and returns its exit code and what it said.
async fn says(shop: &Shop, till: &Till, arguments: &[&str]) -> (i32, String) {
    let ran = Command::new(shop.terminal_program())
        .args(arguments)
        .arg("--dir")
        .arg(till.home())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ran = timeout(LIMIT, ran).await.expect("in time").expect("it runs");
    (ran.status.code().expect("it ends"), String::from_utf8(ran.stdout).expect("text"))
}

async fn doctor(shop: &Shop, till: &Till) -> (i32, Value) {
    let (code, said) = says(shop, till, &["doctor", "--json"]).await;
    (code, serde_json::from_str(&said).expect("findings"))
}

fn level<'a>(findings: &'a Value, check: &str) -> &'a str {
    let found = findings.as_array().expect("a list").iter().find(|found| found["check"] == check);
    found.and_then(|found| found["level"].as_str()).unwrap_or("absent")
}

/// How fast the disk is and how much room is left on it is the machine's own affair.
fn is_well(findings: &Value, check: &str) -> bool {
    match check {
        "free space" => level(findings, check) != "absent",
        "disk" => ["ok", "warn"].contains(&level(findings, check)),
        _ => level(findings, check) == "ok",
    }
}

const CHECKS: [&str; 14] = [
    "program",
    "disk",
    "free space",
    "witness",
    "credential",
    "daemon",
    "database",
    "journal",
    "names",
    "stock",
    "queue",
    "greeting",
    "clock",
    "cloud address",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_what_is_wrong_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    for id in ["a", "b", "c"] {
        sell(&door, id).await;
    }
    door.drain(LIMIT).await.expect("drained");
    let (code, findings) = doctor(&shop, &till).await;
    for check in CHECKS.iter().chain(&["connection"]) {
        assert!(is_well(&findings, check), "{check}: {findings:#}");
    }
    let crowded = level(&findings, "free space") == "fail";
    assert_eq!(code, i32::from(crowded), "{findings:#}");
    // Without a link: the till is as well as before, and the cloud is not heard.
    link.set(Mode::Reset);
    let (code, findings) = doctor(&shop, &till).await;
    assert_eq!((code, level(&findings, "greeting")), (1, "fail"), "{findings:#}");
    assert_eq!(level(&findings, "journal"), "ok", "{findings:#}");
    link.set(Mode::Pass);
    till.stop().await.expect("stopped");

    // Without a daemon: the same, by itself; and it does not open the till, but looks.
    let before = fs::read(till.home().join("witness")).expect("a witness");
    let (code, findings) = doctor(&shop, &till).await;
    assert_eq!(level(&findings, "daemon"), "warn", "{findings:#}");
    for check in CHECKS.iter().filter(|check| **check != "daemon") {
        assert!(is_well(&findings, check), "{check}: {findings:#}");
    }
    assert_eq!(code, i32::from(crowded));
    assert_eq!(fs::read(till.home().join("witness")).expect("a witness"), before);
    fs::remove_file(till.home().join("witness")).expect("removed");
    assert_eq!(level(&doctor(&shop, &till).await.1, "witness"), "warn");
    fs::write(till.home().join("witness"), before).expect("written");
    // A credential that is not this till's.
    let token = fs::read_to_string(till.home().join("cloud-token")).expect("a token");
    fs::write(till.home().join("cloud-token"), format!("cf_T-1_{}", "0".repeat(64))).expect("put");
    let (code, findings) = doctor(&shop, &till).await;
    assert_eq!((code, level(&findings, "greeting")), (1, "fail"), "{findings:#}");
    fs::write(till.home().join("cloud-token"), token).expect("written");
    let (code, text) = says(&shop, &till, &["doctor"]).await;
    assert_eq!(code, i32::from(crowded), "{text}");
    assert!(text.contains("does not run") && text.contains("next: start"), "{text}");
    shop.cloud.stop().await.expect("stopped");
}

type Damage = fn(&Key, &mut Record) -> bool;

/// Changes the first row that `damage` takes, behind the program's back.
async fn damage(home: &Path, damage: Damage) {
    let engine = Redb::open(&home.join("till.redb")).expect("the database opens");
    let mut store = KeyValue::<Terminal, Redb>::new(engine);
    let last = counterfoil_protocol::identity::Epoch { number: u32::MAX, nonce: u64::MAX };
    let first = Key::Entry(counterfoil_protocol::identity::Epoch::default(), 0);
    let mut rows = store.scan(&first, &Key::Entry(last, 0), 100).await.expect("rows");
    let label = counterfoil_protocol::label::Label::parse("green-tea").expect("a name");
    let stock = Key::Stock(counterfoil_protocol::identity::ProductId(label));
    let held = store.get(&stock).await.expect("a row").expect("stock");
    rows.push((stock, held));
    let hurt = rows
        .into_iter()
        .find_map(|(key, mut record)| damage(&key, &mut record).then_some((key, record)));
    let (key, record) = hurt.expect("something is damaged");
    let record = std::sync::Arc::new(record);
    let write = |_: &Loaded<Terminal>| vec![(key, Some(std::sync::Arc::clone(&record)))];
    store.transact(vec![key], write).await.expect("it is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_each_damage_of_the_database() {
    fn entry(record: &mut Record, second: bool, hurt: fn(&mut Entry)) -> bool {
        if !second {
            return false;
        }
        let Record::Entry(entry) = record else { return false };
        hurt(entry);
        true
    }
    const fn is_second(key: &Key) -> bool {
        matches!(key, Key::Entry(_, 2))
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, _link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    for id in ["a", "b", "c"] {
        sell(&door, id).await;
    }
    door.drain(LIMIT).await.expect("drained");
    till.stop().await.expect("stopped");
    let database = till.home().join("till.redb");
    let sound = fs::read(&database).expect("a database");
    // what is damaged, and which check finds it
    let damages: [(&str, Damage, &str); 4] = [
        (
            "the chain",
            |key, row| entry(row, is_second(key), |e| e.chain = Hash([7; 32])),
            "journal",
        ),
        (
            "a digest",
            |key, row| entry(row, is_second(key), |e| e.payload_hash = Hash([7; 32])),
            "journal",
        ),
        (
            "a name",
            |key, row| {
                entry(row, is_second(key), |e| {
                    e.local_id =
                        counterfoil_protocol::identity::LocalEventId::parse("z").expect("a name")
                })
            },
            "names",
        ),
        (
            "the stock",
            |_, row| match row {
                Record::Stock(Stock { quantity, .. }) => {
                    *quantity = Milli(quantity.0 + 1);
                    true
                }
                _ => false, // not the stock
            },
            "stock",
        ),
    ];
    for (what, hurt, check) in damages {
        damage(till.home(), hurt).await;
        let (code, findings) = doctor(&shop, &till).await;
        assert_eq!((code, level(&findings, check)), (1, "fail"), "{what}: {findings:#}");
        fs::write(&database, &sound).expect("restored");
    }
    let (_, findings) = doctor(&shop, &till).await;
    assert_eq!((level(&findings, "journal"), level(&findings, "stock")), ("ok", "ok"));
    fs::write(&database, b"this is no database").expect("written");
    let (code, findings) = doctor(&shop, &till).await;
    assert_eq!((code, level(&findings, "database")), (1, "fail"), "{findings:#}");
    shop.cloud.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_has_the_incident_and_no_secret() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    sell(&door, "sale-one").await;
    door.drain(LIMIT).await.expect("drained");
    link.set(Mode::Reset);
    sell(&door, "sale-two").await;
    let secrets = ["cloud-token", "api-token"]
        .map(|file| fs::read_to_string(till.home().join(file)).expect("a token").trim().to_owned());
    let sales = ["sale-one", "sale-two", "slip-"];
    let names = ["front-desk", "green-tea", "Green tea", "T-1", "north"];
    let amounts = ["77123", "unitPriceMinor"];
    let mut bundles = Vec::new();
    for daemon in [true, false] {
        if !daemon {
            till.stop().await.expect("stopped");
        }
        for contents in [false, true] {
            let file = directory.path().join("bundle.json");
            let out = file.display().to_string();
            let mut arguments = vec!["bundle", &out];
            arguments.extend(contents.then_some("--with-contents"));
            let (code, said) = says(&shop, &till, &arguments).await;
            assert_eq!(code, 0, "{said}");
            let text = fs::read_to_string(&file).expect("a bundle");
            for secret in &secrets {
                assert!(secret.len() > 16 && !text.contains(secret.as_str()), "a credential");
            }
            for word in names.iter().chain(&sales).chain(&amounts) {
                assert_eq!(text.contains(word), contents, "{word}: {text}");
            }
            let bundle: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!((&bundle["bundle"], &bundle["daemon"]), (&json!(2), &json!(daemon)));
            let inside = &bundle["till"];
            assert_eq!((&inside["head"], &inside["acked"]), (&json!(2), &json!(1)), "{inside:#}");
            assert_eq!(inside["entries"].as_array().map(Vec::len), Some(2), "{inside:#}");
            assert_eq!(inside["queue"][0]["seq"], 2, "{inside:#}");
            let noted = inside["diary"].to_string();
            assert!(noted.contains("started") && noted.contains("created"), "{noted}");
            bundles.push(bundle);
        }
    }
    let event = |bundle: &Value, index: usize| bundle["till"]["entries"][index]["event"].clone();
    assert_ne!(event(&bundles[0], 0), event(&bundles[0], 1), "names are told apart");
    assert_ne!(event(&bundles[0], 0), event(&bundles[2], 0), "no two bundles have masks in common");
    assert_eq!(event(&bundles[1], 0), "sale-one");
    let (code, said) = says(&shop, &till, &["bundle", "-", "--entries", "1"]).await;
    let bundle: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, bundle["till"]["entries"][0]["seq"].as_u64()), (0, Some(2)), "the newest");
    shop.cloud.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_sees_each_change_until_the_daemon_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, link) = shop(directory.path()).await;
    let (code, _) = says(&shop, &till, &["watch"]).await;
    assert_eq!(code, 4, "without a daemon there is nothing to watch");
    let door = till.start().await.expect("the till is open");
    door.drain(LIMIT).await.expect("in step");
    let mut watching = Command::new(shop.terminal_program())
        .args(["watch", "--dir"])
        .arg(till.home())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(watching.stdout.take().expect("a pipe")).lines();
    let mut seen = Vec::new();
    link.set(Mode::Reset);
    for (sold, wanted) in [(None, "0 waiting"), (Some("a"), "offline"), (None, "1 waiting")] {
        if let Some(id) = sold {
            sell(&door, id).await;
        }
        let reading = async {
            while !seen.iter().any(|line: &String| line.contains(wanted)) {
                seen.push(lines.next_line().await.expect("it reads").expect("a line"));
            }
        };
        timeout(LIMIT, reading).await.expect("it is seen in time");
    }
    assert!(seen.iter().all(|line| !line.contains('\u{1b}')), "no codes of a terminal: {seen:?}");
    till.stop().await.expect("stopped");
    let ended = timeout(LIMIT, watching.wait()).await.expect("in time").expect("it ends");
    assert_eq!(ended.code(), Some(4), "it says that the daemon has ended");
    shop.cloud.stop().await.expect("stopped");
}
