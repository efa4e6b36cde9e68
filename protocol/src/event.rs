//! What happened at a till: sales, refunds, stock adjustments, edits, parsed at the border.
//!
//! An [`Event`] can only be made by [`Event::parse`], so inside the protocol there are no checks
//! left to forget. Quantities and amounts of sales and refunds are positive facts; the kind of
//! the event gives their sign.

mod adjustment;
mod figures;

use alloc::string::String;
use alloc::vec::Vec;

use crate::catalog::{CatalogEdit, EditError};
use crate::codec::{self, MESSAGE_BYTES_MAX};
use crate::hash::{Hash, payload_hash};
use crate::identity::{Epoch, EventKey, LocalEventId, PosId, ProductId, TerminalId};
use crate::label::LABEL_BYTES_MAX;
use crate::money::{Currency, MILLI_MAX, MINOR_MAX, Milli, Minor};
use crate::time::Millis;
use crate::wire::event::EventV1;

pub use adjustment::{Adjustment, AdjustmentLine};
pub use figures::Figures;

/// The most lines in one event.
pub const LINES_MAX: usize = 2_000;
/// The most payments in one event.
pub const PAYMENTS_MAX: usize = 16;
/// The most bytes in a product name, a reference, or a reason.
pub const TEXT_BYTES_MAX: usize = 128;
/// The most canonical bytes one event may have.
pub const EVENT_BYTES_MAX: usize = 512 * 1024;
/// The version byte of canonical event bytes.
pub const EVENT_VERSION: u8 = 1;

/// The most bytes of a line beside its texts: four numbers, and the lengths of two texts.
const LINE_NUMBER_BYTES: usize = 3 * 9 + 5 + 2;
/// The most bytes of a line.
const LINE_BYTES_MAX: usize = LABEL_BYTES_MAX + TEXT_BYTES_MAX + LINE_NUMBER_BYTES;
/// The most bytes of an event beside its lines: payments, and a few names and numbers.
const FRAME_BYTES_MAX: usize = PAYMENTS_MAX * 10 + 5 * LABEL_BYTES_MAX + TEXT_BYTES_MAX + 64;

const _: () = assert!(EVENT_VERSION > 0, "versions count from 1");
const _: () = assert!(LINES_MAX > 0 && PAYMENTS_MAX > 0, "a trade has lines, and can be paid");
const _: () = assert!(
    LINES_MAX * LINE_BYTES_MAX + FRAME_BYTES_MAX <= EVENT_BYTES_MAX,
    "an event that keeps every other bound keeps this one"
);
const _: () = assert!(EVENT_BYTES_MAX <= MESSAGE_BYTES_MAX, "every event can be decoded");
const _: () = assert!(TEXT_BYTES_MAX <= 250, "the length of a text is one byte");
const _: () = assert!(TEXT_BYTES_MAX >= LABEL_BYTES_MAX, "a text has room for any name");
const _: () =
    assert!(LINES_MAX as i64 <= i64::MAX / MILLI_MAX, "an event's quantities can be added up");
const _: () =
    assert!(LINES_MAX as i64 <= i64::MAX / MINOR_MAX, "an event's amounts can be added up");
const _: () =
    assert!(PAYMENTS_MAX as i64 <= i64::MAX / MINOR_MAX, "an event's payments can be added up");

/// Something that happened at a register. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub(crate) pos: PosId,
    pub(crate) local_id: LocalEventId,
    pub(crate) at: Millis,
    pub(crate) receipt: Option<Receipt>,
    pub(crate) reference: String,
    pub(crate) body: Body,
}

/// The number on a printed receipt: gapless in its register's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt {
    /// The epoch in which it was printed: a restored till starts a new series.
    pub series: Epoch,
    /// Counts from 1.
    pub number: u64,
}

/// What kind of thing happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Goods went out, money came in.
    Sale(Trade),
    /// Goods came back, money went out.
    Refund {
        /// The sale it takes back, if it is known. It waits in the cloud for that sale.
        original: Option<EventKey>,
        /// What came back.
        trade: Trade,
    },
    /// Stock was counted, found or written off.
    Adjustment(Adjustment),
    /// Somebody at a till wants something of the catalog to be otherwise.
    CatalogEdited(CatalogEdit),
}

/// Goods against money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trade {
    /// The currency of every amount in it.
    pub currency: Currency,
    /// At least one, at most [`LINES_MAX`].
    pub lines: Vec<Line>,
    /// Their sum is the sum of the lines.
    pub payments: Vec<Payment>,
}

/// One position of a trade, with what the customer saw: a later catalog does not change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which product.
    pub product: ProductId,
    /// Its name at that moment; may be empty.
    pub name: String,
    /// How much; above zero.
    pub quantity: Milli,
    /// The price of one unit; not negative.
    pub unit_price: Minor,
    /// What was taken off this line; not negative, not above its price.
    pub discount: Minor,
    /// The tax rate that is contained in the price, in millionths.
    pub tax_ppm: u32,
}

impl Line {
    /// Returns quantity times price less discount; the border has shown that it exists.
    #[must_use]
    pub fn amount(&self) -> Minor {
        let gross = self.quantity.price(self.unit_price).map_or(0, |minor| minor.0);
        Minor(gross.saturating_sub(self.discount.0))
    }
}

/// Money given or returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// How.
    pub tender: Tender,
    /// How much; above zero, after change.
    pub amount: Minor,
}

/// A way to pay. Its numbers are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Tender {
    /// Notes and coins.
    Cash = 1,
    /// A card.
    Card = 2,
    /// Anything else: voucher, account.
    Other = 3,
}

/// A change of stock that follows from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Which product.
    pub product: ProductId,
    /// What is added to its stock.
    pub delta: Milli,
}

/// An event that breaks a rule. The caller shows it to whoever made the event; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The bytes have no readable form, or not the one canonical form.
    #[error("the event's bytes are not in canonical form: {0}")]
    Form(#[from] codec::DecodeError),
    /// The bytes decode, but another encoder would write them differently.
    #[error("the event's bytes are not the shortest form of their content")]
    NotCanonical,
    /// More than [`EVENT_BYTES_MAX`].
    #[error("an event has at most {EVENT_BYTES_MAX} bytes")]
    TooLarge,
    /// No line, or more than [`LINES_MAX`].
    #[error("an event has 1 to {LINES_MAX} lines")]
    Lines,
    /// More than [`PAYMENTS_MAX`].
    #[error("a trade has at most {PAYMENTS_MAX} payments")]
    Payments,
    /// A text above [`TEXT_BYTES_MAX`], or one with control characters.
    #[error("a text has at most {TEXT_BYTES_MAX} bytes and no control characters")]
    Text,
    /// A quantity that is zero, of the wrong sign, or above its bound.
    #[error("a quantity is out of bounds")]
    Quantity,
    /// A price, discount or amount of the wrong sign or above its bound.
    #[error("an amount is out of bounds")]
    Amount,
    /// The payments do not add up to the lines.
    #[error("the payments do not add up to the lines")]
    Unbalanced,
    /// An identifier or code that cannot be read.
    #[error("an identifier, currency or tender cannot be read")]
    Name,
    /// A trade without receipt, an adjustment with one, or a number zero.
    #[error("sales and refunds carry a receipt number from 1, other events none")]
    Receipt,
    /// An edit of the catalog that breaks a rule.
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl Event {
    /// Parses an event from its parts.
    ///
    /// # Errors
    /// [`EventError`] names the rule that is broken.
    pub fn parse(wire: EventV1) -> Result<Self, EventError> {
        Self::sealed(wire).map(|(event, _)| event)
    }

    /// Parses an event and returns its canonical bytes with it.
    ///
    /// # Errors
    /// [`EventError`] names the rule that is broken.
    pub fn sealed(wire: EventV1) -> Result<(Self, Vec<u8>), EventError> {
        let canonical = codec::encode(EVENT_VERSION, &wire);
        if canonical.len() > EVENT_BYTES_MAX {
            return Err(EventError::TooLarge);
        }
        let event = wire.into_event()?;
        event.check()?;
        assert!(canonical[0] == EVENT_VERSION, "an event's bytes begin with its version");
        Ok((event, canonical))
    }

    /// Parses canonical bytes; `docs/wire.md` specifies them.
    ///
    /// # Errors
    /// [`EventError`]; in particular bytes that no encoder of ours would have written are refused,
    /// so that equal events have equal hashes.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, EventError> {
        if bytes.len() > EVENT_BYTES_MAX {
            return Err(EventError::TooLarge);
        }
        let wire: EventV1 = codec::decode(EVENT_VERSION, bytes)?;
        if !codec::is_encoded(EVENT_VERSION, &wire, bytes) {
            return Err(EventError::NotCanonical);
        }
        assert!(bytes[0] == EVENT_VERSION, "bytes of another version are not decoded");
        let event = wire.into_event()?;
        event.check()?;
        Ok(event)
    }

    /// Returns the canonical bytes: version byte, then the binary form of `EventV1`.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        codec::encode(EVENT_VERSION, &EventV1::from_event(self))
    }

    /// Returns the payload hash, and the bytes it was taken from.
    #[must_use]
    pub fn hashed(&self) -> (Hash, Vec<u8>) {
        let bytes = self.canonical();
        (payload_hash(&bytes), bytes)
    }

    /// Returns the idempotency key of this event when `terminal` made it.
    #[must_use]
    pub const fn key(&self, terminal: TerminalId) -> EventKey {
        EventKey { terminal, pos: self.pos, local_id: self.local_id }
    }

    /// Returns the register it was made on.
    #[must_use]
    pub const fn pos(&self) -> PosId {
        self.pos
    }

    /// Returns the caller's name for it.
    #[must_use]
    pub const fn local_id(&self) -> LocalEventId {
        self.local_id
    }

    /// Returns the till's time of it. It orders nothing.
    #[must_use]
    pub const fn at(&self) -> Millis {
        self.at
    }

    /// Returns the receipt's number, if it has a receipt.
    #[must_use]
    pub const fn receipt(&self) -> Option<Receipt> {
        self.receipt
    }

    /// Returns the caller's document number; may be empty.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// Returns what happened.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// Returns the sale that a refund takes back, if it names one.
    #[must_use]
    pub const fn original(&self) -> Option<EventKey> {
        match &self.body {
            Body::Refund { original, .. } => *original,
            Body::Sale(_) | Body::Adjustment(_) | Body::CatalogEdited(_) => None,
        }
    }

    /// Returns the edit of the catalog, if it is one.
    #[must_use]
    pub const fn edit(&self) -> Option<&CatalogEdit> {
        match &self.body {
            Body::CatalogEdited(edit) => Some(edit),
            Body::Sale(_) | Body::Refund { .. } | Body::Adjustment(_) => None,
        }
    }

    /// Returns the stock movements that follow from it; none from an edit of the catalog.
    pub fn movements(&self) -> impl Iterator<Item = Movement> + '_ {
        let (trade, sign): (&[Line], i64) = match &self.body {
            Body::Sale(trade) => (&trade.lines, -1),
            Body::Refund { trade, .. } => (&trade.lines, 1),
            Body::Adjustment(_) | Body::CatalogEdited(_) => (&[], 0),
        };
        let adjusted: &[AdjustmentLine] = match &self.body {
            Body::Adjustment(adjustment) => &adjustment.lines,
            Body::Sale(_) | Body::Refund { .. } | Body::CatalogEdited(_) => &[],
        };
        assert!(trade.is_empty() || adjusted.is_empty(), "an event trades or adjusts, never both");
        let moves = trade.len() + adjusted.len() > 0;
        assert_eq!(moves, self.edit().is_none(), "what is no edit of the catalog moves something");
        assert!(trade.len() + adjusted.len() <= LINES_MAX, "an event moves so much and no more");
        trade
            .iter()
            .map(move |line| {
                assert!(line.quantity.0 > 0, "goods have a quantity, the event gives its sign");
                Movement { product: line.product, delta: Milli(sign * line.quantity.0) }
            })
            .chain(adjusted.iter().map(|line| {
                assert!(line.delta.0 != 0, "what is adjusted changes");
                Movement { product: line.product, delta: line.delta }
            }))
    }

    /// Returns what this one event adds to the books.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let moved: i64 = self.movements().map(|movement| movement.delta.0).sum();
        let (lines, money) = match &self.body {
            Body::Sale(trade) => (trade.lines.len(), trade.total().0),
            Body::Refund { trade, .. } => (trade.lines.len(), -trade.total().0),
            Body::Adjustment(adjustment) => (adjustment.lines.len(), 0),
            Body::CatalogEdited(_) => (0, 0),
        };
        // Goods that leave count up, as on an invoice; an adjustment counts as the stock moves.
        let quantity = match &self.body {
            Body::Sale(_) | Body::Refund { .. } => -moved,
            Body::Adjustment(_) | Body::CatalogEdited(_) => moved,
        };
        assert_eq!(lines > 0, self.edit().is_none(), "what is no edit has lines");
        assert!(lines <= LINES_MAX, "an event has a bounded number of lines");
        assert!(
            quantity.unsigned_abs() <= lines as u64 * MILLI_MAX.unsigned_abs(),
            "no line counts more than its bound"
        );
        assert!(money.unsigned_abs() <= MINOR_MAX.unsigned_abs(), "a document's total is bounded");
        match &self.body {
            Body::Sale(_) => assert!(quantity > 0 && money >= 0, "a sale takes money for goods"),
            Body::Refund { .. } => {
                assert!(quantity < 0 && money <= 0, "a refund gives money for goods");
            }
            Body::Adjustment(_) => assert!(money == 0, "an adjustment moves no money"),
            Body::CatalogEdited(_) => assert!(money == 0 && quantity == 0, "an edit moves nothing"),
        }
        Figures { events: 1, lines: lines as u64, quantity: Milli(quantity), money: Minor(money) }
    }

    /// Returns a word for its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match &self.body {
            Body::Sale(_) => "sale",
            Body::Refund { .. } => "refund",
            Body::Adjustment(_) => "adjustment",
            Body::CatalogEdited(_) => "catalogEdit",
        }
    }

    fn check(&self) -> Result<(), EventError> {
        check_text(&self.reference)?;
        let trade = match &self.body {
            Body::Sale(trade) | Body::Refund { trade, .. } => Some(trade),
            Body::Adjustment(_) | Body::CatalogEdited(_) => None,
        };
        if self.receipt.map(|receipt| receipt.number > 0) != trade.map(|_| true) {
            return Err(EventError::Receipt);
        }
        match &self.body {
            Body::Sale(trade) | Body::Refund { trade, .. } => trade.check(),
            Body::Adjustment(adjustment) => adjustment.check(),
            Body::CatalogEdited(_) => Ok(()), // an edit is checked when it is made
        }
    }
}

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
        trade
    }

    fn check(&self) -> Result<(), EventError> {
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
        check_amount(self.total(), 0)?;
        if paid == self.total().0 { Ok(()) } else { Err(EventError::Unbalanced) }
    }
}

impl Line {
    fn check(&self) -> Result<(), EventError> {
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

fn check_text(text: &str) -> Result<(), EventError> {
    let fits = text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(EventError::Text) }
}

fn check_amount(amount: Minor, least: i64) -> Result<(), EventError> {
    assert!(least == 0 || least == 1, "an amount is never negative, and some are above zero");
    if (least..=MINOR_MAX).contains(&amount.0) { Ok(()) } else { Err(EventError::Amount) }
}
