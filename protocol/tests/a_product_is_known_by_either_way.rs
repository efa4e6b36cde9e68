//! `--unknown-products park`: what can be sold is what the catalog holds, and what was defined.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use counterfoil_protocol::catalog::{Entity, EntityId};
use counterfoil_protocol::cloud::{Cloud, Edit, Edits, Input, Output, UnknownProducts};
use counterfoil_protocol::identity::ShopId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{BranchPriceV1, EntityV1, ProductV1};
use counterfoil_protocol::wire::message::Verdict;
use support::rows::stock_is_sum;
use support::{Pair, product, sale, site};

const PARKED: Result<(), ErrorCode> = Err(ErrorCode::ProductUnknown);

fn tea() -> Entity {
    Entity::parse(EntityV1::Product(ProductV1 {
        product_id: product("tea"),
        name: "Tea".into(),
        barcodes: Vec::new(),
        price_minor: 255,
        currency: "GBP".into(),
        tax_ppm: 190_000,
        unit: Label::parse("pcs").unwrap(),
        category: None,
        active: true,
    }))
    .unwrap()
}

fn strict() -> Pair {
    let mut pair = Pair::new(Cloud { unknown_products: UnknownProducts::Park });
    pair.greet();
    pair
}

fn edit(pair: &mut Pair, shop: ShopId, edit: Edit) {
    let edits = Edits::new(shop, vec![edit]).unwrap();
    let output = pair.node.run(Millis(0), Input::EditCatalog(edits));
    assert!(matches!(output, Output::Edited { changed: 1, .. }), "{output:?}");
}

fn put(pair: &mut Pair, shop: ShopId) {
    let id = EntityId::product(product("tea"));
    edit(pair, shop, Edit { branch: None, id, entity: Some(tea()) });
}

/// Sells tea; an error says why the cloud has parked it.
fn sell(pair: &mut Pair, id: &str) -> Result<(), ErrorCode> {
    pair.sell(sale(id, "tea"));
    let answer = pair.offer().unwrap();
    stock_is_sum(&pair.node);
    assert_eq!(answer.results.len(), 1);
    match answer.results[0].verdict {
        Verdict::Created(_) => Ok(()),
        Verdict::Parked(code) => Err(code),
        Verdict::Existing(_) | Verdict::Refused(_) | Verdict::Edited(_) => {
            panic!("a new sale is posted or parked")
        }
    }
}

#[test]
fn what_the_catalog_holds_is_posted_until_it_is_deleted() {
    let mut pair = strict();
    assert_eq!(sell(&mut pair, "before"), PARKED);
    put(&mut pair, site().shop);
    assert_eq!(sell(&mut pair, "listed"), Ok(()));
    let id = EntityId::product(product("tea"));
    edit(&mut pair, site().shop, Edit { branch: None, id, entity: None });
    assert_eq!(sell(&mut pair, "deleted"), PARKED);
    pair.node.define("tea");
    assert_eq!(sell(&mut pair, "defined"), Ok(()), "what was defined stays known");
    pair.quiesce();
    stock_is_sum(&pair.node);
}

#[test]
fn what_was_parked_is_posted_once_the_catalog_holds_it() {
    let mut pair = strict();
    assert_eq!(sell(&mut pair, "early"), PARKED);
    put(&mut pair, site().shop);
    pair.now = pair.now.after(Millis::from_secs(3_600));
    let answer = pair.offer().unwrap();
    assert!(matches!(answer.results[0].verdict, Verdict::Created(_)), "{answer:?}");
}

#[test]
fn another_shops_product_and_a_branchs_price_make_nothing_known() {
    let mut pair = strict();
    put(&mut pair, ShopId::parse("another").unwrap());
    assert_eq!(sell(&mut pair, "elsewhere"), PARKED);
    let price = BranchPriceV1 { product_id: product("tea"), price_minor: 1 };
    let entity = Entity::parse(EntityV1::BranchPrice(price)).unwrap();
    let (branch, id) = (Some(site().branch), EntityId::branch_price(product("tea")));
    edit(&mut pair, site().shop, Edit { branch, id, entity: Some(entity) });
    assert_eq!(sell(&mut pair, "priced"), PARKED);
}
