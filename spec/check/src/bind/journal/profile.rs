//! What kinds of runs there are: how many of what, what goes wrong, and how often.

use crate::bind::bound::Profile;

use super::constants::{Constants, Left};

const NO: Left = Left { late: 0, dups: 0, crashes: 0, copies: 0, tills: 0, clouds: 0 };

fn tills(tills: usize, sales: u64, faults: Left) -> Constants {
    let copies = faults.copies as usize;
    let general = true;
    Constants { tills, copies, sales, items: 3, batch: 2, general, faults, ..Constants::default() }
}

fn by_session(constants: Constants) -> Constants {
    Constants { general: false, ..constants }
}

/// Returns all profiles.
pub(super) fn all() -> Vec<Profile<Constants>> {
    let links = Left { late: 4, dups: 3, crashes: 2, ..NO };
    let restored = Left { tills: 2, ..links };
    let copied = Left { copies: 1, ..links };
    let clouds = Left { clouds: 2, ..links };
    let everything = Left { copies: 2, tills: 2, clouds: 2, ..links };
    let parked =
        |constants| Constants { unknown: [1, 2, 4].into(), refunds: [3, 5].into(), ..constants };
    let names = |constants| Constants { same_names: true, ..constants };
    let profile = Profile::new;
    vec![
        profile("calm", 70, tills(2, 10, NO)),
        profile("busy", 110, Constants { items: 8, batch: 4, ..tills(4, 12, links) }),
        profile("flaky-link", 90, tills(2, 6, links)),
        profile("till-restored", 90, tills(1, 6, restored)),
        profile("till-copied", 90, tills(1, 6, copied)),
        profile("cloud-restored", 90, tills(2, 6, clouds)),
        profile("both-restored", 110, tills(1, 6, Left { tills: 2, ..clouds })),
        profile("parked", 140, parked(tills(1, 5, links))),
        profile("parked-restored", 140, parked(tills(1, 5, Left { tills: 1, clouds: 1, ..links }))),
        profile("same-names", 110, names(tills(1, 6, Left { tills: 1, ..copied }))),
        Profile {
            weights: &[
                ("Adopt", 1),
                ("Again", 0),
                ("Backup", 1),
                ("Define", 0),
                ("Push", 20),
                ("Restart", 0),
                ("RestoreTill", 1),
                ("Retry", 0),
                ("RollUp", 0),
            ],
            ..profile(
                "people",
                200,
                Constants { unknown: [1].into(), ..tills(1, 1, Left { tills: 9, ..NO }) },
            )
        },
        profile("everything", 150, tills(2, 8, everything)),
        profile("session", 110, by_session(tills(2, 8, links))),
        profile("session-restored", 120, by_session(tills(1, 6, Left { clouds: 1, ..restored }))),
        profile("session-copied", 120, by_session(names(tills(1, 6, Left { tills: 1, ..copied })))),
        profile(
            "session-parked",
            140,
            by_session(parked(tills(1, 5, Left { clouds: 1, ..links }))),
        ),
    ]
}

/// Returns how often something happens that may, by its name.
pub(super) fn weight(act: &str) -> usize {
    match act {
        "Receive" | "Stage" | "Commit" => 12,
        "Adopt" | "Push" | "Turn" => 9,
        "Sell" | "Retry" | "RetryOld" => 4,
        "Hello" => 3,
        "Interrupt" | "CloudDies" | "Backup" | "RestoreTill" | "Copy" | "RestoreCloud" => 2,
        _ => 1,
    }
}

/// Returns the models in which behaviours of the specification are walked, by name.
pub(super) fn models() -> Vec<(&'static str, Constants)> {
    let faults = Left { late: 3, dups: 2, crashes: 2, copies: 2, tills: 2, clouds: 2 };
    let parked = Constants {
        tills: 1,
        copies: 2,
        sales: 3,
        items: 2,
        batch: 2,
        unknown: [1].into(),
        refunds: [2].into(),
        general: true,
        faults,
        ..Constants::default()
    };
    // Each conflict of names is one that a person must look at.
    let same_names = Constants {
        same_names: true,
        copies: 3,
        sales: 9,
        unknown: [9].into(),
        refunds: [].into(),
        faults: Left { tills: 4, copies: 3, ..faults },
        ..parked
    };
    let two_tills =
        Constants { tills: 2, copies: 1, faults: Left { copies: 1, ..faults }, ..parked.clone() };
    let session = Constants { general: false, ..two_tills.clone() };
    let session_names = Constants { general: false, ..same_names.clone() };
    vec![
        ("general", parked),
        ("general, same names", same_names),
        ("general, two tills", two_tills),
        ("session", session),
        ("session, same names", session_names),
    ]
}
