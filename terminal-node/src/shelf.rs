//! What the till can sell: products of its catalog, with the branch's price laid over the shop's,
//! and over both what was edited here and is not in the catalog yet.

use counterfoil_protocol::catalog::{BranchPrice, Entity, EntityId, Kind, Product};
use counterfoil_protocol::identity::{CategoryId, LocalEventId, PosId, ProductId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::terminal::edits::{LocalEdits, Told, local_edits};
use counterfoil_protocol::terminal::row::CatalogItem;
use counterfoil_protocol::terminal::{Key, Record, Terminal, codes, migrate};
use counterfoil_protocol::wire::message::EditOutcome;
use serde::Serialize;

use crate::till::{Till, TillError, TillStore, storage_failed};

/// The most products of one answer.
pub const PRODUCTS_MAX: usize = 1_000;
/// The most bytes of a text that is searched for.
pub const SEARCH_BYTES_MAX: usize = 128;
/// How many rows are looked at before whoever sells has the till again.
const PAGE: usize = 256;

const _: () = assert!(PAGE > 1, "each page begins with the last row of the one before");

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
    /// Whether something of it was edited here and is not in the catalog yet.
    pub pending_edit: bool,
}

/// One product, with what a person at this till may want to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductBody {
    /// How it is sold.
    #[serde(flatten)]
    pub on_sale: OnSale,
    /// Whether it is sold.
    pub active: bool,
    /// The version of the catalog that made it what it is, but for what was edited here.
    pub version: u64,
    /// The last edits of this till that the cloud did not simply take, of whatever product.
    pub last_edits: Vec<ToldBody>,
}

/// What the cloud has made of an edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldBody {
    /// The register.
    pub pos_id: PosId,
    /// The caller's name for the edit.
    pub local_event_id: LocalEventId,
    /// The worst that became of its fields.
    pub outcome: EditOutcome,
}

/// An entity as a person at this till sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// With what was edited here laid over.
    pub entity: Entity,
    /// The version of the cloud's row.
    pub version: u64,
    /// Whether anything lies over it.
    pub pending: bool,
}

/// Returns an entity as a person at this till sees it; none if its catalog has none.
///
/// # Errors
/// The store's.
pub async fn seen<S: TillStore>(till: &Till<S>, id: EntityId) -> Result<Option<Seen>, TillError> {
    let reading = till.reading().await?;
    let edits = local_edits(&*reading).await.map_err(storage_failed)?;
    let row = Query::get(&*reading, &Key::Item(id)).await.map_err(storage_failed)?;
    let Some(Record::Item(item)) = row else { return Ok(None) };
    let Ok(mut entity) = Entity::from_canonical(id, &item.content) else { return Ok(None) };
    let pending = edits.lay_over(&mut entity);
    Ok(Some(Seen { entity, version: item.version, pending }))
}

/// Returns one product, sold or not; none if the till's catalog has none.
///
/// # Errors
/// The store's.
pub async fn product<S: TillStore>(
    till: &Till<S>,
    product: ProductId,
) -> Result<Option<ProductBody>, TillError> {
    let id = EntityId::product(product);
    let Some(Seen { entity: Entity::Product(product), version, pending }) = seen(till, id).await?
    else {
        return Ok(None);
    };
    let reading = till.reading().await?;
    let own = own_price(&*reading, id).await?;
    let edits = local_edits(&*reading).await.map_err(storage_failed)?;
    let told = |told: &Told| ToldBody {
        pos_id: told.pos,
        local_event_id: told.local_id,
        outcome: told.outcome,
    };
    let last_edits = edits.told.iter().map(told).collect();
    let active = product.active;
    let on_sale = shown(product, own, pending);
    Ok(Some(ProductBody { on_sale, active, version, last_edits }))
}

/// Returns the active products whose SKU, barcode or name contains `text`, in the order of their
/// SKUs: the first `limit` of them. An exact SKU comes alone, and so does an exact barcode; one of
/// digits only, as a scanner reads it, wherever it stands.
///
/// The catalog is read a page at a time, and a sale goes first between two pages: a search is of
/// no moment, and holds up nobody.
///
/// # Errors
/// The store's.
pub async fn products<S: TillStore>(
    till: &Till<S>,
    text: &str,
    limit: usize,
) -> Result<Vec<OnSale>, TillError> {
    products_of(till, text, None, limit).await
}

/// Returns what [`products`] does, of one category if it is given; then an exact SKU or barcode of
/// another category is not found.
///
/// # Errors
/// The store's.
pub async fn products_of<S: TillStore>(
    till: &Till<S>,
    text: &str,
    category: Option<CategoryId>,
    limit: usize,
) -> Result<Vec<OnSale>, TillError> {
    assert!(limit <= PRODUCTS_MAX, "an answer is bounded");
    if category.is_none()
        && let Ok(code) = Label::parse(text)
    {
        let mut exact = indexed(till, code).await?;
        if !exact.is_empty() {
            exact.truncate(1);
            return Ok(exact);
        }
    }
    let wanted = text.to_lowercase();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unindexed = digits && !is_indexed(till).await?;
    let mut found = Vec::new();
    let mut walk = Walk::over(Kind::Product);
    loop {
        let reading = till.reading().await?;
        let edits = local_edits(&*reading).await.map_err(storage_failed)?;
        for (id, item) in walk.next(&*reading).await? {
            let Some((product, pending)) = active(&edits, id, &item.content) else { continue };
            if category.is_some() && product.category != category {
                continue;
            }
            if product.barcodes.iter().any(|code| code.as_str() == text) {
                return Ok(vec![shown(product, own_price(&*reading, id).await?, pending)]);
            }
            if found.len() < limit && matches(&product, &wanted) {
                let own = own_price(&*reading, id).await?;
                found.push(shown(product, own, pending));
            }
        }
        if walk.is_over || (found.len() == limit && !unindexed) {
            return Ok(found);
        }
    }
}

/// A walk over all entities of a kind, in the order of their names, page by page.
#[derive(Debug)]
pub(crate) struct Walk {
    kind: Kind,
    last: Option<EntityId>,
    /// Whether the last page was the end.
    pub(crate) is_over: bool,
}

impl Walk {
    pub(crate) const fn over(kind: Kind) -> Self {
        Self { kind, last: None, is_over: false }
    }

    /// Returns the next rows, each once.
    pub(crate) async fn next<Q>(
        &mut self,
        store: &Q,
    ) -> Result<Vec<(EntityId, CatalogItem)>, TillError>
    where
        Q: Query<Terminal, Error: std::fmt::Display>,
    {
        let Self { kind, last, .. } = *self;
        let from = Key::Item(last.unwrap_or(EntityId { kind, id: Label::FIRST }));
        let end = Key::Item(EntityId { kind, id: Label::LAST });
        let page = store.scan(&from, &end, PAGE).await.map_err(storage_failed)?;
        self.is_over = page.len() < PAGE;
        let mut rows = Vec::with_capacity(page.len());
        for (key, record) in page {
            let (Key::Item(id), Record::Item(item)) = (key, record) else { continue };
            if self.last.replace(id) != Some(id) {
                rows.push((id, item));
            }
        }
        Ok(rows)
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
    if !found.is_empty() || is_indexed(till).await? {
        return Ok(found);
    }
    let mut found = products(till, code.as_str(), 1).await?;
    let is = |text: &String| text == code.as_str();
    found.retain(|product| is(&product.product_id) || product.barcodes.iter().any(is));
    Ok(found)
}

/// Returns whether the index knows every barcode.
async fn is_indexed<S: TillStore>(till: &Till<S>) -> Result<bool, TillError> {
    let reading = till.reading().await?;
    migrate::is_complete(&*reading).await.map_err(storage_failed)
}

/// Returns the products that the index knows under a code. What is told is the product's own row:
/// a row of the index that it does not confirm is not believed.
async fn indexed<S: TillStore>(till: &Till<S>, code: Label) -> Result<Vec<OnSale>, TillError> {
    let reading = till.reading().await?;
    let edits = local_edits(&*reading).await.map_err(storage_failed)?;
    let mut ids = codes::find(&*reading, code).await.map_err(storage_failed)?;
    ids.push(ProductId(code));
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::new();
    for id in ids.into_iter().map(EntityId::product) {
        let row = Query::get(&*reading, &Key::Item(id)).await.map_err(storage_failed)?;
        let Some(Record::Item(item)) = row else { continue };
        let Some((product, pending)) = active(&edits, id, &item.content) else { continue };
        if is_exactly(&product, code.as_str()) {
            found.push(shown(product, own_price(&*reading, id).await?, pending));
        }
    }
    Ok(found)
}

/// Returns a product that is sold, as edits made here show it, and whether there are such edits.
fn active(edits: &LocalEdits, id: EntityId, content: &[u8]) -> Option<(Product, bool)> {
    let mut entity = Entity::from_canonical(id, content).ok()?;
    let pending = edits.lay_over(&mut entity);
    match entity {
        Entity::Product(product) => product.active.then_some((product, pending)),
        Entity::Category(_) | Entity::Customer(_) | Entity::BranchPrice(_) => None,
    }
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

fn shown(product: Product, own: Option<BranchPrice>, pending_edit: bool) -> OnSale {
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
        pending_edit,
    }
}
