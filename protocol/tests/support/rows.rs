//! Rows of both roles, read in the tests' own words, and the laws as functions over databases.

use std::collections::BTreeMap;

use counterfoil_protocol::cloud::{self, row::Fate, row::Stock};
use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::{Hash, genesis, payload_hash};
use counterfoil_protocol::identity::{Epoch, EventKey, ProductId};
use counterfoil_protocol::journal::{SEGMENT_ENTRIES, Segment};
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::terminal::row::{Entry, State};
use counterfoil_protocol::terminal::{self, Place};

use super::{Node, Till, terminal_id};

pub fn ledger(node: &Node) -> BTreeMap<EventKey, cloud::row::Ledger> {
    let rows = node.store.rows.iter();
    rows.filter_map(|(key, record)| match (key, record) {
        (cloud::Key::Ledger(key), cloud::Record::Ledger(ledger)) => Some((*key, ledger.clone())),
        _ => None,
    })
    .collect()
}

pub fn lanes(node: &Node) -> BTreeMap<Epoch, cloud::row::Lane> {
    let rows = node.store.rows.iter();
    rows.filter_map(|(key, record)| match (key, record) {
        (cloud::Key::Lane(_, epoch), cloud::Record::Lane(lane)) => Some((*epoch, lane.clone())),
        _ => None,
    })
    .collect()
}

pub fn forks(node: &Node) -> Vec<cloud::row::Fork> {
    let rows = node.store.rows.values();
    rows.filter_map(|record| match record {
        cloud::Record::Fork(fork) => Some(*fork),
        _ => None,
    })
    .collect()
}

pub fn entries(till: &Till) -> BTreeMap<Place, Entry> {
    let rows = till.store.rows.iter();
    rows.filter_map(|(key, record)| match (key, record) {
        (terminal::Key::Entry(epoch, seq), terminal::Record::Entry(entry)) => {
            Some((Place { epoch: *epoch, seq: *seq }, entry.clone()))
        }
        _ => None,
    })
    .collect()
}

pub fn queued(till: &Till, place: Place) -> Option<terminal::row::Queued> {
    match till.store.rows.get(&terminal::Key::Queue(place.epoch, place.seq)) {
        Some(terminal::Record::Queue(queued)) => Some(*queued),
        _ => None,
    }
}

pub fn attention(till: &Till, place: Place) -> Option<terminal::row::Attention> {
    match till.store.rows.get(&terminal::Key::Attention(place.epoch, place.seq)) {
        Some(terminal::Record::Attention(attention)) => Some(*attention),
        _ => None,
    }
}

pub fn event(payload: &[u8]) -> Event {
    Event::from_canonical(payload).unwrap()
}

/// `JournalIntact`: in each history no gap, and the chain verifies up to its head.
pub fn journal_intact(node: &Node) {
    for (epoch, lane) in lanes(node) {
        let mut chain = genesis(terminal_id(), epoch);
        for seq in 1..=lane.head {
            let key = cloud::Key::Segment(terminal_id(), epoch, Segment::number(seq));
            let Some(cloud::Record::Segment(segment)) = node.store.rows.get(&key) else {
                panic!("JournalIntact: {epoch} lacks the segment of entry {seq}");
            };
            if (seq - 1) % SEGMENT_ENTRIES == 0 {
                assert_eq!(segment.start, chain, "JournalIntact: a segment starts at its chain");
            }
            chain = segment.chain_at(seq).expect("JournalIntact: no gap");
        }
        assert_eq!(chain, lane.hash, "JournalIntact: the head of {epoch} verifies");
    }
}

/// `StockIsSum` and `NoDuplicate`: stock and figures are those of each posted event, once.
pub fn stock_is_sum(node: &Node) {
    let mut expected: BTreeMap<ProductId, (Milli, u64)> = BTreeMap::new();
    let mut posted = counterfoil_protocol::event::Figures::default();
    for ledger in ledger(node).values().filter(|ledger| ledger.fate == Fate::Posted) {
        let event = event(&ledger.payload);
        posted = posted.plus(event.figures());
        for movement in event.movements() {
            let sum = expected.entry(movement.product).or_default();
            *sum = (Milli(sum.0.0 + movement.delta.0), sum.1 + 1);
        }
    }
    assert_eq!(stock(node), expected, "StockIsSum, NoDuplicate");
    let booked = lanes(node)
        .values()
        .fold(Default::default(), |sum: counterfoil_protocol::event::Figures, lane| {
            sum.plus(lane.posted)
        });
    assert_eq!(booked, posted, "NoDuplicate: totals count each event once");
}

/// The stock of each product, and how many movements made it: the stock rows and what was moved
/// since they were rolled up.
pub fn stock(node: &Node) -> BTreeMap<ProductId, (Milli, u64)> {
    let mut held: BTreeMap<ProductId, (Milli, u64)> = BTreeMap::new();
    let mut add = |product, by: Stock| {
        let sum = held.entry(product).or_default();
        *sum = (Milli(sum.0.0 + by.quantity.0), sum.1 + by.movements);
    };
    for (key, record) in &node.store.rows {
        match (key, record) {
            (cloud::Key::Stock(_, _, product), cloud::Record::Stock(stock)) => {
                add(*product, *stock)
            }
            (cloud::Key::Movements(..), cloud::Record::Movements(moved)) => {
                moved.iter().for_each(|moved| add(moved.product, moved.by));
            }
            _ => {}
        }
    }
    held
}

/// `NoPhantom`: whatever the cloud holds was committed by a till, byte for byte.
pub fn no_phantom(node: &Node, committed: &BTreeMap<EventKey, Hash>) {
    for (key, ledger) in ledger(node) {
        assert_eq!(committed.get(&key), Some(&ledger.payload_hash), "NoPhantom: {key}");
        assert_eq!(payload_hash(&ledger.payload), ledger.payload_hash, "NoPhantom: {key}");
    }
}

/// `ZeroLoss`: whatever is on the till's disk is in the cloud, with its effects.
pub fn zero_loss(till: &Till, node: &Node) {
    let ledger = ledger(node);
    for entry in entries(till).values() {
        let key = event(&entry.payload).key(terminal_id());
        let held = ledger.get(&key).unwrap_or_else(|| panic!("ZeroLoss: {key} is missing"));
        assert_eq!(held.payload_hash, entry.payload_hash, "ZeroLoss: {key}");
    }
}

/// `NeverForgotten`: each entry is in exactly one of: queued or in flight, synced, needs
/// attention, or carried over to a place of which the same is true. One that another has the place
/// of is in none.
pub fn never_forgotten(till: &Till) {
    let meta = till.meta();
    let all = entries(till);
    for (place, entry) in &all {
        let waits = queued(till, *place).is_some();
        let looked_at = attention(till, *place).is_some();
        let closed = meta.closed.iter().find(|closed| closed.epoch == place.epoch);
        let offered = match closed {
            None => place.epoch == meta.epoch && place.seq > meta.acked,
            Some(closed) => place.seq >= closed.next,
        };
        let places = usize::from(waits) + usize::from(looked_at);
        match entry.state {
            State::Open => assert_eq!(places, 1, "NeverForgotten: {place:?} is in one place"),
            State::Synced(_) => assert!(
                places == 0 || offered,
                "NeverForgotten: {place:?} is synced and nothing else"
            ),
            State::Replaced(_) => assert_eq!(places, 0, "NeverForgotten: {place:?} is replaced"),
            State::Moved(to) => {
                assert_eq!(places, 0, "NeverForgotten: {place:?} has left");
                assert_eq!(
                    all.get(&to).map(|moved| moved.payload_hash),
                    Some(entry.payload_hash),
                    "NeverForgotten: {place:?} has arrived"
                );
            }
        }
    }
}

/// Every law that must hold at any instant.
pub fn always(till: &Till, node: &Node, committed: &BTreeMap<EventKey, Hash>) {
    journal_intact(node);
    stock_is_sum(node);
    no_phantom(node, committed);
    never_forgotten(till);
}

/// What a till in step with its cloud looks like.
pub fn at_rest(till: &Till, node: &Node) {
    zero_loss(till, node);
    let meta = till.meta();
    let lane = &lanes(node)[&meta.epoch];
    assert_eq!((lane.head, lane.hash), (meta.head, meta.hash), "in step");
    assert_eq!(meta.acked, meta.head, "each entry was answered");
    assert!(!meta.backlog().adopting, "nothing is left to carry over");
}
