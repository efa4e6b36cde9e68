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
//! | the edit is refused, and needs attention | stays, until a person has it answered |
//! | the cloud has decided the edit, at version V | knows V, and stays |
//! | the catalog is *proven* to be the cloud's, at V or later | goes |
//! | the catalog is proven, and was asked for after a greeting that came after the answer | goes |
//! | the catalog drifts, resyncs, is fetched anew | stays, as nothing is proven until that ends |
//!
//! The answer alone would be too early: the till's row is still the old one, and the name would
//! flicker back. A newer row alone would not do: it may be an operator's, from before the edit.
//!
//! V may be a version of a cloud that was restored since, and that has the edit at another one: a
//! copy of the till brought it there. So what was asked for after a greeting, while nothing waited
//! to be offered, ends the waiting too: the cloud had the edit then ([`shows`]).

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
    /// The version from which on the cloud's catalog has it; none until the cloud has decided.
    pub decided: Option<u64>,
    /// The nonce of the last greeting after that; none before.
    pub greeted: Option<u64>,
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

/// Returns the greeting of whose edits a proof tells that is asked for now: hand it to
/// [`super::Input::Shown`] once that proof is committed. None if there is nothing to be told of, or
/// if something waits to be offered.
///
/// # Errors
/// The store's.
pub async fn shows<Q: Query<Terminal>>(store: &Q) -> Result<Option<u64>, Q::Error> {
    let Some(Record::Meta(meta)) = store.get(&Key::Meta).await? else { return Ok(None) };
    let left = meta.backlog();
    if left.fresh > 0 || left.adopting {
        return Ok(None);
    }
    let edits = local_edits(store).await?;
    let decided = edits.waiting.iter().filter(|waiting| waiting.decided.is_some());
    Ok(decided.filter_map(|waiting| waiting.greeted).next_back())
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
            greeted: None,
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
        waiting.greeted = None;
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

/// The cloud was greeted: it has what was decided, or it is offered again.
pub(super) fn greeted(rows: &mut Rows<'_, Terminal>, nonce: u64) {
    let before = held(rows);
    let mut edits = before.clone();
    for waiting in edits.waiting.iter_mut().filter(|waiting| waiting.decided.is_some()) {
        waiting.greeted = Some(nonce);
    }
    assert_eq!(edits.waiting.len(), before.waiting.len(), "a greeting alone ends no waiting");
    if edits != before {
        keep(rows, edits);
    }
}

/// Ends the waiting of what the cloud's catalog is proven to have.
pub(super) fn proven(rows: &mut Rows<'_, Terminal>, version: u64) {
    end(rows, |waiting| waiting.decided.is_some_and(|decided| decided <= version));
}

/// Ends the waiting of what was decided when the cloud was last greeted, if the catalog is proven.
pub(super) fn shown(rows: &mut Rows<'_, Terminal>, greeting: u64) {
    if rows.catalog().is_some_and(|state| state.proven) {
        end(rows, |waiting| waiting.decided.is_some() && waiting.greeted == Some(greeting));
    }
}

fn end(rows: &mut Rows<'_, Terminal>, is_there: impl Fn(&Waiting) -> bool) {
    let before = held(rows);
    let mut edits = before.clone();
    edits.waiting.retain(|waiting| !is_there(waiting));
    assert!(edits.undecided() == before.undecided(), "what is not decided waits on");
    assert!(edits.waiting.len() <= before.waiting.len(), "a proof makes nothing wait");
    assert_eq!(edits.told, before.told, "a proof tells nothing of edits");
    if edits != before {
        keep(rows, edits);
    }
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
