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
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Returns what a future of this crate comes to: most are ready, and readers of what lies behind a
/// network wait for it.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
