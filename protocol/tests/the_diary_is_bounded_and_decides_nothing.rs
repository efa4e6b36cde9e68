//! The diary: its bytes never change, it keeps the newest notes, what contradicts itself is
//! refused, and no decision depends on it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::fmt::Write as _;

use counterfoil_protocol::cloud::Cloud;
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::persist::Persist;
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::session::Fault;
use counterfoil_protocol::terminal::diary::{
    Diary, NOTES_AT_ONCE_MAX, NOTES_MAX, Note, Noted, Outcome, RUNS_MAX, Run, Silence, notes,
};
use counterfoil_protocol::terminal::pull::Batch;
use counterfoil_protocol::terminal::{Adoption, Input, Key, Parted, Place, Record, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{
    EditOutcome, Edited, ItemResult, PushAnswer, ServerId, Stopped, Verdict,
};
use insta::assert_snapshot;
use support::{Pair, Till, block_on, local, pos, sale};

const AT: Millis = Millis(1_700_000_000_000);
const EPOCH: Epoch = Epoch { number: 2, nonce: 0x0102_0304_0506_0708 };

const fn run(first: u64, count: u64, outcome: Outcome) -> Run {
    Run { first, count, outcome }
}

const fn offered(runs: Vec<Run>) -> Noted {
    Noted::Offered { epoch: EPOCH, times: 1, last: AT, runs }
}

/// One of each variant that can be stored.
fn one_of_each() -> Vec<Noted> {
    let mut all = vec![Noted::Started];
    for why in [Parted::Copied, Parted::Restored, Parted::LostTail, Parted::Forked] {
        all.push(Noted::Parted { why, epoch: EPOCH });
    }
    let faults = [
        Fault::Transport,
        Fault::Server,
        Fault::Denied(Denial::Revoked),
        Fault::RateLimited(None),
        Fault::TooLarge,
        Fault::Rejected,
    ];
    let mut outcomes: Vec<_> = faults.map(|fault| Outcome::Unheard(fault.into())).into();
    outcomes.extend([
        Outcome::NotLookedAt,
        Outcome::Created,
        Outcome::Existing,
        Outcome::Parked(ErrorCode::ProductUnknown),
        Outcome::Refused(ErrorCode::EventInvalid),
        Outcome::Edited(EditOutcome::Unknown),
    ]);
    all.extend(outcomes.into_iter().map(|outcome| offered(vec![run(300, 2, outcome)])));
    all.push(Noted::Carried { from: EPOCH, entries: vec![(1, 1), (300, 64)] });
    all.push(Noted::Retried(Place { epoch: EPOCH, seq: 300 }));
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes_of(key: &Key, record: &Record) -> (Vec<u8>, Vec<u8>) {
    let (mut name, mut bytes) = (Vec::new(), Vec::new());
    Terminal::key_bytes(key, &mut name);
    Terminal::record_bytes(record, &mut bytes);
    (name, bytes)
}

#[test]
fn rows_of_the_diary() {
    let mut text = String::new();
    let diary = (Key::Diary, Record::Diary(Diary { written: 300 }));
    let notes = (1..).zip(one_of_each());
    let notes = notes.map(|(n, what)| (Key::Note(n), Record::Note(Note { at: AT, what })));
    for (key, record) in std::iter::once(diary).chain(notes) {
        let (name, bytes) = bytes_of(&key, &record);
        assert_eq!(Terminal::record_from_bytes(&key, &bytes).as_ref(), Ok(&record));
        for cut in 0..bytes.len() {
            assert!(Terminal::record_from_bytes(&key, &bytes[..cut]).is_err(), "{key:?} cut");
        }
        writeln!(text, "{record:?}\n  {}\n  {}", hex(&name), hex(&bytes)).unwrap();
    }
    assert_snapshot!("diary_rows", text);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let far = u64::MAX;
    let many = |count| vec![run(1, 1, Outcome::Created); count];
    let again = |times| Noted::Offered { epoch: EPOCH, times, last: AT, runs: many(1) };
    let carried = |entries| Noted::Carried { from: EPOCH, entries };
    let retried = |seq| Noted::Retried(Place { epoch: EPOCH, seq });
    // what, whether it is read back
    for (what, whole) in [
        (again(1), true),
        (again(0), false),
        (offered(many(RUNS_MAX)), true),
        (offered(many(RUNS_MAX + 1)), false),
        (offered(vec![run(0, 1, Outcome::Created)]), false),
        (offered(vec![run(1, 0, Outcome::Created)]), false),
        (offered(vec![run(far, 1, Outcome::Created)]), false),
        (offered(vec![run(1, far, Outcome::Created)]), false),
        (carried(vec![(1, 1)]), true),
        (carried(vec![(0, 1)]), false),
        (carried(vec![(1, far)]), false),
        (carried(vec![(1, 1); RUNS_MAX + 1]), false),
        (retried(1), true),
        (retried(0), false),
        (retried(far), false),
    ] {
        let record = Record::Note(Note { at: AT, what });
        let (_, bytes) = bytes_of(&Key::Note(1), &record);
        assert_eq!(Terminal::record_from_bytes(&Key::Note(1), &bytes).is_ok(), whole, "{record:?}");
        assert!(Terminal::record_from_bytes(&Key::Diary, &bytes).is_err(), "another kind of key");
    }
    let (_, bytes) = bytes_of(&Key::Diary, &Record::Diary(Diary { written: far }));
    assert!(Terminal::record_from_bytes(&Key::Diary, &bytes).is_err(), "a diary without an end");
}

#[test]
fn the_newest_notes_are_kept() {
    let mut till = Till::install(7);
    let started = || Note { at: AT, what: Noted::Started };
    let commits = NOTES_MAX / NOTES_AT_ONCE_MAX as u64 + 1;
    for _ in 0..commits {
        till.run(AT, Input::Note(vec![started(); NOTES_AT_ONCE_MAX]));
    }
    let written = commits * NOTES_AT_ONCE_MAX as u64;
    assert_eq!(till.store.rows.get(&Key::Diary), Some(&Record::Diary(Diary { written })));
    let kept = block_on(notes(&till.store, 1, 10_000)).unwrap();
    let numbers: Vec<u64> = kept.iter().map(|(number, _)| *number).collect();
    let expected: Vec<u64> = (written - NOTES_MAX + 1..=written).collect();
    assert_eq!(numbers, expected, "the newest, and no other");
    till.run(AT, Input::Note(Vec::new()));
    assert_eq!(till.store.rows.get(&Key::Diary), Some(&Record::Diary(Diary { written })));
}

#[test]
fn with_a_diary_everything_else_is_as_without() {
    let day = |noting: bool| {
        let mut pair = Pair::new(Cloud::default());
        for name in ["a", "b", "c"] {
            pair.sell(sale(name, name));
            let Batch::Push(push) = pair.till.batch(pair.now) else { panic!("something waits") };
            if noting {
                let what = Noted::offered(pair.now, &push, Err(Fault::Transport));
                pair.till.run(pair.now, Input::Note(vec![Note { at: pair.now, what }]));
            }
            pair.sync();
        }
        let mut rows = pair.till.store.rows;
        rows.retain(|key, _| !matches!(key, Key::Diary | Key::Note(_)));
        (rows, pair.node.store.rows)
    };
    assert_eq!(day(false), day(true));
}

#[test]
fn an_offer_is_noted_in_stretches_of_one_fate() {
    let mut pair = Pair::new(Cloud::default());
    for name in ["a", "b", "c", "d", "e", "f"] {
        pair.sell(sale(name, name));
    }
    let Batch::Push(push) = pair.till.batch(pair.now) else { panic!("something waits") };
    let id = ServerId(Hash([7; 32]));
    let result = |seq, verdict| ItemResult { seq, verdict };
    let edited = Edited { server_id: id, version: 3, outcome: EditOutcome::Taken };
    let results = vec![
        result(1, Verdict::Created(id)),
        result(2, Verdict::Created(id)),
        result(3, Verdict::Parked(ErrorCode::ProductUnknown)),
        result(4, Verdict::Edited(edited)),
    ];
    let answer = PushAnswer { head: 4, results, stopped: Some(Stopped::Gap) };
    let Noted::Offered { runs, times: 1, .. } = Noted::offered(AT, &push, Ok(&answer)) else {
        panic!("an offer is noted as one");
    };
    let expected = [
        run(1, 2, Outcome::Created),
        run(3, 1, Outcome::Parked(ErrorCode::ProductUnknown)),
        run(4, 1, Outcome::Edited(EditOutcome::Taken)),
        run(5, 2, Outcome::NotLookedAt),
    ];
    assert_eq!(runs, expected);
    assert!(runs[0].covers(2) && !runs[0].covers(3) && !runs[1].covers(2));
    // The same without an answer, again and again, is one note; anything else is another.
    let unheard = |fault, at| Noted::offered(at, &push, Err(fault));
    let mut note = unheard(Fault::Transport, AT);
    assert!(note.takes_in(&unheard(Fault::Transport, Millis(AT.0 + 5))));
    assert!(!note.takes_in(&unheard(Fault::Server, AT)));
    assert!(
        !note.takes_in(&Noted::Started) && !note.takes_in(&Noted::offered(AT, &push, Ok(&answer)))
    );
    let silence = Outcome::Unheard(Silence::NoAnswer);
    let (times, last) = (2, Millis(AT.0 + 5));
    let runs = vec![run(1, 6, silence)];
    assert_eq!(note, Noted::Offered { epoch: push.epoch, times, last, runs });
    let mut answered = Noted::offered(AT, &push, Ok(&answer));
    assert!(!answered.takes_in(&answered.clone()), "each answer is noted");
}

#[test]
fn entries_that_are_carried_over_are_noted_in_stretches() {
    let entry = |seq| (seq, pos("1"), local("a"));
    let entries = [1, 2, 3, 7, 9, 10].map(entry).into();
    let noted = Noted::carried(&Adoption { from: EPOCH, entries, through: 12, next: 1 });
    let entries = vec![(1, 3), (7, 1), (9, 2)];
    assert_eq!(noted, Noted::Carried { from: EPOCH, entries });
}
