//! Pairs of consecutive actions: which ones no behaviour of `Journal` has, and why.

use crate::bind::bound::Pair;

/// What goes wrong, or need not happen: a walk leaves some of it out as long as it can go on.
pub(super) const ACCIDENTS: &[&str] = &[
    "Archive",
    "Backup",
    "CloudDies",
    "Copy",
    "Define",
    "Idle",
    "Interrupt",
    "RestoreCloud",
    "RestoreTill",
    "Retry",
];

const BATCH_IS_EMPTY: &str = "nothing is taken in by then";
const KEPT_ALREADY: &str = "the cloud keeps one backup";
const NO_BACKUP: &str = "the backup was used up";
const DEFINED: &str = "it is defined by then";

/// Returns why the second action never comes right after the first, if it does not.
pub(super) fn why_not(first: &str, second: &str) -> Option<&'static str> {
    match (first, second) {
        ("Commit" | "CloudDies" | "RestoreCloud", "Commit" | "CloudDies") => Some(BATCH_IS_EMPTY),
        ("Archive", "Archive") => Some(KEPT_ALREADY),
        ("RestoreCloud", "RestoreCloud") => Some(NO_BACKUP),
        ("Define", "Define") => Some(DEFINED),
        (_, _) => None,
    }
}

/// How many of the pairs with [`is_rare`] the walks may miss.
pub(super) const MISSED_MAX: usize = 6;

/// Returns whether a pair has an action that few walks come to: a person looks at what a closed
/// history has left, before it is carried over.
pub(super) fn is_rare((first, second): &Pair) -> bool {
    first == "RetryOld" || second == "RetryOld"
}
