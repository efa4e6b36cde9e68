//! The cloud's side in words.

use std::fmt::Write as _;

use counterfoil_protocol::wire::explain::{CloudState, CloudStory, OtherEvent};

use super::super::utc;
use super::{Agreement, CloudSide, Heard};

impl CloudSide {
    /// Returns the cloud's side for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let _infallible = writeln!(text, "{name:<12}{value}");
        };
        match self.heard {
            Heard::Told => {}
            Heard::Nothing => line("cloud", "has nothing of this name from this till"),
            Heard::NotNow => {
                let why = self.explanation.as_deref().unwrap_or("it was not asked");
                line("cloud", &format!("its side is not known now: {why}"));
                let last = self.last_heard_ms.map_or_else(|| "not noted".to_owned(), utc);
                line("last heard", &last);
            }
        }
        if let Some(story) = &self.story {
            facts(story, &mut line);
        }
        if let Some(agreement) = self.agreement {
            line("both sides", word(agreement));
        }
        for remark in &self.remarks {
            line("", remark);
        }
        let Some(story) = &self.story else { return text };
        text.push('\n');
        for step in &story.steps {
            let _infallible = writeln!(text, "{}  {}", utc(step.at_ms), step.text);
        }
        for unknown in &story.unknown {
            let _infallible = writeln!(text, "not known in the cloud: {unknown}");
        }
        text
    }
}

fn facts(story: &CloudStory, line: &mut impl FnMut(&str, &str)) {
    let code = story.code.map_or_else(String::new, |code| format!(", {code}"));
    line("cloud", &format!("{}{code}", state(story.state)));
    if let Some(id) = story.server_id {
        line("posted as", &id.0.to_string());
    }
    if let Some(order) = &story.order_id {
        line("order", order);
    }
    if let Some(at) = story.received_ms {
        line("received", &format!("{} (the cloud's time)", utc(at)));
    }
    if let Some(place) = &story.journal {
        let held = if place.holds { "" } else { ", which has other bytes there" };
        let text = format!("history {}, entry {}{held}", place.epoch, place.seq);
        line("stands at", &text);
    }
    for (name, other) in [("takes back", &story.original), ("replaced by", &story.withdrawn_by)] {
        if let Some(other) = other {
            line(name, &named(other));
        }
    }
    for (name, others) in [("in place of", &story.corrects), ("taken back", &story.refunds)] {
        others.iter().for_each(|other| line(name, &named(other)));
    }
}

fn named(other: &OtherEvent) -> String {
    let stands = other.state.map_or("has not come", state);
    format!("{} of {}: {stands}", other.event.local_event_id, other.event.terminal_id)
}

const fn word(agreement: Agreement) -> &'static str {
    match agreement {
        Agreement::Same => "tell the same",
        Agreement::TillBehind => "differ: the cloud knows more",
        Agreement::CloudBehind => "differ: this till knows more",
        Agreement::Contradiction => "contradict each other",
    }
}

const fn state(state: CloudState) -> &'static str {
    match state {
        CloudState::Posted => "posted: it counts",
        CloudState::Waits => "kept, and does not count yet",
        CloudState::Rejected => "rejected by a person: it never counts",
        CloudState::Refused => "refused: it never counts",
        CloudState::Withdrawn => "withdrawn: another counts in its place",
    }
}
