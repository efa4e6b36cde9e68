//! What a till can tell of itself: its status, its queue, its figures, its whole journal.
//!
//! Everything here is read from committed rows. Long lists are read page by page, so that selling
//! never waits for a report.

use std::collections::BTreeSet;

use counterfoil_protocol::event::{Event, Figures};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId};
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::money::Currency;
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::terminal::row::{Closed, Entry, Meta, State};
use counterfoil_protocol::terminal::{Identity, Key, Place, Record, pull};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::event::EventAny;
use counterfoil_protocol::wire::message::ServerId;
use serde::{Deserialize, Serialize};

use crate::till::{Till, TillError, TillStore, storage_failed};

/// How many rows are read while selling waits.
pub const PAGE: usize = 512;

/// The state of a till at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whose till this is.
    pub identity: Identity,
    /// The current history.
    pub epoch: Epoch,
    /// Its last entry.
    pub head: u64,
    /// Each entry of it up to here was answered.
    pub acked: u64,
    /// How many histories there were before.
    pub closed_epochs: usize,
    /// Events that wait for an answer, or for another try.
    pub pending: u64,
    /// Events that a person must look at.
    pub needs_attention: u64,
    /// Events that the cloud durably holds.
    pub synced: u64,
    /// Events that another counts in the place of.
    #[serde(default)]
    pub replaced: u64,
    /// Since when the oldest of the pending events waits.
    pub oldest_pending_ms: Option<Millis>,
    /// Why the cloud does not listen, if it does not.
    pub quarantined: Option<Denial>,
    /// Events that have left the database for the archive, and their bytes.
    #[serde(default)]
    pub archived: u64,
    /// See `archived`.
    #[serde(default)]
    pub archived_bytes: u64,
}

/// One event that is not synced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueItem {
    /// Its history.
    pub epoch: Epoch,
    /// Its place there.
    pub seq: u64,
    /// Its register.
    pub pos_id: PosId,
    /// Its name on it.
    pub local_event_id: LocalEventId,
    /// What kind of event it is.
    pub kind: String,
    /// The caller's document number.
    pub reference: String,
    /// The till's time of it.
    pub at_ms: Millis,
    /// Whether a person must look at it.
    pub needs_attention: bool,
    /// Item-level failures so far.
    pub attempts: u8,
    /// When it is tried again, if it waits for that.
    pub due_ms: Option<Millis>,
    /// The last item-level failure.
    pub code: Option<ErrorCode>,
    /// The same for people, with what to do.
    #[serde(default)]
    pub reason: Option<String>,
    /// The printed number with its series, if there is one.
    #[serde(default)]
    pub receipt: Option<String>,
    /// What it comes to, if it is a sale or a refund.
    #[serde(default)]
    pub total: Option<Total>,
}

/// A sum of money with its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// In minor units.
    pub minor: i64,
    /// ISO 4217.
    pub currency: Currency,
}

/// What all events of a till add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TillFigures {
    /// Distinct document numbers.
    pub documents: u64,
    /// Events, their lines, quantity and money.
    #[serde(flatten)]
    pub figures: Figures,
}

/// One event as it is exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    /// Its history.
    pub epoch: Epoch,
    /// Its place there.
    pub seq: u64,
    /// The digest of its canonical bytes.
    pub payload_hash: Hash,
    /// What is known of it.
    pub state: Standing,
    /// The cloud's name for it.
    pub server_id: Option<ServerId>,
    /// The event.
    pub event: EventAny,
}

/// Where an event stands on its way to the cloud: always in exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// It waits for an answer, or for another try.
    Pending,
    /// A person must look at it.
    NeedsAttention,
    /// The cloud durably holds it.
    Synced,
    /// Another counts in its place; it is kept as it is.
    Replaced,
}

impl<S: TillStore> Till<S> {
    /// Returns the state of the till.
    ///
    /// # Errors
    /// The store's, or [`TillError::NotInstalled`].
    pub async fn status(&self) -> Result<Status, TillError> {
        let meta = self.meta().await?;
        let mut count = Count::default();
        self.count_current(&meta, &mut count).await?;
        for closed in &meta.closed {
            self.count_closed(closed, &mut count).await?;
        }
        let archived = self.archived().await?;
        Ok(Status {
            identity: meta.identity,
            epoch: meta.epoch,
            head: meta.head,
            acked: meta.acked,
            closed_epochs: meta.closed.len(),
            pending: count.pending,
            needs_attention: count.attention,
            synced: count.synced,
            replaced: count.replaced,
            oldest_pending_ms: count.oldest,
            quarantined: meta.quarantined,
            archived: archived.entries,
            archived_bytes: archived.bytes,
        })
    }

    /// Returns up to `limit` events that are not synced, oldest first.
    ///
    /// # Errors
    /// The store's, or [`TillError::NotInstalled`].
    pub async fn queue(&self, limit: usize) -> Result<Vec<QueueItem>, TillError> {
        let meta = self.meta().await?;
        let pending = {
            let reading = self.reading().await?;
            pull::pending(&*reading, limit).await.map_err(storage_failed)?
        };
        let mut items = Vec::new();
        let mut listed = BTreeSet::new();
        for (epoch, seq, pending) in pending {
            let place = Place { epoch, seq };
            listed.insert(place);
            if let Some(entry) = self.entry(place).await? {
                items.extend(queue_item(place, &entry, Some(&pending)));
            }
        }
        // A cloud that was restored has taken answers back: what comes after `acked` waits again.
        let mut from = meta.acked + 1;
        while from <= meta.head && items.len() < limit {
            let page = self.entries(meta.epoch, from, meta.head).await?;
            let Some((last, _)) = page.last() else { break };
            from = last + 1;
            for (seq, entry) in page {
                let place = Place { epoch: meta.epoch, seq };
                if !listed.contains(&place) && items.len() < limit {
                    items.extend(queue_item(place, &entry, None));
                }
            }
        }
        items.sort_by_key(|item| (item.epoch, item.seq));
        Ok(items)
    }

    /// Returns what all events of this till add up to, each counted once.
    ///
    /// # Errors
    /// The store's.
    pub async fn figures(&self) -> Result<TillFigures, TillError> {
        let mut documents = BTreeSet::new();
        let mut events = BTreeSet::new();
        let mut figures = Figures::default();
        let mut after = None;
        loop {
            let page = self.journal(after).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (place, entry) in page {
                let name = (entry.pos, entry.local_id);
                let elsewhere = matches!(entry.state, State::Moved(_) | State::Replaced(_));
                if elsewhere || !events.insert(name) {
                    continue;
                }
                let event = event_of(place, &entry)?;
                figures = figures.plus(event.figures());
                if !event.reference().is_empty() {
                    documents.insert(event.reference().to_owned());
                }
            }
        }
        Ok(TillFigures { documents: documents.len() as u64, figures })
    }

    /// Returns the next page of the export: `after` is the place returned with the last one.
    ///
    /// # Errors
    /// The store's.
    pub async fn export(
        &self,
        after: Option<Place>,
    ) -> Result<(Vec<Exported>, Option<Place>), TillError> {
        let meta = self.meta().await?;
        let page = self.journal(after).await?;
        let last = page.last().map(|(place, _)| *place);
        let mut exported = Vec::with_capacity(page.len());
        for (place, entry) in page {
            if matches!(entry.state, State::Moved(_)) {
                continue;
            }
            let state = self.standing(&meta, place, &entry).await?;
            let server_id = match entry.state {
                State::Synced(id) => Some(id),
                State::Open | State::Moved(_) | State::Replaced(_) => None,
            };
            exported.push(Exported {
                epoch: place.epoch,
                seq: place.seq,
                payload_hash: entry.payload_hash,
                state,
                server_id,
                event: EventAny::from_event(&event_of(place, &entry)?),
            });
        }
        Ok((exported, last))
    }

    /// Returns where an entry stands.
    pub(crate) async fn standing(
        &self,
        meta: &Meta,
        place: Place,
        entry: &Entry,
    ) -> Result<Standing, TillError> {
        let held = if place.epoch == meta.epoch {
            meta.acked
        } else {
            let closed = meta.closed.iter().find(|closed| closed.epoch == place.epoch);
            closed.map_or(u64::MAX, |closed| closed.kept)
        };
        if matches!(entry.state, State::Replaced(_)) {
            return Ok(Standing::Replaced);
        }
        if matches!(entry.state, State::Synced(_)) && place.seq <= held {
            return Ok(Standing::Synced);
        }
        let reading = self.reading().await?;
        let row = Query::get(&*reading, &Key::Attention(place.epoch, place.seq)).await;
        let attention = row.map_err(storage_failed)?.is_some();
        Ok(if attention { Standing::NeedsAttention } else { Standing::Pending })
    }

    /// Counts without reading entries: what was answered and has no row in the queue is synced.
    async fn count_current(&self, meta: &Meta, count: &mut Count) -> Result<(), TillError> {
        let mut answered_and_open = 0;
        let mut attention_after_acked = 0;
        for kind in [Key::Queue as fn(Epoch, u64) -> Key, Key::Attention] {
            let mut from = kind(meta.epoch, 0);
            let until = kind(meta.epoch, meta.head + 1);
            loop {
                let page = {
                    let reading = self.reading().await?;
                    let page = Query::scan(&*reading, &from, &until, PAGE).await;
                    page.map_err(storage_failed)?
                };
                let full = page.len() == PAGE;
                for (key, record) in page {
                    let (Key::Queue(epoch, seq) | Key::Attention(epoch, seq)) = key else {
                        continue;
                    };
                    from = kind(epoch, seq + 1);
                    answered_and_open += u64::from(seq <= meta.acked);
                    if matches!(record, Record::Attention(_)) {
                        count.attention += 1;
                        attention_after_acked += u64::from(seq > meta.acked);
                    }
                    if let Record::Queue(queued) = record
                        && queued.attempts == 0
                    {
                        count.waits_since(queued.due);
                    }
                }
                if !full {
                    break;
                }
            }
        }
        let (replaced, after_acked) = self.count_replaced(meta).await?;
        count.replaced += replaced;
        answered_and_open += replaced - after_acked;
        let not_fresh = attention_after_acked + after_acked;
        let fresh = (meta.head - meta.acked).saturating_sub(not_fresh);
        let attention_answered = count.attention - attention_after_acked;
        let answered_and_waits = answered_and_open - (replaced - after_acked);
        count.pending += fresh + (answered_and_waits - attention_answered);
        count.synced += meta.acked.saturating_sub(answered_and_open);
        if count.pending > 0 && count.oldest.is_none() {
            let oldest = self.queue(1).await?;
            count.oldest = oldest.first().map(|item| item.at_ms);
        }
        Ok(())
    }

    /// Counts the replaced entries of the current history: all, and those after `acked`.
    async fn count_replaced(&self, meta: &Meta) -> Result<(u64, u64), TillError> {
        let (mut all, mut after_acked) = (0, 0);
        let (mut from, until) =
            (Key::Replaced(meta.epoch, 0), Key::Replaced(meta.epoch, meta.head + 1));
        loop {
            let page = {
                let reading = self.reading().await?;
                Query::scan(&*reading, &from, &until, PAGE).await.map_err(storage_failed)?
            };
            let full = page.len() == PAGE;
            for (key, _) in page {
                let Key::Replaced(epoch, seq) = key else { continue };
                from = Key::Replaced(epoch, seq + 1);
                all += 1;
                after_acked += u64::from(seq > meta.acked);
            }
            if !full {
                return Ok((all, after_acked));
            }
        }
    }

    /// A closed history is looked at entry by entry: parts of it were carried over.
    async fn count_closed(&self, closed: &Closed, count: &mut Count) -> Result<(), TillError> {
        let mut from = 1;
        while from <= closed.head {
            let page = self.entries(closed.epoch, from, closed.head).await?;
            let Some((last, _)) = page.last() else { break };
            from = last + 1;
            for (seq, entry) in page {
                match entry.state {
                    State::Moved(_) => {}
                    State::Replaced(_) => count.replaced += 1,
                    State::Synced(_) if seq <= closed.kept => count.synced += 1,
                    State::Synced(_) | State::Open => count.pending += 1,
                }
            }
        }
        Ok(())
    }

    /// Returns up to a page of a history's entries.
    pub(crate) async fn entries(
        &self,
        epoch: Epoch,
        first: u64,
        last: u64,
    ) -> Result<Vec<(u64, Entry)>, TillError> {
        let (from, until) = (Key::Entry(epoch, first), Key::Entry(epoch, last + 1));
        let page = self.page(&from, &until).await?;
        Ok(page.into_iter().map(|(place, entry)| (place.seq, entry)).collect())
    }

    /// Returns the next page of the whole journal, all histories, in their order.
    pub(crate) async fn journal(
        &self,
        after: Option<Place>,
    ) -> Result<Vec<(Place, Entry)>, TillError> {
        let from = match after {
            None => Key::Entry(Epoch::default(), 0),
            Some(Place { epoch, seq }) => Key::Entry(epoch, seq + 1),
        };
        let last = Epoch { number: u32::MAX, nonce: u64::MAX };
        self.page(&from, &Key::Entry(last, u64::MAX)).await
    }

    async fn page(&self, from: &Key, until: &Key) -> Result<Vec<(Place, Entry)>, TillError> {
        let reading = self.reading().await?;
        let page = Query::scan(&*reading, from, until, PAGE).await.map_err(storage_failed)?;
        let entries = page.into_iter().filter_map(|row| match row {
            (Key::Entry(epoch, seq), Record::Entry(entry)) => Some((Place { epoch, seq }, entry)),
            _ => None,
        });
        Ok(entries.collect())
    }
}

#[derive(Default)]
struct Count {
    pending: u64,
    attention: u64,
    synced: u64,
    replaced: u64,
    oldest: Option<Millis>,
}

impl Count {
    fn waits_since(&mut self, since: Millis) {
        self.oldest = Some(self.oldest.map_or(since, |oldest| oldest.min(since)));
    }
}

fn event_of(place: Place, entry: &Entry) -> Result<Event, TillError> {
    Event::from_canonical(&entry.payload).map_err(|error| {
        let Place { epoch, seq } = place;
        TillError::StorageFailed(format!("journal entry {epoch}/{seq} cannot be read: {error}"))
    })
}

/// Returns an entry as a list shows it; none if it was carried over or replaced.
pub(crate) fn queue_item(
    place: Place,
    entry: &Entry,
    pending: Option<&pull::Pending>,
) -> Option<QueueItem> {
    if matches!(entry.state, State::Moved(_) | State::Replaced(_)) {
        return None;
    }
    let event = Event::from_canonical(&entry.payload).ok();
    let (needs_attention, attempts, due_ms, code) = match pending {
        Some(pull::Pending::Queued(queued)) => {
            (false, queued.attempts, Some(queued.due), queued.code)
        }
        Some(pull::Pending::Attention(item)) => (true, item.attempts, None, Some(item.code)),
        None => (false, 0, None, None),
    };
    Some(QueueItem {
        epoch: place.epoch,
        seq: place.seq,
        pos_id: entry.pos,
        local_event_id: entry.local_id,
        kind: event.as_ref().map_or("unreadable", Event::kind).to_owned(),
        reference: event.as_ref().map_or("", Event::reference).to_owned(),
        at_ms: event.as_ref().map_or(Millis::ZERO, Event::at),
        needs_attention,
        attempts,
        due_ms,
        code,
        reason: code.map(|code| crate::queue::reason(code).to_owned()),
        receipt: event.as_ref().and_then(Event::receipt).map(crate::receipts::printed),
        total: event.as_ref().and_then(crate::receipts::total),
    })
}
