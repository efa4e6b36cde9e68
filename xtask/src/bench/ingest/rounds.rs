//! The rounds of `bench ingest`: the node, the ceiling, two nodes, and a load that does not wait.

use std::path::Path;

use anyhow::ensure;
use counterfoil_protocol::wire::message::{PushAnswer, Verdict};
use counterfoil_tests::postgres::Cluster;

use super::Engine;
use crate::bench::ceiling::Ceiling;
use crate::bench::disk;
use crate::bench::driver::{Part, Round, drive, drive_to};
use crate::bench::frames::Client;
use crate::bench::node::Node;
use crate::bench::usage::Used;

/// What one round of the real node showed.
pub(super) struct Measured {
    pub(super) round: Round,
    pub(super) used: Used,
    pub(super) groups: u64,
    pub(super) commits: u64,
    pub(super) flushes: Option<u64>,
    pub(super) resend: Round,
    pub(super) resend_used: Used,
    pub(super) resend_commits: u64,
}

/// What one round of the ceiling showed.
pub(super) struct Limit {
    pub(super) round: Round,
    pub(super) used: Used,
}

impl Engine {
    /// Looks at what is used, by the database's server too if it is one.
    fn used(self) -> anyhow::Result<Used> {
        let database = match self {
            Self::Redb | Self::Sled => None,
            Self::Postgres => Some(Cluster::shared().process()?),
        };
        Used::now(database)
    }
}

pub(super) fn node(
    engine: Engine,
    directory: &Path,
    clients: &[Client],
) -> anyhow::Result<Measured> {
    let node = Node::start(&engine.location(directory)?, clients)?;
    drive(node.address, clients, Part::Hello, false)?;
    let (groups_before, commits_before) = node.counts();
    let flushes_before = disk::device_flushes();
    let before = engine.used()?;
    let round = drive(node.address, clients, Part::Pushes, true)?;
    let used = engine.used()?.since(before);
    let flushes = disk::device_flushes().zip(flushes_before).map(|(after, before)| after - before);
    let (groups, commits) = node.counts();
    expect(&round, |verdict| matches!(verdict, Verdict::Created(_)))?;
    // Stock is rolled up beside the pushes; what that writes is not the resend's.
    std::thread::sleep(super::SETTLE);
    let (_, commits_settled) = node.counts();
    let before = engine.used()?;
    let resend = drive(node.address, clients, Part::Pushes, true)?;
    let resend_used = engine.used()?.since(before);
    expect(&resend, |verdict| matches!(verdict, Verdict::Existing(_)))?;
    let (_, commits_after) = node.counts();
    node.stop()?;
    Ok(Measured {
        round,
        used,
        groups: groups - groups_before,
        commits: commits - commits_before,
        flushes,
        resend,
        resend_used,
        resend_commits: commits_after - commits_settled,
    })
}

pub(super) fn ceiling(
    engine: Engine,
    directory: &Path,
    clients: &[Client],
) -> anyhow::Result<Limit> {
    let ceiling = Ceiling::start(engine, directory)?;
    let before = engine.used()?;
    let round = drive(ceiling.address, clients, Part::Pushes, false)?;
    let used = engine.used()?.since(before);
    ceiling.stop()?;
    Ok(Limit { round, used })
}

/// Lets so many requests be due in a second, whatever has become of those before.
pub(super) fn paced(
    engine: Engine,
    directory: &Path,
    clients: &[Client],
    per_second: u64,
) -> anyhow::Result<Round> {
    let node = Node::start(&engine.location(directory)?, clients)?;
    drive(node.address, clients, Part::Hello, false)?;
    let rate = Some(per_second);
    let round = drive_to(&[node.address], clients, Part::Pushes, false, rate)?;
    node.stop()?;
    Ok(round)
}

/// Two nodes on one database: half of the clients each, and no branch at both.
pub(super) fn two_nodes(
    engine: Engine,
    directory: &Path,
    clients: &[Client],
) -> anyhow::Result<Round> {
    let location = engine.location(directory)?;
    let nodes = [Node::start(&location, clients)?, Node::start(&location, &[])?];
    let addresses = [nodes[0].address, nodes[1].address];
    drive_to(&addresses, clients, Part::Hello, false, None)?;
    let round = drive_to(&addresses, clients, Part::Pushes, true, None)?;
    expect(&round, |verdict| matches!(verdict, Verdict::Created(_)))?;
    for node in nodes {
        node.stop()?;
    }
    Ok(round)
}

fn expect(round: &Round, verdict: impl Fn(&Verdict) -> bool) -> anyhow::Result<()> {
    for answer in &round.answers {
        let answer = PushAnswer::decode(answer)?;
        let all = answer.results.iter().all(|result| verdict(&result.verdict));
        ensure!(all && answer.stopped.is_none(), "an unexpected answer: {answer:?}");
    }
    Ok(())
}
