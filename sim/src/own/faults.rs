//! The faults of a plan, in the world of a protocol of somebody's own.

use super::Node;
use super::System;
use super::world::{Happening, World};
use crate::plan::{Fault, Way};

/// Returns whether a fault means something to nodes of which nothing is known.
pub(super) const fn has_meaning(fault: Fault) -> bool {
    match fault {
        Fault::Partition { .. }
        | Fault::CrashTill { .. }
        | Fault::CrashCloud { .. }
        | Fault::BackupTill { .. }
        | Fault::RestoreTill { .. }
        | Fault::BackupCloud
        | Fault::RestoreCloud
        | Fault::ClockJump { .. }
        | Fault::Throttle { .. } => true,
        Fault::CloneTill { .. }
        | Fault::MoveTill { .. }
        | Fault::Revoke { .. }
        | Fault::Expire { .. }
        | Fault::Drift { .. } => false,
    }
}

impl<S: System + ?Sized> World<'_, S> {
    /// Something goes wrong.
    pub(super) fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Partition { till, ms, way } => self.cut(till, ms, way),
            Fault::CrashTill { till, ms } => {
                let node = self.till(till);
                self.count("crash");
                self.crash(node, ms, "loses its power");
            }
            Fault::CrashCloud { ms } => {
                self.count("crash");
                self.crash(Node::Cloud, ms, "loses its power");
            }
            Fault::BackupTill { till } => {
                let node = self.till(till);
                self.back_up(node);
            }
            Fault::BackupCloud => self.back_up(Node::Cloud),
            Fault::RestoreTill { till, .. } => {
                let node = self.till(till);
                self.restore(node);
            }
            Fault::RestoreCloud => self.restore(Node::Cloud),
            Fault::ClockJump { till, by_ms } => {
                let node = self.till(till);
                self.count("clock jump");
                self.fault_note(&format!("the clock of {node} jumps by {by_ms} ms"));
                let host = self.host_mut(node);
                host.clock_off_ms = host.clock_off_ms.saturating_add(by_ms);
            }
            Fault::Throttle { ms } => {
                self.count("throttle");
                self.fault_note(&format!("the cloud refuses everything for {ms} ms"));
                self.throttled_until_us = self.now_us + ms * 1_000;
            }
            Fault::CloneTill { .. }
            | Fault::MoveTill { .. }
            | Fault::Revoke { .. }
            | Fault::Expire { .. }
            | Fault::Drift { .. } => {}
        }
    }

    fn cut(&mut self, till: u32, ms: u64, way: Way) {
        let node = self.till(till);
        self.count("partition");
        self.fault_note(&format!("the link of {node} is cut for {ms} ms ({way:?})"));
        let until_us = self.now_us + ms * 1_000;
        let host = self.host_mut(node);
        if matches!(way, Way::Both | Way::ToCloud) {
            host.cut_to_us = host.cut_to_us.max(until_us);
        }
        if matches!(way, Way::Both | Way::FromCloud) {
            host.cut_from_us = host.cut_from_us.max(until_us);
        }
    }

    fn back_up(&mut self, node: Node) {
        self.fault_note(&format!("a copy of {node} is put aside"));
        let host = self.host_mut(node);
        host.backup = Some(host.store.image());
    }

    fn restore(&mut self, node: Node) {
        let Some(image) = self.host_mut(node).backup.take() else { return };
        self.count("restore");
        self.crash(node, 1, "is replaced by its backup");
        self.host_mut(node).store.restore(image);
    }

    /// A node goes down, and comes up again after `ms`.
    pub(super) fn crash(&mut self, node: Node, ms: u64, why: &str) {
        let host = self.host_mut(node);
        host.life += 1;
        host.up = false;
        let life = host.life;
        self.note(node, crate::story::What::Crash, || format!("{why}, down for {ms} ms"));
        self.after(ms * 1_000, Happening::Start(node, life));
    }
}
