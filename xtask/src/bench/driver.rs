//! The clients: raw HTTP/1.1, one connection and one request in flight each, one thread for all.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use counterfoil_protocol::wire::message::MEDIA_TYPE;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::frames::Client;

/// What a round took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    pub(crate) micros: u64,
    /// Of each request, in rising order.
    latencies: Vec<u64>,
    /// The answers, if they were asked for.
    pub(crate) answers: Vec<Bytes>,
}

impl Round {
    /// Returns the latency that so many thousandths of the requests keep, in microseconds.
    pub(crate) fn percentile(&self, per_mille: usize) -> u64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * per_mille / 1_000).copied().unwrap_or(0)
    }
}

/// Which part of a client's messages is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Hello,
    Pushes,
}

/// When the requests of a client are due, whatever has become of those before: open loop.
#[derive(Clone, Copy, Debug)]
struct Pace {
    first: Instant,
    gap: Duration,
}

/// Sends one part of every client's messages, all clients at once.
pub(crate) fn drive(
    address: SocketAddr,
    clients: &[Client],
    part: Part,
    keep_answers: bool,
) -> anyhow::Result<Round> {
    drive_to(&[address], clients, part, keep_answers, None)
}

/// The same to several nodes, each with its part of the clients. With `per_second`, so many
/// requests are due in a second, and what one takes is counted from when it was due.
pub(crate) fn drive_to(
    nodes: &[SocketAddr],
    clients: &[Client],
    part: Part,
    keep_answers: bool,
    per_second: Option<u64>,
) -> anyhow::Result<Round> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut ready = Vec::new();
        for (client, address) in clients.iter().zip(nodes.iter().cycle()) {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            ready.push((sender, *address, client.clone()));
        }
        let start = Instant::now();
        let mut running = JoinSet::new();
        for (place, (sender, address, client)) in (0_u64..).zip(ready) {
            let pace = per_second.map(|rate| {
                let nanos = |requests| Duration::from_nanos(requests * 1_000_000_000 / rate.max(1));
                Pace { first: start + nanos(place), gap: nanos(clients.len() as u64) }
            });
            running.spawn(send(sender, address, client, part, pace, keep_answers));
        }
        let mut round = Round::default();
        while let Some(done) = running.join_next().await {
            let (latencies, answers) = done.context("a client panicked")??;
            round.latencies.extend(latencies);
            round.answers.extend(answers);
        }
        round.micros = u64::try_from(start.elapsed().as_micros())?;
        round.latencies.sort_unstable();
        Ok(round)
    })
}

async fn send(
    mut sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    client: Client,
    part: Part,
    pace: Option<Pace>,
    keep_answers: bool,
) -> anyhow::Result<(Vec<u64>, Vec<Bytes>)> {
    let (path, messages) = match part {
        Part::Hello => ("/v1/handshake", vec![client.hello]),
        Part::Pushes => ("/v1/sales-events", client.pushes),
    };
    let authorization = format!("Bearer {}", client.token);
    let mut latencies = Vec::with_capacity(messages.len());
    let mut answers = Vec::new();
    let mut due = pace.map(|pace| pace.first);
    for message in messages {
        let request = http::Request::post(path)
            .header("host", address.to_string())
            .header("authorization", &authorization)
            .header("content-type", MEDIA_TYPE)
            .body(Full::new(message))?;
        let start = match due {
            // Late, because the answer before it was: that is part of what it takes.
            Some(due) if due <= Instant::now() => due,
            Some(due) => {
                tokio::time::sleep_until(due.into()).await;
                Instant::now()
            }
            None => Instant::now(),
        };
        due = due.zip(pace).map(|(due, pace)| due + pace.gap);
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        latencies.push(u64::try_from(start.elapsed().as_micros())?);
        ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
        if keep_answers {
            answers.push(body);
        }
    }
    Ok((latencies, answers))
}
