//! States, and what may happen in them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::cloud::Commit;
use super::device::Sold;
use super::law::{Broken, demand};
use super::part::{Body, CloudDisk, Device, Digest, Digester, Fact, Message, Truth};
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

    fn put(&mut self, message: Arc<Message>) -> bool {
        match self.net.binary_search_by(|held| held.digest.cmp(&message.digest)) {
            Ok(_) => false,
            Err(place) => {
                self.net.insert(place, message);
                true
            }
        }
    }

    /// A machine has ended: nobody waits for its answers any more, its requests may still arrive.
    fn hang_up(&mut self, number: u8, sabotage: Sabotage) {
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

    fn sold(&mut self, device: usize, sold: &Sold, config: &Config) -> Result<(), Broken> {
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

    fn post(&mut self) {
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

/// What was computed once: the roles are pure, so the same input on the same disk has the same
/// effect, wherever in the world it happens.
pub(super) struct Memo {
    pub(super) config: Config,
    sold: Cache<Arc<Sold>>,
    devices: Cache<Option<Arc<Device>>>,
    messages: Cache<Option<Arc<Message>>>,
    served: Cache<Served>,
    pub(super) drained: Cache<()>,
}

type Served = (Arc<CloudDisk>, Vec<Arc<Message>>);
type CacheKey = (Digest, Digest, u32);

/// In how many parts a cache is locked.
const SHARDS: usize = 64;

pub(super) struct Cache<T>(Vec<Mutex<HashMap<CacheKey, T>>>);

impl<T: Clone> Cache<T> {
    fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect())
    }

    pub(super) fn get(
        &self,
        key: CacheKey,
        make: impl FnOnce() -> Result<T, Broken>,
    ) -> Result<T, Broken> {
        let shard = &self.0[(key.0 ^ key.1) as usize % SHARDS];
        let lock = || shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return Ok(known.clone());
        }
        let made = make()?;
        Ok(lock().entry(key).or_insert(made).clone())
    }

    pub(super) fn len(&self) -> usize {
        let lock = |shard: &Mutex<HashMap<CacheKey, T>>| {
            shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len()
        };
        self.0.iter().map(lock).sum()
    }
}

impl Memo {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            sold: Cache::new(),
            devices: Cache::new(),
            messages: Cache::new(),
            served: Cache::new(),
            drained: Cache::new(),
        }
    }

    /// How often a role was really run.
    pub(super) fn steps(&self) -> usize {
        self.sold.len() + self.devices.len() + self.served.len()
    }

    pub(super) fn greet(&self, device: &Device) -> Result<Option<Arc<Message>>, Broken> {
        self.messages.get((device.digest, 0, 0), || Ok(device.greet()))
    }

    pub(super) fn push(&self, device: &Device, n: usize) -> Result<Option<Arc<Message>>, Broken> {
        self.messages.get((device.digest, 1, n as u32), || Ok(device.push(n)))
    }

    pub(super) fn adopt(&self, device: &Device) -> Result<Option<Arc<Device>>, Broken> {
        self.devices.get((device.digest, 0, 0), || Ok(device.adopt()?.map(Arc::new)))
    }

    pub(super) fn take(&self, device: &Device, answer: &Message) -> Result<Arc<Device>, Broken> {
        let taken = self.devices.get((device.digest, answer.digest, 1), || {
            device.take(answer, self.config.sabotage).map(|device| Some(Arc::new(device)))
        })?;
        Ok(taken.expect("an answer is taken"))
    }

    pub(super) fn serve(
        &self,
        cloud: &CloudDisk,
        requests: &[&Message],
        commit: Commit,
    ) -> Result<Served, Broken> {
        let mut digester = Digester::new(b'R');
        for request in requests {
            digester.digest(request.digest);
        }
        self.served.get((cloud.digest, digester.end(), commit as u32), || {
            let (cloud, answers) = cloud.serve(requests, commit, self.config.sabotage)?;
            Ok((Arc::new(cloud), answers))
        })
    }

    fn changed(
        &self,
        device: &Device,
        other: Digest,
        tag: u32,
        make: impl FnOnce() -> Result<Device, Broken>,
    ) -> Result<Arc<Device>, Broken> {
        let changed = self
            .devices
            .get((device.digest, other, tag), || make().map(|device| Some(Arc::new(device))))?;
        Ok(changed.expect("it was changed"))
    }

    /// Does what happens. None if it cannot happen, or would change nothing.
    pub(super) fn apply(&self, state: &State, action: Action) -> Result<Option<State>, Broken> {
        let mut next = state.clone();
        let config = &self.config;
        match action {
            Action::Sell(device) => {
                let before = &state.devices[device].device;
                let sold = self
                    .sold
                    .get((before.digest, 0, 0), || before.sell(config.numbers).map(Arc::new))?;
                next.left.sales -= 1;
                next.devices[device].device = Arc::new(sold.device.clone());
                next.sold(device, &sold, config)?;
            }
            Action::Greet(device) => {
                let message = self.greet(&state.devices[device].device)?;
                return Ok(message.is_some_and(|message| next.put(message)).then_some(next));
            }
            Action::Push(device) => return self.apply_push(next, device),
            Action::Adopt(device) => {
                let Some(adopted) = self.adopt(&state.devices[device].device)? else {
                    return Ok(None);
                };
                next.devices[device].device = adopted;
            }
            Action::Restart { device, torn } => {
                next.left.crashes -= 1;
                let before = &state.devices[device].device;
                next.devices[device].device =
                    self.changed(before, 0, 2 + u32::from(torn), || {
                        before.restart(torn, config.numbers)
                    })?;
                next.hang_up(before.number, config.sabotage);
            }
            Action::Backup(device) => {
                let before = &state.devices[device].device;
                next.devices[device].backup = Some(Arc::clone(before));
                if config.cold_backups {
                    next.devices[device].device =
                        self.changed(before, 0, 2, || before.restart(false, config.numbers))?;
                    next.hang_up(before.number, config.sabotage);
                }
            }
            Action::Restore { device, with_witness } => {
                next.left.restores -= 1;
                let before = &state.devices[device].device;
                let Some(backup) = next.devices[device].backup.take() else { return Ok(None) };
                next.devices[device].device =
                    self.changed(before, backup.digest, 4 + u32::from(with_witness), || {
                        before.restored(&backup, with_witness)
                    })?;
                next.hang_up(before.number, config.sabotage);
            }
            Action::Copy { device, with_witness } => {
                next.left.copies -= 1;
                let (before, number) = (&state.devices[device].device, state.devices.len() as u8);
                let copy =
                    self.changed(before, number.into(), 6 + u32::from(with_witness), || {
                        before.copied(number, with_witness)
                    })?;
                next.devices.push(Slot { device: copy, backup: None });
            }
            Action::BackupCloud => next.cloud_backup = Some(Arc::clone(&state.cloud)),
            Action::RestoreCloud => {
                next.left.cloud_restores -= 1;
                let Some(backup) = next.cloud_backup.take() else { return Ok(None) };
                next.cloud = backup;
            }
            Action::PlanRollUp => {
                next.left.roll_ups -= 1;
                let planned = state.cloud.plan_roll_up();
                return Ok(planned.is_some_and(|plan| next.put(plan)).then_some(next));
            }
            Action::Serve(..)
            | Action::ServeKeep(_)
            | Action::Group(..)
            | Action::Take(_)
            | Action::TakeKeep(_)
            | Action::Lose(_)
            | Action::GiveUp(_) => self.deliver(state, &mut next, action)?,
        }
        Ok(Some(next))
    }

    fn apply_push(&self, mut next: State, device: usize) -> Result<Option<State>, Broken> {
        let before = Arc::clone(&next.devices[device].device);
        let Some(message) = self.push(&before, usize::from(self.config.items))? else {
            return Ok(None);
        };
        if self.config.sabotage == Sabotage::SentIsReceived {
            next.devices[device].device = Arc::new(before.forget_queue());
        }
        Ok(next.put(message).then_some(next))
    }

    /// Something happens to messages under way.
    fn deliver(&self, state: &State, next: &mut State, action: Action) -> Result<(), Broken> {
        match action {
            Action::Serve(index, commit) => {
                next.net.remove(index);
                self.commit(state, next, &[index], commit)?;
            }
            Action::ServeKeep(index) => {
                next.left.duplicates -= 1;
                self.commit(state, next, &[index], Commit::Done)?;
            }
            Action::Group(first, second, commit) => {
                next.net.remove(first.max(second));
                next.net.remove(first.min(second));
                self.commit(state, next, &[first, second], commit)?;
            }
            Action::Take(index) | Action::TakeKeep(index) => {
                let answer = &state.net[index];
                match action {
                    Action::TakeKeep(_) => next.left.duplicates -= 1,
                    _ => drop(next.net.remove(index)),
                }
                let waits = |slot: &&mut Slot| Some(slot.device.number) == answer.device;
                let slot = next.devices.iter_mut().find(waits);
                let slot = slot.expect("an answer is for a machine that waits");
                slot.device = self.take(&slot.device, answer)?;
            }
            Action::Lose(index) => {
                next.left.losses -= 1;
                next.net.remove(index);
            }
            Action::GiveUp(index) => {
                next.left.late -= 1;
                let message = next.net.remove(index);
                next.put(message.orphaned());
            }
            Action::Sell(_)
            | Action::Greet(_)
            | Action::Push(_)
            | Action::Adopt(_)
            | Action::Restart { .. }
            | Action::Backup(_)
            | Action::Restore { .. }
            | Action::Copy { .. }
            | Action::BackupCloud
            | Action::RestoreCloud
            | Action::PlanRollUp => unreachable!("nothing of that happens to a message"),
        }
        Ok(())
    }

    fn commit(
        &self,
        state: &State,
        next: &mut State,
        requests: &[usize],
        commit: Commit,
    ) -> Result<(), Broken> {
        if commit != Commit::Done {
            next.left.crashes -= 1;
        }
        let requests: Vec<&Message> = requests.iter().map(|index| &*state.net[*index]).collect();
        let (cloud, answers) = self.serve(&state.cloud, &requests, commit)?;
        next.cloud = cloud;
        next.post();
        for answer in answers {
            next.put(answer);
        }
        Ok(())
    }
}

/// Returns a message in words.
pub(super) fn tell(message: &Message) -> String {
    let who = message.terminal.map_or_else(|| "the cloud".to_owned(), |till| till.to_string());
    let whose = match message.device {
        Some(number) => format!("{who} (machine {number})"),
        None => format!("{who} (nobody waits)"),
    };
    match &message.body {
        Body::Hello(_) => format!("greeting of {whose}"),
        Body::Push(epoch, _) => format!("push of epoch {epoch} by {whose}"),
        Body::Welcome(_) => format!("welcome for {whose}"),
        Body::Pushed(epoch, _) => format!("answer to a push of epoch {epoch} for {whose}"),
        Body::Denied(denial) => format!("denial ({denial:?}) for {whose}"),
        Body::RollUp(_) => "planned roll-up of stock".to_owned(),
    }
}
