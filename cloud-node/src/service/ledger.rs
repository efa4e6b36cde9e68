//! The whole ledger, page by page: for lists that are made of what was posted.

use counterfoil_protocol::cloud::row::Ledger;
use counterfoil_protocol::cloud::{Key, Record};
use counterfoil_protocol::identity::EventKey;

use super::{Node, Reads, unreadable};
use crate::pages::{Kind, Pages, all};
use crate::problem::Problem;

/// A walk over the rows of all shops, in the order of their keys.
pub(super) struct Entries<'n, Q>(Pages<'n, Q>);

impl<'n, Q: Reads> Entries<'n, Q> {
    pub(super) fn new(node: &'n Node<Q>) -> Self {
        Self(Pages::new(&node.parts.reads, all(Kind::Ledger)))
    }

    /// Returns the next rows, none at the end. Others have their turn between two pages.
    ///
    /// # Errors
    /// That the store cannot be read.
    pub(super) async fn next(
        &mut self,
    ) -> Result<Option<impl Iterator<Item = (EventKey, Ledger)> + use<Q>>, Problem> {
        tokio::task::yield_now().await;
        let page = self.0.next().await.map_err(|error| unreadable(&error))?;
        let entry = |(key, record)| match (key, record) {
            (Key::Ledger(key), Record::Ledger(ledger)) => Some((key, ledger)),
            _ => None,
        };
        Ok((!page.is_empty()).then(|| page.into_iter().filter_map(entry)))
    }
}
