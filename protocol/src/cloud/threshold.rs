//! Thresholds: below which stock of a product somebody is told (S2.5).
//!
//! A threshold is of a product in the whole shop. Without one it is zero: somebody is told of a
//! stock that is owed. It decides about what is told alone: a sale below it is a sale.

use alloc::vec::Vec;

use super::{Cloud, Key, Output, Record};
use crate::identity::{ProductId, ShopId};
use crate::machine::{ReadSet, Rows};
use crate::money::{MILLI_MAX, Milli};

/// The most thresholds that are set at once.
pub const SET_MAX: usize = 500;

const _: () = assert!(SET_MAX > 0, "a threshold can be set");
const _: () = assert!(MILLI_MAX > 0, "a threshold can be above zero");

/// Thresholds of a shop, checked: one to [`SET_MAX`], each product once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    shop: ShopId,
    /// In the order of the products. Zero is what every product has.
    set: Vec<(ProductId, Milli)>,
}

/// Thresholds that cannot be set. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// None, or more than can be set at once: send fewer.
    #[error("1 to {SET_MAX} thresholds are set at once")]
    Count,
    /// A product stands twice: send it once.
    #[error("a product has one threshold")]
    Twice,
    /// Below zero, or beyond what a stock can be: correct it.
    #[error("a threshold has 0 to {MILLI_MAX} thousandths")]
    Quantity,
}

impl Thresholds {
    /// Checks thresholds of a shop.
    ///
    /// # Errors
    /// [`ThresholdError`] names the rule that is broken.
    pub fn new(shop: ShopId, mut set: Vec<(ProductId, Milli)>) -> Result<Self, ThresholdError> {
        if !(1..=SET_MAX).contains(&set.len()) {
            return Err(ThresholdError::Count);
        }
        if set.iter().any(|(_, quantity)| !(0..=MILLI_MAX).contains(&quantity.0)) {
            return Err(ThresholdError::Quantity);
        }
        set.sort_unstable();
        if !set.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(ThresholdError::Twice);
        }
        assert!(!set.is_empty() && set.len() <= SET_MAX, "what is set at once is bounded");
        assert!(set.iter().all(|(_, quantity)| quantity.0 >= 0), "no stock below zero is enough");
        Ok(Self { shop, set })
    }

    /// Returns whose they are.
    #[must_use]
    pub const fn shop(&self) -> ShopId {
        self.shop
    }

    /// Returns how many they are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.set.len()
    }

    /// Returns whether there are none; [`Self::new`] makes none like that.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

pub(super) fn reads(thresholds: &Thresholds, keys: &mut ReadSet<Key>) {
    assert!(!thresholds.is_empty(), "thresholds are checked");
    keys.extend(
        thresholds.set.iter().map(|(product, _)| Key::Threshold(thresholds.shop, *product)),
    );
}

pub(super) fn step(rows: &mut Rows<'_, Cloud>, thresholds: &Thresholds) -> Output {
    let mut changed = 0;
    assert!(thresholds.len() <= SET_MAX, "thresholds are checked");
    for (product, quantity) in &thresholds.set {
        assert!(quantity.0 >= 0, "thresholds are checked");
        if of(rows, thresholds.shop, *product) == *quantity {
            continue;
        }
        let key = Key::Threshold(thresholds.shop, *product);
        if quantity.0 == 0 {
            rows.remove(key);
        } else {
            rows.put(key, Record::Threshold(*quantity));
        }
        changed += 1;
    }
    assert!(changed as usize <= thresholds.len(), "each changes once");
    Output::ThresholdsSet { changed }
}

/// Returns the threshold of a product, whose row is loaded.
pub(super) fn of(rows: &Rows<'_, Cloud>, shop: ShopId, product: ProductId) -> Milli {
    let threshold = match rows.get(&Key::Threshold(shop, product)) {
        Some(Record::Threshold(quantity)) => *quantity,
        Some(_) => unreachable!("a store gives each key a record of its kind"),
        None => Milli(0),
    };
    assert!((0..=MILLI_MAX).contains(&threshold.0), "a threshold that is stored was checked");
    threshold
}
