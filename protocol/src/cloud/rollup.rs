//! Roll-up: what pushes have moved is added to the stock, many pushes at a time.
//!
//! > **`StockIsSum`**: stock is the sum of movements, always.
//!
//! If each push wrote the stock rows of what it sold, every till of a branch would wait for the
//! others at the same rows, and most of a commit would be stock. So a push writes its movements
//! beside its events, in one row of its own; a product's stock is its stock row *and* what was
//! moved since. A node rolls up in the background; how late it does changes no sum.
//! Measured: `docs/decisions/0005-stock-rollup.md`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::row::{Moved, Stock};
use super::{Cloud, Key, Output, Record, Site, threshold};
use crate::event::LINES_MAX;
use crate::hash::Hash;
use crate::identity::ProductId;
use crate::machine::{Query, ReadSet, Rows};
use crate::money::Milli;
use crate::time::Millis;
use crate::wire::message::ServerId;

/// A stock that fell below its threshold (S2.5): somebody is to look at the shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The stock that it fell to.
    pub quantity: Milli,
    /// When that was added up.
    pub at: Millis,
}

/// The most pushes that one roll-up takes.
pub const PUSHES_MAX: usize = 1_024;
/// The most products that one roll-up takes, unless a single push moved more.
pub const PRODUCTS_MAX: usize = 4_096;

/// How many rows of movements are read at a time: each may have a megabyte.
const PAGE_ROWS: usize = 32;

const _: () = assert!(PAGE_ROWS > 1, "a page gets beyond the row that it begins after");
const _: () = assert!(PUSHES_MAX > 0, "a roll-up takes something");
const _: () = assert!(PUSHES_MAX <= PRODUCTS_MAX, "each push can bring a product of its own");
const _: () = assert!(LINES_MAX <= PRODUCTS_MAX, "the largest event is rolled up within the bound");

/// Movements that are to be rolled up, and the products they move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollUp {
    site: Site,
    pushes: Vec<ServerId>,
    products: BTreeSet<ProductId>,
}

impl RollUp {
    /// Returns how many pushes' movements it takes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.pushes.len()
    }

    /// Takes a push along, unless there is no room for it.
    fn takes(&mut self, key: Key, record: Record) -> bool {
        let (Key::Movements(shop, branch, first), Record::Movements(moved)) = (key, record) else {
            unreachable!("a store gives each key a record of its kind")
        };
        assert_eq!(Site { shop, branch }, self.site, "a branch sees its own movements only");
        let full = self.products.len() + moved.len() > PRODUCTS_MAX;
        if self.pushes.len() == PUSHES_MAX || (full && !self.is_empty()) {
            return false;
        }
        self.pushes.push(first);
        self.products.extend(moved.iter().map(|moved| moved.product));
        assert!(self.pushes.len() <= PUSHES_MAX, "a roll-up takes so many pushes");
        assert!(
            self.products.len() <= PRODUCTS_MAX || self.pushes.len() == 1,
            "only a push that moved more is taken alone"
        );
        true
    }

    /// Returns whether there is nothing to do; [`plan`] makes none like that.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pushes.is_empty()
    }
}

/// Returns the next roll-up of a branch, if there is anything to roll up.
///
/// # Errors
/// The query's; nothing was changed.
pub async fn plan<Q: Query<Cloud>>(query: &Q, site: Site) -> Result<Option<RollUp>, Q::Error> {
    let [from, until] =
        [0, 0xff].map(|end| Key::Movements(site.shop, site.branch, ServerId(Hash([end; 32]))));
    let mut rolled = RollUp { site, pushes: Vec::new(), products: BTreeSet::new() };
    let mut next = from;
    loop {
        let page = query.scan(&next, &until, PAGE_ROWS).await?;
        let last = page.len() < PAGE_ROWS;
        for (key, record) in page {
            // A page begins with the row that the one before ended with.
            let again = key == next && !rolled.is_empty();
            if !again && !rolled.takes(key, record) {
                return Ok(Some(rolled));
            }
            next = key;
        }
        if last {
            return Ok((!rolled.is_empty()).then_some(rolled));
        }
    }
}

pub(super) fn reads(rolled: &RollUp, keys: &mut ReadSet<Key>) {
    assert!(!rolled.is_empty() && rolled.len() <= PUSHES_MAX, "a roll-up is planned");
    let Site { shop, branch } = rolled.site;
    keys.extend(rolled.pushes.iter().map(|first| Key::Movements(shop, branch, *first)));
    keys.extend(rolled.products.iter().map(|product| Key::Stock(shop, branch, *product)));
    keys.extend(rolled.products.iter().map(|product| Key::Threshold(shop, *product)));
}

pub(super) fn step(rows: &mut Rows<'_, Cloud>, now: Millis, rolled: &RollUp) -> Output {
    let Site { shop, branch } = rolled.site;
    // Of each product the sum, and how much of it rose.
    let mut sums: BTreeMap<ProductId, (Stock, Milli)> = BTreeMap::new();
    let mut pushes = 0;
    for first in &rolled.pushes {
        let key = Key::Movements(shop, branch, *first);
        // It may be rolled up already, and after a restore even be another push of that name.
        let Some(Record::Movements(moved)) = rows.get(&key) else { continue };
        if !moved.iter().all(|moved| rolled.products.contains(&moved.product)) {
            continue;
        }
        for Moved { product, by } in moved {
            let (sum, rose) = sums.entry(*product).or_default();
            *sum = sum.plus(*by);
            rose.0 = rose.0.saturating_add(by.quantity.0.max(0));
        }
        rows.remove(key);
        pushes += 1;
    }
    assert!(pushes <= rolled.pushes.len() as u64, "each push is rolled up once");
    assert!(pushes > 0 || sums.is_empty(), "what is added was taken from somewhere");
    assert!(sums.len() <= rolled.products.len(), "only declared products are moved");
    for (product, (by, rose)) in sums {
        let held = rows.stock(shop, branch, product).copied().unwrap_or_default();
        let stock = held.plus(by);
        let threshold = threshold::of(rows, shop, product);
        // In which order pushes moved it is not known here. A delivery that was sold from at once
        // may have stood above in between, and has fallen then.
        let highest = Milli(held.quantity.0.saturating_add(rose.0));
        assert!(highest >= held.quantity, "what rose is not taken back");
        if highest >= threshold && stock.quantity < threshold {
            // Named by its movement, of which there is one: nothing need be read before.
            assert!(stock.movements >= held.movements, "movements are not taken back");
            let notice = Notice { quantity: stock.quantity, at: now };
            let key = Key::Notice(shop, branch, product, stock.movements);
            rows.keep(key, Record::Notice(notice));
        }
        rows.put(Key::Stock(shop, branch, product), Record::Stock(stock));
    }
    Output::RolledUp(pushes)
}
