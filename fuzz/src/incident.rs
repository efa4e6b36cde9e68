//! The bundle of an incident, as the simulator reads it.

use counterfoil_sim::incident::{FILLED_MAX, HISTORIES_MAX, Incident};

use crate::memory::bounded;
use crate::messages::MEMORY_MAX;

/// Reads a bundle.
///
/// # Panics
/// If a law does not hold.
pub fn check(bytes: &[u8]) {
    bounded(MEMORY_MAX, || {
        let Ok(incident) = Incident::read(bytes) else { return };
        assert!(Incident::is_meant(bytes), "what is read is meant to be a bundle");
        let current = incident.histories.last().expect("a bundle has a current history");
        assert!(incident.acked <= current.head, "no more is answered than there is");
        assert!(current.epoch.number <= HISTORIES_MAX, "histories are bounded");
        assert!(incident.first_history() < incident.histories.len(), "the story begins somewhere");
        assert!(incident.left_out() <= FILLED_MAX, "what is to be filled in is bounded");
        for place in incident.entries.keys().chain(incident.queue.keys()) {
            assert!(incident.history(place.epoch).is_some(), "an entry is of a known history");
        }
    });
}
