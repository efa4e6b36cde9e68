//! What an entity of the specification is: one field of a product, with a number as its content.

use counterfoil_protocol::catalog::{Entity, EntityId, FieldValue, Product};
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::money::{Currency, Minor};

use crate::bind::bound::{Unmapped, unmapped};
use crate::bind::journal::rows::number;

use super::constants::Constants;

/// `EditValue(e)` of the specification.
pub(super) const fn edit_value(edit: u64) -> u64 {
    100 + edit
}

pub(in crate::bind) fn id_of(item: u64) -> EntityId {
    EntityId::product(product_of(item))
}

fn product_of(item: u64) -> ProductId {
    ProductId::parse(&format!("item-{item}")).expect("a short name")
}

pub(in crate::bind) fn item_of(id: EntityId) -> Result<u64, Unmapped> {
    let item = id.id.as_str().strip_prefix("item-").and_then(number);
    match item {
        Some(item) if id_of(item) == id => Ok(item),
        _ => unmapped(format!("the entity {id}")),
    }
}

/// A field of the cloud's is its price, one of the last writer's its name.
pub(in crate::bind) fn field(constants: &Constants, item: u64, value: u64) -> FieldValue {
    if constants.owned.contains(&item) {
        FieldValue::Price(price(value))
    } else {
        FieldValue::Name(value.to_string())
    }
}

fn price(value: u64) -> Minor {
    Minor(i64::try_from(value).expect("a small number"))
}

pub(in crate::bind) fn entity(constants: &Constants, item: u64, value: u64) -> Entity {
    let (name, price) = if constants.owned.contains(&item) {
        ("a name".to_owned(), price(value))
    } else {
        (value.to_string(), Minor(1))
    };
    Entity::Product(Product {
        id: product_of(item),
        name,
        barcodes: Vec::new(),
        price,
        currency: Currency::GBP,
        tax_ppm: 0,
        unit: Label::parse("pcs").expect("a short name"),
        category: None,
        active: true,
    })
}

/// Returns the number that is the content of an item; its bytes are those of no other.
pub(in crate::bind) fn value_in(
    constants: &Constants,
    item: u64,
    bytes: &[u8],
) -> Result<u64, Unmapped> {
    let Ok(Entity::Product(product)) = Entity::from_canonical(id_of(item), bytes) else {
        return unmapped("an entity that cannot be read");
    };
    let value = if constants.owned.contains(&item) {
        u64::try_from(product.price.0).ok()
    } else {
        number(&product.name)
    };
    match value {
        Some(value) if entity(constants, item, value).canonical() == bytes => Ok(value),
        _ => unmapped(format!("the content of item {item}")),
    }
}
