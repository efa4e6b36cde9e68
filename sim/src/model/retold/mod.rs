//! A till's incident played by the real roles, held against what its bundle tells.

mod held;
mod others;
mod record;
mod speak;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use counterfoil_protocol::cloud::Cloud;
use counterfoil_protocol::identity::{Epoch, LocalEventId, Witness};
use counterfoil_protocol::terminal::row::Meta;
use counterfoil_protocol::terminal::{Input, Output, Parted, Place};
use counterfoil_protocol::time::Millis;

use super::log::lane;
use super::stores::TillBackup;
use super::{Happening, Medium, START, World};
use crate::checker::CloudBackup;
use crate::coverage::Coverage;
use crate::incident::Incident;
use crate::incident::script::{self, Act, Doing, Name, Script};
use crate::law::{Law, Violation};
use crate::observed::Backup;
use crate::plan::{DiskPlan, LinkPlan, Plan, VERSION};
use crate::runner::Outcome;
use crate::story::{Lane, What};

/// The till of the incident.
const TILL: usize = 0;
/// No incident is told to last longer: ten years, in milliseconds.
const LONGEST_MS: u64 = 10 * 366 * 86_400_000;
/// No clock is told to show more.
const LATEST: u64 = 1 << 50;
/// The most differences that are listed.
const DIFFERENCES_MAX: usize = 50;

/// What came of playing an incident.
#[derive(Clone, Debug, Default)]
pub struct Retold {
    /// What the run showed: laws, story.
    pub outcome: Outcome,
    /// Where the roles came to something else than the bundle tells; the first 50.
    pub differs: Vec<String>,
    /// How many notes of the diary were played, and came out as told.
    pub as_told: u64,
    /// Journal entries that are not in the bundle, and were filled in.
    pub filled: u64,
    /// Notes about what is not in the bundle.
    pub left_out: u64,
}

/// Plays an incident, lets the till sell on for `on_ms`, and waits until everything has drained.
#[must_use]
pub fn replay(incident: &Incident, on_ms: u64, keep_log: bool) -> Retold {
    let run = AssertUnwindSafe(|| {
        let mut stage = Stage::new(incident, keep_log);
        let violation = stage.play(on_ms).err();
        stage.ended(violation)
    });
    catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let what = text.unwrap_or_else(|| "a panic without words".to_owned());
        let violation = Some(Violation { law: Law::NoPanic, at_ms: 0, what });
        Retold { outcome: Outcome { violation, ..Outcome::default() }, ..Retold::default() }
    })
}

/// How a question ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// The answer is heard.
    Heard,
    /// The question does not arrive.
    Lost,
    /// The answer does not.
    AnswerLost,
}

struct Stage<'a> {
    incident: &'a Incident,
    unknown: BTreeSet<Name>,
    orphans: BTreeSet<Name>,
    /// Refunds that waited for their original at any time.
    ever_orphans: BTreeSet<Name>,
    world: World,
    /// The till's time when the story begins.
    began: u64,
    told: Retold,
    /// Whether the till has greeted the cloud since it was started, or lost it.
    greeted: bool,
    /// Whether it had, before the cloud was restored: then it may not know of that.
    stale: bool,
    number: u64,
    asides: BTreeMap<Epoch, TillBackup>,
    clouds: BTreeMap<usize, (Backup<Cloud>, CloudBackup)>,
    /// The entries that were filled in last: their history, first and last.
    filling: Option<(Epoch, u64, u64)>,
}

impl<'a> Stage<'a> {
    fn new(incident: &'a Incident, keep_log: bool) -> Self {
        let mut world = World::new(Medium::Memory, &calm(), None, keep_log);
        world.heap.clear();
        let first = incident.notes.first().map(|note| note.at.0);
        let first = first.or_else(|| incident.entries.values().next().map(|told| told.at.0));
        Self {
            incident,
            unknown: BTreeSet::new(),
            orphans: BTreeSet::new(),
            ever_orphans: BTreeSet::new(),
            world,
            began: first.unwrap_or(START).min(LATEST),
            told: Retold { filled: incident.left_out(), ..Retold::default() },
            greeted: false,
            stale: false,
            number: 0,
            asides: BTreeMap::new(),
            clouds: BTreeMap::new(),
            filling: None,
        }
    }

    fn play(&mut self, on_ms: u64) -> Result<(), Violation> {
        let Script { acts, unknown, orphans, left_out } = script::of(self.incident);
        self.told.left_out = left_out as u64;
        self.ever_orphans.clone_from(&orphans);
        (self.unknown, self.orphans) = (unknown, orphans);
        let story = self.world.story.take();
        self.ground()?;
        self.world.story = story;
        for act in acts {
            self.act(act)?;
        }
        self.filled();
        self.catch_up(self.incident.acked)?;
        self.turned_away()?;
        self.compare();
        self.go_on(on_ms)
    }

    fn ended(mut self, violation: Option<Violation>) -> Retold {
        let world = &mut self.world;
        if let Some(violation) = &violation {
            world.tell(Lane::World, What::Violation, || violation.to_string());
        }
        let digest = world.trace.digest();
        let mut coverage: Coverage = world.coverage.clone();
        for till in &world.tills {
            coverage.add(&till.coverage);
        }
        let mut tally = world.checker.tally;
        let panicked = violation.as_ref().is_some_and(|broken| broken.law == Law::NoPanic);
        if !panicked {
            let _held = tally.check(Law::NoPanic, world.now_ms(), true, String::new);
        }
        self.told.outcome = Outcome {
            violation,
            coverage,
            tally,
            events: world.checker.events(),
            sim_ms: world.now_us / 1000,
            digest,
            story: world.story.take().unwrap_or_default(),
        };
        self.told
    }

    /// What was there before the story begins: a cloud, and a till with so many histories.
    fn ground(&mut self) -> Result<(), Violation> {
        self.world.start_cloud()?;
        for batch in 0..4 {
            self.world.define_products(batch)?;
        }
        self.define_known()?;
        let first = self.incident.histories[self.incident.first_history()].epoch;
        let nonce = if first.number == 1 { first.nonce } else { 0 };
        let till = self.install(self.incident.identity, nonce)?;
        assert_eq!(till, TILL, "the till of the incident is the first");
        self.world.tills[TILL].skew_ms = skew(self.began);
        for number in 2..=first.number {
            let nonce = if number == first.number { first.nonce } else { 0 };
            self.open(Some((Parted::Copied, nonce)))?;
            self.settle_histories()?;
        }
        Ok(())
    }

    fn act(&mut self, Act { at, what }: Act) -> Result<(), Violation> {
        self.wait_until(at)?;
        if !matches!(what, Doing::Record(_)) {
            self.filled();
        }
        match what {
            Doing::Record(place) => self.record(place),
            Doing::Correct(place, by) => self.correct(place, by),
            Doing::GiveWay(place) => self.give_way(place),
            Doing::Start { parted, told } => self.start(parted, told),
            Doing::Part { why, epoch } => self.part(why, epoch),
            Doing::Offer(offer) => self.offer(&offer),
            Doing::Carry { from, entries } => self.carry(from, &entries),
            Doing::Retry(place) => self.retry(place),
            Doing::SetAside(place) => self.set_aside(place),
            Doing::PutAside(epoch) => {
                self.put_aside(epoch);
                Ok(())
            }
            Doing::OtherLife(epoch) => self.other_life(epoch),
            Doing::BackupCloud(number) => {
                let journals = self.world.checker.backup_cloud();
                let image = self.world.cloud.store.image();
                self.clouds.insert(number, (image, journals));
                Ok(())
            }
            Doing::RestoreCloud(number) => self.restore_cloud(number),
            Doing::Release(name) => self.release(name),
            Doing::Namesake(name) => self.namesake(name),
        }
    }

    /// Lets the world go on until the till's clock shows this.
    fn wait_until(&mut self, at: Millis) -> Result<(), Violation> {
        let us = at.0.saturating_sub(self.began).min(LONGEST_MS) * 1000;
        while self.world.heap.peek().is_some_and(|Reverse(next)| next.at_us <= us) {
            let Some(Reverse(next)) = self.world.heap.pop() else { break };
            self.world.now_us = self.world.now_us.max(next.at_us);
            self.world.note(&next);
            self.world.happen(next.what)?;
        }
        self.world.now_us = self.world.now_us.max(us);
        Ok(())
    }

    fn tell(&mut self, text: impl FnOnce() -> String) {
        self.world.tell(lane(TILL), What::Note, text);
    }

    fn differ(&mut self, what: String) {
        self.world.tell(lane(TILL), What::Fault, || format!("NOT AS TOLD: {what}"));
        if self.told.differs.len() < DIFFERENCES_MAX {
            self.told.differs.push(what);
        }
    }

    /// Counts a note that came out as told, or lists what is not.
    fn noted(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if holds {
            self.told.as_told += 1;
        } else {
            self.differ(what());
        }
    }

    fn meta(&self, till: usize) -> Meta {
        self.world.tills[till].meta().cloned().expect("an installed till has its books")
    }

    fn step(&mut self, till: usize, input: &Input) -> Result<Output, Violation> {
        let output = self.world.till_step(till, input, false)?;
        Ok(output.expect("nothing fails here but what is told"))
    }

    fn start(&mut self, parted: Option<(Parted, Epoch)>, told: bool) -> Result<(), Violation> {
        self.world.tell(lane(TILL), What::Start, || "the program is started".to_owned());
        (self.greeted, self.stale) = (false, false);
        let came = self.open(parted.map(|(why, epoch)| (why, epoch.nonce)))?;
        match parted {
            Some((why, epoch)) => {
                let said = if told { "told" } else { "in no note" };
                self.tell(|| format!("a new history, {epoch} ({why:?}): {said}"));
                self.noted(came == Some(why) && self.meta(TILL).epoch == epoch, || {
                    format!("the bundle opens {epoch} ({why:?}), the roles do not: {came:?}")
                });
                self.settle_histories()
            }
            None => {
                self.told.as_told += u64::from(came.is_none());
                Ok(())
            }
        }
    }

    /// Opens the database, as one that was exchanged if it is to part.
    fn open(&mut self, part: Option<(Parted, u64)>) -> Result<Option<Parted>, Violation> {
        let host = &mut self.world.tills[TILL];
        let fresh = Witness { install: host.entropy.draw(), boot: host.entropy.draw() };
        let other_boot = host.entropy.draw();
        let witness = match part {
            None => host.witness,
            Some((Parted::Restored, _)) => {
                host.witness.map(|witness| Witness { boot: other_boot, ..witness })
            }
            Some((Parted::Copied | Parted::LostTail | Parted::Forked, _)) => None,
        };
        host.life += 1;
        let nonce = part.map_or(0, |(_, nonce)| nonce);
        let opened = self.step(TILL, &Input::Open { witness, fresh, nonce })?;
        let Output::Opened { witness, parted } = opened else {
            unreachable!("an installed till opens")
        };
        self.world.tills[TILL].witness = Some(witness);
        Ok(parted)
    }

    /// A greeting, after which the till opens a new history.
    fn part(&mut self, why: Parted, epoch: Epoch) -> Result<(), Violation> {
        let came = self.greet(TILL)?;
        // The cloud does not know of the new one yet.
        self.greeted = false;
        self.tell(|| format!("a new history, {epoch} ({why:?}): told"));
        self.noted(came == Some(why) && self.meta(TILL).epoch == epoch, || {
            format!("the bundle opens {epoch} ({why:?}) after a greeting, the roles {came:?}")
        });
        self.settle_histories()
    }

    fn retry(&mut self, place: Place) -> Result<(), Violation> {
        let Some(told) = self.incident.entries.get(&place) else { return Ok(()) };
        let input = Input::Retry { pos: told.pos, local_id: told.local_id, place };
        self.person(&input, place, "another try")
    }

    fn set_aside(&mut self, place: Place) -> Result<(), Violation> {
        self.person(&Input::SetAside(place), place, "it set aside")
    }

    fn give_way(&mut self, place: Place) -> Result<(), Violation> {
        let Some(told) = self.incident.entries.get(&place) else { return Ok(()) };
        match self.world.other_way(TILL, told.pos, told.local_id) {
            Some(input) => self.person(&input, place, "the other to count"),
            None => {
                self.differ(format!("entry {} has nothing to give way to", place.seq));
                Ok(())
            }
        }
    }

    /// A person decides on an entry.
    fn person(&mut self, input: &Input, place: Place, wish: &str) -> Result<(), Violation> {
        let output = self.step(TILL, input)?;
        let done = matches!(output, Output::Settled(_) | Output::Recorded { .. });
        self.tell(|| format!("told: a person wanted {wish}, of entry {}", place.seq));
        self.noted(done, || format!("a person wanted {wish}, of entry {}: {output:?}", place.seq));
        Ok(())
    }

    /// Plays on: the till sells for a while, then everything must drain.
    fn go_on(&mut self, on_ms: u64) -> Result<(), Violation> {
        let unknown: Vec<Name> = self.unknown.union(&self.orphans).copied().collect();
        self.world.tell(Lane::World, What::Fault, || {
            "the bundle ends here: from now on the simulator plays on".to_owned()
        });
        for name in unknown {
            self.release(name)?;
        }
        self.world.plan.chaos_ms = self.world.now_ms() + 1 + on_ms;
        for till in 0..self.world.tills.len() {
            self.world.start_till(till)?;
        }
        if on_ms > 0 {
            self.world.put_to_work(TILL);
        }
        self.world.at(self.world.plan.chaos_ms * 1000, Happening::Heal);
        self.world.go_on()
    }
}

/// By how much a clock is ahead of the simulator's.
fn skew(began: u64) -> i64 {
    let (began, start) = (began.cast_signed(), START.cast_signed());
    began - start
}

/// Returns a name that is made up here.
fn short_name(text: &str) -> LocalEventId {
    LocalEventId::parse(text).expect("a short name")
}

/// A shop in which nothing happens by itself, and one till sells when it plays on.
fn calm() -> Plan {
    Plan {
        version: VERSION,
        seed: 0,
        tills: 0,
        branches: 1,
        chaos_ms: 0,
        sale_every_ms: 2_000,
        park_unknown: true,
        catalog_edit_every_ms: 0,
        session_every_ms: 0,
        till_edit_every_ms: 0,
        order_every_ms: 0,
        relay: false,
        verify_every_ms: 0,
        compact_every_ms: 0,
        correct_every_ms: 0,
        archive_every_ms: 0,
        link: LinkPlan { latency_us: 300, ..LinkPlan::default() },
        disk: DiskPlan::default(),
        crash_ppm: 0,
        storage_error_ppm: 0,
        faults: Vec::new(),
    }
}
