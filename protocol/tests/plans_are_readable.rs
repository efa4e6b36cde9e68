//! A plan is read by a shop manager, without explanation: each of these is compared with what was
//! read and found good (`tests/snapshots`).
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod reconcile_support;
mod support;

use counterfoil_protocol::catalog::{Entity, EntityId, Kind};
use counterfoil_protocol::cloud::Edit;
use counterfoil_protocol::identity::BranchId;
use counterfoil_protocol::reconcile::Plan;
use counterfoil_protocol::terminal::{Key, Record};
use counterfoil_protocol::wire::catalog::EntityV1;
use reconcile_support::{
    NOW, Shop, branch_price, category, customer, kind, label, many, product, product_wire, sku,
};
use support::sale;

/// A small shop: a few products, categories, customers and branch prices.
fn shop() -> Shop {
    let mut entities = vec![
        product("tea-1", "Earl Grey", 149),
        product("tea-2", "Darjeeling", 199),
        product("tea-3", "Assam", 179),
        product("cake-1", "Lemon drizzle", 350),
        category("hot", "Hot drinks"),
        category("cold", "Cold drinks"),
        customer("c-1", "Ada Lovelace"),
        branch_price("tea-1", 139),
        branch_price("tea-2", 189),
    ];
    entities.extend(many(40));
    Shop::with(&entities)
}

fn check(name: &str, plan: &Plan) {
    let text = plan.text();
    assert!(text.lines().all(|line| line.chars().count() <= 120), "lines stay short: {text}");
    insta::assert_snapshot!(name, text);
}

/// A row that the cloud deletes, and that a defect brings back.
fn bring_back(shop: &mut Shop, id: EntityId) {
    let row = shop.till.store.rows.get(&Key::Item(id)).cloned().unwrap();
    shop.delete(id);
    shop.settle();
    shop.till.store.rows.insert(Key::Item(id), row);
}

#[test]
fn nothing_to_do() {
    check("nothing_to_do", &shop().plan());
}

#[test]
fn only_the_sum_was_wrong() {
    let mut shop = shop();
    if let Some(Record::Catalog(state)) = shop.till.store.rows.get_mut(&Key::Catalog) {
        state.digest.lanes[2] ^= 1;
    }
    check("only_the_sum_was_wrong", &shop.plan());
}

#[test]
fn a_product_is_missing() {
    let mut shop = shop();
    shop.lose(sku("tea-2"));
    let plan = shop.plan();
    check("a_product_is_missing", &plan);
    insta::assert_snapshot!("a_product_is_missing_json", plan.json());
}

#[test]
fn a_product_is_extra() {
    let mut shop = shop();
    bring_back(&mut shop, sku("cake-1"));
    let plan = shop.plan();
    check("a_product_is_extra", &plan);
    insta::assert_snapshot!("a_product_is_extra_json", plan.json());
}

#[test]
fn price_and_name_differ_together() {
    let mut shop = shop();
    shop.plant(&product("tea-1", "Early Grey", 1490));
    let plan = shop.plan();
    check("price_and_name_differ_together", &plan);
    insta::assert_snapshot!("price_and_name_differ_together_json", plan.json());
}

#[test]
fn every_field_differs() {
    let mut shop = shop();
    let mut wire = product_wire("tea-3", "Assam, loose", 17_900);
    wire.currency = "EUR".into();
    wire.tax_ppm = 75_000;
    wire.barcodes = vec![label("4000001"), label("4000002")];
    wire.unit = label("kg");
    wire.category = Some(counterfoil_protocol::identity::CategoryId(label("hot")));
    wire.active = false;
    shop.plant(&Entity::parse(EntityV1::Product(wire)).unwrap());
    check("every_field_differs", &shop.plan());
}

#[test]
fn a_damaged_row() {
    let mut shop = shop();
    shop.plant_bytes(sku("tea-1"), &[0xff; 40]);
    check("a_damaged_row", &shop.plan());
}

#[test]
fn pending_local_edits_are_left() {
    let mut shop = shop();
    shop.plant(&product("tea-1", "Earl Grey (new recipe)", 149));
    shop.edits.insert(sku("tea-1"));
    let plan = shop.plan();
    check("pending_local_edits_are_left", &plan);
    insta::assert_snapshot!("pending_local_edits_are_left_json", plan.json());
}

#[test]
fn news_is_left_to_the_next_update() {
    let mut shop = shop();
    shop.put(&[product("tea-2", "Darjeeling First Flush", 249)]);
    check("news_is_left_to_the_next_update", &shop.plan());
}

#[test]
fn one_of_each() {
    let mut shop = shop();
    bring_back(&mut shop, kind(Kind::Category, label("cold")));
    shop.lose(kind(Kind::Customer, label("c-1")));
    shop.plant(&product("tea-3", "Assam", 178));
    shop.plant(&branch_price("tea-1", 1));
    shop.lose(kind(Kind::BranchPrice, label("tea-2")));
    shop.plant(&product("p00001", "Edited here", 101));
    shop.edits.insert(sku("p00001"));
    shop.put(&[product("p00002", "Just changed", 1)]);
    check("one_of_each", &shop.plan());
}

#[test]
fn more_than_one_in_twenty_would_be_removed() {
    let mut shop = shop();
    for number in 0..6 {
        bring_back(&mut shop, sku(&format!("p{number:05}")));
    }
    check("more_than_one_in_twenty_would_be_removed", &shop.plan());
}

#[test]
fn deleted_while_unsynced_sales_name_it() {
    let mut shop = shop();
    for id in ["s-1", "s-2"] {
        shop.till.sell(NOW, sale(id, "cake-1"));
    }
    bring_back(&mut shop, sku("cake-1"));
    check("deleted_while_unsynced_sales_name_it", &shop.plan());
}

#[test]
fn a_row_of_another_branch() {
    let mut shop = shop();
    let id = kind(Kind::BranchPrice, label("tea-3"));
    let foreign = branch_price("tea-3", 99);
    let branch = BranchId::parse("elsewhere").unwrap();
    shop.edit(vec![Edit { branch: Some(branch), id, entity: Some(foreign.clone()) }]);
    shop.settle();
    shop.plant(&foreign);
    check("a_row_of_another_branch", &shop.plan());
}

#[test]
fn deleted_so_long_ago_that_the_cloud_has_forgotten() {
    let mut shop = shop();
    bring_back(&mut shop, sku("tea-2"));
    // What a compaction does: the tombstone goes, and its place in the feed.
    let site = support::site();
    let key = counterfoil_protocol::cloud::Key::Item(site.shop, None, sku("tea-2"));
    shop.node.store.rows.remove(&key);
    shop.node.store.rows.retain(|_, record| {
        !matches!(record, counterfoil_protocol::cloud::Record::Change(id) if *id == sku("tea-2"))
    });
    check("deleted_so_long_ago_that_the_cloud_has_forgotten", &shop.plan());
}

#[test]
fn names_in_every_script() {
    let mut entities = many(40);
    let names = [
        ("cjk", "京都の緑茶", "京都の抹茶"),
        ("hangul", "김치", "배추김치"),
        ("emoji", "👩\u{200d}🍳 Chef's 🍵", "🍵"),
        ("hebrew", "תה ירוק", "תה שחור"),
        ("arabic", "شاي أخضر", "شاي"),
        ("marks", "Cafe\u{301} au lait", "Café au lait"),
        ("turned", "Tea \u{202e}drow", "Tea word"),
    ];
    entities.extend(names.iter().map(|(id, _, cloud)| product(id, cloud, 100)));
    let mut shop = Shop::with(&entities);
    for (id, here, _) in names {
        shop.plant(&product(id, here, 10_000));
    }
    check("names_in_every_script", &shop.plan());
}

#[test]
fn currencies_without_and_with_more_digits() {
    let money = |id: &str, currency: &str, price_minor: i64| {
        let mut wire = product_wire(id, "Souvenir", price_minor);
        wire.currency = currency.into();
        Entity::parse(EntityV1::Product(wire)).unwrap()
    };
    let all = [("yen", "JPY"), ("dinar", "KWD"), ("dollar", "USD")];
    let mut entities = many(40);
    entities.extend(all.map(|(id, currency)| money(id, currency, 1_234_500)));
    let mut shop = Shop::with(&entities);
    for (id, currency) in all {
        shop.plant(&money(id, currency, 999));
    }
    check("currencies_without_and_with_more_digits", &shop.plan());
}

#[test]
fn ten_thousand_items_are_summed_up() {
    let mut shop = Shop::with(&many(60_000));
    for number in 0..10_000 {
        let id = format!("p{number:05}");
        match number % 10 {
            0 => shop.lose(sku(&id)),
            _ => shop.plant(&product(&id, "Drifted", 1)),
        }
    }
    let plan = shop.plan();
    assert_eq!(plan.items.len(), 10_000);
    check("ten_thousand_items_are_summed_up", &plan);
    shop.apply(&plan).unwrap();
    assert_eq!(shop.held(), shop.truth());
}
