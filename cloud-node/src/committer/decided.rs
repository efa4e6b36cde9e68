//! Whether a group met a conflict: then its store let it decide more than once.

use counterfoil_protocol::cloud::{Cloud, Key};
use counterfoil_protocol::machine::{Loaded, Store, Writes};

/// A store whose decisions are counted.
pub(super) struct Decided<'a, S> {
    store: &'a mut S,
    decisions: u32,
}

impl<'a, S> Decided<'a, S> {
    pub(super) const fn new(store: &'a mut S) -> Self {
        Self { store, decisions: 0 }
    }

    /// Returns whether another writer was faster at least once.
    pub(super) const fn again(&self) -> bool {
        self.decisions > 1
    }
}

impl<S: Store<Cloud>> Store<Cloud> for Decided<'_, S> {
    type Error = S::Error;

    fn transact(
        &mut self,
        keys: Vec<Key>,
        mut decide: impl FnMut(&Loaded<Cloud>) -> Writes<Cloud> + Send,
    ) -> impl Future<Output = Result<(), S::Error>> + Send {
        let Self { store, decisions } = self;
        store.transact(keys, move |loaded| {
            *decisions = decisions.saturating_add(1);
            decide(loaded)
        })
    }
}
