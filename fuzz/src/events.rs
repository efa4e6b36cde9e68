//! Events: what is hashed and chained has one form only.

use counterfoil_protocol::event::{EVENT_BYTES_MAX, Event, LINES_MAX};
use counterfoil_protocol::wire::event::EventAny;

use crate::again;
use crate::memory::bounded;

/// Eight times what the longest event has.
const MEMORY_MAX: usize = 8 * EVENT_BYTES_MAX;

/// Reads canonical bytes, and JSON.
///
/// # Panics
/// If a law does not hold.
pub fn check(bytes: &[u8]) {
    bounded(MEMORY_MAX, || {
        if let Ok(event) = Event::from_canonical(bytes) {
            assert_eq!(event.canonical(), bytes, "an event has one form only");
            sound(&event);
        }
        if let Some(wire) = again::json::<EventAny>(bytes)
            && let Ok(event) = wire.parse()
        {
            sound(&event);
        }
    });
}

/// Holds an event to what is said of every event.
pub(crate) fn sound(event: &Event) {
    let canonical = event.canonical();
    assert!(canonical.len() <= EVENT_BYTES_MAX, "an event is bounded");
    assert_eq!(Event::from_canonical(&canonical).as_ref(), Ok(event), "canonical bytes are read");
    let parsed = EventAny::from_event(event).parse();
    assert_eq!(parsed.as_ref(), Ok(event), "its wire form says the same");
    assert!(event.movements().count() <= LINES_MAX, "what it moves is bounded");
    let _figures = event.figures();
    assert_eq!(event.hashed().1, canonical, "what is hashed are the canonical bytes");
}
