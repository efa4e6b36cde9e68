//! The end of a story as a Mermaid sequence diagram: short enough to paste into an issue.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Lane, Story, What};

/// The most characters of a step's text: a diagram is read, not searched.
const TEXT_MAX: usize = 80;

/// Returns the last `steps` steps. A message whose arrival is not among them ends in a cross.
#[must_use]
pub fn end(story: &Story, steps: usize) -> String {
    let from = story.steps().len().saturating_sub(steps);
    let last: Vec<_> = story.steps().skip(from).collect();
    let lanes: BTreeSet<Lane> = last.iter().map(|step| step.lane).collect();
    let mut out = String::from("sequenceDiagram\n");
    for lane in &lanes {
        let _ = writeln!(out, "    participant {} as {lane}", name(*lane));
    }
    let (mut senders, mut arrived) = (BTreeMap::new(), BTreeSet::new());
    for step in &last {
        if let What::Send(message) = step.what {
            senders.insert(message, step.lane);
        }
        if let What::Receive(message) = step.what {
            arrived.insert(message);
        }
    }
    for step in &last {
        let (here, text) = (name(step.lane), told(&step.text));
        let _ = match step.what {
            What::Send(message) if arrived.contains(&message) => continue,
            What::Send(_) => writeln!(out, "    {here}-x{here}: {text} (does not arrive)"),
            What::Receive(message) => match senders.get(&message) {
                Some(sender) => writeln!(out, "    {}->>{here}: {text}", name(*sender)),
                None => writeln!(out, "    Note over {here}: hears {text}"),
            },
            What::Crash => writeln!(out, "    Note over {here}: CRASH {text}"),
            What::Violation => writeln!(out, "    Note over {here}: VIOLATION {text}"),
            What::Commit | What::Start | What::Fault | What::Note => {
                writeln!(out, "    Note over {here}: {text}")
            }
        };
    }
    out
}

fn name(lane: Lane) -> String {
    lane.to_string().replace('-', "")
}

/// Mermaid has no way to escape these.
fn told(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            ';' | '#' | '<' | '>' | '"' => ' ',
            '\n' => '/',
            other => other,
        })
        .take(TEXT_MAX)
        .collect();
    if plain.chars().count() < text.chars().count() { format!("{plain}...") } else { plain }
}

#[cfg(test)]
mod tests {
    use super::super::tests::short;

    #[test]
    fn the_end_of_a_story_is_a_diagram() {
        insta::assert_snapshot!(super::end(&short(), 7), @r"
        sequenceDiagram
            participant world as world
            participant cloud as cloud
            participant till0 as till-0
            Note over world: partition  both   /script  ways
            till0->>cloud: push 1 of till-0
            Note over cloud: cloud.push: created s-1
            cloud-xcloud: answer to push 1 (does not arrive)
            Note over cloud: CRASH goes down for 20 ms
            Note over cloud: VIOLATION ZeroLoss: expected 1 sale, found 0
        ");
    }
}
