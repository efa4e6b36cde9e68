//! A shop that sells tea, for tests of what `explain` tells.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::shop::Shop;
use crate::till::{Door, Till};

/// How long a story may take to become what it should.
const LIMIT: Duration = Duration::from_secs(60);

/// Gives the shop its product, and installs `T-1` behind a link that can be cut.
///
/// # Errors
/// What went wrong, with what was said.
pub async fn furnish(shop: &Shop) -> anyhow::Result<(Till, Proxy)> {
    let product = json!({
        "productId": "tea", "name": "Tea", "barcodes": [], "priceMinor": 149, "currency": "GBP",
        "taxPpm": 200_000, "unit": "pcs", "category": null, "active": true,
    });
    shop.edit(&[json!({ "put": { "product": product } })]).await?;
    let link = Proxy::open(shop.address().parse().context("an address")?).await?;
    let till = shop.install("T-1", Some(link.address())).await?;
    Ok((till, link))
}

/// Asks the till for the story of an event of its register `front`.
///
/// # Errors
/// If there is no answer, or it is a refusal.
pub async fn story(door: &Door, id: &str) -> anyhow::Result<Value> {
    door.look(&format!("/sales/front/{id}/explain")).await
}

/// Asks until the story holds what is wanted.
///
/// # Errors
/// If it does not come to that.
pub async fn story_with(
    door: &Door,
    id: &str,
    holds: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let until = Instant::now() + LIMIT;
    loop {
        let told = story(door, id).await?;
        if holds(&told) {
            return Ok(told);
        }
        ensure!(Instant::now() < until, "it does not come to that: {told:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
