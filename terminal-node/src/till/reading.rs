//! A look at committed rows.

use std::fmt;

use counterfoil_protocol::identity::{LocalEventId, PosId};
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::terminal::row::{Entry, Known, Meta, Seen};
use counterfoil_protocol::terminal::{Adoption, Backlog, Key, Place, Record, pull};
use counterfoil_storage::Tiered;
use tokio::sync::MutexGuard;

use super::{Slot, Till, TillError, TillStore, storage_failed};

/// Committed rows, held still.
pub struct Reading<'a, S>(pub(super) MutexGuard<'a, Slot<S>>);

impl<S> std::ops::Deref for Reading<'_, S> {
    type Target = S;
    fn deref(&self) -> &S {
        &self.0.store
    }
}

impl<H, A> Reading<'_, crate::daemon::Offload<Tiered<H, A>>> {
    /// Returns the store that the till sells from, without its archive.
    pub(crate) fn hot(&self) -> &H {
        self.0.store.0.hot()
    }

    /// Returns the archive.
    pub(crate) fn archive(&self) -> &A {
        self.0.store.0.archive()
    }
}

impl<S> fmt::Debug for Reading<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}

impl<S: TillStore> Till<S> {
    /// Returns the till's books.
    ///
    /// # Errors
    /// The store's, or [`TillError::NotInstalled`].
    pub async fn meta(&self) -> Result<Meta, TillError> {
        let reading = self.reading().await?;
        let meta = pull::meta(&*reading).await.map_err(storage_failed)?;
        meta.ok_or(TillError::NotInstalled(None))
    }

    /// Returns the next part of a closed history to carry over, or what is left if there is none.
    ///
    /// # Errors
    /// As [`Till::meta`].
    pub async fn adoption(&self) -> Result<Result<Adoption, Backlog>, TillError> {
        let reading = self.reading().await?;
        let meta = pull::meta(&*reading).await.map_err(storage_failed)?;
        let meta = meta.ok_or(TillError::NotInstalled(None))?;
        let adoption = pull::adoption(&*reading, &meta).await.map_err(storage_failed)?;
        Ok(adoption.ok_or_else(|| meta.backlog()))
    }

    /// Returns what is known of the event of this name.
    ///
    /// # Errors
    /// The store's.
    pub async fn known(
        &self,
        pos: PosId,
        local_id: LocalEventId,
    ) -> Result<Option<Known>, TillError> {
        let reading = self.reading().await?;
        let row = Query::get(&*reading, &Key::Local(pos, local_id)).await;
        let row = row.map_err(storage_failed)?;
        Ok(row.as_ref().and_then(Seen::of).map(|seen| seen.known))
    }

    /// Returns the journal entry at `place`.
    ///
    /// # Errors
    /// The store's.
    pub async fn entry(&self, place: Place) -> Result<Option<Entry>, TillError> {
        let reading = self.reading().await?;
        let row = Query::get(&*reading, &Key::Entry(place.epoch, place.seq)).await;
        match row.map_err(storage_failed)? {
            Some(Record::Entry(entry)) => Ok(Some(entry)),
            Some(_) | None => Ok(None),
        }
    }
}
