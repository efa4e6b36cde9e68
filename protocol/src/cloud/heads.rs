//! Where everything ends that a till of a branch asks for: said beside the answer to its greeting,
//! so that it need not ask.

use super::inbox::feed;
use super::{Cloud, Site, catalog};
use crate::identity::TerminalId;
use crate::machine::Query;
use crate::wire::heads::Heads;
use crate::wire::inbox::Cursor;

/// Returns the heads for a till, of committed rows; none if the catalog was edited meanwhile.
///
/// # Errors
/// The query's.
pub async fn heads<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    terminal: TerminalId,
) -> Result<Option<Heads>, Q::Error> {
    let Some(catalog) = catalog::proof(query, site).await? else { return Ok(None) };
    let head = feed::head(query, site).await?;
    let inbox =
        head.map_or_else(Cursor::default, |head| Cursor { seq: head.seq, chain: head.chain });
    // As a page of the inbox tells it: what is beyond the end was lost with it.
    let acked = feed::acked(query, site, terminal).await?.min(inbox.seq);
    assert!(acked <= inbox.seq, "nothing is acknowledged before it is there");
    assert!(head.is_some() || acked == 0, "without an inbox there is nothing to acknowledge");
    Ok(Some(Heads { catalog, inbox, acked }))
}
