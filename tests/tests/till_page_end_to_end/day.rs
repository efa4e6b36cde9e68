//! A day at the till page: from the float to the close of day, with everything in between that is
//! no fault of the network.

use counterfoil_protocol::catalog::{Entity, EntityId};
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::wire::catalog::EntityV1;
use counterfoil_tests::disk;
use counterfoil_tests::till::Door;
use serde_json::{Value, json};

use super::cashier::{Cashier, LIMIT};
use super::{TILES, shop, wire};

async fn posts(door: &Door, path: &str, body: &Value) {
    let answer = door.raw("POST", path, body.to_string().into_bytes()).await.expect("an answer");
    let said = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 201, "{path}: {said}");
}

/// A program beside the page takes something back whose sale nobody has: it will need attention.
fn lost_and_found(id: &str) -> Value {
    let line = json!({
        "productId": "candles", "name": "Beeswax candles, six", "quantityMilli": 1000,
        "unitPriceMinor": 899,
    });
    json!({ "posId": "back", "localEventId": id, "currency": "GBP", "lines": [line] })
}

/// Weighs, takes a card, gives change and a discount, and takes something back.
async fn sells(cashier: &mut Cashier) {
    cashier.clicks("[data-view=sell]").await;
    cashier.takes("apples").await;
    cashier.clicks("#lines .what").await;
    cashier.writes("dialog input", "0.75").await;
    cashier.screen.press("Enter").await.expect("a key");
    cashier.reads("#total", "£2.14").await;
    cashier.clicks("#pay").await;
    cashier.clicks("[data-tender=card]").await;
    cashier.clicks("#complete").await;
    cashier.gets_receipt().await;
    cashier.clicks("#next").await;

    // By keyboard alone: the scanner, F4, what is given, Enter.
    cashier.scans("5000000000011").await;
    cashier.has_lines(1).await;
    cashier.scans("5000000000011").await;
    cashier.reads("#total", "£2.98").await;
    cashier.screen.press("F4").await.expect("a key");
    cashier.writes("#given", "5").await;
    cashier.reads("#change", "£2.02").await;
    cashier.screen.press("Enter").await.expect("a key");
    cashier.gets_receipt().await;
    cashier.reads("dialog .paper", "£2.02").await;
    cashier.pictured("receipt").await;
    cashier.clicks("#next").await;

    // A part of it comes back, and no more than was sold can.
    cashier.clicks("[data-view=sales]").await;
    cashier.writes("#find", "2").await;
    cashier.screen.press("Enter").await.expect("a key");
    cashier.sees("document.querySelectorAll('#receipts .row').length === 1").await;
    // What the cloud has of it has its number there.
    cashier.sees("document.querySelector('#receipts .row .state.synced')").await;
    cashier.clicks("#receipts .row").await;
    cashier.reads("#standing", "ORD-").await;
    cashier.clicks("#give-back").await;
    cashier.clicks("dialog .stepper button:last-child").await;
    cashier.reads("#refund", "£1.49").await;
    cashier.pictured("return").await;
    cashier.clicks("#refund").await;
    cashier.gets_receipt().await;
    cashier.clicks("#next").await;
    cashier.clicks("#receipts .row").await;
    cashier.clicks("#give-back").await;
    cashier.clicks("#all-back").await;
    cashier.reads("#refund", "£1.49").await;
    cashier.screen.press("Escape").await.expect("a key");
}

/// A receipt is printed on a roll of 80 mm, on one page that is as long as it.
async fn prints(cashier: &mut Cashier) {
    cashier.screen.value("window.print = () => {}").await.expect("nothing is printed");
    cashier.clicks("#receipts .row").await;
    cashier.clicks("#print").await;
    let document = cashier.screen.printed().await.expect("a document");
    let text = String::from_utf8_lossy(&document);
    let pages: Vec<&str> = text.split("/MediaBox [0 0 ").skip(1).collect();
    assert_eq!(pages.len(), 1, "a receipt is one page");
    let width = pages[0].split(['.', ' ']).next().expect("a width");
    // 80 mm are 226.8 points.
    assert!(["226", "227"].contains(&width), "{width} points wide");
    cashier.screen.value("dispatchEvent(new Event('afterprint'))").await.expect("it is over");
    cashier.clicks("#next").await;
}

async fn moves_cash(cashier: &mut Cashier) {
    cashier.clicks("[data-view=drawer]").await;
    for (amount, reason, button, shown) in [
        ("20", "change from the bank", "#put-in", "£20.00"),
        ("5.50", "window cleaner", "#take-out", "£5.50"),
    ] {
        cashier.writes("#move-amount", amount).await;
        cashier.writes("#move-reason", reason).await;
        cashier.clicks(button).await;
        cashier.reads("#drawer .facts", shown).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_day_goes_from_float_to_close() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, _link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    let mut refund = lost_and_found("back-1");
    refund["original"] =
        json!({ "terminalId": "till-1", "posId": "back", "localEventId": "lost-1" });
    posts(&door, "/refunds", &refund).await;
    let mut cashier = Cashier::at(&door.page("front"), directory.path()).await;
    cashier.sees(TILES).await;

    cashier.clicks("[data-view=drawer]").await;
    cashier.writes("#float", "50.00").await;
    cashier.clicks("#open-drawer").await;
    cashier.sees("document.querySelector('#close-drawer')").await;
    sells(&mut cashier).await;
    prints(&mut cashier).await;
    moves_cash(&mut cashier).await;

    // A new price comes with the next sync.
    shop.edit(&[json!({ "put": { "product": wire("tea", 159) } })]).await.expect("a price");
    cashier.clicks("[data-view=sell]").await;
    cashier.screen.press("F8").await.expect("a key");
    cashier.reads("[data-sku=tea]", "£1.59").await;

    // What needs attention says why, and one button tries again.
    cashier.sees("document.querySelector('#needs-count')?.innerText === '1'").await;
    cashier.clicks("[data-view=attention]").await;
    cashier.reads("[data-code=POS_SYNC_ORIGINAL_PENDING]", "has not reached the cloud").await;
    cashier.pictured("attention").await;
    posts(&door, "/sales", &lost_and_found("lost-1")).await;
    cashier.sees_pending(0).await;
    cashier.clicks("[data-retry=back-1]").await;
    cashier.reads("#needs", "Nothing needs attention").await;
    cashier.is_safe().await;

    // The catalog is what the cloud has; then rows go wrong, and a plan says which.
    cashier.clicks("[data-view=check]").await;
    cashier.clicks("#compare").await;
    cashier.sees("document.querySelector('#clean')").await;
    till.stop().await.expect("stopped");
    let wrong: EntityV1 =
        serde_json::from_value(json!({ "product": wire("milk", 999) })).expect("a product");
    let wrong = Entity::parse(wrong).expect("a product");
    let lost = EntityId::product(ProductId::parse("roll").expect("a name"));
    let changes = [(wrong.id(), Some(&wrong)), (lost, None)];
    disk::drift(till.home(), &changes).await.expect("nobody has the database");
    let door = till.start().await.expect("the till is open again");
    cashier.sees("document.querySelector('.pill.online')").await;
    cashier.clicks("#compare").await;
    cashier.reads("#summary", "1 to change, 1 to add").await;
    cashier.reads(".plan", "£9.99 → £1.35").await;
    cashier.pictured("plan").await;
    cashier.clicks("#apply").await;
    cashier.sees("document.querySelector('#clean')").await;

    // Closed with what was counted, and confirmed to the penny: 50.00 + 2.98 - 1.49 + 20.00 - 5.50.
    cashier.clicks("[data-view=drawer]").await;
    cashier.writes("#counted-cash", "65.99").await;
    cashier.writes("#counted-card", "2.14").await;
    cashier.pictured("drawer").await;
    cashier.clicks("#close-drawer").await;
    cashier.sees("document.querySelector('#last')?.dataset.cloud === 'confirmed'").await;
    cashier.pictured("closed").await;
    assert_eq!(cashier.receipts.len(), 3);
    cashier.goes_home().await;
    let drawer = door.drawer("front").await.expect("a drawer").last.expect("a closing");
    let cash = drawer.tenders.first().expect("cash");
    assert_eq!((cash.expected_minor, cash.difference_minor), (6599, Some(0)), "{drawer:?}");

    door.drain(LIMIT).await.expect("drained");
    till.stop().await.expect("stopped");
    shop.cloud.stop().await.expect("stopped");
    assert_eq!(shop.cloud.check().await.expect("checked").problems_found, 0);
}
