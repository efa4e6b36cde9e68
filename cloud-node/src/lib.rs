//! The cloud node: HTTP over the cloud role, group commit, operator commands.
//!
//! ```text
//!  till --HTTP--> service ----Job----> committer ----> Store<Cloud>
//!                 | authenticate         | one transaction for all jobs that wait
//!                 | read, decode, hash   | commit, then answer each caller
//!                 +--- Query<Cloud> <----+ committed rows
//! ```
//!
//! > **`OutputAfterCommit`**: nothing leaves a node before the transaction that justifies it is
//! > durable. The committer is the only one who writes, and it answers after the commit.
//!
//! The library takes everything it needs from the world as a value: the time and fresh secrets
//! ([`world`]), a store and its reader, a listener. It starts no thread, reads no clock and keeps
//! no global state, so that a simulation runs the very code that is deployed. What is different
//! in production is in [`node`].
//!
//! | module | question it answers |
//! |---|---|
//! | [`service`] | what do the routes answer? |
//! | [`till_page`] | where does a browser get its till? |
//! | [`committer`] | how do many requests become one commit? |
//! | [`server`], [`tls`] | how do connections begin and end? |
//! | [`compaction`] | when do deletions leave the catalog's feed? |
//! | [`credential`], [`rate`] | who may speak, and how often? |
//! | [`decimal`], [`timestamp`] | how do the contracts write amounts and times? |
//! | [`problem`] | what does a refusal look like? |
//! | [`backup`] | how is a whole store copied, and moved to another engine? |
//! | [`audit`], [`export`] | does the database keep its laws, and what is in it? |
//! | [`explain`] | what does it hold of one event? |
//! | [`node`] | how is it put together on a real machine? |

pub mod audit;
pub mod backup;
pub mod committer;
pub mod compaction;
pub mod credential;
pub mod decimal;
pub mod explain;
pub mod export;
pub mod metrics;
pub mod node;
pub mod problem;
pub mod rate;
pub mod server;
pub mod service;
pub mod till_page;
pub mod timestamp;
pub mod tls;
#[cfg(feature = "otel")]
pub mod traces;
pub mod world;

mod news;
mod ordered;
mod pages;
