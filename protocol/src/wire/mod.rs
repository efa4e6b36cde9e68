//! What travels between a till and the cloud. Wire types are not domain types: they are plain,
//! versioned, and checked when they become domain types.

pub(crate) mod canonical;
pub mod catalog;
pub mod correction;
pub mod edit;
pub mod event;
pub mod explain;
pub mod heads;
pub mod inbox;
pub mod message;
mod name;
pub mod parcel;
pub mod reconcile;
pub mod session;
