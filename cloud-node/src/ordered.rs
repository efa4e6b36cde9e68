//! The inbox's part of the check: what orders have moved, and what their branches' tills are told.
//!
//! | law | what is recomputed |
//! |---|---|
//! | `InboxOnce` | each inbox's chain, place by place, to its head; acknowledgements within it |
//! | `StockIsSum` | the movements of orders, for the stock; the same from the inboxes' events |

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_protocol::cloud::row::Stock;
use counterfoil_protocol::cloud::{Cloud, InboxKey, InboxRecord, Key, Record};
use counterfoil_protocol::hash::{Hash, inbox_genesis, link, payload_hash};
use counterfoil_protocol::identity::{BranchId, ShopId};
use counterfoil_protocol::inbox::{EventId, InboxEvent, Reference};
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::money::Milli;

use crate::audit::{Movements, Report};
use crate::pages::{Kind, Pages, all};

type Branch = (ShopId, BranchId);

/// Where each inbox ends, as its events say.
type Ends = BTreeMap<Branch, (u64, Hash)>;

/// Adds what orders have moved to `movements`, and checks the inboxes against it.
pub(crate) async fn check_inboxes<Q: Query<Cloud>>(
    reads: &Q,
    report: &mut Report,
    movements: &mut Movements,
) -> Result<(), Q::Error> {
    let ordered = orders(reads, report).await?;
    let (told, ends) = events(reads, report).await?;
    for place in ordered.keys().chain(told.keys()).collect::<BTreeSet<_>>() {
        let (orders, events) = (ordered.get(place), told.get(place));
        if orders != events {
            let (shop, branch, product) = place;
            let what = format!("orders move {orders:?}, the branch's tills are told {events:?}");
            let place = format!("shop {shop}, branch {branch}, product {product}");
            report.problem("StockIsSum", place, what);
        }
    }
    for (place, by) in ordered {
        let sum = movements.entry(place).or_default();
        *sum = sum.plus(by);
    }
    heads(reads, report, &ends).await
}

/// Returns what the orders say that they have moved.
async fn orders<Q: Query<Cloud>>(reads: &Q, report: &mut Report) -> Result<Movements, Q::Error> {
    let mut moved = Movements::new();
    Pages::new(reads, all(Kind::Order))
        .each(|key, record| {
            let (Key::Inbox(InboxKey::Order(shop, _)), Record::Inbox(InboxRecord::Order(held))) =
                (key, record)
            else {
                return;
            };
            report.orders += 1;
            for line in &held.content.lines {
                let sum = moved.entry((shop, held.content.branch, line.product_id)).or_default();
                let taken = Milli(-line.quantity_milli);
                *sum = sum.plus(Stock { quantity: taken, movements: 1 });
                if held.cancelled.is_some() {
                    let back = Milli(line.quantity_milli);
                    *sum = sum.plus(Stock { quantity: back, movements: 1 });
                }
            }
        })
        .await?;
    Ok(moved)
}

/// Returns what the events of orders say that they move, and where each inbox ends.
async fn events<Q: Query<Cloud>>(
    reads: &Q,
    report: &mut Report,
) -> Result<(Movements, Ends), Q::Error> {
    let (mut moved, mut ends) = (Movements::new(), Ends::new());
    let mut ids: BTreeSet<(ShopId, EventId)> = BTreeSet::new();
    Pages::new(reads, all(Kind::InboxEvent))
        .each(|key, record| {
            let (
                Key::Inbox(InboxKey::Event(shop, branch, seq)),
                Record::Inbox(InboxRecord::Event(stored)),
            ) = (key, record)
            else {
                return;
            };
            report.inbox_events += 1;
            let place = format!("shop {shop}, branch {branch}, event {seq}");
            let end =
                ends.entry((shop, branch)).or_insert_with(|| (0, inbox_genesis(shop, branch)));
            let chain = link(end.1, end.0 + 1, payload_hash(&stored.content));
            if seq != end.0 + 1 || chain != stored.chain {
                report.problem("InboxOnce", &place, "it does not continue the chain before it");
            }
            *end = (seq, stored.chain);
            match InboxEvent::from_canonical(&stored.content) {
                Ok(event) => {
                    if !ids.insert((shop, event.id)) {
                        report.problem("InboxOnce", &place, "its id was there before");
                    }
                    if let Reference::Order(_) = event.reference {
                        let sum = moved.entry((shop, branch, event.product)).or_default();
                        *sum = sum.plus(Stock { quantity: event.delta, movements: 1 });
                    }
                }
                Err(error) => report.problem("InboxOnce", &place, format!("no event: {error}")),
            }
        })
        .await?;
    Ok((moved, ends))
}

async fn heads<Q: Query<Cloud>>(
    reads: &Q,
    report: &mut Report,
    ends: &Ends,
) -> Result<(), Q::Error> {
    let mut heads = Ends::new();
    Pages::new(reads, all(Kind::InboxHead))
        .each(|key, record| {
            if let (
                Key::Inbox(InboxKey::Head(shop, branch)),
                Record::Inbox(InboxRecord::Head(head)),
            ) = (key, record)
            {
                heads.insert((shop, branch), (head.seq, head.chain));
            }
        })
        .await?;
    for branch in heads.keys().chain(ends.keys()).collect::<BTreeSet<_>>() {
        let (head, end) = (heads.get(branch), ends.get(branch));
        if head != end {
            let what = format!("its head is {head:?}, its events end at {end:?}");
            report.problem("InboxOnce", format!("inbox of {}, {}", branch.0, branch.1), what);
        }
    }
    Pages::new(reads, all(Kind::InboxAck))
        .each(|key, record| {
            if let (
                Key::Inbox(InboxKey::Ack(shop, branch, terminal)),
                Record::Inbox(InboxRecord::Ack(acked)),
            ) = (key, record)
                && acked.through > ends.get(&(shop, branch)).map_or(0, |end| end.0)
            {
                let what = format!("it has acknowledged {}, which is not there", acked.through);
                report.problem("InboxOnce", format!("terminal {terminal} of {branch}"), what);
            }
        })
        .await
}
