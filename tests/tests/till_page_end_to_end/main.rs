//! The till page in a real browser, before a real daemon and a real cloud: what a cashier sees and
//! does while the network goes, the page is reloaded and the daemon is killed.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod cashier;
mod day;
mod mend;
mod money;

use std::path::Path;

use cashier::{Cashier, LIMIT};
use counterfoil_tests::proxy::{Mode, Proxy};
use counterfoil_tests::shop::Shop;
use counterfoil_tests::till::Till;
use serde_json::{Value, json};

/// Name, price, unit, category and barcode of what is sold.
const GOODS: [(&str, &str, i64, &str, &str, &str); 16] = [
    ("tea", "Breakfast tea", 149, "pcs", "hot", "5000000000011"),
    ("coffee", "Flat white", 320, "pcs", "hot", "5000000000028"),
    ("cocoa", "Hot chocolate with cream", 395, "pcs", "hot", "5000000000042"),
    ("bread", "Sourdough loaf 800 g", 425, "pcs", "bakery", "5000000000066"),
    ("croissant", "Butter croissant", 210, "pcs", "bakery", "5000000000059"),
    ("roll", "Seeded roll", 85, "pcs", "bakery", "5000000000073"),
    ("muffin", "Blueberry muffin", 265, "pcs", "bakery", "5000000000080"),
    ("apples", "Apples, Braeburn", 285, "kg", "fruit", "5000000000097"),
    ("bananas", "Bananas", 129, "kg", "fruit", "5000000000103"),
    ("tomatoes", "Vine tomatoes", 340, "kg", "fruit", "5000000000110"),
    ("lemon", "Lemon", 45, "pcs", "fruit", "5000000000127"),
    ("milk", "Whole milk 1 l", 135, "pcs", "dairy", "5000000000134"),
    ("butter", "Salted butter 250 g", 229, "pcs", "dairy", "5000000000141"),
    ("cheddar", "Mature cheddar", 1150, "kg", "dairy", "5000000000158"),
    ("soap", "Olive oil soap", 375, "pcs", "house", "5000000000172"),
    ("candles", "Beeswax candles, six", 899, "pcs", "house", "5000000000189"),
];

const CATEGORIES: [(&str, &str); 5] = [
    ("bakery", "Bakery"),
    ("dairy", "Dairy"),
    ("fruit", "Fruit & veg"),
    ("hot", "Hot drinks"),
    ("house", "Household"),
];

fn wire(id: &str, price_minor: i64) -> Value {
    let (_, name, _, unit, category, code) =
        GOODS.into_iter().find(|(known, ..)| *known == id).expect("something that is sold");
    json!({
        "productId": id, "name": name, "barcodes": [code], "priceMinor": price_minor,
        "currency": "GBP", "taxPpm": 200_000, "unit": unit, "category": category, "active": true,
    })
}

/// A shop with goods, one till, and the link between till and cloud.
async fn shop(directory: &Path) -> (Shop, Till, Proxy) {
    shop_that(directory, &[]).await
}

/// The same with further arguments to the cloud.
async fn shop_that(directory: &Path, more: &[&str]) -> (Shop, Till, Proxy) {
    let tills = [("till-1", "north")];
    let shop = Shop::open_with(directory, "redb", &tills, more).await.expect("a shop");
    let categories = CATEGORIES
        .map(|(id, name)| json!({ "put": { "category": { "categoryId": id, "name": name } } }));
    let goods = GOODS.map(|(id, _, price, ..)| json!({ "put": { "product": wire(id, price) } }));
    let edits: Vec<Value> = categories.into_iter().chain(goods).collect();
    shop.edit(&edits).await.expect("goods");
    let cloud = shop.address().parse().expect("an address");
    let link = Proxy::open(cloud).await.expect("a link");
    let till = shop.install("till-1", Some(link.address())).await.expect("a till");
    (shop, till, link)
}

const TILES: &str = "document.querySelectorAll('.tile').length === 16";

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_cashier_sells_on_while_everything_fails() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    let mut cashier = Cashier::at(&door.page("front"), directory.path()).await;
    cashier.sees(TILES).await;

    // The network is up: what is sold is in the cloud at once.
    for _ in 0..20 {
        cashier.sells(&["tea", "bread"]).await;
    }
    cashier.is_safe().await;
    cashier.sees_pending(0).await;
    for sku in ["coffee", "coffee", "croissant", "cheddar", "candles"] {
        cashier.takes(sku).await;
    }
    cashier.pictured("sell").await;
    cashier.clicks("#pay").await;
    cashier.pictured("pay").await;
    cashier.screen.press("Escape").await.expect("a key");
    cashier.empties().await;

    // It is cut: the page says so and why, and the till sells on.
    link.set(Mode::Reset);
    cashier.sells(&["milk"]).await;
    cashier.sees("document.querySelector('#cause')?.dataset.cause === 'noCloud'").await;
    cashier.reads("#link", "Offline").await;
    cashier.sees("document.querySelector('#lamp')?.dataset.safe === 'false'").await;
    for _ in 0..19 {
        cashier.sells(&["apples", "soap", "soap"]).await;
    }
    cashier.sees_pending(20).await;
    cashier.takes("milk").await;
    cashier.pictured("offline").await;
    cashier.screen.dark(true).await.expect("dark");
    cashier.pictured("offline-dark").await;
    cashier.screen.dark(false).await.expect("light");
    cashier.screen.size(390, 844).await.expect("small");
    cashier.pictured("phone").await;
    cashier.screen.size(1280, 800).await.expect("large");
    cashier.empties().await;
    // Who presses Sync hears that it did not work, and that nothing is lost.
    cashier.clicks("#sync").await;
    cashier.reads("#toasts", "Nothing is lost").await;

    // A reload keeps the basket, also while the daemon is dead.
    cashier.scans("5000000000134").await;
    cashier.takes("tea").await;
    cashier.has_lines(2).await;
    cashier.screen.reload().await.expect("reloaded");
    cashier.has_lines(2).await;
    cashier.sees("navigator.serviceWorker?.controller !== null").await;
    cashier.screen.reload().await.expect("reloaded");
    cashier.sees(TILES).await;
    till.kill().await.expect("killed");
    cashier.sees("document.querySelector('.pill.silent')").await;
    cashier.pictured("silent").await;
    cashier.screen.reload().await.expect("reloaded");
    cashier.has_lines(2).await;

    // The sale is completed while no daemon runs: it waits on the screen, and is recorded once.
    cashier.clicks("#pay").await;
    cashier.clicks("#complete").await;
    cashier.reads("#recording", "does not answer").await;
    let door = till.start().await.expect("the till is open again");
    cashier.gets_receipt().await;
    cashier.clicks("#next").await;

    // The page is closed in the middle of a checkout: what was begun is finished when it is back.
    cashier.takes("bread").await;
    till.kill().await.expect("killed");
    cashier.clicks("#pay").await;
    cashier.clicks("#complete").await;
    cashier.reads("#recording", "does not answer").await;
    cashier.screen.reload().await.expect("reloaded");
    let door = {
        drop(door);
        till.start().await.expect("the till is open again")
    };
    cashier.gets_receipt().await;
    cashier.clicks("#next").await;
    cashier.has_lines(0).await;
    cashier.sees(TILES).await;
    cashier.sells(&["soap"]).await;
    cashier.sees_pending(23).await;

    // The network is back. One press of the button, and everything is through.
    link.set(Mode::Pass);
    cashier.clicks("#sync").await;
    cashier.reads("#toasts", "Everything is in the cloud").await;
    cashier.sees_pending(0).await;
    cashier.is_safe().await;
    cashier.sees("document.querySelector('.banner').hidden").await;
    assert_eq!(cashier.receipts.len(), 43);
    cashier.goes_home().await;

    // The cloud holds each sale once, to the penny.
    let status = door.status().await.expect("a status");
    assert_eq!((status.synced, status.pending, status.needs_attention), (43, 0, 0), "{status:?}");
    let sold = door.figures().await.expect("figures");
    let money = 20 * (149 + 425) + 135 + 19 * (285 + 2 * 375) + (135 + 149) + 425 + 375;
    assert_eq!(sold.money_minor, money);
    till.stop().await.expect("stopped");
    shop.cloud.stop().await.expect("stopped");
    let (held, parked) = shop.cloud.figures().await.expect("figures");
    assert_eq!((held.lines, held.quantity, held.money_minor), (sold.lines, sold.quantity, money));
    let check = shop.cloud.check().await.expect("checked");
    assert_eq!((check.posted, check.conflicts, check.problems_found, parked), (43, 0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_sale_whose_answer_is_lost_is_recorded_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, _link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    // The screen speaks to its till through a link too: this one loses answers, not requests.
    let wire = Proxy::open(door.address().parse().expect("an address")).await.expect("a link");
    let page = door.page("front").replace(door.address(), &wire.address().to_string());
    let mut cashier = Cashier::at(&page, directory.path()).await;
    cashier.sees(TILES).await;
    cashier.takes("tea").await;
    cashier.clicks("#pay").await;
    cashier.sees("document.querySelector('#complete')").await;
    wire.set(Mode::CutAnswer(0));
    cashier.clicks("#complete").await;
    door.until(LIMIT, |status| status.head > 0).await.expect("it is recorded");
    cashier.reads("#recording", "does not answer").await;
    // It has asked again and again by now.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    wire.set(Mode::Pass);
    cashier.gets_receipt().await;
    cashier.clicks("#next").await;
    cashier.has_lines(0).await;
    let status = door.drain(LIMIT).await.expect("drained");
    assert_eq!((status.head, status.synced), (1, 1), "one sale, however often it was asked for");
    cashier.goes_home().await;
    till.stop().await.expect("stopped");
    shop.cloud.stop().await.expect("stopped");
}
