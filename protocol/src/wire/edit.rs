//! The wire form of a catalog edit, version 1: what a till asks to change of one entity.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::catalog::{EntityId, Field};
use crate::identity::CategoryId;
use crate::label::Label;

/// An edit as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CatalogEditV1 {
    /// Which entity.
    pub entity: EntityId,
    /// The version of the entity that the person saw; 0 if the till had none.
    pub base_version: u64,
    /// What is to be changed; rising by field, each once.
    pub changes: Vec<FieldChangeV1>,
}

/// What becomes of one field, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldChangeV1 {
    /// What the person saw.
    pub from: FieldValueV1,
    /// What it is to be; of the same field.
    pub to: FieldValueV1,
}

/// A field and what stands in it. Append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FieldValueV1 {
    /// Of [`crate::catalog::Field::Name`].
    Name(String),
    /// Of [`crate::catalog::Field::Unit`].
    Unit(Label),
    /// Of [`crate::catalog::Field::Category`].
    Category(Option<CategoryId>),
    /// Of [`crate::catalog::Field::Price`], in minor units.
    PriceMinor(i64),
    /// Of [`crate::catalog::Field::Currency`], ISO 4217.
    Currency(String),
    /// Of [`crate::catalog::Field::Tax`], in millionths.
    TaxPpm(u32),
    /// Of [`crate::catalog::Field::Active`].
    Active(bool),
    /// Of [`crate::catalog::Field::Barcodes`]; rising, each once.
    Barcodes(Vec<Label>),
}

impl FieldValueV1 {
    /// Returns which field it is of.
    #[must_use]
    pub const fn field(&self) -> Field {
        match self {
            Self::Name(_) => Field::Name,
            Self::Unit(_) => Field::Unit,
            Self::Category(_) => Field::Category,
            Self::PriceMinor(_) => Field::Price,
            Self::Currency(_) => Field::Currency,
            Self::TaxPpm(_) => Field::Tax,
            Self::Active(_) => Field::Active,
            Self::Barcodes(_) => Field::Barcodes,
        }
    }
}
