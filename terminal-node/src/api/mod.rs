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
//! | `POST /sales/{posId}/{localEventId}/correct` | a sale in its place, see [`crate::mend`] |
//! | `POST /sales/{posId}/{localEventId}/void` `{reason}` | takes everything of it back, once |
//! | `POST /queue/park` `/queue/give-way` | sets a failed event aside; lets the other one count |
//! | `GET /queue/replaced?limit=` | what was corrected, and what counts in its place |
//! | `POST /sync?waitMs=` | speaks to the cloud now; answers when that is done, if told to wait |
//! | `GET /products?search=&category=&limit=` | what can be sold, with this branch's prices |
//! | `GET /categories` `/customers?search=&limit=` | what else the catalog names |
//! | `GET /products/{id}` | one product, with what was edited here |
//! | `PATCH /products/{id}` | corrects its name, unit or category, see [`crate::edit::EditBody`] |
//! | `GET /stock?product=&after=` `/movements?after=&limit=` | sums, and what came from elsewhere |
//! | `GET /review`, `POST /review` `{productId}` | negative stock to look at, and that it is done |
//! | `POST /verify` | compares the catalog with the cloud's: a plan, as JSON and as text |
//! | `POST /plan/apply` | applies a plan that was read |
//! | `GET /products?code=` | what has exactly this barcode or SKU: one look-up |
//! | `GET /receipts?find=&posId=&limit=` | sales and refunds, newest first |
//! | `GET /receipts/{posId}/{localEventId}` | one as it is printed, and where it stands |
//! | `GET /queue?limit=&attention=` | what is not synced, and why |
//! | `GET /queue/records`, `/queue/{posId}/{localEventId}` | the same with the events; one of it |
//! | `GET /sales/{posId}/{localEventId}/explain` | one event on both sides, see [`crate::story`] |
//! | `GET /doctor` | the database looked at row by row, see [`crate::doctor`] |
//! | `GET /bundle?entries=&contents=` | what an incident bundle has of it, see [`crate::bundle`] |
//! | `GET /diary?limit=` | the newest notes of what came of speaking to the cloud |
//! | `GET /events` | the state as server-sent events, see [`live`] |
//! | `/reports` `/users` `/settings` | are the cloud's: 503 without it, else passed on |
//! | `GET /parcel`, `POST /parcel` | what waits as a file, and the answers, see [`crate::parcel`] |
//! | `GET /status` `/figures` `/export` | what the till can tell of itself |
//! | `GET /healthz` | 200 while the database works; without a token |
//! | `GET /openapi.json` | all of this, for programs; without a token |
//! | `GET /`, `/page/{file}` | the till page; without a token |
//!
//! Amounts are integers in minor units, quantities in thousandths. Errors are problem documents
//! (RFC 9457) with the stable code.

pub mod body;
mod bundle;
mod diary;
mod doctor;
mod elsewhere;
mod export;
mod guard;
pub mod live;
mod mend;
mod openapi;
mod page;
pub(crate) mod parcel;
mod problem;
mod product;
mod queue;
mod receipts;
pub(crate) mod sessions;
mod stock;
mod story;
mod sync;
mod verify;

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::middleware;
use axum::routing::{any, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::identity::{LocalEventId, PosId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::reconcile::plan::PLAN_BYTES_MAX;
use counterfoil_protocol::terminal::Output;
use counterfoil_protocol::wire::parcel::PARCEL_BYTES_MAX;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::books::TillFigures;
use crate::import::{self, Report};
use crate::parcel::Seal;
use crate::passage::Passage;
use crate::stamp;
use crate::story::ask::Asker;
use crate::sync::Link;
use crate::till::{GROUP_MAX, Till, TillStore};
use crate::verify::Desk;
use body::{AdjustmentBody, BatchBody, EventBody, RecordedBody, RefusedBody, TradeBody};
use live::Listeners;
pub use problem::Problem;
pub use sync::StatusBody;
pub use verify::{AppliedBody, VerifiedBody};

/// The most events in one `POST /events`.
pub const EVENTS_MAX: usize = 256;
/// The most bytes of a request, but for an import.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most bytes of an imported file.
const IMPORT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What the handlers share.
#[derive(Debug)]
pub struct Api<S> {
    till: Till<S>,
    link: watch::Receiver<Link>,
    desk: Desk,
    listeners: Listeners,
    cloud: Arc<str>,
    outside: Outside,
    secret: Hash,
}

/// What the API needs of the cloud.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The way for what is passed on.
    pub passage: Passage,
    /// The way for questions about events.
    pub asker: Asker,
    /// What parcels are sealed with.
    pub seal: Seal,
}

impl<S> Clone for Api<S> {
    fn clone(&self) -> Self {
        Self {
            till: self.till.clone(),
            link: self.link.clone(),
            desk: self.desk.clone(),
            listeners: self.listeners.clone(),
            cloud: Arc::clone(&self.cloud),
            outside: self.outside.clone(),
            secret: self.secret,
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

/// Makes the router. `token` is what callers must present; `listeners` is the room for those who
/// want to hear of changes.
pub fn router<S: TillStore + 'static>(
    till: Till<S>,
    link: watch::Receiver<Link>,
    desk: Desk,
    listeners: Listeners,
    outside: Outside,
    token: &str,
) -> Router {
    let secret = secret_hash(token.as_bytes());
    let cloud = outside.passage.address().into();
    let api = Api { till, link, desk, listeners, cloud, outside, secret };
    let (import, plan) =
        (DefaultBodyLimit::max(IMPORT_BYTES_MAX), DefaultBodyLimit::max(PLAN_BYTES_MAX));
    let answers = DefaultBodyLimit::max(PARCEL_BYTES_MAX);
    Router::new()
        .route("/sales", post(sale::<S>))
        .route("/refunds", post(refund::<S>))
        .route("/adjustments", post(adjustment::<S>))
        .route("/events", post(events::<S>).get(live::listen::<S>))
        .route("/sessions/open", post(sessions::open::<S>))
        .route("/sessions/cash", post(sessions::cash::<S>))
        .route("/sessions/close", post(sessions::close::<S>))
        .route("/sessions/current", get(sessions::current::<S>))
        .route("/retry", post(queue::retry::<S>))
        .route("/sync", post(sync::sync::<S>))
        .route("/verify", post(verify::verify::<S>))
        .route("/status", get(sync::status::<S>))
        .route("/queue", get(queue::list::<S>))
        .route("/queue/records", get(queue::records::<S>))
        .route("/queue/replaced", get(mend::replaced::<S>))
        .route("/queue/park", post(mend::park::<S>))
        .route("/queue/give-way", post(mend::give_way::<S>))
        .route("/sales/{pos}/{id}/correct", post(mend::correct::<S>))
        .route("/sales/{pos}/{id}/void", post(mend::void::<S>))
        .route("/queue/{pos}/{id}", get(queue::show::<S>))
        .route("/receipts", get(receipts::list::<S>))
        .route("/receipts/{pos}/{id}", get(receipts::show::<S>))
        .route("/sales/{pos}/{id}/explain", get(story::explain::<S>))
        .route("/doctor", get(doctor::doctor::<S>))
        .route("/bundle", get(bundle::bundle::<S>))
        .route("/diary", get(diary::list::<S>))
        .route("/figures", get(figures::<S>))
        .route("/categories", get(product::categories::<S>))
        .route("/customers", get(product::customers::<S>))
        .route("/products", get(product::products::<S>))
        .route("/products/{id}", get(product::show::<S>).patch(product::change::<S>))
        .route("/stock", get(stock::stock::<S>))
        .route("/movements", get(stock::moved::<S>))
        .route("/review", get(stock::review::<S>).post(stock::done::<S>))
        .route("/export", get(export::export::<S>))
        .route("/reports", any(elsewhere::in_the_cloud::<S>))
        .route("/reports/{*what}", any(elsewhere::in_the_cloud::<S>))
        .route("/users", any(elsewhere::in_the_cloud::<S>))
        .route("/users/{*what}", any(elsewhere::in_the_cloud::<S>))
        .route("/settings", any(elsewhere::in_the_cloud::<S>))
        .route("/settings/{*what}", any(elsewhere::in_the_cloud::<S>))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .route("/import", post(import_file::<S>).layer(import))
        .route("/plan/apply", post(verify::apply::<S>).layer(plan))
        .route("/parcel", get(parcel::write::<S>).post(parcel::take::<S>).layer(answers))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(middleware::from_fn_with_state(api.clone(), guard::authorize::<S>))
        .route("/healthz", get(health::<S>))
        .route("/openapi.json", get(openapi::document))
        .route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .layer(middleware::from_fn(guard::local))
        .with_state(api)
}

type Posted<T> = Result<Json<T>, JsonRejection>;
type Recorded = Result<(StatusCode, Json<RecordedBody>), Problem>;

async fn sale<S: TillStore>(State(api): State<Api<S>>, body: Posted<TradeBody>) -> Recorded {
    let Json(body) = body?;
    if body.original.is_some() {
        return Err(Problem::invalid("a sale names no original"));
    }
    record(&api, EventBody::Sale(body)).await
}

async fn refund<S: TillStore>(State(api): State<Api<S>>, body: Posted<TradeBody>) -> Recorded {
    let Json(body) = body?;
    let _alone = api.till.returning().await;
    if let Some((code, detail)) = mend::refusal(&api, &body).await? {
        return Err(Problem::coded(code, detail));
    }
    record(&api, EventBody::Refund(body)).await
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
    // Nobody voids a sale between this look and the refund.
    let _alone = api.till.returning().await;
    let mut taken = Vec::with_capacity(bodies.len());
    for body in bodies {
        let refused = match &body {
            EventBody::Refund(refund) => mend::refusal(&api, refund).await?,
            EventBody::Sale(_) | EventBody::Adjustment(_) | EventBody::CatalogEdit(_) => None,
        };
        match refused {
            Some((code, detail)) => batch.refuse(body.name().1, code, detail),
            None => taken.push(body),
        }
    }
    let ids: Vec<_> = taken.iter().map(|body| body.name().1).collect();
    let outputs = stamp::record_all(&api.till, taken).await?;
    batch.count(&ids, &outputs);
    Ok(Json(batch))
}

impl BatchBody {
    fn refuse(&mut self, local_event_id: LocalEventId, code: ErrorCode, detail: &str) {
        self.refused.push(RefusedBody { local_event_id, code, detail: detail.to_owned() });
    }

    /// Counts what became of the events of these ids.
    pub(crate) fn count(&mut self, ids: &[LocalEventId], outputs: &[Output]) {
        assert_eq!(ids.len(), outputs.len(), "one output for each event");
        for (id, output) in ids.iter().zip(outputs) {
            match output {
                Output::Recorded { again: false, .. } => self.recorded += 1,
                Output::Recorded { again: true, .. } => self.again += 1,
                Output::Taken(_) => self.refuse(*id, ErrorCode::EventInvalid, problem::TAKEN),
                Output::Invalid(error) => {
                    self.refuse(*id, ErrorCode::EventInvalid, &error.to_string());
                }
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

async fn figures<S: TillStore>(State(api): State<Api<S>>) -> Result<Json<TillFigures>, Problem> {
    Ok(Json(api.till.figures().await?))
}

async fn health<S: TillStore>(State(api): State<Api<S>>) -> Result<&'static str, Problem> {
    api.till.meta().await?;
    Ok("ok\n")
}
