//! The harness around real processes: used by the end-to-end tests and by `cargo xtask demo`.
//!
//! | module | question it answers |
//! |---|---|
//! | [`binaries`] | where are the programs, and are they up to date? |
//! | [`process`] | how is a node started, killed, and never left behind? |
//! | [`cloud`], [`till`] | how is one node told what to do? |
//! | [`http`] | how is a local API asked? |
//! | [`figures`] | what must both sides agree on? |
//! | [`sales`] | what is sold? |
#![forbid(unsafe_code)]

pub mod binaries;
pub mod cloud;
pub mod figures;
pub mod http;
pub mod process;
pub mod sales;
pub mod till;
