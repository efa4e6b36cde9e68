//! What a person does about a sale that went wrong: correct it, let the other one count, set it
//! aside, or void it.
//!
//! A **correction** is for a sale that the cloud could not post: the original is kept, and leaves
//! the queue as replaced ([`correct`]). A **void** is for a sale that should not have been: a
//! refund of everything, under a name that follows from the sale, so there is one at most however
//! often it is asked for, on this till and in the cloud. No kind of event would say more than that
//! refund: it names the original, moves goods and money back, has a receipt, and counts in the
//! session that gives the money.

use counterfoil_protocol::event::{Body, EventError, TEXT_BYTES_MAX};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId};
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::session::Nudge;
use counterfoil_protocol::terminal::row::{Entry, State};
use counterfoil_protocol::terminal::{Draft, Input, Key, Output, Place, Record, correct};
use counterfoil_protocol::time::Millis;
use serde::{Deserialize, Serialize};

use crate::books::{Standing, Total};
use crate::till::{Till, TillError, TillStore, storage_failed};

/// The most bytes of the reason of a void.
pub const REASON_BYTES_MAX: usize = TEXT_BYTES_MAX - VOID.len();

/// What the reference of a void begins with; its reason follows.
const VOID: &str = "void: ";
/// How many digits of the sale's digest are in the name of its void.
const VOID_DIGITS: usize = 30;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unmended {
    /// The store's.
    #[error(transparent)]
    Till(#[from] TillError),
    /// There is no sale of that name.
    #[error("there is no sale of this name here")]
    Unknown,
    /// As it stands, it cannot be.
    #[error("{0}")]
    Not(&'static str),
    /// Another event stands under the new name.
    #[error("another event stands under this register and id: {0}")]
    Taken(LocalEventId),
    /// What should be recorded breaks a rule.
    #[error("{0}")]
    Invalid(EventError),
}

/// An event that another counts in the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplacedItem {
    /// Its history.
    pub epoch: Epoch,
    /// Its place there.
    pub seq: u64,
    /// Its register.
    pub pos_id: PosId,
    /// Its name on it.
    pub local_event_id: LocalEventId,
    /// What counts in its place, by its name there.
    pub by: LocalEventId,
    /// Where that stands.
    pub by_state: Option<Standing>,
    /// Why a person had to look at it.
    pub code: ErrorCode,
    /// Since when.
    pub since_ms: Millis,
    /// The printed number with its series.
    pub receipt: Option<String>,
    /// What it came to.
    pub total: Option<Total>,
}

/// Returns the name of the void of the sale with this digest.
pub(crate) fn void_of(payload: Hash) -> LocalEventId {
    let name = format!("void-{}", &payload.to_string()[..VOID_DIGITS]);
    LocalEventId::parse(&name).expect("digits after a word are a name")
}

/// Returns whether a reference is that of a void.
pub(crate) fn is_void(reference: &str) -> bool {
    reference.starts_with(VOID)
}

/// Where a new event stands, and whether it stood there before.
pub(crate) type Mended = (LocalEventId, Place, Option<counterfoil_protocol::event::Receipt>, bool);

impl<S: TillStore> Till<S> {
    /// Records `draft`, a sale, in place of the sale `original` of its register.
    pub(crate) async fn correct(
        &self,
        original: LocalEventId,
        draft: Draft,
    ) -> Result<Mended, Unmended> {
        let _alone = self.returning().await;
        let (pos, id) = (draft.pos, draft.local_id);
        let Some(receipt) = self.receipt(pos, original).await? else {
            return Err(Unmended::Unknown);
        };
        if !receipt.returned.is_empty() {
            return Err(Unmended::Not(
                "part of it was taken back: a refund names it, and would wait for ever",
            ));
        }
        let planned = {
            let reading = self.reading().await?;
            correct::plan(&*reading, original, draft).await.map_err(storage_failed)?
        };
        let Some(input) = planned else {
            return Err(Unmended::Not("only sales are corrected: record a refund anew"));
        };
        mended(id, self.apply(input).await?, || match receipt.item.state {
            Standing::Synced => "the cloud has it already: void it, or take things back",
            Standing::Replaced => "another counts in its place already: correct that one",
            Standing::Pending => "the cloud has not answered it yet: wait, or void it",
            Standing::NeedsAttention => "the cloud says that another counts: let that one count",
        })
    }

    /// Lets the other one count, of an event of which the cloud says that another does. `false`: it
    /// is no such event, or this till does not know the other one.
    pub(crate) async fn give_way(&self, pos: PosId, id: LocalEventId) -> Result<bool, TillError> {
        let planned = {
            let reading = self.reading().await?;
            correct::yielding(&*reading, pos, id).await.map_err(storage_failed)?
        };
        let Some(input) = planned else { return Ok(false) };
        self.settle(input).await
    }

    /// Sets an event aside that failed and would be tried again. `false`: it is no such event.
    pub(crate) async fn set_aside(&self, pos: PosId, id: LocalEventId) -> Result<bool, TillError> {
        let Some(known) = self.known(pos, id).await? else { return Ok(false) };
        self.settle(Input::SetAside(known.place)).await
    }

    async fn settle(&self, input: Input) -> Result<bool, TillError> {
        let settled = matches!(self.apply(input).await?, Output::Settled(_));
        if settled {
            self.nudge(Nudge::Manual);
        }
        Ok(settled)
    }

    /// Takes everything of a sale back, with a reason. The same again is harmless.
    pub(crate) async fn void(
        &self,
        pos: PosId,
        sale: LocalEventId,
        reason: &str,
        at: Option<Millis>,
    ) -> Result<Mended, Unmended> {
        let _alone = self.returning().await;
        let entry = match self.known(pos, sale).await? {
            Some(known) => self.entry(known.place).await?,
            None => None,
        };
        let Some(entry) = entry else { return Err(Unmended::Unknown) };
        let id = void_of(entry.payload_hash);
        let voided = self.known(pos, id).await?.is_some();
        if !voided {
            self.may_void(pos, sale, &entry).await?;
        }
        let event = counterfoil_protocol::event::Event::from_canonical(&entry.payload);
        let event = event.map_err(Unmended::Invalid)?;
        let terminal = self.meta().await?.identity.terminal;
        let Some(trade) = event.body().trade().cloned() else { return Err(Unmended::Unknown) };
        let body = Body::Refund { original: Some(event.key(terminal)), trade };
        let at = self.stamp(at, pos, id).await?;
        let draft = Draft { pos, local_id: id, at, reference: format!("{VOID}{reason}"), body };
        mended(id, self.record(draft).await?, || unreachable!("a refund is recorded, or not"))
    }

    async fn may_void(
        &self,
        pos: PosId,
        sale: LocalEventId,
        entry: &Entry,
    ) -> Result<(), Unmended> {
        let Some(receipt) = self.receipt(pos, sale).await? else { return Err(Unmended::Unknown) };
        if receipt.item.kind == "refund" {
            return Err(Unmended::Not("a refund is not voided: sell the goods again"));
        }
        if matches!(entry.state, State::Replaced(_)) {
            return Err(Unmended::Not("another counts in its place: void that one"));
        }
        if !receipt.returned.is_empty() {
            return Err(Unmended::Not("part of it was taken back: take the rest back by a refund"));
        }
        if !receipt.returned_complete {
            return Err(Unmended::Not("it is too long ago: take everything back by a refund"));
        }
        Ok(())
    }

    /// Returns why nothing more is taken back of a sale, if it was voided here.
    pub(crate) async fn is_voided(
        &self,
        pos: PosId,
        sale: LocalEventId,
    ) -> Result<bool, TillError> {
        let Some(known) = self.known(pos, sale).await? else { return Ok(false) };
        Ok(self.known(pos, void_of(known.payload_hash)).await?.is_some())
    }

    /// Returns up to `limit` events that another counts in the place of, oldest first.
    pub(crate) async fn replaced(&self, limit: usize) -> Result<Vec<ReplacedItem>, TillError> {
        let last = Epoch { number: u32::MAX, nonce: u64::MAX };
        let (first, end) = (Key::Replaced(Epoch::default(), 0), Key::Replaced(last, u64::MAX));
        let rows = {
            let reading = self.reading().await?;
            Query::scan(&*reading, &first, &end, limit).await.map_err(storage_failed)?
        };
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let (Key::Replaced(epoch, seq), Record::Replaced(replaced)) = row else { continue };
            let Some(entry) = self.entry(Place { epoch, seq }).await? else { continue };
            let shown = self.receipt(entry.pos, entry.local_id).await?;
            let by = self.receipt(entry.pos, replaced.by).await?;
            items.push(ReplacedItem {
                epoch,
                seq,
                pos_id: entry.pos,
                local_event_id: entry.local_id,
                by: replaced.by,
                by_state: by.map(|by| by.item.state),
                code: replaced.code,
                since_ms: replaced.since,
                receipt: shown.as_ref().and_then(|shown| shown.item.receipt.clone()),
                total: shown.map(|shown| {
                    let (minor, currency) = (shown.item.total_minor, shown.item.currency);
                    Total { minor, currency }
                }),
            });
        }
        Ok(items)
    }
}

fn mended(
    id: LocalEventId,
    output: Output,
    why: impl FnOnce() -> &'static str,
) -> Result<Mended, Unmended> {
    match output {
        Output::Recorded { place, receipt, again } => Ok((id, place, receipt, again)),
        Output::Taken(_) => Err(Unmended::Taken(id)),
        Output::Invalid(error) => Err(Unmended::Invalid(error)),
        Output::NothingToRetry => Err(Unmended::Not(why())),
        output @ (Output::Opened { .. }
        | Output::NotInstalled(_)
        | Output::Settled(_)
        | Output::Catalogued(_)
        | Output::CatalogUnreadable(_)
        | Output::Session(_)
        | Output::Inbox(_)
        | Output::PlanApplied(_)
        | Output::PlanRefused(_)) => unreachable!("a record is not answered by {output:?}"),
    }
}
