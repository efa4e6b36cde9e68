//! Whether a till stands where the cloud says that everything ends.
//!
//! It is what the till would conclude from an answer without changes or events, so what is at the
//! head here is not asked for. Whatever else is so is found out by asking, as ever.

use super::catalog::Wanted;
use super::inbox::wanted;
use super::row::CatalogState;
use super::{Key, Record, Terminal, edits};
use crate::machine::Query;
use crate::wire::heads::Heads;

/// Of what a till has everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtHead {
    /// Its catalog is the cloud's, and it has no edit to ask for.
    pub catalog: bool,
    /// It has applied the whole inbox, and the cloud knows.
    pub inbox: bool,
}

/// Compares what the cloud has said with the till's rows.
///
/// # Errors
/// The store's.
pub async fn at_head<Q: Query<Terminal>>(store: &Q, heads: &Heads) -> Result<AtHead, Q::Error> {
    let state = match store.get(&Key::Catalog).await? {
        Some(Record::Catalog(state)) => state,
        Some(_) | None => CatalogState::default(),
    };
    let same = state.version == Some(heads.catalog.version) && state.digest == heads.catalog.digest;
    let proven = state.proven && state.progress.is_none();
    let catalog = same && proven && edits::asked(store).await?.is_empty();
    let next = Wanted::Delta(heads.catalog.version);
    assert!(!catalog || state.wanted() == next, "who is at the head would ask from there");
    let place = wanted(store).await?;
    // Before the first event every inbox is the same.
    let begins = place.seq == 0 && heads.inbox.seq == 0;
    let inbox = (begins || place == heads.inbox) && heads.acked == place.seq;
    assert!(!inbox || place.seq == heads.inbox.seq, "who has all of it stands at its end");
    Ok(AtHead { catalog, inbox })
}
