//! The stores of the model: in memory, or the real redb on simulated disks.
//!
//! What the real nodes do on an error of their store is done here too. A till answers every request
//! with the error, ends, and is started again by whoever supervises it. The cloud's handlers answer
//! 503; its committer ends with the first commit that fails, and the node with it. Neither says
//! anything that it has not read.

use counterfoil_protocol::identity::Witness;
use counterfoil_protocol::session::Fault;
use counterfoil_protocol::terminal::Terminal;
use counterfoil_storage::memory::Failure;

use super::archive::ArchiveBackup;
use super::log::lane;
use super::{Happening, Reply, Scheduled, World};
use crate::checker::DeviceBackup;
use crate::coverage::{Injected, Transition};
use crate::disk::Disk;
use crate::law::{Law, Violation};
use crate::observed::{Backup, Observed, Opened, Watchable};
use crate::rng::Stream;
use crate::story::{Lane, What};

/// Until whoever supervises a node starts it again that could not open its store.
const AGAIN_US: u64 = 500_000;
/// Until it starts a node again whose disk has failed by itself, in milliseconds.
const SUPERVISED_MS: u64 = 500;

/// Where the stores of a world are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// In memory: crashes lose nothing that was committed, by construction.
    Memory,
    /// The real redb, on simulated disks.
    Disk,
}

/// What is put aside when a till is backed up.
#[derive(Clone)]
pub(super) struct TillBackup {
    pub(super) image: Backup<Terminal>,
    pub(super) witness: Option<Witness>,
    pub(super) owed: DeviceBackup,
    pub(super) archive: Option<ArchiveBackup>,
}

impl World {
    /// Makes the store of a till, with a copy of another one's rows if there is one.
    pub(super) fn till_store(
        &self,
        number: usize,
        copied: Option<Backup<Terminal>>,
    ) -> Observed<Terminal> {
        let bytes = copied.as_ref().and_then(Backup::bytes).unwrap_or_default();
        let mut store = self.store("till/disk", number as u64, bytes);
        if let Some(backup) = copied {
            store.restore(backup);
        }
        store
    }

    /// Makes an empty store.
    pub(super) fn store<M: Watchable>(
        &self,
        name: &str,
        index: u64,
        bytes: Vec<u8>,
    ) -> Observed<M> {
        match self.medium {
            Medium::Memory => Observed::default(),
            Medium::Disk => {
                let luck = Stream::new(self.plan.seed, name, index);
                Observed::on(Disk::holding(bytes, luck, self.plan.disk))
            }
        }
    }

    /// Opens the store of a till that starts. `false`: it does not, and will be tried again.
    pub(super) fn open_till(&mut self, till: usize) -> Result<bool, Violation> {
        let (now_us, power_may_go) = (self.now_us, self.power_may_go());
        let opened = self.tills[till].store.reopen(now_us, power_may_go);
        self.tills[till].busy_until_us = 0;
        self.see_till(till);
        let opens = self.opened(Law::NeverForgotten, lane(till), opened)?;
        if !opens {
            self.after(AGAIN_US, Happening::RestartTill(till));
        }
        Ok(opens)
    }

    /// Starts the cloud, if its store can be opened.
    pub(super) fn start_cloud(&mut self) -> Result<(), Violation> {
        let (now_us, power_may_go) = (self.now_us, self.power_may_go());
        let opened = self.cloud.store.reopen(now_us, power_may_go);
        self.cloud.busy_until_us = 0;
        self.see_cloud();
        if self.opened(Law::AckedIsDurable, Lane::Cloud, opened)? {
            self.cloud.start();
        } else {
            self.after(AGAIN_US, Happening::RestartCloud);
        }
        Ok(())
    }

    const fn power_may_go(&self) -> bool {
        self.plan.crash_ppm > 0 && !self.healed
    }

    fn opened(&mut self, law: Law, lane: Lane, opened: Opened) -> Result<bool, Violation> {
        let at = self.now_ms();
        let broken = match opened {
            Opened::Serves { repaired } => {
                if repaired {
                    self.coverage.saw(Transition::StoreRepaired);
                }
                None
            }
            Opened::NotYet { power_cut } => {
                if power_cut {
                    self.coverage.injected(Injected::RecoveryCut);
                }
                self.tell(lane, What::Fault, || "its store cannot be opened now".to_owned());
                return Ok(false);
            }
            Opened::Broken(what) => Some(what),
        };
        if self.medium == Medium::Disk {
            self.checker.tally.check(law, at, broken.is_none(), || {
                format!("{lane:?}: what was committed is not on the disk: {}", told(broken))
            })?;
        }
        Ok(true)
    }

    /// A till's step has failed. Returns whether its commit happened all the same.
    pub(super) fn settle_till(
        &mut self,
        till: usize,
        planned: Option<Failure>,
    ) -> Result<Failure, Violation> {
        let settled = self.tills[till].store.settle(planned);
        self.settled(Law::NeverForgotten, lane(till), settled)
    }

    /// A till's step has failed, by a `crash` or an `error` of the plan or by its disk.
    pub(super) fn till_failed(
        &mut self,
        till: usize,
        (crash, error): (bool, bool),
        settled: Option<Failure>,
    ) {
        let host = &mut self.tills[till];
        let crashes = (Injected::TillCrashBefore, Injected::TillCrashAfter);
        if let Some(fault) = planned((crash, error), settled, crashes) {
            host.coverage.injected(fault);
        }
        let down = match (crash, error) {
            (true, _) => host.luck.between(1, 3_000),
            (false, true) => 10,
            (false, false) => SUPERVISED_MS,
        };
        self.crash_till(till, down);
    }

    /// The same of the cloud.
    pub(super) fn cloud_failed(&mut self, (crash, error): (bool, bool), settled: Option<Failure>) {
        let crashes = (Injected::CloudCrashBefore, Injected::CloudCrashAfter);
        if let Some(fault) = planned((crash, error), settled, crashes) {
            self.coverage.injected(fault);
        }
        let down = match (crash, error) {
            (true, _) => self.cloud.luck.between(10, 4_000),
            (false, true) => 20,
            (false, false) => SUPERVISED_MS,
        };
        self.crash_cloud(down);
    }

    /// As [`Self::settle_till`].
    pub(super) fn settle_cloud(&mut self, planned: Option<Failure>) -> Result<Failure, Violation> {
        let settled = self.cloud.store.settle(planned);
        self.settled(Law::AckedIsDurable, Lane::Cloud, settled)
    }

    fn settled(
        &mut self,
        law: Law,
        lane: Lane,
        settled: Result<Failure, String>,
    ) -> Result<Failure, Violation> {
        let at = self.now_ms();
        match settled {
            Ok(failure) => Ok(failure),
            Err(what) => {
                let what = || format!("{lane:?}: after a commit that failed, {what}");
                self.checker.tally.check(law, at, false, what)?;
                unreachable!("a check that does not hold is a violation")
            }
        }
    }

    /// Returns whether a till can say what it is about to say. If its store has failed, it ends.
    pub(super) fn till_may_speak(&mut self, till: usize) -> bool {
        if self.tills[till].store.works() {
            return true;
        }
        self.see_till(till);
        if self.tills[till].up {
            self.crash_till(till, SUPERVISED_MS);
        }
        false
    }

    /// Returns what the cloud answers: nothing that it has not read.
    pub(super) fn may_answer(&mut self, reply: Reply) -> Reply {
        if self.cloud.store.works() || !self.cloud.up {
            return reply;
        }
        self.see_cloud();
        Reply::Fault(Fault::Server)
    }

    /// Counts what the disk of a till did.
    pub(super) fn see_till(&mut self, till: usize) {
        if self.medium == Medium::Disk {
            let seen = self.tills[till].store.seen();
            self.see(lane(till), &seen);
        }
    }

    /// Counts what the disk of the cloud did.
    pub(super) fn see_cloud(&mut self) {
        if self.medium == Medium::Disk {
            let seen = self.cloud.store.seen();
            self.see(Lane::Cloud, &seen);
        }
    }

    fn see(&mut self, lane: Lane, seen: &[Injected]) {
        for fault in seen {
            self.coverage.injected(*fault);
            self.tell(lane, What::Fault, || fault.as_str().to_owned());
        }
    }

    /// Puts off what a node cannot do now, as it waits for its disk. `true` if it did.
    pub(super) fn waits(&mut self, next: &mut Scheduled) -> bool {
        let until = match &next.what {
            Happening::Sell(till)
            | Happening::Wake(till, ..)
            | Happening::EditAtTill(till)
            | Happening::Correct(till)
            | Happening::Archive(till)
            | Happening::Leave(till, ..)
            | Happening::Drawer(till)
            | Happening::Verify(till)
            | Happening::ApplyPlan(till, _) => self.tills[*till].busy_until_us,
            Happening::Answer(answer) => self.tills[answer.till].busy_until_us,
            Happening::CloudCommit(_)
            | Happening::RollUp(..)
            | Happening::EditCatalog
            | Happening::PlanCompaction
            | Happening::Compact(..)
            | Happening::Order
            | Happening::Relay
            | Happening::Reenrol(_)
            | Happening::Retire(_)
            | Happening::DefineProducts(_) => self.cloud.busy_until_us,
            Happening::Request(_)
            | Happening::RestartTill(_)
            | Happening::RestartCloud
            | Happening::Fault(_)
            | Happening::Heal
            | Happening::Staff
            | Happening::Admit => 0,
        };
        if until <= self.now_us {
            return false;
        }
        let what = std::mem::replace(&mut next.what, Happening::Heal);
        if let Happening::Wake(till, life, part) = what {
            if self.rings(&Scheduled { what: Happening::Wake(till, life, part), ..*next }) {
                self.set_alarm_us(till, part, until);
            }
        } else {
            self.at(until, what);
        }
        true
    }

    /// The power goes everywhere; what was acknowledged must be on the disks, and all of it.
    pub(super) fn check_disks(&mut self) -> Result<(), Violation> {
        if self.medium == Medium::Memory {
            return Ok(());
        }
        self.cloud.store.power_cut();
        let opened = self.cloud.store.reopen(self.now_us, false);
        self.opened(Law::AckedIsDurable, Lane::Cloud, opened)?;
        for till in 0..self.tills.len() {
            self.tills[till].store.power_cut();
            let opened = self.tills[till].store.reopen(self.now_us, false);
            self.opened(Law::NeverForgotten, lane(till), opened)?;
        }
        Ok(())
    }
}

/// Returns what a failed step is counted as: a crash `before` or `after` its commit, an error of
/// the plan, or nothing, as the disk has failed by itself and counts that.
fn planned(
    (crash, error): (bool, bool),
    settled: Option<Failure>,
    (before, after): (Injected, Injected),
) -> Option<Injected> {
    match (crash, settled) {
        (true, Some(Failure::Before)) => Some(before),
        (true, _) => Some(after),
        (false, _) => error.then_some(Injected::StorageError),
    }
}

fn told(what: Option<String>) -> String {
    what.unwrap_or_default()
}
