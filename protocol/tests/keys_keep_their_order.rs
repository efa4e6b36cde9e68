//! The disk format's laws: keys and records read back, and the order of the bytes is the order
//! of the keys, so that an engine that knows only bytes scans what a role means.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;

use counterfoil_protocol::catalog::{EntityId, Kind};
use counterfoil_protocol::cloud::inbox::InboxKey;
use counterfoil_protocol::cloud::{self, Cloud};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{
    BranchId, Epoch, EventKey, LocalEventId, OrderId, PosId, ProductId, ShopId, TerminalId, UserId,
};
use counterfoil_protocol::inbox::EventId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::persist::{KEY_BYTES_MAX, Persist};
use counterfoil_protocol::terminal::{self, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::ServerId;
use proptest::prelude::*;
use support::{Pair, refund, sale};

fn label() -> impl Strategy<Value = Label> {
    // A small alphabet with the first and the last printable character: prefixes are common.
    let text = prop_oneof!["[!a~]{1,4}", "[!a~]{36}", "[!-~]{1,36}", "[!a~] [!a~]"];
    text.prop_map(|text| Label::parse(&text).unwrap())
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..3, 254_u64..258, any::<u64>(), Just(u64::MAX)]
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (prop_oneof![0_u32..3, any::<u32>()], number())
        .prop_map(|(number, nonce)| Epoch { number, nonce })
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn till_key() -> impl Strategy<Value = terminal::Key> {
    use terminal::Key;
    prop_oneof![
        Just(Key::Meta),
        (epoch(), number()).prop_map(|(epoch, seq)| Key::Entry(epoch, seq)),
        (epoch(), number()).prop_map(|(epoch, seq)| Key::Queue(epoch, seq)),
        (epoch(), number()).prop_map(|(epoch, seq)| Key::Attention(epoch, seq)),
        (label(), label()).prop_map(|(pos, id)| Key::Local(PosId(pos), LocalEventId(id))),
        label().prop_map(|pos| Key::Series(PosId(pos))),
        label().prop_map(|product| Key::Stock(ProductId(product))),
        Just(Key::Catalog),
        entity_id().prop_map(Key::Item),
        label().prop_map(|pos| Key::Register(PosId(pos))),
        (label(), label()).prop_map(|(pos, id)| Key::Closing(PosId(pos), LocalEventId(id))),
        Just(Key::LocalEdits),
        number().prop_map(Key::Movement),
        hash().prop_map(|event| Key::Applied(EventId(event))),
        label().prop_map(|product| Key::Review(ProductId(product))),
        Just(Key::Inbox),
        (label(), label()).prop_map(|(code, id)| Key::Code(code, ProductId(id))),
        Just(Key::Schema),
        Just(Key::Diary),
        number().prop_map(Key::Note),
        (epoch(), number()).prop_map(|(epoch, seq)| Key::Replaced(epoch, seq)),
        Just(Key::Archive),
    ]
}

fn event_key() -> impl Strategy<Value = EventKey> {
    (label(), label(), label()).prop_map(|(terminal, pos, id)| EventKey {
        terminal: TerminalId(terminal),
        pos: PosId(pos),
        local_id: LocalEventId(id),
    })
}

fn scope() -> impl Strategy<Value = Option<BranchId>> {
    prop::option::of(label().prop_map(BranchId))
}

fn entity_id() -> impl Strategy<Value = EntityId> {
    (prop::sample::select(&Kind::ALL[..]), label()).prop_map(|(kind, id)| EntityId { kind, id })
}

fn inbox_key() -> impl Strategy<Value = InboxKey> {
    let shop = || label().prop_map(ShopId);
    let site = || (label().prop_map(ShopId), label().prop_map(BranchId));
    let product = || prop::option::of(label().prop_map(ProductId));
    prop_oneof![
        site().prop_map(|(s, b)| InboxKey::Head(s, b)),
        (site(), number()).prop_map(|((s, b), seq)| InboxKey::Event(s, b, seq)),
        (site(), label()).prop_map(|((s, b), t)| InboxKey::Ack(s, b, TerminalId(t))),
        (shop(), label()).prop_map(|(s, order)| InboxKey::Order(s, OrderId(order))),
        (site(), product()).prop_map(|((s, b), p)| InboxKey::Buffer(s, b, p)),
        site().prop_map(|(s, b)| InboxKey::Relay(s, b)),
    ]
}

fn cloud_key() -> impl Strategy<Value = cloud::Key> {
    use cloud::Key;
    let till = || label().prop_map(TerminalId);
    prop_oneof![
        till().prop_map(Key::Terminal),
        (till(), epoch()).prop_map(|(id, epoch)| Key::Lane(id, epoch)),
        (till(), epoch(), number()).prop_map(|(id, epoch, n)| Key::Segment(id, epoch, n)),
        event_key().prop_map(Key::Ledger),
        (event_key(), hash()).prop_map(|(key, hash)| Key::Conflict(key, hash)),
        (till(), epoch(), number()).prop_map(|(id, epoch, seq)| Key::Opaque(id, epoch, seq)),
        (label(), label(), label()).prop_map(|(s, b, p)| Key::Stock(
            ShopId(s),
            BranchId(b),
            ProductId(p)
        )),
        (till(), epoch(), hash()).prop_map(|(id, epoch, hash)| Key::Fork(id, epoch, hash)),
        (label(), label()).prop_map(|(shop, p)| Key::Product(ShopId(shop), ProductId(p))),
        (label(), label(), hash()).prop_map(|(s, b, first)| Key::Movements(
            ShopId(s),
            BranchId(b),
            ServerId(first)
        )),
        label().prop_map(|shop| Key::Feed(ShopId(shop))),
        (label(), label()).prop_map(|(s, b)| Key::BranchDigest(ShopId(s), BranchId(b))),
        (label(), scope(), entity_id()).prop_map(|(s, b, id)| Key::Item(ShopId(s), b, id)),
        (label(), scope(), number(), any::<u32>()).prop_map(|(s, b, version, index)| Key::Change(
            ShopId(s),
            b,
            version,
            index
        )),
        (label(), label(), label(), label()).prop_map(|(shop, terminal, pos, id)| Key::Session(
            ShopId(shop),
            TerminalId(terminal),
            PosId(pos),
            LocalEventId(id)
        )),
        (label(), event_key()).prop_map(|(shop, key)| Key::EditNote(ShopId(shop), key)),
        inbox_key().prop_map(Key::Inbox),
        label().prop_map(|shop| Key::SketchSecret(ShopId(shop))),
        (label(), label(), till()).prop_map(|(s, b, t)| Key::Lease(ShopId(s), BranchId(b), t)),
        label().prop_map(|shop| Key::Floor(ShopId(shop))),
        later_key(),
    ]
}

/// The kinds that came with the contracts of others.
fn later_key() -> impl Strategy<Value = cloud::Key> {
    use cloud::Key;
    prop_oneof![
        label().prop_map(|user| Key::User(UserId(user))),
        (label(), label()).prop_map(|(s, id)| Key::Buyer(ShopId(s), LocalEventId(id))),
        (label(), label()).prop_map(|(s, id)| Key::Command(ShopId(s), id)),
        label().prop_map(|shop| Key::Stamp(ShopId(shop))),
        (label(), number()).prop_map(|(s, at)| Key::Stamped(ShopId(s), Millis(at))),
        (label(), label(), label(), number()).prop_map(|(s, b, p, movement)| Key::Notice(
            ShopId(s),
            BranchId(b),
            ProductId(p),
            movement
        )),
        (label(), event_key()).prop_map(|(s, key)| Key::Waiting(ShopId(s), key)),
        (label(), event_key()).prop_map(|(s, key)| Key::Decision(ShopId(s), key)),
        (label(), label()).prop_map(|(s, p)| Key::Threshold(ShopId(s), ProductId(p))),
        Just(Key::LogHead),
        number().prop_map(Key::Log),
    ]
}

fn bytes<M: Persist>(key: &M::Key) -> Vec<u8> {
    let mut bytes = Vec::new();
    M::key_bytes(key, &mut bytes);
    bytes
}

fn check_pair<M: Persist<Key: std::fmt::Debug>>(a: &M::Key, b: &M::Key) {
    let (bytes_a, bytes_b) = (bytes::<M>(a), bytes::<M>(b));
    assert_eq!(bytes_a.cmp(&bytes_b), a.cmp(b), "order of {a:?} and {b:?}");
    assert!(bytes_a.len() <= KEY_BYTES_MAX, "{a:?} is short");
    assert!(M::key_from_bytes(&bytes_a).is_ok_and(|read| read == *a), "{a:?} reads back");
    let mut longer = bytes_a.clone();
    longer.push(0);
    assert!(M::key_from_bytes(&longer).is_err(), "{a:?} with a byte more is no key");
    assert!(M::key_from_bytes(&bytes_a[..bytes_a.len() - 1]).is_err(), "{a:?} cut short");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn order_of_till_bytes_is_order_of_till_keys(a in till_key(), b in till_key()) {
        check_pair::<Terminal>(&a, &b);
    }

    #[test]
    fn order_of_cloud_bytes_is_order_of_cloud_keys(a in cloud_key(), b in cloud_key()) {
        check_pair::<Cloud>(&a, &b);
    }

    #[test]
    fn names_that_begin_alike_keep_their_order(a in label(), b in label(), c in label()) {
        let (pos, shop) = (PosId, ShopId);
        let local = |p, l| terminal::Key::Local(pos(p), LocalEventId(l));
        check_pair::<Terminal>(&local(a, c), &local(b, c));
        check_pair::<Terminal>(&local(a, b), &local(a, c));
        let product = |s, p| cloud::Key::Product(shop(s), ProductId(p));
        check_pair::<Cloud>(&product(a, c), &product(b, c));
    }
}

/// Every kind of row that a day with a fork, a conflict and a parked sale leaves behind.
fn a_day() -> Pair {
    let mut pair = Pair::new(Cloud::default());
    pair.sell_all(&["a", "b"]);
    pair.sync();
    let backup = pair.till.clone();
    pair.sell_all(&["c"]);
    pair.sync();
    pair.till = backup;
    pair.sell_all(&["d"]);
    pair.quiesce();
    pair.sell(refund("r", "a", Some(support::key_of("1", "nowhere"))));
    pair.sync();
    pair.sell(sale("e", "e"));
    pair.node.define("a");
    pair
}

fn check_rows<M>(rows: &std::collections::BTreeMap<M::Key, M::Record>) -> BTreeSet<u8>
where
    M: Persist<Key: std::fmt::Debug, Record: PartialEq + std::fmt::Debug>,
{
    let mut kinds = BTreeSet::new();
    for (key, record) in rows {
        let mut written = Vec::new();
        M::record_bytes(record, &mut written);
        assert_eq!(M::record_from_bytes(key, &written).as_ref(), Ok(record), "{key:?} reads back");
        kinds.insert(bytes::<M>(key)[0]);
        for other in rows.keys().filter(|other| bytes::<M>(other)[0] != bytes::<M>(key)[0]) {
            assert!(M::record_from_bytes(other, &written).is_err(), "{key:?} under {other:?}");
        }
        let mut longer = written.clone();
        longer.push(0);
        assert!(M::record_from_bytes(key, &longer).is_err(), "{key:?} with a byte more");
        written[0] = 2;
        assert!(M::record_from_bytes(key, &written).is_err(), "{key:?} of another version");
    }
    kinds
}

#[test]
fn records_read_back_under_their_own_kind_of_key_only() {
    let mut pair = a_day();
    let kinds = check_rows::<Terminal>(&pair.till.store.rows);
    assert_eq!(kinds, BTreeSet::from([1, 2, 3, 5, 6, 7, 18]));
    for _ in 0..6 {
        pair.now = pair.now.after(Millis::from_secs(600));
        pair.sync();
    }
    let kinds = check_rows::<Terminal>(&pair.till.store.rows);
    assert!(kinds.contains(&4), "an item needs attention");
    let kinds = check_rows::<Cloud>(&pair.node.store.rows);
    assert_eq!(kinds, BTreeSet::from([1, 2, 3, 4, 8, 9, 10, 32]));
    assert!(pair.node.roll_up() > 0, "something was moved");
    let kinds = check_rows::<Cloud>(&pair.node.store.rows);
    assert_eq!(kinds, BTreeSet::from([1, 2, 3, 4, 7, 8, 9, 31, 32]));
}

#[test]
fn the_longest_keys_fit_their_bound() {
    let longest = Label::parse(&"~".repeat(36)).unwrap();
    let key = EventKey {
        terminal: TerminalId(longest),
        pos: PosId(longest),
        local_id: LocalEventId(longest),
    };
    let conflict = cloud::Key::Conflict(key, Hash([255; 32]));
    assert!(bytes::<Cloud>(&conflict).len() <= KEY_BYTES_MAX);
    check_pair::<Cloud>(&conflict, &cloud::Key::Ledger(key));
}
