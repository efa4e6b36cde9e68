//! The catalog feed: what a shop sells, in the order of its commits.
//!
//! > **`CatalogConverges`**: at catalog version V a till's cloud-owned fields equal the cloud's at
//! > V; within one history of the cloud, versions never go back.
//!
//! * A version is a commit: all that it changed has the same one, and a page never ends in its
//!   middle. It is taken in the transaction, so whoever reads up to V misses nothing below.
//! * Each entity stands in the feed once, at the version that made it what it is: the feed of
//!   changes grows with the catalog, not with time. Deleted ones stay as tombstones until every
//!   till that holds a lease has heard of them ([`super::compaction`]).
//! * What all entities of a branch add up to is kept beside the version, so that each delta ends
//!   with a proof (S4.2): drift is noticed without a question.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::compaction::floor;
use super::row::{Fate, Feed, Item};
use super::{Cloud, Key, Output, Record, Site};
use crate::catalog::{Digest, Entity, EntityId, Kind, entity_hash};
use crate::identity::{BranchId, EventKey, ShopId, TerminalId};
use crate::machine::{Query, ReadSet, Rows};
use crate::time::Millis;
use crate::wire::catalog::{
    CatalogHead, ChangeV1, DeltaAnswer, DeltaPage, EDITS_ASKED_MAX, EditName, HeldEdit,
    PAGE_BYTES_MAX, PAGE_ENTITIES_MAX, SnapshotPage,
};

/// The most entities that one commit changes.
pub const EDITS_MAX: usize = 500;

const _: () = assert!(EDITS_MAX < PAGE_ENTITIES_MAX, "what one commit changes fits into a page");
const _: () = assert!(
    EDITS_MAX * crate::catalog::ENTITY_BYTES_MAX <= PAGE_BYTES_MAX,
    "the bytes of one commit fit into a page"
);

const _: () = assert!(EDITS_MAX > 0, "a commit may change something");
const _: () = assert!(EDITS_MAX <= u32::MAX as usize, "a number within a commit fits its field");

/// A commit of the catalog: each entity once, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edits {
    shop: ShopId,
    edits: Vec<Edit>,
}

/// What becomes of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Whose it is: the branch's, or the whole shop's.
    pub branch: Option<BranchId>,
    /// Which one.
    pub id: EntityId,
    /// Its content from now on; none deletes it.
    pub entity: Option<Entity>,
}

/// Edits that cannot be one commit. The caller shows it to whoever made them; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditsError {
    /// None, or more than [`EDITS_MAX`].
    #[error("a commit changes 1 to {EDITS_MAX} entities")]
    Count,
    /// The same entity twice.
    #[error("a commit changes each entity once, {0} is named twice")]
    Twice(EntityId),
    /// A branch's entity without a branch, or a shop's with one.
    #[error("{0} does not belong there")]
    Scope(EntityId),
    /// Content under the name of another entity.
    #[error("the content is not that of {0}")]
    Name(EntityId),
}

impl Edits {
    /// Puts edits together to one commit.
    ///
    /// # Errors
    /// [`EditsError`] names the rule that is broken.
    pub fn new(shop: ShopId, mut edits: Vec<Edit>) -> Result<Self, EditsError> {
        if !(1..=EDITS_MAX).contains(&edits.len()) {
            return Err(EditsError::Count);
        }
        for edit in &edits {
            if edit.branch.is_some() != edit.id.kind.of_branch() {
                return Err(EditsError::Scope(edit.id));
            }
            if edit.entity.as_ref().is_some_and(|entity| entity.id() != edit.id) {
                return Err(EditsError::Name(edit.id));
            }
        }
        edits.sort_by_key(|edit| (edit.branch, edit.id));
        for pair in edits.windows(2) {
            if (pair[0].branch, pair[0].id) == (pair[1].branch, pair[1].id) {
                return Err(EditsError::Twice(pair[1].id));
            }
        }
        assert!(!edits.is_empty(), "a commit changes something");
        assert!(edits.is_sorted_by_key(|edit| (edit.branch, edit.id)), "edits have an order");
        Ok(Self { shop, edits })
    }

    /// Returns whose catalog they change.
    #[must_use]
    pub const fn shop(&self) -> ShopId {
        self.shop
    }
}

pub(super) fn reads(edits: &Edits, keys: &mut ReadSet<Key>) {
    let shop = edits.shop;
    assert!(edits.edits.len() <= EDITS_MAX, "a commit is bounded");
    assert!(!edits.edits.is_empty(), "a commit changes something");
    keys.insert(Key::Feed(shop));
    keys.insert(Key::Stamp(shop));
    for Edit { branch, id, .. } in &edits.edits {
        keys.extend(branch.map(|branch| Key::BranchDigest(shop, branch)));
        keys.insert(Key::Item(shop, *branch, *id));
    }
}

pub(super) fn step(rows: &mut Rows<'_, Cloud>, now: Millis, edits: &Edits) -> Output {
    let mut commit = Commit::begin(rows, now, edits.shop);
    for Edit { branch, id, entity } in &edits.edits {
        let content = entity.as_ref().map(|entity| Arc::from(entity.canonical()));
        commit.write(rows, *branch, *id, content);
    }
    let (version, changed) = commit.end(rows);
    assert!(changed as usize <= edits.edits.len(), "each edit changes one entity at most");
    Output::Edited { version, changed }
}

/// One commit of a shop's catalog, whoever makes it: it takes the feed's next version if it
/// changes anything. Its caller has declared the feed and the entities.
pub(super) struct Commit {
    shop: ShopId,
    now: Millis,
    feed: Feed,
    changed: u32,
}

impl Commit {
    pub(super) fn begin(rows: &Rows<'_, Cloud>, now: Millis, shop: ShopId) -> Self {
        let feed = rows.feed(shop).copied().unwrap_or_default();
        let last = match rows.get(&Key::Stamp(shop)) {
            Some(Record::Stamp(last)) => Some(*last),
            Some(_) | None => None,
        };
        // Each commit has a time of its own, in the order of the commits: a clock that was set
        // back, or two commits in one millisecond, change nothing of that (B.8).
        let now = last.map_or(now, |last| now.max(last.after(Millis(1))));
        assert!(last.is_none_or(|last| now > last || last.0 == u64::MAX), "times of commits rise");
        Self { shop, now, feed, changed: 0 }
    }

    /// Gives an entity its content from now on; none deletes it. What is so already stays as it
    /// is: no till need hear of it.
    pub(super) fn write(
        &mut self,
        rows: &mut Rows<'_, Cloud>,
        branch: Option<BranchId>,
        id: EntityId,
        content: Option<Arc<[u8]>>,
    ) {
        assert_eq!(branch.is_some(), id.kind.of_branch(), "an entity stands where its kind does");
        let Self { shop, now: at, .. } = *self;
        let held = rows.item(shop, branch, id).cloned();
        if held.as_ref().and_then(|held| held.content.as_ref()) == content.as_ref() {
            return;
        }
        let digest = match branch {
            None => self.feed.digest,
            Some(branch) => rows.branch_digest(shop, branch).copied().unwrap_or_default(),
        };
        let digest = replaced(digest, id, held.as_ref(), content.as_deref());
        match branch {
            None => self.feed.digest = digest,
            Some(branch) => {
                rows.put(Key::BranchDigest(shop, branch), Record::BranchDigest(digest));
            }
        }
        if let Some(held) = held {
            rows.retract(Key::Change(shop, branch, held.version, held.index));
        }
        let (version, index) = (self.feed.version + 1, self.changed);
        assert!((index as usize) < EDITS_MAX, "a commit is bounded");
        assert!(version > 0, "versions count from 1");
        rows.append(Key::Change(shop, branch, version, index), Record::Change(id));
        rows.put(Key::Item(shop, branch, id), Record::Item(Item { version, index, content, at }));
        self.changed += 1;
    }

    /// Returns the version of the catalog now, and how many entities were changed.
    pub(super) fn end(mut self, rows: &mut Rows<'_, Cloud>) -> (u64, u32) {
        assert!(self.changed as usize <= EDITS_MAX, "a commit is bounded");
        if self.changed > 0 {
            self.feed.version += 1;
            rows.put(Key::Feed(self.shop), Record::Feed(self.feed));
            assert!(self.feed.version > 0, "versions count from 1");
            rows.put(Key::Stamp(self.shop), Record::Stamp(self.now));
            rows.keep(Key::Stamped(self.shop, self.now), Record::Stamped(self.feed.version));
        }
        let feed = rows.feed(self.shop).copied().unwrap_or_default();
        assert_eq!(feed, self.feed, "what changes something has a version");
        (self.feed.version, self.changed)
    }
}

fn replaced(digest: Digest, id: EntityId, held: Option<&Item>, content: Option<&[u8]>) -> Digest {
    let old = held.and_then(|held| held.content.as_deref());
    assert_ne!(old, content, "only what changes is replaced");
    let less = match old {
        Some(old) => digest.without(entity_hash(id, old)),
        None => digest,
    };
    let after = match content {
        Some(new) => less.with(entity_hash(id, new)),
        None => less,
    };
    assert_eq!(
        after.count.wrapping_add(u64::from(old.is_some())),
        digest.count.wrapping_add(u64::from(content.is_some())),
        "what comes is counted, and what goes"
    );
    after
}

/// Returns the version of a shop's catalog.
///
/// # Errors
/// The query's.
pub async fn head<Q: Query<Cloud>>(query: &Q, shop: ShopId) -> Result<u64, Q::Error> {
    Ok(feed(query, shop).await?.version)
}

/// Returns where the catalog of a branch ends, with what all of it adds up to there; none if it was
/// edited meanwhile.
///
/// # Errors
/// The query's.
pub async fn proof<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
) -> Result<Option<CatalogHead>, Q::Error> {
    let before = feed(query, site.shop).await?;
    let head = settled_head(query, site.shop, site.branch, before).await?;
    assert!(head.is_none_or(|head| head.version == before.version), "a proof is of one version");
    Ok(head)
}

/// Returns what a till of `branch` that has `from` needs next: whole commits, in at most `limit`
/// entities (but at least one commit).
///
/// # Errors
/// The query's.
pub async fn delta<Q: Query<Cloud>>(
    query: &Q,
    shop: ShopId,
    branch: BranchId,
    from: u64,
    limit: usize,
) -> Result<DeltaAnswer, Q::Error> {
    assert!(limit > 0, "a page brings something");
    assert!(2 * limit <= PAGE_ENTITIES_MAX, "as much of the shop and of the branch fits");
    let feed = feed(query, shop).await?;
    if from > feed.version || from < floor(query, shop).await?.version {
        return Ok(DeltaAnswer::Resync);
    }
    assert!(from <= feed.version, "nobody is ahead of the head here");
    let site = Site { shop, branch };
    let (mut found, mut to) = changed(query, site, from, feed.version, limit).await?;
    if to == from && from < feed.version {
        // The next commit alone is larger than that.
        (found, to) = changed(query, site, from, feed.version, EDITS_MAX).await?;
    }
    assert!(to > from || from == feed.version, "a page holds at least one commit");
    let (changes, to) = contents(query, shop, found, to).await?;
    // What was compacted while this page was put together may be missing in it; the floor rises in
    // the same commit.
    if from < floor(query, shop).await?.version {
        return Ok(DeltaAnswer::Resync);
    }
    let head = match to == feed.version {
        true => settled_head(query, shop, branch, feed).await?,
        false => None,
    };
    assert!(head.is_none_or(|head| head.version == to), "a proof is of where the page ends");
    assert!(changes.len() <= PAGE_ENTITIES_MAX, "a page is bounded");
    Ok(DeltaAnswer::Page(DeltaPage { from, to, changes, head }))
}

/// Like [`delta`], and if the page reaches the head, says which of the edits that `asker` made the
/// cloud has decided: what the page proves, it proves of a catalog with them.
///
/// # Errors
/// The query's.
pub async fn delta_with_edits<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    asker: TerminalId,
    from: u64,
    limit: usize,
    edits: &[EditName],
) -> Result<DeltaAnswer, Q::Error> {
    // The edits first: whatever is decided by now is in any head that is read later.
    let held = held(query, site.shop, asker, edits).await?;
    Ok(match delta(query, site.shop, site.branch, from, limit).await? {
        DeltaAnswer::Page(page) if !edits.is_empty() && page.head.is_some() => {
            DeltaAnswer::WithEdits(page, held)
        }
        answer @ (DeltaAnswer::Page(_) | DeltaAnswer::Resync | DeltaAnswer::WithEdits(..)) => {
            answer
        }
    })
}

async fn held<Q: Query<Cloud>>(
    query: &Q,
    shop: ShopId,
    terminal: TerminalId,
    edits: &[EditName],
) -> Result<Vec<HeldEdit>, Q::Error> {
    assert!(edits.len() <= EDITS_ASKED_MAX, "a question was checked");
    let mut held = Vec::with_capacity(edits.len());
    for &name in edits {
        let EditName { pos, local_id } = name;
        let key = Key::Ledger(EventKey { terminal, pos, local_id });
        if let Some(Record::Ledger(known)) = query.get(&key).await?
            && known.fate == Fate::Posted
            && known.site.shop == shop
        {
            held.push(HeldEdit { name, payload_hash: known.payload_hash });
        }
    }
    assert!(held.len() <= edits.len(), "only what was asked for is told");
    Ok(held)
}

/// Returns which entities have changed after `from`, in the order of the feed, and up to which
/// version that is all of them.
async fn changed<Q: Query<Cloud>>(
    query: &Q,
    Site { shop, branch }: Site,
    from: u64,
    head: u64,
    limit: usize,
) -> Result<(Vec<(u64, Option<BranchId>, EntityId)>, u64), Q::Error> {
    let mut to = head;
    let mut found = Vec::new();
    for scope in [None, Some(branch)] {
        let first = Key::Change(shop, scope, from + 1, 0);
        let end = Key::Change(shop, scope, head + 1, 0);
        let page = query.scan(&first, &end, limit + 1).await?;
        if page.len() > limit
            && let Some((Key::Change(_, _, cut, _), _)) = page.last()
        {
            // The last commit may be cut; the one before it is whole.
            to = to.min(cut - 1);
        }
        found.extend(page.into_iter().filter_map(|row| match row {
            (Key::Change(_, _, version, _), Record::Change(id)) => Some((version, scope, id)),
            _ => None,
        }));
    }
    assert!((from..=head).contains(&to), "what is whole lies between both ends");
    found.retain(|(version, ..)| *version <= to);
    found.sort_unstable();
    Ok((found, to))
}

/// Returns the contents of what has changed, as many whole commits as fit.
async fn contents<Q: Query<Cloud>>(
    query: &Q,
    shop: ShopId,
    found: Vec<(u64, Option<BranchId>, EntityId)>,
    mut to: u64,
) -> Result<(Vec<ChangeV1>, u64), Q::Error> {
    let mut changes: Vec<ChangeV1> = Vec::new();
    let mut bytes = 0;
    for (version, scope, id) in found {
        let Some(Record::Item(item)) = query.get(&Key::Item(shop, scope, id)).await? else {
            continue;
        };
        if item.version != version {
            continue; // changed since: it stands further on in the feed
        }
        let length = item.content.as_ref().map_or(0, |content| content.len());
        let begun = changes.last().is_some_and(|last| last.version == version);
        if bytes + length > PAGE_BYTES_MAX && !begun && !changes.is_empty() {
            to = version - 1;
            break;
        }
        bytes += length;
        changes.push(ChangeV1 { id, version, content: item.content });
    }
    while let Some(last) = changes.last()
        && bytes > PAGE_BYTES_MAX
        && last.version != changes[0].version
    {
        // The commit that did not fit is left out as a whole.
        to = last.version - 1;
        let cut = changes.partition_point(|change| change.version <= to);
        changes.truncate(cut);
        bytes = changes.iter().filter_map(|change| change.content.as_ref()).map(|c| c.len()).sum();
    }
    changes.sort_unstable_by_key(|change| (change.version, change.id));
    assert!(changes.len() <= 2 * (EDITS_MAX.max(PAGE_ENTITIES_MAX / 2)), "a page is bounded");
    assert!(changes.last().is_none_or(|last| last.version <= to), "a page ends where it says");
    Ok((changes, to))
}

/// Returns the head with its digest, if nothing was committed while this page was put together.
async fn settled_head<Q: Query<Cloud>>(
    query: &Q,
    shop: ShopId,
    branch: BranchId,
    before: Feed,
) -> Result<Option<CatalogHead>, Q::Error> {
    let own = match query.get(&Key::BranchDigest(shop, branch)).await? {
        Some(Record::BranchDigest(digest)) => digest,
        Some(_) | None => Digest::default(),
    };
    let now = feed(query, shop).await?;
    let head = CatalogHead { version: now.version, digest: now.digest.plus(own) };
    Ok((now.version == before.version).then_some(head))
}

/// Returns a run of the entities of `branch` after `after`, whole as of now: `limit` at most.
///
/// A run is not as of `pinned`: entities may be newer. A delta from `pinned` brings what has
/// changed since, so a till is at a version only after that.
///
/// # Errors
/// The query's.
pub async fn snapshot<Q: Query<Cloud>>(
    query: &Q,
    shop: ShopId,
    branch: BranchId,
    pinned: Option<u64>,
    after: Option<EntityId>,
    limit: usize,
) -> Result<SnapshotPage, Q::Error> {
    assert!(limit > 0 && limit <= PAGE_ENTITIES_MAX, "a page has a bound");
    let pinned = match pinned {
        Some(pinned) => pinned,
        None => feed(query, shop).await?.version,
    };
    let mut entities = Vec::new();
    let mut bytes = 0;
    let mut last = None;
    for kind in Kind::ALL.into_iter().filter(|kind| after.is_none_or(|after| after.kind <= *kind)) {
        let scope = kind.of_branch().then_some(branch);
        let mut next = match after.filter(|after| after.kind == kind) {
            Some(after) => Key::Item(shop, scope, after),
            None => Key::Item(shop, scope, first_of(kind)),
        };
        loop {
            let page = query.scan(&next, &Key::Item(shop, scope, end_of(kind)), limit + 1).await?;
            let whole = page.len() <= limit;
            for (key, record) in page {
                let (Key::Item(_, _, id), Record::Item(item)) = (key, record) else { continue };
                next = key;
                let Some(content) = item.content.filter(|_| Some(id) > last.or(after)) else {
                    continue;
                };
                if entities.len() == limit || bytes + content.len() > PAGE_BYTES_MAX {
                    return Ok(SnapshotPage { pinned, after, last, entities });
                }
                bytes += content.len();
                last = Some(id);
                entities.push(ChangeV1 { id, version: item.version, content: Some(content) });
            }
            if whole {
                break;
            }
        }
    }
    assert!(entities.len() <= limit && bytes <= PAGE_BYTES_MAX, "a run keeps its bounds");
    assert_eq!(entities.last().map(|change| change.id), last, "a run ends with its last entity");
    debug_assert!(entities.is_sorted_by(|a, b| a.id < b.id), "a run rises");
    Ok(SnapshotPage { pinned, after, last: None, entities })
}

async fn feed<Q: Query<Cloud>>(query: &Q, shop: ShopId) -> Result<Feed, Q::Error> {
    Ok(match query.get(&Key::Feed(shop)).await? {
        Some(Record::Feed(feed)) => feed,
        Some(_) | None => Feed::default(),
    })
}

const fn first_of(kind: Kind) -> EntityId {
    EntityId { kind, id: crate::label::Label::FIRST }
}

const fn end_of(kind: Kind) -> EntityId {
    EntityId { kind, id: crate::label::Label::LAST }
}
