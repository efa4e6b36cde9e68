//! A till in the model: its disk, its file outside the disk, its session, and what drives them.

use std::sync::Arc;

use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{BranchId, LocalEventId, PosId, TerminalId, Witness};
use counterfoil_protocol::session::follow::{Follower, Input as Follow};
use counterfoil_protocol::session::inbox::Collector;
use counterfoil_protocol::session::{Commit, Input as Heard, Nudge, Output as Wanted, Session};
use counterfoil_protocol::terminal::pull::{self, Batch, Limits};
use counterfoil_protocol::terminal::row::Meta;
use counterfoil_protocol::terminal::{
    Draft, Identity, Input, Key, Output, Parted, Record, SessionDraft, Terminal,
};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::inbox::PendingAnswer;
use counterfoil_protocol::wire::message::{PushAnswer, Verdict, Welcome};
use counterfoil_storage::memory::Failure;

use super::alarm::{Alarms, Part};
use super::archive::Archiving;
use super::catalog::{FOLLOWS_FROM, Told};
use super::cover::kind;
use super::drain::SinceHeal;
use super::inbox::COLLECTS_FROM;
use super::log::lane;
use super::sessions::ASKS_FROM;
use super::stores::TillBackup;
use super::verify::{VERIFIES_FROM, Verifying};
use super::{Happening, Kind, Reply, START, World, session_config, shop};
use crate::coverage::{Coverage, Transition};
use crate::law::{Law, Violation};
use crate::observed::{Observed, answered, at_once};
use crate::rng::Stream;
use crate::story::What;

const _: () = assert!(FOLLOWS_FROM < VERIFIES_FROM, "who has asked is told by the number");
const _: () = assert!(VERIFIES_FROM < COLLECTS_FROM, "who has asked is told by the number");
const _: () = assert!(COLLECTS_FROM < ASKS_FROM, "who has asked is told by the number");

pub(super) struct TillHost {
    pub(super) device: usize,
    pub(super) identity: Identity,
    pub(super) secret: Hash,
    pub(super) store: Observed<Terminal>,
    pub(super) witness: Option<Witness>,
    pub(super) up: bool,
    /// Counts the starts, so that what belongs to an earlier one is recognised.
    pub(super) life: u32,
    pub(super) session: Option<Session>,
    pub(super) follower: Option<Follower>,
    /// What the cloud has answered the follower, until it is committed.
    pub(super) told: Option<Told>,
    /// The device has been moved to another branch: nobody sells with this database any more.
    pub(super) moved: bool,
    pub(super) collector: Option<Collector>,
    /// What the cloud has answered the collector, until it is committed.
    pub(super) delivered: Option<PendingAnswer>,
    pub(super) inbox_entropy: Stream,
    pub(super) verifying: Verifying,
    pub(super) skew_ms: i64,
    pub(super) alarms: Alarms,
    pub(super) cut_to_us: u64,
    pub(super) cut_from_us: u64,
    pub(super) last_arrival_us: u64,
    pub(super) backup: Option<TillBackup>,
    /// It waits for its disk until then.
    pub(super) busy_until_us: u64,
    pub(super) registers: [PosId; 2],
    pub(super) last_draft: Option<Draft>,
    /// How many of its real sales the till has begun.
    pub(super) sold: usize,
    /// The cashier does not know whether this was recorded: the till died meanwhile.
    pub(super) unsure: Option<Draft>,
    pub(super) since_heal: SinceHeal,
    /// The cashier does not know whether this happened to a drawer.
    pub(super) unsure_act: Option<SessionDraft>,
    pub(super) last_act: Option<SessionDraft>,
    /// How often the till has asked for the cloud's word on a session.
    pub(super) asked: u64,
    pub(super) drawer: Stream,
    pub(super) work: Stream,
    pub(super) link: Stream,
    pub(super) luck: Stream,
    pub(super) entropy: Stream,
    pub(super) edits: Stream,
    /// What is made of what failed.
    pub(super) corrections: Stream,
    pub(super) archiving: Archiving,
    pub(super) last_correction: Option<(LocalEventId, Draft)>,
    pub(super) coverage: Coverage,
}

impl TillHost {
    pub(super) fn new(seed: u64, number: usize, device: usize, identity: Identity) -> Self {
        let stream = |name: &str| Stream::new(seed, name, number as u64);
        let register = |name: &str| PosId::parse(name).expect("a short name");
        Self {
            device,
            identity,
            secret: Hash::default(),
            store: Observed::default(),
            witness: None,
            up: false,
            life: 0,
            session: None,
            follower: None,
            told: None,
            moved: false,
            collector: None,
            delivered: None,
            inbox_entropy: stream("till/inbox"),
            verifying: Verifying::new(seed, number),
            skew_ms: 0,
            alarms: Alarms::default(),
            cut_to_us: 0,
            cut_from_us: 0,
            last_arrival_us: 0,
            backup: None,
            busy_until_us: 0,
            registers: [register("pos-1"), register("pos-2")],
            last_draft: None,
            sold: 0,
            unsure: None,
            since_heal: SinceHeal::default(),
            unsure_act: None,
            last_act: None,
            asked: 0,
            drawer: stream("till/drawer"),
            work: stream("till/work"),
            link: stream("till/link"),
            luck: stream("till/luck"),
            entropy: stream("till/entropy"),
            edits: stream("till/edits"),
            corrections: stream("till/corrections"),
            archiving: Archiving::new(seed, number),
            last_correction: None,
            coverage: Coverage::default(),
        }
    }

    pub(super) fn meta(&self) -> Option<&Meta> {
        match self.store.memory.rows().get(&Key::Meta).map(Arc::as_ref) {
            Some(Record::Meta(meta)) => Some(meta),
            Some(_) | None => None,
        }
    }

    fn queue_is_empty(&self) -> bool {
        let first = Key::Queue(counterfoil_protocol::identity::Epoch::default(), 0);
        let next = self.store.memory.rows().range(first..).next();
        !matches!(next, Some((Key::Queue(..), _)))
    }

    pub(super) fn drained(&self) -> bool {
        self.up
            && self.since_heal.greeted
            && self.unsure.is_none()
            && self.unsure_act.is_none()
            && self.meta().is_some_and(|meta| meta.backlog().quarantined.is_none())
            && self.is_answered()
    }

    /// Returns whether the cloud has answered all that was recorded.
    pub(super) fn is_answered(&self) -> bool {
        let backlog = self.meta().map(Meta::backlog);
        backlog.is_some_and(|left| left.fresh == 0 && !left.adopting) && self.queue_is_empty()
    }

    pub(super) fn explain(&self) -> String {
        let backlog = self.meta().map(Meta::backlog);
        let wake = self.session.as_ref().map(Session::wake_at);
        let empty = self.queue_is_empty();
        format!("up {}, {backlog:?}, queue empty {empty}, wakes {wake:?}", self.up)
    }
}

impl World {
    pub(super) fn add_till(&mut self, number: usize, branch: BranchId) {
        let terminal = TerminalId::parse(&format!("till-{number}")).expect("a short name");
        let identity = Identity { shop: shop(), branch, terminal };
        let device = self.checker.add_device(identity);
        let mut host = TillHost::new(self.plan.seed, number, device, identity);
        host.store = self.till_store(number, None);
        host.coverage = self.coverage.beside();
        self.tills.push(host);
    }

    /// Starts everything: the tills are installed and open, most are enrolled.
    pub(super) fn start(&mut self) -> Result<(), Violation> {
        self.start_cloud()?;
        for till in 0..self.tills.len() {
            self.install_till(till)?;
        }
        Ok(())
    }

    /// A new till is installed and open, mostly enrolled, and gets to work.
    pub(super) fn install_till(&mut self, till: usize) -> Result<(), Violation> {
        let host = &mut self.tills[till];
        let witness = Witness { install: host.entropy.draw(), boot: host.entropy.draw() };
        let nonce = host.entropy.draw();
        let identity = host.identity;
        host.witness = Some(witness);
        host.up = true;
        // Whoever sets up a till sees to it that its disk works.
        self.tills[till].store.calm(true);
        self.open_till(till)?;
        self.till_step(till, &Input::Install { identity, witness, nonce }, false)?;
        self.tills[till].store.calm(false);
        self.start_till(till)?;
        let late = self.tills[till].luck.happens(150_000);
        if late {
            let us = self.tills[till].luck.below(self.plan.chaos_ms * 500);
            self.after(us, Happening::Reenrol(till));
        } else {
            self.enrol(till, None)?;
        }
        self.put_to_work(till);
        Ok(())
    }

    /// Opens a till's database and starts its session.
    pub(super) fn start_till(&mut self, till: usize) -> Result<(), Violation> {
        let at = self.now_ms();
        if !self.open_till(till)? {
            return Ok(());
        }
        self.check_archive(till)?;
        let host = &mut self.tills[till];
        host.up = true;
        host.life += 1;
        host.alarms = Alarms::default();
        self.checker.till_whole(at, host.device, host.rows())?;
        let fresh = Witness { install: host.entropy.draw(), boot: host.entropy.draw() };
        let input = Input::Open { witness: host.witness, fresh, nonce: host.entropy.draw() };
        let Some(opened) = self.till_step(till, &input, true)? else { return Ok(()) };
        let Output::Opened { witness, parted } = opened else {
            unreachable!("an installed till opens")
        };
        let host = &mut self.tills[till];
        host.witness = Some(witness);
        match parted {
            Some(Parted::Copied) => host.coverage.saw(Transition::TillOpenCopied),
            Some(Parted::Restored) => host.coverage.saw(Transition::TillOpenRestored),
            Some(Parted::LostTail | Parted::Forked) | None => {}
        }
        let seed = host.entropy.draw();
        host.session = Some(Session::new(session_config(), seed, Millis(at)));
        self.schedule_wake(till)?;
        self.start_following(till)?;
        self.start_collecting(till)?;
        if let Some(draft) = self.tills[till].unsure.take() {
            self.record(till, draft)?;
        }
        if self.tills[till].up
            && let Some(draft) = self.tills[till].unsure_act.take()
        {
            self.act_on_session(till, draft)?;
        }
        Ok(())
    }

    pub(super) fn crash_till(&mut self, till: usize, down_ms: u64) {
        let host = &mut self.tills[till];
        host.up = false;
        host.store.go_down();
        host.session = None;
        host.follower = None;
        host.collector = None;
        host.verifying.forget();
        self.see_till(till);
        self.tell(lane(till), What::Crash, || format!("goes down for {down_ms} ms"));
        self.after(down_ms.max(1) * 1000, Happening::RestartTill(till));
    }

    /// Hands the session what happened, and does what it wants.
    pub(super) fn hear(&mut self, till: usize, heard: Heard) -> Result<(), Violation> {
        let now = Millis(self.now_ms());
        let host = &mut self.tills[till];
        let Some(session) = &mut host.session else { return Ok(()) };
        host.coverage.saw(Transition::SessionInput);
        session.handle_input(now, heard);
        while let Some(session) = &mut self.tills[till].session {
            let Some(wanted) = session.poll_output() else { break };
            self.keep_pace()?;
            self.fulfil(till, wanted)?;
        }
        self.schedule_wake(till)
    }

    fn fulfil(&mut self, till: usize, wanted: Wanted) -> Result<(), Violation> {
        let wall = self.wall(till);
        let host = &mut self.tills[till];
        let books = host.store.memory.rows().get(&Key::Meta).cloned();
        let Some(Record::Meta(meta)) = books.as_deref() else {
            unreachable!("a session runs on an open till")
        };
        match wanted {
            Wanted::Hello(number) => {
                let hello = answered(host.hello(meta, wall));
                self.tills[till].since_heal.hello = self.healed;
                self.send(till, number, Kind::Hello, hello.encode());
                Ok(())
            }
            Wanted::Push(number, items) => {
                let limits = Limits { items, ..Limits::default() };
                match answered(host.batch(meta, wall, limits)) {
                    Batch::Push(push) => {
                        self.send(till, number, Kind::Push, push.encode());
                        Ok(())
                    }
                    Batch::Wait(span) => {
                        self.answer_session(till, Heard::NothingToPush(Some(span)))
                    }
                    Batch::Empty => self.answer_session(till, Heard::NothingToPush(None)),
                }
            }
            Wanted::Commit(commit) => self.commit(till, meta, commit),
        }
    }

    fn commit(&mut self, till: usize, meta: &Meta, commit: Commit) -> Result<(), Violation> {
        let host = &mut self.tills[till];
        let greeted = matches!(commit, Commit::Welcomed(_));
        let input = match commit {
            Commit::Welcomed(welcome) => Input::Welcomed { welcome, nonce: host.entropy.draw() },
            Commit::Answered(epoch, answer) => Input::Answered { epoch, answer },
            Commit::Denied(denial) => Input::Denied(denial),
            Commit::Adopt => {
                let part = at_once(pull::adoption(&host.both(), meta));
                match answered(part) {
                    Some(part) => Input::Adopt(part),
                    None => return self.answer_session(till, Heard::Committed(meta.backlog())),
                }
            }
        };
        let acked = meta.acked;
        let Some(output) = self.till_step(till, &input, true)? else { return Ok(()) };
        let Output::Settled(backlog) = output else { unreachable!("answers are settled") };
        let heard = &mut self.tills[till].since_heal;
        heard.greeted |= greeted && heard.hello;
        self.cover_commit(till, &input, acked, backlog);
        let edited = matches!(&input, Input::Answered { answer, .. }
            if answer.results.iter().any(|result| matches!(result.verdict, Verdict::Edited(_))));
        self.answer_session(till, Heard::Committed(backlog))?;
        if edited {
            // The catalog has news: this till's own.
            return self.follow(till, Follow::Nudge(Nudge::Manual));
        }
        Ok(())
    }

    fn answer_session(&mut self, till: usize, heard: Heard) -> Result<(), Violation> {
        let now = Millis(self.now_ms());
        let host = &mut self.tills[till];
        if let Some(session) = &mut host.session {
            host.coverage.saw(Transition::SessionInput);
            session.handle_input(now, heard);
        }
        Ok(())
    }

    /// An answer, or its absence, reaches a till.
    pub(super) fn receive(
        &mut self,
        super::Answer { till, life, request, reply, .. }: super::Answer,
    ) -> Result<(), Violation> {
        use counterfoil_protocol::session::{Answer, Fault};
        if self.tills[till].life != life || !self.tills[till].up {
            return Ok(());
        }
        if request >= ASKS_FROM {
            return self.hear_session(till, reply);
        }
        if request >= COLLECTS_FROM {
            return self.hear_inbox(till, request, reply);
        }
        if request >= VERIFIES_FROM {
            return self.hear_verify(till, request, reply);
        }
        if request >= FOLLOWS_FROM {
            return self.hear_catalog(till, request, reply);
        }
        let answer = match reply {
            Reply::Fault(fault) => Err(fault),
            Reply::Delta(_)
            | Reply::Run(_)
            | Reply::Session(_)
            | Reply::Pending(_)
            | Reply::Acked(_)
            | Reply::Reconcile(_)
            | Reply::Entities(_) => Err(Fault::Transport),
            Reply::Welcome(bytes) => {
                Welcome::decode(&bytes).map(Answer::Welcome).map_err(|_| Fault::Transport)
            }
            Reply::Pushed(epoch, bytes) => PushAnswer::decode(&bytes)
                .map(|answer| Answer::Pushed(epoch, answer))
                .map_err(|_| Fault::Transport),
        };
        self.hear(till, Heard::Answered(request, answer))
    }

    /// Runs one input on a till's machine; `None` if the till died of it.
    pub(super) fn till_step(
        &mut self,
        till: usize,
        input: &Input,
        may_fail: bool,
    ) -> Result<Option<Output>, Violation> {
        let at = self.now_ms();
        let wall = self.wall(till);
        let may_fail = may_fail && !self.healed;
        let (crash_ppm, error_ppm) = (self.plan.crash_ppm, self.plan.storage_error_ppm);
        let host = &mut self.tills[till];
        let wait_us = host.store.begin(self.now_us, self.healed);
        let crash = may_fail && host.luck.happens(crash_ppm);
        let error = may_fail && !crash && host.luck.happens(error_ppm);
        let mut failure = None;
        if crash || error {
            let before = host.luck.happens(500_000);
            let planned = if before { Failure::Before } else { Failure::After };
            host.store.fail_next(planned, crash);
            failure = Some(planned);
        }
        host.coverage.saw(kind(input));
        let done = host.decide(wall, input);
        let settled = if done.is_err() { Some(self.settle_till(till, failure)?) } else { None };
        self.see_till(till);
        let host = &mut self.tills[till];
        host.wrote(input);
        self.checker.till_committed(at, host.device, &host.store.written)?;
        let rows = host.rows();
        if matches!(input, Input::ApplyPlan(_)) {
            self.checker.plan_committed(at, host.device, rows, &host.store.written)?;
        }
        self.checker.till_entries(at, host.device, rows, &host.store.written)?;
        match done {
            Ok(mut outputs) => {
                let output = outputs.pop();
                if !host.store.written.is_empty() {
                    host.busy_until_us = self.now_us + wait_us;
                }
                self.tell(lane(till), What::Commit, || committed(input, output.as_ref()));
                Ok(output)
            }
            Err(_) => {
                self.till_failed(till, (crash, error), settled);
                Ok(None)
            }
        }
    }

    /// The time that a till's clock shows.
    pub(super) fn wall(&self, till: usize) -> Millis {
        let shown = (START + self.now_ms()).saturating_add_signed(self.tills[till].skew_ms);
        Millis(shown)
    }

    fn schedule_wake(&mut self, till: usize) -> Result<(), Violation> {
        let at = self.now_ms();
        let host = &self.tills[till];
        let Some(session) = &host.session else { return Ok(()) };
        let wake = session.wake_at();
        let waits = host.meta().is_some_and(|meta| {
            meta.quarantined.is_none() && (meta.head > meta.acked || meta.backlog().adopting)
        });
        if waits {
            let bound = Session::attempt_bound(&session_config());
            let holds = wake.at <= Millis(at).after(bound);
            self.checker.tally.check(Law::QueueDrains, at, holds, || {
                format!("till {till} has work and sleeps until {} ({:?})", wake.at, wake.reason)
            })?;
        }
        self.set_alarm(till, Part::Session, wake.at);
        Ok(())
    }
}

/// Says what a till committed.
fn committed(input: &Input, output: Option<&Output>) -> String {
    let name = kind(input).as_str();
    match (input, output) {
        (Input::Record(draft), Some(Output::Recorded { place, receipt, again })) => {
            let receipt = receipt.map_or_else(String::new, |r| format!(", receipt {}", r.number));
            let again = if *again { " again" } else { "" };
            let (pos, id) = (draft.pos, draft.local_id);
            format!("{name}: {pos}/{id}{again} is entry {}{receipt}", place.seq)
        }
        _ => name.to_owned(),
    }
}
