//! Reports of register sessions.

use counterfoil_protocol::wire::session::{CLOSINGS_MAX, LATE_MAX, SessionReport};

use crate::again;
use crate::memory::bounded;
use crate::messages::MEMORY_MAX;

/// Reads a report.
///
/// # Panics
/// If a law does not hold.
pub fn check(bytes: &[u8]) {
    bounded(MEMORY_MAX, || {
        let report = again::frame(bytes, SessionReport::decode, SessionReport::encode);
        if let Some(report) = report {
            assert!(report.closings.len() <= CLOSINGS_MAX, "a report is bounded");
            assert!(report.late.last.len() <= LATE_MAX, "in what came late too");
            let written = serde_json::to_vec(&report).expect("a report has a form in JSON");
            assert_eq!(again::json(&written), Some(report), "both forms mean the same");
        }
    });
}
