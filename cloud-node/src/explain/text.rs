//! A story for people: what is held, what happened, what is not known.

use std::fmt::Write as _;

use counterfoil_protocol::wire::explain::{CloudStory, OtherEvent};

use super::steps::state;
use super::utc;

/// Returns the facts that there are, each with its name.
#[must_use]
pub fn facts(story: &CloudStory) -> Vec<(&'static str, String)> {
    let key = &story.event;
    let mut facts = vec![
        ("event", format!("{}/{}/{}", key.terminal_id, key.pos_id, key.local_event_id)),
        ("at", format!("shop {}, branch {}", story.shop_id, story.branch_id)),
    ];
    let mut fact = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    fact("kind", story.kind.clone());
    let code = story.code.map_or_else(String::new, |code| format!(", {code}"));
    fact("state", Some(format!("{}{code}", state(story.state))));
    fact("made at", story.at_ms.map(utc));
    fact("receipt", story.receipt.clone());
    fact("reference", Some(story.reference.clone()).filter(|text| !text.is_empty()));
    let amount = story.total_minor.zip(story.currency.as_ref());
    fact("total", amount.map(|(minor, currency)| format!("{minor} minor units, {currency}")));
    fact("register session", story.session_id.map(|id| id.to_string()));
    fact("customer", story.customer_id.map(|id| id.to_string()));
    fact("payload", Some(story.payload_hash.to_string()));
    fact("server id", story.server_id.map(|id| id.0.to_string()));
    fact("order", story.order_id.clone());
    fact("received", story.received_ms.map(utc));
    if let Some(place) = &story.journal {
        let held = if place.holds { "holds it" } else { "has other bytes there: run the check" };
        let (seq, segment) = (place.seq, place.segment);
        let text = format!("entry {seq} of history {}, segment {segment}: {held}", place.epoch);
        fact("journal", Some(text));
        fact("chain", place.chain_hash.map(|hash| hash.to_string()));
    }
    fact("waits since", story.waiting_since_ms.map(utc));
    fact("takes back", story.original.as_ref().map(named));
    for (name, others) in [("in place of", &story.corrects), ("taken back by", &story.refunds)] {
        others.iter().for_each(|other| fact(name, Some(named(other))));
    }
    fact("replaced by", story.withdrawn_by.as_ref().map(named));
    for movement in &story.movements {
        let text = format!("{} thousandths of {}", movement.delta_milli, movement.product_id);
        fact("moved", Some(text));
    }
    for relayed in &story.relayed {
        let text = format!("{} at place {} of the inbox", relayed.product_id, relayed.place);
        fact("told to the branch", Some(text));
    }
    facts
}

/// Returns what happened, line by line, and what is not known.
#[must_use]
pub fn way(story: &CloudStory) -> String {
    let mut text = String::new();
    for step in &story.steps {
        let _infallible = writeln!(text, "{}  {}", utc(step.at_ms), step.text);
    }
    for unknown in &story.unknown {
        let _infallible = writeln!(text, "not known: {unknown}");
    }
    text
}

fn named(other: &OtherEvent) -> String {
    let key = &other.event;
    let stands = other.state.map_or("has not come", state);
    format!("{}/{}/{}: {stands}", key.terminal_id, key.pos_id, key.local_event_id)
}
