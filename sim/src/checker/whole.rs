//! Laws of a whole disk: a till's, the cloud's, and both after everything has drained.

use std::collections::BTreeMap;
use std::sync::Arc;

use counterfoil_protocol::cloud::row::{Fate, Ledger};
use counterfoil_protocol::cloud::{self, Site};
use counterfoil_protocol::event::Figures;
use counterfoil_protocol::hash::{genesis, payload_hash};
use counterfoil_protocol::identity::{ProductId, TerminalId};
use counterfoil_protocol::terminal;
use counterfoil_protocol::terminal::row::Seen;

use super::{Checker, CloudRows, Fact, Mirror, TillRows, states};
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
        let mut stock: BTreeMap<ProductId, i64> = BTreeMap::new();
        for fact in &self.devices[device].owed {
            let Some(committed) = self.committed.get(fact) else { continue };
            let key = committed.key;
            let known = rows.get(&terminal::Key::Local(key.pos, key.local_id)).map(Arc::as_ref);
            let place = match known.and_then(Seen::of).map(|seen| seen.known) {
                Some(known) if known.payload_hash == committed.payload => known.place,
                _ => {
                    return self.tally.check(Law::NeverForgotten, at_ms, false, || {
                        format!("{key} was committed here and is not known any more")
                    });
                }
            };
            let states = states(rows, meta, place);
            self.tally.check(Law::NeverForgotten, at_ms, states == 1, || {
                format!("{key} at {} {} is in {states} states", place.epoch, place.seq)
            })?;
            for (product, delta) in &committed.moves {
                *stock.entry(*product).or_default() += delta;
            }
        }
        for (product, delta) in self.devices[device].applied.values() {
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

    /// The cloud's whole disk, at any instant.
    ///
    /// # Errors
    /// The first law that does not hold.
    pub fn cloud_whole(&mut self, at_ms: u64, rows: &CloudRows) -> Result<(), Violation> {
        let mut stock = self.ordered(at_ms, rows)?;
        let mut held: BTreeMap<(Site, ProductId), i64> = BTreeMap::new();
        let mut events = 0;
        let mut posted = 0;
        for (key, record) in rows {
            match (key, &**record) {
                (cloud::Key::Ledger(key), cloud::Record::Ledger(row))
                    if row.fate == Fate::Posted =>
                {
                    events += 1;
                    let journaled = journaled(rows, key.terminal, row);
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
                let (key, hash) = (committed.key, committed.payload);
                let held = match rows.get(&cloud::Key::Ledger(key)).map(Arc::as_ref) {
                    Some(cloud::Record::Ledger(row)) => payload_hash(&row.payload) == hash,
                    _ => false,
                };
                // A name that was used twice (B.2): the second content is kept beside the first.
                let kept = match rows.get(&cloud::Key::Conflict(key, hash)).map(Arc::as_ref) {
                    Some(cloud::Record::Conflict(kept)) => payload_hash(&kept.payload) == hash,
                    _ => false,
                };
                self.tally.check(Law::ZeroLoss, at_ms, held || kept, || {
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

/// Returns whether the journal that brought an event holds it at the place that is noted.
fn journaled(rows: &CloudRows, terminal: TerminalId, row: &Ledger) -> bool {
    let number = (row.seq - 1) / 16;
    let index = ((row.seq - 1) % 16) as usize;
    match rows.get(&cloud::Key::Segment(terminal, row.epoch, number)).map(Arc::as_ref) {
        Some(cloud::Record::Segment(segment)) => {
            segment.payloads.get(index) == Some(&row.payload_hash)
        }
        _ => false,
    }
}
