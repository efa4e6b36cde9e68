//! `terminal-node product show`, `terminal-node product edit`.

use clap::{Args as ClapArgs, Subcommand};
use counterfoil_protocol::identity::{CategoryId, LocalEventId, PosId, ProductId};
use counterfoil_protocol::label::Label;
use serde_json::{Value, json};

use super::Failure;
use super::access::Access;
use super::args::At;
use super::commands::random_id;
use super::show::Show;
use crate::edit::EditBody;

#[derive(Debug, Subcommand)]
pub(super) enum Product {
    /// Shows a product as this till sells it, with what was edited here and is not in the catalog
    /// yet.
    Show(Which),
    /// Corrects a product's name, unit or category. The cloud decides, as soon as it is reached.
    ///
    /// Price, currency, tax, barcodes and whether it is sold are decided in the cloud.
    Edit(Edit),
}

#[derive(Debug, ClapArgs)]
pub(super) struct Which {
    #[command(flatten)]
    at: At,
    /// Its SKU.
    product: ProductId,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Edit {
    #[command(flatten)]
    which: Which,
    /// The register.
    #[arg(long, default_value = "1")]
    pos: PosId,
    /// The edit's own name: the same name and content again is harmless. Random if not given.
    #[arg(long)]
    id: Option<LocalEventId>,
    /// What is to be printed.
    #[arg(long)]
    name: Option<String>,
    /// What is to be counted: pcs, kg.
    #[arg(long)]
    unit: Option<Label>,
    /// Where it is to be listed.
    #[arg(long, conflicts_with = "no_category")]
    category: Option<CategoryId>,
    /// Takes it out of its category.
    #[arg(long)]
    no_category: bool,
    /// Decided in the cloud; tells so.
    #[arg(long, hide = true)]
    price: Option<String>,
}

pub(super) async fn product(show: Show, product: Product) -> Result<(), Failure> {
    match product {
        Product::Show(Which { at, product }) => {
            let access = Access::to_read(at.home()).await?;
            let found = access.product(product).await?;
            show.result(&found, || text(&found))
        }
        Product::Edit(edit) => {
            let category = edit.category.map(Some).or_else(|| edit.no_category.then_some(None));
            let local_event_id = edit.id.unwrap_or_else(random_id);
            let body = EditBody {
                name: edit.name,
                unit: edit.unit,
                category,
                price_minor: edit.price.map(Value::String),
                ..EditBody::new(edit.pos, local_event_id)
            };
            let access = Access::to_sell(edit.which.at.home()).await?;
            let recorded = access.edit_product(edit.which.product, &body).await?;
            show.result(&json!(recorded), || {
                let again = if recorded.again { " (recorded before)" } else { "" };
                format!("edit {}{again}: the cloud decides it\n", recorded.local_event_id)
            })
        }
    }
}

fn text(found: &Value) -> String {
    let field = |name: &str| {
        let value = &found[name];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut text = String::new();
    for name in ["productId", "name", "unit", "category", "priceMinor", "currency", "taxPpm"] {
        text += &format!("{name:<12} {}\n", field(name));
    }
    text += &format!("{:<12} {}\n", "active", field("active"));
    if found["pendingEdit"] == json!(true) {
        text += "edited here, not in the catalog yet\n";
    }
    for told in found["lastEdits"].as_array().into_iter().flatten() {
        text += &format!("edit {}: {}\n", told["localEventId"], told["outcome"]);
    }
    text
}
