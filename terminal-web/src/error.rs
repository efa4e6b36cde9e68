//! Why a job came to nothing.

use counterfoil_protocol::persist::Damaged;
use counterfoil_protocol::terminal::Identity;

/// Why the rows could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The browser could not do it. Nobody knows what was written: the page opens the till anew,
    /// and reads again.
    #[error("the browser's database failed: {0}")]
    Failed(String),
    /// A row is not what was written. The page stops; a person exports what is there.
    #[error("a row of the browser's database is damaged: {0}")]
    Damaged(String),
}

impl From<Damaged> for StoreError {
    fn from(damage: Damaged) -> Self {
        Self::Damaged(damage.to_string())
    }
}

/// Why a job was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TillError {
    /// As [`StoreError`] says. Every further job is refused until the page opens the till anew.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no till here, or another one. The page asks for an enrolment, or names that one.
    #[error("{}", not_installed(.0))]
    NotInstalled(Option<Identity>),
    /// The till is to be opened first.
    #[error("the till is not open yet")]
    NotOpen,
    /// The page and this crate do not fit each other. Reload the page.
    #[error("the page asked for something that this till does not know: {0}")]
    Unreadable(String),
}

fn not_installed(other: &Option<Identity>) -> String {
    other.map_or_else(
        || "there is no till in this browser yet".to_owned(),
        |other| format!("this browser is the till {}", other.terminal.as_str()),
    )
}
