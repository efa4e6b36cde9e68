//! The driver of [`Collector`]: it fetches the branch's inventory events, commits what comes, and
//! acknowledges what is committed (S0.1).
//!
//! It has a connection of its own, so that it holds up no sale. If the cloud cannot be reached it
//! waits and asks again; the till sells on, whatever happens here.

use std::time::Duration;

use counterfoil_protocol::session::inbox::{Collector, Input, Output};
use counterfoil_protocol::session::{Config, Fault};
use counterfoil_protocol::terminal;
use counterfoil_protocol::terminal::inbox::{self, Standing, ack, read, wanted};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::inbox::{AckAnswer, PENDING_USUAL, PendingAnswer};
use tokio::time::Instant;

use crate::till::{Till, TillError, TillStore, storage_failed};
use crate::transport::{Connector, Transport};

/// Collects inventory events for one till.
#[derive(Debug)]
pub struct CollectLoop<S, C> {
    till: Till<S>,
    transport: Transport<C>,
    collector: Collector,
    config: Config,
    start: Instant,
    /// The most events of one commit.
    page: usize,
    /// What the cloud has answered, until it is committed.
    told: Option<PendingAnswer>,
}

impl<S, C> CollectLoop<S, C>
where
    S: TillStore,
    C: Connector,
{
    /// Makes the loop of an open till. It must be made inside a tokio runtime.
    #[must_use]
    pub fn new(till: Till<S>, transport: Transport<C>, config: Config) -> Self {
        let collector = Collector::new(config, till.draw(), Millis::ZERO);
        let start = Instant::now();
        Self { till, transport, collector, config, start, page: PENDING_USUAL, told: None }
    }

    /// Asks for so many events at a time: what a crash can make the till ask for again.
    #[must_use]
    pub fn paging(mut self, events: usize) -> Self {
        self.page = events.clamp(1, PENDING_USUAL);
        self
    }

    /// Runs until the till's store fails. To stop it, drop the future.
    ///
    /// # Errors
    /// The store's: nothing can be believed until it is reopened.
    pub async fn run(mut self) -> Result<std::convert::Infallible, TillError> {
        loop {
            self.rest().await;
            self.settle().await?;
        }
    }

    /// Collects until the end of the inbox, or until an answer fails: the command line's way.
    ///
    /// # Errors
    /// The store's.
    pub async fn settle_now(&mut self) -> Result<(), TillError> {
        self.collector.handle_input(self.now(), Input::Wake);
        self.settle().await
    }

    async fn rest(&mut self) {
        // 3. Sleep until `wake_at`, or until something happens.
        let deadline = self.start + Duration::from_millis(self.collector.wake_at().0);
        let input = tokio::select! {
            // In this order, and not at random: a run is a function of its seed.
            biased;
            () = tokio::time::sleep_until(deadline) => Input::Wake,
            nudge = self.till.nudged_to_collect() => Input::Nudge(nudge),
            at_head = self.till.heads_to_collect() => Input::Heads(at_head),
        };
        // 1. Something happened.
        self.collector.handle_input(self.now(), input);
    }

    async fn settle(&mut self) -> Result<(), TillError> {
        // 2. Poll until there is nothing to do.
        while let Some(output) = self.collector.poll_output() {
            let input = match output {
                Output::Ask(number) => Input::Answered(number, self.ask().await?),
                Output::Commit => Input::Committed(self.commit().await?),
                Output::Ack(number) => Input::Answered(number, self.acknowledge().await?),
            };
            self.collector.handle_input(self.now(), input);
        }
        Ok(())
    }

    async fn ask(&mut self) -> Result<Result<(), Fault>, TillError> {
        let after = {
            let reading = self.till.reading().await?;
            wanted(&*reading).await.map_err(storage_failed)?
        };
        let (attempt, request_id) = (self.collector.attempt(), self.till.draw());
        let timeout = Duration::from_millis(self.config.request_timeout.0);
        self.till.introduce(&mut self.transport).await?;
        let asking = self.transport.pending(after, self.page, attempt, request_id);
        let told = tokio::time::timeout(timeout, asking).await.unwrap_or(Err(Fault::Transport));
        Ok(self.heard(told).map(|told| self.told = Some(told)))
    }

    async fn commit(&mut self) -> Result<Standing, TillError> {
        let told = self.told.take().expect("a commit follows an answer");
        let input = terminal::Input::Inbox(inbox::Input::Delivered(read(told)));
        let terminal::Output::Inbox(inbox::Output::Stands(standing)) =
            self.till.apply(input).await?
        else {
            return Err(TillError::NotInstalled(None));
        };
        if standing.unreadable {
            tracing::warn!("an inventory event needs a newer version of this program");
        }
        if standing.restarted {
            tracing::warn!("the cloud's inbox is another one than before: it is read anew");
        }
        tracing::debug!(applied = standing.applied, cursor = standing.cursor, "inventory events");
        Ok(standing)
    }

    async fn acknowledge(&mut self) -> Result<Result<(), Fault>, TillError> {
        let ack = {
            let reading = self.till.reading().await?;
            ack(&*reading).await.map_err(storage_failed)?
        };
        // Nothing is committed: there is nothing to say.
        let Some(ack) = ack else { return Ok(Ok(())) };
        let (attempt, request_id) = (self.collector.attempt(), self.till.draw());
        let timeout = Duration::from_millis(self.config.request_timeout.0);
        let saying = self.transport.acknowledge(&ack, attempt, request_id);
        let told = tokio::time::timeout(timeout, saying).await.unwrap_or(Err(Fault::Transport));
        let taken = |answer: AckAnswer| if answer.known { Ok(()) } else { Err(Fault::Server) };
        Ok(self.heard(told.and_then(taken)))
    }

    fn heard<T>(&mut self, told: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &told {
            tracing::debug!(?fault, syncAttempt = self.collector.attempt(), "no inventory events");
            self.transport.disconnect();
        }
        told
    }

    fn now(&self) -> Millis {
        let elapsed = self.start.elapsed().as_millis();
        Millis(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}
