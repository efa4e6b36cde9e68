//! What may happen in the world of a catalog, and what it is called in the specification.

use counterfoil_protocol::time::Millis;
use counterfoil_storage::memory::Failure;

use crate::bind::bound::{Happens, Named};
use crate::bind::journal::world::Outside;
use crate::bind::nodes::TICK;

use super::rows::{decided, item_in, local_edits, till_item};
use super::world::{Talk, World};

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The operator writes an item, or deletes it.
    Write {
        item: u64,
        deletes: bool,
    },
    /// The operator deletes what is not there.
    DeleteAgain(u64),
    Note(usize),
    Lapse(usize),
    Plan,
    Compact,
    Ask(usize),
    /// The follower of a till does what it wants to do next.
    Turn(usize),
    Begin(usize),
    /// `limit`: so many entities in a page.
    End {
        till: usize,
        limit: usize,
    },
    Snapshot(usize),
    /// `fails`: the power fails at the till's commit.
    Take {
        till: usize,
        fails: Option<Failure>,
    },
    Edit(u64),
    /// The first till pushes so many of those that wait.
    Offer(usize),
    Hear,
    /// The answer to the push is lost.
    Unheard,
    /// `restart`: the program ends, and does not only wait no longer.
    Interrupt {
        till: usize,
        restart: bool,
    },
    Backup(usize),
    RestoreTill {
        till: usize,
        outside: Outside,
    },
    Archive,
    RestoreCloud,
    /// The program starts anew while nothing is under way.
    Restart(usize),
}

impl Happens for Act {
    fn name(&self) -> &'static str {
        match self {
            Self::Write { .. } => "Write",
            Self::DeleteAgain(_) => "DeleteAgain",
            Self::Note(_) => "Note",
            Self::Lapse(_) => "Lapse",
            Self::Plan => "Plan",
            Self::Compact => "Compact",
            Self::Ask(_) => "Ask",
            Self::Turn(_) => "Turn",
            Self::Begin(_) => "BeginDelta",
            Self::End { .. } => "EndDelta",
            Self::Snapshot(_) => "Snapshot",
            Self::Take { .. } => "Take",
            Self::Edit(_) => "Edit",
            Self::Offer(_) => "Decide",
            Self::Hear => "Hear",
            Self::Unheard => "Unheard",
            Self::Interrupt { .. } => "Interrupt",
            Self::Backup(_) => "Backup",
            Self::RestoreTill { .. } => "RestoreTill",
            Self::Archive => "Archive",
            Self::RestoreCloud => "RestoreCloud",
            Self::Restart(_) => "Restart",
        }
    }

    fn may_be(&self, action: &str) -> bool {
        let several = matches!(self, Self::Take { fails: Some(_), .. } | Self::Offer(2..));
        !several && self.name() == action
    }
}

impl World {
    /// Returns everything that may happen now.
    pub(super) fn acts(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        self.acts_of_cloud(&mut acts);
        for till in 1..=self.constants.tills {
            self.acts_of(till, &mut acts);
            self.accidents_of(till, &mut acts);
        }
        self.acts_of_editor(&mut acts);
        acts
    }

    fn content(&self, item: u64) -> u64 {
        item_in(&self.constants, &self.nodes.cloud, item).map_or(0, |(value, _)| value)
    }

    fn acts_of_cloud(&self, acts: &mut Vec<Act>) {
        for item in 1..=self.constants.items {
            let there = self.content(item) != 0;
            if self.left.writes > 0 {
                acts.push(Act::Write { item, deletes: false });
                acts.extend(there.then_some(Act::Write { item, deletes: true }));
            }
            acts.extend((!there).then_some(Act::DeleteAgain(item)));
        }
        if self.plan.is_some() {
            acts.push(Act::Compact);
        } else if self.left.plans > 0 {
            acts.push(Act::Plan);
        }
        for till in 1..=self.constants.tills {
            let lapses = self.left.lapses as usize;
            if self.asked[till - 1].is_some() && self.lapsed_at(self.noted_at()).len() <= lapses {
                acts.push(Act::Note(till));
            }
            let lapsed = self.lapses_at(till).map_or(0, |at| self.lapsed_at(at).len());
            if (1..=lapses).contains(&lapsed) {
                acts.push(Act::Lapse(till));
            }
        }
        if self.left.clouds > 0 {
            match self.nodes.archive {
                None => acts.push(Act::Archive),
                Some(_) if self.lapsed_since().len() <= self.left.lapses as usize => {
                    acts.push(Act::RestoreCloud);
                }
                Some(_) => {}
            }
        }
    }

    /// Leases are noted one after the other: only then the clock goes on, and when one lapses.
    fn noted_at(&self) -> Millis {
        self.nodes.now.after(TICK)
    }

    /// Returns the tills whose leases have lapsed by then, and live now.
    fn lapsed_at(&self, then: Millis) -> Vec<u64> {
        let before = self.leases(&self.nodes.cloud, self.nodes.now);
        differ(&before, &self.leases(&self.nodes.cloud, then))
    }

    /// Returns the tills whose leases have lapsed while the backup lay.
    pub(super) fn lapsed_since(&self) -> Vec<u64> {
        let Some(archive) = &self.nodes.archive else { return Vec::new() };
        let before = self.leases(archive, self.archived_at);
        differ(&before, &self.leases(archive, self.nodes.now))
    }

    fn acts_of(&self, till: usize, acts: &mut Vec<Act>) {
        match &self.talk[till - 1] {
            Talk::Rest if self.constants.by_follower => acts.push(Act::Turn(till)),
            Talk::Rest => acts.push(Act::Ask(till)),
            Talk::AskRun { .. } => acts.push(Act::Snapshot(till)),
            Talk::AskDelta(_) => acts.push(Act::Begin(till)),
            Talk::Reading(..) => {
                let limits = 1..=usize::try_from(self.constants.items).unwrap_or(1);
                acts.extend(limits.map(|limit| Act::End { till, limit }));
            }
            Talk::Delta { .. } | Talk::Run(_) => {
                let mut fails = vec![None, Some(Failure::After)];
                fails.extend((self.left.strays > 0).then_some(Some(Failure::Before)));
                acts.extend(fails.into_iter().map(|fails| Act::Take { till, fails }));
            }
        }
    }

    fn accidents_of(&self, till: usize, acts: &mut Vec<Act>) {
        if matches!(self.talk[till - 1], Talk::Rest) {
            acts.push(Act::Restart(till));
        } else if self.left.strays > 0 {
            acts.extend([false, true].map(|restart| Act::Interrupt { till, restart }));
        }
        if self.left.tills > 0 {
            match self.nodes.backups[till - 1] {
                None => acts.push(Act::Backup(till)),
                Some(_) => {
                    let ways = [Outside::Stays, Outside::GoesAlong, Outside::IsLost];
                    acts.extend(ways.map(|outside| Act::RestoreTill { till, outside }));
                }
            }
        }
    }

    fn acts_of_editor(&self, acts: &mut Vec<Act>) {
        let Some(machine) = &self.nodes.machines[0] else { return };
        if (self.edits.len() as u64) < self.constants.edits {
            let items = 1..=self.constants.items;
            let there = items.filter(|item| {
                matches!(till_item(&self.constants, &machine.image, *item), Ok(Some(_)))
            });
            acts.extend(there.map(Act::Edit));
        }
        if self.constants.edits > 0 {
            acts.extend(match self.offered[..] {
                [] => [Act::Offer(1), Act::Offer(2)],
                _ => [Act::Hear, Act::Unheard],
            });
        }
    }

    /// Lets it happen; returns the actions that it is in the specification, in their order.
    pub(super) fn perform(&mut self, act: &Act) -> Vec<Named> {
        self.taken = None;
        let of = |till: &usize| vec![(act.name(), vec![*till as u64])];
        let alone = vec![(act.name(), Vec::new())];
        match act {
            Act::Write { item, deletes } => {
                let value = u64::from(self.left.writes);
                self.left.writes -= 1;
                self.write(*item, (!deletes).then_some(value));
                vec![("Write", vec![*item])]
            }
            Act::DeleteAgain(item) => self.so(Vec::new(), |world| world.write(*item, None)),
            Act::Note(till) => {
                let lapsed = self.lapse(self.noted_at());
                let noted = if self.note(*till) { of(till) } else { Vec::new() };
                lapsed.into_iter().chain(noted).collect()
            }
            Act::Lapse(till) => self.lapse(self.lapses_at(*till).expect("a lease that lives")),
            Act::Plan => {
                if self.plan() {
                    self.left.plans -= 1;
                    return alone;
                }
                Vec::new()
            }
            Act::Compact => self.so(alone, Self::compact),
            Act::Ask(till) => self.so(of(till), |world| world.ask(*till)),
            Act::Turn(till) => {
                let action = self.turn(*till);
                action.map(|action| (action, vec![*till as u64])).into_iter().collect()
            }
            Act::Begin(till) => self.so(of(till), |world| world.begin(*till)),
            Act::End { till, limit } => self.so(of(till), |world| world.end(*till, *limit)),
            Act::Snapshot(till) => self.so(of(till), |world| world.run(*till)),
            Act::Take { till, fails: Some(Failure::Before) } => {
                self.left.strays -= 1;
                self.take(*till, Some(Failure::Before));
                self.taken = None;
                vec![("Interrupt", vec![*till as u64])]
            }
            Act::Take { till, fails } => self.so(of(till), |world| world.take(*till, *fails)),
            Act::Edit(item) => self.so(vec![("Edit", vec![*item])], |world| world.edit(*item)),
            Act::Offer(items) => {
                let before = decided(&self.nodes.cloud);
                self.offer(*items);
                let new = self.offered.iter().filter(|edit| !before.contains(edit));
                new.map(|edit| ("Decide", vec![*edit])).collect()
            }
            Act::Hear => self.perform_hear(),
            Act::Unheard => self.so(Vec::new(), Self::lose_answer),
            Act::Interrupt { till, restart } => {
                self.so(of(till), |world| world.interrupt(*till, *restart))
            }
            Act::Backup(till) => self.so(of(till), |world| world.nodes.back_up(*till)),
            Act::RestoreTill { till, outside } => {
                self.so(of(till), |world| world.restore_till(*till, *outside))
            }
            Act::Archive => self.so(alone, Self::archive),
            Act::RestoreCloud => {
                let lapsed = self.lapsed_since();
                self.restore_cloud();
                alone.into_iter().chain(self.lapsed(&lapsed)).collect()
            }
            Act::Restart(till) => self.so(Vec::new(), |world| world.restart(*till)),
        }
    }

    /// Lets it happen, which has this name.
    fn so(&mut self, named: Vec<Named>, happens: impl FnOnce(&mut Self)) -> Vec<Named> {
        happens(self);
        named
    }

    fn restore_till(&mut self, till: usize, outside: Outside) {
        self.left.tills -= 1;
        self.nodes.restore_till(till, outside);
        self.begins(till);
    }

    fn archive(&mut self) {
        self.nodes.archive = Some(self.nodes.cloud.clone());
        self.archived_at = self.nodes.now;
    }

    fn interrupt(&mut self, till: usize, restart: bool) {
        self.left.strays -= 1;
        self.talk[till - 1] = Talk::Rest;
        if restart {
            self.restart(till);
        } else {
            self.waits(till);
        }
    }

    /// The clock goes on to then.
    fn lapse(&mut self, then: Millis) -> Vec<Named> {
        let lapsed = self.lapsed_at(then);
        self.nodes.now = then;
        self.lapsed(&lapsed)
    }

    fn lapsed(&mut self, tills: &[u64]) -> Vec<Named> {
        self.left.lapses -= u32::try_from(tills.len()).expect("there are few tills");
        tills.iter().map(|till| ("Lapse", vec![*till])).collect()
    }

    /// An answer ends nothing; that it was heard is seen if the edit lies over.
    fn perform_hear(&mut self) -> Vec<Named> {
        let over = self.nodes.machines[0].as_ref().map(|machine| local_edits(&machine.image));
        let over = over.unwrap_or_default().waiting;
        let lies = |edit: &u64| over.iter().any(|lies| lies.local_id.as_str() == edit.to_string());
        let heard: Vec<u64> = self.offered.iter().copied().filter(lies).collect();
        self.hear();
        heard.into_iter().map(|edit| ("Hear", vec![edit])).collect()
    }

    fn lose_answer(&mut self) {
        self.nodes.forget(1);
        self.offered.clear();
    }

    /// What is being answered dies with the cloud.
    fn restore_cloud(&mut self) {
        self.left.clouds -= 1;
        let image = self.nodes.archive.take().expect("only a backup is restored");
        self.nodes.restore_cloud(image);
        self.plan = None;
        for number in 1..=self.constants.tills {
            self.asked[number - 1] = None;
            if matches!(self.talk[number - 1], Talk::Reading(..)) {
                self.breaks(number);
            }
        }
    }
}

fn differ(before: &[Option<u64>], after: &[Option<u64>]) -> Vec<u64> {
    let pairs = before.iter().zip(after);
    (1..).zip(pairs).filter(|(_, (a, b))| a != b).map(|(till, _)| till).collect()
}
