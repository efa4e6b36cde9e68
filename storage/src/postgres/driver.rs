//! The thread that speaks with the server, and the way to wait for it.
//!
//! The port of engines blocks, and its callers may be inside a runtime of their own, which must
//! not be blocked upon nor dropped. So the connections live on a thread of their own, each job is
//! a task there that owns what it works with, and whoever waits, waits on a plain channel: a
//! caller that is cancelled cannot leave half a transaction behind.

use std::future::Future;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::StoreError;

/// The name of the thread.
const THREAD: &str = "postgres";

const _: () = assert!(!THREAD.is_empty(), "a thread is told by its name");
const _: () = assert!(THREAD.len() < 16, "as long as Linux shows a name");

/// Drives every connection of one store. It ends when it is told to, or dropped.
#[derive(Debug)]
pub(super) struct Driver {
    handle: Handle,
    life: Mutex<Option<Life>>,
}

#[derive(Debug)]
struct Life {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Driver {
    pub(super) fn start() -> Result<Self, StoreError> {
        let cannot = |error: std::io::Error| {
            StoreError::unavailable(format!("no thread for PostgreSQL: {error}"))
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                // Whether it is told to, or whoever could tell it is gone: it ends.
                let _told = runtime.block_on(stopped);
            })
            .map_err(cannot)?;
        assert_ne!(thread.thread().id(), thread::current().id(), "nobody waits for himself");
        let life = Mutex::new(Some(Life { stop, thread }));
        let driver = Self { handle, life };
        assert!(driver.runs(), "a driver that was started runs");
        Ok(driver)
    }

    /// Runs `job` on the driver's thread, and blocks until it is done.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the driver has ended; the job may have been cut off anywhere.
    pub(super) fn wait<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let here = thread::current();
        assert_ne!(here.name(), Some(THREAD), "who waits for the driver is not the driver");
        let (done, result) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            // Whoever waited may be gone; nobody misses the result then.
            let _gone = done.send(job.await);
        });
        result.recv().map_err(|_| StoreError::closed())
    }

    /// Runs `job` on the driver's thread, and waits for it without holding a thread.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the driver has ended.
    pub(super) async fn later<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.handle.spawn(job).await.map_err(|_| StoreError::closed())
    }

    /// Ends the thread and every connection with it, in whatever state they are.
    pub(super) fn end(&self) {
        let life = self.life.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Life { stop, thread }) = life {
            let _ended = stop.send(());
            // A panic there has been said there.
            let _joined = thread.join();
        }
        assert!(!self.runs(), "what has ended does not run");
    }

    /// Returns whether the thread is gone, and every connection with it.
    pub(super) fn has_ended(&self) -> bool {
        !self.runs()
    }

    fn runs(&self) -> bool {
        self.life.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.end();
    }
}
