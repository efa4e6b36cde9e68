//! Lists that the operator's pages need: bounded pages, each with where to go on (`next`).

pub(super) mod catalog;
pub(super) mod histories;
pub(super) mod orders;
pub(super) mod sites;

/// The most rows that one answer looks at.
const LOOKED_AT: usize = 1_000;
