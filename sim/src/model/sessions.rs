//! Register sessions in the model: cashiers open and close their drawers, and ask for the cloud's
//! word now and then.

use counterfoil_protocol::cloud::Site;
use counterfoil_protocol::cloud::sessions::session_report;
use counterfoil_protocol::event::Tender;
use counterfoil_protocol::event::session::Counted;
use counterfoil_protocol::identity::{LocalEventId, PosId, SessionId, TerminalId};
use counterfoil_protocol::money::{Currency, Minor};
use counterfoil_protocol::session::{Fault, Input as Heard, Nudge};
use counterfoil_protocol::terminal::register::{self, Register};
use counterfoil_protocol::terminal::{
    Input, Key, Output, Record, SessionAct, SessionDraft, SessionOutput,
};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::session::{SessionReport, SessionStatus};

use super::{Happening, Kind, Reply, Request, World};
use crate::checker::TillRows;
use crate::coverage::Transition;
use crate::law::Violation;
use crate::observed::{answered, at_once};
use crate::rng::Stream;

/// Questions about sessions are numbered from here, other requests below.
pub(super) const ASKS_FROM: u64 = 1 << 44;

impl World {
    /// Schedules a till's first look at its drawers, if anybody looks.
    pub(super) fn start_sessions(&mut self, till: usize) {
        let every = self.plan.session_every_ms;
        if every > 0 && self.sales.is_none() {
            let us = self.tills[till].drawer.below(every * 1_000);
            self.after(us, Happening::Drawer(till));
        }
    }

    /// A cashier does something with a drawer, and will do something again.
    pub(super) fn drawer(&mut self, till: usize) -> Result<(), Violation> {
        if self.healed || self.tills[till].moved {
            return Ok(());
        }
        let us = self.tills[till].drawer.below(self.plan.session_every_ms * 2_000);
        self.after(us + 1, Happening::Drawer(till));
        if !self.tills[till].up {
            return Ok(());
        }
        if self.tills[till].drawer.happens(300_000) {
            return self.ask_for_session(till);
        }
        let draft = self.session_draft(till);
        self.act_on_session(till, draft)
    }

    /// Draws what happens to a drawer: mostly what can happen to it.
    fn session_draft(&mut self, till: usize) -> SessionDraft {
        let at = self.wall(till);
        let host = &mut self.tills[till];
        if host.drawer.happens(50_000)
            && let Some(last) = &host.last_act
        {
            return last.clone();
        }
        drawn_act(&mut host.drawer, host.store.memory.rows(), &host.registers, at)
    }

    /// Records it; a cashier whose till dies of it tries the same again.
    pub(super) fn act_on_session(
        &mut self,
        till: usize,
        draft: SessionDraft,
    ) -> Result<(), Violation> {
        let output = self.till_step(till, &Input::Session(draft.clone()), true)?;
        let host = &mut self.tills[till];
        let Some(output) = output else {
            host.unsure_act = Some(draft);
            return Ok(());
        };
        if let Some(seen) = Transition::of_act(&output) {
            host.coverage.saw(seen);
        }
        if matches!(output, Output::Recorded { again: false, .. }) {
            host.coverage.saw(act_transition(&draft.act));
            host.last_act = Some(draft);
        }
        self.hear(till, Heard::Nudge(Nudge::Recorded))
    }

    /// Asks what the cloud makes of a session that it has not confirmed yet, or of the last one.
    pub(super) fn ask_for_session(&mut self, till: usize) -> Result<(), Violation> {
        let host = &mut self.tills[till];
        let mut sessions = answered(at_once(register::unsettled(&host.store)));
        if sessions.is_empty() {
            for (pos, Register { last, .. }) in answered(at_once(register::registers(&host.store)))
            {
                let closing = last.map(|closing| Key::Closing(pos, closing));
                let row = closing.and_then(|key| host.store.memory.rows().get(&key).cloned());
                if let Some(Record::Closing(row)) = row.as_deref() {
                    sessions.push((pos, row.session));
                }
            }
        }
        if sessions.is_empty() {
            return Ok(());
        }
        let (pos, session) = *host.drawer.pick(&sessions);
        host.asked += 1;
        let number = ASKS_FROM + host.asked;
        self.send(till, number, Kind::Session(pos, session), Vec::new());
        Ok(())
    }

    /// The cloud answers from its committed rows.
    pub(super) fn serve_session(
        &mut self,
        request: &Request,
        site: Site,
        terminal: TerminalId,
        (pos, session): (PosId, SessionId),
    ) {
        let store = &self.cloud.store;
        let report = at_once(session_report(store, site.shop, terminal, pos, session));
        self.coverage.saw(Transition::CloudSession);
        let reply = match answered(report) {
            Some(report) => Reply::Session(report.encode()),
            None => Reply::Fault(Fault::Rejected),
        };
        self.reply(request, reply);
    }

    /// The cloud's word arrives; without one the till asks again some other time.
    pub(super) fn hear_session(&mut self, till: usize, reply: Reply) -> Result<(), Violation> {
        let Reply::Session(bytes) = reply else { return Ok(()) };
        let Ok(report) = SessionReport::decode(&bytes) else { return Ok(()) };
        let (status, late) = (report.status, report.late.events > 0);
        let Some(output) = self.till_step(till, &Input::SessionVerdict(report), true)? else {
            return Ok(());
        };
        let Output::Session(SessionOutput::Noted(noted)) = output else {
            unreachable!("a word is noted")
        };
        let coverage = &mut self.tills[till].coverage;
        if noted > 0 {
            match status {
                SessionStatus::Open => {}
                SessionStatus::Confirmed => coverage.saw(Transition::SessionConfirmed),
                SessionStatus::Difference => coverage.saw(Transition::SessionDifference),
            }
            if late {
                coverage.saw(Transition::SessionLate);
            }
        }
        Ok(())
    }
}

/// Draws what a cashier does to one of the drawers of a till with these rows: mostly what can be
/// done to it.
pub(crate) fn drawn_act(
    rng: &mut Stream,
    rows: &TillRows,
    registers: &[PosId],
    at: Millis,
) -> SessionDraft {
    let pos = *rng.pick(registers);
    let is_open = match rows.get(&Key::Register(pos)).map(AsRef::as_ref) {
        Some(Record::Register(register)) => register.open.is_some(),
        Some(_) | None => false,
    };
    // Whoever numbers days by hand gives a copy of a till the same numbers.
    let text = if rng.happens(100_000) {
        format!("day-{}", rng.below(9))
    } else {
        format!("{:016x}{:016x}", rng.draw(), rng.draw())
    };
    let local_id = LocalEventId::parse(&text).expect("a short name");
    let sensible = !rng.happens(50_000);
    let act = match (is_open == sensible, rng.below(3)) {
        (false, _) => open(rng),
        (true, 0) => cash(rng),
        (true, _) => close(rng),
    };
    let reference = String::new();
    SessionDraft { pos, local_id, at, reference, act }
}

/// Returns what an act that was recorded is counted as.
pub(crate) const fn act_transition(act: &SessionAct) -> Transition {
    match act {
        SessionAct::Open { .. } => Transition::SessionOpened,
        SessionAct::Cash { .. } => Transition::SessionCash,
        SessionAct::Close { .. } => Transition::SessionClosed,
    }
}

fn open(rng: &mut Stream) -> SessionAct {
    SessionAct::Open { currency: Currency::GBP, float: Minor(rng.between(0, 20_000) as i64) }
}

fn cash(rng: &mut Stream) -> SessionAct {
    // Now and then somebody moves nothing, which the till must refuse.
    let delta = Minor(rng.between(0, 200) as i64 * 100 - 10_000);
    SessionAct::Cash { delta, reason: "bank".into() }
}

fn close(rng: &mut Stream) -> SessionAct {
    let amount = Minor(rng.between(0, 1_000_000) as i64);
    let counted = vec![Counted { tender: Tender::Cash, amount }];
    SessionAct::Close { counted }
}
