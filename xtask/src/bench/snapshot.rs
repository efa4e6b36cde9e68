//! `bench snapshot`: how long a new till takes until it has a catalog of 100,000 products, beside a
//! bare download and load of the same pages.

use std::time::Instant;

use anyhow::ensure;
use tempfile::TempDir;

use super::catalog::{Follower, Loader, PRODUCTS, Part, Shop, Source};
use super::{fraction, median, per_mille, print_rows, row};

const ROUNDS: usize = 5;
/// At most so many times the ceiling, in thousandths.
const RATIO_MAX: u64 = 2_000;
/// The most bytes on the wire.
const WIRE_BYTES_MAX: u64 = 4_800_000;

/// A new till's catalog.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Snapshot {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(snapshot: &Snapshot) -> anyhow::Result<()> {
    let scratch = TempDir::new()?;
    let shop = Shop::open(scratch.path(), 1, PRODUCTS)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let start = Instant::now();
    let pages = runtime.block_on(shop.pages())?;
    let first = micros(start);
    let wire: u64 = pages.iter().map(|page| page.len() as u64).sum();
    let count = pages.len() as u64;
    let source = Source::start(pages)?;
    let (mut tills, mut ceilings) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let directory = scratch.path().join(format!("ceiling-{round}"));
        let start = Instant::now();
        let loaded = runtime
            .block_on(async { Loader::create(&directory)?.load(&source, Part::Snapshot).await })?;
        ensure!(loaded == PRODUCTS, "the ceiling loads all of it");
        ceilings.push(micros(start));
        let directory = scratch.path().join(format!("till-{round}"));
        let mut till =
            runtime.block_on(Follower::install(&directory, shop.node.address, &shop.tills[0]))?;
        let start = Instant::now();
        runtime.block_on(async {
            till.follow().await?;
            till.has("SKU-00099999").await
        })?;
        tills.push(micros(start));
    }
    let (till, ceiling) = (median(tills), median(ceilings));
    let ratio = per_mille(till, ceiling);
    if snapshot.json {
        println!(
            "{}",
            serde_json::json!({
                "bench": "snapshot", "products": PRODUCTS, "pages": count,
                "till_ms": till / 1_000, "ceiling_ms": ceiling / 1_000, "ratio": fraction(ratio),
                "ratio_limit": fraction(RATIO_MAX), "wire_bytes": wire,
                "wire_bytes_limit": WIRE_BYTES_MAX, "first_ms": first / 1_000,
                "json_bytes_each": shop.json_bytes / PRODUCTS,
                "canonical_bytes_each": shop.canonical_bytes / PRODUCTS,
            })
        );
        return shop.node.stop();
    }
    print_rows(&[
        row("products", PRODUCTS, None),
        row("  bytes of one as JSON", shop.json_bytes / PRODUCTS, None),
        row("  canonical bytes of one", shop.canonical_bytes / PRODUCTS, None),
        row("pages", count, None),
        row("first download: the cloud packs each page, ms", first / 1_000, None),
        row("on the wire, bytes", wire, Some(WIRE_BYTES_MAX)),
        row("a new till, durable and queryable, ms", till / 1_000, Some(2 * ceiling / 1_000)),
        row("  ceiling: download and load, ms", ceiling / 1_000, None),
    ]);
    println!("{} times the ceiling, at most {}", fraction(ratio), fraction(RATIO_MAX));
    shop.node.stop()
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
