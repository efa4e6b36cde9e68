//! In which state an entry is: queued, synced, in need of attention, or replaced by a correction.

use std::sync::Arc;

use counterfoil_protocol::terminal;
use counterfoil_protocol::terminal::row::{Entry, Meta, State};

use super::TillRows;

/// Returns in how many of the durable states an entry is, of which the queue and the list of
/// what needs attention say so much. In flight is volatile: an entry that is in flight is queued on
/// disk.
pub(super) fn states(
    meta: &Meta,
    terminal::Place { epoch, seq }: terminal::Place,
    entry: &Entry,
    waits: bool,
    attention: bool,
) -> usize {
    if matches!(entry.state, State::Replaced(_)) {
        // It has left the queue for good, or until a person lets it count after all.
        return 1 + usize::from(waits) + usize::from(attention);
    }
    let settled_to = if epoch == meta.epoch {
        meta.acked
    } else {
        let closed = meta.closed.iter().find(|closed| closed.epoch == epoch);
        // A history that the till has forgotten is in no greeting: a cloud that lost its entries
        // would never ask for them again, so they are in no state at all.
        let Some(closed) = closed else { return 0 };
        closed.kept
    };
    // Above that mark every entry will be offered (again), whatever else is noted of it.
    let offered = seq > settled_to;
    let synced = matches!(entry.state, State::Synced(_)) && !offered;
    let queued = waits || (offered && !attention);
    usize::from(queued) + usize::from(synced) + usize::from(attention)
}

/// Returns in how many of them the entry at a place is.
pub(super) fn states_at(rows: &TillRows, meta: &Meta, place: terminal::Place) -> usize {
    let (epoch, seq) = (place.epoch, place.seq);
    let Some(terminal::Record::Entry(entry)) =
        rows.get(&terminal::Key::Entry(epoch, seq)).map(Arc::as_ref)
    else {
        return 0;
    };
    let waits = rows.contains_key(&terminal::Key::Queue(epoch, seq));
    let attention = rows.contains_key(&terminal::Key::Attention(epoch, seq));
    states(meta, place, entry, waits, attention)
}
