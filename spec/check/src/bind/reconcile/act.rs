//! What may happen in the world of a comparison, and what it is called in the specification.

use counterfoil_storage::memory::Failure;

use crate::bind::bound::{Happens, Named};
use crate::bind::catalog::constants::Constants as Plain;
use crate::bind::catalog::rows::{decided, state_of, till_item};

use super::compare::Check;
use super::world::{Harm, World};

/// Something that happens. `fails`: the power fails at the till's commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Write {
        item: u64,
        deletes: bool,
    },
    /// The operator deletes what is not there.
    DeleteAgain(u64),
    Compact,
    /// There is nothing to take away.
    CompactNothing,
    Damage {
        item: u64,
        harm: Harm,
    },
    Edit(u64),
    Decide,
    /// The till hears of so many.
    Answered(usize),
    Delta(Option<Failure>),
    Snapshot(Option<Failure>),
    Census,
    Cells,
    Fetch,
    MakePlan,
    Apply(Option<Failure>),
    /// `restart`: the program ends, and nobody has only left it.
    Leave {
        restart: bool,
    },
    /// The program starts anew while no comparison is under way.
    Restart,
}

impl Happens for Act {
    fn name(&self) -> &'static str {
        match self {
            Self::Write { .. } => "Write",
            Self::DeleteAgain(_) => "DeleteAgain",
            Self::Compact => "Compact",
            Self::CompactNothing => "CompactNothing",
            Self::Damage { .. } => "Damage",
            Self::Edit(_) => "Edit",
            Self::Decide => "Decide",
            Self::Answered(_) => "Answered",
            Self::Delta(_) => "Delta",
            Self::Snapshot(_) => "Snapshot",
            Self::Census => "Census",
            Self::Cells => "Cells",
            Self::Fetch => "Fetch",
            Self::MakePlan => "MakePlan",
            Self::Apply(_) => "Apply",
            Self::Leave { .. } => "Leave",
            Self::Restart => "Restart",
        }
    }

    fn may_be(&self, action: &str) -> bool {
        let several = matches!(
            self,
            Self::Answered(2..)
                | Self::Delta(Some(_))
                | Self::Snapshot(Some(_))
                | Self::Apply(Some(_))
        );
        !several && self.name() == action
    }
}

impl World {
    /// Returns everything that may happen now.
    pub(super) fn acts(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        self.acts_of_cloud(&mut acts);
        self.acts_of_disk(&mut acts);
        let pending = self.pending().len();
        let answers = self.decided().len();
        acts.extend((answers < pending).then_some(Act::Decide));
        acts.extend((1..=answers).map(Act::Answered));
        let commits = [None, Some(Failure::Before), Some(Failure::After)];
        let runs = state_of(self.till()).progress.is_some();
        acts.extend(
            commits.map(|fails| if runs { Act::Snapshot(fails) } else { Act::Delta(fails) }),
        );
        match self.check {
            Check::Idle if !runs => acts.extend([Act::Restart, Act::Census]),
            Check::Idle => acts.push(Act::Restart),
            Check::Ask(_) => acts.push(Act::Cells),
            Check::Fetch { .. } => acts.push(Act::Fetch),
            Check::Ready { .. } => acts.push(Act::MakePlan),
            Check::Plan(_) => acts.extend(commits.map(Act::Apply)),
        }
        if !matches!(self.check, Check::Idle) {
            acts.extend([false, true].map(|restart| Act::Leave { restart }));
        }
        acts
    }

    fn acts_of_cloud(&self, acts: &mut Vec<Act>) {
        let mut dead = false;
        for item in 1..=self.constants.items {
            let (value, version) = self.held(item);
            dead |= value == 0 && version > 0;
            if self.left.writes > 0 {
                acts.push(Act::Write { item, deletes: false });
                acts.extend((value != 0).then_some(Act::Write { item, deletes: true }));
            }
            acts.extend((value == 0).then_some(Act::DeleteAgain(item)));
        }
        if self.left.plans > 0 {
            acts.push(if dead { Act::Compact } else { Act::CompactNothing });
        }
    }

    fn acts_of_disk(&self, acts: &mut Vec<Act>) {
        let pending = self.pending();
        for item in 1..=self.constants.items {
            if self.left.damages > 0 {
                let harms = [Harm::Lost, Harm::Changed, Harm::Sum];
                acts.extend(harms.map(|harm| Act::Damage { item, harm }));
            }
            let held = till_item(&Plain::default(), self.till(), item);
            if self.left.edits > 0 && !pending.contains(&item) && matches!(held, Ok(Some(_))) {
                acts.push(Act::Edit(item));
            }
        }
    }

    /// Lets it happen; returns the actions that it is in the specification, in their order.
    pub(super) fn perform(&mut self, act: &Act) -> Vec<Named> {
        let alone = vec![(act.name(), Vec::new())];
        match act {
            Act::Write { item, deletes } => {
                let value = self.left.writes;
                self.left.writes -= 1;
                self.commit(vec![(*item, (!deletes).then_some(value))]);
                vec![("Write", vec![*item])]
            }
            Act::DeleteAgain(item) => {
                self.commit(vec![(*item, None)]);
                Vec::new()
            }
            Act::Compact => {
                self.left.plans -= 1;
                self.so(alone, Self::compact)
            }
            Act::CompactNothing => self.so(Vec::new(), Self::compact),
            Act::Damage { item, harm } => {
                self.left.damages -= 1;
                self.so(vec![("Damage", vec![*item])], |world| world.harm(*item, *harm))
            }
            Act::Edit(item) => {
                self.left.edits -= 1;
                self.so(vec![("Edit", vec![*item])], |world| world.edit(*item))
            }
            Act::Decide => self.perform_decide(),
            Act::Answered(items) => self.perform_answered(*items),
            Act::Delta(fails) => self.commits(alone, *fails, |world| world.delta(*fails)),
            Act::Snapshot(fails) => self.commits(alone, *fails, |world| world.snapshot(*fails)),
            Act::Census => self.so(alone, Self::census),
            Act::Cells => self.so(alone, Self::cells),
            Act::Fetch => self.so(alone, Self::fetch),
            Act::MakePlan => self.so(alone, Self::make_plan),
            Act::Apply(Some(Failure::Before)) => {
                self.apply(Some(Failure::Before));
                self.restart();
                vec![("Leave", Vec::new())]
            }
            Act::Apply(fails) => self.commits(alone, *fails, |world| world.apply(*fails)),
            Act::Leave { restart } => {
                self.check = Check::Idle;
                if *restart {
                    self.restart();
                }
                alone
            }
            Act::Restart => self.so(Vec::new(), Self::restart),
        }
    }

    /// Lets it happen, which has this name.
    fn so(&mut self, named: Vec<Named>, happens: impl FnOnce(&mut Self)) -> Vec<Named> {
        happens(self);
        named
    }

    /// A commit of the till; if the power fails, the comparison ends with the program.
    fn commits(
        &mut self,
        named: Vec<Named>,
        fails: Option<Failure>,
        happens: impl FnOnce(&mut Self),
    ) -> Vec<Named> {
        happens(self);
        let mut named = if fails == Some(Failure::Before) { Vec::new() } else { named };
        if fails.is_some() {
            let leaves = !matches!(self.check, Check::Idle);
            named.extend(leaves.then(|| ("Leave", Vec::new())));
            self.restart();
        }
        named
    }

    /// The till offers what waits, up to the first edit that is new to the cloud.
    fn perform_decide(&mut self) -> Vec<Named> {
        let before = decided(&self.nodes.cloud);
        self.offer(self.decided().len() + 1);
        let after = decided(&self.nodes.cloud);
        let new = after.difference(&before).filter_map(|edit| {
            self.edits.get(usize::try_from(edit - 1).unwrap_or(usize::MAX)).copied()
        });
        new.map(|item| ("Decide", vec![item])).collect()
    }

    /// The first of what waits is offered once more, and the answer is heard.
    fn perform_answered(&mut self, items: usize) -> Vec<Named> {
        let before = self.pending();
        self.offer(items);
        self.nodes.receive(1, None);
        let after = self.pending();
        before.difference(&after).map(|item| ("Answered", vec![*item])).collect()
    }
}
