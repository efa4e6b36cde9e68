//! What the page asks of the till, and what it is told.

use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId};
use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::session::Nudge;
use counterfoil_protocol::terminal::{Identity, Parted};
use counterfoil_protocol::time::Millis;
use serde::{Deserialize, Serialize};

use crate::look::Sale;
use crate::till::Till;
use crate::{SaleBody, TillError, look, sell, sync};

/// The most sales that the page is shown at once.
pub(crate) const SHOWN_MAX: usize = 100;

/// A job, with the time and the randomness that it may need.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// The clock on the wall, in milliseconds since 1970.
    pub now_ms: Millis,
    /// The page's monotonic time.
    pub at_ms: Millis,
    /// Random numbers, hexadecimal, drawn for this job.
    pub random: Vec<String>,
    /// What is to be done.
    pub job: Job,
}

/// What is to be done.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Job {
    /// Make this browser a till. Harmless on the same till.
    Install {
        /// Which.
        identity: Identity,
    },
    /// Open the till, before anything else.
    Open {
        /// What stands outside the database, if anything.
        witness: Option<String>,
    },
    /// Record a sale.
    Sell(SaleBody),
    /// Tell what is to be seen.
    Look {
        /// How many sales at most.
        limit: usize,
    },
    /// There may be something to say to the cloud.
    Nudge(Wish),
    /// The cloud has answered, or has not.
    Answered {
        /// Which request.
        request: u64,
        /// The status; 0 if there was no answer.
        status: u16,
        /// `Retry-After`, in seconds.
        retry_after_s: Option<u64>,
    },
    /// Try an event again that needs attention.
    Retry {
        /// Its register.
        pos: PosId,
        /// Its name there.
        local_event_id: LocalEventId,
    },
}

/// Why there may be something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wish {
    /// The time has come.
    Wake,
    /// Something was recorded.
    Recorded,
    /// A person wants it.
    Manual,
    /// The network is back.
    LinkUp,
}

impl Wish {
    /// Returns what the session is told; nothing but the time is for [`Wish::Wake`].
    pub(crate) const fn nudge(self) -> Option<Nudge> {
        match self {
            Self::Wake => None,
            Self::Recorded => Some(Nudge::Recorded),
            Self::Manual => Some(Nudge::Manual),
            Self::LinkUp => Some(Nudge::LinkUp),
        }
    }
}

/// What came of a job.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "is", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Told {
    /// This browser is that till.
    Installed {
        /// What to keep outside the database. Nothing if it was installed before: the witness that
        /// stands may be the proof that the database was exchanged.
        witness: Option<String>,
    },
    /// The till is open as soon as the witness is kept.
    Opened {
        /// What to keep outside the database.
        witness: String,
        /// Why a new epoch was opened, if one was.
        parted: Option<Parted>,
        /// The current one.
        epoch: Epoch,
        /// Whose till it is.
        identity: Identity,
    },
    /// The sale is durable: the receipt may be printed.
    Sold {
        /// Its number.
        receipt: Option<u64>,
        /// Whether it was there before.
        again: bool,
    },
    /// The sale was not recorded.
    Refused {
        /// Why.
        why: String,
    },
    /// What is to be seen.
    Seen {
        /// Whose till it is.
        identity: Identity,
        /// The current epoch.
        epoch: Epoch,
        /// How many events are not in the cloud.
        pending: usize,
        /// How many of them a person must look at.
        attention: usize,
        /// Why the cloud does not listen, if it does not.
        quarantined: Option<Denial>,
        /// The latest sales, newest first.
        sales: Vec<Sale>,
    },
    /// Send the bytes, and begin [`Job::Answered`] with what comes back.
    Send {
        /// Which request.
        request: u64,
        /// Where to.
        route: &'static str,
        /// What the bytes are.
        media: &'static str,
        /// How often it was tried.
        attempt: u32,
        /// How long an answer may take.
        timeout_ms: Millis,
    },
    /// Nothing to say before this span has passed, or something happens.
    Rests {
        /// The span.
        wake_in_ms: Millis,
        /// Whether everything is in the cloud as far as it could be.
        idle: bool,
        /// What went wrong at the last request, if anything.
        fault: Option<&'static str>,
    },
    /// Whether there was something to try again.
    Retried {
        /// Whether.
        found: bool,
    },
    /// The job was not done.
    Failed {
        /// What to do: `install`, `reopen`, `export` or `reload`.
        then: &'static str,
        /// Why.
        why: String,
    },
}

impl Told {
    pub(crate) fn failed(error: &TillError) -> Self {
        let then = match error {
            TillError::NotInstalled(_) => "install",
            TillError::Store(crate::StoreError::Failed(_)) => "reopen",
            TillError::Store(crate::StoreError::Damaged(_)) => "export",
            TillError::NotOpen | TillError::Unreadable(_) => "reload",
        };
        Self::Failed { then, why: error.to_string() }
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers can be written")
    }
}

/// Does a job; bytes come beside what is told if there is something to send.
pub(crate) async fn run(
    till: &mut Till,
    moment: Moment,
    body: &[u8],
) -> Result<(Told, Vec<u8>), TillError> {
    let Moment { now_ms, at_ms, random, job } = moment;
    till.begin(now_ms, at_ms, &random)?;
    let told = match job {
        Job::Install { identity } => till.install(identity).await?,
        Job::Open { witness } => till.open(witness.as_deref()).await?,
        Job::Sell(sale) => sell::sell(till, sale).await?,
        Job::Look { limit } => look::look(till, limit.min(SHOWN_MAX)).await?,
        Job::Nudge(wish) => return sync::nudge(till, wish).await,
        Job::Answered { request, status, retry_after_s } => {
            let heard = sync::Heard { request, status, retry_after_s, body };
            return sync::answered(till, heard).await;
        }
        Job::Retry { pos, local_event_id } => sync::retry(till, pos, local_event_id).await?,
    };
    Ok((told, Vec::new()))
}
