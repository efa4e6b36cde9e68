//! A sale and all its corrections, on whichever copy of a till: one family, of which the cloud
//! posts one event at most, and of which it forgets none.

use std::collections::BTreeSet;
use std::sync::Arc;

use counterfoil_protocol::cloud;
use counterfoil_protocol::cloud::row::{Fate, Ledger};
use counterfoil_protocol::event::{Body, Event};
use counterfoil_protocol::identity::{EventKey, TerminalId};
use counterfoil_protocol::terminal::row::{Entry, State};

use super::fact::{Committed, Fact, Table};
use super::{Checker, CloudRows};
use crate::law::{Law, Violation};

/// How many corrections of corrections are followed: more than copies of a till can make.
const HOPS_MAX: usize = 1_000;

/// Who belongs together.
#[derive(Clone, Debug, Default)]
pub(super) struct Families {
    of: Table<Fact, usize>,
    members: Vec<BTreeSet<Fact>>,
}

impl Families {
    /// These are of one family.
    fn join(&mut self, facts: &BTreeSet<Fact>) {
        let known: BTreeSet<usize> = facts.iter().filter_map(|f| self.of.get(f).copied()).collect();
        let mut all = facts.clone();
        for family in known {
            all.append(&mut self.members[family]);
        }
        let family = self.members.len();
        for fact in &all {
            self.of.insert(*fact, family);
        }
        self.members.push(all);
    }

    /// The others of a fact's family.
    fn others(&self, fact: Fact) -> impl Iterator<Item = Fact> + '_ {
        let family = self.of.get(&fact).and_then(|family| self.members.get(*family));
        family.into_iter().flatten().copied().filter(move |other| *other != fact)
    }
}

impl Checker {
    /// A till has committed an event for the first time: what it corrects is of its family.
    pub(super) fn noted_in_family(&mut self, terminal: TerminalId, fact: Fact, event: &Event) {
        if let Body::Correction(correction) = event.body() {
            let of = correction.of.iter().map(|of| Fact::new(terminal, of.payload_hash));
            let family: BTreeSet<Fact> = of.chain([fact]).collect();
            self.families.join(&family);
        }
    }

    /// A till has written an entry: another has its place, or has it no more.
    pub(super) fn noted_replaced(&mut self, device: usize, entry: &Entry) {
        let fact = self.fact(device, entry);
        match entry.state {
            State::Replaced(_) => {
                self.devices[device].replaced.insert(fact);
            }
            State::Open | State::Synced(_) => {
                self.devices[device].replaced.remove(&fact);
            }
            State::Moved(_) => {}
        }
    }

    /// The cloud has posted an event: nobody else of its family may count.
    pub(super) fn posted_in_family(
        &mut self,
        at_ms: u64,
        key: EventKey,
        fact: Fact,
    ) -> Result<(), Violation> {
        let other = self.families.others(fact).find(|other| self.posted.contains(other));
        let other = other.and_then(|other| self.committed.get(&other)).map(|other| other.key);
        self.tally.check(Law::NoDuplicate, at_ms, other.is_none(), || {
            format!("{key} is posted, and so is {other:?}, of which one is a correction")
        })
    }

    /// Returns whether the cloud holds an event: under its name, or beside another of that name
    /// (B.2), or by a correction that has its place. Following that, something must be left that
    /// counts, or waits, or was refused to somebody who hears of it.
    pub(super) fn is_held(&self, committed: &Committed, rows: &CloudRows) -> bool {
        let (key, hash) = (committed.key, committed.payload);
        if let Some(cloud::Record::Conflict(kept)) =
            rows.get(&cloud::Key::Conflict(key, hash)).map(Arc::as_ref)
        {
            return *kept.payload == *committed.bytes;
        }
        let Some(mut row) = ledger(rows, key).filter(|row| row.payload_hash == hash) else {
            return false;
        };
        for _ in 0..HOPS_MAX {
            let Fate::Withdrawn(by) = row.fate else {
                return row.payload_hash != hash || row.payload == committed.bytes;
            };
            let Some(next) = ledger(rows, EventKey { local_id: by, ..key }) else { return false };
            row = next;
        }
        false
    }
}

fn ledger(rows: &CloudRows, key: EventKey) -> Option<&Ledger> {
    match rows.get(&cloud::Key::Ledger(key)).map(Arc::as_ref) {
        Some(cloud::Record::Ledger(row)) => Some(row),
        _ => None,
    }
}
