//! From the running code to the variables of `spec/Catalog.tla`: the refinement mapping.
//!
//! | variable | is |
//! |---|---|
//! | `cat`, `archive` | the rows of the cloud's disk, of its backup, as of when it was made |
//! | `plan` | how far a plan goes, and what it found in the rows of when it was made |
//! | `asked` | what was asked, or answered, and is not noted yet |
//! | `till`, `backup` | the rows of a till's database, of its backup: [`Mapping::till`] |
//! | `talk` | questions; the bytes of answers; the rows from which one is being put together |
//! | `left` | what the run has not used up |
//! | `edits` | of which entity each edit of the first till was |
//! | `ruled`, `hist` | what the cloud's rows have ever said of edits, and held |
//! | `amiss` | empty, unless a deleted entity came back by an edit, or an edit ended too early |
//!
//! No variable is left out. A digest is looked up: it stands for the contents that have it.

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_protocol::catalog::{Digest, EntityId};
use counterfoil_protocol::cloud::{self, Cloud};
use counterfoil_protocol::terminal::Terminal;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{
    DeltaAnswer, DeltaPage, EditName, HeldEdit, SnapshotPage,
};
use counterfoil_protocol::wire::edit::FieldValueV1;
use counterfoil_protocol::wire::message::EditOutcome;
use counterfoil_storage::memory::Image;
use tla_checker::ast::Value;

use crate::bind::bound::{Mapped, Unmapped, Variables, unmapped};
use crate::bind::journal::rows::number;
use crate::bind::journal::world::site;
use crate::bind::value::{int, record, sequence, set, text, truth};

use super::constants::Constants;
use super::items::{edit_value, field, item_of, value_in};
use super::rows::{
    cloud_item, decided, feed_of, floor_of, item_in, local_edits, state_of, till_item,
};
use super::world::{Planned, Question, Talk, World};

/// What was learned of digests, and of what no node knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    constants: Constants,
    /// What adds up to each digest.
    digests: Vec<(Digest, Vec<u64>)>,
    ruled: BTreeSet<(u64, u64)>,
    hist: BTreeSet<(u64, Vec<u64>)>,
    amiss: BTreeSet<&'static str>,
    /// The cloud's contents and version, and what lay over, one step ago.
    before: (Vec<u64>, u64, Vec<u64>),
}

fn all(numbers: impl IntoIterator<Item = u64>) -> Value {
    set(numbers.into_iter().map(int))
}

fn contents(values: &[u64]) -> Value {
    sequence(values.iter().map(|value| int(*value)))
}

fn known(value: Option<u64>) -> Value {
    sequence(value.map(int))
}

fn version(val: u64, ver: u64) -> Value {
    record([("val", int(val)), ("ver", int(ver))])
}

fn kind(kind: &str) -> (&str, Value) {
    ("kind", text(kind))
}

impl Mapping {
    pub(super) fn new(constants: Constants) -> Self {
        Self { constants, ..Self::default() }
    }

    fn items(&self) -> impl Iterator<Item = u64> + use<> {
        1..=self.constants.items
    }

    fn rows(&self, image: &Image<Cloud>) -> Result<Vec<(u64, u64)>, Unmapped> {
        self.items().map(|item| item_in(&self.constants, image, item)).collect()
    }

    /// Returns what the whole world is in the specification. Called after each step, as it learns.
    pub(super) fn state(&mut self, world: &World) -> Result<Variables, Unmapped> {
        let (nodes, tills) = (&world.nodes, 1..=self.constants.tills);
        self.learn(world)?;
        let cat = self.cat(world, &nodes.cloud, nodes.now)?;
        let archive = nodes.archive.as_ref();
        let archive = archive.map(|image| self.cat(world, image, world.archived_at)).transpose()?;
        let plan = world.plan.as_ref().map(|planned| self.plan(planned)).transpose()?;
        let (mut disks, mut backups, mut talk) = (Vec::new(), Vec::new(), Vec::new());
        for number in tills {
            let Some(machine) = &nodes.machines[number - 1] else {
                return unmapped("a till that is not there");
            };
            disks.push(self.till(&machine.image)?);
            let backup = nodes.backups[number - 1].as_ref();
            backups.push(sequence(backup.map(|kept| self.till(&kept.image)).transpose()?));
            talk.push(self.talk(&world.talk[number - 1])?);
        }
        let ruled = self.ruled.iter().map(|(edit, ver)| sequence([int(*edit), int(*ver)]));
        let hist = self.hist.iter().map(|(ver, held)| sequence([int(*ver), contents(held)]));
        Ok(Variables::from([
            ("cat", cat),
            ("archive", sequence(archive)),
            ("plan", sequence(plan)),
            ("asked", sequence(world.asked.iter().map(|asked| known(*asked)))),
            ("till", sequence(disks)),
            ("backup", sequence(backups)),
            ("talk", sequence(talk)),
            ("left", world.left.value()),
            ("edits", contents(&world.edits)),
            ("ruled", set(ruled)),
            ("hist", set(hist)),
            ("amiss", set(self.amiss.iter().map(|what| text(what)))),
        ]))
    }

    /// Notes what the cloud's contents add up to, and what it has decided.
    fn learn(&mut self, world: &World) -> Result<(), Unmapped> {
        let (cloud, feed) = (&world.nodes.cloud, feed_of(&world.nodes.cloud));
        let held: Vec<u64> = self.rows(cloud)?.into_iter().map(|(value, _)| value).collect();
        match self.digests.iter().find(|(digest, _)| *digest == feed.digest) {
            Some((_, of)) if *of != held => return unmapped("a digest of two catalogs"),
            Some(_) => {}
            None => self.digests.push((feed.digest, held.clone())),
        }
        let mut written = BTreeMap::new();
        for (key, row) in cloud.rows().iter() {
            if let (cloud::Key::EditNote(_, key), cloud::Record::EditNote(note)) = (key, &**row) {
                let Some(edit) = number(key.local_id.as_str()) else {
                    return unmapped("an edit without a number");
                };
                self.ruled.insert((edit, note.version));
                if note.outcome() <= EditOutcome::Overwrote {
                    written.insert(note.version, (item_of(note.entity)?, edit_value(edit)));
                }
            }
        }
        // One commit of the cloud may decide several edits, each with a version of its own.
        let (mut passed, at, _) = self.before.clone();
        for version in at + 1..feed.version {
            let Some((item, value)) = written.get(&version) else {
                return unmapped(format!("the version {version}, which nobody has made"));
            };
            let place = usize::try_from(item - 1).unwrap_or(usize::MAX);
            if let Some(content) = passed.get_mut(place) {
                *content = *value;
            }
            self.hist.insert((version, passed.clone()));
        }
        if feed.version > 0 {
            self.hist.insert((feed.version, held.clone()));
        }
        let over = match &world.nodes.machines[0] {
            Some(machine) => self.over(&machine.image)?.0,
            None => Vec::new(),
        };
        self.look_for_what_must_not_be(world, &held, feed.version, &over);
        self.before = (held, feed.version, over);
        Ok(())
    }

    fn look_for_what_must_not_be(&mut self, world: &World, held: &[u64], at: u64, over: &[u64]) {
        let (held_before, at_before, over_before) = &self.before;
        let revived = |(old, new): (&u64, &u64)| *old == 0 && *new > edit_value(0);
        if at > *at_before && held_before.iter().zip(held).any(revived) {
            self.amiss.insert("revived");
        }
        if let Some(truly) = &world.taken {
            let ended = over_before.iter().zip(over).filter(|(old, new)| **old != 0 && **new == 0);
            if ended.into_iter().any(|(old, _)| !truly.contains(old)) {
                self.amiss.insert("early");
            }
        }
    }

    // -----------------------------------------------------------------------------------------
    // The cloud's disk.

    fn cat(&self, world: &World, image: &Image<Cloud>, now: Millis) -> Mapped {
        let (feed, floor) = (feed_of(image), floor_of(image));
        let rows = self.rows(image)?;
        let by: Result<Vec<Value>, Unmapped> =
            self.items().zip(&rows).map(|(item, (_, ver))| author(image, item, *ver)).collect();
        let noted = (1..=self.constants.tills)
            .filter(|till| cloud_item(image, &world.lease_key(*till)).is_some());
        Ok(record([
            ("v", int(feed.version)),
            ("item", sequence(rows.into_iter().map(|(val, ver)| version(val, ver)))),
            ("by", sequence(by?)),
            ("floor", int(floor.version)),
            ("swept", int(floor.swept)),
            ("begun", int(floor.leases)),
            ("lease", sequence(world.leases(image, now).into_iter().map(known))),
            ("noted", set(noted.map(int))),
            ("decided", all(decided(image))),
        ]))
    }

    /// What a plan found is not told by it; what it would find in the rows of then is as many.
    fn plan(&self, planned: &Planned) -> Mapped {
        let (floor, to) = (floor_of(&planned.rows), planned.plan.to());
        let rows = self.items().zip(self.rows(&planned.rows)?);
        let dead = rows.filter(|(_, (val, ver))| *val == 0 && (floor.swept + 1..=to).contains(ver));
        let dead: Vec<u64> = dead.map(|(item, _)| item).collect();
        if dead.len() != planned.plan.len() {
            return unmapped(format!("a plan with {} of {dead:?}", planned.plan.len()));
        }
        Ok(record([
            ("floor", int(floor.version)),
            ("swept", int(floor.swept)),
            ("begun", int(floor.leases)),
            ("to", int(to)),
            ("dead", all(dead)),
        ]))
    }

    // -----------------------------------------------------------------------------------------
    // The till's disk.

    fn till(&self, image: &Image<Terminal>) -> Mapped {
        let state = state_of(image);
        let mut rows = Vec::new();
        for item in self.items() {
            let (val, ver) = till_item(&self.constants, image, item)?.unwrap_or((0, 0));
            rows.push(version(val, ver));
        }
        let run = state.progress.map(|progress| {
            let after = progress.after.map_or(Ok(0), item_of)?;
            Ok(record([("pinned", known(progress.pinned)), ("after", int(after))]))
        });
        let (over, done) = self.over(image)?;
        Ok(record([
            ("known", truth(state.version.is_some())),
            ("at", int(state.version.unwrap_or(0))),
            ("rows", sequence(rows)),
            ("run", sequence(run.transpose()?)),
            ("proven", truth(state.proven)),
            ("drifts", int(state.drifts.min(1))),
            ("over", contents(&over)),
            ("done", all(done)),
        ]))
    }

    /// The edit that lies over each item; those that the cloud has decided.
    fn over(&self, image: &Image<Terminal>) -> Result<(Vec<u64>, BTreeSet<u64>), Unmapped> {
        let (mut over, mut done) = (BTreeMap::new(), BTreeSet::new());
        for waiting in local_edits(image).waiting {
            let (item, edit) = (item_of(waiting.entity)?, number(waiting.local_id.as_str()));
            let says = |edit| waiting.value == wire(&self.constants, item, edit);
            match edit {
                Some(edit) if says(edit) => {
                    over.insert(item, edit);
                    done.extend(waiting.decided.map(|_| edit));
                }
                _ => return unmapped(format!("what lies over item {item}")),
            }
        }
        Ok((self.items().map(|item| over.get(&item).copied().unwrap_or(0)).collect(), done))
    }

    // -----------------------------------------------------------------------------------------
    // What is under way.

    fn talk(&self, talk: &Talk) -> Mapped {
        Ok(match talk {
            Talk::Rest => record([kind("rest")]),
            Talk::AskRun { pinned, after } => {
                record([kind("run"), ("pinned", known(*pinned)), ("after", int(place(*after)?))])
            }
            Talk::AskDelta(Question { from, edits }) => {
                record([kind("delta"), ("from", int(*from)), ("edits", names(edits)?)])
            }
            Talk::Reading(question, rows) => self.reading(question, rows)?,
            Talk::Delta { asked, held, truly, frame } => match DeltaAnswer::decode(frame) {
                Ok(DeltaAnswer::Resync) => record([kind("resync")]),
                Ok(answer) => {
                    let Some((page, told)) = answer.page() else { return unmapped("no page") };
                    self.page(asked, page, told, held, truly)?
                }
                Err(error) => return unmapped(format!("a broken frame: {error}")),
            },
            Talk::Run(frame) => match SnapshotPage::decode(frame) {
                Ok(page) => self.run(&page)?,
                Err(error) => return unmapped(format!("a broken frame: {error}")),
            },
        })
    }

    /// What the first half of a delta has read.
    fn reading(&self, question: &Question, rows: &Image<Cloud>) -> Mapped {
        let Question { from, edits } = question;
        let asked = edits.iter().filter_map(|edit| number(edit.local_id.as_str()));
        let there = decided(rows);
        let mut found = Vec::new();
        for (key, row) in rows.rows().iter() {
            if let (cloud::Key::Change(_, _, ver, _), cloud::Record::Change(id)) = (key, &**row)
                && ver > from
            {
                found.push(sequence([int(item_of(*id)?), int(*ver)]));
            }
        }
        Ok(record([
            kind("reading"),
            ("from", int(*from)),
            ("edits", names(edits)?),
            ("held", all(asked.filter(|edit| there.contains(edit)))),
            ("head", int(feed_of(rows).version)),
            ("found", set(found)),
        ]))
    }

    fn page(
        &self,
        asked: &Question,
        page: &DeltaPage,
        told: Option<&[HeldEdit]>,
        held: &BTreeSet<u64>,
        truly: &BTreeSet<u64>,
    ) -> Mapped {
        let mut changes = BTreeMap::new();
        for change in &page.changes {
            let item = item_of(change.id)?;
            let value = change.content.as_ref();
            let value = value.map(|content| value_in(&self.constants, item, content));
            changes.insert(int(item), version(value.transpose()?.unwrap_or(0), change.version));
        }
        // Who asks for edits is told of them at the head, and only there.
        let expected = page.head.is_some() && !asked.edits.is_empty();
        let named: Option<BTreeSet<u64>> = told.map(|told| {
            told.iter().filter_map(|held| number(held.name.local_id.as_str())).collect()
        });
        if named.is_some() != expected || named.is_some_and(|named| named != *held) {
            return unmapped("a page that tells of other edits");
        }
        let head = page.head.map(|head| {
            let known = self.digests.iter().find(|(digest, _)| *digest == head.digest);
            known.map_or_else(|| unmapped("a digest of no catalog"), |(_, of)| Ok(contents(of)))
        });
        Ok(record([
            kind("page"),
            ("from", int(page.from)),
            ("to", int(page.to)),
            ("edits", names(&asked.edits)?),
            ("held", all(held.iter().copied())),
            ("changes", Value::func(changes)),
            ("head", sequence(head.transpose()?)),
            ("truly", all(truly.iter().copied())),
        ]))
    }

    fn run(&self, page: &SnapshotPage) -> Mapped {
        let mut rows = Vec::new();
        for change in &page.entities {
            let item = item_of(change.id)?;
            let Some(content) = &change.content else { return unmapped("a run with a tombstone") };
            let row = version(value_in(&self.constants, item, content)?, change.version);
            rows.push(record([("id", int(item)), ("row", row)]));
        }
        Ok(record([
            kind("entities"),
            ("after", int(place(page.after)?)),
            ("pinned", int(page.pinned)),
            ("last", int(place(page.last)?)),
            ("rows", sequence(rows)),
        ]))
    }
}

/// Who has written an item last: an edit's note says so, or it was the operator.
fn author(image: &Image<Cloud>, item: u64, ver: u64) -> Mapped {
    for (key, row) in image.rows().iter() {
        if let (cloud::Key::EditNote(shop, _), cloud::Record::EditNote(note)) = (key, &**row)
            && *shop == site().shop
            && item_of(note.entity)? == item
            && note.version == ver
            && note.outcome() <= EditOutcome::Overwrote
        {
            return Ok(text("till"));
        }
    }
    Ok(text("cloud"))
}

fn wire(constants: &Constants, item: u64, edit: u64) -> FieldValueV1 {
    field(constants, item, edit_value(edit)).to_wire()
}

/// The first place is before all items.
fn place(id: Option<EntityId>) -> Result<u64, Unmapped> {
    id.map_or(Ok(0), item_of)
}

fn names(edits: &[EditName]) -> Mapped {
    let mut named = Vec::new();
    for edit in edits {
        match number(edit.local_id.as_str()) {
            Some(edit) => named.push(int(edit)),
            None => return unmapped("an edit without a number"),
        }
    }
    Ok(set(named))
}
