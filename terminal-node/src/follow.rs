//! The driver of [`Follower`]: it asks for the catalog, and commits what comes.
//!
//! It has a connection of its own, so that a long snapshot holds up no sale. The store it shares
//! with the sync loop and the callers, a commit at a time.

use std::time::Duration;

use counterfoil_protocol::session::follow::{Follower, Input, Output};
use counterfoil_protocol::session::{Config, Fault};
use counterfoil_protocol::terminal::catalog::{Standing, Wanted, beside, wanted};
use counterfoil_protocol::terminal::edits::asked;
use counterfoil_protocol::terminal::{self};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{DeltaAnswer, SnapshotPage};
use tokio::time::Instant;

use crate::reach::Way;
use crate::till::{Till, TillError, TillStore, storage_failed};
use crate::transport::{Connector, Transport};

/// Follows the cloud's catalog for one till.
#[derive(Debug)]
pub struct FollowLoop<S, C> {
    till: Till<S>,
    transport: Transport<C>,
    follower: Follower,
    config: Config,
    start: Instant,
    /// What the cloud has answered, until it is committed.
    told: Option<Told>,
}

#[derive(Debug)]
enum Told {
    Delta(DeltaAnswer),
    Run(SnapshotPage),
}

impl<S, C> FollowLoop<S, C>
where
    S: TillStore,
    C: Connector,
{
    /// Makes the loop of an open till. It must be made inside a tokio runtime.
    #[must_use]
    pub fn new(till: Till<S>, transport: Transport<C>, config: Config) -> Self {
        let follower = Follower::new(config, till.draw(), Millis::ZERO);
        Self { till, transport, follower, config, start: Instant::now(), told: None }
    }

    /// Runs until the till's store fails. To stop it, drop the future.
    ///
    /// # Errors
    /// The store's: nothing can be believed until it is reopened.
    pub async fn run(mut self) -> Result<std::convert::Infallible, TillError> {
        loop {
            self.turn().await?;
        }
    }

    /// Waits until there is something to do, does it, and returns how the catalog stood at the last
    /// commit of this turn, or is known to stand still; none if nothing was learnt of it.
    ///
    /// # Errors
    /// The store's.
    pub async fn turn(&mut self) -> Result<Option<Standing>, TillError> {
        let heard = self.rest().await;
        let settled = self.settle().await?;
        // Who was told to be at the head stands as after the commit that led there.
        let told = if heard == Input::Heads(true) { self.follower.standing() } else { None };
        Ok(settled.or(told))
    }

    /// Follows until the catalog is proven, or an answer fails: the command line's way.
    ///
    /// # Errors
    /// The store's.
    pub async fn settle_now(&mut self) -> Result<(), TillError> {
        self.follower.handle_input(self.now(), Input::Wake);
        self.settle().await?;
        Ok(())
    }

    async fn rest(&mut self) -> Input {
        // 3. Sleep until `wake_at`, or until something happens.
        let deadline = self.start + Duration::from_millis(self.follower.wake_at().0);
        let input = tokio::select! {
            // In this order, and not at random: a run is a function of its seed.
            biased;
            () = tokio::time::sleep_until(deadline) => Input::Wake,
            nudge = self.till.nudged_to_follow() => Input::Nudge(nudge),
            at_head = self.till.heads_to_follow() => Input::Heads(at_head),
        };
        // 1. Something happened.
        self.follower.handle_input(self.now(), input);
        input
    }

    async fn settle(&mut self) -> Result<Option<Standing>, TillError> {
        let mut standing = None;
        // 2. Poll until there is nothing to do.
        while let Some(output) = self.follower.poll_output() {
            let input = match output {
                Output::Ask(number) => Input::Answered(number, self.ask().await?),
                Output::Commit => {
                    standing = self.commit().await?;
                    Input::Committed(standing)
                }
            };
            self.follower.handle_input(self.now(), input);
        }
        Ok(standing)
    }

    async fn ask(&mut self) -> Result<Result<(), Fault>, TillError> {
        let (wish, edits) = {
            let reading = self.till.reading().await?;
            let wish = wanted(&*reading).await.map_err(storage_failed)?;
            (wish, asked(&*reading).await.map_err(storage_failed)?)
        };
        let attempt = self.follower.attempt();
        let request_id = self.till.draw();
        self.till.introduce(&mut self.transport).await?;
        let timeout = Duration::from_millis(self.config.request_timeout.0);
        let asking = async {
            match wish {
                Wanted::Delta(from) => {
                    let delta = self.transport.delta(from, &edits, attempt, request_id);
                    delta.await.map(Told::Delta)
                }
                Wanted::Snapshot { pinned, after } => {
                    let run = self.transport.catalog_run(pinned, after, attempt, request_id);
                    run.await.map(Told::Run)
                }
            }
        };
        let told = tokio::time::timeout(timeout, asking).await.unwrap_or(Err(Fault::Transport));
        self.till.reached(Way::Follow, told.as_ref().err().copied());
        Ok(match told {
            Ok(told) => {
                self.told = Some(told);
                Ok(())
            }
            Err(fault) => {
                tracing::debug!(?fault, syncAttempt = attempt, "no catalog");
                self.transport.disconnect();
                Err(fault)
            }
        })
    }

    async fn commit(&mut self) -> Result<Option<Standing>, TillError> {
        let input = match self.told.take() {
            Some(Told::Delta(answer)) => terminal::Input::Delta(answer),
            Some(Told::Run(page)) => {
                let reading = self.till.reading().await?;
                let run = beside(&*reading, page).await.map_err(storage_failed)?;
                terminal::Input::CatalogRun(run)
            }
            None => unreachable!("a commit follows an answer"),
        };
        match self.till.apply(input).await? {
            terminal::Output::Catalogued(standing) => {
                if standing.proven {
                    tracing::debug!(version = standing.version, "the catalog is proven");
                }
                Ok(Some(standing))
            }
            terminal::Output::CatalogUnreadable(entity) => {
                tracing::warn!(%entity, "the catalog needs a newer version of this program");
                Ok(None)
            }
            terminal::Output::NotInstalled(other) => Err(TillError::NotInstalled(other)),
            output @ (terminal::Output::Opened { .. }
            | terminal::Output::Recorded { .. }
            | terminal::Output::Taken(_)
            | terminal::Output::Invalid(_)
            | terminal::Output::Settled(_)
            | terminal::Output::NothingToRetry
            | terminal::Output::Session(_)
            | terminal::Output::Inbox(_)
            | terminal::Output::PlanApplied(_)
            | terminal::Output::PlanRefused(_)) => {
                unreachable!("a page of the catalog is not answered by {output:?}")
            }
        }
    }

    fn now(&self) -> Millis {
        let elapsed = self.start.elapsed().as_millis();
        Millis(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}
