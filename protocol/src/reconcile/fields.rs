//! Entities as people read them: named fields, with money as money.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::catalog::Entity;
use crate::money::Currency;

/// A field of an entity. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Field {
    /// What is printed.
    Name,
    /// What it costs.
    Price,
    /// The tax rate that is contained in the price.
    Tax,
    /// What is scanned.
    Barcodes,
    /// What is counted.
    Unit,
    /// Where it is listed.
    Category,
    /// Whether it is sold.
    Sold,
}

/// A value of a field, as a person is shown it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shown {
    /// A text.
    Text(String),
    /// An amount; the currency is empty if the till does not know it.
    #[serde(rename_all = "camelCase")]
    Money {
        /// In minor units.
        minor: i64,
        /// ISO 4217.
        currency: String,
    },
    /// Millionths.
    Rate(u32),
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    List(Vec<String>),
}

/// A field that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldChange {
    /// Which field.
    pub field: Field,
    /// What it is on the till; none if there is nothing, or nothing that can be read.
    pub local: Option<Shown>,
    /// What it is in the cloud.
    pub cloud: Option<Shown>,
}

const _: () = assert!(Field::Name as u8 == 0 && Field::Sold as u8 == 6, "append only");
const _: () = assert!(Field::ALL.len() == Field::Sold as usize + 1, "each field is shown");
const _: () = {
    let mut at = 0;
    while at < Field::ALL.len() {
        assert!(Field::ALL[at] as usize == at, "fields are shown in the order of their numbers");
        at += 1;
    }
};

impl Field {
    /// Every field, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Name,
        Self::Price,
        Self::Tax,
        Self::Barcodes,
        Self::Unit,
        Self::Category,
        Self::Sold,
    ];

    /// Returns its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Price => "price",
            Self::Tax => "tax",
            Self::Barcodes => "barcodes",
            Self::Unit => "unit",
            Self::Category => "category",
            Self::Sold => "on sale",
        }
    }
}

/// Returns the fields that differ between two states of one entity. `currency` is that of a branch
/// price, which has none of its own.
#[must_use]
pub fn changes(
    local: Option<&Entity>,
    cloud: Option<&Entity>,
    currency: Option<Currency>,
) -> Vec<FieldChange> {
    let value = |side: Option<&Entity>, field| side.and_then(|side| shown(side, field, currency));
    let pairs = Field::ALL.into_iter().map(|field| FieldChange {
        field,
        local: value(local, field),
        cloud: value(cloud, field),
    });
    let changed: Vec<FieldChange> = pairs.filter(|pair| pair.local != pair.cloud).collect();
    assert!(changed.is_sorted_by_key(|change| change.field), "fields keep their order");
    assert!(changed.len() <= Field::ALL.len(), "each field is shown once");
    assert!(local != cloud || changed.is_empty(), "what is equal has no change");
    assert!(
        changed.iter().all(|change| change.local.is_some() || change.cloud.is_some()),
        "what neither side has is no change"
    );
    changed
}

fn shown(entity: &Entity, field: Field, currency: Option<Currency>) -> Option<Shown> {
    let text = |text: &str| Some(Shown::Text(text.to_string()));
    match entity {
        Entity::Product(product) => match field {
            Field::Name => text(&product.name),
            Field::Price => Some(money(product.price.0, Some(product.currency))),
            Field::Tax => Some(Shown::Rate(product.tax_ppm)),
            Field::Barcodes => {
                let codes: Vec<String> = product.barcodes.iter().map(|c| c.to_string()).collect();
                (!codes.is_empty()).then_some(Shown::List(codes))
            }
            Field::Unit => text(product.unit.as_str()),
            Field::Category => product.category.and_then(|category| text(category.0.as_str())),
            Field::Sold => Some(Shown::Flag(product.active)),
        },
        Entity::Category(category) => text(&category.name).filter(|_| field == Field::Name),
        Entity::Customer(customer) => text(&customer.name).filter(|_| field == Field::Name),
        Entity::BranchPrice(price) => {
            (field == Field::Price).then(|| money(price.price.0, currency))
        }
    }
}

fn money(minor: i64, currency: Option<Currency>) -> Shown {
    let currency = currency.map(|currency| currency.as_str().to_string()).unwrap_or_default();
    Shown::Money { minor, currency }
}
