//! Receipts: what was sold and given back here, found again by its number, name or reference.
//!
//! The journal is read from its end, a page at a time, so that selling never waits for a search,
//! and not further back than [`LOOKED_MAX`] entries: an answer says whether that was all.

use std::collections::BTreeMap;

use counterfoil_protocol::event::{Event, Line, Receipt, Trade};
use counterfoil_protocol::identity::{Epoch, EventKey, LocalEventId, PosId, ProductId, SessionId};
use counterfoil_protocol::money::{Currency, Minor};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::terminal::Place;
use counterfoil_protocol::terminal::row::{Entry, Meta, State};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::event::EventKeyV1;
use counterfoil_protocol::wire::message::ServerId;
use serde::Serialize;

use crate::api::body::{LineBody, PaymentBody};
use crate::books::{PAGE, Standing, Total};
use crate::till::{Till, TillError, TillStore};

/// The most entries of one list.
pub const RECEIPTS_MAX: usize = 200;
/// The most journal entries that one search looks at.
pub const LOOKED_MAX: usize = 20_000;
/// The most bytes of a text that is looked for.
pub const FIND_BYTES_MAX: usize = 128;

/// One receipt in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptItem {
    /// The register.
    pub pos_id: PosId,
    /// The caller's name for it.
    pub local_event_id: LocalEventId,
    /// `sale`, `refund` or `correction`.
    pub kind: String,
    /// The printed number with its series.
    pub receipt: Option<String>,
    /// The till's time of it.
    pub at_ms: Millis,
    /// The caller's document number.
    pub reference: String,
    /// ISO 4217.
    pub currency: Currency,
    /// The sum of its lines; what was paid, or given back.
    pub total_minor: i64,
    /// How many lines.
    pub lines: usize,
    /// Where it stands on its way to the cloud.
    pub state: Standing,
}

/// A list of receipts, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipts {
    /// What was found.
    pub receipts: Vec<ReceiptItem>,
    /// Whether all of the journal was looked at that the question is about.
    pub complete: bool,
}

/// A receipt as it is printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptBody {
    /// As in a list.
    #[serde(flatten)]
    pub item: ReceiptItem,
    /// Its key everywhere.
    pub key: EventKeyV1,
    /// Its lines.
    #[serde(rename = "items")]
    pub lines: Vec<ReceiptLine>,
    /// How it was paid.
    pub payments: Vec<PaymentBody>,
    /// What of it is tax, by rate.
    pub taxes: Vec<TaxLine>,
    /// The register session that counts it.
    pub session_id: Option<SessionId>,
    /// The sale that it takes back.
    pub original: Option<EventKeyV1>,
    /// The cloud's name for it, once the cloud durably holds it.
    pub server_id: Option<ServerId>,
    /// The number that people know it by, from then on.
    pub order_id: Option<String>,
    /// Why it is not posted, if it failed.
    pub code: Option<ErrorCode>,
    /// The same for people.
    pub reason: Option<&'static str>,
    /// What of it was taken back on this till by refunds that name it.
    pub returned: Vec<Returned>,
    /// Whether every entry since was looked at for them.
    pub returned_complete: bool,
    /// What counts in its place, if something does.
    pub replaced_by: Option<LocalEventId>,
    /// Whose place it takes, the latest first, if it is a correction.
    pub corrects: Vec<LocalEventId>,
    /// The refund that voids it, if it was voided on this till.
    pub voided_by: Option<LocalEventId>,
}

/// A line of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptLine {
    /// What was sold.
    #[serde(flatten)]
    pub line: LineBody,
    /// What it costs, less its discount.
    pub amount_minor: i64,
}

/// The money of one tax rate on a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaxLine {
    /// The rate that is contained in the amount, in millionths.
    pub tax_ppm: u32,
    /// With tax.
    pub gross_minor: i64,
    /// The tax in it, half a minor unit rounded up.
    pub tax_minor: i64,
}

/// How much of a product came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Returned {
    /// Which product.
    pub product_id: ProductId,
    /// In thousandths.
    pub quantity_milli: i64,
}

impl<S: TillStore> Till<S> {
    /// Returns up to `limit` receipts, newest first: those whose number, name or reference is
    /// `wanted`, or all if it is empty.
    ///
    /// # Errors
    /// The store's.
    pub async fn receipts(
        &self,
        pos: Option<PosId>,
        wanted: &str,
        limit: usize,
    ) -> Result<Receipts, TillError> {
        assert!(limit <= RECEIPTS_MAX, "an answer is bounded");
        let meta = self.meta().await?;
        let mut receipts = Vec::new();
        let mut back = Backwards::of(&meta);
        while receipts.len() < limit
            && let Some(page) = back.next(self).await?
        {
            for (place, entry) in page.into_iter().rev() {
                let elsewhere = pos.is_some_and(|pos| entry.pos != pos);
                if receipts.len() == limit || elsewhere || is_moved(&entry) {
                    continue;
                }
                let Ok(event) = Event::from_canonical(&entry.payload) else { continue };
                let Some(trade) = trade(&event).filter(|_| is_wanted(&event, wanted)) else {
                    continue;
                };
                let state = self.standing(&meta, place, &entry).await?;
                receipts.push(item(&event, trade, state));
            }
        }
        let complete = receipts.len() == limit || back.is_through();
        Ok(Receipts { receipts, complete })
    }

    /// Returns one receipt; none if there is no sale or refund of this name.
    ///
    /// # Errors
    /// The store's.
    pub async fn receipt(
        &self,
        pos: PosId,
        id: LocalEventId,
    ) -> Result<Option<ReceiptBody>, TillError> {
        let Some(known) = self.known(pos, id).await? else { return Ok(None) };
        let Some(entry) = self.entry(known.place).await? else { return Ok(None) };
        let Ok(event) = Event::from_canonical(&entry.payload) else { return Ok(None) };
        let Some(trade) = trade(&event) else { return Ok(None) };
        let meta = self.meta().await?;
        let state = self.standing(&meta, known.place, &entry).await?;
        let key = event.key(meta.identity.terminal);
        let (returned, returned_complete) = self.returned(&meta, known.place, key).await?;
        let code = self.queued(pos, id).await?.and_then(|queued| queued.code);
        let server_id = match entry.state {
            State::Synced(id) if state == Standing::Synced => Some(id),
            State::Synced(_) | State::Open | State::Moved(_) | State::Replaced(_) => None,
        };
        let replaced_by = match entry.state {
            State::Replaced(by) => Some(by),
            State::Synced(_) | State::Open | State::Moved(_) => None,
        };
        let void = crate::mend::void_of(known.payload_hash);
        let voided_by = self.known(pos, void).await?.map(|_| void);
        Ok(Some(ReceiptBody {
            item: item(&event, trade, state),
            key: EventKeyV1::from_key(key),
            lines: trade.lines.iter().map(receipt_line).collect(),
            payments: trade.payments.iter().map(PaymentBody::of).collect(),
            taxes: taxes(trade),
            session_id: event.session(),
            original: event.original().map(EventKeyV1::from_key),
            server_id,
            order_id: order_id(&event, server_id),
            code,
            reason: code.map(crate::queue::reason),
            returned,
            returned_complete,
            replaced_by,
            corrects: event.corrected().iter().map(|of| of.local_id).collect(),
            voided_by,
        }))
    }

    /// Adds up what refunds of this till have taken back of a sale that stands at `sold`.
    async fn returned(
        &self,
        meta: &Meta,
        sold: Place,
        sale: EventKey,
    ) -> Result<(Vec<Returned>, bool), TillError> {
        let mut sums = BTreeMap::new();
        let mut back = Backwards::of(meta);
        // A refund comes after its sale, so nothing before that is looked at.
        while back.next > Some(sold)
            && let Some(page) = back.next(self).await?
        {
            for (_, entry) in page.iter().filter(|(_, entry)| !is_moved(entry)) {
                let Ok(event) = Event::from_canonical(&entry.payload) else { continue };
                if event.original() != Some(sale) {
                    continue;
                }
                for line in trade(&event).into_iter().flat_map(|trade| &trade.lines) {
                    *sums.entry(line.product).or_insert(0_i64) += line.quantity.0;
                }
            }
        }
        let complete = back.is_through() || back.next <= Some(sold);
        let returned = sums.into_iter();
        let returned =
            returned.map(|(product_id, quantity_milli)| Returned { product_id, quantity_milli });
        Ok((returned.collect(), complete))
    }
}

/// A walk through the journal from its end: the current history first, then those before.
pub(crate) struct Backwards {
    /// The last entry of the next page.
    next: Option<Place>,
    /// The histories before, newest last.
    before: Vec<(Epoch, u64)>,
    looked: usize,
}

impl Backwards {
    pub(crate) fn of(meta: &Meta) -> Self {
        let before = meta.closed.iter().map(|closed| (closed.epoch, closed.head)).collect();
        let mut back =
            Self { next: Some(Place { epoch: meta.epoch, seq: meta.head }), before, looked: 0 };
        back.skip_empty();
        back
    }

    /// The same without the current history.
    pub(crate) fn of_closed(meta: &Meta) -> Self {
        let mut back = Self::of(meta);
        if back.next.is_some_and(|place| place.epoch == meta.epoch) {
            back.next = back.before.pop().map(|(epoch, seq)| Place { epoch, seq });
            back.skip_empty();
        }
        back
    }

    /// Goes on to the history before where one is read to its beginning.
    fn skip_empty(&mut self) {
        while self.next.is_some_and(|place| place.seq == 0) {
            self.next = self.before.pop().map(|(epoch, seq)| Place { epoch, seq });
        }
    }

    pub(crate) const fn is_through(&self) -> bool {
        self.next.is_none()
    }

    /// Returns the next page, in the order of the journal.
    pub(crate) async fn next<S: TillStore>(
        &mut self,
        till: &Till<S>,
    ) -> Result<Option<Vec<(Place, Entry)>>, TillError> {
        let Some(Place { epoch, seq }) = self.next.filter(|_| self.looked < LOOKED_MAX) else {
            return Ok(None);
        };
        let first = seq.saturating_sub(PAGE as u64 - 1).max(1);
        let page = till.entries(epoch, first, seq).await?;
        self.looked += PAGE;
        self.next = Some(Place { epoch, seq: first - 1 });
        self.skip_empty();
        Ok(Some(page.into_iter().map(|(seq, entry)| (Place { epoch, seq }, entry)).collect()))
    }
}

const fn is_moved(entry: &Entry) -> bool {
    matches!(entry.state, State::Moved(_))
}

const fn trade(event: &Event) -> Option<&Trade> {
    event.body().trade()
}

fn is_wanted(event: &Event, wanted: &str) -> bool {
    let is = |text: &str| text.eq_ignore_ascii_case(wanted);
    wanted.is_empty()
        || is(event.local_id().as_str())
        || is(event.reference())
        || event
            .receipt()
            .is_some_and(|receipt| is(&printed(receipt)) || is(&receipt.number.to_string()))
}

/// Returns a receipt's number as it is printed, with its series.
pub(crate) fn printed(Receipt { series, number }: Receipt) -> String {
    format!("{series}/{number}")
}

/// Returns the number that a posted sale or refund is known by: the cloud gives the same one.
pub(crate) fn order_id(event: &Event, name: Option<ServerId>) -> Option<String> {
    trade(event).and(name).map(|name| name.order_id())
}

/// Returns what a sale or refund comes to.
pub(crate) fn total(event: &Event) -> Option<Total> {
    trade(event).map(|trade| Total { minor: trade.total().0, currency: trade.currency })
}

fn item(event: &Event, trade: &Trade, state: Standing) -> ReceiptItem {
    ReceiptItem {
        pos_id: event.pos(),
        local_event_id: event.local_id(),
        kind: event.kind().to_owned(),
        receipt: event.receipt().map(printed),
        at_ms: event.at(),
        reference: event.reference().to_owned(),
        currency: trade.currency,
        total_minor: trade.total().0,
        lines: trade.lines.len(),
        state,
    }
}

fn receipt_line(line: &Line) -> ReceiptLine {
    ReceiptLine { line: LineBody::of(line), amount_minor: line.amount().0 }
}

/// Returns the money of each rate, rising, with the tax that is contained in it.
fn taxes(trade: &Trade) -> Vec<TaxLine> {
    let mut gross = BTreeMap::new();
    for line in &trade.lines {
        *gross.entry(line.tax_ppm).or_insert(0_i64) += line.amount().0;
    }
    let line = |(tax_ppm, gross_minor)| TaxLine {
        tax_ppm,
        gross_minor,
        tax_minor: contained(Minor(gross_minor), tax_ppm).0,
    };
    gross.into_iter().map(line).collect()
}

/// Returns the tax that a gross amount contains, half a minor unit rounded up.
fn contained(gross: Minor, tax_ppm: u32) -> Minor {
    let whole = 1_000_000 + i128::from(tax_ppm);
    let exact = i128::from(gross.0) * i128::from(tax_ppm);
    let rounded = (2 * exact + whole).div_euclid(2 * whole);
    Minor(i64::try_from(rounded).expect("a part of an amount is no larger than the amount"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tax_in_an_amount_is_rounded_once() {
        // gross, rate    tax
        for (gross, rate, tax) in [
            (120, 200_000, 20),
            (100, 200_000, 17),
            (99, 0, 0),
            (107, 70_000, 7),
            (3, 200_000, 1),
            (2, 200_000, 0),
            (1_000_000_000_000, 1_000_000, 500_000_000_000),
            (1, 1_000_000, 1),
        ] {
            assert_eq!(contained(Minor(gross), rate), Minor(tax), "{gross} at {rate}");
        }
    }
}
