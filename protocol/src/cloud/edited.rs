//! Edits of tills, in the transaction that takes them in.
//!
//! > **`OwnershipHolds`**: server-owned fields come from the cloud, branch-owned from the branch,
//! > sales never change.
//!
//! | what the edit asks for | the catalog | what a person sees |
//! |---|---|---|
//! | a field of the last writer, as it was when the person saw it | takes it | taken |
//! | the same, changed by somebody else since | takes it | what was overwritten |
//! | the same, and it says so already | stays | taken |
//! | a field of the cloud's | stays | what was asked for |
//! | something of a deleted entity | stays deleted | so |
//! | something of an entity that never was | stays | so |
//!
//! Whether a field changed since is asked of the field itself, not of its entity: the edit says
//! what the person saw, and that is compared with what stands there now. So two edits of one
//! entity's different fields disturb each other never, in whatever order they come.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::catalog::Commit;
use super::row::Item;
use super::{Cloud, Key, Record};
use crate::catalog::{CatalogEdit, Entity, EntityId, FieldChange, FieldValue, Owner};
use crate::identity::{EventKey, ShopId};
use crate::machine::{ReadSet, Rows};
use crate::time::Millis;
use crate::wire::edit::FieldValueV1;
use crate::wire::message::{EditOutcome, Edited, ServerId};

/// What became of a till's edit. From ingest, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditNote {
    /// Which entity.
    pub entity: EntityId,
    /// The version of the entity that the person saw.
    pub base_version: u64,
    /// The version of the catalog when the edit was decided, with what it took.
    pub version: u64,
    /// When that was.
    pub at: Millis,
    /// Each field of the edit, in their order.
    pub fields: Vec<FieldNote>,
}

/// What became of one field of an edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldNote {
    /// What was asked for.
    pub to: FieldValueV1,
    /// What stood there when it was decided; none if there was no such entity.
    pub stood: Option<FieldValueV1>,
    /// What became of it.
    pub outcome: EditOutcome,
}

const _: () = {
    use EditOutcome::{Deleted, Overwrote, ServerOwned, Taken, Unknown};
    assert!((Taken as u8) < Overwrote as u8, "what was overwritten is worse than what was taken");
    assert!((Overwrote as u8) < ServerOwned as u8, "what was not taken is worse");
    assert!((ServerOwned as u8) < Deleted as u8, "worse still if there is no entity");
    assert!((Deleted as u8) < Unknown as u8, "above all if there never was one");
};

impl EditNote {
    /// Returns the worst that became of its fields.
    #[must_use]
    pub fn outcome(&self) -> EditOutcome {
        self.fields.iter().map(|field| field.outcome).max().unwrap_or(EditOutcome::Taken)
    }
}

pub(super) fn reads(shop: ShopId, key: EventKey, edit: &CatalogEdit, keys: &mut ReadSet<Key>) {
    assert!(!edit.changes().is_empty(), "a checked edit changes something");
    keys.insert(Key::EditNote(shop, key));
    keys.insert(Key::Feed(shop));
    keys.insert(Key::Stamp(shop));
    // An edit names no branch: what is one branch's own is out of its reach.
    keys.insert(Key::Item(shop, None, edit.entity()));
}

/// Decides a new edit, writes what is taken, and keeps what became of it.
pub(super) fn decide(
    rows: &mut Rows<'_, Cloud>,
    now: Millis,
    shop: ShopId,
    key: EventKey,
    edit: &CatalogEdit,
) {
    assert!(!edit.changes().is_empty(), "a checked edit changes something");
    let held = rows.item(shop, None, edit.entity()).cloned();
    let mut entity = held.as_ref().and_then(|held| readable(edit.entity(), held));
    let absent = match held {
        Some(Item { content: None, .. }) => EditOutcome::Deleted,
        Some(_) | None => EditOutcome::Unknown,
    };
    let weighed = edit.changes().iter().map(|change| weigh(&mut entity, absent, change));
    let fields: Vec<FieldNote> = weighed.collect();
    assert_eq!(fields.len(), edit.changes().len(), "each field is decided");
    let before = rows.feed(shop).map_or(0, |feed| feed.version);
    let mut commit = Commit::begin(rows, now, shop);
    if let Some(entity) = entity {
        assert_eq!(entity.id(), edit.entity(), "an edit changes one entity, not its name");
        commit.write(rows, None, edit.entity(), Some(Arc::from(entity.canonical())));
    }
    let (version, changed) = commit.end(rows);
    assert!(changed <= 1, "an edit changes one entity");
    assert!(version >= before, "versions never go back");
    assert_eq!(version, before + u64::from(changed), "what is taken has a version of its own");
    let (entity, base_version) = (edit.entity(), edit.base_version());
    let note = EditNote { entity, base_version, version, at: now, fields };
    rows.put(Key::EditNote(shop, key), Record::EditNote(note));
}

/// Lays one change over the entity, if its owner lets it.
fn weigh(entity: &mut Option<Entity>, absent: EditOutcome, change: &FieldChange) -> FieldNote {
    let stood = entity.as_ref().and_then(|entity| FieldValue::of(entity, change.field()));
    let outcome = match (entity, &stood, change.field().owner()) {
        (_, _, Owner::Cloud) => EditOutcome::ServerOwned,
        (Some(entity), Some(stood), Owner::LastWriter) => {
            change.to().lay_over(entity);
            // Somebody else wrote the very same: nothing was overwritten.
            let kept = stood == change.from() || stood == change.to();
            if kept { EditOutcome::Taken } else { EditOutcome::Overwrote }
        }
        (_, _, Owner::LastWriter) => absent,
    };
    let owner = change.field().owner();
    assert_eq!(outcome == EditOutcome::ServerOwned, owner == Owner::Cloud, "the cloud's is kept");
    assert!(outcome <= EditOutcome::ServerOwned || stood.is_none(), "what is absent has no fields");
    let (to, stood) = (change.to().to_wire(), stood.map(|stood| stood.to_wire()));
    FieldNote { to, stood, outcome }
}

/// Returns the answer to an edit that is posted: the same each time.
pub(super) fn answer(
    rows: &Rows<'_, Cloud>,
    shop: ShopId,
    key: EventKey,
    server_id: ServerId,
) -> Option<Edited> {
    let note = rows.edit_note(shop, key)?;
    let (version, outcome) = (note.version, note.outcome());
    Some(Edited { server_id, version, outcome })
}

/// Returns the entity, unless it was deleted. The cloud's own rows can be read: each was written
/// from a checked entity; one that cannot be (a later version wrote it) is left alone.
fn readable(id: EntityId, held: &Item) -> Option<Entity> {
    let entity = Entity::from_canonical(id, held.content.as_deref()?).ok()?;
    assert_eq!(entity.id(), id, "an entity is read under its own name");
    Some(entity)
}
