//! Exhaustive exploration: every state that a small configuration can reach, and every law in it.
//!
//! The other levels draw runs at random, long ones with many tills. This one leaves nothing out
//! and so keeps small: two tills, two sales, one fault of each kind. What a till and the cloud do
//! is done by their real roles, through [`counterfoil_protocol::machine::run`], over stores in
//! memory, with real frames between them.
//!
//! The session is replaced by the **most general client**: a till may greet, push, or carry
//! entries over at any time, and takes the answers that are on their way to it in any order. Every
//! behaviour of the session is one of these, so a law that holds here holds for any session, with
//! any timing. Whether the *real* session brings everything to rest is asked from every state
//! (`progress`).
//!
//! What it shows and what not: `docs/explore.md`; why the search is our own:
//! `docs/decisions/0010-explore.md`.

mod cloud;
mod device;
mod law;
mod memo;
mod part;
mod progress;
mod report;
mod search;
mod sight;
mod story;
mod world;

use std::time::Instant;

pub use law::{Broken, CHECKED};
pub use report::{json, text};
pub use sight::SIGHTS;

use memo::Memo;

/// How much may happen. Everything else may happen at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Sales, at any till.
    pub sales: u8,
    /// Crashes: of a till, or of the cloud within a commit.
    pub crashes: u8,
    /// Messages that are lost.
    pub losses: u8,
    /// Requests for whose answer the till stops waiting, and that may still arrive.
    pub late: u8,
    /// Messages that arrive twice.
    pub duplicates: u8,
    /// Tills whose disk is replaced by an earlier one.
    pub restores: u8,
    /// Tills whose disk is copied to a second machine.
    pub copies: u8,
    /// Replacements of the cloud's disk by an earlier one.
    pub cloud_restores: u8,
    /// Roll-ups of the cloud's stock, planned at one time and carried out at another.
    pub roll_ups: u8,
}

impl Bounds {
    pub(crate) const fn as_array(&self) -> [u8; 9] {
        let Self { sales, crashes, losses, late, duplicates, .. } = *self;
        let Self { restores, copies, cloud_restores, roll_ups, .. } = *self;
        [sales, crashes, losses, late, duplicates, restores, copies, cloud_restores, roll_ups]
    }
}

/// How sales get their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numbers {
    /// No two are the same.
    #[default]
    Random,
    /// The cashier counts what the disk knows: a copy, or a restored till, gives a name twice.
    Own,
}

/// Something that is broken on purpose, to show that it would be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    #[default]
    None,
    /// The cloud's answers leave before its commit.
    AnswerBeforeCommit,
    /// What is pushed again is posted again, under another name.
    DuplicateUnderAnotherKey,
    /// What is pushed again moves the stock again.
    DuplicateMovesStock,
    /// A till takes the answer to a push of a closed history for one about the current history.
    AnswerOfAnyEpoch,
    /// A till takes what it has sent for received.
    SentIsReceived,
    /// A till takes answers to what it asked before it was restarted or restored.
    AnswersOutliveRestarts,
}

/// What is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What it is called.
    pub name: &'static str,
    /// How many tills.
    pub tills: u8,
    /// How many messages of one till may be under way for which it waits; 1 is the session.
    pub in_flight: u8,
    /// How many entries a push may have.
    pub items: u8,
    /// How much may happen.
    pub bounds: Bounds,
    /// Whether the file outside the database may be restored and copied together with it. If not,
    /// no receipt number may ever come twice.
    pub with_witness: bool,
    /// Whether a till is stopped for its backup, and started again.
    pub cold_backups: bool,
    /// How sales get their names.
    pub numbers: Numbers,
    /// What is broken.
    pub sabotage: Sabotage,
}

impl Config {
    /// Returns whether receipt numbers may come twice before a handshake (B.3).
    const fn witness_goes_along(&self) -> bool {
        self.with_witness && (self.bounds.restores > 0 || self.bounds.copies > 0)
    }
}

const NO: Bounds = Bounds {
    sales: 0,
    crashes: 0,
    losses: 0,
    late: 0,
    duplicates: 0,
    restores: 0,
    copies: 0,
    cloud_restores: 0,
    roll_ups: 0,
};

const PLAIN: Config = Config {
    name: "custom",
    tills: 1,
    in_flight: 1,
    items: 2,
    bounds: NO,
    with_witness: true,
    cold_backups: false,
    numbers: Numbers::Random,
    sabotage: Sabotage::None,
};

impl Default for Config {
    fn default() -> Self {
        PLAIN
    }
}

/// The configurations that have a name. The first three are explored if nothing is said.
pub const NAMED: [Config; 8] = [
    Config {
        name: "two-tills",
        tills: 2,
        bounds: Bounds { sales: 2, crashes: 1, losses: 1, duplicates: 1, roll_ups: 1, ..NO },
        ..PLAIN
    },
    Config {
        name: "restored",
        bounds: Bounds {
            sales: 2,
            crashes: 1,
            losses: 1,
            duplicates: 1,
            restores: 1,
            cloud_restores: 1,
            ..NO
        },
        ..PLAIN
    },
    Config {
        name: "copied",
        bounds: Bounds { sales: 2, crashes: 1, duplicates: 1, copies: 1, ..NO },
        ..PLAIN
    },
    Config {
        name: "two-tills-restored",
        tills: 2,
        bounds: Bounds { sales: 2, crashes: 1, losses: 1, duplicates: 1, restores: 1, ..NO },
        ..PLAIN
    },
    Config {
        name: "same-names",
        numbers: Numbers::Own,
        bounds: Bounds { sales: 3, duplicates: 1, copies: 1, ..NO },
        ..PLAIN
    },
    Config {
        name: "late-answers",
        in_flight: 2,
        items: 1,
        bounds: Bounds { sales: 3, late: 1, crashes: 1, cloud_restores: 1, ..NO },
        ..PLAIN
    },
    Config {
        name: "cloud-restored-twice",
        bounds: Bounds { sales: 2, crashes: 1, losses: 1, restores: 1, cloud_restores: 2, ..NO },
        ..PLAIN
    },
    Config {
        name: "receipts",
        with_witness: false,
        cold_backups: true,
        bounds: Bounds { sales: 3, crashes: 1, restores: 1, ..NO },
        ..PLAIN
    },
];

/// What was explored, and what was found.
#[derive(Clone, Debug)]
pub struct Explored {
    /// What.
    pub config: Config,
    /// How many states.
    pub states: u64,
    /// How many steps between them.
    pub transitions: u64,
    /// How many steps the farthest state is away.
    pub depth: u32,
    /// How often a role was run: the same input on the same disk counts once.
    pub role_steps: u64,
    /// From how many sets of disks it was shown that everything comes to rest.
    pub drained: u64,
    /// Which of [`SIGHTS`] were seen in some state.
    pub seen: Vec<&'static str>,
    /// How long it took, in milliseconds.
    pub wall_ms: u64,
    /// Whether every state was visited.
    pub complete: bool,
    /// What was broken, if anything was.
    pub counterexample: Option<Counterexample>,
}

/// The shortest way to a broken law.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What was broken.
    pub broken: Broken,
    /// What happens, step by step.
    pub steps: Vec<String>,
}

/// Explores a configuration on `jobs` threads, up to `states_max` states.
///
/// `progress` hears of the states and steps so far, and of the depth.
pub fn explore(
    config: &Config,
    states_max: u64,
    jobs: Option<usize>,
    progress: impl FnMut(u64, u64, u32),
) -> Explored {
    let began = Instant::now();
    let memo = Memo::new(*config);
    let jobs = jobs.unwrap_or_else(search::cores);
    let searched = search::search(&memo, states_max, jobs, progress);
    let counterexample = searched.broken.map(|(broken, way)| {
        let steps = story::tell(&memo, &way);
        Counterexample { broken, steps }
    });
    Explored {
        config: *config,
        states: searched.states,
        transitions: searched.transitions,
        depth: searched.depth,
        role_steps: memo.steps() as u64,
        drained: memo.drained.len() as u64,
        seen: sight::named(searched.sights),
        wall_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        complete: searched.complete,
        counterexample,
    }
}
