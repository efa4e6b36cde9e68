//! What happens, computed once for each disk that it happens to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::cloud::Commit;
use super::device::Sold;
use super::law::Broken;
use super::part::{CloudDisk, Device, Digest, Digester, Message};
use super::world::{Action, Slot, State};
use super::{Config, Sabotage};

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
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return Ok(known.clone());
        }
        let made = make()?;
        Ok(lock().entry(key).or_insert(made).clone())
    }

    pub(super) fn len(&self) -> usize {
        let lock = |shard: &Mutex<HashMap<CacheKey, T>>| {
            shard.lock().unwrap_or_else(PoisonError::into_inner).len()
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
            Action::Restart { .. }
            | Action::Backup(_)
            | Action::Restore { .. }
            | Action::Copy { .. } => self.replace(state, &mut next, action)?,
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

    /// Something happens to a whole machine.
    fn replace(&self, state: &State, next: &mut State, action: Action) -> Result<(), Broken> {
        let config = &self.config;
        match action {
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
                let Some(backup) = next.devices[device].backup.take() else { return Ok(()) };
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
            Action::Sell(_)
            | Action::Greet(_)
            | Action::Push(_)
            | Action::Adopt(_)
            | Action::Serve(..)
            | Action::ServeKeep(_)
            | Action::Group(..)
            | Action::Take(_)
            | Action::TakeKeep(_)
            | Action::Lose(_)
            | Action::GiveUp(_)
            | Action::BackupCloud
            | Action::RestoreCloud
            | Action::PlanRollUp => unreachable!("nothing of that happens to a whole machine"),
        }
        Ok(())
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
                if matches!(action, Action::TakeKeep(_)) {
                    next.left.duplicates -= 1;
                } else {
                    next.net.remove(index);
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
