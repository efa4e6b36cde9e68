//! What happened in a run, told for people: who did what, and which message led to what.
//!
//! A [`Story`] is kept only when somebody asks for it, and never shows in a digest. It is printed
//! line by line ([`Story::lines`]), drawn as a space-time diagram that needs nothing but a browser
//! ([`html::page`]), handed to [ShiViz](https://bestchai.bitbucket.io/shiviz/) with vector clocks
//! ([`shiviz::log`]), or cut down to its end for an issue ([`mermaid::end`]).

pub mod html;
pub mod mermaid;
pub mod shiviz;

use std::fmt;

/// The most steps that are kept: those before are dropped, and their number is told.
pub const STEPS_MAX: usize = 200_000;

/// Whose step it is: a column of the diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Nobody's: faults, and the end of all faults.
    World,
    /// The cloud's.
    Cloud,
    /// A till's, by its number.
    Till(u32),
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => f.write_str("world"),
            Self::Cloud => f.write_str("cloud"),
            Self::Till(number) => write!(f, "till-{number}"),
        }
    }
}

/// What kind of step it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A message leaves. It is known by this number until it arrives, if it does.
    Send(u64),
    /// The message arrives. One that was duplicated arrives more than once.
    Receive(u64),
    /// A transaction is durable.
    Commit,
    /// The node goes down.
    Crash,
    /// The node comes up.
    Start,
    /// A fault of the plan.
    Fault,
    /// A law is broken: the step that the diagram is drawn for.
    Violation,
    /// Anything else.
    Note,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, in microseconds since the start.
    pub at_us: u64,
    /// Whose.
    pub lane: Lane,
    /// What kind.
    pub what: What,
    /// In words.
    pub text: String,
}

/// What happened, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    steps: std::collections::VecDeque<Step>,
    dropped: u64,
    messages: u64,
}

impl Story {
    /// Adds a step. Beyond [`STEPS_MAX`] the oldest goes.
    pub fn add(&mut self, step: Step) {
        if self.steps.len() == STEPS_MAX {
            self.steps.pop_front();
            self.dropped += 1;
        }
        self.steps.push_back(step);
    }

    /// Returns a number for a message that is about to leave.
    pub fn message(&mut self) -> u64 {
        self.messages += 1;
        self.messages
    }

    /// Returns the steps that were kept.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> + ExactSizeIterator {
        self.steps.iter()
    }

    /// Returns how many steps before them were not.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns every lane that has a step, in order.
    #[must_use]
    pub fn lanes(&self) -> Vec<Lane> {
        let lanes: std::collections::BTreeSet<Lane> =
            self.steps.iter().map(|step| step.lane).collect();
        lanes.into_iter().collect()
    }

    /// Returns the steps as lines: time, who, what.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.steps.iter().map(|step| {
            let (ms, us) = (step.at_us / 1_000, step.at_us % 1_000);
            let mark = match step.what {
                What::Send(_) => "->",
                What::Receive(_) => "<-",
                What::Commit => "##",
                What::Crash => "xx",
                What::Start => "^^",
                What::Fault => "!!",
                What::Violation => "**",
                What::Note => "  ",
            };
            format!("{ms:>9}.{us:03} ms  {:<8} {mark} {}", step.lane.to_string(), step.text)
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A till sends, the cloud takes it in and answers; the answer is lost.
    pub(crate) fn short() -> Story {
        let mut story = Story::default();
        let (asked, answered) = (story.message(), story.message());
        let steps = [
            (10, Lane::Till(0), What::Commit, "till.record: sale s-1"),
            (20, Lane::Till(0), What::Send(asked), "push 1: entry 1"),
            (400, Lane::World, What::Fault, "partition \"both\" </script> ways"),
            (520, Lane::Cloud, What::Receive(asked), "push 1 of till-0"),
            (521, Lane::Cloud, What::Commit, "cloud.push: created s-1"),
            (522, Lane::Cloud, What::Send(answered), "answer to push 1"),
            (900, Lane::Cloud, What::Crash, "goes down for 20 ms"),
            (901, Lane::Cloud, What::Violation, "ZeroLoss: expected 1 sale, found 0"),
        ];
        for (at_us, lane, what, text) in steps {
            story.add(Step { at_us, lane, what, text: text.to_owned() });
        }
        story
    }

    #[test]
    fn a_line_says_when_who_and_what() {
        let lines: Vec<_> = short().lines().collect();
        assert_eq!(lines[0], "        0.010 ms  till-0   ## till.record: sale s-1");
        assert_eq!(lines[3], "        0.520 ms  cloud    <- push 1 of till-0");
        assert_eq!(short().lanes(), [Lane::World, Lane::Cloud, Lane::Till(0)]);
    }

    #[test]
    fn the_oldest_steps_go_and_are_counted() {
        let mut story = Story::default();
        for at_us in 0..STEPS_MAX as u64 + 3 {
            story.add(Step { at_us, lane: Lane::World, what: What::Note, text: String::new() });
        }
        assert_eq!((story.steps().len(), story.dropped()), (STEPS_MAX, 3));
        assert_eq!(story.steps().next().map(|step| step.at_us), Some(3));
    }
}
