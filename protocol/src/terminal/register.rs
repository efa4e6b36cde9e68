//! Register sessions on the till: open, move cash, close; and what the cloud says of a closing.
//!
//! > A sale belongs to the session that was open on its register when it was committed. That is
//! > written into the event, and into the register's sums, in the same commit (S4.3).
//!
//! A caller names amounts that people have counted, and nothing else: the sums of a closing are
//! the register's own. A register without a session sells as well.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::record::enter_event;
use super::row::{Meta, Seen};
use super::{Key, Output, Record, Terminal};
use crate::event::session::{Counted, Mark, SessionClosed, SessionOpened, Totals};
use crate::event::{Body, CashMoved, Event, EventError};
use crate::hash::payload_hash;
use crate::identity::{LocalEventId, PosId, SessionId};
use crate::label::Label;
use crate::machine::{Query, ReadSet, Rows};
use crate::money::{Currency, Minor};
use crate::time::Millis;
use crate::wire::session::{CLOSINGS_MAX, ClosingReport, SessionReport};

/// The most closings of a register whose confirmation the till waits for; then it stops asking
/// for the oldest.
pub const UNSETTLED_MAX: usize = 8;
/// How many registers one question looks at.
const REGISTERS_MAX: usize = 256;

const _: () = assert!(UNSETTLED_MAX > 0, "a closing is asked for");
const _: () = assert!(UNSETTLED_MAX <= u8::MAX as usize, "a register's row is short");
const _: () = assert!(REGISTERS_MAX > 0, "a till has a register");
const _: () = assert!(CLOSINGS_MAX <= UNSETTLED_MAX, "each closing that is told may be waited for");

/// Something that happens to a register's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDraft {
    /// The register.
    pub pos: PosId,
    /// The caller's name for the event. That of an opening names the session.
    pub local_id: LocalEventId,
    /// The time of it.
    pub at: Millis,
    /// The caller's document number; may be empty.
    pub reference: String,
    /// What happens.
    pub act: SessionAct,
}

/// What can happen to a register's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionAct {
    /// It begins.
    Open {
        /// The currency of every amount that it will count.
        currency: Currency,
        /// The cash in the drawer.
        float: Minor,
    },
    /// Cash is put in (above zero) or taken out (below).
    Cash {
        /// How much.
        delta: Minor,
        /// Why; may be empty.
        reason: String,
    },
    /// It ends, and this was counted, by tender, rising.
    Close {
        /// What people have counted.
        counted: Vec<Counted>,
    },
}

/// Why nothing was recorded for a session, or what was noted of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionOutput {
    /// This session is open on the register: close it first.
    AlreadyOpen(SessionId),
    /// No session is open on the register: open one first.
    NoneOpen,
    /// The cloud's word on so many closings of this till was noted.
    Noted(u32),
}

/// A register's session as the till has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The session that is open.
    pub open: Option<OpenSession>,
    /// The closing event of the last one.
    pub last: Option<LocalEventId>,
    /// Closings that the cloud has not confirmed yet, oldest first, with their sessions.
    pub unsettled: Vec<Unsettled>,
}

/// A closing that waits for the cloud's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// The closing event.
    pub closing: LocalEventId,
    /// The session that it closes.
    pub session: SessionId,
}

/// The open session of a register, and what it has counted so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// Its name.
    pub session: SessionId,
    /// When it was opened.
    pub at: Millis,
    /// Where the opening was recorded.
    pub from: Mark,
    /// The currency of every amount.
    pub currency: Currency,
    /// The cash at the opening.
    pub float: Minor,
    /// What it has counted.
    pub totals: Totals,
}

/// A closed session, by its closing event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedSession {
    /// Its name.
    pub session: SessionId,
    /// When it was closed.
    pub at: Millis,
    /// What was stated.
    pub closed: SessionClosed,
    /// The cloud's last word on it.
    pub told: Option<Told>,
}

/// The cloud's word on a closing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When the till heard it.
    pub at: Millis,
    /// What differs, if anything.
    pub report: ClosingReport,
    /// How many events the cloud posted after the closing.
    pub late_events: u64,
    /// What those add, in minor units.
    pub late_minor: i64,
}

impl OpenSession {
    /// Returns what a closing at `to` states, if `counted` is what people have counted.
    #[must_use]
    pub fn closed(&self, to: Mark, counted: Vec<Counted>) -> SessionClosed {
        assert!(to.seq > 0, "a closing has a place");
        let Self { currency, from, float, totals, .. } = self.clone();
        SessionClosed { currency, from, to, float, totals, counted }
    }
}

pub(super) fn reads(draft: &SessionDraft, keys: &mut ReadSet<Key>) {
    keys.insert(Key::Local(draft.pos, draft.local_id));
    keys.insert(Key::Register(draft.pos));
    keys.insert(Key::Closing(draft.pos, draft.local_id));
}

pub(super) fn step(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    meta: Meta,
    draft: &SessionDraft,
) -> Output {
    if let Some(seen) = rows.seen(draft.pos, draft.local_id) {
        return recognise(rows, seen, draft);
    }
    let mut register = rows.register(draft.pos).cloned().unwrap_or_default();
    let mark = Mark { epoch: meta.epoch, seq: meta.head + 1 };
    let (session, body) = match (&draft.act, &register.open) {
        (SessionAct::Open { .. }, Some(open)) => {
            return Output::Session(SessionOutput::AlreadyOpen(open.session));
        }
        (SessionAct::Cash { .. } | SessionAct::Close { .. }, None) => {
            return Output::Session(SessionOutput::NoneOpen);
        }
        (SessionAct::Open { currency, float }, None) => {
            let opened = SessionOpened { currency: *currency, float: *float };
            (draft.local_id, Body::SessionOpened(opened))
        }
        (SessionAct::Cash { delta, reason }, Some(open)) => {
            (open.session, moved(open.currency, *delta, reason))
        }
        (SessionAct::Close { counted }, Some(open)) => {
            (open.session, Body::SessionClosed(open.closed(mark, counted.clone())))
        }
    };
    let (event, payload) = match event_of_act(draft, session, body).seal() {
        Ok(sealed) => sealed,
        Err(error) => return Output::Invalid(error),
    };
    assert_eq!(event.session(), Some(session), "what happens to a session names it");
    assert!(event.receipt().is_none(), "nothing of it is printed as a receipt");
    register.take(&event, mark, session);
    assert_eq!(
        register.open.is_none(),
        matches!(draft.act, SessionAct::Close { .. }),
        "only a closing leaves the register without a session"
    );
    if let Body::SessionClosed(closed) = event.body() {
        let (at, closed) = (draft.at, closed.clone());
        let row = Box::new(ClosedSession { session, at, closed, told: None });
        rows.put(Key::Closing(draft.pos, draft.local_id), Record::Closing(row));
    }
    rows.put(Key::Register(draft.pos), Record::Register(register));
    let place = enter_event(rows, now, meta, &event, payload);
    assert_eq!((place.epoch, place.seq), (mark.epoch, mark.seq), "a mark is where it stands");
    Output::Recorded { place, receipt: None, again: false }
}

impl Register {
    /// Takes an event of the register's session in.
    fn take(&mut self, event: &Event, mark: Mark, session: SessionId) {
        match event.body() {
            Body::SessionOpened(SessionOpened { currency, float }) => {
                assert!(self.open.is_none(), "a register has one session at a time");
                let (currency, float, at) = (*currency, *float, event.at());
                let totals = Totals::default();
                self.open = Some(OpenSession { session, at, from: mark, currency, float, totals });
            }
            Body::SessionClosed(_) => {
                assert!(self.open.is_some(), "what is closed was open");
                let closing = event.local_id();
                self.open = None;
                self.last = Some(closing);
                self.unsettled.drain(..(self.unsettled.len() + 1).saturating_sub(UNSETTLED_MAX));
                self.unsettled.push(Unsettled { closing, session });
                assert!(self.unsettled.len() <= UNSETTLED_MAX, "so many are asked for");
            }
            Body::Sale(_) | Body::Refund { .. } | Body::CashMoved(_) | Body::Correction(_) => {
                self.count(event);
            }
            Body::Adjustment(_) | Body::CatalogEdited(_) => {}
        }
    }

    /// Counts an event of the open session.
    fn count(&mut self, event: &Event) {
        let Some(open) = &mut self.open else { return };
        assert_eq!(event.session(), Some(open.session), "a session counts its own events");
        let before = (open.totals.sales, open.totals.refunds);
        open.totals.add(event);
        assert!(open.totals.sales >= before.0, "no sale is taken back");
        assert!(open.totals.refunds >= before.1, "no refund is taken back");
        assert!(open.totals.sales + open.totals.refunds <= u64::MAX / 2, "counts stay countable");
    }
}

/// Returns the session that counts a draft: the one that is open on its register, if it is about
/// goods against money of that session's currency.
pub(super) fn session_of(rows: &Rows<'_, Terminal>, pos: PosId, body: &Body) -> Option<SessionId> {
    let currency = body.trade()?.currency;
    let open = rows.register(pos)?.open.as_ref()?;
    (open.currency == currency).then_some(open.session)
}

/// Adds a sale or refund to the sums of its session.
pub(super) fn count(rows: &mut Rows<'_, Terminal>, event: &Event) {
    if event.session().is_none() {
        return;
    }
    assert!(event.body().trade().is_some(), "only trades are counted like this");
    let register = rows.register(event.pos()).cloned();
    let mut register = register.expect("whoever named the session has read the register");
    assert!(register.open.is_some(), "a trade names the session that is open");
    register.count(event);
    rows.put(Key::Register(event.pos()), Record::Register(register));
}

/// Adds a sale to the sums of its session, in a register that is at hand.
pub(super) fn count_in(register: &mut Register, event: &Event) {
    assert!(event.body().trade().is_some(), "only trades are counted like this");
    assert!(register.open.is_some(), "what is counted has a session");
    register.count(event);
}

/// The same name with the same content is the same event; with another, the caller is told (B.2).
fn recognise(rows: &Rows<'_, Terminal>, seen: Seen, draft: &SessionDraft) -> Output {
    let Seen { known, counted_by: Some((session, own)) } = seen else {
        return Output::Taken(seen.known.place);
    };
    let closing = rows.closing(draft.pos, draft.local_id).filter(|row| row.session == session);
    let body = match (&draft.act, closing) {
        (SessionAct::Open { currency, float }, None) => {
            Body::SessionOpened(SessionOpened { currency: *currency, float: *float })
        }
        (SessionAct::Cash { delta, reason }, None) => moved(own, *delta, reason),
        (SessionAct::Close { counted }, Some(row)) => {
            let (counted, closed) = (counted.clone(), row.closed.clone());
            Body::SessionClosed(SessionClosed { counted, ..closed })
        }
        (SessionAct::Open { .. } | SessionAct::Cash { .. }, Some(_))
        | (SessionAct::Close { .. }, None) => return Output::Taken(known.place),
    };
    match event_of_act(draft, session, body).seal() {
        Ok((_, payload)) if payload_hash(&payload) == known.payload_hash => {
            Output::Recorded { place: known.place, receipt: None, again: true }
        }
        Ok(_) | Err(EventError::Session) => Output::Taken(known.place),
        Err(error) => Output::Invalid(error),
    }
}

fn event_of_act(draft: &SessionDraft, session: SessionId, body: Body) -> Event {
    assert!(body.is_of_session(), "what happens to a session is about it");
    Event {
        pos: draft.pos,
        local_id: draft.local_id,
        at: draft.at,
        receipt: None,
        reference: draft.reference.clone(),
        session: Some(session),
        body,
    }
}

fn moved(currency: Currency, delta: Minor, reason: &str) -> Body {
    Body::CashMoved(CashMoved { currency, delta, reason: String::from(reason) })
}

pub(super) fn reads_told(report: &SessionReport, keys: &mut ReadSet<Key>) {
    keys.insert(Key::Register(report.pos_id));
    keys.extend(report.closings.iter().map(|told| Key::Closing(report.pos_id, told.closing_id)));
}

/// Notes the cloud's word on the closings of a session. It is the cloud's view, and changes no sum
/// of the till.
pub(super) fn told(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    meta: &Meta,
    report: &SessionReport,
) -> Output {
    let pos = report.pos_id;
    let mut noted = 0;
    if report.terminal_id != meta.identity.terminal {
        return Output::Session(SessionOutput::Noted(noted));
    }
    let before = rows.register(pos).cloned().unwrap_or_default();
    let mut register = before.clone();
    for closing in report.closings.iter().take(CLOSINGS_MAX) {
        let Some(row) = rows.closing(pos, closing.closing_id).cloned() else { continue };
        if row.session != report.session_id {
            continue;
        }
        if closing.difference.is_none() {
            register.unsettled.retain(|waits| waits.closing != closing.closing_id);
        }
        let told = Some(Told {
            at: now,
            report: closing.clone(),
            late_events: report.late.events,
            late_minor: report.late.money_minor,
        });
        let row = Box::new(ClosedSession { told, ..row });
        rows.put(Key::Closing(pos, closing.closing_id), Record::Closing(row));
        noted += 1;
    }
    assert!(register.unsettled.len() <= before.unsettled.len(), "an answer asks no question");
    assert!(noted as usize <= report.closings.len(), "each closing is noted once");
    assert!(register.open == before.open && register.last == before.last, "a word is no act");
    if register != before {
        rows.put(Key::Register(pos), Record::Register(register));
    }
    Output::Session(SessionOutput::Noted(noted))
}

/// Returns the registers of a till.
///
/// # Errors
/// The store's.
pub async fn registers<Q: Query<Terminal>>(store: &Q) -> Result<Vec<(PosId, Register)>, Q::Error> {
    let first = Key::Register(PosId(Label::FIRST));
    // Closings follow the registers: the first of them is the end.
    let end = Key::Closing(PosId(Label::FIRST), LocalEventId(Label::FIRST));
    assert!(first < end, "the kinds of rows have an order");
    let rows = store.scan(&first, &end, REGISTERS_MAX).await?;
    assert!(rows.len() <= REGISTERS_MAX, "a scan keeps its limit");
    let registers = rows.into_iter().filter_map(|(key, record)| match (key, record) {
        (Key::Register(pos), Record::Register(register)) => Some((pos, register)),
        _ => None,
    });
    let registers: Vec<_> = registers.collect();
    debug_assert!(registers.is_sorted_by(|(a, _), (b, _)| a < b), "each register is told once");
    Ok(registers)
}

/// Returns a register's session: what is open, and the last one that was closed.
///
/// # Errors
/// The store's.
pub async fn current<Q: Query<Terminal>>(
    store: &Q,
    pos: PosId,
) -> Result<(Option<OpenSession>, Option<ClosedSession>), Q::Error> {
    let Some(Record::Register(register)) = store.get(&Key::Register(pos)).await? else {
        return Ok((None, None));
    };
    let last = match register.last {
        Some(closing) => store.get(&Key::Closing(pos, closing)).await?,
        None => None,
    };
    let last = match last {
        Some(Record::Closing(closed)) => Some(*closed),
        Some(_) | None => None,
    };
    Ok((register.open, last))
}

/// Returns the sessions whose closings the cloud has not confirmed yet, each once.
///
/// # Errors
/// The store's.
pub async fn unsettled<Q: Query<Terminal>>(store: &Q) -> Result<Vec<(PosId, SessionId)>, Q::Error> {
    let mut sessions = Vec::new();
    for (pos, register) in registers(store).await? {
        sessions.extend(register.unsettled.iter().map(|waits| (pos, waits.session)));
    }
    sessions.sort_unstable();
    sessions.dedup();
    assert!(sessions.len() <= REGISTERS_MAX * UNSETTLED_MAX, "so many are asked for");
    assert!(sessions.is_sorted(), "each session is asked for once");
    Ok(sessions)
}
