//! When deletions leave the catalog's feed: every so many commits of a shop, and each hour, so that
//! a lease that lapses in silence is noticed too.
//!
//! It works beside everything else, in bounded steps, each a commit like any other. Whatever ends
//! in its midst is taken up by the next one.

use std::sync::Arc;
use std::time::Duration;

use counterfoil_protocol::cloud::compaction::plan;
use counterfoil_protocol::cloud::{Cloud, Input, Key, Output};
use counterfoil_protocol::identity::ShopId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::time::Millis;
use serde::Serialize;

use crate::committer::Submit;
use crate::world::Clock;

/// After how many commits of its catalog a shop is compacted.
pub const EVERY_COMMITS: u64 = 256;
/// How often all shops are compacted.
pub const EVERY: Duration = Duration::from_secs(60 * 60);
/// The most steps of one run; what is left is for the next one.
pub const STEPS_MAX: u32 = 1_000;
/// What a step weighs in a transaction: the rows it reads are bounded.
pub(crate) const WEIGHT: usize = 256 * 1024;
/// Shops in one page.
const PAGE_SHOPS: usize = 256;

/// What a run has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compacted {
    /// The newest deletion that ever left: a till that asks from below compares by snapshot.
    pub floor: u64,
    /// How many deletions have left now.
    pub removed: u64,
}

/// Why a run ended early. What it has done stays done; run it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the catalog was not compacted to the end: {0}")]
pub struct Interrupted(String);

/// Whatever commits the steps of a compaction: a node's committer, or a command's own store.
pub trait Commits {
    /// Runs one input as a part of one transaction.
    fn commit(&mut self, input: Input) -> impl Future<Output = Result<Output, String>> + Send;
}

impl Commits for Submit {
    async fn commit(&mut self, input: Input) -> Result<Output, String> {
        self.ask(input, WEIGHT).await.map_err(|error| error.to_string())
    }
}

/// Compacts a shop's catalog as far as its leases let it, which live for `life` each.
///
/// # Errors
/// [`Interrupted`]; the next run goes on.
pub async fn compact<Q: Query<Cloud, Error: std::fmt::Display>>(
    reads: &Q,
    clock: &dyn Clock,
    shop: ShopId,
    life: Millis,
    commits: &mut impl Commits,
) -> Result<Compacted, Interrupted> {
    let mut done = Compacted::default();
    for _ in 0..STEPS_MAX {
        let planned = plan(reads, shop, clock.now(), life).await;
        let Some(step) = planned.map_err(|error| Interrupted(error.to_string()))? else { break };
        let (to, expected) = (step.to(), step.len());
        let output = commits.commit(Input::Compact(step)).await.map_err(Interrupted)?;
        let Output::Compacted { floor, removed } = output else {
            return Err(Interrupted("the database answered another question".to_owned()));
        };
        tracing::debug!(shopId = %shop, to, expected, removed, "the catalog was compacted");
        done = Compacted { floor, removed: done.removed + u64::from(removed) };
    }
    Ok(done)
}

/// Compacts all shops each hour, for as long as the node serves.
pub async fn hourly<Q: Query<Cloud, Error: std::fmt::Display>>(
    reads: Q,
    submit: Submit,
    clock: Arc<dyn Clock>,
    life: Millis,
) {
    let mut hours = tokio::time::interval(EVERY);
    loop {
        hours.tick().await;
        let mut next = ShopId(Label::FIRST);
        loop {
            let end = Key::Feed(ShopId(Label::LAST));
            let page = match reads.scan(&Key::Feed(next), &end, PAGE_SHOPS).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "the shops cannot be listed; the next hour tries again");
                    break;
                }
            };
            let whole = page.len() < PAGE_SHOPS;
            let shops = page
                .into_iter()
                .filter_map(|(key, _)| if let Key::Feed(shop) = key { Some(shop) } else { None });
            // The first of a later page is the last of the page before.
            let before = next;
            for shop in shops.filter(|shop| *shop != before || before.0 == Label::FIRST) {
                in_background(&reads, &submit, &*clock, shop, life).await;
                next = shop;
            }
            if whole {
                break;
            }
        }
    }
}

/// Compacts a shop, and says so in the log.
pub(crate) async fn in_background<Q: Query<Cloud, Error: std::fmt::Display>>(
    reads: &Q,
    submit: &Submit,
    clock: &dyn Clock,
    shop: ShopId,
    life: Millis,
) {
    match compact(reads, clock, shop, life, &mut submit.clone()).await {
        Ok(Compacted { removed: 0, .. }) => {}
        Ok(Compacted { floor, removed }) => {
            tracing::info!(shopId = %shop, floor, removed, "deletions have left the catalog");
        }
        Err(error) => tracing::warn!(shopId = %shop, %error, "the next run goes on"),
    }
}
