//! What the cloud holds of one event, and what it does not know (B.16).
//!
//! It is told from committed rows, and changes none: the ledger's row, the copy of the journal,
//! what waits and what was decided, other events that came under the name, refunds and corrections,
//! partings of the history, the branch's inbox, the operators' log. The ledger has no index of what
//! names what, so refunds are looked for in a bounded stretch of it ([`LOOKED_MAX`]), and
//! the story says where that was not all.

mod inbox;
mod notes;
mod others;
mod refunds;
mod steps;
pub mod text;

use counterfoil_protocol::cloud::direct::is_book;
use counterfoil_protocol::cloud::row::{Fate, Ledger, server_id};
use counterfoil_protocol::cloud::{Cloud, Key, Record};
use counterfoil_protocol::event::{Event, Receipt};
use counterfoil_protocol::identity::{EventKey, ShopId};
use counterfoil_protocol::journal::Segment;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::event::EventKeyV1;
use counterfoil_protocol::wire::explain::{
    CloudPlace, CloudState, CloudStory, EXPLAIN_VERSION, OtherEvent, ToldDecision, ToldMovement,
    ToldTerminal,
};

pub use refunds::{LOOKED_FOR_TILL_MAX, LOOKED_MAX};

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Whoever runs the tills: everything.
    Operator,
    /// The till itself: not what other tills and operators did, but for decisions of its event.
    Till,
}

/// Tells what the cloud holds of an event; none if it holds nothing under this name, or, where a
/// shop is named, nothing of that shop.
///
/// # Errors
/// The query's.
pub async fn explain<Q: Query<Cloud>>(
    reads: &Q,
    shop: Option<ShopId>,
    key: EventKey,
    viewer: Viewer,
) -> Result<Option<CloudStory>, Q::Error> {
    let Some(Record::Ledger(ledger)) = reads.get(&Key::Ledger(key)).await? else {
        return Ok(None);
    };
    if shop.is_some_and(|shop| shop != ledger.site.shop) {
        return Ok(None);
    }
    let event = Event::from_canonical(&ledger.payload).ok();
    let mut story = outline(key, &ledger, event.as_ref());
    let come = !ledger.payload.is_empty();
    story.journal = if come { Some(place(reads, key, &ledger).await?) } else { None };
    story.waiting_since_ms = match reads.get(&Key::Waiting(ledger.site.shop, key)).await? {
        Some(Record::Waiting(waiting)) => Some(waiting.since),
        Some(_) | None => None,
    };
    story.decision = match reads.get(&Key::Decision(ledger.site.shop, key)).await? {
        Some(Record::Decision(decision)) => Some(ToldDecision {
            accepted: decision.accepted,
            reason: decision.reason,
            at_ms: decision.at,
        }),
        Some(_) | None => None,
    };
    story.customer_id = customer(reads, key, &ledger).await?;
    story.terminal = match reads.get(&Key::Terminal(key.terminal)).await? {
        Some(Record::Terminal(terminal)) => Some(ToldTerminal {
            since_ms: terminal.since,
            revoked: terminal.revoked,
            expires_at_ms: terminal.expires_at,
        }),
        Some(_) | None => None,
    };
    others::relate(reads, key, &ledger, event.as_ref(), &mut story).await?;
    story.conflicts = others::conflicts(reads, key).await?;
    story.forks = others::forks(reads, key, &ledger).await?;
    let mut unknown = Vec::new();
    if event.as_ref().is_some_and(refunds::can_be_returned) {
        let found = refunds::refunds(reads, ledger.site.shop, key, viewer).await?;
        story.refunds = found.refunds;
        unknown.extend(found.unknown);
    }
    if ledger.fate == Fate::Posted {
        let posted = story.decision.as_ref().map_or(ledger.at, |decision| decision.at_ms);
        let (relayed, whole) =
            inbox::relayed(reads, key, &ledger, &story.movements, posted).await?;
        story.relayed = relayed;
        if !whole {
            unknown.push(inbox::UNKNOWN.to_owned());
        }
    }
    if viewer == Viewer::Operator {
        let (log, whole) = notes::about(reads, key, ledger.at).await?;
        story.log = Some(log);
        if !whole {
            unknown.push(notes::UNKNOWN.to_owned());
        }
    }
    steps::tell(&mut story, &ledger, unknown, viewer);
    Ok(Some(story))
}

/// What the ledger's row alone says.
fn outline(key: EventKey, ledger: &Ledger, event: Option<&Event>) -> CloudStory {
    let (state, code) = state_of(ledger.fate);
    let name = server_id(ledger.site.shop, &key);
    let name = (state == CloudState::Posted).then_some(name);
    let trade = event.and_then(|event| event.body().trade());
    let moved = event.filter(|_| name.is_some());
    CloudStory {
        version: EXPLAIN_VERSION,
        event: EventKeyV1::from_key(key),
        shop_id: ledger.site.shop,
        branch_id: ledger.site.branch,
        state,
        code,
        kind: event.map(|event| event.kind().to_owned()),
        at_ms: event.map(Event::at),
        // A sale that came without a journal was printed by nobody.
        receipt: event.and_then(Event::receipt).filter(|_| !is_book(key.terminal)).map(printed),
        reference: event.map(|event| event.reference().to_owned()).unwrap_or_default(),
        total_minor: trade.map(|trade| trade.total().0),
        currency: trade.map(|trade| trade.currency.to_string()),
        session_id: event.and_then(Event::session),
        customer_id: None,
        payload_hash: ledger.payload_hash,
        server_id: name,
        uuid: name.map(|name| name.uuid()),
        order_id: name.filter(|_| trade.is_some()).map(|name| name.order_id()),
        received_ms: (!ledger.payload.is_empty()).then_some(ledger.at),
        journal: None,
        waiting_since_ms: None,
        decision: None,
        withdrawn_by: None,
        corrects: Vec::new(),
        original: None,
        refunds: Vec::new(),
        movements: moved.into_iter().flat_map(Event::movements).map(told_movement).collect(),
        relayed: Vec::new(),
        conflicts: Vec::new(),
        forks: Vec::new(),
        terminal: None,
        log: None,
        steps: Vec::new(),
        unknown: Vec::new(),
    }
}

fn told_movement(movement: counterfoil_protocol::event::Movement) -> ToldMovement {
    ToldMovement { product_id: movement.product, delta_milli: movement.delta.0 }
}

fn printed(Receipt { series, number }: Receipt) -> String {
    format!("{series}/{number}")
}

const fn state_of(fate: Fate) -> (CloudState, Option<ErrorCode>) {
    match fate {
        Fate::Posted => (CloudState::Posted, None),
        Fate::Parked(code) => (CloudState::Waits, Some(code)),
        Fate::Rejected => (CloudState::Rejected, Some(ErrorCode::EventInvalid)),
        Fate::Refused(code) => (CloudState::Refused, Some(code)),
        Fate::Withdrawn(_) => (CloudState::Withdrawn, Some(ErrorCode::Withdrawn)),
    }
}

/// Returns what the ledger has of another event.
async fn other<Q: Query<Cloud>>(reads: &Q, key: EventKey) -> Result<OtherEvent, Q::Error> {
    let row = reads.get(&Key::Ledger(key)).await?;
    let held = match row {
        Some(Record::Ledger(held)) => Some(held),
        Some(_) | None => None,
    };
    Ok(told_other(key, held.as_ref()))
}

fn told_other(key: EventKey, held: Option<&Ledger>) -> OtherEvent {
    let come = held.filter(|held| !held.payload.is_empty());
    let event = come.and_then(|held| Event::from_canonical(&held.payload).ok());
    OtherEvent {
        event: EventKeyV1::from_key(key),
        state: held.map(|held| state_of(held.fate).0),
        received_ms: come.map(|held| held.at),
        total_minor: event.as_ref().and_then(total),
    }
}

fn total(event: &Event) -> Option<i64> {
    event.body().trade().map(|trade| trade.total().0)
}

/// Looks for the event's bytes in the copy of the journal that brought it first.
async fn place<Q: Query<Cloud>>(
    reads: &Q,
    key: EventKey,
    ledger: &Ledger,
) -> Result<CloudPlace, Q::Error> {
    let (epoch, seq) = (ledger.epoch, ledger.seq.max(1));
    let segment = Segment::number(seq);
    let held = match reads.get(&Key::Segment(key.terminal, epoch, segment)).await? {
        Some(Record::Segment(held)) => Some(held),
        Some(_) | None => None,
    };
    let lane = match reads.get(&Key::Lane(key.terminal, epoch)).await? {
        Some(Record::Lane(lane)) => Some(lane),
        Some(_) | None => None,
    };
    let payload = held.as_ref().and_then(|held| held.payload_at(seq));
    Ok(CloudPlace {
        epoch,
        seq: ledger.seq,
        segment,
        chain_hash: held.as_ref().and_then(|held| held.chain_at(seq)),
        holds: payload == Some(ledger.payload_hash),
        head: lane.as_ref().map(|lane| lane.head),
        head_hash: lane.as_ref().map(|lane| lane.hash),
        parent: lane.as_ref().and_then(|lane| lane.parent.as_ref().map(|parent| parent.epoch)),
        seen_ms: lane.as_ref().map(|lane| lane.seen),
    })
}

async fn customer<Q: Query<Cloud>>(
    reads: &Q,
    key: EventKey,
    ledger: &Ledger,
) -> Result<Option<Label>, Q::Error> {
    if !is_book(key.terminal) {
        return Ok(None);
    }
    Ok(match reads.get(&Key::Buyer(ledger.site.shop, key.local_id)).await? {
        Some(Record::Buyer(customer)) => Some(customer),
        Some(_) | None => None,
    })
}

/// Returns a time as people write it.
fn utc(at: Millis) -> String {
    crate::timestamp::Written(at).to_string()
}
