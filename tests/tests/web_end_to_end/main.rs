//! The till in a real browser: the same roles compiled to wasm, IndexedDB as their store, a real
//! cloud behind a link that fails. There is no daemon: the browser is the till.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod clerk;

use std::path::Path;

use clerk::Clerk;
use counterfoil_tests::proxy::{Mode, Proxy};
use counterfoil_tests::shop::Shop;

/// A shop with one enrolled till, whose cloud serves the till for browsers, and the link to it.
async fn shop(directory: &Path) -> (Shop, Proxy) {
    let page = directory.join("page");
    let argument = format!("--till-page={}", page.display());
    let built = tokio::task::spawn_blocking(move || counterfoil_tests::web::build(&page)).await;
    built.expect("it does not panic").expect("the till for browsers");
    let tills = [("till-1", "north")];
    let shop = Shop::open_with(directory, "redb", &tills, &[&argument]).await.expect("a shop");
    let link = Proxy::open(shop.address().parse().expect("an address")).await.expect("a link");
    (shop, link)
}

/// Stops the cloud, and holds what it has against what was sold, to the penny.
async fn holds(shop: &mut Shop, sales: u64, money: i64) {
    shop.cloud.stop().await.expect("stopped");
    let (held, parked) = shop.cloud.figures().await.expect("figures");
    assert_eq!((held.lines, held.money_minor), (sales, money));
    let check = shop.cloud.check().await.expect("checked");
    assert_eq!((check.posted, check.conflicts, check.problems_found, parked), (sales, 0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_till_of_its_own_sells_on_through_outage_reload_and_kill() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, link) = shop(directory.path()).await;
    let home = directory.path().join("clerk");
    let mut clerk = Clerk::at(&home, link.address()).await;
    clerk.enrols(shop.token("till-1").expect("a credential")).await;
    assert_eq!(clerk.sells("tea", "1.49", 2).await, 1);
    clerk.sees_pending(0).await;

    // The network is gone: sales stay here, through a reload and without any server.
    link.set(Mode::Reset);
    assert_eq!(clerk.sells("bread", "4.25", 1).await, 2);
    clerk.sees("!document.querySelector('#banner').hidden").await;
    clerk.sees_pending(1).await;
    clerk.screen.reload().await.expect("reloaded");
    clerk.is_open().await;
    clerk.sees_pending(1).await;
    assert_eq!(clerk.sells("milk", "1.35", 1).await, 3);

    // The browser is killed while the receipt is still on the screen, and started again.
    let mut clerk = clerk.killed_and_back().await;
    clerk.sees_pending(2).await;
    assert_eq!(clerk.shown("queued").await, 2);
    assert_eq!(clerk.epoch().await, 1, "its witness was durable too");
    assert_eq!(clerk.sells("soap", "3.75", 1).await, 4);
    clerk.sees_pending(3).await;

    // It is back: everything is through, and stays so.
    link.set(Mode::Pass);
    clerk.clicks("#sync").await;
    clerk.sees_pending(0).await;
    assert_eq!(clerk.shown("synced").await, 4);
    clerk.goes_home().await;
    holds(&mut shop, 4, 2 * 149 + 425 + 135 + 375).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_till_of_its_own_offers_again_what_had_no_answer() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, link) = shop(directory.path()).await;
    let home = directory.path().join("clerk");
    let mut clerk = Clerk::at(&home, link.address()).await;
    clerk.enrols(shop.token("till-1").expect("a credential")).await;
    clerk.sees("document.querySelector('#banner').hidden").await;
    // Requests pass and are committed, and no answer comes back.
    link.set(Mode::CutAnswer(0));
    assert_eq!(clerk.sells("tea", "1.49", 1).await, 1);
    clerk.sees("!document.querySelector('#banner').hidden").await;
    clerk.sees_pending(1).await;
    let mut clerk = clerk.killed_and_back().await;
    link.set(Mode::Pass);
    clerk.clicks("#sync").await;
    clerk.sees_pending(0).await;
    clerk.goes_home().await;
    holds(&mut shop, 1, 149).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_till_of_its_own_opens_a_new_epoch_if_copied_or_restored() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, link) = shop(directory.path()).await;
    let home = directory.path().join("clerk");
    let mut clerk = Clerk::at(&home, link.address()).await;
    clerk.enrols(shop.token("till-1").expect("a credential")).await;
    assert_eq!(clerk.sells("tea", "1.49", 1).await, 1);
    clerk.sees_pending(0).await;
    clerk.goes_home().await;

    // Somebody copies the whole profile: nothing in it can tell. Each copy sells something else.
    let twin = directory.path().join("twin");
    clerk::copied(&home, &twin);
    let mut clerk = Clerk::back(&home, link.address()).await;
    assert_eq!(clerk.sells("bread", "4.25", 1).await, 2);
    clerk.sees_pending(0).await;
    clerk.goes_home().await;
    let mut other = Clerk::back(&twin, link.address()).await;
    // The greeting has found it, before or after the sale: each counts once, under a new epoch.
    other.sells("milk", "1.35", 1).await;
    other.sees_pending(0).await;
    other.sees("Number(document.body.dataset.epoch) > 1").await;
    other.goes_home().await;

    // Somebody puts older rows back under a newer witness: found before anything is sold.
    let mut clerk = Clerk::back(&home, link.address()).await;
    clerk.keeps_its_rows().await;
    for _ in 0..2 {
        clerk.screen.reload().await.expect("reloaded");
        clerk.is_open().await;
    }
    clerk.sells("soap", "3.75", 1).await;
    clerk.sees_pending(0).await;
    let before = clerk.epoch().await;
    clerk.gets_its_rows_back().await;
    clerk.screen.reload().await.expect("reloaded");
    clerk.is_open().await;
    assert!(clerk.epoch().await > before, "the rows are older than the witness");
    clerk.reads("#note", "restored").await;
    clerk.sells("candles", "8.99", 1).await;
    clerk.sees_pending(0).await;
    clerk.goes_home().await;
    holds(&mut shop, 5, 149 + 425 + 135 + 375 + 899).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_till_of_its_own_has_one_writer_and_says_what_was_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let (shop, link) = shop(directory.path()).await;
    let home = directory.path().join("clerk");
    let mut clerk = Clerk::at(&home, link.address()).await;
    clerk.enrols(shop.token("till-1").expect("a credential")).await;
    // A second tab waits for the first one.
    clerk.screen.value("(globalThis.twin = window.open('./')) !== null").await.expect("a tab");
    clerk.sees("twin.document.body?.dataset.stage === 'waiting'").await;
    clerk.sees("twin.document.querySelector('#note').textContent.includes('another tab')").await;
    clerk.screen.value("twin.close() ?? true").await.expect("closed");
    // A click into a tab that lies behind another one is not heard.
    clerk.sees("twin.closed").await;
    clerk.screen.call("Page.bringToFront", serde_json::json!({})).await.expect("in front");
    assert_eq!(clerk.sells("tea", "1.49", 1).await, 1);
    clerk.sees_pending(0).await;
    // Whoever clears the database under an open till stops it: what it would sell would be lost.
    clerk.screen.value("indexedDB.deleteDatabase('counterfoil') && true").await.expect("deleted");
    clerk.reads("#stop", "given up the database").await;
    clerk.sees("document.querySelector('#complete').disabled").await;
    clerk.screen.reload().await.expect("reloaded");
    clerk.sees("document.body.dataset.stage === 'enrol'").await;
    clerk.reads("#note", "its database is gone").await;
    // Enrolled again it is a new history, which the cloud takes beside the old one.
    clerk.enrols(shop.token("till-1").expect("a credential")).await;
    clerk.sells("tea", "1.49", 1).await;
    clerk.sees_pending(0).await;
    clerk.goes_home().await;
    let mut shop = shop;
    holds(&mut shop, 2, 2 * 149).await;
}
