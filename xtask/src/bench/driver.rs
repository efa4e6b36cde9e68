//! The clients: raw HTTP/1.1, one connection and one request in flight each, one thread for all.

use std::net::SocketAddr;
use std::time::Instant;

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

/// Sends one part of every client's messages, all clients at once.
pub(crate) fn drive(
    address: SocketAddr,
    clients: &[Client],
    part: Part,
    keep_answers: bool,
) -> anyhow::Result<Round> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut ready = Vec::new();
        for client in clients {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            ready.push((sender, client.clone()));
        }
        let start = Instant::now();
        let mut running = JoinSet::new();
        for (sender, client) in ready {
            running.spawn(send(sender, address, client, part, keep_answers));
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
    keep_answers: bool,
) -> anyhow::Result<(Vec<u64>, Vec<Bytes>)> {
    let (path, messages) = match part {
        Part::Hello => ("/v1/handshake", vec![client.hello]),
        Part::Pushes => ("/v1/sales-events", client.pushes),
    };
    let authorization = format!("Bearer {}", client.token);
    let mut latencies = Vec::with_capacity(messages.len());
    let mut answers = Vec::new();
    for message in messages {
        let request = http::Request::post(path)
            .header("host", address.to_string())
            .header("authorization", &authorization)
            .header("content-type", MEDIA_TYPE)
            .body(Full::new(message))?;
        let start = Instant::now();
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
