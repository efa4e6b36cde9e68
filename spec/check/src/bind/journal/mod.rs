//! `Journal`: how a sale comes to count in the cloud once.
//!
//! | file | what it is |
//! |---|---|
//! | `mapping`, `rows` | the refinement mapping: what real rows and frames are in `Journal.tla` |
//! | `world`, `till`, `cloud`, `session`, `act` | real nodes, and what may happen to them |
//! | `constants`, `profile`, `pairs` | which runs and walks there are |

mod act;
pub(super) mod cloud;
pub(super) mod constants;
mod mapping;
mod pairs;
mod profile;
pub(super) mod rows;
mod session;
#[cfg(test)]
mod tampered;
mod till;
pub(super) mod world;

use super::bound::{Bound, Named, Pair, Profile, Unmapped, Variables};
use act::Act;
use constants::Constants;
use mapping::Mapping;
use world::{Machine, World};

/// The world, and what is learned of it.
#[derive(Clone)]
pub(crate) struct Journal {
    world: World,
    mapping: Mapping,
}

impl Journal {
    fn of(world: World) -> Self {
        Self { mapping: Mapping::new(world.constants.clone()), world }
    }
}

impl Bound for Journal {
    const MODULE: &'static str = "Journal";
    const ACCIDENTS: &'static [&'static str] = pairs::ACCIDENTS;
    const MISSED_MAX: usize = pairs::MISSED_MAX;

    type Constants = Constants;
    type Act = Act;

    fn new(constants: &Constants) -> Self {
        Self::of(World::new(constants))
    }

    /// Closed histories are carried over entry by entry.
    fn step_by_step(self) -> Self {
        Self { world: World { by_entry: true, ..self.world }, ..self }
    }

    fn profiles() -> Vec<Profile<Constants>> {
        profile::all()
    }

    fn models() -> Vec<(&'static str, Constants)> {
        profile::models()
    }

    fn acts(&self) -> Vec<Act> {
        self.world.acts()
    }

    fn perform(&mut self, act: &Act) -> Vec<Named> {
        self.world.perform(act)
    }

    fn state(&mut self) -> Result<Variables, Unmapped> {
        self.mapping.state(&self.world)
    }

    fn weight(act: &str) -> usize {
        profile::weight(act)
    }

    /// What brings the walk on comes earlier than what goes wrong, mostly.
    fn lateness(action: &str) -> usize {
        match action {
            "Receive" | "Commit" | "Stage" => 3,
            "Push" | "Adopt" | "Hello" => 4,
            "Sell" => 8,
            _ => 5,
        }
    }

    fn is_counted(action: &str) -> bool {
        action == "Sell" || Self::ACCIDENTS.contains(&action)
    }

    /// A person must look at something: in the current history, in a closed one.
    fn rare_action(&self) -> Option<&'static str> {
        let machines = self.world.machines.iter().flatten();
        let old = machines.flat_map(Machine::in_need).map(|(history, _)| history > 0).max();
        old.map(|old| if old { "RetryOld" } else { "Retry" })
    }

    fn declines(&self, action: &str) -> Option<&'static str> {
        match (action, self.world.constants.general) {
            ("Push", true) => Some("no clock makes these entries due, and no others"),
            ("Hello" | "Adopt", false) => {
                Some("the session carries entries over right after the answer")
            }
            (_, _) => None,
        }
    }

    fn why_not(first: &str, second: &str) -> Option<&'static str> {
        pairs::why_not(first, second)
    }

    fn is_rare(pair: &Pair) -> bool {
        pairs::is_rare(pair)
    }
}
