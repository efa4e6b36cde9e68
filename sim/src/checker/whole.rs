//! Laws of a whole disk: a till's, the cloud's, and both after everything has drained.

use std::sync::Arc;

use counterfoil_protocol::cloud::row::{Fate, Ledger};
use counterfoil_protocol::cloud::{self, Site};
use counterfoil_protocol::event::Figures;
use counterfoil_protocol::hash::genesis;
use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId, ProductId, TerminalId};
use counterfoil_protocol::journal::Segment;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::terminal;
use counterfoil_protocol::terminal::row::{Entry, Meta, Seen};

use super::fact::{Fact, Table};
use super::state::states;
use super::{Checker, CloudRows, Mirror, TillRows, TillWrites};
use crate::law::{Law, Violation};

impl Checker {
    /// A till's whole disk, at any instant.
    ///
    /// # Errors
    /// The first law that does not hold.
    pub fn till_whole(
        &mut self,
        at_ms: u64,
        device: usize,
        rows: &TillRows,
    ) -> Result<(), Violation> {
        let Some(terminal::Record::Meta(meta)) = rows.get(&terminal::Key::Meta).map(Arc::as_ref)
        else {
            return Ok(());
        };
        let mut stock: Table<ProductId, i64> = Table::default();
        let owed = &self.devices[device].owed;
        let mut found = 0;
        let states = States::of(rows, meta);
        for (key, record) in rows.range(FIRST_LOCAL..) {
            let terminal::Key::Local(pos, local_id) = key else { break };
            let Some(Seen { known, .. }) = Seen::of(record) else { continue };
            let fact = Fact::new(self.devices[device].identity.terminal, known.payload_hash);
            let Some(committed) = self.committed.get(&fact) else { continue };
            let key = committed.key;
            let named = (key.pos, key.local_id) == (*pos, *local_id);
            if !named || committed.payload != known.payload_hash || !owed.contains(&fact) {
                continue;
            }
            found += 1;
            let (place, states) = (known.place, states.at(known.place));
            self.tally.check(Law::NeverForgotten, at_ms, states == 1, || {
                format!("{key} at {} {} is in {states} states", place.epoch, place.seq)
            })?;
            // What another has the place of moves nothing, until it counts after all.
            let counts = !self.devices[device].replaced.contains(&fact);
            for (product, delta) in &committed.moves {
                *stock.entry(*product).or_default() += if counts { *delta } else { 0 };
            }
        }
        if found < owed.iter().filter(|fact| self.committed.contains_key(fact)).count() {
            return self.forgotten(at_ms, device, rows);
        }
        for (product, delta) in &self.devices[device].moved {
            *stock.entry(*product).or_default() += delta;
        }
        for (product, sum) in stock {
            let held = match rows.get(&terminal::Key::Stock(product)).map(Arc::as_ref) {
                Some(terminal::Record::Stock(stock)) => stock.quantity.0,
                _ => 0,
            };
            self.tally.check(Law::StockIsSum, at_ms, held == sum, || {
                format!("a till holds {held} of {product}, its movements are {sum}")
            })?;
        }
        Ok(())
    }

    /// Names what a till has committed and does not know any more.
    fn forgotten(&mut self, at_ms: u64, device: usize, rows: &TillRows) -> Result<(), Violation> {
        let owed = self.devices[device].owed.iter();
        let lost = owed.filter_map(|fact| self.committed.get(fact)).find(|committed| {
            let key = terminal::Key::Local(committed.key.pos, committed.key.local_id);
            let seen = rows.get(&key).and_then(|record| Seen::of(record));
            seen.is_none_or(|seen| seen.known.payload_hash != committed.payload)
        });
        let key = lost.map(|lost| lost.key);
        self.tally.check(Law::NeverForgotten, at_ms, false, || {
            format!("{key:?} was committed here and is not known any more")
        })
    }

    /// The cloud's whole disk, at any instant.
    ///
    /// # Errors
    /// The first law that does not hold.
    pub fn cloud_whole(&mut self, at_ms: u64, rows: &CloudRows) -> Result<(), Violation> {
        let mut stock = self.ordered(at_ms, rows)?;
        let mut held: Table<(Site, ProductId), i64> = Table::default();
        let mut segments: Table<(TerminalId, Epoch, u64), &Segment> = Table::default();
        let mut events = 0;
        let mut posted = 0;
        for (key, record) in rows {
            match (key, &**record) {
                (cloud::Key::Ledger(key), cloud::Record::Ledger(row))
                    if row.fate == Fate::Posted =>
                {
                    events += 1;
                    // The rows of journals stand before those of the ledger.
                    let place = (key.terminal, row.epoch, (row.seq - 1) / 16);
                    let segment = segments.get(&place);
                    let journaled = segment.is_some_and(|segment| journaled(segment, row));
                    self.tally.check(Law::JournalIntact, at_ms, journaled, || {
                        format!("{key} is posted, and its journal does not hold it")
                    })?;
                    let fact = Fact::new(key.terminal, row.payload_hash);
                    let Some(committed) = self.committed.get(&fact) else { continue };
                    for (product, delta) in &committed.moves {
                        *stock.entry((row.site, *product)).or_default() += delta;
                    }
                }
                (cloud::Key::Lane(terminal, epoch), cloud::Record::Lane(lane)) => {
                    posted += lane.posted.events;
                    let fresh = Mirror { head: 0, hash: genesis(*terminal, *epoch) };
                    let mirror = *self.lanes.get(&(*terminal, *epoch)).unwrap_or(&fresh);
                    let holds = mirror == Mirror { head: lane.head, hash: lane.hash };
                    self.tally.check(Law::JournalIntact, at_ms, holds, || {
                        format!("{terminal} {epoch}: the head is not the end of its chain")
                    })?;
                }
                (cloud::Key::Segment(terminal, epoch, number), cloud::Record::Segment(segment)) => {
                    segments.insert((*terminal, *epoch, *number), segment);
                }
                (cloud::Key::Stock(shop, branch, product), cloud::Record::Stock(row)) => {
                    let site = Site { shop: *shop, branch: *branch };
                    *held.entry((site, *product)).or_default() += row.quantity.0;
                }
                (cloud::Key::Movements(shop, branch, _), cloud::Record::Movements(moved)) => {
                    let site = Site { shop: *shop, branch: *branch };
                    for moved in moved {
                        *held.entry((site, moved.product)).or_default() += moved.by.quantity.0;
                    }
                }
                _ => {}
            }
        }
        self.tally.check(Law::NoDuplicate, at_ms, events == posted, || {
            format!("{events} events are posted, the totals count {posted}")
        })?;
        for ((site, product), sum) in stock {
            let held = held.get(&(site, product)).copied().unwrap_or_default();
            self.tally.check(Law::StockIsSum, at_ms, held == sum, || {
                format!("{} holds {held} of {product}, its movements are {sum}", site.branch)
            })?;
        }
        Ok(())
    }

    /// The cloud's whole disk after everything has been healed and drained.
    ///
    /// # Errors
    /// The first sale that is missing.
    pub fn drained(&mut self, at_ms: u64, rows: &CloudRows) -> Result<(), Violation> {
        for (number, device) in self.devices.iter().enumerate() {
            for fact in &device.owed {
                let Some(committed) = self.committed.get(fact) else { continue };
                let key = committed.key;
                // What another has the place of need not come: that one is owed as well.
                let held = device.replaced.contains(fact) || self.is_held(committed, rows);
                self.tally.check(Law::ZeroLoss, at_ms, held, || {
                    format!("{key} was committed on device {number} and is not in the cloud")
                })?;
            }
        }
        Ok(())
    }

    /// The cloud's sums after real sales: to the cent those of the file.
    ///
    /// # Errors
    /// [`Law::ZeroLoss`] if they differ.
    pub fn sums(
        &mut self,
        at_ms: u64,
        rows: &CloudRows,
        expected: Figures,
    ) -> Result<(), Violation> {
        let mut found = Figures::default();
        for record in rows.values() {
            if let cloud::Record::Lane(lane) = &**record {
                found = found.plus(lane.posted);
            }
        }
        self.tally.check(Law::ZeroLoss, at_ms, found == expected, || {
            format!("the file has {expected:?}, the cloud {found:?}")
        })
    }
}

/// Returns whether the part of the journal that brought an event holds it at the place that is
/// noted.
fn journaled(segment: &Segment, row: &Ledger) -> bool {
    let index = ((row.seq - 1) % 16) as usize;
    segment.payloads.get(index) == Some(&row.payload_hash)
}

/// Sorts before or with every name of an event.
const FIRST_LOCAL: terminal::Key =
    terminal::Key::Local(PosId(Label::FIRST), LocalEventId(Label::FIRST));

/// What kinds of rows a till's commit has written: most have neither, and need not be looked
/// through for them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wrote {
    /// Of the catalog, and of what lies over it.
    pub(super) catalog: bool,
    /// Of the inbox.
    pub(super) inbox: bool,
}

impl Wrote {
    pub(super) fn of(written: &TillWrites) -> Self {
        let mut wrote = Self::default();
        for (key, _) in written {
            use terminal::Key::{Catalog, Inbox, Item, LocalEdits, Movement};
            wrote.catalog |= matches!(key, Catalog | Item(_) | LocalEdits);
            wrote.inbox |= matches!(key, Movement(_) | Inbox);
        }
        wrote
    }
}

/// A till's journals as they stand, each place looked up often.
pub(super) struct States<'a> {
    meta: &'a Meta,
    entries: Vec<((Epoch, u64), &'a Entry)>,
    waiting: Vec<(Epoch, u64)>,
    attention: Vec<(Epoch, u64)>,
}

impl<'a> States<'a> {
    /// Reads all of them.
    fn of(rows: &'a TillRows, meta: &'a Meta) -> Self {
        let last = Epoch { number: u32::MAX, nonce: u64::MAX };
        Self::between(rows, meta, (Epoch::default(), 0), (last, u64::MAX))
    }

    /// Reads those from one place to another.
    pub(super) fn between(
        rows: &'a TillRows,
        meta: &'a Meta,
        (epoch, first): (Epoch, u64),
        (until, last): (Epoch, u64),
    ) -> Self {
        use terminal::Key::{Attention, Entry, Queue};
        let entries = rows.range(Entry(epoch, first)..=Entry(until, last));
        let entries = entries.filter_map(|(key, record)| match (key, &**record) {
            (Entry(epoch, seq), terminal::Record::Entry(entry)) => Some(((*epoch, *seq), entry)),
            _ => None,
        });
        let waiting = rows.range(Queue(epoch, first)..=Queue(until, last));
        let waiting = waiting.filter_map(|(key, _)| {
            let Queue(epoch, seq) = key else { return None };
            Some((*epoch, *seq))
        });
        let attention = rows.range(Attention(epoch, first)..=Attention(until, last));
        let attention = attention.filter_map(|(key, _)| {
            let Attention(epoch, seq) = key else { return None };
            Some((*epoch, *seq))
        });
        Self {
            meta,
            entries: entries.collect(),
            waiting: waiting.collect(),
            attention: attention.collect(),
        }
    }

    /// Returns in how many of the three durable states the entry at a place is.
    pub(super) fn at(&self, place: terminal::Place) -> usize {
        let named = (place.epoch, place.seq);
        let Ok(entry) = self.entries.binary_search_by(|(held, _)| held.cmp(&named)) else {
            return 0;
        };
        let waits = self.waiting.binary_search(&named).is_ok();
        let attention = self.attention.binary_search(&named).is_ok();
        states(self.meta, place, self.entries[entry].1, waits, attention)
    }
}
