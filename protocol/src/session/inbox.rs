//! When a till asks for the inventory events of its branch: a third volatile machine, beside the
//! [`Session`] and the [`Follower`].
//!
//! It asks at the start (S0.1), when a person wants it, when the link is back, and every so often,
//! unless the cloud has just said beside a greeting where the inbox ends, and the till is there;
//! then on and on until it has reached the end of the inbox. Then it acknowledges what is
//! committed, unless the cloud knows. Whatever fails backs off with full jitter; a till that hears
//! nothing simply sells on.
//!
//! ```text
//! rest -> ask -> commit -> (more? ask) -> acknowledge -> rest
//! ```
//!
//! The driver's loop is that of the session: `handle_input`, `poll_output` until `None`, sleep
//! until `wake_at`. What is acknowledged is a query over committed rows, so this machine may be
//! lost at any instant: each page tells what the cloud holds as acknowledged, so a lost
//! acknowledgement is made up for by the next question, even if the cloud has forgotten it since.
//!
//! [`Session`]: super::Session
//! [`Follower`]: super::follow::Follower

use super::backoff::Backoff;
use super::heed::Heed;
use super::{Config, Fault, Nudge};
use crate::terminal::inbox::Standing;
use crate::time::Millis;

/// Fetches a branch's inventory events, and acknowledges them.
#[derive(Clone, Debug)]
pub struct Collector {
    config: Config,
    backoff: Backoff,
    phase: Phase,
    wake_at: Millis,
    /// A question was announced while something was under way.
    nudged: bool,
    request: u64,
    attempt: u32,
    /// How often in a row it has not asked, because the cloud had said that nothing is new.
    heed: Heed,
    /// Where the till stood after the last commit.
    last: Option<Standing>,
    output: Option<Output>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The time that [`Collector::wake_at`] named has come.
    Wake,
    /// There may be news.
    Nudge(Nudge),
    /// The cloud has said beside something else where the inbox ends: whether this till has all of
    /// it, and the cloud knows ([`crate::terminal::heads`]).
    Heads(bool),
    /// The request with this number was answered. If it was a question, the driver holds the
    /// answer; if it was an acknowledgement, the cloud has taken it.
    Answered(u64, Result<(), Fault>),
    /// The answer is committed.
    Committed(Standing),
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask the cloud for what comes after the till's place in the inbox, with this number.
    Ask(u64),
    /// Commit the answer, and report [`Input::Committed`].
    Commit,
    /// Acknowledge what is committed, with this number. An acknowledgement that the cloud does not
    /// know the place of is reported as [`Fault::Server`]: the next question tells why.
    Ack(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Resting,
    Asking,
    Committing,
    Acking,
}

impl Collector {
    /// Starts. `seed` makes its jitter, and nothing else.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Millis) -> Self {
        assert!(config.request_timeout > Millis::ZERO, "an answer may take some time");
        assert!(config.idle_greeting > Millis::ZERO, "an idle till rests");
        Self {
            config,
            backoff: Backoff::new(config.backoff_base, config.backoff_cap, seed),
            phase: Phase::Resting,
            wake_at: now,
            nudged: false,
            request: 0,
            attempt: 0,
            heed: Heed::default(),
            last: None,
            output: None,
        }
    }

    /// Takes in what happened.
    pub fn handle_input(&mut self, now: Millis, input: Input) {
        let asked = self.request;
        match (input, self.phase) {
            (Input::Wake, Phase::Resting) if now >= self.wake_at => self.ask(now),
            // An answer, or the report of a commit, that never came.
            (Input::Wake, Phase::Asking | Phase::Committing | Phase::Acking)
                if now >= self.wake_at =>
            {
                self.fail(now, None);
            }
            (Input::Wake, _) => {}
            (Input::Nudge(Nudge::Recorded), _) => {}
            (Input::Nudge(Nudge::Manual | Nudge::LinkUp), Phase::Resting) => self.ask(now),
            (Input::Nudge(Nudge::Manual | Nudge::LinkUp), _) => self.nudged = true,
            (Input::Heads(same), Phase::Resting) => self.heads(now, same),
            // What is under way will tell.
            (Input::Heads(_), _) => {}
            (Input::Answered(request, answer), Phase::Asking | Phase::Acking)
                if request == self.request =>
            {
                match answer {
                    Ok(()) => self.answered(now),
                    Err(fault) => self.fail(now, Some(fault)),
                }
            }
            (Input::Answered(..), _) => {}
            (Input::Committed(standing), Phase::Committing) => self.committed(now, standing),
            (Input::Committed(_), _) => {}
        }
        assert!(self.output.is_none() || self.phase != Phase::Resting, "who rests wants nothing");
        assert!(self.wake_at.since(now) <= self.longest_wait(), "no phase sleeps for ever");
        assert!(!self.nudged || self.phase != Phase::Resting, "who rests owes no question");
        assert!(self.request > 0 || self.phase == Phase::Resting, "requests count from 1");
        assert!(self.request - asked <= 1, "one input makes one request at most");
    }

    /// Returns what to do next, until there is nothing.
    pub const fn poll_output(&mut self) -> Option<Output> {
        self.output.take()
    }

    /// Returns when to wake it, whatever else happens.
    #[must_use]
    pub const fn wake_at(&self) -> Millis {
        self.wake_at
    }

    /// Returns how many requests were made since the inbox was last empty.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the longest time that it may sleep.
    fn longest_wait(&self) -> Millis {
        let Config { request_timeout, backoff_cap, retry_after_cap, .. } = self.config;
        let Config { quarantine_probe, idle_greeting, .. } = self.config;
        let waits = [request_timeout, backoff_cap, retry_after_cap, quarantine_probe];
        let past = self.config.past_a_greeting().after(backoff_cap);
        let longest = waits.into_iter().fold(past, Millis::max);
        assert!(longest >= idle_greeting, "an idle till rests no longer than the longest");
        assert!(longest >= request_timeout, "an answer is waited for no longer");
        longest
    }

    /// A till that has the whole inbox rests on; one that has not asks at once. Who waits for
    /// another reason goes on waiting.
    fn heads(&mut self, now: Millis, same: bool) {
        assert_eq!(self.phase, Phase::Resting, "who is asking hears it from the answer");
        let settled = self.attempt == 0 && self.last.is_some_and(|last| !last.unreadable);
        if !settled {
            return;
        }
        if !same {
            return self.ask(now);
        }
        if let Some(wait) = self.heed.rests(&self.config, &mut self.backoff) {
            self.rest(now, wait);
        }
        assert!(self.output.is_none(), "who stands where the cloud does asks for nothing");
        assert_eq!(self.attempt, 0, "who waits for another reason is left alone");
    }

    fn ask(&mut self, now: Millis) {
        assert_eq!(self.phase, Phase::Resting, "one question at a time");
        (self.nudged, self.heed) = (false, Heed::default());
        self.phase = Phase::Asking;
        let request = self.next_request(now);
        self.output = Some(Output::Ask(request));
        assert!(self.wake_at > now, "an answer is waited for");
    }

    fn acknowledge(&mut self, now: Millis) {
        assert_eq!(self.phase, Phase::Committing, "only what is committed is acknowledged");
        self.phase = Phase::Acking;
        let request = self.next_request(now);
        self.output = Some(Output::Ack(request));
        assert!(self.wake_at > now, "an answer is waited for");
    }

    fn next_request(&mut self, now: Millis) -> u64 {
        self.request += 1;
        self.attempt = self.attempt.saturating_add(1);
        self.wake_at = now.after(self.config.request_timeout);
        assert!(self.request > 0 && self.attempt > 0, "requests and attempts count from 1");
        assert_ne!(self.phase, Phase::Resting, "who asks waits for an answer");
        self.request
    }

    fn answered(&mut self, now: Millis) {
        match self.phase {
            Phase::Asking => {
                self.phase = Phase::Committing;
                self.wake_at = now.after(self.config.request_timeout);
                self.output = Some(Output::Commit);
            }
            Phase::Acking => self.done(now),
            Phase::Resting | Phase::Committing => unreachable!("nothing was asked"),
        }
        assert_ne!(self.phase, Phase::Acking, "what is acknowledged is done");
    }

    fn committed(&mut self, now: Millis, standing: Standing) {
        assert_eq!(self.phase, Phase::Committing, "a commit ends once");
        assert!(self.output.is_none(), "a commit was asked for before");
        let last = self.last.replace(standing);
        let before = last.map_or(0, |last| last.cursor);
        if standing.restarted {
            // Once at once; a cloud that says so again has a wait before the next question.
            if last.is_some_and(|last| last.restarted) {
                return self.fail(now, None);
            }
            return self.ask_on(now);
        }
        let behind = standing.cursor < standing.head;
        if behind && !standing.unreadable {
            // An answer to another question, such as one that came twice, leads no further.
            let further = standing.cursor > before || last.is_none_or(|last| last.restarted);
            return if further { self.ask_on(now) } else { self.fail(now, None) };
        }
        if standing.cursor > standing.acked {
            return self.acknowledge(now);
        }
        self.done(now);
    }

    fn ask_on(&mut self, now: Millis) {
        assert_eq!(self.phase, Phase::Committing, "who goes on has committed");
        self.backoff.reset();
        self.phase = Phase::Resting;
        self.ask(now);
    }

    /// The end of the inbox, or of what this program can read of it.
    fn done(&mut self, now: Millis) {
        assert_ne!(self.phase, Phase::Resting, "only what was begun is done");
        assert_ne!(self.phase, Phase::Asking, "a question is not the end");
        self.backoff.reset();
        self.attempt = 0;
        // The wait is spread over its second half: tills that started together part.
        let half = self.config.idle_greeting.0 / 2;
        let spread = self.backoff.spread(half.max(1));
        assert!(half + spread <= self.config.idle_greeting.0, "it asks as often as it should");
        self.rest(now, Millis(half + spread));
    }

    fn fail(&mut self, now: Millis, fault: Option<Fault>) {
        assert_ne!(self.phase, Phase::Resting, "only what is under way can fail");
        let wait = self.backoff.next_wait();
        let wait = match fault {
            Some(Fault::RateLimited(Some(after))) => {
                wait.max(after.min(self.config.retry_after_cap))
            }
            Some(Fault::Denied(_) | Fault::Rejected) => wait.max(self.config.quarantine_probe),
            Some(
                Fault::Transport
                | Fault::Untrusted(_)
                | Fault::Server
                | Fault::TooLarge
                | Fault::RateLimited(None),
            )
            | None => wait,
        };
        assert!(wait > Millis::ZERO, "who has failed waits");
        assert!(wait <= self.longest_wait(), "no failure makes it wait for ever");
        self.rest(now, wait);
    }

    fn rest(&mut self, now: Millis, wait: Millis) {
        self.phase = Phase::Resting;
        self.wake_at = now.after(wait);
        self.output = None;
        assert!(self.wake_at >= now, "nobody wakes in the past");
        if self.nudged {
            self.ask(now);
        }
        assert!(!self.nudged, "a question that was announced is asked");
    }
}
