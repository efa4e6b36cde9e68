//! A query that is not of one instant: the cloud reads a delta while others commit.

use std::sync::atomic::{AtomicBool, Ordering};

use counterfoil_protocol::cloud::{Cloud, Key, Record};
use counterfoil_protocol::machine::{Page, Query};
use counterfoil_storage::Memory;

/// Where the second half of a delta begins: when it has found which entities have changed, and
/// looks at what they are by then.
pub(super) struct Halves<'a> {
    first: &'a Memory<Cloud>,
    second: &'a Memory<Cloud>,
    found: AtomicBool,
}

impl<'a> Halves<'a> {
    pub(super) const fn new(first: &'a Memory<Cloud>, second: &'a Memory<Cloud>) -> Self {
        Self { first, second, found: AtomicBool::new(false) }
    }
}

impl Query<Cloud> for Halves<'_> {
    type Error = <Memory<Cloud> as Query<Cloud>>::Error;

    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Record>, Self::Error>> + Send {
        let half = if self.found.load(Ordering::Relaxed) { self.second } else { self.first };
        half.get(key)
    }

    fn scan(
        &self,
        from: &Key,
        until: &Key,
        limit: usize,
    ) -> impl Future<Output = Result<Page<Cloud>, Self::Error>> + Send {
        self.found.store(true, Ordering::Relaxed);
        self.first.scan(from, until, limit)
    }
}
