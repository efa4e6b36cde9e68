//! When a till speaks, if it may not at any time: its real session says so.

use counterfoil_protocol::session::{Answer, Commit, Config, Fault, Input, Nudge, Output, Session};
use counterfoil_protocol::terminal::{Backlog, RETRY_CAP};
use counterfoil_protocol::time::{Millis, Span};
use counterfoil_protocol::wire::message::{PushAnswer, Welcome};

use crate::bind::bound::Named;

use super::world::{Said, World};

/// A till's session, and the request for whose answer it waits.
#[derive(Clone)]
pub(super) struct Speaker {
    session: Session,
    asked: u64,
}

impl Speaker {
    pub(super) fn new(items: usize, now: Millis) -> Self {
        let config = Config { items_max: items, ..Config::default() };
        Self { session: Session::new(config, 1, now), asked: 0 }
    }

    pub(super) const fn greeted(&self) -> bool {
        self.session.greeted()
    }

    /// Something was recorded.
    pub(super) fn nudge(&mut self, now: Millis) {
        self.session.handle_input(now, Input::Nudge(Nudge::Recorded));
    }

    /// An answer has come; the session wants it committed, or has no use for it.
    pub(super) fn heard(&mut self, now: Millis, says: &Said) -> bool {
        let answer = match says {
            Said::Welcome(frame) => Answer::Welcome(Welcome::decode(frame).expect("a frame")),
            Said::Pushed(epoch, frame) => {
                Answer::Pushed(*epoch, PushAnswer::decode(frame).expect("a frame"))
            }
        };
        self.session.handle_input(now, Input::Answered(self.asked, Ok(answer)));
        matches!(self.session.poll_output(), Some(Output::Commit(_)))
    }

    pub(super) fn committed(&mut self, now: Millis, backlog: Backlog) {
        self.session.handle_input(now, Input::Committed(backlog));
    }

    /// The connection breaks.
    pub(super) fn broken(&mut self, now: Millis) {
        self.session.handle_input(now, Input::Answered(self.asked, Err(Fault::Transport)));
    }

    /// Nothing comes until the session waits no longer. Returns the time by then.
    pub(super) fn waited(&mut self, now: Millis) -> Millis {
        let then = now.max(self.session.wake_at().at);
        self.session.handle_input(then, Input::Wake);
        then
    }
}

impl World {
    /// Lets the session of a machine do the next thing that it wants to. None if it waits for an
    /// answer; no action if nothing of it is seen.
    pub(super) fn turn(&mut self, number: usize) -> Option<Vec<Named>> {
        let (now, awaits) = (self.now, self.awaits(number));
        let one = |action| Some(vec![(action, vec![number as u64])]);
        match self.speaker(number)?.session.poll_output() {
            None if awaits => None,
            None => {
                let speaker = self.speaker(number)?;
                let before = speaker.greeted();
                self.now = speaker.waited(now);
                let idle = before && !self.speaker(number)?.greeted();
                if idle { one("Idle") } else { Some(Vec::new()) }
            }
            Some(Output::Hello(asked)) => {
                self.speaker(number)?.asked = asked;
                self.hello(number);
                one("Hello")
            }
            Some(Output::Push(asked, items)) => {
                self.speaker(number)?.asked = asked;
                // In the session's order all that waits is due.
                if self.push(number, items, now.after(RETRY_CAP)) {
                    return one("Push");
                }
                let nothing = Input::NothingToPush(None::<Span>);
                self.speaker(number)?.session.handle_input(now, nothing);
                Some(Vec::new())
            }
            Some(Output::Commit(Commit::Adopt)) => {
                let (entries, backlog) = self.adopt(number, !self.by_entry);
                self.speaker(number)?.committed(now, backlog);
                Some(vec![("Adopt", vec![number as u64]); entries])
            }
            Some(Output::Commit(other)) => unreachable!("committed with its answer: {other:?}"),
        }
    }

    pub(super) fn speaker(&mut self, number: usize) -> Option<&mut Speaker> {
        self.machine(number).speaker.as_mut()
    }

    /// The connections of those break that wait for what the cloud has lost.
    pub(super) fn break_connections(&mut self) {
        let live: Vec<usize> = self.waiting_in_batch();
        let now = self.now;
        for number in live {
            if let Some(speaker) = self.speaker(number) {
                speaker.broken(now);
            }
        }
    }

    /// Returns the machines that wait for what the cloud has taken in.
    pub(super) fn waiting_in_batch(&self) -> Vec<usize> {
        let live = self.batch.iter().filter(|request| request.live);
        live.map(|request| request.from).collect()
    }
}
