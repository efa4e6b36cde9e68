//! States, and what may happen in them.

use std::sync::Arc;

use super::cloud::Commit;
use super::device::Sold;
use super::law::{Broken, demand};
use super::part::{CloudDisk, Device, Digest, Digester, Fact, Message, Truth};
use super::{Bounds, Config, Sabotage};
use crate::law::Law;

/// A state: every disk, every message under way, every backup, and what may still happen.
#[derive(Clone)]
pub(super) struct State {
    pub(super) cloud: Arc<CloudDisk>,
    pub(super) cloud_backup: Option<Arc<CloudDisk>>,
    pub(super) devices: Vec<Slot>,
    /// A set, in the order of the digests: the same message twice is `Action::ServeKeep`.
    pub(super) net: Vec<Arc<Message>>,
    pub(super) truth: Arc<Truth>,
    pub(super) left: Bounds,
}

/// A machine, and the backup of it if there is one.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) device: Arc<Device>,
    pub(super) backup: Option<Arc<Device>>,
}

/// Something that happens. Messages are named by their place in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Sell(usize),
    Greet(usize),
    Push(usize),
    Adopt(usize),
    Restart {
        device: usize,
        torn: bool,
    },
    Backup(usize),
    Restore {
        device: usize,
        with_witness: bool,
    },
    Copy {
        device: usize,
        with_witness: bool,
    },
    Serve(usize, Commit),
    /// It arrives, and will arrive again.
    ServeKeep(usize),
    /// Two requests in one transaction.
    Group(usize, usize, Commit),
    Take(usize),
    TakeKeep(usize),
    Lose(usize),
    /// The till stops waiting; the request may still arrive.
    GiveUp(usize),
    BackupCloud,
    RestoreCloud,
    PlanRollUp,
}

impl State {
    pub(super) fn first(config: &Config) -> Result<Self, Broken> {
        let mut devices = Vec::new();
        for number in 0..config.tills {
            let device = Arc::new(Device::install(number)?);
            devices.push(Slot { device, backup: None });
        }
        let terminals = devices.iter().map(|slot| slot.device.identity.terminal);
        let cloud = Arc::new(CloudDisk::new(terminals)?);
        let mut truth = Truth::default();
        truth.seal();
        let (net, truth) = (Vec::new(), Arc::new(truth));
        Ok(Self { cloud, cloud_backup: None, devices, net, truth, left: config.bounds })
    }

    pub(super) fn key(&self) -> Digest {
        let mut digester = Digester::new(b'S');
        digester.digest(self.cloud.digest).digest(self.truth.digest);
        digester.digest(self.cloud_backup.as_ref().map_or(0, |backup| backup.digest));
        digester.number(self.devices.len() as u64);
        for slot in &self.devices {
            digester.digest(slot.device.digest);
            digester.digest(slot.backup.as_ref().map_or(0, |backup| backup.digest));
        }
        for message in &self.net {
            digester.digest(message.digest);
        }
        for left in self.left.as_array() {
            digester.number(left.into());
        }
        digester.end()
    }

    /// Returns what is seen on its disks.
    pub(super) fn sights(&self) -> u8 {
        let devices = self.devices.iter().map(|slot| slot.device.sights);
        devices.fold(self.cloud.sights, |all, sights| all | sights)
    }

    /// Appends everything that may happen.
    pub(super) fn actions(&self, config: &Config, actions: &mut Vec<Action>) {
        for device in 0..self.devices.len() {
            self.actions_of(device, config, actions);
        }
        for (index, message) in self.net.iter().enumerate() {
            self.actions_on(index, message, actions);
        }
        if config.bounds.cloud_restores > 0 && self.left.cloud_restores > 0 {
            match &self.cloud_backup {
                None => actions.push(Action::BackupCloud),
                Some(backup) if backup.digest != self.cloud.digest => {
                    actions.push(Action::RestoreCloud);
                }
                Some(_) => {}
            }
        }
        if self.left.roll_ups > 0 {
            actions.push(Action::PlanRollUp);
        }
    }

    fn actions_of(&self, device: usize, config: &Config, actions: &mut Vec<Action>) {
        let (slot, left) = (&self.devices[device], &self.left);
        let witness: &[bool] = if config.with_witness { &[false, true] } else { &[false] };
        if left.sales > 0 {
            actions.push(Action::Sell(device));
        }
        let number = slot.device.number;
        let waits = self.net.iter().filter(|message| message.device == Some(number)).count();
        if waits < usize::from(config.in_flight) {
            actions.extend([Action::Greet(device), Action::Push(device)]);
        }
        if slot.device.backlog.adopting {
            actions.push(Action::Adopt(device));
        }
        if left.crashes > 0 {
            actions.push(Action::Restart { device, torn: false });
            actions.push(Action::Restart { device, torn: true });
        }
        if left.restores > 0 {
            match &slot.backup {
                None => actions.push(Action::Backup(device)),
                Some(_) => actions.extend(
                    witness.iter().map(|with| Action::Restore { device, with_witness: *with }),
                ),
            }
        }
        if left.copies > 0 {
            let copies = witness.iter().map(|with| Action::Copy { device, with_witness: *with });
            actions.extend(copies);
        }
    }

    fn actions_on(&self, index: usize, message: &Message, actions: &mut Vec<Action>) {
        let left = &self.left;
        let crashes: &[Commit] = match left.crashes {
            0 => &[Commit::Done],
            _ => &[Commit::Done, Commit::DiesBefore, Commit::DiesAfter],
        };
        if message.is_request() {
            actions.extend(crashes.iter().map(|commit| Action::Serve(index, *commit)));
            for (other, second) in self.net.iter().enumerate() {
                if other != index && second.is_request() {
                    let group = crashes.iter().filter(|commit| **commit != Commit::DiesBefore);
                    actions.extend(group.map(|commit| Action::Group(index, other, *commit)));
                }
            }
            if left.duplicates > 0 {
                actions.push(Action::ServeKeep(index));
            }
        } else {
            actions.push(Action::Take(index));
            if left.duplicates > 0 {
                actions.push(Action::TakeKeep(index));
            }
        }
        if left.losses > 0 {
            actions.push(Action::Lose(index));
        }
        if left.late > 0 && message.device.is_some() && message.is_request() {
            actions.push(Action::GiveUp(index));
        }
    }

    pub(super) fn put(&mut self, message: Arc<Message>) -> bool {
        match self.net.binary_search_by(|held| held.digest.cmp(&message.digest)) {
            Ok(_) => false,
            Err(place) => {
                self.net.insert(place, message);
                true
            }
        }
    }

    /// A machine has ended: nobody waits for its answers any more, its requests may still arrive.
    pub(super) fn hang_up(&mut self, number: u8, sabotage: Sabotage) {
        if sabotage == Sabotage::AnswersOutliveRestarts {
            return;
        }
        let (gone, kept): (Vec<_>, Vec<_>) =
            self.net.drain(..).partition(|message| message.device == Some(number));
        self.net = kept;
        for message in gone.iter().filter(|message| message.is_request()) {
            self.put(message.orphaned());
        }
    }

    pub(super) fn sold(
        &mut self,
        device: usize,
        sold: &Sold,
        config: &Config,
    ) -> Result<(), Broken> {
        let mut truth = Truth::clone(&self.truth);
        truth.committed.insert(sold.fact);
        let terminal = self.devices[device].device.identity.terminal;
        let (series, number) = (sold.receipt.series, sold.receipt.number);
        let fresh = truth.receipts.insert((terminal, series, number));
        // Who restores or copies the witness too may print a number twice before the handshake.
        demand(
            Law::ReceiptsGapless,
            fresh || config.witness_goes_along(),
            format_args!("receipt {number} of {terminal}, series {series}, is printed once"),
            || "it is printed twice".to_owned(),
        )?;
        truth.seal();
        self.truth = Arc::new(truth);
        Ok(())
    }

    pub(super) fn post(&mut self) {
        if self.cloud.posted.iter().all(|fact| self.truth.posted.contains(fact)) {
            return;
        }
        let mut truth = Truth::clone(&self.truth);
        truth.posted.extend(self.cloud.posted.iter().copied());
        truth.seal();
        self.truth = Arc::new(truth);
    }

    /// What holds between the disks.
    pub(super) fn check(&self, config: &Config) -> Result<(), Broken> {
        let phantom = self.cloud.held.iter().any(|fact| !self.truth.committed.contains(fact));
        demand(
            Law::NoPhantom,
            !phantom,
            "the cloud holds what a till has committed, byte for byte",
            || "an event that no till has committed".to_owned(),
        )?;
        let restored = self.left.cloud_restores < config.bounds.cloud_restores;
        for slot in &self.devices {
            let held = |fact: &Fact| {
                let ever = self.truth.posted.contains(fact);
                ever && (restored || self.cloud.posted.binary_search(fact).is_ok())
            };
            demand(
                Law::AckedIsDurable,
                slot.device.synced.iter().all(held),
                format_args!("what machine {} marks as synced is in the cloud", slot.device.number),
                || "a sale that is marked as synced, and the cloud does not hold it".to_owned(),
            )?;
        }
        Ok(())
    }
}
