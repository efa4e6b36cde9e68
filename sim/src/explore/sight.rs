//! What was really reached: a law that always holds says little where nothing interesting happens.

use std::sync::Arc;

use counterfoil_protocol::cloud::{self, Cloud};
use counterfoil_protocol::terminal;
use counterfoil_protocol::terminal::row::State;
use counterfoil_storage::memory::Image;

use super::law;
use super::part::Device;

/// What can be seen in some state of some configuration.
pub const SIGHTS: [&str; 8] = [
    "all sales synced",
    "a new history",
    "an entry carried over",
    "an answered entry offered again",
    "needs attention",
    "a fork named",
    "a second content kept",
    "stock rolled up",
];

/// Returns what is seen on a till's disk, a bit for each of [`SIGHTS`].
pub(super) fn of_device(device: &Device) -> u8 {
    let Some(meta) = law::meta(&device.image) else { return 0 };
    let owed = &device.owed.sales;
    let synced = !owed.is_empty() && owed.keys().all(|fact| device.synced.contains(fact));
    let (mut carried, mut again, mut attention) = (false, false, false);
    for (key, record) in device.image.rows() {
        match (key, Arc::as_ref(record)) {
            (terminal::Key::Entry(epoch, seq), terminal::Record::Entry(entry)) => {
                carried |= matches!(entry.state, State::Moved(_));
                let answered = matches!(entry.state, State::Synced(_));
                again |= answered && *seq > law::settled_to(meta, *epoch);
            }
            (terminal::Key::Attention(..), _) => attention = true,
            _ => {}
        }
    }
    bits(0, &[synced, meta.epoch.number > 1, carried, again, attention])
}

/// Returns what is seen on the cloud's disk.
pub(super) fn of_cloud(image: &Image<Cloud>) -> u8 {
    let has = |wanted: fn(&cloud::Key) -> bool| image.rows().keys().any(wanted);
    let fork = has(|key| matches!(key, cloud::Key::Fork(..)));
    let conflict = has(|key| matches!(key, cloud::Key::Conflict(..)));
    let rolled = has(|key| matches!(key, cloud::Key::Stock(..)));
    bits(5, &[fork, conflict, rolled])
}

fn bits(first: usize, seen: &[bool]) -> u8 {
    seen.iter().zip(first..).fold(0, |bits, (seen, place)| bits | u8::from(*seen) << place)
}

/// Returns the sights by name.
pub(super) fn named(bits: u8) -> Vec<&'static str> {
    let sights = SIGHTS.iter().enumerate().filter(|(place, _)| bits & (1 << place) != 0);
    sights.map(|(_, sight)| *sight).collect()
}
