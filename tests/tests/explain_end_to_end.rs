//! `explain` tells the true way of a sale: after a lost answer, a killed daemon, and a copied till,
//! with real processes; and it says what it cannot know. The bundle of that till, played in the
//! simulator, comes to the same story.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use counterfoil_tests::process::output;
use counterfoil_tests::proxy::{Mode, Proxy};
use counterfoil_tests::shop::Shop;
use counterfoil_tests::story::{furnish, story, story_with};
use counterfoil_tests::till::{Door, Till};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

async fn shop(directory: &Path) -> (Shop, Till, Proxy) {
    let shop = Shop::open(directory, "redb", &[("T-1", "north")]).await.expect("a shop");
    let (till, link) = furnish(&shop).await.expect("a till that sells tea");
    (shop, till, link)
}

/// What came of each offer, in order; whatever else happened by its own name.
fn way(story: &Value) -> Vec<String> {
    let steps = story["steps"].as_array().expect("steps");
    let name = |step: &Value| match step["what"]["kind"].as_str() {
        Some("offered") => {
            let outcome = &step["what"]["outcome"];
            let coded = outcome.as_object().and_then(|outcome| outcome.keys().next());
            let word = outcome.as_str().or_else(|| coded.map(String::as_str));
            word.unwrap_or("nothing").to_owned()
        }
        Some(other) => other.to_owned(),
        None => "nothing".to_owned(),
    };
    steps.iter().map(name).collect()
}

fn is_unheard(story: &Value) -> bool {
    way(story).iter().any(|step| step == "unheard")
}

fn unknown(story: &Value) -> String {
    story["unknown"].to_string()
}

async fn command(shop: &Shop, till: &Till, arguments: &[&str]) -> String {
    let home = till.home().display().to_string();
    let arguments: Vec<String> =
        arguments.iter().chain(&["--dir", home.as_str()]).map(ToString::to_string).collect();
    let said = output(shop.terminal_program(), &arguments).await.expect("it is told");
    String::from_utf8(said).expect("text")
}

/// A till that has lost an answer, and says so before and after the next commit.
async fn lose_an_answer(door: &Door, link: &Proxy) {
    link.set(Mode::CutAnswer(0));
    door.ring_up("b", "tea").await.expect("a sale");
    let told = story_with(door, "b", is_unheard).await.expect("it comes to that");
    assert_eq!(told["state"], "pending", "{told:#}");
    assert_eq!(told["steps"][0]["durable"], false, "nothing was committed since: {told:#}");
    link.set(Mode::Pass);
    door.drain(LIMIT).await.expect("drained");
    let told = story(door, "b").await.expect("a story");
    let way = way(&told);
    assert_eq!(way.first().map(String::as_str), Some("unheard"), "{told:#}");
    assert_eq!(way.last().map(String::as_str), Some("existing"), "{told:#}");
    assert!(told["offers"].as_u64().expect("a number") >= 2, "{told:#}");
    let steps = told["steps"].as_array().expect("steps");
    assert!(steps.iter().all(|step| step["durable"] == true), "{told:#}");
    assert!(!unknown(&told).contains("by which offer"), "the lost one is known: {told:#}");
}

/// A till that is killed before it could note the offer whose answer was lost.
async fn lose_an_answer_and_the_daemon(mut till: Till, door: &Door, link: &Proxy) -> (Till, Door) {
    link.set(Mode::CutAnswer(0));
    door.ring_up("c", "tea").await.expect("a sale");
    story_with(door, "c", is_unheard).await.expect("it comes to that");
    till.kill().await.expect("killed");
    link.set(Mode::Pass);
    let door = till.start().await.expect("open again");
    door.drain(LIMIT).await.expect("drained");
    let told = story(&door, "c").await.expect("a story");
    assert_eq!(way(&told), ["started", "existing"], "{told:#}");
    assert!(unknown(&told).contains("by which offer it was posted"), "{told:#}");
    assert!(unknown(&told).contains("a program that is killed forgets it"), "{told:#}");
    (till, door)
}

/// Has the till write its bundle, has it played, and returns what the simulator says.
async fn replayed(shop: &Shop, till: &Till, directory: &Path, more: &[&str]) -> String {
    let bundle = directory.join("incident.json").display().to_string();
    command(shop, till, &[&["bundle", &bundle][..], more].concat()).await;
    let played = ["replay", &bundle, "--seconds", "5"].map(str::to_owned);
    // It fails if a law is broken, and if it comes to another story.
    let said = output(&shop.simulator(), &played).await.expect("it is played");
    let picture = directory.join("story.html").display().to_string();
    let drawn = ["replay", &bundle, "--html", &picture].map(str::to_owned);
    output(&shop.simulator(), &drawn).await.expect("it is drawn");
    assert!(fs::read_to_string(&picture).expect("a page").contains("told: "), "{picture}");
    String::from_utf8(said).expect("text")
}

/// The story has these words, one after the other.
fn tells(story: &str, words: &[&str]) {
    let mut rest = story;
    for words in words {
        let at = rest.find(words).unwrap_or_else(|| panic!("{words}, in its place: {story}"));
        rest = &rest[at + words.len()..];
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_is_true_after_a_lost_answer_a_killed_daemon_and_a_copied_till() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    door.ring_up("a", "tea").await.expect("a sale");
    door.drain(LIMIT).await.expect("drained");
    let told = story(&door, "a").await.expect("a story");
    assert_eq!((way(&told), &told["state"]), (vec!["created".to_owned()], &json!("synced")));
    assert_eq!((&told["before"], &told["unknown"]), (&json!([]), &json!([])), "{told:#}");
    let receipt = door.look("/receipts/front/a").await.expect("a receipt");
    for field in ["serverId", "receipt", "atMs", "kind"] {
        assert_eq!(told[field], receipt[field], "{field}");
    }
    let seconds = |at: &Value| at.as_u64().expect("a time") / 60_000;
    assert!(seconds(&told["steps"][0]["atMs"]) - seconds(&told["atMs"]) <= 1, "{told:#}");

    lose_an_answer(&door, &link).await;
    let (mut till, door) = lose_an_answer_and_the_daemon(till, &door, &link).await;

    // A copy of the whole directory, witness and all: both go on by themselves.
    till.stop().await.expect("stopped");
    let program = shop.terminal_program().to_owned();
    let home = directory.path().join("copy");
    fs::create_dir(&home).expect("a directory");
    for file in ["config.json", "cloud-token", "till.redb", "witness"] {
        fs::copy(till.home().join(file), home.join(file)).expect("a copy");
    }
    drop(door);
    let door = till.start().await.expect("open again");
    door.ring_up("d", "tea").await.expect("a sale");
    door.drain(LIMIT).await.expect("drained");
    till.stop().await.expect("stopped");
    link.set(Mode::Reset);
    let mut copy = Till::new(&program, home, directory.path().join("copy.log"));
    let door = copy.start().await.expect("the copy is open");
    door.ring_up("e", "tea").await.expect("a sale");
    let told = story(&door, "e").await.expect("a story");
    assert_eq!((way(&told), &told["serverId"]), (Vec::new(), &Value::Null), "{told:#}");
    assert!(told["next"]["text"].as_str().expect("words").contains("is offered"), "{told:#}");
    link.set(Mode::Pass);
    door.drain(LIMIT).await.expect("drained");
    let told = story(&door, "e").await.expect("a story");
    assert_eq!(way(&told), ["parted", "carried", "created"], "{told:#}");
    assert_eq!(told["steps"][0]["what"]["why"], "forked", "{told:#}");
    let (from, to) = (&told["steps"][1]["what"]["from"], &told["steps"][1]["what"]["to"]);
    assert_eq!((&told["before"], &told["place"]), (&json!([from]), to), "{told:#}");
    assert_ne!(from["epoch"], to["epoch"]);
    assert!(unknown(&told).contains("another copy of this database went on"), "{told:#}");
    // What was settled before the copy was made stays where it is.
    let settled = story(&door, "b").await.expect("a story");
    assert_eq!(settled["before"], json!([]), "{settled:#}");
    assert!(!way(&settled).contains(&"parted".to_owned()), "its way had ended: {settled:#}");

    let epoch = |told: &Value, of: &str| {
        let number = told[of]["epoch"]["number"].as_u64().expect("a number");
        let nonce = told[of]["epoch"]["nonce"].as_u64().expect("a nonce");
        format!("{number}-{:04x}", nonce & 0xffff)
    };
    let told = story(&door, "e").await.expect("a story");
    let (old, new) = (epoch(&settled, "place"), epoch(&told, "place"));
    for more in [&[][..], &["--with-contents"]] {
        let story = replayed(&shop, &copy, directory.path(), more).await;
        tells(
            &story,
            &[
                &format!("told: entry 1 of {old}: created"),
                &format!("told: entry 2 of {old}: no answer"),
                &format!("told: entry 2 of {old}: existing"),
                &format!("in no note: entry 3 of {old}: no answer"),
                &format!("told: entry 3 of {old}: existing"),
                &format!("another copy of the database goes on with {old}"),
                &format!("a new history, {new} (Forked): told"),
                &format!("what is left of {old} is carried over"),
                &format!("told: entry 1 of {new}: created"),
                "books, journal and queue are as the bundle tells them",
                "laws checked: ZeroLoss",
                "No law was broken.",
                "The roles tell the same story as the bundle.",
            ],
        );
        assert_eq!(story.contains("front/e"), !more.is_empty(), "{story}");
    }

    // By either way, by any name, the same is told; and nobody is told of what is not there.
    let by_daemon = command(&shop, &copy, &["explain", "front/e", "--json"]).await;
    copy.stop().await.expect("stopped");
    let by_file = command(&shop, &copy, &["explain", "slip of e", "--json"]).await;
    assert_eq!(by_daemon, by_file);
    let text = command(&shop, &copy, &["explain", "e"]).await;
    for words in ["carried over from history", "posted as", "not known: what the other copy did"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let nobody =
        ["explain", "front/nobody", "--dir", &copy.home().display().to_string()].map(str::to_owned);
    let refused = output(&program, &nobody).await.expect_err("nobody").to_string();
    assert!(refused.contains("nothing here is called front/nobody"), "{refused}");
    shop.cloud.stop().await.expect("stopped");
}
