//! Money and quantities as integers.

use alloc::string::{String, ToString};
use core::fmt;

use serde::{Deserialize, Serialize};

/// An amount in the minor unit of its currency (cents, pence).
///
/// The bound [`MINOR_MAX`] leaves room for sums over 9 million amounts of that size.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Minor(pub i64);

/// The largest amount of one line, payment or document, either way: a million million minor units.
pub const MINOR_MAX: i64 = 1_000_000_000_000;

/// A quantity in thousandths of the product's unit: pieces, kilograms, metres.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Milli(pub i64);

/// The largest quantity of one line, either way: a thousand million units.
pub const MILLI_MAX: i64 = 1_000_000_000_000;

const _: () = assert!(MINOR_MAX > 0 && MILLI_MAX > 0, "a bound holds either way");
const _: () = assert!(i64::MAX / MINOR_MAX >= 9_000_000, "nine million amounts can be added up");
const _: () = assert!(i64::MAX / MILLI_MAX >= 9_000_000, "nine million quantities can be added up");
const _: () = assert!(MILLI_MAX % 1000 == 0, "the largest quantity is one of whole units");
const _: () = {
    let least = i64::MIN as i128;
    assert!(least * least < i128::MAX - 500, "any price can be told exactly, and rounded");
};

impl Milli {
    /// Returns a quantity of whole units, or `None` beyond [`MILLI_MAX`].
    #[must_use]
    pub fn from_units(units: i64) -> Option<Self> {
        let quantity = units
            .checked_mul(1000)
            .filter(|milli| milli.unsigned_abs() <= MILLI_MAX.unsigned_abs())
            .map(Self);
        assert!(quantity.is_none_or(|held| held.0 / 1000 == units), "whole units stay the same");
        assert!(quantity.is_some() || units != 0, "there is always a quantity of nothing");
        quantity
    }

    /// Returns the price of this quantity at `unit_price`, half a minor unit rounded away from
    /// zero, or `None` beyond [`MINOR_MAX`].
    #[must_use]
    pub fn price(self, unit_price: Minor) -> Option<Minor> {
        // Most prices are told in 64 bits, which are divided far faster.
        if let Some(exact) = self.0.checked_mul(unit_price.0)
            && let Some(raised) = exact.checked_add(500 * exact.signum())
        {
            let rounded = raised / 1000;
            let off = raised % 1000 - 500 * exact.signum();
            assert!(off.unsigned_abs() <= 500, "a price is rounded by at most half a minor unit");
            assert!(exact.signum() * rounded >= 0, "rounding makes no debt a credit");
            let bounded = rounded.unsigned_abs() <= MINOR_MAX.unsigned_abs();
            return bounded.then_some(Minor(rounded));
        }
        let exact = i128::from(self.0) * i128::from(unit_price.0);
        let rounded = (exact + 500 * exact.signum()) / 1000;
        let off = rounded * 1000 - exact;
        assert!(off.unsigned_abs() <= 500, "a price is rounded by at most half a minor unit");
        assert!(exact >= 0 || rounded <= 0, "rounding makes no debt a credit");
        assert!(exact <= 0 || rounded >= 0, "rounding makes no credit a debt");
        i64::try_from(rounded)
            .ok()
            .filter(|minor| minor.unsigned_abs() <= MINOR_MAX.unsigned_abs())
            .map(Minor)
    }
}

/// An ISO 4217 currency code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// A text that is no currency code: three capital letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a currency is three capital letters, as in ISO 4217")]
pub struct CurrencyError;

impl Currency {
    /// Pounds sterling.
    pub const GBP: Self = Self(*b"GBP");

    /// Parses a code.
    ///
    /// # Errors
    /// [`CurrencyError`] for anything but three capital letters.
    pub fn parse(text: &str) -> Result<Self, CurrencyError> {
        match *text.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(CurrencyError),
        }
    }

    /// Returns the code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("a code is capital letters")
    }
}

impl TryFrom<String> for Currency {
    type Error = CurrencyError;

    fn try_from(text: String) -> Result<Self, CurrencyError> {
        Self::parse(&text)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.to_string()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_rounded_half_away_from_zero() {
        for (milli, unit, expected) in [
            (6_000, 255, Some(1530)),
            (1_500, 333, Some(500)),
            (500, 1, Some(1)),
            (-500, 1, Some(-1)),
            (499, 1, Some(0)),
            (MILLI_MAX, MINOR_MAX, None),
        ] {
            assert_eq!(Milli(milli).price(Minor(unit)), expected.map(Minor), "{milli} x {unit}");
        }
    }
}
