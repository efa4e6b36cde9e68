//! What happened at a till: sales, refunds, stock adjustments, edits, parsed at the border.
//!
//! An [`Event`] can only be made by [`Event::parse`], so inside the protocol there are no checks
//! left to forget. Quantities and amounts of sales and refunds are positive facts; the kind of
//! the event gives their sign.

mod adjustment;
mod body;
mod correction;
mod error;
mod figures;
mod rules;
pub mod session;

use alloc::string::String;
use alloc::vec::Vec;

use crate::catalog::CatalogEdit;
use crate::codec::{self, MESSAGE_BYTES_MAX};
use crate::hash::{Hash, payload_hash};
use crate::identity::{Epoch, EventKey, LocalEventId, PosId, ProductId, SessionId, TerminalId};
use crate::label::LABEL_BYTES_MAX;
use crate::money::{Currency, MILLI_MAX, MINOR_MAX, Milli, Minor};
use crate::time::Millis;
use crate::wire::canonical;
use crate::wire::event::{EventAny, EventV1, EventV2};

pub use adjustment::{Adjustment, AdjustmentLine};
pub use correction::{CORRECTED_MAX, Corrected, Correction};
pub use error::EventError;
pub use figures::Figures;
use rules::{check_amount, check_text};
pub use session::{CashMoved, SessionClosed, SessionOpened};

/// The most lines in one event.
pub const LINES_MAX: usize = 2_000;
/// The most payments in one event.
pub const PAYMENTS_MAX: usize = 16;
/// The most bytes in a product name, a reference, or a reason.
pub const TEXT_BYTES_MAX: usize = 128;
/// The most canonical bytes one event may have.
pub const EVENT_BYTES_MAX: usize = 512 * 1024;
/// The version byte of the canonical bytes of an event that no register session counts.
pub const EVENT_VERSION: u8 = 1;
/// The version byte of the canonical bytes of an event that names its register session.
pub const EVENT_VERSION_IN_SESSION: u8 = 2;

/// The most bytes of a line beside its texts: four numbers, and the lengths of two texts.
const LINE_NUMBER_BYTES: usize = 3 * 9 + 5 + 2;
/// The most bytes of a line.
const LINE_BYTES_MAX: usize = LABEL_BYTES_MAX + TEXT_BYTES_MAX + LINE_NUMBER_BYTES;
/// The most bytes of an event beside its lines: payments, and a few names and numbers.
const FRAME_BYTES_MAX: usize = PAYMENTS_MAX * 10
    + 6 * LABEL_BYTES_MAX
    + TEXT_BYTES_MAX
    + CORRECTED_MAX * (LABEL_BYTES_MAX + 1 + size_of::<Hash>())
    + 64;

const _: () = assert!(EVENT_VERSION > 0, "versions count from 1");
const _: () = assert!(EVENT_VERSION_IN_SESSION > EVENT_VERSION, "a version is one form");
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
    /// The register session that counts it. It is part of the event, and not of the journal that
    /// brings it, so that no epoch, restore or late arrival can move it to another day.
    pub(crate) session: Option<SessionId>,
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
    /// A register's session began, with money in its drawer.
    SessionOpened(SessionOpened),
    /// Cash was put into the drawer or taken out of it, for no goods.
    CashMoved(CashMoved),
    /// A register's session ended: what it has counted, and what was counted in the drawer.
    SessionClosed(SessionClosed),
    /// Somebody at a till wants something of the catalog to be otherwise.
    CatalogEdited(CatalogEdit),
    /// A sale that takes the place of one that could not be posted.
    Correction(Correction),
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
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "u8", into = "u8")]
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
        wire.into_event()?.seal()
    }

    /// Parses an event of a register session from its parts.
    ///
    /// # Errors
    /// [`EventError`] names the rule that is broken.
    pub fn parse_in_session(wire: EventV2) -> Result<Self, EventError> {
        wire.into_event()?.seal().map(|(event, _)| event)
    }

    /// Checks every rule, and returns the canonical bytes with the event.
    pub(crate) fn seal(self) -> Result<(Self, Vec<u8>), EventError> {
        self.check()?;
        let canonical = self.canonical();
        assert!(canonical[0] == self.version(), "an event's bytes begin with its version");
        if canonical.len() > EVENT_BYTES_MAX {
            return Err(EventError::TooLarge);
        }
        Ok((self, canonical))
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
        let event = if bytes.first() == Some(&EVENT_VERSION_IN_SESSION) {
            let wire: Option<EventV2> = codec::decode_canonical(EVENT_VERSION_IN_SESSION, bytes)?;
            wire.ok_or(EventError::NotCanonical)?.into_event()?
        } else {
            let wire: Option<EventV1> = codec::decode_canonical(EVENT_VERSION, bytes)?;
            wire.ok_or(EventError::NotCanonical)?.into_event()?
        };
        assert!(bytes[0] == event.version(), "bytes of another version are not decoded");
        event.check()?;
        debug_assert!(event.canonical() == bytes, "an event has one form only");
        Ok(event)
    }

    /// Returns the canonical bytes: the version byte, then the binary form of `EventV1`, or that
    /// of `EventV2` if it names a session.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let bytes = canonical::encode(self.version(), self);
        debug_assert!(
            match EventAny::from_event(self) {
                EventAny::V1(wire) => codec::is_encoded(EVENT_VERSION, &wire, &bytes),
                EventAny::V2(wire) => codec::is_encoded(EVENT_VERSION_IN_SESSION, &wire, &bytes),
            },
            "an event is written as its wire form is"
        );
        assert_eq!(bytes.first(), Some(&self.version()), "the version comes first");
        bytes
    }

    const fn version(&self) -> u8 {
        if self.session.is_some() { EVENT_VERSION_IN_SESSION } else { EVENT_VERSION }
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

    /// Returns the register session that counts it, if one does.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        self.session
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
            Body::Sale(_)
            | Body::Adjustment(_)
            | Body::SessionOpened(_)
            | Body::CashMoved(_)
            | Body::SessionClosed(_)
            | Body::CatalogEdited(_)
            | Body::Correction(_) => None,
        }
    }

    /// Returns whose place it takes, if it is a correction.
    #[must_use]
    pub fn corrected(&self) -> &[Corrected] {
        let of: &[Corrected] = match &self.body {
            Body::Correction(correction) => &correction.of,
            Body::Sale(_)
            | Body::Refund { .. }
            | Body::Adjustment(_)
            | Body::SessionOpened(_)
            | Body::CashMoved(_)
            | Body::SessionClosed(_)
            | Body::CatalogEdited(_) => &[],
        };
        assert!(of.len() <= CORRECTED_MAX, "so many are named and no more");
        of
    }

    /// Returns the edit of the catalog, if it is one.
    #[must_use]
    pub const fn edit(&self) -> Option<&CatalogEdit> {
        match &self.body {
            Body::CatalogEdited(edit) => Some(edit),
            Body::Sale(_)
            | Body::Refund { .. }
            | Body::Adjustment(_)
            | Body::SessionOpened(_)
            | Body::CashMoved(_)
            | Body::SessionClosed(_)
            | Body::Correction(_) => None,
        }
    }

    /// Returns the stock movements that follow from it; none from an edit of the catalog.
    pub fn movements(&self) -> impl Iterator<Item = Movement> + '_ {
        let (trade, sign): (&[Line], i64) = match &self.body {
            Body::Sale(trade) | Body::Correction(Correction { trade, .. }) => (&trade.lines, -1),
            Body::Refund { trade, .. } => (&trade.lines, 1),
            Body::Adjustment(_)
            | Body::SessionOpened(_)
            | Body::CashMoved(_)
            | Body::SessionClosed(_)
            | Body::CatalogEdited(_) => (&[], 0),
        };
        let adjusted: &[AdjustmentLine] = match &self.body {
            Body::Adjustment(adjustment) => &adjustment.lines,
            Body::Sale(_)
            | Body::Refund { .. }
            | Body::SessionOpened(_)
            | Body::CashMoved(_)
            | Body::SessionClosed(_)
            | Body::CatalogEdited(_)
            | Body::Correction(_) => &[],
        };
        assert!(trade.is_empty() || adjusted.is_empty(), "an event trades or adjusts, never both");
        assert_eq!(
            trade.len() + adjusted.len() > 0,
            self.body.moves_goods(),
            "an event about goods moves some, and no other does"
        );
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
            Body::Sale(trade) | Body::Correction(Correction { trade, .. }) => {
                (trade.lines.len(), trade.total().0)
            }
            Body::Refund { trade, .. } => (trade.lines.len(), -trade.total().0),
            Body::Adjustment(adjustment) => (adjustment.lines.len(), 0),
            // Cash that is put in or taken out is no turnover.
            Body::SessionOpened(_) | Body::CashMoved(_) | Body::SessionClosed(_) => (0, 0),
            Body::CatalogEdited(_) => (0, 0),
        };
        // Goods that leave count up, as on an invoice; an adjustment counts as the stock moves.
        let quantity = if matches!(self.body, Body::Adjustment(_)) { moved } else { -moved };
        assert_eq!(lines > 0, self.body.moves_goods(), "what moves goods has lines");
        assert!(lines <= LINES_MAX, "an event has a bounded number of lines");
        assert!(
            quantity.unsigned_abs() <= lines as u64 * MILLI_MAX.unsigned_abs(),
            "no line counts more than its bound"
        );
        assert!(money.unsigned_abs() <= MINOR_MAX.unsigned_abs(), "a document's total is bounded");
        match &self.body {
            Body::Sale(_) | Body::Correction(_) => {
                assert!(quantity > 0 && money >= 0, "a sale takes money for goods");
            }
            Body::Refund { .. } => {
                assert!(quantity < 0 && money <= 0, "a refund gives money for goods");
            }
            Body::Adjustment(_) => assert!(money == 0, "an adjustment moves no money"),
            Body::SessionOpened(_) | Body::CashMoved(_) | Body::SessionClosed(_) => {
                assert!(quantity == 0 && money == 0, "a drawer's cash is not what was sold");
            }
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
            Body::SessionOpened(_) => "session opened",
            Body::CashMoved(_) => "cash moved",
            Body::SessionClosed(_) => "session closed",
            Body::CatalogEdited(_) => "catalogEdit",
            Body::Correction(_) => "correction",
        }
    }

    fn check(&self) -> Result<(), EventError> {
        check_text(&self.reference)?;
        if self.receipt.map(|receipt| receipt.number > 0) != self.body.trade().map(|_| true) {
            return Err(EventError::Receipt);
        }
        let session = match &self.body {
            Body::Sale(_) | Body::Refund { .. } | Body::Correction(_) => self.session,
            Body::Adjustment(_) | Body::CatalogEdited(_) => None,
            // A session is named by the event that opens it: no two sessions of a register have
            // one name, as no two of its events have.
            Body::SessionOpened(_) => Some(self.local_id),
            Body::CashMoved(_) | Body::SessionClosed(_) => {
                Some(self.session.ok_or(EventError::Session)?)
            }
        };
        if self.session != session {
            return Err(EventError::Session);
        }
        match &self.body {
            Body::Sale(trade) | Body::Refund { trade, .. } => trade.check(),
            Body::Adjustment(adjustment) => adjustment.check(),
            Body::SessionOpened(opened) => opened.check(),
            Body::CashMoved(moved) => moved.check(),
            Body::SessionClosed(closed) => closed.check(),
            Body::Correction(correction) => correction.check(self.local_id),
            Body::CatalogEdited(_) => Ok(()), // an edit is checked when it is made
        }
    }
}
