//! The story in the order in which it happened, in words, and what nobody here can know.

use counterfoil_protocol::cloud::row::Ledger;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::explain::{
    CloudState, CloudStep, CloudStory, CloudWhat, OtherEvent, ToldNote,
};

use super::Viewer;

/// Puts the steps in order, and says what is not known.
pub(super) fn tell(story: &mut CloudStory, ledger: &Ledger, unknown: Vec<String>, viewer: Viewer) {
    let mut steps = Vec::new();
    let mut step = |at_ms: Millis, what, text: String| steps.push(CloudStep { at_ms, what, text });
    if let Some(at) = story.received_ms {
        step(at, CloudWhat::Received, received(story));
    }
    if let Some(by) = &story.withdrawn_by {
        let at = by.received_ms.unwrap_or(ledger.at);
        step(at, CloudWhat::Withdrawn, withdrawn(story, by));
    }
    if let Some(decision) = &story.decision {
        let word =
            if decision.accepted { "accepted: it counts" } else { "rejected: it never does" };
        step(decision.at_ms, CloudWhat::Decided, format!("{word} ({})", decision.reason));
    }
    for note in story.log.iter().flatten().filter(|note| !is_decision(story, note)) {
        step(note.at_ms, CloudWhat::Noted, noted(note));
    }
    for refund in &story.refunds {
        if let Some(at) = refund.received_ms {
            let key = &refund.event;
            let state = state(refund.state.unwrap_or(CloudState::Waits));
            let text =
                format!("{} of {} takes it back: {state}", key.local_event_id, key.terminal_id);
            step(at, CloudWhat::Refunded, text);
        }
    }
    for conflict in &story.conflicts {
        let text = format!(
            "another event came under its name, as entry {} of history {}: kept, and never counted",
            conflict.seq, conflict.epoch
        );
        step(conflict.at_ms, CloudWhat::Conflict, text);
    }
    for fork in &story.forks {
        let side = if fork.behind { "after" } else { "before" };
        let text = format!(
            "its history {} parted behind entry {}, and {} came after: this one stands {side} that",
            fork.epoch, fork.common, fork.successor
        );
        step(fork.at_ms, CloudWhat::Forked, text);
    }
    steps.sort_by_key(|step| (step.at_ms, step.what));
    story.steps = steps;
    story.unknown = not_known(story, unknown, viewer);
}

fn received(story: &CloudStory) -> String {
    let place = story.journal.as_ref().map_or_else(String::new, |place| {
        format!(" as entry {} of history {}", place.seq, place.epoch)
    });
    let became = match (story.state, story.code, &story.decision) {
        (CloudState::Posted, _, None) => ": it counts".to_owned(),
        (CloudState::Waits, Some(code), _) => format!(", and waits: {code}"),
        (CloudState::Refused, Some(code), _) => format!(", and was refused: {code}"),
        (CloudState::Posted | CloudState::Rejected, _, Some(_)) => ", and had to wait".to_owned(),
        (
            CloudState::Waits | CloudState::Refused | CloudState::Rejected | CloudState::Withdrawn,
            _,
            _,
        ) => String::new(),
    };
    format!("it came{place}{became}")
}

fn withdrawn(story: &CloudStory, by: &OtherEvent) -> String {
    let before = if story.received_ms.is_none() { ", before it had come itself" } else { "" };
    let stands = state(by.state.unwrap_or(CloudState::Waits));
    format!("the correction {} took its place{before}: {stands}", by.event.local_event_id)
}

/// A decision has its own step, with its reason.
fn is_decision(story: &CloudStory, note: &ToldNote) -> bool {
    let decided = matches!(note.action.as_str(), "parked.accept" | "parked.reject");
    decided && story.decision.as_ref().is_some_and(|decision| decision.at_ms == note.at_ms)
}

fn noted(note: &ToldNote) -> String {
    let came = match (note.action.as_str(), note.done) {
        ("parked.retry", true) => "it counts now",
        ("parked.retry", false) => "it waited on",
        (_, true) => "done",
        (_, false) => "refused",
    };
    format!("{}: {}, {came}", note.actor, note.action)
}

/// Returns what became of an event, for people.
pub(super) const fn state(state: CloudState) -> &'static str {
    match state {
        CloudState::Posted => "posted",
        CloudState::Waits => "waits",
        CloudState::Rejected => "rejected",
        CloudState::Refused => "refused",
        CloudState::Withdrawn => "withdrawn",
    }
}

fn not_known(story: &CloudStory, looked: Vec<String>, viewer: Viewer) -> Vec<String> {
    let mut unknown = vec![
        "how often it was offered, and what each offer was answered: the cloud keeps what came \
         first, and what became of it"
            .to_owned(),
    ];
    if story.received_ms.is_none() {
        unknown.push("what it says: only its name and its digest have come".to_owned());
    } else if story.kind.is_none() {
        unknown.push("what it says: its bytes are damaged, run the check".to_owned());
    }
    if story.state == CloudState::Posted && story.decision.is_none() {
        unknown.push("whether it waited before it was posted, and until when".to_owned());
    }
    if story.journal.as_ref().is_some_and(|place| !place.holds) {
        unknown
            .push("its place in the journal: the copy has other bytes there, run the check".into());
    }
    if story.terminal.is_some_and(|terminal| terminal.revoked) {
        unknown.push("what its till still has: it was turned away, and keeps its queue".to_owned());
    }
    if viewer == Viewer::Till {
        unknown.push("what operators noted of it: an operator's story has that".to_owned());
    }
    unknown.extend(looked);
    unknown
}
