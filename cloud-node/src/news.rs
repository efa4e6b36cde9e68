//! Who listens for news, and how a commit reaches them.
//!
//! ```text
//! committer --committed--> News --wake--> the branch's look at its heads --watch--> its streams
//! ```
//!
//! A commit only wakes; what there is to tell is read from committed rows, once for each branch
//! that somebody listens in, and no more often than every [`GAP`]. So a missed or a needless
//! wake-up changes nothing that anybody is told, and a commit costs one lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use counterfoil_protocol::cloud::{Input, Site, Touched, catalog, inbox};
use counterfoil_protocol::identity::{BranchId, TerminalId};
use counterfoil_protocol::label::Label;
use tokio::sync::{Notify, watch};

use crate::service::Reads;

/// The shortest time between two looks at a branch's heads.
pub(crate) const GAP: Duration = Duration::from_millis(200);

/// Up to where there is something to ask for in a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Heads {
    /// The version of the shop's catalog.
    pub(crate) catalog: u64,
    /// The last place of the branch's inbox.
    pub(crate) inbox: u64,
}

/// Who listens, on one node.
#[derive(Debug, Default)]
pub(crate) struct News(Mutex<Listeners>);

#[derive(Debug, Default)]
struct Listeners {
    branches: BTreeMap<Site, Arc<Branch>>,
    streams: BTreeMap<TerminalId, Stream>,
    numbers: u64,
}

/// A branch in which somebody listens.
#[derive(Debug)]
struct Branch {
    stirred: Notify,
    heads: watch::Sender<Option<Heads>>,
}

#[derive(Debug)]
struct Stream {
    number: u64,
    wake: Arc<Notify>,
}

/// The one place of a terminal among those that listen, until it is dropped or taken by a newer
/// stream of the same terminal.
#[derive(Debug)]
pub(crate) struct Seat {
    news: Arc<News>,
    terminal: TerminalId,
    number: u64,
    wake: Arc<Notify>,
}

impl News {
    /// Wakes whoever may have something new after these commits.
    pub(crate) fn committed(&self, inputs: &[Input]) {
        let listeners = self.lock();
        if listeners.streams.is_empty() {
            return;
        }
        for input in inputs {
            match input.touches() {
                Touched::Nobody => {}
                Touched::Branch(site) => {
                    if let Some(branch) = listeners.branches.get(&site) {
                        branch.stirred.notify_one();
                    }
                }
                Touched::Shop(shop) => {
                    let end = |branch| Site { shop, branch: BranchId(branch) };
                    let all = listeners.branches.range(end(Label::FIRST)..=end(Label::LAST));
                    all.for_each(|(_, branch)| branch.stirred.notify_one());
                }
                Touched::Terminal(terminal) => listeners.wake(terminal),
            }
        }
    }

    /// Takes the place of a terminal, and ends the stream that had it; none if `most` others
    /// listen already.
    pub(crate) fn enter(self: &Arc<Self>, terminal: TerminalId, most: usize) -> Option<Seat> {
        let mut listeners = self.lock();
        let known = listeners.streams.contains_key(&terminal);
        if !known && listeners.streams.len() >= most {
            return None;
        }
        listeners.numbers += 1;
        let (number, wake) = (listeners.numbers, Arc::new(Notify::new()));
        let stream = Stream { number, wake: Arc::clone(&wake) };
        if let Some(older) = listeners.streams.insert(terminal, stream) {
            older.wake.notify_one();
        }
        drop(listeners);
        Some(Seat { news: Arc::clone(self), terminal, number, wake })
    }

    /// Follows the heads of a branch; the first who asks makes the look that all share. Where other
    /// nodes write to the same database, `look_every` says how often to look without a wake-up.
    pub(crate) fn follow<Q: Reads>(
        self: &Arc<Self>,
        site: Site,
        reads: &Q,
        look_every: Option<Duration>,
    ) -> watch::Receiver<Option<Heads>> {
        let mut listeners = self.lock();
        if let Some(branch) = listeners.branches.get(&site) {
            return branch.heads.subscribe();
        }
        let (heads, received) = watch::channel(None);
        let branch = Arc::new(Branch { stirred: Notify::new(), heads });
        listeners.branches.insert(site, Arc::clone(&branch));
        drop(listeners);
        tokio::spawn(look(Arc::clone(self), site, branch, reads.clone(), look_every));
        received
    }

    /// Wakes the stream of a terminal, if it has one: there is something about it.
    pub(crate) fn wake(&self, terminal: TerminalId) {
        self.lock().wake(terminal);
    }

    /// Returns whether a terminal listens.
    pub(crate) fn is_live(&self, terminal: TerminalId) -> bool {
        self.lock().streams.contains_key(&terminal)
    }

    /// Returns how many terminals listen.
    pub(crate) fn live(&self) -> usize {
        self.lock().streams.len()
    }

    /// Forgets a branch in which nobody listens any more; `false` if somebody does.
    fn forget(&self, site: Site, branch: &Branch) -> bool {
        let mut listeners = self.lock();
        let silent = branch.heads.receiver_count() == 0;
        if silent {
            listeners.branches.remove(&site);
        }
        silent
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listeners {
    fn wake(&self, terminal: TerminalId) {
        if let Some(stream) = self.streams.get(&terminal) {
            stream.wake.notify_one();
        }
    }
}

impl Seat {
    /// Waits until there is something about this terminal or its place.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Returns whether no newer stream has taken the place.
    pub(crate) fn is_held(&self) -> bool {
        let listeners = self.news.lock();
        listeners.streams.get(&self.terminal).is_some_and(|held| held.number == self.number)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut listeners = self.news.lock();
        if listeners.streams.get(&self.terminal).is_some_and(|held| held.number == self.number) {
            listeners.streams.remove(&self.terminal);
        }
    }
}

/// Looks at the heads of a branch whenever it was stirred, until nobody listens there.
async fn look<Q: Reads>(
    news: Arc<News>,
    site: Site,
    branch: Arc<Branch>,
    reads: Q,
    look_every: Option<Duration>,
) {
    loop {
        match heads(&reads, site).await {
            Ok(found) => {
                let news = |told: &mut Option<Heads>| told.replace(found) != Some(found);
                branch.heads.send_if_modified(news);
            }
            Err(error) => tracing::warn!(%error, branchId = %site.branch, "no look at the heads"),
        }
        tokio::time::sleep(GAP).await;
        let by_itself = async {
            match look_every {
                Some(span) => tokio::time::sleep(span).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = branch.heads.closed() => if news.forget(site, &branch) { return },
            () = branch.stirred.notified() => {}
            () = by_itself => {}
        }
    }
}

async fn heads<Q: Reads>(reads: &Q, site: Site) -> Result<Heads, Q::Error> {
    let inbox = inbox::feed::head(reads, site).await?.map_or(0, |head| head.seq);
    Ok(Heads { catalog: catalog::head(reads, site.shop).await?, inbox })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use counterfoil_protocol::catalog::EntityId;
    use counterfoil_protocol::cloud::{Cloud, Edit, Edits};
    use counterfoil_protocol::identity::{ProductId, ShopId};
    use counterfoil_protocol::machine;
    use counterfoil_protocol::time::Millis;
    use counterfoil_storage::{KeyValue, MemoryEngine};

    use super::*;

    fn site() -> Site {
        Site { shop: ShopId::parse("acme").unwrap(), branch: BranchId::parse("north").unwrap() }
    }

    async fn commit(store: &mut KeyValue<Cloud, MemoryEngine>, product: &str) -> Input {
        let id = EntityId::product(ProductId::parse(product).unwrap());
        let entity = serde_json::json!({"product": {
            "productId": product, "name": "Tea", "barcodes": [], "priceMinor": 1,
            "currency": "GBP", "taxPpm": 0, "unit": "pcs", "category": null, "active": true}});
        let entity = serde_json::from_value(entity).unwrap();
        let entity = Some(counterfoil_protocol::catalog::Entity::parse(entity).unwrap());
        let edits = Edits::new(site().shop, vec![Edit { branch: None, id, entity }]).unwrap();
        let input = Input::EditCatalog(edits);
        let inputs = [input];
        machine::run(&Cloud::default(), store, Millis(1), &inputs).await.unwrap();
        let [input] = inputs;
        input
    }

    #[tokio::test]
    async fn commits_of_another_node_are_found_by_looking_and_our_own_without() {
        let mut store = KeyValue::new(MemoryEngine::new());
        let reads = store.reader();
        let limit = Duration::from_secs(20);
        for look_every in [None, Some(Duration::from_millis(20))] {
            let news = Arc::new(News::default());
            let _seat = news.enter(TerminalId::parse("T-1").unwrap(), 1).unwrap();
            let mut heads = news.follow(site(), &reads, look_every);
            heads.wait_for(Option::is_some).await.unwrap();
            let before = heads.borrow_and_update().unwrap().catalog;
            let input = commit(&mut store, &format!("p{before}")).await;
            if look_every.is_none() {
                // Whoever looks only when woken sees nothing of it until it is.
                tokio::time::sleep(2 * GAP).await;
                assert!(!heads.has_changed().unwrap());
                news.committed(&[input]);
            }
            tokio::time::timeout(limit, heads.changed()).await.unwrap().unwrap();
            assert_eq!(heads.borrow_and_update().unwrap().catalog, before + 1);
            // When nobody listens any more, nobody looks.
            drop(heads);
            while !news.lock().branches.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}
