//! When a till speaks, and when it tries again: a volatile machine that may be lost at any instant.
//!
//! The driver's loop, with the numbers that its code carries too:
//!
//! 1. Something happened: [`Session::handle_input`] (new work, a timer, an answer, a commit).
//! 2. [`Session::poll_output`] until it returns `None`: send, or commit, as it says.
//! 3. Sleep until [`Session::wake_at`], or until something happens; then again from 1.
//!
//! `now` is a monotonic time of the driver's choosing: it never goes back, whatever the clock on
//! the wall does.
//!
//! At most one request and one commit are under way at a time. The batch of a push is the
//! in-flight window: it is bounded by items and bytes, and lost with the session.
//!
//! > **`QueueDrains`**: link up and queue not empty: an attempt within [`Session::attempt_bound`];
//! > after faults stop every queue empties. No phase is without a wake-up.

pub mod backoff;
mod config;
mod fault;
pub mod follow;
mod heed;
pub mod inbox;

use crate::identity::Epoch;
use crate::problem::Denial;
use crate::terminal::Backlog;
use crate::time::{Millis, Span};
use crate::wire::message::{PUSH_ITEMS_MAX, PushAnswer, Stopped, Welcome};

use backoff::Backoff;
pub use config::Config;
pub use fault::{Distrust, Fault};

/// The session of a till with the cloud.
#[derive(Clone, Debug)]
pub struct Session {
    config: Config,
    backoff: Backoff,
    phase: Phase,
    wake: Wake,
    /// The cloud has answered a greeting since the last doubt.
    greeted: bool,
    /// Work was announced while something was under way.
    nudged: bool,
    /// A person wanted it, or the network came back, while something was under way.
    wished: bool,
    /// The cloud asked to slow down: only a person shortens this wait.
    slowed: bool,
    /// Numbers the requests, so that a late answer is not taken for the present one's.
    request: u64,
    /// Requests since the last success.
    attempt: u32,
    /// A push was too large for the cloud, or the way to it: take half.
    items_max: usize,
    output: Option<Output>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The time that [`Session::wake_at`] named has come.
    Wake,
    /// There may be something to do at once.
    Nudge(Nudge),
    /// The request with this number was answered, or has failed.
    Answered(u64, Result<Answer, Fault>),
    /// The commit that was asked for is durable.
    Committed(Backlog),
    /// There was nothing to push, or nothing before this span has passed.
    NothingToPush(Option<Span>),
}

/// Why there may be something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nudge {
    /// Something was recorded.
    Recorded,
    /// A person wants it (S1.2, S3.5): greets.
    Manual,
    /// The network is back (S3.5), and what is at its other end may have been restored: greets.
    LinkUp,
}

/// What the cloud said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a greeting.
    Welcome(Welcome),
    /// To a push of this history.
    Pushed(Epoch, PushAnswer),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Greet the cloud, with this request number.
    Hello(u64),
    /// Push at most so many items, with this request number; or report
    /// [`Input::NothingToPush`].
    Push(u64, usize),
    /// Commit what the cloud said, and report [`Input::Committed`].
    Commit(Commit),
}

/// What to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// The answer to a greeting.
    Welcomed(Welcome),
    /// The answer to a push.
    Answered(Epoch, PushAnswer),
    /// The till is not listened to.
    Denied(Denial),
    /// The next part of a closed history.
    Adopt,
}

/// When the session wants to be woken, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// When.
    pub at: Millis,
    /// Why.
    pub reason: Reason,
}

/// Why a session wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// When the till has just started.
    Start,
    /// When a failure has been waited out.
    Backoff,
    /// When an answer has taken too long.
    Timeout,
    /// When a commit has taken too long to report: ask what there is to do.
    Commit,
    /// When an item that failed is due again.
    Retry,
    /// When an idle till greets.
    Idle,
    /// When a quarantined till asks again.
    Probe,
}

impl Reason {
    /// Returns whether it is one for which nothing is under way.
    const fn rests(self) -> bool {
        match self {
            Self::Start | Self::Backoff | Self::Retry | Self::Idle | Self::Probe => true,
            Self::Timeout | Self::Commit => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing under way; `wake` says what is waited for.
    Resting,
    /// A greeting is under way.
    Greeting,
    /// A push is under way.
    Pushing,
    /// A commit is under way.
    Settling,
}

impl Session {
    /// Starts a session. `seed` makes its jitter, and nothing else.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Millis) -> Self {
        assert!(config.items_max > 0, "a push has items");
        assert!(config.items_max <= PUSH_ITEMS_MAX, "a push has no more items than one may have");
        assert!(config.request_timeout.0 > 0, "an answer may take some time");
        assert!(config.idle_greeting.0 > 0, "an idle till rests");
        assert!(config.quarantine_probe.0 > 0, "a till that is turned away rests");
        assert!(config.backoff_base <= config.backoff_cap, "the first wait is the shortest");
        let session = Self {
            config,
            backoff: Backoff::new(config.backoff_base, config.backoff_cap, seed),
            phase: Phase::Resting,
            wake: Wake { at: now, reason: Reason::Start },
            greeted: false,
            nudged: false,
            wished: false,
            slowed: false,
            request: 0,
            attempt: 0,
            items_max: config.items_max,
            output: None,
        };
        session.check();
        session
    }

    /// Takes in what happened.
    pub fn handle_input(&mut self, now: Millis, input: Input) {
        match input {
            Input::Wake => self.woken(now),
            Input::Nudge(nudge) => self.nudge(now, nudge),
            Input::Answered(request, answer) => {
                if request == self.request && self.waits_for_answer() {
                    self.answered(now, answer);
                }
            }
            Input::Committed(backlog) => self.committed(now, backlog),
            Input::NothingToPush(wait) => {
                if self.phase == Phase::Pushing {
                    self.rest_until_due(now, wait);
                }
            }
        }
        self.check();
    }

    /// What holds whenever nothing is being taken in.
    fn check(&self) {
        let (speaks_as, wakes_for) = match self.phase {
            Phase::Resting => {
                assert!(self.output.is_none(), "whoever rests has nothing to say");
                (true, self.wake.reason.rests())
            }
            Phase::Greeting => {
                assert!(!self.greeted, "who has been greeted does not greet");
                let said = matches!(self.output, None | Some(Output::Hello(_)));
                (said, self.wake.reason == Reason::Timeout)
            }
            Phase::Pushing => {
                assert!(self.greeted, "who pushes has been greeted");
                let said = matches!(self.output, None | Some(Output::Push(..)));
                (said, self.wake.reason == Reason::Timeout)
            }
            Phase::Settling => {
                let said = matches!(self.output, None | Some(Output::Commit(_)));
                (said, self.wake.reason == Reason::Commit)
            }
        };
        assert!(speaks_as, "a phase says what it is for");
        assert!(wakes_for, "a phase wakes for a reason of its own");
        assert!(self.items_max > 0, "a push that was halved has items still");
        assert!(self.items_max <= self.config.items_max, "a push grows up to its bound again");
        assert!(u64::from(self.attempt) <= self.request, "each attempt is a request");
    }

    /// Returns the next thing to do.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.take()
    }

    /// Returns when to call [`Input::Wake`]. There is always a time.
    #[must_use]
    pub const fn wake_at(&self) -> Wake {
        self.wake
    }

    /// Returns how many requests there have been since the last success, this one included.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns whether the cloud has answered a greeting since the last doubt: only then is
    /// anything pushed.
    #[must_use]
    pub const fn greeted(&self) -> bool {
        self.greeted
    }

    /// Returns whether a push is under way.
    #[must_use]
    pub fn pushing(&self) -> bool {
        self.phase == Phase::Pushing
    }

    /// Returns the bound of `QueueDrains`: with entries that were never answered and no quarantine,
    /// a request leaves within this span of the last one, whatever happened to that. An item that
    /// failed by itself waits for at most [`crate::terminal::RETRY_CAP`].
    #[must_use]
    pub const fn attempt_bound(config: &Config) -> Millis {
        let wait = if config.backoff_cap.0 > config.retry_after_cap.0 {
            config.backoff_cap
        } else {
            config.retry_after_cap
        };
        let bound = config.request_timeout.after(wait);
        assert!(bound.0 >= config.request_timeout.0, "an answer may take its time");
        assert!(bound.0 >= config.backoff_cap.0, "every wait after a failure is within the bound");
        assert!(bound.0 >= config.retry_after_cap.0, "every wait that is asked for is, too");
        bound
    }

    fn waits_for_answer(&self) -> bool {
        matches!(self.phase, Phase::Greeting | Phase::Pushing)
    }

    fn woken(&mut self, now: Millis) {
        if now < self.wake.at {
            return;
        }
        match self.phase {
            Phase::Resting => {
                if self.wake.reason == Reason::Idle {
                    // The cloud may have been restored meanwhile: greet, do not just push.
                    self.greeted = false;
                }
                self.speak(now);
            }
            Phase::Greeting | Phase::Pushing => self.failed(now, Fault::Transport),
            Phase::Settling => {
                // The driver has died between commit and report; the rows know what there is.
                self.greeted = false;
                self.speak(now);
            }
        }
    }

    fn nudge(&mut self, now: Millis, nudge: Nudge) {
        if self.phase != Phase::Resting {
            self.nudged = true;
            self.wished |= nudge != Nudge::Recorded;
            return;
        }
        let heeded = match (nudge, self.wake.reason) {
            // New work does not shorten a wait that protects the cloud.
            (Nudge::Recorded, Reason::Backoff | Reason::Probe) => false,
            // Neither does a network that is back shorten one that the cloud has asked for.
            (Nudge::LinkUp, Reason::Backoff) if self.slowed => false,
            (Nudge::LinkUp | Nudge::Manual, _) | (Nudge::Recorded, _) => true,
        };
        if heeded {
            self.doubt(nudge != Nudge::Recorded);
            self.speak(now);
        }
    }

    /// A link that was gone may lead to a cloud that was restored meanwhile, and so may one that a
    /// person asks about: greet, do not just push.
    fn doubt(&mut self, wished: bool) {
        assert!(self.phase != Phase::Greeting, "a greeting is answered before it is doubted");
        self.greeted &= !wished;
        assert!(!(wished && self.greeted), "who doubts greets");
    }

    fn speak(&mut self, now: Millis) {
        assert!(self.phase != Phase::Greeting, "a greeting is answered or lost before the next");
        assert!(self.request < u64::MAX, "there is always a number for the next request");
        self.request += 1;
        self.attempt = self.attempt.saturating_add(1);
        (self.nudged, self.wished, self.slowed) = (false, false, false);
        let deadline = now.after(self.config.request_timeout);
        assert!(deadline > now || now.0 == u64::MAX, "an answer is waited for");
        self.wake = Wake { at: deadline, reason: Reason::Timeout };
        if self.greeted {
            self.phase = Phase::Pushing;
            self.output = Some(Output::Push(self.request, self.items_max));
        } else {
            self.phase = Phase::Greeting;
            self.output = Some(Output::Hello(self.request));
        }
    }

    fn answered(&mut self, now: Millis, answer: Result<Answer, Fault>) {
        assert!(self.waits_for_answer(), "only a request is answered");
        assert!(self.request > 0, "an answer has a request");
        let commit = match answer {
            Err(fault) => return self.failed(now, fault),
            Ok(Answer::Welcome(welcome)) => {
                self.greeted = true;
                Commit::Welcomed(welcome)
            }
            Ok(Answer::Pushed(epoch, answer)) => {
                match answer.stopped {
                    None => {}
                    // Each of them is cleared up by a greeting.
                    Some(Stopped::Gap | Stopped::Forked | Stopped::UnknownEpoch) => {
                        self.greeted = false;
                    }
                }
                if answer.results.is_empty() {
                    // No progress, whatever it says: do not run in circles at full speed.
                    return self.failed(now, Fault::Server);
                }
                Commit::Answered(epoch, answer)
            }
        };
        if matches!(commit, Commit::Answered(..)) {
            // A greeting alone is no success: the cloud may answer it and fail each push.
            self.backoff.reset();
            self.attempt = 0;
            self.items_max = self.config.items_max.min(self.items_max.saturating_mul(2));
        }
        self.settle(now, commit);
    }

    fn failed(&mut self, now: Millis, fault: Fault) {
        assert!(self.waits_for_answer(), "only a request fails");
        assert!(self.attempt > 0, "what fails was attempted");
        // Whatever was under way may have happened or not: greet before pushing again.
        self.greeted = false;
        match fault {
            Fault::Transport | Fault::Untrusted(_) | Fault::Server | Fault::Rejected => {
                self.back_off(now);
            }
            Fault::TooLarge => {
                self.items_max = (self.items_max / 2).max(1);
                self.back_off(now);
            }
            Fault::RateLimited(after) => {
                let wait = after.unwrap_or(Millis::ZERO).min(self.config.retry_after_cap);
                let wait = wait.max(self.backoff.next_wait());
                assert!(wait.0 > 0, "who is too fast waits");
                (self.wished, self.slowed) = (false, true);
                self.rest(now.after(wait), Reason::Backoff);
            }
            Fault::Denied(denial) => {
                // The cloud has answered what was wished for, and would answer the same again.
                self.wished = false;
                if denial.quarantines() {
                    return self.settle(now, Commit::Denied(denial));
                }
                self.back_off(now);
            }
        }
    }

    fn back_off(&mut self, now: Millis) {
        let wait = self.backoff.next_wait();
        assert!(wait <= self.config.backoff_cap, "a wait after a failure is bounded");
        self.rest(now.after(wait), Reason::Backoff);
        if self.wished {
            // Once: what failed was under way before it was wished for.
            self.speak(now);
        }
        assert!(!self.wished, "a wish is forgotten only by what fulfils it");
    }

    fn settle(&mut self, now: Millis, commit: Commit) {
        self.phase = Phase::Settling;
        self.wake = Wake { at: now.after(self.config.request_timeout), reason: Reason::Commit };
        self.output = Some(Output::Commit(commit));
        assert!(self.wake.at >= now, "nobody is woken in the past");
    }

    fn committed(&mut self, now: Millis, backlog: Backlog) {
        if self.phase != Phase::Settling {
            return;
        }
        if backlog.quarantined.is_some() {
            self.greeted = false;
            self.rest(now.after(self.config.quarantine_probe), Reason::Probe);
            if self.wished {
                self.speak(now);
            }
            return;
        }
        if backlog.parted.is_some() {
            self.greeted = false;
        }
        if backlog.adopting {
            return self.settle(now, Commit::Adopt);
        }
        // Entries that failed may be due even if there is nothing fresh: the batch will tell.
        self.doubt(self.wished);
        self.speak(now);
    }

    fn rest_until_due(&mut self, now: Millis, wait: Option<Span>) {
        assert!(self.phase == Phase::Pushing, "only a push finds nothing to push");
        assert!(self.greeted, "who pushes has been greeted");
        self.attempt = 0;
        if self.nudged {
            // Something was recorded after the rows were read.
            self.doubt(self.wished);
            return self.speak(now);
        }
        let idle = now.after(self.config.idle_greeting);
        match wait {
            Some(wait) if wait.0 < self.config.idle_greeting => {
                self.rest(wait.max(Span(Millis(1))).from(now), Reason::Retry);
            }
            Some(_) | None => self.rest(idle, Reason::Idle),
        }
    }

    fn rest(&mut self, at: Millis, reason: Reason) {
        assert!(reason.rests(), "whoever rests waits for one of these");
        assert!(self.phase != Phase::Resting, "whoever rests has done something");
        self.phase = Phase::Resting;
        self.wake = Wake { at, reason };
        if reason != Reason::Backoff && reason != Reason::Probe {
            self.backoff.reset();
        }
    }
}
