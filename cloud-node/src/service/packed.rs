//! Pages of the catalog that were put together once, and are sent to many tills.
//!
//! Every till of a branch asks for the same: when a shop opens, when a price changes. So a page is
//! read, encoded and compressed for the first that asks, and kept for the others. A page is named
//! by all that it depends on, so none is ever out of date:
//!
//! * a delta, by the version from which and the version of the head to which it was asked for;
//! * a run of a snapshot, by the version that the snapshot is pinned to and the entity after which
//!   it begins. It may have been put together later than that version: entities may be newer than
//!   their snapshot, and the delta that follows settles it. So tills that begin a snapshot within
//!   [`SNAPSHOT_VERSIONS`] of each other are pinned to the same version, and share every run.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use counterfoil_protocol::catalog::EntityId;
use counterfoil_protocol::cloud::Site;

/// The most bytes that are kept.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most branches whose snapshots are kept.
const SITES_MAX: usize = 4_096;
/// For how many commits of the catalog tills begin the same snapshot.
const SNAPSHOT_VERSIONS: u64 = 64;
/// How hard a page is compressed: once, for every till that asks for it.
const LEVEL: i32 = 9;
/// How hard what one till alone asks for.
const LEVEL_ONCE: i32 = 1;

/// Smaller pages are put together faster than they are found.
const FRAME_BYTES_MIN: usize = 1024;

const _: () = assert!(SITES_MAX > 0 && BYTES_MAX > 0, "something is kept");

/// The name of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Delta { site: Site, from: u64, head: u64 },
    Run { site: Site, pinned: u64, after: Option<EntityId> },
}

/// The kept pages.
#[derive(Debug, Default)]
pub(super) struct Packed(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    pages: BTreeMap<Name, Bytes>,
    /// The oldest first.
    order: VecDeque<Name>,
    bytes: usize,
    pinned: BTreeMap<Site, u64>,
}

impl Packed {
    /// Returns the version to which a snapshot that begins now is pinned: not below the floor of
    /// the feed, from which its delta could not go on.
    pub(super) fn pinned(&self, site: Site, head: u64, floor: u64) -> u64 {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pinned) = inner.pinned.get(&site)
            && (*pinned..=pinned.saturating_add(SNAPSHOT_VERSIONS)).contains(&head)
            && *pinned >= floor
        {
            return *pinned;
        }
        if inner.pinned.len() == SITES_MAX {
            inner.pinned.clear();
        }
        inner.pinned.insert(site, head);
        head
    }

    pub(super) fn get(&self, name: &Name) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pages.get(name).cloned()
    }

    /// Compresses a page and keeps it; `None` if it is too small for that.
    pub(super) fn pack(&self, name: Name, frame: &[u8]) -> Option<Bytes> {
        let packed = compressed(frame, LEVEL)?;
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.keep(name, packed.clone());
        Some(packed)
    }

    /// Compresses what is for one till alone; `None` if it is too small for that.
    pub(super) fn once(frame: &[u8]) -> Option<Bytes> {
        compressed(frame, LEVEL_ONCE)
    }
}

fn compressed(frame: &[u8], level: i32) -> Option<Bytes> {
    if frame.len() < FRAME_BYTES_MIN {
        return None;
    }
    Some(Bytes::from(zstd::bulk::compress(frame, level).ok()?))
}

impl Inner {
    fn keep(&mut self, name: Name, packed: Bytes) {
        self.bytes += packed.len();
        match self.pages.insert(name, packed) {
            Some(before) => self.bytes -= before.len(),
            None => self.order.push_back(name),
        }
        while self.bytes > BYTES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.pages.remove(&oldest).map_or(0, |page| page.len());
        }
        assert_eq!(self.order.len(), self.pages.len(), "each page that is kept has an age");
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_protocol::identity::{BranchId, ShopId};

    use super::*;

    fn site(branch: &str) -> Site {
        let shop = ShopId::parse("shop").expect("a name");
        Site { shop, branch: BranchId::parse(branch).expect("a name") }
    }

    #[test]
    fn tills_that_begin_about_the_same_time_share_a_snapshot() {
        let packed = Packed::default();
        assert_eq!(packed.pinned(site("a"), 10, 0), 10);
        assert_eq!(packed.pinned(site("a"), 10 + SNAPSHOT_VERSIONS, 0), 10);
        assert_eq!(packed.pinned(site("b"), 12, 0), 12, "another branch has another snapshot");
        assert_eq!(packed.pinned(site("a"), 11 + SNAPSHOT_VERSIONS, 0), 11 + SNAPSHOT_VERSIONS);
        assert_eq!(packed.pinned(site("a"), 9, 0), 9, "a feed that went back begins anew");
        assert_eq!(packed.pinned(site("a"), 12, 9), 9);
        assert_eq!(packed.pinned(site("a"), 12, 10), 12, "below the floor no delta follows");
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let packed = Packed::default();
        let name = |from| Name::Delta { site: site("a"), from, head: 9 };
        let mut inner = packed.0.lock().expect("nobody has panicked");
        for from in 0..3 {
            inner.keep(name(from), Bytes::from(vec![0; BYTES_MAX / 2]));
        }
        assert_eq!(inner.bytes, 2 * (BYTES_MAX / 2));
        assert!(!inner.pages.contains_key(&name(0)), "the oldest is gone");
        assert!(inner.pages.contains_key(&name(1)) && inner.pages.contains_key(&name(2)));
        inner.keep(name(2), Bytes::from_static(b"again"));
        assert_eq!(inner.bytes, BYTES_MAX / 2 + 5, "what is replaced is not counted twice");
    }
}
