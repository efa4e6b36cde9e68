//! What the benchmarks of the catalog share: a shop with many products in a real node, tills that
//! follow it, and the ceiling: a download and a load, and nothing else.

mod loader;
mod shop;
mod till;

pub(crate) use loader::{Loader, Part, Source};
pub(crate) use shop::{Asked, Shop, product};
pub(crate) use till::Follower;

/// How many products the shop has.
pub(crate) const PRODUCTS: u64 = 100_000;
