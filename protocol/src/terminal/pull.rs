//! Read-only queries: what the till has to say, assembled from committed rows.

mod parcels;

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::answered::RETRY_CAP;
use super::row::{Attention, Closed, Entry, Meta, Queued, State};
use super::{Adoption, Key, Record, Terminal};
use crate::event::TEXT_BYTES_MAX;
use crate::identity::{Epoch, LocalEventId, PosId};
use crate::journal;
use crate::machine::Query;
use crate::time::{Millis, Span};
use crate::wire::message::{
    HELLO_LANES_MAX, HELLO_POINTS_MAX, Hello, HelloLane, PUSH_BYTES_MAX, PUSH_ITEMS_MAX, ParentV1,
    Point, Push, PushItem, WIRE_VERSION,
};

pub use parcels::{fresh_push, has};

/// The most entries that one adoption carries over.
pub const ADOPTION_MAX: usize = 64;
/// How many waiting entries are looked at for one push.
const QUEUE_PAGE: usize = 256;
/// How many of them one push takes along.
pub const RETRIES_MAX: usize = 64;

/// How many entries are read at a time: each may have half a megabyte.
const ENTRIES_PAGE: usize = 32;

const _: () = assert!(ENTRIES_PAGE > 0, "each look at a journal gets on");
const _: () = assert!(ADOPTION_MAX > 0, "each part of a closed history gets on");
const _: () = assert!(RETRIES_MAX > 0, "a push takes entries that wait along");
const _: () = assert!(RETRIES_MAX < PUSH_ITEMS_MAX, "a push has room for what is fresh");
const _: () = assert!(RETRIES_MAX <= QUEUE_PAGE, "one look at the queue fills a push's share");

/// Bounds of one push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Items; 1 to 500.
    pub items: usize,
    /// Payload bytes; 1 to 1 MiB. A single larger item still goes alone.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { items: PUSH_ITEMS_MAX, bytes: PUSH_BYTES_MAX }
    }
}

/// What there is to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batch {
    /// These entries, now.
    Push(Push),
    /// Nothing before this span has passed.
    Wait(Span),
    /// Nothing.
    Empty,
}

/// An entry with what the queue says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// It waits for an answer, or for another try.
    Queued(Queued),
    /// A person must look at it.
    Attention(Attention),
}

/// Returns the till's books.
///
/// # Errors
/// The store's.
pub async fn meta<Q: Query<Terminal>>(store: &Q) -> Result<Option<Meta>, Q::Error> {
    Ok(match store.get(&Key::Meta).await? {
        Some(Record::Meta(meta)) => Some(meta),
        Some(_) | None => None,
    })
}

/// Returns the greeting: the current journal and the latest before it.
///
/// # Errors
/// The store's.
pub async fn hello<Q: Query<Terminal>>(
    store: &Q,
    meta: &Meta,
    now: Millis,
    app: &str,
) -> Result<Hello, Q::Error> {
    let mut lanes = Vec::new();
    lanes.push(lane(store, meta.epoch, meta.parent, meta.head, meta.hash, meta.acked).await?);
    // A till that was restored again and again before it could speak has more histories than a
    // greeting holds. The oldest are carried over all the same, as far as they are not kept.
    for closed in meta.closed.iter().rev().take(HELLO_LANES_MAX - 1) {
        let Closed { epoch, parent, head, hash, kept, .. } = *closed;
        lanes.push(lane(store, epoch, parent, head, hash, kept).await?);
    }
    assert!(lanes.len() <= HELLO_LANES_MAX, "a till remembers no more than it can report");
    let shown = (meta.closed.len() + 1).min(HELLO_LANES_MAX);
    assert_eq!(lanes.len(), shown, "every history that fits is shown");
    assert_eq!(lanes[0].epoch, meta.epoch, "the current history is shown first");
    let app = &app[..app.floor_char_boundary(TEXT_BYTES_MAX)];
    assert!(app.len() <= TEXT_BYTES_MAX, "a program's version is a short text");
    Ok(Hello {
        terminal_id: meta.identity.terminal,
        versions: [WIRE_VERSION].into(),
        app: app.to_string(),
        clock_ms: now.0,
        lanes,
    })
}

async fn lane<Q: Query<Terminal>>(
    store: &Q,
    epoch: Epoch,
    parent: Option<ParentV1>,
    head: u64,
    hash: crate::hash::Hash,
    acked: u64,
) -> Result<HelloLane, Q::Error> {
    let shown = journal::points(head, acked);
    let mut points = Vec::with_capacity(shown.len());
    for seq in shown {
        if seq == head {
            points.push(Point { seq, hash });
            continue;
        }
        let chain = |row: &Record| entry_in(row).map(|entry| entry.chain);
        let held = store.look(&Key::Entry(epoch, seq), chain).await?;
        points.extend(held.map(|hash| Point { seq, hash }));
    }
    assert!(points.first().is_some_and(|first| first.seq == head), "the head is always shown");
    assert!(points.len() <= HELLO_POINTS_MAX, "a journal is shown by few points");
    assert!(points.is_sorted_by(|a, b| a.seq > b.seq), "points fall");
    Ok(HelloLane { epoch, parent, acked, points })
}

/// Returns the next push: retries that are due, then entries that were never answered.
///
/// # Errors
/// The store's.
pub async fn batch<Q: Query<Terminal>>(
    store: &Q,
    meta: &Meta,
    now: Millis,
    limits: Limits,
) -> Result<Batch, Q::Error> {
    assert!(limits.items > 0 && limits.items <= PUSH_ITEMS_MAX, "a push has 1 to 500 items");
    assert!(limits.bytes > 0 && limits.bytes <= PUSH_BYTES_MAX, "a push has 1 byte to 1 MiB");
    let mut items = Vec::with_capacity(limits.items.min(ENTRIES_PAGE));
    let mut bytes = 0;
    let mut next_due = None;
    for (seq, queued) in waiting(store, meta).await? {
        let wait = queued.due.since(now);
        // A clock that was set back must not put a retry off for years: no wait is longer than
        // the longest that was ever given.
        if wait > Millis::ZERO && wait <= RETRY_CAP {
            next_due = Some(next_due.map_or(wait, |least: Millis| least.min(wait)));
        } else if items.len() < limits.items.min(RETRIES_MAX)
            && let Some(entry) =
                store.look(&Key::Entry(meta.epoch, seq), |row| entry_in(row).cloned()).await?
        {
            add(&mut items, &mut bytes, limits, seq, entry);
        }
    }
    assert!(items.len() <= RETRIES_MAX, "retries have their share of a push");
    assert!(items.len() <= limits.items, "a push has so many items and no more");
    fresh(store, meta, meta.acked + 1, limits, &mut items, &mut bytes).await?;
    assert!(items.len() <= limits.items, "a push has so many items and no more");
    assert!(bytes <= limits.bytes || items.len() == 1, "only an item alone may be larger");
    assert!(next_due != Some(Millis::ZERO), "what is due now is not put off");
    assert!(next_due.is_none_or(|wait| wait <= RETRY_CAP), "no wait is longer than the longest");
    if items.is_empty() {
        return Ok(next_due.map_or(Batch::Empty, |wait| Batch::Wait(Span(wait))));
    }
    Ok(Batch::Push(Push { terminal_id: meta.identity.terminal, epoch: meta.epoch, items }))
}

/// Adds entries from `next` on, as far as there are any and the push has room.
async fn fresh<Q: Query<Terminal>>(
    store: &Q,
    meta: &Meta,
    mut next: u64,
    limits: Limits,
    items: &mut Vec<PushItem>,
    bytes: &mut usize,
) -> Result<(), Q::Error> {
    assert!(next > meta.acked, "what was answered is not fresh");
    assert!(items.len() <= limits.items, "a push has so many items and no more");
    while items.len() < limits.items && next <= meta.head {
        let most = (limits.items - items.len()).min(ENTRIES_PAGE);
        let page = entries(store, meta.epoch, next, meta.head, most).await?;
        if page.is_empty() {
            break;
        }
        for (seq, entry) in page {
            if !add(items, bytes, limits, seq, entry) {
                return Ok(());
            }
            next = seq + 1;
        }
    }
    Ok(())
}

/// Returns the first entries of a history from `first` to `head`: `most` of them, which are few.
async fn entries<Q: Query<Terminal>>(
    store: &Q,
    epoch: Epoch,
    first: u64,
    head: u64,
    most: usize,
) -> Result<Vec<(u64, Entry)>, Q::Error> {
    assert!(most > 0 && most <= ENTRIES_PAGE, "entries are read a few at a time");
    assert!(first > 0 && first <= head, "a journal counts from 1, up to its head");
    let (first, end) = (Key::Entry(epoch, first), Key::Entry(epoch, head + 1));
    let entries = |key: &Key, record: &Record| match (key, record) {
        (Key::Entry(_, seq), Record::Entry(entry)) => Some((*seq, entry.clone())),
        _ => None,
    };
    let page = store.select(&first, &end, most, entries).await?;
    assert!(page.len() <= most, "a scan keeps its limit");
    Ok(page)
}

/// Returns the answered entries of the current history that wait for another try.
async fn waiting<Q: Query<Terminal>>(
    store: &Q,
    meta: &Meta,
) -> Result<Vec<(u64, Queued)>, Q::Error> {
    if meta.acked == 0 {
        return Ok(Vec::new());
    }
    let from = Key::Queue(meta.epoch, 0);
    let until = Key::Queue(meta.epoch, meta.acked + 1);
    let queued = |key: &Key, record: &Record| match (key, record) {
        (Key::Queue(_, seq), Record::Queue(queued)) => Some((*seq, *queued)),
        _ => None,
    };
    let page = store.select(&from, &until, QUEUE_PAGE, queued).await?;
    assert!(page.len() <= QUEUE_PAGE, "a scan keeps its limit");
    Ok(page)
}

fn entry_in(record: &Record) -> Option<&Entry> {
    let Record::Entry(entry) = record else { return None };
    Some(entry)
}

fn add(
    items: &mut Vec<PushItem>,
    bytes: &mut usize,
    limits: Limits,
    seq: u64,
    entry: Entry,
) -> bool {
    assert!(items.last().is_none_or(|last| last.seq < seq), "a push rises");
    if !items.is_empty() && *bytes + entry.payload.len() > limits.bytes {
        return false;
    }
    *bytes += entry.payload.len();
    items.push(PushItem { seq, chain_hash: entry.chain, payload: entry.payload });
    assert!(*bytes <= limits.bytes || items.len() == 1, "only an item alone may be larger");
    true
}

/// Returns the next part of a closed history to carry over, oldest history first.
///
/// # Errors
/// The store's.
pub async fn adoption<Q: Query<Terminal>>(
    store: &Q,
    meta: &Meta,
) -> Result<Option<Adoption>, Q::Error> {
    let Some(closed) = meta.closed.iter().find(|closed| closed.unsettled()) else {
        return Ok(None);
    };
    let (from, head) = (closed.epoch, closed.head);
    if closed.next <= head {
        let entries = names(store, from, closed.next, head).await?;
        let through = if entries.len() < ADOPTION_MAX { head } else { entries[ADOPTION_MAX - 1].0 };
        assert!(entries.len() <= ADOPTION_MAX, "a scan keeps its limit");
        assert!(through >= closed.next, "each part of a closed history gets on");
        assert!(through <= head, "a history is carried over up to its head");
        return Ok(Some(Adoption { from, entries, through, next: closed.next }));
    }
    let mut entries = Vec::new();
    for seq in leftover(store, from, head).await? {
        let key = Key::Entry(from, seq);
        entries.extend(store.get(&key).await?.and_then(|record| named((key, record))));
    }
    assert!(entries.len() <= ADOPTION_MAX, "an adoption is bounded");
    assert!(closed.queue, "a settled history has nothing left");
    Ok(Some(Adoption { from, entries, through: head, next: closed.next }))
}

/// Returns the names of the first entries of a closed history from `first` on.
async fn names<Q: Query<Terminal>>(
    store: &Q,
    epoch: Epoch,
    first: u64,
    head: u64,
) -> Result<Vec<(u64, PosId, LocalEventId)>, Q::Error> {
    let mut names = Vec::new();
    let mut next = first;
    while names.len() < ADOPTION_MAX && next <= head {
        let most = (ADOPTION_MAX - names.len()).min(ENTRIES_PAGE);
        let page = entries(store, epoch, next, head, most).await?;
        let Some((last, _)) = page.last() else { break };
        next = last + 1;
        names.extend(page.into_iter().map(|(seq, entry)| (seq, entry.pos, entry.local_id)));
    }
    assert!(names.len() <= ADOPTION_MAX, "an adoption is bounded");
    assert!(names.is_sorted_by(|a, b| a.0 < b.0), "entries have their order");
    Ok(names)
}

/// Returns entries of a closed history that still wait, or need attention.
async fn leftover<Q: Query<Terminal>>(
    store: &Q,
    from: Epoch,
    head: u64,
) -> Result<Vec<u64>, Q::Error> {
    let mut seqs = Vec::new();
    let queue = (Key::Queue(from, 0), Key::Queue(from, head + 1));
    let attention = (Key::Attention(from, 0), Key::Attention(from, head + 1));
    for (first, end) in [queue, attention] {
        for (key, _) in store.scan(&first, &end, ADOPTION_MAX).await? {
            match key {
                Key::Queue(_, seq) | Key::Attention(_, seq) => seqs.push(seq),
                Key::Meta
                | Key::Entry(..)
                | Key::Local(..)
                | Key::Series(_)
                | Key::Stock(_)
                | Key::Catalog
                | Key::Item(_)
                | Key::LocalEdits
                | Key::Register(_)
                | Key::Closing(..)
                | Key::Movement(_)
                | Key::Applied(_)
                | Key::Review(_)
                | Key::Inbox
                | Key::Code(..)
                | Key::Schema
                | Key::Diary
                | Key::Replaced(..)
                | Key::Archive
                | Key::Note(_) => {}
            }
        }
    }
    assert!(seqs.len() <= 2 * ADOPTION_MAX, "a scan keeps its limit");
    seqs.sort_unstable();
    seqs.dedup();
    seqs.truncate(ADOPTION_MAX);
    assert!(seqs.last().is_none_or(|last| *last <= head), "a scan stays within its range");
    assert!(seqs.len() <= ADOPTION_MAX, "an adoption is bounded");
    assert!(seqs.is_sorted_by(|a, b| a < b), "each entry is carried over once");
    Ok(seqs)
}

fn named((key, record): (Key, Record)) -> Option<(u64, PosId, LocalEventId)> {
    match (key, record) {
        (Key::Entry(_, seq), Record::Entry(entry)) => Some((seq, entry.pos, entry.local_id)),
        _ => None,
    }
}

/// Returns up to `limit` entries that are not synced, oldest first, with what the queue says.
///
/// Among them are entries that were synced once and are offered again, because the cloud lost
/// them, and those of closed histories that wait to be carried over.
///
/// # Errors
/// The store's.
pub async fn pending<Q: Query<Terminal>>(
    store: &Q,
    limit: usize,
) -> Result<Vec<(Epoch, u64, Pending)>, Q::Error> {
    let last = Epoch { number: u32::MAX, nonce: u64::MAX };
    let mut found = BTreeMap::new();
    if let Some(meta) = meta(store).await? {
        let fresh = (meta.epoch, meta.acked + 1, meta.head);
        let closed = meta.closed.iter().map(|closed| (closed.epoch, closed.next, closed.head));
        for (epoch, first, head) in closed.chain([fresh]) {
            let (mut next, mut looked_at) = (first, 0);
            while next <= head && looked_at < limit {
                let most = (limit - looked_at).min(ENTRIES_PAGE);
                let page = entries(store, epoch, next, head, most).await?;
                let Some((last, _)) = page.last() else { break };
                next = last + 1;
                looked_at += page.len();
                assert!(looked_at <= limit, "no more is looked at than is asked for");
                for (seq, entry) in page {
                    if !matches!(entry.state, State::Moved(_) | State::Replaced(_)) {
                        let again = Queued { attempts: 0, due: Millis::ZERO, code: None };
                        found.insert((epoch, seq), Pending::Queued(again));
                    }
                }
            }
        }
    }
    let queue = (Key::Queue(Epoch::default(), 0), Key::Queue(last, u64::MAX));
    let attention = (Key::Attention(Epoch::default(), 0), Key::Attention(last, u64::MAX));
    for (first, end) in [queue, attention] {
        for row in store.scan(&first, &end, limit).await? {
            match row {
                (Key::Queue(epoch, seq), Record::Queue(queued)) => {
                    found.insert((epoch, seq), Pending::Queued(queued));
                }
                (Key::Attention(epoch, seq), Record::Attention(attention)) => {
                    found.insert((epoch, seq), Pending::Attention(attention));
                }
                _ => {}
            }
        }
    }
    let pending = found.into_iter().map(|((epoch, seq), pending)| (epoch, seq, pending));
    let pending: Vec<_> = pending.take(limit).collect();
    assert!(pending.len() <= limit, "a page keeps its bound");
    Ok(pending)
}
