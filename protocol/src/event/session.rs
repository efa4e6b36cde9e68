//! Register sessions: what a register counts between two looks into its drawer.
//!
//! Till and cloud add the same events up with the same code, each for itself and each from its own
//! rows. The till states its sums when it closes a session ([`SessionClosed`]); the cloud holds
//! them against its own, and the answer is *confirmed* or the exact [`Difference`].
//!
//! Sums do not depend on the order of the events: they arrive in any order, and some arrive late.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{
    Body, Correction, EVENT_BYTES_MAX, Event, EventError, Tender, check_amount, check_text,
};
use crate::identity::Epoch;
use crate::money::{Currency, MINOR_MAX, Minor};

/// The most tax rates that a session counts apart. If it meets more, the lowest ones are counted
/// apart and the others together: whatever the order in which they come, the table is the same.
pub const TAX_RATES_MAX: usize = 32;
/// The largest sum of a session, either way: a million of the largest documents.
pub const SUM_MAX: i64 = 1 << 60;
/// The largest count of a session.
pub const COUNT_MAX: u64 = 1 << 40;
/// How many ways to pay there are.
pub const TENDERS_MAX: usize = Tender::ALL.len();

/// The most bytes of a rate and its sum.
const TAX_BYTES_MAX: usize = 5 + 9;
/// The most bytes of a tender, its two sums and what was counted of it.
const TENDER_BYTES_MAX: usize = 2 * (1 + 9) + 9;
/// The highest tax rate, in millionths.
const PPM_MAX: u32 = 1_000_000;

const _: () = assert!(TAX_RATES_MAX > 0, "a usual shop's rates are counted apart");
const _: () = assert!(TENDERS_MAX > 0, "money has a way");
const _: () = assert!((Tender::ALL[0] as u8) < Tender::ALL[1] as u8, "tenders rise");
const _: () = assert!((Tender::ALL[1] as u8) < Tender::ALL[2] as u8, "to the last");
const _: () = assert!(
    TAX_RATES_MAX * TAX_BYTES_MAX + TENDERS_MAX * TENDER_BYTES_MAX + 512 <= EVENT_BYTES_MAX,
    "the longest closing is an event"
);
const _: () = assert!(SUM_MAX / MINOR_MAX >= 1_000_000, "a million of the largest documents fit");
const _: () = assert!(SUM_MAX > MINOR_MAX, "a sum holds more than one document");
const _: () = assert!(SUM_MAX <= i64::MAX / 4, "what is expected of a drawer can be added up");
const _: () = assert!(COUNT_MAX <= i64::MAX as u64, "counts can be taken from each other");

/// A register's session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionOpened {
    /// The currency of every amount that the session counts.
    pub currency: Currency,
    /// The cash in the drawer at that moment; not negative.
    #[serde(rename = "floatMinor")]
    pub float: Minor,
}

/// Cash that was put into a drawer, or taken out of it, for no goods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CashMoved {
    /// The currency.
    pub currency: Currency,
    /// Above zero: put in. Below: taken out. Never zero.
    #[serde(rename = "deltaMinor")]
    pub delta: Minor,
    /// Why; may be empty.
    pub reason: String,
}

/// A register's session ended: sealed at a place of the till's journal.
///
/// What should be in the drawer is not a field: [`SessionClosed::expected`] follows from the
/// others, so nobody can state an expectation that contradicts its own sums.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionClosed {
    /// The currency of every amount.
    pub currency: Currency,
    /// Where its opening stood when it was recorded.
    pub from: Mark,
    /// Where this event itself stood when it was recorded.
    pub to: Mark,
    /// The cash in the drawer when it was opened.
    #[serde(rename = "floatMinor")]
    pub float: Minor,
    /// What the till has counted.
    pub totals: Totals,
    /// What people have counted, by tender, rising. A tender that is missing was not counted.
    pub counted: Vec<Counted>,
}

/// A place in a till's journal, as it was when an event was recorded there. The event may be
/// carried over into a later history; the mark stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mark {
    /// The history.
    pub epoch: Epoch,
    /// The entry in it, from 1.
    pub seq: u64,
}

/// What was counted of one tender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counted {
    /// Which.
    pub tender: Tender,
    /// How much; not negative.
    #[serde(rename = "amountMinor")]
    pub amount: Minor,
}

/// What the events of a session add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Totals {
    /// Sales.
    pub sales: u64,
    /// Refunds.
    pub refunds: u64,
    /// Lines of both.
    pub lines: u64,
    /// Money by tender, rising.
    pub tenders: Vec<TenderTotal>,
    /// Money by tax rate, rising: the lowest rates, at most [`TAX_RATES_MAX`].
    pub taxes: Vec<TaxTotal>,
    /// Money of all rates above those.
    #[serde(rename = "otherTaxesMinor")]
    pub other_taxes: Minor,
    /// Cash that was put in.
    #[serde(rename = "cashInMinor")]
    pub cash_in: Minor,
    /// Cash that was taken out, above zero.
    #[serde(rename = "cashOutMinor")]
    pub cash_out: Minor,
}

/// Money of one tender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenderTotal {
    /// Which.
    pub tender: Tender,
    /// Taken by sales.
    #[serde(rename = "takenMinor")]
    pub taken: Minor,
    /// Given back by refunds, above zero.
    #[serde(rename = "returnedMinor")]
    pub returned: Minor,
}

/// Money of one tax rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaxTotal {
    /// The rate that is contained in the amount, in millionths.
    pub tax_ppm: u32,
    /// Sold less returned, tax included.
    #[serde(rename = "amountMinor")]
    pub amount: Minor,
}

/// What the cloud has more than a till has stated; below zero: less. Nothing of it is rounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Difference {
    /// Sales.
    pub sales: i64,
    /// Refunds.
    pub refunds: i64,
    /// Lines of both.
    pub lines: i64,
    /// Cash at the opening.
    #[serde(rename = "floatMinor")]
    pub float: Minor,
    /// Cash put in.
    #[serde(rename = "cashInMinor")]
    pub cash_in: Minor,
    /// Cash taken out.
    #[serde(rename = "cashOutMinor")]
    pub cash_out: Minor,
    /// The tenders that differ, rising.
    pub tenders: Vec<TenderTotal>,
    /// The tax rates that differ, rising.
    pub taxes: Vec<TaxTotal>,
    /// Money of the rates that are counted together.
    #[serde(rename = "otherTaxesMinor")]
    pub other_taxes: Minor,
    /// Events of the session in another currency, which no sum counts.
    pub foreign: u64,
}

impl Tender {
    /// All ways to pay, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Cash, Self::Card, Self::Other];

    /// Returns the way to pay that has this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Cash),
            2 => Some(Self::Card),
            3 => Some(Self::Other),
            _ => None,
        }
    }
}

impl TryFrom<u8> for Tender {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        Self::from_number(number).ok_or("no way to pay has this number")
    }
}

impl From<Tender> for u8 {
    fn from(tender: Tender) -> Self {
        tender as Self
    }
}

impl SessionOpened {
    pub(super) fn check(self) -> Result<(), EventError> {
        check_amount(self.float, 0)
    }
}

impl CashMoved {
    pub(super) fn check(&self) -> Result<(), EventError> {
        check_text(&self.reason)?;
        let size = self.delta.0.unsigned_abs();
        if size == 0 || size > MINOR_MAX.unsigned_abs() { Err(EventError::Amount) } else { Ok(()) }
    }
}

impl SessionClosed {
    /// Returns what should be there of a tender: what was taken less what was given back, and for
    /// cash also what was there at the opening, was put in and taken out.
    #[must_use]
    pub fn expected(&self, tender: Tender) -> Minor {
        let drawer = match tender {
            Tender::Cash => plus(self.float, minus(self.totals.cash_in, self.totals.cash_out)),
            Tender::Card | Tender::Other => Minor(0),
        };
        let traded = self.totals.tender(tender);
        plus(drawer, minus(traded.taken, traded.returned))
    }

    /// Returns what was counted of a tender, if it was.
    #[must_use]
    pub fn counted(&self, tender: Tender) -> Option<Minor> {
        self.counted.iter().find(|counted| counted.tender == tender).map(|counted| counted.amount)
    }

    pub(super) fn check(&self) -> Result<(), EventError> {
        check_amount(self.float, 0)?;
        self.totals.check()?;
        let rising = self.counted.is_sorted_by(|a, b| a.tender < b.tender);
        let bounded = self.counted.iter().all(|counted| (0..=SUM_MAX).contains(&counted.amount.0));
        let sealed = self.from.seq > 0 && self.to.seq > 0;
        assert!(!rising || self.counted.len() <= TENDERS_MAX, "each tender is counted once");
        if rising && bounded && sealed { Ok(()) } else { Err(EventError::Totals) }
    }
}

impl Totals {
    /// Adds what an event of the session counts for.
    pub fn add(&mut self, event: &Event) {
        let before = (self.sales, self.refunds, self.lines);
        match event.body() {
            Body::Sale(trade) | Body::Correction(Correction { trade, .. }) => {
                self.sales = self.sales.saturating_add(1);
                self.trade(trade, 1);
            }
            Body::Refund { trade, .. } => {
                self.refunds = self.refunds.saturating_add(1);
                self.trade(trade, -1);
            }
            Body::CashMoved(moved) if moved.delta.0 > 0 => {
                self.cash_in = plus(self.cash_in, moved.delta);
            }
            Body::CashMoved(moved) => self.cash_out = minus(self.cash_out, moved.delta),
            Body::Adjustment(_)
            | Body::SessionOpened(_)
            | Body::SessionClosed(_)
            | Body::CatalogEdited(_) => {}
        }
        assert!(self.sales >= before.0 && self.refunds >= before.1, "no trade is taken back");
        assert!(self.lines >= before.2, "no line is taken back");
    }

    /// Takes a sale out that was added: a correction has its place now, or it its own again.
    pub(crate) fn take_back(&mut self, trade: &super::Trade) {
        let before = (self.sales, self.lines);
        assert!(!trade.lines.is_empty(), "a sale has lines");
        self.sales = self.sales.saturating_sub(1);
        self.lines = self.lines.saturating_sub(trade.lines.len() as u64);
        for payment in &trade.payments {
            let total = self.tender_mut(payment.tender);
            total.taken = minus(total.taken, payment.amount);
        }
        for line in &trade.lines {
            self.tax(line.tax_ppm, Minor(-line.amount().0));
        }
        assert!(self.sales <= before.0 && self.lines <= before.1, "what is taken out was added");
    }

    fn trade(&mut self, trade: &super::Trade, sign: i64) {
        assert!(sign == 1 || sign == -1, "goods go out or come back");
        self.lines = self.lines.saturating_add(trade.lines.len() as u64);
        for payment in &trade.payments {
            let total = self.tender_mut(payment.tender);
            if sign > 0 {
                total.taken = plus(total.taken, payment.amount);
            } else {
                total.returned = plus(total.returned, payment.amount);
            }
        }
        assert!(trade.payments.is_empty() || !self.tenders.is_empty(), "what is paid is counted");
        for line in &trade.lines {
            self.tax(line.tax_ppm, Minor(sign * line.amount().0));
        }
    }

    /// Returns what was counted of a tender.
    #[must_use]
    pub fn tender(&self, tender: Tender) -> TenderTotal {
        let none = TenderTotal { tender, taken: Minor(0), returned: Minor(0) };
        self.tenders.iter().find(|total| total.tender == tender).copied().unwrap_or(none)
    }

    fn tender_mut(&mut self, tender: Tender) -> &mut TenderTotal {
        let at = self.tenders.partition_point(|total| total.tender < tender);
        if self.tenders.get(at).is_none_or(|total| total.tender != tender) {
            let total = TenderTotal { tender, taken: Minor(0), returned: Minor(0) };
            self.tenders.insert(at, total);
        }
        let total = &mut self.tenders[at];
        assert_eq!(total.tender, tender, "each tender has its own sum");
        total
    }

    /// Keeps the lowest rates apart: a rate that was pushed out is never let in again, as the
    /// rates that pushed it out stay. So the order of the events changes nothing.
    fn tax(&mut self, tax_ppm: u32, amount: Minor) {
        let at = self.taxes.partition_point(|total| total.tax_ppm < tax_ppm);
        if let Some(total) = self.taxes.get_mut(at).filter(|total| total.tax_ppm == tax_ppm) {
            total.amount = plus(total.amount, amount);
            return;
        }
        if at >= TAX_RATES_MAX {
            self.other_taxes = plus(self.other_taxes, amount);
            return;
        }
        self.taxes.insert(at, TaxTotal { tax_ppm, amount });
        while self.taxes.len() > TAX_RATES_MAX
            && let Some(highest) = self.taxes.pop()
        {
            self.other_taxes = plus(self.other_taxes, highest.amount);
        }
        assert!(self.taxes.len() <= TAX_RATES_MAX, "so many rates are counted apart");
    }

    /// Returns sold less returned, over all tax rates: the turnover, tax included.
    #[must_use]
    pub fn turnover(&self) -> Minor {
        self.taxes.iter().fold(self.other_taxes, |sum, total| plus(sum, total.amount))
    }

    fn check(&self) -> Result<(), EventError> {
        let counts = [self.sales, self.refunds, self.lines];
        let tenders = self.tenders.iter().flat_map(|total| [total.taken, total.returned]);
        let sums = tenders.chain([self.cash_in, self.cash_out]);
        let taxes = self.taxes.iter().map(|total| total.amount).chain([self.other_taxes]);
        let ordered = self.tenders.is_sorted_by(|a, b| a.tender < b.tender)
            && self.taxes.is_sorted_by(|a, b| a.tax_ppm < b.tax_ppm)
            && self.taxes.len() <= TAX_RATES_MAX
            && self.taxes.last().is_none_or(|last| last.tax_ppm <= PPM_MAX);
        let bounded = counts.iter().all(|count| *count <= COUNT_MAX)
            && sums.into_iter().all(|sum| (0..=SUM_MAX).contains(&sum.0))
            && taxes.into_iter().all(|sum| (-SUM_MAX..=SUM_MAX).contains(&sum.0));
        assert!(!ordered || self.tenders.len() <= TENDERS_MAX, "each tender has one sum");
        assert!(!ordered || self.taxes.len() <= TAX_RATES_MAX, "so many rates are apart");
        if ordered && bounded { Ok(()) } else { Err(EventError::Totals) }
    }
}

impl Difference {
    /// Returns what `posted` has more than `stated`. `float` is what the cloud knows of the
    /// opening, `foreign` how many of its events are in another currency.
    #[must_use]
    pub fn between(posted: &Totals, float: Minor, foreign: u64, stated: &SessionClosed) -> Self {
        let told = &stated.totals;
        let tenders = Tender::ALL.iter().map(|tender| {
            let (have, said) = (posted.tender(*tender), told.tender(*tender));
            let taken = minus(have.taken, said.taken);
            TenderTotal { tender: *tender, taken, returned: minus(have.returned, said.returned) }
        });
        let mut taxes: Vec<TaxTotal> = posted.taxes.clone();
        for said in &told.taxes {
            let at = taxes.partition_point(|have| have.tax_ppm < said.tax_ppm);
            if let Some(have) = taxes.get_mut(at).filter(|have| have.tax_ppm == said.tax_ppm) {
                have.amount = minus(have.amount, said.amount);
            } else {
                taxes.insert(at, TaxTotal { amount: minus(Minor(0), said.amount), ..*said });
            }
        }
        taxes.retain(|total| total.amount.0 != 0);
        assert!(taxes.len() <= posted.taxes.len() + told.taxes.len(), "each rate differs once");
        let tenders: Vec<_> =
            tenders.filter(|total| total.taken.0 != 0 || total.returned.0 != 0).collect();
        assert!(tenders.len() <= TENDERS_MAX, "each tender differs once");
        assert!(tenders.is_sorted_by(|a, b| a.tender < b.tender), "tenders rise");
        Self {
            sales: less(posted.sales, told.sales),
            refunds: less(posted.refunds, told.refunds),
            lines: less(posted.lines, told.lines),
            float: minus(float, stated.float),
            cash_in: minus(posted.cash_in, told.cash_in),
            cash_out: minus(posted.cash_out, told.cash_out),
            tenders,
            taxes,
            other_taxes: minus(posted.other_taxes, told.other_taxes),
            foreign,
        }
    }

    /// Returns whether nothing differs.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

fn less(have: u64, said: u64) -> i64 {
    let (have, said) = (have.min(COUNT_MAX), said.min(COUNT_MAX));
    assert!(have <= COUNT_MAX && said <= COUNT_MAX, "bounded counts can be subtracted");
    let by = have as i64 - said as i64;
    assert!(by.unsigned_abs() <= COUNT_MAX, "bounded counts differ by no more than a bounded one");
    assert_eq!(by == 0, have == said, "only what is the same does not differ");
    by
}

/// Adds two sums, and stays within their bound.
pub(crate) fn plus(a: Minor, b: Minor) -> Minor {
    let sum = Minor(a.0.saturating_add(b.0).clamp(-SUM_MAX, SUM_MAX));
    assert!(sum.0.unsigned_abs() <= SUM_MAX.unsigned_abs(), "a sum is bounded");
    sum
}

fn minus(a: Minor, b: Minor) -> Minor {
    plus(a, Minor(b.0.saturating_neg()))
}
