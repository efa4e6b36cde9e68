//! What is to be seen: the latest sales, and how many are not in the cloud.

use counterfoil_protocol::event::Event;
use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId};
use counterfoil_protocol::machine::Query as _;
use counterfoil_protocol::terminal::row::{Entry, State};
use counterfoil_protocol::terminal::{Key, Place, Record, pull};
use counterfoil_protocol::time::Millis;
use serde::Serialize;

use crate::till::Till;
use crate::{StoreError, TillError, Told};

/// How many that are not in the cloud are counted; more are told as so many.
const COUNTED_MAX: usize = 1_000;

/// A sale, for people.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sale {
    /// Its register.
    pub pos_id: PosId,
    /// Its name there.
    pub local_event_id: LocalEventId,
    /// The number on its receipt.
    pub receipt: Option<u64>,
    /// When.
    pub at_ms: Millis,
    /// How much, in minor units.
    pub total_minor: i64,
    /// In which currency.
    pub currency: String,
    /// Where it stands.
    pub state: SaleState,
    /// Why a person must look at it.
    pub code: Option<&'static str>,
}

/// Where a sale stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SaleState {
    /// On this browser's disk only, so far.
    Queued,
    /// The cloud holds it durably.
    Synced,
    /// A person must look at it.
    NeedsAttention,
}

pub(crate) async fn look(till: &Till, limit: usize) -> Result<Told, TillError> {
    let meta = till.meta().await?;
    let waiting = pull::pending(&till.store, COUNTED_MAX).await?;
    let attention = |pending: &pull::Pending| matches!(pending, pull::Pending::Attention(_));
    let mut sales = Vec::new();
    let closed = meta.closed.iter().rev().map(|closed| (closed.epoch, closed.head));
    for (epoch, head) in std::iter::once((meta.epoch, meta.head)).chain(closed) {
        if sales.len() >= limit || head == 0 {
            continue;
        }
        let first = head.saturating_sub((limit - sales.len()) as u64) + 1;
        let page = entries(till, epoch, first, head, limit).await?;
        for (seq, entry) in page.into_iter().rev() {
            let acked = epoch != meta.epoch || seq <= meta.acked;
            let code = till.store.get(&Key::Attention(epoch, seq)).await?;
            sales.extend(shown(&entry, acked, code.as_ref()));
        }
    }
    sales.truncate(limit);
    Ok(Told::Seen {
        identity: meta.identity,
        epoch: meta.epoch,
        pending: waiting.len(),
        attention: waiting.iter().filter(|(_, _, pending)| attention(pending)).count(),
        quarantined: meta.quarantined,
        sales,
    })
}

/// Returns where an event of this name stands, if there is one.
pub(crate) async fn place(
    till: &Till,
    pos: PosId,
    local_id: LocalEventId,
) -> Result<Option<Place>, TillError> {
    let row = till.store.get(&Key::Local(pos, local_id)).await?;
    let seen = row.as_ref().and_then(counterfoil_protocol::terminal::row::Seen::of);
    Ok(seen.map(|seen| seen.known.place))
}

async fn entries(
    till: &Till,
    epoch: Epoch,
    first: u64,
    head: u64,
    limit: usize,
) -> Result<Vec<(u64, Entry)>, StoreError> {
    let (from, until) = (Key::Entry(epoch, first), Key::Entry(epoch, head + 1));
    let page = till.store.scan(&from, &until, limit).await?;
    let entry = |row| match row {
        (Key::Entry(_, seq), Record::Entry(entry)) => Some((seq, entry)),
        _ => None,
    };
    Ok(page.into_iter().filter_map(entry).collect())
}

/// Returns what is shown of an entry; one that stands elsewhere now is shown there.
fn shown(entry: &Entry, acked: bool, attention: Option<&Record>) -> Option<Sale> {
    let event = Event::from_canonical(&entry.payload).ok()?;
    let trade = event.body().trade()?;
    let code = match attention {
        Some(Record::Attention(attention)) => Some(attention.code.as_str()),
        Some(_) | None => None,
    };
    let state = match (entry.state, code) {
        (State::Moved(_) | State::Replaced(_), _) => return None,
        (_, Some(_)) => SaleState::NeedsAttention,
        (State::Synced(_), None) if acked => SaleState::Synced,
        (State::Synced(_) | State::Open, None) => SaleState::Queued,
    };
    Some(Sale {
        pos_id: event.pos(),
        local_event_id: event.local_id(),
        receipt: event.receipt().map(|receipt| receipt.number),
        at_ms: event.at(),
        total_minor: trade.total().0,
        currency: trade.currency.as_str().to_owned(),
        state,
        code,
    })
}
