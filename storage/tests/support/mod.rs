//! What the suites of this crate share.
#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "a module of tests, not an interface")]

pub mod child;
pub mod ledger;
#[path = "../../../tests/src/postgres.rs"]
pub mod postgres;
pub mod random;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Returns what a future of this crate is: ready.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store of this crate is ready at once"),
    }
}
