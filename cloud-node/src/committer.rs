//! Group commit: all requests that wait become one transaction.
//!
//! 1. Wait for a job, take all others that are there, up to [`BATCH_MAX`].
//! 2. Run them as one transaction ([`counterfoil_protocol::machine::run`]).
//! 3. Wake whoever listens for news, answer each caller with its own output.
//!
//! There is no timer: while one transaction is under way, the next batch gathers by itself.
//!
//! A store that several may write to at once has several committers, which take turns at the queue:
//! while one waits for the database, another decides.
//!
//! > **`NoAnswerWithoutCommit`**: if the store fails, nobody hears of success. The outcome is
//! > unknown, the loop ends, and whoever drives it reopens the store or ends the process.

mod decided;
mod line;

use std::sync::Arc;

use counterfoil_protocol::cloud::{Cloud, Input, Output};
use counterfoil_protocol::machine::{self, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::Instrument as _;

use self::decided::Decided;
use self::line::Line;

use crate::metrics::Metrics;
use crate::news::News;
use crate::world::Clock;

/// The most jobs in one transaction.
pub const BATCH_MAX: usize = 128;

/// The most payload bytes in one transaction; a single job may have more. A line of an event takes
/// at least four bytes and touches at most one stock row, so this also bounds the rows.
pub const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The most jobs that wait. Further callers wait to hand theirs over.
pub const QUEUE_MAX: usize = 256;

/// The database did not confirm; nothing may be assumed. The till keeps its entries and sends them
/// again: the ledger knows those that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database did not confirm the transaction")]
pub struct StorageFailed;

/// Hands inputs to the committer.
#[derive(Clone, Debug)]
pub struct Submit {
    jobs: mpsc::Sender<Job>,
    news: Arc<News>,
}

/// What committers take their jobs from. Each has one of its own; all of them are the same queue.
#[derive(Clone, Debug)]
pub struct Queue {
    line: Arc<Line>,
    news: Arc<News>,
}

#[derive(Debug)]
struct Job {
    input: Input,
    bytes: usize,
    answer: oneshot::Sender<Result<Answered, StorageFailed>>,
}

/// An output, and its input again: whoever asked drops it, on a thread of its own.
type Answered = (Output, Input);

/// Makes the two ends of a bounded queue of jobs.
#[must_use]
pub fn queue() -> (Submit, Queue) {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    let news = Arc::new(News::default());
    (
        Submit { jobs: sender, news: Arc::clone(&news) },
        Queue { line: Arc::new(Line::new(receiver)), news },
    )
}

impl Submit {
    /// Asks, and waits for the commit. `bytes` is what the input weighs: its payloads.
    ///
    /// # Errors
    /// [`StorageFailed`], also once the committer has ended.
    pub async fn ask(&self, input: Input, bytes: usize) -> Result<Output, StorageFailed> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.jobs.send(Job { input, bytes, answer }).await.map_err(|_| StorageFailed)?;
            let (output, _) = answered.await.map_err(|_| StorageFailed)??;
            Ok(output)
        };
        asked.instrument(tracing::info_span!("commit")).await
    }

    /// Returns whether the committer still works.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.jobs.is_closed()
    }

    /// Returns who listens for what is committed.
    pub(crate) const fn news(&self) -> &Arc<News> {
        &self.news
    }
}

/// Commits until every [`Submit`] is gone, or another committer of the queue has failed.
///
/// # Errors
/// The store's: the outcome of the last transaction is unknown, nobody heard of success, and all
/// later callers hear [`StorageFailed`]. The caller reopens the store, or ends the process.
pub async fn run<S: Store<Cloud>>(
    cloud: Cloud,
    store: &mut S,
    clock: &dyn Clock,
    queue: Queue,
    metrics: &Metrics,
) -> Result<(), S::Error> {
    while let Some((batch, mut turn)) = queue.line.take().await {
        let mut store = Decided::new(store);
        let done = commit(cloud, &mut store, clock, batch, (metrics, &queue.news)).await;
        turn.end(done.is_ok(), store.again());
        drop(turn);
        if let Err(error) = done {
            queue.line.close().await;
            return Err(error);
        }
    }
    Ok(())
}

async fn commit<S: Store<Cloud>>(
    cloud: Cloud,
    store: &mut S,
    clock: &dyn Clock,
    batch: Vec<Job>,
    (metrics, news): (&Metrics, &News),
) -> Result<(), S::Error> {
    let (inputs, answers): (Vec<Input>, Vec<_>) =
        batch.into_iter().map(|job| (job.input, job.answer)).unzip();
    let started = Instant::now();
    let span = tracing::info_span!("group commit", jobs = inputs.len());
    match machine::run(&cloud, store, clock.now(), &inputs).instrument(span).await {
        Ok(outputs) => {
            assert_eq!(outputs.len(), answers.len(), "each caller has its own output");
            metrics.committed(&outputs, started.elapsed());
            news.committed(&inputs);
            for (answer, answered) in answers.into_iter().zip(outputs.into_iter().zip(inputs)) {
                // A caller that has gone away will ask again.
                let _ = answer.send(Ok(answered));
            }
            Ok(())
        }
        Err(error) => {
            for answer in answers {
                let _ = answer.send(Err(StorageFailed));
            }
            Err(error)
        }
    }
}

fn refuse(jobs: Vec<Job>) {
    for job in jobs {
        let _ = job.answer.send(Err(StorageFailed));
    }
}

/// Returns how many of the first jobs fit into one transaction; at least one.
fn fitting(jobs: &[Job]) -> usize {
    let mut bytes = 0_usize;
    let fit = jobs
        .iter()
        .take_while(|job| {
            bytes = bytes.saturating_add(job.bytes);
            bytes <= BATCH_BYTES_MAX
        })
        .count();
    fit.max(1)
}
