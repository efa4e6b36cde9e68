//! The operator's pages in a real browser, before a real cloud and a real till: what a person sees
//! and decides there, and what no other page can make of the session.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod desk;
mod operator;
mod session;

use std::path::Path;

use counterfoil_tests::shop::Shop;
use counterfoil_tests::till::{Door, Till};
use serde_json::{Value, json};

/// Number, name, price, unit and category of what is sold.
const GOODS: [(&str, &str, i64, &str, &str); 10] = [
    ("apples", "Apples, Braeburn", 285, "kg", "fruit"),
    ("bread", "Sourdough loaf 800 g", 425, "pcs", "bakery"),
    ("butter", "Salted butter 250 g", 229, "pcs", "dairy"),
    ("candles", "Beeswax candles, six", 899, "pcs", "house"),
    ("cheddar", "Mature cheddar", 1150, "kg", "dairy"),
    ("coffee", "Flat white", 320, "pcs", "hot"),
    ("croissant", "Butter croissant", 210, "pcs", "bakery"),
    ("milk", "Whole milk 1 l", 135, "pcs", "dairy"),
    ("soap", "Olive oil soap", 375, "pcs", "house"),
    ("tea", "Breakfast tea", 149, "pcs", "hot"),
];

const CATEGORIES: [(&str, &str); 5] = [
    ("bakery", "Bakery"),
    ("dairy", "Dairy"),
    ("fruit", "Fruit & veg"),
    ("hot", "Hot drinks"),
    ("house", "Household"),
];

/// A shop with goods on its shelves, tills at three branches, and one of them installed.
async fn shop(directory: &Path) -> (Shop, Till) {
    let tills =
        [("till-1", "north"), ("till-2", "north"), ("till-3", "south"), ("old-till", "east")];
    let park = ["--unknown-products", "park"];
    let shop = Shop::open_with(directory, "redb", &tills, &park).await.expect("a shop");
    let categories = CATEGORIES
        .map(|(id, name)| json!({ "put": { "category": { "categoryId": id, "name": name } } }));
    let goods = GOODS.map(|(id, name, price, unit, category)| {
        let code = format!("50000000{:05}", price * 7);
        json!({ "put": { "product": {
            "productId": id, "name": name, "barcodes": [code], "priceMinor": price,
            "currency": "GBP", "taxPpm": 200_000, "unit": unit, "category": category,
            "active": true,
        } } })
    });
    let edits: Vec<Value> = categories.into_iter().chain(goods).collect();
    shop.edit(&edits).await.expect("goods");
    let lines = GOODS.map(|(id, ..)| json!({ "productId": id, "deltaMilli": 24_000 }));
    let delivered = json!({
        "shopId": "shop", "branchId": "north", "adjustmentId": "first",
        "createdAtMs": 1_700_000_000_000_u64,
        "reason": "first delivery", "lines": lines,
    });
    does(&shop, "/v1/admin/adjustments", &delivered).await;
    does(&shop, "/v1/admin/terminals/old-till/revoke", &json!({})).await;
    let till = shop.install("till-1", None).await.expect("a till");
    (shop, till)
}

async fn does(shop: &Shop, path: &str, body: &Value) {
    let answer = shop.operator("POST", path, Some(body)).await.expect("an answer");
    let said = String::from_utf8_lossy(&answer.body);
    assert!(answer.status < 300, "{path}: {} {said}", answer.status);
}

/// A program at the till sells.
async fn sells(door: &Door, id: &str, product: &str, name: &str, milli: i64, price: i64) {
    let line = json!({
        "productId": product, "name": name, "quantityMilli": milli, "unitPriceMinor": price,
        "taxPpm": 200_000, "discountMinor": 0,
    });
    let sale = json!({ "posId": "front", "localEventId": id, "currency": "GBP",
                       "reference": format!("slip {id}"), "lines": [line] });
    let answer = door.raw("POST", "/sales", sale.to_string().into_bytes()).await.expect("a sale");
    let said = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 201, "{said}");
}
