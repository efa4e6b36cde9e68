//! The rows of a node, to be read as a store and damaged by hand.

use std::collections::BTreeMap;
use std::convert::Infallible;

use counterfoil_protocol::cloud::{Cloud, Key, Record};
use counterfoil_protocol::machine::{Page, Query};

use super::Node;

#[derive(Clone)]
pub struct Rows(pub BTreeMap<Key, Record>);

impl Rows {
    /// All that a node has committed.
    pub fn of(node: &Node) -> Self {
        Self(node.rows().into_iter().collect())
    }
}

impl Query<Cloud> for Rows {
    type Error = Infallible;

    async fn get(&self, key: &Key) -> Result<Option<Record>, Self::Error> {
        Ok(self.0.get(key).cloned())
    }

    async fn scan(
        &self,
        from: &Key,
        until: &Key,
        limit: usize,
    ) -> Result<Page<Cloud>, Self::Error> {
        if from >= until {
            return Ok(Vec::new());
        }
        let range = self.0.range(from..until).take(limit);
        Ok(range.map(|(key, record)| (*key, record.clone())).collect())
    }
}
