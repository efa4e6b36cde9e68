//! `bench sim`: how fast the simulator is, on one core.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use counterfoil_sim::network;
use counterfoil_sim::plan::{Plan, Shape};
use counterfoil_tests::binaries::build_simulator;

use super::{fraction, median, per_mille, per_second};

/// What the model level should do at least.
const TRANSITIONS_PER_S: u64 = 500_000;
/// How much faster than time ten tills with the real programs should run.
const TIMES_REAL: u64 = 200;
const ROUNDS: u64 = 3;
const SEEDS: &str = "600";
/// How much faster than time ten tills on simulated disks should run.
const DISK_TIMES_REAL: u64 = 1_000;
const DISK_SEEDS: &str = "40";
/// How many tills a seed has, the power of ten, and how many seeds: as many tills in all, so that
/// each size runs for about as long.
const CURVE: [(&str, u64, &str); 4] =
    [("10", 1, "1000"), ("100", 2, "100"), ("1000", 3, "10"), ("10000", 4, "1")];

const PEERS: &str = "What others have published of theirs, on machines of their own: FoundationDB \
    about 10 times real time, TigerBeetle's VOPR about 1,000 times.";

/// The simulator.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Sim {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
struct Row {
    what: String,
    measured: u64,
    /// What it should be at least, if anything was promised.
    limit: Option<u64>,
}

impl Row {
    fn new(what: impl Into<String>, measured: u64, limit: Option<u64>) -> Self {
        Self { what: what.into(), measured, limit }
    }
}

/// Measures and prints.
pub(crate) fn run(sim: &Sim) -> anyhow::Result<()> {
    let program = build_simulator()?;
    let mut rows = model_level(&program)?;
    rows.extend(curve(&program)?);
    rows.extend(disk_level(&program)?);
    rows.push(network_level()?);
    if sim.json {
        let told: Vec<_> = rows
            .iter()
            .map(|row| {
                let ratio = row.limit.map(|limit| fraction(per_mille(row.measured, limit)));
                serde_json::json!({
                    "what": row.what, "measured": row.measured, "limit": row.limit, "ratio": ratio,
                })
            })
            .collect();
        println!("{}", serde_json::json!({ "bench": "sim", "rows": told }));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "measured", "target", "ratio"]);
    for row in rows {
        let ratio = row.limit.map(|limit| fraction(per_mille(row.measured, limit)));
        let limit = row.limit.map(|limit| limit.to_string()).unwrap_or_default();
        let (measured, ratio) = (row.measured.to_string(), ratio.unwrap_or_default());
        table.add_row([&row.what, &measured, &limit, &ratio]);
    }
    println!("{table}");
    println!("{PEERS}");
    Ok(())
}

/// Runs the program itself, as whoever installs it does, on one thread.
fn model_level(program: &Path) -> anyhow::Result<Vec<Row>> {
    let (mut rates, mut inputs, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let seeds = ["--seeds", SEEDS, "--from", &first(round)];
        let told = told_by(program, "model", &seeds)?;
        rates.push(per_second(told.total, told.micros));
        inputs.push(per_second(told.total - told.items, told.micros));
        let told = told_by(program, "model", &[&seeds[..], &["--terminals", "10"]].concat())?;
        times.push(per_second(told.sim_ms, told.micros) / 1_000);
    }
    Ok(vec![
        Row::new("model level, transitions/s on one core", median(rates), Some(TRANSITIONS_PER_S)),
        Row::new("  without the decisions about single items", median(inputs), None),
        Row::new(
            "model level, ten tills, simulated time in real time",
            median(times),
            Some(10_000),
        ),
    ])
}

/// Runs more and more tills. What `n` tills do grows with `n`; that the time grows with `n log n`
/// at most says that the rate falls with the logarithm at most.
fn curve(program: &Path) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut few = None;
    for (tills, power, seeds) in CURVE {
        let told = told_by(program, "model", &["--terminals", tills, "--seeds", seeds])?;
        let rate = per_second(told.total, told.micros);
        let ten = *few.get_or_insert(rate);
        let limit = (power > 1).then_some(ten / power);
        rows.push(Row::new(format!("  {tills} tills, transitions/s"), rate, limit));
    }
    Ok(rows)
}

/// As [`model_level`], with the real redb on simulated disks, on every core: the seeds know nothing
/// of each other.
fn disk_level(program: &Path) -> anyhow::Result<Vec<Row>> {
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    let cores = std::thread::available_parallelism()?.to_string();
    for round in 0..ROUNDS {
        let from = first(round);
        let size = ["--terminals", "10", "--seeds", DISK_SEEDS, "--from", &from];
        let told = told_by(program, "disk", &size)?;
        alone.push(per_second(told.sim_ms, told.micros) / 1_000);
        let told = told_by(program, "disk", &[&size[..], &["--jobs", &cores]].concat())?;
        together.push(per_second(told.sim_ms, told.micros) / 1_000);
    }
    Ok(vec![
        Row::new(
            "disk level, ten tills on one core, simulated time in real time",
            median(alone),
            Some(DISK_TIMES_REAL),
        ),
        Row::new("  on all cores", median(together), None),
    ])
}

fn first(round: u64) -> String {
    (round << 32).to_string()
}

/// What a run of the simulator told.
struct Told {
    micros: u64,
    total: u64,
    items: u64,
    sim_ms: u64,
}

fn told_by(program: &Path, level: &str, more: &[&str]) -> anyhow::Result<Told> {
    let jobs: &[&str] = if more.contains(&"--jobs") { &[] } else { &["--jobs", "1"] };
    let told = Command::new(program)
        .args(["run", "--level", level, "--json"])
        .args(jobs)
        .args(more)
        .output()?;
    ensure!(told.status.success(), "a law was broken; run `sim run --level {level}`");
    let told: serde_json::Value = serde_json::from_slice(&told.stdout)?;
    let number = |name: &str| told[name].as_u64().with_context(|| format!("no {name}"));
    Ok(Told {
        micros: number("wall_ms")? * 1_000,
        total: number("total_transitions")?,
        items: number("item_transitions")?,
        sim_ms: number("sim_ms")?,
    })
}

fn network_level() -> anyhow::Result<Row> {
    let mut times = Vec::new();
    for seed in 0..ROUNDS {
        let mut plan = Plan::draw(seed, Shape { tills: 10, ..Shape::default() });
        network::fit(&mut plan);
        let start = Instant::now();
        let outcome = network::run(&plan, None, false);
        let micros = u64::try_from(start.elapsed().as_micros())?;
        ensure!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
        times.push(per_second(outcome.sim_ms, micros) / 1_000);
    }
    Ok(Row::new(
        "network level, ten tills, simulated time in real time",
        median(times),
        Some(TIMES_REAL),
    ))
}
