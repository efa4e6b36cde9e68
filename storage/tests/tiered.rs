//! A till's rows in two stores read as if they were in one, whatever has left, and whatever else
//! stands in the archive.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId, ProductId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::machine::{Query as _, Store as _};
use counterfoil_protocol::terminal::archive::Archive;
use counterfoil_protocol::terminal::row::{Entry, Known, Queued, State, Stock};
use counterfoil_protocol::terminal::{Key, Place, Record, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::ServerId;
use counterfoil_storage::{Memory, Tiered};
use proptest::prelude::*;

const ENTRIES: u64 = 90;

fn epoch(number: u32) -> Epoch {
    Epoch { number, nonce: u64::from(number) * 7 }
}

fn entry(place: Place, life: u8) -> (Key, Record, Key, Record) {
    let name = format!("{}-{}-{life}", place.epoch.number, place.seq * 7919 % 1000);
    let (pos, local_id) = (PosId(label("front")), LocalEventId(label(&name)));
    let payload_hash = Hash([place.seq as u8 ^ life; 32]);
    let state = State::Synced(ServerId(payload_hash));
    let chain = Hash([life; 32]);
    let payload = vec![life; 40].into();
    let entry = Entry { pos, local_id, payload_hash, chain, payload, state };
    let known = Known { place, payload_hash, receipt: None };
    let own = Key::Entry(place.epoch, place.seq);
    (own, Record::Entry(entry), Key::Local(pos, local_id), Record::Local(known))
}

fn label(text: &str) -> Label {
    Label::parse(text).unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a store in memory never waits"),
    }
}

/// All in one store; the same in two; and a hot store that is older than its archive.
struct Stores {
    one: Memory<Terminal>,
    hot: Memory<Terminal>,
    cold: Memory<Terminal>,
}

/// `left` says of each entry whether it has left, whether its name has left with it, and whether
/// the archive also has a row of a later life at its place or behind the end.
fn stores(left: &[(bool, bool, bool)]) -> Stores {
    let mut stores = Stores { one: Memory::new(), hot: Memory::new(), cold: Memory::new() };
    let mut through = vec![(epoch(1), 0), (epoch(2), 0)];
    for (index, (gone, name_gone, other)) in left.iter().enumerate() {
        let history = usize::from(index as u64 >= ENTRIES / 2);
        let seq = index as u64 % (ENTRIES / 2) + 1;
        let place = Place { epoch: epoch(history as u32 + 1), seq };
        let (own, row, name, known) = entry(place, 0);
        for (key, record, leaves) in [(own, row, *gone), (name, known, *gone && *name_gone)] {
            let record = Arc::new(record);
            stores.one.plant(key, Some(Arc::clone(&record)));
            let there = if leaves { &mut stores.cold } else { &mut stores.hot };
            there.plant(key, Some(record));
        }
        if *gone {
            through[history].1 = seq.max(through[history].1);
        } else if *other {
            let (own, row, name, known) = entry(place, 1);
            stores.cold.plant(own, Some(Arc::new(row)));
            stores.cold.plant(name, Some(Arc::new(known)));
        }
        let queue = Record::Queue(Queued { attempts: 0, due: Millis(1), code: None });
        for store in [&mut stores.one, &mut stores.hot] {
            store.plant(Key::Queue(place.epoch, seq), Some(Arc::new(queue.clone())));
        }
    }
    through.retain(|(_, seq)| *seq > 0);
    let books = Archive { id: 5, step: 1, through, ..Archive::default() };
    stores.cold.plant(Key::Archive, Some(Arc::new(Record::Archive(books.clone()))));
    for store in [&mut stores.one, &mut stores.hot] {
        store.plant(Key::Archive, Some(Arc::new(Record::Archive(books.clone()))));
        let stock = Arc::new(Record::Stock(Stock::default()));
        store.plant(Key::Stock(ProductId(label("tea"))), Some(stock));
    }
    stores
}

fn keys(stores: &Stores) -> Vec<Key> {
    let mut keys: Vec<Key> = stores.one.rows().keys().copied().collect();
    keys.extend(stores.cold.rows().keys().copied());
    keys.extend([Key::Meta, Key::Entry(epoch(1), 0), Key::Entry(epoch(2), 400), Key::Schema]);
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Takes entries and names, and leaves out all else.
fn taken(key: &Key, row: &Record) -> Option<(Key, Record)> {
    matches!(row, Record::Entry(_) | Record::Local(_)).then(|| (*key, row.clone()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn two_stores_read_as_one(
        left in prop::collection::vec(any::<(bool, bool, bool)>(), ENTRIES as usize),
        ranges in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(),
            prop_oneof![0_usize..4, 20_usize..80, Just(usize::MAX)]), 40),
    ) {
        let stores = stores(&left);
        let both = Tiered::new(&stores.hot, &stores.cold);
        let keys = keys(&stores);
        for key in &keys {
            let (held, owed) = (block_on(both.get(key)), block_on(stores.one.get(key)));
            prop_assert_eq!(held.unwrap(), owed.unwrap(), "{:?}", key);
            let held = block_on(both.look(key, |row| taken(key, row)));
            let owed = block_on(stores.one.look(key, |row| taken(key, row)));
            prop_assert_eq!(held.unwrap(), owed.unwrap(), "{:?}", key);
        }
        for (from, until, limit) in ranges {
            let (from, until) = (from.get(&keys), until.get(&keys));
            let held = block_on(both.scan(from, until, limit)).unwrap();
            let owed = block_on(stores.one.scan(from, until, limit)).unwrap();
            prop_assert_eq!(held, owed, "{:?} to {:?}, {}", from, until, limit);
            let held = block_on(both.select(from, until, limit, taken)).unwrap();
            let owed = block_on(stores.one.select(from, until, limit, taken)).unwrap();
            prop_assert_eq!(held, owed, "{:?} to {:?}, {}", from, until, limit);
        }
    }

    #[test]
    fn a_decision_sees_one_store_and_writes_to_the_hot_one(
        left in prop::collection::vec(any::<(bool, bool, bool)>(), ENTRIES as usize),
        asked in prop::collection::vec(any::<prop::sample::Index>(), 30),
    ) {
        let Stores { one, mut hot, cold } = stores(&left);
        let all: Vec<Key> = one.rows().keys().copied().collect();
        let mut asked: Vec<Key> = asked.iter().map(|index| *index.get(&all)).collect();
        asked.sort_unstable();
        asked.dedup();
        let before = cold.rows().clone();
        let seen = Mutex::new(Vec::new());
        let changed = asked[0];
        let record = Arc::new(Record::Code);
        let mut both = Tiered::new(&mut hot, &cold);
        block_on(both.transact(asked.clone(), |loaded| {
            seen.lock().unwrap().clone_from(loaded);
            vec![(changed, Some(Arc::clone(&record)))]
        })).unwrap();
        for (key, row) in seen.into_inner().unwrap() {
            prop_assert_eq!(row.as_deref(), one.rows().get(&key).map(AsRef::as_ref));
        }
        prop_assert_eq!(cold.rows(), &before, "the archive is only read");
        prop_assert_eq!(hot.rows().get(&changed).map(AsRef::as_ref), Some(&Record::Code));
    }
}

#[test]
fn another_archive_shows_nothing() {
    let Stores { hot, mut cold, .. } = stores(&vec![(true, true, false); ENTRIES as usize]);
    let books = Archive { id: 6, step: 9, ..Archive::default() };
    cold.plant(Key::Archive, Some(Arc::new(Record::Archive(books))));
    let both = Tiered::new(&hot, &cold);
    assert_eq!(block_on(both.get(&Key::Entry(epoch(1), 1))).unwrap(), None);
    let page = block_on(both.scan(&Key::Entry(epoch(1), 1), &Key::Entry(epoch(2), 9), 100));
    assert_eq!(page.unwrap(), Vec::new());
}
