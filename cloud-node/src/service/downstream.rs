//! `GET /api/v1/sync/downstream?last_synced_at=`: what has changed in the catalog since (S1).
//!
//! > A client that echoes `timestamp` never misses a row (B.8).
//!
//! Each commit of a shop's catalog has a time of its own, taken in its transaction and above that
//! of the commit before, whatever the clock says. An answer carries the time of the commit that it
//! reaches, so the time that a client echoes names a commit: it is no clock, it only looks like
//! one. Any other time (that of the client's clock, of the future, or garbage) names none, and is
//! answered with everything (`full`): too much does no harm, as records are upserted by uuid, and a
//! gap would.
//!
//! The answer is written as it is read, a page at a time, so that a large catalog takes no memory.
//! What is committed meanwhile may or may not be in it; it is in the next answer in any case.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use counterfoil_protocol::catalog::{Entity, EntityId, Kind};
use counterfoil_protocol::cloud::catalog::{delta, snapshot};
use counterfoil_protocol::cloud::row::Item;
use counterfoil_protocol::cloud::users::Scope;
use counterfoil_protocol::cloud::{Key, Record, Site};
use counterfoil_protocol::identity::{BranchId, CategoryId, ProductId, ShopId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{ChangeV1, DELTA_ENTITIES_USUAL};
use http::{HeaderValue, header};
use http_body_util::channel::{Channel, Sender};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{Reads, Shared, users};
use crate::decimal::{Decimal, decimals_of};
use crate::problem::Problem;
use crate::timestamp::{self, Written};

/// How many pages wait for a client that reads slowly.
const PAGES_WAITING: usize = 2;

/// The lists of an answer, in their order.
const LISTS: [(Kind, &str); 3] =
    [(Kind::Product, "products"), (Kind::Category, "categories"), (Kind::Customer, "customers")];

#[derive(Deserialize)]
pub(super) struct Since {
    /// What the last answer said; nothing for everything.
    #[serde(default)]
    last_synced_at: Option<String>,
}

pub(super) async fn answer<Q: Reads>(
    State(node): State<Shared<Q>>,
    since: Result<Query<Since>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    pull(&node, since, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

async fn pull<Q: Reads>(
    node: &Shared<Q>,
    since: Result<Query<Since>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let known = users::user(node, headers, Some(Scope::CatalogRead)).await?;
    let Query(Since { last_synced_at }) = since.map_err(|_| {
        let detail = "say `?last_synced_at=` once, as the last answer's `timestamp` says";
        Problem::new(ErrorCode::EventInvalid, detail)
    })?;
    let site = known.caller.site;
    let reads = node.parts.reads.clone();
    let cannot = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "the catalog cannot be read");
        Problem::new(ErrorCode::DeltaFailed, "the catalog cannot be read now: ask again")
            .retry_after(5)
    };
    let last = stamp(&reads, site.shop).await.map_err(|error| cannot(&error))?;
    let head = version(&reads, site.shop, last).await.map_err(|error| cannot(&error))?;
    let said = last_synced_at.and_then(|text| timestamp::parse(&text).ok());
    let from = match said.filter(|said| said.exact && said.at <= last) {
        Some(said) => version(&reads, site.shop, said.at).await.map_err(|error| cannot(&error))?,
        None => None,
    };
    let (head, sync) = (head.unwrap_or_default(), node.next_request());
    // A page is read before the answer begins: what was compacted away cannot be told any more.
    let from = match from {
        Some(from) => {
            let page = delta(&reads, site.shop, site.branch, from, DELTA_ENTITIES_USUAL).await;
            page.map_err(|error| cannot(&error))?.page().map(|_| from)
        }
        None => None,
    };
    let full = from.is_none();
    tracing::debug!(head, full, "downstream sync");
    node.parts.metrics.delta_sync();
    let (sender, body) = Channel::new(PAGES_WAITING);
    let writing = Writing { reads, site, head, from, sender };
    let start =
        json!({ "sync_id": format!("down_{sync}"), "timestamp": Written(last).to_string() });
    tokio::spawn(writing.run(start.to_string(), full));
    let mut response = Response::new(Body::new(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

/// Returns the time of the last commit of a shop's catalog.
async fn stamp<Q: Reads>(reads: &Q, shop: ShopId) -> Result<Millis, Q::Error> {
    Ok(match reads.get(&Key::Stamp(shop)).await? {
        Some(Record::Stamp(last)) => last,
        Some(_) | None => Millis::ZERO,
    })
}

/// Returns the commit that has this time, if one has.
async fn version<Q: Reads>(reads: &Q, shop: ShopId, at: Millis) -> Result<Option<u64>, Q::Error> {
    Ok(match reads.get(&Key::Stamped(shop, at)).await? {
        Some(Record::Stamped(version)) => Some(version),
        Some(_) | None => None,
    })
}

/// A product as the contract writes it. A `Value` would make a float of the price.
#[derive(Serialize)]
struct ToldProduct<'a> {
    uuid: ProductId,
    name: &'a str,
    price: Option<Box<RawValue>>,
    currency: &'a str,
    barcodes: &'a [Label],
    unit: Label,
    category_uuid: Option<CategoryId>,
    active: bool,
    tax_ppm: u32,
    updated_at: String,
}

/// An answer on its way.
struct Writing<Q> {
    reads: Q,
    site: Site,
    /// The commit that it reaches.
    head: u64,
    /// The commit that the client has; none: it gets everything.
    from: Option<u64>,
    sender: Sender<Bytes, std::io::Error>,
}

/// Why an answer breaks off. The client sees a body without its end, and asks again.
enum Stop<E> {
    /// The client has gone.
    Gone,
    /// The catalog cannot be read.
    Read(E),
    /// What was compacted meanwhile cannot be told.
    Compacted,
}

impl<Q: Reads> Writing<Q> {
    async fn run(mut self, start: String, full: bool) {
        let why = match self.write(&start, full).await {
            Ok(()) | Err(Stop::Gone) => return,
            Err(Stop::Read(error)) => error.to_string(),
            Err(Stop::Compacted) => "the feed was compacted meanwhile".to_owned(),
        };
        tracing::error!(why, "a downstream answer breaks off");
        self.sender.abort(std::io::Error::other(why));
    }

    async fn write(&mut self, start: &str, full: bool) -> Result<(), Stop<Q::Error>> {
        let open = start.strip_suffix('}').unwrap_or(start);
        self.say(format!("{open},\"full\":{full},\"changes\":{{")).await?;
        for (kind, name) in LISTS {
            self.say(format!("\"{name}\":[")).await?;
            self.list(Some(kind)).await?;
            self.say("],".to_owned()).await?;
        }
        self.say("\"deleted\":[".to_owned()).await?;
        self.list(None).await?;
        // A till's sales are its own: nothing of them comes down.
        self.say("],\"sales\":[]}}".to_owned()).await
    }

    /// Writes the changed entities of one kind, or the deleted ones of all.
    async fn list(&mut self, kind: Option<Kind>) -> Result<(), Stop<Q::Error>> {
        let Site { shop, branch } = self.site;
        let mut first = true;
        if let Some(mut from) = self.from {
            while from < self.head {
                let page = delta(&self.reads, shop, branch, from, DELTA_ENTITIES_USUAL).await;
                let answer = page.map_err(Stop::Read)?;
                let Some((page, _)) = answer.page() else { return Err(Stop::Compacted) };
                self.page(kind, &page.changes, &mut first).await?;
                from = page.to;
            }
            return Ok(());
        }
        let Some(kind) = kind else { return Ok(()) };
        let mut after = None;
        loop {
            let begin = after.or_else(|| before(kind));
            let limit = DELTA_ENTITIES_USUAL;
            let run = snapshot(&self.reads, shop, branch, Some(self.head), begin, limit).await;
            let run = run.map_err(Stop::Read)?;
            self.page(Some(kind), &run.entities, &mut first).await?;
            match run.last {
                Some(last) if last.kind <= kind => after = Some(last),
                Some(_) | None => return Ok(()),
            }
        }
    }

    async fn page(
        &mut self,
        kind: Option<Kind>,
        changes: &[ChangeV1],
        first: &mut bool,
    ) -> Result<(), Stop<Q::Error>> {
        let mut text = String::new();
        for change in changes {
            let told = match kind {
                Some(kind) => self.told(kind, change).await.map_err(Stop::Read)?,
                None => self.deleted(change).await.map_err(Stop::Read)?,
            };
            if let Some(told) = told {
                if !std::mem::take(first) {
                    text.push(',');
                }
                text.push_str(&told);
            }
        }
        if text.is_empty() { Ok(()) } else { self.say(text).await }
    }

    /// Returns what is told of a changed entity among those of `kind`, if it is one of them.
    async fn told(&self, kind: Kind, change: &ChangeV1) -> Result<Option<String>, Q::Error> {
        let of_branch = change.id.kind == Kind::BranchPrice;
        let id = EntityId { kind, id: change.id.id };
        // A branch's price is told with its product.
        if change.id.kind != kind && !(of_branch && kind == Kind::Product) {
            return Ok(None);
        }
        if of_branch && self.from.is_none() {
            return Ok(None);
        }
        let Some((entity, mut at)) = self.entity(None, id).await? else { return Ok(None) };
        Ok(Some(match entity {
            Entity::Product(product) => {
                let own = EntityId::branch_price(product.id);
                let own = self.entity(Some(self.site.branch), own).await?;
                let mut price = product.price;
                if let Some((Entity::BranchPrice(own), since)) = own {
                    (price, at) = (own.price, at.max(since));
                }
                let currency = product.currency.as_str();
                let price = Decimal { value: price.0, scale: decimals_of(currency) }.to_string();
                let price = RawValue::from_string(price).ok();
                let told = ToldProduct {
                    uuid: product.id,
                    name: &product.name,
                    price,
                    currency,
                    barcodes: &product.barcodes,
                    unit: product.unit,
                    category_uuid: product.category,
                    active: product.active,
                    tax_ppm: product.tax_ppm,
                    updated_at: Written(at).to_string(),
                };
                serde_json::to_string(&told).unwrap_or_default()
            }
            Entity::Category(category) => named(category.id.as_str(), &category.name, at),
            Entity::Customer(customer) => named(customer.id.as_str(), &customer.name, at),
            Entity::BranchPrice(_) => return Ok(None),
        }))
    }

    async fn deleted(&self, change: &ChangeV1) -> Result<Option<String>, Q::Error> {
        let (kind, id) = (change.id.kind, change.id.id);
        if change.content.is_some() || kind == Kind::BranchPrice {
            return Ok(None);
        }
        let at = match self.reads.get(&Key::Item(self.site.shop, None, change.id)).await? {
            Some(Record::Item(item)) => item.at,
            Some(_) | None => Millis::ZERO,
        };
        let told = json!({ "entity_type": kind.word(), "uuid": id,
                           "updated_at": Written(at).to_string() });
        Ok(Some(told.to_string()))
    }

    async fn entity(
        &self,
        branch: Option<BranchId>,
        id: EntityId,
    ) -> Result<Option<(Entity, Millis)>, Q::Error> {
        let row = self.reads.get(&Key::Item(self.site.shop, branch, id)).await?;
        let Some(Record::Item(Item { content: Some(content), at, .. })) = row else {
            return Ok(None);
        };
        Ok(Entity::from_canonical(id, &content).ok().map(|entity| (entity, at)))
    }

    async fn say(&mut self, text: String) -> Result<(), Stop<Q::Error>> {
        self.sender.send_data(Bytes::from(text)).await.map_err(|_| Stop::Gone)
    }
}

fn named(uuid: &str, name: &str, at: Millis) -> String {
    json!({ "uuid": uuid, "name": name, "updated_at": Written(at).to_string() }).to_string()
}

/// Returns a name after which the first of a kind comes.
const fn before(kind: Kind) -> Option<EntityId> {
    // The last name of a kind is that of no entity.
    let id = EntityId::LAST.id;
    match kind {
        Kind::Product => None,
        Kind::Category => Some(EntityId { kind: Kind::Product, id }),
        Kind::Customer => Some(EntityId { kind: Kind::Category, id }),
        Kind::BranchPrice => Some(EntityId { kind: Kind::Customer, id }),
    }
}
