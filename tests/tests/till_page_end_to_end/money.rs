//! Money on the page: integers, parsed digit by digit, and priced as the protocol prices.

use counterfoil_protocol::event::Line;
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::money::{MILLI_MAX, MINOR_MAX, Milli, Minor};
use counterfoil_tests::browser::Browser;
use counterfoil_tests::random::Random;
use serde_json::{Value, json};

use super::cashier::LIMIT;
use super::{TILES, shop};

async fn on_page(screen: &mut Browser, expression: &str) -> Value {
    let module = format!("import('/page/money.js').then((money) => {expression})");
    screen.value(&module).await.expect("it is counted")
}

/// Quantities and prices of every size, with those at the bounds and at halves.
fn drawn() -> Vec<(i64, i64)> {
    let mut random = Random::new(7);
    let mut pairs = vec![
        (1, 1),
        (500, 1),
        (499, 1),
        (1_500, 333),
        (750, 285),
        (MILLI_MAX, 1_000),
        (1_000, MINOR_MAX),
        (MILLI_MAX, MINOR_MAX),
        (999_999_999_999, 999),
    ];
    for _ in 0..2_000 {
        let mut sized = |most: i64| {
            let most = most.unsigned_abs() >> random.between(0, 39);
            i64::try_from(random.between(0, most)).expect("it is bounded") + 1
        };
        pairs.push((sized(MILLI_MAX - 1), sized(MINOR_MAX - 1)));
    }
    pairs
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_money_is_counted_as_in_the_protocol() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_shop, mut till, _link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    let mut screen = Browser::start(directory.path(), 800, 600).await.expect("a browser");
    screen.open(&door.page("front")).await.expect("it navigates");
    screen.until(TILES, LIMIT).await.expect("the page is there");

    let pairs = drawn();
    let told =
        on_page(&mut screen, &format!("{}.map(([q, p]) => money.price(q, p))", json!(pairs))).await;
    let told = told.as_array().expect("prices");
    assert_eq!(told.len(), pairs.len());
    for ((quantity, unit), told) in pairs.iter().zip(told) {
        let expected = Milli(*quantity).price(Minor(*unit)).map(|price| price.0);
        assert_eq!(told.as_i64(), expected, "{quantity} at {unit}");
    }
    // A part of a line never brings back more than its part, nor all parts more than the line.
    for (whole, unit, discount) in [(3_000, 149, 47), (3_000, 1, 3), (7_000, 100, 1), (1_250, 3, 2)]
    {
        let line = json!({
            "quantityMilli": whole, "unitPriceMinor": unit, "discountMinor": discount,
        });
        let parts: Vec<i64> = (1..=whole / 250).map(|part| part * 250).collect();
        let shares = format!("{}.map((q) => money.discountShare({line}, q))", json!(parts));
        let shares = on_page(&mut screen, &shares).await;
        for (part, share) in parts.iter().zip(shares.as_array().expect("shares")) {
            let share = share.as_i64().expect("a share");
            let line = |quantity, discount| Line {
                product: ProductId::parse("x").expect("a name"),
                name: String::new(),
                quantity: Milli(quantity),
                unit_price: Minor(unit),
                discount: Minor(discount),
                tax_ppm: 0,
            };
            let (all, back) = (line(whole, discount).amount().0, line(*part, share).amount().0);
            let rest = i128::from(all) * i128::from(*part) / i128::from(whole);
            assert!((0..=all).contains(&back), "{back} of {all}");
            assert!(i128::from(back) <= rest + 1, "{part} of {whole} at {unit}: {back}, {rest}");
        }
    }
    // text, currency    minor units
    for (text, currency, minor) in [
        ("1.49", "GBP", Some(149)),
        ("1,5", "GBP", Some(150)),
        (".5", "GBP", Some(50)),
        ("5.", "GBP", Some(500)),
        (" 12 ", "GBP", Some(1_200)),
        ("0.1", "GBP", Some(10)),
        ("0.29", "GBP", Some(29)),
        ("1.005", "GBP", None),
        ("1.490", "GBP", Some(149)),
        ("9999999999.99", "GBP", Some(999_999_999_999)),
        ("10000000000.01", "GBP", None),
        ("120", "JPY", Some(120)),
        ("1.5", "JPY", None),
        ("1.234", "KWD", Some(1_234)),
        ("", "GBP", None),
        (".", "GBP", None),
        ("-1", "GBP", None),
        ("1e3", "GBP", None),
        ("1.2.3", "GBP", None),
        ("one", "GBP", None),
    ] {
        let parsed = format!("money.parseMoney({}, {})", json!(text), json!(currency));
        let parsed = on_page(&mut screen, &parsed).await;
        assert_eq!(parsed.as_i64(), minor, "{text} {currency}");
    }
    let shown = on_page(
        &mut screen,
        "[[999999999999, 'GBP'], [-5, 'GBP'], [120, 'JPY'], [1234, 'KWD']]\
         .map(([m, c]) => money.plainMoney(m, c)).concat(money.money(999999999999, 'GBP'))",
    );
    let shown = shown.await;
    assert_eq!(shown, json!(["9999999999.99", "-0.05", "120", "1.234", "£9,999,999,999.99"]));
    assert!(screen.complaints().is_empty(), "{:?}", screen.complaints());
    screen.end().await.expect("it ends");
    till.stop().await.expect("stopped");
}
