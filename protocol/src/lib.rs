//! The pure half of Counterfoil: what tills and clouds decide, and nothing that touches the world.
//!
//! A role names what it reads, the driver loads that slice, the role decides in memory, the driver
//! commits, and only then the outputs exist for anyone:
//!
//! ```text
//! reads(input) -> keys   load(keys)   step(now, input, rows) -> writes, output   commit   release
//! ```
//!
//! > **`OutputAfterCommit`**: nothing leaves a node before the transaction that justifies it is
//! > durable.
//!
//! The law is a type here: only [`machine::run`] can build [`machine::Rows`], so only `run` can
//! call [`machine::Machine::step`], and `run` commits before it returns.
//!
//! | module | question it answers |
//! |---|---|
//! | [`machine`] | how does a role read, decide and commit? |
//! | [`identity`], [`label`], [`money`], [`event`] | what is a sale, parsed at the border? |
//! | [`journal`], [`hash`] | how is a till's history chained? |
//! | [`catalog`] | what can be sold, and what does all of it add up to? |
//! | [`inbox`] | what has happened to a branch's stock outside of the till? |
//! | [`reconcile`] | which rows of a catalog have drifted, and what is to be done? |
//! | [`terminal`] | what does a till store and decide? |
//! | [`cloud`] | what does the cloud store and decide? |
//! | [`session`] | when does a till speak, and when does it try again? |
//! | [`wire`], [`codec`], [`problem`] | what do the bytes between them look like? |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod catalog;
pub mod cloud;
pub mod codec;
pub mod event;
pub mod hash;
pub mod identity;
pub mod inbox;
pub mod journal;
pub mod label;
pub mod machine;
pub mod money;
pub mod persist;
pub mod problem;
pub mod reconcile;
pub mod session;
pub mod sketch;
pub mod terminal;
pub mod time;
pub mod wire;
