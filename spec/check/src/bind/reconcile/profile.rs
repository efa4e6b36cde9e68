//! What kinds of runs of comparisons there are, and in which models their walks go.

use crate::bind::bound::Profile;

use super::constants::{Constants, Left};

const NO: Left = Left { writes: 0, damages: 0, edits: 0, plans: 0 };

const fn of(items: u64, left: Left) -> Constants {
    Constants { items, left }
}

/// Returns all profiles.
pub(super) fn all() -> Vec<Profile<Constants>> {
    let drift = Left { damages: 12, ..NO };
    let moving = Left { writes: 12, ..drift };
    let deleted = Left { plans: 8, ..moving };
    let edited = Left { edits: 8, ..drift };
    let everything = Left { edits: 8, ..deleted };
    vec![
        Profile::new("drift", 90, of(3, drift)),
        Profile::new("moving", 110, of(3, moving)),
        Profile::new("deleted", 120, of(2, deleted)),
        Profile::new("edited", 110, of(3, edited)),
        Profile::new("one-entity", 110, of(1, everything)),
        Profile::new("edited-deleted", 130, of(2, Left { damages: 4, ..everything })),
        Profile::new("everything", 150, of(3, everything)),
    ]
}

/// Returns how often something happens that may, by its name.
pub(super) fn weight(act: &str) -> usize {
    match act {
        "Census" | "Cells" | "Fetch" | "MakePlan" | "Apply" => 8,
        "Delta" | "Snapshot" | "Decide" | "Answered" => 4,
        "Write" | "Damage" | "Edit" | "Compact" => 2,
        _ => 1,
    }
}

/// Returns the models in which behaviours of the specification are walked, by name.
pub(super) fn models() -> Vec<(&'static str, Constants)> {
    let left = Left { writes: 6, damages: 5, edits: 4, plans: 3 };
    vec![("one entity", of(1, left)), ("two entities", of(2, left))]
}
