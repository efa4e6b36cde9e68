//! Verify: the till's catalog, counted anew, against the cloud's; then a plan, or a repair.
//!
//! The rows are counted a page at a time, so that selling goes on; only when a plan is applied, the
//! count and the commit are one piece. It has a connection of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use counterfoil_protocol::catalog::EntityId;
use counterfoil_protocol::reconcile::plan::Approved;
use counterfoil_protocol::reconcile::{
    Census, Inputs, Next, Plan, PlanRefusal, Refusal, Verify, census,
};
use counterfoil_protocol::session::{Config, Fault, Nudge};
use counterfoil_protocol::terminal::catalog::Standing;
use counterfoil_protocol::terminal::edits::local_edits;
use counterfoil_protocol::terminal::reconcile::{Application, Applied};
use counterfoil_protocol::terminal::row::CatalogState;
use counterfoil_protocol::terminal::{self};
use counterfoil_protocol::wire::catalog::DeltaAnswer;
use tokio::sync::{mpsc, oneshot};

use crate::till::{Till, TillError, TillStore, storage_failed};
use crate::transport::{Connector, Transport};

/// How often a comparison begins again because the catalog moved on meanwhile.
const TRIES_MAX: u32 = 5;
/// How often a daemon counts its rows by itself.
pub const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// Requests that wait for their turn.
const WAITING_MAX: usize = 4;

/// What a comparison has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// What is to be done; perhaps nothing.
    Plan(Box<Plan>),
    /// More differs than one plan can tell: compare by snapshot, which mends it run by run.
    Snapshot {
        /// About how many rows differ, if that is known.
        estimated: Option<u64>,
    },
}

/// Why there is no plan, or why it was not applied. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The till's.
    #[error(transparent)]
    Till(#[from] TillError),
    /// The cloud does not answer, or refuses.
    #[error("the cloud cannot be asked ({0:?}): sell on, and verify when the link is back")]
    Link(Fault),
    /// There is no whole catalog yet to compare.
    #[error("the catalog is still being fetched whole: verify when `sync` is done")]
    NotReady,
    /// The catalog keeps changing.
    #[error("the catalog is being edited right now: verify again in a minute")]
    Busy,
    /// An answer that cannot be true.
    #[error("nothing was changed: {0}")]
    Refused(#[from] Refusal),
    /// The plan does not fit any more, or never did.
    #[error("nothing was changed: {0}")]
    Plan(#[from] PlanRefusal),
}

/// Compares one till's catalog with the cloud's.
#[derive(Debug)]
pub struct Verifier<S, C> {
    till: Till<S>,
    transport: Transport<C>,
    config: Config,
}

/// A way to ask for a comparison.
#[derive(Clone, Debug)]
pub struct Desk(mpsc::Sender<oneshot::Sender<Result<Verified, VerifyError>>>);

/// The other end of a [`Desk`].
#[derive(Debug)]
pub struct Orders(mpsc::Receiver<oneshot::Sender<Result<Verified, VerifyError>>>);

/// Makes a desk.
#[must_use]
pub fn desk() -> (Desk, Orders) {
    let (desk, orders) = mpsc::channel(WAITING_MAX);
    (Desk(desk), Orders(orders))
}

impl Desk {
    /// Asks for a comparison.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub async fn verify(&self) -> Result<Verified, VerifyError> {
        let (answer, answered) = oneshot::channel();
        let busy = |_| VerifyError::Busy;
        self.0.try_send(answer).map_err(busy)?;
        answered.await.unwrap_or(Err(VerifyError::Busy))
    }
}

impl<S: TillStore, C: Connector> Verifier<S, C> {
    /// Makes a verifier of an open till.
    #[must_use]
    pub const fn new(till: Till<S>, transport: Transport<C>, config: Config) -> Self {
        Self { till, transport, config }
    }

    /// Serves a desk, and compares by itself now and then; what is safe then is repaired, and
    /// everything is logged. It ends when the till's store fails.
    ///
    /// # Errors
    /// The store's.
    pub async fn run(mut self, mut orders: Orders) -> Result<std::convert::Infallible, TillError> {
        // Tills that started together part.
        let spread = Duration::from_secs(self.till.draw() % (EVERY.as_secs() / 2));
        let mut next = tokio::time::Instant::now() + EVERY / 2 + spread;
        loop {
            tokio::select! {
                biased;
                order = orders.0.recv() => {
                    let Some(answer) = order else { return std::future::pending().await };
                    let _gone = answer.send(self.verify().await);
                }
                () = tokio::time::sleep_until(next) => {
                    next += EVERY;
                    match self.mend().await {
                        Ok(()) => {}
                        Err(VerifyError::Till(error)) => return Err(error),
                        Err(error) => tracing::info!(%error, "the catalog was not verified"),
                    }
                }
            }
        }
    }

    /// Compares, and repairs what a person need not confirm.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub async fn mend(&mut self) -> Result<(), VerifyError> {
        match self.verify().await? {
            Verified::Plan(plan) if plan.is_clean() || !plan.changes_something() => {}
            Verified::Plan(plan) if plan.needs_confirmation() => {
                tracing::warn!(counts = ?plan.counts, "the catalog has drifted: run `verify`");
            }
            Verified::Plan(plan) => {
                let applied = self.till.apply_plan(*plan).await?;
                tracing::warn!(counts = ?applied.counts, "the catalog had drifted, and is mended");
            }
            Verified::Snapshot { estimated } => {
                tracing::warn!(?estimated, "the catalog has drifted: it is fetched whole");
                self.till.fetch_whole().await?;
            }
        }
        Ok(())
    }

    /// Compares. Nothing is changed.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub async fn verify(&mut self) -> Result<Verified, VerifyError> {
        for _ in 0..TRIES_MAX {
            match self.compare().await {
                Ok(Some(verified)) => return Ok(verified),
                Ok(None) | Err(VerifyError::Refused(Refusal::Changed(_))) => self.follow().await?,
                Err(error) => return Err(error),
            }
        }
        Err(VerifyError::Busy)
    }

    /// Compares once; `None` if the catalog moved on meanwhile.
    async fn compare(&mut self) -> Result<Option<Verified>, VerifyError> {
        let Some((state, census)) = self.till.census().await? else {
            return Err(VerifyError::NotReady);
        };
        let identity = self.till.meta().await?.identity;
        let begun = Verify::new(identity, &state, census);
        let mut verify = begun.ok_or(VerifyError::NotReady)?;
        let timeout = self.timeout();
        let mut next = Next::Ask(verify.ask());
        loop {
            next = match next {
                Next::Ask(ask) => {
                    let id = self.till.draw();
                    let answer = self.transport.reconcile(&ask, id);
                    match tokio::time::timeout(timeout, answer).await {
                        Ok(Ok(answer)) => verify.answered(answer)?,
                        Ok(Err(Fault::TooLarge)) => Next::Snapshot { estimated: None },
                        Ok(Err(fault)) => return Err(self.broken(fault)),
                        Err(_) => return Err(self.broken(Fault::Transport)),
                    }
                }
                Next::Fetch(ask) => {
                    let id = self.till.draw();
                    let answer = self.transport.entities(&ask, id);
                    match tokio::time::timeout(timeout, answer).await {
                        Ok(Ok(answer)) => verify.rows(answer)?,
                        Ok(Err(fault)) => return Err(self.broken(fault)),
                        Err(_) => return Err(self.broken(Fault::Transport)),
                    }
                }
                Next::Again => return Ok(None),
                Next::Snapshot { estimated } => return Ok(Some(Verified::Snapshot { estimated })),
                Next::Ready => {
                    let inputs = {
                        let reading = self.till.reading().await?;
                        let edits = pending_edits(&*reading).await?;
                        Inputs::read(&*reading, &verify, edits).await.map_err(storage_failed)?
                    };
                    return Ok(Some(Verified::Plan(Box::new(verify.plan(&inputs)?))));
                }
            };
        }
    }

    /// Brings the catalog one delta further: a comparison begins again from there.
    async fn follow(&mut self) -> Result<(), VerifyError> {
        let Some(CatalogState { version: Some(from), progress: None, .. }) =
            self.till.catalog_state().await?
        else {
            return Err(VerifyError::NotReady);
        };
        let id = self.till.draw();
        let timeout = self.timeout();
        let answer = self.transport.delta(from, &[], 0, id);
        let answer = match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(fault)) => return Err(self.broken(fault)),
            Err(_) => return Err(self.broken(Fault::Transport)),
        };
        // A proof that fails would begin a snapshot; whoever verifies wants to see what it is.
        let answer = match answer {
            DeltaAnswer::Page(page) => {
                DeltaAnswer::Page(counterfoil_protocol::wire::catalog::DeltaPage {
                    head: None,
                    ..page
                })
            }
            // Nobody has asked for edits.
            DeltaAnswer::WithEdits(..) => return Err(self.broken(Fault::Transport)),
            DeltaAnswer::Resync => DeltaAnswer::Resync,
        };
        self.till.apply(terminal::Input::Delta(answer)).await?;
        Ok(())
    }

    const fn timeout(&self) -> Duration {
        Duration::from_millis(self.config.request_timeout.0)
    }

    fn broken(&mut self, fault: Fault) -> VerifyError {
        self.transport.disconnect();
        VerifyError::Link(fault)
    }
}

/// Returns the entities with edits of this till that the cloud has not decided yet.
async fn pending_edits<S: TillStore>(store: &S) -> Result<BTreeSet<EntityId>, TillError> {
    Ok(local_edits(store).await.map_err(storage_failed)?.pending())
}

impl<S: TillStore> Till<S> {
    /// Returns where the catalog stands; `None` before the first page.
    ///
    /// # Errors
    /// The store's.
    pub async fn catalog_state(&self) -> Result<Option<CatalogState>, TillError> {
        let reading = self.reading().await?;
        counterfoil_protocol::reconcile::reduced(&*reading).await.map_err(storage_failed)
    }

    /// Counts the rows of the catalog, page by page, until they stood still while it did; `None` if
    /// there is no whole catalog.
    async fn census(&self) -> Result<Option<(CatalogState, Census)>, VerifyError> {
        for _ in 0..TRIES_MAX {
            let Some(before) = self.catalog_state().await? else { return Ok(None) };
            let mut census = Census::with_room(before.digest.count);
            loop {
                let reading = self.reading().await?;
                let more = census.read(&*reading).await.map_err(storage_failed)?;
                drop(reading);
                if !more {
                    break;
                }
                tokio::task::yield_now().await;
            }
            if self.catalog_state().await? == Some(before) {
                return Ok(Some((before, census)));
            }
        }
        Err(VerifyError::Busy)
    }

    /// Applies a plan: counts the rows once more, and commits, in one piece.
    ///
    /// # Errors
    /// [`VerifyError::Plan`] if it does not fit; nothing was changed then.
    pub async fn apply_plan(&self, plan: Plan) -> Result<Applied, VerifyError> {
        let plan = Approved::new(plan)?;
        match self.commit_plan(plan).await? {
            terminal::Output::PlanApplied(applied) => {
                self.nudge(Nudge::Manual);
                Ok(applied)
            }
            terminal::Output::PlanRefused(refusal) => Err(refusal.into()),
            output @ (terminal::Output::Opened { .. }
            | terminal::Output::NotInstalled(_)
            | terminal::Output::Recorded { .. }
            | terminal::Output::Taken(_)
            | terminal::Output::Invalid(_)
            | terminal::Output::Settled(_)
            | terminal::Output::NothingToRetry
            | terminal::Output::Catalogued(_)
            | terminal::Output::Session(_)
            | terminal::Output::Inbox(_)
            | terminal::Output::CatalogUnreadable(_)) => {
                unreachable!("a plan is not answered by {output:?}")
            }
        }
    }

    /// Lets the catalog be fetched whole: what a plan cannot tell, a snapshot mends run by run.
    ///
    /// # Errors
    /// The store's.
    pub async fn fetch_whole(&self) -> Result<Option<Standing>, TillError> {
        let output = self.apply(terminal::Input::Delta(DeltaAnswer::Resync)).await?;
        self.nudge(Nudge::Manual);
        Ok(if let terminal::Output::Catalogued(standing) = output { Some(standing) } else { None })
    }

    /// Commits a plan: nothing comes between the count of the rows and the commit.
    async fn commit_plan(&self, plan: Approved) -> Result<terminal::Output, TillError> {
        let mut slot = self.locked().await?;
        self.may_decide(&slot)?;
        let seen = census(&slot.store).await.map_err(storage_failed)?.digest();
        let edits = pending_edits(&slot.store).await?;
        let application = Application { plan, seen, edits };
        self.commit_one(&mut slot, terminal::Input::ApplyPlan(Box::new(application))).await
    }
}
