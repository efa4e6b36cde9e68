//! What compaction may not do, from what the cloud durably stores.

use std::collections::BTreeMap;

use counterfoil_protocol::cloud;
use counterfoil_protocol::cloud::row::Lease;
use counterfoil_protocol::identity::{BranchId, ShopId, TerminalId};
use counterfoil_protocol::time::Millis;

use super::{Checker, CloudWrites};
use crate::law::{Law, Violation};
use crate::model::{LEASE_LIFE, START};

/// The leases that tills hold, and how far the feed is compacted.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases {
    held: BTreeMap<(ShopId, BranchId, TerminalId), Lease>,
    floors: BTreeMap<ShopId, u64>,
}

impl Leases {
    /// The lowest version that a live lease needs the deletions after.
    fn lowest(&self, shop: ShopId, now: Millis) -> Option<u64> {
        let of_shop = self.held.iter().filter(|((of, ..), _)| *of == shop);
        let live = of_shop.filter(|(_, lease)| now.0.saturating_sub(lease.seen.0) <= LEASE_LIFE.0);
        live.map(|(_, lease)| lease.version).min()
    }

    fn note(&mut self, written: &CloudWrites) {
        for (key, record) in written {
            match (key, record.as_deref()) {
                (cloud::Key::Lease(shop, branch, till), Some(cloud::Record::Lease(lease))) => {
                    self.held.insert((*shop, *branch, *till), *lease);
                }
                (cloud::Key::Lease(shop, branch, till), None) => {
                    self.held.remove(&(*shop, *branch, *till));
                }
                (cloud::Key::Floor(shop), Some(cloud::Record::Floor(floor))) => {
                    self.floors.insert(*shop, floor.version);
                }
                _ => {}
            }
        }
    }
}

impl Checker {
    /// The cloud has committed: only deletions leave, none that a live lease needs, and the floor
    /// covers all that left.
    pub(super) fn compacted(&mut self, at_ms: u64, written: &CloudWrites) -> Result<(), Violation> {
        let about_it = |key: &cloud::Key| {
            matches!(key, cloud::Key::Item(..) | cloud::Key::Lease(..) | cloud::Key::Floor(_))
        };
        if !written.iter().any(|(key, _)| about_it(key)) {
            // Nothing of it is written: each floor is where it was, and need not be copied first.
            let floors = self.catalog.leases.floors.len();
            let held = |_| self.tally.check(Law::CatalogConverges, at_ms, true, String::new);
            return (0..floors).try_for_each(held);
        }
        let before = self.catalog.leases.clone();
        self.catalog.leases.note(written);
        for (key, record) in written {
            let (cloud::Key::Item(shop, scope, id), None) = (key, record) else { continue };
            let last = self.catalog.last_of(*shop, *scope, *id);
            let deleted = last.filter(|(_, content)| content.is_none()).map(|(version, _)| version);
            self.tally.check(Law::CatalogConverges, at_ms, deleted.is_some(), || {
                format!("{id} was compacted, and is not deleted")
            })?;
            let version = deleted.unwrap_or_default();
            let lowest = before.lowest(*shop, Millis(START + at_ms));
            let heard = lowest.is_none_or(|lowest| version <= lowest);
            self.tally.check(Law::CatalogConverges, at_ms, heard, || {
                format!("the deletion of {id} at {version} was compacted under a live lease")
            })?;
            let floor = self.catalog.leases.floors.get(shop).copied().unwrap_or_default();
            self.tally.check(Law::CatalogConverges, at_ms, version <= floor, || {
                format!("the deletion of {id} at {version} left, the floor is {floor}")
            })?;
        }
        for (shop, floor) in &before.floors {
            let now = self.catalog.leases.floors.get(shop);
            self.tally.check(Law::CatalogConverges, at_ms, now >= Some(floor), || {
                format!("the floor sank from {floor} to {now:?}")
            })?;
        }
        Ok(())
    }
}
