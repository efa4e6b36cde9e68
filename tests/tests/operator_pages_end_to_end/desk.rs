//! A day at the desk: what a person looks at and decides, and what becomes of it at the till.

use counterfoil_tests::shop::OPERATOR;
use counterfoil_tests::till::Door;
use serde_json::json;

use super::operator::{LIMIT, Operator};
use super::{sells, shop};

/// Whoever has a wrong token is told so; who has the right one sees the tills.
async fn arrives(operator: &mut Operator) {
    operator.reads("main", "Log in").await;
    operator.logs_in("a token of somebody else").await;
    operator.reads("#login-trouble", "this is not the operator's token").await;
    operator.reads("#login-trouble code", "POS_SYNC_UNAUTHORIZED").await;
    operator.pictured("login").await;
    operator.logs_in(OPERATOR).await;
    operator.sees("document.querySelector('[data-row=till-1]')").await;
    operator.reads("[data-row=old-till]", "revoked").await;
    operator
        .sees("document.querySelector('tbody tr:last-child')?.dataset.row === 'old-till'")
        .await;
    operator.sees("document.querySelector('#link')?.dataset.state === 'live'").await;
    operator.finds_its_way().await;
    operator.pictured("fleet").await;
    operator.screen.dark(true).await.expect("dark");
    operator.pictured("fleet-dark").await;
    operator.screen.dark(false).await.expect("light");
    operator.writes("#search", "south").await;
    operator.sees("document.querySelectorAll('#fleet tbody tr').length === 1").await;
    operator.writes("#search", "").await;

    operator.clicks("[data-key=till-1]").await;
    operator.reads("main h1", "till-1").await;
    operator.reads("#till-journal tbody tr td", "3").await;
    operator.reads("#till-days", "day-1").await;
    operator.pictured("till").await;
}

/// What waits comes to the page by itself, and is decided there.
async fn decides(operator: &mut Operator, door: &Door) {
    operator.goes("parked").await;
    operator.reads("#parked", "Nothing waits for you").await;
    sells(door, "s-9", "halva", "Pistachio halva", 2_000, 650).await;
    sells(door, "s-10", "figs", "Dried figs", 1_000, 480).await;
    operator.reads("#parked-count", "2").await;
    operator.reads("[data-event=s-9]", "Pistachio halva").await;
    operator.reads("[data-event=s-9]", "£13.00").await;
    operator.finds_its_way().await;
    operator.pictured("parked").await;

    operator.clicks("[data-event=s-10] [data-decide=reject]").await;
    operator.clicks("#decide-go").await;
    operator.reads("dialog .trouble", "A rejection needs a reason").await;
    operator.writes("#field-reason", "a training sale").await;
    operator.clicks("#decide-go").await;
    operator.misses("[data-event=s-10]").await;
    operator.clicks("[data-event=s-9] [data-decide=retry]").await;
    operator.reads("#toasts", "It still waits").await;
    operator.clicks("[data-event=s-9] [data-decide=accept]").await;
    operator.writes("#field-reason", "seen on the slip").await;
    operator.clicks("#decide-go").await;
    operator.misses("[data-event=s-9]").await;
    operator.misses("#parked-count").await;
}

/// What became of one sale: reached from what is parked, and from its till.
async fn tells_a_story(operator: &mut Operator, door: &Door) {
    sells(door, "s-11", "nougat", "Nougat", 1_000, 250).await;
    operator.clicks("[data-story=s-11]").await;
    operator.reads("main h1", "Story of s-11").await;
    operator.reads("#story-facts", "POS_SYNC_PRODUCT_UNKNOWN").await;
    operator.reads("#story-unknown", "how often it was offered").await;
    operator.clicks(".back").await;
    operator.reads("main h1", "till-1").await;
    // What stands above the form has come: it moves no more.
    operator.reads("#till-journal", "Chain").await;
    operator.reads("#till-facts", "north").await;
    operator.writes("#field-pos", "front").await;
    operator.writes("#field-event", "s-9").await;
    operator.clicks("#find-story button").await;
    operator.reads("main h1", "Story of s-9").await;
    operator.reads("#story-facts", "accepted: seen on the slip").await;
    operator.reads("#story-facts", "ORD-").await;
    operator.reads("#story-steps", "seen on the slip").await;
    operator.reads("#story-moved", "halva").await;
    operator.finds_its_way().await;
    operator.pictured("story").await;
    operator.screen.dark(true).await.expect("dark");
    operator.pictured("story-dark").await;
    operator.screen.dark(false).await.expect("light");
    operator.screen.size(390, 844).await.expect("small");
    operator.scrolls_down_only("story").await;
    operator.screen.size(1280, 800).await.expect("large");
    operator.goes("parked").await;
    operator.clicks("[data-event=s-11] [data-decide=reject]").await;
    operator.writes("#field-reason", "a training sale").await;
    operator.clicks("#decide-go").await;
    operator.misses("[data-event=s-11]").await;
}

/// A price that is changed here is asked for at the till.
async fn prices(operator: &mut Operator, door: &Door) {
    operator.goes("catalog").await;
    operator.sees("document.querySelectorAll('#catalog tbody tr').length === 10").await;
    operator.pictured("catalog").await;
    operator.writes("#search", "breakf").await;
    operator.sees("document.querySelectorAll('#catalog tbody tr').length === 1").await;
    operator.clicks("[data-edit=tea]").await;
    operator.writes("#field-price", "one pound").await;
    operator.clicks("#product-form-go").await;
    operator.reads("dialog .trouble", "A price is written like").await;
    operator.writes("#field-price", "1.65").await;
    operator.writes("#field-name", "Breakfast tea, large").await;
    operator.pictured("edit").await;
    operator.clicks("#product-form-go").await;
    operator.reads("[data-row=tea]", "£1.65").await;
    let until = tokio::time::Instant::now() + LIMIT;
    loop {
        door.sync().await.expect("it speaks to the cloud");
        let sold = door.products("").await.expect("products");
        let tea = sold.as_array().expect("a list").iter().find(|one| one["productId"] == "tea");
        let tea = tea.expect("it is sold").to_string();
        if tea.contains("165") && tea.contains("Breakfast tea, large") {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "the till hears of it: {tea}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// A file with a mistake changes nothing, and says where it is.
async fn imports(operator: &mut Operator, directory: &std::path::Path) {
    let file = directory.join("products.csv");
    let head = "productId,name,price,currency";
    std::fs::write(&file, format!("{head}\nfigs,Dried figs,4.80,GBP\nbad,Bad,x,GBP\n"))
        .expect("a file");
    operator.clicks("#import").await;
    operator.hands_over("#field-file", &file).await;
    operator.clicks("#import-form-go").await;
    operator.reads("dialog .trouble", "line 3").await;
    std::fs::write(&file, format!("{head}\nfigs,Dried figs,4.80,GBP\n")).expect("a file");
    operator.hands_over("#field-file", &file).await;
    operator.clicks("#import-form-go").await;
    operator.reads("#toasts", "1 products read, 1 changed").await;
    operator.writes("#search", "figs").await;
    operator.reads("[data-row=figs]", "£4.80").await;
}

/// An order takes more than there is: it counts, and the stock is flagged.
async fn orders(operator: &mut Operator) {
    operator.chooses("north").await;
    operator.goes("orders").await;
    for (id, product, quantity) in [("web-1", "tea", "30"), ("web-2", "soap", "2")] {
        operator.clicks("#place").await;
        operator.writes("#field-id", id).await;
        operator.writes("#field-product-1", product).await;
        operator.writes("#field-quantity-1", quantity).await;
        operator.clicks("#order-form-go").await;
        operator.sees(&format!("document.querySelector('[data-row={id}]')")).await;
    }
    operator.clicks("[data-cancel=web-2]").await;
    operator.clicks("#sure").await;
    operator.reads("[data-row=web-2]", "cancelled").await;
    operator.writes("#buffer-share input", "10").await;
    operator.clicks("#buffer-share button").await;
    operator.reads("#toasts", "Set.").await;
    operator.writes("#field-product", "butter").await;
    operator.clicks("#buffer-look").await;
    operator.reads("#store-shows", "24 in stock, the store shows 21.6").await;
    operator.finds_its_way().await;
    operator.pictured("orders").await;
}

/// What is below zero comes first, and goes when somebody has counted.
async fn stock(operator: &mut Operator) {
    operator.goes("stock").await;
    // What was accepted fell below zero as well: that nobody has settled, so it comes first.
    operator.sees("document.querySelector('#stock tbody tr')?.dataset.row === 'halva'").await;
    operator.reads("[data-row=halva]", "low stock").await;
    operator.sees("document.querySelector('tr:nth-child(2)[data-row=tea]')").await;
    operator.reads("[data-row=tea]", "below zero").await;
    operator.reads("[data-row=tea] b", "-8").await;
    operator.finds_its_way().await;
    operator.pictured("stock").await;
    operator.clicks("[data-key=settle-halva]").await;
    operator.misses("[data-key=settle-halva]").await;
    operator.clicks("[data-key=adjust-tea]").await;
    operator.writes("#field-quantity", "10.5").await;
    operator.writes("#field-reason", "a box behind the door").await;
    operator.clicks("#adjust-form-go").await;
    operator.reads("[data-row=tea] b", "2.5").await;
}

/// What was done is in the books, and in the log.
async fn looks_back(operator: &mut Operator) {
    operator.chooses("").await;
    operator.goes("reports").await;
    for part in ["product", "branch"] {
        operator.clicks(&format!("#field-{part}")).await;
    }
    operator.reads("#report", "Breakfast tea, large").await;
    operator.reads("#report tr.total", "£19.18").await;
    operator.pictured("reports").await;
    operator.goes("log").await;
    operator.reads("#log", "accepted an event").await;
    operator.reads("#log", "rejected an event").await;
    operator.reads("#log", "entered an order").await;
    operator.reads("#log", "till-1/front/s-9").await;
    operator.finds_its_way().await;
    operator.screen.size(1280, 640).await.expect("lower");
    operator.pictured("log").await;
    operator.screen.size(1280, 800).await.expect("as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_an_operator_runs_a_shop() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    let open = json!({
        "posId": "front", "localEventId": "day-1", "currency": "GBP", "floatMinor": 10_000,
    });
    door.session("open", &open).await.expect("a day begins");
    sells(&door, "s-1", "tea", "Breakfast tea", 2_000, 149).await;
    sells(&door, "s-2", "coffee", "Flat white", 1_000, 320).await;
    door.drain(LIMIT).await.expect("drained");
    let mut operator = Operator::at(shop.address(), directory.path()).await;
    arrives(&mut operator).await;
    decides(&mut operator, &door).await;
    tells_a_story(&mut operator, &door).await;
    prices(&mut operator, &door).await;
    imports(&mut operator, directory.path()).await;
    orders(&mut operator).await;
    stock(&mut operator).await;
    looks_back(&mut operator).await;

    // A phone shows all of it, without moving sideways.
    operator.screen.size(390, 844).await.expect("small");
    operator.chooses("north").await;
    for place in ["stock", "parked", "catalog", "orders", "reports", "log", "fleet"] {
        operator.goes(place).await;
        operator.sees("document.querySelector('main .card, main table')").await;
        operator.scrolls_down_only(place).await;
    }
    operator.pictured("phone").await;
    operator.clicks("[data-key=till-1]").await;
    operator.reads("#till-journal", "Chain").await;
    operator.scrolls_down_only("till").await;
    operator.goes("stock").await;
    operator.sees("document.querySelector('[data-row=tea]')").await;
    operator.pictured("phone-stock").await;
    operator.screen.size(1280, 800).await.expect("large");

    // It is posted as the till made it: the books are in order.
    till.stop().await.expect("stopped");
    shop.cloud.stop().await.expect("stopped");
    let log = shop.cloud_log().expect("a log");
    assert!(!log.contains("cut off"), "the page's stream ends by itself: {log}");
    assert!(!log.contains(OPERATOR), "the token is in no log");
    operator.sees("document.querySelector('#link')?.dataset.state === 'silent'").await;
    operator.sees("!document.querySelector('.banner').hidden").await;
    operator.goes_home().await;
    let check = shop.cloud.check().await.expect("checked");
    assert_eq!((check.problems_found, check.conflicts), (0, 0), "{check:?}");
}
