//! Spans and bounds of a session, and how they must fit each other.

use super::Session;
use crate::terminal::RETRY_CAP;
use crate::terminal::pull::RETRIES_MAX;
use crate::time::Millis;
use crate::wire::message::PUSH_ITEMS_MAX;

/// Spans and bounds of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long an answer may take before the request counts as lost.
    pub request_timeout: Millis,
    /// The first wait after a failure; it doubles with each.
    pub backoff_base: Millis,
    /// The longest wait after a failure.
    pub backoff_cap: Millis,
    /// The longest `Retry-After` that is believed.
    pub retry_after_cap: Millis,
    /// How often a quarantined till asks whether it is listened to again.
    pub quarantine_probe: Millis,
    /// How often a till with an empty queue greets (S1.2).
    pub idle_greeting: Millis,
    /// The most items of a push.
    pub items_max: usize,
}

impl Config {
    /// What a till does if nobody has configured it.
    const USUAL: Self = Self {
        request_timeout: Millis::from_secs(15),
        backoff_base: Millis(500),
        backoff_cap: Millis::from_secs(30),
        retry_after_cap: Millis::from_secs(120),
        quarantine_probe: Millis::from_secs(60),
        idle_greeting: Millis::from_secs(15 * 60),
        items_max: 200,
    };

    /// Returns a wait that the next greeting of an idle till is sure to come before, with its
    /// answer: who has heard beside a greeting that there is nothing new asks no sooner.
    pub(super) const fn past_a_greeting(&self) -> Millis {
        let wait = self.idle_greeting.after(self.request_timeout);
        assert!(wait.0 >= self.idle_greeting.0, "the next greeting comes before");
        assert!(wait.0 >= self.request_timeout.0, "and may take its time");
        wait
    }
}

const _: () = {
    let usual = Config::USUAL;
    let bound = Session::attempt_bound(&usual).0;
    assert!(usual.request_timeout.0 > 0, "an answer may take some time");
    assert!(usual.backoff_base.0 > 0, "who has failed waits");
    assert!(usual.backoff_base.0 <= usual.backoff_cap.0, "the first wait is the shortest");
    assert!(usual.backoff_cap.0 <= usual.retry_after_cap.0, "the cloud may ask for a longer wait");
    assert!(usual.backoff_cap.0 <= usual.quarantine_probe.0, "who is turned away asks less often");
    assert!(usual.request_timeout.0 < usual.idle_greeting.0, "a lost answer is noticed before");
    assert!(
        usual.retry_after_cap.0 < usual.idle_greeting.0,
        "no wait that is asked for is so long"
    );
    assert!(usual.quarantine_probe.0 < usual.idle_greeting.0, "who is turned away asks more often");
    assert!(bound < usual.idle_greeting.0, "who has work speaks more often than who has none");
    assert!(RETRY_CAP.0 < usual.idle_greeting.0, "every retry comes before the till is idle");
    assert!(usual.items_max > RETRIES_MAX, "retries leave room for what is fresh");
    assert!(usual.items_max > 0 && usual.items_max <= PUSH_ITEMS_MAX, "a push has its bounds");
};

impl Default for Config {
    fn default() -> Self {
        Self::USUAL
    }
}
