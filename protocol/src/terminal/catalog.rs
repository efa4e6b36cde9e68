//! The catalog on the till: pages come in, in whatever order the network likes, and what they say
//! of the cloud's fields becomes true here.
//!
//! > **`CatalogConverges`**: at catalog version V a till's cloud-owned fields equal the cloud's at
//! > V; within one history of the cloud, versions never go back.
//!
//! | where the till stands | it wants | then |
//! |---|---|---|
//! | at a version | a delta from it | at a later version, with a proof if it is the head's |
//! | nowhere yet, or ahead of the cloud | snapshot runs | at the pinned version, then a delta |
//! | at the head, and the proof does not hold (drift) | snapshot runs | as above |
//!
//! A snapshot run replaces exactly what lies between its ends, so a catalog that is there already
//! is compared and mended, never thrown away, and a crash at any page loses no page. Sales, queue
//! and stock are other rows: nothing here can touch them.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::codes::{self, Write};
use super::edits;
use super::row::{CatalogItem, CatalogState, Progress};
use super::{Key, Output, Record, Terminal};
use crate::catalog::{Digest, ENTITY_BYTES_MAX, Entity, EntityId, entity_hash};
use crate::hash::Hash;
use crate::label::Label;
use crate::machine::{Query, ReadSet, Rows};
use crate::wire::catalog::{ChangeV1, DeltaAnswer, DeltaPage, PAGE_ENTITIES_MAX, SnapshotPage};

/// The most entities that one run looks at on the till's side.
const PRESENT_MAX: usize = 2 * PAGE_ENTITIES_MAX;

const _: () = assert!(PRESENT_MAX > PAGE_ENTITIES_MAX, "a page that is there already is one run");
const _: () = assert!(PAGE_ENTITIES_MAX > 0, "a page brings something");

/// What a till needs next to have the cloud's catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What has changed after this version.
    Delta(u64),
    /// The run of entities after this one.
    Snapshot {
        /// The version that the first run was pinned to; none before the first.
        pinned: Option<u64>,
        /// The last entity that is there; none before the first run.
        after: Option<EntityId>,
    },
}

/// How the till's catalog stands after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The version it is at; none until the first snapshot is complete.
    pub version: Option<u64>,
    /// What it needs next. A delta, if it is as new as it knows.
    pub wanted: Wanted,
    /// Whether the last delta ended with a proof, and it held.
    pub proven: bool,
    /// Whether there are more decided edits to ask for, after some were found in this proof.
    pub more_edits: bool,
}

/// A snapshot run, and the entities that the till has between its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    page: SnapshotPage,
    present: Vec<EntityId>,
}

/// Puts a snapshot run beside what is there; the step looks at each of both.
///
/// If more is there than one commit should take away, the run is made shorter: a part of a run is
/// a run.
///
/// # Errors
/// The store's.
pub async fn beside<Q: Query<Terminal>>(
    store: &Q,
    mut page: SnapshotPage,
) -> Result<Run, Q::Error> {
    let first = Key::Item(page.after.unwrap_or(EntityId::FIRST));
    let end = Key::Item(page.last.unwrap_or(EntityId::LAST));
    let rows = if first < end { store.scan(&first, &end, PRESENT_MAX).await? } else { Vec::new() };
    let cut = rows.len() == PRESENT_MAX;
    let mut present: Vec<EntityId> = rows
        .into_iter()
        .filter_map(|(key, _)| if let Key::Item(id) = key { Some(id) } else { None })
        .filter(|id| Some(*id) > page.after)
        .collect();
    if cut {
        let last = present.last().copied();
        page.entities.retain(|change| Some(change.id) <= last);
        page.last = last;
    }
    present.extend(page.last.filter(|last| present.last() != Some(last)));
    assert!(present.len() <= PRESENT_MAX + 1, "a run is bounded");
    assert!(!cut || page.last.is_some(), "what was made shorter goes on");
    debug_assert!(present.is_sorted_by(|a, b| a < b), "what is there is named once, in order");
    Ok(Run { page, present })
}

/// Returns what the till needs next.
///
/// # Errors
/// The store's.
pub async fn wanted<Q: Query<Terminal>>(store: &Q) -> Result<Wanted, Q::Error> {
    Ok(match store.get(&Key::Catalog).await? {
        Some(Record::Catalog(state)) => state.wanted(),
        Some(_) | None => CatalogState::default().wanted(),
    })
}

pub(super) fn reads_delta(answer: &DeltaAnswer, keys: &mut ReadSet<Key>) {
    keys.insert(Key::Catalog);
    if let Some((page, held)) = answer.page() {
        keys.extend(page.changes.iter().map(|change| Key::Item(change.id)));
        let names = held.unwrap_or_default().iter().map(|held| held.name);
        keys.extend(names.map(|name| Key::Local(name.pos, name.local_id)));
    }
    keys.insert(Key::LocalEdits);
}

pub(super) fn reads_run(run: &Run, keys: &mut ReadSet<Key>) {
    keys.insert(Key::Catalog);
    assert!(run.page.entities.len() <= PAGE_ENTITIES_MAX, "a checked page is bounded");
    assert!(run.present.len() <= PRESENT_MAX + 1, "a run is put beside so much at most");
    keys.extend(run.page.entities.iter().map(|change| Key::Item(change.id)));
    keys.extend(run.present.iter().map(|id| Key::Item(*id)));
}

pub(super) fn delta(rows: &mut Rows<'_, Terminal>, answer: &DeltaAnswer) -> Output {
    let mut state = rows.catalog().copied().unwrap_or_default();
    let before = state.version;
    let Some((page, held)) = answer.page() else {
        state.progress.get_or_insert_default();
        state.proven = false;
        return stand(rows, state);
    };
    if state.progress.is_some() || Some(page.from) != state.version {
        return stand(rows, state); // an answer to another question
    }
    let changes = match read(&page.changes) {
        Ok(changes) => changes,
        Err(id) => return Output::CatalogUnreadable(id),
    };
    for change in &changes {
        take(rows, &mut state, change);
    }
    assert!(Some(page.to) >= state.version, "versions never go back");
    state.version = Some(page.to);
    conclude(&mut state, page);
    assert!(state.version >= before, "versions never go back");
    assert!(!state.proven || state.progress.is_none(), "what is proven needs no snapshot");
    let more_edits = state.proven && edits::proven(rows, held.unwrap_or_default());
    Output::Catalogued(Standing { more_edits, ..kept(rows, state) })
}

/// At the head the whole catalog must add up to what the cloud's does.
fn conclude(state: &mut CatalogState, page: &DeltaPage) {
    assert!(state.progress.is_none(), "a delta ends no snapshot that is under way");
    assert_eq!(state.version, Some(page.to), "a proof is of where the page ends");
    let Some(head) = page.head else {
        state.proven = false;
        return;
    };
    state.proven = head.digest == state.digest;
    if !state.proven {
        state.drifts = state.drifts.saturating_add(1);
        state.progress = Some(Progress::default());
    }
    assert_ne!(state.proven, state.progress.is_some(), "what is not proven is compared anew");
}

pub(super) fn run(rows: &mut Rows<'_, Terminal>, run: &Run) -> Output {
    let mut state = rows.catalog().copied().unwrap_or_default();
    let page = &run.page;
    let expected = state.progress.is_some_and(|progress| {
        progress.after == page.after && progress.pinned.is_none_or(|pinned| pinned == page.pinned)
    });
    let begins = state.progress.is_none() && state.version.is_none() && page.after.is_none();
    if !expected && !begins {
        return stand(rows, state);
    }
    let entities = match read(&page.entities) {
        Ok(entities) => entities,
        Err(id) => return Output::CatalogUnreadable(id),
    };
    let listed: BTreeSet<EntityId> = page.entities.iter().map(|change| change.id).collect();
    for id in run.present.iter().filter(|id| !listed.contains(id)) {
        remove(rows, &mut state, *id);
    }
    for change in &entities {
        replace(rows, &mut state, change, Write::All);
    }
    assert!(state.progress.is_some() || begins, "a run answers a question");
    state.proven = false;
    let so_far = state.progress.map_or_else(Digest::default, |progress| progress.digest);
    let contents = entities.iter().filter_map(|change| change.content.as_ref());
    let digest = contents.fold(so_far, |sum, (hash, _)| sum.with(*hash));
    if page.last.is_some() {
        state.progress = Some(Progress { pinned: Some(page.pinned), after: page.last, digest });
    } else {
        state.progress = None;
        state.version = Some(page.pinned);
        state.digest = digest;
    }
    assert_eq!(state.progress.is_some(), page.last.is_some(), "the last run ends the snapshot");
    assert!(page.last.is_none() || page.last > page.after, "each run gets on");
    assert!(state.progress.is_some() || state.version.is_some(), "a snapshot leads to a version");
    stand(rows, state)
}

/// A change that was read, once: the step asks for its hash and its barcodes more than once.
struct Change<'a> {
    id: EntityId,
    version: u64,
    /// None if it is deleted.
    content: Option<(Hash, &'a Arc<[u8]>)>,
    codes: Vec<Label>,
}

/// Reads what a page says. If there is an entity that this version of the program cannot read, none
/// of the page is taken, and the till waits for its update with the catalog that it has.
fn read(changes: &[ChangeV1]) -> Result<Vec<Change<'_>>, EntityId> {
    let read: Vec<_> = changes.iter().map(read_one).collect::<Result<_, _>>()?;
    assert_eq!(read.len(), changes.len(), "each change is read");
    Ok(read)
}

fn read_one(ChangeV1 { id, version, content }: &ChangeV1) -> Result<Change<'_>, EntityId> {
    let (id, version) = (*id, *version);
    let codes = match content.as_deref().map(|content| Entity::from_canonical(id, content)) {
        Some(Ok(Entity::Product(product))) => product.barcodes,
        Some(Ok(Entity::Category(_) | Entity::Customer(_) | Entity::BranchPrice(_))) | None => {
            Vec::new()
        }
        Some(Err(_)) => return Err(id),
    };
    let content = content.as_ref().map(|content| (entity_hash(id, content), content));
    Ok(Change { id, version, content, codes })
}

/// Takes a change over, unless what is there is newer.
fn take(rows: &mut Rows<'_, Terminal>, state: &mut CatalogState, change: &Change<'_>) {
    if rows.catalog_item(change.id).is_some_and(|held| held.version >= change.version) {
        return;
    }
    if change.content.is_some() {
        replace(rows, state, change, Write::New);
    } else {
        remove(rows, state, change.id);
    }
}

fn replace(
    rows: &mut Rows<'_, Terminal>,
    state: &mut CatalogState,
    change: &Change<'_>,
    write: Write,
) {
    let Some((hash, content)) = change.content else { return };
    codes::follow(rows, change.id, &change.codes, write);
    if let Some(held) = rows.catalog_item(change.id) {
        state.digest = state.digest.without(entity_hash(change.id, &held.content));
    }
    state.digest = state.digest.with(hash);
    let item = CatalogItem { version: change.version, content: content.clone() };
    assert!(!item.content.is_empty(), "nothing is not the form of anything");
    assert!(item.content.len() <= ENTITY_BYTES_MAX, "what was read as an entity has its bound");
    rows.put(Key::Item(change.id), Record::Item(item));
}

fn remove(rows: &mut Rows<'_, Terminal>, state: &mut CatalogState, id: EntityId) {
    codes::follow(rows, id, &[], Write::New);
    if let Some(held) = rows.catalog_item(id) {
        state.digest = state.digest.without(entity_hash(id, &held.content));
        rows.remove(Key::Item(id));
    }
    assert!(rows.catalog_item(id).is_none(), "what is removed is not there");
}

pub(super) fn stand(rows: &mut Rows<'_, Terminal>, state: CatalogState) -> Output {
    Output::Catalogued(kept(rows, state))
}

fn kept(rows: &mut Rows<'_, Terminal>, state: CatalogState) -> Standing {
    if rows.catalog() != Some(&state) {
        rows.put(Key::Catalog, Record::Catalog(state));
    }
    assert_eq!(rows.catalog(), Some(&state), "what is told is what is kept");
    let (version, wanted, proven) = (state.version, state.wanted(), state.proven);
    Standing { version, wanted, proven, more_edits: false }
}

impl CatalogState {
    /// Returns what the till needs next.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        match self.progress {
            Some(Progress { pinned, after, .. }) => Wanted::Snapshot { pinned, after },
            None => match self.version {
                Some(version) => Wanted::Delta(version),
                None => Wanted::Snapshot { pinned: None, after: None },
            },
        }
    }
}
