//! The till's ear: a stream over which the cloud says that there is news.
//!
//! It wakes the loops that ask; what they ask, and what they do with it, is theirs. Without a
//! stream (an older cloud, no room, a proxy that lets none through) the till asks as often as ever,
//! so nothing rests on it. An operator's wish to compare the catalog comes this way too: the till
//! compares, tells what differs, and changes nothing.
//!
//! | what came of it | the next try |
//! |---|---|
//! | no connection, or none believed, 5xx, the stream has ended | after a jittered backoff |
//! | 429, 503 with `Retry-After` | no earlier than the cloud says, within reason |
//! | 401 | as often as a till in quarantine asks |
//! | 404 or another 4xx: an older cloud | as often as an idle till greets |

use std::time::Duration;

use counterfoil_protocol::reconcile::Plan;
use counterfoil_protocol::session::backoff::Backoff;
use counterfoil_protocol::session::{Config, Fault, Nudge};
use counterfoil_protocol::terminal::inbox::wanted;
use counterfoil_protocol::time::Millis;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::till::{Till, TillError, TillStore, storage_failed};
use crate::transport::live::{Heads, LiveEvent, LiveStream, Refused};
use crate::transport::{Connector, Transport};
use crate::verify::{Desk, Verified, VerifyError};

/// A stream that lasted so long has worked: what ended it is no reason to wait for longer.
const LASTED: Duration = Duration::from_secs(60);
/// Tills that hear of the same news ask within this span, and not all at once.
const SPREAD_MS: u64 = 500;
/// The most wishes to compare that wait; the cloud repeats what was not answered.
const WISHES_MAX: usize = 2;
/// How often an answer to such a wish is said.
const TRIES: u32 = 3;
/// The most bytes of a plan's text, of its rows in JSON, and of the line above it, that are told.
const PLAN_BYTES_MAX: usize = 64 * 1024;
const ITEMS_BYTES_MAX: usize = 96 * 1024;
const SUMMARY_BYTES_MAX: usize = 512;

/// Listens to the cloud for one till.
#[derive(Debug)]
pub struct LiveLoop<S, C> {
    ear: Ear<S, C>,
    clerk: Clerk<S, C>,
}

#[derive(Debug)]
struct Ear<S, C> {
    till: Till<S>,
    transport: Transport<C>,
    config: Config,
    backoff: Backoff,
    attempt: u32,
    /// The cloud could not be reached since the last stream.
    missed: bool,
    /// A stream has ended since.
    broken: bool,
    wishes: mpsc::Sender<String>,
}

/// Does what an operator wishes, one wish at a time.
#[derive(Debug)]
struct Clerk<S, C> {
    till: Till<S>,
    transport: Transport<C>,
    config: Config,
    desk: Desk,
    wishes: mpsc::Receiver<String>,
}

impl<S: TillStore, C: Connector> LiveLoop<S, C> {
    /// Makes the loop of an open till, with a way to the cloud for the stream and one for answers.
    #[must_use]
    pub fn new(till: Till<S>, ways: [Transport<C>; 2], desk: Desk, config: Config) -> Self {
        let backoff = Backoff::new(config.backoff_base, config.backoff_cap, till.draw());
        let (sender, wishes) = mpsc::channel(WISHES_MAX);
        let [transport, answers] = ways;
        let clerk = Clerk { till: till.clone(), transport: answers, config, desk, wishes };
        let (attempt, missed, broken) = (0, false, false);
        let ear = Ear { till, transport, config, backoff, attempt, missed, broken, wishes: sender };
        Self { ear, clerk }
    }

    /// Runs until the till's store fails. To stop it, drop the future.
    ///
    /// # Errors
    /// The store's.
    pub async fn run(self) -> Result<std::convert::Infallible, TillError> {
        let Self { mut ear, clerk } = self;
        tokio::select! {
            biased;
            ended = clerk.run() => ended,
            ended = ear.run() => ended,
        }
    }
}

impl<S: TillStore, C: Connector> Ear<S, C> {
    async fn run(&mut self) -> Result<std::convert::Infallible, TillError> {
        loop {
            self.till.introduce(&mut self.transport).await?;
            self.attempt = self.attempt.saturating_add(1);
            let asking = self.transport.live(self.attempt, self.till.draw());
            let timeout = Duration::from_millis(self.config.request_timeout.0);
            let silent = Err((Fault::Transport, None));
            let wait = match tokio::time::timeout(timeout, asking).await.unwrap_or(silent) {
                Ok(stream) => {
                    let since = Instant::now();
                    self.listen(stream).await?;
                    if since.elapsed() >= LASTED {
                        self.backoff.reset();
                        self.attempt = 0;
                    }
                    self.backoff.next_wait()
                }
                Err(refused) => self.refused(refused),
            };
            tokio::time::sleep(Duration::from_millis(wait.0)).await;
        }
    }

    /// Listens until the stream ends.
    async fn listen(&mut self, mut stream: LiveStream) -> Result<(), TillError> {
        tracing::debug!("the cloud tells of news");
        // Of news of any other kind the stream itself begins by telling.
        let broken = std::mem::take(&mut self.broken);
        if std::mem::take(&mut self.missed) {
            self.till.nudge(Nudge::LinkUp);
        } else if broken {
            self.till.nudge_session(Nudge::LinkUp);
        }
        while let Some(event) = stream.next().await {
            match event {
                LiveEvent::News(heads) => self.heard(heads).await?,
                LiveEvent::Verify(run) => {
                    // What finds no room is repeated on the next stream.
                    let _repeated = self.wishes.try_send(run);
                }
            }
        }
        tracing::debug!("the cloud tells no more of news");
        self.broken = true;
        Ok(())
    }

    /// Wakes the loops for which there is something new.
    async fn heard(&mut self, heads: Heads) -> Result<(), TillError> {
        let spread = Duration::from_millis(self.backoff.spread(SPREAD_MS));
        tokio::time::sleep(spread).await;
        let version = self.till.catalog_state().await?.and_then(|state| state.version);
        let place = {
            let reading = self.till.reading().await?;
            wanted(&*reading).await.map_err(storage_failed)?.seq
        };
        // Also if the cloud is behind: it was restored, and the loops find that out.
        self.till.nudge_of_news(version != Some(heads.catalog), place != heads.inbox);
        Ok(())
    }

    /// Returns how long to wait after a refusal.
    fn refused(&mut self, (fault, retry_after): Refused) -> Millis {
        tracing::debug!(?fault, syncAttempt = self.attempt, "no stream of news");
        self.missed |= matches!(fault, Fault::Transport | Fault::Untrusted(_));
        let wait = self.backoff.next_wait();
        let asked = retry_after.unwrap_or(Millis::ZERO).min(self.config.retry_after_cap);
        match fault {
            Fault::Transport | Fault::Untrusted(_) | Fault::Server | Fault::RateLimited(_) => {
                asked.after(wait)
            }
            Fault::Denied(_) => self.config.quarantine_probe.after(wait),
            Fault::Rejected | Fault::TooLarge => {
                let half = self.config.idle_greeting.0 / 2;
                Millis(half + self.backoff.spread(half.max(1)))
            }
        }
    }
}

impl<S: TillStore, C: Connector> Clerk<S, C> {
    async fn run(mut self) -> Result<std::convert::Infallible, TillError> {
        while let Some(run) = self.wishes.recv().await {
            tracing::info!(run, "the operator wants the catalog compared");
            let found = match self.desk.verify().await {
                Err(VerifyError::Till(error)) => return Err(error),
                found => told(found),
            };
            self.answer(&run, found).await?;
        }
        std::future::pending().await
    }

    async fn answer(&mut self, run: &str, mut found: serde_json::Value) -> Result<(), TillError> {
        let Config { backoff_base, backoff_cap, request_timeout, .. } = self.config;
        let mut backoff = Backoff::new(backoff_base, backoff_cap, self.till.draw());
        for attempt in 1..=TRIES {
            self.till.introduce(&mut self.transport).await?;
            let saying = self.transport.compared(run, &found, attempt, self.till.draw());
            let timeout = Duration::from_millis(request_timeout.0);
            let silent = Err(Fault::Transport);
            match tokio::time::timeout(timeout, saying).await.unwrap_or(silent) {
                Ok(()) => return Ok(()),
                Err(fault) => tracing::debug!(?fault, run, "a comparison is not told"),
            }
            // An older cloud may not know a kind of row, or not take so many.
            if let Some(items) = found.pointer_mut("/plan/items") {
                *items = serde_json::Value::Null;
            }
            self.transport.disconnect();
            tokio::time::sleep(Duration::from_millis(backoff.next_wait().0)).await;
        }
        Ok(())
    }
}

/// Says for the cloud what a comparison has shown.
fn told(found: Result<Verified, VerifyError>) -> serde_json::Value {
    match found {
        Ok(Verified::Plan(plan)) if plan.is_clean() => {
            json!({ "state": "clean", "summary": "Nothing differs.", "plan": null })
        }
        Ok(Verified::Plan(plan)) => {
            let Plan { counts, items, .. } = &*plan;
            let summary = format!(
                "{} to change, {} to add, {} to remove, {} to keep",
                counts.update, counts.insert, counts.delete, counts.keep
            );
            let text = cut(plan.text(), PLAN_BYTES_MAX);
            let rows = serde_json::to_string(items).unwrap_or_default();
            let items = (rows.len() <= ITEMS_BYTES_MAX).then_some(items);
            let plan = json!({ "text": text, "counts": counts, "items": items });
            json!({ "state": "plan", "summary": summary, "plan": plan })
        }
        Ok(Verified::Snapshot { estimated }) => {
            let about = estimated.map_or_else(String::new, |n| format!(" (about {n} entries)"));
            let summary = format!(
                "More differs than can be told entry by entry{about}: fetch the catalog whole"
            );
            json!({ "state": "plan", "summary": summary, "plan": null })
        }
        Err(error) => {
            let summary = cut(error.to_string(), SUMMARY_BYTES_MAX);
            json!({ "state": "failed", "summary": summary, "plan": null })
        }
    }
}

/// Cuts a text, and says so.
fn cut(mut text: String, most: usize) -> String {
    const CUT: &str = "\n(cut here: see the rest at the till)\n";
    if text.len() > most {
        let mut end = most - CUT.len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_its_letters_and_says_so() {
        let short = "Tee für zwei".to_owned();
        assert_eq!(cut(short.clone(), 512), short);
        for most in 60..70 {
            let text = cut("ü".repeat(100), most);
            assert!(text.len() <= most && text.ends_with("till)\n"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_told_in_one_line() {
        let told = told(Err(VerifyError::NotReady));
        assert_eq!((&told["state"], &told["plan"]), (&json!("failed"), &json!(null)));
        assert!(told["summary"].as_str().is_some_and(|line| line.contains("still being fetched")));
    }
}
