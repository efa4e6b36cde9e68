//! An incident of a real till, read from the bundle that it wrote, and played again.
//!
//! Two ways were possible. The rows of the bundle could be put into a store as they are: that is
//! quick, and shows an end without a story, of rows that nobody has checked. Here the diary is
//! played: the real roles record, start, offer, are answered, part and carry over in the order in
//! which the till noted it, against a real cloud role that the simulator brings into the state in
//! which it must have been (a lost answer, a copy that went on, a backup that came back). What the
//! roles then do is held against what the bundle tells, step by step and row by row. So a bundle
//! that agrees is shown to be possible, and one that does not says where.
//!
//! | module | question |
//! |---|---|
//! | `form` | what does the file say? |
//! | `script` | what must have happened, and when? |
//! | `model::retold` | does it come to that? |
//!
//! Names are what the bundle has: masks, or the real ones. Contents that a bundle leaves out are
//! stood in for by a single line of one product.

mod form;
pub(crate) mod script;

use std::collections::BTreeMap;

use counterfoil_protocol::event::Event;
use counterfoil_protocol::identity::{Epoch, EventKey, LocalEventId, PosId};
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::terminal::diary::Run;
use counterfoil_protocol::terminal::{Identity, Parted, Place};
use counterfoil_protocol::time::Millis;

pub use crate::model::retold::{Retold, replay};

/// The most bytes of a bundle that is read.
pub const BUNDLE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The most entries that are filled in for those that a bundle leaves out.
pub const FILLED_MAX: u64 = 200_000;
/// The most histories of a till before those that a bundle tells.
pub const HISTORIES_MAX: u32 = 10_000;

/// Why a bundle cannot be played. [`IncidentError::code`] never changes its meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IncidentError {
    /// It is no bundle, or a part of it has another form. Make it again.
    #[error("it is no incident bundle: {0}")]
    Form(String),
    /// A newer till has written it. Take the simulator of that release.
    #[error("the bundle has version {0}, this program reads 1 and 2")]
    Version(u64),
    /// It is larger than any till writes. Make it again with fewer entries.
    #[error("it is larger than any till writes: {0}")]
    TooLarge(u64),
    /// Two parts of it cannot both be true: nobody can play it.
    #[error("the bundle contradicts itself: {0}")]
    Contradiction(String),
    /// Too much is left out. Make it again with `--entries 10000`.
    #[error("{0} journal entries before those in the bundle are too many to fill in")]
    Cut(u64),
}

impl IncidentError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Form(_) => "SIM_BUNDLE_INVALID",
            Self::Version(_) => "SIM_BUNDLE_VERSION_UNSUPPORTED",
            Self::TooLarge(_) => "SIM_BUNDLE_TOO_LARGE",
            Self::Contradiction(_) => "SIM_BUNDLE_CONTRADICTION",
            Self::Cut(_) => "SIM_BUNDLE_CUT",
        }
    }
}

/// What a till has told in a bundle.
#[derive(Clone, Debug)]
pub struct Incident {
    /// The version of the bundle's form.
    pub version: u32,
    /// Whose till it is.
    pub identity: Identity,
    /// Its histories that the bundle knows, oldest first; the last is the current one.
    pub histories: Vec<History>,
    /// Up to here the cloud has answered the current history.
    pub acked: u64,
    /// The journal entries that are told.
    pub entries: BTreeMap<Place, Told>,
    /// The diary, and after it what only the running program knew.
    pub notes: Vec<Note>,
    /// What waits or needs attention.
    pub queue: BTreeMap<Place, Waits>,
    /// Whether all that waits is told.
    pub whole_queue: bool,
    /// Why the cloud does not listen, if it does not.
    pub quarantined: Option<Denial>,
}

/// One history of a till.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Which.
    pub epoch: Epoch,
    /// Its last entry.
    pub head: u64,
    /// Up to here the cloud held it when it was closed; none of the current one.
    pub kept: Option<u64>,
}

/// A journal entry as a bundle tells it.
#[derive(Clone, Debug)]
pub struct Told {
    /// The register.
    pub pos: PosId,
    /// The event's name on it.
    pub local_id: LocalEventId,
    /// The word for its kind.
    pub kind: String,
    /// The time that is printed on it.
    pub at: Millis,
    /// What became of it.
    pub state: Stood,
    /// The sale that it takes back, if it is told.
    pub original: Option<EventKey>,
    /// Whose place it takes, the latest first.
    pub corrects: Vec<LocalEventId>,
    /// What it is, if the bundle has contents.
    pub content: Option<Box<Event>>,
}

/// What a till knows of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stood {
    /// It waits, or needs attention.
    Open,
    /// The cloud has it.
    Synced,
    /// Another counts in its place.
    Replaced(LocalEventId),
    /// It was carried over.
    Moved(Place),
}

/// What waits, as a bundle tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Whether a person must look at it.
    pub needs_attention: bool,
    /// How often the cloud has failed it.
    pub attempts: u8,
    /// The last failure.
    pub code: Option<ErrorCode>,
}

/// A note of the diary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The till's time of it.
    pub at: Millis,
    /// What happened.
    pub what: Happened,
}

/// What a note tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The program took the database over.
    Started,
    /// A new history was opened.
    Parted {
        /// Why.
        why: Parted,
        /// Which was opened.
        epoch: Epoch,
    },
    /// Entries were offered.
    Offered {
        /// Their history.
        epoch: Epoch,
        /// How often in a row with the same end.
        times: u32,
        /// What came of it.
        runs: Vec<Run>,
    },
    /// Entries of a closed history were carried over, or looked at.
    Carried {
        /// Which history.
        from: Epoch,
        /// Each first entry, and how many.
        entries: Vec<(u64, u64)>,
    },
    /// A person wanted another try.
    Retried(Place),
    /// A person set it aside.
    SetAside(Place),
    /// A person let another count in its place.
    Replaced(Place),
}

impl Incident {
    /// Reads a bundle.
    ///
    /// # Errors
    /// [`IncidentError`] says what is wrong with it; any bytes may be given.
    pub fn read(bytes: &[u8]) -> Result<Self, IncidentError> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(IncidentError::TooLarge(bytes.len() as u64));
        }
        form::read(bytes)
    }

    /// Returns whether bytes are meant to be a bundle, and not a plan.
    #[must_use]
    pub fn is_meant(bytes: &[u8]) -> bool {
        form::is_meant(bytes)
    }

    /// Returns the place of a history among those that are known.
    #[must_use]
    pub fn history(&self, epoch: Epoch) -> Option<usize> {
        self.histories.iter().position(|history| history.epoch == epoch)
    }

    /// Returns the history with which the story begins: of all later ones each entry is told.
    #[must_use]
    pub fn first_history(&self) -> usize {
        let told = |history: &History, seq| {
            self.entries.contains_key(&Place { epoch: history.epoch, seq })
        };
        let mut first = self.histories.len() - 1;
        while first > 0 {
            let (history, before) = (&self.histories[first], &self.histories[first - 1]);
            let whole = history.head == 0 || told(history, 1);
            let begun = before.head == 0 || told(before, before.head);
            if !whole || !begun {
                break;
            }
            first -= 1;
        }
        first
    }

    /// Returns how many entries of the story the bundle leaves out.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        let played = &self.histories[self.first_history()..];
        let heads: u64 = played.iter().map(|history| history.head).sum();
        let told = |place: &Place| played.iter().any(|history| history.epoch == place.epoch);
        let told = self.entries.keys().filter(|place| told(place)).count() as u64;
        heads.saturating_sub(told)
    }
}
