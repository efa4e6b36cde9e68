//! How often a terminal may ask, and how much it may send: token buckets for each authenticated
//! terminal.
//!
//! Our own few lines and not the `governor` crate, because that reads a clock of its own: a
//! simulated node would be limited by the time of the machine it is simulated on.
//!
//! What a request sends is what its head says, so that one too many costs no reading: the
//! `content-length`, and for a body that does not say its length the most that a body may have.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use counterfoil_protocol::label::Label;
use counterfoil_protocol::time::Millis;
use http::{HeaderMap, header};

use crate::service::Limits;

/// The most buckets that are remembered. Only enrolled terminals have one.
const BUCKETS_MAX: usize = 100_000;

const BYTES_PER_SECOND: u32 = 1024 * 1024;
const BYTES_BURST: u32 = 16 * 1024 * 1024;

/// How often one terminal may ask, or how many bytes it may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run, requests or bytes in a second; at least 1.
    pub per_second: u32,
    /// At once, after a pause; at least 1.
    pub burst: u32,
}

impl Rate {
    /// How often one terminal may ask unless it is said otherwise.
    pub const REQUESTS: Self = Self { per_second: 50, burst: 200 };
    /// How many bytes one terminal may send unless it is said otherwise: about the largest push
    /// there is each second, and fifteen at once.
    pub const BYTES: Self = Self { per_second: BYTES_PER_SECOND, burst: BYTES_BURST };
}

/// Why a request has to wait, and for how many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// There were too many before it.
    Requests(u64),
    /// Those before it have sent too much for this one.
    Bytes(u64),
}

/// What one kind of callers may ask and send.
#[derive(Debug)]
pub(crate) struct Gate {
    requests: Option<Limiter>,
    bytes: Option<Limiter>,
    /// What a body counts that does not say its length.
    body_bytes_max: usize,
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            requests: limits.rate.map(Limiter::new),
            bytes: limits.byte_rate.map(Limiter::new),
            body_bytes_max: limits.wire_bytes,
        }
    }

    /// Takes one request of whoever has this name, with the body that its head speaks of.
    pub(crate) fn admit(&self, name: Label, now: Millis, headers: &HeaderMap) -> Result<(), Wait> {
        if let Some(requests) = &self.requests {
            requests.take(name, 1, now).map_err(Wait::Requests)?;
        }
        let sent = self.sent(headers);
        match &self.bytes {
            Some(bytes) if sent > 0 => bytes.take(name, sent, now).map_err(Wait::Bytes),
            Some(_) | None => Ok(()),
        }
    }

    fn sent(&self, headers: &HeaderMap) -> u64 {
        let most = self.body_bytes_max as u64;
        if headers.contains_key(header::TRANSFER_ENCODING) {
            return most;
        }
        let said = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        // A longer body is not read to its end.
        said.and_then(|text| text.parse().ok()).unwrap_or(0).min(most)
    }
}

/// Remembers what each terminal has left. Amounts are in thousandths of a request or byte.
#[derive(Debug)]
struct Limiter {
    rate: Rate,
    buckets: Mutex<BTreeMap<Label, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u64,
    at: Millis,
}

impl Limiter {
    fn new(rate: Rate) -> Self {
        let rate = Rate { per_second: rate.per_second.max(1), burst: rate.burst.max(1) };
        Self { rate, buckets: Mutex::new(BTreeMap::new()) }
    }

    /// Takes so much from whoever has this name, or says in how many seconds it may come back.
    /// What is more than a full bucket needs a full one.
    fn take(&self, name: Label, amount: u64, now: Millis) -> Result<(), u64> {
        let wanted = amount.saturating_mul(1_000).min(self.full());
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&name) {
            self.forget(&mut buckets, now);
        }
        let full = Bucket { left: self.full(), at: now };
        let bucket = buckets.entry(name).or_insert(full);
        bucket.left = self.refilled(*bucket, now);
        // Also when the clock was set back: otherwise nothing refills until it has caught up.
        bucket.at = now;
        if bucket.left >= wanted {
            bucket.left -= wanted;
            return Ok(());
        }
        let missing = wanted - bucket.left;
        let wait_ms = missing.div_ceil(u64::from(self.rate.per_second));
        Err(wait_ms.div_ceil(1_000))
    }

    fn full(&self) -> u64 {
        u64::from(self.rate.burst) * 1_000
    }

    fn refilled(&self, bucket: Bucket, now: Millis) -> u64 {
        // One request a second is one thousandth in a millisecond.
        let grown = now.since(bucket.at).0.saturating_mul(u64::from(self.rate.per_second));
        bucket.left.saturating_add(grown).min(self.full())
    }

    /// Forgets whom a full bucket would change nothing for; if that is nobody, everybody.
    fn forget(&self, buckets: &mut BTreeMap<Label, Bucket>, now: Millis) {
        buckets.retain(|_, bucket| self.refilled(*bucket, now) < self.full());
        if buckets.len() >= BUCKETS_MAX {
            buckets.clear();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_refills_by_the_clock_it_is_given() {
        let limiter = Limiter::new(Rate { per_second: 2, burst: 3 });
        let [a, b] = ["A", "B"].map(|name| Label::parse(name).unwrap());
        for (terminal, at, expected) in [
            (a, 1_000, Ok(())),
            (a, 1_000, Ok(())),
            (a, 1_000, Ok(())),
            (a, 1_000, Err(1)),
            (b, 1_000, Ok(())),
            (a, 1_499, Err(1)),
            (a, 1_500, Ok(())),
            (a, 1_500, Err(1)),
            // The clock was set back: nothing is gained, and nothing is lost for later.
            (a, 0, Err(1)),
            (a, 500, Ok(())),
        ] {
            assert_eq!(limiter.take(terminal, 1, Millis(at)), expected, "{terminal} at {at}");
        }
    }

    #[test]
    fn bytes_count_by_what_a_head_says() {
        let limits = Limits {
            rate: Some(Rate { per_second: 1, burst: 5 }),
            byte_rate: Some(Rate { per_second: 100, burst: 1_000 }),
            wire_bytes: 2_000,
            ..Limits::default()
        };
        let gate = Gate::new(&limits);
        let a = Label::parse("A").unwrap();
        let chunked = ("transfer-encoding", "chunked");
        for (header, at, expected) in [
            (("content-length", "600"), 0, Ok(())),
            (("content-length", "600"), 0, Err(Wait::Bytes(2))),
            // What sends nothing waits for no bytes.
            (("accept", "*/*"), 0, Ok(())),
            (("content-length", "600"), 2_000, Ok(())),
            // More than a full bucket needs a full one, and takes all of it.
            (chunked, 2_000, Err(Wait::Bytes(10))),
            (chunked, 12_000, Ok(())),
            (("content-length", "1"), 12_000, Err(Wait::Bytes(1))),
            (("content-length", "no number"), 12_000, Ok(())),
            (("accept", "*/*"), 12_000, Ok(())),
            (("accept", "*/*"), 12_000, Ok(())),
            (("accept", "*/*"), 12_000, Err(Wait::Requests(1))),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header.0, header.1.parse().unwrap());
            assert_eq!(gate.admit(a, Millis(at), &headers), expected, "{header:?} at {at}");
        }
    }
}
