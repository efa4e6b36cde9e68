//! What really happened: an `always` that was never put to the test shows nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use counterfoil_protocol::terminal::{Output, SessionOutput};
use counterfoil_protocol::wire::message::EditOutcome;

macro_rules! counted {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each variant's text says what it is")]
        pub enum $name { $($variant,)* }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns its name in reports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

counted! {
    /// A transition of one of the machines.
    Transition {
        TillInstall = "till.install",
        TillOpen = "till.open",
        TillOpenCopied = "till.open/copied",
        TillOpenRestored = "till.open/restored",
        TillRecord = "till.record",
        TillRecordAgain = "till.record/again",
        TillRecordTaken = "till.record/taken",
        TillRecordInvalid = "till.record/invalid",
        TillWelcomed = "till.welcomed",
        TillWelcomedTookBack = "till.welcomed/acked taken back",
        TillWelcomedLostTail = "till.welcomed/lost tail",
        TillWelcomedForked = "till.welcomed/forked",
        TillAnswered = "till.answered",
        TillSynced = "till.item/synced",
        TillWaits = "till.item/waits",
        TillAttention = "till.item/needs attention",
        TillAdopt = "till.adopt",
        TillDenied = "till.quarantined",
        TillRetry = "till.retry",
        TillCorrect = "till.correct",
        TillGiveWay = "till.give way",
        TillSetAside = "till.set aside",
        TillArchive = "till.archive",
        CloudEnrol = "cloud.enrol",
        CloudRevoke = "cloud.revoke",
        CloudProduct = "cloud.product",
        CloudRollUp = "cloud.roll up",
        HelloInStep = "cloud.hello/in step",
        HelloTillAhead = "cloud.hello/till ahead",
        HelloCloudLostTail = "cloud.hello/cloud lost its tail",
        HelloTillLostTail = "cloud.hello/till lost its tail",
        HelloForked = "cloud.hello/forked or cloned",
        DeniedUnknown = "cloud.denied/unknown terminal",
        DeniedRevoked = "cloud.denied/revoked",
        DeniedExpired = "cloud.denied/expired",
        DeniedWrong = "cloud.denied/wrong credential",
        Push = "cloud.push",
        ItemCreated = "cloud.item/created",
        ItemExisting = "cloud.item/existing",
        ItemParked = "cloud.item/parked",
        ItemRefused = "cloud.item/refused",
        StoppedGap = "cloud.push/gap",
        StoppedForked = "cloud.push/forked",
        StoppedUnknownEpoch = "cloud.push/unknown epoch",
        SessionInput = "session.input",
        CatalogEdit = "catalog.edit",
        CatalogDelta = "catalog.delta",
        CatalogResync = "catalog.resync",
        CatalogRun = "catalog.snapshot run",
        CatalogProven = "catalog.proven",
        TillDelta = "till.delta",
        TillRun = "till.snapshot run",
        TillPlan = "till.apply plan",
        FollowerInput = "follower.input",
        TillSession = "till.session",
        SessionOpened = "till.session/opened",
        SessionCash = "till.session/cash moved",
        SessionClosed = "till.session/closed",
        SessionRefused = "till.session/refused",
        CloudSession = "cloud.session asked for",
        TillVerdict = "till.verdict",
        SessionConfirmed = "till.verdict/confirmed",
        SessionDifference = "till.verdict/difference",
        SessionLate = "till.verdict/late",
        EditAtTill = "till.edit",
        ItemEdited = "cloud.item/edited",
        EditTaken = "cloud.edit/taken",
        EditOverwrote = "cloud.edit/overwrote",
        EditServerOwned = "cloud.edit/server-owned",
        EditDeleted = "cloud.edit/deleted",
        EditUnknown = "cloud.edit/unknown",
        OverlayDropped = "till.edit/in the catalog",
        OrderPlaced = "order.place",
        OrderAgain = "order.place/again",
        OrderTaken = "order.place/taken",
        OrderCancelled = "order.cancel",
        StoreBuffer = "store.buffer",
        InboxRelay = "inbox.relay",
        InboxPage = "inbox.pending",
        InboxRestart = "inbox.pending/restart",
        InboxAck = "inbox.ack",
        InboxAckUnknown = "inbox.ack/unknown place",
        TillInbox = "till.inbox",
        TillInboxAgain = "till.inbox/applied before",
        TillReview = "till.inbox/negative stock",
        CollectorInput = "collector.input",
        CloudSketchSecret = "cloud.sketch secret",
        ReconcileInSync = "reconcile.in sync",
        ReconcileCells = "reconcile.cells",
        ReconcileTooLarge = "reconcile.too large",
        ReconcileAhead = "reconcile.till ahead",
        ReconcileMoved = "reconcile.moved",
        EntitiesAsked = "reconcile.entities",
        VerifyNotReady = "verify.not ready",
        VerifyMore = "verify.more cells",
        VerifySnapshot = "verify.snapshot",
        VerifyAgain = "verify.again",
        VerifyFailed = "verify.failed",
        PlanClean = "plan.clean",
        PlanLost = "plan.item/lost",
        PlanDrifted = "plan.item/drifted",
        PlanUnreadable = "plan.item/unreadable",
        PlanDeleted = "plan.item/deleted in the cloud",
        PlanUnknown = "plan.item/unknown to the cloud",
        PlanPending = "plan.item/pending",
        PlanApplied = "plan.applied",
        PlanRefused = "plan.refused",
        CatalogLease = "catalog.lease",
        CatalogCompact = "catalog.compact",
        Compacted = "catalog.compact/deletions left",
        BelowFloor = "catalog.resync/below the floor",
        StoreRepaired = "store.repaired after a crash",
    }
}

counted! {
    /// A fault that really happened.
    Injected {
        Latency = "latency",
        Slow = "slow link",
        Loss = "request lost",
        AnswerLost = "answer lost after commit",
        Reset = "connection reset",
        Duplicate = "request twice",
        Reorder = "reordered",
        Partition = "partition",
        OneWay = "one-way partition",
        RateLimited = "429",
        ServerError = "503",
        ProxyLimit = "413 from a proxy",
        TillCrashBefore = "till crash before commit",
        TillCrashAfter = "till crash after commit",
        CloudCrashBefore = "cloud crash before commit",
        CloudCrashAfter = "cloud crash after commit",
        TillCrash = "till power cut",
        CloudCrash = "cloud power cut",
        StorageError = "storage error",
        TillRestored = "till restored, witness not",
        MachineRestored = "whole till restored",
        TillCopied = "till copied, witness not",
        MachineCloned = "whole till cloned",
        TillMoved = "till moved to another branch",
        CloudRestored = "cloud restored",
        ClockJump = "clock jump",
        Revoked = "terminal revoked",
        Expired = "credential expired",
        Throttled = "cloud throttles",
        DriftMissing = "row lost on a till's disk",
        DriftExtra = "row added on a till's disk",
        DriftChanged = "row changed on a till's disk",
        DriftCorrupt = "row garbled on a till's disk",
        DiskLost = "unsynced write lost",
        DiskTorn = "unsynced write torn",
        DiskFull = "disk full",
        DiskRead = "disk read error",
        DiskSlow = "slow fsync",
        DiskLied = "fsync that lied",
        RecoveryCut = "power cut during a repair",
    }
}

const _: () = assert!(Injected::ALL.len() <= u64::BITS as usize, "a set of faults is one word");

/// A set of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u64);

impl Faults {
    /// Adds a fault.
    pub const fn insert(&mut self, fault: Injected) {
        self.0 |= 1 << fault as u64;
    }

    /// Returns whether a fault is in it.
    #[must_use]
    pub const fn contains(self, fault: Injected) -> bool {
        self.0 & (1 << fault as u64) != 0
    }

    /// Returns its faults, in order.
    pub fn iter(self) -> impl Iterator<Item = Injected> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let index = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(Injected::ALL[index])
        })
    }
}

/// Counts of what happened in one run, or in many.
#[derive(Clone, Debug)]
pub struct Coverage {
    transitions: Vec<u64>,
    faults: Vec<u64>,
    /// For each transition, the faults that had happened when it was seen.
    before: Vec<u64>,
    /// The faults that have happened in this run. All who count in one run share it.
    fired: Arc<AtomicU64>,
}

impl PartialEq for Coverage {
    fn eq(&self, other: &Self) -> bool {
        let parts = |coverage: &Self| {
            (coverage.transitions.clone(), coverage.faults.clone(), coverage.before.clone())
        };
        parts(self) == parts(other)
    }
}

impl Eq for Coverage {}

impl Default for Coverage {
    fn default() -> Self {
        Self {
            transitions: vec![0; Transition::ALL.len()],
            faults: vec![0; Injected::ALL.len()],
            before: vec![0; Transition::ALL.len()],
            fired: Arc::default(),
        }
    }
}

impl Coverage {
    /// Returns counts of zero for another part of the same run: what happens there is seen here.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { fired: Arc::clone(&self.fired), ..Self::default() }
    }

    /// Counts a transition.
    pub fn saw(&mut self, transition: Transition) {
        self.transitions[transition as usize] += 1;
        self.before[transition as usize] |= self.fired.load(Ordering::Relaxed);
    }

    /// Counts a fault.
    pub fn injected(&mut self, fault: Injected) {
        self.faults[fault as usize] += 1;
        // Nobody else writes: the parts of a run take turns.
        let fired = self.fired.load(Ordering::Relaxed) | 1 << fault as u64;
        self.fired.store(fired, Ordering::Relaxed);
    }

    /// Returns the faults that had happened when a transition was seen, in one of the runs.
    #[must_use]
    pub fn faults_before(&self, transition: Transition) -> Faults {
        Faults(self.before[transition as usize])
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.before.iter_mut().zip(&other.before) {
            *mine |= theirs;
        }
        for (mine, theirs) in self.transitions.iter_mut().zip(&other.transitions) {
            *mine += theirs;
        }
        for (mine, theirs) in self.faults.iter_mut().zip(&other.faults) {
            *mine += theirs;
        }
    }

    /// Returns how many transitions the machines made.
    #[must_use]
    pub fn total_transitions(&self) -> u64 {
        // Refinements of a transition are not counted twice.
        Transition::ALL
            .iter()
            .filter(|transition| !transition.refines())
            .map(|transition| self.transitions[*transition as usize])
            .sum()
    }

    /// Returns how many of them were decisions about one item of a push.
    #[must_use]
    pub fn item_transitions(&self) -> u64 {
        let items = Transition::ALL.iter().filter(|transition| transition.of_item());
        items.map(|transition| self.transitions[*transition as usize]).sum()
    }

    /// Returns the count of a fault.
    #[must_use]
    pub fn fault(&self, fault: Injected) -> u64 {
        self.faults[fault as usize]
    }

    /// Returns the count of a transition.
    #[must_use]
    pub fn transition(&self, transition: Transition) -> u64 {
        self.transitions[transition as usize]
    }

    /// Returns every transition with its count.
    #[must_use]
    pub fn transitions(&self) -> BTreeMap<&'static str, u64> {
        Transition::ALL.iter().map(|t| (t.as_str(), self.transitions[*t as usize])).collect()
    }

    /// Returns every fault with its count.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        Injected::ALL.iter().map(|f| (f.as_str(), self.faults[*f as usize])).collect()
    }
}

impl Injected {
    /// Returns whether only a disk can do it.
    #[must_use]
    pub const fn of_disk(self) -> bool {
        matches!(
            self,
            Self::DiskLost
                | Self::DiskTorn
                | Self::DiskFull
                | Self::DiskRead
                | Self::DiskSlow
                | Self::DiskLied
                | Self::RecoveryCut
        )
    }
}

impl Transition {
    /// Returns what an edit of this outcome is counted as.
    #[must_use]
    pub const fn of_edit(outcome: EditOutcome) -> Self {
        match outcome {
            EditOutcome::Taken => Self::EditTaken,
            EditOutcome::Overwrote => Self::EditOverwrote,
            EditOutcome::ServerOwned => Self::EditServerOwned,
            EditOutcome::Deleted => Self::EditDeleted,
            EditOutcome::Unknown => Self::EditUnknown,
        }
    }

    /// Returns what the answer to a recording says beyond that something was recorded.
    ///
    /// # Panics
    /// If it answers something else.
    #[must_use]
    pub fn of_record(answer: &Output) -> Option<Self> {
        match answer {
            Output::Recorded { again, .. } => again.then_some(Self::TillRecordAgain),
            Output::Taken(_) => Some(Self::TillRecordTaken),
            Output::Invalid(_) => Some(Self::TillRecordInvalid),
            Output::Opened { .. }
            | Output::NotInstalled(_)
            | Output::Settled(_)
            | Output::NothingToRetry
            | Output::Catalogued(_)
            | Output::CatalogUnreadable(_)
            | Output::Session(_)
            | Output::Inbox(_)
            | Output::PlanApplied(_)
            | Output::PlanRefused(_) => unreachable!("none of them answers a record"),
        }
    }

    /// Returns what the answer to an act on a register's session says beyond that it was recorded.
    ///
    /// # Panics
    /// If it answers something else.
    #[must_use]
    pub fn of_act(answer: &Output) -> Option<Self> {
        if let Output::Session(SessionOutput::AlreadyOpen(_) | SessionOutput::NoneOpen) = answer {
            return Some(Self::SessionRefused);
        }
        Self::of_record(answer)
    }

    /// Returns whether this only says more about a transition that is counted too. A decision
    /// about one item is a transition of that item, beside that of the machine it was handed to.
    const fn refines(self) -> bool {
        matches!(
            self,
            Self::TillOpenCopied
                | Self::TillOpenRestored
                | Self::TillWelcomedTookBack
                | Self::TillWelcomedLostTail
                | Self::TillWelcomedForked
                | Self::StoppedGap
                | Self::StoppedForked
                | Self::StoppedUnknownEpoch
                | Self::CatalogProven
                | Self::SessionOpened
                | Self::SessionCash
                | Self::SessionClosed
                | Self::SessionRefused
                | Self::SessionConfirmed
                | Self::SessionDifference
                | Self::SessionLate
                | Self::EditAtTill
                | Self::EditTaken
                | Self::EditOverwrote
                | Self::EditServerOwned
                | Self::EditDeleted
                | Self::EditUnknown
                | Self::OverlayDropped
                | Self::InboxAckUnknown
                | Self::TillInboxAgain
                | Self::TillReview
                | Self::VerifyNotReady
                | Self::VerifyMore
                | Self::VerifySnapshot
                | Self::VerifyAgain
                | Self::VerifyFailed
                | Self::PlanClean
                | Self::PlanLost
                | Self::PlanDrifted
                | Self::PlanUnreadable
                | Self::PlanDeleted
                | Self::PlanUnknown
                | Self::PlanPending
                | Self::PlanApplied
                | Self::PlanRefused
                | Self::Compacted
                | Self::BelowFloor
                | Self::StoreRepaired
        )
    }

    /// Returns whether it is about one item of a push.
    const fn of_item(self) -> bool {
        matches!(
            self,
            Self::ItemCreated
                | Self::ItemExisting
                | Self::ItemParked
                | Self::ItemRefused
                | Self::ItemEdited
                | Self::TillSynced
                | Self::TillWaits
                | Self::TillAttention
        )
    }
}
