//! The till's role: it records what happens, keeps the queue, and believes only durable answers.
//!
//! | module | input | decision |
//! |---|---|---|
//! | `open` | [`Input::Install`], [`Input::Open`] | is this still the same database? |
//! | `record` | [`Input::Record`] | one commit: event, receipt, stock, journal, queue |
//! | `greeted` | [`Input::Welcomed`] | go on, offer again, or open a new epoch |
//! | `answered` | [`Input::Answered`] | per-item answers, attempts, *needs attention* |
//! | [`register`] | [`Input::Session`], [`Input::SessionVerdict`] | a register's day |
//! | [`edits`] | with those and the catalog's | what was edited here lies over the catalog |
//! | [`correct`] | [`Input::Correct`], `GiveWay`, `SetAside` | what cannot be posted as it is |
//! | `adopt` | [`Input::Adopt`] | carry entries of a closed history into the current one |
//! | [`inbox`] | [`Input::Inbox`] | each inventory event moves the stock once |
//! | [`reconcile`] | [`Input::ApplyPlan`] | mend the catalog as a plan says, or leave it |
//! | [`migrate`] | [`Input::Open`], [`Input::Migrate`] | an older database, step by step |
//! | [`archive`] | [`Input::Archive`] | entries that are settled for long leave the hot rows |
//! | [`diary`] | [`Input::Note`] | what a person may ask about later; decides nothing |
//! | here | [`Input::Denied`], [`Input::Retry`] | quarantine; a person's decision |
//!
//! > **`NeverForgotten`**: at every instant each local sale is in exactly one of: queued, in
//! > flight, synced, needs attention.

mod adopt;
mod answered;
pub mod archive;
pub mod catalog;
pub mod codes;
pub mod correct;
mod damage;
pub mod diary;
pub mod edits;
mod greeted;
pub mod heads;
pub mod inbox;
mod key;
pub mod migrate;
mod open;
pub mod pull;
pub mod reconcile;
mod record;
pub mod register;
pub mod row;
mod seen;

use alloc::string::String;
use alloc::vec::Vec;

use crate::catalog::EntityId;
use crate::codec::{self, MESSAGE_BYTES_MAX};
use crate::event::{Body, EventError, Receipt};
use crate::identity::{BranchId, Epoch, LocalEventId, PosId, ShopId, TerminalId, Witness};
use crate::machine::{Machine, ReadSet, Rows};
use crate::persist::{Damaged, Persist};
use crate::problem::Denial;
use crate::reconcile::PlanRefusal;
use crate::time::Millis;
use crate::wire::catalog::DeltaAnswer;
use crate::wire::message::{PushAnswer, Welcome};
use crate::wire::session::SessionReport;

pub use answered::{ATTEMPTS_MAX, RETRY_BASE, RETRY_CAP};
pub use edits::LocalEdits;
pub use register::{SessionAct, SessionDraft, SessionOutput};
pub use row::{Key, Meta, Place, Record};

/// The till's role.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal;

/// Who a till is. It never changes within a database.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The tenant.
    pub shop: ShopId,
    /// The place of business.
    pub branch: BranchId,
    /// The till.
    pub terminal: TerminalId,
}

/// What the till is asked.
#[derive(Clone, Debug)]
pub enum Input {
    /// Makes a new database for this till. Harmless on an existing one of the same identity.
    Install {
        /// Whose.
        identity: Identity,
        /// Random; the first boot.
        witness: Witness,
        /// Random; tells the first epoch apart.
        nonce: u64,
    },
    /// Opens the database: before anything else, each time the program starts.
    Open {
        /// What stood outside the database, if anything.
        witness: Option<Witness>,
        /// Random; the new boot, and the installation if the witness was lost.
        fresh: Witness,
        /// Random; tells a new epoch apart if one is needed.
        nonce: u64,
    },
    /// Records what happened at a register. The same register, id and content again is harmless.
    Record(Draft),
    /// The cloud has answered a greeting.
    Welcomed {
        /// Its answer.
        welcome: Welcome,
        /// Random; tells a new epoch apart if one is needed.
        nonce: u64,
    },
    /// The cloud has answered a push.
    Answered {
        /// The history that was pushed.
        epoch: Epoch,
        /// The answer.
        answer: PushAnswer,
    },
    /// The cloud does not listen to this till.
    Denied(Denial),
    /// Carries entries of a closed history into the current one; [`pull::adoption`] makes it.
    Adopt(Adoption),
    /// A person wants an item that needs attention to be tried again.
    Retry {
        /// The register.
        pos: PosId,
        /// The event on it.
        local_id: LocalEventId,
        /// Where it stands in the journal.
        place: Place,
    },
    /// A person corrects a sale that could not be posted; [`correct::plan`] makes it.
    Correct(alloc::boxed::Box<correct::Correct>),
    /// A person lets the other one count, as the cloud says; [`correct::yielding`] makes it.
    GiveWay(alloc::boxed::Box<correct::GiveWay>),
    /// A person sets an item aside that failed and would be tried again.
    SetAside(Place),
    /// The cloud has answered the question for a catalog delta.
    Delta(DeltaAnswer),
    /// The cloud has answered the question for a run of its catalog.
    CatalogRun(catalog::Run),
    /// Something happens to a register's session. The same again is harmless.
    Session(SessionDraft),
    /// The cloud has said what it makes of a session; checked.
    SessionVerdict(SessionReport),
    /// Something about the branch's inbox of inventory events.
    Inbox(inbox::Input),
    /// A plan is to be applied to the catalog.
    ApplyPlan(alloc::boxed::Box<reconcile::Application>),
    /// Takes a step of a migration; [`migrate::next`] makes it. The books are its answer.
    Migrate(migrate::Step),
    /// Lets entries leave that the archive holds; [`archive::confirm`] makes it. It is alone in its
    /// transaction: what comes after it is to see what it has removed, in the archive. The books
    /// are its answer.
    Archive(alloc::boxed::Box<archive::Copied>),
    /// Writes notes into the diary, beside another input of the same commit. The books are its
    /// answer.
    Note(Vec<diary::Note>),
}

/// Something to record, before it has a receipt number and a place in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The register.
    pub pos: PosId,
    /// The caller's name for it.
    pub local_id: LocalEventId,
    /// The time to print on it.
    pub at: Millis,
    /// The caller's document number; may be empty.
    pub reference: String,
    /// What happened.
    pub body: Body,
}

/// A part of a closed history to carry over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// Which history.
    pub from: Epoch,
    /// Which entries, with the names of their events.
    pub entries: Vec<(u64, PosId, LocalEventId)>,
    /// Every entry up to here has been looked at.
    pub through: u64,
    /// The entry that was the next to be carried over when this was read: if another one is by
    /// now, the cloud was heard meanwhile, and it is read again.
    pub next: u64,
}

/// What the till answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The database is this till's and open. The witness is to be written and synced before
    /// anything is sold.
    Opened {
        /// What to keep outside the database.
        witness: Witness,
        /// Why a new epoch was opened, if one was.
        parted: Option<Parted>,
    },
    /// There is no database yet, or another till's.
    NotInstalled(Option<Identity>),
    /// The event is durable.
    Recorded {
        /// Where it stands in the journal.
        place: Place,
        /// Its receipt, if it is of a kind that has one.
        receipt: Option<Receipt>,
        /// Whether it stood there before.
        again: bool,
    },
    /// Another event stands under this register and id (B.2). Nothing was recorded.
    Taken(Place),
    /// The event breaks a rule. Nothing was recorded.
    Invalid(EventError),
    /// The till's books after an answer of the cloud, or an adoption.
    Settled(Backlog),
    /// There is nothing of that kind to try again, to correct, to give way or to set aside.
    NothingToRetry,
    /// How the catalog stands now.
    Catalogued(catalog::Standing),
    /// This program cannot read that entity: it took nothing of the page, and needs an update.
    CatalogUnreadable(EntityId),
    /// Nothing was recorded for a register's session, or the cloud's word on it was noted.
    Session(SessionOutput),
    /// What became of something about the branch's inbox.
    Inbox(inbox::Output),
    /// The plan is applied: its rows are durable.
    PlanApplied(reconcile::Applied),
    /// The plan was not applied; nothing was changed.
    PlanRefused(PlanRefusal),
}

/// Why a till has opened a new epoch. Variants are stored: append only.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum Parted {
    /// The file outside names another installation: the database was copied.
    Copied,
    /// The file outside names a later boot: the database was restored.
    Restored,
    /// The cloud holds more of this history than the till.
    LostTail,
    /// The cloud holds another history after a common entry.
    Forked,
}

/// What is left to do, for the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Entries that were never answered.
    pub fresh: u64,
    /// Entries of closed histories may have to be carried over.
    pub adopting: bool,
    /// Why the queue is in quarantine, if it is.
    pub quarantined: Option<Denial>,
    /// A new epoch was opened by this step: greet again before pushing.
    pub parted: Option<Parted>,
}

impl Machine for Terminal {
    type Input = Input;
    type Output = Output;
    type Key = Key;
    type Record = Record;

    fn reads(&self, input: &Input, keys: &mut ReadSet<Key>) {
        keys.insert(Key::Meta);
        match input {
            Input::Install { .. } | Input::Open { .. } => keys.insert(Key::Schema),
            Input::Denied(_) => {}
            Input::Record(draft) => record::reads(draft, keys),
            Input::Welcomed { welcome, .. } => greeted::reads(welcome, keys),
            Input::Answered { epoch, answer } => answered::reads(*epoch, answer, keys),
            Input::Adopt(adoption) => adopt::reads(adoption, keys),
            Input::Delta(answer) => catalog::reads_delta(answer, keys),
            Input::CatalogRun(run) => catalog::reads_run(run, keys),
            Input::Session(draft) => register::reads(draft, keys),
            Input::SessionVerdict(report) => register::reads_told(report, keys),
            Input::Inbox(input) => inbox::reads(input, keys),
            Input::ApplyPlan(application) => reconcile::reads(application, keys),
            Input::Migrate(step) => migrate::reads(step, keys),
            Input::Archive(copied) => archive::reads(copied, keys),
            Input::Note(_) => diary::reads(keys),
            Input::Correct(correct) => correct::reads(correct, keys),
            Input::GiveWay(way) => correct::reads_way(way, keys),
            Input::Retry { place, .. } | Input::SetAside(place) => {
                keys.insert(Key::Attention(place.epoch, place.seq));
                keys.insert(Key::Queue(place.epoch, place.seq));
            }
        }
    }

    fn step(&self, now: Millis, input: &Input, rows: &mut Rows<'_, Self>) -> Output {
        if let Input::Install { identity, witness, nonce } = input {
            return open::install(rows, *identity, *witness, *nonce);
        }
        let Some(meta) = rows.meta().cloned() else {
            return Output::NotInstalled(None);
        };
        match input {
            Input::Install { .. } => unreachable!("answered above"),
            Input::Open { witness, fresh, nonce } => {
                open::open(rows, meta, *witness, *fresh, *nonce)
            }
            Input::Record(draft) => record::step(rows, now, meta, draft),
            Input::Welcomed { welcome, nonce } => greeted::step(rows, meta, welcome, *nonce),
            Input::Answered { epoch, answer } => answered::step(rows, now, meta, *epoch, answer),
            Input::Denied(denial) => denied(rows, meta, *denial),
            Input::Adopt(adoption) => adopt::step(rows, now, meta, adoption),
            Input::Retry { place, .. } => retry(rows, now, &meta, *place),
            Input::Correct(correct) => correct::step(rows, now, meta, correct),
            Input::GiveWay(way) => correct::give_way(rows, now, meta, way),
            Input::SetAside(place) => correct::set_aside(rows, now, &meta, *place),
            Input::Delta(answer) => catalog::delta(rows, answer),
            Input::CatalogRun(run) => catalog::run(rows, run),
            Input::Session(draft) => register::step(rows, now, meta, draft),
            Input::SessionVerdict(report) => register::told(rows, now, &meta, report),
            Input::Inbox(input) => Output::Inbox(inbox::step(rows, now, &meta, input)),
            Input::ApplyPlan(plan) => reconcile::apply(rows, meta.identity, plan),
            Input::Migrate(step) => migrate::step(rows, &meta, step),
            Input::Archive(copied) => archive::step(rows, &meta, copied),
            Input::Note(notes) => diary::step(rows, &meta, notes),
        }
    }
}

/// Quarantine keeps everything and sends nothing but greetings, until the cloud listens again.
fn denied(rows: &mut Rows<'_, Terminal>, meta: Meta, denial: Denial) -> Output {
    let before = meta.quarantined;
    let quarantined = if denial.quarantines() { Some(denial) } else { meta.quarantined };
    assert!(quarantined.is_some() || before.is_none(), "a denial releases no queue");
    assert!(quarantined.is_some() || !denial.quarantines(), "who is turned away sends nothing");
    settle(rows, Meta { quarantined, ..meta }, None)
}

fn retry(rows: &mut Rows<'_, Terminal>, now: Millis, meta: &Meta, place: Place) -> Output {
    let key = Key::Attention(place.epoch, place.seq);
    if rows.get(&key).is_none() {
        return Output::NothingToRetry;
    }
    rows.remove(key);
    let queued = row::Queued { attempts: 0, due: now, code: None };
    rows.put(Key::Queue(place.epoch, place.seq), Record::Queue(queued));
    assert!(rows.attention(place.epoch, place.seq).is_none(), "what waits needs no attention");
    Output::Settled(meta.backlog())
}

/// Stores the till's books and tells the session what is left to do.
fn settle(rows: &mut Rows<'_, Terminal>, meta: Meta, parted: Option<Parted>) -> Output {
    assert!(meta.acked <= meta.head, "only entries that exist are answered");
    let backlog = Backlog { parted, ..meta.backlog() };
    assert!(backlog.fresh <= meta.head, "no more can be fresh than there is");
    assert_eq!(backlog.fresh == 0, meta.acked == meta.head, "who has all answers has no backlog");
    assert!(parted.is_none() || meta.head == 0, "a history begins without entries");
    assert!(parted.is_none() || backlog.adopting, "what a parting left is to be carried over");
    assert!(parted.is_none() || meta.parent.is_some(), "who parts knows from where");
    if rows.meta() != Some(&meta) {
        rows.put(Key::Meta, Record::Meta(meta));
    }
    Output::Settled(backlog)
}

impl Persist for Terminal {
    fn key_bytes(key: &Key, out: &mut Vec<u8>) {
        key.write(out);
    }

    fn key_from_bytes(bytes: &[u8]) -> Result<Key, Damaged> {
        Key::read(bytes)
    }

    fn record_bytes(record: &Record, out: &mut Vec<u8>) {
        let start = out.len();
        codec::encode_into(row::ROW_VERSION, record, out);
        assert!(out.len() > start + 1, "a record has a version and a body");
        assert!(out.len() - start <= MESSAGE_BYTES_MAX, "what is written can be read again");
    }

    fn record_from_bytes(key: &Key, bytes: &[u8]) -> Result<Record, Damaged> {
        let record: Record = codec::decode_row(row::ROW_VERSION, bytes)
            .map_err(|_| Damaged { what: "till record", why: "its bytes have another shape" })?;
        if !record.belongs_to(key) {
            let why = "it stands under a key of another kind";
            return Err(Damaged { what: "till record", why });
        }
        match damage::contradiction(key, &record) {
            Some(why) => Err(Damaged { what: "till record", why }),
            None => Ok(record),
        }
    }
}
