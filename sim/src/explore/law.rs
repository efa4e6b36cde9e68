//! What must hold of a part, and of a state: predicates of their own.
//!
//! They share with what they check the types of the rows, the codec and the hashes. The checkers
//! of the other levels watch a run go by; these look at what is there, so that it does not matter
//! which of many ways has led to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use counterfoil_protocol::cloud::row::Fate;
use counterfoil_protocol::cloud::{self, Cloud};
use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::{genesis, link, payload_hash};
use counterfoil_protocol::identity::{Epoch, EventKey, ProductId, TerminalId};
use counterfoil_protocol::terminal::row::{Entry, Meta, Seen, State as Synced};
use counterfoil_protocol::terminal::{self, Place, Terminal};
use counterfoil_protocol::wire::event::{BodyV1, EventV1};
use counterfoil_storage::memory::Image;

use super::part::{CloudDisk, Device, Fact};
use crate::law::Law;

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{law} is broken\n  expected: {expected}\n  found:    {found}")]
pub struct Broken {
    /// Which law.
    pub law: Law,
    /// What must hold.
    pub expected: String,
    /// What was there instead.
    pub found: String,
}

/// The laws that are checked in each state, or on each step.
pub const CHECKED: [Law; 11] = [
    Law::ZeroLoss,
    Law::NoDuplicate,
    Law::NoPhantom,
    Law::AckedIsDurable,
    Law::NeverForgotten,
    Law::JournalIntact,
    Law::StockIsSum,
    Law::ReceiptsGapless,
    Law::QueueDrains,
    Law::OutputAfterCommit,
    Law::NoPanic,
];

/// Returns the broken law, unless it holds.
pub(super) fn demand(
    law: Law,
    holds: bool,
    expected: impl fmt::Display,
    found: impl FnOnce() -> String,
) -> Result<(), Broken> {
    if holds {
        return Ok(());
    }
    Err(Broken { law, expected: expected.to_string(), found: found() })
}

/// Returns the books of a till.
pub(super) fn meta(image: &Image<Terminal>) -> Option<&Meta> {
    match image.rows().get(&terminal::Key::Meta).map(Arc::as_ref) {
        Some(terminal::Record::Meta(meta)) => Some(meta),
        _ => None,
    }
}

/// Returns an entry of a till's journal.
pub(super) fn entry(image: &Image<Terminal>, place: Place) -> Option<&Entry> {
    match image.rows().get(&terminal::Key::Entry(place.epoch, place.seq)).map(Arc::as_ref) {
        Some(terminal::Record::Entry(entry)) => Some(entry),
        _ => None,
    }
}

/// Returns what a till's disk believes to be in the cloud for good.
pub(super) fn synced(device: &Device) -> Vec<Fact> {
    let Some(meta) = meta(&device.image) else { return Vec::new() };
    let mut synced = BTreeSet::new();
    for (key, record) in device.image.rows() {
        let (terminal::Key::Entry(epoch, seq), terminal::Record::Entry(entry)) =
            (key, record.as_ref())
        else {
            continue;
        };
        let settled = matches!(entry.state, Synced::Synced(_));
        if settled && *seq <= settled_to(meta, *epoch) {
            let terminal = device.identity.terminal;
            let key = EventKey { terminal, pos: entry.pos, local_id: entry.local_id };
            synced.insert(Fact::new(&key, entry.payload_hash));
        }
    }
    synced.into_iter().collect()
}

/// Returns up to which entry of a history the till believes the cloud to have answered. Of a
/// history that it has forgotten it believes nothing.
pub(super) fn settled_to(meta: &Meta, epoch: Epoch) -> u64 {
    if epoch == meta.epoch {
        return meta.acked;
    }
    let closed = meta.closed.iter().find(|closed| closed.epoch == epoch);
    closed.map_or(0, |closed| closed.kept)
}

/// A till's disk, held against what the till has told its cashier.
pub(super) fn of_device(device: &Device) -> Result<(), Broken> {
    let Some(meta) = meta(&device.image) else {
        return demand(Law::NeverForgotten, false, "an installed till has books", || {
            "none".to_owned()
        });
    };
    let mut moved = 0;
    for sale in device.owed.sales.values() {
        let key = sale.key;
        let local = terminal::Key::Local(key.pos, key.local_id);
        let known = device.image.rows().get(&local).map(Arc::as_ref).and_then(Seen::of);
        let place = known
            .filter(|seen| seen.known.payload_hash == sale.payload)
            .map(|seen| seen.known.place);
        let held = place.and_then(|place| Some((place, entry(&device.image, place)?)));
        let Some((place, entry)) = held else {
            return demand(
                Law::NeverForgotten,
                false,
                format_args!("{key} was sold on machine {} and is on its disk", device.number),
                || "the disk does not know it".to_owned(),
            );
        };
        let states = states(device, meta, place, entry);
        demand(
            Law::NeverForgotten,
            states.len() == 1 && entry.payload_hash == payload_hash(&entry.payload),
            format_args!("{key} is in one of: queued, synced, needs attention"),
            || format!("entry {} of epoch {}: {states:?}", place.seq, place.epoch),
        )?;
        moved += sale.moved;
    }
    let mut stock = 0;
    for record in device.image.rows().values() {
        if let terminal::Record::Stock(held) = record.as_ref() {
            stock += held.quantity.0;
        }
    }
    demand(
        Law::StockIsSum,
        stock == moved,
        format_args!("the stock of machine {} is the sum of its movements, {moved}", device.number),
        || stock.to_string(),
    )
}

/// In flight is volatile: what is in flight is queued on the disk.
fn states(device: &Device, meta: &Meta, place: Place, entry: &Entry) -> Vec<&'static str> {
    let rows = device.image.rows();
    let waits = rows.contains_key(&terminal::Key::Queue(place.epoch, place.seq));
    let attention = rows.contains_key(&terminal::Key::Attention(place.epoch, place.seq));
    let offered = place.seq > settled_to(meta, place.epoch);
    let mut states = Vec::new();
    if waits || (offered && !attention) {
        states.push("queued");
    }
    if matches!(entry.state, Synced::Synced(_)) && !offered {
        states.push("synced");
    }
    if attention {
        states.push("needs attention");
    }
    states
}

/// What was read of the cloud's rows.
#[derive(Default)]
struct Books {
    posted: BTreeMap<Fact, EventKey>,
    held: BTreeSet<Fact>,
    /// What the posted events move, and what the stock rows and movements say.
    moved: BTreeMap<ProductId, i64>,
    stock: BTreeMap<ProductId, i64>,
    /// What the lanes' totals count.
    counted: (u64, i64),
    money: i64,
}

/// Seals the cloud's disk, after a change, and checks all that can be said of it alone.
pub(super) fn seal_cloud(image: Image<Cloud>) -> Result<CloudDisk, Broken> {
    let books = books(&image)?;
    let events = books.posted.len() as u64;
    demand(
        Law::NoDuplicate,
        (events, books.money) == books.counted,
        format_args!("the totals count {events} events of {}", books.money),
        || format!("{} events of {}", books.counted.0, books.counted.1),
    )?;
    demand(
        Law::StockIsSum,
        books.moved == books.stock,
        format_args!("the cloud's stock is the sum of what is posted, {:?}", books.moved),
        || format!("{:?}", books.stock),
    )?;
    let digest = super::part::Digester::new(b'C').rows(&image).end();
    let posted = books.posted.into_keys().collect();
    let held = books.held.into_iter().collect();
    let sights = super::sight::of_cloud(&image);
    Ok(CloudDisk { image, posted, held, sights, digest })
}

fn books(image: &Image<Cloud>) -> Result<Books, Broken> {
    let mut books = Books::default();
    let mut contents = BTreeSet::new();
    for (key, record) in image.rows() {
        match (key, record.as_ref()) {
            (cloud::Key::Ledger(key), cloud::Record::Ledger(row)) => {
                let payload = payload_hash(&row.payload);
                let fact = Fact::new(key, payload);
                books.held.insert(fact);
                if row.fate != Fate::Posted {
                    continue;
                }
                books.posted.insert(fact, *key);
                demand(
                    Law::NoDuplicate,
                    contents.insert(payload),
                    format_args!("the content of {key} is posted once"),
                    || "it is posted under another name too".to_owned(),
                )?;
                demand(
                    Law::JournalIntact,
                    journaled(image, key.terminal, row.epoch, row.seq) == Some(payload),
                    format_args!("{key} stands at {} of epoch {}", row.seq, row.epoch),
                    || "the journal does not hold it there".to_owned(),
                )?;
                add(&mut books, &row.payload);
            }
            (cloud::Key::Conflict(key, _), cloud::Record::Conflict(kept)) => {
                books.held.insert(Fact::new(key, payload_hash(&kept.payload)));
            }
            (cloud::Key::Lane(terminal, epoch), cloud::Record::Lane(lane)) => {
                books.counted.0 += lane.posted.events;
                books.counted.1 += lane.posted.money.0;
                let (head, hash) = chain(image, *terminal, *epoch);
                demand(
                    Law::JournalIntact,
                    (head, hash) == (lane.head, lane.hash),
                    format_args!("{terminal} {epoch}: the head {} is the chain's end", lane.head),
                    || format!("the rows make a chain of {head} entries, or another hash"),
                )?;
            }
            (cloud::Key::Stock(_, _, product), cloud::Record::Stock(row)) => {
                *books.stock.entry(*product).or_default() += row.quantity.0;
            }
            (cloud::Key::Movements(..), cloud::Record::Movements(moved)) => {
                for moved in moved {
                    *books.stock.entry(moved.product).or_default() += moved.by.quantity.0;
                }
            }
            _ => {}
        }
    }
    Ok(books)
}

/// Adds what an event moves and takes, read from its wire form.
fn add(books: &mut Books, payload: &[u8]) {
    let Ok(event) = Event::from_canonical(payload) else { return };
    let BodyV1::Sale(trade) = EventV1::from_event(&event).body else { return };
    for line in &trade.lines {
        *books.moved.entry(line.product_id).or_default() -= line.quantity_milli;
    }
    books.money += trade.payments.iter().map(|payment| payment.amount_minor).sum::<i64>();
}

/// Computes a journal from the payload hashes that its segments hold, without a gap.
fn chain(
    image: &Image<Cloud>,
    terminal: TerminalId,
    epoch: Epoch,
) -> (u64, counterfoil_protocol::hash::Hash) {
    let (mut head, mut hash) = (0, genesis(terminal, epoch));
    while let Some(payload) = journaled(image, terminal, epoch, head + 1) {
        head += 1;
        hash = link(hash, head, payload);
    }
    (head, hash)
}

fn journaled(
    image: &Image<Cloud>,
    terminal: TerminalId,
    epoch: Epoch,
    seq: u64,
) -> Option<counterfoil_protocol::hash::Hash> {
    let (number, index) = (seq.checked_sub(1)? / 16, (seq - 1) % 16);
    match image.rows().get(&cloud::Key::Segment(terminal, epoch, number)).map(Arc::as_ref) {
        Some(cloud::Record::Segment(segment)) => segment.payloads.get(index as usize).copied(),
        _ => None,
    }
}
