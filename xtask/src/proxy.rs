//! A link that can be broken: a TCP proxy between one till and the cloud.
//!
//! | mode | what a till sees |
//! |---|---|
//! | [`Mode::Pass`] | a link |
//! | [`Mode::Delay`] | a slow link |
//! | [`Mode::BlackHole`] | silence both ways; a connection lives on when it is over |
//! | [`Mode::Reset`] | connections that are torn down, old and new |
//! | [`Mode::CutAnswer`] | the request arrives and is committed, the answer breaks off |
//! | [`Mode::HalfOpen`] | requests arrive, answers never do, not even after it is over |

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// What the link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Pass,
    Delay(Duration),
    BlackHole,
    Reset,
    /// So many bytes of the answers pass.
    CutAnswer(u64),
    HalfOpen,
}

/// One link. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    cloud: watch::Sender<SocketAddr>,
    broken: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Opens a link to the cloud at `cloud`.
    pub(crate) async fn open(cloud: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (mode, modes) = watch::channel(Mode::Pass);
        let (cloud, clouds) = watch::channel(cloud);
        let broken = Arc::new(AtomicU64::new(0));
        let link = Link { modes, clouds, broken: Arc::clone(&broken) };
        let task = tokio::spawn(serve(listener, link)).abort_handle();
        Ok(Self { address, mode, cloud, broken, task })
    }

    /// Returns where a till connects.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what the link does, for old and new connections.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Leads new connections to where the cloud listens now.
    pub(crate) fn lead_to(&self, cloud: SocketAddr) {
        self.cloud.send_replace(cloud);
    }

    /// Returns how many connections were torn down or silenced.
    pub(crate) fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Link {
    modes: watch::Receiver<Mode>,
    clouds: watch::Receiver<SocketAddr>,
    broken: Arc<AtomicU64>,
}

/// Why one direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// One of the two closed it.
    Closed,
    /// We did.
    Torn,
}

async fn serve(listener: TcpListener, link: Link) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((till, _)) = accepted {
                connections.spawn(connection(till, link.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(mut till: TcpStream, link: Link) {
    let mut modes = link.modes.clone();
    let _unsupported = till.set_nodelay(true);
    // In a black hole not even the connection is made.
    while *modes.borrow_and_update() == Mode::BlackHole {
        if modes.changed().await.is_err() {
            return;
        }
    }
    let end = if *modes.borrow_and_update() == Mode::Reset {
        End::Torn
    } else {
        let address = *link.clouds.borrow();
        let Ok(mut cloud) = TcpStream::connect(address).await else {
            return;
        };
        let _unsupported = cloud.set_nodelay(true);
        let (from_till, to_till) = till.split();
        let (from_cloud, to_cloud) = cloud.split();
        tokio::select! {
            end = requests(from_till, to_cloud, modes.clone()) => end,
            end = answers(from_cloud, to_till, modes, &link.broken) => end,
        }
    };
    if end == End::Torn {
        link.broken.fetch_add(1, Ordering::Relaxed);
        // Without lingering a close is a reset.
        let _unsupported = till.set_zero_linger();
    }
}

async fn requests(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut modes: watch::Receiver<Mode>,
) -> End {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let mode = *modes.borrow_and_update();
        match mode {
            Mode::Reset => return End::Torn,
            Mode::BlackHole => {
                if modes.changed().await.is_err() {
                    return End::Closed;
                }
                continue;
            }
            Mode::Pass | Mode::Delay(_) | Mode::CutAnswer(_) | Mode::HalfOpen => {}
        }
        tokio::select! {
            changed = modes.changed() => if changed.is_err() { return End::Closed },
            read = from.read(&mut buffer) => {
                let Ok(length @ 1..) = read else { return End::Closed };
                if let Mode::Delay(delay) = mode {
                    tokio::time::sleep(delay).await;
                }
                if to.write_all(&buffer[..length]).await.is_err() {
                    return End::Closed;
                }
            }
        }
    }
}

async fn answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut modes: watch::Receiver<Mode>,
    broken: &AtomicU64,
) -> End {
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0_u64;
    let mut before = Mode::Pass;
    let mut dead = false;
    loop {
        let mode = *modes.borrow_and_update();
        if mode != before {
            // What passed before the link was cut does not count.
            passed = 0;
            before = mode;
        }
        match mode {
            Mode::Reset => return End::Torn,
            Mode::BlackHole => {
                if modes.changed().await.is_err() {
                    return End::Closed;
                }
                continue;
            }
            Mode::Pass | Mode::Delay(_) | Mode::CutAnswer(_) | Mode::HalfOpen => {}
        }
        tokio::select! {
            changed = modes.changed() => if changed.is_err() { return End::Closed },
            read = from.read(&mut buffer) => {
                let Ok(length @ 1..) = read else { return End::Closed };
                let mut part = &buffer[..length];
                if mode == Mode::HalfOpen && !dead {
                    dead = true;
                    broken.fetch_add(1, Ordering::Relaxed);
                }
                if let Mode::Delay(delay) = mode {
                    tokio::time::sleep(delay).await;
                }
                let room = match mode {
                    Mode::CutAnswer(bytes) => {
                        usize::try_from(bytes.saturating_sub(passed)).unwrap_or(length)
                    }
                    Mode::Pass | Mode::Delay(_) | Mode::HalfOpen | Mode::BlackHole
                    | Mode::Reset => length,
                };
                part = &part[..part.len().min(room)];
                passed += part.len() as u64;
                if !dead && to.write_all(part).await.is_err() {
                    return End::Closed;
                }
                if part.len() < length {
                    return End::Torn;
                }
            }
        }
    }
}
