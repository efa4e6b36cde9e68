//! Corrections, in the transaction that takes them in.
//!
//! > **`NoDuplicate`**: a sale and its corrections count once, all together.
//!
//! | what the correction names | the correction | what it names |
//! |---|---|---|
//! | is posted | is refused: `POS_SYNC_ORIGINAL_POSTED` | stays posted |
//! | was withdrawn by a copy's | is refused: `POS_SYNC_EVENT_WITHDRAWN` | stays withdrawn |
//! | waits, or was rejected or refused | is judged as a sale is | is withdrawn, for ever |
//! | has not come yet | is judged as a sale is | is withdrawn before it comes |
//! | has another content than the event of that name | is judged as a sale is | can never count |
//!
//! What is named is withdrawn also where the correction itself has to wait: from then on only the
//! correction, or a later one, can count.

use alloc::sync::Arc;

use super::ingest::Item;
use super::row::{Fate, Ledger};
use super::{Cloud, Key, Record};
use crate::event::{CORRECTED_MAX, Corrected, Event};
use crate::identity::{EventKey, TerminalId};
use crate::machine::{ReadSet, Rows};
use crate::problem::ErrorCode;
use crate::time::Millis;

/// Returns the key of what a correction of `terminal` names.
const fn key_of(terminal: TerminalId, event: &Event, corrected: Corrected) -> EventKey {
    EventKey { terminal, pos: event.pos(), local_id: corrected.local_id }
}

pub(super) fn reads(terminal: TerminalId, event: &Event, keys: &mut ReadSet<Key>) {
    let named = event.corrected().iter();
    assert!(named.len() <= CORRECTED_MAX, "a correction names a bounded number of events");
    keys.extend(named.map(|corrected| Key::Ledger(key_of(terminal, event, *corrected))));
}

/// Returns why a correction never counts, if it never does. Another event is never refused here.
pub(super) fn refusal(
    rows: &Rows<'_, Cloud>,
    terminal: TerminalId,
    event: &Event,
) -> Option<ErrorCode> {
    let mut rival = None;
    assert!(event.corrected().len() <= CORRECTED_MAX, "a parsed event keeps its bounds");
    for corrected in event.corrected() {
        let Some(held) = held(rows, terminal, event, *corrected) else { continue };
        match held.fate {
            Fate::Posted => return Some(ErrorCode::OriginalPosted),
            Fate::Withdrawn(by) => {
                let own = by == event.local_id()
                    || event.corrected().iter().any(|earlier| {
                        earlier.local_id == by
                            && self::held(rows, terminal, event, *earlier).is_some()
                    });
                if !own {
                    rival = Some(ErrorCode::Withdrawn);
                }
            }
            Fate::Parked(_) | Fate::Rejected | Fate::Refused(_) => {}
        }
    }
    assert!(rival.is_none() || !event.corrected().is_empty(), "only a correction has rivals");
    rival
}

/// Returns what the ledger has of an event that is named; nothing if the event of that name is
/// another.
fn held<'a>(
    rows: &'a Rows<'_, Cloud>,
    terminal: TerminalId,
    event: &Event,
    corrected: Corrected,
) -> Option<&'a Ledger> {
    assert!(event.corrected().contains(&corrected), "only what is named is looked up");
    let held = rows.ledger(key_of(terminal, event, corrected))?;
    (held.payload_hash == corrected.payload_hash).then_some(held)
}

/// Withdraws what a correction names, for ever.
pub(super) fn withdraw(rows: &mut Rows<'_, Cloud>, now: Millis, item: Item, event: &Event) {
    let Item { site, terminal, epoch, seq } = item;
    assert!(seq > 0, "a correction stands in a journal");
    let fate = Fate::Withdrawn(event.local_id());
    for corrected in event.corrected() {
        let key = key_of(terminal, event, *corrected);
        assert_ne!(key.local_id, event.local_id(), "nothing withdraws itself");
        let entry = match rows.ledger(key) {
            Some(other) if other.payload_hash != corrected.payload_hash => continue,
            Some(held) => {
                assert_ne!(held.fate, Fate::Posted, "what counts is not withdrawn");
                Ledger { fate, ..held.clone() }
            }
            // Its bytes are kept when they come.
            None => {
                let (payload_hash, payload) = (corrected.payload_hash, Arc::from([]));
                Ledger { site, payload_hash, payload, epoch, seq, at: now, fate }
            }
        };
        rows.put(Key::Ledger(key), Record::Ledger(entry));
        rows.retract(Key::Waiting(site.shop, key));
        let row = rows.ledger(key);
        assert!(row.is_some_and(|row| row.fate == fate), "what is withdrawn says by whom");
    }
}
