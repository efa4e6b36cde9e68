//! The cloud's side: a copy of what the committed catalog adds up to, from which every till is
//! answered at a cost of the answer, whatever the catalog's size.
//!
//! It is a cache, volatile and derived: it follows the feed from where it stands, and shows by the
//! committed digest that it has not lost its way; if it has, it starts anew. It holds some 120
//! bytes for each entity, and belongs to one shop: its own entities, and those of each branch that
//! has asked, whose sketches are added up ([`Sketch`] is linear).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{item_of, key_of, rough_item_of};
use crate::catalog::{Digest, EntityId, entity_hash};
use crate::cloud::compaction::floor;
use crate::cloud::row::Feed;
use crate::cloud::{Cloud, Key, Record, Site};
use crate::hash::Hash;
use crate::identity::{BranchId, ShopId};
use crate::machine::Query;
use crate::sketch::{Estimator, KeyDigest, PREFIX_MIN, Sketch, SketchKey, longer, prefix};
use crate::wire::catalog::{CatalogHead, ChangeV1, PAGE_BYTES_MAX};
use crate::wire::reconcile::{
    CellsAnswer, EntitiesAnswer, EntitiesAsk, EntityRow, ReconcileAnswer, ReconcileAsk,
};

/// How many places of the feed are read at once.
const PAGE: usize = 512;
/// How often it follows a catalog that changes meanwhile before it gives up.
const ROUNDS_MAX: u32 = 16;
/// The fewest cells that are kept.
const CELLS_KEPT_MIN: usize = 1_024;
/// Up to so many drifts a catalog of any size is compared by sketch.
const DRIFTS_ALWAYS: u64 = 64;

const _: () = assert!(CELLS_KEPT_MIN <= crate::sketch::CELLS_MAX, "a sketch has room for them");
const _: () = assert!(CELLS_KEPT_MIN.is_power_of_two(), "a sketch doubles");
const _: () = assert!(crate::sketch::CELLS_MAX.is_power_of_two(), "and ends at its bound");
const _: () = assert!(DRIFTS_ALWAYS > 0, "some drift is always told");
const _: () = assert!(size_of::<Held>() <= 72, "an entity in a mirror is small");
const _: () = assert!(PAGE > 0 && ROUNDS_MAX > 1, "it comes further, and looks again");
const _: () = assert!(CELLS_KEPT_MIN >= PREFIX_MIN, "the shortest answer is at hand");
const _: () =
    assert!(2 * DRIFTS_ALWAYS + 20 <= CELLS_KEPT_MIN as u64, "few drifts need no longer sketch");

/// Entities of one scope: the whole shop's, or one branch's own.
#[derive(Clone, Debug)]
struct Part {
    /// Every place of the feed up to this version has been read.
    version: u64,
    held: BTreeMap<KeyDigest, Held>,
    digest: Digest,
    sketch: Sketch,
    estimator: Estimator,
    /// Two names have the same key: no sketch can tell them apart.
    collided: bool,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    id: EntityId,
    content: Hash,
}

/// What one shop's catalog adds up to, and its branches' own.
#[derive(Clone, Debug)]
pub struct Mirror {
    shop: ShopId,
    secret: [u8; 16],
    key: SketchKey,
    whole: Part,
    branches: BTreeMap<BranchId, Part>,
    rebuilt: u64,
}

/// Why a mirror cannot answer; ask again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsettled {
    /// The catalog changes faster than it can be followed.
    #[error("the catalog is being edited faster than it can be read")]
    Busy,
    /// The sums that the cloud keeps are not those of its rows.
    #[error("the catalog's rows do not add up to its digest: run `cloud-node check`")]
    Sums,
}

impl Part {
    fn new() -> Self {
        Self {
            version: 0,
            held: BTreeMap::new(),
            digest: Digest::default(),
            sketch: Sketch::new(CELLS_KEPT_MIN),
            estimator: Estimator::default(),
            collided: false,
        }
    }

    /// Takes over what an entity is now; none if it was deleted.
    fn set(&mut self, key: &SketchKey, id: EntityId, content: Option<Hash>) {
        let digest = key_of(key, id);
        if let Some(held) = self.held.remove(&digest) {
            self.collided |= held.id != id;
            self.sketch.remove(item_of(key, held.id, held.content));
            self.estimator.remove(rough_item_of(held.id, held.content));
            self.digest = self.digest.without(held.content);
        }
        if let Some(content) = content {
            self.sketch.insert(item_of(key, id, content));
            self.estimator.insert(rough_item_of(id, content));
            self.digest = self.digest.with(content);
            self.held.insert(digest, Held { id, content });
        }
        assert_eq!(self.held.contains_key(&digest), content.is_some(), "it is so now");
        assert_eq!(self.held.len() as u64, self.digest.count, "each entity is counted once");
    }

    /// Makes the sketch at least so long: a few times in the life of a mirror, as it doubles.
    fn grow(&mut self, key: &SketchKey, cells: usize) {
        if cells > self.sketch.len() {
            let cells = cells.next_power_of_two().min(crate::sketch::CELLS_MAX);
            let items = self.held.values().map(|held| item_of(key, held.id, held.content));
            self.sketch.grow(cells, items);
        }
        assert!(self.sketch.len() <= crate::sketch::CELLS_MAX, "a sketch is bounded");
        assert!(self.sketch.len() >= CELLS_KEPT_MIN, "a sketch never shrinks");
        assert!(self.sketch.len() >= cells, "there are as many cells as are asked for");
    }

    /// Follows the feed up to `head`.
    async fn follow<Q: Query<Cloud>>(
        &mut self,
        query: &Q,
        key: &SketchKey,
        scope: (ShopId, Option<BranchId>),
        head: u64,
    ) -> Result<(), Q::Error> {
        let (shop, branch) = scope;
        assert!(self.version <= head, "whoever is ahead of the feed starts anew");
        let mut next = Key::Change(shop, branch, self.version + 1, 0);
        let end = Key::Change(shop, branch, head.saturating_add(1), 0);
        while next < end {
            let page = query.scan(&next, &end, PAGE).await?;
            assert!(page.len() <= PAGE, "a scan keeps its limit");
            let whole = page.len() < PAGE;
            for (place, record) in page {
                let (Key::Change(_, _, version, index), Record::Change(id)) = (place, record)
                else {
                    continue;
                };
                next = Key::Change(shop, branch, version, index.saturating_add(1));
                let Some(Record::Item(item)) = query.get(&Key::Item(shop, branch, id)).await?
                else {
                    continue;
                };
                if item.version == version {
                    let content = item.content.as_deref();
                    self.set(key, id, content.map(|content| entity_hash(id, content)));
                } // else it has changed since, and stands further on
            }
            if whole {
                break;
            }
        }
        self.version = head;
        assert_eq!(self.held.len() as u64, self.digest.count, "each entity is counted once");
        Ok(())
    }
}

impl Mirror {
    /// Starts with nothing; the first question makes it read the catalog. `secret` is the shop's.
    #[must_use]
    pub fn new(shop: ShopId, secret: [u8; 16]) -> Self {
        let key = SketchKey::new(secret);
        Self { shop, secret, key, whole: Part::new(), branches: BTreeMap::new(), rebuilt: 0 }
    }

    /// Returns how many entities it holds, all branches' together.
    #[must_use]
    pub fn entities(&self) -> u64 {
        let own = self.branches.values().map(|part| part.digest.count);
        own.fold(self.whole.digest.count, u64::saturating_add)
    }

    /// Returns how often it had lost its way and started anew.
    #[must_use]
    pub const fn rebuilt(&self) -> u64 {
        self.rebuilt
    }

    /// Follows the feed until it is at the head, as one branch sees it.
    ///
    /// # Errors
    /// The query's; [`Unsettled`] if it does not come to rest.
    pub async fn settle<Q: Query<Cloud>>(
        &mut self,
        query: &Q,
        branch: BranchId,
    ) -> Result<Result<CatalogHead, Unsettled>, Q::Error> {
        let shop = self.shop;
        let mut last_wrong = None;
        for _ in 0..ROUNDS_MAX {
            let feed = read_feed(query, shop).await?;
            let own = self.branches.entry(branch).or_insert_with(Part::new);
            if own.version > feed.version || self.whole.version > feed.version {
                self.forget();
                continue; // the database was replaced under us
            }
            own.follow(query, &self.key, (shop, Some(branch)), feed.version).await?;
            let own = own.digest;
            self.whole.follow(query, &self.key, (shop, None), feed.version).await?;
            assert_eq!(self.whole.version, feed.version, "the shop's part is followed to the head");
            let committed = read_branch(query, Site { shop, branch }).await?;
            if read_feed(query, shop).await? != feed {
                continue; // something was committed meanwhile
            }
            if self.whole.digest == feed.digest && own == committed {
                let digest = feed.digest.plus(committed);
                assert!(self.branches.contains_key(&branch), "it is settled for this branch");
                return Ok(Ok(CatalogHead { version: feed.version, digest }));
            }
            if last_wrong == Some(feed.version) {
                return Ok(Err(Unsettled::Sums));
            }
            // Tombstones that were compacted away leave no place in the feed.
            last_wrong = Some(feed.version);
            self.forget();
        }
        Ok(Err(Unsettled::Busy))
    }

    fn forget(&mut self) {
        self.whole = Part::new();
        self.branches.clear();
        self.rebuilt = self.rebuilt.saturating_add(1);
        assert!(self.whole.held.is_empty() && self.branches.is_empty(), "it starts anew");
        assert!(self.rebuilt > 0, "and it is counted");
    }

    /// Answers a till of `branch`, at `head`, which [`Self::settle`] returned.
    ///
    /// # Panics
    /// If it was not settled for this branch.
    #[must_use]
    pub fn answer(
        &mut self,
        branch: BranchId,
        head: CatalogHead,
        ask: &ReconcileAsk,
    ) -> ReconcileAnswer {
        let own = self.branches.get_mut(&branch).expect("it was settled for this branch");
        if ask.version > head.version {
            return ReconcileAnswer::Ahead { version: head.version };
        }
        if ask.digest == head.digest {
            return ReconcileAnswer::InSync(head);
        }
        if ask.more.is_some_and(|more| more.version != head.version) {
            return ReconcileAnswer::Moved { version: head.version };
        }
        let estimated = match Estimator::from_wire(&ask.estimator) {
            Ok(theirs) => self.whole.estimator.plus(&own.estimator).drifts(&theirs),
            Err(_) => u64::MAX,
        };
        let most = (head.digest.count.max(ask.digest.count) / 4).max(DRIFTS_ALWAYS);
        let too_large = ReconcileAnswer::TooLarge { estimated };
        if estimated > most || self.whole.collided || own.collided {
            return too_large;
        }
        let (first, end) = match ask.more {
            None => (0, prefix(estimated)),
            Some(more) => (more.have as usize, longer(more.have as usize)),
        };
        let Some(end) = end else { return too_large };
        self.whole.grow(&self.key, end);
        own.grow(&self.key, end);
        let sum = self.whole.sketch.plus(&own.sketch, end);
        assert!(estimated <= most, "more is told by a snapshot");
        assert!(head.version >= ask.version, "who is ahead was told so");
        assert!(head.digest != ask.digest, "who is in sync was told so");
        assert!(first < end, "there are cells to be sent");
        assert_eq!(sum.len(), end, "both sketches have these cells");
        ReconcileAnswer::Cells(CellsAnswer { head, key: self.secret, cells: sum.page(first, end) })
    }

    /// Returns the committed rows that a till of `branch` asks for. Only rows of the shop and of
    /// this branch are ever looked at.
    ///
    /// # Errors
    /// The query's.
    pub async fn entities_of<Q: Query<Cloud>>(
        &self,
        query: &Q,
        branch: BranchId,
        ask: &EntitiesAsk,
    ) -> Result<EntitiesAnswer, Q::Error> {
        let site = Site { shop: self.shop, branch };
        let feed = read_feed(query, site.shop).await?;
        let digest = feed.digest.plus(read_branch(query, site).await?);
        let keys = ask.keys.parse().unwrap_or_default();
        let named = keys.iter().map(|key| self.named(branch, *key));
        let asked = named.chain(ask.extra.iter().copied().map(Some));
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for id in asked {
            let row = match id {
                Some(id) => row_of(query, site, id).await?,
                None => EntityRow::Absent,
            };
            bytes += row.bytes();
            if bytes > PAGE_BYTES_MAX {
                break;
            }
            rows.push(row);
        }
        assert!(rows.iter().map(EntityRow::bytes).sum::<usize>() <= PAGE_BYTES_MAX, "it fits");
        assert!(!rows.is_empty(), "a checked question has an answer");
        assert!(rows.len() <= keys.len() + ask.extra.len(), "one row for each that is asked");
        // After the rows: of what was compacted meanwhile, the floor tells.
        let floor = floor(query, site.shop).await?.version;
        Ok(EntitiesAnswer { head: CatalogHead { version: feed.version, digest }, floor, rows })
    }

    /// Returns which entity a till of `branch` means.
    fn named(&self, branch: BranchId, key: KeyDigest) -> Option<EntityId> {
        let own = self.branches.get(&branch).and_then(|part| part.held.get(&key));
        self.whole.held.get(&key).or(own).map(|held| held.id)
    }
}

/// Reads an entity as one branch sees it: the shop's, or its own.
async fn row_of<Q: Query<Cloud>>(
    query: &Q,
    Site { shop, branch }: Site,
    id: EntityId,
) -> Result<EntityRow, Q::Error> {
    let scope = id.kind.of_branch().then_some(branch);
    Ok(match query.get(&Key::Item(shop, scope, id)).await? {
        Some(Record::Item(item)) => {
            EntityRow::Known(ChangeV1 { id, version: item.version, content: item.content })
        }
        Some(_) | None => EntityRow::Absent,
    })
}

async fn read_feed<Q: Query<Cloud>>(query: &Q, shop: ShopId) -> Result<Feed, Q::Error> {
    Ok(match query.get(&Key::Feed(shop)).await? {
        Some(Record::Feed(feed)) => feed,
        Some(_) | None => Feed::default(),
    })
}

async fn read_branch<Q: Query<Cloud>>(query: &Q, site: Site) -> Result<Digest, Q::Error> {
    Ok(match query.get(&Key::BranchDigest(site.shop, site.branch)).await? {
        Some(Record::BranchDigest(digest)) => digest,
        Some(_) | None => Digest::default(),
    })
}

/// Returns the head if a till's rows are those of the committed catalog: the answer to most
/// questions, for which no mirror is needed. `None`: they are not, or the catalog just changed.
///
/// # Errors
/// The query's.
pub async fn in_sync<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    ask: &ReconcileAsk,
) -> Result<Option<CatalogHead>, Q::Error> {
    let feed = read_feed(query, site.shop).await?;
    let digest = feed.digest.plus(read_branch(query, site).await?);
    let settled = read_feed(query, site.shop).await? == feed;
    let equal = ask.digest == digest && ask.version <= feed.version;
    Ok((settled && equal).then_some(CatalogHead { version: feed.version, digest }))
}
