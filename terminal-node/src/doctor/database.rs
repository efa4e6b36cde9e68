//! The database, row by row: does the journal's chain verify, is each event found by its name, is
//! the stock the sum of what moved it, and what waits?
//!
//! It is read a page at a time while the till sells; what was sold meanwhile is counted at the end,
//! over rows that are held still.

use std::collections::BTreeMap;

use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::{Hash, genesis, link, payload_hash};
use counterfoil_protocol::identity::{Epoch, ProductId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::terminal::migrate::{self, SCHEMA_VERSION};
use counterfoil_protocol::terminal::row::{Entry, Meta, Seen, State};
use counterfoil_protocol::terminal::{Key, Place, Record, pull};
use serde::Serialize;

use super::Finding;
use crate::books::PAGE;
use crate::till::{Reading, Till, TillError, TillStore, storage_failed};

/// The most problems that are told one by one.
const TOLD_MAX: usize = 5;
/// The most entries and products that are looked at while everything else waits.
const HELD_MAX: usize = 4096;

/// What was found wrong, counted, and the first few in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Problems {
    count: u64,
    told: Vec<String>,
}

impl Problems {
    fn note(&mut self, told: impl FnOnce() -> String) {
        self.count += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(told());
        }
    }

    fn finding(&self, check: &str, well: String) -> Finding {
        if self.count == 0 {
            return Finding::ok(check, well);
        }
        let told = self.told.join("; ");
        let rest = self.count - self.told.len() as u64;
        let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
        Finding::fail(
            check,
            format!("{told}{more}"),
            "the database is not what was written into it: the disk or a program has damaged it",
            "keep the directory as it is, run `terminal-node export` and `terminal-node bundle`, \
             and restore a backup; the new history that begins then sends what the cloud lacks",
        )
    }
}

/// The chain of one history, as far as it was walked.
struct Chain {
    epoch: Epoch,
    next: u64,
    hash: Hash,
}

#[derive(Default)]
struct Walk {
    chain: Problems,
    names: Problems,
    stock: BTreeMap<ProductId, i128>,
    /// The last movement of the inbox that is added up.
    moved: u64,
    entries: u64,
    current: Option<Chain>,
    ends: BTreeMap<Epoch, (u64, Hash)>,
}

impl<S: TillStore> Till<S> {
    /// Looks at the whole database.
    ///
    /// # Errors
    /// The store's: then a row cannot be read at all.
    pub async fn examine(&self) -> Result<Vec<Finding>, TillError> {
        let meta = self.meta().await?;
        let mut walk = Walk::default();
        let mut after = None;
        loop {
            let page = self.journal(after).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            let reading = self.reading().await?;
            for (place, entry) in &page {
                walk.entry(&meta, *place, entry);
                walk.name(&reading, *place, entry).await?;
            }
        }
        self.movements(&mut walk).await?;
        let stock = self.stock_finding(&meta, &mut walk, after).await?;
        walk.ends(&meta);
        let entries = walk.entries;
        let well = format!("{entries} entries, each follows from the one before");
        let found = format!("{entries} entries are found by their names");
        let mut findings = vec![self.tables().await?];
        findings.push(walk.chain.finding("journal", well));
        findings.push(walk.names.finding("names", found));
        findings.push(stock);
        findings.push(self.queue_finding().await?);
        Ok(findings)
    }

    async fn tables(&self) -> Result<Finding, TillError> {
        let reading = self.reading().await?;
        let version = migrate::version(&*reading).await.map_err(storage_failed)?;
        let whole = migrate::is_complete(&*reading).await.map_err(storage_failed)?;
        let found = format!("opens, tables of version {version}");
        if version == SCHEMA_VERSION && whole {
            return Ok(Finding::ok("database", found));
        }
        let means = "the index of barcodes is not whole: a look-up reads the whole catalog";
        let next = "let the daemon run, or `terminal-node sync`: either ends the migration";
        Ok(Finding::warn("database", found, means, next))
    }

    /// Adds up what came through the inbox.
    async fn movements(&self, walk: &mut Walk) -> Result<(), TillError> {
        loop {
            let reading = self.reading().await?;
            if walk.movements(&reading, PAGE).await? < PAGE {
                return Ok(());
            }
        }
    }

    /// Compares the stock with the sums, with all rows held still.
    async fn stock_finding(
        &self,
        before: &Meta,
        walk: &mut Walk,
        after: Option<Place>,
    ) -> Result<Finding, TillError> {
        let busy = |why: &str| {
            let next = "look again in a minute";
            Ok(Finding::warn("stock", "not compared", why, next))
        };
        let reading = self.reading().await?;
        let now = pull::meta(&*reading).await.map_err(storage_failed)?;
        let now = now.ok_or(TillError::NotInstalled(None))?;
        if now.epoch != before.epoch || before.backlog().adopting || now.backlog().adopting {
            return busy("entries of a closed history are being carried over");
        }
        let from =
            after.map_or(1, |after| if after.epoch == now.epoch { after.seq + 1 } else { 1 });
        let (first, end) = (Key::Entry(now.epoch, from), Key::Entry(now.epoch, u64::MAX));
        let page = Query::scan(&*reading, &first, &end, HELD_MAX).await.map_err(storage_failed)?;
        if page.len() == HELD_MAX {
            return busy("too much was sold while it was counted");
        }
        for (key, record) in page {
            if let (Key::Entry(epoch, seq), Record::Entry(entry)) = (key, record) {
                walk.entry(before, Place { epoch, seq }, &entry);
            }
        }
        if walk.movements(&reading, HELD_MAX).await? == HELD_MAX {
            return busy("too much came through the inbox while it was counted");
        }
        let mut problems = Problems::default();
        let mut products = 0_u64;
        let mut next = Key::Stock(ProductId(Label::FIRST));
        let end = Key::Stock(ProductId(Label::LAST));
        loop {
            let page = Query::scan(&*reading, &next, &end, PAGE).await.map_err(storage_failed)?;
            let full = page.len() == PAGE;
            for (key, record) in page {
                let (Key::Stock(product), Record::Stock(held)) = (key, record) else { continue };
                if key == next && products > 0 {
                    continue; // the last of the page before
                }
                next = key;
                products += 1;
                let sum = walk.stock.remove(&product).unwrap_or_default();
                if sum != i128::from(held.quantity.0) {
                    let stands = held.quantity.0;
                    problems.note(|| format!("{product}: {stands} stands there, {sum} was moved"));
                }
            }
            if !full {
                break;
            }
        }
        for (product, sum) in walk.stock.iter().filter(|(_, sum)| **sum != 0) {
            problems.note(|| format!("{product}: no stock stands there, {sum} was moved"));
        }
        Ok(problems.finding("stock", format!("{products} products, each the sum of what moved it")))
    }

    async fn queue_finding(&self) -> Result<Finding, TillError> {
        let status = self.status().await?;
        let (pending, attention) = (status.pending, status.needs_attention);
        let found = format!("{pending} wait, {attention} need attention, {} synced", status.synced);
        if let Some(denial) = status.quarantined {
            let means = "the cloud does not listen to this till; it sells on and keeps everything";
            return Ok(Finding::fail("queue", found, means, denial.explain()));
        }
        if attention > 0 {
            let means = "the cloud keeps what it cannot post; a person must look at it";
            let next = "`terminal-node queue` says why; then `terminal-node retry`";
            return Ok(Finding::warn("queue", found, means, next));
        }
        Ok(Finding::ok("queue", found))
    }
}

impl Walk {
    /// Walks the chain on, and adds up what an entry has moved.
    fn entry(&mut self, meta: &Meta, place: Place, entry: &Entry) {
        self.entries += 1;
        let Place { epoch, seq } = place;
        let same = self.current.as_ref().is_some_and(|chain| chain.epoch == epoch);
        if !same {
            let hash = genesis(meta.identity.terminal, epoch);
            self.current = Some(Chain { epoch, next: 1, hash });
        }
        let Some(chain) = &mut self.current else { return };
        if seq != chain.next {
            let missing = chain.next;
            self.chain.note(|| format!("{epoch}/{missing}: missing"));
        } else if payload_hash(&entry.payload) != entry.payload_hash {
            self.chain.note(|| format!("{epoch}/{seq}: the event is not that of its digest"));
        } else if link(chain.hash, seq, entry.payload_hash) != entry.chain {
            self.chain.note(|| format!("{epoch}/{seq}: it does not follow from the one before"));
        }
        *chain = Chain { epoch, next: seq + 1, hash: entry.chain };
        let head = if epoch == meta.epoch {
            Some(meta.head)
        } else {
            meta.closed.iter().find(|closed| closed.epoch == epoch).map(|closed| closed.head)
        };
        if head == Some(seq) {
            self.ends.insert(epoch, (seq, entry.chain));
        }
        // What another counts in the place of moves nothing.
        if matches!(entry.state, State::Moved(_) | State::Replaced(_)) {
            return;
        }
        match Event::from_canonical(&entry.payload) {
            Ok(event) => {
                for moved in event.movements() {
                    *self.stock.entry(moved.product).or_default() += i128::from(moved.delta.0);
                }
            }
            Err(error) => self.chain.note(|| format!("{epoch}/{seq}: {error}")),
        }
    }

    /// Adds up further movements of the inbox, and returns how many.
    async fn movements<S: TillStore>(
        &mut self,
        reading: &Reading<'_, S>,
        most: usize,
    ) -> Result<usize, TillError> {
        let (first, end) = (Key::Movement(self.moved + 1), Key::Movement(u64::MAX));
        let page = Query::scan(&**reading, &first, &end, most).await.map_err(storage_failed)?;
        let found = page.len();
        for (key, record) in page {
            if let (Key::Movement(number), Record::Movement(movement)) = (key, record) {
                self.moved = number;
                *self.stock.entry(movement.product).or_default() += i128::from(movement.delta.0);
            }
        }
        Ok(found)
    }

    /// Looks whether an event is found where its name says.
    async fn name<S: TillStore>(
        &mut self,
        reading: &Reading<'_, S>,
        place: Place,
        entry: &Entry,
    ) -> Result<(), TillError> {
        let Place { epoch, seq } = place;
        if let State::Moved(to) = entry.state {
            let moved = Query::get(&**reading, &Key::Entry(to.epoch, to.seq)).await;
            let arrived = matches!(moved.map_err(storage_failed)?,
                Some(Record::Entry(moved)) if moved.payload_hash == entry.payload_hash);
            if !arrived {
                self.names
                    .note(|| format!("{epoch}/{seq}: it is not where it was carried over to"));
            }
            return Ok(());
        }
        let row = Query::get(&**reading, &Key::Local(entry.pos, entry.local_id)).await;
        let row = row.map_err(storage_failed)?;
        let known = row.as_ref().and_then(Seen::of).map(|seen| seen.known);
        // It may have been carried over since the page was read.
        let later = known.is_some_and(|known| known.place.epoch.number > epoch.number);
        let right = known.is_some_and(|known| {
            known.payload_hash == entry.payload_hash && (known.place == place || later)
        });
        if !right {
            self.names.note(|| format!("{epoch}/{seq}: its name leads elsewhere"));
        }
        Ok(())
    }

    /// Compares where the histories end with what the books say.
    fn ends(&mut self, meta: &Meta) {
        let closed = meta.closed.iter().map(|closed| (closed.epoch, closed.head, closed.hash));
        for (epoch, head, hash) in closed.chain([(meta.epoch, meta.head, meta.hash)]) {
            if head > 0 && self.ends.get(&epoch) != Some(&(head, hash)) {
                self.chain.note(|| format!("{epoch}: it does not end as the books say"));
            }
        }
    }
}
