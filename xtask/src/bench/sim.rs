//! `bench sim`: how fast the simulator is, on one core.

use std::time::{Duration, Instant};

use anyhow::ensure;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use counterfoil_sim::plan::{Plan, Shape};
use counterfoil_sim::{model, network};
use serde::Serialize;

use super::{fraction, median, per_mille, per_second};

/// What the model level should do at least.
const TRANSITIONS_PER_S: u64 = 500_000;
/// How much faster than time ten tills with the real programs should run.
const TIMES_REAL: u64 = 100;
const ROUNDS: u64 = 3;
const SPAN: Duration = Duration::from_secs(2);

/// The simulator.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Sim {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Row {
    what: &'static str,
    measured: u64,
    limit: u64,
}

/// Measures and prints.
pub(crate) fn run(sim: &Sim) -> anyhow::Result<()> {
    let mut rows = model_level()?;
    rows.push(network_level()?);
    if sim.json {
        let told: Vec<_> = rows
            .iter()
            .map(|row| {
                let ratio = fraction(per_mille(row.measured, row.limit));
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
        let ratio = fraction(per_mille(row.measured, row.limit));
        let (measured, limit) = (row.measured.to_string(), row.limit.to_string());
        table.add_row([row.what, &measured, &limit, &ratio]);
    }
    println!("{table}");
    Ok(())
}

fn model_level() -> anyhow::Result<Vec<Row>> {
    let mut rates = Vec::new();
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let start = Instant::now();
        let (mut transitions, mut sim_ms, mut seed) = (0, 0, round << 32);
        while start.elapsed() < SPAN {
            let outcome = model::run(&Plan::draw(seed, Shape::default()), None, false);
            ensure!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
            transitions += outcome.coverage.total_transitions();
            sim_ms += outcome.sim_ms;
            seed += 1;
        }
        let micros = u64::try_from(start.elapsed().as_micros())?;
        rates.push(per_second(transitions, micros));
        times.push(per_second(sim_ms, micros) / 1_000);
    }
    let rate = median(rates);
    let times = median(times);
    Ok(vec![
        Row {
            what: "model level, transitions/s on one core",
            measured: rate,
            limit: TRANSITIONS_PER_S,
        },
        Row { what: "model level, simulated time in real time", measured: times, limit: 10_000 },
    ])
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
    Ok(Row {
        what: "network level, ten tills, simulated time in real time",
        measured: median(times),
        limit: TIMES_REAL,
    })
}
