//! `Inbox`: how an inventory event moves each till's stock once.
//!
//! | file | what it is |
//! |---|---|
//! | `mapping` | the refinement mapping: what real rows and frames are in `Inbox.tla` |
//! | `world`, `act` | real nodes, and what may happen to them |
//! | `constants`, `profile` | which runs and walks there are |

mod act;
mod constants;
mod mapping;
mod profile;
#[cfg(test)]
mod tampered;
mod world;

use super::bound::{Bound, Named, Profile, Unmapped, Variables};
use act::Act;
use constants::Constants;
use mapping::Mapping;
use world::World;

/// The world, and what is learned of it.
#[derive(Clone)]
pub(crate) struct Inbox {
    world: World,
    mapping: Mapping,
}

impl Inbox {
    fn of(world: World) -> Self {
        Self { mapping: Mapping::new(world.constants.clone()), world }
    }
}

impl Bound for Inbox {
    const MODULE: &'static str = "Inbox";
    const MISTAKES: &'static [&'static str] = &["AckEarly", "PlaceEarly"];
    const ACCIDENTS: &'static [&'static str] =
        &["Archive", "Backup", "Interrupt", "RestoreCloud", "RestoreTill"];

    type Constants = Constants;
    type Act = Act;

    fn new(constants: &Constants) -> Self {
        Self::of(World::new(constants))
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

    fn lateness(action: &str) -> usize {
        match action {
            "Answer" | "Deliver" => 3,
            "Ask" | "Acknowledged" => 4,
            "Place" => 6,
            _ => 5,
        }
    }

    /// The specification lets any order be told again to a cloud that has lost it.
    fn declines(&self, action: &str) -> Option<&'static str> {
        let lost = |sale: &u64| self.world.was_sold(*sale) && !self.world.has_sold(*sale);
        let gone = action == "Place" && self.world.constants.relayed.iter().any(lost);
        gone.then_some("till and cloud have both lost a sale, so nobody tells of it")
    }

    fn why_not(first: &str, second: &str) -> Option<&'static str> {
        match (first, second) {
            ("Archive", "Archive") => Some("the cloud keeps one backup"),
            ("RestoreCloud", "RestoreCloud") => Some("the backup was used up"),
            (_, _) => None,
        }
    }
}
