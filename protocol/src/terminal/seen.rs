//! What a till knows of an event by its name, and of the session that counts it.

use serde::{Deserialize, Serialize};

use super::row::{Entry, Known, Place};
use super::{Key, Record, Terminal};
use crate::event::Event;
use crate::identity::{LocalEventId, PosId, SessionId};
use crate::machine::Rows;
use crate::money::Currency;
use crate::wire::event::ReceiptV1;

/// What the till knows, by its name, of an event that a register session counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownInSession {
    /// As of any event.
    pub known: Known,
    /// The session that counts it.
    pub session: SessionId,
    /// The session's currency.
    pub currency: Currency,
}

/// What the till knows of an event by its name, whichever row says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where it stands, and its digest.
    pub known: Known,
    /// The session that counts it, and its currency, if one does.
    pub counted_by: Option<(SessionId, Currency)>,
}

impl Seen {
    /// Returns what a row under [`Key::Local`] says; another row says nothing.
    #[must_use]
    pub const fn of(record: &Record) -> Option<Self> {
        match record {
            Record::Local(known) => Some(Self { known: *known, counted_by: None }),
            Record::LocalInSession(KnownInSession { known, session, currency }) => {
                Some(Self { known: *known, counted_by: Some((*session, *currency)) })
            }
            Record::Meta(_)
            | Record::Entry(_)
            | Record::Queue(_)
            | Record::Attention(_)
            | Record::Series(_)
            | Record::Stock(_)
            | Record::Catalog(_)
            | Record::Item(_)
            | Record::Register(_)
            | Record::Closing(_)
            | Record::LocalEdits(_)
            | Record::Movement(_)
            | Record::Applied(_)
            | Record::Review(_)
            | Record::Inbox(_)
            | Record::Code
            | Record::Schema(_)
            | Record::Diary(_)
            | Record::Replaced(_)
            | Record::Archive(_)
            | Record::Note(_) => None,
        }
    }

    /// Returns what the row of an entry's event said, if that row is lost: the event says the same.
    pub(super) fn again(entry: &Entry, place: Place) -> Self {
        let event = Event::from_canonical(&entry.payload).ok();
        let receipt = event.as_ref().and_then(Event::receipt);
        let receipt = receipt.map(|r| ReceiptV1 { series: r.series, number: r.number });
        let known = Known { place, payload_hash: entry.payload_hash, receipt };
        let counted_by = event.and_then(|event| event.session().zip(event.body().currency()));
        Self { known, counted_by }
    }

    pub(super) fn record(self) -> Record {
        let record = match self.counted_by {
            None => Record::Local(self.known),
            Some((session, currency)) => {
                Record::LocalInSession(KnownInSession { known: self.known, session, currency })
            }
        };
        assert_eq!(Self::of(&record), Some(self), "what is written is read back");
        record
    }
}

impl Rows<'_, Terminal> {
    pub(super) fn seen(&self, pos: PosId, local_id: LocalEventId) -> Option<Seen> {
        let record = self.get(&Key::Local(pos, local_id))?;
        let seen = Seen::of(record);
        assert!(seen.is_some(), "a store gives each key a record of its kind");
        seen
    }
}
