//! The deterministic simulator: it tries to break the protocol, and shows how sure one may be.
//!
//! | module | what it is |
//! |---|---|
//! | [`plan`] | everything that is done to the nodes, as data |
//! | [`model`] | the model level: the pure roles in a world of one event heap |
//! | [`law`], [`checker`] | the laws, and those who watch over them |
//! | [`coverage`], [`pairs`], [`asked`] | what really happened, after what, and what should have |
//! | [`explore`] | every state of small configurations |
//! | [`incident`] | what happened to a real till, from the bundle that it wrote |
//! | [`accidents`] | what has happened to others, as plans |
//! | [`own`] | all of that for a protocol of your own |
pub mod accidents;
pub mod arbitrary;
pub mod asked;
pub mod checker;
pub mod coverage;
mod disk;
pub mod explore;
pub mod incident;
pub mod law;
pub mod model;
pub mod network;
pub mod observed;
pub mod own;
pub mod pairs;
pub mod plan;
pub mod profile;
pub mod regressions;
pub mod report;
pub mod rng;
pub mod runner;
pub mod sales;
pub mod shrink;
pub mod story;
