//! `bench ingest`: the real service against the ceiling, alternately, with the same bytes.
//!
//! Clients, server and database share this machine. CPU is counted by threads: all but the one
//! that drives the clients are the server's.

mod memory;
mod rounds;

use std::path::Path;
use std::time::Duration;

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use counterfoil_storage::Location;
use counterfoil_tests::binaries::target_directory;
use counterfoil_tests::postgres::{self, Cluster};
use serde::Serialize;

pub(crate) use memory::fill;

use super::driver::Round;
use super::frames::{SALE_BYTES, prepare};
use super::{disk, fraction, median, per_mille, per_second};
use memory::Memory;
use rounds::{Limit, Measured};

/// Measured, ceiling, measured, ceiling: three of each.
const ROUNDS: usize = 3;
/// What the ratio should be at least, in thousandths: of batches, and of single sales.
const TARGET: u64 = 500;
const TARGET_SINGLE: u64 = 700;
/// The same of batches on PostgreSQL, where the server's work is most of it.
const TARGET_POSTGRES: u64 = 600;
/// The most bytes on the disk, in thousandths of the ceiling's.
const DISK_MAX: u64 = 2_000;
/// How fast everything is sent again, at least, in thousandths of the first time.
const RESEND_MIN: u64 = 2_000;
/// The most memory, in KiB.
const MEMORY_MAX: u64 = 64 * 1_024;
/// The most CPU of the server for a sale in a batch, in nanoseconds: on redb.
const SALE_NANOS_MAX: u64 = 12_000;
/// How long stock that was moved is rolled up after the last push, at most.
const SETTLE: Duration = Duration::from_millis(500);

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
    /// Leave out what a node holds in memory: it takes a minute
    #[arg(long)]
    skip_memory: bool,
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
    const fn target(self, batch: usize) -> u64 {
        match (self, batch) {
            (Self::Redb | Self::Sled | Self::Postgres, 1) => TARGET_SINGLE,
            (Self::Redb | Self::Sled, _) => TARGET,
            (Self::Postgres, _) => TARGET_POSTGRES,
        }
    }
}

/// One line of the result: medians of the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    store: Engine,
    batch: usize,
    clients: usize,
    sales: u64,
    measured_per_s: u64,
    ceiling_per_s: u64,
    ratio: String,
    target: String,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) ceiling_p50_us: u64,
    pub(crate) ceiling_p99_us: u64,
    server_ns_a_sale: u64,
    ceiling_ns_a_sale: u64,
    database_ns_a_sale: u64,
    ceiling_database_ns_a_sale: u64,
    written_a_sale: u64,
    ceiling_written_a_sale: u64,
    acknowledged_groups: u64,
    durable_commits: u64,
    device_flushes: Option<u64>,
    fdatasync_limit_per_s: u64,
    resend_per_s: u64,
    resend_commits: u64,
    resend_written: u64,
    /// At half of what was measured, open loop: what was due, and what it took.
    half: Option<Half>,
    two_nodes_per_s: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Half {
    requests_per_s: u64,
    p50_us: u64,
    p99_us: u64,
}

/// Measures and prints.
pub(crate) fn run(ingest: &Ingest) -> anyhow::Result<()> {
    let engines = ingest.store.map_or_else(|| vec![Engine::Redb, Engine::Sled], |one| vec![one]);
    if engines.contains(&Engine::Postgres) {
        postgres::programs()?;
    }
    let batches = ingest.batch.map_or_else(|| vec![50, 1], |one| vec![usize::from(one)]);
    let mut rows = Vec::new();
    let mut memories = Vec::new();
    for engine in engines {
        for batch in &batches {
            eprintln!("measuring {engine:?}, {batch} sales a request");
            rows.push(measure(engine, *batch, usize::from(ingest.clients))?);
        }
        if !ingest.skip_memory {
            eprintln!("measuring {engine:?}, memory");
            memories.push((engine, memory::measure(engine)?));
        }
    }
    if ingest.json {
        let memory: Vec<_> = memories
            .iter()
            .map(|(store, memory)| {
                serde_json::json!({ "store": store, "memory": memory, "limit_kib": MEMORY_MAX })
            })
            .collect();
        println!("{}", serde_json::json!({ "bench": "ingest", "rows": rows, "memory": memory }));
    } else {
        print(&rows);
        print_memory(&memories);
    }
    Ok(())
}

/// Measures one engine with batches of one size.
pub(crate) fn measure(engine: Engine, batch: usize, clients: usize) -> anyhow::Result<Row> {
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
        measured.push(rounds::node(engine, &directory, &clients)?);
        ceilings.push(rounds::ceiling(engine, &directory, &clients)?);
        std::fs::remove_dir_all(&directory)?;
    }
    let of = |pick: &dyn Fn(&Measured) -> u64| median(measured.iter().map(pick).collect());
    let of_ceiling = |pick: &dyn Fn(&Limit) -> u64| median(ceilings.iter().map(pick).collect());
    let measured_per_s = of(&|one| per_second(sales, one.round.micros));
    let ceiling_per_s = of_ceiling(&|one| per_second(sales, one.round.micros));
    let told = measured.iter().all(|one| one.flushes.is_some());
    let (half, two_nodes_per_s) = beside(engine, home.path(), &clients, sales, measured_per_s)?;
    let nanos = |micros: u64| micros * 1_000 / sales;
    Ok(Row {
        store: engine,
        batch,
        clients: clients.len(),
        sales,
        measured_per_s,
        ceiling_per_s,
        ratio: fraction(per_mille(measured_per_s, ceiling_per_s)),
        target: fraction(engine.target(batch)),
        p50_us: of(&|one| one.round.percentile(500)),
        p99_us: of(&|one| one.round.percentile(990)),
        ceiling_p50_us: of_ceiling(&|one| one.round.percentile(500)),
        ceiling_p99_us: of_ceiling(&|one| one.round.percentile(990)),
        server_ns_a_sale: of(&|one| nanos(one.used.server_micros)),
        ceiling_ns_a_sale: of_ceiling(&|one| nanos(one.used.server_micros)),
        database_ns_a_sale: of(&|one| nanos(one.used.database_micros)),
        ceiling_database_ns_a_sale: of_ceiling(&|one| nanos(one.used.database_micros)),
        written_a_sale: of(&|one| one.used.written / sales),
        ceiling_written_a_sale: of_ceiling(&|one| one.used.written / sales),
        acknowledged_groups: of(&|one| one.groups),
        durable_commits: of(&|one| one.commits),
        device_flushes: told.then(|| of(&|one| one.flushes.unwrap_or(0))),
        fdatasync_limit_per_s: limit,
        resend_per_s: of(&|one| per_second(sales, one.resend.micros)),
        resend_commits: of(&|one| one.resend_commits),
        resend_written: of(&|one| one.resend_used.written),
        half,
        two_nodes_per_s,
    })
}

/// Measures what needs a round of its own: half of the load, and two nodes on one database.
fn beside(
    engine: Engine,
    home: &Path,
    clients: &[super::frames::Client],
    sales: u64,
    measured_per_s: u64,
) -> anyhow::Result<(Option<Half>, Option<u64>)> {
    if clients.len() < 2 {
        return Ok((None, None));
    }
    let requests = clients.iter().map(|client| client.pushes.len() as u64).sum::<u64>();
    let requests_per_s = (measured_per_s * requests / sales / 2).max(1);
    let directory = home.join("half");
    std::fs::create_dir_all(&directory)?;
    let round: Round = rounds::paced(engine, &directory, clients, requests_per_s)?;
    std::fs::remove_dir_all(&directory)?;
    let (p50_us, p99_us) = (round.percentile(500), round.percentile(990));
    let two = match engine {
        Engine::Redb | Engine::Sled => None,
        Engine::Postgres => {
            let round = rounds::two_nodes(engine, home, clients)?;
            Some(per_second(sales, round.micros))
        }
    };
    Ok((Some(Half { requests_per_s, p50_us, p99_us }), two))
}

fn print(rows: &[Row]) {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    let names = rows.iter().map(|row| format!("{:?} b{}", row.store, row.batch));
    table.set_header([String::new()].into_iter().chain(names));
    let mut line = |name: &str, value: &dyn Fn(&Row) -> String| {
        table.add_row([name.to_owned()].into_iter().chain(rows.iter().map(value)));
    };
    let micros = fraction;
    line("sales/s", &|row| row.measured_per_s.to_string());
    line("ceiling, sales/s", &|row| row.ceiling_per_s.to_string());
    line("ratio, and at least", &|row| format!("{} / {}", row.ratio, row.target));
    line("p50 / p99, us", &|row| format!("{} / {}", row.p50_us, row.p99_us));
    line("ceiling p50 / p99, us", &|row| {
        format!("{} / {}", row.ceiling_p50_us, row.ceiling_p99_us)
    });
    line("server CPU a sale, us; at most", &|row| {
        let most = row.batch > 1 && row.store == Engine::Redb;
        let most = if most { format!(" / {}", micros(SALE_NANOS_MAX)) } else { String::new() };
        format!("{}{most}", micros(row.server_ns_a_sale))
    });
    line("  the ceiling's", &|row| micros(row.ceiling_ns_a_sale));
    line("  of the database, ceiling's", &|row| match row.store {
        Engine::Redb | Engine::Sled => String::new(),
        Engine::Postgres => {
            let (own, limit) = (row.database_ns_a_sale, row.ceiling_database_ns_a_sale);
            format!("{}, {}", micros(own), micros(limit))
        }
    });
    line("written a sale, bytes; ceiling's", &|row| {
        format!("{}, {}", row.written_a_sale, row.ceiling_written_a_sale)
    });
    line("  ratio, and at most", &|row| {
        let ratio = per_mille(row.written_a_sale, row.ceiling_written_a_sale);
        format!("{} / {}", fraction(ratio), fraction(DISK_MAX))
    });
    line("acknowledged groups", &|row| row.acknowledged_groups.to_string());
    line("durable commits", &|row| row.durable_commits.to_string());
    line("device flushes (whole machine)", &|row| {
        row.device_flushes.map_or_else(|| "not told".to_owned(), |flushes| flushes.to_string())
    });
    line("fdatasync of 4 KiB appends/s", &|row| row.fdatasync_limit_per_s.to_string());
    line("everything again, sales/s", &|row| row.resend_per_s.to_string());
    line("  against the first time, at least", &|row| {
        let ratio = per_mille(row.resend_per_s, row.measured_per_s);
        format!("{} / {}", fraction(ratio), fraction(RESEND_MIN))
    });
    line("  commits for that, at most 0", &|row| row.resend_commits.to_string());
    line("  bytes written for that", &|row| row.resend_written.to_string());
    line("open loop at half, requests/s", &|row| {
        row.half.map_or_else(String::new, |half| half.requests_per_s.to_string())
    });
    line("  p50 / p99, us", &|row| {
        row.half.map_or_else(String::new, |half| format!("{} / {}", half.p50_us, half.p99_us))
    });
    line("two nodes on it, sales/s", &|row| {
        row.two_nodes_per_s.map_or_else(String::new, |two| {
            format!("{two} ({} of one)", fraction(per_mille(two, row.measured_per_s)))
        })
    });
    println!("{table}");
    println!(
        "{} clients, one request in flight each, {SALE_BYTES} bytes a sale; medians of {ROUNDS}",
        rows.first().map_or(0, |row| row.clients)
    );
}

fn print_memory(memories: &[(Engine, Memory)]) {
    for (engine, memory) in memories {
        let Memory { filled_kib, used_kib, anonymous_kib } = memory;
        println!(
            "{engine:?}, memory with 100,000 products: {filled_kib} KiB; after 20 tills have \
             downloaded them and sold: {used_kib} KiB ({anonymous_kib} of that no pages of files), \
             at most {MEMORY_MAX}"
        );
    }
}
