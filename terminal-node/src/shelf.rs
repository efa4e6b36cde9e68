//! What the till can sell: products of its catalog, with the branch's price laid over the shop's.

use counterfoil_protocol::catalog::{BranchPrice, Entity, EntityId, Kind, Product};
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::terminal::{Key, Record, Terminal, codes, migrate};
use serde::Serialize;

use crate::till::{Till, TillError, TillStore, storage_failed};

/// The most products of one answer.
pub const PRODUCTS_MAX: usize = 1_000;
/// The most bytes of a text that is searched for.
pub const SEARCH_BYTES_MAX: usize = 128;
const PAGE: usize = 1_000;

/// A product as a point of sale shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnSale {
    /// Its SKU.
    pub product_id: String,
    /// What is printed.
    pub name: String,
    /// What is scanned.
    pub barcodes: Vec<String>,
    /// What this branch asks, in minor units.
    pub price_minor: i64,
    /// Whether that is the branch's own price.
    pub branch_price: bool,
    /// ISO 4217.
    pub currency: String,
    /// The tax rate that is contained in the price, in millionths.
    pub tax_ppm: u32,
    /// What is counted.
    pub unit: String,
    /// The category's name for programs.
    pub category: Option<String>,
}

/// Returns the active products whose SKU, barcode or name contains `text`, in the order of their
/// SKUs: `limit` at most. An exact SKU or barcode comes alone.
///
/// # Errors
/// The store's.
pub async fn products<S: TillStore>(
    till: &Till<S>,
    text: &str,
    limit: usize,
) -> Result<Vec<OnSale>, TillError> {
    assert!(limit <= PRODUCTS_MAX, "an answer is bounded");
    if let Ok(code) = Label::parse(text) {
        let mut exact = indexed(till, code).await?;
        if !exact.is_empty() {
            exact.truncate(1);
            return Ok(exact);
        }
    }
    let wanted = text.to_lowercase();
    let reading = till.reading().await?;
    let mut found = Vec::new();
    let mut next = EntityId { kind: Kind::Product, id: Label::FIRST };
    let end = Key::Item(EntityId { kind: Kind::Category, id: Label::FIRST });
    loop {
        let page = reading.scan(&Key::Item(next), &end, PAGE).await.map_err(storage_failed)?;
        let whole = page.len() < PAGE;
        for (key, record) in page {
            let (Key::Item(id), Record::Item(item)) = (key, record) else { continue };
            let seen = id == next && id.id != Label::FIRST;
            next = id;
            let entity = Entity::from_canonical(id, &item.content);
            let (false, Ok(Entity::Product(product))) = (seen, entity) else { continue };
            if !product.active {
                continue;
            }
            if is_exactly(&product, text) {
                return Ok(vec![shown(product, own_price(&*reading, id).await?)]);
            }
            if found.len() < limit && matches(&product, &wanted) {
                let own = own_price(&*reading, id).await?;
                found.push(shown(product, own));
            }
        }
        if whole {
            return Ok(found);
        }
    }
}

/// Returns the active products with exactly this SKU or barcode, in the order of their SKUs: one
/// look-up, whatever the catalog's size.
///
/// Two products may have the same barcode by mistake; then a person chooses. While the database of
/// an older program is being migrated, one product is looked for in the whole catalog.
///
/// # Errors
/// The store's.
pub async fn by_code<S: TillStore>(till: &Till<S>, code: Label) -> Result<Vec<OnSale>, TillError> {
    let found = indexed(till, code).await?;
    let whole = {
        let reading = till.reading().await?;
        migrate::is_complete(&*reading).await.map_err(storage_failed)?
    };
    if whole || !found.is_empty() {
        return Ok(found);
    }
    let mut found = products(till, code.as_str(), 1).await?;
    let is = |text: &String| text == code.as_str();
    found.retain(|product| is(&product.product_id) || product.barcodes.iter().any(is));
    Ok(found)
}

/// Returns the products that the index knows under a code. What is told is the product's own row:
/// a row of the index that it does not confirm is not believed.
async fn indexed<S: TillStore>(till: &Till<S>, code: Label) -> Result<Vec<OnSale>, TillError> {
    let reading = till.reading().await?;
    let mut ids = codes::find(&*reading, code).await.map_err(storage_failed)?;
    ids.push(ProductId(code));
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::new();
    for id in ids.into_iter().map(EntityId::product) {
        let row = reading.get(&Key::Item(id)).await.map_err(storage_failed)?;
        let Some(Record::Item(item)) = row else { continue };
        let Ok(Entity::Product(product)) = Entity::from_canonical(id, &item.content) else {
            continue;
        };
        if product.active && is_exactly(&product, code.as_str()) {
            found.push(shown(product, own_price(&*reading, id).await?));
        }
    }
    Ok(found)
}

fn is_exactly(product: &Product, text: &str) -> bool {
    product.id.as_str() == text || product.barcodes.iter().any(|code| code.as_str() == text)
}

fn matches(product: &Product, wanted: &str) -> bool {
    product.name.to_lowercase().contains(wanted)
        || product.id.as_str().to_lowercase().contains(wanted)
        || product.barcodes.iter().any(|code| code.as_str().contains(wanted))
}

/// Returns what the branch asks for a product, if that is its own price.
async fn own_price<Q>(store: &Q, product: EntityId) -> Result<Option<BranchPrice>, TillError>
where
    Q: Query<Terminal, Error: std::fmt::Display>,
{
    let id = EntityId { kind: Kind::BranchPrice, id: product.id };
    let row = store.get(&Key::Item(id)).await.map_err(storage_failed)?;
    let Some(Record::Item(item)) = row else { return Ok(None) };
    match Entity::from_canonical(id, &item.content) {
        Ok(Entity::BranchPrice(price)) => Ok(Some(price)),
        Ok(Entity::Product(_) | Entity::Category(_) | Entity::Customer(_)) | Err(_) => Ok(None),
    }
}

fn shown(product: Product, own: Option<BranchPrice>) -> OnSale {
    OnSale {
        product_id: product.id.to_string(),
        price_minor: own.map_or(product.price, |own| own.price).0,
        branch_price: own.is_some(),
        barcodes: product.barcodes.iter().map(ToString::to_string).collect(),
        currency: product.currency.to_string(),
        tax_ppm: product.tax_ppm,
        unit: product.unit.to_string(),
        category: product.category.map(|category| category.to_string()),
        name: product.name,
    }
}
