//! The published *Online Retail* layout becomes events, and every line is accounted for.
//!
//! `InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country`, dates as
//! `M/D/YYYY H:MM`. A line is understood and stands in exactly one event, or it is listed in the
//! [`Report`] with the reason; nothing is skipped.
//!
//! | line of an invoice | becomes a line of | id of the event |
//! |---|---|---|
//! | quantity above zero | its sale | `inv-536365` |
//! | quantity below 0, no customer, price 0, no `C` | its stock adjustment | `adj-536589` |
//! | any other quantity below zero | its refund | `ref-C536379` |
//!
//! The ids follow from the invoice's number, so importing a file twice changes nothing. More than
//! 2,000 lines, or more money than one event holds, continue in `inv-536365-2` and so on. Each
//! event names the invoice as its reference.

pub(crate) mod line;

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use counterfoil_protocol::event::{
    Adjustment, AdjustmentLine, Body, LINES_MAX, Line, TEXT_BYTES_MAX, Tender, Trade,
};
use counterfoil_protocol::identity::{LocalEventId, PosId};
use counterfoil_protocol::money::{Currency, MINOR_MAX, Milli, Minor};
use counterfoil_protocol::terminal::Draft;
use counterfoil_protocol::time::Millis;
use serde::{Deserialize, Serialize};

use line::{RawLine, read_line};

/// The most bytes of one line; a longer one is not understood.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// A file, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its invoices, in the order of their first lines.
    pub documents: Vec<Document>,
    /// What became of each line.
    pub report: Report,
}

/// One invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its number: the reference of its events.
    pub number: String,
    /// Its events: one, unless it is mixed or very long.
    pub drafts: Vec<Draft>,
}

/// An account of every line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Lines after the header: understood, not understood and blank ones.
    pub lines: u64,
    /// Lines that stand in an event.
    pub understood: u64,
    /// Lines with nothing on them.
    pub blank: u64,
    /// Distinct invoice numbers among the lines that were understood.
    pub invoices: u64,
    /// Those of them that begin with `C`.
    pub cancellations: u64,
    /// Events of each kind.
    pub sales: u64,
    /// See `sales`.
    pub refunds: u64,
    /// See `sales`.
    pub adjustments: u64,
    /// The sum of `Quantity` over the lines that were understood, in thousandths.
    pub quantity_milli: i64,
    /// The sum of `Quantity * UnitPrice` over them, in minor units.
    pub money_minor: i64,
    /// Lines that stand in no event.
    pub not_understood: Vec<Remark>,
    /// Lines that stand in an event, but not letter by letter.
    pub changed: Vec<Remark>,
}

/// Something to say about a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remark {
    /// The line's number in the file; the header is line 1.
    pub line: u64,
    /// What is to be said.
    pub reason: String,
    /// The line, or its beginning.
    pub text: String,
}

/// Parses a file of sales made at register `pos`.
///
/// # Errors
/// Only the reader's: a line that cannot be understood is no error.
pub fn parse(mut reader: impl BufRead, pos: PosId) -> io::Result<Import> {
    let mut gathering = Gathering::default();
    let mut number = 0;
    while let Some(bytes) = next_line(&mut reader)? {
        number += 1;
        gathering.take(number, &bytes);
    }
    Ok(gathering.finish(pos))
}

/// Returns till `index`'s share of the documents when `tills` tills sell them: document *i* goes
/// to till *i* modulo `tills`.
#[must_use]
pub fn spread(documents: Vec<Document>, tills: usize, index: usize) -> Vec<Document> {
    assert!(index < tills, "a till's index is below the number of tills");
    documents.into_iter().skip(index).step_by(tills).collect()
}

/// Returns the next line without its end; `None` at the end of the file. What is beyond
/// [`LINE_BYTES_MAX`] is read and dropped, one byte more is kept as a sign of it.
fn next_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut any = false;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        let room = (LINE_BYTES_MAX + 1).saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            break;
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(any.then_some(line))
}

#[derive(Default)]
struct Gathering {
    order: Vec<String>,
    invoices: BTreeMap<String, Invoice>,
    report: Report,
}

struct Invoice {
    at: Millis,
    customer: bool,
    sold: Vec<Line>,
    returned: Vec<Line>,
    adjusted: Vec<AdjustmentLine>,
}

impl Gathering {
    fn take(&mut self, number: u64, bytes: &[u8]) {
        let text = line::text_of(bytes);
        if number == 1 && line::is_header(&text) {
            return;
        }
        self.report.lines += 1;
        if text.trim().is_empty() {
            self.report.blank += 1;
            return;
        }
        if bytes.len() > LINE_BYTES_MAX {
            return self.remark(number, "the line is too long", &text);
        }
        match read_line(&text) {
            Ok((raw, None)) => self.enter(raw),
            Ok((raw, Some(change))) => {
                let remark = Remark { line: number, reason: change.to_owned(), text: cut(&text) };
                self.report.changed.push(remark);
                self.enter(raw);
            }
            Err(reason) => self.remark(number, &reason, &text),
        }
    }

    fn remark(&mut self, line: u64, reason: &str, text: &str) {
        let remark = Remark { line, reason: reason.to_owned(), text: cut(text) };
        self.report.not_understood.push(remark);
    }

    fn enter(&mut self, raw: RawLine) {
        self.report.understood += 1;
        self.report.quantity_milli = self.report.quantity_milli.saturating_add(raw.quantity.0);
        self.report.money_minor = self.report.money_minor.saturating_add(raw.amount.0);
        if !self.invoices.contains_key(&raw.invoice) {
            self.order.push(raw.invoice.clone());
        }
        let cancelled = is_cancellation(&raw.invoice);
        let invoice = self.invoices.entry(raw.invoice).or_insert_with(|| Invoice {
            at: raw.at,
            customer: false,
            sold: Vec::new(),
            returned: Vec::new(),
            adjusted: Vec::new(),
        });
        invoice.customer |= raw.customer;
        let write_off = !raw.customer && raw.unit_price.0 == 0 && !cancelled;
        if raw.quantity.0 < 0 && write_off {
            invoice.adjusted.push(AdjustmentLine {
                product: raw.product,
                name: raw.name,
                delta: raw.quantity,
            });
            return;
        }
        let line = Line {
            product: raw.product,
            name: raw.name,
            quantity: Milli(raw.quantity.0.abs()),
            unit_price: raw.unit_price,
            discount: Minor(0),
            tax_ppm: 0,
        };
        let side = if raw.quantity.0 > 0 { &mut invoice.sold } else { &mut invoice.returned };
        side.push(line);
    }

    fn finish(mut self, pos: PosId) -> Import {
        let mut documents = Vec::with_capacity(self.order.len());
        for number in self.order {
            let Some(invoice) = self.invoices.remove(&number) else { continue };
            self.report.invoices += 1;
            self.report.cancellations += u64::from(is_cancellation(&number));
            let drafts = invoice.drafts(&number, pos);
            for draft in &drafts {
                match draft.body {
                    Body::Sale(_) => self.report.sales += 1,
                    Body::Refund { .. } => self.report.refunds += 1,
                    Body::Adjustment(_) => self.report.adjustments += 1,
                    Body::SessionOpened(_) | Body::CashMoved(_) | Body::SessionClosed(_) => {
                        unreachable!("invoices become trades and adjustments")
                    }
                    Body::CatalogEdited(_) | Body::Correction(_) => {
                        unreachable!("a file of sales edits and corrects nothing")
                    }
                }
            }
            documents.push(Document { number, drafts });
        }
        let report = self.report;
        let accounted = report.understood + report.blank + report.not_understood.len() as u64;
        assert_eq!(report.lines, accounted, "every line is accounted for");
        Import { documents, report }
    }
}

impl Invoice {
    fn drafts(self, number: &str, pos: PosId) -> Vec<Draft> {
        let at = self.at;
        let tender = if self.customer { Tender::Card } else { Tender::Cash };
        let mut bodies = Vec::new();
        for (part, lines) in (1..).zip(portions(self.sold)) {
            let trade = Trade::paid(Currency::GBP, lines, tender);
            bodies.push(("inv", part, Body::Sale(trade)));
        }
        for (part, lines) in (1..).zip(portions(self.returned)) {
            let trade = Trade::paid(Currency::GBP, lines, tender);
            bodies.push(("ref", part, Body::Refund { original: None, trade }));
        }
        for (part, lines) in (1..).zip(self.adjusted.chunks(LINES_MAX)) {
            let adjustment = Adjustment { reason: String::new(), lines: lines.to_vec() };
            bodies.push(("adj", part, Body::Adjustment(adjustment)));
        }
        bodies
            .into_iter()
            .map(|(kind, part, body)| Draft {
                pos,
                local_id: local_id(kind, number, part),
                at,
                reference: number.to_owned(),
                body,
            })
            .collect()
    }
}

/// Cuts lines into runs that one event can hold.
fn portions(lines: Vec<Line>) -> Vec<Vec<Line>> {
    let mut portions: Vec<Vec<Line>> = Vec::new();
    let mut total = 0;
    for line in lines {
        let amount = line.amount().0;
        match portions.last_mut() {
            Some(last) if last.len() < LINES_MAX && total + amount <= MINOR_MAX => {
                last.push(line);
                total += amount;
            }
            Some(_) | None => {
                total = amount;
                portions.push(vec![line]);
            }
        }
    }
    portions
}

fn local_id(kind: &str, number: &str, part: u32) -> LocalEventId {
    let id = match part {
        1 => format!("{kind}-{number}"),
        _ => format!("{kind}-{number}-{part}"),
    };
    LocalEventId::parse(&id).expect("an invoice number leaves room for a prefix and a part")
}

fn is_cancellation(number: &str) -> bool {
    number.starts_with('C')
}

/// The beginning of a line, for the report.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}
