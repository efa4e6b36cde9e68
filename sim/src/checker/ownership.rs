//! `OwnershipHolds`, from what clouds and tills durably store.
//!
//! The checkers keep their own idea of who owns what: a product's name, unit and category, and the
//! names of categories and customers, may come from a till. Nothing else may.

use std::collections::BTreeMap;
use std::sync::Arc;

use counterfoil_protocol::catalog::{CatalogEdit, Entity, EntityId, FieldChange};
use counterfoil_protocol::cloud::row::Fate;
use counterfoil_protocol::cloud::{self, EditNote, FieldNote};
use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{BranchId, EventKey, ShopId, TerminalId};
use counterfoil_protocol::terminal;
use counterfoil_protocol::terminal::edits::Waiting;
use counterfoil_protocol::wire::catalog::EntityV1;
use counterfoil_protocol::wire::edit::FieldValueV1;
use counterfoil_protocol::wire::message::EditOutcome;

use super::catalog::{History, items};
use super::{Checker, CloudWrites, TillRows, TillWrites};
use crate::law::{Law, Violation};

type Place = (ShopId, Option<BranchId>, EntityId);

/// What the checkers know of the cloud's catalog, beside its commits.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    /// What each entity is; none if it was deleted.
    now: BTreeMap<Place, Option<Arc<[u8]>>>,
    /// At which version each edit of a till was decided.
    decided: BTreeMap<EventKey, u64>,
}

/// What one till's edit asked for, and what the cloud made of it.
struct Decided<'a> {
    key: EventKey,
    note: &'a EditNote,
    changes: Vec<FieldChange>,
}

/// Returns whether a till may have written this into an entity.
const fn simple(value: &FieldValueV1) -> bool {
    match value {
        FieldValueV1::Name(_) | FieldValueV1::Unit(_) | FieldValueV1::Category(_) => true,
        FieldValueV1::PriceMinor(_)
        | FieldValueV1::Currency(_)
        | FieldValueV1::TaxPpm(_)
        | FieldValueV1::Active(_)
        | FieldValueV1::Barcodes(_) => false,
    }
}

/// Returns what stands in the place of `like`, to be read and written.
fn slot(entity: &mut EntityV1, like: &FieldValueV1, write: Option<&FieldValueV1>) -> FieldValueV1 {
    use FieldValueV1::{Active, Barcodes, Category, Currency, Name, PriceMinor, TaxPpm, Unit};
    if let (EntityV1::Product(product), Some(value)) = (&mut *entity, write) {
        match value {
            Name(name) => product.name.clone_from(name),
            Unit(unit) => product.unit = *unit,
            Category(category) => product.category = *category,
            PriceMinor(_) | Currency(_) | TaxPpm(_) | Active(_) | Barcodes(_) => {}
        }
    }
    match (&mut *entity, write) {
        (EntityV1::Category(category), Some(Name(name))) => category.name.clone_from(name),
        (EntityV1::Customer(customer), Some(Name(name))) => customer.name.clone_from(name),
        _ => {}
    }
    match (entity, like) {
        (EntityV1::Product(product), Unit(_)) => Unit(product.unit),
        (EntityV1::Product(product), Category(_)) => Category(product.category),
        (EntityV1::Product(product), _) => Name(product.name.clone()),
        (EntityV1::Category(category), _) => Name(category.name.clone()),
        (EntityV1::Customer(customer), _) => Name(customer.name.clone()),
        (EntityV1::BranchPrice(_), _) => Name(String::new()),
    }
}

impl Books {
    fn entity(&self, shop: ShopId, id: EntityId) -> Option<EntityV1> {
        read(id, self.now.get(&(shop, None, id))?.as_deref()?)
    }

    /// Returns the version at which an edit was decided.
    pub(super) fn version_of(&self, key: &EventKey) -> Option<u64> {
        self.decided.get(key).copied()
    }
}

fn read(id: EntityId, content: &[u8]) -> Option<EntityV1> {
    Entity::from_canonical(id, content).ok().map(|entity| entity.to_wire())
}

/// What became of a field, and what stood there before if a till may write it.
type Became = (EditOutcome, Option<FieldValueV1>);

fn became(field: &FieldNote) -> Became {
    (field.outcome, field.stood.clone().filter(|_| simple(&field.to)))
}

/// Makes of an entity what the law says, and returns what must have become of each field.
fn laid(known: bool, entity: &mut Option<EntityV1>, changes: &[FieldChange]) -> Vec<Became> {
    let mut outcomes = Vec::new();
    for change in changes {
        let (from, to) = (change.from().to_wire(), change.to().to_wire());
        outcomes.push(match entity {
            _ if !simple(&to) => (EditOutcome::ServerOwned, None),
            None if known => (EditOutcome::Deleted, None),
            None => (EditOutcome::Unknown, None),
            Some(entity) => {
                let stood = slot(entity, &to, None);
                slot(entity, &to, Some(&to));
                let same = stood == from || stood == to;
                let outcome = if same { EditOutcome::Taken } else { EditOutcome::Overwrote };
                (outcome, Some(stood))
            }
        });
    }
    outcomes
}

impl Checker {
    /// The cloud has committed: what tills' edits have changed is what the law lets them change,
    /// each edit once, in the order of the commits. `of_tills` says that no operator's commit is
    /// among what was committed together.
    pub(super) fn cloud_edits(
        &mut self,
        at_ms: u64,
        of_tills: bool,
        written: &CloudWrites,
    ) -> Result<(), Violation> {
        let decided = self.decided(at_ms, written)?;
        let mut expected: BTreeMap<(ShopId, EntityId), Option<EntityV1>> = BTreeMap::new();
        for (shop, Decided { key, note, changes }) in &decided {
            let known = self.catalog.books.now.contains_key(&(*shop, None, note.entity));
            let books = &self.catalog.books;
            let entity = expected
                .entry((*shop, note.entity))
                .or_insert_with(|| books.entity(*shop, note.entity));
            let outcomes = laid(known, entity, changes);
            let told: Vec<_> = note.fields.iter().map(became).collect();
            self.tally.check(Law::OwnershipHolds, at_ms, told == outcomes, || {
                format!("the edit {key} is noted as {told:?} and should be {outcomes:?}")
            })?;
            let again = self.catalog.books.decided.insert(*key, note.version);
            self.tally.check(Law::OwnershipHolds, at_ms, again.is_none(), || {
                format!("the edit {key} was decided at {again:?}, and again")
            })?;
        }
        for (key, record) in written {
            let cloud::Key::Item(shop, branch, id) = key else { continue };
            let Some(cloud::Record::Item(item)) = record.as_deref() else {
                // Compaction: nobody can tell any more that there was such an entity.
                self.catalog.books.now.remove(&(*shop, *branch, *id));
                continue;
            };
            if of_tills {
                let now = item.content.as_deref().and_then(|content| read(*id, content));
                let asked = expected.get(&(*shop, *id)).filter(|_| branch.is_none());
                self.tally.check(Law::OwnershipHolds, at_ms, asked == Some(&now), || {
                    format!("a till's push made {now:?} of {id}, its edits say {asked:?}")
                })?;
            }
            self.catalog.books.now.insert((*shop, *branch, *id), item.content.clone());
        }
        for ((shop, id), expected) in expected {
            let now = self.catalog.books.entity(shop, id);
            self.tally.check(Law::OwnershipHolds, at_ms, !of_tills || now == expected, || {
                format!("an edit of {id} should have made {expected:?} of it, it is {now:?}")
            })?;
        }
        Ok(())
    }

    /// Returns the edits that a commit has decided, in the order of their versions: each edit that
    /// was posted, with what it asked for.
    fn decided<'a>(
        &mut self,
        at_ms: u64,
        written: &'a CloudWrites,
    ) -> Result<Vec<(ShopId, Decided<'a>)>, Violation> {
        let mut notes: BTreeMap<EventKey, (ShopId, &EditNote)> = BTreeMap::new();
        for (key, record) in written {
            if let (cloud::Key::EditNote(shop, key), Some(cloud::Record::EditNote(note))) =
                (key, record.as_deref())
            {
                notes.insert(*key, (*shop, note));
            }
        }
        let mut decided = Vec::new();
        for (key, record) in written {
            let (cloud::Key::Ledger(key), Some(cloud::Record::Ledger(row))) =
                (key, record.as_deref())
            else {
                continue;
            };
            if row.fate != Fate::Posted {
                continue;
            }
            let asked = self.edit_of(key.terminal, row.payload_hash, &row.payload);
            let Some(edit) = asked else { continue };
            let noted = notes
                .remove(key)
                .filter(|(shop, note)| *shop == row.site.shop && note.entity == edit.entity());
            self.tally.check(Law::OwnershipHolds, at_ms, noted.is_some(), || {
                format!("the edit {key} is posted, and nobody knows what became of it")
            })?;
            let Some((shop, note)) = noted else { continue };
            let changes = edit.changes().to_vec();
            // Edits of several tills may be decided at one version: one has taken it, the others
            // came after and changed nothing.
            decided.push((note.version, row.seq, shop, Decided { key: *key, note, changes }));
        }
        let rest = notes.into_keys().next();
        self.tally.check(Law::OwnershipHolds, at_ms, rest.is_none(), || {
            format!("the edit {rest:?} is decided again, or was never posted")
        })?;
        decided.sort_by_key(|(version, seq, _, one)| (*version, !took(one.note), *seq));
        Ok(decided.into_iter().map(|(_, _, shop, decided)| (shop, decided)).collect())
    }

    /// A till has committed: its catalog's rows are the cloud's, and what lies over them is what
    /// was edited here, until the catalog has it.
    pub(super) fn till_edits(
        &mut self,
        at_ms: u64,
        device: usize,
        rows: &TillRows,
        written: &TillWrites,
    ) -> Result<(), Violation> {
        let site = self.devices[device].identity;
        for (key, record) in written {
            if let (terminal::Key::Item(id), Some(terminal::Record::Item(item))) =
                (key, record.as_deref())
            {
                let scope = id.kind.of_branch().then_some(site.branch);
                let holds = self.histories().any(|history| {
                    history.made(site.shop, item.version, (scope, *id, &item.content))
                });
                self.tally.check(Law::OwnershipHolds, at_ms, holds, || {
                    format!("a till holds {id} at {}, and the cloud never had it so", item.version)
                })?;
            }
            if let (terminal::Key::LocalEdits, record) = (key, record.as_deref()) {
                let now = match record {
                    Some(terminal::Record::LocalEdits(edits)) => edits.waiting.clone(),
                    Some(_) | None => Vec::new(),
                };
                self.lies_over(at_ms, device, rows, now)?;
            }
        }
        Ok(())
    }

    fn lies_over(
        &mut self,
        at_ms: u64,
        device: usize,
        rows: &TillRows,
        now: Vec<Waiting>,
    ) -> Result<(), Violation> {
        let terminal = self.devices[device].identity.terminal;
        let before = std::mem::take(&mut self.devices[device].edits);
        for waiting in &now {
            let of_here = self.asked_here(terminal, rows, waiting);
            self.tally.check(Law::OwnershipHolds, at_ms, simple(&waiting.value), || {
                format!("a till lays {:?} over {}", waiting.value, waiting.entity)
            })?;
            self.tally.check(Law::OwnershipHolds, at_ms, of_here, || {
                format!("a till lays {:?} over, and no edit of it says so", waiting.value)
            })?;
        }
        let field = |waiting: &Waiting| (waiting.entity, std::mem::discriminant(&waiting.value));
        for gone in &before {
            if now.iter().any(|waiting| field(waiting) == field(gone)) {
                continue;
            }
            let key = EventKey { terminal, pos: gone.pos, local_id: gone.local_id };
            let state = match rows.get(&terminal::Key::Catalog).map(Arc::as_ref) {
                Some(terminal::Record::Catalog(state)) => Some(*state),
                _ => None,
            };
            let reached = state.filter(|state| state.proven).and_then(|state| state.version);
            let holds = reached.is_some_and(|reached| self.has(device, rows, &key, reached));
            self.tally.check(Law::OwnershipHolds, at_ms, holds, || {
                format!("{:?} of {} is gone before the catalog has it", gone.value, gone.entity)
            })?;
        }
        let device = &mut self.devices[device];
        device.ever_edited.extend(now.iter().map(|waiting| waiting.entity));
        device.edits = now;
        Ok(())
    }

    /// After everything has drained nothing lies over but what a person must look at.
    ///
    /// # Errors
    /// [`Law::OwnershipHolds`].
    pub fn edits_drained(
        &mut self,
        at_ms: u64,
        device: usize,
        rows: &TillRows,
    ) -> Result<(), Violation> {
        let waiting = match rows.get(&terminal::Key::LocalEdits).map(Arc::as_ref) {
            Some(terminal::Record::LocalEdits(edits)) => edits.waiting.as_slice(),
            _ => &[],
        };
        for Waiting { pos, local_id, entity, .. } in waiting {
            let place = match rows.get(&terminal::Key::Local(*pos, *local_id)).map(Arc::as_ref) {
                Some(terminal::Record::Local(known)) => Some(known.place),
                _ => None,
            };
            let looked_at = place.is_some_and(|place| {
                rows.contains_key(&terminal::Key::Attention(place.epoch, place.seq))
            });
            let terminal = self.devices[device].identity.terminal;
            self.tally.check(Law::OwnershipHolds, at_ms, looked_at, || {
                format!("{terminal} still lays {pos}/{local_id} over {entity}")
            })?;
        }
        Ok(())
    }

    /// Returns what an event wants of the catalog, if it is an edit: one that a till has committed
    /// was read then.
    fn edit_of(&self, terminal: TerminalId, hash: Hash, bytes: &[u8]) -> Option<CatalogEdit> {
        match self.known(terminal, hash, bytes) {
            Some(known) => known.edit.clone(),
            None => Event::from_canonical(bytes).ok()?.edit().cloned(),
        }
    }

    /// Returns whether the till holds an edit of that name, which says that.
    fn asked_here(&self, terminal: TerminalId, rows: &TillRows, waiting: &Waiting) -> bool {
        let local = terminal::Key::Local(waiting.pos, waiting.local_id);
        let Some(terminal::Record::Local(known)) = rows.get(&local).map(Arc::as_ref) else {
            return false;
        };
        let entry = terminal::Key::Entry(known.place.epoch, known.place.seq);
        let Some(terminal::Record::Entry(entry)) = rows.get(&entry).map(Arc::as_ref) else {
            return false;
        };
        let asked = self.edit_of(terminal, entry.payload_hash, &entry.payload);
        asked.is_some_and(|edit| {
            edit.entity() == waiting.entity
                && edit.changes().iter().any(|change| change.to().to_wire() == waiting.value)
        })
    }

    /// Returns whether what a till holds, proven at a version, has an edit in it: another past of
    /// the cloud may have been at that version without it.
    fn has(&self, device: usize, rows: &TillRows, key: &EventKey, reached: u64) -> bool {
        let mut with_it = self.histories().filter(|history| {
            history.books.version_of(key).is_some_and(|version| version <= reached)
        });
        if self.former_catalogs.is_empty() {
            return with_it.next().is_some();
        }
        let held = items(rows);
        with_it.any(|history| self.was_so(history, device, reached, &held))
    }

    pub(super) fn histories(&self) -> impl Iterator<Item = &History> {
        std::iter::once(&self.catalog).chain(self.former_catalogs.iter().rev())
    }
}

/// Returns whether an edit has changed anything, as its note says; that is checked in its turn.
fn took(note: &EditNote) -> bool {
    let taken = |field: &FieldNote| field.outcome <= EditOutcome::Overwrote;
    note.fields.iter().any(|field| taken(field) && field.stood.as_ref() != Some(&field.to))
}
