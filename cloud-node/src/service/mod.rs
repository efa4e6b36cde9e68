//! The HTTP service: routes over a queue to the committer and a reader of committed rows.
//!
//! | route | answers |
//! |---|---|
//! | `POST /v1/handshake` | where the till's journals stand |
//! | `POST /v1/sales-events` | what became of each offered entry |
//! | `GET /v1/catalog/delta`, `GET /v1/catalog/snapshot` | what a branch can sell |
//! | `GET /v1/sessions/{pos}/{session}` | whether the cloud has what a till states of its day |
//! | `GET /v1/explain/{pos}/{event}` | what the cloud holds of an event of the till |
//! | `GET /v1/admin/explain` | operator: the same of any event |
//! | `GET /v1/admin/sessions` | operator: the days of a shop's registers |
//! | `GET /v1/inventory-events/pending`, `POST .../ack` | what moved a branch's stock elsewhere |
//! | `GET /v1/storefront/stock` | operator: what the online store may show |
//! | `POST /v1/admin/orders`, `.../{id}/cancel`, `/v1/admin/buffer`, `/relay` | operator: orders |
//! | `POST /v1/admin/parcels` | operator: what became of what a till had carried here as a file |
//! | `GET /v1/live` | that there is news, as a stream of events |
//! | `GET /v1/admin/fleet` | operator: how a shop's tills are |
//! | `POST /v1/admin/terminals/{id}/verify` | operator: have a till compare its catalog |
//! | `GET /v1/admin/reconcile-runs`, `POST /v1/reconcile-runs/{runId}` | what came of that |
//! | `POST /v1/catalog/reconcile`, and `/entities` below it | which rows have drifted |
//! | `POST /api/pos/sync` | what became of each sale that a user's client made offline (S2) |
//! | `GET /api/v1/sync/downstream`, `POST .../upstream` | the contract of S1, and commands of S3 |
//! | `/`, `/page/...`, `POST /login`, `/logout` | the operator's pages, and their sessions |
//! | `GET /v1/admin/live` | operator: that something was committed |
//! | `/v1/admin/...` | operator: see `GET /openapi.json`, or `docs/api.md` |
//! | `GET /openapi.json`, `/docs` | every route |
//! | `GET /healthz`, `/readyz`, `/metrics` | the state of this node |
//!
//! A request of a till goes through these steps, and stops at the first that fails:
//!
//! 1. A request id, a span for the log, a guard against panics.
//! 2. A place among the requests under way, or 503.
//! 3. The credential, before a byte of the body is read: 401.
//! 4. The terminal's rates, by requests and by the bytes that the head speaks of: 429.
//! 5. The body, by a deadline, within a limit on the wire and one after decompression: 413.
//! 6. Decoding and hashing, outside of any transaction: 415, 422.
//! 7. The committer: it decides again who may speak, in the transaction.

mod adjust;
mod admin;
mod auth;
mod body;
mod bring;
mod catalog;
mod committed;
mod downstream;
mod edits;
mod explain;
mod fleet;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handshake;
mod health;
mod import;
mod inbox;
mod json;
mod lease;
mod ledger;
mod listing;
mod live;
mod login;
mod notices;
mod openapi;
mod orders;
mod packed;
mod page;
mod parcels;
mod parked;
mod pos_sync;
mod presence;
mod reconcile;
mod reports;
mod returns;
mod rollup;
mod runs;
mod sale;
mod sales_events;
mod sessions;
mod stocks;
mod terminals;
mod thresholds;
mod upstream;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post, put};
use counterfoil_protocol::cloud::compaction::LEASE_LIFE;
use counterfoil_protocol::cloud::log::{Logged, Note};
use counterfoil_protocol::cloud::rollup::PUSHES_MAX;
use counterfoil_protocol::cloud::{Caller, Cloud, Input, Output};
use counterfoil_protocol::codec::MESSAGE_BYTES_MAX;
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::ShopId;
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::committer::Submit;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::rate::{Gate, Rate};
use crate::world::{Clock, Entropy};

/// Reads committed rows of the cloud, from any task.
pub trait Reads:
    Query<Cloud, Error: std::fmt::Display + Send> + Clone + Send + Sync + 'static
{
}

impl<Q> Reads for Q where
    Q: Query<Cloud, Error: std::fmt::Display + Send> + Clone + Send + Sync + 'static
{
}

/// The bounds of a node. Every one of them holds before work is done for a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a body on the wire.
    pub wire_bytes: usize,
    /// The most bytes of a body after decompression.
    pub plain_bytes: usize,
    /// How long a body may take to arrive, and then the commit.
    pub deadline: Duration,
    /// The most requests under way; more are told to come back.
    pub concurrent: usize,
    /// How often one terminal may ask; `None` is as often as it likes.
    pub rate: Option<Rate>,
    /// How many bytes one terminal may send; `None` is as many as it likes.
    pub byte_rate: Option<Rate>,
    /// After how many pushes what a branch has moved is added to its stock; below
    /// [`PUSHES_MAX`], so that a roll-up catches up.
    pub roll_up_every: u32,
    /// How long a till may be silent before the catalog's feed forgets deletions that it has not
    /// heard of.
    pub lease_life: Millis,
    /// The most terminals that listen for news at once; more are told to ask as before.
    pub streams: usize,
    /// How often a stream says that it is there.
    pub beat: Duration,
    /// How often to look for news without a commit of this node, while somebody listens: where
    /// other nodes write to the same database.
    pub look_every: Option<Duration>,
    /// Whether a proxy with TLS stands in front, and says so in `X-Forwarded-Proto`: cookies are
    /// `Secure` where it does.
    pub forwarded_proto: bool,
    /// Whether links to this node are TLS themselves: every cookie is `Secure` then.
    pub own_tls: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wire_bytes: MESSAGE_BYTES_MAX,
            // JSON is wider than what it says.
            plain_bytes: 2 * MESSAGE_BYTES_MAX,
            deadline: Duration::from_secs(30),
            concurrent: 256,
            rate: Some(Rate::REQUESTS),
            byte_rate: Some(Rate::BYTES),
            roll_up_every: 256,
            lease_life: LEASE_LIFE,
            streams: 2_048,
            beat: Duration::from_secs(45),
            look_every: None,
            forwarded_proto: false,
            own_tls: false,
        }
    }
}

/// Everything a service is made of.
pub struct Parts<Q> {
    /// The way to the committer.
    pub submit: Submit,
    /// The reader of committed rows.
    pub reads: Q,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Fresh secrets, for enrolment.
    pub entropy: Arc<dyn Entropy>,
    /// The counters; the committer has them too.
    pub metrics: Arc<Metrics>,
    /// The digest of the operator's token ([`crate::credential::operator_digest`]); without it the
    /// admin routes listen to nobody.
    pub operator: Option<Hash>,
    /// The bounds.
    pub limits: Limits,
}

struct Node<Q> {
    parts: Parts<Q>,
    seen: auth::Seen,
    desk: login::Desk,
    till_gate: Gate,
    user_gate: Gate,
    pending: rollup::Pending,
    packed: packed::Packed,
    mirrors: reconcile::Mirrors,
    presence: presence::Presence,
    runs: runs::Runs,
    places: Semaphore,
    requests: AtomicU64,
}

impl<Q> std::fmt::Debug for Parts<Q> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("limits", &self.limits).finish_non_exhaustive()
    }
}

type Shared<Q> = Arc<Node<Q>>;

/// Makes the router of a node.
pub fn router<Q: Reads>(parts: Parts<Q>) -> Router {
    let every = usize::try_from(parts.limits.roll_up_every).unwrap_or(usize::MAX);
    assert!((1..PUSHES_MAX).contains(&every), "a roll-up takes more pushes than it waits for");
    let node = Arc::new(Node {
        seen: auth::Seen::default(),
        desk: login::Desk::default(),
        till_gate: Gate::new(&parts.limits),
        user_gate: Gate::new(&parts.limits),
        pending: rollup::Pending::default(),
        packed: packed::Packed::default(),
        mirrors: reconcile::Mirrors::default(),
        presence: presence::Presence::default(),
        runs: runs::Runs::default(),
        places: Semaphore::new(parts.limits.concurrent.max(1)),
        requests: AtomicU64::new(0),
        parts,
    });
    let bounded = asked_by_callers::<Q>()
        .route("/v1/admin/users", get(users::list::<Q>).post(users::add::<Q>))
        .route("/v1/admin/users/{id}/revoke", post(users::revoke::<Q>))
        .route("/v1/admin/sessions", get(sessions::list::<Q>))
        .route("/v1/admin/stock", get(stocks::list::<Q>))
        .route("/login", post(login::enter::<Q>))
        .route("/logout", post(login::leave::<Q>))
        .route("/v1/admin/sites", get(listing::sites::list::<Q>))
        .route("/v1/admin/orders", get(listing::orders::list::<Q>).post(orders::place::<Q>))
        .route("/v1/admin/orders/{id}/cancel", post(orders::cancel::<Q>))
        .route("/v1/admin/buffer", get(orders::buffer::<Q>).put(orders::set_buffer::<Q>))
        .route("/v1/admin/low-stock", get(thresholds::list::<Q>).put(thresholds::set::<Q>))
        .route("/v1/admin/relay", put(orders::set_relay::<Q>))
        .route("/v1/admin/catalog", get(listing::catalog::list::<Q>).post(catalog::edit::<Q>))
        .route("/v1/admin/edits", get(edits::list::<Q>))
        .route("/v1/admin/catalog/compact", post(lease::run::<Q>))
        .route("/v1/admin/terminals", get(terminals::list::<Q>).post(admin::enrol::<Q>))
        .route("/v1/admin/terminals/{id}/credential", put(terminals::rotate::<Q>))
        .route("/v1/admin/terminals/{id}/histories", get(listing::histories::list::<Q>))
        .route("/v1/admin/forks", get(terminals::forks::<Q>))
        .route("/v1/admin/parked", get(parked::list::<Q>))
        .route("/v1/admin/parked/decide", post(parked::decide::<Q>))
        .route("/v1/admin/notifications", get(notices::list::<Q>))
        .route("/v1/admin/notifications/settle", post(notices::settle::<Q>))
        .route("/v1/admin/log", get(notices::log::<Q>))
        .route("/v1/admin/adjustments", post(adjust::answer::<Q>))
        .route("/v1/admin/catalog/import", post(import::answer::<Q>))
        .route("/v1/admin/reports/sales", get(reports::sales::<Q>))
        .route("/v1/admin/returns", get(returns::list::<Q>))
        .route("/v1/admin/terminals/{id}/revoke", post(admin::revoke::<Q>))
        .route("/v1/admin/products", post(admin::define_product::<Q>))
        .route("/v1/admin/fleet", get(fleet::list::<Q>))
        .route("/v1/admin/terminals/{id}/verify", post(runs::ask::<Q>))
        .route("/v1/admin/reconcile-runs", get(runs::list::<Q>))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&node), frame::place::<Q>));
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz::<Q>))
        .route("/metrics", get(health::metrics::<Q>))
        .route("/openapi.json", get(openapi::document))
        .route("/docs", get(openapi::page))
        .route("/v1/live", get(live::answer::<Q>))
        .route("/", get(page::index))
        .route("/page/{name}", get(page::file))
        .route("/v1/admin/live", get(committed::listen::<Q>))
        .merge(bounded)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::middleware::from_fn(login::guard))
        .layer(CatchPanicLayer::custom(frame::panicked))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&node), frame::frame::<Q>))
        .with_state(node)
}

/// Routes of tills, of users, of the online store, and what is answered to tills and operators.
fn asked_by_callers<Q: Reads>() -> Router<Shared<Q>> {
    Router::new()
        .route("/api/pos/sync", post(pos_sync::answer::<Q>))
        .route("/api/v1/sync/downstream", get(downstream::answer::<Q>))
        .route("/api/v1/sync/upstream", post(upstream::answer::<Q>))
        .route("/v1/handshake", post(handshake::answer::<Q>))
        .route("/v1/sales-events", post(sales_events::answer::<Q>))
        .route("/v1/admin/parcels", post(parcels::answer::<Q>))
        .route("/v1/catalog/delta", get(catalog::changes::<Q>))
        .route("/v1/catalog/snapshot", get(catalog::run::<Q>))
        .route("/v1/sessions/{pos}/{session}", get(sessions::report::<Q>))
        .route("/v1/explain/{pos}/{event}", get(explain::to_till::<Q>))
        .route("/v1/inventory-events/pending", get(inbox::events::<Q>))
        .route("/v1/inventory-events/ack", post(inbox::acknowledge::<Q>))
        .route("/v1/storefront/stock", get(orders::stock::<Q>))
        .route("/v1/admin/explain", get(explain::to_operator::<Q>))
        .route("/v1/catalog/reconcile", post(reconcile::compare::<Q>))
        .route("/v1/catalog/reconcile/entities", post(reconcile::entities::<Q>))
        .route("/v1/reconcile-runs/{runId}", post(runs::answer::<Q>))
}

impl<Q> Node<Q> {
    /// Hands an input to the committer and waits for the commit, but not for ever.
    async fn ask(&self, input: Input, bytes: usize) -> Result<Output, Problem> {
        let asked = self.parts.submit.ask(input, bytes);
        match tokio::time::timeout(self.parts.limits.deadline, asked).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(_)) => Err(Problem::storage_failed()),
            Err(_) => Err(Problem::unavailable(
                "the commit takes too long and may still happen: send the same again",
            )),
        }
    }

    /// Asks for an operator, and notes what was done in the transaction that does it.
    async fn ask_logged(
        &self,
        action: &'static str,
        shop: Option<ShopId>,
        target: impl ToString,
        input: Input,
        bytes: usize,
    ) -> Result<Output, Problem> {
        let (actor, target) = ("operator".to_owned(), target.to_string());
        let note = Note { actor, action: action.to_owned(), shop, target };
        self.ask(Input::Logged(Logged::new(note, input)), bytes).await
    }

    /// Asks for a till. What the transaction says against the till is a problem for it, and what
    /// this node remembers of the till is forgotten.
    async fn ask_for(
        &self,
        caller: &Caller,
        input: Input,
        bytes: usize,
    ) -> Result<Output, Problem> {
        let output = self.ask(input, bytes).await?;
        let problem = if let Output::Denied(denial) = output {
            Problem::denied(denial)
        } else if matches!(output, Output::Moved) {
            Problem::unavailable("the terminal was moved while it asked: send the same again")
        } else {
            return Ok(output);
        };
        self.seen.forget(caller.terminal);
        Err(problem)
    }

    fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}

/// Says that committed rows cannot be read.
fn unreadable(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "committed rows cannot be read");
    Problem::storage_failed()
}

/// What stands for an output that cannot belong to the input.
fn wrong_output() -> Problem {
    Problem::unavailable("the node answered another question: report this, and send it again")
}

async fn not_found() -> Problem {
    Problem::new(ErrorCode::NotFound, "there is no such route: see the list in the manual")
}

async fn method_not_allowed() -> Problem {
    let detail = "this route takes another method: see the `Allow` header";
    Problem::new(ErrorCode::NotFound, detail).with_status(405)
}
