//! Is this till in order? What is looked at, what was found, what it means, and what to do.
//!
//! | part | looks at | who can look |
//! |---|---|---|
//! | [`database`] | journal, chain, names, stock, queue | whoever has the database open |
//! | [`place`] | disk, witness, credential, versions | anybody on this machine |
//! | [`cloud`] | name, connection, greeting, clock | anybody; the clock, who has greeted |
//!
//! Nothing is mended here, and nothing is written but a probe beside the database.

pub mod cloud;
pub mod database;
pub mod place;

use serde::{Deserialize, Serialize};

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was looked at, in a word or two; the same each time.
    pub check: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What that means; empty if all is well.
    pub means: String,
    /// What to do next; empty if there is nothing.
    pub next: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Warn,
    /// It does not work.
    Fail,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(check: &str, found: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, found, "", "")
    }

    /// Somebody should know.
    #[must_use]
    pub fn warn(check: &str, found: impl Into<String>, means: &str, next: &str) -> Self {
        Self::new(check, Level::Warn, found, means, next)
    }

    /// It does not work.
    #[must_use]
    pub fn fail(check: &str, found: impl Into<String>, means: &str, next: &str) -> Self {
        Self::new(check, Level::Fail, found, means, next)
    }

    fn new(check: &str, level: Level, found: impl Into<String>, means: &str, next: &str) -> Self {
        let (check, found) = (check.to_owned(), found.into());
        Self { check, level, found, means: means.to_owned(), next: next.to_owned() }
    }
}
