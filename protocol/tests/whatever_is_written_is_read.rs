//! Whatever a role writes can be read again, up to the bounds of every kind of row: a row that
//! cannot be read stops a database for good.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use counterfoil_protocol::catalog::{Digest, ENTITY_BYTES_MAX, EntityId, Kind};
use counterfoil_protocol::cloud::row::{self as cloud_row, Fate, Moved};
use counterfoil_protocol::cloud::{self, Cloud, Output};
use counterfoil_protocol::codec::{DecodeError, MESSAGE_BYTES_MAX, decode, decode_row, encode};
use counterfoil_protocol::event::{
    Adjustment, AdjustmentLine, Body, EVENT_BYTES_MAX, Figures, LINES_MAX,
};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, EventKey, ProductId, ShopId};
use counterfoil_protocol::journal::{SEGMENT_ENTRIES, Segment};
use counterfoil_protocol::label::{LABEL_BYTES_MAX, Label};
use counterfoil_protocol::money::{Milli, Minor};
use counterfoil_protocol::persist::Persist;
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::terminal::row::{
    self as till_row, Attention, CLOSED_MAX, CatalogItem, CatalogState, Closed, Entry, Known,
    Progress, Queued, Series, State,
};
use counterfoil_protocol::terminal::{self, Identity, Place, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::event::ReceiptV1;
use counterfoil_protocol::wire::message::{PUSH_BYTES_MAX, ParentV1, ServerId};
use proptest::prelude::*;
use support::{Node, Pair, block_on, draft, key_of, product, site, terminal_id};

/// A number that counts something and has a next one: the shortest in bytes, and the longest.
fn number() -> impl Strategy<Value = u64> {
    const MOST: u64 = (u64::MAX >> 1) - 1;
    prop_oneof![0_u64..3, Just(MOST), 0..=MOST]
}

fn name() -> impl Strategy<Value = Label> {
    prop_oneof![Just(Label::FIRST), Just(Label::LAST), "[a-z]{1,36}".prop_map(parsed)]
}

fn parsed(text: String) -> Label {
    assert!(text.len() <= LABEL_BYTES_MAX, "a name has its bound");
    Label::parse(&text).unwrap()
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![Just(1), Just(most), 1..=most];
    (length, any::<u8>()).prop_map(|(length, byte)| vec![byte; length])
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (0..u32::MAX >> 1, any::<u64>()).prop_map(|(number, nonce)| Epoch { number, nonce })
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn digest() -> impl Strategy<Value = Digest> {
    (hash(), number()).prop_map(|(hash, count)| Digest { count, ..Digest::default().with(hash) })
}

/// The names of so many products, the shortest there are, in their order.
fn products(count: usize) -> Vec<ProductId> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
    let digit = |number: usize| char::from(DIGITS[number % DIGITS.len()]);
    let base = DIGITS.len();
    (0..count)
        .map(|number| {
            let digits = [number / base / base / base, number / base / base, number / base, number];
            product(&digits.map(digit).iter().collect::<String>())
        })
        .collect()
}

/// What a push can move at most: each product has a line in it, that is no shorter.
fn movements() -> impl Strategy<Value = Vec<Moved>> {
    let most = PUSH_BYTES_MAX / 8;
    let count = prop_oneof![Just(1), Just(most), 1..=most];
    (count, number(), 1_u64..100).prop_map(move |(count, quantity, movements)| {
        let quantity = Milli(if count > most / 2 { 1 } else { i64::try_from(quantity).unwrap() });
        let by = cloud_row::Stock { quantity, movements };
        products(count).into_iter().map(|product| Moved { product, by }).collect()
    })
}

fn cloud_record() -> impl Strategy<Value = (cloud::Key, cloud::Record)> {
    use cloud::{Key, Record};
    let terminal = terminal_id();
    let shop = site().shop;
    prop_oneof![
        movements().prop_map(move |moved| {
            let key = Key::Movements(shop, site().branch, ServerId(Hash([1; 32])));
            (key, Record::Movements(moved))
        }),
        (bytes(EVENT_BYTES_MAX), number(), epoch(), hash()).prop_map(
            |(payload, at, epoch, payload_hash)| {
                let fate = Fate::Parked(ErrorCode::OriginalPending);
                let (seq, at) = (at.max(1), Millis(at));
                let payload = payload.into();
                let site = site();
                let row = cloud_row::Ledger { site, payload_hash, payload, epoch, seq, at, fate };
                (Key::Ledger(key_of("1", "a")), Record::Ledger(row))
            }
        ),
        (bytes(EVENT_BYTES_MAX), number(), epoch(), any::<bool>()).prop_map(
            move |(payload, at, epoch, opaque)| {
                let seq = at.max(1);
                let kept = cloud_row::Kept { epoch, seq, at: Millis(at), payload };
                if opaque {
                    (Key::Opaque(terminal, epoch, seq), Record::Opaque(kept))
                } else {
                    let key = EventKey { terminal, ..key_of("1", "a") };
                    (Key::Conflict(key, Hash([2; 32])), Record::Conflict(kept))
                }
            }
        ),
        (1..=SEGMENT_ENTRIES as usize, hash(), epoch()).prop_map(move |(held, start, epoch)| {
            let segment = Segment::of(start, vec![start; held]);
            (Key::Segment(terminal, epoch, 1), Record::Segment(segment))
        }),
        (number(), hash(), epoch()).prop_map(move |(n, hash, epoch)| {
            let parent = Some(ParentV1 { epoch, common: n });
            let (head, since) = (n.max(1), Millis(n));
            let figures = Figures {
                events: head,
                lines: n,
                quantity: Milli(i64::MIN),
                money: Minor(i64::MAX),
            };
            let lane = cloud_row::Lane { head, hash, parent, since, seen: since, posted: figures };
            (Key::Lane(terminal, epoch), Record::Lane(lane))
        }),
        (name(), number(), digest()).prop_map(|(shop, version, digest)| {
            let feed = cloud_row::Feed { version: version.max(1), digest };
            (Key::Feed(ShopId(shop)), Record::Feed(feed))
        }),
        (name(), number(), bytes(ENTITY_BYTES_MAX)).prop_map(move |(id, version, content)| {
            let id = EntityId { kind: Kind::Product, id };
            let (version, at) = (version.max(1), Millis(version));
            let item = cloud_row::Item { version, index: 499, content: Some(content.into()), at };
            (Key::Item(shop, None, id), Record::Item(item))
        }),
        (number(), hash(), any::<bool>()).prop_map(move |(n, secret, revoked)| {
            let (since, lanes) = (Millis(n), 10_000);
            let expires_at = Some(since);
            let site = site();
            let row = cloud_row::Terminal { site, secret, expires_at, revoked, lanes, since };
            (Key::Terminal(terminal), Record::Terminal(row))
        }),
    ]
}

fn closed(epoch: Epoch, hash: Hash, n: u64) -> Closed {
    let parent = Some(ParentV1 { epoch, common: n });
    Closed { epoch, parent, head: n, hash, kept: n, next: n + 1, queue: true }
}

fn meta() -> impl Strategy<Value = till_row::Meta> {
    (number(), hash(), any::<u64>()).prop_map(|(n, hash, nonce)| {
        let (install, boot) = (nonce, nonce);
        let epoch = |number| Epoch { number, nonce };
        let closed: Vec<_> =
            (1..=CLOSED_MAX as u32).map(|number| closed(epoch(number), hash, n)).collect();
        let site = site();
        till_row::Meta {
            identity: Identity { shop: site.shop, branch: site.branch, terminal: terminal_id() },
            install,
            boot,
            boot_before: boot,
            epoch: epoch(CLOSED_MAX as u32 + 1),
            parent: closed.last().map(|last| ParentV1 { epoch: last.epoch, common: n }),
            head: n + 1,
            hash,
            acked: n,
            closed,
            quarantined: Some(Denial::Revoked),
        }
    })
}

fn till_record() -> impl Strategy<Value = (terminal::Key, terminal::Record)> {
    use terminal::{Key, Record};
    prop_oneof![
        meta().prop_map(|meta| (Key::Meta, Record::Meta(meta))),
        (bytes(EVENT_BYTES_MAX), hash(), epoch(), number()).prop_map(|(payload, h, epoch, n)| {
            let (pos, local_id) = (key_of("1", "a").pos, key_of("1", "a").local_id);
            let state = State::Moved(Place { epoch, seq: n + 1 });
            let payload = payload.into();
            let entry = Entry { pos, local_id, payload_hash: h, chain: h, payload, state };
            (Key::Entry(epoch, n + 1), Record::Entry(entry))
        }),
        (epoch(), number(), hash()).prop_map(|(epoch, n, payload_hash)| {
            let place = Place { epoch, seq: n + 1 };
            let receipt = Some(ReceiptV1 { series: epoch, number: n + 1 });
            let key = key_of("1", "a");
            let known = Known { place, payload_hash, receipt };
            (Key::Local(key.pos, key.local_id), Record::Local(known))
        }),
        (epoch(), number(), any::<u8>(), any::<bool>()).prop_map(|(epoch, n, attempts, waits)| {
            let code = ErrorCode::ProductUnknown;
            if waits {
                let queued = Queued { attempts, due: Millis(n), code: Some(code) };
                (Key::Queue(epoch, n + 1), Record::Queue(queued))
            } else {
                let attention = Attention { attempts, code, since: Millis(n) };
                (Key::Attention(epoch, n + 1), Record::Attention(attention))
            }
        }),
        (epoch(), number()).prop_map(|(epoch, last)| {
            (Key::Series(key_of("1", "a").pos), Record::Series(Series { epoch, last }))
        }),
        (name(), number()).prop_map(|(name, movements)| {
            let stock = till_row::Stock { quantity: Milli(i64::MIN), movements };
            (Key::Stock(ProductId(name)), Record::Stock(stock))
        }),
        (number(), digest(), name()).prop_map(|(version, digest, id)| {
            let after = Some(EntityId { kind: Kind::Customer, id });
            let progress = Some(Progress { pinned: Some(version), after, digest });
            let version = Some(version);
            let state = CatalogState { version, digest, progress, proven: true, drifts: 9 };
            (Key::Catalog, Record::Catalog(state))
        }),
        (name(), number(), bytes(ENTITY_BYTES_MAX)).prop_map(|(id, version, content)| {
            let item = CatalogItem { version: version.max(1), content: content.into() };
            (Key::Item(EntityId { kind: Kind::Product, id }), Record::Item(item))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn of_the_cloud((key, record) in cloud_record()) {
        let mut bytes = Vec::new();
        Cloud::record_bytes(&record, &mut bytes);
        let read = Cloud::record_from_bytes(&key, &bytes);
        prop_assert!(read.as_ref() == Ok(&record), "{key:?}: {:?}", read.err());
    }

    #[test]
    fn of_a_till((key, record) in till_record()) {
        let mut bytes = Vec::new();
        Terminal::record_bytes(&record, &mut bytes);
        let read = Terminal::record_from_bytes(&key, &bytes);
        prop_assert!(read.as_ref() == Ok(&record), "{key:?}: {:?}", read.err());
    }
}

/// A decoder counts eight bytes for a number that was written as one: nothing is denser.
#[test]
fn no_row_within_the_bound_asks_too_much_of_a_decoder() {
    // The version, the length's mark and its four bytes.
    let numbers = vec![0_u64; MESSAGE_BYTES_MAX - 6];
    let bytes = encode(1, &numbers);
    assert_eq!(bytes.len(), MESSAGE_BYTES_MAX);
    assert_eq!(decode_row::<Vec<u64>>(1, &bytes), Ok(numbers));
    assert_eq!(decode::<Vec<u64>>(1, &bytes), Err(DecodeError::Shape), "messages have less");
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(decode_row::<Vec<u64>>(1, &longer), Err(DecodeError::Length));
}

/// Stock taking: a till of 80,000 products counts all of them, and offers it in one push.
#[test]
fn a_push_that_moves_as_much_as_it_can_is_kept_and_rolled_up() {
    let mut pair = Pair::new(Cloud::default());
    let products = products(40 * LINES_MAX);
    for (number, products) in products.chunks(LINES_MAX).enumerate() {
        let line = |product: &ProductId| AdjustmentLine {
            product: *product,
            name: String::new(),
            delta: Milli(1),
        };
        let lines = products.iter().map(line).collect();
        let body = Body::Adjustment(Adjustment { reason: String::new(), lines });
        pair.sell(draft("1", &format!("count-{number}"), body));
    }
    pair.greet();
    let answer = pair.offer().expect("all fit into one push");
    assert_eq!(answer.results.len(), 40);
    assert_eq!(readable(&pair.node), products.len(), "each product moves, and all can be read");
    let planned = block_on(cloud::rollup::plan(&pair.node.store, site())).unwrap().unwrap();
    let output = pair.node.run(pair.now, cloud::Input::RollUp(planned));
    assert_eq!(output, Output::RolledUp(1));
    assert_eq!(readable(&pair.node), 0);
    support::rows::stock_is_sum(&pair.node);
}

/// Reads every row from its bytes, and returns how many products have moved.
fn readable(node: &Node) -> usize {
    let mut moved = 0;
    for (key, record) in &node.store.rows {
        let mut bytes = Vec::new();
        Cloud::record_bytes(record, &mut bytes);
        let read = Cloud::record_from_bytes(key, &bytes);
        assert!(read.as_ref() == Ok(record), "{key:?}: {:?}", read.err());
        if let Ok(cloud::Record::Movements(row)) = read {
            moved += row.len();
        }
    }
    moved
}
