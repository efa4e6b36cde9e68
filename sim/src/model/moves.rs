//! A device is moved to another branch before its queue has drained, which is the harder way: it
//! sells on as a new terminal of the other branch, and the old database drains and is revoked.

use super::{Happening, World, branch_of};
use crate::coverage::Injected;
use crate::law::Violation;

/// How long until somebody looks again whether all has arrived.
const LOOK_US: u64 = 1_000_000;

impl World {
    pub(super) fn move_till(&mut self, till: usize, by: u32) -> Result<(), Violation> {
        let branches = u64::from(self.plan.branches.max(1));
        let before = self.tills[till].identity.branch;
        let here = (0..branches).find(|number| branch_of(*number) == before).unwrap_or(0);
        let branch = branch_of((here + u64::from(by)) % branches);
        let full = self.tills.len() >= 2 * self.plan.tills as usize;
        if branch == before || full || self.tills[till].moved || self.healed {
            return Ok(());
        }
        self.coverage.injected(Injected::TillMoved);
        self.tills[till].moved = true;
        let number = self.tills.len();
        self.add_till(number, branch);
        self.tills[number].skew_ms = self.tills[till].skew_ms;
        self.after(LOOK_US, Happening::Retire(till));
        self.install_till(number)
    }

    /// Revokes the credential of what was moved away, once the cloud has all of it. If it loses
    /// some of that again, the terminal is let in again when the faults end.
    pub(super) fn retire(&mut self, till: usize) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        let backlog = self.tills[till].meta().map(|meta| meta.backlog());
        let arrived = backlog.is_some_and(|left| left.fresh == 0 && !left.adopting)
            && self.tills[till].queue_is_empty();
        if !arrived || !self.revoke(till)? {
            self.after(LOOK_US, Happening::Retire(till));
        }
        Ok(())
    }
}
