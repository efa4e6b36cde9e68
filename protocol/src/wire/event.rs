//! The wire forms of an event, versions 1 and 2: plain numbers and texts, nothing checked.
//!
//! The canonical bytes of an event are its version byte and the binary form of this structure, so
//! fields and variants are never reordered, removed or reused. JSON has the same fields in
//! camel case.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::correction::CorrectionV1;
use super::edit::CatalogEditV1;
use crate::catalog::CatalogEdit;
use crate::event::{
    Adjustment, AdjustmentLine, Body, CashMoved, Event, EventError, LINES_MAX, Line, PAYMENTS_MAX,
    Payment, Receipt, SessionClosed, SessionOpened, Tender, Trade,
};
use crate::identity::{Epoch, EventKey, LocalEventId, PosId, ProductId, SessionId, TerminalId};
use crate::money::{Currency, Milli, Minor};
use crate::time::Millis;

/// An event as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventV1 {
    /// The register.
    pub pos_id: PosId,
    /// The caller's name for the event.
    pub local_event_id: LocalEventId,
    /// The till's time, in milliseconds since 1970.
    pub at_ms: u64,
    /// The printed number, if there is one.
    pub receipt: Option<ReceiptV1>,
    /// The caller's document number; may be empty.
    pub reference: String,
    /// What happened.
    pub body: BodyV1,
}

/// An event of a register session as it travels: version 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventV2 {
    /// The register.
    pub pos_id: PosId,
    /// The caller's name for the event.
    pub local_event_id: LocalEventId,
    /// The till's time, in milliseconds since 1970.
    pub at_ms: u64,
    /// The printed number, if there is one.
    pub receipt: Option<ReceiptV1>,
    /// The caller's document number; may be empty.
    pub reference: String,
    /// What happened.
    pub body: BodyV1,
    /// The session that counts it.
    pub session_id: SessionId,
}

/// An event of either version, as JSON shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EventAny {
    /// Of no session.
    V1(EventV1),
    /// Of a session.
    V2(EventV2),
}

/// A receipt number as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptV1 {
    /// The epoch of its series.
    pub series: Epoch,
    /// Its number in the series, from 1.
    pub number: u64,
}

/// The kinds of events. Append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BodyV1 {
    /// A sale.
    Sale(TradeV1),
    /// A refund.
    Refund(RefundV1),
    /// A stock adjustment.
    Adjustment(AdjustmentV1),
    /// A register session begins; in version 2 only, as the next two.
    SessionOpened(SessionOpened),
    /// Cash in or out.
    CashMoved(CashMoved),
    /// A register session ends.
    SessionClosed(SessionClosed),
    /// An edit of the catalog.
    CatalogEdited(CatalogEditV1),
    /// A sale in place of another.
    Correction(CorrectionV1),
}

/// A refund as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefundV1 {
    /// The sale it takes back, if known.
    pub original: Option<EventKeyV1>,
    /// What came back.
    pub trade: TradeV1,
}

/// An idempotency key as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventKeyV1 {
    /// The till.
    pub terminal_id: TerminalId,
    /// The register.
    pub pos_id: PosId,
    /// The caller's name.
    pub local_event_id: LocalEventId,
}

/// A trade as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TradeV1 {
    /// ISO 4217.
    pub currency: CurrencyV1,
    /// Its positions.
    pub lines: Vec<LineV1>,
    /// How it was paid.
    pub payments: Vec<PaymentV1>,
}

/// A currency as it travels: any text. One that is a code is read into no memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CurrencyV1 {
    /// A code.
    Code(Currency),
    /// A text that is none; the event is refused.
    Other(String),
}

const _: () = assert!(size_of::<CurrencyV1>() <= size_of::<String>(), "a code takes no more room");

impl From<&str> for CurrencyV1 {
    fn from(text: &str) -> Self {
        Currency::parse(text).map_or_else(|_| Self::Other(text.to_string()), Self::Code)
    }
}

impl CurrencyV1 {
    fn parse(&self) -> Result<Currency, EventError> {
        match self {
            Self::Code(code) => Ok(*code),
            Self::Other(_) => Err(EventError::Name),
        }
    }
}

impl Serialize for CurrencyV1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Self::Other(text) = self {
            debug_assert!(Currency::parse(text).is_err(), "a code is read as one");
        }
        serializer.serialize_str(match self {
            Self::Code(code) => code.as_str(),
            Self::Other(text) => text,
        })
    }
}

impl<'de> Deserialize<'de> for CurrencyV1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(CurrencyVisitor)
    }
}

struct CurrencyVisitor;

impl de::Visitor<'_> for CurrencyVisitor {
    type Value = CurrencyV1;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a currency code")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<CurrencyV1, E> {
        Ok(text.into())
    }
}

/// A line as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LineV1 {
    /// The product.
    pub product_id: ProductId,
    /// Its name at that moment.
    pub name: String,
    /// In thousandths.
    pub quantity_milli: i64,
    /// In minor units.
    pub unit_price_minor: i64,
    /// In minor units.
    pub discount_minor: i64,
    /// In millionths.
    pub tax_ppm: u32,
}

/// A payment as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentV1 {
    /// 1 cash, 2 card, 3 other.
    pub tender: u8,
    /// In minor units.
    pub amount_minor: i64,
}

/// An adjustment as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdjustmentV1 {
    /// Why.
    pub reason: String,
    /// Its positions.
    pub lines: Vec<AdjustmentLineV1>,
}

/// One position of an adjustment as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdjustmentLineV1 {
    /// The product.
    pub product_id: ProductId,
    /// What was noted.
    pub name: String,
    /// In thousandths, signed.
    pub delta_milli: i64,
}

impl EventV1 {
    /// Names the fields as the domain does; the caller then checks the rules.
    pub(crate) fn into_event(self) -> Result<Event, EventError> {
        let receipt = self.receipt.map(|wire| Receipt { series: wire.series, number: wire.number });
        Ok(Event {
            pos: self.pos_id,
            local_id: self.local_event_id,
            at: Millis(self.at_ms),
            receipt,
            reference: self.reference,
            session: None,
            body: self.body.into_body()?,
        })
    }

    /// Returns the wire form of `event`, which names no session: if it does, the name is left
    /// out, and [`EventAny`] is what shows it whole.
    #[must_use]
    pub fn from_event(event: &Event) -> Self {
        Self {
            pos_id: event.pos,
            local_event_id: event.local_id,
            at_ms: event.at.0,
            receipt: event
                .receipt
                .map(|receipt| ReceiptV1 { series: receipt.series, number: receipt.number }),
            reference: event.reference.clone(),
            body: BodyV1::from_body(&event.body),
        }
    }
}

impl EventV2 {
    /// Names the fields as the domain does; the caller then checks the rules.
    pub(crate) fn into_event(self) -> Result<Event, EventError> {
        let Self { pos_id, local_event_id, at_ms, receipt, reference, body, session_id } = self;
        let fields = EventV1 { pos_id, local_event_id, at_ms, receipt, reference, body };
        let event = fields.into_event()?;
        assert!(event.session.is_none(), "only this version names a session");
        Ok(Event { session: Some(session_id), ..event })
    }
}

impl EventAny {
    /// Returns the wire form of `event`.
    #[must_use]
    pub fn from_event(event: &Event) -> Self {
        let fields = EventV1::from_event(event);
        let Some(session_id) = event.session else { return Self::V1(fields) };
        let EventV1 { pos_id, local_event_id, at_ms, receipt, reference, body } = fields;
        Self::V2(EventV2 { pos_id, local_event_id, at_ms, receipt, reference, body, session_id })
    }

    /// Parses the event.
    ///
    /// # Errors
    /// [`EventError`] names the rule that is broken.
    pub fn parse(self) -> Result<Event, EventError> {
        match self {
            Self::V1(wire) => Event::parse(wire),
            Self::V2(wire) => Event::parse_in_session(wire),
        }
    }
}

impl BodyV1 {
    fn into_body(self) -> Result<Body, EventError> {
        Ok(match self {
            Self::Sale(trade) => Body::Sale(trade.into_trade()?),
            Self::Refund(refund) => Body::Refund {
                original: refund.original.map(EventKeyV1::into_key),
                trade: refund.trade.into_trade()?,
            },
            Self::Adjustment(adjustment) => Body::Adjustment(adjustment.into_adjustment()?),
            Self::SessionOpened(opened) => Body::SessionOpened(opened),
            Self::CashMoved(moved) => Body::CashMoved(moved),
            Self::SessionClosed(closed) => Body::SessionClosed(closed),
            Self::CatalogEdited(edit) => Body::CatalogEdited(CatalogEdit::parse(edit)?),
            Self::Correction(correction) => Body::Correction(correction.into_correction()?),
        })
    }

    fn from_body(body: &Body) -> Self {
        match body {
            Body::Sale(trade) => Self::Sale(TradeV1::from_trade(trade)),
            Body::Refund { original, trade } => Self::Refund(RefundV1 {
                original: original.map(EventKeyV1::from_key),
                trade: TradeV1::from_trade(trade),
            }),
            Body::Adjustment(adjustment) => {
                Self::Adjustment(AdjustmentV1::from_adjustment(adjustment))
            }
            Body::SessionOpened(opened) => Self::SessionOpened(*opened),
            Body::CashMoved(moved) => Self::CashMoved(moved.clone()),
            Body::SessionClosed(closed) => Self::SessionClosed(closed.clone()),
            Body::CatalogEdited(edit) => Self::CatalogEdited(edit.to_wire()),
            Body::Correction(correction) => {
                Self::Correction(CorrectionV1::from_correction(correction))
            }
        }
    }
}

impl EventKeyV1 {
    /// Returns the domain key.
    #[must_use]
    pub const fn into_key(self) -> EventKey {
        EventKey { terminal: self.terminal_id, pos: self.pos_id, local_id: self.local_event_id }
    }

    /// Returns the wire form of `key`.
    #[must_use]
    pub const fn from_key(key: EventKey) -> Self {
        Self { terminal_id: key.terminal, pos_id: key.pos, local_event_id: key.local_id }
    }
}

impl TradeV1 {
    pub(super) fn into_trade(self) -> Result<Trade, EventError> {
        if self.lines.len() > LINES_MAX {
            return Err(EventError::Lines);
        }
        if self.payments.len() > PAYMENTS_MAX {
            return Err(EventError::Payments);
        }
        let (lines, payments) = (self.lines.len(), self.payments.len());
        let trade = Trade {
            currency: self.currency.parse()?,
            lines: self.lines.into_iter().map(LineV1::into_line).collect(),
            payments: self
                .payments
                .into_iter()
                .map(PaymentV1::into_payment)
                .collect::<Result<_, _>>()?,
        };
        assert_eq!(trade.lines.len(), lines, "each line that came is one of the trade");
        assert_eq!(trade.payments.len(), payments, "each payment that came counts");
        Ok(trade)
    }

    pub(super) fn from_trade(trade: &Trade) -> Self {
        let wire = Self {
            currency: CurrencyV1::Code(trade.currency),
            lines: trade.lines.iter().map(LineV1::from_line).collect(),
            payments: trade
                .payments
                .iter()
                .map(|payment| PaymentV1 {
                    tender: payment.tender as u8,
                    amount_minor: payment.amount.0,
                })
                .collect(),
        };
        assert_eq!(wire.lines.len(), trade.lines.len(), "each line of the trade travels");
        assert_eq!(wire.payments.len(), trade.payments.len(), "each payment travels");
        wire
    }
}

impl LineV1 {
    fn into_line(self) -> Line {
        Line {
            product: self.product_id,
            name: self.name,
            quantity: Milli(self.quantity_milli),
            unit_price: Minor(self.unit_price_minor),
            discount: Minor(self.discount_minor),
            tax_ppm: self.tax_ppm,
        }
    }

    fn from_line(line: &Line) -> Self {
        Self {
            product_id: line.product,
            name: line.name.clone(),
            quantity_milli: line.quantity.0,
            unit_price_minor: line.unit_price.0,
            discount_minor: line.discount.0,
            tax_ppm: line.tax_ppm,
        }
    }
}

impl PaymentV1 {
    const fn into_payment(self) -> Result<Payment, EventError> {
        match Tender::from_number(self.tender) {
            Some(tender) => Ok(Payment { tender, amount: Minor(self.amount_minor) }),
            None => Err(EventError::Name),
        }
    }
}

/// Returns whether a payment with this number is read, and as which tender.
const fn tender_of(tender: u8) -> Option<Tender> {
    match (PaymentV1 { tender, amount_minor: 1 }).into_payment() {
        Ok(payment) => Some(payment.tender),
        Err(_) => None,
    }
}

const _: () = {
    assert!(matches!(tender_of(Tender::Cash as u8), Some(Tender::Cash)), "cash is read as cash");
    assert!(matches!(tender_of(Tender::Card as u8), Some(Tender::Card)), "a card as a card");
    assert!(matches!(tender_of(Tender::Other as u8), Some(Tender::Other)), "the rest as the rest");
    assert!(tender_of(0).is_none(), "zero is no tender");
    assert!(tender_of(Tender::Other as u8 + 1).is_none(), "a tender that nobody knows is refused");
};

impl AdjustmentV1 {
    fn into_adjustment(self) -> Result<Adjustment, EventError> {
        if self.lines.len() > LINES_MAX {
            return Err(EventError::Lines);
        }
        let lines = self.lines.len();
        let adjustment = Adjustment {
            reason: self.reason,
            lines: self
                .lines
                .into_iter()
                .map(|line| AdjustmentLine {
                    product: line.product_id,
                    name: line.name,
                    delta: Milli(line.delta_milli),
                })
                .collect(),
        };
        assert_eq!(adjustment.lines.len(), lines, "each line that came is one of it");
        Ok(adjustment)
    }

    fn from_adjustment(adjustment: &Adjustment) -> Self {
        let wire = Self {
            reason: adjustment.reason.clone(),
            lines: adjustment
                .lines
                .iter()
                .map(|line| AdjustmentLineV1 {
                    product_id: line.product,
                    name: line.name.clone(),
                    delta_milli: line.delta.0,
                })
                .collect(),
        };
        assert_eq!(wire.lines.len(), adjustment.lines.len(), "each line travels");
        wire
    }
}
