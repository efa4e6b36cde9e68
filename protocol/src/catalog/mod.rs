//! The catalog: what can be sold, parsed at the border, and what all of it adds up to.
//!
//! | kind | stands for | belongs to |
//! |---|---|---|
//! | product, category, customer | the shop's own | the whole shop |
//! | branch price | what one branch asks for a product | one branch |
//!
//! A branch sees the entities of its shop and its own. An overlay (a branch price) is an entity of
//! its own, which the till lays over the product when it looks it up: so a change of the shop's
//! price is one row, however many branches there are.

mod digest;
pub mod edit;

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::event::TEXT_BYTES_MAX;
use crate::hash::{Hash, content_hash};
use crate::identity::{CategoryId, ProductId};
use crate::label::{LABEL_BYTES_MAX, Label};
use crate::money::{Currency, MINOR_MAX, Minor};
use crate::wire::catalog::{BranchPriceV1, CategoryV1, CustomerV1, EntityV1, ProductV1};

pub use digest::Digest;
pub use edit::{CatalogEdit, EditError, Field, FieldChange, FieldValue, Owner};

/// The version byte of canonical entity bytes.
pub const ENTITY_VERSION: u8 = 1;
/// The most canonical bytes one entity may have.
pub const ENTITY_BYTES_MAX: usize = 2 * 1024;
/// The most barcodes of one product.
pub const BARCODES_MAX: usize = 16;

const _: () = assert!(
    BARCODES_MAX * (LABEL_BYTES_MAX + 1) + TEXT_BYTES_MAX + 4 * (LABEL_BYTES_MAX + 1) + 64
        <= ENTITY_BYTES_MAX,
    "an entity with everything at its bound fits"
);

const _: () = assert!(ENTITY_BYTES_MAX < codec::MESSAGE_BYTES_MAX, "an entity can be decoded");
const _: () = assert!(BARCODES_MAX > 1, "a product may have more than one barcode");
const _: () = assert!(MINOR_MAX > 0, "something may have a price");
const _: () = assert!(ENTITY_VERSION > 0, "versions count from 1");
const _: () = assert!(BARCODES_MAX <= 250, "the number of barcodes is one byte");
const _: () = assert!(EntityId::FIRST.kind as usize == 0, "no name sorts before the first");
const _: () =
    assert!(EntityId::LAST.kind as usize + 1 == Kind::ALL.len(), "no kind sorts after the last");
const _: () = {
    let mut at = 0;
    while at < Kind::ALL.len() {
        let kind = Kind::ALL[at];
        assert!(kind as usize == at, "kinds stand in the order of their numbers");
        assert!(kind.of_branch() == (at + 1 == Kind::ALL.len()), "the shop's own come first");
        at += 1;
    }
};
const _: () = assert!(!Kind::Product.of_branch(), "a product is the whole shop's");
const _: () = assert!(Kind::BranchPrice.of_branch(), "an overlay is one branch's");

/// The kinds of entities. Their numbers are stored and travel: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Kind {
    /// Something that is sold.
    Product = 0,
    /// Where products are listed.
    Category = 1,
    /// Who buys.
    Customer = 2,
    /// What one branch asks for a product.
    BranchPrice = 3,
}

/// The name of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntityId {
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub id: Label,
}

/// Something of the catalog, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entity {
    /// Something that is sold.
    Product(Product),
    /// Where products are listed.
    Category(Category),
    /// Who buys.
    Customer(Customer),
    /// What one branch asks for a product.
    BranchPrice(BranchPrice),
}

/// Something that is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its SKU.
    pub id: ProductId,
    /// What is printed; not empty.
    pub name: String,
    /// What is scanned; rising, each once.
    pub barcodes: Vec<Label>,
    /// Not negative. Owned by the cloud.
    pub price: Minor,
    /// The currency of the price.
    pub currency: Currency,
    /// The tax rate that is contained in the price, in millionths.
    pub tax_ppm: u32,
    /// What is counted.
    pub unit: Label,
    /// Where it is listed.
    pub category: Option<CategoryId>,
    /// Whether it is sold.
    pub active: bool,
}

/// Where products are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// Its name for programs.
    pub id: CategoryId,
    /// Its name for people; not empty.
    pub name: String,
}

/// Who buys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Its name for programs.
    pub id: Label,
    /// Its name for people; not empty.
    pub name: String,
}

/// What one branch asks for a product, in place of the shop's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchPrice {
    /// Which product.
    pub product: ProductId,
    /// Not negative, in the currency of the product.
    pub price: Minor,
}

/// An entity that breaks a rule. The caller shows it to whoever made it; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntityError {
    /// The bytes have no readable form.
    #[error("the entity's bytes are not in canonical form: {0}")]
    Form(#[from] codec::DecodeError),
    /// The bytes decode, but another encoder would write them differently.
    #[error("the entity's bytes are not the shortest form of their content")]
    NotCanonical,
    /// More than [`ENTITY_BYTES_MAX`].
    #[error("an entity has at most {ENTITY_BYTES_MAX} bytes")]
    TooLarge,
    /// A name that is empty, too long, or has control characters.
    #[error("a name has 1 to {TEXT_BYTES_MAX} bytes and no control characters")]
    Name,
    /// Too many barcodes, or not rising.
    #[error("a product has at most {BARCODES_MAX} barcodes, rising, each once")]
    Barcodes,
    /// A price that is negative or above its bound, or a rate above the whole.
    #[error("a price or a tax rate is out of bounds")]
    Amount,
    /// A currency that cannot be read.
    #[error("a currency is three capital letters")]
    Currency,
    /// The content is that of another entity than the one it is given for.
    #[error("the content belongs to another entity")]
    OtherEntity,
    /// The name after which no other sorts: pages of a snapshot end before it.
    #[error("36 times `~` is no name for an entity, choose another")]
    LastName,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Product, Self::Category, Self::Customer, Self::BranchPrice];
    const _ORDERED: () = assert!(
        Self::ALL[0] as u8 == 0 && Self::ALL[3] as usize + 1 == Self::ALL.len(),
        "kinds stand in the order of their numbers",
    );

    /// Returns whether its entities belong to one branch, and not to the whole shop.
    #[must_use]
    pub const fn of_branch(self) -> bool {
        match self {
            Self::BranchPrice => true,
            Self::Product | Self::Category | Self::Customer => false,
        }
    }

    /// Returns its word, as it stands in JSON and in addresses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Category => "category",
            Self::Customer => "customer",
            Self::BranchPrice => "branchPrice",
        }
    }

    /// Returns the kind of this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        let kind = Self::ALL.into_iter().find(|kind| *kind as u8 == number);
        assert!(kind.is_some() == (usize::from(number) < Self::ALL.len()), "numbers have no gap");
        kind
    }
}

impl EntityId {
    /// Sorts before or with every name.
    pub const FIRST: Self = Self { kind: Kind::Product, id: Label::FIRST };
    /// Sorts after every name but itself, which no entity may have ([`EntityError::LastName`]).
    pub const LAST: Self = Self { kind: Kind::BranchPrice, id: Label::LAST };

    /// Names a product.
    #[must_use]
    pub const fn product(id: ProductId) -> Self {
        Self { kind: Kind::Product, id: id.0 }
    }

    /// Names what a branch asks for a product.
    #[must_use]
    pub const fn branch_price(product: ProductId) -> Self {
        Self { kind: Kind::BranchPrice, id: product.0 }
    }
}

impl core::fmt::Display for EntityId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} {}", self.kind, self.id)
    }
}

impl Entity {
    /// Parses an entity from its parts.
    ///
    /// # Errors
    /// [`EntityError`] names the rule that is broken.
    pub fn parse(wire: EntityV1) -> Result<Self, EntityError> {
        let entity = match wire {
            EntityV1::Product(product) => Self::Product(Product::parse(product)?),
            EntityV1::Category(CategoryV1 { category_id, name }) => {
                Self::Category(Category { id: category_id, name: checked_name(name)? })
            }
            EntityV1::Customer(CustomerV1 { customer_id, name }) => {
                Self::Customer(Customer { id: customer_id, name: checked_name(name)? })
            }
            EntityV1::BranchPrice(BranchPriceV1 { product_id, price_minor }) => {
                let price = checked_price(price_minor)?;
                Self::BranchPrice(BranchPrice { product: product_id, price })
            }
        };
        if entity.id().id == EntityId::LAST.id {
            return Err(EntityError::LastName);
        }
        assert!(entity.id() < EntityId::LAST, "an entity lies within the pages of a snapshot");
        Ok(entity)
    }

    /// Parses canonical bytes that stand for the entity `id`.
    ///
    /// # Errors
    /// [`EntityError`]; in particular bytes that no encoder of ours would have written, and those
    /// of another entity.
    pub fn from_canonical(id: EntityId, bytes: &[u8]) -> Result<Self, EntityError> {
        if bytes.len() > ENTITY_BYTES_MAX {
            return Err(EntityError::TooLarge);
        }
        let wire: Option<EntityV1> = codec::decode_canonical(ENTITY_VERSION, bytes)?;
        let entity = Self::parse(wire.ok_or(EntityError::NotCanonical)?)?;
        assert!(!bytes.is_empty(), "nothing is not the form of anything");
        debug_assert!(entity.canonical() == bytes, "an entity has one form only");
        if entity.id() == id { Ok(entity) } else { Err(EntityError::OtherEntity) }
    }

    /// Returns the canonical bytes: version byte, then the binary form of [`EntityV1`].
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let bytes = codec::encode(ENTITY_VERSION, &self.to_wire());
        assert!(bytes.len() <= ENTITY_BYTES_MAX, "a checked entity keeps its bound");
        assert_eq!(bytes.first(), Some(&ENTITY_VERSION), "the version comes first");
        bytes
    }

    /// Returns its name.
    #[must_use]
    pub const fn id(&self) -> EntityId {
        match self {
            Self::Product(product) => EntityId { kind: Kind::Product, id: product.id.0 },
            Self::Category(category) => EntityId { kind: Kind::Category, id: category.id.0 },
            Self::Customer(customer) => EntityId { kind: Kind::Customer, id: customer.id },
            Self::BranchPrice(price) => EntityId { kind: Kind::BranchPrice, id: price.product.0 },
        }
    }

    /// Returns its parts.
    #[must_use]
    pub fn to_wire(&self) -> EntityV1 {
        match self {
            Self::Product(product) => EntityV1::Product(product.to_wire()),
            Self::Category(Category { id, name }) => {
                EntityV1::Category(CategoryV1 { category_id: *id, name: name.clone() })
            }
            Self::Customer(Customer { id, name }) => {
                EntityV1::Customer(CustomerV1 { customer_id: *id, name: name.clone() })
            }
            Self::BranchPrice(BranchPrice { product, price }) => {
                EntityV1::BranchPrice(BranchPriceV1 { product_id: *product, price_minor: price.0 })
            }
        }
    }
}

impl Product {
    fn parse(wire: ProductV1) -> Result<Self, EntityError> {
        let barcodes = wire.barcodes;
        if barcodes.len() > BARCODES_MAX || !barcodes.is_sorted_by(|a, b| a < b) {
            return Err(EntityError::Barcodes);
        }
        if wire.tax_ppm > 1_000_000 {
            return Err(EntityError::Amount);
        }
        let product = Self {
            id: wire.product_id,
            name: checked_name(wire.name)?,
            barcodes,
            price: checked_price(wire.price_minor)?,
            currency: Currency::parse(&wire.currency).map_err(|_| EntityError::Currency)?,
            tax_ppm: wire.tax_ppm,
            unit: wire.unit,
            category: wire.category,
            active: wire.active,
        };
        assert!(!product.name.is_empty(), "what is sold has a name to print");
        assert!(product.price.0 >= 0, "nobody is paid for taking goods");
        assert!(product.price.0 <= MINOR_MAX, "a price is bounded");
        assert!(product.name.len() <= TEXT_BYTES_MAX, "a name is a short text");
        Ok(product)
    }

    fn to_wire(&self) -> ProductV1 {
        assert!(self.barcodes.len() <= BARCODES_MAX, "a parsed product keeps its bounds");
        assert!(self.tax_ppm <= 1_000_000, "a tax is at most the whole price");
        assert!(self.price.0 <= MINOR_MAX, "a parsed price keeps its bound");
        debug_assert!(self.barcodes.is_sorted_by(|a, b| a < b), "barcodes rise, each once");
        ProductV1 {
            product_id: self.id,
            name: self.name.clone(),
            barcodes: self.barcodes.clone(),
            price_minor: self.price.0,
            currency: self.currency.as_str().into(),
            tax_ppm: self.tax_ppm,
            unit: self.unit,
            category: self.category,
            active: self.active,
        }
    }
}

/// Returns what an entity's content adds to a digest.
#[must_use]
pub fn entity_hash(id: EntityId, content: &[u8]) -> Hash {
    content_hash(id.kind as u8, id.id.as_bytes(), content)
}

fn checked_name(name: String) -> Result<String, EntityError> {
    let fits = (1..=TEXT_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    if fits { Ok(name) } else { Err(EntityError::Name) }
}

fn checked_price(minor: i64) -> Result<Minor, EntityError> {
    if (0..=MINOR_MAX).contains(&minor) { Ok(Minor(minor)) } else { Err(EntityError::Amount) }
}
