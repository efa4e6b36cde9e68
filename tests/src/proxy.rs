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
//!
//! Whoever watches a link hears of each request, and of each part of an answer that has passed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

/// The most bytes of a line in which a request is looked for.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// What the link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    Pass,
    /// Each part of up to 16 KiB waits so long.
    Delay(Duration),
    /// Nothing passes, and nothing is closed.
    BlackHole,
    /// Every connection is torn down.
    Reset,
    /// So many bytes of the answers pass.
    CutAnswer(u64),
    /// Requests pass, answers do not.
    HalfOpen,
}

/// What somebody who watches the link sees of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A request is about to pass: its method and its target.
    Asked {
        /// Which connection, counted from 1.
        connection: u64,
        /// `GET` or `POST`.
        method: String,
        /// The path with its query, as it was sent.
        target: String,
        /// When it came here.
        at: Instant,
    },
    /// A part of an answer has passed.
    Passed {
        /// Which connection.
        connection: u64,
        /// So many bytes, heads of answers included.
        bytes: usize,
    },
}

/// One link. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
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
    ///
    /// # Errors
    /// If this machine has no port left.
    pub async fn open(cloud: SocketAddr) -> std::io::Result<Self> {
        let (told, _) = mpsc::unbounded_channel();
        Self::telling(cloud, told).await
    }

    /// Opens a link to the cloud at `cloud`, and tells what passes, in the order in which it does.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn watched(
        cloud: SocketAddr,
    ) -> std::io::Result<(Self, mpsc::UnboundedReceiver<Seen>)> {
        let (told, seen) = mpsc::unbounded_channel();
        Ok((Self::telling(cloud, told).await?, seen))
    }

    async fn telling(
        cloud: SocketAddr,
        told: mpsc::UnboundedSender<Seen>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (mode, modes) = watch::channel(Mode::Pass);
        let (cloud, clouds) = watch::channel(cloud);
        let broken = Arc::new(AtomicU64::new(0));
        let link = Link { modes, clouds, broken: Arc::clone(&broken), told };
        let task = tokio::spawn(serve(listener, link)).abort_handle();
        Ok(Self { address, mode, cloud, broken, task })
    }

    /// Returns where a till connects.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what the link does, for old and new connections.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Leads new connections to where the cloud listens now.
    pub fn lead_to(&self, cloud: SocketAddr) {
        self.cloud.send_replace(cloud);
    }

    /// Returns how many connections were torn down or silenced.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Link {
    modes: watch::Receiver<Mode>,
    clouds: watch::Receiver<SocketAddr>,
    broken: Arc<AtomicU64>,
    told: mpsc::UnboundedSender<Seen>,
}

/// Tells what passes on one connection; nobody may be listening.
struct Teller {
    connection: u64,
    told: mpsc::UnboundedSender<Seen>,
    /// What the till has sent since its last line ended.
    line: Vec<u8>,
}

impl Teller {
    /// Looks for heads of requests in what the till sends. Bodies are bytes like any others: one
    /// that has a line like that of a request is told of as one.
    fn requests(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => {
                    if let Some((method, target)) = request(&self.line) {
                        let (connection, at) = (self.connection, Instant::now());
                        let asked = Seen::Asked { connection, method, target, at };
                        let _unwatched = self.told.send(asked);
                    }
                    self.line.clear();
                }
                _ if self.line.len() < LINE_BYTES_MAX => self.line.push(*byte),
                _ => {}
            }
        }
    }
}

/// Reads the first line of a request.
fn request(line: &[u8]) -> Option<(String, String)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix(" HTTP/1.1\r")?;
    let (method, target) = line.split_once(' ')?;
    matches!(method, "GET" | "POST").then(|| (method.to_owned(), target.to_owned()))
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
    let mut number = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((till, _)) = accepted {
                number += 1;
                connections.spawn(connection(number, till, link.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(number: u64, mut till: TcpStream, link: Link) {
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
        let teller = Teller { connection: number, told: link.told.clone(), line: Vec::new() };
        tokio::select! {
            end = requests(from_till, to_cloud, modes.clone(), teller) => end,
            end = answers(from_cloud, to_till, modes, &link, number) => end,
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
    mut teller: Teller,
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
                teller.requests(&buffer[..length]);
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
    link: &Link,
    connection: u64,
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
                    link.broken.fetch_add(1, Ordering::Relaxed);
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
                if !dead {
                    if to.write_all(part).await.is_err() {
                        return End::Closed;
                    }
                    let bytes = part.len();
                    let _unwatched = link.told.send(Seen::Passed { connection, bytes });
                }
                if part.len() < length {
                    return End::Torn;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(parts: &[&[u8]]) -> Vec<String> {
        let (told, mut seen) = mpsc::unbounded_channel();
        let mut teller = Teller { connection: 3, told, line: Vec::new() };
        parts.iter().for_each(|part| teller.requests(part));
        let mut found = Vec::new();
        while let Ok(Seen::Asked { connection: 3, method, target, .. }) = seen.try_recv() {
            found.push(format!("{method} {target}"));
        }
        found
    }

    #[test]
    fn a_request_is_told_of_however_it_is_cut() {
        let long = vec![b'x'; 3 * LINE_BYTES_MAX];
        for (parts, expected) in [
            (&[&b"GET /a?b=1 HTTP/1.1\r\nhost: x\r\n\r\n"[..]][..], &["GET /a?b=1"][..]),
            (&[b"PO", b"ST /a HT", b"TP/1.1\r", b"\n"], &["POST /a"]),
            (&[b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n"], &["GET /a", "GET /b"]),
            (&[b"GET /a HTTP/1.1"], &[]),
            (&[b"GET /", &long, b" HTTP/1.1\r\n", b"GET /b HTTP/1.1\r\n"], &["GET /b"]),
            (&[b"\xff\xfe GET /a HTTP/1.1\r\n"], &[]),
        ] {
            assert_eq!(told(parts), expected, "{parts:?}");
        }
    }

    const ANSWER: usize = 100;

    /// Answers whatever comes with so many bytes, and counts.
    async fn serve_bytes(listener: TcpListener, served: Arc<AtomicU64>) {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let served = Arc::clone(&served);
            tokio::spawn(async move {
                let mut request = [0; 64];
                if let Ok(1..) = stream.read(&mut request).await {
                    served.fetch_add(1, Ordering::SeqCst);
                    let _gone = stream.write_all(&[7; ANSWER]).await;
                    let _until_the_end = stream.read(&mut request).await;
                }
            });
        }
    }

    /// Sends a request through the link, and returns how many bytes come back, and whether it ends.
    /// As long as less than `expected` has come, it is patient.
    async fn through(link: &Proxy, expected: usize) -> (usize, bool) {
        let mut till = TcpStream::connect(link.address()).await.expect("the link is open");
        let _torn = till.write_all(b"GET /a HTTP/1.1\r\n\r\n").await;
        let (mut came, mut buffer) = (0, [0; ANSWER]);
        loop {
            let patience = Duration::from_millis(if came < expected { 20_000 } else { 500 });
            match tokio::time::timeout(patience, till.read(&mut buffer)).await {
                Ok(Ok(length @ 1..)) => came += length,
                Ok(Ok(0) | Err(_)) => return (came, true),
                Err(_) => return (came, false),
            }
        }
    }

    #[tokio::test]
    async fn each_mode_lets_through_what_it_says() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let cloud = listener.local_addr().expect("an address");
        let served = Arc::new(AtomicU64::new(0));
        tokio::spawn(serve_bytes(listener, Arc::clone(&served)));
        for (mode, arrives, passes, ends) in [
            (Mode::Pass, 1, ANSWER, false),
            (Mode::Delay(Duration::from_millis(1)), 1, ANSWER, false),
            (Mode::CutAnswer(30), 1, 30, true),
            (Mode::HalfOpen, 1, 0, false),
            (Mode::BlackHole, 0, 0, false),
            (Mode::Reset, 0, 0, true),
        ] {
            let (link, mut seen) = Proxy::watched(cloud).await.expect("a port");
            link.set(mode);
            served.store(0, Ordering::SeqCst);
            assert_eq!(through(&link, passes).await, (passes, ends), "{mode:?}");
            assert_eq!(served.load(Ordering::SeqCst), arrives, "{mode:?}");
            let (mut asked, mut told) = (0, 0);
            while let Ok(seen) = seen.try_recv() {
                match seen {
                    Seen::Asked { .. } => asked += 1,
                    Seen::Passed { bytes, .. } => told += bytes,
                }
            }
            assert_eq!((asked, told), (arrives, passes), "{mode:?}");
        }
    }
}
