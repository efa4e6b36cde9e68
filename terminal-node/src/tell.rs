//! What the log says of single events: with the names of S4.14, and no word of what was sold.

use counterfoil_protocol::event::Event;
use counterfoil_protocol::identity::TerminalId;
use counterfoil_protocol::terminal::Identity;
use counterfoil_protocol::wire::message::{Push, PushAnswer, Verdict};
use tracing::Level;

/// Returns the span in which a till does everything: each of its lines says whose it is.
pub(crate) fn span(identity: &Identity) -> tracing::Span {
    let Identity { terminal, branch, .. } = identity;
    tracing::info_span!("till", terminalId = %terminal, branchId = %branch)
}

/// Says what became of the events of a push: what failed always, what was posted to who asks for
/// it (`COUNTERFOIL_LOG=debug`).
pub(crate) fn answered(terminal: TerminalId, push: &Push, answer: &PushAnswer, attempt: u32) {
    for result in &answer.results {
        let (code, said) = match result.verdict {
            Verdict::Created(_) | Verdict::Existing(_) | Verdict::Edited(_) => {
                if tracing::enabled!(Level::DEBUG) {
                    let event = name(terminal, push, result.seq);
                    tracing::debug!(eventId = event, syncAttempt = attempt, "posted");
                }
                continue;
            }
            Verdict::Parked(code) => (code, "the cloud has put an event aside"),
            Verdict::Refused(code) => (code, "the cloud has refused an event"),
        };
        let (event, code) = (name(terminal, push, result.seq), code.as_str());
        tracing::info!(eventId = event, syncAttempt = attempt, errorCode = code, "{said}");
    }
}

/// Returns the name of an event of a push, as the cloud's log has it.
fn name(terminal: TerminalId, push: &Push, seq: u64) -> Option<String> {
    let at = push.items.binary_search_by_key(&seq, |item| item.seq).ok()?;
    let event = Event::from_canonical(&push.items[at].payload).ok()?;
    Some(event.key(terminal).to_string())
}
