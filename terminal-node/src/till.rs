//! The till: one database, many callers, one commit for all who wait.
//!
//! Callers of [`Till::record`] leave their drafts in a queue and take turns at the store. Whoever
//! holds it commits everything that waits, in one transaction, and hands each caller its own
//! answer, and sync a nudge: group commit without a timer, a thread or a background task. While
//! one commit is on its way to the disk, the next one gathers.
//!
//! After a store error nobody knows what was written, so the till refuses from then on
//! ([`TillError::StorageFailed`]) until it is made anew over a reopened store.

mod carry;
mod error;
mod heads;
mod notes;
mod parcels;
mod reading;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard as StdGuard, PoisonError};

use counterfoil_protocol::identity::{LocalEventId, PosId, Witness};
use counterfoil_protocol::machine::{Query, Store, run};
use counterfoil_protocol::session::{Fault, Nudge};
use counterfoil_protocol::terminal::diary::{Note, Noted};
use counterfoil_protocol::terminal::{Draft, Identity, Input, Output, Parted, Terminal, pull};
use tokio::sync::{Mutex, MutexGuard, oneshot, watch};

use crate::migrate::check_version;
use crate::nudges::Nudges;
use crate::parcel::kept::Kept;
use crate::ports::{Clock, Entropy};
use crate::reach::{Reach, Way};
use crate::witness::{Found, Keeper};

pub use error::TillError;
pub use reading::Reading;

/// The most drafts in one transaction.
pub const GROUP_MAX: usize = 128;

/// A database that a till can live on: any engine of the storage crate, or a test's own.
pub trait TillStore:
    Store<Terminal, Error: fmt::Display + Send>
    + Query<Terminal, Error: fmt::Display + Send>
    + Send
    + Sync
{
}

impl<S> TillStore for S where
    S: Store<Terminal, Error: fmt::Display + Send>
        + Query<Terminal, Error: fmt::Display + Send>
        + Send
        + Sync
{
}

/// How a till was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What stands outside the database now.
    pub witness: Witness,
    /// Why a new epoch was opened, if one was.
    pub parted: Option<Parted>,
    /// What stood outside the database before.
    pub found: Found,
}

/// A handle to the till; clones share it.
pub struct Till<S> {
    shared: Arc<Shared<S>>,
}

impl<S> Clone for Till<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S> fmt::Debug for Till<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Till").finish_non_exhaustive()
    }
}

struct Shared<S> {
    slot: Mutex<Slot<S>>,
    waiting: StdMutex<VecDeque<Waiting>>,
    entropy: StdMutex<Box<dyn Entropy>>,
    clock: Arc<dyn Clock>,
    /// For the sync loop.
    nudges: Nudges,
    /// For the loop that follows the catalog.
    follower: Nudges,
    /// For the loop that collects inventory events.
    collector: Nudges,
    words: heads::Words,
    reach: Reach,
    /// Counts commits, for whoever shows the till.
    commits: watch::Sender<u64>,
    failure: watch::Sender<Option<String>>,
    /// What is to be noted with the next commit that is about the cloud.
    notes: StdMutex<Vec<Note>>,
    /// Held by whoever looks what was taken back of a sale, and then takes something back.
    returns: Mutex<()>,
    parcels: StdMutex<Kept>,
}

pub(crate) struct Slot<S> {
    pub(crate) store: S,
    stage: Stage,
}

enum Stage {
    Closed,
    Open,
    Failed(String),
}

struct Waiting {
    draft: Draft,
    answer: oneshot::Sender<Result<Output, TillError>>,
}

impl<S: TillStore> Till<S> {
    /// Takes the database over. [`Till::open`] comes next.
    #[must_use]
    pub fn new(store: S, clock: Arc<dyn Clock>, entropy: Box<dyn Entropy>) -> Self {
        let shared = Shared {
            slot: Mutex::new(Slot { store, stage: Stage::Closed }),
            waiting: StdMutex::default(),
            entropy: StdMutex::new(entropy),
            clock,
            nudges: Nudges::default(),
            follower: Nudges::default(),
            collector: Nudges::default(),
            words: heads::Words::default(),
            reach: Reach::default(),
            commits: watch::Sender::new(0),
            failure: watch::Sender::new(None),
            notes: StdMutex::default(),
            returns: Mutex::new(()),
            parcels: StdMutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes this database the till `identity`, if it is new. Harmless on the same till's
    /// database: then not even the witness is touched, because it may be the proof that the
    /// database was exchanged.
    ///
    /// # Errors
    /// [`TillError::NotInstalled`] with the other till whose database this is.
    pub async fn install(
        &self,
        identity: Identity,
        keeper: &mut impl Keeper,
    ) -> Result<(), TillError> {
        let mut slot = self.locked().await?;
        check_version(&slot.store).await?;
        let known = pull::meta(&slot.store).await.map_err(storage_failed)?;
        if let Some(meta) = known {
            let same = meta.identity == identity;
            return if same { Ok(()) } else { Err(TillError::NotInstalled(Some(meta.identity))) };
        }
        let (witness, nonce) = (self.fresh_witness(), self.draw());
        let install = Input::Install { identity, witness, nonce };
        let (witness, _) = opened(self.commit_one(&mut slot, install).await?)?;
        keeper.write(witness).map_err(witness_failed)
    }

    /// Opens the till: asks whether this is still the database that was closed, opens a new epoch
    /// if not, and writes the witness. Only then does anything else work.
    ///
    /// # Errors
    /// Each leaves the till closed.
    pub async fn open(&self, keeper: &mut impl Keeper) -> Result<Opened, TillError> {
        let mut slot = self.locked().await?;
        check_version(&slot.store).await?;
        let found = keeper.read().map_err(witness_failed)?;
        let (fresh, nonce) = (self.fresh_witness(), self.draw());
        let open = Input::Open { witness: found.witness(), fresh, nonce };
        let started = Note { at: self.shared.clock.now(), what: Noted::Started };
        let outputs = self.commit(&mut slot, &[open, Input::Note(vec![started])]).await?;
        let (witness, parted) = opened(first(outputs))?;
        keeper.write(witness).map_err(witness_failed)?;
        if let Some(why) = parted {
            let meta = pull::meta(&slot.store).await.map_err(storage_failed)?;
            let meta = meta.ok_or(TillError::NotInstalled(None))?;
            self.jot(Noted::Parted { why, epoch: meta.epoch });
        }
        slot.stage = Stage::Open;
        Ok(Opened { witness, parted, found })
    }

    async fn record_once(&self, draft: Draft) -> Result<Output, TillError> {
        let (answer, mut answered) = oneshot::channel();
        lock(&self.shared.waiting).push_back(Waiting { draft, answer });
        loop {
            let mut slot = self.shared.slot.lock().await;
            // Whoever held the store before may have taken this draft along.
            match answered.try_recv() {
                Ok(output) => return output,
                Err(oneshot::error::TryRecvError::Closed) => {
                    return Err(TillError::StorageFailed(ABANDONED.to_owned()));
                }
                Err(oneshot::error::TryRecvError::Empty) => self.commit_group(&mut slot).await,
            }
        }
    }

    /// Records several events at once, in one transaction for each [`GROUP_MAX`] of them.
    ///
    /// # Errors
    /// As [`Till::record`]; some of them may have been recorded.
    pub async fn record_all(&self, drafts: Vec<Draft>) -> Result<Vec<Output>, TillError> {
        let mut outputs = Vec::with_capacity(drafts.len());
        let mut inputs = drafts.into_iter().map(Input::Record).peekable();
        while inputs.peek().is_some() {
            let group: Vec<Input> = inputs.by_ref().take(GROUP_MAX).collect();
            let mut slot = self.locked().await?;
            self.may_decide(&slot)?;
            outputs.extend(self.commit(&mut slot, &group).await?);
        }
        Ok(outputs)
    }

    /// Lets an event that needs attention be tried again. `false`: it does not need attention.
    ///
    /// # Errors
    /// The store's.
    pub async fn retry(&self, pos: PosId, local_id: LocalEventId) -> Result<bool, TillError> {
        let Some(known) = self.known(pos, local_id).await? else {
            return Ok(false);
        };
        let place = known.place;
        let retry = Input::Retry { pos, local_id, place };
        let settled = matches!(self.apply(retry).await?, Output::Settled(_));
        if settled {
            self.nudge(Nudge::Manual);
        }
        Ok(settled)
    }

    /// Waits until nobody else is about to take something back, or to correct a sale.
    pub(crate) async fn returning(&self) -> MutexGuard<'_, ()> {
        self.shared.returns.lock().await
    }

    /// Decides on any one input: what the sync loop learns from the cloud comes in here.
    ///
    /// # Errors
    /// The store's, or [`TillError::NotOpen`].
    pub async fn apply(&self, input: Input) -> Result<Output, TillError> {
        let mut slot = self.locked().await?;
        self.may_decide(&slot)?;
        let mut inputs = vec![input];
        inputs.extend(self.notes_beside(&inputs[0]));
        Ok(first(self.commit(&mut slot, &inputs).await?))
    }

    /// Returns committed rows to look at. Selling waits until the guard is dropped.
    ///
    /// # Errors
    /// [`TillError::StorageFailed`] after a store error.
    pub async fn reading(&self) -> Result<Reading<'_, S>, TillError> {
        Ok(Reading(self.locked().await?))
    }

    /// Tells the loops that talk to the cloud that there may be something to do.
    pub fn nudge(&self, nudge: Nudge) {
        self.shared.nudges.announce(nudge);
        if nudge != Nudge::Recorded {
            self.shared.follower.announce(nudge);
            self.shared.collector.announce(nudge);
        }
    }

    /// Tells the loop that sends what was recorded, and no other.
    pub(crate) fn nudge_session(&self, nudge: Nudge) {
        self.shared.nudges.announce(nudge);
    }

    /// Tells the loop that follows the catalog that there is news of this till's own making.
    pub fn nudge_follower(&self) {
        self.shared.follower.announce(Nudge::Manual);
    }

    /// Tells the loops that ask for the catalog and for inventory events that the cloud has news.
    pub(crate) fn nudge_of_news(&self, catalog: bool, inbox: bool) {
        // As if the link were back: it shortens no wait that the cloud has asked for.
        if catalog {
            self.shared.follower.announce(Nudge::LinkUp);
        }
        if inbox {
            self.shared.collector.announce(Nudge::LinkUp);
        }
    }

    /// Notes what came of a request on a connection: the other hears of a link that is back.
    pub(crate) fn reached(&self, way: Way, fault: Option<Fault>) {
        if self.shared.reach.note(way, fault) {
            let other = if way == Way::Sync { &self.shared.follower } else { &self.shared.nudges };
            other.announce(Nudge::LinkUp);
        }
    }

    /// Waits for the next nudge that is about the catalog too.
    pub async fn nudged_to_follow(&self) -> Nudge {
        self.shared.follower.next().await
    }

    /// Waits for the next nudge that is about inventory events too.
    pub async fn nudged_to_collect(&self) -> Nudge {
        self.shared.collector.next().await
    }

    /// Waits for the next nudge: the sync loop's side of [`Till::nudge`].
    pub async fn nudged(&self) -> Nudge {
        self.shared.nudges.next().await
    }

    /// Returns a count of commits that follows the till: whoever shows it looks again.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.shared.commits.subscribe()
    }

    /// Waits until the store has failed, and returns why. The program then restarts.
    pub async fn failed(&self) -> String {
        let mut failure = self.shared.failure.subscribe();
        let why = failure.wait_for(Option::is_some).await;
        why.map_or_else(|_| String::new(), |why| why.clone().unwrap_or_default())
    }

    /// Returns the clock that events and waits are stamped by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Draws a random number.
    #[must_use]
    pub fn draw(&self) -> u64 {
        lock(&self.shared.entropy).draw()
    }

    fn fresh_witness(&self) -> Witness {
        let (install, boot) = (self.draw(), self.draw());
        Witness { install, boot }
    }

    pub(crate) async fn locked(&self) -> Result<MutexGuard<'_, Slot<S>>, TillError> {
        let slot = self.shared.slot.lock().await;
        match &slot.stage {
            Stage::Failed(why) => Err(TillError::StorageFailed(why.clone())),
            Stage::Closed | Stage::Open => Ok(slot),
        }
    }

    #[expect(clippy::unused_self, reason = "reads as a question to the till")]
    pub(crate) fn may_decide(&self, slot: &Slot<S>) -> Result<(), TillError> {
        match &slot.stage {
            Stage::Open => Ok(()),
            Stage::Closed => Err(TillError::NotOpen),
            Stage::Failed(why) => Err(TillError::StorageFailed(why.clone())),
        }
    }

    /// Commits everything that waits, and answers each caller.
    async fn commit_group(&self, slot: &mut Slot<S>) {
        let mut inputs = Vec::new();
        let mut answers = Vec::new();
        {
            let mut waiting = lock(&self.shared.waiting);
            while let Some(next) = waiting.pop_front() {
                // A caller that has gone away was told nothing, so nothing is recorded for it.
                if !next.answer.is_closed() {
                    inputs.push(Input::Record(next.draft));
                    answers.push(next.answer);
                }
                if inputs.len() == GROUP_MAX {
                    break;
                }
            }
        }
        if inputs.is_empty() {
            return;
        }
        let outputs = match self.may_decide(slot) {
            Ok(()) => self.commit(slot, &inputs).await,
            Err(error) => Err(error),
        };
        match outputs {
            Ok(outputs) => {
                for (answer, output) in answers.into_iter().zip(outputs) {
                    let _gone = answer.send(Ok(output));
                }
            }
            Err(error) => {
                for answer in answers {
                    let _gone = answer.send(Err(error.clone()));
                }
            }
        }
    }

    pub(crate) async fn commit_one(
        &self,
        slot: &mut Slot<S>,
        input: Input,
    ) -> Result<Output, TillError> {
        Ok(first(self.commit(slot, &[input]).await?))
    }

    /// The one way into the database: one transaction, then the nudge.
    async fn commit(&self, slot: &mut Slot<S>, inputs: &[Input]) -> Result<Vec<Output>, TillError> {
        let now = self.shared.clock.now();
        // If this future is dropped half way, or panics, the outcome is unknown too.
        let unknown = Stage::Failed(ABANDONED.to_owned());
        let before = std::mem::replace(&mut slot.stage, unknown);
        let mut alarm = Alarm(Some(&self.shared.failure));
        let outputs = run(&Terminal, &mut slot.store, now, inputs).await;
        alarm.0 = None;
        match outputs {
            Ok(outputs) => {
                slot.stage = before;
                self.shared.commits.send_modify(|commits| *commits += 1);
                if outputs.iter().any(is_new) {
                    self.nudge(Nudge::Recorded);
                }
                Ok(outputs)
            }
            Err(error) => {
                let why = error.to_string();
                slot.stage = Stage::Failed(why.clone());
                self.shared.failure.send_replace(Some(why.clone()));
                Err(TillError::StorageFailed(why))
            }
        }
    }
}

const ABANDONED: &str = "a commit was abandoned half way";

/// Tells whoever supervises the till, unless it is taken back.
struct Alarm<'a>(Option<&'a watch::Sender<Option<String>>>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if let Some(failure) = self.0 {
            failure.send_replace(Some(ABANDONED.to_owned()));
        }
    }
}

/// Returns the answer to the input that the others of its commit stand beside.
fn first(outputs: Vec<Output>) -> Output {
    outputs.into_iter().next().expect("one output for each input")
}

fn opened(output: Output) -> Result<(Witness, Option<Parted>), TillError> {
    match output {
        Output::Opened { witness, parted } => Ok((witness, parted)),
        Output::NotInstalled(other) => Err(TillError::NotInstalled(other)),
        Output::Recorded { .. }
        | Output::Taken(_)
        | Output::Invalid(_)
        | Output::Settled(_)
        | Output::NothingToRetry
        | Output::Catalogued(_)
        | Output::CatalogUnreadable(_)
        | Output::Session(_)
        | Output::Inbox(_)
        | Output::PlanApplied(_)
        | Output::PlanRefused(_) => unreachable!("an opening is not answered by {output:?}"),
    }
}

fn is_new(output: &Output) -> bool {
    matches!(output, Output::Recorded { again: false, .. })
}

/// Turns a failed query into the till's error.
pub(crate) fn storage_failed(error: impl fmt::Display) -> TillError {
    TillError::StorageFailed(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn witness_failed(error: std::io::Error) -> TillError {
    TillError::Witness(error.to_string())
}

/// What these locks guard is never left half changed, so a panic elsewhere does not matter.
fn lock<T: ?Sized>(mutex: &StdMutex<T>) -> StdGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
