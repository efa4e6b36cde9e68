//! What a node of its own holds in memory, with a large catalog and the tills that use it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use counterfoil_tests::binaries::Profile;
use counterfoil_tests::postgres::Cluster;
use counterfoil_tests::shop::Shop;
use serde::Serialize;
use serde_json::{Value, json};

use super::Engine;
use crate::bench::catalog::{Asked, PRODUCTS, product};
use crate::bench::driver::{Part, drive};
use crate::bench::frames::prepare;
use crate::bench::usage::memory_kib;

/// How many tills use it.
const TILLS: usize = 20;
/// The most entities of one edit.
const EDITS: usize = 500;
/// How long a node is left alone before it is looked at.
const REST: Duration = Duration::from_secs(3);

/// KiB of memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Memory {
    /// Once it has the catalog.
    pub(super) filled_kib: u64,
    /// After each till has downloaded it, and sold a thousand times.
    pub(super) used_kib: u64,
    /// Of that, what is no page of a file.
    pub(super) anonymous_kib: u64,
}

pub(super) fn measure(engine: Engine) -> anyhow::Result<Memory> {
    tokio::runtime::Runtime::new()?.block_on(measured(engine))
}

async fn measured(engine: Engine) -> anyhow::Result<Memory> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("cloud");
    let store = match engine {
        Engine::Redb => format!("redb:{}", file.display()),
        Engine::Sled => format!("sled:{}", file.display()),
        Engine::Postgres => Cluster::shared().database()?,
    };
    let mut clients = prepare(TILLS, 1_000, 50)?;
    let names: Vec<String> = clients.iter().map(|till| till.terminal.to_string()).collect();
    let tills: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "B-0")).collect();
    // All of them push as fast as they can.
    let unlimited = ["--rate", "0", "--byte-rate", "0"];
    let mut shop =
        Shop::open_built(Profile::Release, directory.path(), store, &tills, &unlimited).await?;
    fill(&shop, PRODUCTS).await?;
    let node = shop.cloud.id().context("it runs")?;
    tokio::time::sleep(REST).await;
    let (filled_kib, _) = memory_kib(node)?;
    let address: SocketAddr = shop.address().parse()?;
    for (client, name) in clients.iter_mut().zip(&names) {
        client.token = shop.token(name)?.to_owned();
        let pages = Asked::connect(address, client).await?.snapshot().await?;
        ensure!(!pages.is_empty(), "each till has the catalog");
    }
    tokio::task::spawn_blocking(move || {
        drive(address, &clients, Part::Hello, false)?;
        drive(address, &clients, Part::Pushes, false)
    })
    .await??;
    tokio::time::sleep(REST).await;
    let (used_kib, anonymous_kib) = memory_kib(node)?;
    shop.cloud.stop().await?;
    Ok(Memory { filled_kib, used_kib, anonymous_kib })
}

/// Puts products into the catalog.
pub(crate) async fn fill(shop: &Shop, products: u64) -> anyhow::Result<()> {
    let edits: Vec<Value> =
        (0..products).map(|number| json!({ "put": product(number, 0) })).collect();
    for commit in edits.chunks(EDITS) {
        shop.edit(commit).await?;
    }
    Ok(())
}
