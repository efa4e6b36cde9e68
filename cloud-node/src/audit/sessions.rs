//! Each register session's row must be the sum of the posted events that name it.

use std::collections::BTreeMap;

use counterfoil_protocol::cloud::row::Record;
use counterfoil_protocol::cloud::sessions::Session;
use counterfoil_protocol::cloud::{Cloud, Key, Site};
use counterfoil_protocol::event::session::Totals;
use counterfoil_protocol::event::{Body, Event};
use counterfoil_protocol::identity::{LocalEventId, PosId, SessionId, ShopId, TerminalId};
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::money::{Currency, Minor};

use super::Report;
use crate::pages::{Kind, Pages, all};

type Name = (ShopId, TerminalId, PosId, SessionId);

/// What the posted events say of all sessions.
#[derive(Debug, Default)]
pub(super) struct Recount(BTreeMap<Name, Counted>);

/// What the posted events say of one session, by currency.
#[derive(Debug, Default)]
struct Counted(BTreeMap<Currency, Share>);

#[derive(Debug, Default)]
struct Share {
    events: u64,
    posted: Totals,
    float: Option<Minor>,
    closings: Vec<LocalEventId>,
}

impl Recount {
    /// Counts a posted event in the session that it names, if it names one.
    pub(super) fn count(&mut self, site: Site, terminal: TerminalId, event: &Event) {
        let (Some(session), Some(currency)) = (event.session(), event.body().currency()) else {
            return;
        };
        let counted = self.0.entry((site.shop, terminal, event.pos(), session)).or_default();
        let share = counted.0.entry(currency).or_default();
        share.events += 1;
        share.posted.add(event);
        match event.body() {
            Body::SessionOpened(opened) => share.float = Some(opened.float),
            Body::SessionClosed(_) => share.closings.push(event.local_id()),
            Body::Sale(_)
            | Body::Refund { .. }
            | Body::Adjustment(_)
            | Body::CashMoved(_)
            | Body::CatalogEdited(_)
            | Body::Correction(_) => {}
        }
    }
}

impl Counted {
    /// Returns what is wrong with a row that should say the same.
    fn differs(&mut self, row: &Session) -> Option<String> {
        let own = self.0.remove(&row.currency).unwrap_or_default();
        let foreign: u64 = self.0.values().map(|share| share.events).sum();
        if own.posted != row.posted {
            return Some(format!("it counts {:?}, its events are {:?}", row.posted, own.posted));
        }
        if own.float != row.float {
            return Some(format!("its float is {:?}, its opening says {:?}", row.float, own.float));
        }
        if foreign != row.foreign {
            let what = format!("{} events of another currency are {foreign}", row.foreign);
            return Some(what);
        }
        let kept = row.closings.iter().all(|closing| own.closings.contains(&closing.id));
        if u64::from(row.closed) != own.closings.len() as u64 || !kept {
            let closings = own.closings.len();
            return Some(format!("it was closed {} times, {closings} are posted", row.closed));
        }
        let trades = row.posted.sales.saturating_add(row.posted.refunds);
        let late = row.late_events <= own.events && (row.closed > 0 || row.late_events == 0);
        (!late).then(|| format!("{} of {trades} trades are late", row.late_events))
    }
}

/// Checks every session row against the recount, and the other way round.
pub(super) async fn check<Q: Query<Cloud>>(
    reads: &Q,
    report: &mut Report,
    recount: Recount,
) -> Result<(), Q::Error> {
    let Recount(mut counted) = recount;
    let place = |(shop, terminal, pos, session): Name| {
        format!("shop {shop}, terminal {terminal}, register {pos}, session {session}")
    };
    Pages::new(reads, all(Kind::Session))
        .each(|key, record| {
            let (Key::Session(shop, terminal, pos, session), Record::Session(row)) = (key, record)
            else {
                return;
            };
            report.sessions += 1;
            let name = (shop, terminal, pos, session);
            let mut found = counted.remove(&name).unwrap_or_default();
            if let Some(what) = found.differs(&row) {
                report.problem("NoDuplicate", place(name), what);
            }
        })
        .await?;
    for name in counted.into_keys() {
        report.problem("NoDuplicate", place(name), "its events are posted, it has no row");
    }
    Ok(())
}
