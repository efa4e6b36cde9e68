//! Sales that go wrong at the till page: one that the cloud cannot post is corrected, one is
//! voided, and the drawer is right to the penny.

use counterfoil_tests::till::Door;
use serde_json::{Value, json};

use super::cashier::{Cashier, LIMIT};
use super::{TILES, shop_that};

/// A program beside the page sells something under a code that nobody knows.
async fn sells_unknown(door: &Door, id: &str, code: &str) {
    let line = json!({
        "productId": code, "name": "Breakfast tea", "quantityMilli": 2000, "unitPriceMinor": 149,
        "taxPpm": 200_000,
    });
    let sale = json!({ "posId": "front", "localEventId": id, "currency": "GBP", "lines": [line] });
    let answer = door.raw("POST", "/sales", sale.to_string().into_bytes()).await;
    assert_eq!(answer.expect("an answer").status, 201);
}

async fn shows(door: &Door, path: &str) -> Value {
    door.look(path).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_what_went_wrong_is_corrected_voided_and_set_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, _link) =
        shop_that(directory.path(), &["--unknown-products", "park"]).await;
    let door = till.start().await.expect("the till is open");
    let mut cashier = Cashier::at(&door.page("front"), directory.path()).await;
    cashier.sees(TILES).await;
    cashier.clicks("[data-view=drawer]").await;
    cashier.writes("#float", "50.00").await;
    cashier.clicks("#open-drawer").await;
    cashier.sees("document.querySelector('#close-drawer')").await;
    cashier.clicks("[data-view=sell]").await;
    cashier.sells(&["bread"]).await;

    // A sale of an unknown code is tried again by itself; somebody sets another one aside.
    sells_unknown(&door, "typo", "tae").await;
    cashier.receipts.push(2);
    sells_unknown(&door, "aside", "toe").await;
    cashier.receipts.push(3);
    cashier.clicks("[data-view=attention]").await;
    cashier.clicks("[data-aside=aside]").await;
    cashier.sees("document.querySelector('[data-correct=aside]')").await;
    cashier.sees("document.querySelector('[data-correct=typo]')").await;
    cashier.reads("[data-code=POS_SYNC_PRODUCT_UNKNOWN]", "not in the cloud").await;
    cashier.pictured("attention-correct").await;

    // It is corrected: the code that was meant, at the price that was paid.
    cashier.clicks("[data-correct=typo]").await;
    cashier.writes("[data-line=\"0\"]", "tea").await;
    cashier.reads("#fixed-total", "£2.98").await;
    cashier.pictured("correct").await;
    cashier.clicks("#correct").await;
    cashier.gets_receipt().await;
    cashier.reads("dialog .paper", "CORRECTED RECEIPT").await;
    cashier.clicks("#next").await;
    cashier.sees("document.querySelector('[data-replaced=typo] .state.synced')").await;
    let kept = shows(&door, "/receipts/front/typo").await;
    assert_eq!(kept["state"], json!("replaced"), "{kept}");
    let by = kept["replacedBy"].as_str().expect("a name").to_owned();
    let story = shows(&door, "/sales/front/typo/explain").await;
    assert_eq!(story["replacedBy"], json!(by), "{story}");
    assert!(story["steps"].to_string().contains("\"replaced\""), "{story}");
    let other = shows(&door, &format!("/sales/front/{by}/explain")).await;
    assert_eq!(other["corrects"], json!(["typo"]), "{other}");

    // The other one is corrected to one piece instead of two, and the page says what differs.
    cashier.clicks("[data-correct=aside]").await;
    cashier.writes("[data-line=\"0\"]", "tea").await;
    cashier
        .screen
        .value("document.querySelector('.row.fix input[inputmode]').select() ?? true")
        .await
        .expect("a field");
    cashier.writes(".row.fix input[inputmode]", "1").await;
    cashier.reads("#fixed-total", "£1.49").await;
    cashier.reads("dialog .hint[role=alert]", "£2.98").await;
    cashier.clicks("#correct").await;
    cashier.gets_receipt().await;
    cashier.clicks("#next").await;
    cashier.sees("document.querySelectorAll('[data-replaced] .state.synced').length === 2").await;
    cashier.reads("#needs", "Nothing needs attention").await;
    cashier.pictured("corrected").await;

    // A whole sale is voided, with a reason, and once.
    cashier.clicks("[data-view=sales]").await;
    cashier.writes("#find", "1").await;
    cashier.screen.press("Enter").await.expect("a key");
    cashier.sees("document.querySelectorAll('#receipts .row').length === 1").await;
    cashier.clicks("#receipts .row").await;
    cashier.clicks("#void-sale").await;
    cashier.writes("#void-reason", "wrong customer").await;
    cashier.pictured("void").await;
    cashier.clicks("#void").await;
    // Until then the sale's own receipt is shown.
    cashier.reads("dialog .paper", "VOID").await;
    cashier.gets_receipt().await;
    cashier.clicks("#next").await;
    cashier.clicks("#receipts .row").await;
    cashier.reads("dialog .paper", "VOIDED").await;
    cashier
        .sees("!document.querySelector('#void-sale') && !document.querySelector('#give-back')")
        .await;
    cashier.clicks("#next").await;

    // The drawer: 50.00 + 4.25 - 4.25 + 2.98 + 1.49.
    cashier.is_safe().await;
    cashier.clicks("[data-view=drawer]").await;
    cashier.writes("#counted-cash", "54.47").await;
    cashier.clicks("#close-drawer").await;
    cashier.sees("document.querySelector('#last')?.dataset.cloud === 'confirmed'").await;
    assert_eq!(cashier.receipts.len(), 6);
    cashier.goes_home().await;
    let drawer = door.drawer("front").await.expect("a drawer").last.expect("a closing");
    let cash = drawer.tenders.first().expect("cash");
    assert_eq!((cash.expected_minor, cash.difference_minor), (5447, Some(0)), "{drawer:?}");

    let status = door.drain(LIMIT).await.expect("drained");
    assert_eq!((status.needs_attention, status.replaced), (0, 2), "{status:?}");
    till.stop().await.expect("stopped");
    shop.cloud.stop().await.expect("stopped");
    let (held, parked) = shop.cloud.figures().await.expect("figures");
    assert_eq!((held.money_minor, parked), (298 + 149, 0), "each sale once");
    assert_eq!(shop.cloud.check().await.expect("checked").problems_found, 0);
}
