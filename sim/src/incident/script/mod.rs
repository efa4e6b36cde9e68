//! What must have happened, in its order: a till's diary, put together with its journal, and with
//! what others must have done so that the diary could be written.
//!
//! The diary names no recording, as the journal holds it, and nothing that the till could not see.
//! So this puts in between, each where it must have been at the latest:
//!
//! | the diary says | so before |
//! |---|---|
//! | an entry is offered | it was recorded, and all before it |
//! | the cloud had it already | an offer came through whose answer was lost, or is in no note |
//! | posted, after it was posted before | the cloud was restored from a backup |
//! | the cloud holds other entries, or more | another copy of the database went on |
//! | kept without effect, then posted | somebody defined the product, or the original came |
//! | refused, and never kept | another database of this name had posted under its name |

mod causes;

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId};
use counterfoil_protocol::terminal::diary::{Outcome, Run};
use counterfoil_protocol::terminal::{Parted, Place};
use counterfoil_protocol::time::Millis;

use super::{Happened, Incident, Note, Stood};

/// An event by its register and its name there.
pub(crate) type Name = (PosId, LocalEventId);

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    /// When, by the till's clock.
    pub(crate) at: Millis,
    pub(crate) what: Doing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// The event of this place is recorded.
    Record(Place),
    /// The entry is corrected by the one at the second place.
    Correct(Place, Place),
    /// The entry gives way to the other one.
    GiveWay(Place),
    /// The program takes the database over.
    Start {
        /// Why it opens a new history, and which, if it does.
        parted: Option<(Parted, Epoch)>,
        /// Whether the diary says so.
        told: bool,
    },
    /// A greeting after which the till opens a new history.
    Part {
        why: Parted,
        epoch: Epoch,
    },
    Offer(Offer),
    Carry {
        from: Epoch,
        entries: Vec<(u64, u64)>,
    },
    Retry(Place),
    SetAside(Place),
    /// A copy of the database is put aside, from which another life of this history begins.
    PutAside(Epoch),
    /// The other copy goes on, and the cloud hears of it.
    OtherLife(Epoch),
    /// A copy of the cloud is put aside, by number.
    BackupCloud(usize),
    /// The cloud is restored.
    RestoreCloud(usize),
    /// Whatever kept this event from being posted ends.
    Release(Name),
    /// Another database of this till posts another event under this name.
    Namesake(Name),
}

/// Entries are offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) epoch: Epoch,
    pub(crate) times: u32,
    pub(crate) runs: Vec<Run>,
    /// Whether the cloud takes it in, though the till hears nothing.
    pub(crate) arrives: bool,
    /// Whether the diary tells it.
    pub(crate) told: bool,
}

/// What is to be played.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) acts: Vec<Act>,
    /// Events of which a product is unknown at first.
    pub(crate) unknown: BTreeSet<Name>,
    /// Refunds of which the original is not there at first.
    pub(crate) orphans: BTreeSet<Name>,
    /// Notes about what is not in the bundle.
    pub(crate) left_out: usize,
}

/// Puts the story of an incident together.
pub(crate) fn of(incident: &Incident) -> Script {
    let first = incident.first_history();
    let moved = incident.entries.values().filter_map(|told| match told.state {
        Stood::Moved(to) => Some(to),
        Stood::Open | Stood::Synced | Stood::Replaced(_) => None,
    });
    let (mut places, mut answers) = (BTreeMap::<Name, Vec<Place>>::new(), BTreeMap::new());
    for (place, told) in &incident.entries {
        places.entry((told.pos, told.local_id)).or_default().push(*place);
    }
    for note in &incident.notes {
        let Happened::Offered { epoch, runs, .. } = &note.what else { continue };
        for (place, outcome) in entries_of(*epoch, runs) {
            let told = incident.entries.get(&place);
            if let Some(told) = told.filter(|_| !matches!(outcome, Outcome::Unheard(_))) {
                let of: &mut Vec<_> = answers.entry((told.pos, told.local_id)).or_default();
                of.push((epoch.number, outcome));
            }
        }
    }
    let mut writer = Writer {
        incident,
        first,
        places,
        answers,
        offers: BTreeMap::new(),
        contested: BTreeSet::new(),
        current: first,
        next: 1,
        carried: moved.collect(),
        acts: Vec::new(),
        before: BTreeMap::new(),
        made: BTreeMap::new(),
        settled: BTreeMap::new(),
        parked: BTreeSet::new(),
        script: Script {
            acts: Vec::new(),
            unknown: BTreeSet::new(),
            orphans: BTreeSet::new(),
            left_out: 0,
        },
        backups: 0,
    };
    for (index, note) in incident.notes.iter().enumerate() {
        writer.note(index, note);
    }
    writer.end()
}

/// Returns the entries of an offer, each with what came of it.
fn entries_of(epoch: Epoch, runs: &[Run]) -> impl Iterator<Item = (Place, Outcome)> {
    runs.iter().flat_map(move |run| {
        let outcome = run.outcome;
        (run.first..run.first + run.count).map(move |seq| (Place { epoch, seq }, outcome))
    })
}

struct Writer<'a> {
    incident: &'a Incident,
    /// The history with which the story begins.
    first: usize,
    /// Where each event stood, oldest first.
    places: BTreeMap<Name, Vec<Place>>,
    /// What was answered of each event, and in which history.
    answers: BTreeMap<Name, Vec<(u32, Outcome)>>,
    /// In which acts each event was offered so far, and what came of it.
    offers: BTreeMap<Name, Vec<(usize, Outcome)>>,
    /// Events whose name another database of this till had used.
    contested: BTreeSet<Name>,
    /// The history that is current, by its place among those that are known.
    current: usize,
    /// Its next entry.
    next: u64,
    /// Places that entries were carried to.
    carried: BTreeSet<Place>,
    acts: Vec<Act>,
    /// What comes before an act, by its index.
    before: BTreeMap<usize, Vec<Doing>>,
    /// Which act makes an entry.
    made: BTreeMap<Place, usize>,
    /// Which act posted an event that the cloud holds.
    settled: BTreeMap<Name, usize>,
    /// What the cloud keeps without effect.
    parked: BTreeSet<Name>,
    script: Script,
    backups: usize,
}

impl Writer<'_> {
    fn note(&mut self, index: usize, note: &Note) {
        let at = note.at;
        match &note.what {
            Happened::Started => {
                self.record_until(at, 0);
                let parted = self.parted_at_start(index);
                self.start(at, parted, true);
            }
            Happened::Parted { why, epoch } => self.parted(at, *why, *epoch),
            Happened::Offered { epoch, times, runs } => self.offered(at, *epoch, *times, runs),
            Happened::Carried { from, entries } => self.carry(at, *from, entries),
            Happened::Retried(place) => self.decided(at, *place, Doing::Retry(*place)),
            Happened::SetAside(place) => self.decided(at, *place, Doing::SetAside(*place)),
            Happened::Replaced(place) => self.replaced(at, *place),
        }
    }

    fn epoch(&self) -> Epoch {
        self.incident.histories[self.current].epoch
    }

    fn head(&self) -> u64 {
        self.incident.histories[self.current].head
    }

    fn name(&self, place: Place) -> Option<Name> {
        self.incident.entries.get(&place).map(|told| (told.pos, told.local_id))
    }

    fn act(&mut self, at: Millis, what: Doing) -> usize {
        self.acts.push(Act { at, what });
        self.acts.len() - 1
    }

    fn insert(&mut self, index: usize, what: Doing) {
        self.before.entry(index).or_default().push(what);
    }

    /// Records what the till had recorded by then, and everything up to entry `seq` at any rate.
    fn record_until(&mut self, at: Millis, seq: u64) {
        while self.next <= self.head() {
            let place = Place { epoch: self.epoch(), seq: self.next };
            let told = self.incident.entries.get(&place);
            let due = self.next <= seq || told.is_some_and(|told| told.at <= at);
            let by_itself =
                !self.carried.contains(&place) && told.is_none_or(|told| told.kind != "correction");
            if !due || (!by_itself && self.next > seq) {
                return;
            }
            let at = if self.next <= seq { at } else { told.map_or(at, |told| told.at) };
            let made = self.act(at, Doing::Record(place));
            self.made.insert(place, made);
            self.next += 1;
        }
    }

    /// Another history is current now.
    fn turn_to(&mut self, epoch: Epoch) {
        if let Some(index) = self.incident.history(epoch) {
            self.current = index;
            self.next = 1;
        }
    }

    /// Returns the history that the opening at this note began.
    fn parted_at_start(&self, index: usize) -> Option<(Parted, Epoch)> {
        let later = self.incident.notes.iter().skip(index + 1);
        for note in later {
            match &note.what {
                Happened::Parted { why: why @ (Parted::Copied | Parted::Restored), epoch } => {
                    let follows = self.incident.history(*epoch) == Some(self.current + 1);
                    return follows.then_some((*why, *epoch));
                }
                Happened::Started | Happened::Parted { .. } => return None,
                Happened::Offered { .. }
                | Happened::Carried { .. }
                | Happened::Retried(_)
                | Happened::SetAside(_)
                | Happened::Replaced(_) => {}
            }
        }
        None
    }

    fn start(&mut self, at: Millis, parted: Option<(Parted, Epoch)>, told: bool) {
        if parted.is_some() {
            self.record_until(at, self.head());
        }
        self.act(at, Doing::Start { parted, told });
        if let Some((_, epoch)) = parted {
            self.turn_to(epoch);
        }
    }

    fn parted(&mut self, at: Millis, why: Parted, epoch: Epoch) {
        let Some(index) = self.incident.history(epoch).filter(|index| *index > self.current) else {
            // It was opened with the program, or is older than the story.
            return;
        };
        self.untold_partings(at, index - 1);
        self.record_until(at, self.head());
        match why {
            Parted::Copied | Parted::Restored => self.start(at, Some((why, epoch)), false),
            Parted::LostTail | Parted::Forked => {
                self.other_life(why);
                self.act(at, Doing::Part { why, epoch });
                self.turn_to(epoch);
            }
        }
    }

    /// Opens the histories up to `index` of which no note is left.
    fn untold_partings(&mut self, at: Millis, index: usize) {
        while self.current < index {
            let epoch = self.incident.histories[self.current + 1].epoch;
            self.start(at, Some((Parted::Copied, epoch)), false);
        }
    }

    fn carry(&mut self, at: Millis, from: Epoch, entries: &[(u64, u64)]) {
        let Some(index) = self.incident.history(from) else { return self.leave_out() };
        if index < self.first {
            return self.leave_out();
        }
        self.untold_partings(at, index + 1);
        let covers = |seq: u64| entries.iter().any(|(first, n)| seq >= *first && seq - first < *n);
        let current = self.epoch();
        let mut targets: Vec<u64> = Vec::new();
        for (place, told) in &self.incident.entries {
            if let Stood::Moved(to) = told.state
                && place.epoch == from
                && covers(place.seq)
                && to.epoch == current
            {
                targets.push(to.seq);
            }
        }
        if let Some(first) = targets.iter().min() {
            self.record_until(at, first.saturating_sub(1));
        }
        let made = self.act(at, Doing::Carry { from, entries: entries.to_vec() });
        for seq in targets {
            self.made.insert(Place { epoch: current, seq }, made);
            self.next = self.next.max(seq + 1);
        }
    }

    fn decided(&mut self, at: Millis, place: Place, what: Doing) {
        if self.is_of_the_story(place.epoch) {
            self.record_until(at, 0);
            self.act(at, what);
        } else {
            self.leave_out();
        }
    }

    fn replaced(&mut self, at: Millis, place: Place) {
        let by = self.incident.entries.get(&place).and_then(|told| match told.state {
            Stood::Replaced(by) => Some((told.pos, by)),
            Stood::Open | Stood::Synced | Stood::Moved(_) => None,
        });
        let corrected = self.name(place);
        let current = self.epoch();
        let next = self.incident.entries.range(Place { epoch: current, seq: self.next }..);
        let by = next.take_while(|(place, _)| place.epoch == current).find(|(_, told)| {
            let names = corrected
                .is_some_and(|(pos, of)| told.pos == pos && told.corrects.first() == Some(&of));
            told.kind == "correction"
                && (by == Some((told.pos, told.local_id)) || (by.is_none() && names))
        });
        match by.map(|(place, _)| *place) {
            _ if !self.is_of_the_story(place.epoch) => self.leave_out(),
            Some(by) => {
                self.record_until(at, by.seq - 1);
                let made = self.act(at, Doing::Correct(place, by));
                self.made.insert(by, made);
                self.next = by.seq + 1;
            }
            None => {
                self.act(at, Doing::GiveWay(place));
            }
        }
    }

    fn is_of_the_story(&self, epoch: Epoch) -> bool {
        self.incident.history(epoch).is_some_and(|index| index >= self.first)
    }

    const fn leave_out(&mut self) {
        self.script.left_out += 1;
    }

    fn offered(&mut self, at: Millis, epoch: Epoch, times: u32, runs: &[Run]) {
        let index = self.incident.history(epoch).filter(|index| *index >= self.current);
        let Some(index) = index else { return self.leave_out() };
        self.untold_partings(at, index);
        let last = runs.last().map_or(0, |run| run.first + run.count - 1);
        self.record_until(at, last);
        let index = self.acts.len();
        for (place, outcome) in entries_of(epoch, runs) {
            self.prepare(index, place, outcome);
            if let Some(name) = self.name(place) {
                self.offers.entry(name).or_default().push((index, outcome));
            }
        }
        let offer = Offer { epoch, times, runs: runs.to_vec(), arrives: false, told: true };
        self.act(at, Doing::Offer(offer));
    }

    fn end(mut self) -> Script {
        let at = self.incident.notes.last().map_or(Millis::ZERO, |note| note.at);
        let last = self.incident.histories.len() - 1;
        self.untold_partings(at, last);
        self.record_until(at, self.head());
        let mut before = std::mem::take(&mut self.before);
        let end = self.acts.len();
        let mut acts = Vec::with_capacity(end);
        for (index, act) in self.acts.into_iter().enumerate() {
            for what in before.remove(&index).unwrap_or_default() {
                acts.push(Act { at: act.at, what });
            }
            acts.push(act);
        }
        for what in before.remove(&end).unwrap_or_default() {
            acts.push(Act { at, what });
        }
        Script { acts, ..self.script }
    }
}
