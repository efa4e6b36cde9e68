//! A store that remembers what its last transaction wrote.

use counterfoil_protocol::machine::{Loaded, Machine, Page, Query, Store, Writes};
use counterfoil_storage::Memory;

/// A store in memory that the checkers can watch.
pub struct Observed<M: Machine> {
    /// The store.
    pub memory: Memory<M>,
    /// What the last transaction that decided something writes.
    pub written: Writes<M>,
}

impl<M: Machine> Default for Observed<M> {
    fn default() -> Self {
        Self { memory: Memory::new(), written: Writes::<M>::new() }
    }
}

impl<M: Machine<Key: Send + Sync, Record: Send + Sync>> Store<M> for Observed<M> {
    type Error = counterfoil_storage::StoreError;

    async fn transact(
        &mut self,
        keys: Vec<M::Key>,
        mut decide: impl FnMut(&Loaded<M>) -> Writes<M> + Send,
    ) -> Result<(), Self::Error> {
        let written = &mut self.written;
        self.memory
            .transact(keys, |loaded| {
                let writes = decide(loaded);
                written.clone_from(&writes);
                writes
            })
            .await
    }
}

impl<M: Machine<Key: Send + Sync, Record: Send + Sync>> Query<M> for Observed<M> {
    type Error = counterfoil_storage::StoreError;

    async fn get(&self, key: &M::Key) -> Result<Option<M::Record>, Self::Error> {
        self.memory.get(key).await
    }

    async fn scan(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
    ) -> Result<Page<M>, Self::Error> {
        self.memory.scan(from, until, limit).await
    }
}

/// Returns what a store in memory answers. It is open: the model reopens one that has failed
/// before it is asked again.
///
/// # Panics
/// If it is not open: a bug of the simulator.
pub fn answered<T, E: std::fmt::Debug>(answer: Result<T, E>) -> T {
    answer.expect("an open store answers")
}

/// Drives a future that never waits: the stores of the model level answer at once.
///
/// # Panics
/// If it waits after all.
pub fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => unreachable!("a store in memory never waits"),
    }
}
