//! `PlanIsSafe`, from what tills durably store: the rows of one commit, and all rows after it.

use std::collections::BTreeSet;

use counterfoil_protocol::catalog::EntityId;
use counterfoil_protocol::terminal;

use super::catalog::items;
use super::{Checker, Device, TillRows, TillWrites, written_under};
use crate::law::{Law, Violation};

impl Checker {
    /// A till's disk changed a row by itself: no proof covers it until the till writes it again.
    pub fn drifted(&mut self, device: usize, id: EntityId) {
        let device = &mut self.devices[device];
        device.drifted.insert(id);
        device.ever_drifted.insert(id);
    }

    /// A till has committed: what it wrote is no longer what its disk had made of it.
    pub(super) fn rewritten(&mut self, device: usize, written: &TillWrites) {
        for (key, _) in written {
            if let terminal::Key::Item(id) = key {
                self.devices[device].drifted.remove(id);
            }
        }
    }

    /// A till has committed a plan.
    ///
    /// # Errors
    /// [`Law::PlanIsSafe`].
    pub fn plan_committed(
        &mut self,
        at_ms: u64,
        device: usize,
        rows: &TillRows,
        written: &TillWrites,
    ) -> Result<(), Violation> {
        if written.is_empty() {
            return Ok(()); // it was refused, or the power failed first
        }
        let catalog = |key: &terminal::Key| {
            use terminal::Key::{Catalog, Code, Item};
            matches!(key, Item(_) | Catalog | Code(..))
        };
        let only = written.iter().all(|(key, _)| catalog(key));
        self.tally.check(Law::PlanIsSafe, at_ms, only, || {
            "a plan has touched a row beside the catalog".to_owned()
        })?;
        let Some(terminal::Record::Catalog(state)) =
            rows.get(&terminal::Key::Catalog).map(AsRef::as_ref)
        else {
            return self.tally.check(Law::PlanIsSafe, at_ms, false, || {
                "a plan left no state of the catalog".to_owned()
            });
        };
        let version = state.version.unwrap_or(0);
        let held = items(rows);
        let Device { identity: site, edits, ever_edited, .. } = &self.devices[device];
        let undecided = edits.iter().filter(|edit| edit.decided.is_none());
        let edited: BTreeSet<_> = undecided.map(|edit| edit.entity).collect();
        let writes = |id: &EntityId| written_under(written, &terminal::Key::Item(*id)).is_some();
        self.tally.check(Law::PlanIsSafe, at_ms, !edited.iter().any(writes), || {
            "a plan has touched what somebody has edited here".to_owned()
        })?;
        let histories = std::iter::once(&self.catalog).chain(self.former_catalogs.iter().rev());
        let equal = histories.filter(|history| history.last(site.shop) >= version).any(|history| {
            let expected = history.at(site.shop, site.branch, version);
            let later = history.changed_after(site.shop, site.branch, version);
            let ids: BTreeSet<_> = held.keys().chain(expected.keys()).collect();
            // What the cloud has changed since then comes with the next delta, drifted or not; what
            // somebody had edited here when the plan was made waited for the cloud's answer.
            let waits = |id: &EntityId| later.contains(id) || ever_edited.contains(id);
            ids.into_iter().all(|id| held.get(id) == expected.get(id) || waits(id))
        });
        self.tally.check(Law::PlanIsSafe, at_ms, equal, || {
            format!("after a plan a till's catalog is not the cloud's at version {version}")
        })
    }
}
