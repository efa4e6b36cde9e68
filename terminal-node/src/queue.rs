//! The queue for people: what waits for them, why, and what to do about it.

use counterfoil_protocol::event::Event;
use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::terminal::{Key, Place, Record, pull};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::event::EventAny;
use serde::Serialize;

use crate::books::{QueueItem, queue_item};
use crate::till::{Till, TillError, TillStore, storage_failed};

/// An entry of the queue as S1.4 names its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueRecord {
    /// What kind of event it is.
    pub entity_type: String,
    /// Its register and its name there.
    pub entity_id: String,
    /// What is done with it in the cloud: a fact is added, and never changed.
    pub action: &'static str,
    /// The event as it will be sent.
    pub payload: Option<EventAny>,
    /// Where it stands.
    pub status: QueueStatus,
    /// Item-level failures so far.
    pub retry_count: u8,
    /// The till's time of it, in milliseconds since 1970.
    pub created_at: Millis,
}

/// Where an entry of the queue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum QueueStatus {
    /// It has not been answered yet.
    Pending,
    /// It has failed, and is tried again by itself.
    Retry,
    /// A person must look at it.
    NeedsAttention,
}

impl<S: TillStore> Till<S> {
    /// Returns up to `limit` events that a person must look at, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn attention(&self, limit: usize) -> Result<Vec<QueueItem>, TillError> {
        let last = Epoch { number: u32::MAX, nonce: u64::MAX };
        let (first, end) = (Key::Attention(Epoch::default(), 0), Key::Attention(last, u64::MAX));
        let rows = {
            let reading = self.reading().await?;
            reading.scan(&first, &end, limit).await.map_err(storage_failed)?
        };
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let (Key::Attention(epoch, seq), Record::Attention(why)) = row else { continue };
            let place = Place { epoch, seq };
            if let Some(entry) = self.entry(place).await? {
                items.extend(queue_item(place, &entry, Some(&pull::Pending::Attention(why))));
            }
        }
        Ok(items)
    }

    /// Returns the entry of the queue with this name, if it is not synced.
    ///
    /// # Errors
    /// The store's.
    pub async fn queued(
        &self,
        pos: PosId,
        local_id: LocalEventId,
    ) -> Result<Option<QueueItem>, TillError> {
        let Some(known) = self.known(pos, local_id).await? else { return Ok(None) };
        let Some(entry) = self.entry(known.place).await? else { return Ok(None) };
        let Place { epoch, seq } = known.place;
        let pending = {
            let reading = self.reading().await?;
            let queued = reading.get(&Key::Queue(epoch, seq)).await.map_err(storage_failed)?;
            let attention = reading.get(&Key::Attention(epoch, seq)).await;
            match (queued, attention.map_err(storage_failed)?) {
                (Some(Record::Queue(queued)), _) => Some(pull::Pending::Queued(queued)),
                (_, Some(Record::Attention(why))) => Some(pull::Pending::Attention(why)),
                _ => None,
            }
        };
        Ok(pending.and_then(|pending| queue_item(known.place, &entry, Some(&pending))))
    }

    /// Returns an entry of the queue with the event that it is about.
    ///
    /// # Errors
    /// The store's.
    pub async fn queue_record(&self, item: QueueItem) -> Result<QueueRecord, TillError> {
        let place = Place { epoch: item.epoch, seq: item.seq };
        let entry = self.entry(place).await?;
        let event = entry.and_then(|entry| Event::from_canonical(&entry.payload).ok());
        let status = match (item.needs_attention, item.attempts) {
            (true, _) => QueueStatus::NeedsAttention,
            (false, 0) => QueueStatus::Pending,
            (false, _) => QueueStatus::Retry,
        };
        Ok(QueueRecord {
            entity_type: item.kind,
            entity_id: format!("{}/{}", item.pos_id, item.local_event_id),
            action: "CREATE",
            payload: event.as_ref().map(EventAny::from_event),
            status,
            retry_count: item.attempts,
            created_at: item.at_ms,
        })
    }
}

/// Returns why an event is not posted and what to do, as a person at the till is told.
#[must_use]
pub const fn reason(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ProductUnknown => {
            "a product on it is not in the cloud's catalog: let the head office add it, then try \
             again"
        }
        ErrorCode::OriginalPending => {
            "the sale that it takes back has not reached the cloud yet: try again when that sale \
             is through"
        }
        ErrorCode::EventInvalid => {
            "the cloud does not accept its content, or has another event of the same name: show \
             it to the head office; nothing of it is lost"
        }
        ErrorCode::EventDuplicate => "the cloud has it already: try again to hear its name there",
        ErrorCode::OriginalPosted => {
            "the sale that it corrects had reached the cloud as it was: let that one count"
        }
        ErrorCode::Withdrawn => {
            "a correction has its place in the cloud: let that one count, or, if this till has \
             none, look at the other copy of this till"
        }
        ErrorCode::ServerOwned => "it changes what only the head office decides: ask them to do it",
        ErrorCode::TooLarge | ErrorCode::ManifestTooLarge => {
            "it is too large for the way to the cloud: show it to whoever runs the network"
        }
        ErrorCode::VersionUnsupported => {
            "the cloud does not read this form yet: update the cloud, then try again"
        }
        ErrorCode::Unauthorized => "this till is not enrolled: enrol it, then try again",
        ErrorCode::RateLimited
        | ErrorCode::SnapshotFailed
        | ErrorCode::DeltaFailed
        | ErrorCode::ReconcileFailed
        | ErrorCode::StorageFailed
        | ErrorCode::NotFound
        | ErrorCode::Unavailable => "the cloud had trouble of its own: try again",
    }
}
