//! The till as the page drives it, with a map in the place of the browser's database.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::collections::BTreeMap;

use counterfoil_protocol::time::Millis;
use counterfoil_web::{Answer, Ask, Desk, Step, Told};
use serde_json::json;

/// A browser: its rows, and what it refuses.
#[derive(Default)]
struct Browser {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The next commit happens, or not, and is reported as failed.
    fails: Option<bool>,
    asked: Vec<&'static str>,
}

impl Browser {
    fn run(&mut self, desk: &mut Desk, job: &serde_json::Value) -> Told {
        let random: Vec<String> = (1..=4).map(|n| format!("{n:x}")).collect();
        let moment = json!({ "nowMs": 1_750_000_000_000_u64, "atMs": 5, "random": random,
            "job": job });
        assert!(desk.begin(&moment.to_string(), &[]), "one job at a time");
        loop {
            match desk.poll() {
                Step::Done(told, _) => return told,
                Step::Ask(ask) => {
                    let answer = self.answer(ask);
                    desk.answer(answer);
                }
            }
        }
    }

    fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Load(keys) => {
                self.asked.push("load");
                Answer::Values(keys.iter().map(|key| self.rows.get(key).cloned()).collect())
            }
            Ask::Get(key) => Answer::Values(vec![self.rows.get(&key).cloned()]),
            Ask::Scan { from, until, limit } => {
                let found = self.rows.range(from..until).take(limit as usize);
                let pair =
                    |(key, value): (&Vec<u8>, &Vec<u8>)| [Some(key.clone()), Some(value.clone())];
                Answer::Values(found.flat_map(pair).collect())
            }
            Ask::Write(rows) => {
                self.asked.push("write");
                if self.fails != Some(false) {
                    for (key, value) in rows {
                        match value {
                            Some(value) => drop(self.rows.insert(key, value)),
                            None => drop(self.rows.remove(&key)),
                        }
                    }
                }
                match self.fails.take() {
                    None => Answer::Values(Vec::new()),
                    Some(_) => Answer::Failed("QuotaExceededError: the disk is full".to_owned()),
                }
            }
        }
    }

    fn open(&mut self, witness: Option<&str>) -> (Desk, Told) {
        let mut desk = Desk::new(7, Millis::ZERO);
        let told = self.run(&mut desk, &json!({ "open": { "witness": witness } }));
        (desk, told)
    }
}

fn identity() -> serde_json::Value {
    json!({ "shop": "shop", "branch": "north", "terminal": "till-1" })
}

fn sale(name: &str) -> serde_json::Value {
    json!({ "sell": { "posId": "web", "localEventId": name, "atMs": 1_750_000_000_000_u64,
        "currency": "GBP", "lines": [{ "productId": "tea", "name": "Tea",
        "quantityMilli": 1000, "unitPriceMinor": 149 }] } })
}

/// A browser with an open till, and the witness that it keeps.
fn installed() -> (Browser, Desk, String) {
    let mut browser = Browser::default();
    let mut desk = Desk::new(7, Millis::ZERO);
    let told = browser.run(&mut desk, &json!({ "install": { "identity": identity() } }));
    let Told::Installed { witness: Some(witness) } = told else { panic!("{told:?}") };
    let (desk, told) = browser.open(Some(&witness));
    let Told::Opened { witness, parted: None, .. } = told else { panic!("{told:?}") };
    (browser, desk, witness)
}

#[test]
fn a_receipt_exists_after_the_browser_has_said_complete() {
    let (mut browser, mut desk, _) = installed();
    let moment = json!({ "nowMs": 1, "atMs": 5, "random": [], "job": sale("a") });
    assert!(desk.begin(&moment.to_string(), &[]));
    let Step::Ask(load @ Ask::Load(_)) = desk.poll() else { panic!("it loads first") };
    let rows = browser.answer(load);
    desk.answer(rows);
    let Step::Ask(write @ Ask::Write(_)) = desk.poll() else { panic!("then it writes") };
    assert!(!desk.begin(&moment.to_string(), &[]), "nothing else begins meanwhile");
    let complete = browser.answer(write);
    desk.answer(complete);
    let Step::Done(told, _) = desk.poll() else { panic!("both are answered") };
    assert!(matches!(told, Told::Sold { receipt: Some(1), again: false }), "{told:?}");
    // Install, open and sell: each is one transaction, with nothing said in between.
    assert_eq!(browser.asked, ["load", "write"].repeat(3));
}

#[test]
fn after_a_failed_commit_nothing_is_sold_until_the_till_is_opened_anew() {
    for happened in [false, true] {
        let (mut browser, mut desk, witness) = installed();
        browser.fails = Some(happened);
        let told = browser.run(&mut desk, &sale("a"));
        let Told::Failed { then: "reopen", why } = &told else { panic!("{told:?}") };
        assert!(why.contains("disk is full"), "{why}");
        let told = browser.run(&mut desk, &sale("a"));
        assert!(matches!(told, Told::Failed { then: "reopen", .. }), "{told:?}");
        let (mut desk, told) = browser.open(Some(&witness));
        assert!(matches!(told, Told::Opened { parted: None, .. }), "{told:?}");
        // The page says its draft again: it is recorded once, whatever had happened.
        let told = browser.run(&mut desk, &sale("a"));
        let Told::Sold { receipt: Some(1), again } = told else { panic!("{told:?}") };
        assert_eq!(again, happened);
    }
}

#[test]
fn rows_without_their_witness_begin_a_new_epoch() {
    let (mut browser, mut desk, witness) = installed();
    browser.run(&mut desk, &sale("a"));
    let kept = browser.rows.clone();
    let (_, told) = browser.open(Some(&witness));
    let Told::Opened { parted: None, .. } = told else { panic!("{told:?}") };
    for found in [None, Some("nonsense"), Some("00000000000000aa-00000000000000bb")] {
        browser.rows.clone_from(&kept);
        let (_, told) = browser.open(found);
        let Told::Opened { parted: Some(_), epoch, .. } = told else { panic!("{told:?}") };
        assert_eq!(epoch.number, 2, "{found:?}");
    }
}

#[test]
fn a_flipped_bit_stops_the_till_and_is_named() {
    let (mut browser, mut desk, witness) = installed();
    browser.run(&mut desk, &sale("a"));
    for value in browser.rows.values_mut() {
        *value.last_mut().expect("a value has bytes") ^= 1;
    }
    let (_, told) = browser.open(Some(&witness));
    let Told::Failed { then: "export", why } = told else { panic!("{told:?}") };
    assert!(why.contains("checksum"), "{why}");
}

#[test]
fn another_tills_browser_is_not_taken_over() {
    let (mut browser, mut desk, _) = installed();
    let told = browser.run(&mut desk, &json!({ "install": { "identity": identity() } }));
    assert!(matches!(told, Told::Installed { witness: None }), "{told:?}");
    let other = json!({ "shop": "shop", "branch": "north", "terminal": "till-2" });
    let told = browser.run(&mut desk, &json!({ "install": { "identity": other } }));
    let Told::Failed { then: "install", why } = told else { panic!("{told:?}") };
    assert!(why.contains("till-1"), "{why}");
}

#[test]
fn what_the_page_says_wrongly_is_refused_and_changes_nothing() {
    let (mut browser, mut desk, _) = installed();
    let rows = browser.rows.clone();
    for job in [
        json!("dance"),
        json!({ "sell": { "posId": "web" } }),
        json!({ "open": { "witness": null, "more": 1 } }),
    ] {
        let told = browser.run(&mut desk, &job);
        assert!(matches!(told, Told::Failed { then: "reload", .. }), "{told:?}");
    }
    let mut free = sale("a");
    free["sell"]["lines"] = json!([]);
    let told = browser.run(&mut desk, &free);
    assert!(matches!(told, Told::Refused { .. }), "{told:?}");
    assert_eq!(browser.rows, rows);
}
