//! Nudges on their way to a loop: the strongest counts.

use std::sync::{Mutex, PoisonError};

use counterfoil_protocol::session::Nudge;
use tokio::sync::Notify;

/// The strongest nudge since the last one was taken.
#[derive(Debug, Default)]
pub(crate) struct Nudges {
    pending: Mutex<Option<Nudge>>,
    notify: Notify,
}

impl Nudges {
    pub(crate) fn announce(&self, nudge: Nudge) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        *pending = (*pending).max(Some(nudge));
        drop(pending);
        self.notify.notify_one();
    }

    pub(crate) async fn next(&self) -> Nudge {
        loop {
            let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(nudge) = pending {
                return nudge;
            }
            self.notify.notified().await;
        }
    }
}
