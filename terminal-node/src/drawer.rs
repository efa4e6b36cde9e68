//! Register sessions of a till: what callers send, and what a cashier is shown.

use counterfoil_protocol::event::session::{Counted, Difference, Mark, SessionClosed, TaxTotal};
use counterfoil_protocol::event::{Event, Tender};
use counterfoil_protocol::identity::{LocalEventId, PosId, SessionId};
use counterfoil_protocol::money::{Currency, Minor};
use counterfoil_protocol::terminal::register::{self, ClosedSession, OpenSession};
use counterfoil_protocol::terminal::{Input, Output, SessionAct, SessionDraft};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::session::SessionReport;
use serde::{Deserialize, Serialize};

use crate::api::body::TenderWord;
use crate::till::{Till, TillError, TillStore, storage_failed};

/// Opens a register's session, as a caller sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenBody {
    /// The register.
    pub pos_id: PosId,
    /// The caller's name for the opening, and with it for the session.
    pub local_event_id: LocalEventId,
    /// The time of it; the till's own if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<Millis>,
    /// The caller's document number.
    #[serde(default)]
    pub reference: String,
    /// ISO 4217.
    pub currency: Currency,
    /// The cash in the drawer, in minor units.
    pub float_minor: i64,
}

/// Cash that is put in or taken out, as a caller sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CashBody {
    /// The register.
    pub pos_id: PosId,
    /// The caller's name for it.
    pub local_event_id: LocalEventId,
    /// The time of it; the till's own if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<Millis>,
    /// The caller's document number.
    #[serde(default)]
    pub reference: String,
    /// In minor units; above zero is put in, below is taken out.
    pub delta_minor: i64,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Closes a register's session, as a caller sends it: with what people have counted, and no sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CloseBody {
    /// The register.
    pub pos_id: PosId,
    /// The caller's name for the closing.
    pub local_event_id: LocalEventId,
    /// The time of it; the till's own if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<Millis>,
    /// The caller's document number.
    #[serde(default)]
    pub reference: String,
    /// What was counted, each tender once.
    #[serde(default)]
    pub counted: Vec<CountedBody>,
}

/// What was counted of a tender, as a caller sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountedBody {
    /// Which.
    pub tender: TenderWord,
    /// In minor units.
    pub amount_minor: i64,
}

/// Anything that happens to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionBody {
    /// It begins.
    Open(OpenBody),
    /// Cash in or out.
    Cash(CashBody),
    /// It ends.
    Close(CloseBody),
}

impl SessionBody {
    /// Returns the register and the name.
    #[must_use]
    pub const fn name(&self) -> (PosId, LocalEventId) {
        match self {
            Self::Open(body) => (body.pos_id, body.local_event_id),
            Self::Cash(body) => (body.pos_id, body.local_event_id),
            Self::Close(body) => (body.pos_id, body.local_event_id),
        }
    }

    /// Returns the time that the caller gave, if any.
    #[must_use]
    pub const fn at(&self) -> Option<Millis> {
        match self {
            Self::Open(body) => body.at_ms,
            Self::Cash(body) => body.at_ms,
            Self::Close(body) => body.at_ms,
        }
    }

    /// Returns the draft, with `at` on it. The till checks every rule when it records it.
    #[must_use]
    pub fn draft(self, at: Millis) -> SessionDraft {
        let (pos, local_id) = self.name();
        let (reference, act) = match self {
            Self::Open(body) => {
                let (currency, float) = (body.currency, Minor(body.float_minor));
                (body.reference, SessionAct::Open { currency, float })
            }
            Self::Cash(body) => {
                let (delta, reason) = (Minor(body.delta_minor), body.reason);
                (body.reference, SessionAct::Cash { delta, reason })
            }
            Self::Close(body) => {
                let counted = body.counted.iter().map(|counted| Counted {
                    tender: counted.tender.into(),
                    amount: Minor(counted.amount_minor),
                });
                let mut counted: Vec<_> = counted.collect();
                counted.sort_by_key(|counted| counted.tender);
                (body.reference, SessionAct::Close { counted })
            }
        };
        SessionDraft { pos, local_id, at, reference, act }
    }
}

/// A register's drawer: the session that is open, and the last one that was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drawer {
    /// The register.
    pub pos_id: PosId,
    /// What is open.
    pub open: Option<Sheet>,
    /// What was closed last.
    pub last: Option<Sheet>,
}

/// What a session has counted, in the words of a cashier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sheet {
    /// Its name.
    pub session_id: SessionId,
    /// When it was opened, or closed.
    pub at_ms: Millis,
    /// Where the closing stands in the journal; none while it is open.
    pub sealed_at: Option<Mark>,
    /// ISO 4217.
    pub currency: Currency,
    /// The cash at the opening.
    pub float_minor: i64,
    /// Sales.
    pub sales: u64,
    /// Refunds.
    pub refunds: u64,
    /// Lines of both.
    pub lines: u64,
    /// Sold less returned, tax included.
    pub turnover_minor: i64,
    /// Cash put in.
    pub cash_in_minor: i64,
    /// Cash taken out.
    pub cash_out_minor: i64,
    /// Each tender: what is expected, and what was counted.
    pub tenders: Vec<TenderSheet>,
    /// Each tax rate.
    pub taxes: Vec<TaxTotal>,
    /// What the cloud says; none while it is open.
    pub cloud: Option<CloudWord>,
}

/// One tender of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenderSheet {
    /// Which.
    pub tender: TenderWord,
    /// What should be there.
    pub expected_minor: i64,
    /// What was counted, if it was.
    pub counted_minor: Option<i64>,
    /// Counted less expected.
    pub difference_minor: Option<i64>,
}

/// What the cloud says of a closing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudWord {
    /// The word.
    pub status: CloudStatus,
    /// When the till heard it.
    pub heard_at_ms: Option<Millis>,
    /// What the cloud has more than the till has stated, if anything.
    pub difference: Option<Difference>,
    /// Events of the session that the cloud posted after the closing.
    pub late_events: u64,
    /// What those add.
    pub late_minor: i64,
}

/// Where a closing stands with the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CloudStatus {
    /// The cloud has not answered yet.
    Waiting,
    /// It has exactly what the till has stated.
    Confirmed,
    /// It has not.
    Difference,
}

impl Sheet {
    fn open(open: &OpenSession) -> Self {
        let stated = open.closed(open.from, Vec::new());
        Self { sealed_at: None, ..Self::of(open.session, open.at, &stated) }
    }

    fn closed(row: &ClosedSession) -> Self {
        let told = row.told.as_ref();
        let difference = told.and_then(|told| told.report.difference.clone());
        let status = match (told, &difference) {
            (None, _) => CloudStatus::Waiting,
            (Some(_), None) => CloudStatus::Confirmed,
            (Some(_), Some(_)) => CloudStatus::Difference,
        };
        let cloud = CloudWord {
            status,
            heard_at_ms: told.map(|told| told.at),
            difference,
            late_events: told.map_or(0, |told| told.late_events),
            late_minor: told.map_or(0, |told| told.late_minor),
        };
        Self { cloud: Some(cloud), ..Self::of(row.session, row.at, &row.closed) }
    }

    fn of(session_id: SessionId, at_ms: Millis, stated: &SessionClosed) -> Self {
        let totals = &stated.totals;
        let shown = |tender: &Tender| {
            let expected = stated.expected(*tender);
            let counted = stated.counted(*tender);
            let usual = *tender == Tender::Cash || expected.0 != 0 || counted.is_some();
            usual.then(|| TenderSheet {
                tender: TenderWord::from(*tender),
                expected_minor: expected.0,
                counted_minor: counted.map(|counted| counted.0),
                difference_minor: counted.map(|counted| counted.0.saturating_sub(expected.0)),
            })
        };
        Self {
            session_id,
            at_ms,
            sealed_at: Some(stated.to),
            currency: stated.currency,
            float_minor: stated.float.0,
            sales: totals.sales,
            refunds: totals.refunds,
            lines: totals.lines,
            turnover_minor: totals.turnover().0,
            cash_in_minor: totals.cash_in.0,
            cash_out_minor: totals.cash_out.0,
            tenders: Tender::ALL.iter().filter_map(shown).collect(),
            taxes: totals.taxes.clone(),
            cloud: None,
        }
    }
}

impl<S: TillStore> Till<S> {
    /// Records what happens to a register's session: durable when this returns `Recorded`.
    ///
    /// # Errors
    /// [`TillError::StorageFailed`]: it may or may not have been recorded.
    pub async fn session(&self, draft: SessionDraft) -> Result<Output, TillError> {
        self.apply(Input::Session(draft)).await
    }

    /// Returns the time of an event: the caller's, or that of its first recording, or now.
    /// Without the second, a caller that gives no time could not ask again.
    ///
    /// # Errors
    /// The store's.
    pub async fn stamp(
        &self,
        at: Option<Millis>,
        pos: PosId,
        id: LocalEventId,
    ) -> Result<Millis, TillError> {
        if let Some(at) = at {
            return Ok(at);
        }
        let entry = match self.known(pos, id).await? {
            Some(known) => self.entry(known.place).await?,
            None => None,
        };
        let event = entry.and_then(|entry| Event::from_canonical(&entry.payload).ok());
        Ok(event.map_or_else(|| self.clock().now(), |event| event.at()))
    }

    /// Returns a register's drawer.
    ///
    /// # Errors
    /// The store's.
    pub async fn drawer(&self, pos: PosId) -> Result<Drawer, TillError> {
        let reading = self.reading().await?;
        let (open, last) = register::current(&*reading, pos).await.map_err(storage_failed)?;
        Ok(Drawer {
            pos_id: pos,
            open: open.as_ref().map(Sheet::open),
            last: last.as_ref().map(Sheet::closed),
        })
    }

    /// Returns the sessions whose closings the cloud has not confirmed.
    ///
    /// # Errors
    /// The store's.
    pub async fn unsettled_sessions(&self) -> Result<Vec<(PosId, SessionId)>, TillError> {
        let reading = self.reading().await?;
        register::unsettled(&*reading).await.map_err(storage_failed)
    }

    /// Notes what the cloud says of a session.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_session(&self, report: SessionReport) -> Result<(), TillError> {
        self.apply(Input::SessionVerdict(report)).await.map(|_| ())
    }
}
