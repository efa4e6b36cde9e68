//! The inbox: pages of inventory events, and acknowledgements.

use counterfoil_protocol::inbox::{INBOX_EVENT_BYTES_MAX, InboxEvent};
use counterfoil_protocol::wire::inbox::{
    Ack, AckAnswer, PENDING_BYTES_MAX, PENDING_EVENTS_MAX, PendingAnswer,
};

use crate::again;
use crate::memory::bounded;
use crate::messages::MEMORY_MAX;

/// Reads pages, acknowledgements, and the canonical bytes of an inventory event.
///
/// # Panics
/// If a law does not hold.
pub fn check(bytes: &[u8]) {
    bounded(MEMORY_MAX, || {
        let answer = again::frame(bytes, PendingAnswer::decode, PendingAnswer::encode);
        if let Some(PendingAnswer::Page(page)) = answer {
            assert!(page.events.len() <= PENDING_EVENTS_MAX, "a page is bounded");
            for event in &page.events {
                assert!(event.content.len() <= PENDING_BYTES_MAX, "so is each of its events");
                of_event(&event.content);
            }
        }
        again::frame(bytes, Ack::decode, Ack::encode);
        again::frame(bytes, AckAnswer::decode, AckAnswer::encode);
        of_event(bytes);
    });
}

fn of_event(bytes: &[u8]) {
    if let Ok(event) = InboxEvent::from_canonical(bytes) {
        assert_eq!(event.canonical(), bytes, "an inventory event has one form only");
        assert!(bytes.len() <= INBOX_EVENT_BYTES_MAX, "and is bounded");
    }
}
