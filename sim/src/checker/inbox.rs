//! `InboxOnce`, and the inbox's part of `StockIsSum` and `BranchIsolation`, from what clouds and
//! tills durably store and from the acknowledgements that tills send.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use counterfoil_protocol::cloud::inbox::row::Stored;
use counterfoil_protocol::cloud::row::Fate;
use counterfoil_protocol::cloud::{self, InboxKey, InboxRecord, Site};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{ProductId, TerminalId};
use counterfoil_protocol::inbox::{EventId, InboxEvent, Reference};
use counterfoil_protocol::machine::Slot;
use counterfoil_protocol::terminal;
use counterfoil_protocol::terminal::inbox::Movement;
use counterfoil_protocol::wire::inbox::{Cursor, ReferenceV1};

use super::fact::{Fact, Names, Table};
use super::{Checker, CloudRows, CloudWrites, Device, TillRows, TillWrites, written_under};
use crate::law::{Law, Violation};

/// An event of a branch's inbox, as the checkers saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    id: EventId,
    chain: Hash,
    from: Option<TerminalId>,
}

/// The inboxes of all branches, as the cloud's commits have made them.
#[derive(Clone, Debug, Default)]
pub(super) struct Inboxes {
    told: BTreeMap<Site, Vec<Told>>,
    /// The names of those.
    names: BTreeMap<Site, Names<EventId>>,
    /// Branches whose tills hear of each other.
    relayed: BTreeSet<Site>,
}

/// Everything that the checkers remember of inventory events.
#[derive(Clone, Debug, Default)]
pub(super) struct Inbox {
    now: Inboxes,
    /// Those that a restore of the cloud has ended.
    former: Vec<Inboxes>,
    /// Every event that any of them has held, and whose it is: a name means one thing for ever.
    ever: Table<EventId, Box<(Site, InboxEvent, Option<TerminalId>)>>,
    /// How far each till has ever come in its branch's inbox, durably.
    reached: BTreeMap<TerminalId, u64>,
}

impl Inbox {
    pub(super) fn backup(&self) -> Inboxes {
        self.now.clone()
    }

    pub(super) fn restore(&mut self, backup: &Inboxes) {
        let former = std::mem::replace(&mut self.now, backup.clone());
        self.former.push(former);
    }
}

impl Checker {
    /// The cloud has committed: events are appended, one place after the other, and name
    /// themselves once and for ever.
    pub(super) fn inbox_committed(
        &mut self,
        at_ms: u64,
        sites: &BTreeSet<Site>,
        written: &CloudWrites,
    ) -> Result<(), Violation> {
        let mut fresh = Vec::new();
        for (key, record) in written {
            let cloud::Key::Inbox(key) = key else { continue };
            let record = match record.as_deref() {
                Some(cloud::Record::Inbox(record)) => Some(record),
                Some(_) | None => None,
            };
            match (key, record) {
                (InboxKey::Event(shop, branch, seq), record) => {
                    let site = Site { shop: *shop, branch: *branch };
                    self.tally.check(Law::BranchIsolation, at_ms, sites.contains(&site), || {
                        format!("the inbox of {branch} was written from another branch")
                    })?;
                    let stored = match record {
                        Some(InboxRecord::Event(stored)) => Some(stored),
                        Some(_) | None => None,
                    };
                    fresh.push(self.appended(at_ms, site, *seq, stored)?);
                }
                (InboxKey::Relay(shop, branch), Some(InboxRecord::Relay(on))) => {
                    let site = Site { shop: *shop, branch: *branch };
                    if *on {
                        self.inbox.now.relayed.insert(site);
                    } else {
                        self.inbox.now.relayed.remove(&site);
                    }
                }
                (InboxKey::Ack(_, _, terminal), Some(InboxRecord::Ack(acked))) => {
                    let reached = self.inbox.reached.get(terminal).copied().unwrap_or(0);
                    let (through, holds) = (acked.through, acked.through <= reached);
                    self.tally.check(Law::InboxOnce, at_ms, holds, || {
                        format!("{terminal} is noted as at {through}, it has come to {reached}")
                    })?;
                }
                (
                    InboxKey::Head(..)
                    | InboxKey::Ack(..)
                    | InboxKey::Order(..)
                    | InboxKey::Buffer(..)
                    | InboxKey::Relay(..),
                    _,
                ) => {}
            }
        }
        self.relayed(at_ms, written, &fresh)
    }

    fn appended(
        &mut self,
        at_ms: u64,
        site: Site,
        seq: u64,
        stored: Option<&Stored>,
    ) -> Result<InboxEvent, Violation> {
        let inbox = self.inbox.now.told.entry(site).or_default();
        let follows = seq == inbox.len() as u64 + 1;
        let event = stored.and_then(|stored| InboxEvent::from_canonical(&stored.content).ok());
        let names = self.inbox.now.names.entry(site).or_default();
        let once = event.is_some_and(|event| names.insert(event.id));
        self.tally.check(Law::InboxOnce, at_ms, follows && once, || {
            format!("{}: event {seq} is not appended as a new one", site.branch)
        })?;
        let (Some(stored), Some(event)) = (stored, event) else {
            unreachable!("what is no event was a violation")
        };
        inbox.push(Told { id: event.id, chain: stored.chain, from: stored.from });
        let ever = self.inbox.ever.entry(event.id);
        let (of, first, _) = &**ever.or_insert_with(|| Box::new((site, event, stored.from)));
        let same = *of == site
            && (first.product, first.delta) == (event.product, event.delta)
            && first.reference == event.reference;
        self.tally.check(Law::InboxOnce, at_ms, same, || {
            format!("{:?} names another event than before", event.id)
        })?;
        Ok(event)
    }

    /// Each movement of each sale that was posted is relayed where it is to be, and nowhere else.
    /// Of a group commit that has the switch in it, a sale may have been posted before or after
    /// that: it is relayed whole, or not at all.
    fn relayed(
        &mut self,
        at_ms: u64,
        written: &CloudWrites,
        fresh: &[InboxEvent],
    ) -> Result<(), Violation> {
        let told: BTreeSet<Reference> = fresh.iter().map(|event| event.reference).collect();
        let switch = |(key, _): &Slot<cloud::Key, cloud::Record>| {
            let cloud::Key::Inbox(InboxKey::Relay(shop, branch)) = key else { return None };
            Some(Site { shop: *shop, branch: *branch })
        };
        let switched: BTreeSet<Site> = written.iter().filter_map(switch).collect();
        let relayed = &self.inbox.now.relayed;
        let is_due = |site: Site, sale: Reference| {
            if switched.contains(&site) { told.contains(&sale) } else { relayed.contains(&site) }
        };
        let mut expected: BTreeMap<(Reference, ProductId), i64> = BTreeMap::new();
        for (key, record) in written {
            if let (cloud::Key::Ledger(key), Some(cloud::Record::Ledger(row))) =
                (key, record.as_deref())
                && row.fate == Fate::Posted
                && is_due(row.site, Reference::Sale(*key))
                && let Some(known) = self.committed.get(&Fact::new(key.terminal, row.payload_hash))
            {
                for (product, delta) in &known.moves {
                    *expected.entry((Reference::Sale(*key), *product)).or_default() += delta;
                }
            }
        }
        let mut found: BTreeMap<(Reference, ProductId), i64> = BTreeMap::new();
        for event in fresh.iter().filter(|event| matches!(event.reference, Reference::Sale(_))) {
            *found.entry((event.reference, event.product)).or_default() += event.delta.0;
        }
        self.tally.check(Law::InboxOnce, at_ms, expected == found, || {
            format!("sales moved {expected:?}, siblings are told {found:?}")
        })
    }

    /// A till has committed: each event it applies is new to it, of its branch, and not its own;
    /// what it notes of it is what the event says; and those of one commit stand in their order.
    pub(super) fn till_inbox(
        &mut self,
        at_ms: u64,
        device: usize,
        written: &TillWrites,
    ) -> Result<(), Violation> {
        let terminal = self.devices[device].identity.terminal;
        for (_, record) in written {
            if let Some(terminal::Record::Inbox(state)) = record.as_deref() {
                let reached = self.inbox.reached.entry(terminal).or_default();
                *reached = state.cursor.seq.max(*reached);
            }
        }
        let mut last = None;
        let movements = written.iter().filter_map(|(key, record)| match (key, record.as_deref()) {
            (terminal::Key::Movement(number), Some(terminal::Record::Movement(movement))) => {
                Some((*number, *movement))
            }
            _ => None,
        });
        for (number, movement) in movements {
            let note = written_under(written, &terminal::Key::Applied(movement.event));
            let noted = matches!(note, Some(Some(terminal::Record::Applied(n))) if *n == number);
            self.tally.check(Law::InboxOnce, at_ms, noted, || {
                format!("movement {number} is committed without the note that it was applied")
            })?;
            self.moved_once(at_ms, device, number, &movement)?;
            let order = (movement.created_at, movement.event);
            self.tally.check(Law::InboxOnce, at_ms, last < Some(order), || {
                format!("movement {number} was applied after a later one")
            })?;
            last = Some(order);
            let review = terminal::Key::Review(movement.product);
            let flagged = written_under(written, &review).is_some();
            let debt = movement.delta.0 < 0 && movement.stock.0 < 0;
            let holds = movement.review == debt && (!debt || flagged);
            self.tally.check(Law::StockIsSum, at_ms, holds, || {
                format!("{} went below nothing, and nobody is asked to look", movement.product)
            })?;
        }
        Ok(())
    }

    fn moved_once(
        &mut self,
        at_ms: u64,
        device: usize,
        number: u64,
        movement: &Movement,
    ) -> Result<(), Violation> {
        let Device { identity, applied, moved, .. } = &mut self.devices[device];
        let site = Site { shop: identity.shop, branch: identity.branch };
        let terminal = identity.terminal;
        let once = applied.insert(movement.event);
        *moved.entry(movement.product).or_default() += movement.delta.0;
        let next = number == applied.len() as u64;
        self.tally.check(Law::InboxOnce, at_ms, once && next, || {
            format!("{terminal} applies {:?} (movement {number}) twice", movement.event)
        })?;
        let known = self.inbox.ever.get(&movement.event).map(AsRef::as_ref);
        let here = known.is_some_and(|(of, ..)| *of == site);
        self.tally.check(Law::BranchIsolation, at_ms, here, || {
            format!("{terminal} of {} applies an event of {known:?}", site.branch)
        })?;
        let same = known.is_some_and(|(_, event, from)| {
            (event.product, event.delta) == (movement.product, movement.delta)
                && ReferenceV1::of(event.reference) == movement.reference
                && *from != Some(terminal)
        });
        self.tally.check(Law::InboxOnce, at_ms, same, || {
            format!("{terminal} applies {movement:?}, and was told {known:?}")
        })
    }

    /// A till says how far it has come: every event up to there must be durable on it.
    ///
    /// # Errors
    /// [`Law::InboxOnce`].
    pub fn acknowledges(
        &mut self,
        at_ms: u64,
        device: usize,
        through: Cursor,
        rows: &TillRows,
    ) -> Result<(), Violation> {
        let identity = self.devices[device].identity;
        let site = Site { shop: identity.shop, branch: identity.branch };
        let inboxes = std::iter::once(&self.inbox.now).chain(self.inbox.former.iter().rev());
        let history = inboxes.filter_map(|inboxes| inboxes.told.get(&site)).find(|told| {
            let last = usize::try_from(through.seq).ok().and_then(|seq| seq.checked_sub(1));
            last.and_then(|last| told.get(last)).is_some_and(|told| told.chain == through.chain)
        });
        let missing = history.map(|told| {
            let acked = told.iter().take(through.seq as usize);
            missing(acked, identity.terminal, rows)
        });
        self.tally.check(Law::InboxOnce, at_ms, missing == Some(None), || {
            let terminal = identity.terminal;
            format!("{terminal} acknowledges {through:?}, and has not applied {missing:?}")
        })
    }

    /// The whole cloud: what orders have moved at each branch, from the orders themselves.
    pub(super) fn ordered(
        &mut self,
        at_ms: u64,
        rows: &CloudRows,
    ) -> Result<Table<(Site, ProductId), i64>, Violation> {
        let mut told: Table<(Site, ProductId), i64> = Table::default();
        let mut ordered: Table<(Site, ProductId), i64> = Table::default();
        for (key, record) in rows {
            match (key, &**record) {
                (
                    cloud::Key::Inbox(InboxKey::Event(shop, branch, _)),
                    cloud::Record::Inbox(InboxRecord::Event(stored)),
                ) => {
                    let site = Site { shop: *shop, branch: *branch };
                    if let Ok(event) = InboxEvent::from_canonical(&stored.content)
                        && matches!(event.reference, Reference::Order(_))
                    {
                        *told.entry((site, event.product)).or_default() += event.delta.0;
                    }
                }
                (
                    cloud::Key::Inbox(InboxKey::Order(shop, _)),
                    cloud::Record::Inbox(InboxRecord::Order(held)),
                ) => {
                    let site = Site { shop: *shop, branch: held.content.branch };
                    for line in &held.content.lines {
                        let sum = ordered.entry((site, line.product_id)).or_default();
                        *sum -= if held.cancelled.is_some() { 0 } else { line.quantity_milli };
                    }
                }
                _ => {}
            }
        }
        self.tally.check(Law::StockIsSum, at_ms, told == ordered, || {
            format!("orders take {ordered:?}, tills are told {told:?}")
        })?;
        Ok(ordered)
    }

    /// After everything has drained each till has applied every event of its branch, and the cloud
    /// knows.
    ///
    /// # Errors
    /// [`Law::InboxOnce`].
    pub fn inbox_drained(
        &mut self,
        at_ms: u64,
        device: usize,
        rows: &TillRows,
        cloud: &CloudRows,
    ) -> Result<(), Violation> {
        let identity = self.devices[device].identity;
        let (shop, branch, terminal) = (identity.shop, identity.branch, identity.terminal);
        let Some(told) = self.inbox.now.told.get(&Site { shop, branch }) else { return Ok(()) };
        let (head, missing) = (told.len() as u64, missing(told.iter(), terminal, rows));
        self.tally.check(Law::InboxOnce, at_ms, missing.is_none(), || {
            format!("{terminal} has never applied {missing:?} of {branch}")
        })?;
        let ack = cloud.get(&cloud::Key::Inbox(InboxKey::Ack(shop, branch, terminal)));
        let acked = match ack.map(Arc::as_ref) {
            Some(cloud::Record::Inbox(InboxRecord::Ack(acked))) => acked.through,
            _ => 0,
        };
        self.tally.check(Law::InboxOnce, at_ms, acked == head, || {
            format!("{terminal} has acknowledged {acked} of {head} events of {branch}")
        })
    }
}

/// Returns the first event that a till's rows do not hold as applied.
fn missing<'a>(
    mut told: impl Iterator<Item = &'a Told>,
    terminal: TerminalId,
    rows: &TillRows,
) -> Option<EventId> {
    let applied = |told: &&Told| {
        told.from == Some(terminal) || rows.contains_key(&terminal::Key::Applied(told.id))
    };
    told.find(|told| !applied(told)).map(|told| told.id)
}
