//! Why a till does not answer.

use counterfoil_protocol::terminal::Identity;
use counterfoil_protocol::terminal::migrate::SCHEMA_VERSION;

/// Why a till does not answer. Refusals of single events are outputs, not errors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TillError {
    /// The outcome of a commit is unknown, or the store cannot be read. The caller reopens the
    /// store, makes a new till over it, and asks again with the same ids.
    #[error("the till's database failed, restart to reopen it: {0}")]
    StorageFailed(String),
    /// [`Till::open`](super::Till::open) has not succeeded yet: nothing may be sold.
    #[error("the till is not open yet")]
    NotOpen,
    /// There is no till in this database, or this other one.
    #[error("{}", not_installed(.0.as_ref()))]
    NotInstalled(Option<Identity>),
    /// A newer program has written this database. Nothing was read or changed.
    #[error(
        "POS_TILL_DATABASE_TOO_NEW: this database is of version {0}, this program knows up to \
         {SCHEMA_VERSION}: install the newer program again; do not delete the database, its sales \
         may not be in the cloud yet"
    )]
    TooNew(u32),
    /// The witness beside the database cannot be read or written. Nothing was sold.
    #[error("the witness file cannot be used: {0}")]
    Witness(String),
}

fn not_installed(other: Option<&Identity>) -> String {
    match other {
        None => "there is no till in this directory yet: run `terminal-node init`".to_owned(),
        Some(Identity { shop, branch, terminal }) => {
            format!("this database belongs to terminal {terminal} of {shop}/{branch}")
        }
    }
}
