//! The cloud's answer about a register session, version 1. JSON has the same fields in camel case.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::event::session::{Difference, TAX_RATES_MAX, TENDERS_MAX, Totals};
use crate::identity::{BranchId, LocalEventId, PosId, SessionId, TerminalId};
use crate::money::{Currency, Minor};
use crate::time::Millis;

use super::message::{MessageError, WIRE_VERSION};

/// The most closings of one session that the cloud keeps: the last ones. There is one, unless a
/// till was copied or restored.
pub const CLOSINGS_MAX: usize = 8;
/// The most late arrivals that are told one by one: the last ones.
pub const LATE_MAX: usize = 16;

const _: () = assert!(CLOSINGS_MAX > 0, "a session can be closed");
/// The most bytes of a session's sums beside its rates.
const SUMS_BYTES_MAX: usize = 512;
/// The most bytes of a rate and its sum.
const TAX_BYTES_MAX: usize = 16;

const _: () = assert!(
    (2 * CLOSINGS_MAX + 1) * TAX_RATES_MAX * TAX_BYTES_MAX
        + (CLOSINGS_MAX + LATE_MAX + 1) * SUMS_BYTES_MAX
        <= codec::MESSAGE_BYTES_MAX,
    "the longest report can be decoded"
);
const _: () = assert!(CLOSINGS_MAX <= u8::MAX as usize, "few closings are shown");
const _: () = assert!(LATE_MAX <= u8::MAX as usize, "few late arrivals are shown");
const _: () = assert!(LATE_MAX > 0, "what came late can be shown");

/// What the cloud has of a register session, and what it makes of each closing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionReport {
    /// Where the till stands.
    pub branch_id: BranchId,
    /// Whose session it is.
    pub terminal_id: TerminalId,
    /// On which register.
    pub pos_id: PosId,
    /// Its name: that of the event that opened it.
    pub session_id: SessionId,
    /// The one question of close of day, answered for the last closing.
    pub status: SessionStatus,
    /// The currency of every amount.
    pub currency: Currency,
    /// The cash at the opening; none until the opening has arrived.
    pub float_minor: Option<i64>,
    /// What the cloud's posted events of this session add up to.
    pub posted: Totals,
    /// Its posted events in another currency, which no sum counts.
    pub foreign: u64,
    /// How often it was closed.
    pub closed: u32,
    /// The last closings, oldest first.
    pub closings: Vec<ClosingReport>,
    /// What was posted after the first closing.
    pub late: LateReport,
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SessionStatus {
    /// No closing has been posted yet.
    Open,
    /// The last closing states exactly what the cloud has.
    Confirmed,
    /// It does not; the closing's `difference` says by how much.
    Difference,
}

/// What the cloud makes of one closing, as of now: a late sale can change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClosingReport {
    /// The closing event.
    pub closing_id: LocalEventId,
    /// What the cloud has more than it states; none if it is confirmed.
    pub difference: Option<Difference>,
}

/// What has arrived late. It is part of the session all the same: each is an adjustment of what
/// was there when it was closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LateReport {
    /// How many events.
    pub events: u64,
    /// What they add to what the session has taken, in minor units.
    pub money_minor: i64,
    /// The last of them, oldest first.
    pub last: Vec<LateEntry>,
}

/// One late arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LateEntry {
    /// Which event.
    pub local_event_id: LocalEventId,
    /// When the cloud posted it.
    pub posted_at_ms: Millis,
    /// What it adds to what the session has taken.
    #[serde(rename = "moneyMinor")]
    pub money: Minor,
}

impl SessionReport {
    /// Returns the binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let frame = codec::encode(WIRE_VERSION, self);
        assert_eq!(frame.first(), Some(&WIRE_VERSION), "the version comes first");
        frame
    }

    /// Reads a binary frame and checks its bounds.
    ///
    /// # Errors
    /// [`MessageError`]; any bytes may be given.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        codec::decode::<Self>(WIRE_VERSION, bytes)?.check()
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// [`MessageError::Parts`] if a list is longer than it can be.
    pub fn check(self) -> Result<Self, MessageError> {
        let differences = self.closings.iter().filter_map(|closing| closing.difference.as_ref());
        let bounded = self.closings.len() <= CLOSINGS_MAX
            && self.late.last.len() <= LATE_MAX
            && self.posted.tenders.len() <= TENDERS_MAX
            && self.posted.taxes.len() <= TAX_RATES_MAX
            && differences.into_iter().all(|differs| {
                differs.tenders.len() <= TENDERS_MAX && differs.taxes.len() <= 2 * TAX_RATES_MAX
            });
        if bounded { Ok(self) } else { Err(MessageError::Parts) }
    }

    /// Returns what the cloud makes of one closing, if it knows it.
    #[must_use]
    pub fn closing(&self, closing: LocalEventId) -> Option<&ClosingReport> {
        self.closings.iter().find(|report| report.closing_id == closing)
    }
}
