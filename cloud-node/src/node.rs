//! The node on a real machine: its store, its threads, its sockets and signals.
//!
//! The committer has a thread of its own, because a commit waits for the disk. When it ends with
//! an error, the outcome of its last transaction is unknown: the node stops, and whoever runs it
//! starts it again, which reopens the store and re-reads.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use counterfoil_protocol::cloud::{Cloud, Input, Output, UnknownProducts};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::machine;
use counterfoil_storage::{AnyEngine, Checked, KeyValue, Location, Reader, StoreError};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::{mpsc, watch};

use crate::committer::{self, Queue};
use crate::compaction;
use crate::metrics::Metrics;
use crate::server;
use crate::service::{Limits, Parts, router};
use crate::till_page::TillPage;
use crate::tls::renewal::Renewal;
use crate::tls::{Files, Identity, TlsListener};
use crate::world::{Clock as _, SystemClock, SystemEntropy};

/// How often a node looks for commits of its neighbours while tills listen to it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The reader of a store that was chosen at run time.
pub type AnyReads = Reader<Cloud, AnyEngine>;

/// How a node is to be run.
#[derive(Debug)]
pub struct Options {
    /// Where the database lies.
    pub store: Location,
    /// Where it listens; port 0 chooses a free one.
    pub listen: SocketAddr,
    /// The digest of the operator's token.
    pub operator: Option<Hash>,
    /// What to do with products that nobody defined.
    pub unknown_products: UnknownProducts,
    /// The bounds.
    pub limits: Limits,
    /// What it needs to speak TLS, and the files that this was read from and may be renewed by;
    /// without it, it speaks plain HTTP.
    pub tls: Option<(Files, Identity)>,
    /// The till for browsers, if it is served.
    pub till_page: Option<TillPage>,
}

/// Why a node does not run, or ran no further.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The store cannot be opened or used; its message says what to do.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refused a thread, a socket or a signal handler.
    #[error("{what}: {error}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        error: io::Error,
    },
    /// The committer panicked. This is a bug: report it, with the log.
    #[error("the committer failed; report this with the log, and start the node again")]
    Committer,
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> NodeError {
    move |error| NodeError::System { what, error }
}

/// A store that this process has open, for the commands that need no server.
#[derive(Debug)]
pub struct Local(KeyValue<Cloud, AnyEngine>);

impl Local {
    /// Opens the store, which must be there. No other process may have it open if it is a file.
    ///
    /// # Errors
    /// The store's.
    pub fn open_existing(location: &Location) -> Result<Self, StoreError> {
        location.open_existing().map(|engine| Self(KeyValue::new(engine)))
    }

    /// Opens the store, or creates it. No other process may have it open if it is a file.
    ///
    /// # Errors
    /// The store's.
    pub fn open(location: &Location) -> Result<Self, StoreError> {
        location.open().map(|engine| Self(KeyValue::new(engine)))
    }

    /// Returns a reader of its rows.
    #[must_use]
    pub fn reads(&self) -> AnyReads {
        self.0.reader()
    }

    /// Returns a reader of its rows as they are now, whatever other nodes commit meanwhile.
    ///
    /// # Errors
    /// The store's.
    pub fn reads_of_one_moment(&self) -> Result<AnyReads, StoreError> {
        self.0.reader_of_one_moment()
    }

    /// Examines the engine's structure, and reads every row there is.
    ///
    /// # Errors
    /// The store's, with the first row that cannot be read.
    pub fn check(&mut self) -> Result<Checked, StoreError> {
        self.0.check()
    }

    /// Runs one input as one transaction.
    ///
    /// # Errors
    /// The store's; the outcome is unknown.
    pub async fn ask(&mut self, input: Input) -> Result<Option<Output>, StoreError> {
        let now = SystemClock.now();
        let outputs = machine::run(&Cloud::default(), &mut self.0, now, &[input]).await?;
        Ok(outputs.into_iter().next())
    }
}

impl compaction::Commits for Local {
    async fn commit(&mut self, input: Input) -> Result<Output, String> {
        match self.ask(input).await {
            Ok(Some(output)) => Ok(output),
            Ok(None) => Err("the database gave no answer: report this".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Serves until the process is told to stop, and calls `announce` with the bound address before.
///
/// # Errors
/// [`NodeError`]; the caller ends the process with its message.
pub fn serve(options: &Options, announce: impl FnOnce(SocketAddr)) -> Result<(), NodeError> {
    let Local(store) = Local::open(&options.store)?;
    let reads = store.reader();
    let metrics = Arc::new(Metrics::new());
    let (submit, queue) = committer::queue();
    let cloud = Cloud { unknown_products: options.unknown_products };
    let (committers, committer_ended) = start_committers(cloud, store, queue, &metrics)?;
    let life = options.limits.lease_life;
    let renewing = options.tls.clone().map(|(files, identity)| {
        Renewal::new(files, identity, Arc::clone(&metrics), Arc::new(SystemClock))
    });
    let compacting = compaction::hourly(reads.clone(), submit.clone(), Arc::new(SystemClock), life);
    let router = router(Parts {
        submit,
        reads,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        metrics,
        operator: options.operator,
        limits: Limits {
            look_every: look_every(&options.store),
            own_tls: options.tls.is_some(),
            ..options.limits
        },
    });
    let router = match &options.till_page {
        Some(page) => router.merge(page.clone().router()),
        None => router,
    };
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(system("the threads of the server cannot be started"))?;
    let served = runtime.block_on(async {
        tokio::spawn(compacting);
        listen(options.listen, renewing, router, committer_ended, announce).await
    });
    // Every handle to the committer is gone with the runtime: it commits what it has, and ends.
    drop(runtime);
    let mut committed = Ok(());
    for committer in committers {
        committed = committed.and(committer.join().map_err(|_| NodeError::Committer)?);
    }
    served.and(committed)
}

/// What renews the certificate, and where handshakes find the one that is served.
type Renewing = (Renewal, watch::Receiver<Arc<ServerConfig>>);

/// Answers at an address until the process is told to stop, or its committer ends.
async fn listen(
    address: SocketAddr,
    renewing: Option<Renewing>,
    router: Router,
    mut committer_ended: mpsc::Receiver<()>,
    announce: impl FnOnce(SocketAddr),
) -> Result<(), NodeError> {
    let listener =
        TcpListener::bind(address).await.map_err(system("the address cannot be listened on"))?;
    let address = listener.local_addr().map_err(system("the address cannot be read"))?;
    let stop = stop_signal().map_err(system("signals cannot be awaited"))?;
    let hang_up = hang_up().map_err(system("signals cannot be awaited"))?;
    announce(address);
    let listener = listener.tap_io(|socket| {
        // Answers are small, and each is waited for.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a socket refuses TCP_NODELAY");
        }
    });
    let shutdown = async {
        tokio::select! {
            () = stop => tracing::info!("told to stop; finishing what is under way"),
            _ = committer_ended.recv() => tracing::error!("the committer has ended; stopping"),
        }
    };
    let cut_off = match renewing {
        Some((renewal, served)) => {
            tokio::spawn(renewal.run(hang_up));
            server::serve(TlsListener::new(listener, served), router, shutdown).await
        }
        None => server::serve(listener, router, shutdown).await,
    };
    if cut_off > 0 {
        tracing::warn!(cut_off, "connections were cut off at the end of the drain limit");
    }
    Ok(())
}

/// Files have one node, and its committer tells of every commit; a server may have several nodes.
const fn look_every(store: &Location) -> Option<Duration> {
    match store {
        Location::Postgres(_) => Some(LOOK_EVERY),
        Location::Sled(_) | Location::Redb(_) | Location::Memory => None,
    }
}

/// A committer's thread.
type Committer = JoinHandle<Result<(), NodeError>>;

/// Starts a committer, and another beside it if the store lets two write at once; the receiver
/// hears of the first that ends.
fn start_committers(
    cloud: Cloud,
    store: KeyValue<Cloud, AnyEngine>,
    queue: Queue,
    metrics: &Arc<Metrics>,
) -> Result<(Vec<Committer>, mpsc::Receiver<()>), NodeError> {
    let (ended, one_has_ended) = mpsc::channel(1);
    let beside = store.beside();
    let start = |store| {
        let (queue, metrics, ended) = (queue.clone(), Arc::clone(metrics), ended.clone());
        thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || {
                let result = commit(cloud, store, queue, &metrics);
                let _told_already = ended.try_send(());
                result
            })
            .map_err(system("the committer's thread cannot be started"))
    };
    let started: Result<Vec<_>, _> = std::iter::once(store).chain(beside).map(start).collect();
    Ok((started?, one_has_ended))
}

fn commit(
    cloud: Cloud,
    mut store: KeyValue<Cloud, AnyEngine>,
    queue: Queue,
    metrics: &Metrics,
) -> Result<(), NodeError> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("the committer's runtime cannot be started"))?;
    let ended = committer::run(cloud, &mut store, &SystemClock, queue, metrics);
    Ok(runtime.block_on(ended)?)
}

#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without a handler nobody can ask for a stop; then the node runs until it is ended.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

/// Tells of each SIGHUP, which then does not end the process.
#[cfg(unix)]
fn hang_up() -> io::Result<watch::Receiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut signals = signal(SignalKind::hangup())?;
    let (tell, told) = watch::channel(());
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            tell.send_replace(());
        }
    });
    Ok(told)
}

/// Nobody can send such a signal here.
#[cfg(not(unix))]
fn hang_up() -> io::Result<watch::Receiver<()>> {
    Ok(watch::channel(()).1)
}
