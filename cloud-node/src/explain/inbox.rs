//! What the other tills of the branch were told of an event's movements.
//!
//! A movement is relayed in the commit that posts it, so it stands in the branch's inbox at the
//! time of that commit. Places rise with time as long as the cloud's clock does, so the time is
//! searched by halves, and some places around it are looked at.

use counterfoil_protocol::cloud::inbox::feed::head;
use counterfoil_protocol::cloud::row::Ledger;
use counterfoil_protocol::cloud::{Cloud, InboxKey, InboxRecord, Key, Record, Site};
use counterfoil_protocol::identity::EventKey;
use counterfoil_protocol::inbox::{InboxEvent, relayed_event_id};
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::explain::{LISTED_MAX, Relayed, ToldMovement};

/// How many places are looked at from the first of that time.
const LOOKED_MAX: usize = 2_000;

/// What is said if a movement was not found.
pub(super) const UNKNOWN: &str = "whether the other tills of its branch were told of it: nothing \
    of it stands in the inbox of the branch at the time when it was taken in";

/// Returns what was relayed, and whether that is known: it is, if the branch has no inbox, or if
/// each movement was found.
pub(super) async fn relayed<Q: Query<Cloud>>(
    reads: &Q,
    key: EventKey,
    ledger: &Ledger,
    movements: &[ToldMovement],
    at: Millis,
) -> Result<(Vec<Relayed>, bool), Q::Error> {
    let site = ledger.site;
    let Some(head) = head(reads, site).await? else { return Ok((Vec::new(), true)) };
    if movements.is_empty() {
        return Ok((Vec::new(), true));
    }
    let first = first_at(reads, site, head.seq, at).await?;
    let ids: Vec<_> = (0..)
        .zip(movements)
        .map(|(number, _)| relayed_event_id(site.shop, &key, ledger.payload_hash, number))
        .collect();
    let row = |seq| Key::Inbox(InboxKey::Event(site.shop, site.branch, seq));
    let page = reads.scan(&row(first), &row(head.seq.saturating_add(1)), LOOKED_MAX).await?;
    let mut relayed = Vec::new();
    for row in page {
        let (Key::Inbox(InboxKey::Event(_, _, place)), Record::Inbox(InboxRecord::Event(stored))) =
            row
        else {
            continue;
        };
        let event = InboxEvent::from_canonical(&stored.content).ok();
        let own = event.filter(|event| stored.at >= at && ids.contains(&event.id));
        relayed.extend(own.map(|event| Relayed {
            place,
            event_id: event.id,
            product_id: event.product,
            delta_milli: event.delta.0,
        }));
        if relayed.len() == ids.len() || relayed.len() == LISTED_MAX {
            break;
        }
    }
    let whole = relayed.len() == ids.len();
    Ok((relayed, whole))
}

/// Returns the first place that is not before `at`, if the times rise.
async fn first_at<Q: Query<Cloud>>(
    reads: &Q,
    site: Site,
    head: u64,
    at: Millis,
) -> Result<u64, Q::Error> {
    let (mut low, mut high) = (1, head);
    while low < high {
        let middle = low + (high - low) / 2;
        let row = reads.get(&InboxKey::Event(site.shop, site.branch, middle).into()).await?;
        match row {
            Some(Record::Inbox(InboxRecord::Event(stored))) if stored.at >= at => high = middle,
            Some(_) | None => low = middle + 1,
        }
    }
    Ok(low)
}
