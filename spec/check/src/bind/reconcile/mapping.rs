//! From the running code to the variables of `spec/Reconcile.tla`: the refinement mapping.
//!
//! | variable | is |
//! |---|---|
//! | `cloud` | the rows of the cloud's disk; whose pending edits stand in its ledger |
//! | `till` | the rows of the till's database |
//! | `check` | the bytes of questions, of answers, of a plan: [`Mapping::check`] |
//! | `left` | what the run has not used up |
//! | `hist` | what the cloud's rows have ever held |
//! | `applied` | the plan that was applied last, and the till's rows before and after it |
//!
//! No variable is left out. A digest is looked up: it stands for the contents that have it, or for
//! the sum of hashes that it is.

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_protocol::catalog::{Digest, Entity};
use counterfoil_protocol::cloud::Cloud;
use counterfoil_protocol::reconcile::plan::{Action, CloudRow, PlanItem};
use counterfoil_protocol::reconcile::{Plan, key_of};
use counterfoil_protocol::sketch::SketchKey;
use counterfoil_protocol::terminal::Terminal;
use counterfoil_protocol::wire::catalog::CatalogHead;
use counterfoil_protocol::wire::reconcile::{
    EntitiesAnswer, EntitiesAsk, EntityRow, ReconcileAnswer, ReconcileAsk,
};
use counterfoil_storage::memory::Image;
use tla_checker::ast::Value;

use crate::bind::bound::{Mapped, Unmapped, Variables, unmapped};
use crate::bind::catalog::constants::Constants as Plain;
use crate::bind::catalog::items::{id_of, item_of, value_in};
use crate::bind::catalog::rows::{feed_of, floor_of, item_in, state_of, till_item};
use crate::bind::value::{int, record, sequence, set, text, truth};

use super::compare::{Applied, Check, Counted};
use super::constants::Constants;
use super::sums::{Sum, Sums, value};
use super::world::World;

/// A content, and the version that made it so.
type Row = (u64, u64);

/// What was learned of sums, and of what no node knows.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    constants: Constants,
    sums: Sums,
    hist: BTreeSet<(u64, Vec<u64>)>,
    /// Every sum that was kept so far.
    kept: Vec<(Digest, Sum)>,
    /// The till's sum and contents one step ago.
    before: (Sum, Vec<u64>),
}

fn rows(held: &[Row]) -> Value {
    sequence(held.iter().map(|row| version(*row)))
}

fn version((val, ver): Row) -> Value {
    record([("val", int(val)), ("ver", int(ver))])
}

fn contents(held: &[u64]) -> Value {
    sequence(held.iter().map(|value| int(*value)))
}

fn values(held: &[Row]) -> Vec<u64> {
    held.iter().map(|(value, _)| *value).collect()
}

fn all(numbers: impl IntoIterator<Item = u64>) -> Value {
    set(numbers.into_iter().map(int))
}

fn named(rows: BTreeMap<u64, Row>) -> Value {
    Value::func(rows.into_iter().map(|(item, row)| (int(item), version(row))).collect())
}

fn kind(kind: &str) -> (&str, Value) {
    ("kind", text(kind))
}

fn read<T, E: std::fmt::Display>(told: Result<T, E>) -> Result<T, Unmapped> {
    told.or_else(|error| unmapped(format!("a broken frame: {error}")))
}

impl Mapping {
    pub(super) fn new(constants: Constants) -> Self {
        let sums = Sums::new(constants.clone());
        let nothing = Vec::new();
        let before = (sums.bag(&nothing), nothing);
        Self { constants, sums, hist: BTreeSet::new(), kept: Vec::new(), before }
    }

    fn items(&self) -> impl Iterator<Item = u64> + use<> {
        1..=self.constants.items
    }

    /// Returns what the whole world is in the specification. Called after each step, as it learns.
    pub(super) fn state(&mut self, world: &World) -> Result<Variables, Unmapped> {
        let cloud = self.cloud_rows(&world.nodes.cloud)?;
        let (feed, floor) = (feed_of(&world.nodes.cloud), floor_of(&world.nodes.cloud));
        if self.sums.contents(feed.digest)? != values(&cloud) {
            return unmapped("a cloud whose digest is not that of its rows");
        }
        self.hist.insert((feed.version, values(&cloud)));
        let hist = self.hist.iter().map(|(ver, held)| sequence([int(*ver), contents(held)]));
        let hist = set(hist);
        let cloud = record([
            ("v", int(feed.version)),
            ("rows", rows(&cloud)),
            ("floor", int(floor.version)),
            ("decided", all(world.decided())),
        ]);
        let till = self.till(world)?;
        let applied = world.applied.as_ref().map(|applied| self.applied(applied)).transpose()?;
        Ok(Variables::from([
            ("cloud", cloud),
            ("till", till),
            ("check", self.check(&world.check)?),
            ("left", world.left.value()),
            ("hist", hist),
            ("applied", sequence(applied)),
        ]))
    }

    fn cloud_rows(&self, image: &Image<Cloud>) -> Result<Vec<Row>, Unmapped> {
        self.items().map(|item| item_in(&Plain::default(), image, item)).collect()
    }

    fn till_rows(&self, image: &Image<Terminal>) -> Result<Vec<Row>, Unmapped> {
        let row = |item| Ok(till_item(&Plain::default(), image, item)?.unwrap_or((0, 0)));
        self.items().map(row).collect()
    }

    fn till(&mut self, world: &World) -> Mapped {
        let (state, held) = (state_of(world.till()), self.till_rows(world.till())?);
        let known = self.kept.iter().find(|(digest, _)| *digest == state.digest);
        let sum = match known {
            Some((_, sum)) => sum.clone(),
            None => {
                let (sum, before) = &self.before;
                self.sums.found(state.digest, sum, before, &values(&held))?
            }
        };
        if known.is_none() {
            self.kept.push((state.digest, sum.clone()));
        }
        let told = record([
            ("at", int(state.version.unwrap_or(0))),
            ("rows", rows(&held)),
            ("sum", value(&sum)),
            ("run", truth(state.progress.is_some())),
            ("edits", all(world.pending())),
            ("proven", truth(state.proven)),
        ]);
        self.before = (sum, values(&held));
        Ok(told)
    }

    fn sum(&self, digest: Digest) -> Mapped {
        match self.kept.iter().find(|(kept, _)| *kept == digest) {
            Some((_, sum)) => Ok(value(sum)),
            None => unmapped("a sum that was never kept"),
        }
    }

    fn digest(&self, digest: Digest) -> Mapped {
        Ok(contents(&self.sums.contents(digest)?))
    }

    // -----------------------------------------------------------------------------------------
    // A comparison under way.

    fn check(&self, check: &Check) -> Mapped {
        match check {
            Check::Idle => Ok(record([kind("idle")])),
            Check::Ask(counted) => {
                let [from, rows, stored] = self.counted(counted)?;
                Ok(record([kind("ask"), from, rows, stored]))
            }
            Check::Fetch { counted, told, question } => {
                let [from, rows, stored] = self.counted(counted)?;
                let (head, key) = head_of(told)?;
                let found = self.asked(question, key)?;
                Ok(record([
                    kind("fetch"),
                    from,
                    rows,
                    stored,
                    ("head", int(head.version)),
                    ("digest", self.digest(head.digest)?),
                    ("found", all(found)),
                ]))
            }
            Check::Ready { counted, told, rows: fetched } => {
                let [from, rows, stored] = self.counted(counted)?;
                let (head, key) = head_of(told)?;
                let fetched = fetched.as_ref();
                let there = fetched.map(|(question, answer)| self.there(question, answer, key));
                Ok(record([
                    kind("ready"),
                    from,
                    rows,
                    stored,
                    ("head", int(head.version)),
                    ("digest", self.digest(head.digest)?),
                    ("there", named(there.transpose()?.unwrap_or_default())),
                ]))
            }
            Check::Plan(json) => self.plan(json),
        }
    }

    fn counted(&self, counted: &Counted) -> Result<[(&'static str, Value); 3], Unmapped> {
        let ask = read(ReconcileAsk::decode(&counted.ask))?;
        let (rows, stored) = (self.digest(ask.digest)?, self.sum(counted.stored)?);
        Ok([("from", int(ask.version)), ("rows", rows), ("stored", stored)])
    }

    /// Which rows a question is about, in its order.
    fn asked(&self, question: &[u8], key: Option<[u8; 16]>) -> Result<Vec<u64>, Unmapped> {
        let ask = read(EntitiesAsk::decode(question))?;
        let Some(key) = key else { return unmapped("a question for rows, though none differs") };
        let mut asked = Vec::new();
        for digest in read(ask.keys.parse())? {
            let of = |item: &u64| key_of(&SketchKey::new(key), id_of(*item)) == digest;
            match self.items().find(of) {
                Some(item) => asked.push(item),
                None => return unmapped("a key of no entity"),
            }
        }
        for id in ask.extra {
            asked.push(item_of(id)?);
        }
        Ok(asked)
    }

    fn there(
        &self,
        question: &[u8],
        answer: &[u8],
        key: Option<[u8; 16]>,
    ) -> Result<BTreeMap<u64, Row>, Unmapped> {
        let asked = self.asked(question, key)?;
        let answer = read(EntitiesAnswer::decode(answer))?;
        if answer.rows.len() != asked.len() {
            return unmapped("an answer with fewer rows");
        }
        let rows = asked.into_iter().zip(answer.rows).map(|(item, row)| match row {
            EntityRow::Absent => Ok((item, (0, 0))),
            EntityRow::Known(change) if item_of(change.id)? == item => {
                let value = change.content.map(|bytes| value_in(&Plain::default(), item, &bytes));
                Ok((item, (value.transpose()?.unwrap_or(0), change.version)))
            }
            EntityRow::Known(_) => unmapped("a row of another name"),
        });
        rows.collect()
    }

    fn plan(&self, json: &str) -> Mapped {
        let plan = read(Plan::from_json(json.as_bytes()))?;
        let (mut kept, mut there) = (BTreeSet::new(), BTreeMap::new());
        for item in &plan.items {
            let number = item_of(item.id)?;
            if item.action == Action::Keep {
                kept.insert(number);
            } else {
                there.insert(number, planned(number, item)?);
            }
        }
        Ok(record([
            kind("plan"),
            ("from", int(plan.from)),
            ("before", self.digest(plan.before)?),
            ("stored", self.sum(plan.stored)?),
            ("digest", self.digest(plan.cloud.digest)?),
            ("kept", all(kept)),
            ("version", int(plan.version)),
            ("after", self.digest(plan.after)?),
            ("there", named(there)),
        ]))
    }

    fn applied(&self, applied: &Applied) -> Mapped {
        let edits: Result<Vec<u64>, Unmapped> =
            applied.edits.iter().map(|id| item_of(*id)).collect();
        let at = state_of(&applied.after).version.unwrap_or(0);
        Ok(record([
            ("plan", self.plan(&applied.plan)?),
            ("edits", all(edits?)),
            ("before", rows(&self.till_rows(&applied.before)?)),
            ("now", rows(&self.till_rows(&applied.after)?)),
            ("at", int(at)),
        ]))
    }
}

/// With what the cloud's catalog was compared, and under which key, if anything differs.
fn head_of(told: &[u8]) -> Result<(CatalogHead, Option<[u8; 16]>), Unmapped> {
    match read(ReconcileAnswer::decode(told))? {
        ReconcileAnswer::InSync(head) => Ok((head, None)),
        ReconcileAnswer::Cells(page) => Ok((page.head, Some(page.key))),
        ReconcileAnswer::TooLarge { .. }
        | ReconcileAnswer::Ahead { .. }
        | ReconcileAnswer::Moved { .. } => unmapped("an answer that leads nowhere"),
    }
}

/// What a plan puts in the place of a row.
fn planned(item: u64, planned: &PlanItem) -> Result<Row, Unmapped> {
    match &planned.cloud {
        None => Ok((0, 0)),
        Some(CloudRow { version, entity: None }) => Ok((0, *version)),
        Some(CloudRow { version, entity: Some(wire) }) => match Entity::parse(wire.clone()) {
            Ok(entity) => Ok((value_in(&Plain::default(), item, &entity.canonical())?, *version)),
            Err(_) => unmapped("an entity that cannot be read"),
        },
    }
}
