//! How the till speaks to the cloud: greetings, offers, and what is carried over meanwhile.

use std::cmp::Reverse;
use std::rc::Rc;

use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::terminal::diary::{Noted, Outcome as Came, Run, Silence};
use counterfoil_protocol::terminal::row::Meta;
use counterfoil_protocol::terminal::{Input, Key, Output, Parted, Record, pull};
use counterfoil_protocol::wire::message::{PUSH_ITEMS_MAX, Push, PushAnswer, PushItem, Welcome};

use super::{Route, Stage, TILL};
use crate::incident::script::Offer;
use crate::law::Violation;
use crate::model::log::{asked, lane};
use crate::model::{Happening, Kind, Reply, Request};
use crate::observed::{answered, at_once};

impl Stage<'_> {
    /// Lets the cloud answer a greeting. Returns why a new history was opened, if one was.
    pub(super) fn greet(&mut self, till: usize) -> Result<Option<Parted>, Violation> {
        let meta = self.meta(till);
        let wall = self.world.wall(till);
        let hello = at_once(pull::hello(&self.world.tills[till].store, &meta, wall, "sim"));
        let hello = answered(hello).encode();
        let nonce = self.next_nonce(meta.epoch);
        match self.ask(till, Kind::Hello, hello, Route::Heard)? {
            Some(Reply::Welcome(bytes)) => {
                let Ok(welcome) = Welcome::decode(&bytes) else {
                    self.differ("the cloud's answer cannot be read".to_owned());
                    return Ok(None);
                };
                let output = self.step(till, &Input::Welcomed { welcome, nonce })?;
                let Output::Settled(backlog) = output else { return Ok(None) };
                self.greeted |= till == TILL;
                self.stale &= till != TILL;
                Ok(backlog.parted)
            }
            other => {
                self.differ(format!("a greeting is answered with {other:?}"));
                Ok(None)
            }
        }
    }

    /// Returns what tells the next history apart.
    pub(super) fn next_nonce(&self, epoch: Epoch) -> u64 {
        let next = self.incident.histories.iter().find(|next| next.epoch.number > epoch.number);
        next.map_or_else(|| epoch.nonce.wrapping_add(1), |next| next.epoch.nonce)
    }

    /// Sends a question, and returns the answer if it is heard.
    pub(super) fn ask(
        &mut self,
        till: usize,
        kind: Kind,
        bytes: Vec<u8>,
        route: Route,
    ) -> Result<Option<Reply>, Violation> {
        self.number += 1;
        let (number, world) = (self.number, &mut self.world);
        let size = bytes.len();
        let message =
            world.leaves(lane(till), || format!("{} {number}, {size} bytes", asked(kind)));
        if route == Route::Lost {
            return Ok(None);
        }
        let life = world.tills[till].life;
        let bytes = Rc::new(bytes);
        let request = Request { till, life, number, kind, bytes, message };
        world.after(300, Happening::Request(Box::new(request)));
        while let Some(Reverse(next)) = world.heap.pop() {
            world.now_us = world.now_us.max(next.at_us);
            let own = matches!(&next.what, Happening::Answer(answer) if answer.request == number);
            if own && route == Route::AnswerLost {
                return Ok(None);
            }
            world.note(&next);
            if let (true, Happening::Answer(answer)) = (own, &next.what) {
                return Ok(Some(answer.reply.clone()));
            }
            world.happen(next.what)?;
        }
        Ok(None)
    }

    pub(super) fn offer(&mut self, offer: &Offer) -> Result<(), Violation> {
        let Offer { epoch, times, runs, arrives, told } = offer;
        let meta = self.meta(TILL);
        if *epoch != meta.epoch {
            self.differ(format!("{epoch} is offered, and {} is current", meta.epoch));
            return Ok(());
        }
        let blind = runs.iter().all(|run| run.outcome == Came::NotLookedAt);
        let may_speak = self.greeted || (blind && self.stale);
        if !may_speak && self.greet(TILL)?.is_some() {
            self.differ("a greeting opens a new history that is not told".to_owned());
            return Ok(());
        }
        let first = runs.first().map_or(1, |run| run.first);
        if !blind {
            self.catch_up(first - 1)?;
        }
        let push = self.push(TILL, *epoch, entries(runs));
        let silence = runs.iter().find_map(|run| {
            let Came::Unheard(silence) = run.outcome else { return None };
            Some(silence)
        });
        let said = format!("{} of {epoch}: {}", list(runs), words(runs));
        let route = match (silence, arrives) {
            (None, _) => Route::Heard,
            (Some(Silence::NoAnswer | Silence::Trouble), true) => Route::AnswerLost,
            (Some(_), _) => Route::Lost,
        };
        let reply = self.ask(TILL, Kind::Push, push.encode(), route)?;
        match (told, *times) {
            (true, 1) => self.tell(|| format!("told: {said}")),
            (true, times) => self.tell(|| format!("told: {said}, {times} times")),
            (false, _) => self.tell(|| format!("in no note: {said}")),
        }
        self.greeted &= silence.is_none();
        if route == Route::Heard {
            self.heard(*epoch, &push, runs, reply)
        } else {
            self.told.as_told += u64::from(*told);
            Ok(())
        }
    }

    /// Takes an answer in, and holds it against what is told of it.
    pub(super) fn heard(
        &mut self,
        epoch: Epoch,
        push: &Push,
        runs: &[Run],
        reply: Option<Reply>,
    ) -> Result<(), Violation> {
        let Some(answer) = pushed(reply) else {
            self.differ(format!("{} not answered", list(runs)));
            return Ok(());
        };
        let at = self.world.wall(TILL);
        let Noted::Offered { runs: came, .. } = Noted::offered(at, push, Ok(&answer)) else {
            unreachable!("an offer is noted as one")
        };
        let told = each(runs).zip(each(&came));
        let same = told.clone().all(|((seq, told), (own, came))| seq == own && agree(told, came));
        self.noted(same, || {
            let (list, told, came) = (list(runs), words(runs), words(&came));
            format!("{list} of {epoch}: the bundle says {told}, the roles {came}")
        });
        self.greeted &= answer.stopped.is_none();
        self.step(TILL, &Input::Answered { epoch, answer })?;
        Ok(())
    }

    /// Makes the push of these entries, of those that are there.
    pub(super) fn push(&self, till: usize, epoch: Epoch, seqs: impl Iterator<Item = u64>) -> Push {
        let rows = self.world.tills[till].store.memory.rows();
        let item = |seq| match rows.get(&Key::Entry(epoch, seq)).map(AsRef::as_ref) {
            Some(Record::Entry(entry)) => {
                Some(PushItem { seq, chain_hash: entry.chain, payload: entry.payload.clone() })
            }
            Some(_) | None => None,
        };
        let items = seqs.filter_map(item).take(PUSH_ITEMS_MAX).collect();
        Push { terminal_id: self.world.tills[till].identity.terminal, epoch, items }
    }

    /// Has entries posted of which no note is left: all up to `to`.
    pub(super) fn catch_up(&mut self, to: u64) -> Result<(), Violation> {
        let meta = self.meta(TILL);
        let to = to.min(meta.head);
        if to <= meta.acked {
            return Ok(());
        }
        let (epoch, first) = (meta.epoch, meta.acked + 1);
        self.tell(|| format!("entries {first} to {to} of {epoch} are posted: in no note"));
        if !self.greeted {
            self.greet(TILL)?;
        }
        self.post(TILL, to)
    }

    /// Offers what follows the last answer, up to `to`, until it is answered.
    pub(super) fn post(&mut self, till: usize, to: u64) -> Result<(), Violation> {
        loop {
            let Meta { epoch, acked, head, .. } = self.meta(till);
            if acked >= to.min(head) {
                return Ok(());
            }
            let push = self.push(till, epoch, acked + 1..=to.min(head));
            let reply = self.ask(till, Kind::Push, push.encode(), Route::Heard)?;
            let Some(answer) = pushed(reply) else { return Ok(()) };
            self.step(till, &Input::Answered { epoch, answer })?;
            if self.meta(till).acked == acked {
                return Ok(());
            }
        }
    }

    pub(super) fn carry(&mut self, from: Epoch, told: &[(u64, u64)]) -> Result<(), Violation> {
        self.settle_histories()?;
        let meta = self.meta(TILL);
        let part = answered(at_once(pull::adoption(&self.world.tills[TILL].store, &meta)));
        let Some(part) = part else {
            self.differ(format!("nothing of {from} is left to carry over"));
            return Ok(());
        };
        let came = Noted::carried(&part);
        let expected = Noted::Carried { from, entries: told.to_vec() };
        self.noted(came == expected, || {
            format!("the bundle says {expected:?}, the roles {came:?}")
        });
        self.step(TILL, &Input::Adopt(part))?;
        self.tell(|| format!("told: what is left of {from} is carried over"));
        self.settle_histories()
    }

    /// Goes past parts of closed histories that leave nothing to carry over: no note tells them.
    pub(super) fn settle_histories(&mut self) -> Result<(), Violation> {
        loop {
            let meta = self.meta(TILL);
            let part = answered(at_once(pull::adoption(&self.world.tills[TILL].store, &meta)));
            match part {
                Some(part) if part.entries.is_empty() => self.step(TILL, &Input::Adopt(part))?,
                Some(_) | None => return Ok(()),
            };
        }
    }
}

fn pushed(reply: Option<Reply>) -> Option<PushAnswer> {
    match reply {
        Some(Reply::Pushed(_, bytes)) => PushAnswer::decode(&bytes).ok(),
        _ => None,
    }
}

/// Returns the entries of an offer.
fn entries(runs: &[Run]) -> impl Iterator<Item = u64> {
    each(runs).map(|(seq, _)| seq)
}

fn each(runs: &[Run]) -> impl Iterator<Item = (u64, Came)> + Clone {
    runs.iter()
        .flat_map(|run| (run.first..run.first + run.count).map(move |seq| (seq, run.outcome)))
}

/// Whether an outcome is as told. What becomes of an edit is the catalog's, which is not played.
fn agree(told: Came, came: Came) -> bool {
    told == came || (matches!(told, Came::Edited(_)) && came.settles())
}

fn list(runs: &[Run]) -> String {
    let run = |run: &Run| match run.count {
        1 => run.first.to_string(),
        count => format!("{} to {}", run.first, run.first + count - 1),
    };
    let all = runs.iter().map(run).collect::<Vec<_>>().join(", ");
    let one = runs.iter().map(|run| run.count).sum::<u64>() == 1;
    format!("{} {all}", if one { "entry" } else { "entries" })
}

fn words(runs: &[Run]) -> String {
    let word = |run: &Run| match run.outcome {
        Came::Unheard(silence) => format!("no answer ({silence:?})"),
        Came::NotLookedAt => "not looked at".to_owned(),
        Came::Created => "created".to_owned(),
        Came::Existing => "existing".to_owned(),
        Came::Parked(code) => format!("parked, {code}"),
        Came::Refused(code) => format!("refused, {code}"),
        Came::Edited(outcome) => format!("edit {outcome:?}"),
    };
    runs.iter().map(word).collect::<Vec<_>>().join("; ")
}
