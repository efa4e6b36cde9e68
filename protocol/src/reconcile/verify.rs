//! The till's side: what to ask next, and what the answers say. Volatile; it writes nothing.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::census::{Census, find};
use super::plan::{ITEMS_MAX, Plan, PlanRefusal, Row, built};
use super::{item_of, key_of};
use crate::catalog::{Digest, Entity, EntityId, Kind as EntityKind, Product, entity_hash};
use crate::identity::ProductId;
use crate::machine::Query;
use crate::sketch::{Drift, Item, Kind, Outcome, Sketch, SketchKey, decode};
use crate::terminal::row::{CatalogItem, CatalogState};
use crate::terminal::{Identity, Key, Record, Terminal};
use crate::wire::catalog::CatalogHead;
use crate::wire::reconcile::{
    ASKED_MAX, CellsAnswer, EntitiesAnswer, EntitiesAsk, EntityRow, MoreV1, ReconcileAnswer,
    ReconcileAsk,
};

/// What a comparison needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask the cloud which rows differ.
    Ask(ReconcileAsk),
    /// Ask the cloud for rows.
    Fetch(EntitiesAsk),
    /// Everything is known: make the plan.
    Ready,
    /// The catalog has moved on: ask for a delta, then begin again with a new census.
    Again,
    /// No plan can tell what differs (`POS_CATALOG_MANIFEST_TOO_LARGE`): compare by snapshot.
    Snapshot {
        /// About how many rows differ, if that is known.
        estimated: Option<u64>,
    },
}

/// An answer that cannot be true, or a till that changed meanwhile. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is an answer to no question of this comparison.
    #[error("the cloud answered another question: try again")]
    Unasked,
    /// The cells are not what they say.
    #[error("the cloud's answer is damaged: try again")]
    Cells,
    /// A row is not the one that was asked for.
    #[error("the cloud sent other rows than those that differ: try again")]
    Rows,
    /// A row of the till changed while the answers were on their way.
    #[error("{0} changed on this till meanwhile: try again")]
    Changed(EntityId),
    /// What was found does not explain the difference.
    #[error("the plan cannot be made: {0}")]
    Plan(#[from] PlanRefusal),
}

/// What the till knows of the rows that differ.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The till's rows, where there are any.
    pub local: BTreeMap<EntityId, CatalogItem>,
    /// The products that branch prices are laid over: for their names and currencies.
    pub products: BTreeMap<ProductId, Product>,
    /// Entities that were edited on this till, and whose edits the cloud has not answered yet.
    pub edits: BTreeSet<EntityId>,
    /// How many unsynced events name a product.
    pub unsynced: BTreeMap<ProductId, u64>,
}

/// One entity that differs.
#[derive(Clone, Debug)]
struct Found {
    drift: Drift,
    kind: Kind,
    here: Option<EntityId>,
    there: Option<EntityRow>,
}

/// A comparison of a till's rows with the cloud's.
#[derive(Clone, Debug)]
pub struct Verify {
    identity: Identity,
    cursor: u64,
    stored: Digest,
    census: Census,
    key: Option<SketchKey>,
    items: Vec<(Item, EntityId)>,
    /// The cloud's cells so far.
    cells: Sketch,
    head: Option<CatalogHead>,
    found: Vec<Found>,
    /// How many of `found` have their answer.
    fetched: usize,
}

impl Verify {
    /// Begins. `state` is where the catalog stood while the rows were counted; `None` if it is not
    /// complete, or a snapshot is under way that will compare every row anyway.
    #[must_use]
    pub fn new(identity: Identity, state: &CatalogState, census: Census) -> Option<Self> {
        let cursor = state.version.filter(|_| state.progress.is_none())?;
        Some(Self {
            identity,
            cursor,
            stored: state.digest,
            census,
            key: None,
            items: Vec::new(),
            cells: Sketch::new(0),
            head: None,
            found: Vec::new(),
            fetched: 0,
        })
    }

    /// Returns the first question.
    #[must_use]
    pub fn ask(&self) -> ReconcileAsk {
        assert!(self.head.is_none(), "the first question comes first");
        assert!(self.cells.is_empty(), "no cells came yet");
        self.question(None)
    }

    fn question(&self, more: Option<MoreV1>) -> ReconcileAsk {
        assert!(more.is_none() || !self.cells.is_empty(), "more follows something");
        assert!(self.found.is_empty(), "who knows what differs asks no more");
        let estimator = self.census.estimator().to_wire();
        ReconcileAsk { version: self.cursor, digest: self.census.digest(), estimator, more }
    }

    /// Takes an answer to [`Next::Ask`] in.
    ///
    /// # Errors
    /// [`Refusal`]; any answer may be given.
    pub fn answered(&mut self, answer: ReconcileAnswer) -> Result<Next, Refusal> {
        if !self.found.is_empty() {
            return Err(Refusal::Unasked);
        }
        match answer {
            ReconcileAnswer::InSync(head) => {
                if head.digest != self.census.digest() || head.version < self.cursor {
                    return Err(Refusal::Rows);
                }
                self.head = Some(head);
                assert!(self.found.is_empty() && self.fetched == 0, "nothing is to be fetched");
                Ok(Next::Ready)
            }
            ReconcileAnswer::Ahead { .. } | ReconcileAnswer::Moved { .. } => Ok(Next::Again),
            ReconcileAnswer::TooLarge { estimated } => {
                Ok(Next::Snapshot { estimated: Some(estimated) })
            }
            ReconcileAnswer::Cells(page) => self.decode(&page),
        }
    }

    fn decode(&mut self, page: &CellsAnswer) -> Result<Next, Refusal> {
        if page.head.version < self.cursor || page.cells.cells.is_empty() {
            return Err(Refusal::Cells);
        }
        if self.head.is_some_and(|head| head != page.head) {
            return Ok(Next::Again);
        }
        let key = SketchKey::new(page.key);
        let first = self.cells.is_empty();
        self.cells.append(&page.cells).map_err(|_| Refusal::Cells)?;
        self.head = Some(page.head);
        if first {
            self.key = Some(key);
            self.items = self.census.items(&key);
            assert!(self.items.is_sorted_by_key(|(item, _)| item.key), "keys can be looked up");
        }
        assert!(!self.cells.is_empty(), "an answer without cells was refused");
        assert!(self.key.is_some(), "cells were made under a key");
        let mine = Sketch::of(self.cells.len(), self.items.iter().map(|(item, _)| *item));
        let decoding = decode(&self.cells.minus(&mine));
        assert_eq!(mine.len(), self.cells.len(), "both sides have these cells");
        match decoding.outcome {
            Outcome::Decoded(drifts) if drifts.is_empty() || drifts.len() > ITEMS_MAX => {
                Ok(Next::Snapshot { estimated: Some(drifts.len() as u64) })
            }
            Outcome::Decoded(drifts) => {
                self.classify(drifts);
                Ok(self.fetch())
            }
            Outcome::NotEnough { .. } if first => {
                let have = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
                Ok(Next::Ask(self.question(Some(MoreV1 { version: page.head.version, have }))))
            }
            Outcome::NotEnough { .. } => Ok(Next::Snapshot { estimated: None }),
            Outcome::Corrupt => Err(Refusal::Cells),
        }
    }

    fn classify(&mut self, drifts: Vec<Drift>) {
        let found = drifts.into_iter().map(|drift| {
            let here = find(&self.items, drift.key);
            let kind = drift.kind(here.map(|(item, _)| item.version));
            Found { drift, kind, here: here.map(|(_, id)| id), there: None }
        });
        let differ = found.len();
        self.found = found.collect();
        assert_eq!(self.found.len(), differ, "each drift is found once");
        // Keys are asked for before names.
        self.found.sort_by_key(|found| found.kind == Kind::Extra);
        self.items = Vec::new(); // they have served
        assert_eq!(self.fetched, 0, "nothing was fetched before it was known");
        assert!(!self.found.is_empty(), "something differs");
        assert!(self.found.len() <= ITEMS_MAX, "a plan is bounded");
    }

    fn fetch(&self) -> Next {
        let rest = &self.found[self.fetched..];
        let part = &rest[..rest.len().min(ASKED_MAX)];
        if part.is_empty() {
            return Next::Ready;
        }
        assert!(part.is_sorted_by_key(|found| found.kind == Kind::Extra), "keys before names");
        assert!(part.iter().all(|found| found.there.is_none()), "nothing is asked for twice");
        let extra = part.partition_point(|found| found.kind != Kind::Extra);
        let keys: Vec<_> = part[..extra].iter().map(|found| found.drift.key).collect();
        let names: Vec<_> = part[extra..].iter().filter_map(|found| found.here).collect();
        assert_eq!(keys.len() + names.len(), part.len(), "each is asked for, by key or by name");
        assert!(!part.is_empty() && part.len() <= ASKED_MAX, "a question is bounded");
        Next::Fetch(EntitiesAsk { keys: crate::sketch::KeysV1::of(&keys), extra: names })
    }

    /// Takes an answer to [`Next::Fetch`] in.
    ///
    /// # Errors
    /// [`Refusal`]; any answer may be given.
    pub fn rows(&mut self, answer: EntitiesAnswer) -> Result<Next, Refusal> {
        let (Some(head), Some(key)) = (self.head, self.key) else { return Err(Refusal::Unasked) };
        if answer.head.digest != head.digest || answer.floor > self.cursor {
            return Ok(Next::Again);
        }
        let most = (self.found.len() - self.fetched).min(ASKED_MAX);
        if answer.rows.is_empty() || answer.rows.len() > most {
            return Err(Refusal::Unasked);
        }
        let (before, came) = (self.fetched, answer.rows.len());
        assert!(most <= ASKED_MAX && before < self.found.len(), "an answer has a question");
        for row in answer.rows {
            let found = &mut self.found[self.fetched];
            if !fits(&key, found, &row) {
                return Err(Refusal::Rows);
            }
            found.there = Some(row);
            self.fetched += 1;
        }
        assert!(self.fetched > before, "each answer brings something");
        assert_eq!(self.fetched - before, came, "each row of an answer is taken in");
        assert!(self.fetched <= self.found.len(), "each row has one answer");
        Ok(self.fetch())
    }

    /// Returns which rows of the till are to be read for the plan: those that differ, and the
    /// products that branch prices belong to.
    #[must_use]
    pub fn touches(&self) -> Vec<EntityId> {
        let mut ids = BTreeSet::new();
        for found in &self.found {
            let there = match &found.there {
                Some(EntityRow::Known(change)) => Some(change.id),
                Some(EntityRow::Absent) | None => None,
            };
            for id in found.here.into_iter().chain(there) {
                ids.insert(id);
                if id.kind == EntityKind::BranchPrice {
                    ids.insert(EntityId::product(ProductId(id.id)));
                }
            }
        }
        assert!(ids.len() <= 4 * ITEMS_MAX, "few rows are touched");
        assert!(ids.len() <= 4 * self.found.len(), "where nothing differs, no row is touched");
        ids.into_iter().collect()
    }

    /// Makes the plan, once [`Next::Ready`] was returned.
    ///
    /// # Errors
    /// [`Refusal`]: nothing can be believed then, and nothing was changed.
    pub fn plan(&self, inputs: &Inputs) -> Result<Plan, Refusal> {
        let Some(cloud) = self.head.filter(|_| self.fetched == self.found.len()) else {
            return Err(Refusal::Unasked);
        };
        let mut rows = BTreeMap::new();
        for found in &self.found {
            let change = match &found.there {
                Some(EntityRow::Known(change)) => Some(change.clone()),
                Some(EntityRow::Absent) | None => None,
            };
            let Some(id) = found.here.or_else(|| change.as_ref().map(|change| change.id)) else {
                return Err(Refusal::Rows);
            };
            let local = inputs.local.get(&id).cloned();
            let hash = local.as_ref().map(|item| entity_hash(id, &item.content));
            if hash != self.census.get(id) {
                return Err(Refusal::Changed(id));
            }
            rows.insert(id, Row { local, cloud: change });
        }
        assert!(rows.len() <= self.found.len(), "each entity is one row");
        assert!(rows.len() <= ITEMS_MAX, "a plan is bounded");
        let before = (self.cursor, self.census.digest(), self.stored);
        Ok(built(self.identity, before, cloud, rows, inputs)?)
    }
}

/// Returns whether a row is one that could have been meant. Whether it really is, the sum of all
/// rows tells.
fn fits(key: &SketchKey, found: &Found, row: &EntityRow) -> bool {
    assert_eq!(found.here.is_none(), found.kind == Kind::Missing, "what is not here is missing");
    let change = match (row, found.kind) {
        (EntityRow::Absent, kind) => return kind == Kind::Extra,
        (EntityRow::Known(change), _) => change,
    };
    if found.here.is_some_and(|here| here != change.id) {
        return false;
    }
    match (found.kind, &change.content) {
        (Kind::Extra, content) => content.is_none(),
        (Kind::Missing | Kind::Different(_), None) => false,
        (Kind::Missing, Some(_)) => key_of(key, change.id) == found.drift.key,
        (Kind::Different(version), Some(content)) => {
            let item = item_of(key, change.id, entity_hash(change.id, content));
            item.key == found.drift.key && item.version == version
        }
    }
}

impl Inputs {
    /// Reads what a plan needs of the till's rows. `edits` are the entities with pending edits.
    ///
    /// # Errors
    /// The store's.
    pub async fn read<Q: Query<Terminal>>(
        store: &Q,
        verify: &Verify,
        edits: BTreeSet<EntityId>,
    ) -> Result<Self, Q::Error> {
        let mut inputs = Self { edits, ..Self::default() };
        let touched = verify.touches();
        for id in &touched {
            let Some(Record::Item(item)) = store.get(&Key::Item(*id)).await? else { continue };
            if let Ok(Entity::Product(product)) = Entity::from_canonical(*id, &item.content) {
                inputs.products.insert(product.id, product);
            }
            inputs.local.insert(*id, item);
        }
        if !touched.is_empty() {
            inputs.unsynced = super::unsynced(store).await?;
        }
        assert!(inputs.local.len() <= touched.len(), "only rows that are touched are read");
        assert!(inputs.products.len() <= inputs.local.len(), "a product is one of these rows");
        assert!(
            !touched.is_empty() || inputs.unsynced.is_empty(),
            "where nothing differs, no event is read"
        );
        Ok(inputs)
    }
}
