//! What a till really has: counted from the rows, whatever the sums say that it keeps.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{item_of, rough_item_of};
use crate::catalog::{Digest, EntityId, entity_hash};
use crate::event::Event;
use crate::hash::Hash;
use crate::identity::{Epoch, ProductId};
use crate::machine::Query;
use crate::sketch::{Estimator, Item, KeyDigest, SketchKey};
use crate::terminal::row::CatalogState;
use crate::terminal::{Key, Record, Terminal};

/// How many rows are read at once.
const PAGE: usize = 1_000;
/// The most unsynced events that are looked through for products.
const UNSYNCED_MAX: usize = 10_000;

/// The most rows that room is made for before they are seen: 70 MiB.
const ROOM_MAX: usize = 1 << 20;

const _: () = assert!(ROOM_MAX > PAGE, "room is made for more than a page");
const _: () = assert!(PAGE > 1, "a census comes further");
const _: () = assert!(UNSYNCED_MAX > 0, "somebody may wait");
const _: () = assert!(UNSYNCED_MAX <= 1 << 20, "few events are held at once");
const _: () = assert!(size_of::<Item>() <= 16, "an item is small");
const _: () = assert!(size_of::<(EntityId, Hash)>() <= 72, "a row of a census is small");

/// Every row of a till's catalog, by name and hash, and what they add up to.
///
/// It takes 70 bytes for each row while a comparison is under way.
#[derive(Clone, Debug, Default)]
pub struct Census {
    rows: Vec<(EntityId, Hash)>,
    digest: Digest,
    estimator: Estimator,
}

impl Census {
    /// Returns a census of nothing yet that has room for about so many rows.
    #[must_use]
    pub fn with_room(rows: u64) -> Self {
        let room = usize::try_from(rows).unwrap_or(ROOM_MAX).min(ROOM_MAX);
        let census = Self { rows: Vec::with_capacity(room), ..Self::default() };
        assert_eq!(census.digest, Digest::default(), "nothing is counted yet");
        census
    }

    /// Reads the next page of rows, and returns whether there may be more.
    ///
    /// Whoever shares the store with others looks at [`Key::Catalog`] before and after: if it
    /// changed, so did rows, and the census is of no moment.
    ///
    /// # Errors
    /// The store's.
    pub async fn read<Q: Query<Terminal>>(&mut self, store: &Q) -> Result<bool, Q::Error> {
        let after = self.rows.last().map(|(id, _)| *id);
        let from = Key::Item(after.unwrap_or(EntityId::FIRST));
        let page = store.scan(&from, &Key::Item(EntityId::LAST), PAGE).await?;
        assert!(page.len() <= PAGE, "a scan keeps its limit");
        let more = page.len() == PAGE;
        for row in page {
            if let (Key::Item(id), Record::Item(item)) = row
                && Some(id) != after
            {
                self.count(id, &item.content);
            }
        }
        assert!(!more || self.rows.last().map(|(id, _)| *id) > after, "a census comes further");
        assert_eq!(self.rows.len() as u64, self.digest.count, "each row is counted once");
        Ok(more)
    }

    /// Counts a row, whatever its content is: bytes that nobody can read are just other bytes than
    /// the cloud's. Rows come in the order of their names, each once.
    pub fn count(&mut self, id: EntityId, content: &[u8]) {
        assert!(self.rows.last().is_none_or(|(last, _)| *last < id), "rows come in their order");
        let hash = entity_hash(id, content);
        self.estimator.insert(rough_item_of(id, hash));
        self.digest = self.digest.with(hash);
        self.rows.push((id, hash));
        assert_eq!(self.rows.len() as u64, self.digest.count, "each row is counted once");
    }

    /// Returns what the rows add up to.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the estimator of the rows, under the public key.
    #[must_use]
    pub const fn estimator(&self) -> &Estimator {
        &self.estimator
    }

    /// Returns what stands under a name.
    #[must_use]
    pub fn get(&self, id: EntityId) -> Option<Hash> {
        let found = self.rows.binary_search_by(|(held, _)| held.cmp(&id)).ok()?;
        Some(self.rows[found].1)
    }

    /// Returns the rows as items under a key, in the order of their keys.
    pub(super) fn items(&self, key: &SketchKey) -> Vec<(Item, EntityId)> {
        let item = |(id, hash): &(EntityId, Hash)| (item_of(key, *id, *hash), *id);
        let mut items: Vec<(Item, EntityId)> = self.rows.iter().map(item).collect();
        items.sort_unstable_by_key(|(item, _)| item.key);
        assert!(items.is_sorted_by_key(|(item, _)| item.key), "items can be looked up");
        assert_eq!(items.len(), self.rows.len(), "each row is an item");
        items
    }
}

/// Returns the entity under a key, if the till has it.
pub(super) fn find(items: &[(Item, EntityId)], key: KeyDigest) -> Option<(Item, EntityId)> {
    let found = items.binary_search_by_key(&key, |(item, _)| item.key).ok()?;
    assert_eq!(items[found].0.key, key, "what is found is what was looked for");
    Some(items[found])
}

/// Counts every row of the catalog.
///
/// # Errors
/// The store's.
pub async fn census<Q: Query<Terminal>>(store: &Q) -> Result<Census, Q::Error> {
    let room = reduced(store).await?.map_or(0, |state| state.digest.count);
    let mut census = Census::with_room(room);
    while census.read(store).await? {}
    Ok(census)
}

/// Returns where the catalog stands, for [`Verify::new`](super::Verify::new): its version, if it is
/// complete.
///
/// # Errors
/// The store's.
pub async fn reduced<Q: Query<Terminal>>(store: &Q) -> Result<Option<CatalogState>, Q::Error> {
    Ok(match store.get(&Key::Catalog).await? {
        Some(Record::Catalog(state)) if state.version.is_some() => Some(state),
        Some(_) | None => None,
    })
}

/// Returns how many unsynced events name each product: up to ten thousand events are looked at.
///
/// # Errors
/// The store's.
pub async fn unsynced<Q: Query<Terminal>>(store: &Q) -> Result<BTreeMap<ProductId, u64>, Q::Error> {
    let mut named = BTreeMap::new();
    let Some(Record::Meta(meta)) = store.get(&Key::Meta).await? else { return Ok(named) };
    let until = Key::Queue(Epoch { number: u32::MAX, nonce: u64::MAX }, u64::MAX);
    let queue = store.scan(&Key::Queue(Epoch::default(), 0), &until, UNSYNCED_MAX).await?;
    assert!(queue.len() <= UNSYNCED_MAX, "a scan keeps its limit");
    let mut places: Vec<(Epoch, u64)> = queue
        .into_iter()
        .filter_map(
            |(key, _)| {
                if let Key::Queue(epoch, seq) = key { Some((epoch, seq)) } else { None }
            },
        )
        .collect();
    places.extend((meta.acked + 1..=meta.head).map(|seq| (meta.epoch, seq)).take(UNSYNCED_MAX));
    places.sort_unstable();
    places.dedup();
    assert!(places.len() <= 2 * UNSYNCED_MAX, "so many are looked through");
    assert!(places.is_sorted_by(|a, b| a < b), "each event is looked at once");
    let looked_at = places.len() as u64;
    for (epoch, seq) in places {
        let Some(Record::Entry(entry)) = store.get(&Key::Entry(epoch, seq)).await? else {
            continue;
        };
        let Ok(event) = Event::from_canonical(&entry.payload) else { continue };
        let mut products: Vec<ProductId> = event.movements().map(|moved| moved.product).collect();
        products.sort_unstable();
        products.dedup();
        for product in products {
            *named.entry(product).or_default() += 1;
        }
    }
    assert!(named.values().all(|count| *count > 0), "only what is named is counted");
    assert!(named.values().all(|count| *count <= looked_at), "an event names a product once");
    Ok(named)
}
