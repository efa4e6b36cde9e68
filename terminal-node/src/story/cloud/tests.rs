//! Both sides, in every pair of states.

use counterfoil_protocol::wire::explain::CloudStory;
use serde_json::{Value, json};

use super::super::ask::Unheard;
use super::{Agreement, CloudSide, Heard, compare, elsewhere};
use crate::story::Story;
use counterfoil_protocol::session::Fault;
use counterfoil_protocol::time::Millis;

fn hash(digit: &str) -> String {
    digit.repeat(64)
}

fn own(state: &str) -> Story {
    let server_id = (state == "synced").then(|| hash("b"));
    let spot = json!({ "epoch": { "number": 1, "nonce": 7 }, "seq": 3 });
    let story = json!({
        "posId": "front", "localEventId": "a", "kind": "sale", "atMs": 1, "receipt": null,
        "reference": "", "total": null, "sessionId": null, "payloadHash": hash("a"),
        "place": spot, "before": [], "state": state, "serverId": server_id, "offers": 0,
        "steps": [], "stepsLeftOut": 0, "next": { "dueMs": null, "code": null, "text": "" },
        "unknown": [],
    });
    serde_json::from_value(story).expect("a story")
}

fn told(state: &str, more: &[(&str, Value)]) -> CloudStory {
    let server_id = (state == "posted").then(|| hash("b"));
    let mut story = json!({
        "version": 1, "shopId": "shop", "branchId": "north", "state": state, "code": null,
        "event": { "terminalId": "T-1", "posId": "front", "localEventId": "a" },
        "kind": "sale", "atMs": 1, "receipt": null, "reference": "", "totalMinor": 1,
        "currency": "GBP", "sessionId": null, "customerId": null, "payloadHash": hash("a"),
        "serverId": server_id, "uuid": null, "orderId": null, "receivedMs": 2, "journal": null,
        "waitingSinceMs": null, "decision": null, "withdrawnBy": null, "corrects": [],
        "original": null, "refunds": [], "movements": [], "relayed": [], "conflicts": [],
        "forks": [], "terminal": null, "log": null, "steps": [], "unknown": [],
    });
    for (field, value) in more {
        story[*field] = value.clone();
    }
    serde_json::from_value(story).expect("a story")
}

#[test]
fn every_pair_of_states_has_its_word() {
    use Agreement::{CloudBehind, Contradiction, Same, TillBehind};
    let states = ["posted", "waits", "rejected", "refused", "withdrawn", ""];
    // One line for each state at the till: with each state in the cloud; the last one has nothing.
    for (at_till, expected) in [
        ("pending", [TillBehind, Same, TillBehind, TillBehind, TillBehind, Same]),
        ("needsAttention", [TillBehind, Same, Same, Same, Same, Same]),
        ("synced", [Same, Contradiction, Contradiction, Contradiction, Contradiction, CloudBehind]),
        ("replaced", [TillBehind, CloudBehind, CloudBehind, Same, Same, Same]),
    ] {
        for (state, expected) in states.iter().zip(expected) {
            let told = (!state.is_empty()).then(|| told(state, &[]));
            let (agreement, remarks) = compare(&own(at_till), told.as_ref());
            assert_eq!(agreement, expected, "{at_till} here, {state} there");
            assert_eq!(remarks.is_empty(), expected == Same, "{at_till} here, {state} there");
        }
    }
}

#[test]
fn another_name_another_payload_and_another_history_are_told() {
    let renamed = told("posted", &[("serverId", json!(hash("c")))]);
    assert_eq!(compare(&own("synced"), Some(&renamed)).0, Agreement::Contradiction);
    let conflict = json!([{
        "payloadHash": hash("a"), "epoch": { "number": 1, "nonce": 7 }, "seq": 3, "atMs": 4,
        "kind": "sale", "totalMinor": 1,
    }]);
    let first = told("posted", &[("payloadHash", json!(hash("d"))), ("conflicts", conflict)]);
    for (at_till, expected) in [
        ("pending", Agreement::TillBehind),
        ("needsAttention", Agreement::Same),
        ("synced", Agreement::Contradiction),
    ] {
        let (agreement, remarks) = compare(&own(at_till), Some(&first));
        assert_eq!(agreement, expected, "{at_till}");
        assert!(remarks[0].contains("keeps this one beside it"), "{remarks:?}");
    }
    let journal = |seq: u64| {
        json!({
            "epoch": { "number": 1, "nonce": 7 }, "seq": seq, "segment": 0, "chainHash": null,
            "holds": true, "head": null, "headHash": null, "parent": null, "seenMs": null,
        })
    };
    let same = told("posted", &[("journal", journal(3))]);
    assert_eq!(elsewhere(&own("synced"), &same), None);
    let other = told("posted", &[("journal", journal(4))]);
    let said = elsewhere(&own("synced"), &other).expect("it is from elsewhere");
    assert!(said.contains("entry 4 of history 1-0007"), "{said}");
}

#[test]
fn who_is_not_heard_is_not_guessed() {
    let side = CloudSide::not_heard(Unheard::Fault(Fault::Transport), Some(Millis(5)));
    assert_eq!((side.heard, side.agreement, side.story), (Heard::NotNow, None, None));
    assert_eq!(side.last_heard_ms, Some(Millis(5)));
    assert!(side.explanation.expect("words").contains("cannot be reached"));
    let side = CloudSide::not_heard(Unheard::NotUnderstood, None);
    assert!(side.explanation.expect("words").contains("update"));
}
