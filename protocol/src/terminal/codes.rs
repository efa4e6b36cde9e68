//! The index of what is scanned: a row for each barcode of each product.
//!
//! > **`CodesAgree`**: the rows of the index are exactly the barcodes of the products that are in
//! > the catalog, in each committed state; while the index is being built, none is there that
//! > should not be, and those of each product up to the cursor are all there.
//!
//! A code's key holds the product too, so that a row is written and removed without having been
//! read, and two products with the same barcode do not write the same row.

use alloc::vec::Vec;

use super::{Key, Record, Terminal};
use crate::catalog::{BARCODES_MAX, Entity, EntityId, Kind};
use crate::identity::ProductId;
use crate::label::Label;
use crate::machine::{Query, Rows};

/// The most products that a look-up finds under one barcode; there should be one.
pub const FOUND_MAX: usize = 16;

const _: () = assert!(FOUND_MAX > 1, "two products may have the same barcode by mistake");

/// Returns the products with this barcode, in the order of their names, [`FOUND_MAX`] at most: one
/// look-up, however large the catalog is.
///
/// While the index is being built ([`super::migrate::is_complete`]) it may not know all.
///
/// # Errors
/// The store's.
pub async fn find<Q: Query<Terminal>>(store: &Q, code: Label) -> Result<Vec<ProductId>, Q::Error> {
    let first = Key::Code(code, ProductId(Label::FIRST));
    let end = Key::Code(code, ProductId(Label::LAST));
    let rows = store.scan(&first, &end, FOUND_MAX).await?;
    assert!(rows.len() <= FOUND_MAX, "a scan keeps its limit");
    let found = rows.into_iter().filter_map(|(key, _)| {
        if let Key::Code(found, product) = key { Some((found, product)) } else { None }
    });
    let found = found.filter(|(found, _)| *found == code).map(|(_, product)| product);
    let found: Vec<_> = found.collect();
    assert!(found.len() <= FOUND_MAX, "a look-up is bounded");
    debug_assert!(found.is_sorted_by(|a, b| a < b), "a product is found once");
    Ok(found)
}

/// Which rows of a product are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// Those that were not there before: the rows of an index lie all over the file, and most edits
    /// are of prices.
    New,
    /// All: drift is being mended, and a row that was lost comes back with its product.
    All,
}

/// Makes the index follow an entity that is about to be scanned as `now`.
pub(super) fn follow(rows: &mut Rows<'_, Terminal>, id: EntityId, now: &[Label], write: Write) {
    let before = rows.catalog_item(id).map_or_else(Vec::new, |held| barcodes(id, &held.content));
    assert!(before.len() <= BARCODES_MAX, "an entity that was read keeps its bounds");
    assert!(now.len() <= BARCODES_MAX, "an entity that was read keeps its bounds");
    for code in before.iter().filter(|code| now.binary_search(code).is_err()) {
        rows.retract(Key::Code(*code, ProductId(id.id)));
    }
    match write {
        Write::All => add(rows, id, now),
        Write::New => {
            let new = now.iter().filter(|code| before.binary_search(code).is_err());
            add(rows, id, &new.copied().collect::<Vec<_>>());
        }
    }
}

/// Writes the rows of a product that is there.
pub(super) fn add(rows: &mut Rows<'_, Terminal>, id: EntityId, codes: &[Label]) {
    assert!(codes.is_empty() || id.kind == Kind::Product, "only products are scanned");
    assert!(codes.len() <= BARCODES_MAX, "an entity that was read keeps its bounds");
    for code in codes {
        rows.keep(Key::Code(*code, ProductId(id.id)), Record::Code);
    }
}

/// Returns what is scanned of an entity; nothing of one that cannot be read.
pub(super) fn barcodes(id: EntityId, content: &[u8]) -> Vec<Label> {
    if id.kind != Kind::Product {
        return Vec::new();
    }
    let codes = match Entity::from_canonical(id, content) {
        Ok(Entity::Product(product)) => product.barcodes,
        Ok(Entity::Category(_) | Entity::Customer(_) | Entity::BranchPrice(_)) | Err(_) => {
            Vec::new()
        }
    };
    assert!(codes.len() <= BARCODES_MAX, "a parsed product keeps its bounds");
    debug_assert!(codes.is_sorted_by(|a, b| a < b), "barcodes rise, each once");
    codes
}
