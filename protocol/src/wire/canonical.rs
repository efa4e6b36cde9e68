//! The binary form of an event, written from the event itself.
//!
//! These structures have the fields and variants of [`EventV1`](super::event::EventV1) and
//! [`EventV2`](super::event::EventV2) in their order, and borrow what those own: each sale is
//! written when it is recorded, and nobody wants a copy of its texts for that.

use alloc::vec::Vec;

use serde::{Serialize, Serializer};

use super::correction::CorrectedV1;
use super::edit::CatalogEditV1;
use super::event::{EventKeyV1, PaymentV1, ReceiptV1};
use crate::codec;
use crate::event::session::{CashMoved, SessionClosed, SessionOpened};
use crate::event::{Adjustment, AdjustmentLine, Body, Corrected, Correction};
use crate::event::{Event, Line, Payment, Trade};
use crate::event::{LINES_MAX, PAYMENTS_MAX};
use crate::identity::{LocalEventId, PosId, ProductId, SessionId};
use crate::label::LABEL_BYTES_MAX;

/// About how many bytes an event has beside its lines.
const FRAME_BYTES: usize = 192;
/// About how many bytes a line has.
const LINE_BYTES: usize = 64;

const _: () = assert!(FRAME_BYTES > LINE_BYTES, "an event has more names than a line");
const _: () = assert!(LINES_MAX > 0, "a trade has lines");
const _: () = assert!(PAYMENTS_MAX > 0, "a trade can be paid");
const _: () = assert!(FRAME_BYTES > PAYMENTS_MAX * 10, "an event has payments beside its lines");
const _: () = assert!(LINE_BYTES > LABEL_BYTES_MAX, "a line has the name of its product");
const _: () = assert!(FRAME_BYTES > 4 * LABEL_BYTES_MAX, "an event has several names");

/// Returns the canonical bytes of an event.
pub(crate) fn encode(version: u8, event: &Event) -> Vec<u8> {
    let lines = event.body().trade().map_or(1, |trade| trade.lines.len());
    let about = FRAME_BYTES + lines * LINE_BYTES;
    let fields = Fields {
        pos_id: event.pos(),
        local_event_id: event.local_id(),
        at_ms: event.at().0,
        receipt: event.receipt().map(|r| ReceiptV1 { series: r.series, number: r.number }),
        reference: event.reference(),
        body: BodyRef::of(event.body()),
    };
    let bytes = match event.session() {
        None => codec::encode_about(version, &fields, about),
        Some(session_id) => {
            let Fields { pos_id, local_event_id, at_ms, receipt, reference, body } = fields;
            let fields = FieldsInSession {
                pos_id,
                local_event_id,
                at_ms,
                receipt,
                reference,
                body,
                session_id,
            };
            codec::encode_about(version, &fields, about)
        }
    };
    assert!(bytes.first() == Some(&version), "the version comes first");
    assert!(bytes.len() > 1, "an event says something");
    bytes
}

#[derive(Serialize)]
struct Fields<'a> {
    pos_id: PosId,
    local_event_id: LocalEventId,
    at_ms: u64,
    receipt: Option<ReceiptV1>,
    reference: &'a str,
    body: BodyRef<'a>,
}

#[derive(Serialize)]
struct FieldsInSession<'a> {
    pos_id: PosId,
    local_event_id: LocalEventId,
    at_ms: u64,
    receipt: Option<ReceiptV1>,
    reference: &'a str,
    body: BodyRef<'a>,
    session_id: SessionId,
}

/// The variants stand in the order of those that travel.
#[derive(Serialize)]
enum BodyRef<'a> {
    Sale(TradeRef<'a>),
    Refund(RefundRef<'a>),
    Adjustment(AdjustmentRef<'a>),
    SessionOpened(&'a SessionOpened),
    CashMoved(&'a CashMoved),
    SessionClosed(&'a SessionClosed),
    CatalogEdited(CatalogEditV1),
    Correction(CorrectionRef<'a>),
}

impl<'a> BodyRef<'a> {
    fn of(body: &'a Body) -> Self {
        match body {
            Body::Sale(trade) => Self::Sale(TradeRef::of(trade)),
            Body::Refund { original, trade } => Self::Refund(RefundRef {
                original: original.map(EventKeyV1::from_key),
                trade: TradeRef::of(trade),
            }),
            Body::Adjustment(Adjustment { reason, lines }) => {
                assert!(lines.len() <= LINES_MAX, "an adjustment has a bounded number of lines");
                Self::Adjustment(AdjustmentRef { reason, lines: Each(lines) })
            }
            Body::SessionOpened(opened) => Self::SessionOpened(opened),
            Body::CashMoved(moved) => Self::CashMoved(moved),
            Body::SessionClosed(closed) => Self::SessionClosed(closed),
            Body::CatalogEdited(edit) => Self::CatalogEdited(edit.to_wire()),
            Body::Correction(Correction { of, trade }) => {
                assert!(!of.is_empty(), "a correction takes the place of something");
                Self::Correction(CorrectionRef { of: Each(of), trade: TradeRef::of(trade) })
            }
        }
    }
}

#[derive(Serialize)]
struct CorrectionRef<'a> {
    of: Each<'a, Corrected>,
    trade: TradeRef<'a>,
}

#[derive(Serialize)]
struct RefundRef<'a> {
    original: Option<EventKeyV1>,
    trade: TradeRef<'a>,
}

#[derive(Serialize)]
struct TradeRef<'a> {
    currency: &'a str,
    lines: Each<'a, Line>,
    payments: Each<'a, Payment>,
}

impl<'a> TradeRef<'a> {
    fn of(trade: &'a Trade) -> Self {
        assert!(trade.lines.len() <= LINES_MAX, "a trade has a bounded number of lines");
        assert!(trade.payments.len() <= PAYMENTS_MAX, "and of payments");
        let (lines, payments) = (Each(&trade.lines), Each(&trade.payments));
        Self { currency: trade.currency.as_str(), lines, payments }
    }
}

#[derive(Serialize)]
struct AdjustmentRef<'a> {
    reason: &'a str,
    lines: Each<'a, AdjustmentLine>,
}

#[derive(Serialize)]
struct LineRef<'a> {
    product_id: ProductId,
    name: &'a str,
    quantity_milli: i64,
    unit_price_minor: i64,
    discount_minor: i64,
    tax_ppm: u32,
}

#[derive(Serialize)]
struct AdjustmentLineRef<'a> {
    product_id: ProductId,
    name: &'a str,
    delta_milli: i64,
}

/// A list, each item of which is written as it travels.
struct Each<'a, T>(&'a [T]);

/// What is written as something else.
trait Travels {
    type As<'a>: Serialize
    where
        Self: 'a;

    fn borrowed(&self) -> Self::As<'_>;
}

impl<T: Travels> Serialize for Each<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(T::borrowed))
    }
}

impl Travels for Corrected {
    type As<'a> = CorrectedV1;

    fn borrowed(&self) -> CorrectedV1 {
        CorrectedV1::of(*self)
    }
}

impl Travels for Line {
    type As<'a> = LineRef<'a>;

    fn borrowed(&self) -> LineRef<'_> {
        assert!(self.quantity.0 > 0, "goods have a quantity");
        assert!(self.discount.0 >= 0, "a discount is not negative");
        LineRef {
            product_id: self.product,
            name: &self.name,
            quantity_milli: self.quantity.0,
            unit_price_minor: self.unit_price.0,
            discount_minor: self.discount.0,
            tax_ppm: self.tax_ppm,
        }
    }
}

impl Travels for AdjustmentLine {
    type As<'a> = AdjustmentLineRef<'a>;

    fn borrowed(&self) -> AdjustmentLineRef<'_> {
        assert!(self.delta.0 != 0, "what is adjusted changes");
        AdjustmentLineRef { product_id: self.product, name: &self.name, delta_milli: self.delta.0 }
    }
}

impl Travels for Payment {
    type As<'a> = PaymentV1;

    fn borrowed(&self) -> PaymentV1 {
        assert!(self.amount.0 > 0, "a payment is above zero");
        PaymentV1 { tender: self.tender as u8, amount_minor: self.amount.0 }
    }
}
