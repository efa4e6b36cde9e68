//! When a healed world has come to rest, and what still waits if it does not.

use super::till::TillHost;
use super::{DRAIN_MS, World};
use crate::law::{Law, Violation};

/// What a till has heard since the faults ended. What was asked before tells of before: the cloud
/// may have been restored in between.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SinceHeal {
    /// The last greeting was sent after the faults.
    pub(super) hello: bool,
    /// Such a one was answered.
    pub(super) greeted: bool,
    /// The follower's last question was asked after the faults.
    pub(super) asked: bool,
    /// Such a one was answered with a proof.
    pub(super) proven: bool,
}

impl World {
    /// Returns whether nothing waits anywhere. Asked after each step, so that who was last found
    /// waiting is asked first: mostly it waits still, and thousands need not be asked.
    pub(super) fn drained(&mut self) -> bool {
        if !self.cloud.idle() {
            return false;
        }
        let tills = self.tills.len();
        let mut around = (0..tills).map(|ahead| (self.awaited + ahead) % tills);
        if let Some(till) = around.find(|till| self.is_behind(&self.tills[*till])) {
            self.awaited = till;
            return false;
        }
        self.front.unsure.is_none()
    }

    /// Returns whether something of a till waits.
    fn is_behind(&self, till: &TillHost) -> bool {
        !till.drained() || self.unfollowed(till).is_some() || !self.inbox_applied(till)
    }

    /// Returns what a till's catalog still waits for.
    fn unfollowed(&self, till: &TillHost) -> Option<&'static str> {
        if self.plan.catalog_edit_every_ms == 0 {
            return None;
        }
        let head = Some(self.cloud.catalog_version());
        if !till.since_heal.proven {
            return Some("no proof of its catalog");
        }
        if !till.catalog().is_some_and(|state| state.proven && state.version == head) {
            return Some("its catalog is not proven at the head");
        }
        // What is decided goes with the proof that comes after.
        if till.local_edits().waiting.iter().any(|edit| edit.decided.is_some()) {
            return Some("an edit that was decided still lies over its catalog");
        }
        if self.plan.verify_every_ms > 0 && !till.verifying.clean_since_heal {
            return Some("no clean verification");
        }
        None
    }

    /// Says who waits for what, though faults ended long ago.
    pub(super) fn not_drained(&mut self) -> Result<(), Violation> {
        let mut stuck = Vec::new();
        for (index, till) in self.tills.iter().enumerate() {
            if !till.drained() {
                stuck.push(format!("till {index}: {}", till.explain()));
            }
            if let Some(what) = self.unfollowed(till) {
                let (state, edits) = (till.catalog(), &till.local_edits().waiting);
                stuck.push(format!("till {index}: {what}, {state:?}, edits {edits:?}"));
            }
        }
        if !self.cloud.idle() {
            stuck.push("the cloud is not at rest".to_owned());
        }
        let applied = self.tills.iter().all(|till| self.inbox_applied(till));
        if !applied || self.front.unsure.is_some() {
            stuck.push("an inbox is not all applied".to_owned());
        }
        let at = self.now_ms();
        self.checker.tally.check(Law::QueueDrains, at, false, || {
            format!("after {DRAIN_MS} ms without faults: {}", stuck.join("; "))
        })
    }
}
