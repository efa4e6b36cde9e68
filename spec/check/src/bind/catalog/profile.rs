//! What kinds of runs of a catalog there are, and in which models its walks go.

use crate::bind::bound::Profile;

use super::constants::{Constants, Left};

const NO: Left = Left { writes: 0, plans: 0, lapses: 0, strays: 0, tills: 0, clouds: 0 };

fn tills(tills: usize, items: u64, edits: u64, left: Left) -> Constants {
    Constants { tills, items, edits, left, ..Constants::default() }
}

/// Returns all profiles. Edits that are carried over may come behind later ones.
pub(super) fn all() -> Vec<Profile<Constants>> {
    let calm = Left { writes: 20, ..NO };
    let links = Left { strays: 6, ..calm };
    let compacted = Left { plans: 8, lapses: 4, ..links };
    let everything = Left { tills: 2, clouds: 2, ..compacted };
    let owned = |constants| Constants { owned: [2].into(), ..constants };
    let in_order = |constants| Constants { in_order: true, ..constants };
    let by_follower = |constants| Constants { by_follower: true, ..constants };
    vec![
        Profile::new("calm", 90, tills(2, 4, 0, calm)),
        Profile::new("flaky-link", 110, tills(2, 4, 0, links)),
        Profile::new("compaction", 140, tills(2, 4, 0, compacted)),
        Profile::new("edits", 130, in_order(owned(tills(2, 3, 8, links)))),
        Profile::new("edits-compacted", 150, in_order(owned(tills(1, 3, 8, compacted)))),
        Profile::new("cloud-restored", 150, owned(tills(2, 3, 6, Left { clouds: 3, ..links }))),
        Profile::new("till-restored", 150, owned(tills(2, 3, 6, Left { tills: 3, ..compacted }))),
        Profile::new("everything", 180, owned(tills(2, 4, 8, everything))),
        // A lease that lapses would lapse while a follower rests.
        Profile::new(
            "follower",
            180,
            by_follower(owned(tills(2, 4, 6, Left { lapses: 0, ..everything }))),
        ),
    ]
}

/// Returns how often something happens that may, by its name.
pub(super) fn weight(act: &str) -> usize {
    match act {
        "Ask" | "Turn" | "BeginDelta" | "EndDelta" | "Snapshot" | "Take" => 8,
        "Write" | "Decide" | "Hear" | "Compact" | "Plan" => 4,
        "Edit" | "Note" => 3,
        "Lapse" | "Interrupt" | "Backup" | "RestoreTill" | "Archive" | "RestoreCloud" => 2,
        _ => 1,
    }
}

/// Returns the models in which behaviours of the specification are walked, by name.
pub(super) fn models() -> Vec<(&'static str, Constants)> {
    let left = Left { writes: 9, plans: 3, lapses: 3, strays: 3, tills: 2, clouds: 2 };
    let in_order = |constants| Constants { in_order: true, ..constants };
    let one = Constants { owned: [2].into(), ..tills(1, 2, 4, left) };
    let two = tills(2, 3, 2, Left { tills: 3, ..left });
    vec![("one till", in_order(one)), ("two tills", in_order(two))]
}
