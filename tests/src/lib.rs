//! The harness around real processes: used by the end-to-end tests and by `cargo xtask demo`.
//!
//! | module | question it answers |
//! |---|---|
//! | [`binaries`] | where are the programs, and are they up to date? |
//! | [`process`] | how is a node started, killed, and never left behind? |
//! | [`cloud`], [`till`] | how is one node told what to do? |
//! | [`conformance`] | does a cloud keep the protocol, whoever wrote it? |
//! | [`shop`] | how does a shop come to be, with its operator, its cloud and its tills? |
//! | [`proxy`] | how is a link broken, and what passed it? |
//! | [`random`] | how is chance repeated? |
//! | [`browser`] | what does a cashier see, and what do clicks do? |
//! | [`postgres`] | how is a database server had for a while? |
//! | [`web`] | how is the till for browsers built? |
//! | [`disk`] | what has a till on its disk? |
//! | [`manual`] | do the lines of a manual work as they stand? |
//! | [`http`], [`events`] | how is a local API asked, and a stream listened to? |
//! | [`figures`] | what must both sides agree on? |
//! | [`sales`] | what is sold? |
//! | [`story`] | what does `explain` tell? |
#![forbid(unsafe_code)]

pub mod binaries;
pub mod browser;
pub mod cloud;
pub mod conformance;
pub mod disk;
pub mod events;
pub mod figures;
pub mod http;
pub mod manual;
pub mod openapi;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod random;
pub mod sales;
pub mod shop;
pub mod story;
pub mod till;
pub mod web;
