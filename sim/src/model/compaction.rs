//! Compaction in the model: tills hold leases by what they ask, and now and then the cloud takes
//! deletions away. All draws come from a stream of their own.

use std::collections::BTreeSet;
use std::mem::swap;

use counterfoil_protocol::cloud::compaction::{floor, plan, worth_noting};
use counterfoil_protocol::cloud::{Compact, Input, Output};
use counterfoil_protocol::terminal::catalog::Wanted;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::DeltaAnswer;

use super::{Happening, START, Site, World, shop};
use crate::coverage::Transition;
use crate::law::Violation;
use crate::observed::{answered, at_once};

/// How long a lease lives in a simulation: some tills are away for longer.
pub(crate) const LEASE_LIFE: Millis = Millis(8_000);

impl World {
    /// Notes from which version a till will ask on, as the cloud's node does after its answer.
    pub(super) fn lease(&mut self, till: usize, site: Site, version: u64) -> Result<(), Violation> {
        if self.plan.compact_every_ms == 0 {
            return Ok(());
        }
        let now = Millis(START + self.now_ms());
        let terminal = self.tills[till].identity.terminal;
        let store = &self.cloud.store;
        let asked = worth_noting(store, site, terminal, version, now, LEASE_LIFE);
        if answered(at_once(asked)) {
            let input = Input::Lease { site, terminal, version };
            self.administer(Transition::CatalogLease, input)?;
        }
        Ok(())
    }

    /// Counts a question that came from below the floor.
    pub(super) fn saw_below_floor(&mut self, wanted: Wanted, answer: &DeltaAnswer) {
        let below = answered(at_once(floor(&self.cloud.store, shop()))).version;
        if let (Wanted::Delta(from), DeltaAnswer::Resync) = (wanted, answer)
            && from < below
        {
            self.coverage.saw(Transition::BelowFloor);
        }
    }

    /// Plans a compaction, to be carried out a little later: two can be about the same deletions.
    pub(super) fn plan_compaction(&mut self) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        if self.cloud.up {
            let now = Millis(START + self.now_ms());
            let planned = at_once(plan(&self.cloud.store, shop(), now, LEASE_LIFE));
            if let Some(compact) = answered(planned) {
                let us = self.compactor.between(200, 3_000_000);
                self.after(us, Happening::Compact(self.cloud.life(), Box::new(compact)));
            }
        }
        let us = self.compactor.between(1, self.plan.compact_every_ms * 2_000);
        self.after(us, Happening::PlanCompaction);
        Ok(())
    }

    pub(super) fn compact(&mut self, life: u32, planned: Compact) -> Result<(), Violation> {
        if self.cloud.life() != life || !self.cloud.up {
            return Ok(());
        }
        // A crash in its midst is drawn from the compactor's stream too.
        swap(&mut self.cloud.luck, &mut self.compactor);
        let done = self.cloud_step(&[Input::Compact(planned)], &BTreeSet::new(), true);
        swap(&mut self.cloud.luck, &mut self.compactor);
        if let Some(outputs) = done? {
            self.coverage.saw(Transition::CatalogCompact);
            if matches!(outputs[..], [Output::Compacted { removed: 1.., .. }]) {
                self.coverage.saw(Transition::Compacted);
            }
        }
        Ok(())
    }
}
