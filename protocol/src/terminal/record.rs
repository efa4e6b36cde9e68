//! Checkout: one commit for the event, its receipt number, its stock movements, its journal entry
//! and its queue entry (S4.3). It asks nobody; a till sells from the first second. An edit of the
//! catalog is recorded the same way, with what it lays over.
//!
//! > **`ReceiptsGapless`**: receipt numbers of one register are unique and without gaps.

use alloc::vec::Vec;

use super::row::{Entry, Known, Meta, Place, Queued, Seen, Series, State, Stock};
use super::{Draft, Key, Output, Record, Terminal, edits, register};
use crate::catalog::EditError;
use crate::event::{Body, EVENT_BYTES_MAX, Event, EventError, Receipt};
use crate::hash::{Hash, link, payload_hash};
use crate::identity::SessionId;
use crate::machine::{ReadSet, Rows};
use crate::money::Milli;
use crate::time::Millis;
use crate::wire::event::ReceiptV1;

pub(super) fn reads(draft: &Draft, keys: &mut ReadSet<Key>) {
    keys.insert(Key::Local(draft.pos, draft.local_id));
    keys.insert(Key::Series(draft.pos));
    match &draft.body {
        Body::Sale(trade) | Body::Refund { trade, .. } => {
            keys.extend(trade.lines.iter().map(|line| Key::Stock(line.product)));
            keys.insert(Key::Register(draft.pos));
        }
        Body::Adjustment(adjustment) => {
            keys.extend(adjustment.lines.iter().map(|line| Key::Stock(line.product)));
        }
        // Refused: the machine itself makes these, of a `SessionDraft`.
        Body::SessionOpened(_) | Body::CashMoved(_) | Body::SessionClosed(_) => {}
        Body::CatalogEdited(_) => keys.insert(Key::LocalEdits),
        // Refused: the machine itself makes it, of a sale.
        Body::Correction(_) => {}
    }
}

pub(super) fn step(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    meta: Meta,
    draft: &Draft,
) -> Output {
    if let Some(seen) = rows.seen(draft.pos, draft.local_id) {
        return recognise(seen, draft);
    }
    if draft.body.is_of_session() {
        return Output::Invalid(EventError::Session);
    }
    if matches!(draft.body, Body::Correction(_)) {
        return Output::Invalid(EventError::Corrected);
    }
    if matches!(draft.body, Body::CatalogEdited(_)) && meta.backlog().adopting {
        // An older edit that is carried over behind this one would be the last that was written.
        return Output::Invalid(EventError::Edit(EditError::Behind));
    }
    let series = next_number(rows, &meta, draft);
    let receipt = series.map(|series| Receipt { series: series.epoch, number: series.last });
    let session = register::session_of(rows, draft.pos, &draft.body);
    let (event, payload) = match event_of(draft, receipt, session).seal() {
        Ok(sealed) => sealed,
        Err(error) => return Output::Invalid(error),
    };
    if let Err(error) = edits::record(rows, draft) {
        return Output::Invalid(error.into());
    }
    assert_eq!(event.receipt(), receipt, "the number that is printed is the one that is kept");
    assert!(receipt.is_none_or(|receipt| receipt.number > 0), "receipts count from 1");
    let place = enter_event(rows, now, meta, &event, payload);
    assert!(receipt.is_none_or(|r| r.series == place.epoch), "a series is one of its history");
    if let Some(series) = series {
        rows.put(Key::Series(draft.pos), Record::Series(series));
    }
    move_stock(rows, &event);
    register::count(rows, &event);
    Output::Recorded { place, receipt, again: false }
}

/// Writes a new event: its name, its journal entry, its place in the queue, and the books.
pub(super) fn enter_event(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    mut meta: Meta,
    event: &Event,
    payload: Vec<u8>,
) -> Place {
    assert!(payload.len() <= EVENT_BYTES_MAX, "what is recorded can be pushed");
    let payload_hash = payload_hash(&payload);
    let place = chain(&mut meta, payload_hash);
    assert_eq!(place.seq, meta.head, "what is recorded is the last entry");
    let (pos, local_id) = (event.pos(), event.local_id());
    let (chain, payload) = (meta.hash, payload.into());
    let entry = Entry { pos, local_id, payload_hash, chain, payload, state: State::Open };
    enter(rows, place, entry, Queued { attempts: 0, due: now, code: None });
    let receipt = event.receipt().map(|r| ReceiptV1 { series: r.series, number: r.number });
    let known = Known { place, payload_hash, receipt };
    let counted_by = event.session().zip(event.body().currency());
    assert_eq!(counted_by.is_some(), event.session().is_some(), "what is counted has a currency");
    assert!(meta.acked < meta.head, "what is new waits for an answer");
    rows.put(Key::Local(pos, local_id), Seen { known, counted_by }.record());
    rows.put(Key::Meta, Record::Meta(meta));
    place
}

/// Gives the journal its next entry.
pub(super) fn chain(meta: &mut Meta, payload_hash: Hash) -> Place {
    let (before, tip) = (meta.head, meta.hash);
    meta.head += 1;
    meta.hash = link(meta.hash, meta.head, payload_hash);
    assert!(meta.head > before && meta.acked < meta.head, "a new entry is not answered yet");
    assert_ne!(meta.hash, tip, "each entry moves the chain on");
    Place { epoch: meta.epoch, seq: meta.head }
}

/// Writes an entry and its place in the queue.
pub(super) fn enter(rows: &mut Rows<'_, Terminal>, place: Place, entry: Entry, queued: Queued) {
    assert!(place.seq > 0, "a journal counts from 1");
    assert!(entry.state == State::Open, "what has its answer does not wait");
    rows.append(Key::Entry(place.epoch, place.seq), Record::Entry(entry));
    rows.append(Key::Queue(place.epoch, place.seq), Record::Queue(queued));
}

/// The same name with the same content is the same event; with another, the caller is told (B.2).
pub(super) fn recognise(seen: Seen, draft: &Draft) -> Output {
    let Seen { known, counted_by } = seen;
    let receipt = known.receipt.map(|r| Receipt { series: r.series, number: r.number });
    let session = counted_by.map(|(session, _)| session);
    match event_of(draft, receipt, session).seal() {
        Ok((_, payload)) if payload_hash(&payload) == known.payload_hash => {
            Output::Recorded { place: known.place, receipt, again: true }
        }
        Ok(_) | Err(EventError::Receipt | EventError::Session) => Output::Taken(known.place),
        Err(error) => Output::Invalid(error),
    }
}

pub(super) fn next_number(rows: &Rows<'_, Terminal>, meta: &Meta, draft: &Draft) -> Option<Series> {
    match draft.body {
        Body::Adjustment(_)
        | Body::SessionOpened(_)
        | Body::CashMoved(_)
        | Body::SessionClosed(_)
        | Body::CatalogEdited(_) => return None,
        Body::Sale(_) | Body::Refund { .. } | Body::Correction(_) => {}
    }
    let series = rows.series(draft.pos).copied().unwrap_or_default();
    let last = if series.epoch == meta.epoch { series.last } else { 0 };
    Some(Series { epoch: meta.epoch, last: last + 1 })
}

pub(super) fn event_of(
    draft: &Draft,
    receipt: Option<Receipt>,
    session: Option<SessionId>,
) -> Event {
    Event {
        pos: draft.pos,
        local_id: draft.local_id,
        at: draft.at,
        receipt,
        reference: draft.reference.clone(),
        session,
        body: draft.body.clone(),
    }
}

pub(super) fn move_stock(rows: &mut Rows<'_, Terminal>, event: &Event) {
    for movement in event.movements() {
        assert!(movement.delta.0 != 0, "what moves changes the stock");
        let held = rows.stock(movement.product).copied().unwrap_or_default();
        let stock = Stock {
            quantity: Milli(held.quantity.0.saturating_add(movement.delta.0)),
            movements: held.movements + 1,
        };
        rows.put(Key::Stock(movement.product), Record::Stock(stock));
    }
}
