//! The terminal node: a till daemon that sells offline and syncs in the background.
//!
//! The way of one sale: [`api`] (or the command line) parses it, [`till`] commits it together with
//! whatever else waits, answers with its receipt and nudges [`sync`], which drives the protocol's
//! session over [`transport`].
//!
//! | module | question it answers |
//! |---|---|
//! | [`till`] | how do callers share one database and one commit? |
//! | [`drawer`] | what has a register counted since its drawer was opened? |
//! | [`books`] | what waits, what is synced, what does it sum up to? |
//! | [`queue`], [`receipts`], [`light`] | what are people shown of all that? |
//! | [`sync`], [`transport`] | who talks to the cloud, and what does each answer mean? |
//! | [`follow`] | how does the till come by its catalog? |
//! | [`shelf`], [`directory`] | what is in it, and what can be sold? |
//! | [`edit`] | how does a correction made at the till become an event? |
//! | [`collect`], [`stock`] | how does the till hear of online orders, and what has it left? |
//! | [`live`] | how does the till hear of news before it asks? |
//! | [`verify`] | is the catalog really what the cloud has, and what mends it? |
//! | [`bundle`] | what does whoever looks into an incident need? |
//! | [`passage`] | how does an operator ask the cloud through the local API? |
//! | [`doctor`] | is this till in order? |
//! | [`story`] | what became of one sale? |
//! | [`migrate`] | how does the database of an older program become this one's? |
//! | [`witness`] | how does a till notice that its database was exchanged? |
//! | [`import`], [`sample`] | how does a published file of sales become events? |
//! | [`config`], [`daemon`], [`api`], [`cli`] | the program around all this |
//!
//! `till`, `books`, `sync`, `transport`, `witness`, `import` and `sample` start no thread, read no
//! clock and open no socket by themselves: time, randomness and connections are passed in
//! ([`ports`]), so that a simulator can run them as they are.
#![forbid(unsafe_code)]

pub mod api;
pub mod archive;
pub mod books;
pub mod bundle;
pub mod cli;
pub mod collect;
pub mod config;
pub mod daemon;
pub mod directory;
pub mod doctor;
pub mod drawer;
pub mod edit;
pub mod follow;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod import;
pub mod light;
pub mod live;
pub mod mend;
pub mod migrate;
pub mod parcel;
pub mod passage;
pub mod ports;
pub mod queue;
pub mod receipts;
pub mod sample;
pub mod shelf;
pub mod stock;
pub mod story;
pub mod sync;
mod tell;
pub mod till;
pub mod tls;
pub mod transport;
pub mod verify;
pub mod witness;

mod client;
mod endpoint;
mod nudges;
mod presence;
mod reach;
mod stamp;
