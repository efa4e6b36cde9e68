//! A device is moved to another branch, as in the model: it sells on as a new terminal, and the old
//! database drains and is revoked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use counterfoil_protocol::cloud::Input;

use super::CLONES_MAX;
use super::drive::{Drive, Due};
use super::scene::{Errand, lock};
use crate::coverage::Injected;

/// How long until somebody looks again whether all has arrived.
const LOOK_MS: u64 = 1_000;

impl Drive<'_> {
    pub(super) fn move_till(&mut self, till: usize, by: u32) {
        let scene = Arc::clone(&self.scene);
        let slot = scene.till(till);
        let before = slot.identity.branch;
        let branch = scene.plan.branch_after(before, by);
        let full = scene.count() >= scene.plan.tills as usize + CLONES_MAX;
        let moved = lock(&slot.state).moved;
        if branch == before || full || moved || scene.is_healed() {
            return;
        }
        scene.injected(Injected::TillMoved);
        lock(&slot.state).moved = true;
        let number = scene.count();
        self.add_new_till(branch, slot.skew_ms.load(Ordering::Relaxed));
        self.enrol(number);
        self.after(LOOK_MS, Due::Retire(till));
    }

    /// Revokes the credential of what was moved away, once the cloud has all of it. If it loses
    /// some of that again, the terminal is let in again when the faults end.
    pub(super) fn retire(&mut self, till: usize) {
        let slot = self.scene.till(till);
        if self.scene.is_healed() {
            return;
        }
        if slot.is_answered() {
            let input = Input::Revoke { terminal: slot.identity.terminal };
            self.scene.send_operator(Errand { input, fault: None, token: None });
        } else {
            self.after(LOOK_MS, Due::Retire(till));
        }
    }
}
