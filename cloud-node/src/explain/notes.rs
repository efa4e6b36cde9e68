//! What operators did about an event: looked for in the newest entries of their log.

use counterfoil_protocol::cloud::Cloud;
use counterfoil_protocol::cloud::log::{LIST_MAX, entries};
use counterfoil_protocol::identity::EventKey;
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::explain::{LISTED_MAX, ToldNote};

/// The most pages of the log that are looked at.
const PAGES_MAX: usize = 20;

/// What is said if the log goes back further than was looked.
pub(super) const UNKNOWN: &str =
    "what operators did about it longer ago: only the newest entries of their log are looked at";

/// Returns the newest notes about an event that came at `since`, oldest first, and whether those
/// are all.
pub(super) async fn about<Q: Query<Cloud>>(
    reads: &Q,
    key: EventKey,
    since: Millis,
) -> Result<(Vec<ToldNote>, bool), Q::Error> {
    let target = key.to_string();
    let (mut notes, mut before) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let page = entries(reads, before).await?;
        let end = page.len() < LIST_MAX || page.last().is_some_and(|(_, entry)| entry.at < since);
        before = page.last().map(|(number, _)| *number);
        notes.extend(page.into_iter().filter(|(_, entry)| entry.target == target).map(
            |(number, entry)| ToldNote {
                number,
                at_ms: entry.at,
                actor: entry.actor,
                action: entry.action,
                done: entry.done,
            },
        ));
        if notes.len() >= LISTED_MAX {
            notes.truncate(LISTED_MAX);
            notes.reverse();
            return Ok((notes, false));
        }
        if end {
            notes.reverse();
            return Ok((notes, true));
        }
    }
    notes.reverse();
    Ok((notes, false))
}
