//! The real service, its committer and its store, on a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use counterfoil_cloud::committer::{self, Submit};
use counterfoil_cloud::metrics::Metrics;
use counterfoil_cloud::server;
use counterfoil_cloud::service::{Limits, Parts, router};
use counterfoil_cloud::world::{SystemClock, SystemEntropy};
use counterfoil_protocol::cloud::{Cloud, Input, Key, Output, Site};
use counterfoil_protocol::identity::{BranchId, ShopId};
use counterfoil_protocol::machine::{Loaded, Store, Writes};
use counterfoil_storage::{AnyEngine, KeyValue, Location, StoreError};
use tokio::runtime::Runtime;

use super::frames::Client;

/// A node in this process.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
    submit: Submit,
    runtime: Runtime,
    committers: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// What the committers did.
#[derive(Debug, Default)]
struct Counts {
    groups: AtomicU64,
    commits: AtomicU64,
}

/// A store that counts its transactions.
struct Counted {
    store: KeyValue<Cloud, AnyEngine>,
    counts: Arc<Counts>,
}

impl Store<Cloud> for Counted {
    type Error = StoreError;

    async fn transact(
        &mut self,
        keys: Vec<Key>,
        mut decide: impl FnMut(&Loaded<Cloud>) -> Writes<Cloud> + Send,
    ) -> Result<(), StoreError> {
        let mut writes = false;
        let decide = |loaded: &Loaded<Cloud>| {
            let decided = decide(loaded);
            writes = !decided.is_empty();
            decided
        };
        self.store.transact(keys, decide).await?;
        self.counts.groups.fetch_add(1, Ordering::Relaxed);
        self.counts.commits.fetch_add(u64::from(writes), Ordering::Relaxed);
        Ok(())
    }
}

impl Node {
    /// Starts a node over a new store, with every client enrolled.
    pub(crate) fn start(location: &Location, clients: &[Client]) -> anyhow::Result<Self> {
        let store = KeyValue::new(location.open()?);
        let reads = store.reader();
        let counts = Arc::new(Counts::default());
        let beside = store.beside();
        let stores = std::iter::once(store).chain(beside);
        let metrics = Arc::new(Metrics::new());
        let (submit, queue) = committer::queue();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        // As a node does: two, if the store lets two write at once.
        let start = |store| {
            let mut store = Counted { store, counts: Arc::clone(&counts) };
            let (queue, counters) = (queue.clone(), Arc::clone(&metrics));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let cloud = Cloud::default();
                let ended = committer::run(cloud, &mut store, &SystemClock, queue, &counters);
                runtime.block_on(ended)?;
                anyhow::Ok(())
            })
        };
        let committers = stores.map(start).collect();
        for client in clients {
            let input = Input::Enrol {
                terminal: client.terminal,
                site: Site {
                    shop: ShopId::parse("bench").context("a name")?,
                    branch: BranchId::parse(&client.branch).context("a name")?,
                },
                secret: client.secret,
                expires_at: None,
            };
            let output = runtime.block_on(submit.ask(input, 0))?;
            assert_eq!(output, Output::Enrolled, "a new terminal is enrolled");
        }
        let router = router(Parts {
            submit: submit.clone(),
            reads,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            metrics,
            operator: None,
            limits: Limits { rate: None, byte_rate: None, ..Limits::default() },
        });
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|socket| {
            let _unsupported = socket.set_nodelay(true);
        });
        runtime.spawn(server::serve(listener, router, std::future::pending()));
        Ok(Self { address, counts, submit, runtime, committers })
    }

    /// Returns how many groups were answered, and how many of them wrote something.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.counts.groups), read(&self.counts.commits))
    }

    /// Hands an input to the committer, as a route does.
    pub(crate) fn ask(&self, input: Input) -> anyhow::Result<Output> {
        Ok(self.runtime.block_on(self.submit.ask(input, 0))?)
    }

    /// Ends it; every commit that was begun is done then.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        drop(self.runtime);
        drop(self.submit);
        for committer in self.committers {
            committer.join().ok().context("the committer panicked")??;
        }
        Ok(())
    }
}
