//! `Catalog`: how what the cloud decides becomes true on a till; compaction; a till's own edits.
//!
//! | file | what it is |
//! |---|---|
//! | `mapping`, `rows`, `items` | the refinement mapping: what rows, frames are in `Catalog.tla` |
//! | `world`, `halves`, `act` | real nodes, and what may happen to them |
//! | `constants`, `profile` | which runs and walks there are |

mod act;
pub(super) mod constants;
mod halves;
pub(super) mod items;
mod mapping;
mod profile;
pub(super) mod rows;
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
pub(crate) struct Catalog {
    world: World,
    mapping: Mapping,
}

impl Catalog {
    fn of(world: World) -> Self {
        Self { mapping: Mapping::new(world.constants.clone()), world }
    }
}

impl Bound for Catalog {
    const MODULE: &'static str = "Catalog";
    const MISTAKES: &'static [&'static str] = &["LookLate", "VersionEarly"];
    const ACCIDENTS: &'static [&'static str] =
        &["Archive", "Backup", "Interrupt", "Lapse", "Plan", "RestoreCloud", "RestoreTill"];

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
            "Ask" | "BeginDelta" | "EndDelta" | "Snapshot" | "Take" => 3,
            "Write" => 7,
            _ => 5,
        }
    }

    fn is_counted(action: &str) -> bool {
        matches!(action, "Write" | "Edit") || Self::ACCIDENTS.contains(&action)
    }

    fn declines(&self, action: &str) -> Option<&'static str> {
        match action {
            "EndDelta" => Some("a page ends before the next entity of the feed, or at its head"),
            "Decide" => Some("the till offers what it has, in its order, and waits for the answer"),
            "Hear" => Some("the answer is not on its way"),
            "Lapse" | "Note" => Some("an older lease lapses before"),
            "RestoreCloud" => Some("a lease has lapsed while the backup lay"),
            _ => None,
        }
    }

    fn why_not(first: &str, second: &str) -> Option<&'static str> {
        match (first, second) {
            ("Archive", "Archive") => Some("the cloud keeps one backup"),
            ("RestoreCloud", "RestoreCloud") => Some("the backup was used up"),
            ("Plan", "Plan") => Some("there is one plan at a time"),
            ("Compact" | "RestoreCloud", "Compact") => Some("the plan is gone"),
            ("RestoreCloud", "EndDelta") => Some("what was being answered died with the cloud"),
            ("RestoreCloud", "Note") => Some("what was asked died with the cloud"),
            ("Decide", "Decide") | ("Hear", "Hear") => Some(ONE_PUSH),
            (_, _) => None,
        }
    }
}

/// The specification has these pairs; with this code they are one step, which logs have.
const ONE_PUSH: &str = "edits are decided and heard of push by push: one commit, one answer";
