//! A till's program: how long its start takes after a kill, and what it holds in memory.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use counterfoil_protocol::terminal::Draft;
use counterfoil_terminal::config::Home;
use counterfoil_terminal::daemon;
use counterfoil_terminal::till::GROUP_MAX;
use counterfoil_tests::binaries::{Profile, build};
use counterfoil_tests::random::Random;
use counterfoil_tests::shop::Shop;
use counterfoil_tests::till::{Place, Till};

use super::commit::sale;
use crate::bench::ingest::fill;
use crate::bench::usage::memory_kib;

/// How long the till is sold at before it is killed.
const SELLS: Duration = Duration::from_millis(700);
/// How long a till is left alone before it is looked at.
const REST: Duration = Duration::from_secs(6);
/// How long a till may take until it has the catalog.
const FILLED: Duration = Duration::from_secs(120);
/// Starts that are measured.
const STARTS: usize = 3;

/// Starts of the daemon, from its command to where it listens, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    /// Of a new till.
    pub(super) new: u64,
    /// Of one with many sales that was killed in the midst of selling: the longest.
    pub(super) killed: u64,
    /// Bytes of its database.
    pub(super) file: u64,
    /// KiB of its memory then.
    pub(super) kib: u64,
}

pub(super) async fn opening(directory: &Path, sales: u64) -> anyhow::Result<Opening> {
    let programs = tokio::task::spawn_blocking(|| build(Profile::Release)).await??;
    let home = directory.join("till");
    let mut till = Till::new(&programs.terminal, home.clone(), directory.join("till.log"));
    let place = Place { shop: "shop", branch: "B-0", terminal: "T-1" };
    // Nobody listens there: everything waits.
    till.init(place, "http://127.0.0.1:9", "cf_T-1_00").await?;
    let begun = Instant::now();
    till.start().await?;
    let new = micros(begun);
    till.stop().await?;
    let mut draw = Random::new(11);
    record(&Home::new(&home), sales, &mut draw).await?;
    let file = std::fs::metadata(home.join("till.redb"))?.len();
    let mut door = till.start().await?;
    let (mut killed, mut number, mut answered) = (0, sales, sales);
    for _ in 0..STARTS {
        let until = Instant::now() + SELLS;
        let selling = async {
            while Instant::now() < until {
                door.sell(&drafts(number, 1, &mut draw)?).await?;
                number += 1;
                answered += 1;
            }
            anyhow::Ok(())
        };
        selling.await?;
        // The last one is under way when it is killed.
        let (left, last) = (door.clone(), drafts(number, 1, &mut draw)?);
        let dying = tokio::spawn(async move { left.sell(&last).await.is_ok() });
        till.kill().await?;
        // If it was not answered, nobody knows whether it is there.
        answered += u64::from(dying.await.unwrap_or(false));
        number += 1;
        let begun = Instant::now();
        door = till.start().await?;
        killed = killed.max(micros(begun));
        let status = door.status().await?;
        ensure!(status.head >= answered, "what was answered is there: {status:?}");
    }
    let (kib, _) = memory_kib(till.id().context("it runs")?)?;
    till.stop().await?;
    Ok(Opening { new, killed, file, kib })
}

/// Records sales while the daemon does not run.
async fn record(home: &Home, sales: u64, draw: &mut Random) -> anyhow::Result<()> {
    let till = daemon::open(home, &home.config()?).await?;
    let mut number = 0;
    while number < sales {
        let group = (sales - number).min(GROUP_MAX as u64);
        till.record_all(drafts(number, group, draw)?).await?;
        number += group;
    }
    Ok(())
}

fn drafts(first: u64, count: u64, draw: &mut Random) -> anyhow::Result<Vec<Draft>> {
    (first..first + count).map(|number| sale(number, draw)).collect()
}

/// KiB of memory of an idle daemon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// Once it has fetched the catalog.
    pub(super) fetched: u64,
    /// Started with the catalog on its disk.
    pub(super) started: u64,
    /// Of that, what is no page of a file.
    pub(super) anonymous: u64,
}

pub(super) async fn memory(directory: &Path, products: u64) -> anyhow::Result<Memory> {
    let store = format!("redb:{}", directory.join("cloud.redb").display());
    let tills = [("T-1", "B-0")];
    let mut shop = Shop::open_built(Profile::Release, directory, store, &tills, &[]).await?;
    fill(&shop, products).await?;
    let mut till = shop.install("T-1", None).await?;
    let door = till.start().await?;
    let last = format!("SKU-{:08}", products - 1);
    let until = Instant::now() + FILLED;
    while !door.products(&last).await?.to_string().contains(&last) {
        ensure!(Instant::now() < until, "the catalog does not come");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(REST).await;
    let (fetched, _) = memory_kib(till.id().context("it runs")?)?;
    till.stop().await?;
    let door = till.start().await?;
    door.sync().await?;
    tokio::time::sleep(REST).await;
    let (started, anonymous) = memory_kib(till.id().context("it runs")?)?;
    till.stop().await?;
    shop.cloud.stop().await?;
    Ok(Memory { fetched, started, anonymous })
}

fn micros(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}
