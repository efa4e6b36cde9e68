//! `Reconcile`: how silent drift is found and mended by a plan.
//!
//! | file | what it is |
//! |---|---|
//! | `mapping`, `sums` | the refinement mapping: what rows, sums, frames are in `Reconcile.tla` |
//! | `world`, `compare`, `act` | real nodes, and what may happen to them |
//! | `constants`, `profile` | which runs and walks there are |

mod act;
mod compare;
mod constants;
mod mapping;
mod profile;
mod sums;
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
pub(crate) struct Reconcile {
    world: World,
    mapping: Mapping,
}

impl Reconcile {
    fn of(world: World) -> Self {
        Self { mapping: Mapping::new(world.constants.clone()), world }
    }
}

impl Bound for Reconcile {
    const MODULE: &'static str = "Reconcile";
    const ACCIDENTS: &'static [&'static str] = &["Compact", "Damage", "Leave"];

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
            "Census" | "Cells" | "Fetch" | "MakePlan" | "Apply" => 3,
            "Write" | "Edit" => 7,
            _ => 5,
        }
    }

    fn is_counted(action: &str) -> bool {
        matches!(action, "Write" | "Edit" | "Damage" | "Compact")
    }

    fn declines(&self, action: &str) -> Option<&'static str> {
        match action {
            "Decide" | "Answered" => Some("the till offers its edits in their order"),
            _ => None,
        }
    }

    fn why_not(first: &str, second: &str) -> Option<&'static str> {
        match (first, second) {
            ("Compact", "Compact") => Some("no tombstone is left"),
            ("Snapshot" | "Census", "Snapshot") => Some("no snapshot is under way"),
            ("Census" | "Cells", "Census") | ("Census", "Fetch" | "MakePlan" | "Apply") => {
                Some("who differs is asked next")
            }
            ("Cells", "Cells" | "Apply") => Some("rows, or the plan, come next"),
            ("Fetch", "Cells" | "Fetch" | "Apply") => Some("the plan comes next"),
            ("MakePlan", "Cells" | "Fetch" | "MakePlan") => Some("the plan is made, or refused"),
            ("Apply" | "Leave", "Cells" | "Fetch" | "MakePlan" | "Apply" | "Leave") => {
                Some("no comparison is under way")
            }
            (_, _) => None,
        }
    }
}
