//! The rules of trades and adjustments.

use alloc::vec::Vec;

use super::{EventError, LINES_MAX, Line, PAYMENTS_MAX, Payment, TEXT_BYTES_MAX, Tender, Trade};
use crate::money::{Currency, MILLI_MAX, MINOR_MAX, Minor};

impl Trade {
    /// Returns the sum of the lines.
    #[must_use]
    pub fn total(&self) -> Minor {
        let amounts = self.lines.iter().map(|line| line.amount().0);
        Minor(amounts.fold(0, i64::saturating_add))
    }

    /// Makes a trade of `lines` paid in full by one `tender`.
    #[must_use]
    pub fn paid(currency: Currency, lines: Vec<Line>, tender: Tender) -> Self {
        let mut trade = Self { currency, lines, payments: Vec::new() };
        let amount = trade.total();
        if amount.0 > 0 {
            trade.payments.push(Payment { tender, amount });
        }
        assert_eq!(trade.payments.is_empty(), amount.0 <= 0, "what costs nothing is not paid");
        trade
    }

    pub(super) fn check(&self) -> Result<(), EventError> {
        if self.lines.is_empty() || self.lines.len() > LINES_MAX {
            return Err(EventError::Lines);
        }
        if self.payments.len() > PAYMENTS_MAX {
            return Err(EventError::Payments);
        }
        self.lines.iter().try_for_each(Line::check)?;
        for payment in &self.payments {
            check_amount(payment.amount, 1)?;
        }
        let paid: i64 = self.payments.iter().map(|payment| payment.amount.0).sum();
        assert!(paid >= self.payments.len() as i64, "each payment is above zero");
        assert!(paid <= self.payments.len() as i64 * MINOR_MAX, "each payment is bounded");
        let total = self.total();
        check_amount(total, 0)?;
        if paid == total.0 { Ok(()) } else { Err(EventError::Unbalanced) }
    }
}

impl Line {
    pub(super) fn check(&self) -> Result<(), EventError> {
        check_text(&self.name)?;
        if self.quantity.0 <= 0 || self.quantity.0 > MILLI_MAX {
            return Err(EventError::Quantity);
        }
        check_amount(self.unit_price, 0)?;
        check_amount(self.discount, 0)?;
        let gross = self.quantity.price(self.unit_price).ok_or(EventError::Amount)?;
        assert!(gross.0 >= 0, "goods at a price that is not negative cost no less than nothing");
        assert!(gross.0 <= MINOR_MAX, "a price is bounded");
        if self.tax_ppm > 1_000_000 || self.discount > gross {
            return Err(EventError::Amount);
        }
        Ok(())
    }
}

pub(super) fn check_text(text: &str) -> Result<(), EventError> {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~')); // as most are
    let printable = plain || !text.chars().any(char::is_control);
    let fits = text.len() <= TEXT_BYTES_MAX && printable;
    if fits { Ok(()) } else { Err(EventError::Text) }
}

pub(super) fn check_amount(amount: Minor, least: i64) -> Result<(), EventError> {
    assert!(least == 0 || least == 1, "an amount is never negative, and some are above zero");
    if (least..=MINOR_MAX).contains(&amount.0) { Ok(()) } else { Err(EventError::Amount) }
}
