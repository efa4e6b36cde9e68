//! From the databases of older programs to this one's: in small steps, while the till sells.
//!
//! | version | since then |
//! |---|---|
//! | 1 | no row says a version |
//! | 2 | [`Key::Schema`] does, and each barcode has a row ([`Key::Code`]) |
//! | 3 | an entry can be replaced by its correction: nothing is rebuilt |
//! | 4 | an entry can stand in the archive ([`Key::Archive`]): nothing is rebuilt |
//!
//! Opening an older database puts the new version into it, with the commit that an opening is
//! anyway. What has to be rebuilt follows in steps of at most [`STEP_PRODUCTS`] products, one
//! commit each, with the cursor in the same commit: whoever is killed goes on from there. Until
//! the last step, look-ups must not rely on the index. Pages of the catalog keep it from the
//! opening on, before the cursor and behind it.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::row::Meta;
use super::{Key, Output, Record, Terminal, codes};
use crate::catalog::{BARCODES_MAX, EntityId, Kind};
use crate::label::Label;
use crate::machine::{Query, ReadSet, Rows};

/// The version of the till's tables that this program writes. It rises with each change of a row
/// that an older program would read wrongly, or not keep.
pub const SCHEMA_VERSION: u32 = 4;
/// The version of a database in which no row says one.
pub const SCHEMA_VERSION_UNSAID: u32 = 1;
/// The most products of one step. A sale waits for one step at most.
pub const STEP_PRODUCTS: usize = 256;

/// The most rows that a step writes.
const STEP_ROWS_MAX: usize = STEP_PRODUCTS * BARCODES_MAX + 1;

const _: () = assert!(SCHEMA_VERSION > SCHEMA_VERSION_UNSAID, "versions rise");
const _: () = assert!(STEP_PRODUCTS > 0, "a step gets on");
const _: () = assert!(STEP_ROWS_MAX <= 1 << 13, "a step is a small commit");

/// Which version of the tables a database has. Programs of other versions read it before anything
/// else, so its form never changes: what a later migration has to remember gets a row of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// A program that does not know it does not open the database.
    pub version: u32,
    /// How far the index of barcodes has come.
    pub codes: CodeIndex,
}

/// How far the index of barcodes has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CodeIndex {
    /// It has every barcode.
    Whole,
    /// It has those of the products up to this one, and of each that was changed since.
    Until(Option<EntityId>),
}

/// One step: which products to look at, as they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The cursor that it goes on from. If that is not the database's, nothing is done.
    after: Option<EntityId>,
    /// The products from there on.
    products: Vec<EntityId>,
    /// Whether no product comes after them.
    last: bool,
}

/// Returns the version of a database, and refuses none: see [`SCHEMA_VERSION`].
///
/// # Errors
/// The store's.
pub async fn version<Q: Query<Terminal>>(store: &Q) -> Result<u32, Q::Error> {
    Ok(match store.get(&Key::Schema).await? {
        Some(Record::Schema(schema)) => schema.version,
        Some(_) | None => SCHEMA_VERSION_UNSAID,
    })
}

/// Returns whether nothing is left to migrate.
///
/// # Errors
/// The store's.
pub async fn is_complete<Q: Query<Terminal>>(store: &Q) -> Result<bool, Q::Error> {
    Ok(match store.get(&Key::Schema).await? {
        Some(Record::Schema(schema)) => schema.codes == CodeIndex::Whole,
        Some(_) | None => false,
    })
}

/// Returns the next step of an open database, or none if nothing is left.
///
/// # Errors
/// The store's.
pub async fn next<Q: Query<Terminal>>(store: &Q, most: usize) -> Result<Option<Step>, Q::Error> {
    assert!((1..=STEP_PRODUCTS).contains(&most), "a step gets on, and has its bound");
    let Some(Record::Schema(Schema { codes: CodeIndex::Until(after), .. })) =
        store.get(&Key::Schema).await?
    else {
        return Ok(None);
    };
    let first = Key::Item(after.unwrap_or(EntityId::FIRST));
    let end = Key::Item(EntityId { kind: Kind::Category, id: Label::FIRST });
    let limit = most + 1; // the scan begins with the last one of the step before
    let rows = if first < end { store.scan(&first, &end, limit).await? } else { Vec::new() };
    let found = rows.len();
    let names = rows.into_iter().filter_map(
        |(key, _)| {
            if let Key::Item(id) = key { Some(id) } else { None }
        },
    );
    let products: Vec<_> = names.filter(|id| Some(*id) > after).take(most).collect();
    let last = found < limit;
    assert!(last || !products.is_empty(), "each step gets on");
    assert!(products.len() <= most, "a scan keeps its limit");
    debug_assert!(products.is_sorted_by(|a, b| a < b), "each product is looked at once");
    Ok(Some(Step { after, products, last }))
}

/// A new database is of this version, and complete.
pub(super) fn install(rows: &mut Rows<'_, Terminal>) {
    assert!(rows.meta().is_some(), "what is installed has its books");
    let schema = Schema { version: SCHEMA_VERSION, codes: CodeIndex::Whole };
    rows.put(Key::Schema, Record::Schema(schema));
    assert_eq!(rows.schema(), Some(&schema), "what is installed says its version");
}

/// An older database becomes one of this version, of which all is left to do.
pub(super) fn open(rows: &mut Rows<'_, Terminal>) {
    let held = rows.schema().map_or(SCHEMA_VERSION_UNSAID, |schema| schema.version);
    if held < SCHEMA_VERSION {
        let codes = rows.schema().map_or(CodeIndex::Until(None), |schema| schema.codes);
        let schema = Schema { version: SCHEMA_VERSION, codes };
        rows.put(Key::Schema, Record::Schema(schema));
    }
    let now = rows.schema().map(|schema| schema.version);
    assert!(now >= Some(SCHEMA_VERSION), "an open database says its version");
    assert!(now == Some(held) || held < SCHEMA_VERSION, "only an older database is changed");
}

pub(super) fn reads(step: &Step, keys: &mut ReadSet<Key>) {
    assert!(step.products.len() <= STEP_PRODUCTS, "a step has its bound");
    keys.insert(Key::Schema);
    keys.extend(step.products.iter().map(|id| Key::Item(*id)));
}

/// Takes a step: the codes of its products as they are now, and the cursor behind them.
///
/// A product that has come since, or gone, was followed by the page that changed it.
pub(super) fn step(rows: &mut Rows<'_, Terminal>, meta: &Meta, step: &Step) -> Output {
    let expected = Schema { version: SCHEMA_VERSION, codes: CodeIndex::Until(step.after) };
    if rows.schema() != Some(&expected) {
        return Output::Settled(meta.backlog()); // it was taken before
    }
    for id in &step.products {
        let codes = rows.catalog_item(*id).map(|item| codes::barcodes(*id, &item.content));
        codes::add(rows, *id, &codes.unwrap_or_default());
    }
    let through = step.products.last().copied();
    assert!(step.last || through > step.after, "each step gets on");
    let codes = if step.last { CodeIndex::Whole } else { CodeIndex::Until(through) };
    assert_ne!(codes, expected.codes, "no step is taken twice");
    rows.put(Key::Schema, Record::Schema(Schema { codes, ..expected }));
    Output::Settled(meta.backlog())
}
