//! The local HTTP API: a point of sale in any language sells through it.
//!
//! | route | does |
//! |---|---|
//! | `POST /sales` `/refunds` `/adjustments` | records one event; 201, or 200 if it was known |
//! | `POST /events` | records up to 256 events of any kind, [`body::EventBody`] each |
//! | `POST /import?posId=&tillIndex=&tills=` | sells the invoices of a published file |
//! | `POST /sessions/open` `/cash` `/close` | a register's session, see [`crate::drawer`] |
//! | `GET /sessions/current?posId=` | what is expected and counted, and what the cloud says |
//! | `POST /retry` `{posId, localEventId}` | lets an event that needs attention be tried again |
//! | `POST /sync` | speaks to the cloud now |
//! | `GET /products?search=&limit=` | what can be sold, with this branch's prices |
//! | `GET /products/{id}` | one product, with what was edited here |
//! | `PATCH /products/{id}` | corrects its name, unit or category, see [`crate::edit::EditBody`] |
//! | `GET /stock?product=&after=` `/movements?after=&limit=` | sums, and what came from elsewhere |
//! | `GET /review`, `POST /review` `{productId}` | negative stock to look at, and that it is done |
//! | `POST /verify` | compares the catalog with the cloud's: a plan, as JSON and as text |
//! | `POST /plan/apply` | applies a plan that was read |
//! | `GET /products?code=` | what has exactly this barcode or SKU: one look-up |
//! | `GET /status` `/queue?limit=` `/figures` `/export` | what the till can tell of itself |
//! | `GET /healthz` | 200 while the database works; the only route without a token |
//!
//! Amounts are integers in minor units, quantities in thousandths. Errors are problem documents
//! (RFC 9457) with the stable code.

pub mod body;
mod export;
mod problem;
mod product;
pub(crate) mod sessions;
mod stock;
mod verify;

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::identity::{LocalEventId, PosId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::reconcile::plan::PLAN_BYTES_MAX;
use counterfoil_protocol::session::Nudge;
use counterfoil_protocol::terminal::Output;
use counterfoil_protocol::time::Millis;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::books::{QueueItem, Status, TillFigures};
use crate::import::{self, Report};
use crate::shelf::{self, OnSale, PRODUCTS_MAX, SEARCH_BYTES_MAX};
use crate::stamp;
use crate::sync::Link;
use crate::till::{GROUP_MAX, Till, TillStore};
use crate::verify::Desk;
use body::{AdjustmentBody, BatchBody, EventBody, RecordedBody, RefusedBody, TradeBody};
pub use problem::Problem;
pub use verify::{AppliedBody, VerifiedBody};

/// The most events in one `POST /events`.
pub const EVENTS_MAX: usize = 256;
/// The most bytes of a request, but for an import.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most bytes of an imported file.
const IMPORT_BYTES_MAX: usize = 256 * 1024 * 1024;
const QUEUE_DEFAULT: usize = 100;
const QUEUE_MAX: usize = 10_000;

/// What the handlers share.
#[derive(Debug)]
pub struct Api<S> {
    till: Till<S>,
    link: watch::Receiver<Link>,
    desk: Desk,
    cloud: Arc<str>,
    secret: Hash,
}

impl<S> Clone for Api<S> {
    fn clone(&self) -> Self {
        Self {
            till: self.till.clone(),
            link: self.link.clone(),
            desk: self.desk.clone(),
            cloud: Arc::clone(&self.cloud),
            secret: self.secret,
        }
    }
}

/// The answer of `GET /status`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusBody {
    /// The till's books.
    #[serde(flatten)]
    pub status: Status,
    /// How long the oldest pending event has waited.
    pub oldest_pending_age_ms: Option<Millis>,
    /// What a person is told about the quarantine, if there is one.
    pub quarantine_reason: Option<&'static str>,
    /// The address of the cloud.
    pub cloud: String,
    /// How the link is doing; absent if no daemon runs.
    pub link: Option<Link>,
}

impl StatusBody {
    /// Puts the till's books and the link together, as of `now`.
    #[must_use]
    pub fn new(status: Status, link: Option<Link>, cloud: &str, now: Millis) -> Self {
        Self {
            oldest_pending_age_ms: status.oldest_pending_ms.map(|since| now.since(since)),
            quarantine_reason: status.quarantined.map(|denial| denial.explain()),
            cloud: cloud.to_owned(),
            link,
            status,
        }
    }
}

/// The answer of `POST /import`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportBody {
    /// What became of each line of the file.
    pub report: Report,
    /// Invoices that were this till's share.
    pub documents: u64,
    /// What became of their events.
    pub events: BatchBody,
}

/// Makes the router. `token` is what callers must present.
pub fn router<S: TillStore + 'static>(
    till: Till<S>,
    link: watch::Receiver<Link>,
    desk: Desk,
    cloud: &str,
    token: &str,
) -> Router {
    let secret = secret_hash(token.as_bytes());
    let api = Api { till, link, desk, cloud: cloud.into(), secret };
    let import = post(import_file::<S>).layer(DefaultBodyLimit::max(IMPORT_BYTES_MAX));
    let plan = post(verify::apply::<S>).layer(DefaultBodyLimit::max(PLAN_BYTES_MAX));
    Router::new()
        .route("/sales", post(sale::<S>))
        .route("/refunds", post(refund::<S>))
        .route("/adjustments", post(adjustment::<S>))
        .route("/events", post(events::<S>))
        .route("/sessions/open", post(sessions::open::<S>))
        .route("/sessions/cash", post(sessions::cash::<S>))
        .route("/sessions/close", post(sessions::close::<S>))
        .route("/sessions/current", get(sessions::current::<S>))
        .route("/retry", post(retry::<S>))
        .route("/sync", post(sync::<S>))
        .route("/verify", post(verify::verify::<S>))
        .route("/status", get(status::<S>))
        .route("/queue", get(queue::<S>))
        .route("/figures", get(figures::<S>))
        .route("/products", get(products::<S>))
        .route("/products/{id}", get(product::show::<S>).patch(product::change::<S>))
        .route("/stock", get(stock::stock::<S>))
        .route("/movements", get(stock::moved::<S>))
        .route("/review", get(stock::review::<S>).post(stock::done::<S>))
        .route("/export", get(export::export::<S>))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .route("/import", import)
        .route("/plan/apply", plan)
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(middleware::from_fn_with_state(api.clone(), authorize::<S>))
        .route("/healthz", get(health::<S>))
        .with_state(api)
}

type Posted<T> = Result<Json<T>, JsonRejection>;
type Recorded = Result<(StatusCode, Json<RecordedBody>), Problem>;

async fn authorize<S: TillStore>(
    State(api): State<Api<S>>,
    request: Request,
    next: Next,
) -> Response {
    let presented = request.headers().get(header::AUTHORIZATION);
    let presented = presented.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = presented.strip_prefix("Bearer ").unwrap_or_default();
    if secret_hash(token.as_bytes()).same_secret(&api.secret) {
        next.run(request).await
    } else {
        Problem::unauthorized().into_response()
    }
}

async fn sale<S: TillStore>(State(api): State<Api<S>>, body: Posted<TradeBody>) -> Recorded {
    let Json(body) = body?;
    if body.original.is_some() {
        return Err(Problem::invalid("a sale names no original"));
    }
    record(&api, EventBody::Sale(body)).await
}

async fn refund<S: TillStore>(State(api): State<Api<S>>, body: Posted<TradeBody>) -> Recorded {
    record(&api, EventBody::Refund(body?.0)).await
}

async fn adjustment<S: TillStore>(
    State(api): State<Api<S>>,
    body: Posted<AdjustmentBody>,
) -> Recorded {
    record(&api, EventBody::Adjustment(body?.0)).await
}

async fn record<S: TillStore>(api: &Api<S>, body: EventBody) -> Recorded {
    let (_, id) = body.name();
    let output = stamp::record(&api.till, body).await?;
    match output {
        Output::Recorded { place, receipt, again } => {
            let status = if again { StatusCode::OK } else { StatusCode::CREATED };
            Ok((status, Json(RecordedBody::new(id, place, receipt, again))))
        }
        Output::Taken(_) => Err(Problem::taken(id)),
        Output::Invalid(error) => Err(Problem::invalid(&error.to_string())),
        output @ (Output::Opened { .. }
        | Output::NotInstalled(_)
        | Output::Settled(_)
        | Output::NothingToRetry
        | Output::Catalogued(_)
        | Output::CatalogUnreadable(_)
        | Output::Session(_)
        | Output::Inbox(_)
        | Output::PlanApplied(_)
        | Output::PlanRefused(_)) => unreachable!("a record is not answered by {output:?}"),
    }
}

async fn events<S: TillStore>(
    State(api): State<Api<S>>,
    body: Posted<Vec<EventBody>>,
) -> Result<Json<BatchBody>, Problem> {
    let Json(bodies) = body?;
    if bodies.len() > EVENTS_MAX {
        return Err(Problem::too_large(&format!("at most {EVENTS_MAX} events at once")));
    }
    let mut batch = BatchBody::default();
    let ids: Vec<_> = bodies.iter().map(|body| body.name().1).collect();
    let outputs = stamp::record_all(&api.till, bodies).await?;
    batch.count(&ids, &outputs);
    Ok(Json(batch))
}

impl BatchBody {
    fn refuse(&mut self, local_event_id: LocalEventId, detail: &str) {
        self.refused.push(RefusedBody { local_event_id, detail: detail.to_owned() });
    }

    /// Counts what became of the events of these ids.
    pub(crate) fn count(&mut self, ids: &[LocalEventId], outputs: &[Output]) {
        assert_eq!(ids.len(), outputs.len(), "one output for each event");
        for (id, output) in ids.iter().zip(outputs) {
            match output {
                Output::Recorded { again: false, .. } => self.recorded += 1,
                Output::Recorded { again: true, .. } => self.again += 1,
                Output::Taken(_) => self.refuse(*id, problem::TAKEN),
                Output::Invalid(error) => self.refuse(*id, &error.to_string()),
                Output::Opened { .. }
                | Output::NotInstalled(_)
                | Output::Settled(_)
                | Output::NothingToRetry
                | Output::Catalogued(_)
                | Output::CatalogUnreadable(_)
                | Output::Session(_)
                | Output::Inbox(_)
                | Output::PlanApplied(_)
                | Output::PlanRefused(_) => {
                    unreachable!("a record is not answered by {output:?}")
                }
            }
        }
    }

    /// Adds what became of further events.
    pub(crate) fn add(&mut self, other: Self) {
        self.recorded += other.recorded;
        self.again += other.again;
        self.refused.extend(other.refused);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Share {
    pos_id: PosId,
    #[serde(default)]
    till_index: usize,
    #[serde(default = "one")]
    tills: usize,
}

const fn one() -> usize {
    1
}

async fn import_file<S: TillStore>(
    State(api): State<Api<S>>,
    share: Result<Query<Share>, QueryRejection>,
    file: Bytes,
) -> Result<Json<ImportBody>, Problem> {
    let Query(Share { pos_id, till_index, tills }) = share?;
    if till_index >= tills {
        return Err(Problem::invalid("tillIndex is below tills"));
    }
    let parsing = tokio::task::spawn_blocking(move || import::parse(&file[..], pos_id));
    let parsed = parsing.await.map_err(|error| Problem::unavailable(&error.to_string()))?;
    let parsed = parsed.map_err(|error| Problem::invalid(&error.to_string()))?;
    let documents = import::spread(parsed.documents, tills, till_index);
    let mut answer = ImportBody {
        report: parsed.report,
        documents: documents.len() as u64,
        events: BatchBody::default(),
    };
    let mut drafts = documents.into_iter().flat_map(|document| document.drafts).peekable();
    while drafts.peek().is_some() {
        let group: Vec<_> = drafts.by_ref().take(GROUP_MAX).collect();
        let ids: Vec<_> = group.iter().map(|draft| draft.local_id).collect();
        let outputs = api.till.record_all(group).await?;
        answer.events.count(&ids, &outputs);
        // Whoever sells at the till meanwhile goes first.
        tokio::task::yield_now().await;
    }
    Ok(Json(answer))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Named {
    pos_id: PosId,
    local_event_id: LocalEventId,
}

async fn retry<S: TillStore>(
    State(api): State<Api<S>>,
    body: Posted<Named>,
) -> Result<StatusCode, Problem> {
    let Json(Named { pos_id, local_event_id }) = body?;
    if api.till.retry(pos_id, local_event_id).await? {
        Ok(StatusCode::ACCEPTED)
    } else {
        Err(Problem::nothing_to_retry())
    }
}

async fn sync<S: TillStore>(State(api): State<Api<S>>) -> StatusCode {
    api.till.nudge(Nudge::Manual);
    // Lets the loop take it up before the caller asks for the status.
    tokio::task::yield_now().await;
    StatusCode::ACCEPTED
}

async fn status<S: TillStore>(State(api): State<Api<S>>) -> Result<Json<StatusBody>, Problem> {
    let status = api.till.status().await?;
    let link = *api.link.borrow();
    let now = api.till.clock().now();
    Ok(Json(StatusBody::new(status, Some(link), &api.cloud, now)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    limit: Option<usize>,
}

async fn queue<S: TillStore>(
    State(api): State<Api<S>>,
    limit: Result<Query<Limit>, QueryRejection>,
) -> Result<Json<Vec<QueueItem>>, Problem> {
    let limit = limit?.limit.unwrap_or(QUEUE_DEFAULT).clamp(1, QUEUE_MAX);
    Ok(Json(api.till.queue(limit).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    #[serde(default)]
    search: String,
    code: Option<String>,
    limit: Option<usize>,
}

async fn products<S: TillStore>(
    State(api): State<Api<S>>,
    wish: Result<Query<Search>, QueryRejection>,
) -> Result<Json<Vec<OnSale>>, Problem> {
    let Query(Search { search, code, limit }) = wish?;
    if let Some(code) = code {
        let Ok(code) = Label::parse(code.trim()) else {
            return Err(Problem::invalid("a code has 1 to 36 printable ASCII characters"));
        };
        return Ok(Json(shelf::by_code(&api.till, code).await?));
    }
    if search.len() > SEARCH_BYTES_MAX {
        return Err(Problem::invalid("search for at most 128 bytes of text"));
    }
    let limit = limit.unwrap_or(QUEUE_DEFAULT).clamp(1, PRODUCTS_MAX);
    Ok(Json(shelf::products(&api.till, search.trim(), limit).await?))
}

async fn figures<S: TillStore>(State(api): State<Api<S>>) -> Result<Json<TillFigures>, Problem> {
    Ok(Json(api.till.figures().await?))
}

async fn health<S: TillStore>(State(api): State<Api<S>>) -> Result<&'static str, Problem> {
    api.till.meta().await?;
    Ok("ok\n")
}
