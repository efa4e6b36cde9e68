//! What an operator can count: one registry for each node, so that simulated nodes share none.

use std::fmt;

use counterfoil_protocol::cloud::Output;
use counterfoil_protocol::cloud::direct::Outcome;
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{Standing, Verdict};
use counterfoil_protocol::wire::reconcile::ReconcileAnswer;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

const VERDICTS: [&str; 5] = ["created", "existing", "parked", "refused", "edited"];
const STANDINGS: [&str; 5] = ["inStep", "tillAhead", "cloudLostTail", "tillLostTail", "forked"];
const DENIALS: [&str; 4] = ["unknownTerminal", "revoked", "expired", "wrongCredential"];
const RENEWALS: [&str; 2] = ["taken", "refused"];
const COMPARED: [&str; 5] = ["inSync", "cells", "tooLarge", "ahead", "moved"];
const CODES: [&str; ErrorCode::ALL.len()] = {
    let mut names = [""; ErrorCode::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = ErrorCode::ALL[at].as_str();
        at += 1;
    }
    names
};
const SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
const SECONDS: [f64; 12] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// The counters of one node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    synced_events: Counter,
    ingest: Labelled<5>,
    handshakes: Labelled<5>,
    denied: Labelled<4>,
    problems: Labelled<{ ErrorCode::ALL.len() }>,
    reconciles: Labelled<5>,
    compactions: Counter,
    compacted: Counter,
    resyncs: Counter,
    delta_syncs: Counter,
    commits: Counter,
    batch_size: Histogram,
    commit_seconds: Histogram,
    tls_not_after: Gauge,
    tls_renewals: Labelled<2>,
    tls_refused_at: Gauge,
}

/// A counter for each value of one label, in a fixed order and without a lock.
///
/// The library's `Family` would keep them in a hash map: its text would differ from run to run.
#[derive(Clone, Debug)]
struct Labelled<const N: usize> {
    label: &'static str,
    values: &'static [&'static str; N],
    counters: [Counter; N],
}

impl<const N: usize> Labelled<N> {
    fn new(label: &'static str, values: &'static [&'static str; N]) -> Self {
        Self { label, values, counters: std::array::from_fn(|_| Counter::default()) }
    }

    fn add(&self, index: usize, amount: u64) {
        self.counters[index].inc_by(amount);
    }
}

impl<const N: usize> EncodeMetric for Labelled<N> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (value, counter) in self.values.iter().zip(&self.counters) {
            counter.encode(encoder.encode_family(&[(self.label, *value)])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        <Counter as TypedMetric>::TYPE
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Makes a registry with everything at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            synced_events: Counter::default(),
            ingest: Labelled::new("verdict", &VERDICTS),
            handshakes: Labelled::new("standing", &STANDINGS),
            denied: Labelled::new("reason", &DENIALS),
            problems: Labelled::new("code", &CODES),
            reconciles: Labelled::new("answer", &COMPARED),
            compactions: Counter::default(),
            compacted: Counter::default(),
            resyncs: Counter::default(),
            delta_syncs: Counter::default(),
            commits: Counter::default(),
            batch_size: Histogram::new(SIZES),
            commit_seconds: Histogram::new(SECONDS),
            tls_not_after: Gauge::default(),
            tls_renewals: Labelled::new("outcome", &RENEWALS),
            tls_refused_at: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let to = &mut self.registry;
        to.register(
            "synced_events",
            "Events posted for the first time",
            self.synced_events.clone(),
        );
        to.register("ingest_items", "Offered items by verdict", self.ingest.clone());
        to.register(
            "handshakes",
            "Handshakes by the standing of the current journal",
            self.handshakes.clone(),
        );
        to.register("denied_requests", "Requests turned away by reason", self.denied.clone());
        to.register("problems", "Problem documents by code", self.problems.clone());
        to.register("reconcile_runs", "Catalogs compared, by answer", self.reconciles.clone());
        to.register(
            "catalog_compactions",
            "Steps of compaction of a shop's catalog",
            self.compactions.clone(),
        );
        to.register(
            "catalog_compacted_deletions",
            "Deletions that have left a catalog's feed",
            self.compacted.clone(),
        );
        to.register(
            "catalog_resyncs",
            "Tills that were told to compare their catalog by snapshot",
            self.resyncs.clone(),
        );
        to.register(
            "delta_sync_runs",
            "Changes of the catalog that were asked for, by version or by time",
            self.delta_syncs.clone(),
        );
        to.register("commits", "Durable commits", self.commits.clone());
        to.register("commit_batch_size", "Requests in one commit", self.batch_size.clone());
        to.register(
            "commit_seconds",
            "Time from the start of a transaction until it is durable",
            self.commit_seconds.clone(),
        );
        self.register_tls();
    }

    fn register_tls(&mut self) {
        let to = &mut self.registry;
        to.register(
            "tls_certificate_not_after_seconds",
            "When the certificate that is served runs out, in seconds since 1970; 0 without TLS",
            self.tls_not_after.clone(),
        );
        to.register(
            "tls_renewals",
            "Other certificates that were found in the files, by what became of them",
            self.tls_renewals.clone(),
        );
        to.register(
            "tls_renewal_refused_seconds",
            "When the files last had what cannot be served, in seconds since 1970; 0 while they \
             have what is served",
            self.tls_refused_at.clone(),
        );
    }

    /// Returns the text that a Prometheus server reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let written = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        debug_assert!(written.is_ok(), "a string takes every write");
        text
    }

    /// Returns the same with more lines before its end.
    pub(crate) fn text_with(&self, more: &str) -> String {
        const END: &str = "# EOF\n";
        let text = self.text();
        format!("{}{more}{END}", text.strip_suffix(END).unwrap_or(&text))
    }

    /// Returns how many events were posted for the first time.
    #[must_use]
    pub fn synced_events(&self) -> u64 {
        self.synced_events.get()
    }

    /// Returns how many commits there were.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.get()
    }

    /// Counts a commit and what it decided.
    pub(crate) fn committed(&self, outputs: &[Output], took: std::time::Duration) {
        self.commits.inc();
        #[expect(clippy::cast_precision_loss, reason = "a batch has at most a few hundred jobs")]
        self.batch_size.observe(outputs.len() as f64);
        self.commit_seconds.observe(took.as_secs_f64());
        let mut verdicts = [0_u64; VERDICTS.len()];
        for output in outputs {
            match output {
                Output::Pushed(answer) => {
                    for result in &answer.results {
                        verdicts[verdict_index(result.verdict)] += 1;
                    }
                }
                Output::Welcome(welcome) => {
                    if let Some(lane) = welcome.lanes.first() {
                        self.handshakes.add(standing_index(lane.standing), 1);
                    }
                }
                Output::Compacted { removed, .. } => {
                    self.compactions.inc();
                    self.compacted.inc_by(u64::from(*removed));
                }
                Output::Brought(outcomes) => {
                    for outcome in outcomes {
                        verdicts[outcome_index(*outcome)] += 1;
                    }
                }
                Output::Enrolled
                | Output::NameReserved
                | Output::UserAdded
                | Output::NoSuchUser
                | Output::Forbidden(_)
                | Output::HeadMoved
                | Output::Decided(_)
                | Output::NoSuchEvent
                | Output::Settled
                | Output::ThresholdsSet { .. }
                | Output::OtherSite(_)
                | Output::Revoked
                | Output::NoSuchTerminal
                | Output::Defined
                | Output::RolledUp(_)
                | Output::Edited { .. }
                | Output::SketchSecret(_)
                | Output::Leased(_)
                | Output::Denied(_)
                | Output::Inbox(_)
                | Output::Moved => {}
            }
        }
        for (index, count) in verdicts.into_iter().enumerate() {
            self.ingest.add(index, count);
        }
        self.synced_events.inc_by(verdicts[0]);
    }

    /// Counts a comparison of a till's catalog.
    pub(crate) fn reconciled(&self, answer: &ReconcileAnswer) {
        let index = match answer {
            ReconcileAnswer::InSync(_) => 0,
            ReconcileAnswer::Cells(_) => 1,
            ReconcileAnswer::TooLarge { .. } => 2,
            ReconcileAnswer::Ahead { .. } => 3,
            ReconcileAnswer::Moved { .. } => 4,
        };
        self.reconciles.add(index, 1);
    }

    /// Counts a till that has to compare by snapshot.
    pub(crate) fn resync(&self) {
        self.resyncs.inc();
    }

    /// Counts an answer with what has changed in the catalog.
    pub(crate) fn delta_sync(&self) {
        self.delta_syncs.inc();
    }

    /// Says when the certificate that is served runs out, if it says so itself.
    pub(crate) fn certificate(&self, not_after: Option<Millis>) {
        self.tls_not_after.set(seconds(not_after.unwrap_or(Millis::ZERO)));
    }

    /// Counts another certificate that is served from now on.
    pub(crate) fn renewed(&self) {
        self.tls_renewals.add(0, 1);
    }

    /// Counts one that cannot be served.
    pub(crate) fn renewal_refused(&self, now: Millis) {
        self.tls_renewals.add(1, 1);
        self.tls_refused_at.set(seconds(now));
    }

    /// Says that the files have what is served.
    pub(crate) fn renewal_in_order(&self) {
        self.tls_refused_at.set(0);
    }

    /// Counts a problem document.
    pub(crate) fn refused(&self, code: ErrorCode, reason: Option<Denial>) {
        let index = ErrorCode::ALL.iter().position(|known| *known == code);
        self.problems.add(index.unwrap_or_default(), 1);
        if let Some(reason) = reason {
            self.denied.add(denial_index(reason), 1);
        }
    }
}

fn seconds(at: Millis) -> i64 {
    i64::try_from(at.0 / 1000).unwrap_or(i64::MAX)
}

const fn verdict_index(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Created(_) => 0,
        Verdict::Existing(_) => 1,
        Verdict::Parked(_) => 2,
        Verdict::Refused(_) => 3,
        Verdict::Edited(_) => 4,
    }
}

const fn outcome_index(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Created(_) => 0,
        Outcome::Existing(_) => 1,
        Outcome::ProductUnknown(_) | Outcome::OtherBranch => 2,
        Outcome::NameTaken | Outcome::CommandTaken | Outcome::Rejected => 3,
    }
}

const fn standing_index(standing: Standing) -> usize {
    match standing {
        Standing::InStep => 0,
        Standing::TillAhead => 1,
        Standing::CloudLostTail => 2,
        Standing::TillLostTail => 3,
        Standing::Forked => 4,
    }
}

const fn denial_index(denial: Denial) -> usize {
    match denial {
        Denial::UnknownTerminal => 0,
        Denial::Revoked => 1,
        Denial::Expired => 2,
        Denial::WrongCredential => 3,
    }
}
