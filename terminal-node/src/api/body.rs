//! What callers of the local API send and receive, as JSON.

use counterfoil_protocol::catalog::CatalogEdit;
use counterfoil_protocol::event::{
    Adjustment, AdjustmentLine, Body, EventError, Line, Payment, Receipt, Tender, Trade,
};
use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId, ProductId};
use counterfoil_protocol::money::{Currency, MILLI_MAX, MINOR_MAX, Milli, Minor};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::terminal::{Draft, Place};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::event::{AdjustmentLineV1, EventKeyV1};
use serde::{Deserialize, Serialize};

use crate::edit::CatalogEditBody;

/// A sale or refund as a caller sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TradeBody {
    /// The register.
    pub pos_id: PosId,
    /// The caller's name for it: the same name and content again is harmless.
    pub local_event_id: LocalEventId,
    /// The time to print on it; the till's own if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<Millis>,
    /// The caller's document number.
    #[serde(default)]
    pub reference: String,
    /// ISO 4217.
    pub currency: String,
    /// What was sold or came back.
    pub lines: Vec<LineBody>,
    /// How it was paid. If nothing is given, in full by `tender`.
    #[serde(default)]
    pub payments: Vec<PaymentBody>,
    /// How it was paid, if `payments` does not say.
    #[serde(default)]
    pub tender: TenderWord,
    /// The sale that a refund takes back, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<EventKeyV1>,
}

/// A position of a trade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LineBody {
    /// The product.
    pub product_id: ProductId,
    /// Its name at that moment.
    #[serde(default)]
    pub name: String,
    /// In thousandths.
    pub quantity_milli: i64,
    /// In minor units.
    pub unit_price_minor: i64,
    /// In minor units, off the whole line.
    #[serde(default)]
    pub discount_minor: i64,
    /// In millionths.
    #[serde(default)]
    pub tax_ppm: u32,
}

/// A payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentBody {
    /// How.
    pub tender: TenderWord,
    /// In minor units.
    pub amount_minor: i64,
}

/// A way to pay, as a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum TenderWord {
    /// Notes and coins.
    #[default]
    Cash,
    /// A card.
    Card,
    /// Anything else.
    Other,
}

/// A stock adjustment as a caller sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdjustmentBody {
    /// The register.
    pub pos_id: PosId,
    /// The caller's name for it.
    pub local_event_id: LocalEventId,
    /// The time of it; the till's own if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<Millis>,
    /// The caller's document number.
    #[serde(default)]
    pub reference: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// What came or went.
    pub lines: Vec<AdjustmentLineV1>,
}

/// Any event as a caller sends it: a body with its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventBody {
    /// Goods out, money in.
    Sale(TradeBody),
    /// Goods back, money out.
    Refund(TradeBody),
    /// Stock only.
    Adjustment(AdjustmentBody),
    /// An edit of the catalog, with what the person saw.
    CatalogEdit(CatalogEditBody),
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedBody {
    /// The caller's name for it.
    pub local_event_id: LocalEventId,
    /// Its history.
    pub epoch: Epoch,
    /// Its place there.
    pub seq: u64,
    /// The number on its receipt, within the register's series.
    pub receipt_number: Option<u64>,
    /// The series: the history in which it was printed.
    pub receipt_series: Option<Epoch>,
    /// Both as one text, to print.
    pub receipt: Option<String>,
    /// Whether it was recorded before; nothing happened then.
    pub again: bool,
}

/// An event that was not recorded, in a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedBody {
    /// The caller's name for it.
    pub local_event_id: LocalEventId,
    /// The stable code.
    pub code: ErrorCode,
    /// What a person is told.
    pub detail: String,
}

/// What became of a batch of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchBody {
    /// Recorded now.
    pub recorded: u64,
    /// Recorded before.
    pub again: u64,
    /// Not recorded.
    pub refused: Vec<RefusedBody>,
}

impl RecordedBody {
    /// Puts together what a caller is told.
    #[must_use]
    pub fn new(id: LocalEventId, place: Place, receipt: Option<Receipt>, again: bool) -> Self {
        Self {
            local_event_id: id,
            epoch: place.epoch,
            seq: place.seq,
            receipt_number: receipt.map(|receipt| receipt.number),
            receipt_series: receipt.map(|receipt| receipt.series),
            receipt: receipt.map(|Receipt { series, number }| format!("{series}/{number}")),
            again,
        }
    }
}

impl EventBody {
    /// Returns the register and the name.
    #[must_use]
    pub const fn name(&self) -> (PosId, LocalEventId) {
        match self {
            Self::Sale(body) | Self::Refund(body) => (body.pos_id, body.local_event_id),
            Self::Adjustment(body) => (body.pos_id, body.local_event_id),
            Self::CatalogEdit(body) => (body.pos_id, body.local_event_id),
        }
    }

    /// Returns the time that the caller gave, if any.
    #[must_use]
    pub const fn at(&self) -> Option<Millis> {
        match self {
            Self::Sale(body) | Self::Refund(body) => body.at_ms,
            Self::Adjustment(body) => body.at_ms,
            Self::CatalogEdit(body) => body.at_ms,
        }
    }

    /// Returns the draft, with `at` on it. The till checks every rule when it records it.
    ///
    /// # Errors
    /// [`EventError::Name`] for a currency that is none, [`EventError::Edit`] for an edit.
    pub fn draft(self, at: Millis) -> Result<Draft, EventError> {
        let (pos, local_id) = self.name();
        let (reference, body) = match self {
            Self::Sale(body) => (body.reference.clone(), Body::Sale(body.trade()?)),
            Self::Refund(body) => {
                let original = body.original.map(EventKeyV1::into_key);
                let reference = body.reference.clone();
                (reference, Body::Refund { original, trade: body.trade()? })
            }
            Self::Adjustment(body) => {
                let lines = body.lines.into_iter().map(adjustment_line).collect();
                (body.reference, Body::Adjustment(Adjustment { reason: body.reason, lines }))
            }
            Self::CatalogEdit(body) => {
                (body.reference, Body::CatalogEdited(CatalogEdit::parse(body.edit)?))
            }
        };
        Ok(Draft { pos, local_id, at, reference, body })
    }

    /// Returns the body that makes this draft again.
    ///
    /// # Panics
    /// For what happens to a session: that is a [`SessionBody`](crate::drawer::SessionBody), and
    /// a till refuses it as a draft.
    #[must_use]
    pub fn of(draft: &Draft) -> Self {
        match &draft.body {
            Body::Sale(trade) => Self::Sale(TradeBody::of(draft, trade, None)),
            Body::Refund { original, trade } => {
                let original = original.map(EventKeyV1::from_key);
                Self::Refund(TradeBody::of(draft, trade, original))
            }
            Body::SessionOpened(_) | Body::CashMoved(_) | Body::SessionClosed(_) => {
                unreachable!("a session is no draft")
            }
            Body::Correction(_) => unreachable!("a correction is made of a sale"),
            Body::Adjustment(adjustment) => Self::Adjustment(AdjustmentBody {
                pos_id: draft.pos,
                local_event_id: draft.local_id,
                at_ms: Some(draft.at),
                reference: draft.reference.clone(),
                reason: adjustment.reason.clone(),
                lines: adjustment.lines.iter().map(adjustment_line_body).collect(),
            }),
            Body::CatalogEdited(edit) => Self::CatalogEdit(CatalogEditBody {
                pos_id: draft.pos,
                local_event_id: draft.local_id,
                at_ms: Some(draft.at),
                reference: draft.reference.clone(),
                edit: edit.to_wire(),
            }),
        }
    }
}

impl TradeBody {
    fn trade(self) -> Result<Trade, EventError> {
        let currency = Currency::parse(&self.currency).map_err(|_| EventError::Name)?;
        // Bounded before they are summed up: `Trade::paid` does not check.
        let lines: Vec<Line> = self.lines.into_iter().map(line).collect::<Result<_, _>>()?;
        if self.payments.is_empty() {
            return Ok(Trade::paid(currency, lines, self.tender.into()));
        }
        let payments = self.payments.iter().map(|payment| Payment {
            tender: payment.tender.into(),
            amount: Minor(payment.amount_minor),
        });
        let payments = payments.collect();
        Ok(Trade { currency, lines, payments })
    }

    fn of(draft: &Draft, trade: &Trade, original: Option<EventKeyV1>) -> Self {
        Self {
            pos_id: draft.pos,
            local_event_id: draft.local_id,
            at_ms: Some(draft.at),
            reference: draft.reference.clone(),
            currency: trade.currency.to_string(),
            lines: trade.lines.iter().map(LineBody::of).collect(),
            payments: trade.payments.iter().map(PaymentBody::of).collect(),
            tender: TenderWord::Cash,
            original,
        }
    }
}

impl LineBody {
    /// Returns a line as a caller sends it.
    #[must_use]
    pub fn of(line: &Line) -> Self {
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

impl PaymentBody {
    /// Returns a payment as a caller sends it.
    #[must_use]
    pub fn of(payment: &Payment) -> Self {
        Self { tender: payment.tender.into(), amount_minor: payment.amount.0 }
    }
}

impl From<Tender> for TenderWord {
    fn from(tender: Tender) -> Self {
        match tender {
            Tender::Cash => Self::Cash,
            Tender::Card => Self::Card,
            Tender::Other => Self::Other,
        }
    }
}

impl From<TenderWord> for Tender {
    fn from(word: TenderWord) -> Self {
        match word {
            TenderWord::Cash => Self::Cash,
            TenderWord::Card => Self::Card,
            TenderWord::Other => Self::Other,
        }
    }
}

fn line(body: LineBody) -> Result<Line, EventError> {
    if !(1..=MILLI_MAX).contains(&body.quantity_milli) {
        return Err(EventError::Quantity);
    }
    let amounts = [body.unit_price_minor, body.discount_minor];
    if amounts.iter().any(|amount| !(0..=MINOR_MAX).contains(amount)) {
        return Err(EventError::Amount);
    }
    Ok(Line {
        product: body.product_id,
        name: body.name,
        quantity: Milli(body.quantity_milli),
        unit_price: Minor(body.unit_price_minor),
        discount: Minor(body.discount_minor),
        tax_ppm: body.tax_ppm,
    })
}

fn adjustment_line(body: AdjustmentLineV1) -> AdjustmentLine {
    AdjustmentLine { product: body.product_id, name: body.name, delta: Milli(body.delta_milli) }
}

fn adjustment_line_body(line: &AdjustmentLine) -> AdjustmentLineV1 {
    AdjustmentLineV1 {
        product_id: line.product,
        name: line.name.clone(),
        delta_milli: line.delta.0,
    }
}
