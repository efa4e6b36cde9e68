//! `POST /v1/admin/catalog/import?shopId=S`: products as CSV.
//!
//! The first line names the columns: `productId,name,price,currency`, and if wanted `taxPercent`,
//! `unit`, `category`, `barcodes` (with spaces between them), `active`, and `lowStock`, the stock
//! below which somebody is told (empty: as it was). Every row is read before
//! anything is written, so a file with a mistake changes nothing; then it is written in commits of
//! bounded size. To send the same file again changes nothing.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::catalog::Entity;
use counterfoil_protocol::cloud::catalog::EDITS_MAX;
use counterfoil_protocol::cloud::threshold::SET_MAX;
use counterfoil_protocol::cloud::{Edit, Edits, Input, Output};
use counterfoil_protocol::identity::{CategoryId, ProductId, ShopId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::money::{MILLI_MAX, Milli};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::catalog::{EntityV1, ProductV1};
use http::{StatusCode, header};
use serde::Deserialize;

use super::body::{Manner, json};
use super::{Reads, Shared, auth, lease, thresholds, wrong_output};
use crate::decimal::{self, decimals_of};
use crate::problem::Problem;

/// The most rows of a file.
const ROWS_MAX: usize = 20_000;
/// What a commit weighs in a transaction.
const COMMIT_WEIGHT: usize = 256 * 1024;
/// Thousandths of a quantity, as a power of ten.
const MILLI_DECIMALS: u32 = 3;
/// Millionths in one percent, as a power of ten.
const PERCENT_PPM: u32 = 4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wish {
    shop_id: ShopId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    product_id: ProductId,
    name: String,
    price: String,
    currency: String,
    #[serde(default)]
    tax_percent: String,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    barcodes: String,
    #[serde(default)]
    active: String,
    #[serde(default)]
    low_stock: String,
}

pub(super) async fn answer<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Wish>, QueryRejection>,
    request: Request,
) -> Response {
    take(&node, wish, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn take<Q: Reads>(
    node: &Shared<Q>,
    wish: Result<Query<Wish>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    auth::operator(node, &head.headers)?;
    let Query(Wish { shop_id: shop }) =
        wish.map_err(|_| Problem::new(ErrorCode::EventInvalid, "say whose catalog: `?shopId=S`"))?;
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/csv")) {
        let detail = "this route takes CSV: send text/csv";
        return Err(Problem::new(ErrorCode::VersionUnsupported, detail));
    }
    let bytes = Manner::plain_json().read(&node.parts.limits, body).await?;
    let (edits, low) = read(&bytes)?;
    let rows = edits.len();
    let commits: Result<Vec<Edits>, _> =
        edits.chunks(EDITS_MAX).map(|part| Edits::new(shop, part.to_vec())).collect();
    let commits = commits.map_err(|error| invalid(&error))?;
    let (mut version, mut changed) = (0, 0);
    for edits in commits {
        let input = Input::EditCatalog(edits);
        let output =
            node.ask_logged("catalog.import", Some(shop), "", input, COMMIT_WEIGHT).await?;
        let Output::Edited { version: now, changed: more } = output else {
            return Err(wrong_output());
        };
        (version, changed) = (now, changed + more);
        if more > 0 {
            lease::edited(node, shop, now);
        }
    }
    let mut thresholds = 0;
    for part in low.chunks(SET_MAX) {
        thresholds += thresholds::put(node, shop, part.to_vec()).await?;
    }
    let told = serde_json::json!({
        "rows": rows, "changed": changed, "version": version, "thresholds": thresholds,
    });
    Ok(json(Manner::plain_json(), StatusCode::OK, &told))
}

/// What a file says: products, and the thresholds of some of them.
pub(super) type Said = (Vec<Edit>, Vec<(ProductId, Milli)>);

pub(super) fn read(bytes: &[u8]) -> Result<Said, Problem> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let (mut edits, mut low) = (Vec::new(), Vec::new());
    let mut known = std::collections::BTreeMap::new();
    for (number, row) in (2_u32..).zip(reader.deserialize::<Row>()) {
        let read = row.map_err(|error| error.to_string()).and_then(|row| {
            let threshold = threshold(&row)?;
            Ok((product(row)?, threshold))
        });
        let (edit, threshold) =
            read.map_err(|error| invalid(&format!("line {number}: {error}")))?;
        if let Some(before) = known.insert(edit.id, number) {
            let what = format!("line {number}: {} stands in line {before} already", edit.id);
            return Err(invalid(&what));
        }
        edits.push(edit);
        low.extend(threshold);
        if edits.len() > ROWS_MAX {
            let detail = format!("a file has at most {ROWS_MAX} products: send it in parts");
            return Err(Problem::new(ErrorCode::TooLarge, detail));
        }
    }
    if edits.is_empty() { Err(invalid(&"the file has no product")) } else { Ok((edits, low)) }
}

/// Returns the threshold that a row sets, if it sets one.
fn threshold(row: &Row) -> Result<Option<(ProductId, Milli)>, String> {
    if row.low_stock.is_empty() {
        return Ok(None);
    }
    let quantity = decimal::parse(&row.low_stock, MILLI_DECIMALS);
    let quantity = quantity.map_err(|error| format!("lowStock: {error}"))?;
    if !(0..=MILLI_MAX).contains(&quantity) {
        return Err("lowStock: a quantity from 0".to_owned());
    }
    Ok(Some((row.product_id, Milli(quantity))))
}

fn product(row: Row) -> Result<Edit, String> {
    let text = |error: &dyn std::fmt::Display, column: &str| format!("{column}: {error}");
    let price = decimal::parse(&row.price, decimals_of(&row.currency));
    let tax = if row.tax_percent.is_empty() { "0" } else { &row.tax_percent };
    let tax = decimal::parse(tax, PERCENT_PPM).map_err(|error| text(&error, "taxPercent"))?;
    let unit = if row.unit.is_empty() { "pcs" } else { &row.unit };
    let category = Some(row.category).filter(|category| !category.is_empty());
    let category = category.map(|category| CategoryId::parse(&category)).transpose();
    let barcodes: Result<Vec<_>, _> = row.barcodes.split_whitespace().map(Label::parse).collect();
    let mut barcodes = barcodes.map_err(|error| text(&error, "barcodes"))?;
    barcodes.sort_unstable();
    barcodes.dedup();
    let wire = ProductV1 {
        product_id: row.product_id,
        name: row.name,
        barcodes,
        price_minor: price.map_err(|error| text(&error, "price"))?,
        currency: row.currency,
        tax_ppm: u32::try_from(tax).map_err(|error| text(&error, "taxPercent"))?,
        unit: Label::parse(unit).map_err(|error| text(&error, "unit"))?,
        category: category.map_err(|error| text(&error, "category"))?,
        active: match row.active.as_str() {
            "" | "true" | "1" | "yes" => true,
            "false" | "0" | "no" => false,
            _ => return Err("active: true or false".to_owned()),
        },
    };
    let entity = Entity::parse(EntityV1::Product(wire)).map_err(|error| error.to_string())?;
    Ok(Edit { branch: None, id: entity.id(), entity: Some(entity) })
}

fn invalid(error: &dyn std::fmt::Display) -> Problem {
    let shown: String = error.to_string().chars().take(300).collect();
    Problem::new(ErrorCode::EventInvalid, format!("{shown}: correct it, nothing was changed"))
}
