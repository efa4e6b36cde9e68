//! A look at committed rows.

use std::fmt;

use tokio::sync::MutexGuard;

use super::Slot;

/// Committed rows, held still.
pub struct Reading<'a, S>(pub(super) MutexGuard<'a, Slot<S>>);

impl<S> std::ops::Deref for Reading<'_, S> {
    type Target = S;
    fn deref(&self) -> &S {
        &self.0.store
    }
}

impl<S> fmt::Debug for Reading<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}
