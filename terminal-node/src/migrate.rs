//! Brings the database of an older program to this program's version, while the till sells.
//!
//! Opening has put the version in; what is left to rebuild follows here, one small commit at a
//! time, and the next start goes on where this one was stopped. Until it is done, look-ups by
//! barcode read the whole catalog, as older programs did.

use counterfoil_protocol::catalog::EntityId;
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::terminal::migrate::{self, SCHEMA_VERSION, STEP_PRODUCTS};
use counterfoil_protocol::terminal::row::{CodeIndex, Schema};
use counterfoil_protocol::terminal::{Input, Key, Output, Record, Terminal};

use crate::till::{Till, TillError, TillStore, storage_failed};

/// How many steps pass between two lines in the log.
const STEPS_PER_LINE: u64 = 32;

/// How far a migration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Steps that were taken by this program.
    pub steps: u64,
    /// The last product that is in the index; none before the first step, and after the last.
    pub through: Option<EntityId>,
    /// Whether nothing is left.
    pub complete: bool,
}

/// Refuses a database that a newer program has written.
///
/// # Errors
/// [`TillError::TooNew`], or the store's.
pub async fn check_version<Q>(store: &Q) -> Result<(), TillError>
where
    Q: Query<Terminal, Error: std::fmt::Display>,
{
    let held = migrate::version(store).await.map_err(storage_failed)?;
    if held > SCHEMA_VERSION { Err(TillError::TooNew(held)) } else { Ok(()) }
}

impl<S: TillStore> Till<S> {
    /// Takes the next step of a migration, of `most` products, and returns whether there was one.
    /// Selling waits for this one commit at most.
    ///
    /// # Errors
    /// The store's, or [`TillError::NotOpen`].
    pub async fn migrate_once(&self, most: usize) -> Result<bool, TillError> {
        let step = {
            let reading = self.reading().await?;
            migrate::next(&*reading, most).await.map_err(storage_failed)?
        };
        let Some(step) = step else { return Ok(false) };
        match self.apply(Input::Migrate(step)).await? {
            Output::Settled(_) => Ok(true),
            Output::NotInstalled(other) => Err(TillError::NotInstalled(other)),
            output @ (Output::Opened { .. }
            | Output::Recorded { .. }
            | Output::Taken(_)
            | Output::Invalid(_)
            | Output::NothingToRetry
            | Output::Catalogued(_)
            | Output::CatalogUnreadable(_)
            | Output::Inbox(_)
            | Output::PlanApplied(_)
            | Output::PlanRefused(_)
            | Output::Session(_)) => {
                unreachable!("a step of a migration is not answered by {output:?}")
            }
        }
    }

    /// Takes every step that is left, and tells `show` after each. To stop it, drop the future:
    /// the next one goes on.
    ///
    /// # Errors
    /// As [`Till::migrate_once`].
    pub async fn migrate(&self, mut show: impl FnMut(Progress)) -> Result<Progress, TillError> {
        let mut steps = 0;
        loop {
            if !self.migrate_once(STEP_PRODUCTS).await? {
                let progress = self.migration(steps).await?;
                if steps > 0 {
                    tracing::info!(steps, version = SCHEMA_VERSION, "the database is migrated");
                }
                return Ok(progress);
            }
            steps += 1;
            let progress = self.migration(steps).await?;
            if steps % STEPS_PER_LINE == 1 {
                let through = progress.through.map(|id| id.to_string());
                tracing::info!(steps, through, "the database of an older version is migrated");
            }
            show(progress);
            // Whoever sells meanwhile goes first.
            tokio::task::yield_now().await;
        }
    }

    async fn migration(&self, steps: u64) -> Result<Progress, TillError> {
        let reading = self.reading().await?;
        let row = Query::get(&*reading, &Key::Schema).await.map_err(storage_failed)?;
        Ok(match row {
            Some(Record::Schema(Schema { codes: CodeIndex::Whole, .. })) => {
                Progress { steps, through: None, complete: true }
            }
            Some(Record::Schema(Schema { codes: CodeIndex::Until(through), .. })) => {
                Progress { steps, through, complete: false }
            }
            Some(_) | None => Progress { steps, through: None, complete: false },
        })
    }
}
