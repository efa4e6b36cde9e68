//! `cargo xtask bench`: what is measured, the limit measured in the same run, and their ratio.
//!
//! Nothing here passes or fails: a machine that is busy would make a liar of it.

mod catalog;
mod ceiling;
mod checkout;
mod delta;
mod disk;
mod driver;
mod frames;
mod idle;
mod ingest;
mod node;
mod reconcile;
mod sim;
mod snapshot;
mod usage;

use std::process::Stdio;

use anyhow::Context as _;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use counterfoil_tests::binaries::cargo;

/// What to measure.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Bench {
    /// Cloud ingest over HTTP on loopback, against one route, one committer and one table
    Ingest(ingest::Ingest),
    /// A till: a checkout's commit, its start after a kill, its memory, and a sale on its way
    Checkout(checkout::Checkout),
    /// Finding and mending drift: bytes, round trips and work, against the catalog's size
    Reconcile(reconcile::Reconcile),
    /// What a till costs when nothing happens: requests and bytes an hour
    Idle(idle::Idle),
    /// The simulator: transitions a second, and simulated time in real time
    Sim(sim::Sim),
    /// A new till's catalog of 100,000 products, against a bare download and load
    Snapshot(snapshot::Snapshot),
    /// 1,000 changed prices on twenty tills, against a bare download and load
    Delta(delta::Delta),
}

/// Runs a benchmark.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<bool> {
    // It measures other programs, which it has built in release.
    if cfg!(debug_assertions) && !matches!(bench, Bench::Idle(_)) {
        return in_release();
    }
    match bench {
        Bench::Ingest(ingest) => ingest::run(ingest).map(|()| true),
        Bench::Checkout(wish) => checkout::run(wish).map(|()| true),
        Bench::Reconcile(wish) => reconcile::run(wish).map(|()| true),
        Bench::Idle(idle) => idle::run(idle).map(|()| true),
        Bench::Sim(sim) => sim::run(sim).map(|()| true),
        Bench::Snapshot(snapshot) => snapshot::run(snapshot).map(|()| true),
        Bench::Delta(delta) => delta::run(delta).map(|()| true),
    }
}

/// Figures of a build for debugging mean nothing: runs this very command in release.
fn in_release() -> anyhow::Result<bool> {
    let mut same = cargo();
    same.args(["run", "--quiet", "--release", "--locked", "--package=xtask", "--"]);
    same.args(std::env::args_os().skip(1)).stdin(Stdio::null());
    Ok(same.status().context("cargo cannot be started")?.success())
}

/// Returns the middle of an odd number of values.
pub(crate) fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    assert!(values.len() % 2 == 1, "a middle exists");
    values.sort_unstable();
    values[values.len() / 2]
}

/// A line of a table: what was measured, and what it should be at most.
pub(crate) type Row = (&'static str, u64, Option<u64>);

pub(crate) const fn row(what: &'static str, measured: u64, limit: Option<u64>) -> Row {
    (what, measured, limit)
}

pub(crate) fn print_rows(rows: &[Row]) {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "measured", "at most"]);
    for (what, measured, limit) in rows {
        let limit = limit.map(|limit| limit.to_string()).unwrap_or_default();
        table.add_row([(*what).to_owned(), measured.to_string(), limit]);
    }
    println!("{table}");
}

/// Returns `part` of `whole` in thousandths.
pub(crate) const fn per_mille(part: u64, whole: u64) -> u64 {
    match whole {
        0 => 0,
        whole => part.saturating_mul(1_000) / whole,
    }
}

/// Returns thousandths as a decimal fraction.
pub(crate) fn fraction(per_mille: u64) -> String {
    format!("{}.{:03}", per_mille / 1_000, per_mille % 1_000)
}

/// Returns how often something happens in a second, if it happened `count` times in `micros`.
pub(crate) fn per_second(count: u64, micros: u64) -> u64 {
    let rate = u128::from(count) * 1_000_000 / u128::from(micros.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}
