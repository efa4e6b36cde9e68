//! Which parcels are outstanding.

use std::path::PathBuf;

use super::{Till, TillError, TillStore, lock};
use crate::parcel::kept::Kept;

impl<S: TillStore> Till<S> {
    /// Remembers in a file which parcels are outstanding; without one, only as long as it runs.
    pub(crate) fn keep_parcels(&self, place: PathBuf) {
        *lock(&self.shared.parcels) = Kept::at(place);
    }

    /// Looks at the outstanding parcels, or changes them: durable when this returns.
    pub(crate) fn parcels<T>(
        &self,
        change: impl FnOnce(&mut Kept) -> std::io::Result<T>,
    ) -> Result<T, TillError> {
        change(&mut lock(&self.shared.parcels))
            .map_err(|error| TillError::StorageFailed(format!("the list of parcels: {error}")))
    }
}
