//! Recording, after what closed histories left is carried over if that comes first.

use counterfoil_protocol::catalog::EditError;
use counterfoil_protocol::event::EventError;
use counterfoil_protocol::terminal::{Draft, Input, Output};

use super::{Till, TillError, TillStore};

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
            self.carry_over().await?;
        }
    }

    /// Carries over what closed histories left.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn carry_over(&self) -> Result<(), TillError> {
        while let Ok(part) = self.adoption().await? {
            self.apply(Input::Adopt(part)).await?;
        }
        Ok(())
    }
}
