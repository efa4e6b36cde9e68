//! Edits of products at the till: what somebody wishes becomes an event, or a clear refusal.
//!
//! The edit says what the person saw, so it is made from the catalog of the till with everything
//! laid over that was edited here before. The same request again finds its event by its name and
//! is answered as the first time, whatever has become of the product since.

use counterfoil_protocol::catalog::{
    CatalogEdit, EditError, EntityId, Field, FieldChange, FieldValue, Owner,
};
use counterfoil_protocol::event::{Body, Event};
use counterfoil_protocol::identity::{CategoryId, LocalEventId, PosId, ProductId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::terminal::{Draft, Output, Place};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::edit::FieldValueV1;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::shelf;
use crate::till::{Till, TillError, TillStore};

/// What a caller wishes to change of a product: `PATCH /products/{id}`. The same name and wish
/// again is harmless.
///
/// The fields of the cloud's are read to be refused by name, and never taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EditBody {
    /// The register.
    pub pos_id: PosId,
    /// The caller's name for the edit.
    pub local_event_id: LocalEventId,
    /// What is to be printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is to be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Label>,
    /// Where it is to be listed; null takes it out of its category.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub category: Option<Option<CategoryId>>,
    /// Of the cloud's.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub price_minor: Option<Value>,
    /// Of the cloud's.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub currency: Option<Value>,
    /// Of the cloud's.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub tax_ppm: Option<Value>,
    /// Of the cloud's.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub active: Option<Value>,
    /// Of the cloud's.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub barcodes: Option<Value>,
}

/// Why a product was not edited. Nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A field that only the cloud decides.
    #[error("`{}` is decided in the cloud: ask the head office to change it there", .0.word())]
    ServerOwned(Field),
    /// The till's catalog has no such product.
    #[error("the till's catalog has no product {0}: sync, or let the head office define it")]
    Unknown(ProductId),
    /// It is so already, or nothing was asked for.
    #[error("the product is so already: name a field and what it is to be")]
    Nothing,
    /// Another event stands under that name.
    #[error("another event stands under this register and id: {0}")]
    Taken(LocalEventId),
    /// A value that the field cannot have, or too much that waits.
    #[error("{0}")]
    Invalid(String),
    /// The till.
    #[error(transparent)]
    Till(#[from] TillError),
}

fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl EditBody {
    /// Names an edit that wishes nothing yet.
    #[must_use]
    pub const fn new(pos_id: PosId, local_event_id: LocalEventId) -> Self {
        Self {
            pos_id,
            local_event_id,
            name: None,
            unit: None,
            category: None,
            price_minor: None,
            currency: None,
            tax_ppm: None,
            active: None,
            barcodes: None,
        }
    }

    /// Returns what is wished, rising by field.
    fn values(&self) -> Result<Vec<FieldValue>, Refused> {
        let of_the_cloud = [
            (Field::Price, &self.price_minor),
            (Field::Currency, &self.currency),
            (Field::Tax, &self.tax_ppm),
            (Field::Active, &self.active),
            (Field::Barcodes, &self.barcodes),
        ];
        for (field, wished) in of_the_cloud {
            assert_eq!(field.owner(), Owner::Cloud, "the last writer's fields are taken below");
            if wished.is_some() {
                return Err(Refused::ServerOwned(field));
            }
        }
        let wished = [
            self.name.clone().map(FieldValueV1::Name),
            self.unit.map(FieldValueV1::Unit),
            self.category.map(FieldValueV1::Category),
        ];
        let wished = wished.into_iter().flatten().map(FieldValue::parse);
        let wished = wished.collect::<Result<Vec<_>, _>>();
        wished.map_err(|error| Refused::Invalid(error.to_string()))
    }
}

/// Edits a product: one commit, for the cloud to decide. Returns its place in the journal, and
/// whether it stood there before.
///
/// # Errors
/// [`Refused`] says what to do.
pub async fn product<S: TillStore>(
    till: &Till<S>,
    product: ProductId,
    body: &EditBody,
) -> Result<(Place, bool), Refused> {
    let wished = body.values()?;
    if let Some((place, event)) = known(till, body).await? {
        return if says(&event, product, &wished) {
            Ok((place, true))
        } else {
            Err(Refused::Taken(body.local_event_id))
        };
    }
    let edit = edit(till, product, wished).await?;
    let draft = Draft {
        pos: body.pos_id,
        local_id: body.local_event_id,
        at: till.clock().now(),
        reference: String::new(),
        body: Body::CatalogEdited(edit),
    };
    match till.record(draft).await? {
        Output::Recorded { place, again, .. } => Ok((place, again)),
        Output::Taken(_) => Err(Refused::Taken(body.local_event_id)),
        Output::Invalid(error) => Err(Refused::Invalid(error.to_string())),
        output @ (Output::Opened { .. }
        | Output::NotInstalled(_)
        | Output::Settled(_)
        | Output::NothingToRetry
        | Output::Catalogued(_)
        | Output::Session(_)
        | Output::Inbox(_)
        | Output::PlanApplied(_)
        | Output::PlanRefused(_)
        | Output::CatalogUnreadable(_)) => unreachable!("a record is not answered by {output:?}"),
    }
}

/// Makes the edit from what the person sees.
async fn edit<S: TillStore>(
    till: &Till<S>,
    product: ProductId,
    wished: Vec<FieldValue>,
) -> Result<CatalogEdit, Refused> {
    let id = EntityId::product(product);
    let seen = shelf::seen(till, id).await?.ok_or(Refused::Unknown(product))?;
    let mut changes = Vec::new();
    for to in wished {
        let from = FieldValue::of(&seen.entity, to.field());
        let from = from.ok_or_else(|| Refused::Invalid(EditError::Field.to_string()))?;
        match FieldChange::new(from, to) {
            Ok(change) => changes.push(change),
            Err(EditError::Nothing) => {}
            Err(error) => return Err(Refused::Invalid(error.to_string())),
        }
    }
    if changes.is_empty() {
        return Err(Refused::Nothing);
    }
    CatalogEdit::new(id, seen.version, changes).map_err(|error| Refused::Invalid(error.to_string()))
}

/// Returns the event of that name, if there is one.
async fn known<S: TillStore>(
    till: &Till<S>,
    body: &EditBody,
) -> Result<Option<(Place, Event)>, TillError> {
    let Some(known) = till.known(body.pos_id, body.local_event_id).await? else { return Ok(None) };
    let Some(entry) = till.entry(known.place).await? else { return Ok(None) };
    Ok(Event::from_canonical(&entry.payload).ok().map(|event| (known.place, event)))
}

/// Returns whether an event says what is wished: all that it changes is, and what it does not
/// change was so when it was made.
fn says(event: &Event, product: ProductId, wished: &[FieldValue]) -> bool {
    event.edit().is_some_and(|edit| {
        edit.entity() == EntityId::product(product)
            && edit.changes().iter().all(|change| wished.contains(change.to()))
    })
}

/// An edit of any entity as a caller sends it: what `POST /events` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CatalogEditBody {
    /// The register.
    pub pos_id: PosId,
    /// The caller's name for it.
    pub local_event_id: LocalEventId,
    /// The time of it; the till's own if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<Millis>,
    /// The caller's document number.
    #[serde(default)]
    pub reference: String,
    /// What the person saw, and what it is to be.
    pub edit: counterfoil_protocol::wire::edit::CatalogEditV1,
}
