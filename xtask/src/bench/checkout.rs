//! `bench checkout`: what a till costs its shop: the commit of a checkout beside a bare durable
//! commit of the same bytes, its start after a kill, its memory, and one sale on its way to the
//! cloud beside the ceiling of the same engine.

mod commit;
mod daemon;

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use counterfoil_tests::binaries::target_directory;

use super::ingest::{Engine, measure};
use super::{fraction, per_mille};

/// At most so many times the bare commit: in the middle, and of the slowest hundredth.
const TIMES_P50: u64 = 2;
const TIMES_P99: u64 = 4;
/// The most memory of an idle daemon, in KiB: an aim.
const MEMORY_MAX: u64 = 60 * 1_024;
/// One sale until the cloud has it, in microseconds: in the middle, and of the slowest hundredth.
const SALE_P50_MAX: u64 = 500;
const SALE_P99_MAX: u64 = 1_500;

/// A till's checkout.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Checkout {
    /// How many checkouts are measured
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..))]
    checkouts: u32,
    /// How many sales the database has that is opened after a kill
    #[arg(long, default_value_t = 50_000)]
    sales: u64,
    /// How many products the idle till has
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    products: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

struct Line {
    what: String,
    measured: u64,
    limit: Option<u64>,
}

fn line(what: impl Into<String>, measured: u64, limit: Option<u64>) -> Line {
    Line { what: what.into(), measured, limit }
}

pub(crate) fn run(wish: &Checkout) -> anyhow::Result<()> {
    let home = target_directory()?.join("bench");
    std::fs::create_dir_all(&home)?;
    let home = tempfile::tempdir_in(home)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut lines = Vec::new();
    eprintln!("measuring {} checkouts", wish.checkouts);
    lines.extend(commits(
        &runtime.block_on(commit::measure(home.path(), usize::try_from(wish.checkouts)?))?,
    ));
    eprintln!("measuring a till with {} sales that is killed", wish.sales);
    let opening = runtime.block_on(daemon::opening(home.path(), wish.sales))?;
    lines.extend([
        line("start of a new till, us", opening.new, None),
        line(format!("start after a kill, {} sales, us", wish.sales), opening.killed, None),
        line("  bytes of its database", opening.file, None),
        line("  KiB of its memory", opening.kib, None),
    ]);
    eprintln!("measuring an idle till with {} products", wish.products);
    let memory = runtime.block_on(daemon::memory(home.path(), wish.products))?;
    lines.extend([
        line("idle, KiB, after it has fetched the catalog", memory.fetched, Some(MEMORY_MAX)),
        line("  started with it", memory.started, Some(MEMORY_MAX)),
        line("  of that no pages of files", memory.anonymous, None),
    ]);
    eprintln!("measuring one sale at a time to the cloud");
    let sale = measure(Engine::Redb, 1, 1)?;
    lines.extend([
        line("one sale until the cloud has it, p50, us", sale.p50_us, Some(SALE_P50_MAX)),
        line("  against the ceiling's", sale.p50_us, Some(sale.ceiling_p50_us * 3 / 2)),
        line("  p99", sale.p99_us, Some(SALE_P99_MAX)),
        line("  the ceiling's p99", sale.ceiling_p99_us, None),
    ]);
    print(wish, &lines);
    Ok(())
}

fn commits(commits: &commit::Commits) -> Vec<Line> {
    let part = |sorted: &[u64], per_mille: usize| {
        sorted.get(sorted.len().saturating_sub(1) * per_mille / 1_000).copied().unwrap_or(0)
    };
    let commit::Commits { checkout, same_rows, one_row, rows, bytes } = commits;
    let bare = part(one_row, 500);
    let bare_slow = part(one_row, 990);
    vec![
        line("a checkout, p50, us", part(checkout, 500), Some(TIMES_P50 * bare)),
        line("  p99", part(checkout, 990), Some(TIMES_P99 * bare_slow)),
        line("one row of as many bytes, p50", bare, None),
        line("  p99", bare_slow, None),
        line("the same rows, p50", part(same_rows, 500), None),
        line("  p99", part(same_rows, 990), None),
        line("rows of a checkout", *rows, None),
        line("  bytes", *bytes, None),
    ]
}

fn print(wish: &Checkout, lines: &[Line]) {
    let ratio = |line: &Line| line.limit.map(|limit| fraction(per_mille(line.measured, limit)));
    if wish.json {
        let told: Vec<_> = lines
            .iter()
            .map(|line| {
                serde_json::json!({
                    "what": line.what.trim(), "measured": line.measured, "limit": line.limit,
                    "ratio": ratio(line),
                })
            })
            .collect();
        println!("{}", serde_json::json!({ "bench": "checkout", "rows": told }));
        return;
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "measured", "at most", "ratio"]);
    for line in lines {
        let limit = line.limit.map(|limit| limit.to_string()).unwrap_or_default();
        let (measured, ratio) = (line.measured.to_string(), ratio(line).unwrap_or_default());
        table.add_row([&line.what, &measured, &limit, &ratio]);
    }
    println!("{table}");
}
