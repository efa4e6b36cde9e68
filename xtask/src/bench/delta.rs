//! `bench delta`: how long it takes until 1,000 changed prices are durable on twenty tills of
//! 100,000 products, beside a bare download and load of the same page.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::catalog::{Follower, Loader, PRODUCTS, Part, Shop, Source};
use super::{fraction, median, per_mille, print_rows, row};

const ROUNDS: u64 = 5;
const TILLS: usize = 20;
const CHANGES: u64 = 1_000;
/// At most so many times the ceiling, in thousandths.
const RATIO_MAX: u64 = 1_700;
/// The most bytes on the wire, for all tills together.
const WIRE_BYTES_MAX: u64 = 1_000_000;

/// Changed prices on many tills.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Delta {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(delta: &Delta) -> anyhow::Result<()> {
    let scratch = TempDir::new()?;
    let shop = Shop::open(scratch.path(), TILLS, PRODUCTS)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut tills, mut loaders) = (Vec::new(), Vec::new());
    let pages = Source::start(runtime.block_on(shop.pages())?)?;
    for (number, client) in shop.tills.iter().enumerate() {
        let directory = scratch.path().join(format!("till-{number}"));
        let install = Follower::install(&directory, shop.node.address, client);
        let mut till = runtime.block_on(install)?;
        runtime.block_on(till.follow())?;
        tills.push(till);
        let loader = Loader::create(&scratch.path().join(format!("ceiling-{number}")))?;
        runtime.block_on(loader.load(&pages, Part::Snapshot))?;
        loaders.push(loader);
    }
    let (mut measured, mut ceilings, mut wire) = (Vec::new(), Vec::new(), 0);
    for round in 1..=ROUNDS {
        let before = runtime.block_on(tills[0].follow())?;
        let numbers: Vec<u64> =
            (0..CHANGES).map(|change| (change * 97 + round * 13) % PRODUCTS).collect();
        let (first, second) = numbers.split_at(numbers.len() / 2);
        shop.edit(&sorted(first), round)?;
        shop.edit(&sorted(second), round)?;
        let start = Instant::now();
        tills = runtime.block_on(all_follow(tills))?;
        measured.push(micros(start));
        let page = runtime.block_on(shop.delta(before))?;
        wire = page.len() as u64 * TILLS as u64;
        let source = Source::start(vec![page])?;
        let start = Instant::now();
        loaders = all_load(&runtime, loaders, source)?;
        ceilings.push(micros(start));
    }
    let (till, ceiling) = (median(measured), median(ceilings));
    let ratio = per_mille(till, ceiling);
    if delta.json {
        println!(
            "{}",
            serde_json::json!({
                "bench": "delta", "products": PRODUCTS, "tills": TILLS, "changes": CHANGES,
                "tills_ms": till / 1_000, "ceiling_ms": ceiling / 1_000,
                "ratio": fraction(ratio), "ratio_limit": fraction(RATIO_MAX),
                "wire_bytes": wire, "wire_bytes_limit": WIRE_BYTES_MAX,
            })
        );
        return shop.node.stop();
    }
    print_rows(&[
        row("tills", TILLS as u64, None),
        row("changed products", CHANGES, None),
        row("on the wire for all tills, bytes", wire, Some(WIRE_BYTES_MAX)),
        row("durable and proven on every till, ms", till / 1_000, Some(17 * ceiling / 10_000)),
        row("  ceiling: download and load, ms", ceiling / 1_000, None),
    ]);
    println!("{} times the ceiling, at most {}", fraction(ratio), fraction(RATIO_MAX));
    shop.node.stop()
}

async fn all_follow(tills: Vec<Follower>) -> anyhow::Result<Vec<Follower>> {
    let mut running = JoinSet::new();
    for mut till in tills {
        running.spawn(async move {
            till.follow().await?;
            anyhow::Ok(till)
        });
    }
    let mut done = Vec::new();
    while let Some(till) = running.join_next().await {
        done.push(till.context("a till panicked")??);
    }
    Ok(done)
}

/// A thread each, as redb commits block.
fn all_load(
    runtime: &Runtime,
    loaders: Vec<Loader>,
    source: Source,
) -> anyhow::Result<Vec<Loader>> {
    std::thread::scope(|scope| {
        let running: Vec<_> = loaders
            .iter()
            .map(|loader| scope.spawn(|| runtime.block_on(loader.load(&source, Part::Delta))))
            .collect();
        for load in running {
            let loaded = load.join().ok().context("a loader panicked")??;
            ensure!(loaded == CHANGES, "the ceiling loads all of it");
        }
        anyhow::Ok(())
    })?;
    Ok(loaders)
}

fn sorted(numbers: &[u64]) -> Vec<u64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
