//! The log that ShiViz draws: each step with its vector clock.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Lane, Story, What};

/// How ShiViz takes the log apart: paste it into "parsing regular expression".
pub const PATTERN: &str = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)";

type Clock = BTreeMap<Lane, u64>;

/// Returns the story as two lines for each step: the host and its clock, then what happened.
#[must_use]
pub fn log(story: &Story) -> String {
    let mut clocks: BTreeMap<Lane, Clock> = BTreeMap::new();
    let mut sent: BTreeMap<u64, Clock> = BTreeMap::new();
    let mut out = String::new();
    for step in story.steps() {
        let clock = clocks.entry(step.lane).or_default();
        if let What::Receive(message) = step.what {
            // One whose departure was dropped with the oldest steps has no past.
            for (lane, time) in sent.get(&message).into_iter().flatten() {
                let known = clock.entry(*lane).or_default();
                *known = (*known).max(*time);
            }
        }
        *clock.entry(step.lane).or_default() += 1;
        if let What::Send(message) = step.what {
            sent.insert(message, clock.clone());
        }
        let times: Vec<_> = clock.iter().map(|(lane, time)| format!("\"{lane}\":{time}")).collect();
        let text = step.text.replace('\n', " / ");
        let _ =
            writeln!(out, "{} {{{}}}\n{} ms: {text}", step.lane, times.join(", "), ms(step.at_us));
    }
    out
}

fn ms(us: u64) -> String {
    format!("{}.{:03}", us / 1_000, us % 1_000)
}

#[cfg(test)]
mod tests {
    use super::super::tests::short;

    #[test]
    fn what_a_message_knew_its_receiver_knows() {
        let log = super::log(&short());
        let lines: Vec<_> = log.lines().collect();
        assert_eq!(lines.len(), 2 * short().steps().len());
        assert_eq!(lines[0], r#"till-0 {"till-0":1}"#);
        assert_eq!(lines[6], r#"cloud {"cloud":1, "till-0":2}"#);
        assert_eq!(lines[7], "0.520 ms: push 1 of till-0");
        assert_eq!(lines[4], r#"world {"world":1}"#, "whoever hears of nothing knows nothing");
    }
}
