//! What must hold after a disk was replaced by an earlier one, or copied.

use std::collections::BTreeMap;

use counterfoil_protocol::identity::{Epoch, TerminalId};

use super::catalog::History;
use super::fact::{Fact, Names};
use super::inbox::Inboxes;
use super::sessions::{Name, Posted};
use super::{Checker, Device, Mirror};

/// A device's obligations at the time of a backup.
#[derive(Clone, Debug)]
pub struct DeviceBackup(Device);

/// The cloud's journals at the time of a backup.
#[derive(Clone, Debug)]
pub struct CloudBackup {
    lanes: BTreeMap<(TerminalId, Epoch), Mirror>,
    posted: Names<Fact>,
    sessions: BTreeMap<Name, Posted>,
    catalog: History,
    inbox: Inboxes,
}

impl Checker {
    /// Notes what a device owes when its disk is copied.
    #[must_use]
    pub fn backup_device(&self, device: usize) -> DeviceBackup {
        DeviceBackup(self.devices[device].clone())
    }

    /// A device's disk was replaced: what it sold since the copy cannot be asked of it.
    pub fn restore_device(&mut self, device: usize, backup: &DeviceBackup) {
        self.devices[device] = backup.0.clone();
    }

    /// A second device starts with a copy of a disk.
    pub fn clone_device(&mut self, backup: &DeviceBackup) -> usize {
        self.devices.push(backup.0.clone());
        self.devices.len() - 1
    }

    /// Notes the cloud's journals when its disk is copied.
    #[must_use]
    pub fn backup_cloud(&self) -> CloudBackup {
        CloudBackup {
            lanes: self.lanes.clone(),
            posted: self.posted.clone(),
            sessions: self.sessions.clone(),
            catalog: self.catalog.clone(),
            inbox: self.inbox.backup(),
        }
    }

    /// The cloud's disk was replaced.
    pub fn restore_cloud(&mut self, backup: &CloudBackup) {
        self.lanes = backup.lanes.clone();
        self.posted = backup.posted.clone();
        self.sessions = backup.sessions.clone();
        self.restore_catalog(&backup.catalog);
        self.inbox.restore(&backup.inbox);
    }
}
