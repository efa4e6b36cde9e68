//! When a till asks for its catalog: a second volatile machine beside the [`Session`], so that news
//! of the catalog never wait for sales, nor sales for them.
//!
//! It asks at the start, when a person wants it, when the link is back, and every so often (S1.2),
//! unless the cloud has just said beside a greeting where its catalog ends, and the till is there;
//! then on and on, until a delta ends with the proof that the catalog is the cloud's, and all edits
//! of this till that may be in it have been asked for. The driver's
//! loop is that of the session: `handle_input`, `poll_output` until `None`, sleep until `wake_at`.
//!
//! Whatever fails backs off with full jitter, and so does a catalog that comes no further: a cloud
//! whose own sums are wrong costs a snapshot now and then, and not one after the other.
//!
//! [`Session`]: super::Session

use super::backoff::Backoff;
use super::heed::Heed;
use super::{Config, Fault, Nudge};
use crate::terminal::catalog::{Standing, Wanted};
use crate::time::Millis;

/// Follows the cloud's catalog.
#[derive(Clone, Debug)]
pub struct Follower {
    config: Config,
    backoff: Backoff,
    phase: Phase,
    wake_at: Millis,
    /// A question was announced while something was under way.
    nudged: bool,
    /// The cloud asked to slow down, or does not listen: only a person shortens this wait.
    slowed: bool,
    request: u64,
    attempt: u32,
    /// How often in a row it has not asked, because the cloud had said that nothing is new.
    heed: Heed,
    last: Option<Standing>,
    output: Option<Output>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The time that [`Follower::wake_at`] named has come.
    Wake,
    /// There may be news.
    Nudge(Nudge),
    /// The cloud has said beside something else where its catalog ends: whether that is where this
    /// till's is ([`crate::terminal::heads`]).
    Heads(bool),
    /// The question with this number was answered, and the driver holds the answer.
    Answered(u64, Result<(), Fault>),
    /// The answer is committed; none if this program cannot read it.
    Committed(Option<Standing>),
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask the cloud for what the till's rows say is wanted next, with this number.
    Ask(u64),
    /// Commit the answer, and report [`Input::Committed`].
    Commit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Resting,
    Asking,
    Committing,
}

impl Follower {
    /// Starts. `seed` makes its jitter, and nothing else.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Millis) -> Self {
        assert!(config.request_timeout > Millis::ZERO, "an answer may take some time");
        assert!(config.idle_greeting > Millis::ZERO, "an idle till rests");
        let backoff = Backoff::new(config.backoff_base, config.backoff_cap, seed);
        Self {
            config,
            backoff,
            phase: Phase::Resting,
            wake_at: now,
            nudged: false,
            slowed: false,
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
            (Input::Wake, Phase::Asking | Phase::Committing) if now >= self.wake_at => {
                self.fail(now, None);
            }
            (Input::Wake, _) => {}
            (Input::Nudge(Nudge::Recorded), _) => {}
            (Input::Nudge(Nudge::LinkUp), Phase::Resting) if self.slowed => {}
            (Input::Nudge(Nudge::Manual | Nudge::LinkUp), Phase::Resting) => self.ask(now),
            (Input::Nudge(Nudge::Manual | Nudge::LinkUp), _) => self.nudged = true,
            (Input::Heads(same), Phase::Resting) => self.heads(now, same),
            // What is under way will tell.
            (Input::Heads(_), _) => {}
            (Input::Answered(request, answer), Phase::Asking) if request == self.request => {
                match answer {
                    Ok(()) => {
                        self.phase = Phase::Committing;
                        self.wake_at = now.after(self.config.request_timeout);
                        self.output = Some(Output::Commit);
                    }
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
        assert!(self.request > 0 || self.phase == Phase::Resting, "questions count from 1");
        assert!(self.request - asked <= 1, "one input asks one question at most");
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

    /// Returns what to do next, until there is nothing.
    pub const fn poll_output(&mut self) -> Option<Output> {
        self.output.take()
    }

    /// Returns how the catalog stood after the last commit.
    #[must_use]
    pub const fn standing(&self) -> Option<Standing> {
        self.last
    }

    /// Returns when to wake it, whatever else happens.
    #[must_use]
    pub const fn wake_at(&self) -> Millis {
        self.wake_at
    }

    /// Returns how many questions were asked since the catalog was last proven.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    fn ask(&mut self, now: Millis) {
        assert_eq!(self.phase, Phase::Resting, "one question at a time");
        (self.nudged, self.slowed) = (false, false);
        self.request += 1;
        self.heed = Heed::default();
        self.attempt = self.attempt.saturating_add(1);
        self.phase = Phase::Asking;
        self.wake_at = now.after(self.config.request_timeout);
        self.output = Some(Output::Ask(self.request));
        assert!(self.wake_at > now, "an answer is waited for");
    }

    /// A till that stands where the cloud does rests on; one that does not asks at once. Who waits
    /// for another reason goes on waiting.
    fn heads(&mut self, now: Millis, same: bool) {
        assert_eq!(self.phase, Phase::Resting, "who is asking hears it from the answer");
        let settled = self.attempt == 0 && self.last.is_some_and(|last| last.proven);
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
        if matches!(fault, Some(Fault::RateLimited(_) | Fault::Denied(_))) {
            // The cloud has answered what was announced, and has asked for this wait.
            (self.nudged, self.slowed) = (false, true);
        }
        assert!(wait > Millis::ZERO, "what has failed is not tried again at once");
        assert!(wait <= self.longest_wait(), "no failure makes it wait for ever");
        self.rest(now, wait);
    }

    fn committed(&mut self, now: Millis, standing: Option<Standing>) {
        assert_eq!(self.phase, Phase::Committing, "a commit ends once");
        let Some(standing) = standing else {
            // Only an update of this program helps.
            return self.rest(now, self.config.idle_greeting);
        };
        let further = self.last.is_none_or(|last| is_further(last, standing));
        self.last = Some(standing);
        if standing.proven && standing.more_edits {
            self.backoff.reset();
            (self.phase, self.attempt) = (Phase::Resting, 0);
            self.ask(now);
        } else if standing.proven {
            self.backoff.reset();
            self.attempt = 0;
            // The wait is spread over its second half: tills that started together part.
            let half = self.config.idle_greeting.0 / 2;
            let spread = self.backoff.spread(half.max(1));
            assert!(half + spread <= self.config.idle_greeting.0, "it asks as often as it should");
            self.rest(now, Millis(half + spread));
        } else if further {
            self.backoff.reset();
            self.phase = Phase::Resting;
            self.ask(now);
        } else {
            self.fail(now, None);
        }
    }

    fn rest(&mut self, now: Millis, wait: Millis) {
        self.phase = Phase::Resting;
        self.wake_at = now.after(wait);
        self.output = None;
        assert!(self.wake_at >= now, "nobody is woken in the past");
        if self.nudged {
            self.ask(now);
        }
        assert!(!self.nudged, "a question that was announced is asked");
    }
}

/// Returns whether the till has come nearer to the cloud's catalog. A snapshot that begins again is
/// a step back, so that two of them have a wait between them.
fn is_further(last: Standing, now: Standing) -> bool {
    match (last.wanted, now.wanted) {
        (Wanted::Delta(before), Wanted::Delta(after)) => after > before,
        (Wanted::Snapshot { after: before, .. }, Wanted::Snapshot { after, .. }) => after > before,
        (Wanted::Snapshot { .. }, Wanted::Delta(_)) => true,
        (Wanted::Delta(_), Wanted::Snapshot { .. }) => false,
    }
}
