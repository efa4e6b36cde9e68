//! Edits of the catalog that were made here, until the catalog that came from the cloud has them.
//!
//! The till's rows of the catalog are the cloud's, always: an edit never touches them. What
//! somebody here has written into a field of the last writer's lies in a row of its own, and is
//! laid over when the entity is looked up. So a name that was changed here stays changed, from the
//! commit of the edit until the cloud's own row says so, or says what somebody wrote later.
//!
//! | what happens | the field that lies over |
//! |---|---|
//! | an edit is recorded | is there with it, in one commit; replaces an earlier one of the field |
//! | the edit is carried over into another history | stays: it knows the event by its name |
//! | another edit is made before that | is not recorded: it would come before the older one |
//! | the edit is refused, and needs attention | stays, until a person has it answered |
//! | the cloud has decided the edit | stays, and is asked for with each delta ([`asked`]) |
//! | the catalog is *proven* by an answer that says that the cloud has the edit | goes |
//! | the catalog is proven by any other answer | stays |
//! | the catalog drifts, resyncs, is fetched anew | stays, as nothing is proven until that ends |
//!
//! The decision alone would be too early: the till's row is still the old one, and the name would
//! flicker back. A newer row alone would not do: it may be an operator's, from before the edit. Nor
//! would a proof at the version of the decision or a later one: a cloud that was restored since may
//! be there without the edit. So the cloud says in the very answer that proves the catalog which
//! edits are in it, by their names and payloads. What it has lost is offered to it again, by the
//! next greeting, and decided anew.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::row::Entry;
use super::{Draft, Key, Record, Terminal};
use crate::catalog::{CatalogEdit, EditError, Entity, EntityId, FieldValue, Owner};
use crate::codec::MESSAGE_BYTES_MAX;
use crate::event::{Body, TEXT_BYTES_MAX};
use crate::identity::{LocalEventId, PosId};
use crate::label::LABEL_BYTES_MAX;
use crate::machine::{Query, Rows};
use crate::wire::catalog::{EDITS_ASKED_MAX, EditName, HeldEdit};
use crate::wire::edit::FieldValueV1;
use crate::wire::message::{EditOutcome, Verdict};

/// The most fields that may wait for the cloud. A person types them one by one; whoever has so
/// many connects first.
pub const WAITING_MAX: usize = 256;
/// How many decisions a person here can look at.
pub const TOLD_MAX: usize = 16;

const _: () = assert!(TOLD_MAX > 0, "somebody may look at the last decision");
const _: () = assert!(WAITING_MAX >= crate::catalog::edit::CHANGES_MAX, "an edit can wait");
const _: () = assert!(
    (WAITING_MAX + TOLD_MAX) * (TEXT_BYTES_MAX + 4 * LABEL_BYTES_MAX + 64) <= MESSAGE_BYTES_MAX,
    "the row of what waits can be read"
);

/// What was edited here and is not in the till's catalog yet, and what became of earlier edits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalEdits {
    /// At most [`WAITING_MAX`]; each field of an entity once, in the order of their first edit.
    pub waiting: Vec<Waiting>,
    /// The last [`TOLD_MAX`] edits that were not simply taken, oldest first.
    pub told: Vec<Told>,
}

/// A field that lies over the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Of which entity.
    pub entity: EntityId,
    /// Which field, and what stands in it.
    pub value: FieldValueV1,
    /// The register of the edit that wrote it last.
    pub pos: PosId,
    /// The name of that edit there.
    pub local_id: LocalEventId,
    /// The version with which the cloud's catalog got it; none until the cloud has decided.
    pub decided: Option<u64>,
    /// Nothing: the first version of this row had more to say. New ones say none; it is ignored.
    pub unused: Option<u64>,
}

/// What the cloud has made of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The register of the edit.
    pub pos: PosId,
    /// Its name there.
    pub local_id: LocalEventId,
    /// The worst that became of its fields.
    pub outcome: EditOutcome,
    /// The version of the catalog with it.
    pub version: u64,
}

impl Waiting {
    const fn name(&self) -> EditName {
        EditName { pos: self.pos, local_id: self.local_id }
    }
}

impl LocalEdits {
    /// Lays what waits over an entity as the cloud has it; returns whether anything did.
    pub fn lay_over(&self, entity: &mut Entity) -> bool {
        let id = entity.id();
        let mut laid = false;
        for waiting in self.waiting.iter().filter(|waiting| waiting.entity == id) {
            if let Ok(value) = FieldValue::parse(waiting.value.clone()) {
                value.lay_over(entity);
                laid = true;
            }
        }
        assert_eq!(entity.id(), id, "what lies over renames nothing");
        laid
    }

    /// Returns the entities with edits that the cloud has not decided yet: no plan touches them.
    #[must_use]
    pub fn pending(&self) -> BTreeSet<EntityId> {
        let undecided = self.waiting.iter().filter(|waiting| waiting.decided.is_none());
        undecided.map(|waiting| waiting.entity).collect()
    }

    /// Returns how many fields the cloud has not decided yet.
    #[must_use]
    pub fn undecided(&self) -> usize {
        self.waiting.iter().filter(|waiting| waiting.decided.is_none()).count()
    }
}

/// Returns the decided edits to ask for with a delta: the oldest [`EDITS_ASKED_MAX`].
///
/// # Errors
/// The store's.
pub async fn asked<Q: Query<Terminal>>(store: &Q) -> Result<Vec<EditName>, Q::Error> {
    let edits = local_edits(store).await?;
    let mut names: Vec<EditName> = Vec::new();
    for name in edits.waiting.iter().filter(|held| held.decided.is_some()).map(Waiting::name) {
        if names.len() < EDITS_ASKED_MAX && !names.contains(&name) {
            names.push(name);
        }
    }
    assert!(names.len() <= EDITS_ASKED_MAX, "a question is bounded");
    Ok(names)
}

/// Returns what was edited here and waits.
///
/// # Errors
/// The store's.
pub async fn local_edits<Q: Query<Terminal>>(store: &Q) -> Result<LocalEdits, Q::Error> {
    Ok(match store.get(&Key::LocalEdits).await? {
        Some(Record::LocalEdits(edits)) => edits,
        Some(_) | None => LocalEdits::default(),
    })
}

/// Lays an edit over the catalog, in the commit that records it.
///
/// # Errors
/// [`EditError::Waiting`]: too much waits already; the caller records nothing.
pub(super) fn record(rows: &mut Rows<'_, Terminal>, draft: &Draft) -> Result<(), EditError> {
    let Body::CatalogEdited(edit) = &draft.body else { return Ok(()) };
    let mut edits = held(rows);
    let before = edits.waiting.len();
    for value in simple(edit) {
        let field = value.field();
        let waiting = Waiting {
            entity: edit.entity(),
            value: value.to_wire(),
            pos: draft.pos,
            local_id: draft.local_id,
            decided: None,
            unused: None,
        };
        let same =
            |held: &&mut Waiting| held.entity == edit.entity() && held.value.field() == field;
        match edits.waiting.iter_mut().find(same) {
            Some(held) => *held = waiting,
            None => edits.waiting.push(waiting),
        }
    }
    if edits.waiting.len() > WAITING_MAX {
        return Err(EditError::Waiting);
    }
    assert!(
        edits.waiting.iter().any(|waiting| waiting.local_id == draft.local_id)
            || simple(edit).next().is_none(),
        "what the last writer may write lies over"
    );
    assert!(edits.waiting.len() <= WAITING_MAX, "what waits is bounded");
    assert!(edits.waiting.len() >= before, "an edit takes nothing away");
    assert!(edits.waiting.len() - before <= edit.changes().len(), "each field waits once");
    keep(rows, edits);
    Ok(())
}

/// Returns what of an edit may lie over: never a field of the cloud's.
fn simple(edit: &CatalogEdit) -> impl Iterator<Item = &FieldValue> {
    let changes = edit.changes().iter().map(crate::catalog::FieldChange::to);
    changes.filter(|value| value.field().owner() == Owner::LastWriter)
}

/// Takes the cloud's decision in. Nothing goes yet: the catalog has to come first.
pub(super) fn decided(rows: &mut Rows<'_, Terminal>, entry: &Entry, verdict: Verdict) {
    let (outcome, version) = match verdict {
        Verdict::Edited(edited) => (edited.outcome, edited.version),
        // A cloud that posts an edit without saying more has it in what it proves next.
        Verdict::Created(_) | Verdict::Existing(_) => (EditOutcome::Taken, 0),
        Verdict::Parked(_) | Verdict::Refused(_) => return,
    };
    let of_it = |held: &Waiting| held.pos == entry.pos && held.local_id == entry.local_id;
    let waits = rows.local_edits().is_some_and(|edits| edits.waiting.iter().any(of_it));
    if !waits && outcome == EditOutcome::Taken {
        return; // a sale, mostly
    }
    let before = held(rows);
    let mut edits = before.clone();
    for waiting in edits.waiting.iter_mut().filter(|waiting| of_it(waiting)) {
        waiting.decided = Some(version);
    }
    if outcome > EditOutcome::Taken {
        let told = Told { pos: entry.pos, local_id: entry.local_id, outcome, version };
        edits.told.retain(|old| (old.pos, old.local_id) != (entry.pos, entry.local_id));
        edits.told.push(told);
        let over = edits.told.len().saturating_sub(TOLD_MAX);
        edits.told.drain(..over);
        let last = edits.told.last();
        assert!(last.is_some_and(|told| told.outcome == outcome), "the last one is told last");
    }
    assert_eq!(edits.waiting.len(), before.waiting.len(), "an answer alone ends no waiting");
    assert!(edits.told.len() <= TOLD_MAX, "what was told is bounded");
    if edits != before {
        keep(rows, edits);
    }
}

/// The cloud does not have an edit, or not any more: it stands there with another payload.
pub(super) fn refused(rows: &mut Rows<'_, Terminal>, entry: &Entry) {
    let Some(mut edits) = rows.local_edits().cloned() else { return };
    let of_it = |held: &&mut Waiting| held.pos == entry.pos && held.local_id == entry.local_id;
    let mut changed = false;
    for waiting in edits.waiting.iter_mut().filter(of_it) {
        changed |= waiting.decided.take().is_some();
    }
    assert!(!changed || edits.undecided() > 0, "what is not decided waits on");
    if changed {
        keep(rows, edits);
    }
}

/// Ends the waiting of what the proven catalog has; returns whether that ended some, and more could
/// be asked for.
pub(super) fn proven(rows: &mut Rows<'_, Terminal>, there: &[HeldEdit]) -> bool {
    let before = held(rows);
    let mut edits = before.clone();
    let is_there = |waiting: &Waiting| {
        waiting.decided.is_some()
            && there.iter().any(|edit| edit.name == waiting.name() && is_own(rows, edit))
    };
    edits.waiting.retain(|waiting| !is_there(waiting));
    assert!(edits.undecided() == before.undecided(), "what is not decided waits on");
    assert!(edits.waiting.len() <= before.waiting.len(), "a proof makes nothing wait");
    assert_eq!(edits.told, before.told, "a proof tells nothing of edits");
    let more = edits.waiting.len() > edits.undecided();
    let ended = edits != before;
    if ended {
        keep(rows, edits);
    }
    ended && more
}

/// Returns whether the cloud's edit of that name is the one that was made here, and not one of a
/// copy of this till.
fn is_own(rows: &Rows<'_, Terminal>, edit: &HeldEdit) -> bool {
    let EditName { pos, local_id } = edit.name;
    let seen = rows.seen(pos, local_id);
    seen.is_some_and(|seen| seen.known.payload_hash == edit.payload_hash)
}

fn held(rows: &Rows<'_, Terminal>) -> LocalEdits {
    rows.local_edits().cloned().unwrap_or_default()
}

fn keep(rows: &mut Rows<'_, Terminal>, edits: LocalEdits) {
    let none = edits == LocalEdits::default();
    if none {
        rows.remove(Key::LocalEdits);
    } else {
        rows.put(Key::LocalEdits, Record::LocalEdits(edits));
    }
    assert_eq!(rows.local_edits().is_none(), none, "a row is there while there is anything");
}
