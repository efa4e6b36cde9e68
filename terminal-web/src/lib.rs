//! A till in a browser: the same roles, compiled to wasm, with `IndexedDB` as their store.
//!
//! The roles cannot reach the world, and neither can this crate: what it needs it asks of the page,
//! one question at a time ([`Ask`]), and the page answers ([`Answer`]). So the whole till is here a
//! function of what the page says, and is tested without a browser.
//!
//! ```text
//! page (page/*.js)                      this crate
//!   begin(job) ─────────────────────────▶ Desk: a job is a future over the roles
//!   poll() ◀──────────── load, write, get, scan, or done
//!   IndexedDB does it, answer() ────────▶ the future goes on
//!   result() ◀──────────── what the page may show, or send to the cloud
//! ```
//!
//! > **`OutputAfterCommit`**: a job that writes is done only after the page has said that the
//! > transaction is complete, because [`run`](counterfoil_protocol::machine::run) waits for that.
//!
//! Why there is no copy of the rows in memory, and why `wasm-bindgen`:
//! `docs/decisions/0016-browser.md`. What it cannot do yet is in `docs/browser.md`.
#![forbid(unsafe_code)]

mod ask;
mod desk;
mod error;
mod frame;
mod job;
mod look;
mod sell;
mod store;
mod sync;
mod till;
mod witness;

use wasm_bindgen::prelude::wasm_bindgen;

pub use ask::{Answer, Ask};
pub use desk::{Desk, Step};
pub use error::{StoreError, TillError};
pub use job::{Job, Moment, Told};
pub use look::{Sale, SaleState};
pub use sell::{LineBody, SaleBody};

/// What the page holds of the till. Bytes are packed as [`Answer::unpack`] says.
#[wasm_bindgen]
#[derive(Debug)]
pub struct BrowserTill {
    desk: Desk,
    asked: Option<Ask>,
    told: Option<(String, Vec<u8>)>,
}

#[wasm_bindgen]
impl BrowserTill {
    /// Makes a till that is not open yet. `seed` makes the jitter of its waits, and nothing else;
    /// `at` is the page's monotonic time in milliseconds.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(seed: u64, at: f64) -> Self {
        Self { desk: Desk::new(seed, whole(at)), asked: None, told: None }
    }

    /// Begins a job: JSON of a [`Moment`] with its [`Job`], and bytes if it has some. Returns
    /// whether it could: one job at a time, and none after one was abandoned.
    pub fn begin(&mut self, job: &str, body: &[u8]) -> bool {
        self.told = None;
        self.asked = None;
        self.desk.begin(job, body)
    }

    /// Goes on, and returns what the page is to do: `load`, `write`, `get`, `scan`, or `done`.
    pub fn poll(&mut self) -> String {
        match self.desk.poll() {
            Step::Ask(ask) => {
                let word = ask.word().to_owned();
                self.asked = Some(ask);
                word
            }
            Step::Done(told, body) => {
                self.told = Some((told.to_json(), body));
                "done".to_owned()
            }
        }
    }

    /// Returns the bytes of what is asked for.
    #[must_use]
    pub fn parts(&self) -> Vec<u8> {
        self.asked.as_ref().map(Ask::pack).unwrap_or_default()
    }

    /// Answers with rows; an empty list says that what was written is durable.
    pub fn answer(&mut self, packed: &[u8]) {
        let answer = Answer::unpack(packed);
        self.desk.answer(answer.unwrap_or_else(|| Answer::Failed("it cannot be read".to_owned())));
    }

    /// Answers that the browser could not do it.
    pub fn fail(&mut self, why: &str) {
        self.desk.answer(Answer::Failed(why.to_owned()));
    }

    /// Returns what came of the job, as JSON.
    #[must_use]
    pub fn result(&self) -> String {
        self.told.as_ref().map(|(told, _)| told.clone()).unwrap_or_default()
    }

    /// Returns the bytes to send, if the job came to a request.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        self.told.as_ref().map(|(_, body)| body.clone()).unwrap_or_default()
    }
}

/// A browser counts milliseconds in floats; what is below zero or no number is the beginning.
fn whole(millis: f64) -> counterfoil_protocol::time::Millis {
    counterfoil_protocol::time::Millis(millis as u64)
}
