//! The laws by name, how often each was checked, and what broke one.

use std::fmt;

macro_rules! laws {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A law of the protocol. The names are those of the design and of the tests.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Law { $($(#[$doc])* $name,)* }

        impl Law {
            /// All laws that the simulator checks.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

laws! {
    /// Every sale committed on a till whose disk survives is in the cloud once the link has been
    /// up long enough.
    ZeroLoss,
    /// A sale, and each of its effects, counts once in the cloud, however often it was sent.
    NoDuplicate,
    /// The cloud holds no sale that no till committed, and holds it byte for byte as committed.
    NoPhantom,
    /// A till marks a sale as synced only if the cloud's durable state holds it.
    AckedIsDurable,
    /// At every instant each local sale is in exactly one of: queued, in flight, synced, needs
    /// attention.
    NeverForgotten,
    /// Per device and epoch the cloud's accepted sequence has no gap and its hash chain verifies.
    JournalIntact,
    /// Each terminal applies each inventory event addressed to its branch exactly once, acks after
    /// its commit, in (`created_at`, `event_id`) order within what it has fetched.
    InboxOnce,
    /// Stock is the sum of movements, on both sides, always.
    StockIsSum,
    /// At catalog version V a terminal's cloud-owned fields equal the cloud's at V; versions never
    /// go back.
    CatalogConverges,
    /// Server-owned fields come from the cloud, branch-owned from the branch, sales never change.
    OwnershipHolds,
    /// Applying a reconcile plan makes the terminal equal to the cloud, and touches no unsynced
    /// local work.
    PlanIsSafe,
    /// Nothing of one branch (or shop) is ever visible to another.
    BranchIsolation,
    /// Receipt numbers of one register are unique and without gaps.
    ReceiptsGapless,
    /// Link up and queue not empty: an attempt within a stated bound; after faults stop every
    /// queue empties.
    QueueDrains,
    /// Nothing leaves a node before the transaction that justifies it is durable.
    OutputAfterCommit,
    /// No node panics, whatever happens to it: the simulator's own addition to the laws.
    NoPanic,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A law that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{law} broken at {at_ms} ms: {what}")]
pub struct Violation {
    /// Which law.
    pub law: Law,
    /// When, in milliseconds from the start.
    pub at_ms: u64,
    /// What was expected, and what was found.
    pub what: String,
}

/// How often each law was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([u64; Law::ALL.len()]);

impl Tally {
    /// Counts a check of `law` that held, or makes its violation.
    ///
    /// # Errors
    /// The violation, with `what` as its text, if `holds` is false.
    pub fn check(
        &mut self,
        law: Law,
        at_ms: u64,
        holds: bool,
        what: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        self.0[law as usize] += 1;
        if holds { Ok(()) } else { Err(Violation { law, at_ms, what: what() }) }
    }

    /// Returns how often `law` was checked.
    #[must_use]
    pub const fn checked(&self, law: Law) -> u64 {
        self.0[law as usize]
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }
}
