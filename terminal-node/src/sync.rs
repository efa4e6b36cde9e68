//! The driver of [`Session`]: it does what the session says and reports what came of it.
//!
//! The numbers in the code are those of the session's own loop. The session lives in the time of
//! `tokio::time`, which never jumps; the clock on the wall only stamps rows.

use std::time::Duration;

use counterfoil_protocol::session::{
    Answer, Commit, Config, Fault, Input, Nudge, Output, Reason, Session,
};
use counterfoil_protocol::terminal::diary::Noted;
use counterfoil_protocol::terminal::{self, Backlog, pull};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{
    Hello, PUSH_BYTES_MAX, PUSH_ITEMS_MAX, Push, PushAnswer, Verdict, Welcome,
};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::parcel::kept::Kept;
use crate::reach::Way;
use crate::tell;
use crate::till::{Till, TillError, TillStore, storage_failed};
use crate::tls;
use crate::transport::{Connector, Transport};

/// What this program calls itself in a greeting.
pub const APP: &str = concat!("terminal-node/", env!("CARGO_PKG_VERSION"));

/// How the link to the cloud is doing, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// When the cloud last answered.
    pub last_success_ms: Option<Millis>,
    /// What went wrong since then, if anything.
    #[serde(serialize_with = "fault_word")]
    pub last_fault: Option<Fault>,
    /// Requests since the last success.
    pub attempt: u32,
    /// Whether nothing was left to push when the till last looked.
    pub drained: bool,
    /// How often the loop has come to rest: whoever waits for a result compares.
    pub rests: u64,
    /// When the till speaks next by itself; any sale, and any wish, makes it sooner.
    pub next_ms: Option<Millis>,
    /// By how much the cloud's clock was ahead of this machine's at the last greeting, half of the
    /// way there and back allowed for; below zero if it was behind.
    pub cloud_ahead_ms: Option<i64>,
}

/// Drives one till's session with the cloud.
#[derive(Debug)]
pub struct SyncLoop<S, C> {
    till: Till<S>,
    transport: Transport<C>,
    session: Session,
    config: Config,
    limits: pull::Limits,
    /// Something was pushed since the till last asked what the cloud makes of its closings.
    asks: bool,
    start: Instant,
    link: watch::Sender<Link>,
}

impl<S, C> SyncLoop<S, C>
where
    S: TillStore,
    C: Connector,
{
    /// Makes the loop of an open till. It must be made inside a tokio runtime.
    #[must_use]
    pub fn new(till: Till<S>, transport: Transport<C>, config: Config) -> Self {
        let session = Session::new(config, till.draw(), Millis::ZERO);
        Self {
            till,
            transport,
            session,
            config,
            limits: pull::Limits::default(),
            asks: true,
            start: Instant::now(),
            link: watch::Sender::new(Link::default()),
        }
    }

    /// Returns a view of the link that follows it.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// Runs until the till's store fails. To stop it, drop the future: the session may be lost at
    /// any instant.
    ///
    /// # Errors
    /// The store's: nothing can be believed until it is reopened.
    pub async fn run(mut self) -> Result<std::convert::Infallible, TillError> {
        loop {
            self.step().await?;
        }
    }

    /// Goes once through the loop: acts, then waits for the next thing to happen.
    ///
    /// # Errors
    /// The store's.
    pub async fn step(&mut self) -> Result<(), TillError> {
        self.settle().await?;
        self.rest().await;
        Ok(())
    }

    /// Sleeps until the session wants to be woken, or until something happens.
    pub async fn rest(&mut self) {
        // 3. Sleep until `wake_at`, or until something happens; then again from 1.
        let wake = self.session.wake_at();
        let deadline = self.start + Duration::from_millis(wake.at.0);
        let input = tokio::select! {
            // In this order, and not at random: a run is a function of its seed, and a till that
            // sells without a pause does not put off what is due.
            biased;
            () = tokio::time::sleep_until(deadline) => Input::Wake,
            nudge = self.till.nudged() => Input::Nudge(nudge),
        };
        // 1. Something happened.
        self.session.handle_input(self.now(), input);
    }

    /// Speaks at once and until there is nothing more to do before some later time: the command
    /// line's `sync` without a daemon.
    ///
    /// # Errors
    /// The store's.
    pub async fn settle_now(&mut self) -> Result<Link, TillError> {
        let input = Input::Nudge(Nudge::Manual);
        self.session.handle_input(self.now(), input);
        self.settle().await?;
        Ok(*self.link.borrow())
    }

    /// Does what the session says until it rests.
    ///
    /// # Errors
    /// The store's.
    pub async fn settle(&mut self) -> Result<(), TillError> {
        // 2. Poll until there is nothing to do: send, or commit, as it says.
        while let Some(output) = self.session.poll_output() {
            let input = match output {
                Output::Hello(request) => Input::Answered(request, self.greet().await?),
                Output::Push(request, items) => self.push(request, items).await?,
                Output::Commit(commit) => Input::Committed(self.commit(commit).await?),
            };
            self.note(&input);
            // 1. Something happened.
            self.session.handle_input(self.now(), input);
        }
        let reason = self.session.wake_at().reason;
        let rests = matches!(reason, Reason::Idle | Reason::Retry);
        if rests && std::mem::take(&mut self.asks) {
            self.ask_for_sessions().await?;
        }
        let wait = self.session.wake_at().at.since(self.now());
        let next = self.till.clock().now().after(wait);
        self.link.send_modify(|link| {
            link.rests += u64::from(reason != Reason::Start);
            link.drained = reason == Reason::Idle;
            link.next_ms = Some(next);
        });
        Ok(())
    }

    /// Asks what the cloud makes of the sessions that it has not confirmed yet, after everything
    /// was pushed. Who gets no answer asks again after the next push, or at the next start.
    async fn ask_for_sessions(&mut self) -> Result<(), TillError> {
        for (pos, session) in self.till.unsettled_sessions().await? {
            let request_id = self.till.draw();
            let asking = self.transport.session(pos, session, request_id);
            match within(self.config.request_timeout, asking).await {
                Ok(report) if report.pos_id == pos && report.session_id == session => {
                    self.till.note_session(report).await?;
                }
                // The cloud posts nothing of a session whose events all wait.
                Ok(_) | Err(Fault::Rejected) => {}
                Err(fault) => {
                    self.asks = true;
                    self.heard(Some(fault));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn greet(&mut self) -> Result<Result<Answer, Fault>, TillError> {
        let hello = self.hello().await?;
        let attempt = self.session.attempt();
        let request_id = self.till.draw();
        self.till.introduce(&mut self.transport).await?;
        let (asked, sent) = (self.now(), self.till.clock().now());
        let greeting = self.transport.greet(&hello, attempt, request_id);
        let welcome = match within(self.config.request_timeout, greeting).await {
            Ok(welcome) if answers_hello(&hello, &welcome) => Ok(welcome),
            Ok(_) => Err(Fault::Transport),
            Err(fault) => Err(fault),
        };
        self.heard(welcome.as_ref().err().copied());
        if welcome.is_ok()
            && let Some(heads) = self.transport.heads()
        {
            self.till.heard_heads(&heads).await?;
        }
        Ok(welcome.map(|welcome| {
            self.limits = limits_of(&welcome);
            let ahead = cloud_ahead(sent, self.now().since(asked), welcome.server_time_ms);
            self.link.send_modify(|link| link.cloud_ahead_ms = Some(ahead));
            Answer::Welcome(welcome)
        }))
    }

    async fn hello(&self) -> Result<Hello, TillError> {
        let reading = self.till.reading().await?;
        let meta = pull::meta(&*reading).await.map_err(storage_failed)?;
        let meta = meta.ok_or(TillError::NotInstalled(None))?;
        let now = self.till.clock().now();
        pull::hello(&*reading, &meta, now, APP).await.map_err(storage_failed)
    }

    async fn push(&mut self, request: u64, items: usize) -> Result<Input, TillError> {
        let push = match self.batch(items).await? {
            pull::Batch::Push(push) => push,
            // A span, as the wall's time and the session's have only those in common.
            pull::Batch::Wait(span) => return Ok(Input::NothingToPush(Some(span))),
            pull::Batch::Empty => return Ok(Input::NothingToPush(None)),
        };
        let attempt = self.session.attempt();
        let request_id = self.till.draw();
        self.till.introduce(&mut self.transport).await?;
        let pushing = self.transport.push(&push, attempt, request_id);
        let answer = match within(self.config.request_timeout, pushing).await {
            Ok(answer) if answers_push(&push, &answer) => Ok(Answer::Pushed(push.epoch, answer)),
            Ok(_) => Err(Fault::Transport),
            Err(fault) => Err(fault),
        };
        self.heard(answer.as_ref().err().copied());
        let heard = match &answer {
            Ok(Answer::Pushed(_, answer)) => Ok(answer),
            Ok(Answer::Welcome(_)) => unreachable!("a push is answered by an answer to a push"),
            Err(fault) => Err(*fault),
        };
        if let Ok(answer) = heard {
            tell::answered(push.terminal_id, &push, answer, attempt);
        }
        self.till.jot(Noted::offered(self.till.clock().now(), &push, heard));
        Ok(Input::Answered(request, answer))
    }

    async fn batch(&self, items: usize) -> Result<pull::Batch, TillError> {
        let reading = self.till.reading().await?;
        let meta = pull::meta(&*reading).await.map_err(storage_failed)?;
        let meta = meta.ok_or(TillError::NotInstalled(None))?;
        let items = items.min(self.limits.items).max(1);
        let limits = pull::Limits { items, ..self.limits };
        let now = self.till.clock().now();
        pull::batch(&*reading, &meta, now, limits).await.map_err(storage_failed)
    }

    async fn commit(&mut self, commit: Commit) -> Result<Backlog, TillError> {
        let input = match commit {
            Commit::Welcomed(welcome) => {
                // A link tells better than any file that is on its way.
                self.till.parcels(Kept::overtaken)?;
                terminal::Input::Welcomed { welcome, nonce: self.till.draw() }
            }
            Commit::Answered(epoch, answer) => {
                self.asks = true;
                terminal::Input::Answered { epoch, answer }
            }
            Commit::Denied(denial) => terminal::Input::Denied(denial),
            Commit::Adopt => match self.till.adoption().await? {
                Ok(adoption) => terminal::Input::Adopt(adoption),
                Err(backlog) => return Ok(backlog),
            },
        };
        let edited = is_about_edits(&input);
        match self.till.apply(input).await? {
            terminal::Output::Settled(backlog) => {
                if edited {
                    self.till.nudge_follower();
                }
                if let Some(parted) = backlog.parted {
                    tracing::warn!(?parted, "a new epoch was opened");
                    let epoch = self.till.meta().await?.epoch;
                    self.till.jot(Noted::Parted { why: parted, epoch });
                }
                Ok(backlog)
            }
            terminal::Output::NotInstalled(other) => Err(TillError::NotInstalled(other)),
            output @ (terminal::Output::Opened { .. }
            | terminal::Output::Recorded { .. }
            | terminal::Output::Taken(_)
            | terminal::Output::Invalid(_)
            | terminal::Output::NothingToRetry
            | terminal::Output::Catalogued(_)
            | terminal::Output::CatalogUnreadable(_)
            | terminal::Output::Session(_)
            | terminal::Output::Inbox(_)
            | terminal::Output::PlanApplied(_)
            | terminal::Output::PlanRefused(_)) => {
                unreachable!("an answer of the cloud is not answered by {output:?}")
            }
        }
    }

    /// After a partition a stream can be silently dead: whatever failed, the next request gets a
    /// new one.
    fn heard(&mut self, fault: Option<Fault>) {
        self.till.reached(Way::Sync, fault);
        if let Some(fault) = fault {
            tracing::debug!(?fault, syncAttempt = self.session.attempt(), "no answer");
            self.transport.disconnect();
        }
    }

    fn note(&self, input: &Input) {
        let Input::Answered(_, answer) = input else {
            return;
        };
        let now = self.till.clock().now();
        let attempt = self.session.attempt();
        self.link.send_modify(|link| match answer {
            Ok(_) => {
                link.last_success_ms = Some(now);
                link.last_fault = None;
                link.attempt = 0;
            }
            Err(fault) => {
                link.last_fault = Some(*fault);
                link.attempt = attempt;
            }
        });
    }

    fn now(&self) -> Millis {
        let elapsed = self.start.elapsed().as_millis();
        Millis(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

async fn within<T>(
    timeout: Millis,
    request: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let timeout = Duration::from_millis(timeout.0);
    tokio::time::timeout(timeout, request).await.unwrap_or(Err(Fault::Transport))
}

/// Returns by how much the cloud's clock is ahead: it was read half way between there and back.
pub(crate) fn cloud_ahead(sent: Millis, way: Millis, server_time_ms: u64) -> i64 {
    let own = sent.0.saturating_add(way.0 / 2);
    let ahead = i128::from(server_time_ms) - i128::from(own);
    i64::try_from(ahead).unwrap_or(if ahead < 0 { i64::MIN } else { i64::MAX })
}

/// An answer to another question is an unreadable answer.
fn answers_hello(hello: &Hello, welcome: &Welcome) -> bool {
    let asked = hello.lanes.iter().map(|lane| lane.epoch);
    hello.versions.contains(&welcome.version)
        && asked.eq(welcome.lanes.iter().map(|lane| lane.epoch))
}

/// Only what was offered can have been taken: otherwise the till would believe in a sale that the
/// cloud has never seen.
fn answers_push(push: &Push, answer: &PushAnswer) -> bool {
    let mut offered = push.items.iter();
    answer.results.iter().all(|result| offered.any(|item| item.seq == result.seq))
}

fn limits_of(welcome: &Welcome) -> pull::Limits {
    let bounded = |told: u32, own: usize| usize::try_from(told).unwrap_or(own).clamp(1, own);
    pull::Limits {
        items: bounded(welcome.push_items_max, PUSH_ITEMS_MAX),
        bytes: bounded(welcome.push_bytes_max, PUSH_BYTES_MAX),
    }
}

/// Returns what a person is told about a fault.
#[must_use]
pub const fn explain(fault: Fault) -> &'static str {
    match fault {
        Fault::Transport => "the cloud cannot be reached",
        Fault::Untrusted(distrust) => tls::explain(distrust),
        Fault::Server => "the cloud has trouble of its own",
        Fault::Denied(denial) => denial.explain(),
        Fault::RateLimited(_) => "the cloud asked to slow down",
        Fault::TooLarge => "a push was too large for the way to the cloud",
        Fault::Rejected => "the cloud does not understand this program: update one of them",
    }
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn fault_word<S: serde::Serializer>(fault: &Option<Fault>, to: S) -> Result<S::Ok, S::Error> {
    fault.map(explain).serialize(to)
}

/// Returns whether an answer decides edits of the catalog: then the catalog has news.
fn is_about_edits(input: &terminal::Input) -> bool {
    matches!(input, terminal::Input::Answered { answer, .. }
        if answer.results.iter().any(|result| matches!(result.verdict, Verdict::Edited(_))))
}
