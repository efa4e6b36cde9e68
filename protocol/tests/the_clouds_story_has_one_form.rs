//! What the cloud tells of an event keeps its form: version 1 of it is written here, and read.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use counterfoil_protocol::wire::explain::{CloudState, CloudStory, CloudWhat, UnreadableStory};
use serde_json::{Value, json};

fn told() -> Value {
    let hash = |digit: &str| digit.repeat(64);
    let key = |id: &str| json!({ "terminalId": "T-1", "posId": "front", "localEventId": id });
    let other = json!({
        "event": key("b"), "state": "posted", "receivedMs": 5, "totalMinor": 149,
    });
    let epoch = json!({ "number": 1, "nonce": 7 });
    json!({
        "version": 1, "event": key("a"), "shopId": "shop", "branchId": "north", "state": "posted",
        "code": null, "kind": "sale", "atMs": 1, "receipt": "1-0007/1", "reference": "slip",
        "totalMinor": 149, "currency": "GBP", "sessionId": "day", "customerId": null,
        "payloadHash": hash("a"), "serverId": hash("b"), "uuid": "u", "orderId": "ORD-",
        "receivedMs": 2,
        "journal": {
            "epoch": epoch, "seq": 3, "segment": 0, "chainHash": hash("c"), "holds": true,
            "head": 4, "headHash": hash("d"), "parent": null, "seenMs": 6,
        },
        "waitingSinceMs": null,
        "decision": { "accepted": true, "reason": "seen", "atMs": 4 },
        "withdrawnBy": null, "corrects": [], "original": null, "refunds": [other],
        "movements": [{ "productId": "tea", "deltaMilli": -1000 }],
        "relayed": [{
            "place": 9, "eventId": hash("1"), "productId": "tea", "deltaMilli": -1000,
        }],
        "conflicts": [{
            "payloadHash": hash("e"), "epoch": epoch, "seq": 4, "atMs": 5, "kind": "sale",
            "totalMinor": 150,
        }],
        "forks": [{
            "epoch": epoch, "common": 3, "successor": { "number": 2, "nonce": 8 }, "atMs": 7,
            "behind": false,
        }],
        "terminal": { "sinceMs": 0, "revoked": false, "expiresAtMs": null },
        "log": [{
            "number": 1, "atMs": 4, "actor": "operator", "action": "parked.accept", "done": true,
        }],
        "steps": [{ "atMs": 2, "what": "received", "text": "it came" }],
        "unknown": ["how often it was offered"],
    })
}

fn read(story: &Value) -> Result<CloudStory, UnreadableStory> {
    CloudStory::from_json(story.to_string().as_bytes())
}

#[test]
fn what_is_written_is_read_and_written_again() {
    let story = read(&told()).expect("version 1");
    assert_eq!(json!(story), told());
    assert_eq!((story.state, story.steps[0].what), (CloudState::Posted, CloudWhat::Received));
}

#[test]
fn a_later_program_may_tell_more_but_not_something_else() {
    let mut more = told();
    more["weather"] = json!("rain");
    assert!(read(&more).is_ok(), "what is not known is left alone");
    for (field, value) in [
        ("version", json!(2)),
        ("state", json!("gone")),
        ("payloadHash", json!("short")),
        ("steps", Value::Null),
        ("refunds", json!(vec![told()["refunds"][0].clone(); 65])),
    ] {
        let mut other = told();
        other[field] = value;
        assert_eq!(read(&other), Err(UnreadableStory), "{field}");
    }
    for bytes in [&b""[..], b"{", b"null", b"\xff", b"[]"] {
        assert_eq!(CloudStory::from_json(bytes), Err(UnreadableStory));
    }
}
