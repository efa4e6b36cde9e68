//! A plan: what is to become of each row that differs, as a value that can be read, kept, sent and
//! applied, and that cannot be applied to anything but what it was made for.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Inputs;
use super::fields::{FieldChange, changes};
use crate::catalog::{Digest, Entity, EntityId, Kind, Product, entity_hash};
use crate::hash::Hash;
use crate::identity::ProductId;
use crate::terminal::Identity;
use crate::terminal::row::CatalogItem;
use crate::wire::catalog::{CatalogHead, ChangeV1, EntityV1};

/// The version of a plan's JSON.
pub const PLAN_FORMAT: u8 = 1;
/// The most items of a plan: what one transaction changes. Where more differs, a snapshot mends
/// the catalog run by run.
pub const ITEMS_MAX: usize = 10_000;
/// The most bytes of a plan as JSON.
pub const PLAN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A plan that removes more than one in so many rows is to be confirmed by a person: 5 %.
pub const REMOVALS_ONE_IN: u64 = 20;

const _: () = assert!(PLAN_FORMAT > 0, "formats count from 1");
const _: () = assert!(REMOVALS_ONE_IN == 20, "one in twenty is 5 %");
const _: () = assert!(ITEMS_MAX > 0, "a plan may change something");
const _: () = assert!(ITEMS_MAX <= u32::MAX as usize, "items can be counted");
const _: () = assert!(ITEMS_MAX < crate::sketch::CELLS_MAX, "a sketch can tell a plan's items");
const _: () = assert!(ITEMS_MAX >= crate::sketch::KEYS_MAX, "one question's rows are a plan");
const _: () = assert!(Class::Missing as u8 == 0 && Class::Pending as u8 == 3, "append only");
const _: () = assert!(Action::Insert as u8 == 0 && Action::Keep as u8 == 3, "append only");
const _: () = assert!(Reason::Lost as u8 == 0 && Reason::NewInCloud as u8 == 6, "append only");
const _: () = assert!(ITEMS_MAX * 4_096 <= PLAN_BYTES_MAX, "the longest plan can be read");

/// What is to be done so that a till's catalog becomes the cloud's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_FORMAT`].
    pub format: u8,
    /// Whose catalog.
    pub till: Identity,
    /// The version that the till has.
    pub from: u64,
    /// What its rows add up to, counted anew.
    pub before: Digest,
    /// What it thought they do.
    pub stored: Digest,
    /// The cloud's version that it was compared with, and what is there.
    pub cloud: CatalogHead,
    /// The version that it will have.
    pub version: u64,
    /// What its rows will add up to.
    pub after: Digest,
    /// How many items there are of each action.
    pub counts: Counts,
    /// What is to become of each row that differs, in the order of their names.
    pub items: Vec<PlanItem>,
}

/// How many items there are of each action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// Rows to add.
    pub insert: u64,
    /// Rows to change.
    pub update: u64,
    /// Rows to remove.
    pub delete: u64,
    /// Rows to leave as they are.
    pub keep: u64,
}

/// What is to become of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanItem {
    /// Which entity.
    pub id: EntityId,
    /// Its name for people; empty if nobody knows it.
    pub name: String,
    /// How it differs.
    pub class: Class,
    /// What is to be done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Field by field, where both sides can be read.
    pub changes: Vec<FieldChange>,
    /// How many unsynced events name it, if it is to be removed.
    pub unsynced: u64,
    /// What stands on the till, by its hash: it must still be so when the plan is applied.
    pub local: Option<Hash>,
    /// What stands in the cloud.
    pub cloud: Option<CloudRow>,
}

/// An entity as the cloud has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CloudRow {
    /// The commit that made it what it is.
    pub version: u64,
    /// Its content; none if it was deleted.
    pub entity: Option<EntityV1>,
}

/// How a row differs. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Class {
    /// The cloud has it, the till has not.
    Missing,
    /// The till has it, the cloud has not.
    Extra,
    /// Both have it, with different content.
    Different,
    /// It differs for a reason that settles itself.
    Pending,
}

/// What is to be done with a row. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Add it.
    Insert,
    /// Put the cloud's content in its place.
    Update,
    /// Remove it from the catalog; what was sold of it stays as it is.
    Delete,
    /// Leave it as it is.
    Keep,
}

/// Why. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// The till has lost it.
    Lost,
    /// The till has something else.
    Drifted,
    /// What the till has cannot be read.
    Unreadable,
    /// The cloud has deleted it.
    DeletedInCloud,
    /// The cloud never had it for this branch.
    UnknownToCloud,
    /// It was edited on this till, and the cloud has not answered yet.
    EditedHere,
    /// The cloud has changed it since the till last heard.
    NewInCloud,
}

/// Why a plan is not made, or not applied. Nothing was changed; verify again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanRefusal {
    /// Another format than [`PLAN_FORMAT`].
    #[error("this program reads plans of format {PLAN_FORMAT}, this one is of format {0}")]
    Format(u8),
    /// Another till's plan.
    #[error("the plan was made for another till")]
    OtherTill,
    /// More than [`ITEMS_MAX`], or not in the order of their names, or miscounted.
    #[error("the plan's list is too long, out of order or miscounted: make a new one")]
    List,
    /// An item whose parts do not belong together.
    #[error("the plan says of {0} what cannot be done: make a new one")]
    Item(EntityId),
    /// The cloud has an entity that this program cannot read.
    #[error("{0} in the cloud needs a newer version of this program: update it first")]
    Unreadable(EntityId),
    /// What it does would not lead to the cloud's catalog.
    #[error("the rows do not add up to the cloud's catalog: make a new plan, or take a snapshot")]
    Sums,
    /// The catalog has moved on.
    #[error("the catalog has changed since the plan was made: make a new one")]
    Stale,
    /// A row is not what the plan saw.
    #[error("{0} is no longer what the plan saw: make a new one")]
    Changed(EntityId),
    /// A row has been edited on this till.
    #[error("{0} was edited on this till since the plan was made: make a new one")]
    Edited(EntityId),
}

/// A row on both sides.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) local: Option<CatalogItem>,
    pub(super) cloud: Option<ChangeV1>,
}

/// What a plan changes in one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) id: EntityId,
    pub(crate) local: Option<Hash>,
    pub(crate) cloud: Option<Stored>,
}

/// The version and the canonical bytes of an entity.
type Stored = (u64, Arc<[u8]>);

/// A plan whose parts fit each other: what a till applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    plan: Plan,
    writes: Vec<Write>,
}

/// Puts a plan together from what both sides have.
pub(super) fn built(
    till: Identity,
    (from, before, stored): (u64, Digest, Digest),
    cloud: CatalogHead,
    rows: BTreeMap<EntityId, Row>,
    inputs: &Inputs,
) -> Result<Plan, PlanRefusal> {
    let mut items = Vec::with_capacity(rows.len());
    for (id, row) in rows {
        items.push(item(id, &row, from, inputs)?);
    }
    assert!(items.is_sorted_by(|a: &PlanItem, b| a.id < b.id), "rows come in their order");
    assert!(items.len() <= ITEMS_MAX, "a plan is bounded");
    let (counts, kept) = (Counts::of(&items), items.iter().any(|i| i.action == Action::Keep));
    let version = if kept { from } else { cloud.version };
    let format = PLAN_FORMAT;
    let after = before; // until it is known
    let mut plan =
        Plan { format, till, from, before, stored, cloud, version, after, counts, items };
    plan.after = plan.writes()?.iter().fold(before, |sum, write| write.applied(sum));
    if plan.expected()? != plan.after {
        return Err(PlanRefusal::Sums);
    }
    assert!(plan.version >= plan.from, "versions never go back");
    assert!(kept || plan.after == cloud.digest, "without exceptions it is the cloud's catalog");
    assert_eq!(plan.counts.all(), plan.items.len() as u64, "each item is counted once");
    Ok(plan)
}

fn item(id: EntityId, row: &Row, from: u64, inputs: &Inputs) -> Result<PlanItem, PlanRefusal> {
    let theirs = row.cloud.as_ref().and_then(|change| change.content.as_deref());
    let theirs = theirs.map(|bytes| Entity::from_canonical(id, bytes)).transpose();
    let theirs = theirs.map_err(|_| PlanRefusal::Unreadable(id))?;
    let ours = row.local.as_ref().map(|item| Entity::from_canonical(id, &item.content));
    let unreadable = matches!(ours, Some(Err(_)));
    let ours = ours.and_then(Result::ok);
    let version = row.cloud.as_ref().map(|change| change.version);
    let drift = match (&row.local, &theirs) {
        (None, _) => (Class::Missing, Action::Insert, Reason::Lost),
        (Some(_), Some(_)) if unreadable => (Class::Different, Action::Update, Reason::Unreadable),
        (Some(_), Some(_)) => (Class::Different, Action::Update, Reason::Drifted),
        (Some(_), None) if version.is_some() => {
            (Class::Extra, Action::Delete, Reason::DeletedInCloud)
        }
        (Some(_), None) => (Class::Extra, Action::Delete, Reason::UnknownToCloud),
    };
    let (class, action, reason) = if inputs.edits.contains(&id) {
        (Class::Pending, Action::Keep, Reason::EditedHere)
    } else if version.is_some_and(|version| version > from) {
        (Class::Pending, Action::Keep, Reason::NewInCloud)
    } else {
        drift
    };
    let product = inputs.products.get(&ProductId(id.id)).filter(|_| id.kind == Kind::BranchPrice);
    let sold = matches!(id.kind, Kind::Product | Kind::BranchPrice) && action == Action::Delete;
    let unsynced = inputs.unsynced.get(&ProductId(id.id)).copied().filter(|_| sold);
    let cloud =
        version.map(|version| CloudRow { version, entity: theirs.as_ref().map(Entity::to_wire) });
    assert!(row.local.is_some() || theirs.is_some() || action == Action::Keep, "it is somewhere");
    assert!(action != Action::Insert || theirs.is_some(), "what is added is there");
    assert!(action != Action::Delete || theirs.is_none(), "what is removed is not");
    assert!((class == Class::Pending) == (action == Action::Keep), "what is pending is left");
    Ok(PlanItem {
        id,
        name: display_name(ours.as_ref().or(theirs.as_ref()), product),
        class,
        action,
        reason,
        changes: changes(
            ours.as_ref(),
            theirs.as_ref(),
            product.map(|product: &Product| product.currency),
        ),
        unsynced: unsynced.unwrap_or(0),
        local: row.local.as_ref().map(|item| entity_hash(id, &item.content)),
        cloud,
    })
}

fn display_name(entity: Option<&Entity>, product: Option<&Product>) -> String {
    match entity {
        Some(Entity::Product(product)) => product.name.clone(),
        Some(Entity::Category(category)) => category.name.clone(),
        Some(Entity::Customer(customer)) => customer.name.clone(),
        Some(Entity::BranchPrice(_)) | None => {
            product.map(|product| product.name.clone()).unwrap_or_default()
        }
    }
}

impl Counts {
    fn of(items: &[PlanItem]) -> Self {
        let mut counts = Self::default();
        for item in items {
            *match item.action {
                Action::Insert => &mut counts.insert,
                Action::Update => &mut counts.update,
                Action::Delete => &mut counts.delete,
                Action::Keep => &mut counts.keep,
            } += 1;
        }
        assert_eq!(counts.all(), items.len() as u64, "each item has one action");
        counts
    }

    /// Returns how many items there are.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.changing().saturating_add(self.keep)
    }

    /// Returns how many items change something.
    #[must_use]
    pub const fn changing(&self) -> u64 {
        self.insert.saturating_add(self.update).saturating_add(self.delete)
    }
}

impl Plan {
    /// Returns whether nothing is to be done at all.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.items.is_empty() && self.stored == self.before
    }

    /// Returns whether it changes anything, the till's own sum included.
    #[must_use]
    pub const fn changes_something(&self) -> bool {
        self.counts.changing() > 0 || self.mends_sum()
    }

    /// Returns whether the rows were right and the till's own sum of them wrong, or both wrong.
    #[must_use]
    pub const fn mends_sum(&self) -> bool {
        let (a, b) = (&self.stored, &self.before);
        a.count != b.count
            || a.lanes[0] != b.lanes[0]
            || a.lanes[1] != b.lanes[1]
            || a.lanes[2] != b.lanes[2]
            || a.lanes[3] != b.lanes[3]
    }

    /// Returns whether a person must confirm it: it removes more than 5 % of the rows.
    #[must_use]
    pub const fn needs_confirmation(&self) -> bool {
        self.counts.delete.saturating_mul(REMOVALS_ONE_IN) > self.before.count
    }

    /// Returns the versioned JSON of the plan.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain structures always have a JSON form")
    }

    /// Reads JSON back; [`Approved::new`] says whether it can be applied.
    ///
    /// # Errors
    /// What is wrong with it, for whoever wrote it.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        if json.len() > PLAN_BYTES_MAX {
            return Err("the plan is larger than any that was made".to_string());
        }
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }

    /// Returns what it writes, in the order of the rows' names.
    fn writes(&self) -> Result<Vec<Write>, PlanRefusal> {
        let acting = self.items.iter().filter(|item| item.action != Action::Keep);
        let writes: Vec<_> = acting.map(PlanItem::write).collect::<Result<_, _>>()?;
        assert!(writes.len() <= self.items.len(), "a row is written once");
        Ok(writes)
    }

    /// Returns what the rows add up to when it is done: the cloud's rows, with the till's in place
    /// of those that are kept.
    fn expected(&self) -> Result<Digest, PlanRefusal> {
        let mut sum = self.cloud.digest;
        for item in self.items.iter().filter(|item| item.action == Action::Keep) {
            if let Some((_, content)) = item.content()? {
                sum = sum.without(entity_hash(item.id, &content));
            }
            sum = item.local.map_or(sum, |local| sum.with(local));
        }
        Ok(sum)
    }
}

impl PlanItem {
    /// Returns what the cloud has, as it is stored; none if it has nothing.
    fn content(&self) -> Result<Option<Stored>, PlanRefusal> {
        let Some(CloudRow { version, entity: Some(wire) }) = &self.cloud else { return Ok(None) };
        let entity = Entity::parse(wire.clone()).map_err(|_| PlanRefusal::Item(self.id))?;
        if entity.id() != self.id {
            return Err(PlanRefusal::Item(self.id));
        }
        Ok(Some((*version, Arc::from(entity.canonical()))))
    }

    fn write(&self) -> Result<Write, PlanRefusal> {
        let cloud = self.content()?;
        let local = self.local;
        assert!(cloud.as_ref().is_none_or(|(_, bytes)| !bytes.is_empty()), "content has bytes");
        let sensible = match self.action {
            Action::Insert => local.is_none() && cloud.is_some(),
            Action::Update => local.is_some() && cloud.is_some(),
            Action::Delete => local.is_some() && cloud.is_none(),
            Action::Keep => false,
        };
        let pending = self.class == Class::Pending;
        let write = Write { id: self.id, local, cloud };
        if sensible && !pending { Ok(write) } else { Err(PlanRefusal::Item(self.id)) }
    }
}

impl Write {
    /// Returns what all rows add up to once this one is written.
    pub(crate) fn applied(&self, sum: Digest) -> Digest {
        assert!(self.local.is_some() || self.cloud.is_some(), "a write has something to change");
        let sum = self.local.map_or(sum, |local| sum.without(local));
        match &self.cloud {
            Some((_, content)) => sum.with(entity_hash(self.id, content)),
            None => sum,
        }
    }
}

impl Approved {
    /// Checks a plan, wherever it comes from.
    ///
    /// # Errors
    /// [`PlanRefusal`] says what does not fit.
    pub fn new(plan: Plan) -> Result<Self, PlanRefusal> {
        if plan.format != PLAN_FORMAT {
            return Err(PlanRefusal::Format(plan.format));
        }
        let ordered = plan.items.is_sorted_by(|a, b| a.id < b.id);
        if plan.items.len() > ITEMS_MAX || !ordered || Counts::of(&plan.items) != plan.counts {
            return Err(PlanRefusal::List);
        }
        let leads = if plan.counts.keep > 0 { plan.from } else { plan.cloud.version };
        if plan.version != leads || plan.cloud.version < plan.from {
            return Err(PlanRefusal::List);
        }
        let writes = plan.writes()?;
        let after = writes.iter().fold(plan.before, |sum, write| write.applied(sum));
        if after != plan.after || plan.expected()? != plan.after {
            return Err(PlanRefusal::Sums);
        }
        assert!(writes.is_sorted_by(|a, b| a.id < b.id), "rows are written in their order");
        assert_eq!(plan.format, PLAN_FORMAT, "other formats were refused");
        assert_eq!(writes.len() as u64, plan.counts.changing(), "each acting item writes");
        assert!(writes.len() <= ITEMS_MAX, "one transaction is enough");
        Ok(Self { plan, writes })
    }

    /// Returns the plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn writes(&self) -> &[Write] {
        &self.writes
    }
}
