//! Register sessions, added up by the checkers themselves.
//!
//! Counted under `NoDuplicate`: a sale, and each of its effects, counts once, and the sums of a
//! session are such an effect, on both sides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use counterfoil_protocol::cloud;
use counterfoil_protocol::cloud::sessions::Session;
use counterfoil_protocol::event::session::{Difference, SessionClosed, Totals};
use counterfoil_protocol::event::{Body, Correction, Event, Trade};
use counterfoil_protocol::identity::{PosId, SessionId, TerminalId};

use super::fact::Fact;
use super::{Checker, CloudRows, CloudWrites, Device};
use crate::law::{Law, Violation};

pub(super) type Name = (TerminalId, PosId, SessionId);

/// What an event adds to its session: each sum by its name, and by a tender or a tax rate if it
/// is of one. Sums that are zero are left out.
pub(super) type Sums = BTreeMap<(Sum, u32), i64>;

/// What is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sum {
    Sales,
    Refunds,
    Lines,
    Taken,
    Returned,
    Tax,
    OtherTaxes,
    CashIn,
    CashOut,
    Float,
    Foreign,
}

/// What the checkers know of a session in the cloud.
#[derive(Clone, Debug, Default)]
pub(super) struct Posted {
    facts: BTreeSet<Fact>,
    sums: Sums,
    closed: u32,
    late: u64,
}

/// What a committed event means for its session.
#[derive(Clone, Debug)]
pub(super) struct InSession {
    pub(super) name: Name,
    sums: Sums,
    /// Of a closing: what its device had of the session then.
    closes: Option<BTreeSet<Fact>>,
    opens: bool,
}

impl InSession {
    /// Returns whether it changes what a session has taken.
    const fn counts(&self) -> bool {
        self.closes.is_none() && !self.opens
    }
}

fn add_one(sums: &mut Sums, name: (Sum, u32), by: i64) {
    let sum = sums.entry(name).or_default();
    *sum += by;
    if *sum == 0 {
        sums.remove(&name);
    }
}

fn add(sums: &mut Sums, other: &Sums, sign: i64) {
    for (name, by) in other {
        add_one(sums, *name, sign * by);
    }
}

fn of_trade(trade: &Trade, word: Sum, sign: i64) -> Sums {
    let mut sums = Sums::from([((Sum::Lines, 0), trade.lines.len() as i64)]);
    for payment in &trade.payments {
        add_one(&mut sums, (word, payment.tender as u32), payment.amount.0);
    }
    for line in &trade.lines {
        add_one(&mut sums, (Sum::Tax, line.tax_ppm), sign * line.amount().0);
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

fn of_event(event: &Event) -> Sums {
    let mut sums = match event.body() {
        Body::Sale(trade) | Body::Correction(Correction { trade, .. }) => {
            let mut sums = of_trade(trade, Sum::Taken, 1);
            sums.insert((Sum::Sales, 0), 1);
            sums
        }
        Body::Refund { trade, .. } => {
            let mut sums = of_trade(trade, Sum::Returned, -1);
            sums.insert((Sum::Refunds, 0), 1);
            sums
        }
        Body::CashMoved(moved) if moved.delta.0 > 0 => {
            Sums::from([((Sum::CashIn, 0), moved.delta.0)])
        }
        Body::CashMoved(moved) => Sums::from([((Sum::CashOut, 0), -moved.delta.0)]),
        Body::SessionOpened(opened) => Sums::from([((Sum::Float, 0), opened.float.0)]),
        Body::SessionClosed(_) | Body::Adjustment(_) | Body::CatalogEdited(_) => Sums::new(),
    };
    sums.retain(|_, sum| *sum != 0);
    sums
}

fn of_totals(totals: &Totals, float: i64) -> Sums {
    let mut sums = Sums::from([
        ((Sum::Sales, 0), totals.sales as i64),
        ((Sum::Refunds, 0), totals.refunds as i64),
        ((Sum::Lines, 0), totals.lines as i64),
        ((Sum::CashIn, 0), totals.cash_in.0),
        ((Sum::CashOut, 0), totals.cash_out.0),
        ((Sum::OtherTaxes, 0), totals.other_taxes.0),
        ((Sum::Float, 0), float),
    ]);
    for total in &totals.tenders {
        sums.insert((Sum::Taken, total.tender as u32), total.taken.0);
        sums.insert((Sum::Returned, total.tender as u32), total.returned.0);
    }
    for total in &totals.taxes {
        sums.insert((Sum::Tax, total.tax_ppm), total.amount.0);
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

fn of_difference(difference: &Difference) -> Sums {
    let mut sums = Sums::from([
        ((Sum::Sales, 0), difference.sales),
        ((Sum::Refunds, 0), difference.refunds),
        ((Sum::Lines, 0), difference.lines),
        ((Sum::CashIn, 0), difference.cash_in.0),
        ((Sum::CashOut, 0), difference.cash_out.0),
        ((Sum::OtherTaxes, 0), difference.other_taxes.0),
        ((Sum::Float, 0), difference.float.0),
        ((Sum::Foreign, 0), difference.foreign as i64),
    ]);
    for total in &difference.tenders {
        sums.insert((Sum::Taken, total.tender as u32), total.taken.0);
        sums.insert((Sum::Returned, total.tender as u32), total.returned.0);
    }
    for total in &difference.taxes {
        sums.insert((Sum::Tax, total.tax_ppm), total.amount.0);
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

impl Checker {
    /// A till has committed an event for the first time. What a closing states must be what this
    /// device has committed in its session.
    pub(super) fn noted_in_session(
        &mut self,
        at_ms: u64,
        device: usize,
        event: &Event,
    ) -> Result<Option<InSession>, Violation> {
        self.belongs(at_ms, device, event)?;
        let Some(session) = event.session() else { return Ok(None) };
        let terminal = self.devices[device].identity.terminal;
        let name = (terminal, event.pos(), session);
        let opens = matches!(event.body(), Body::SessionOpened(_));
        let mut closes = None;
        if let Body::SessionClosed(stated) = event.body() {
            let facts = self.own_facts(device, name);
            self.stated(at_ms, name, stated, &facts)?;
            closes = Some(facts);
        }
        Ok(Some(InSession { name, sums: of_event(event), closes, opens }))
    }

    /// A trade belongs to the session that is open on its register, and to no other. (All trades of
    /// the model are in the currency of its sessions.)
    fn belongs(&mut self, at_ms: u64, device: usize, event: &Event) -> Result<(), Violation> {
        let terminal = self.devices[device].identity.terminal;
        // A correction belongs to the session of the sale.
        let corrected = event.corrected().first().and_then(|of| {
            let known = self.committed.get(&Fact::new(terminal, of.payload_hash))?;
            known.session.as_ref().map(|session| session.name.2)
        });
        let open = &mut self.devices[device].open;
        let expected = match event.body() {
            Body::SessionOpened(_) => {
                open.insert(event.pos(), event.local_id());
                Some(event.local_id())
            }
            Body::SessionClosed(_) => open.remove(&event.pos()),
            Body::Sale(_) | Body::Refund { .. } | Body::CashMoved(_) => {
                open.get(&event.pos()).copied()
            }
            Body::Adjustment(_) | Body::CatalogEdited(_) => None,
            Body::Correction(_) => corrected,
        };
        let named = event.session();
        self.tally.check(Law::NoDuplicate, at_ms, named == expected, || {
            let (pos, id) = (event.pos(), event.local_id());
            format!("{pos}/{id} names {named:?}, open on its register is {expected:?}")
        })
    }

    /// Returns what a device has committed in a session.
    fn own_facts(&self, device: usize, name: Name) -> BTreeSet<Fact> {
        let Device { owed, replaced, .. } = &self.devices[device];
        let own = owed.iter().filter(|fact| {
            if replaced.contains(*fact) {
                return false;
            }
            let known = self.committed.get(fact).and_then(|known| known.session.as_ref());
            known.is_some_and(|session| session.name == name && session.closes.is_none())
        });
        own.copied().collect()
    }

    fn sum(&self, facts: impl IntoIterator<Item = Fact>) -> Sums {
        let mut sums = Sums::new();
        for fact in facts {
            if let Some(session) = self.committed.get(&fact).and_then(|c| c.session.as_ref()) {
                add(&mut sums, &session.sums, 1);
            }
        }
        sums
    }

    fn stated(
        &mut self,
        at_ms: u64,
        name: Name,
        stated: &SessionClosed,
        facts: &BTreeSet<Fact>,
    ) -> Result<(), Violation> {
        let own = self.sum(facts.iter().copied());
        let told = of_totals(&stated.totals, stated.float.0);
        self.tally.check(Law::NoDuplicate, at_ms, own == told, || {
            format!("the closing of {name:?} states {told:?}, its till has committed {own:?}")
        })
    }

    /// The cloud has posted an event for the first time.
    fn posted_in_session(&mut self, fact: Fact) -> Option<Name> {
        let session = self.committed.get(&fact)?.session.as_ref()?;
        let posted = self.sessions.entry(session.name).or_default();
        if session.closes.is_some() {
            posted.closed += 1;
        } else {
            posted.facts.insert(fact);
            add(&mut posted.sums, &session.sums, 1);
        }
        Some(session.name)
    }

    /// Each session of which something was posted has a row in the same commit, and each row is
    /// the sum of what was posted. `touched`: the sessions of which something was posted, and by
    /// how many events that count; `before`: how often they were closed before this commit.
    pub(super) fn sessions_committed(
        &mut self,
        at_ms: u64,
        posted: &[Fact],
        written: &CloudWrites,
    ) -> Result<(), Violation> {
        // How many events of a session count, and whether it was closed before.
        let mut counted: BTreeMap<Name, (u64, bool)> = BTreeMap::new();
        for fact in posted {
            let known = self.committed.get(fact).and_then(|known| known.session.as_ref());
            let Some((name, counts)) = known.map(|known| (known.name, known.counts())) else {
                continue;
            };
            let was_closed = || self.sessions.get(&name).is_some_and(|posted| posted.closed > 0);
            let (events, _) = counted.entry(name).or_insert_with(|| (0, was_closed()));
            *events += u64::from(counts);
            self.posted_in_session(*fact);
        }
        for (key, record) in written {
            let cloud::Key::Session(_, terminal, pos, session) = key else { continue };
            let name = (*terminal, *pos, *session);
            let events = counted.remove(&name);
            let (Some(cloud::Record::Session(row)), Some((events, was_closed))) =
                (record.as_deref(), events)
            else {
                return self.tally.check(Law::NoDuplicate, at_ms, false, || {
                    format!("the row of {name:?} was written, and nothing of it posted")
                });
            };
            self.session_row(at_ms, name, row, events, was_closed)?;
        }
        self.tally.check(Law::NoDuplicate, at_ms, counted.is_empty(), || {
            format!("events were posted, and not counted in their sessions: {counted:?}")
        })
    }

    fn session_row(
        &mut self,
        at_ms: u64,
        name: Name,
        row: &Session,
        events: u64,
        was_closed: bool,
    ) -> Result<(), Violation> {
        let mirror = self.sessions.entry(name).or_default();
        let told = of_totals(&row.posted, row.float.map_or(0, |float| float.0));
        let holds = told == mirror.sums && row.closed == mirror.closed && row.foreign == 0;
        // Within one commit the closing may stand before or after what it is posted with.
        let most = if row.closed > 0 { mirror.late + events } else { 0 };
        let least = if was_closed { mirror.late + events } else { mirror.late };
        let late = (least..=most).contains(&row.late_events);
        mirror.late = row.late_events;
        self.tally.check(Law::NoDuplicate, at_ms, holds, || {
            let Posted { sums, closed, .. } = mirror;
            format!("{name:?} counts {told:?}, posted is {sums:?}; closed {closed} times")
        })?;
        self.tally.check(Law::NoDuplicate, at_ms, late, || {
            format!("{name:?}: {} events are late, not {least} to {most}", row.late_events)
        })
    }

    /// After everything has drained: each closing that the cloud holds is confirmed, or differs by
    /// exactly the events that one side has and the other has not.
    ///
    /// # Errors
    /// The first closing of which that is not true.
    pub fn sessions_drained(&mut self, at_ms: u64, rows: &CloudRows) -> Result<(), Violation> {
        for (key, record) in rows {
            let (cloud::Key::Session(_, terminal, pos, session), cloud::Record::Session(row)) =
                (key, &**record)
            else {
                continue;
            };
            let name = (*terminal, *pos, *session);
            let report = row.report(*terminal, *pos, *session);
            for closing in &report.closings {
                let key = counterfoil_protocol::identity::EventKey {
                    terminal: *terminal,
                    pos: *pos,
                    local_id: closing.closing_id,
                };
                let held = rows.get(&cloud::Key::Ledger(key)).map(Arc::as_ref);
                let known = match held {
                    Some(cloud::Record::Ledger(row)) => {
                        self.committed.get(&Fact::new(*terminal, row.payload_hash))
                    }
                    _ => None,
                };
                let stated = known.and_then(|known| known.session.as_ref()?.closes.clone());
                let Some(stated) = stated else {
                    return self.tally.check(Law::NoDuplicate, at_ms, false, || {
                        format!("{key} is kept as a closing of {name:?}, and is none")
                    });
                };
                let posted = self.sessions.get(&name).map(|posted| posted.facts.clone());
                let posted = posted.unwrap_or_default();
                let mut expected = self.sum(posted.difference(&stated).copied());
                let missing = self.sum(stated.difference(&posted).copied());
                add(&mut expected, &missing, -1);
                let told = closing.difference.as_ref().map(of_difference).unwrap_or_default();
                let confirmed = closing.difference.is_none();
                let holds = told == expected && confirmed == expected.is_empty();
                self.tally.check(Law::NoDuplicate, at_ms, holds, || {
                    format!("{key} of {name:?}: told {told:?}, the events differ by {expected:?}")
                })?;
            }
        }
        Ok(())
    }
}
