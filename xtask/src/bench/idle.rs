//! `cargo xtask bench idle`: what a till costs when nothing happens: requests, and bytes with and
//! without the heads of HTTP, through a proxy that counts, with the real programs.
//!
//! Two tills, one after the other: with a stream of news, and polling alone. So that a window of
//! minutes tells of hours, the tills ask more often than they do by default; what they asked is
//! scaled back by that, what the stream carried is not scaled but by the window's length. A till
//! keeps its connection between questions here; by default it makes a new one for each. Bytes are
//! those of HTTP: what TCP and IP add is not counted. The cloud's CPU is that of its process,
//! whatever it was for.

mod count;

use std::time::Duration;

use anyhow::Context as _;
use counterfoil_tests::binaries::Profile;
use counterfoil_tests::shop::Shop;
use serde_json::{Value, json};

use super::usage::cpu_micros;
use super::{fraction, print_rows, row};
use count::{Counter, Tally};

/// How often an idle till asks by default, in seconds.
const USUAL_SECS: u64 = 15 * 60;
/// How long its start may take, before counting begins.
const SETTLE: Duration = Duration::from_secs(20);
const HOUR: u64 = 3_600;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Idle {
    /// How many seconds are counted
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(60..=86_400))]
    window: u64,
    /// How often the till asks meanwhile, in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=900))]
    ask_every: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What was counted in a window: of the stream, and of everything else.
#[derive(Clone, Copy, Debug)]
struct Measured {
    stream: Tally,
    asked: Tally,
    /// The cloud's CPU, in microseconds.
    server_micros: u64,
}

pub(crate) fn run(wish: &Idle) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let with_stream = runtime.block_on(measure(wish, true))?;
    let polling = runtime.block_on(measure(wish, false))?;
    for (what, measured) in [("with a stream", with_stream), ("polling alone", polling)] {
        show(wish, what, measured);
    }
    Ok(())
}

fn show(wish: &Idle, what: &str, Measured { stream, asked, server_micros }: Measured) {
    // By default questions come as much less often as the period is longer; beats do not.
    let asked_an_hour = |count: u64| count * HOUR * wish.ask_every / (wish.window * USUAL_SECS);
    let told_an_hour = |count: u64| count * HOUR / wish.window;
    let requests_per_mille =
        asked.requests * HOUR * wish.ask_every * 1_000 / (wish.window * USUAL_SECS * 60);
    let payload = asked_an_hour(asked.payload) + told_an_hour(stream.payload);
    let all = payload + asked_an_hour(asked.heads) + told_an_hour(stream.heads);
    // Not scaled back: how much of it the questions are is not known.
    let server_ms = told_an_hour(server_micros) / 1_000;
    if wish.json {
        let told = json!({
            "till": what, "windowSecs": wish.window, "askEverySecs": wish.ask_every,
            "counted": {
                "requests": asked.requests, "payload": asked.payload, "heads": asked.heads,
                "streamPayload": stream.payload, "streamHeads": stream.heads,
            },
            "anHour": { "payloadBytes": payload, "bytesWithHeads": all,
                        "serverMillisAtMost": server_ms },
            "requestsPerMinute": fraction(requests_per_mille),
        });
        println!("{told}");
        return;
    }
    println!(
        "\n{what}: {} requests in {} s, asking every {} s at most; an hour at {USUAL_SECS} s:",
        asked.requests, wish.window, wish.ask_every
    );
    print_rows(&[
        row("payload, bytes an hour", payload, Some(2_560)),
        row("with the heads of HTTP, bytes an hour", all, Some(15_360)),
        row("of that over the stream", told_an_hour(stream.payload + stream.heads), None),
        row("requests in 1,000 minutes", requests_per_mille, Some(200)),
        row("the cloud's CPU, ms an hour, with so many more questions", server_ms, Some(1_000)),
    ]);
}

async fn measure(wish: &Idle, stream: bool) -> anyhow::Result<Measured> {
    let directory = tempfile::tempdir()?;
    let store = format!("redb:{}", directory.path().join("cloud").display());
    let tills = [("T-1", "north")];
    let mut shop = Shop::open_built(Profile::Release, directory.path(), store, &tills, &[]).await?;
    let tea = json!({ "put": { "product": {
        "productId": "tea", "name": "Tea", "barcodes": [], "priceMinor": 100, "currency": "GBP",
        "taxPpm": 0, "unit": "pcs", "category": null, "active": true } } });
    shop.edit(&[tea]).await?;
    let cloud = shop.address().parse().context("an address")?;
    let counter = Counter::open(cloud).await?;
    let mut till = shop.install("T-1", Some(counter.address())).await?;
    let settings = till.home().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&settings)?)?;
    config["askEverySecs"] = json!(wish.ask_every);
    config["stream"] = json!(stream);
    std::fs::write(&settings, config.to_string())?;
    till.start().await?;
    tokio::time::sleep(SETTLE).await;
    let cloud = shop.cloud.id().context("it runs")?;
    let (before, busy) = (counter.tallies(), cpu_micros(cloud)?);
    tokio::time::sleep(Duration::from_secs(wish.window)).await;
    let (after, server_micros) = (counter.tallies(), cpu_micros(cloud)? - busy);
    till.stop().await?;
    shop.cloud.stop().await?;
    let since = |index: usize| after[index].since(before[index]);
    Ok(Measured { stream: since(0), asked: since(1), server_micros })
}
