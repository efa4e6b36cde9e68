//! One job at a time: a future that the page drives by answering questions.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use counterfoil_protocol::time::Millis;

use crate::job::{self, Moment, Told};
use crate::store::IndexedDb;
use crate::till::Till;
use crate::{Answer, Ask, TillError};

type Work = Pin<Box<dyn Future<Output = (Till, Told, Vec<u8>)> + Send>>;

/// Where the page leaves jobs.
pub struct Desk {
    store: IndexedDb,
    state: State,
}

enum State {
    Idle(Box<Till>),
    Busy(Work),
    /// A job has panicked: nobody knows what was written.
    Lost,
}

/// What the page is to do next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Do this in the database, and answer.
    Ask(Ask),
    /// Show it, or send the bytes to the cloud: it is durable.
    Done(Told, Vec<u8>),
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    /// Makes a till that is not open yet.
    #[must_use]
    pub fn new(seed: u64, at: Millis) -> Self {
        let store = IndexedDb::default();
        let till = Till::new(store.clone(), seed, at);
        Self { store, state: State::Idle(Box::new(till)) }
    }

    /// Begins a job: JSON of a [`Moment`]. Returns `false` while another one is under way.
    pub fn begin(&mut self, job: &str, body: &[u8]) -> bool {
        if !matches!(self.state, State::Idle(_)) {
            return false;
        }
        let State::Idle(mut till) = std::mem::replace(&mut self.state, State::Lost) else {
            unreachable!("looked at above");
        };
        let moment: Result<Moment, _> = serde_json::from_str(job);
        let body = body.to_vec();
        self.state = State::Busy(Box::pin(async move {
            let done = match moment {
                Ok(moment) => job::run(&mut till, moment, &body).await,
                Err(error) => Err(TillError::Unreadable(error.to_string())),
            };
            let (told, bytes) = done.unwrap_or_else(|error| {
                till.failed(&error);
                (Told::failed(&error), Vec::new())
            });
            (*till, told, bytes)
        }));
        true
    }

    /// Goes on with the job.
    ///
    /// # Panics
    /// If there is none, or its question has no answer yet: the page has lost its place.
    pub fn poll(&mut self) -> Step {
        let State::Busy(work) = &mut self.state else {
            panic!("a job is polled after it has begun");
        };
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready((till, told, bytes)) => {
                self.state = State::Idle(Box::new(till));
                Step::Done(told, bytes)
            }
            Poll::Pending => {
                Step::Ask(self.store.take_ask().expect("a job waits for the page and nothing else"))
            }
        }
    }

    /// Answers what [`Step::Ask`] asked.
    pub fn answer(&mut self, answer: Answer) {
        self.store.put_answer(answer);
    }
}
