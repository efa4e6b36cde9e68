//! A branch's inbox: events in the order of their commits, and how far each till has come.
//!
//! * An event takes the branch's next place in its transaction, so commit order is feed order:
//!   whoever has read up to a place misses nothing below it, whatever time an event carries.
//! * A place is a number *and* a chain hash over everything before it. A cloud that was restored
//!   from a backup gives the same numbers to other events: a till that comes with a place of the
//!   lost history is told to begin anew, and skips what it has applied. With numbers alone it
//!   would miss whatever took their place.
//! * Each till has its own acknowledgement. It is for people, and for what is pending by default:
//!   what a till is told is decided by the place that it names, from its own rows.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::row::{Acked, Head, InboxKey, InboxRecord, Stored};
use crate::cloud::{Caller, Cloud, Key, Record, Site};
use crate::hash::{inbox_genesis, link, payload_hash};
use crate::identity::TerminalId;
use crate::inbox::InboxEvent;
use crate::machine::{Query, ReadSet, Rows};
use crate::time::Millis;
use crate::wire::inbox::{
    Ack, AckAnswer, Cursor, PENDING_EVENTS_MAX, PendingAnswer, PendingPage, PendingV1,
};

/// Appends events to a branch's inbox; its head must have been declared.
pub(in crate::cloud) fn append(
    rows: &mut Rows<'_, Cloud>,
    now: Millis,
    site: Site,
    from: Option<TerminalId>,
    events: &[InboxEvent],
) {
    assert!(!events.is_empty(), "only something is appended");
    let genesis = || Head { seq: 0, chain: inbox_genesis(site.shop, site.branch) };
    let mut head = rows.inbox_head(site).copied().unwrap_or_else(genesis);
    let before = head.seq;
    for event in events {
        let content: Arc<[u8]> = event.canonical().into();
        head.seq += 1;
        head.chain = link(head.chain, head.seq, payload_hash(&content));
        let stored = Stored { chain: head.chain, from, at: now, content };
        let key = InboxKey::Event(site.shop, site.branch, head.seq);
        rows.append(key.into(), InboxRecord::Event(stored).into());
    }
    assert!(head.seq > before, "an inbox only grows");
    assert_eq!(head.seq - before, events.len() as u64, "each event has its place");
    rows.put(InboxKey::Head(site.shop, site.branch).into(), InboxRecord::Head(head).into());
}

pub(super) fn reads_ack(caller: &Caller, ack: &Ack, keys: &mut ReadSet<Key>) {
    let Site { shop, branch } = caller.site;
    assert!(!caller.terminal.as_str().is_empty(), "who acknowledges has a name");
    keys.insert(InboxKey::Ack(shop, branch, caller.terminal).into());
    keys.insert(InboxKey::Event(shop, branch, ack.through.seq).into());
}

/// Notes how far a till has come. A place of another history is not believed, and a late
/// acknowledgement takes nothing back.
pub(super) fn ack(
    rows: &mut Rows<'_, Cloud>,
    now: Millis,
    caller: &Caller,
    ack: &Ack,
) -> AckAnswer {
    let Cursor { seq, chain } = ack.through;
    let site = caller.site;
    let held = rows.inbox_ack(site, caller.terminal).copied().unwrap_or_default();
    let known = seq == 0 || rows.inbox_event(site, seq).is_some_and(|held| held.chain == chain);
    let through = if known { held.through.max(seq) } else { held.through };
    assert!(through >= held.through, "an acknowledgement takes nothing back");
    assert!(known || through == held.through, "what is not here is not acknowledged");
    if through > held.through {
        let key = InboxKey::Ack(site.shop, site.branch, caller.terminal);
        rows.put(key.into(), InboxRecord::Ack(Acked { through, at: now }).into());
    }
    AckAnswer { through, known }
}

/// Returns what a till of `site` needs next: up to `limit` events after `after`, or, if it names
/// no place, after what it has acknowledged (S0.2).
///
/// # Errors
/// The query's.
pub async fn pending<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    terminal: TerminalId,
    after: Option<Cursor>,
    limit: usize,
) -> Result<PendingAnswer, Q::Error> {
    assert!((1..=PENDING_EVENTS_MAX).contains(&limit), "a page has a bound");
    // The head first: what is committed later lies behind it.
    let head = head(query, site).await?.map_or(0, |head| head.seq);
    let acked = acked(query, site, terminal).await?;
    let after = match after {
        // Before the first event every inbox is the same.
        Some(after) if after.seq == 0 => Cursor::default(),
        Some(after) => after,
        None => place(query, site, acked).await?,
    };
    if after.seq > head || !is_place(query, site, after).await? {
        return Ok(PendingAnswer::Restart);
    }
    assert!(after.seq <= head, "nobody is ahead of the head here");
    let key = |seq| Key::Inbox(InboxKey::Event(site.shop, site.branch, seq));
    let mut to = after;
    let mut events = Vec::new();
    for (key, record) in query.scan(&key(after.seq + 1), &key(head + 1), limit).await? {
        let (Key::Inbox(InboxKey::Event(_, _, seq)), Record::Inbox(InboxRecord::Event(stored))) =
            (key, record)
        else {
            unreachable!("a store gives each key a record of its kind")
        };
        to = Cursor { seq, chain: stored.chain };
        // A till's own movements are its own already.
        if stored.from != Some(terminal) {
            events.push(PendingV1 { at: to, content: stored.content });
        }
    }
    assert!(to.seq <= head && to.seq >= after.seq, "a page ends within the inbox");
    assert!(events.len() <= limit, "a page keeps its bound");
    assert!(events.len() as u64 <= to.seq - after.seq, "no two events have one place");
    assert!(events.is_sorted_by_key(|event| event.at.seq), "a page is in the inbox's order");
    assert!(events.last().is_none_or(|last| last.at.seq <= to.seq), "a page ends where it says");
    Ok(PendingAnswer::Page(PendingPage { after, to, head, acked: acked.min(head), events }))
}

/// Returns where a branch's inbox ends, if anything is in it.
///
/// # Errors
/// The query's.
pub async fn head<Q: Query<Cloud>>(query: &Q, site: Site) -> Result<Option<Head>, Q::Error> {
    let row = query.get(&InboxKey::Head(site.shop, site.branch).into()).await?;
    Ok(match row {
        Some(Record::Inbox(InboxRecord::Head(head))) => Some(head),
        Some(_) | None => None,
    })
}

/// Returns how far a till has acknowledged.
///
/// # Errors
/// The query's.
pub async fn acked<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    terminal: TerminalId,
) -> Result<u64, Q::Error> {
    let row = query.get(&InboxKey::Ack(site.shop, site.branch, terminal).into()).await?;
    Ok(match row {
        Some(Record::Inbox(InboxRecord::Ack(acked))) => acked.through,
        Some(_) | None => 0,
    })
}

/// Returns the place with this number, or the beginning.
async fn place<Q: Query<Cloud>>(query: &Q, site: Site, seq: u64) -> Result<Cursor, Q::Error> {
    let event = event(query, site, seq).await?;
    Ok(event.map_or_else(Cursor::default, |event| Cursor { seq, chain: event.chain }))
}

/// Returns whether a place is one of this branch's inbox as it stands.
async fn is_place<Q: Query<Cloud>>(query: &Q, site: Site, place: Cursor) -> Result<bool, Q::Error> {
    if place.seq == 0 {
        return Ok(true);
    }
    Ok(event(query, site, place.seq).await?.is_some_and(|held| held.chain == place.chain))
}

async fn event<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    seq: u64,
) -> Result<Option<Stored>, Q::Error> {
    let row = query.get(&InboxKey::Event(site.shop, site.branch, seq).into()).await?;
    Ok(match row {
        Some(Record::Inbox(InboxRecord::Event(stored))) => Some(stored),
        Some(_) | None => None,
    })
}
