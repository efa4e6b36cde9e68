//! The way of one event: when it was recorded, where it stood, how often it was offered, what was
//! answered, and what comes next.
//!
//! It is told from three things, and says what none of them knows: the journal (for ever), the
//! diary (the newest 4096 notes of what came of speaking to the cloud), and the memory of the
//! running program (what is not noted on the disk yet). A program that is killed between an offer
//! and its next commit about the cloud forgets that offer; the story says where that may be so.
//!
//! What the cloud holds of it stands beside that ([`cloud`]), if the cloud can be asked.

pub mod ask;
pub mod cloud;
mod text;
mod way;

use counterfoil_protocol::event::Event;
use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId, SessionId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::terminal::diary::Outcome;
use counterfoil_protocol::terminal::row::{Entry, Meta, State};
use counterfoil_protocol::terminal::{Parted, Place};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::ServerId;
use serde::{Deserialize, Serialize};

use crate::books::{Standing, Total};
use crate::receipts::{Backwards, order_id, printed, total};
use crate::till::{Till, TillError, TillStore};

pub use text::utc;

/// The most steps of one story: the first, and the latest.
pub const STEPS_MAX: usize = 500;

/// The way of one event, as far as this till knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// The register.
    pub pos_id: PosId,
    /// Its name on it.
    pub local_event_id: LocalEventId,
    /// What kind of event it is.
    pub kind: String,
    /// The time that is printed on it: the caller's, or the till's when it was recorded.
    pub at_ms: Millis,
    /// The printed number with its series, if it has one.
    pub receipt: Option<String>,
    /// The caller's document number.
    pub reference: String,
    /// What it comes to, if it is a sale or a refund.
    pub total: Option<Total>,
    /// The register session that counts it.
    pub session_id: Option<SessionId>,
    /// The digest of its canonical bytes, the same wherever it stands.
    pub payload_hash: String,
    /// Where it stands in the till's journal.
    pub place: Spot,
    /// Where it stood before, oldest first, if it was carried over.
    pub before: Vec<Spot>,
    /// Where it stands on its way to the cloud.
    pub state: Standing,
    /// The cloud's name for it, once the cloud durably holds it.
    pub server_id: Option<ServerId>,
    /// The number that people know it by, from then on, if it is a sale, correction or refund.
    #[serde(default)]
    pub order_id: Option<String>,
    /// What counts in its place, if a person has corrected it.
    #[serde(default)]
    pub replaced_by: Option<LocalEventId>,
    /// Whose place it takes, the latest first, if it is a correction.
    #[serde(default)]
    pub corrects: Vec<LocalEventId>,
    /// Offers that are known, those without an answer among them.
    pub offers: u64,
    /// What happened to it, in order.
    pub steps: Vec<Step>,
    /// Steps in the middle that were left out.
    pub steps_left_out: usize,
    /// What comes next.
    pub next: Next,
    /// What nobody here can know, said plainly.
    pub unknown: Vec<String>,
    /// The cloud's side, if the cloud was asked.
    #[serde(default)]
    pub cloud: Option<cloud::CloudSide>,
}

/// A place in the till's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spot {
    /// The history.
    pub epoch: Epoch,
    /// The entry in it.
    pub seq: u64,
}

impl From<Place> for Spot {
    fn from(Place { epoch, seq }: Place) -> Self {
        Self { epoch, seq }
    }
}

/// Something that happened to an event, or to the till while the event was under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The till's time of it.
    pub at_ms: Millis,
    /// What happened.
    pub what: What,
    /// Whether it is on the disk: else the running program alone knows it.
    pub durable: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum What {
    /// The till's program was started.
    Started,
    /// A new history was opened, as the database had been exchanged or the cloud holds another one.
    Parted {
        /// Why.
        why: Parted,
        /// The history that was opened.
        epoch: Epoch,
    },
    /// It was carried over.
    Carried {
        /// From where.
        from: Spot,
        /// To where.
        to: Spot,
    },
    /// A person wanted another try.
    Retried,
    /// A person has corrected it, or let another one count.
    Replaced {
        /// What counts, by its name on the register.
        by: LocalEventId,
    },
    /// A person has set it aside.
    SetAside,
    /// It was offered to the cloud.
    Offered {
        /// As which entry.
        place: Spot,
        /// How often in a row with the same outcome.
        times: u32,
        /// The last of these times.
        last_ms: Millis,
        /// What came of it, for programs.
        outcome: Outcome,
        /// The stable code, if it was answered with one.
        code: Option<ErrorCode>,
    },
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Next {
    /// When the till tries by itself, if it does and that is known.
    pub due_ms: Option<Millis>,
    /// The error that it waits for, if there is one.
    pub code: Option<ErrorCode>,
    /// What is due, for people.
    pub text: String,
}

impl<S: TillStore> Till<S> {
    /// Tells the way of an event; none if there is no event of this name here.
    ///
    /// # Errors
    /// The store's.
    pub async fn story(
        &self,
        pos: PosId,
        local_id: LocalEventId,
    ) -> Result<Option<Story>, TillError> {
        let meta = self.meta().await?;
        let Some(known) = self.known(pos, local_id).await? else { return Ok(None) };
        let Some(entry) = self.entry(known.place).await? else { return Ok(None) };
        let event = Event::from_canonical(&entry.payload).ok();
        let series = known.receipt.map(|receipt| receipt.series);
        let (before, traced) = self.places_before(&meta, known.place, &entry, series).await?;
        let diary = self.diary().await?;
        let state = self.standing(&meta, known.place, &entry).await?;
        let at_ms = event.as_ref().map_or(Millis::ZERO, Event::at);
        let mut places = before.clone();
        places.push(known.place);
        let way = way::Way { places: &places, since: at_ms, settled: state == Standing::Synced };
        let (steps, steps_left_out) = way.steps(&diary, &self.jotted());
        let mut unknown = way.unknown(&diary, &steps);
        if !traced {
            unknown.push(
                "every place where it stood before: closed histories are forgotten in the end, and \
                 not more than some thousand entries of them are looked at"
                    .to_owned(),
            );
        }
        let server_id = match entry.state {
            State::Synced(id) if state == Standing::Synced => Some(id),
            State::Synced(_) | State::Open | State::Moved(_) | State::Replaced(_) => None,
        };
        let replaced_by = match entry.state {
            State::Replaced(by) => Some(by),
            State::Synced(_) | State::Open | State::Moved(_) => None,
        };
        let next = self.next(&meta, known.place, pos, local_id, state).await?;
        Ok(Some(Story {
            pos_id: pos,
            local_event_id: local_id,
            kind: event.as_ref().map_or("unreadable", Event::kind).to_owned(),
            at_ms,
            receipt: event.as_ref().and_then(Event::receipt).map(printed),
            reference: event.as_ref().map_or("", Event::reference).to_owned(),
            total: event.as_ref().and_then(total),
            session_id: event.as_ref().and_then(Event::session),
            payload_hash: entry.payload_hash.to_string(),
            place: known.place.into(),
            before: before.into_iter().map(Spot::from).collect(),
            state,
            server_id,
            order_id: event.as_ref().and_then(|event| order_id(event, server_id)),
            replaced_by,
            corrects: event.iter().flat_map(Event::corrected).map(|of| of.local_id).collect(),
            offers: way::offers(&steps),
            steps,
            steps_left_out,
            next,
            unknown,
            cloud: None,
        }))
    }

    /// Returns where an event stood before it was carried over to `place`, oldest first, and
    /// whether all of the journal was looked at that the question is about.
    async fn places_before(
        &self,
        meta: &Meta,
        place: Place,
        entry: &Entry,
        series: Option<Epoch>,
    ) -> Result<(Vec<Place>, bool), TillError> {
        let mut before = Vec::new();
        // A receipt's series is the history in which it was recorded.
        if series == Some(place.epoch) || meta.closed.is_empty() {
            return Ok((before, true));
        }
        let mut back = Backwards::of_closed(meta);
        while let Some(page) = back.next(self).await? {
            for (old, other) in page.into_iter().rev() {
                let same = other.pos == entry.pos && other.local_id == entry.local_id;
                if same && matches!(other.state, State::Moved(_)) {
                    before.push(old);
                }
            }
            if before.last().is_some_and(|first| Some(first.epoch) == series) {
                before.reverse();
                return Ok((before, true));
            }
        }
        before.reverse();
        // Histories are forgotten in the end; what is settled in them was never carried over.
        let whole = back.is_through()
            && series.is_none_or(|series| before.first().is_some_and(|f| f.epoch == series));
        Ok((before, whole))
    }

    async fn next(
        &self,
        meta: &Meta,
        place: Place,
        pos: PosId,
        id: LocalEventId,
        state: Standing,
    ) -> Result<Next, TillError> {
        let item = self.queued(pos, id).await?;
        let code = item.as_ref().and_then(|item| item.code);
        let why = code.map(crate::queue::reason).unwrap_or_default();
        let again = "next time that the till speaks to the cloud";
        let (due_ms, text) = match state {
            Standing::Synced => (None, "nothing: the cloud durably holds it".to_owned()),
            Standing::Replaced => (None, "nothing: another counts in its place".to_owned()),
            Standing::NeedsAttention => {
                let command = format!("terminal-node retry --pos {pos} --id {id}");
                (None, format!("a person must look at it: {why}; then `{command}`"))
            }
            Standing::Pending => {
                let due = item.as_ref().filter(|item| item.attempts > 0);
                let due = due.and_then(|item| item.due_ms);
                let text = if let Some(denial) = meta.quarantined {
                    format!("it waits for the cloud to listen again: {}", denial.explain())
                } else if place.epoch != meta.epoch {
                    format!("it is carried over into the current history, {again}")
                } else if let Some(due) = due {
                    format!("it is tried again by itself, not before {}: {why}", utc(due))
                } else {
                    format!("it is offered {again}")
                };
                (due, text)
            }
        };
        Ok(Next { due_ms, code, text })
    }
}
