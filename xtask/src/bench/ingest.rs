//! `bench ingest`: the real service against the ceiling, alternately, with the same bytes.

use std::path::Path;

use anyhow::ensure;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use counterfoil_protocol::wire::message::{PushAnswer, Verdict};
use counterfoil_storage::Location;
use counterfoil_tests::binaries::target_directory;
use counterfoil_tests::postgres::{self, Cluster};
use serde::Serialize;

use super::ceiling::Ceiling;
use super::driver::{Part, Round, drive};
use super::frames::{Client, SALE_BYTES, prepare};
use super::node::Node;
use super::{disk, fraction, median, per_mille, per_second};

/// Measured, ceiling, measured, ceiling: three of each.
const ROUNDS: usize = 3;
/// What the ratio should be at least, in thousandths.
const TARGET: u64 = 500;
/// The same on PostgreSQL, where the server's work is most of it.
const TARGET_POSTGRES: u64 = 600;

/// Cloud ingest.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Ingest {
    /// Only this engine
    #[arg(long)]
    store: Option<Engine>,
    /// Only so many sales in a request; otherwise 50, then 1
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=500))]
    batch: Option<u16>,
    /// How many tills push at once
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    clients: u16,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Where the sales go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    Redb,
    Sled,
    /// On a server of its own, which is started and ended with the measurement
    Postgres,
}

impl Engine {
    fn location(self, directory: &Path) -> anyhow::Result<Location> {
        Ok(match self {
            Self::Redb => Location::Redb(directory.join("node.redb")),
            Self::Sled => Location::Sled(directory.join("node")),
            Self::Postgres => Cluster::shared().database()?.parse()?,
        })
    }

    /// What the ratio should be at least, in thousandths.
    const fn target(self) -> u64 {
        match self {
            Self::Redb | Self::Sled => TARGET,
            Self::Postgres => TARGET_POSTGRES,
        }
    }
}

/// One line of the result: medians of the rounds.
#[derive(Debug, Serialize)]
struct Row {
    store: Engine,
    batch: usize,
    clients: usize,
    sales: u64,
    measured_per_s: u64,
    ceiling_per_s: u64,
    ratio: String,
    target: String,
    p50_us: u64,
    p99_us: u64,
    ceiling_p50_us: u64,
    ceiling_p99_us: u64,
    acknowledged_groups: u64,
    durable_commits: u64,
    device_flushes: Option<u64>,
    fdatasync_limit_per_s: u64,
    resend_per_s: u64,
    resend_commits: u64,
}

/// What one round of the real node showed.
struct Measured {
    round: Round,
    groups: u64,
    commits: u64,
    flushes: Option<u64>,
    resend: Round,
    resend_commits: u64,
}

/// Measures and prints.
pub(crate) fn run(ingest: &Ingest) -> anyhow::Result<()> {
    let engines = ingest.store.map_or_else(|| vec![Engine::Redb, Engine::Sled], |one| vec![one]);
    if engines.contains(&Engine::Postgres) {
        postgres::programs()?;
    }
    let batches = ingest.batch.map_or_else(|| vec![50, 1], |one| vec![usize::from(one)]);
    let mut rows = Vec::new();
    for engine in engines {
        for batch in &batches {
            eprintln!("measuring {engine:?}, {batch} sales a request");
            rows.push(measure(engine, *batch, usize::from(ingest.clients))?);
        }
    }
    if ingest.json {
        println!("{}", serde_json::json!({ "bench": "ingest", "rows": rows }));
    } else {
        print(&rows);
    }
    Ok(())
}

fn measure(engine: Engine, batch: usize, clients: usize) -> anyhow::Result<Row> {
    let each = if batch == 1 { 1_000 } else { 5_000_usize.next_multiple_of(batch) };
    let clients = prepare(clients, each, batch)?;
    let sales = (clients.len() * each) as u64;
    let home = target_directory()?.join("bench");
    std::fs::create_dir_all(&home)?;
    let home = tempfile::tempdir_in(home)?;
    let limit = disk::fsync_limit(home.path())?;
    let mut measured = Vec::new();
    let mut ceilings = Vec::new();
    for number in 0..ROUNDS {
        let directory = home.path().join(number.to_string());
        std::fs::create_dir_all(&directory)?;
        measured.push(node_round(engine, &directory, &clients)?);
        ceilings.push(ceiling_round(engine, &directory, &clients)?);
        std::fs::remove_dir_all(&directory)?;
    }
    let of = |pick: &dyn Fn(&Measured) -> u64| median(measured.iter().map(pick).collect());
    let of_ceiling = |pick: &dyn Fn(&Round) -> u64| median(ceilings.iter().map(pick).collect());
    let measured_per_s = of(&|one| per_second(sales, one.round.micros));
    let ceiling_per_s = of_ceiling(&|round| per_second(sales, round.micros));
    let told = measured.iter().all(|one| one.flushes.is_some());
    Ok(Row {
        store: engine,
        batch,
        clients: clients.len(),
        sales,
        measured_per_s,
        ceiling_per_s,
        ratio: fraction(per_mille(measured_per_s, ceiling_per_s)),
        target: fraction(engine.target()),
        p50_us: of(&|one| one.round.percentile(500)),
        p99_us: of(&|one| one.round.percentile(990)),
        ceiling_p50_us: of_ceiling(&|round| round.percentile(500)),
        ceiling_p99_us: of_ceiling(&|round| round.percentile(990)),
        acknowledged_groups: of(&|one| one.groups),
        durable_commits: of(&|one| one.commits),
        device_flushes: told.then(|| of(&|one| one.flushes.unwrap_or(0))),
        fdatasync_limit_per_s: limit,
        resend_per_s: of(&|one| per_second(sales, one.resend.micros)),
        resend_commits: of(&|one| one.resend_commits),
    })
}

fn node_round(engine: Engine, directory: &Path, clients: &[Client]) -> anyhow::Result<Measured> {
    let node = Node::start(&engine.location(directory)?, clients)?;
    drive(node.address, clients, Part::Hello, false)?;
    let (groups_before, commits_before) = node.counts();
    let flushes_before = disk::device_flushes();
    let round = drive(node.address, clients, Part::Pushes, true)?;
    let flushes = disk::device_flushes().zip(flushes_before).map(|(after, before)| after - before);
    let (groups, commits) = node.counts();
    expect(&round, |verdict| matches!(verdict, Verdict::Created(_)))?;
    let resend = drive(node.address, clients, Part::Pushes, true)?;
    expect(&resend, |verdict| matches!(verdict, Verdict::Existing(_)))?;
    let (_, commits_after) = node.counts();
    node.stop()?;
    Ok(Measured {
        round,
        groups: groups - groups_before,
        commits: commits - commits_before,
        flushes,
        resend,
        resend_commits: commits_after - commits,
    })
}

fn ceiling_round(engine: Engine, directory: &Path, clients: &[Client]) -> anyhow::Result<Round> {
    let ceiling = Ceiling::start(engine, directory)?;
    let round = drive(ceiling.address, clients, Part::Pushes, false)?;
    ceiling.stop()?;
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

fn print(rows: &[Row]) {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    let names = rows.iter().map(|row| format!("{:?} b{}", row.store, row.batch));
    table.set_header([String::new()].into_iter().chain(names));
    let mut line = |name: &str, value: &dyn Fn(&Row) -> String| {
        table.add_row([name.to_owned()].into_iter().chain(rows.iter().map(value)));
    };
    line("sales/s", &|row| row.measured_per_s.to_string());
    line("ceiling, sales/s", &|row| row.ceiling_per_s.to_string());
    line("ratio, and at least", &|row| format!("{} / {}", row.ratio, row.target));
    line("p50 / p99, us", &|row| format!("{} / {}", row.p50_us, row.p99_us));
    line("ceiling p50 / p99, us", &|row| {
        format!("{} / {}", row.ceiling_p50_us, row.ceiling_p99_us)
    });
    line("acknowledged groups", &|row| row.acknowledged_groups.to_string());
    line("durable commits", &|row| row.durable_commits.to_string());
    line("device flushes (whole machine)", &|row| {
        row.device_flushes.map_or_else(|| "not told".to_owned(), |flushes| flushes.to_string())
    });
    line("fdatasync of 4 KiB appends/s", &|row| row.fdatasync_limit_per_s.to_string());
    line("everything again, sales/s", &|row| row.resend_per_s.to_string());
    line("commits for that", &|row| row.resend_commits.to_string());
    println!("{table}");
    println!(
        "{} clients, one request in flight each, {SALE_BYTES} bytes a sale; medians of {ROUNDS}",
        rows.first().map_or(0, |row| row.clients)
    );
}
