//! The daemon: the database, the sync loop and the local API of one till, in one process.
//!
//! It sells from the first second, whatever the cloud does. If the database fails it ends, so that
//! whoever supervises it starts it again: only reopening tells what was written.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use counterfoil_protocol::machine::{Loaded, Page, Query, Store, Writes};
use counterfoil_protocol::terminal::migrate::SCHEMA_VERSION;
use counterfoil_protocol::terminal::{Key, Record, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_storage::{KeyValue, Redb, StoreError, Tiered};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::api::{self, Outside, live::Listeners};
use crate::archive::ArchiveFile;
use crate::collect::CollectLoop;
use crate::config::{Config, ConfigError, Home};
use crate::follow::FollowLoop;
use crate::live::LiveLoop;
use crate::parcel::Seal;
use crate::passage::Passage;
use crate::ports::{Entropy as _, SystemClock, SystemEntropy};
use crate::story::ask::Asker;
use crate::sync::SyncLoop;
use crate::tell;
use crate::till::{Till, TillError};
use crate::tls::CloudConnector;
use crate::transport::{TokenError, Transport};
use crate::verify::{self, Verifier};
use crate::witness::Found;

/// The store of a real till.
pub type Disk = Offload<Tiered<KeyValue<Terminal, Redb>, ArchiveFile>>;

/// Why a daemon did not start, or has ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another process has the till.
    #[error(
        "another process has the till in {0}: use its API, or stop it (is `terminal-node run` \
         running?)"
    )]
    InUse(String),
    /// The database cannot be used.
    #[error(transparent)]
    Store(StoreError),
    /// The archive is not the one that entries have left for. Without it the till does not know
    /// what it sold, and could not offer it to a cloud that has lost it.
    #[error(
        "the archive {} cannot be used: {why}; put it back as it was, from a copy that is not \
         older than the database", path.display()
    )]
    Archive {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The till cannot be opened, or has failed.
    #[error(transparent)]
    Till(#[from] TillError),
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The credential for the cloud cannot be used.
    #[error("the cloud token cannot be used: {0}")]
    Token(#[from] TokenError),
    /// The address for the API cannot be used.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The API would be open to the network.
    #[error("{0} is not a loopback address: the API is for this machine only")]
    NotLoopback(SocketAddr),
    /// A part of the daemon has panicked.
    #[error("a part of the daemon has ended: {0}")]
    Ended(String),
}

/// A daemon that runs.
#[derive(Debug)]
pub struct Daemon {
    home: Home,
    till: Till<Disk>,
    address: SocketAddr,
    token: String,
    server: JoinHandle<std::io::Result<()>>,
    sync: JoinHandle<Result<std::convert::Infallible, TillError>>,
    follow: JoinHandle<Result<std::convert::Infallible, TillError>>,
    collect: JoinHandle<Result<std::convert::Infallible, TillError>>,
    verify: JoinHandle<Result<std::convert::Infallible, TillError>>,
    live: JoinHandle<Result<std::convert::Infallible, TillError>>,
    stop: tokio::sync::watch::Sender<bool>,
}

/// Opens the database of a till, without asking yet whether it is still the same one.
///
/// # Errors
/// [`DaemonError::InUse`] if another process has it, [`TillError::TooNew`] if a newer program has
/// written it.
pub fn store(home: &Home) -> Result<Disk, DaemonError> {
    match Redb::open(&home.database()) {
        Ok(engine) => {
            let store = KeyValue::<Terminal, Redb>::new(engine);
            match store.reader().get_now(&Key::Schema).map_err(DaemonError::Store)? {
                Some(Record::Schema(schema)) if schema.version > SCHEMA_VERSION => {
                    Err(TillError::TooNew(schema.version).into())
                }
                Some(_) | None => with_archive(home, store),
            }
        }
        Err(StoreError::Locked { .. }) => {
            Err(DaemonError::InUse(home.path().display().to_string()))
        }
        Err(error) => Err(DaemonError::Store(error)),
    }
}

/// Puts the archive behind the database, if it is the right one.
fn with_archive(home: &Home, store: KeyValue<Terminal, Redb>) -> Result<Disk, DaemonError> {
    let path = home.archive();
    let refuse = |why: String| DaemonError::Archive { path: home.archive(), why };
    let left = store.reader().get_now(&Key::Archive).map_err(DaemonError::Store)?;
    let archive = ArchiveFile::open(&path).map_err(|error| refuse(error.to_string()))?;
    if let Some(Record::Archive(left)) = left {
        archive.must_hold(&left).map_err(refuse)?;
    }
    Ok(Offload(Tiered::new(store, archive)))
}

/// Returns a till of this machine over `store`: not open yet.
#[must_use]
pub fn till(store: Disk) -> Till<Disk> {
    Till::new(store, Arc::new(SystemClock), Box::new(SystemEntropy))
}

/// Opens the till of a directory, ready to sell.
///
/// # Errors
/// [`DaemonError`].
pub async fn open(home: &Home, config: &Config) -> Result<Till<Disk>, DaemonError> {
    let till = till(store(home)?);
    till.keep_parcels(home.path().join("parcels"));
    let held = till.meta().await?.identity;
    if held != config.identity {
        return Err(TillError::NotInstalled(Some(held)).into());
    }
    let opened = till.open(&mut home.witness(config)).await?;
    match opened.found {
        Found::Garbage => tracing::warn!("the witness file could not be read: it was replaced"),
        Found::Absent => tracing::warn!("the witness file was missing: it was written anew"),
        Found::Witness(_) => {}
    }
    if let Some(parted) = opened.parted {
        tracing::warn!(?parted, "the database may be a copy or a backup: a new epoch begins");
    }
    Ok(till)
}

/// Returns the sync loop of an open till, over TCP or TLS.
///
/// # Errors
/// [`DaemonError`] if the address or the credential cannot be used.
pub fn sync_loop(
    home: &Home,
    config: &Config,
    till: Till<Disk>,
) -> Result<SyncLoop<Disk, CloudConnector>, DaemonError> {
    Ok(SyncLoop::new(till, transport(home, config)?, config.spans()))
}

/// Returns the loop of an open till that follows the catalog, over TCP or TLS.
///
/// # Errors
/// As [`sync_loop`].
pub fn follow_loop(
    home: &Home,
    config: &Config,
    till: Till<Disk>,
) -> Result<FollowLoop<Disk, CloudConnector>, DaemonError> {
    Ok(FollowLoop::new(till, transport(home, config)?, config.spans()))
}

/// Returns the loop of an open till that collects inventory events, over TCP or TLS.
///
/// # Errors
/// As [`sync_loop`].
pub fn collect_loop(
    home: &Home,
    config: &Config,
    till: Till<Disk>,
) -> Result<CollectLoop<Disk, CloudConnector>, DaemonError> {
    Ok(CollectLoop::new(till, transport(home, config)?, config.spans()))
}

/// Returns what compares an open till's catalog with the cloud's, over TCP or TLS.
///
/// # Errors
/// As [`sync_loop`].
pub fn verifier(
    home: &Home,
    config: &Config,
    till: Till<Disk>,
) -> Result<Verifier<Disk, CloudConnector>, DaemonError> {
    Ok(Verifier::new(till, transport(home, config)?, config.spans()))
}

/// Returns a way to the cloud for one loop.
pub(crate) fn transport(
    home: &Home,
    config: &Config,
) -> Result<Transport<CloudConnector>, DaemonError> {
    let connector = CloudConnector::new(config.ca_file.clone());
    let transport = Transport::new(connector, config.endpoint()?, &home.cloud_token()?)?;
    Ok(transport.compressing(config.compress).introducing(true))
}

/// Returns a way to ask the cloud about events of this till.
///
/// # Errors
/// As [`sync_loop`].
pub fn asker(home: &Home, config: &Config) -> Result<Asker, DaemonError> {
    let connector = CloudConnector::new(config.ca_file.clone());
    let passage = Passage::new(connector, config.endpoint()?);
    Ok(Asker::new(passage, &home.cloud_token()?)?)
}

impl Daemon {
    /// Starts a daemon over the till in `home`. It needs a runtime of several threads.
    ///
    /// # Errors
    /// [`DaemonError`]; nothing runs then.
    pub async fn start(home: Home, listen: SocketAddr) -> Result<Self, DaemonError> {
        if !listen.ip().is_loopback() {
            return Err(DaemonError::NotLoopback(listen));
        }
        let config = home.config()?;
        let till = open(&home, &config).await?;
        let sync = sync_loop(&home, &config, till.clone())?;
        let follow = follow_loop(&home, &config, till.clone())?;
        let collect = collect_loop(&home, &config, till.clone())?;
        let verify = verifier(&home, &config, till.clone())?;
        let (desk, orders) = verify::desk();
        let ways = [transport(&home, &config)?, transport(&home, &config)?];
        let live = LiveLoop::new(till.clone(), ways, desk.clone(), config.spans());
        let link = sync.link();
        let listener = bind(&home, listen).await;
        let listener = listener.map_err(|error| DaemonError::Listen { address: listen, error })?;
        let address = listener
            .local_addr()
            .map_err(|error| DaemonError::Listen { address: listen, error })?;
        // As before: a page that is open goes on when the daemon is back.
        let token = home.api_token().unwrap_or_else(|| {
            let mut entropy = SystemEntropy;
            format!("{:016x}{:016x}", entropy.draw(), entropy.draw())
        });
        let (stop, mut stopped) = tokio::sync::watch::channel(false);
        let listeners = Listeners::new(stop.subscribe());
        let connector = CloudConnector::new(config.ca_file.clone());
        let outside = Outside {
            passage: Passage::new(connector, config.endpoint()?),
            asker: asker(&home, &config)?,
            seal: Seal::of(&home.cloud_token()?),
        };
        let router = api::router(till.clone(), link, desk, listeners, outside, &token);
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            let _sender_gone = stopped.wait_for(|stop| *stop).await;
        });
        let span = tell::span(&config.identity);
        let server = tokio::spawn(async move { serving.await }.instrument(span.clone()));
        let sync = tokio::spawn(sync.run().instrument(span.clone()));
        let archive = config.archive_after().map(|keep| (home.path().to_owned(), keep));
        let follow = follow_and_tidy(till.clone(), follow, archive);
        let follow = tokio::spawn(follow.instrument(span.clone()));
        let collect = tokio::spawn(collect.run().instrument(span.clone()));
        let verify = tokio::spawn(verify.run(orders).instrument(span.clone()));
        let listens = config.stream;
        let live =
            async move { if listens { live.run().await } else { std::future::pending().await } };
        let live = tokio::spawn(live.instrument(span.clone()));
        home.write_api(address, &token)?;
        span.in_scope(|| tracing::info!(%address, cloud = config.cloud, "the till is open"));
        Ok(Self { home, till, address, token, server, sync, follow, collect, verify, live, stop })
    }

    /// Returns where the API listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the token of the API.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns the till.
    #[must_use]
    pub const fn till(&self) -> &Till<Disk> {
        &self.till
    }

    /// Runs until `stop`, then lets requests that are under way end, for ten seconds at most.
    ///
    /// # Errors
    /// What ended it before.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), DaemonError> {
        let ended = tokio::select! {
            () = stop => Ok(()),
            why = self.till.failed() => Err(TillError::StorageFailed(why).into()),
            sync = &mut self.sync => Err(match sync {
                Ok(Ok(never)) => match never {},
                Ok(Err(error)) => error.into(),
                Err(error) => DaemonError::Ended(error.to_string()),
            }),
            follow = &mut self.follow => Err(match follow {
                Ok(Ok(never)) => match never {},
                Ok(Err(error)) => error.into(),
                Err(error) => DaemonError::Ended(error.to_string()),
            }),
            collect = &mut self.collect => Err(match collect {
                Ok(Ok(never)) => match never {},
                Ok(Err(error)) => error.into(),
                Err(error) => DaemonError::Ended(error.to_string()),
            }),
            verify = &mut self.verify => Err(match verify {
                Ok(Ok(never)) => match never {},
                Ok(Err(error)) => error.into(),
                Err(error) => DaemonError::Ended(error.to_string()),
            }),
            live = &mut self.live => Err(match live {
                Ok(Ok(never)) => match never {},
                Ok(Err(error)) => error.into(),
                Err(error) => DaemonError::Ended(error.to_string()),
            }),
            server = &mut self.server => Err(DaemonError::Ended(match server {
                Ok(Ok(())) => "the API".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            })),
        };
        self.home.forget_api();
        self.stop.send_replace(true);
        if ended.is_ok() {
            let limit = std::time::Duration::from_secs(10);
            let _cut_off = tokio::time::timeout(limit, &mut self.server).await;
        }
        self.server.abort();
        self.sync.abort();
        self.follow.abort();
        self.collect.abort();
        self.verify.abort();
        self.live.abort();
        let _aborted = (&mut self.sync).await;
        let _aborted = (&mut self.follow).await;
        let _aborted = (&mut self.collect).await;
        let _aborted = (&mut self.verify).await;
        let _aborted = (&mut self.live).await;
        ended
    }
}

/// Listens where it is told to; where any port will do, on that of the last time if it is free. A
/// browser keeps what it remembers by address and port: on another one the basket would be gone.
async fn bind(home: &Home, listen: SocketAddr) -> std::io::Result<TcpListener> {
    if listen.port() == 0
        && let Some(port) = home.api_port()
        && let Ok(listener) = TcpListener::bind(SocketAddr::new(listen.ip(), port)).await
    {
        return Ok(listener);
    }
    TcpListener::bind(listen).await
}

/// Follows the catalog, and beside it rebuilds what an older program's database has not, and
/// archives what has been there for so long.
async fn follow_and_tidy(
    till: Till<Disk>,
    follow: FollowLoop<Disk, CloudConnector>,
    archive: Option<(PathBuf, Millis)>,
) -> Result<std::convert::Infallible, TillError> {
    let tidied = async {
        till.migrate(|_| ()).await?;
        match archive {
            Some((home, keep)) => till.keep_archiving(home, keep).await.map(|never| match never {}),
            None => Ok(()),
        }
    };
    let (never, ()) = tokio::try_join!(follow.run(), tidied)?;
    match never {}
}

/// Keeps the wait for the disk off the threads that serve: a commit runs where it may block.
#[derive(Debug)]
pub struct Offload<S>(pub S);

impl<S> Store<Terminal> for Offload<S>
where
    S: Store<Terminal, Error: Send> + Send,
{
    type Error = S::Error;

    async fn transact(
        &mut self,
        keys: Vec<Key>,
        decide: impl FnMut(&Loaded<Terminal>) -> Writes<Terminal> + Send,
    ) -> Result<(), S::Error> {
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| runtime.block_on(self.0.transact(keys, decide)))
    }
}

impl<S> Query<Terminal> for Offload<S>
where
    S: Query<Terminal> + Send + Sync,
{
    type Error = S::Error;

    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Record>, S::Error>> + Send {
        self.0.get(key)
    }

    fn scan(
        &self,
        from: &Key,
        until: &Key,
        limit: usize,
    ) -> impl Future<Output = Result<Page<Terminal>, S::Error>> + Send {
        self.0.scan(from, until, limit)
    }
}
