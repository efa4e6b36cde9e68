//! Parcels: their bytes, what is refused, and that whatever is carried counts once (B.19).
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use counterfoil_protocol::cloud::{Cloud, UnknownProducts};
use counterfoil_protocol::event::EVENT_BYTES_MAX;
use counterfoil_protocol::hash::secret_hash;
use counterfoil_protocol::identity::TerminalId;
use counterfoil_protocol::terminal::Record;
use counterfoil_protocol::terminal::row::State;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{
    ItemResult, MessageError, PUSH_ITEMS_MAX, PushAnswer, PushItem, Stopped,
};
use counterfoil_protocol::wire::parcel::{
    Answers, Offered, Offers, Outstanding, PARCEL_BYTES_MAX, PARCEL_PUSHES_MAX, ParcelError,
    terminal_of,
};
use insta::assert_snapshot;
use proptest::prelude::*;
use support::rows::{entries, ledger};
use support::{
    Pair, block_on, give_parcel, quiesce, sale, secret, take_parcel, terminal_id, write_parcel,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A till with so many sales that the cloud does not know, and its parcel.
fn sold(sales: usize) -> (Pair, Vec<u8>) {
    let mut pair = Pair::new(Cloud::default());
    for number in 0..sales {
        pair.sell(sale(&format!("s{number}"), "tea"));
    }
    let parcel = write(&mut pair);
    (pair, parcel)
}

fn waiting(pair: &Pair) -> usize {
    entries(&pair.till).values().filter(|entry| entry.state == State::Open).count()
}

/// Writes a parcel under a number that nobody has drawn before.
fn write(pair: &mut Pair) -> Vec<u8> {
    static DRAWN: AtomicU64 = AtomicU64::new(7);
    write_parcel(&mut pair.till, pair.now, DRAWN.fetch_add(1, Relaxed))
}

fn take(pair: &mut Pair, answers: &[u8]) -> bool {
    take_parcel(&mut pair.till, pair.now, 99, answers)
}

#[test]
fn the_golden_parcels() {
    let (mut pair, _) = sold(2);
    let offers = write_parcel(&mut pair.till, pair.now, 0x0123_4567_89ab_cdef);
    let answers = give_parcel(&mut pair.node, pair.now, &offers);
    let text = format!("offers\n{}\nanswers\n{}\n", hex(&offers), hex(&answers));
    assert_snapshot!("parcels", text);
}

#[test]
fn what_waits_is_in_the_cloud_once_and_leaves_the_queue() {
    let (mut pair, parcel) = sold(3);
    assert_eq!((waiting(&pair), terminal_of(&parcel)), (3, Ok(terminal_id())));
    let answers = give_parcel(&mut pair.node, pair.now, &parcel);
    assert_eq!(waiting(&pair), 3, "a till believes in answers only");
    let again = give_parcel(&mut pair.node, pair.now, &parcel);
    assert_eq!(ledger(&pair.node).len(), 3, "whatever is carried twice counts once");
    assert!(take(&mut pair, &answers));
    assert_eq!(waiting(&pair), 0);
    assert!(!take(&mut pair, &again), "it is answered once");
    assert_eq!(waiting(&pair), 0);
    let empty = write(&mut pair);
    assert_eq!(Offers::open(&empty, secret()).unwrap().pushes, []);
}

#[test]
fn a_parcel_that_is_lost_or_overtaken_costs_nothing() {
    let (mut pair, late) = sold(2);
    pair.sell(sale("s2", "tea"));
    let _lost = write(&mut pair);
    pair.sync(); // a link is back
    pair.sell(sale("s3", "tea"));
    let answers = give_parcel(&mut pair.node, pair.now, &late);
    assert_eq!(ledger(&pair.node).len(), 3);
    assert!(!take(&mut pair, &answers), "the link has told better");
    assert_eq!(waiting(&pair), 1, "what was sold since waits, and nothing else does");
    quiesce(&mut pair.till, &mut pair.node, &mut pair.now);
    assert_eq!((ledger(&pair.node).len(), waiting(&pair)), (4, 0));
}

/// > **`AckedIsDurable`**
#[test]
fn answers_to_a_copy_are_not_taken_by_the_other() {
    let (mut pair, _) = sold(1);
    pair.sync();
    let mut copy = pair.clone();
    pair.sell(sale("here", "tea"));
    copy.sell(sale("there", "tea"));
    let parcel = write(&mut pair);
    let answers = give_parcel(&mut pair.node, pair.now, &parcel);
    assert!(!take(&mut copy, &answers), "another sale has the same place in its journal");
    assert_eq!(waiting(&copy), 1, "the cloud has never seen it");
    assert!(take(&mut pair, &answers));

    copy.node = pair.node.clone();
    for _ in 0..2 {
        let parcel = write(&mut copy);
        let answers = give_parcel(&mut copy.node, copy.now, &parcel);
        take(&mut copy, &answers);
    }
    assert_eq!((ledger(&copy.node).len(), waiting(&copy)), (3, 0), "both sales are there");
}

/// > **`AckedIsDurable`**
#[test]
fn answers_from_before_the_cloud_was_restored_are_not_taken_after_others() {
    let (mut pair, monday) = sold(2);
    let before = pair.node.clone();
    let old = give_parcel(&mut pair.node, pair.now, &monday);
    pair.node = before;
    let tuesday = write(&mut pair);
    let answers = give_parcel(&mut pair.node, pair.now, &tuesday);
    assert!(take(&mut pair, &answers));
    assert_eq!(waiting(&pair), 0);
    assert!(!take(&mut pair, &old), "it is older than what was heard");

    // And so if it was a link that told of it.
    let (mut pair, monday) = sold(2);
    let before = pair.node.clone();
    let old = give_parcel(&mut pair.node, pair.now, &monday);
    pair.node = before;
    pair.greet();
    assert!(!take(&mut pair, &old));
    assert_eq!(waiting(&pair), 2, "the cloud has none of it");
}

#[test]
fn a_sale_that_is_parked_loses_one_attempt_however_often_its_answer_is_carried() {
    let park = UnknownProducts::Park;
    let mut pair = Pair::new(Cloud { unknown_products: park });
    pair.sell(sale("s0", "tea"));
    let parcel = write(&mut pair);
    let answers = give_parcel(&mut pair.node, pair.now, &parcel);
    for again in [false, true, true, true, true, true] {
        assert_eq!(take(&mut pair, &answers), !again);
    }
    let attempts = |record: &Record| {
        if let Record::Queue(queued) = record { Some(queued.attempts) } else { None }
    };
    let attempts: Vec<u8> = pair.till.store.rows.values().filter_map(attempts).collect();
    assert_eq!(attempts, [1]);
    pair.node.define("tea");
    pair.now = pair.now.after(Millis::from_secs(600));
    let parcel = write(&mut pair);
    assert_eq!(Offers::open(&parcel, secret()).unwrap().pushes.len(), 1, "it is tried again");
    let answers = give_parcel(&mut pair.node, pair.now, &parcel);
    assert!(take(&mut pair, &answers));
    assert_eq!((waiting(&pair), ledger(&pair.node).len()), (0, 1));
}

#[test]
fn so_many_parcels_are_outstanding_and_no_more() {
    let mut outstanding = Outstanding::default();
    for number in 0..100 {
        outstanding.written(number);
    }
    assert_eq!(outstanding.numbers().len(), Outstanding::MAX);
    assert!(!outstanding.takes(3), "it was forgotten");
    assert!(outstanding.takes(98) && !outstanding.takes(98) && !outstanding.takes(97));
    assert_eq!(outstanding.numbers(), [99]);
    assert!(outstanding.overtaken() && !outstanding.overtaken() && !outstanding.takes(99));
}

#[test]
fn a_cloud_that_lost_its_tail_gets_it_with_the_next_parcel() {
    let (mut pair, first) = sold(2);
    let before = pair.node.clone();
    let answers = give_parcel(&mut pair.node, pair.now, &first);
    take(&mut pair, &answers);
    pair.node = before;
    pair.sell(sale("later", "tea"));
    let second = write(&mut pair);
    let answers = give_parcel(&mut pair.node, pair.now, &second);
    let stopped = Answers::open(&answers, secret()).unwrap().answers[0].1.stopped;
    assert_eq!(stopped, Some(Stopped::Gap));
    take(&mut pair, &answers);
    let third = write(&mut pair);
    let answers = give_parcel(&mut pair.node, pair.now, &third);
    take(&mut pair, &answers);
    assert_eq!((ledger(&pair.node).len(), waiting(&pair)), (3, 0));
}

#[test]
fn a_long_queue_goes_in_several_pushes() {
    let (mut pair, parcel) = sold(1_203);
    let pushes = Offers::open(&parcel, secret()).unwrap().pushes;
    assert_eq!(pushes.iter().map(|push| push.items.len()).collect::<Vec<_>>(), [500, 500, 203]);
    let answers = give_parcel(&mut pair.node, pair.now, &parcel);
    assert!(take(&mut pair, &answers));
    assert_eq!((ledger(&pair.node).len(), waiting(&pair)), (1_203, 0));
}

#[test]
fn what_has_no_room_belongs_in_the_next_one() {
    let (_, parcel) = sold(1);
    let mut offers = Offers::open(&parcel, secret()).unwrap();
    offers.pushes = vec![offers.pushes[0].clone(); PARCEL_PUSHES_MAX + 1];
    let (parcel, taken) = offers.seal(secret());
    assert_eq!(taken, PARCEL_PUSHES_MAX);
    assert!(parcel.len() <= PARCEL_BYTES_MAX);
    assert_eq!(Offers::open(&parcel, secret()).unwrap().pushes.len(), PARCEL_PUSHES_MAX);
}

#[test]
fn a_parcel_of_another_secret_or_direction_is_refused() {
    let (mut pair, offers) = sold(1);
    let answers = give_parcel(&mut pair.node, pair.now, &offers);
    let other = secret_hash(b"another");
    assert_eq!(Offers::open(&offers, other), Err(ParcelError::Seal));
    assert_eq!(Answers::open(&answers, other), Err(ParcelError::Seal));
    assert_eq!(Offers::open(&answers, secret()), Err(ParcelError::Direction));
    assert_eq!(Answers::open(&offers, secret()), Err(ParcelError::Direction));
    let mut turned = offers.clone();
    turned[9] = b'A';
    assert_eq!(Answers::open(&turned, secret()), Err(ParcelError::Seal), "its key is another");
    let mut later = offers.clone();
    later[8] = 2;
    assert_eq!(Offers::open(&later, secret()), Err(ParcelError::Version(2)));
    let long = vec![0; PARCEL_BYTES_MAX + 1];
    assert_eq!(Offers::open(&long, secret()), Err(ParcelError::Size));

    let mut foreign = Offers::open(&offers, secret()).unwrap();
    foreign.pushes[0].terminal_id = TerminalId::parse("T-2").unwrap();
    let (foreign, _) = foreign.seal(secret());
    assert_eq!(Offers::open(&foreign, secret()), Err(ParcelError::Foreign));
}

#[test]
fn no_byte_of_it_can_be_changed_and_none_is_spare() {
    let (mut pair, offers) = sold(1);
    let answers = give_parcel(&mut pair.node, pair.now, &offers);
    for (parcel, offered) in [(&offers, true), (&answers, false)] {
        let refused = |bytes: &[u8]| match offered {
            true => Offers::open(bytes, secret()).is_err(),
            false => Answers::open(bytes, secret()).is_err(),
        };
        for at in 0..parcel.len() {
            assert!(refused(&parcel[..at]), "cut off at {at}");
            let mut changed = parcel.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(refused(&changed), "changed at {at}");
        }
        assert!(refused(&[&parcel[..], &[0]].concat()));
    }
}

/// Frames that whoever has the secret could seal: bounded, and never a panic.
fn sealed(way: u8, number: u64, frames: &[Vec<u8>]) -> Vec<u8> {
    let name = terminal_id();
    let mut parcel = b"CFPARCEL\x01".to_vec();
    parcel.push(way);
    parcel.extend(number.to_le_bytes());
    parcel.push(u8::try_from(name.as_str().len()).unwrap());
    parcel.extend(name.as_str().as_bytes());
    for frame in frames {
        parcel.extend(u32::try_from(frame.len()).unwrap().to_le_bytes());
        parcel.extend(frame);
    }
    let context = match way {
        b'O' => "counterfoil 2026 parcel of offers v1",
        _ => "counterfoil 2026 parcel of answers v1",
    };
    let key = blake3::derive_key(context, &secret().0);
    let seal = blake3::keyed_hash(&key, &parcel);
    parcel.extend(seal.as_bytes());
    parcel
}

#[test]
fn the_documented_form_is_what_is_written() {
    let (mut pair, offers) = sold(1);
    let Offers { number, hello, pushes } = Offers::open(&offers, secret()).unwrap();
    assert_eq!(sealed(b'O', number, &[hello.encode(), pushes[0].encode()]), offers);
    let answers = give_parcel(&mut pair.node, pair.now, &offers);
    let opened = Answers::open(&answers, secret()).unwrap();
    assert_eq!(
        Answers::open(&sealed(b'A', 1, &[opened.welcome.encode()]), secret()).unwrap().answers,
        []
    );
    assert_eq!(Answers::open(&sealed(b'A', 1, &[]), secret()), Err(ParcelError::Form));
    let half = [opened.welcome.encode(), vec![1]];
    assert_eq!(Answers::open(&sealed(b'A', 1, &half), secret()), Err(ParcelError::Form));
    let many = vec![vec![1]; 2 * PARCEL_PUSHES_MAX + 2];
    assert_eq!(Answers::open(&sealed(b'A', 1, &many), secret()), Err(ParcelError::Size));
    assert_eq!(Offers::open(&sealed(b'O', 1, &many), secret()), Err(ParcelError::Size));
    assert!(block_on(async { terminal_of(b"CFPARCEL\x01O\xff") }).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(Offers::open(&bytes, secret()).is_err());
        prop_assert!(Answers::open(&bytes, secret()).is_err());
        let headed = [&b"CFPARCEL\x01O"[..], &bytes].concat();
        prop_assert!(Offers::open(&headed, secret()).is_err());
    }

    #[test]
    fn any_frames_under_a_true_seal_are_refused(frames: Vec<Vec<u8>>) {
        prop_assert!(Offers::open(&sealed(b'O', 1, &frames), secret()).is_err());
        let read = Answers::open(&sealed(b'A', 1, &frames), secret());
        prop_assert!(read.is_err() || frames.len() % 2 == 1);
    }
}

#[test]
fn what_has_no_room_goes_with_the_next_parcel() {
    let (_, parcel) = sold(1);
    let mut offers = Offers::open(&parcel, secret()).unwrap();
    let mut large = offers.pushes[0].clone();
    let item = PushItem { payload: vec![7; EVENT_BYTES_MAX].into(), ..large.items[0].clone() };
    large.items = vec![item.clone(), PushItem { seq: 2, ..item }];
    offers.pushes = vec![large; 20];
    let (parcel, taken) = offers.seal(secret());
    assert_eq!(taken, 15, "sixteen pushes and what is around them do not fit");
    assert!(parcel.len() <= PARCEL_BYTES_MAX);
    assert_eq!(Offers::open(&parcel, secret()).unwrap().pushes, offers.pushes[..taken]);
}

#[test]
fn a_parcel_has_the_messages_of_one_till() {
    let (_, parcel) = sold(1);
    let mut pushed = Offers::open(&parcel, secret()).unwrap();
    let other = TerminalId::parse("T-2").unwrap();
    pushed.pushes[0].terminal_id = other;
    let opened = Offers::open(&pushed.seal(secret()).0, secret());
    assert_eq!(opened, Err(ParcelError::Foreign), "a push of another");
}

#[test]
fn answers_are_about_what_was_offered() {
    let (mut pair, parcel) = sold(2);
    let answers = give_parcel(&mut pair.node, pair.now, &parcel);
    let sound = Answers::open(&answers, secret()).unwrap();
    type Damage = fn(&mut Offered, &mut PushAnswer);
    let damages: [(&str, Damage, MessageError); 5] = [
        ("nothing was offered", |offered, _| offered.last.seq = 0, MessageError::Order),
        ("more than was offered", |offered, _| offered.last.seq = 1, MessageError::Order),
        ("out of order", |_, answer| answer.results.reverse(), MessageError::Order),
        ("twice", |_, answer| answer.results[1].seq = 1, MessageError::Order),
        (
            "too many",
            |offered, answer| {
                offered.last.seq = PUSH_ITEMS_MAX as u64 + 1;
                let result = answer.results[0].clone();
                let results = 1..=offered.last.seq;
                answer.results = results.map(|seq| ItemResult { seq, ..result.clone() }).collect();
            },
            MessageError::Parts,
        ),
    ];
    for (name, damage, error) in damages {
        let mut answers = sound.clone();
        let (offered, answer) = &mut answers.answers[0];
        damage(offered, answer);
        let opened = Answers::open(&answers.seal(secret()), secret());
        assert_eq!(opened, Err(ParcelError::Message(error)), "{name}");
    }
}
