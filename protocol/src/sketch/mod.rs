//! Which rows of two large sets differ: found at the cost of the difference, not of the sets.
//!
//! A till and the cloud hold copies of one catalog that should be equal. A feed of changes keeps
//! them so; it cannot see a row that was damaged behind its back. Comparing lists of hashes would
//! cost 24 MB for a million rows. A **sketch** costs some 26 bytes for each row that differs,
//! whatever the number of rows, and one round trip:
//!
//! 1. The till sends an [`Estimator`] of its rows. The cloud compares it with its own
//!    ([`Estimator::drifts`]) and answers with the first [`prefix`] cells of its [`Sketch`].
//! 2. The till takes its own sketch from that ([`Sketch::minus`]) and reads what is left
//!    ([`decode`]): each row that is missing, extra or different.
//! 3. If there were too few cells, it asks for those that follow ([`longer`], [`Sketch::append`]).
//!
//! Sketch and estimator are sums over the rows, so the cloud keeps one of each, which follow its
//! changes and serve every till. Only the till decodes, and whatever cells it is sent, it is done
//! in bounded time and never reports a difference that these cells do not have.
//!
//! The format, exact enough for another implementation, is in `docs/sketch.md`, with test vectors.
//! The index law is that of the rateless IBLT (Yang, Gilad, Alizadeh, "Practical Rateless Set
//! Reconciliation", SIGCOMM 2024); the cells are those of one-sparse recovery.

mod cell;
mod decode;
mod encode;
mod estimate;
mod field;
mod indices;
mod item;
mod siphash;
mod wire;

pub use cell::{CELL_BYTES, Cell};
pub use decode::{Decoding, Drift, Kind, Outcome, STEPS_PER_CELL_MAX, decode};
pub use encode::{CELLS_MAX, Sketch};
pub use estimate::{COUNTERS, Estimator, PREFIX_MIN, longer, prefix};
pub use indices::Indices;
pub use item::{Item, KeyDigest, SketchKey, Version};
pub use wire::{CellsV1, EstimatorV1, KEY_BYTES, KEYS_MAX, KeysV1, SKETCH_VERSION, SketchError};
