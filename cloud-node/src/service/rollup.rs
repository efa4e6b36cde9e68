//! When to roll up: a branch that has taken many pushes has its movements added to its stock.
//!
//! The count is volatile. What a node did not get to, because it ended or the database was busy,
//! is taken along by a later roll-up, which takes more pushes than it waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use counterfoil_protocol::cloud::rollup::plan;
use counterfoil_protocol::cloud::{Input, Site};

use super::{Reads, Shared};

/// The most branches that are counted.
const SITES_MAX: usize = 100_000;
/// What a roll-up weighs in a transaction: the stock rows it reads are bounded.
const WEIGHT: usize = 256 * 1024;

/// How many pushes each branch has taken since its last roll-up.
#[derive(Debug, Default)]
pub(super) struct Pending {
    counts: Mutex<BTreeMap<Site, u32>>,
    /// The branches of which one is on its way.
    soon: Mutex<BTreeSet<Site>>,
}

impl Pending {
    /// Counts a push, and returns whether it is time, as it is after `every` of them.
    fn count(&self, site: Site, every: u32) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= SITES_MAX {
            counts.clear();
        }
        let count = counts.entry(site).or_default();
        *count = (*count + 1) % every;
        *count == 0
    }
}

/// Notes that a push has posted something, and rolls its branch up if it is time.
pub(super) fn note<Q: Reads>(node: &Shared<Q>, site: Site) {
    if node.pending.count(site, node.parts.limits.roll_up_every) {
        let node = Shared::clone(node);
        tokio::spawn(async move { roll_up(&node, site).await });
    }
}

/// Rolls a branch up as soon as can be: whoever counts its shelves is to hear of it (S2.5).
pub(super) fn soon<Q: Reads>(node: &Shared<Q>, site: Site) {
    let first = node.pending.soon.lock().unwrap_or_else(PoisonError::into_inner).insert(site);
    if first {
        let node = Shared::clone(node);
        tokio::spawn(async move {
            // What is posted from here on asks for another one.
            node.pending.soon.lock().unwrap_or_else(PoisonError::into_inner).remove(&site);
            roll_up(&node, site).await;
        });
    }
}

async fn roll_up<Q: Reads>(node: &Shared<Q>, site: Site) {
    let rolled = match plan(&node.parts.reads, site).await {
        Ok(Some(rolled)) => rolled,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(%error, branchId = %site.branch, "movements cannot be read");
            return;
        }
    };
    let pushes = rolled.len();
    match node.ask(Input::RollUp(rolled), WEIGHT).await {
        Ok(_) => tracing::debug!(branchId = %site.branch, pushes, "movements are rolled up"),
        Err(_) => tracing::warn!(branchId = %site.branch, "movements wait to be rolled up"),
    }
}
