//! What the cloud has said of its heads beside a greeting, on its way to the loops that would ask.

use std::sync::{Mutex, PoisonError};

use counterfoil_protocol::terminal::heads::{AtHead, at_head};
use counterfoil_protocol::wire::heads::Heads;
use tokio::sync::Notify;

use super::{Till, TillError, TillStore, storage_failed};

/// The last word for a loop, until it is taken: whether the till is at the head.
#[derive(Debug, Default)]
struct Word {
    said: Mutex<Option<bool>>,
    notify: Notify,
}

/// A word for each loop that asks.
#[derive(Debug, Default)]
pub(super) struct Words {
    catalog: Word,
    inbox: Word,
}

impl<S: TillStore> Till<S> {
    /// Compares what the cloud has said with this till's rows, and tells both loops.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn heard_heads(&self, heads: &Heads) -> Result<(), TillError> {
        let AtHead { catalog, inbox } = {
            let reading = self.reading().await?;
            at_head(&*reading, heads).await.map_err(storage_failed)?
        };
        tracing::debug!(catalog, inbox, "the cloud has said where it stands");
        self.shared.words.catalog.say(catalog);
        self.shared.words.inbox.say(inbox);
        Ok(())
    }

    /// Waits for the next word about the catalog.
    pub(crate) async fn heads_to_follow(&self) -> bool {
        self.shared.words.catalog.next().await
    }

    /// Waits for the next word about the inbox.
    pub(crate) async fn heads_to_collect(&self) -> bool {
        self.shared.words.inbox.next().await
    }
}

impl Word {
    fn say(&self, at_head: bool) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(at_head);
        self.notify.notify_one();
    }

    async fn next(&self) -> bool {
        loop {
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(said) = said {
                return said;
            }
            self.notify.notified().await;
        }
    }
}
