//! `CatalogConverges`, from what clouds and tills durably store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use counterfoil_protocol::catalog::{Entity, EntityId};
use counterfoil_protocol::cloud;
use counterfoil_protocol::identity::{BranchId, ProductId, ShopId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::terminal::{self, Identity};

use super::compaction::Leases;
use super::ownership::Books;
use super::{Checker, CloudWrites, Device, TillRows, TillWrites};
use crate::law::{Law, Violation};

type Content = Option<Arc<[u8]>>;

/// Every commit of a shop's catalog, as the checkers saw it.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    commits: BTreeMap<(ShopId, u64), Vec<Edited>>,
    /// The same by entity: at which version whose became what, in the order of the commits.
    entities: BTreeMap<(ShopId, EntityId), Vec<Change>>,
    pub(super) books: Books,
    pub(super) leases: Leases,
}

/// Whose entity became what.
type Edited = (Option<BranchId>, EntityId, Content);

/// When whose entity became what.
type Change = (u64, Option<BranchId>, Content);

impl History {
    fn note(&mut self, written: &CloudWrites) {
        for (key, record) in written {
            if let (cloud::Key::Item(shop, branch, id), Some(cloud::Record::Item(item))) =
                (key, record.as_deref())
            {
                let commit = self.commits.entry((*shop, item.version)).or_default();
                commit.push((*branch, *id, item.content.clone()));
                let entity = self.entities.entry((*shop, *id)).or_default();
                let place = entity.partition_point(|(version, ..)| *version <= item.version);
                entity.insert(place, (item.version, *branch, item.content.clone()));
            }
            // What a later edit of the same push has changed again was never seen by anybody.
            if let (cloud::Key::EditNote(shop, _), Some(cloud::Record::EditNote(note))) =
                (key, record.as_deref())
                && note.version > 0
            {
                self.commits.entry((*shop, note.version)).or_default();
            }
        }
    }

    /// Each entity of a shop, with all that became of it.
    fn entities(&self, shop: ShopId) -> impl Iterator<Item = (EntityId, &[Change])> {
        let all = self.entities.range((shop, EntityId::FIRST)..);
        let own = all.take_while(move |((of, _), _)| *of == shop);
        own.map(|((_, id), changes)| (*id, changes.as_slice()))
    }

    /// What a branch sees at a version.
    pub(super) fn at(
        &self,
        shop: ShopId,
        branch: BranchId,
        version: u64,
    ) -> BTreeMap<EntityId, Arc<[u8]>> {
        let seen = self.entities(shop).filter_map(|(id, changes)| {
            let until = changes.partition_point(|(then, ..)| *then <= version);
            let (_, _, content) = last_of_branch(&changes[..until], branch)?;
            Some((id, Arc::clone(content.as_ref()?)))
        });
        seen.collect()
    }

    /// What of a branch's view has changed after a version.
    pub(super) fn changed_after(
        &self,
        shop: ShopId,
        branch: BranchId,
        version: u64,
    ) -> BTreeSet<EntityId> {
        let later = self.commits.range((shop, version + 1)..).take_while(|((s, _), _)| *s == shop);
        let seen = later.flat_map(|(_, commit)| commit);
        let own = seen.filter(|(scope, ..)| scope.is_none_or(|scope| scope == branch));
        own.map(|(_, id, _)| *id).collect()
    }

    /// Whether a till that is at `version` has of each entity what it should: its last state, if
    /// that is not younger. The feed has each entity once, at its last change, so what has changed
    /// again since is not there yet. A row that the disk has changed may say that it is younger
    /// than it is, and then only a proof finds it.
    fn stands(
        &self,
        site: &Identity,
        version: u64,
        held: &BTreeMap<EntityId, Arc<[u8]>>,
        drifted: &BTreeSet<EntityId>,
    ) -> bool {
        self.entities(site.shop).all(|(id, changes)| {
            last_of_branch(changes, site.branch).is_none_or(|(at, _, content)| {
                *at > version || drifted.contains(&id) || held.get(&id) == content.as_ref()
            })
        })
    }

    /// Whether an entity of a branch ever had this content there.
    fn had(&self, site: &Identity, id: EntityId, content: &[u8]) -> bool {
        let changes = self.entities.get(&(site.shop, id));
        changes.into_iter().flatten().any(|(_, scope, then)| {
            scope.is_none_or(|scope| scope == site.branch) && then.as_deref() == Some(content)
        })
    }

    /// Returns whether the commit of that version made that of an entity.
    pub(super) fn made(
        &self,
        shop: ShopId,
        version: u64,
        (branch, id, content): (Option<BranchId>, EntityId, &Arc<[u8]>),
    ) -> bool {
        let commit = self.commits.get(&(shop, version));
        commit.is_some_and(|commit| {
            let made = |(b, i, c): &Edited| *b == branch && *i == id && c.as_ref() == Some(content);
            commit.iter().any(made)
        })
    }

    /// When an entity was changed last, and to what.
    pub(super) fn last_of(
        &self,
        shop: ShopId,
        scope: Option<BranchId>,
        id: EntityId,
    ) -> Option<(u64, &Content)> {
        let changes = self.entities.get(&(shop, id))?;
        let found = changes.iter().rev().find(|(_, of, _)| *of == scope);
        found.map(|(version, _, content)| (*version, content))
    }

    pub(super) fn last(&self, shop: ShopId) -> u64 {
        self.commits.range(..=(shop, u64::MAX)).next_back().map_or(0, |((_, version), _)| *version)
    }
}

/// Returns the last change that a branch sees.
fn last_of_branch(changes: &[Change], branch: BranchId) -> Option<&Change> {
    changes.iter().rev().find(|(_, scope, _)| scope.is_none_or(|scope| scope == branch))
}

impl Checker {
    pub(super) fn catalog_committed(
        &mut self,
        at_ms: u64,
        written: &CloudWrites,
    ) -> Result<(), Violation> {
        self.compacted(at_ms, written)?;
        let before = self.catalog.commits.len();
        self.catalog.note(written);
        if self.catalog.commits.len() == before {
            return Ok(());
        }
        let versions = self.catalog.commits.keys().map(|(_, version)| *version);
        let contiguous = versions.eq(1..=self.catalog.commits.len() as u64);
        self.tally.check(Law::CatalogConverges, at_ms, contiguous, || {
            "the versions of the catalog have a gap".to_owned()
        })
    }

    /// The cloud's disk was replaced: what its tills were told before may still be on its way.
    pub(super) fn restore_catalog(&mut self, backup: &History) {
        let former = std::mem::replace(&mut self.catalog, backup.clone());
        self.former_catalogs.push(former);
    }

    /// Returns whether a history of the cloud had at a version what a till holds.
    pub(super) fn was_so(
        &self,
        history: &History,
        device: usize,
        version: u64,
        held: &BTreeMap<EntityId, Arc<[u8]>>,
    ) -> bool {
        let site = self.devices[device].identity;
        if history.last(site.shop) < version {
            return false;
        }
        let mut expected = history.at(site.shop, site.branch, version);
        let mut held = held.clone();
        // A proof is of what was told: it cannot see what the disk made of a row.
        for id in &self.devices[device].drifted {
            expected.remove(id);
            held.remove(id);
        }
        expected == held
    }

    /// A till has committed: a proven catalog is one that the cloud had at that version, and a
    /// delta never takes a version back.
    pub(super) fn till_catalog(
        &mut self,
        at_ms: u64,
        device: usize,
        rows: &TillRows,
        written: &TillWrites,
    ) -> Result<(), Violation> {
        let state = written.iter().find_map(|(key, record)| match (key, record.as_deref()) {
            (terminal::Key::Catalog, Some(terminal::Record::Catalog(state))) => Some(*state),
            _ => None,
        });
        let Some(state) = state else { return Ok(()) };
        self.till_items(at_ms, device, written)?;
        let held = items(rows);
        self.till_codes(at_ms, device, rows, &held)?;
        let before = self.devices[device].catalog.replace(state);
        let drifted = state.drifts > before.map_or(0, |before| before.drifts);
        let by_disk = !self.devices[device].ever_drifted.is_empty();
        let why = !drifted || by_disk || !self.former_catalogs.is_empty();
        self.tally.check(Law::CatalogConverges, at_ms, why, || {
            "a page left something out, and only the proof found it".to_owned()
        })?;
        let by_delta = before.is_some_and(|before| before.progress.is_none());
        let risen = !by_delta || before.and_then(|before| before.version) <= state.version;
        self.tally.check(Law::CatalogConverges, at_ms, risen, || {
            format!("a catalog went back from {before:?} to {state:?}")
        })?;
        let Some(version) = state.version else { return Ok(()) };
        let site = self.devices[device].identity;
        // A till that has what it should at one version has it after a delta too, and then no proof
        // fails. A cloud that was restored may go another way: then the proof at the head tells.
        let drifted = &self.devices[device].drifted;
        let stands = self.catalog.stands(&site, version, &held, drifted);
        let exact = state.progress.is_none() && stands;
        let was_exact = std::mem::replace(&mut self.devices[device].exact, exact);
        let drifted = before.is_some_and(|before| before.drifts < state.drifts);
        let by_page = by_delta && (state.progress.is_none() || drifted && !by_disk);
        let lost = was_exact && by_page && !exact && self.former_catalogs.is_empty();
        self.tally.check(Law::CatalogConverges, at_ms, !lost, || {
            format!("a delta to version {version} left the catalog of {} another", site.terminal)
        })?;
        if !state.proven {
            return Ok(());
        }
        let was_so = |history| self.was_so(history, device, version, &held);
        let equal = self.histories().any(was_so);
        self.tally.check(Law::CatalogConverges, at_ms, equal, || {
            format!("a till proves a catalog at version {version} that the cloud never had")
        })
    }

    /// The index of barcodes is what the products say, no more and no less.
    ///
    /// A row that the disk changed has its barcodes again once it is written again; what the index
    /// had of it before may stay, for no look-up believes a row that the product does not confirm.
    fn till_codes(
        &mut self,
        at_ms: u64,
        device: usize,
        rows: &TillRows,
        items: &BTreeMap<EntityId, Arc<[u8]>>,
    ) -> Result<(), Violation> {
        let Device { drifted, ever_drifted, identity, codes, .. } = &mut self.devices[device];
        let mut said = Vec::new();
        for (id, content) in items {
            // What the bytes of a product say is read once.
            let known = codes.entry(*id).or_insert_with(|| (Arc::from([]), Vec::new()));
            if known.0 != *content {
                *known = (Arc::clone(content), codes_of(*id, content));
            }
            said.extend(known.1.iter().map(|code| (*code, ProductId(id.id))));
        }
        said.sort_unstable();
        let first = terminal::Key::Code(Label::FIRST, ProductId(Label::FIRST));
        let held = rows.range(first..).map_while(|(key, _)| {
            let terminal::Key::Code(code, product) = key else { return None };
            Some((*code, *product))
        });
        let held: Vec<_> = held.collect();
        let lacks = |one: &&(Label, ProductId)| {
            held.binary_search(one).is_err() && !drifted.contains(&EntityId::product(one.1))
        };
        let stale = |one: &&(Label, ProductId)| {
            said.binary_search(one).is_err() && !ever_drifted.contains(&EntityId::product(one.1))
        };
        let wrong = said.iter().find(lacks).or_else(|| held.iter().find(stale)).copied();
        let terminal = identity.terminal;
        self.tally.check(Law::CatalogConverges, at_ms, wrong.is_none(), || {
            format!("{terminal}: the index of barcodes is not what the products say: {wrong:?}")
        })
    }

    /// A till holds nothing that its branch never had.
    fn till_items(
        &mut self,
        at_ms: u64,
        device: usize,
        written: &TillWrites,
    ) -> Result<(), Violation> {
        let site = self.devices[device].identity;
        for (key, record) in written {
            let (terminal::Key::Item(id), Some(terminal::Record::Item(item))) =
                (key, record.as_deref())
            else {
                continue;
            };
            let histories = std::iter::once(&self.catalog).chain(&self.former_catalogs);
            let own = histories.into_iter().any(|history| history.had(&site, *id, &item.content));
            self.tally.check(Law::BranchIsolation, at_ms, own, || {
                format!("{} has {id}, which {} never had", site.terminal, site.branch)
            })?;
        }
        Ok(())
    }

    /// After everything has drained each till has the cloud's catalog.
    ///
    /// # Errors
    /// [`Law::CatalogConverges`].
    pub fn catalog_drained(
        &mut self,
        at_ms: u64,
        device: usize,
        rows: &TillRows,
    ) -> Result<(), Violation> {
        let site = self.devices[device].identity;
        let expected = self.catalog.at(site.shop, site.branch, u64::MAX);
        let equal = items(rows) == expected;
        self.tally.check(Law::CatalogConverges, at_ms, equal, || {
            format!("{} does not have the catalog of {}", site.terminal, site.branch)
        })
    }
}

/// Returns the barcodes of an entity, if it can be read as a product.
fn codes_of(id: EntityId, content: &[u8]) -> Vec<Label> {
    match Entity::from_canonical(id, content) {
        Ok(Entity::Product(product)) => {
            assert_eq!(product.id.0, id.id, "a product is read under its own name");
            product.barcodes
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}

pub(super) fn items(rows: &TillRows) -> BTreeMap<EntityId, Arc<[u8]>> {
    let first = terminal::Key::Item(EntityId::FIRST);
    let items = rows.range(first..).map_while(|(key, record)| match (key, &**record) {
        (terminal::Key::Item(id), terminal::Record::Item(item)) => {
            Some((*id, Arc::clone(&item.content)))
        }
        _ => None,
    });
    items.collect()
}
