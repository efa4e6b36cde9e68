//! A sale and an adjustment as the contracts of S1, S2 and S3 write them, and what they become.
//!
//! Strict about what is dangerous (types, signs, sizes, keys that stand twice), tolerant about
//! fields that nobody here knows. Amounts are read from their text, see [`crate::decimal`].
//!
//! A client rounds each line that has a discount or a weight; it may round the other way than we
//! do. So `totalAmount`, which the customer has paid, decides: where the exact price of a line lies
//! between two cents, its discount is taken up or down by one until the sum is that total. Any
//! other difference is an error of that sale.

use std::cmp::Ordering;

use counterfoil_protocol::cloud::direct::Direct;
use counterfoil_protocol::event::{
    Adjustment, AdjustmentLine, EventError, LINES_MAX, Line, Tender, Trade,
};
use counterfoil_protocol::identity::{LocalEventId, ProductId, ShopId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::money::{Currency, Milli, Minor};
use counterfoil_protocol::problem::ErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::decimal::{self, decimals_of};
use crate::timestamp;

/// Millionths in one percent, as a power of ten.
const PERCENT_PPM: u32 = 4;
/// What a quantity in thousandths, an amount and a share in millionths have too much together.
const EXACT: i128 = 1_000 * 1_000_000;

/// Why one item cannot be taken: the code, and what a person is told.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) code: ErrorCode,
    pub(super) what: String,
}

impl Bad {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { code: ErrorCode::EventInvalid, what: what.into() }
    }
}

impl From<EventError> for Bad {
    fn from(error: EventError) -> Self {
        Self::new(error.to_string())
    }
}

/// What the names of a sale are, for an answer to a sale that cannot be read.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "clientTempId", alias = "uuid")]
    id: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Sale<'a> {
    #[serde(rename = "clientTempId", alias = "uuid")]
    id: Option<String>,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    #[serde(borrow, rename = "totalAmount", alias = "total_amount")]
    total: &'a RawValue,
    #[serde(default, rename = "customerId", alias = "customer_id")]
    customer: Option<String>,
    #[serde(rename = "createdAt", alias = "created_at")]
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "productId", alias = "product_id")]
    product: String,
    #[serde(borrow)]
    quantity: &'a RawValue,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow, default, rename = "discountPercent", alias = "discount_percent")]
    discount: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Adjusted<'a> {
    #[serde(alias = "clientTempId")]
    uuid: Option<String>,
    #[serde(alias = "product_id", rename = "productId")]
    product: String,
    #[serde(borrow, alias = "delta")]
    quantity: &'a RawValue,
    #[serde(default)]
    reason: Option<String>,
    #[serde(rename = "createdAt", alias = "created_at")]
    created_at: Option<String>,
}

/// What an item says beside its own fields: the envelope around it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Envelope<'a> {
    /// The name, if the item need not say it.
    pub(super) id: Option<&'a str>,
    /// When it was made, if the item does not say it.
    pub(super) created_at: Option<&'a str>,
}

/// Returns the name of a sale as far as one can be read.
pub(super) fn name_of(raw: &RawValue) -> serde_json::Value {
    let named: Option<Named> = object(raw).ok();
    let id = named.and_then(|named| named.id);
    // An answer repeats a name, not a body.
    id.filter(|id| id.as_str().is_some_and(|id| id.len() <= 200)).unwrap_or_default()
}

/// Reads a sale.
pub(super) fn sale(
    raw: &RawValue,
    shop: ShopId,
    currency: Currency,
    around: Envelope<'_>,
) -> Result<Direct, Bad> {
    let sale: Sale<'_> = object(raw)?;
    let id = id_of(sale.id.as_deref(), around.id, "clientTempId")?;
    let at = time_of(sale.created_at.as_deref(), around.created_at)?;
    if sale.items.is_empty() || sale.items.len() > LINES_MAX {
        return Err(Bad::new(format!("a sale has 1 to {LINES_MAX} items")));
    }
    let total = amount(sale.total, "totalAmount", currency)?;
    let lines = sale.items.iter().map(|raw| line(&object(raw)?, currency));
    let mut lines: Vec<(Line, Rounded)> = lines.collect::<Result<_, _>>()?;
    settle(&mut lines, total)?;
    let lines = lines.into_iter().map(|(line, _)| line).collect();
    // How it was paid is not said.
    let trade = Trade::paid(currency, lines, Tender::Other);
    let sum = trade.lines.iter().map(|line| i128::from(line.amount().0)).sum::<i128>();
    let taken = Direct::sale(shop, id, at, trade)?;
    assert_eq!(sum, i128::from(total.0), "a sale is worth what was paid for it");
    // A customer under a name that none can have is unknown.
    let customer = sale.customer.and_then(|customer| Label::parse(&customer).ok());
    Ok(taken.for_customer(customer))
}

/// Reads an adjustment.
pub(super) fn adjustment(
    raw: &RawValue,
    shop: ShopId,
    around: Envelope<'_>,
) -> Result<Direct, Bad> {
    let adjusted: Adjusted<'_> = object(raw)?;
    let id = id_of(adjusted.uuid.as_deref(), around.id, "uuid")?;
    let at = time_of(adjusted.created_at.as_deref(), around.created_at)?;
    let product = product_of(&adjusted.product)?;
    let delta = Milli(number(adjusted.quantity, "quantity", 3)?);
    let lines = vec![AdjustmentLine { product, name: String::new(), delta }];
    let reason = adjusted.reason.unwrap_or_default();
    Ok(Direct::adjustment(shop, id, at, Adjustment { reason, lines })?)
}

/// Where the exact price of a line lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rounded {
    Exact,
    /// Between this amount and the one below it.
    Up,
    /// Between this amount and the one above it.
    Down,
}

/// Reads a line, and says how its price was rounded.
fn line(item: &Item<'_>, currency: Currency) -> Result<(Line, Rounded), Bad> {
    let product = product_of(&item.product)?;
    let quantity = Milli(number(item.quantity, "quantity", 3)?);
    let unit_price = amount(item.price, "price", currency)?;
    let ppm = match item.discount {
        Some(raw) => number(raw, "discountPercent", PERCENT_PPM)?,
        None => 0,
    };
    if !(0..=1_000_000).contains(&ppm) {
        return Err(Bad::new("discountPercent is 0 to 100"));
    }
    if quantity.0 <= 0 {
        return Err(Bad::new("a quantity is above zero: goods that come back are a refund"));
    }
    let gross = quantity.price(unit_price).ok_or_else(|| Bad::new("a price is out of bounds"))?;
    let exact = i128::from(quantity.0) * i128::from(unit_price.0) * i128::from(1_000_000 - ppm);
    let net = i64::try_from((exact + EXACT / 2) / EXACT);
    let net = net.map_err(|_| Bad::new("a price is out of bounds"))?;
    let discount = Minor((gross.0 - net).max(0));
    let name = String::new();
    let line = Line { product, name, quantity, unit_price, discount, tax_ppm: 0 };
    let rounded = match (i128::from(net) * EXACT).cmp(&exact) {
        Ordering::Equal => Rounded::Exact,
        Ordering::Greater => Rounded::Up,
        Ordering::Less => Rounded::Down,
    };
    Ok((line, rounded))
}

/// Lets the sum of the lines be what was paid, where only rounding stands between them.
fn settle(lines: &mut [(Line, Rounded)], total: Minor) -> Result<(), Bad> {
    let sum = lines.iter().fold(0_i64, |sum, (line, _)| sum.saturating_add(line.amount().0));
    let mut over = sum.saturating_sub(total.0);
    for (line, rounded) in lines.iter_mut() {
        match rounded {
            Rounded::Up if over > 0 && line.amount().0 > 0 => {
                line.discount.0 += 1;
                over -= 1;
            }
            Rounded::Down if over < 0 && line.discount.0 > 0 => {
                line.discount.0 -= 1;
                over += 1;
            }
            Rounded::Exact | Rounded::Up | Rounded::Down => {}
        }
    }
    if over == 0 {
        return Ok(());
    }
    Err(Bad::new("totalAmount is not the sum of the items"))
}

fn id_of(own: Option<&str>, around: Option<&str>, name: &str) -> Result<LocalEventId, Bad> {
    let id = match (own, around) {
        (Some(own), Some(around)) if own != around => {
            return Err(Bad::new(format!("{name} is not the entity_id of its command")));
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => return Err(Bad::new(format!("{name} is missing"))),
    };
    LocalEventId::parse(id).map_err(|error| Bad::new(format!("{name}: {error}")))
}

fn time_of(
    own: Option<&str>,
    around: Option<&str>,
) -> Result<counterfoil_protocol::time::Millis, Bad> {
    let text = own.or(around).ok_or_else(|| Bad::new("createdAt is missing"))?;
    let time = timestamp::parse(text).map_err(|error| Bad::new(format!("createdAt: {error}")))?;
    Ok(time.at)
}

fn product_of(text: &str) -> Result<ProductId, Bad> {
    ProductId::parse(text).map_err(|_| {
        // No product can have that name, so there is none.
        let shown: String = text.chars().filter(|c| !c.is_control()).take(64).collect();
        Bad { code: ErrorCode::ProductUnknown, what: format!("Product {shown} not found") }
    })
}

fn amount(raw: &RawValue, name: &str, currency: Currency) -> Result<Minor, Bad> {
    let minor = number(raw, name, decimals_of(currency.as_str()))?;
    if minor < 0 {
        return Err(Bad::new(format!("{name} is negative")));
    }
    Ok(Minor(minor))
}

fn number(raw: &RawValue, name: &str, scale: u32) -> Result<i64, Bad> {
    decimal::parse(raw.get(), scale).map_err(|error| Bad::new(format!("{name}: {error}")))
}

/// Reads an object; a list in its place, which a reader would take for its fields, is none.
pub(super) fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Bad> {
    if !raw.get().starts_with('{') {
        return Err(Bad::new("it is no JSON object"));
    }
    serde_json::from_str(raw.get()).map_err(|error| {
        let what: String = error.to_string().chars().take(200).collect();
        Bad::new(format!("it cannot be read: {what}"))
    })
}
