//! What a person decides of events that wait: post them, try again, or never.
//!
//! | verb | what it does |
//! |---|---|
//! | retry | judges again: it is posted if what it waits for is there now |
//! | accept | posts it, whatever it waits for |
//! | reject | it never has effects; the reason is kept |
//!
//! A decision is final: who brought the event hears of it when it is sent again.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::posting::{self, Posting};
use super::row::{Fate, Ledger, server_id};
use super::sessions::Session;
use super::{Cloud, Key, Output, Record, Site};
use crate::event::{Event, TEXT_BYTES_MAX};
use crate::hash::Hash;
use crate::identity::{Epoch, EventKey, LocalEventId, PosId, ShopId, TerminalId};
use crate::label::Label;
use crate::machine::{Query, ReadSet, Rows};
use crate::problem::ErrorCode;
use crate::time::Millis;

/// The most waiting events in one page of a list.
pub const LIST_MAX: usize = 200;
/// The most bytes of a reason.
pub const REASON_BYTES_MAX: usize = TEXT_BYTES_MAX;

const _: () = assert!(LIST_MAX > 0, "a page of a list gets on");
const _: () = assert!(REASON_BYTES_MAX > 32, "a reason says something");

/// An event that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What for.
    pub code: ErrorCode,
    /// Since when.
    pub since: Millis,
}

/// What a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether it was accepted; if not, it was rejected.
    pub accepted: bool,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Millis,
}

/// What is to be done with an event that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Judge it again.
    Retry,
    /// Post it.
    Accept(String),
    /// Never post it.
    Reject(String),
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It is posted, now or before.
    Posted,
    /// It waits on.
    Waits(ErrorCode),
    /// It is rejected, now or before.
    Rejected,
    /// It never counts: a correction has its place, or it is a correction of what counts.
    Withdrawn,
}

/// A decision about an event as it was read.
#[derive(Clone, Debug)]
pub struct Decide {
    site: Site,
    key: EventKey,
    epoch: Epoch,
    payload_hash: Hash,
    event: Event,
    verb: Verb,
}

/// Reads the event of which something is to be decided; none if the shop has no such event.
///
/// # Errors
/// The query's.
pub async fn plan<Q: Query<Cloud>>(
    query: &Q,
    shop: ShopId,
    key: EventKey,
    verb: Verb,
) -> Result<Option<Decide>, Q::Error> {
    let Some(Record::Ledger(held)) = query.get(&Key::Ledger(key)).await? else {
        return Ok(None);
    };
    if held.site.shop != shop {
        return Ok(None);
    }
    let Ok(event) = Event::from_canonical(&held.payload) else { return Ok(None) };
    let (site, epoch, payload_hash) = (held.site, held.epoch, held.payload_hash);
    assert_eq!(site.shop, shop, "a decision is made within a shop");
    Ok(Some(Decide { site, key, epoch, payload_hash, event, verb }))
}

impl Decide {
    /// Returns where it happened.
    #[must_use]
    pub const fn site(&self) -> Site {
        self.site
    }
}

/// Returns a shop's waiting events after `after`, a page of [`LIST_MAX`] at most.
///
/// # Errors
/// The query's.
pub async fn waiting<Q: Query<Cloud>>(
    query: &Q,
    shop: ShopId,
    after: Option<EventKey>,
) -> Result<Vec<(EventKey, Waiting)>, Q::Error> {
    let end = |label| EventKey {
        terminal: TerminalId(label),
        pos: PosId(label),
        local_id: LocalEventId(label),
    };
    assert!(after.is_none_or(|after| after <= end(Label::LAST)), "a list has its end");
    let from = Key::Waiting(shop, after.unwrap_or_else(|| end(Label::FIRST)));
    let until = Key::Waiting(shop, end(Label::LAST));
    let page = query.scan(&from, &until, LIST_MAX + 1).await?;
    let found = page.into_iter().filter_map(|row| match row {
        (Key::Waiting(_, key), Record::Waiting(waiting)) => Some((key, waiting)),
        _ => None,
    });
    let found: Vec<_> = found.filter(|(key, _)| Some(*key) != after).take(LIST_MAX).collect();
    assert!(found.len() <= LIST_MAX, "a page is bounded");
    assert!(found.iter().all(|(key, _)| after.is_none_or(|after| *key > after)), "it gets on");
    Ok(found)
}

pub(super) fn reads(decide: &Decide, keys: &mut ReadSet<Key>) {
    let Decide { site, key, epoch, event, .. } = decide;
    assert!(event.edit().is_none() || event.original().is_none(), "an edit takes nothing back");
    keys.insert(Key::Ledger(*key));
    keys.insert(Key::Lane(key.terminal, *epoch));
    keys.insert(Key::Decision(site.shop, *key));
    keys.insert(Key::Waiting(site.shop, *key));
    keys.extend(event.original().map(Key::Ledger));
    keys.extend(event.session().map(|id| Key::Session(site.shop, key.terminal, key.pos, id)));
    for movement in event.movements() {
        posting::reads_product(site.shop, movement.product, keys);
    }
    posting::reads(*site, keys);
}

pub(super) fn step(rows: &mut Rows<'_, Cloud>, now: Millis, decide: &Decide) -> Output {
    let held = rows.ledger(decide.key).filter(|held| {
        held.site == decide.site
            && held.epoch == decide.epoch
            && held.payload_hash == decide.payload_hash
    });
    let Some(held) = held.cloned() else { return Output::NoSuchEvent };
    assert_eq!(held.site, decide.site, "a decision is about what was read");
    let code = match held.fate {
        Fate::Posted => return Output::Decided(Decided::Posted),
        Fate::Rejected => return Output::Decided(Decided::Rejected),
        Fate::Withdrawn(_) | Fate::Refused(_) => return Output::Decided(Decided::Withdrawn),
        Fate::Parked(code) => code,
    };
    let key = decide.key;
    let (fate, reason) = match &decide.verb {
        Verb::Retry => match waits_for(rows, decide) {
            Some(code) => return Output::Decided(Decided::Waits(code)),
            None => (Fate::Posted, None),
        },
        Verb::Accept(_) if decide.event.edit().is_some() => {
            return Output::Decided(Decided::Waits(code));
        }
        Verb::Accept(reason) => (Fate::Posted, Some(reason)),
        Verb::Reject(reason) => (Fate::Rejected, Some(reason)),
    };
    if fate == Fate::Posted && !post(rows, now, decide) {
        return Output::NoSuchEvent;
    }
    rows.put(Key::Ledger(key), Record::Ledger(Ledger { fate, ..held }));
    rows.remove(Key::Waiting(decide.site.shop, key));
    if let Some(reason) = reason {
        assert!(reason.len() <= REASON_BYTES_MAX, "a reason is bounded at the border");
        let (accepted, reason) = (fate == Fate::Posted, reason.clone());
        let decision = Decision { accepted, reason, at: now };
        rows.put(Key::Decision(decide.site.shop, key), Record::Decision(decision));
    }
    assert_ne!(fate, Fate::Parked(code), "what is decided waits no longer");
    Output::Decided(if fate == Fate::Posted { Decided::Posted } else { Decided::Rejected })
}

/// Returns what the event still waits for.
fn waits_for(rows: &Rows<'_, Cloud>, decide: &Decide) -> Option<ErrorCode> {
    let shop = decide.site.shop;
    assert!(!shop.as_str().is_empty(), "a shop has a name");
    if let Some(original) = decide.event.original() {
        let posted = rows
            .ledger(original)
            .is_some_and(|held| held.fate == Fate::Posted && held.site.shop == shop);
        if !posted {
            return Some(ErrorCode::OriginalPending);
        }
    }
    if decide.event.edit().is_some() {
        return Some(ErrorCode::EventInvalid);
    }
    let unknown =
        decide.event.body().moves_goods() && posting::unknown(rows, shop, &decide.event).is_some();
    unknown.then_some(ErrorCode::ProductUnknown)
}

/// Gives the event its effects; returns whether there is a history to count it in.
fn post(rows: &mut Rows<'_, Cloud>, now: Millis, decide: &Decide) -> bool {
    let Decide { site, key, epoch, event, .. } = decide;
    let Some(mut lane) = rows.lane(key.terminal, *epoch).cloned() else { return false };
    let before = lane.posted.events;
    lane.posted = lane.posted.plus(event.figures());
    assert!(lane.posted.events >= before, "nothing is taken out of the books");
    if lane.posted.events > lane.head {
        return false; // the rows are damaged: the check says more
    }
    rows.put(Key::Lane(key.terminal, *epoch), Record::Lane(lane));
    if let (Some(session), Some(currency)) = (event.session(), event.body().currency()) {
        let held = rows.session(site.shop, key.terminal, key.pos, session).cloned();
        let mut counted = held.unwrap_or_else(|| Session::new(*site, currency));
        counted.take(now, event);
        let row = Key::Session(site.shop, key.terminal, key.pos, session);
        rows.put(row, Record::Session(Box::new(counted)));
    }
    assert!(event.edit().is_none(), "an edit is decided by its push");
    let mut posting = Posting::begin(rows, *site);
    posting.add(*key, decide.payload_hash, event, server_id(site.shop, key));
    posting.end(rows, now, Some(key.terminal));
    true
}
