//! Bundles as tills write them, made by hand.

use serde_json::{Value, json};

fn epoch(number: u32) -> Value {
    let nonce = if number == 1 { 0xabc } else { 0xdef };
    json!({ "number": number, "nonce": nonce })
}

/// An entry of the journal.
pub(crate) fn place(number: u32, seq: u64, event: &str, kind: &str, state: &Value) -> Value {
    json!({
        "epoch": epoch(number), "seq": seq, "register": "~front", "event": event, "kind": kind,
        "atMs": 1_500 + seq, "bytes": 90, "payloadHash": "~p", "chainHash": "~c", "state": state,
    })
}

/// A note of an offer: first entry, count, and what came of it.
pub(crate) fn offered(at: u64, number: u32, runs: &[(u64, u64, Value)]) -> Value {
    let runs = runs.iter().map(
        |(first, count, outcome)| json!({ "first": first, "count": count, "outcome": outcome }),
    );
    let runs: Vec<Value> = runs.collect();
    let what = json!({
        "kind": "offered", "epoch": epoch(number), "times": 1, "lastMs": at, "runs": runs,
    });
    json!({ "number": 1, "atMs": at, "what": what })
}

/// A bundle: its current history with its head and how much of it is answered, and the rest.
pub(crate) fn till(
    entries: &[Value],
    closed: &[Value],
    (number, head, acked): (u32, u64, u64),
    diary: &[Value],
) -> Value {
    let inside = json!({
        "redacted": true,
        "identity": { "shop": "~shop", "branch": "~branch", "terminal": "~terminal" },
        "epoch": epoch(number), "head": head, "headHash": "~h", "acked": acked, "closed": closed,
        "quarantined": null, "pending": 0, "needsAttention": 0, "synced": acked, "queue": [],
        "entries": entries, "diary": diary, "memory": [],
    });
    json!({ "bundle": 2, "madeMs": 99_000, "daemon": false, "till": inside })
}

/// A till that has lost an answer, was killed after another, was copied, and found the fork.
pub(crate) fn after_a_fork() -> Value {
    let synced = json!({ "synced": "~id" });
    let moved = json!({ "moved": { "epoch": epoch(2), "seq": 1 } });
    let entries = [
        place(1, 1, "~a", "sale", &synced),
        place(1, 2, "~b", "sale", &synced),
        place(1, 3, "~c", "refund", &synced),
        place(1, 4, "~e", "sale", &moved),
        place(2, 1, "~e", "sale", &synced),
    ];
    let closed = json!({
        "epoch": epoch(1), "head": 4, "headHash": "~h", "kept": 3, "next": 5, "unsettled": false,
    });
    let mut lost = offered(3_000, 1, &[(2, 1, json!({ "unheard": "noAnswer" }))]);
    lost["what"]["times"] = json!(2);
    let note = |at: u64, what: Value| json!({ "number": 1, "atMs": at, "what": what });
    let started = || json!({ "kind": "started" });
    let carried = json!({
        "kind": "carried", "from": epoch(1), "runs": [{ "first": 4, "count": 1 }],
    });
    let diary = [
        note(1_000, started()),
        offered(2_000, 1, &[(1, 1, json!("created"))]),
        lost,
        offered(4_000, 1, &[(2, 1, json!("existing"))]),
        note(5_000, started()),
        offered(6_000, 1, &[(3, 1, json!("existing"))]),
        note(7_000, started()),
        note(8_000, json!({ "kind": "parted", "why": "forked", "epoch": epoch(2) })),
        note(8_100, carried),
        offered(9_000, 2, &[(1, 1, json!("created"))]),
    ];
    till(&entries, &[closed], (2, 1, 1), &diary)
}
