//! A device is moved to another branch before its queue has drained, which is the harder way: it
//! sells on as a new terminal of the other branch, and the old database drains and is revoked.

use super::{Happening, World};
use crate::coverage::Injected;
use crate::law::Violation;

/// How long until somebody looks again whether all has arrived.
const LOOK_US: u64 = 1_000_000;

impl World {
    pub(super) fn move_till(&mut self, till: usize, by: u32) -> Result<(), Violation> {
        let before = self.tills[till].identity.branch;
        let branch = self.plan.branch_after(before, by);
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
        if !self.tills[till].is_answered() || !self.revoke(till)? {
            self.after(LOOK_US, Happening::Retire(till));
        }
        Ok(())
    }
}
