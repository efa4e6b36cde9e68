//! What may happen in the world of an inbox, and what it is called in the specification.

use counterfoil_protocol::terminal::{Input, Key, inbox};
use counterfoil_protocol::wire::inbox::Ack;
use counterfoil_storage::memory::Failure;

use crate::bind::bound::{Happens, Named};
use crate::bind::journal::world::Outside;
use crate::bind::nodes::TICK;

use super::mapping::feed_of;
use super::world::{Talk, World};

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A customer orders online, or the order is told again.
    Order(u64),
    /// The first till makes a sale, or offers one that the cloud has lost.
    Sale(u64),
    Ask(usize),
    Answer(usize),
    /// `fails`: the power fails at the till's commit.
    Deliver {
        till: usize,
        fails: Option<Failure>,
    },
    Ack(usize),
    /// `fails`: the power fails at the cloud's commit.
    Acknowledged {
        till: usize,
        fails: Option<Failure>,
    },
    /// The collector of a till does what it wants to do next.
    Turn(usize),
    /// `restart`: the program ends, and does not only wait no longer.
    Interrupt {
        till: usize,
        restart: bool,
    },
    Arrives(usize, Talk),
    Backup(usize),
    RestoreTill {
        till: usize,
        outside: Outside,
    },
    Archive,
    RestoreCloud,
    /// Somebody looks at the products that were taken and were not there.
    Review(usize),
    /// The program starts anew while nothing is under way.
    Restart(usize),
}

impl Happens for Act {
    fn name(&self) -> &'static str {
        match self {
            Self::Order(_) | Self::Sale(_) => "Place",
            Self::Ask(_) => "Ask",
            Self::Answer(_) => "Answer",
            Self::Deliver { .. } => "Deliver",
            Self::Ack(_) => "Ack",
            Self::Acknowledged { .. } => "Acknowledged",
            Self::Turn(_) => "Turn",
            Self::Interrupt { .. } => "Interrupt",
            Self::Arrives(..) => "Arrives",
            Self::Backup(_) => "Backup",
            Self::RestoreTill { .. } => "RestoreTill",
            Self::Archive => "Archive",
            Self::RestoreCloud => "RestoreCloud",
            Self::Review(_) => "Review",
            Self::Restart(_) => "Restart",
        }
    }

    fn may_be(&self, action: &str) -> bool {
        let fails = matches!(
            self,
            Self::Deliver { fails: Some(_), .. } | Self::Acknowledged { fails: Some(_), .. }
        );
        !fails && self.name() == action
    }
}

impl World {
    /// Returns everything that may happen now.
    pub(super) fn acts(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        for order in 1..=self.constants.orders {
            let joined = &self.constants.joined;
            if !self.constants.relayed.contains(&order) {
                let told = !joined.contains(&order) || joined.first() == Some(&order);
                acts.extend(told.then_some(Act::Order(order)));
            } else if !self.was_sold(order) || self.has_sold(order) {
                acts.push(Act::Sale(order));
            }
        }
        for till in 1..=self.constants.tills {
            self.acts_of(till, &mut acts);
            self.accidents_of(till, &mut acts);
        }
        for (till, talk) in &self.stray {
            // The collector takes no answer that it does not wait for.
            if !self.constants.by_collector || matches!(talk, Talk::Ack(_)) {
                acts.push(Act::Arrives(*till, talk.clone()));
            }
        }
        if self.left.clouds > 0 {
            let archived = self.nodes.archive.is_some();
            acts.push(if archived { Act::RestoreCloud } else { Act::Archive });
        }
        acts
    }

    fn acts_of(&self, till: usize, acts: &mut Vec<Act>) {
        let strays = self.left.strays > 0;
        let mut fails = vec![None, Some(Failure::After)];
        fails.extend(strays.then_some(Some(Failure::Before)));
        match self.talk[till - 1] {
            Talk::Rest if self.constants.by_collector => acts.push(Act::Turn(till)),
            Talk::Rest => acts.extend([Act::Ask(till), Act::Ack(till)]),
            Talk::Ask(_) => acts.push(Act::Answer(till)),
            Talk::Told(_) => {
                acts.extend(fails.into_iter().map(|fails| Act::Deliver { till, fails }));
            }
            Talk::Ack(_) => {
                acts.extend(fails.into_iter().map(|fails| Act::Acknowledged { till, fails }));
            }
        }
        acts.push(Act::Review(till));
    }

    fn accidents_of(&self, till: usize, acts: &mut Vec<Act>) {
        if self.talk[till - 1] == Talk::Rest {
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

    /// Lets it happen; returns the actions that it is in the specification, in their order.
    pub(super) fn perform(&mut self, act: &Act) -> Vec<Named> {
        self.nodes.now = self.nodes.now.after(TICK);
        let of = |till: &usize| vec![(act.name(), vec![*till as u64])];
        let alone = vec![(act.name(), Vec::new())];
        match act {
            Act::Order(order) => self.placed(|world| world.order(*order)),
            Act::Sale(sale) => self.placed(|world| world.sell(*sale)),
            Act::Ask(till) => self.so(of(till), |world| world.ask(*till)),
            Act::Answer(till) => self.so(of(till), |world| world.answer(*till)),
            Act::Deliver { till, fails: Some(Failure::Before) } => {
                let talk = self.talk[till - 1].clone();
                self.deliver(*till, Some(Failure::Before));
                self.lost(*till, talk)
            }
            Act::Deliver { till, fails } => self.so(of(till), |world| world.deliver(*till, *fails)),
            Act::Ack(till) if self.acknowledge(*till) => of(till),
            Act::Acknowledged { till, fails: Some(Failure::Before) } => {
                let talk = self.talk[till - 1].clone();
                self.acknowledged(*till, Some(Failure::Before));
                self.lost(*till, talk)
            }
            Act::Acknowledged { till, fails } => {
                self.so(of(till), |world| world.acknowledged(*till, *fails))
            }
            Act::Turn(till) => {
                let action = self.turn(*till);
                action.map(|action| (action, vec![*till as u64])).into_iter().collect()
            }
            Act::Interrupt { till, restart } => {
                let talk = self.talk[till - 1].clone();
                if *restart {
                    self.restart(*till);
                } else {
                    self.waits(*till);
                }
                self.lost(*till, talk)
            }
            Act::Arrives(till, talk) => self.so(alone, |world| world.arrives(*till, talk)),
            Act::Backup(till) => self.so(of(till), |world| world.nodes.back_up(*till)),
            Act::RestoreTill { till, outside } => {
                self.left.tills -= 1;
                self.nodes.restore_till(*till, *outside);
                self.begins(*till);
                of(till)
            }
            Act::Archive => {
                self.nodes.archive = Some(self.nodes.cloud.clone());
                alone
            }
            Act::RestoreCloud => {
                self.left.clouds -= 1;
                let image = self.nodes.archive.take().expect("only a backup is restored");
                self.nodes.restore_cloud(image);
                alone
            }
            Act::Review(till) => self.so(Vec::new(), |world| world.review(*till)),
            Act::Restart(till) => self.so(Vec::new(), |world| world.restart(*till)),
            Act::Ack(_) => Vec::new(),
        }
    }

    /// Lets it happen, which has this name.
    fn so(&mut self, named: Vec<Named>, happens: impl FnOnce(&mut Self)) -> Vec<Named> {
        happens(self);
        named
    }

    /// The cloud commits something; each event that it appends is one order of the specification.
    fn placed(&mut self, commit: impl FnOnce(&mut Self)) -> Vec<Named> {
        let before = feed_of(&self.nodes.cloud);
        commit(self);
        let after = feed_of(&self.nodes.cloud);
        let new = after.iter().filter(|event| !before.contains(event));
        new.map(|order| ("Place", vec![*order])).collect()
    }

    /// The till has not heard of it: it may still arrive.
    fn lost(&mut self, till: usize, talk: Talk) -> Vec<Named> {
        self.left.strays -= 1;
        self.talk[till - 1] = talk;
        self.strays(till);
        vec![("Interrupt", vec![till as u64])]
    }

    fn arrives(&mut self, till: usize, talk: &Talk) {
        self.stray.remove(&(till, talk.clone()));
        match talk {
            Talk::Told(frame) => {
                self.take(till, frame, None);
            }
            Talk::Ack(frame) => {
                self.note(till, Ack::decode(frame).expect("a till's own frame"), None);
            }
            Talk::Rest | Talk::Ask(_) => unreachable!("only these arrive late"),
        }
    }

    /// Somebody has looked at each product whose stock was negative.
    fn review(&mut self, till: usize) {
        let now = self.nodes.now;
        let machine = self.nodes.machine(till);
        let keys: Vec<Key> = machine.image.rows().keys().copied().collect();
        for key in keys {
            if let Key::Review(product) = key {
                machine.step(now, Input::Inbox(inbox::Input::Reviewed(product)), None);
            }
        }
    }
}
