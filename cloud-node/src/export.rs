//! Writes every event of the ledger and every online order as a line of JSON, and sums up the
//! posted events.

use std::collections::BTreeSet;
use std::io;

use counterfoil_protocol::cloud::inbox::row;
use counterfoil_protocol::cloud::row::{Fate, Ledger, server_id};
use counterfoil_protocol::cloud::{Cloud, InboxKey, InboxRecord, Key, Record, Site};
use counterfoil_protocol::event::{Event, EventError, Figures};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{
    Epoch, EventKey, LocalEventId, OrderId, PosId, ShopId, TerminalId,
};
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::event::EventAny;
use counterfoil_protocol::wire::message::ServerId;
use serde::Serialize;

use crate::pages::{Kind, Pages, all};

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError<E> {
    /// The database cannot be read to its end: check it.
    #[error("the database cannot be read to its end: {0}")]
    Query(E),
    /// The lines cannot be written: make room, and export again.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// One line of an export.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    terminal_id: TerminalId,
    site: Site,
    epoch: Epoch,
    seq: u64,
    taken_in_at_ms: u64,
    payload_hash: Hash,
    #[serde(flatten)]
    fate: FateJson,
    event: EventAny,
}

/// The line of a payload that is no event: what is there is brought out all the same.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UnreadableLine {
    terminal_id: TerminalId,
    pos_id: PosId,
    local_event_id: LocalEventId,
    site: Site,
    epoch: Epoch,
    seq: u64,
    taken_in_at_ms: u64,
    payload_hash: Hash,
    error: String,
    /// In hexadecimal.
    payload: String,
}

impl UnreadableLine {
    fn of(key: &EventKey, ledger: &Ledger, error: EventError) -> Self {
        Self {
            terminal_id: key.terminal,
            pos_id: key.pos,
            local_event_id: key.local_id,
            site: ledger.site,
            epoch: ledger.epoch,
            seq: ledger.seq,
            taken_in_at_ms: ledger.at.0,
            payload_hash: ledger.payload_hash,
            error: format!("the payload is no event ({error}): run the check"),
            payload: ledger.payload.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "fate", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum FateJson {
    Posted {
        server_id: ServerId,
    },
    Parked {
        error_code: ErrorCode,
    },
    Rejected,
    /// A correction of this name has its place.
    Withdrawn {
        by: LocalEventId,
    },
    /// A correction of what counts already, or of what another has corrected.
    Refused {
        error_code: ErrorCode,
    },
}

/// The sums of the posted events: what the books of both sides must agree on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Posted events.
    pub events: u64,
    /// Different references that are not empty, counted within each shop.
    pub invoices: u64,
    /// Their lines.
    pub lines: u64,
    /// Sold less returned, plus adjusted, in thousandths.
    pub quantity_milli: i64,
    /// Taken less given back, in minor units.
    pub money_minor: i64,
    /// Events that wait, which are in no other sum.
    pub parked: u64,
    /// Ledger rows whose payload is no event, which are in no other sum: run the check.
    #[serde(default)]
    pub unreadable: u64,
}

/// Writes each ledger row, then each online order, as a line to `out`, in the order of its key,
/// and sums up the events. A payload that is no event has a line that says so, and is counted as
/// unreadable.
///
/// # Errors
/// [`ExportError`]; what was written until then is whole lines.
pub async fn export<Q: Query<Cloud>>(
    reads: &Q,
    out: &mut impl io::Write,
) -> Result<Summary, ExportError<Q::Error>> {
    let summary = walk(reads, |key, ledger, event| {
        let event = match event {
            Ok(event) => event,
            Err(error) => return write_line(out, &UnreadableLine::of(key, ledger, error)),
        };
        let line = Line {
            terminal_id: key.terminal,
            site: ledger.site,
            epoch: ledger.epoch,
            seq: ledger.seq,
            taken_in_at_ms: ledger.at.0,
            payload_hash: ledger.payload_hash,
            fate: match ledger.fate {
                Fate::Posted => FateJson::Posted { server_id: server_id(ledger.site.shop, key) },
                Fate::Parked(error_code) => FateJson::Parked { error_code },
                Fate::Rejected => FateJson::Rejected,
                Fate::Withdrawn(by) => FateJson::Withdrawn { by },
                Fate::Refused(error_code) => FateJson::Refused { error_code },
            },
            event: EventAny::from_event(event),
        };
        write_line(out, &line)
    })
    .await?;
    orders(reads, out).await?;
    Ok(summary)
}

/// An online order as a line of an export.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderLine<'a> {
    order_id: OrderId,
    site: Site,
    created_at_ms: u64,
    taken_in_at_ms: u64,
    cancelled_at_ms: Option<u64>,
    lines: &'a [row::OrderLine],
    /// How many other contents came under this number.
    others: usize,
}

async fn orders<Q: Query<Cloud>>(
    reads: &Q,
    out: &mut impl io::Write,
) -> Result<(), ExportError<Q::Error>> {
    let mut pages = Pages::new(reads, all(Kind::Order));
    loop {
        let page = pages.next().await.map_err(ExportError::Query)?;
        if page.is_empty() {
            return Ok(());
        }
        for row in page {
            let (Key::Inbox(InboxKey::Order(shop, id)), Record::Inbox(InboxRecord::Order(held))) =
                row
            else {
                continue;
            };
            let line = OrderLine {
                order_id: id,
                site: Site { shop, branch: held.content.branch },
                created_at_ms: held.content.created_at.0,
                taken_in_at_ms: held.at.0,
                cancelled_at_ms: held.cancelled.map(|at| at.0),
                lines: &held.content.lines,
                others: held.others.len(),
            };
            let mut text = serde_json::to_vec(&line).map_err(io::Error::other)?;
            text.push(b'\n');
            out.write_all(&text)?;
        }
    }
}

fn write_line(out: &mut impl io::Write, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line).map_err(io::Error::other)?;
    text.push(b'\n');
    out.write_all(&text)
}

/// Sums up the posted events.
///
/// # Errors
/// [`ExportError`], but never its `Write`.
pub async fn summary<Q: Query<Cloud>>(reads: &Q) -> Result<Summary, ExportError<Q::Error>> {
    walk(reads, |_, _, _| Ok(())).await
}

async fn walk<Q: Query<Cloud>>(
    reads: &Q,
    mut each: impl FnMut(&EventKey, &Ledger, Result<&Event, EventError>) -> io::Result<()>,
) -> Result<Summary, ExportError<Q::Error>> {
    let mut figures = Figures::default();
    let (mut parked, mut unreadable) = (0, 0);
    let mut invoices: BTreeSet<(ShopId, String)> = BTreeSet::new();
    let mut pages = Pages::new(reads, all(Kind::Ledger));
    loop {
        let page = pages.next().await.map_err(ExportError::Query)?;
        if page.is_empty() {
            break;
        }
        for row in page {
            let (Key::Ledger(key), Record::Ledger(ledger)) = row else { continue };
            if ledger.payload.is_empty() {
                continue; // withdrawn before it came: there is no event to write
            }
            let event = match Event::from_canonical(&ledger.payload) {
                Ok(event) => event,
                Err(error) => {
                    unreadable += 1;
                    each(&key, &ledger, Err(error))?;
                    continue;
                }
            };
            match ledger.fate {
                Fate::Posted => {
                    figures = figures.plus(event.figures());
                    if !event.reference().is_empty() {
                        invoices.insert((ledger.site.shop, event.reference().to_owned()));
                    }
                }
                Fate::Parked(_) => parked += 1,
                Fate::Rejected | Fate::Withdrawn(_) | Fate::Refused(_) => {}
            }
            each(&key, &ledger, Ok(&event))?;
        }
    }
    Ok(Summary {
        events: figures.events,
        invoices: invoices.len() as u64,
        lines: figures.lines,
        quantity_milli: figures.quantity.0,
        money_minor: figures.money.0,
        parked,
        unreadable,
    })
}
