//! Register sessions in the cloud: what was posted of each, what was stated of it, and whether
//! that is the same.
//!
//! > **`NoDuplicate`**: a sale counts once in its session, as it is posted once.
//!
//! A session's row changes in the transaction that posts its events, and only then. It is a row of
//! one register of one till, so that tills do not wait for each other. The verdict is no field: it
//! follows from the row whenever somebody asks, so a late sale cannot leave an outdated one behind.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::row::Record;
use super::{Cloud, Key, Site};
use crate::event::session::{Difference, SessionClosed, Totals, plus};
use crate::event::{Body, Correction, Event};
use crate::identity::{LocalEventId, PosId, SessionId, ShopId, TerminalId};
use crate::label::Label;
use crate::machine::Query;
use crate::money::{Currency, Minor};
use crate::time::Millis;
use crate::wire::session::{
    CLOSINGS_MAX, ClosingReport, LATE_MAX, LateEntry, LateReport, SessionReport, SessionStatus,
};

/// The most sessions in one page of a list.
pub const LIST_MAX: usize = 200;

const _: () = assert!(CLOSINGS_MAX > 0 && LATE_MAX > 0, "a row keeps the last of both");
const _: () = assert!(LIST_MAX > 0, "each page of a list gets on");
const _: () = assert!(CLOSINGS_MAX <= u32::MAX as usize, "the closings that are kept are counted");

/// A register session, as far as its events are posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Where the till stands.
    pub site: Site,
    /// The currency of its sums: that of the first event that was posted.
    pub currency: Currency,
    /// The cash at the opening; none until the opening is posted.
    pub float: Option<Minor>,
    /// What its posted events add up to.
    pub posted: Totals,
    /// How many posted events are of another currency: no till of ours makes one.
    pub foreign: u64,
    /// How often it was closed.
    pub closed: u32,
    /// The last [`CLOSINGS_MAX`] closings, in the order in which they were posted.
    pub closings: Vec<Closing>,
    /// How many of its events were posted after the first closing.
    pub late_events: u64,
    /// What those add to what it has taken.
    pub late_money: Minor,
    /// The last [`LATE_MAX`] of them, oldest first.
    pub late: Vec<LateEntry>,
}

/// A closing, as it was stated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The closing event.
    pub id: LocalEventId,
    /// What it states.
    pub stated: SessionClosed,
}

impl Session {
    /// Returns the session before its first event, which is `event`.
    #[must_use]
    pub(super) fn new(site: Site, currency: Currency) -> Self {
        Self {
            site,
            currency,
            float: None,
            posted: Totals::default(),
            foreign: 0,
            closed: 0,
            closings: Vec::new(),
            late_events: 0,
            late_money: Minor(0),
            late: Vec::new(),
        }
    }

    /// Takes a posted event of the session in.
    pub(super) fn take(&mut self, now: Millis, event: &Event) {
        assert!(event.session().is_some(), "only what names the session is counted in it");
        if event.body().currency() != Some(self.currency) {
            self.foreign = self.foreign.saturating_add(1);
            return;
        }
        let (late, before) = (self.closed > 0, (self.closed, self.late_events));
        match event.body() {
            Body::SessionOpened(opened) => self.float = Some(opened.float),
            Body::SessionClosed(stated) => self.close(event.local_id(), stated),
            Body::Sale(_) | Body::Refund { .. } | Body::CashMoved(_) | Body::Correction(_) => {
                self.posted.add(event);
                if late {
                    self.adjust(now, event);
                }
            }
            Body::Adjustment(_) | Body::CatalogEdited(_) => {}
        }
        assert!(self.closed >= before.0, "no closing is taken back");
        assert!(self.late_events >= before.1, "no adjustment is taken back");
        assert!(late || self.late_events == before.1, "before the closing nothing is late");
    }

    fn close(&mut self, id: LocalEventId, stated: &SessionClosed) {
        self.closed = self.closed.saturating_add(1);
        self.closings.drain(..(self.closings.len() + 1).saturating_sub(CLOSINGS_MAX));
        self.closings.push(Closing { id, stated: stated.clone() });
        assert!(self.closings.last().is_some_and(|last| last.id == id), "the last is the latest");
        assert!(self.closings.len() <= CLOSINGS_MAX, "so many closings are kept");
        assert!(self.closed > 0, "what was closed is not open");
    }

    /// Notes a late arrival: what was there when the session was closed is adjusted by it.
    fn adjust(&mut self, now: Millis, event: &Event) {
        assert!(self.closed > 0, "nothing is late for an open session");
        let money = taken_by(event);
        self.late_events = self.late_events.saturating_add(1);
        self.late_money = plus(self.late_money, money);
        self.late.drain(..(self.late.len() + 1).saturating_sub(LATE_MAX));
        let local_event_id = event.local_id();
        self.late.push(LateEntry { local_event_id, posted_at_ms: now, money });
        assert!(self.late_events > 0, "what came late is counted");
        assert!(
            self.late.last().is_some_and(|last| last.local_event_id == local_event_id),
            "the last is the latest"
        );
        assert!(self.late.len() <= LATE_MAX, "so many late arrivals are told one by one");
    }

    /// Returns what the cloud has more than `stated`, if anything.
    #[must_use]
    pub fn differs(&self, stated: &SessionClosed) -> Option<Difference> {
        let float = self.float.unwrap_or_default();
        let difference = Difference::between(&self.posted, float, self.foreign, stated);
        let none = difference.is_none();
        assert!(!none || self.foreign == 0, "what no sum counts is never confirmed");
        (!none).then_some(difference)
    }

    /// Returns how it stands: by the last closing.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        match self.closings.last() {
            None => SessionStatus::Open,
            Some(closing) if self.differs(&closing.stated).is_none() => SessionStatus::Confirmed,
            Some(_) => SessionStatus::Difference,
        }
    }

    /// Returns what is told of it.
    #[must_use]
    pub fn report(&self, terminal: TerminalId, pos: PosId, session: SessionId) -> SessionReport {
        let closings = self.closings.iter().map(|closing| ClosingReport {
            closing_id: closing.id,
            difference: self.differs(&closing.stated),
        });
        let closings: Vec<_> = closings.collect();
        assert_eq!(closings.len(), self.closings.len(), "each closing has its answer");
        let confirmed = closings.last().map(|closing| closing.difference.is_none());
        let status = self.status();
        assert_eq!(status == SessionStatus::Open, confirmed.is_none(), "open is what none closed");
        assert_eq!(
            status == SessionStatus::Confirmed,
            confirmed == Some(true),
            "the last one counts"
        );
        SessionReport {
            branch_id: self.site.branch,
            terminal_id: terminal,
            pos_id: pos,
            session_id: session,
            status,
            currency: self.currency,
            float_minor: self.float.map(|float| float.0),
            posted: self.posted.clone(),
            foreign: self.foreign,
            closed: self.closed,
            closings,
            late: LateReport {
                events: self.late_events,
                money_minor: self.late_money.0,
                last: self.late.clone(),
            },
        }
    }
}

/// Returns what an event adds to what its session has taken.
fn taken_by(event: &Event) -> Minor {
    match event.body() {
        Body::Sale(trade) | Body::Correction(Correction { trade, .. }) => trade.total(),
        Body::Refund { trade, .. } => Minor(-trade.total().0),
        Body::CashMoved(moved) => moved.delta,
        Body::Adjustment(_)
        | Body::SessionOpened(_)
        | Body::SessionClosed(_)
        | Body::CatalogEdited(_) => Minor(0),
    }
}

/// Returns what the cloud has of a session, and what it makes of each closing; nothing if none of
/// its events is posted.
///
/// # Errors
/// The query's; nothing was changed.
pub async fn session_report<Q: Query<Cloud>>(
    query: &Q,
    shop: ShopId,
    terminal: TerminalId,
    pos: PosId,
    session: SessionId,
) -> Result<Option<SessionReport>, Q::Error> {
    let row = query.get(&Key::Session(shop, terminal, pos, session)).await?;
    Ok(match row {
        Some(Record::Session(row)) => Some(row.report(terminal, pos, session)),
        Some(_) | None => None,
    })
}

/// A session in the order of a shop's list: its till, its register, its name.
pub type ListKey = (TerminalId, PosId, SessionId);

/// Returns the sessions of a shop after `after`, a page of [`LIST_MAX`] at most, and where the
/// next page begins, if there is one.
///
/// # Errors
/// The query's; nothing was changed.
pub async fn sessions<Q: Query<Cloud>>(
    query: &Q,
    shop: ShopId,
    after: Option<ListKey>,
) -> Result<(Vec<SessionReport>, Option<ListKey>), Q::Error> {
    let first = (TerminalId(Label::FIRST), PosId(Label::FIRST), LocalEventId(Label::FIRST));
    let last =
        Key::Session(shop, TerminalId(Label::LAST), PosId(Label::LAST), LocalEventId(Label::LAST));
    let (terminal, pos, session) = after.unwrap_or(first);
    let from = Key::Session(shop, terminal, pos, session);
    // One row is where the last page ended, one more shows that there is a next page.
    let mut rows = query.scan(&from, &last, LIST_MAX + 2).await?;
    assert!(rows.len() <= LIST_MAX + 2, "a scan keeps its limit");
    rows.retain(|(key, _)| after.is_none() || *key != from);
    let more = rows.len() > LIST_MAX;
    rows.truncate(LIST_MAX);
    let mut reports = Vec::with_capacity(rows.len());
    let mut end = None;
    for (key, record) in rows {
        let (Key::Session(of, terminal, pos, session), Record::Session(row)) = (key, record) else {
            unreachable!("a store gives each key a record of its kind")
        };
        assert_eq!(of, shop, "a shop sees its own sessions only");
        end = Some((terminal, pos, session));
        reports.push(row.report(terminal, pos, session));
    }
    assert!(reports.len() <= LIST_MAX, "a page is bounded");
    assert!(after.is_none_or(|after| end.is_none_or(|end| end > after)), "each page gets on");
    assert!(!more || end.is_some(), "what goes on has a place to go on from");
    assert!(!more || reports.len() == LIST_MAX, "only a full page goes on");
    Ok((reports, end.filter(|_| more)))
}
