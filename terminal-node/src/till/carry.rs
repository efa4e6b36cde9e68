//! Recording, after what closed histories left is carried over if that comes first.

use counterfoil_protocol::catalog::EditError;
use counterfoil_protocol::event::EventError;
use counterfoil_protocol::terminal::{Adoption, Backlog, Draft, Input, Output, pull};

use super::{Till, TillError, TillStore, storage_failed};

/// How often a history is closed just before an edit is recorded until its caller is told.
const CARRIES_MAX: u8 = 4;

impl<S: TillStore> Till<S> {
    /// Records what happened at a register: durable when this returns `Recorded`.
    ///
    /// A caller that gives up waiting may ask again with the same id, and learns what happened. An
    /// edit waits until the edits of closed histories are carried over: it is later than they are.
    ///
    /// # Errors
    /// [`TillError::StorageFailed`]: it may or may not have been recorded.
    pub async fn record(&self, draft: Draft) -> Result<Output, TillError> {
        let mut tries = 0..CARRIES_MAX;
        loop {
            let output = self.record_once(draft.clone()).await?;
            let behind = output == Output::Invalid(EventError::Edit(EditError::Behind));
            if !behind || tries.next().is_none() {
                return Ok(output);
            }
            while let Ok(part) = self.adoption().await? {
                self.apply(Input::Adopt(part)).await?;
            }
        }
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
}
