//! `terminal-node stock` and `terminal-node review`.

use comfy_table::{Cell, Color};
use serde_json::json;

use super::Failure;
use super::access::Access;
use super::args::{Review, StockOf};
use super::show::{Show, ago, scaled, table};

pub(super) async fn stock(show: Show, of: StockOf) -> Result<(), Failure> {
    let access = Access::to_read(of.at.home()).await?;
    let items = access.stock(of.product).await?;
    show.result(&json!(items), || {
        if items.is_empty() {
            return "nothing was moved yet\n".to_owned();
        }
        let mut table = table();
        table.set_header(["product", "stock", "movements", ""]);
        for item in &items {
            let note = if item.review {
                Cell::new("to review: sold online, and not there").fg(Color::Red)
            } else {
                Cell::new("")
            };
            table.add_row([
                Cell::new(item.product_id),
                Cell::new(scaled(item.quantity_milli, 3)),
                Cell::new(item.movements),
                note,
            ]);
        }
        format!("{table}\n")
    })
}

pub(super) async fn review(show: Show, review: Review) -> Result<(), Failure> {
    if let Some(product) = review.done {
        return Access::to_sell(review.at.home()).await?.reviewed(product).await;
    }
    let access = Access::to_read(review.at.home()).await?;
    let items = access.reviews().await?;
    show.result(&json!(items), || {
        if items.is_empty() {
            return "no stock went below nothing through an online order\n".to_owned();
        }
        let mut table = table();
        table.set_header(["product", "lowest stock", "movements", "since"]);
        for item in &items {
            table.add_row([
                Cell::new(item.product_id),
                Cell::new(scaled(item.lowest_milli, 3)),
                Cell::new(item.movements),
                Cell::new(ago(item.since_ms)),
            ]);
        }
        format!("{table}\n")
    })
}
