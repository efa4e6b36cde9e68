//! What a branch has of each product: the sums of its movements, a page at a time.
//!
//! > **`StockIsSum`**: stock is the sum of movements, on both sides, always.
//!
//! A sale is never refused for want of stock (S3.8): it makes the sum negative, and a negative sum
//! is the flag for whoever reconciles the shelves. It is no row of its own, so it cannot be wrong.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::row::{Moved, Stock};
use super::{Cloud, Key, Record, Site};
use crate::hash::Hash;
use crate::identity::ProductId;
use crate::label::Label;
use crate::machine::Query;
use crate::wire::message::ServerId;

/// The most products of one page.
pub const PRODUCTS_MAX: usize = 1_000;
/// How often a page is read anew because a roll-up went on meanwhile.
const READS_MAX: usize = 8;
/// The rows of movements that are read at a time.
const PAGE_ROWS: usize = 1_000;

const _: () = assert!(PRODUCTS_MAX > 1, "a page comes further than where it begins");
const _: () = assert!(READS_MAX > 1, "a stock that changes is read again");
const _: () = assert!(PAGE_ROWS > 1, "a page has a row beside the one that it begins with");

/// A page of a branch's stock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stocks {
    /// Products in the order of their SKUs, each once.
    pub products: Vec<(ProductId, Stock)>,
    /// The last product that was looked at, if there may be more after it.
    pub next: Option<ProductId>,
}

/// What is not rolled up yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pending {
    pushes: Vec<ServerId>,
    sums: BTreeMap<ProductId, Stock>,
}

/// Returns the stock of the first products after `after`, at most [`PRODUCTS_MAX`]; `None` if it
/// changed so fast that it could not be read: ask again.
///
/// # Errors
/// The query's.
pub async fn stocks<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    after: Option<ProductId>,
) -> Result<Option<Stocks>, Q::Error> {
    for _ in 0..READS_MAX {
        let before = pending(query, site).await?;
        let (rows, next) = rolled_up(query, site, after).await?;
        // What was rolled up between both reads would count twice.
        let now = pending(query, site).await?;
        if before.pushes.iter().all(|push| now.pushes.binary_search(push).is_ok()) {
            return Ok(Some(summed(rows, &before, after, next)));
        }
    }
    Ok(None)
}

fn summed(
    mut rows: BTreeMap<ProductId, Stock>,
    pending: &Pending,
    after: Option<ProductId>,
    next: Option<ProductId>,
) -> Stocks {
    let within = |product: &ProductId| {
        after.is_none_or(|after| *product > after) && next.is_none_or(|next| *product <= next)
    };
    for (product, by) in pending.sums.iter().filter(|(product, _)| within(product)) {
        let sum = rows.entry(*product).or_default();
        *sum = sum.plus(*by);
    }
    let products: Vec<_> = rows.into_iter().collect();
    assert!(products.iter().all(|(product, _)| within(product)), "a page has its ends");
    assert!(products.is_sorted_by(|a, b| a.0 < b.0), "each product stands once, in order");
    Stocks { products, next }
}

type Rows = (BTreeMap<ProductId, Stock>, Option<ProductId>);

/// Returns the rows after a product, and the last of them if there may be more.
async fn rolled_up<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    after: Option<ProductId>,
) -> Result<Rows, Q::Error> {
    let key = |product| Key::Stock(site.shop, site.branch, product);
    let (first, end) = (after.unwrap_or(ProductId(Label::FIRST)), ProductId(Label::LAST));
    // One more, as `after` itself may be among them.
    let page = query.scan(&key(first), &key(end), PRODUCTS_MAX + 1).await?;
    let whole = page.len() <= PRODUCTS_MAX;
    let rows: BTreeMap<_, _> = page
        .into_iter()
        .filter_map(|row| match row {
            (Key::Stock(_, _, product), Record::Stock(stock)) => Some((product, stock)),
            _ => None,
        })
        .filter(|(product, _)| Some(*product) != after)
        .take(PRODUCTS_MAX)
        .collect();
    assert!(rows.len() <= PRODUCTS_MAX, "a page is bounded");
    let next = rows.keys().next_back().copied().filter(|_| !whole);
    assert!(next.is_none() || next > after, "a page comes further");
    Ok((rows, next))
}

async fn pending<Q: Query<Cloud>>(query: &Q, site: Site) -> Result<Pending, Q::Error> {
    let mut pending = Pending::default();
    each_push(query, site, |push, moved| {
        pending.pushes.push(push);
        for moved in moved {
            let sum = pending.sums.entry(moved.product).or_default();
            *sum = sum.plus(moved.by);
        }
    })
    .await?;
    debug_assert!(pending.pushes.is_sorted(), "pushes are scanned in order");
    Ok(pending)
}

/// Visits what each push has moved that is not rolled up yet, in the order of their names.
pub(super) async fn each_push<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    mut visit: impl FnMut(ServerId, Vec<Moved>),
) -> Result<(), Q::Error> {
    let key = |name| Key::Movements(site.shop, site.branch, ServerId(Hash(name)));
    let (mut from, until) = (key([0; 32]), key([0xff; 32]));
    let mut last = None;
    loop {
        let page = query.scan(&from, &until, PAGE_ROWS).await?;
        assert!(page.len() <= PAGE_ROWS, "a scan keeps its limit");
        let whole = page.len() < PAGE_ROWS;
        for (key, record) in page {
            // A page begins with the row that the one before ended with.
            if let (Key::Movements(_, _, push), Record::Movements(moved)) = (key, record)
                && last != Some(push)
            {
                visit(push, moved);
                (last, from) = (Some(push), key);
            }
        }
        if whole {
            return Ok(());
        }
    }
}
