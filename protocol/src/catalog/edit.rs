//! Edits made on tills: which field belongs to whom, and what an edit may say.
//!
//! > **`OwnershipHolds`**: server-owned fields come from the cloud, branch-owned from the branch,
//! > sales never change.
//!
//! | field | owner | why |
//! |---|---|---|
//! | name, unit, category | whoever wrote last, by the cloud's commits | words for people |
//! | price, currency, tax rate | the cloud | money and law: one decision for all tills |
//! | active | the cloud | what is sold is the head office's decision |
//! | barcodes | the cloud | they decide which product, and so which price, is rung up |
//!
//! An edit may *ask* for a field of the cloud's: it is not taken, and a person sees what was asked.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{
    BARCODES_MAX, BranchPrice, Category, Customer, Entity, EntityError, EntityId, Kind, Product,
    checked_name, checked_price,
};
use crate::identity::CategoryId;
use crate::label::Label;
use crate::money::{Currency, Minor};
use crate::wire::edit::{CatalogEditV1, FieldChangeV1, FieldValueV1};

/// The most fields of one edit: each field there is, once.
pub const CHANGES_MAX: usize = Field::ALL.len();

/// The fields of entities. Their numbers are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Field {
    /// What is printed.
    Name = 0,
    /// What is counted.
    Unit = 1,
    /// Where a product is listed.
    Category = 2,
    /// What is asked for it.
    Price = 3,
    /// The currency of the price.
    Currency = 4,
    /// The tax rate that is contained in the price.
    Tax = 5,
    /// Whether it is sold.
    Active = 6,
    /// What is scanned.
    Barcodes = 7,
}

/// Who decides what stands in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// Whoever wrote last, in the order of the cloud's commits.
    LastWriter,
    /// The cloud alone. What a till asks for is kept for a person.
    Cloud,
}

/// A field and what stands in it, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// Not empty.
    Name(String),
    /// What is counted.
    Unit(Label),
    /// Where it is listed, if anywhere.
    Category(Option<CategoryId>),
    /// Not negative.
    Price(Minor),
    /// The currency of the price.
    Currency(Currency),
    /// In millionths, up to the whole.
    Tax(u32),
    /// Whether it is sold.
    Active(bool),
    /// Rising, each once, at most [`BARCODES_MAX`].
    Barcodes(Vec<Label>),
}

/// What an edit makes of one field: both values are of that field, and they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    from: FieldValue,
    to: FieldValue,
}

/// What somebody at a till wants to change of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogEdit {
    entity: EntityId,
    base_version: u64,
    changes: Vec<FieldChange>,
}

/// An edit that breaks a rule. The caller shows it to whoever made it; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No field, too many, or not in their order.
    #[error("an edit changes 1 to {CHANGES_MAX} fields, in their order, each once")]
    Changes,
    /// A field that entities of this kind do not have.
    #[error("an entity of this kind has no such field")]
    Field,
    /// The old value is of another field than the new one.
    #[error("a change replaces a field by itself")]
    Mixed,
    /// The new value is the old one.
    #[error("an edit that changes nothing is none")]
    Nothing,
    /// A till has as many edits as it keeps, all without an answer.
    #[error("too many edits wait for the cloud: connect this till, then edit on")]
    Waiting,
    /// Earlier edits of a closed history are not carried over yet, and would come after this one.
    /// The driver carries them over ([`pull::adoption`](crate::terminal::pull::adoption)), then
    /// asks again.
    #[error("this till's earlier edits have to be carried over first: try again in a moment")]
    Behind,
    /// A value that the field cannot have.
    #[error(transparent)]
    Value(#[from] EntityError),
}

impl Field {
    /// Every field, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Name,
        Self::Unit,
        Self::Category,
        Self::Price,
        Self::Currency,
        Self::Tax,
        Self::Active,
        Self::Barcodes,
    ];
    const _ORDERED: () = assert!(
        Self::ALL[0] as u8 == 0 && Self::ALL[7] as usize + 1 == Self::ALL.len(),
        "fields stand in the order of their numbers",
    );

    /// Returns who decides what stands in it.
    #[must_use]
    pub const fn owner(self) -> Owner {
        match self {
            Self::Name | Self::Unit | Self::Category => Owner::LastWriter,
            Self::Price | Self::Currency | Self::Tax | Self::Active | Self::Barcodes => {
                Owner::Cloud
            }
        }
    }

    /// Returns whether entities of this kind have it.
    #[must_use]
    pub const fn of(self, kind: Kind) -> bool {
        match kind {
            Kind::Product => true,
            Kind::Category | Kind::Customer => matches!(self, Self::Name),
            Kind::BranchPrice => matches!(self, Self::Price),
        }
    }

    /// Returns its word, as it stands in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Unit => "unit",
            Self::Category => "category",
            Self::Price => "priceMinor",
            Self::Currency => "currency",
            Self::Tax => "taxPpm",
            Self::Active => "active",
            Self::Barcodes => "barcodes",
        }
    }
}

const _: () = assert!(CHANGES_MAX <= u8::MAX as usize, "a field has a number of one byte");
const _: () = assert!(
    super::ENTITY_BYTES_MAX * 2 < crate::event::EVENT_BYTES_MAX,
    "an edit of every field, old and new, is an event"
);

const _: () = {
    let (mut at, mut simple) = (0, 0);
    while at < Field::ALL.len() {
        let field = Field::ALL[at];
        assert!(field as usize == at, "the binary form holds the place: it is the number");
        assert!(field.of(Kind::Product), "a product has every field there is");
        if matches!(field.owner(), Owner::LastWriter) {
            simple += 1;
            assert!(!field.of(Kind::BranchPrice), "nothing of a branch price is a till's");
        }
        at += 1;
    }
    assert!(simple == 3, "a field is the cloud's unless it was decided otherwise");
};

impl FieldValue {
    /// Parses a value from its wire form.
    ///
    /// # Errors
    /// [`EntityError`] names the rule that is broken.
    pub fn parse(wire: FieldValueV1) -> Result<Self, EntityError> {
        let field = wire.field();
        let value = match wire {
            FieldValueV1::Name(name) => Self::Name(checked_name(name)?),
            FieldValueV1::Unit(unit) => Self::Unit(unit),
            FieldValueV1::Category(category) => Self::Category(category),
            FieldValueV1::PriceMinor(minor) => Self::Price(checked_price(minor)?),
            FieldValueV1::Currency(code) => {
                Self::Currency(Currency::parse(&code).map_err(|_| EntityError::Currency)?)
            }
            FieldValueV1::TaxPpm(tax) if tax > 1_000_000 => return Err(EntityError::Amount),
            FieldValueV1::TaxPpm(tax) => Self::Tax(tax),
            FieldValueV1::Active(active) => Self::Active(active),
            FieldValueV1::Barcodes(codes)
                if codes.len() > BARCODES_MAX || !codes.is_sorted_by(|a, b| a < b) =>
            {
                return Err(EntityError::Barcodes);
            }
            FieldValueV1::Barcodes(codes) => Self::Barcodes(codes),
        };
        assert_eq!(value.field(), field, "a value is read as one of its field");
        Ok(value)
    }

    /// Returns the wire form.
    #[must_use]
    pub fn to_wire(&self) -> FieldValueV1 {
        let wire = match self {
            Self::Name(name) => FieldValueV1::Name(name.clone()),
            Self::Unit(unit) => FieldValueV1::Unit(*unit),
            Self::Category(category) => FieldValueV1::Category(*category),
            Self::Price(price) => FieldValueV1::PriceMinor(price.0),
            Self::Currency(currency) => FieldValueV1::Currency(currency.to_string()),
            Self::Tax(tax) => FieldValueV1::TaxPpm(*tax),
            Self::Active(active) => FieldValueV1::Active(*active),
            Self::Barcodes(codes) => FieldValueV1::Barcodes(codes.clone()),
        };
        assert_eq!(wire.field(), self.field(), "a value travels as one of its field");
        wire
    }

    /// Returns which field it is of.
    #[must_use]
    pub const fn field(&self) -> Field {
        match self {
            Self::Name(_) => Field::Name,
            Self::Unit(_) => Field::Unit,
            Self::Category(_) => Field::Category,
            Self::Price(_) => Field::Price,
            Self::Currency(_) => Field::Currency,
            Self::Tax(_) => Field::Tax,
            Self::Active(_) => Field::Active,
            Self::Barcodes(_) => Field::Barcodes,
        }
    }

    /// Reads `field` of an entity; none if entities of its kind have no such field.
    #[must_use]
    pub fn of(entity: &Entity, field: Field) -> Option<Self> {
        let value = match (entity, field) {
            (Entity::Product(product), _) => Self::of_product(product, field),
            (Entity::Category(Category { name, .. }), Field::Name)
            | (Entity::Customer(Customer { name, .. }), Field::Name) => Self::Name(name.clone()),
            (Entity::BranchPrice(BranchPrice { price, .. }), Field::Price) => Self::Price(*price),
            (Entity::Category(_) | Entity::Customer(_) | Entity::BranchPrice(_), _) => return None,
        };
        assert_eq!(value.field(), field, "the field that was asked for is read");
        assert!(field.of(entity.id().kind), "what can be read is a field of its kind");
        Some(value)
    }

    fn of_product(product: &Product, field: Field) -> Self {
        match field {
            Field::Name => Self::Name(product.name.clone()),
            Field::Unit => Self::Unit(product.unit),
            Field::Category => Self::Category(product.category),
            Field::Price => Self::Price(product.price),
            Field::Currency => Self::Currency(product.currency),
            Field::Tax => Self::Tax(product.tax_ppm),
            Field::Active => Self::Active(product.active),
            Field::Barcodes => Self::Barcodes(product.barcodes.clone()),
        }
    }

    /// Writes the field of an entity, if entities of its kind have it and it is the last
    /// writer's: no caller can lay a field of the cloud's over anything by this way.
    pub fn lay_over(&self, entity: &mut Entity) {
        let before = entity.id();
        match (&mut *entity, self) {
            (Entity::Product(product), Self::Name(name)) => product.name.clone_from(name),
            (Entity::Product(product), Self::Unit(unit)) => product.unit = *unit,
            (Entity::Product(product), Self::Category(listed)) => product.category = *listed,
            (Entity::Category(category), Self::Name(name)) => category.name.clone_from(name),
            (Entity::Customer(customer), Self::Name(name)) => customer.name.clone_from(name),
            (Entity::Category(_) | Entity::Customer(_), Self::Unit(_) | Self::Category(_)) => {}
            (Entity::BranchPrice(_), Self::Name(_) | Self::Unit(_) | Self::Category(_)) => {}
            (
                _,
                Self::Price(_)
                | Self::Currency(_)
                | Self::Tax(_)
                | Self::Active(_)
                | Self::Barcodes(_),
            ) => assert_eq!(self.field().owner(), Owner::Cloud, "only the cloud's are left alone"),
        }
        assert_eq!(entity.id(), before, "what lies over renames nothing");
        debug_assert!(
            self.field().owner() == Owner::Cloud
                || Self::of(entity, self.field()).is_none_or(|now| now == *self),
            "what lies over is what stands there now"
        );
    }
}

impl FieldChange {
    /// Makes a change of one field.
    ///
    /// # Errors
    /// [`EditError::Mixed`] or [`EditError::Nothing`].
    pub fn new(from: FieldValue, to: FieldValue) -> Result<Self, EditError> {
        if from.field() != to.field() {
            return Err(EditError::Mixed);
        }
        if from == to {
            return Err(EditError::Nothing);
        }
        let change = Self { from, to };
        assert!(change.from != change.to, "a change changes something");
        assert_eq!(change.field(), change.from.field(), "a change is of one field");
        Ok(change)
    }

    /// Returns which field it changes.
    #[must_use]
    pub const fn field(&self) -> Field {
        self.to.field()
    }

    /// Returns what the person saw.
    #[must_use]
    pub const fn from(&self) -> &FieldValue {
        &self.from
    }

    /// Returns what it is to be.
    #[must_use]
    pub const fn to(&self) -> &FieldValue {
        &self.to
    }
}

impl CatalogEdit {
    /// Makes an edit of one entity.
    ///
    /// # Errors
    /// [`EditError`] names the rule that is broken.
    pub fn new(
        entity: EntityId,
        base_version: u64,
        changes: Vec<FieldChange>,
    ) -> Result<Self, EditError> {
        let rising = changes.is_sorted_by(|a, b| a.field() < b.field());
        if changes.is_empty() || changes.len() > CHANGES_MAX || !rising {
            return Err(EditError::Changes);
        }
        if !changes.iter().all(|change| change.field().of(entity.kind)) {
            return Err(EditError::Field);
        }
        assert!(changes.iter().all(|change| change.from != change.to), "each changes something");
        assert!(changes.len() <= Field::ALL.len(), "each field is changed once");
        Ok(Self { entity, base_version, changes })
    }

    /// Parses an edit from its parts.
    ///
    /// # Errors
    /// [`EditError`] names the rule that is broken.
    pub fn parse(wire: CatalogEditV1) -> Result<Self, EditError> {
        if wire.changes.len() > CHANGES_MAX {
            return Err(EditError::Changes);
        }
        let change = |FieldChangeV1 { from, to }| {
            FieldChange::new(FieldValue::parse(from)?, FieldValue::parse(to)?)
        };
        let came = wire.changes.len();
        let changes: Vec<_> = wire.changes.into_iter().map(change).collect::<Result<_, _>>()?;
        assert_eq!(changes.len(), came, "each change that came is one of the edit");
        Self::new(wire.entity, wire.base_version, changes)
    }

    /// Returns the wire form.
    #[must_use]
    pub fn to_wire(&self) -> CatalogEditV1 {
        assert!(!self.changes.is_empty(), "an edit changes something");
        assert!(self.changes.len() <= CHANGES_MAX, "a parsed edit keeps its bound");
        let change = |change: &FieldChange| FieldChangeV1 {
            from: change.from.to_wire(),
            to: change.to.to_wire(),
        };
        CatalogEditV1 {
            entity: self.entity,
            base_version: self.base_version,
            changes: self.changes.iter().map(change).collect(),
        }
    }

    /// Returns which entity it changes.
    #[must_use]
    pub const fn entity(&self) -> EntityId {
        self.entity
    }

    /// Returns the version of the entity that the person saw; 0 if the till had none.
    #[must_use]
    pub const fn base_version(&self) -> u64 {
        self.base_version
    }

    /// Returns what it changes; rising by field, each once.
    #[must_use]
    pub fn changes(&self) -> &[FieldChange] {
        &self.changes
    }
}
