//! Every bound of a greeting and of a push, at its edge and beyond, in both forms.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use counterfoil_protocol::event::{EVENT_BYTES_MAX, TEXT_BYTES_MAX};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::wire::message::{
    HELLO_LANES_MAX, HELLO_POINTS_MAX, Hello, HelloLane, MessageError, PUSH_BYTES_MAX,
    PUSH_ITEMS_MAX, Point, Push, PushItem,
};
use support::terminal_id;

fn point(seq: u64) -> Point {
    Point { seq, hash: Hash::default() }
}

fn lane() -> HelloLane {
    let epoch = Epoch { number: 1, nonce: 7 };
    HelloLane { epoch, parent: None, acked: 2, points: vec![point(3), point(2)] }
}

fn hello(change: impl FnOnce(&mut Hello)) -> Hello {
    let mut hello = Hello {
        terminal_id: terminal_id(),
        versions: vec![1],
        app: String::new(),
        clock_ms: 0,
        lanes: vec![lane()],
    };
    change(&mut hello);
    hello
}

fn item(seq: u64, bytes: usize) -> PushItem {
    PushItem { seq, chain_hash: Hash::default(), payload: vec![0; bytes].into() }
}

fn push(items: Vec<PushItem>) -> Push {
    Push { terminal_id: terminal_id(), epoch: lane().epoch, items }
}

#[test]
fn a_greeting_keeps_its_bounds() {
    use MessageError as E;
    let points = |n: usize| {
        move |h: &mut Hello| {
            h.lanes[0].points = (1..=n as u64).rev().map(point).collect();
            h.lanes[0].acked = 0;
        }
    };
    for (name, hello, expected) in [
        ("as it should be", hello(|_| {}), Ok(())),
        ("other versions too", hello(|h| h.versions = vec![2, 1]), Ok(())),
        ("no version", hello(|h| h.versions.clear()), Err(E::Versions)),
        ("another version", hello(|h| h.versions = vec![2]), Err(E::Versions)),
        ("sixteen versions", hello(|h| h.versions = vec![1; 16]), Ok(())),
        ("too many versions", hello(|h| h.versions = vec![1; 17]), Err(E::Versions)),
        ("no lane", hello(|h| h.lanes.clear()), Err(E::Parts)),
        ("the most lanes", hello(|h| h.lanes = vec![lane(); HELLO_LANES_MAX]), Ok(())),
        ("too many lanes", hello(|h| h.lanes = vec![lane(); HELLO_LANES_MAX + 1]), Err(E::Parts)),
        ("the longest app", hello(|h| h.app = "x".repeat(TEXT_BYTES_MAX)), Ok(())),
        ("too long an app", hello(|h| h.app = "x".repeat(TEXT_BYTES_MAX + 1)), Err(E::Parts)),
        ("no point", hello(|h| h.lanes[0].points.clear()), Err(E::Parts)),
        ("the most points", hello(points(HELLO_POINTS_MAX)), Ok(())),
        ("too many points", hello(points(HELLO_POINTS_MAX + 1)), Err(E::Parts)),
        ("points that rise", hello(|h| h.lanes[0].points.reverse()), Err(E::Order)),
        ("a point twice", hello(|h| h.lanes[0].points = vec![point(3); 2]), Err(E::Order)),
        ("answered to the head", hello(|h| h.lanes[0].acked = 3), Ok(())),
        ("answered beyond it", hello(|h| h.lanes[0].acked = 4), Err(E::Order)),
    ] {
        let told = hello.clone();
        assert_eq!(hello.clone().check().map(|_| ()), expected, "{name}");
        assert_eq!(Hello::decode(&hello.encode()), expected.map(|()| told), "{name}, as bytes");
    }
}

#[test]
fn a_push_keeps_its_bounds() {
    use MessageError as E;
    let numbered = |n: u64| push((1..=n).map(|seq| item(seq, 1)).collect());
    let half = PUSH_BYTES_MAX / 2;
    for (name, push, expected) in [
        ("no item", numbered(0), Err(E::Parts)),
        ("one item", numbered(1), Ok(())),
        ("the most items", numbered(PUSH_ITEMS_MAX as u64), Ok(())),
        ("too many items", numbered(PUSH_ITEMS_MAX as u64 + 1), Err(E::Parts)),
        ("the most bytes", push(vec![item(1, half), item(2, half)]), Ok(())),
        ("too many bytes", push(vec![item(1, half), item(2, half), item(3, 1)]), Err(E::Bytes)),
        ("the largest item", push(vec![item(1, EVENT_BYTES_MAX)]), Ok(())),
        ("too large an item", push(vec![item(1, EVENT_BYTES_MAX + 1)]), Err(E::Bytes)),
        ("a gap is not its business", push(vec![item(1, 1), item(9, 1)]), Ok(())),
        ("items that fall", push(vec![item(2, 1), item(1, 1)]), Err(E::Order)),
        ("an item twice", push(vec![item(2, 1), item(2, 1)]), Err(E::Order)),
        ("item zero", push(vec![item(0, 1)]), Err(E::Order)),
        ("the last number", push(vec![item(u64::MAX - 1, 1)]), Ok(())),
        ("beyond it", push(vec![item(u64::MAX, 1)]), Err(E::Order)),
    ] {
        let told = push.clone();
        assert_eq!(push.clone().check().map(|_| ()), expected, "{name}");
        assert_eq!(Push::decode(&push.encode()), expected.map(|()| told), "{name}, as bytes");
    }
}

#[test]
fn json_refuses_what_it_does_not_know() {
    let text = serde_json::to_string(&hello(|_| {})).unwrap();
    assert_eq!(serde_json::from_str::<Hello>(&text).unwrap(), hello(|_| {}));
    let more = text.replacen('{', "{\"surprise\":1,", 1);
    assert!(serde_json::from_str::<Hello>(&more).is_err());
    let text = serde_json::to_string(&push(vec![item(1, 3)])).unwrap();
    assert_eq!(serde_json::from_str::<Push>(&text).unwrap(), push(vec![item(1, 3)]));
    let more = text.replacen("\"seq\"", "\"surprise\":1,\"seq\"", 1);
    assert!(serde_json::from_str::<Push>(&more).is_err());
}
