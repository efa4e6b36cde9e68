//! `POST /v1/catalog/reconcile`: which rows of a till's catalog differ;
//! `POST /v1/catalog/reconcile/entities`: what they are.
//!
//! Answers come from committed rows and from a mirror of them, one for each shop that has asked
//! lately. A mirror follows the feed; the first question after a start reads the catalog once.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::{Input, Key, Output, Record, Site};
use counterfoil_protocol::identity::ShopId;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::reconcile::mirror::{Mirror, Unsettled, in_sync};
use counterfoil_protocol::wire::reconcile::{
    EntitiesAnswer, EntitiesAsk, ReconcileAnswer, ReconcileAsk,
};
use http::StatusCode;
use tokio::sync::Mutex;

use super::body::{Form, Manner, from_json};
use super::{Node, Reads, Shared, auth, wrong_output};
use crate::problem::Problem;

/// The most shops whose mirrors are kept.
const SHOPS_MAX: usize = 64;
/// The most entities in all mirrors, some 120 bytes each.
const ENTITIES_MAX: u64 = 8_000_000;
/// What drawing a key weighs in a transaction.
const DRAW_WEIGHT: usize = 1024;

type Kept = Arc<Mutex<Option<Mirror>>>;

/// The mirrors of shops that have asked, with the time of their last question.
#[derive(Debug, Default)]
pub(super) struct Mirrors(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    asked: u64,
    shops: BTreeMap<ShopId, (u64, u64, Kept)>,
}

impl Mirrors {
    /// Returns the place of a shop's mirror; the shop that has been silent longest gives way.
    async fn of(&self, shop: ShopId) -> Kept {
        let mut memory = self.0.lock().await;
        memory.asked += 1;
        let now = memory.asked;
        let place = memory.shops.entry(shop).or_default();
        place.0 = now;
        let kept = Arc::clone(&place.2);
        loop {
            let entities: u64 = memory.shops.values().map(|(_, entities, _)| *entities).sum();
            if memory.shops.len() <= SHOPS_MAX && entities <= ENTITIES_MAX {
                return kept;
            }
            let others = memory.shops.iter().filter(|(name, _)| **name != shop);
            let Some(oldest) = others.min_by_key(|(_, place)| place.0).map(|(name, _)| *name)
            else {
                return kept;
            };
            memory.shops.remove(&oldest);
        }
    }

    async fn weigh(&self, shop: ShopId, entities: u64) {
        if let Some(place) = self.0.lock().await.shops.get_mut(&shop) {
            place.1 = entities;
        }
    }
}

pub(super) async fn compare<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    answer_compare(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn entities<Q: Reads>(
    State(node): State<Shared<Q>>,
    request: Request,
) -> Response {
    answer_entities(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer_compare<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let site = auth::till(node, &head.headers).await?.site;
    let manner = Manner::of(&head.headers)?;
    let bytes = manner.read(&node.parts.limits, body).await?;
    let ask = match manner.form {
        Form::Binary => ReconcileAsk::decode(&bytes),
        Form::Json => from_json::<ReconcileAsk>(&bytes)?.check(),
    };
    let ask = ask.map_err(|error| Problem::message(error, bytes.is_empty()))?;
    let reads = &node.parts.reads;
    let equal = in_sync(reads, site, &ask).await.map_err(|error| failed(&error))?;
    let answer = match equal {
        Some(head) => ReconcileAnswer::InSync(head),
        None => {
            let kept = node.mirrors.of(site.shop).await;
            let mut kept = kept.lock().await;
            let (mirror, head) = settled(node, &mut kept, site).await?;
            let answer = mirror.answer(site.branch, head, &ask);
            node.mirrors.weigh(site.shop, mirror.entities()).await;
            answer
        }
    };
    node.parts.metrics.reconciled(&answer);
    tracing::debug!(version = ask.version, in_sync = equal.is_some(), "a catalog is compared");
    if let ReconcileAnswer::TooLarge { estimated } = answer {
        let detail = format!(
            "about {estimated} entities differ, more than is worth telling one by one: take a \
             snapshot"
        );
        return Err(Problem::new(ErrorCode::ManifestTooLarge, detail));
    }
    Ok(manner.answer(StatusCode::OK, &answer, ReconcileAnswer::encode))
}

async fn answer_entities<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let site = auth::till(node, &head.headers).await?.site;
    let manner = Manner::of(&head.headers)?;
    let bytes = manner.read(&node.parts.limits, body).await?;
    let ask = match manner.form {
        Form::Binary => EntitiesAsk::decode(&bytes),
        Form::Json => from_json::<EntitiesAsk>(&bytes)?.check(),
    };
    let ask = ask.map_err(|error| Problem::message(error, bytes.is_empty()))?;
    let kept = node.mirrors.of(site.shop).await;
    let mut kept = kept.lock().await;
    let (mirror, _) = settled(node, &mut kept, site).await?;
    let answer = mirror.entities_of(&node.parts.reads, site.branch, &ask).await;
    let answer = answer.map_err(|error| failed(&error))?;
    Ok(manner.answer(StatusCode::OK, &answer, EntitiesAnswer::encode))
}

/// Returns the shop's mirror, at the head.
async fn settled<'a, Q: Reads>(
    node: &Node<Q>,
    kept: &'a mut Option<Mirror>,
    site: Site,
) -> Result<(&'a mut Mirror, counterfoil_protocol::wire::catalog::CatalogHead), Problem> {
    if kept.is_none() {
        *kept = Some(Mirror::new(site.shop, secret(node, site.shop).await?));
    }
    let mirror = kept.as_mut().ok_or_else(wrong_output)?;
    let head = mirror.settle(&node.parts.reads, site.branch).await;
    let head = head.map_err(|error| failed(&error))?.map_err(|unsettled| {
        let problem = Problem::new(ErrorCode::ReconcileFailed, unsettled.to_string());
        match unsettled {
            Unsettled::Busy => problem.with_status(503).retry_after(1),
            Unsettled::Sums => problem,
        }
    })?;
    Ok((mirror, head))
}

/// Returns the key of a shop's sketches, drawn when it is needed first.
async fn secret<Q: Reads>(node: &Node<Q>, shop: ShopId) -> Result<[u8; 16], Problem> {
    let row = node.parts.reads.get(&Key::SketchSecret(shop)).await;
    if let Some(Record::SketchSecret(held)) = row.map_err(|error| failed(&error))? {
        return Ok(held);
    }
    let drawn = node.parts.entropy.secret().ok_or_else(|| {
        Problem::unavailable("this machine has no randomness to draw a key from: ask again")
    })?;
    let mut fresh = [0; 16];
    fresh.copy_from_slice(&drawn[..16]);
    let output = node.ask(Input::DrawSketchSecret { shop, fresh }, DRAW_WEIGHT).await?;
    let Output::SketchSecret(held) = output else { return Err(wrong_output()) };
    Ok(held)
}

fn failed(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "the catalog cannot be read");
    Problem::new(
        ErrorCode::ReconcileFailed,
        "the catalog cannot be read: sell on with the one you have, ask again",
    )
    .retry_after(5)
}
