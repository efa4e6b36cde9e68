//! What must have happened out of the till's sight, so that the diary could be written.

use std::collections::BTreeSet;

use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::terminal::diary::{Outcome, Run, Silence};
use counterfoil_protocol::terminal::{Parted, Place};

use super::{Doing, Name, Offer, Writer};

impl Writer<'_> {
    /// Puts in that another copy of the database has gone on with the current history.
    pub(super) fn other_life(&mut self, why: Parted) {
        let history = self.incident.histories[self.current];
        let mut own = history.kept.unwrap_or(0) + 1;
        while own < history.head && self.is_found_later(Place { epoch: history.epoch, seq: own }) {
            own += 1;
        }
        let place = Place { epoch: history.epoch, seq: own };
        let aside = match why {
            Parted::Forked => self.made.get(&place).copied(),
            Parted::LostTail | Parted::Copied | Parted::Restored => None,
        };
        let known = self.first_not_looked_at(history.epoch);
        self.insert(aside.unwrap_or(known).min(known), Doing::PutAside(history.epoch));
        self.insert(known, Doing::OtherLife(history.epoch));
    }

    /// Returns whether the next answer about an entry is that the cloud had it already.
    pub(super) fn is_found_later(&self, place: Place) -> bool {
        let answers = self.name(place).and_then(|name| self.answers.get(&name));
        let later = |(number, _): &&(u32, Outcome)| *number > place.epoch.number;
        let next = answers.into_iter().flatten().find(later);
        next.is_some_and(|(_, outcome)| *outcome == Outcome::Existing)
    }

    /// Returns the first of the last offers of a history that the cloud did not look at: what made
    /// it so had happened before. Without one, the end of the acts so far.
    pub(super) fn first_not_looked_at(&self, of: Epoch) -> usize {
        let mut first = self.acts.len();
        for (index, act) in self.acts.iter().enumerate().rev() {
            let blind = |run: &Run| run.outcome == Outcome::NotLookedAt;
            if let Doing::Offer(Offer { epoch, runs, .. }) = &act.what
                && *epoch == of
                && runs.iter().all(blind)
            {
                first = index;
            } else if !matches!(act.what, Doing::Record(_)) {
                break;
            }
        }
        first
    }

    /// Sees to it that the offer at `index` of the acts can end as it is told of one entry.
    pub(super) fn prepare(&mut self, index: usize, place: Place, outcome: Outcome) {
        let Some(name) = self.name(place) else { return };
        match outcome {
            Outcome::Created | Outcome::Edited(_) => {
                if let Some(settled) = self.settled.get(&name).copied() {
                    self.restore_cloud(settled, index, place.epoch);
                }
                self.release(index, name);
                self.settled.insert(name, index);
            }
            Outcome::Existing => {
                if !self.settled.contains_key(&name) {
                    let arrived = self.arrive(index, place);
                    self.release(arrived, name);
                    self.settled.insert(name, arrived);
                }
            }
            Outcome::Parked(code) => {
                self.parked.insert(name);
                if code == ErrorCode::OriginalPending {
                    self.script.orphans.insert(name);
                } else {
                    self.script.unknown.insert(name);
                }
            }
            Outcome::Refused(ErrorCode::EventInvalid) => {
                let known = self.parked.contains(&name) || self.settled.contains_key(&name);
                if !known && self.contested.insert(name) {
                    self.insert(index, Doing::Namesake(name));
                }
            }
            Outcome::Refused(_) | Outcome::Unheard(_) | Outcome::NotLookedAt => {}
        }
    }

    pub(super) fn release(&mut self, index: usize, name: Name) {
        if self.parked.remove(&name) {
            self.insert(index, Doing::Release(name));
        }
    }

    /// The cloud had posted it at act `settled`, and knows nothing of it at act `index`.
    pub(super) fn restore_cloud(&mut self, settled: usize, index: usize, epoch: Epoch) {
        let restored = self.first_not_looked_at(epoch).min(index);
        self.insert(settled, Doing::BackupCloud(self.backups));
        self.insert(restored, Doing::RestoreCloud(self.backups));
        self.backups += 1;
        // Whatever was posted since is forgotten as well.
        self.settled.retain(|_, at| *at < settled);
    }

    /// Finds the offer by which an entry came to the cloud unheard, or puts one in. Returns where.
    pub(super) fn arrive(&mut self, index: usize, place: Place) -> usize {
        let offers = self.name(place).and_then(|name| self.offers.get(&name));
        let mut found: Option<usize> = None;
        for (at, outcome) in offers.into_iter().flatten().rev() {
            match outcome {
                Outcome::Unheard(Silence::NoAnswer) => found = Some(*at),
                Outcome::Unheard(Silence::Trouble) => found = found.or(Some(*at)),
                Outcome::Unheard(_) | Outcome::NotLookedAt => {}
                Outcome::Created
                | Outcome::Existing
                | Outcome::Parked(_)
                | Outcome::Refused(_)
                | Outcome::Edited(_) => break,
            }
        }
        if let Some(at) = found
            && let Doing::Offer(offer) = &mut self.acts[at].what
        {
            offer.arrives = true;
            return at;
        }
        if self.another_life_has_it(place) {
            return index;
        }
        // A program that is killed forgets an offer of which it has heard nothing.
        let start = self.acts.iter().rposition(|act| matches!(act.what, Doing::Start { .. }));
        let made = self.made.get(&place).copied().unwrap_or(0);
        let at = start.filter(|start| made < *start).unwrap_or(index);
        let silent = Outcome::Unheard(Silence::NoAnswer);
        let run = Run { first: place.seq, count: 1, outcome: silent };
        let untold =
            Offer { epoch: place.epoch, times: 1, runs: vec![run], arrives: true, told: false };
        let waiting = self.before.entry(at).or_default();
        let grown = waiting.iter_mut().rev().find_map(|doing| {
            let Doing::Offer(offer) = doing else { return None };
            (!offer.told && offer.epoch == place.epoch).then_some(offer)
        });
        match grown.and_then(|offer| offer.runs.last_mut()) {
            Some(run) if run.first + run.count == place.seq => run.count += 1,
            Some(_) | None => waiting.push(Doing::Offer(untold)),
        }
        at
    }

    /// Whether the entry was carried over from a history that another copy went on with, up to
    /// behind it.
    pub(super) fn another_life_has_it(&self, place: Place) -> bool {
        let Some(name) = self.name(place) else { return false };
        let mut lives = self.before.values().flatten().filter_map(|doing| {
            let Doing::OtherLife(epoch) = doing else { return None };
            Some(*epoch)
        });
        let old = self.places.get(&name).into_iter().flatten().map(|old| old.epoch);
        let old: BTreeSet<Epoch> = old.filter(|old| old.number < place.epoch.number).collect();
        lives.any(|epoch| old.contains(&epoch))
    }
}
