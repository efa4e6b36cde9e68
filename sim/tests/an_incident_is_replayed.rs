//! The bundle of a till is played by the real roles: the same story, or a line that says where not.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod bundles;

use bundles::{after_a_fork, offered, place, till};
use counterfoil_sim::incident::{Incident, IncidentError, Retold, replay};
use counterfoil_sim::law::Law;
use proptest::prelude::*;
use serde_json::{Value, json};

const ON_MS: u64 = 10_000;

/// What somebody does to a bundle.
type Spoil = fn(&mut Value);

fn read(bundle: &Value) -> Result<Incident, IncidentError> {
    Incident::read(bundle.to_string().as_bytes())
}

fn played(bundle: &Value) -> Retold {
    replay(&read(bundle).expect("a bundle"), ON_MS, true)
}

fn lines(retold: &Retold) -> String {
    retold.outcome.story.lines().collect::<Vec<_>>().join("\n")
}

/// Plays a bundle that must come out as told, and returns the story.
fn as_told(bundle: &Value) -> String {
    let retold = played(bundle);
    let story = lines(&retold);
    assert_eq!(retold.outcome.violation, None, "{story}");
    assert_eq!(retold.differs, Vec::<String>::new(), "{story}");
    for law in [Law::ZeroLoss, Law::NoDuplicate, Law::AckedIsDurable, Law::QueueDrains] {
        assert!(retold.outcome.tally.checked(law) > 0, "{law}");
    }
    story
}

#[test]
fn a_lost_answer_a_kill_and_a_fork_come_out_as_told() {
    for version in [1, 2] {
        let mut bundle = after_a_fork();
        bundle["bundle"] = json!(version);
        let story = as_told(&bundle);
        let at = |words: &str| story.find(words).unwrap_or_else(|| panic!("{words}: {story}"));
        let order = [
            "told: entry 1 of 1-0abc: created",
            "told: entry 2 of 1-0abc: no answer (NoAnswer), 2 times",
            "told: entry 2 of 1-0abc: existing",
            "in no note: entry 3 of 1-0abc: no answer",
            "told: entry 3 of 1-0abc: existing",
            "another copy of the database goes on with 1-0abc",
            "a new history, 2-0def (Forked): told",
            "what is left of 1-0abc is carried over",
            "told: entry 1 of 2-0def: created",
            "books, journal and queue are as the bundle tells them",
            "the bundle ends here",
        ];
        let places: Vec<usize> = order.iter().map(|words| at(words)).collect();
        assert!(places.is_sorted(), "{places:?}: {story}");
    }
}

#[test]
fn the_same_bundle_gives_the_same_story() {
    let bundle = after_a_fork();
    let (one, two) = (played(&bundle), played(&bundle));
    assert_eq!(one.outcome.digest, two.outcome.digest);
    assert_eq!(lines(&one), lines(&two));
}

/// A till of one history with so many sales, and what is noted of them.
fn simple(sales: u64, acked: u64, notes: &[Value]) -> Value {
    let entries = (1..=sales).map(|seq| {
        let state = if seq <= acked { json!({ "synced": "~1" }) } else { json!("open") };
        place(1, seq, &format!("~sale-{seq}"), "sale", &state)
    });
    till(&entries.collect::<Vec<_>>(), &[], (1, sales, acked), notes)
}

fn started(at: u64) -> Value {
    json!({ "number": 1, "atMs": at, "what": { "kind": "started" } })
}

#[test]
fn a_cloud_that_was_restored_is_told_by_what_it_posts_twice() {
    let notes = [
        started(1_000),
        offered(2_000, 1, &[(1, 2, json!("created"))]),
        offered(9_000, 1, &[(1, 2, json!("notLookedAt"))]),
        offered(9_500, 1, &[(1, 2, json!("created"))]),
        offered(9_600, 1, &[(3, 1, json!("created"))]),
    ];
    let story = as_told(&simple(3, 3, &notes));
    assert!(story.contains("it is restored from a backup: in no note"), "{story}");
}

#[test]
fn what_is_kept_without_effect_is_posted_when_its_product_is_there() {
    let parked = json!({ "parked": "POS_SYNC_PRODUCT_UNKNOWN" });
    let notes = [
        started(1_000),
        offered(2_000, 1, &[(1, 1, parked), (2, 1, json!("created"))]),
        offered(9_000, 1, &[(1, 1, json!("created"))]),
    ];
    let story = as_told(&simple(2, 2, &notes));
    assert!(story.contains("told: entries 1, 2 of 1-0abc: parked"), "{story}");
}

#[test]
fn a_name_that_another_database_has_taken_is_refused() {
    let refused = json!({ "refused": "POS_SYNC_EVENT_INVALID" });
    let mut bundle = simple(1, 1, &[started(1_000), offered(2_000, 1, &[(1, 1, refused)])]);
    let inside = &mut bundle["till"];
    inside["entries"][0]["state"] = json!("open");
    inside["needsAttention"] = json!(1);
    inside["queue"] = json!([{
        "epoch": { "number": 1, "nonce": 0xabc }, "seq": 1, "register": "~front",
        "event": "~sale-1", "kind": "sale", "needsAttention": true, "attempts": 1, "dueMs": null,
        "code": "POS_SYNC_EVENT_INVALID",
    }]);
    let story = as_told(&bundle);
    assert!(story.contains("takes the name ~sale-1"), "{story}");
}

#[test]
fn a_bundle_that_was_cut_is_filled_in_and_says_so() {
    let mut bundle = simple(7, 7, &[offered(9_000, 1, &[(6, 2, json!("created"))])]);
    let entries = bundle["till"]["entries"].as_array_mut().expect("entries");
    entries.drain(..4);
    let retold = played(&bundle);
    let story = lines(&retold);
    assert_eq!((retold.filled, retold.differs.as_slice()), (4, &[][..]), "{story}");
    assert_eq!(retold.outcome.violation, None, "{story}");
    assert!(story.contains("entries 1 to 4 of 1-0abc are not in the bundle"), "{story}");
    assert!(story.contains("entries 1 to 5 of 1-0abc are posted: in no note"), "{story}");
}

#[test]
fn a_story_that_cannot_be_is_told_apart() {
    // Nobody has offered it, and the till holds it for posted: so the roles post it, in no note.
    let mut bundle = after_a_fork();
    bundle["till"]["diary"][3]["what"]["runs"][0]["outcome"] =
        json!({ "refused": "POS_SYNC_EVENT_WITHDRAWN" });
    let retold = played(&bundle);
    assert!(!retold.differs.is_empty(), "{}", lines(&retold));
    assert_eq!(retold.outcome.violation, None, "the protocol holds all the same");
    let what = retold.differs.join("\n");
    assert!(what.contains("the bundle says refused, POS_SYNC_EVENT_WITHDRAWN"), "{what}");
}

#[test]
fn what_is_no_bundle_is_refused_with_a_code() {
    let contradicting = |change: fn(&mut Value)| {
        let mut bundle = after_a_fork();
        change(&mut bundle["till"]);
        read(&bundle).expect_err("it cannot be").code()
    };
    for (bytes, code) in [
        (&b""[..], "SIM_BUNDLE_INVALID"),
        (b"{}", "SIM_BUNDLE_INVALID"),
        (b"{\"bundle\": 2}", "SIM_BUNDLE_INVALID"),
        (b"{\"bundle\": 3, \"till\": {}}", "SIM_BUNDLE_VERSION_UNSUPPORTED"),
        (b"\xff\xfe", "SIM_BUNDLE_INVALID"),
    ] {
        assert_eq!(Incident::read(bytes).expect_err("no bundle").code(), code, "{bytes:?}");
    }
    let said: [(Spoil, &str); 5] = [
        (|till| till["acked"] = json!(99), "SIM_BUNDLE_CONTRADICTION"),
        (|till| till["closed"][0]["kept"] = json!(99), "SIM_BUNDLE_CONTRADICTION"),
        (|till| till["entries"][0]["seq"] = json!(0), "SIM_BUNDLE_CONTRADICTION"),
        (|till| till["diary"][1]["what"]["runs"] = json!([]), "SIM_BUNDLE_CONTRADICTION"),
        (|till| till["head"] = json!(900_000), "SIM_BUNDLE_CUT"),
    ];
    for (change, code) in said {
        assert_eq!(contradicting(change), code);
    }
}

/// Replaces one leaf of a document, the `at`-th, by another value.
fn put(value: &mut Value, at: &mut usize, with: &Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| put(item, at, with)),
        Value::Object(fields) => fields.values_mut().for_each(|field| put(field, at, with)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            if *at == 0 {
                *value = with.clone();
            }
            *at = at.wrapping_sub(1);
        }
    }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0_u64..6).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        Just(Value::Null),
        "[a-z~]{0,8}".prop_map(Value::from),
        prop::sample::select(vec![
            "open",
            "created",
            "existing",
            "notLookedAt",
            "forked",
            "lostTail",
            "copied",
            "restored",
            "sale",
            "refund",
            "correction",
            "cash moved",
            "started",
            "~a",
            "~e",
        ])
        .prop_map(Value::from),
        Just(json!({ "unheard": "noAnswer" })),
        Just(json!({ "parked": "POS_SYNC_ORIGINAL_PENDING" })),
        Just(json!({ "refused": "POS_SYNC_EVENT_INVALID" })),
        Just(json!({ "replaced": "~b" })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _refused = Incident::read(&bytes).is_err();
    }

    /// Whatever a bundle says, it is refused, or played without a panic and without a broken law.
    #[test]
    fn a_bundle_with_wrong_values_is_refused_or_played(
        changes in prop::collection::vec((0_usize..260, leaf()), 1..5),
    ) {
        let mut bundle = after_a_fork();
        for (at, with) in &changes {
            put(&mut bundle, &mut at.clone(), with);
        }
        if let Ok(incident) = read(&bundle) {
            let retold = replay(&incident, 0, false);
            prop_assert_eq!(retold.outcome.violation, None);
        }
    }
}
