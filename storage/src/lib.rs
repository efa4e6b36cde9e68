//! The engines behind the Store port: memory, redb, sled, PostgreSQL.
//!
//! A role declares rows, decides over them and writes them
//! ([`counterfoil_protocol::machine`]); this crate keeps those rows. Two layers do it:
//!
//! ```text
//! Store<M>, Query<M>         the ports of the protocol: typed rows
//!   KeyValue<M, E>           encodes rows, frames them, verifies every frame that is read
//!     E: Engine              ordered bytes, atomic durable commits
//!       Redb  Sled  Postgres  MemoryEngine  AnyEngine
//!   Memory<M>                typed rows in a map, no bytes: simulation
//! ```
//!
//! > **`DurableOrUnknown`**: a commit that returned `Ok` survives a power cut; a commit that
//! > returned an error may have happened, and the handle refuses until the store is reopened.
//!
//! | type | for |
//! |---|---|
//! | [`KeyValue`], [`Reader`] | a role's database, and its readers in other threads |
//! | [`Redb`] | tills, and clouds that choose it |
//! | [`Sled`] | the embedded default of the cloud, with a sync that reaches the disk |
//! | `Postgres` (feature `postgres`) | several clouds on one database |
//! | [`MemoryEngine`] | a write-ahead log in memory that can be cut at any byte |
//! | [`Memory`] | a typed store for simulation, with failures on demand |
//! | [`Tiered`] | a till's rows in two stores: what it sells from, and its archive |
//! | [`Location`], [`AnyEngine`] | the engine as an operator names it |
//! | [`copy_rows`](engine::copy_rows) | backup, restore, and the way between engines |
#![forbid(unsafe_code)]

pub mod engine;
pub mod keyvalue;
pub mod location;
pub mod memory;
pub mod memory_engine;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod redb;
pub mod sled;
pub mod tiered;

mod contain;
mod error;
mod frame;
mod fsync;
mod keys;
mod ordered;
mod url;

pub use engine::{Batch, Engine, Integrity, Read, Remote};
pub use error::StoreError;
pub use fsync::create_directory;
pub use keyvalue::{Checked, KeyValue, Reader};
pub use location::{AnyEngine, AnyReader, Location};
pub use memory::{Counters, Failure, Image, Memory};
pub use memory_engine::{MemoryEngine, MemoryReader};
pub use ordered::Ordered;
#[cfg(feature = "postgres")]
pub use postgres::{Postgres, PostgresReader};
pub use redb::{Redb, RedbReader};
pub use sled::{Compacted, Sled, SledReader};
pub use tiered::Tiered;
pub use url::Url;
