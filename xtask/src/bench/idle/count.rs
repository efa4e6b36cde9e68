//! A TCP proxy that counts what passes, heads and bodies of HTTP/1.1 apart.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// The most bytes of a head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What has passed, both ways together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    /// Bytes of heads, with their lines.
    pub(super) heads: u64,
    /// Bytes of bodies, with the frames of chunks.
    pub(super) payload: u64,
}

impl Tally {
    pub(super) const fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests - before.requests,
            heads: self.heads - before.heads,
            payload: self.payload - before.payload,
        }
    }
}

type Tallies = Arc<Mutex<[Tally; 2]>>;

/// A proxy that counts, until it is dropped.
pub(super) struct Counter {
    address: SocketAddr,
    tallies: Tallies,
    task: AbortHandle,
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Counter {
    pub(super) async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let tallies = Tallies::default();
        let counted = Arc::clone(&tallies);
        let task = tokio::spawn(async move {
            while let Ok((till, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    if let Err(error) = pass(till, to, counted).await {
                        tracing::debug!(%error, "a connection ended");
                    }
                });
            }
        });
        Ok(Self { address, tallies, task: task.abort_handle() })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what has passed of the stream of news, and of everything else.
    pub(super) fn tallies(&self) -> [Tally; 2] {
        *self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn pass(till: TcpStream, to: SocketAddr, tallies: Tallies) -> anyhow::Result<()> {
    let cloud = TcpStream::connect(to).await?;
    let (mut from_till, mut to_till) = till.into_split();
    let (mut from_cloud, mut to_cloud) = cloud.into_split();
    // The first request says which of the two it is: a stream has a connection of its own.
    let mut first = Vec::new();
    while !first.ends_with(b"\n") {
        first.push(from_till.read_u8().await?);
    }
    let index = usize::from(!first.starts_with(b"GET /v1/live "));
    let asked = copy(&mut from_till, &mut to_cloud, first, index, true, &tallies);
    let answered = copy(&mut from_cloud, &mut to_till, Vec::new(), index, false, &tallies);
    tokio::select! {
        ended = asked => ended,
        ended = answered => ended,
    }
}

/// Copies one direction, message by message.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut head: Vec<u8>,
    index: usize,
    asks: bool,
    tallies: &Tallies,
) -> anyhow::Result<()> {
    to.write_all(&head).await?;
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            let byte = from.read_u8().await?;
            to.write_u8(byte).await?;
            head.push(byte);
            if head.len() > HEAD_BYTES_MAX {
                bail!("a head without an end");
            }
        }
        note(tallies, index, |tally| {
            tally.heads += head.len() as u64;
            tally.requests += u64::from(asks);
        });
        let mut left = length(&head)?;
        head.clear();
        let mut part = [0; 4096];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(part.len()).min(part.len());
            let read = from.read(&mut part[..most]).await?;
            if read == 0 {
                return Ok(());
            }
            to.write_all(&part[..read]).await?;
            note(tallies, index, |tally| tally.payload += read as u64);
            left -= read as u64;
        }
    }
}

fn note(tallies: &Tallies, index: usize, add: impl FnOnce(&mut Tally)) {
    add(&mut tallies.lock().unwrap_or_else(PoisonError::into_inner)[index]);
}

/// Returns how long a body is; chunks are read to the end of the connection, as only a stream has
/// them here.
fn length(head: &[u8]) -> anyhow::Result<u64> {
    let text = std::str::from_utf8(head)?.to_ascii_lowercase();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("transfer-encoding:").is_some() {
        return Ok(u64::MAX);
    }
    field("content-length:").map_or(Ok(0), |value| value.parse().context("a length"))
}
