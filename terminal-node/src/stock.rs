//! What the till knows of its stock: sums of its own movements and of those from the inbox, and
//! what a person should look at.

use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::inbox::{EventId, Reference};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::terminal::inbox::{self, Movement, Review};
use counterfoil_protocol::terminal::{Input, Key, Output, Record};
use counterfoil_protocol::wire::inbox::ReferenceV1;
use serde::{Deserialize, Serialize};

use crate::till::{Till, TillError, TillStore, storage_failed};

/// The most rows of one answer.
pub const ROWS_MAX: usize = 1_000;

/// A product's stock as this till knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockItem {
    /// Which product.
    pub product_id: ProductId,
    /// The sum of its movements here, in thousandths; may be negative.
    pub quantity_milli: i64,
    /// How many movements.
    pub movements: u64,
    /// Whether an online order took what is not there, and nobody has looked at it yet.
    pub review: bool,
}

/// A movement that came through the inbox, as S0.5 names its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MovementItem {
    /// Its number on this till.
    pub number: u64,
    /// The event.
    pub event_id: EventId,
    /// Which product.
    pub product_id: ProductId,
    /// What was added, in thousandths.
    pub delta_milli: i64,
    /// `ONLINE` or `POS`.
    pub source: String,
    /// `ORDER` or `SALE`.
    pub reference_type: String,
    /// The order, or the sibling's event.
    pub reference_id: String,
    /// When it happened.
    pub created_at_ms: u64,
    /// When this till took it in.
    pub applied_at_ms: u64,
    /// The stock after it.
    pub stock_milli: i64,
    /// Whether it took what was not there.
    pub review: bool,
}

/// A product that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewItem {
    /// Which product.
    pub product_id: ProductId,
    /// Since when.
    pub since_ms: u64,
    /// The first movement that took what was not there.
    pub first_movement: u64,
    /// How many did so.
    pub movements: u64,
    /// The lowest stock that one of them left.
    pub lowest_milli: i64,
}

/// Returns the stock of one product, or of the first [`ROWS_MAX`] after `after`, by SKU.
///
/// # Errors
/// The store's.
pub async fn stock<S: TillStore>(
    till: &Till<S>,
    product: Option<ProductId>,
    after: Option<ProductId>,
) -> Result<Vec<StockItem>, TillError> {
    let reading = till.reading().await?;
    let first = product.or(after).unwrap_or(ProductId(Label::FIRST));
    let end = Key::Stock(ProductId(Label::LAST));
    // One more than the bound: `after` itself may be among them.
    let mut rows = match product {
        Some(product) => {
            let key = Key::Stock(product);
            let row = reading.get(&key).await.map_err(storage_failed)?;
            row.into_iter().map(|row| (key, row)).collect()
        }
        None => {
            let first = Key::Stock(first);
            reading.scan(&first, &end, ROWS_MAX + 1).await.map_err(storage_failed)?
        }
    };
    rows.retain(|(key, _)| after.is_none_or(|after| *key != Key::Stock(after)));
    rows.truncate(ROWS_MAX);
    let mut items = Vec::with_capacity(rows.len());
    for (key, record) in rows {
        let (Key::Stock(product_id), Record::Stock(stock)) = (key, record) else { continue };
        let review = reading.get(&Key::Review(product_id)).await.map_err(storage_failed)?;
        items.push(StockItem {
            product_id,
            quantity_milli: stock.quantity.0,
            movements: stock.movements,
            review: review.is_some(),
        });
    }
    Ok(items)
}

/// Returns movements that came through the inbox, after the one with number `after`.
///
/// # Errors
/// The store's.
pub async fn movements<S: TillStore>(
    till: &Till<S>,
    after: u64,
    limit: usize,
) -> Result<Vec<MovementItem>, TillError> {
    assert!(limit <= ROWS_MAX, "an answer is bounded");
    let reading = till.reading().await?;
    let (first, end) = (Key::Movement(after.saturating_add(1)), Key::Movement(u64::MAX));
    if first >= end {
        return Ok(Vec::new());
    }
    let rows = reading.scan(&first, &end, limit).await.map_err(storage_failed)?;
    let shown = |(key, record)| match (key, record) {
        (Key::Movement(number), Record::Movement(movement)) => Some(shown(number, &movement)),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(shown).collect())
}

fn shown(number: u64, movement: &Movement) -> MovementItem {
    let reference = reference(movement.reference);
    MovementItem {
        number,
        event_id: movement.event,
        product_id: movement.product,
        delta_milli: movement.delta.0,
        source: reference.source().to_owned(),
        reference_type: reference.kind().to_owned(),
        reference_id: reference.to_string(),
        created_at_ms: movement.created_at.0,
        applied_at_ms: movement.applied_at.0,
        stock_milli: movement.stock.0,
        review: movement.review,
    }
}

const fn reference(wire: ReferenceV1) -> Reference {
    match wire {
        ReferenceV1::Order { order_id } => Reference::Order(order_id),
        ReferenceV1::Sale { terminal_id, pos_id, local_event_id } => {
            Reference::Sale(counterfoil_protocol::identity::EventKey {
                terminal: terminal_id,
                pos: pos_id,
                local_id: local_event_id,
            })
        }
    }
}

/// Returns the products that somebody should look at: the first [`ROWS_MAX`], by SKU.
///
/// # Errors
/// The store's.
pub async fn reviews<S: TillStore>(till: &Till<S>) -> Result<Vec<ReviewItem>, TillError> {
    let [first, end] = [Label::FIRST, Label::LAST].map(|end| Key::Review(ProductId(end)));
    let reading = till.reading().await?;
    let rows = reading.scan(&first, &end, ROWS_MAX).await.map_err(storage_failed)?;
    let item = |(key, record)| match (key, record) {
        (Key::Review(product_id), Record::Review(review)) => Some(to_review(product_id, review)),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(item).collect())
}

const fn to_review(product_id: ProductId, review: Review) -> ReviewItem {
    ReviewItem {
        product_id,
        since_ms: review.since.0,
        first_movement: review.first,
        movements: review.movements,
        lowest_milli: review.lowest.0,
    }
}

/// Notes that a person has looked at a product. `false`: nobody was asked to.
///
/// # Errors
/// The store's.
pub async fn reviewed<S: TillStore>(till: &Till<S>, product: ProductId) -> Result<bool, TillError> {
    let input = Input::Inbox(inbox::Input::Reviewed(product));
    Ok(matches!(till.apply(input).await?, Output::Inbox(inbox::Output::Reviewed(true))))
}
