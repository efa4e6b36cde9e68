//! What kinds of runs of an inbox there are, and in which models its walks go.

use crate::bind::bound::Profile;

use super::constants::{Constants, Left};

const NO: Left = Left { strays: 0, tills: 0, clouds: 0 };

fn tills(tills: usize, orders: u64, page: usize, faults: Left) -> Constants {
    Constants { tills, orders, page, faults, ..Constants::default() }
}

/// Returns all profiles.
pub(super) fn all() -> Vec<Profile<Constants>> {
    let links = Left { strays: 5, ..NO };
    let restored = Left { tills: 3, ..links };
    let clouds = Left { clouds: 2, ..links };
    let everything = Left { strays: 6, tills: 3, clouds: 3 };
    let relayed =
        |constants| Constants { foreign: [3, 7].into(), relayed: [2, 5].into(), ..constants };
    let joined = |constants| Constants { joined: [6, 7, 8].into(), ..constants };
    let backwards = |constants| Constants { backwards: true, ..constants };
    let by_collector = |constants| Constants { by_collector: true, ..constants };
    vec![
        Profile::new("calm", 80, tills(2, 7, 2, NO)),
        Profile::new("busy", 150, relayed(tills(3, 10, 4, links))),
        Profile::new("backwards", 100, backwards(relayed(tills(2, 8, 5, links)))),
        Profile::new("lines", 100, joined(tills(2, 9, 2, everything))),
        Profile::new("lines-backwards", 100, backwards(joined(tills(2, 9, 4, links)))),
        Profile::new("flaky-link", 100, tills(2, 6, 1, Left { strays: 12, ..NO })),
        Profile::new("till-restored", 100, relayed(tills(2, 7, 2, restored))),
        Profile::new("cloud-restored", 100, relayed(tills(2, 7, 2, clouds))),
        Profile::new("everything", 160, backwards(relayed(tills(2, 8, 3, everything)))),
        Profile::new("collector", 120, by_collector(relayed(tills(2, 8, 2, links)))),
        Profile::new(
            "collector-restored",
            160,
            by_collector(backwards(relayed(tills(2, 8, 3, everything)))),
        ),
    ]
}

/// Returns how often something happens that may, by its name.
pub(super) fn weight(act: &str) -> usize {
    match act {
        "Turn" | "Answer" | "Deliver" => 10,
        "Acknowledged" | "Ask" => 6,
        "Place" | "Ack" => 4,
        "Interrupt" | "Arrives" | "Backup" | "RestoreTill" | "Archive" | "RestoreCloud" => 2,
        _ => 1,
    }
}

/// Returns the models in which behaviours of the specification are walked, by name.
pub(super) fn models() -> Vec<(&'static str, Constants)> {
    let faults = Left { strays: 4, tills: 3, clouds: 3 };
    let one = tills(1, 4, 2, faults);
    let two = Constants {
        foreign: [4].into(),
        relayed: [2].into(),
        backwards: true,
        ..tills(2, 5, 2, faults)
    };
    vec![("one till", one), ("two tills", two)]
}
