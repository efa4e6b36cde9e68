//! Who may speak: tills are enrolled, revoked, and judged in the transaction of what they ask.

use super::{Caller, Cloud, Key, Output, Record, Site, direct, row};
use crate::hash::Hash;
use crate::identity::{ShopId, TerminalId};
use crate::machine::Rows;
use crate::problem::Denial;
use crate::time::Millis;

/// Decides whether the caller is listened to: in the same transaction as what it asks for, so that
/// a revocation takes effect with its commit.
pub(super) fn admit(
    rows: &Rows<'_, Cloud>,
    now: Millis,
    caller: &Caller,
    claimed: TerminalId,
) -> Result<(), Output> {
    let Some(terminal) = rows.terminal(caller.terminal) else {
        return Err(Output::Denied(Denial::UnknownTerminal));
    };
    terminal.admits(now, caller.secret).map_err(Output::Denied)?;
    if claimed != caller.terminal {
        return Err(Output::Denied(Denial::WrongCredential));
    }
    if terminal.site != caller.site {
        return Err(Output::Moved);
    }
    assert!(!terminal.revoked, "whoever was turned away is not admitted");
    assert!(terminal.expires_at.is_none_or(|end| now < end), "an old secret opens nothing");
    Ok(())
}

pub(super) fn enrol(
    rows: &mut Rows<'_, Cloud>,
    now: Millis,
    terminal: TerminalId,
    site: Site,
    secret: Hash,
    expires_at: Option<Millis>,
) -> Output {
    if direct::is_book(terminal) {
        return Output::NameReserved;
    }
    let fresh = row::Terminal { site, secret, expires_at, revoked: false, lanes: 0, since: now };
    let record = match rows.terminal(terminal) {
        Some(known) if known.site != site => return Output::OtherSite(known.site),
        Some(known) => row::Terminal { lanes: known.lanes, since: known.since, ..fresh },
        None => fresh,
    };
    assert_eq!(record.site, site, "enrolment moves no terminal");
    assert!(!record.revoked, "whoever is enrolled may speak");
    rows.put(Key::Terminal(terminal), Record::Terminal(record));
    Output::Enrolled
}

pub(super) fn revoke(rows: &mut Rows<'_, Cloud>, terminal: TerminalId) -> Output {
    let Some(known) = rows.terminal(terminal).cloned() else {
        return Output::NoSuchTerminal;
    };
    rows.put(Key::Terminal(terminal), Record::Terminal(row::Terminal { revoked: true, ..known }));
    Output::Revoked
}

/// The first key that was drawn stays: sketches of two keys say nothing of each other.
pub(super) fn sketch_secret(rows: &mut Rows<'_, Cloud>, shop: ShopId, fresh: [u8; 16]) -> Output {
    let key = Key::SketchSecret(shop);
    if let Some(Record::SketchSecret(held)) = rows.get(&key) {
        return Output::SketchSecret(*held);
    }
    assert!(rows.get(&key).is_none(), "a key is drawn once");
    rows.put(key, Record::SketchSecret(fresh));
    Output::SketchSecret(fresh)
}
