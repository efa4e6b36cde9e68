//! What a back office reads of a row: columns, said again from its key and its record.
//!
//! Nothing of ours reads them back: the record is what counts. So what does not fit a column is
//! left out there (a time beyond all calendars, a number beyond a `bigint`), and a record that
//! cannot be read has no columns, and its bytes all the same.

use counterfoil_protocol::catalog::{Entity, EntityId};
use counterfoil_protocol::cloud::row::{Fate, Item, Ledger, Terminal};
use counterfoil_protocol::cloud::sessions::Session;
use counterfoil_protocol::cloud::{Cloud, InboxKey, InboxRecord, Key, Record};
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::inbox::InboxEvent;
use counterfoil_protocol::persist::{KEY_BYTES_MAX, Persist as _};
use counterfoil_protocol::time::Millis;
use serde_json::{Value, json};

use super::table::{Cell, Table};
use crate::frame;

/// Returns the cells of a row, in the order of the table's columns.
pub(super) fn of(table: &Table, key: &[u8], framed: &[u8]) -> Vec<Cell> {
    assert!(!table.columns.is_empty(), "a table without columns is not asked for them");
    assert!(key.len() <= KEY_BYTES_MAX, "a batch bounds its keys");
    let mut cells = said(key, framed).unwrap_or_default();
    assert!(cells.len() <= table.columns.len(), "no cell is beyond the last column");
    assert!(
        cells.is_empty() || cells.len() == table.columns.len(),
        "what can be read fills its columns"
    );
    cells.resize(table.columns.len(), Cell::Null);
    assert_eq!(cells.len(), table.columns.len(), "each column has its cell");
    cells
}

fn said(key: &[u8], framed: &[u8]) -> Option<Vec<Cell>> {
    let body = frame::unseal(key, framed).ok()?;
    assert!(body.len() < framed.len(), "a frame is around something");
    let key = Cloud::key_from_bytes(key).ok()?;
    let record = Cloud::record_from_bytes(&key, body).ok()?;
    match (key, record) {
        (Key::Terminal(_), Record::Terminal(terminal)) => Some(of_terminal(&terminal)),
        (Key::Lane(_, epoch), Record::Lane(lane)) => Some(vec![
            count(u64::from(epoch.number)),
            nonce(epoch),
            count(lane.head),
            time(lane.since),
            time(lane.seen),
            count(lane.posted.events),
            count(lane.posted.lines),
            Cell::Int(lane.posted.quantity.0),
            Cell::Int(lane.posted.money.0),
        ]),
        (Key::Segment(_, epoch, number), Record::Segment(segment)) => Some(vec![
            count(u64::from(epoch.number)),
            nonce(epoch),
            count(number),
            count(segment.payloads.len() as u64),
        ]),
        (Key::Ledger(_), Record::Ledger(entry)) => Some(of_event(&entry)),
        (Key::Stock(_, _, product), Record::Stock(stock)) => {
            Some(vec![text(product), Cell::Int(stock.quantity.0), count(stock.movements)])
        }
        (Key::Feed(_), Record::Feed(feed)) => Some(vec![count(feed.version)]),
        (Key::Item(_, _, id), Record::Item(item)) => Some(of_item(id, &item)),
        (Key::Change(_, _, version, place), Record::Change(id)) => {
            Some(vec![count(version), count(u64::from(place)), text(id.kind.word()), text(id.id)])
        }
        (Key::Session(_, _, pos, id), Record::Session(session)) => {
            Some(of_session(&text(pos), &text(id), &session))
        }
        (Key::Inbox(key), Record::Inbox(record)) => of_inbox(&key, &record),
        _ => None,
    }
}

fn of_terminal(terminal: &Terminal) -> Vec<Cell> {
    let cells = vec![
        text(terminal.site.shop),
        text(terminal.site.branch),
        Cell::Flag(terminal.revoked),
        terminal.expires_at.map_or(Cell::Null, time),
        time(terminal.since),
    ];
    assert_ne!(cells[0], Cell::Null, "a till stands somewhere");
    assert_ne!(cells[1], Cell::Null, "a till stands somewhere");
    cells
}

/// The rest of an event is read out of its record by whoever asks: `migrations/0003_compact.sql`.
fn of_event(entry: &Ledger) -> Vec<Cell> {
    let state = match entry.fate {
        Fate::Posted => Cell::Null,
        Fate::Parked(code) | Fate::Refused(code) => text(code.as_str()),
        Fate::Rejected => text("rejected"),
        Fate::Withdrawn(_) => text("withdrawn"),
    };
    assert_eq!(state == Cell::Null, entry.fate == Fate::Posted, "what did not count is named");
    vec![state, time(entry.at)]
}

fn of_item(id: EntityId, item: &Item) -> Vec<Cell> {
    let content = item.content.as_ref();
    let entity = content.and_then(|content| Entity::from_canonical(id, content).ok());
    let content = entity.and_then(|entity| serde_json::to_value(entity.to_wire()).ok());
    let cells = vec![
        text(id.kind.word()),
        text(id.id),
        count(item.version),
        Cell::Flag(item.content.is_none()),
        time(item.at),
        content.map_or(Cell::Null, |content| document(&content)),
    ];
    assert!(item.content.is_some() || cells[5] == Cell::Null, "what is deleted has no content");
    assert_ne!(cells[1], Cell::Null, "an entity has a name");
    cells
}

fn of_session(pos: &Cell, id: &Cell, session: &Session) -> Vec<Cell> {
    assert_ne!(*pos, Cell::Null, "a session is one of a register");
    assert_ne!(*id, Cell::Null, "a session has a name");
    vec![
        pos.clone(),
        id.clone(),
        text(session.site.branch),
        text(session.currency.as_str()),
        session.float.map_or(Cell::Null, |float| Cell::Int(float.0)),
        count(u64::from(session.closed)),
        count(session.late_events),
    ]
}

fn of_inbox(key: &InboxKey, record: &InboxRecord) -> Option<Vec<Cell>> {
    Some(match (key, record) {
        (InboxKey::Head(..), InboxRecord::Head(head)) => vec![count(head.seq)],
        (InboxKey::Event(_, _, seq), InboxRecord::Event(stored)) => {
            let event = InboxEvent::from_canonical(&stored.content).ok()?;
            vec![
                count(*seq),
                text(event.id.0),
                text(event.reference.source()),
                text(event.reference),
                text(event.product),
                Cell::Int(event.delta.0),
                time(event.created_at),
                time(stored.at),
                stored.from.map_or(Cell::Null, text),
            ]
        }
        (InboxKey::Ack(_, _, terminal), InboxRecord::Ack(acked)) => {
            vec![text(terminal), count(acked.through), time(acked.at)]
        }
        (InboxKey::Order(_, order), InboxRecord::Order(held)) => {
            let lines = held.content.lines.iter().map(
                |line| json!({ "product": line.product_id, "quantityMilli": line.quantity_milli }),
            );
            vec![
                text(order),
                text(held.content.branch),
                time(held.content.created_at),
                time(held.at),
                held.cancelled.map_or(Cell::Null, time),
                document(&lines.collect()),
            ]
        }
        _ => return None,
    })
}

/// No text and no document of PostgreSQL has a zero character; ours may come from anywhere.
fn text(shown: impl ToString) -> Cell {
    let mut text = shown.to_string();
    if text.contains('\0') {
        text = text.replace('\0', "\u{fffd}");
    }
    assert!(!text.contains('\0'), "what is shown can be stored");
    Cell::Text(text)
}

fn document(value: &Value) -> Cell {
    // A zero character is written as an escape here, which no document takes either.
    assert!(value.is_array() || value.is_object(), "a document has parts");
    let mut text = value.to_string();
    if text.contains("\\u0000") {
        text = text.replace("\\u0000", "\\ufffd");
    }
    assert!(!text.contains("\\u0000"), "what is shown can be stored");
    Cell::Text(text)
}

fn count(number: u64) -> Cell {
    i64::try_from(number).map_or(Cell::Null, Cell::Int)
}

/// The last millisecond of the year 9999.
const LAST_MS: u64 = 253_402_300_799_999;

const _: () = assert!(LAST_MS < i64::MAX as u64, "a time that is shown is a bigint");
const _: () = assert!(LAST_MS > 4_102_444_800_000, "the year 2100 is shown");

/// A till may say any time. One that no `timestamptz` holds is left out.
fn time(at: Millis) -> Cell {
    if at.0 <= LAST_MS { count(at.0) } else { Cell::Null }
}

/// A nonce has 64 bits and means nothing: it is shown, not counted with.
fn nonce(epoch: Epoch) -> Cell {
    let text = format!("{:016x}", epoch.nonce);
    assert_eq!(text.len(), 16, "a nonce has 16 digits");
    Cell::Text(text)
}
