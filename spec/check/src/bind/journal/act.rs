//! What may happen in the world, and what it is called in the specification.

use counterfoil_protocol::cloud;
use counterfoil_protocol::time::Millis;
use counterfoil_storage::memory::Failure;

use crate::bind::bound::{Happens, Named};
use crate::bind::nodes::TICK;

use super::world::{Outside, Request, World, product, site};

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// `dies`: the power fails when the sale is durable.
    Sell {
        machine: usize,
        dies: bool,
    },
    /// The cashier asks for the last sale again.
    Again(usize),
    Hello(usize),
    /// Offers what is due at this time.
    Push {
        machine: usize,
        at: Millis,
    },
    /// `fails`: the power fails at the till's commit.
    Receive {
        machine: usize,
        fails: Option<Failure>,
    },
    /// `whole`: as many entries as the till takes at once.
    Adopt {
        machine: usize,
        whole: bool,
    },
    /// History 0 is the current one, others are closed, the oldest first.
    Retry {
        machine: usize,
        history: usize,
        seq: u64,
    },
    /// The session of a machine does what it wants to do next.
    Turn(usize),
    Stage {
        request: Request,
        twice: bool,
    },
    /// `dies`: the power fails after it, and nobody hears of it.
    Commit {
        dies: bool,
    },
    Define,
    Interrupt {
        machine: usize,
        how: How,
    },
    CloudDies,
    Backup(usize),
    RestoreTill {
        machine: usize,
        outside: Outside,
    },
    Copy {
        machine: usize,
        outside: Outside,
    },
    Archive,
    RestoreCloud,
    /// What was moved is added to the stock.
    RollUp,
    /// The program starts anew while nothing is under way.
    Restart {
        machine: usize,
        torn: bool,
    },
}

/// Why a till waits no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Timeout,
    Restart,
}

impl Happens for Act {
    fn name(&self) -> &'static str {
        match self {
            Self::Sell { .. } => "Sell",
            Self::Hello(_) => "Hello",
            Self::Push { .. } => "Push",
            Self::Receive { .. } => "Receive",
            Self::Adopt { .. } => "Adopt",
            Self::Retry { history: 0, .. } => "Retry",
            Self::Retry { .. } => "RetryOld",
            Self::Stage { .. } => "Stage",
            Self::Commit { .. } => "Commit",
            Self::Define => "Define",
            Self::Interrupt { .. } => "Interrupt",
            Self::CloudDies => "CloudDies",
            Self::Backup(_) => "Backup",
            Self::RestoreTill { .. } => "RestoreTill",
            Self::Copy { .. } => "Copy",
            Self::Archive => "Archive",
            Self::RestoreCloud => "RestoreCloud",
            Self::Turn(_) => "Turn",
            Self::Again(_) => "Again",
            Self::RollUp => "RollUp",
            Self::Restart { .. } => "Restart",
        }
    }

    /// The session's turn is one of several.
    fn may_be(&self, action: &str) -> bool {
        let several = matches!(
            self,
            Self::Sell { dies: true, .. }
                | Self::Commit { dies: true }
                | Self::Receive { fails: Some(_), .. }
                | Self::Adopt { whole: true, .. }
        );
        let by_turn = matches!(action, "Hello" | "Push" | "Adopt" | "Idle");
        !several && (self.name() == action || (self.is_turn() && by_turn))
    }

    fn is_turn(&self) -> bool {
        matches!(self, Self::Turn(_))
    }
}

impl World {
    /// Returns everything that may happen now.
    pub(crate) fn acts(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        for machine in self.machines.iter().flatten() {
            self.acts_of_till(machine.number, &mut acts);
            self.accidents_of_till(machine.number, &mut acts);
        }
        self.acts_of_cloud(&mut acts);
        acts
    }

    fn acts_of_till(&self, machine: usize, acts: &mut Vec<Act>) {
        let Some(till) = &self.machines[machine - 1] else { return };
        let (awaits, general) = (self.awaits(machine), self.constants.general);
        if (self.told.len() as u64) < self.constants.sales {
            acts.push(Act::Sell { machine, dies: false });
            if general && (!awaits || self.left.late > 0) {
                acts.push(Act::Sell { machine, dies: true });
            }
        }
        acts.push(Act::Again(machine));
        if self.replies.iter().any(|reply| reply.to == machine) {
            acts.push(Act::Receive { machine, fails: None });
            if general {
                acts.push(Act::Receive { machine, fails: Some(Failure::After) });
                if self.left.late > 0 {
                    acts.push(Act::Receive { machine, fails: Some(Failure::Before) });
                }
            }
        }
        let in_need = till.in_need().into_iter();
        acts.extend(in_need.map(|(history, seq)| Act::Retry { machine, history, seq }));
        if !general {
            if !awaits {
                acts.push(Act::Turn(machine));
            }
            return;
        }
        if till.meta().backlog().adopting {
            acts.extend([true, false].map(|whole| Act::Adopt { machine, whole }));
        }
        if !awaits {
            acts.push(Act::Hello(machine));
            acts.extend(till.due_times(self.now).into_iter().map(|at| Act::Push { machine, at }));
        }
    }

    fn accidents_of_till(&self, machine: usize, acts: &mut Vec<Act>) {
        let awaits = self.awaits(machine);
        let greeted = self.machines[machine - 1].as_ref().is_some_and(|till| till.greeted());
        if awaits && self.left.late > 0 {
            let ways = [How::Timeout, How::Restart];
            acts.extend(ways.map(|how| Act::Interrupt { machine, how }));
        } else if greeted && self.left.late > 0 {
            acts.push(Act::Interrupt { machine, how: How::Restart });
        } else if !awaits && !greeted {
            acts.extend([false, true].map(|torn| Act::Restart { machine, torn }));
        }
        if self.left.tills > 0 {
            match self.backups[machine - 1] {
                None => acts.push(Act::Backup(machine)),
                Some(_) => {
                    let ways = [Outside::Stays, Outside::GoesAlong, Outside::IsLost];
                    acts.extend(ways.map(|outside| Act::RestoreTill { machine, outside }));
                }
            }
        }
    }

    fn acts_of_cloud(&self, acts: &mut Vec<Act>) {
        if self.batch.len() < self.constants.batch {
            for request in &self.requests {
                acts.push(Act::Stage { request: request.clone(), twice: false });
                if self.left.dups > 0 {
                    acts.push(Act::Stage { request: request.clone(), twice: true });
                }
            }
        }
        if !self.batch.is_empty() {
            acts.push(Act::Commit { dies: false });
            let live = self.waiting_in_batch().len();
            if self.left.late as usize >= live {
                acts.push(Act::Commit { dies: true });
            }
            if self.left.crashes > 0 {
                acts.push(Act::CloudDies);
            }
        }
        if !self.products_known() {
            acts.push(Act::Define);
        }
        if self.left.clouds > 0 {
            let archived = self.archive.is_some();
            acts.push(if archived { Act::RestoreCloud } else { Act::Archive });
        }
        if self.left.copies > 0 {
            let copies = self.constants.tills + 1..=self.machines.len();
            for machine in copies.filter(|number| self.machines[number - 1].is_none()) {
                let ways = [Outside::GoesAlong, Outside::IsLost];
                acts.extend(ways.map(|outside| Act::Copy { machine, outside }));
            }
        }
        acts.push(Act::RollUp);
    }

    /// Returns whether the products of the unknown sales are defined.
    fn products_known(&self) -> bool {
        self.constants.unknown.iter().all(|sale| {
            let key = cloud::Key::Product(site().shop, product(*sale));
            self.cloud.rows().contains_key(&key)
        })
    }

    /// Lets it happen; returns the actions that it is in the specification, in their order. None
    /// if nothing can be seen of it there.
    pub(crate) fn perform(&mut self, act: &Act) -> Vec<Named> {
        self.now = self.now.after(TICK);
        let of = |machine: &usize| vec![(act.name(), vec![*machine as u64])];
        let alone = vec![(act.name(), Vec::new())];
        match act {
            Act::Sell { machine, dies } => self.perform_sell(*machine, *dies),
            Act::Again(machine) => unseen(self.sell_again(*machine)),
            Act::Hello(machine) => {
                self.hello(*machine);
                of(machine)
            }
            Act::Push { machine, at } => {
                let items = self.constants.items;
                if self.push(*machine, items, *at) { of(machine) } else { Vec::new() }
            }
            Act::Receive { machine, fails } => self.perform_receive(*machine, *fails),
            Act::Adopt { machine, whole } => {
                let (entries, _) = self.adopt(*machine, *whole);
                vec![("Adopt", vec![*machine as u64]); entries]
            }
            Act::Retry { machine, history, seq } => {
                self.retry(*machine, *history, *seq);
                vec![(act.name(), retried(*machine, *history, *seq))]
            }
            Act::Turn(machine) => self.turn(*machine).unwrap_or_default(),
            Act::Restart { machine, torn } => {
                self.restart(*machine, *torn);
                Vec::new()
            }
            Act::Interrupt { machine, how } => {
                self.left.late -= 1;
                self.interrupt(*machine, *how);
                of(machine)
            }
            Act::Backup(machine) => {
                self.back_up(*machine);
                of(machine)
            }
            Act::RestoreTill { machine, outside } => {
                self.left.tills -= 1;
                self.restore_till(*machine, *outside);
                of(machine)
            }
            Act::Copy { machine, outside } => {
                self.left.copies -= 1;
                self.copy(*machine, *outside);
                of(machine)
            }
            Act::Stage { request, twice } => {
                self.stage(request, *twice);
                of(&request.from)
            }
            Act::Commit { dies } => self.perform_commit(*dies),
            Act::RollUp => unseen(self.roll_up()),
            Act::Define => {
                self.define();
                alone
            }
            Act::Archive => {
                self.archive = Some(self.cloud.clone());
                alone
            }
            Act::CloudDies | Act::RestoreCloud => {
                self.cloud_loses(*act == Act::RestoreCloud);
                alone
            }
        }
    }

    /// The cloud loses what it has taken in: it dies, or is restored.
    fn cloud_loses(&mut self, restored: bool) {
        self.break_connections();
        self.batch.clear();
        if restored {
            self.left.clouds -= 1;
            let image = self.archive.take().expect("only a backup is restored");
            self.restore_cloud(image);
        } else {
            self.left.crashes -= 1;
        }
    }

    fn perform_commit(&mut self, dies: bool) -> Vec<Named> {
        let mut named = vec![("Commit", Vec::new())];
        if dies {
            for machine in self.waiting_in_batch() {
                self.left.late -= 1;
                named.push(("Interrupt", vec![machine as u64]));
            }
            self.break_connections();
        }
        self.commit(dies.then_some(Failure::After));
        named
    }

    fn perform_sell(&mut self, machine: usize, dies: bool) -> Vec<Named> {
        let of = vec![machine as u64];
        let mut named = vec![("Sell", of.clone())];
        if dies && self.awaits(machine) {
            self.left.late -= 1;
            named.push(("Interrupt", of));
        }
        self.sell(machine, dies);
        named
    }

    fn perform_receive(&mut self, machine: usize, fails: Option<Failure>) -> Vec<Named> {
        self.receive(machine, fails);
        let of = vec![machine as u64];
        match fails {
            None | Some(Failure::After) => vec![("Receive", of)],
            Some(Failure::Before) => {
                self.left.late -= 1;
                vec![("Interrupt", of)]
            }
        }
    }

    fn interrupt(&mut self, machine: usize, how: How) {
        match how {
            How::Restart => self.restart(machine, false),
            How::Timeout => {
                self.forget(machine);
                let now = self.now;
                if let Some(speaker) = self.speaker(machine) {
                    self.now = speaker.waited(now);
                }
            }
        }
    }
}

/// What a try again names: the machine, the closed history if it is in one, the entry.
fn retried(machine: usize, history: usize, seq: u64) -> Vec<u64> {
    let old = (history > 0).then_some(history as u64);
    [machine as u64].into_iter().chain(old).chain([seq]).collect()
}

/// Nothing of it is seen in the specification.
fn unseen(_: bool) -> Vec<Named> {
    Vec::new()
}
