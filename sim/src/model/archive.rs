//! A till's second store: entries leave for it, and are read there.
//!
//! The stores of a till are held against the rows that it would have if nothing ever left: those
//! are what the checkers see. Copying and leaving are two steps with time in between, and a till
//! may go down at each; a restored till finds an archive that is newer than its rows.

use std::sync::Arc;

use counterfoil_protocol::machine::{Query as _, Store as _, run};
use counterfoil_protocol::terminal::archive::{self, Step};
use counterfoil_protocol::terminal::pull::{self, Batch, Limits};
use counterfoil_protocol::terminal::row::Meta;
use counterfoil_protocol::terminal::{Input, Key, Output, Place, Record, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::Hello;
use counterfoil_storage::memory::{Failure, Image};
use counterfoil_storage::{Memory, Ordered, StoreError, Tiered};

use super::stores::TillBackup;
use super::till::TillHost;
use super::{Happening, World};
use crate::checker::DeviceBackup;
use crate::law::{Law, Violation};
use crate::observed::{Observed, answered, at_once};
use crate::rng::Stream;

/// The rows of a till.
pub(super) type Rows = Ordered<Key, Arc<Record>>;

/// What archives a till's entries.
pub(super) struct Archiving {
    /// Whether anything leaves in this world; else nobody pays for the question.
    on: bool,
    cold: Memory<Terminal>,
    /// What the till would hold if nothing left.
    whole: Rows,
    after: Option<Place>,
    luck: Stream,
    /// The archive's name.
    id: u64,
}

/// What a backup has of it.
#[derive(Clone)]
pub(super) struct ArchiveBackup {
    cold: Image<Terminal>,
    whole: Rows,
}

impl Archiving {
    pub(super) fn new(seed: u64, number: usize) -> Self {
        let mut luck = Stream::new(seed, "till/archive", number as u64);
        let (cold, whole) = (Memory::new(), Rows::new());
        Self { on: false, cold, whole, after: None, id: luck.draw(), luck }
    }

    pub(super) fn put_aside(&self) -> Option<ArchiveBackup> {
        self.on.then(|| ArchiveBackup { cold: self.cold.image(), whole: self.whole.clone() })
    }

    /// The till's rows are those of a backup. Its archive is as it was, or is of the backup too.
    pub(super) fn restore(&mut self, backup: Option<ArchiveBackup>) {
        let Some(backup) = backup else { return };
        self.after = None;
        self.whole = backup.whole;
        if self.luck.happens(300_000) {
            self.cold.restore(backup.cold);
        }
    }

    /// A copy of another till begins with a copy of its archive.
    pub(super) fn copy(&mut self, backup: Option<ArchiveBackup>) {
        let Some(backup) = backup else { return };
        self.on = true;
        self.whole = backup.whole;
        self.cold.restore(backup.cold);
    }
}

impl TillHost {
    /// Returns a backup of all that the till has.
    pub(super) fn put_aside(&self, owed: DeviceBackup) -> TillBackup {
        let archive = self.archiving.put_aside();
        TillBackup { image: self.store.image(), witness: self.witness, owed, archive }
    }

    /// Returns both stores as one, if there are two.
    pub(super) fn both(&self) -> Tiered<&Observed<Terminal>, &Memory<Terminal>> {
        Tiered::new(&self.store, &self.archiving.cold)
    }

    /// Decides on an input, over one store or over both.
    pub(super) fn decide(&mut self, now: Millis, input: &Input) -> Result<Vec<Output>, StoreError> {
        let inputs = std::slice::from_ref(input);
        if !self.archiving.on {
            return at_once(run(&Terminal, &mut self.store, now, inputs));
        }
        let mut both = Tiered::new(&mut self.store, &self.archiving.cold);
        at_once(run(&Terminal, &mut both, now, inputs))
    }

    /// Returns the till's greeting.
    pub(super) fn hello(&self, meta: &Meta, now: Millis) -> Result<Hello, StoreError> {
        if self.archiving.on {
            at_once(pull::hello(&self.both(), meta, now, "sim"))
        } else {
            at_once(pull::hello(&self.store, meta, now, "sim"))
        }
    }

    /// Returns what the till pushes next.
    pub(super) fn batch(
        &self,
        meta: &Meta,
        now: Millis,
        limits: Limits,
    ) -> Result<Batch, StoreError> {
        if self.archiving.on {
            at_once(pull::batch(&self.both(), meta, now, limits))
        } else {
            at_once(pull::batch(&self.store, meta, now, limits))
        }
    }

    /// Returns the till's rows, wherever they are.
    pub(super) const fn rows(&self) -> &Rows {
        if self.archiving.on { &self.archiving.whole } else { self.store.memory.rows() }
    }

    /// Returns whether a row is what the till would hold if nothing left.
    fn owes(&self, key: &Key, held: &Record) -> bool {
        self.archiving.whole.get(key).is_some_and(|owed| **owed == *held)
    }

    /// Returns whether a row is read as if nothing had left.
    fn reads_as_owed(&self, key: &Key) -> bool {
        let both = self.both();
        let read = answered(at_once(both.look(key, |held| Some(self.owes(key, held)))));
        read.unwrap_or_else(|| !self.archiving.whole.contains_key(key))
    }

    /// The till has committed what is written.
    pub(super) fn wrote(&mut self, input: &Input) {
        if !self.archiving.on {
            return;
        }
        let leaves = matches!(input, Input::Archive(_));
        for (key, record) in &self.store.written {
            match record {
                Some(record) => self.archiving.whole.put(key, Arc::clone(record)),
                None if leaves && archive::may_hold(key) => None,
                None => self.archiving.whole.remove(key),
            };
        }
    }

    /// A row has changed behind everybody's back.
    pub(super) fn planted(&mut self, key: &Key, record: Option<Arc<Record>>) {
        if self.archiving.on {
            match record {
                Some(record) => self.archiving.whole.put(key, record),
                None => self.archiving.whole.remove(key),
            };
        }
    }
}

impl World {
    /// Schedules the first look at what may leave, if anything ever does.
    pub(super) fn start_archiving(&mut self, till: usize) {
        let every = self.plan.archive_every_ms;
        let host = &mut self.tills[till];
        if every > 0 {
            if !host.archiving.on {
                host.archiving.whole = host.store.memory.rows().clone();
                host.archiving.on = true;
            }
            let us = host.archiving.luck.below(every * 1_000);
            self.after(us, Happening::Archive(till));
        }
    }

    /// Some entries of a till are copied into its archive, and will leave.
    pub(super) fn archive(&mut self, till: usize) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        let wall = self.wall(till);
        let every = self.plan.archive_every_ms;
        let (crash_ppm, error_ppm) = (self.plan.crash_ppm, self.plan.storage_error_ppm);
        let host = &mut self.tills[till];
        let luck = &mut host.archiving.luck;
        let again = luck.below(every * 2_000) + 1;
        let keep = Millis(*luck.pick(&[0, 0, 2_000, 20_000]));
        let (crash, error) = (luck.happens(crash_ppm * 4), luck.happens(error_ppm * 4));
        let before = luck.happens(500_000);
        let later = luck.below(200_000);
        self.after(again, Happening::Archive(till));
        let host = &mut self.tills[till];
        if !host.up || !host.store.works() {
            return Ok(());
        }
        let look = archive::look(&host.store, wall, keep, host.archiving.after);
        let look = answered(at_once(look));
        if !self.till_may_speak(till) {
            return Ok(());
        }
        let host = &mut self.tills[till];
        host.archiving.after = look.next;
        if look.step.is_empty() {
            return Ok(());
        }
        if crash || error {
            let failure = if before { Failure::Before } else { Failure::After };
            host.archiving.cold.fail_next(failure);
        }
        let (id, life) = (host.archiving.id, host.life);
        let cold = &mut host.archiving.cold;
        let copied = at_once(cold.transact(look.step.keys(), |held| look.step.copy(id, held)));
        if copied.is_err() {
            // The till goes on without the archive's writer, or dies of it.
            cold.reopen();
            host.archiving.after = None;
            if crash {
                let down = host.archiving.luck.between(1, 3_000);
                self.crash_till(till, down);
            }
            return Ok(());
        }
        self.after(later, Happening::Leave(till, life, Box::new(look.step)));
        Ok(())
    }

    /// What was copied leaves, if it is still as it was.
    pub(super) fn leave(&mut self, till: usize, life: u32, step: Step) -> Result<(), Violation> {
        let host = &self.tills[till];
        if !host.up || host.life != life {
            return Ok(());
        }
        let left = step.keys();
        let Some(input) = answered(at_once(archive::confirm(&host.archiving.cold, step))) else {
            return Ok(());
        };
        match self.till_step(till, &input, true)? {
            Some(_) => self.check_left(till, &left),
            None => Ok(()), // it is looked at when it starts again
        }
    }

    /// What has just left is read as if it had not. All else is looked at when the till starts,
    /// and at the end: each step would take as long as a hundred others.
    fn check_left(&mut self, till: usize, left: &[Key]) -> Result<(), Violation> {
        let at = self.now_ms();
        let host = &self.tills[till];
        let wrong = left.iter().find(|key| archive::may_hold(key) && !host.reads_as_owed(key));
        if !host.store.works() {
            return Ok(()); // a read has failed meanwhile
        }
        self.checker.tally.check(Law::NeverForgotten, at, wrong.is_none(), || {
            format!("till {till} reads {wrong:?} otherwise since it is in the archive")
        })
    }

    /// Both stores of a till together are what it would hold if nothing ever left.
    pub(super) fn check_archive(&mut self, till: usize) -> Result<(), Violation> {
        let at = self.now_ms();
        let host = &self.tills[till];
        if !host.archiving.on || !host.store.works() {
            return Ok(());
        }
        let compared = |key: &Key, held: &Record| Some((*key, host.owes(key, held)));
        let both = host.both();
        let held = both.select(&Key::Meta, &Key::Archive, usize::MAX, compared);
        let held = answered(at_once(held));
        let differs = held.iter().find(|(_, same)| !same).map(|(key, _)| *key);
        let (found, count) = (held.len(), host.archiving.whole.range(..Key::Archive).len());
        let mut archived = host.archiving.cold.rows().keys();
        let wrong = archived.find(|key| archive::may_hold(key) && !host.reads_as_owed(key));
        if !host.store.works() {
            return Ok(()); // a read has failed meanwhile
        }
        let holds = differs.is_none() && found == count && wrong.is_none();
        self.checker.tally.check(Law::NeverForgotten, at, holds, || {
            format!("till {till} and its archive: {found} of {count} rows, {differs:?}, {wrong:?}")
        })
    }
}
