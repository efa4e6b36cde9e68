//! What tills ask of the catalog tells how far each has come: their leases, written through the
//! committer, and only when that is worth a commit.

use counterfoil_protocol::cloud::compaction::worth_noting;
use counterfoil_protocol::cloud::{Caller, Input};
use counterfoil_protocol::identity::ShopId;
use serde::{Deserialize, Serialize};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::{Node, Reads, Shared, admin};
use crate::compaction::{EVERY_COMMITS, compact, in_background};
use crate::problem::Problem;

/// Notes, after the answer, that a till will ask on from `version`.
pub(super) async fn note<Q: Reads>(node: &Shared<Q>, caller: Caller, version: u64) {
    let Caller { site, terminal, .. } = caller;
    let reads = &node.parts.reads;
    let (now, life) = (node.parts.clock.now(), node.parts.limits.lease_life);
    match worth_noting(reads, site, terminal, version, now, life).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => {
            tracing::warn!(%error, "a lease cannot be read");
            return;
        }
    }
    let node = Shared::clone(node);
    tokio::spawn(async move {
        // Without it the till may have to compare by snapshot one day; it loses nothing.
        if node.ask(Input::Lease { site, terminal, version }, 0).await.is_err() {
            tracing::warn!(terminalId = %terminal, version, "a lease waits to be noted");
        }
    });
}

/// Compacts a shop in the background every so many commits of its catalog.
pub(super) fn edited<Q: Reads>(node: &Shared<Q>, shop: ShopId, version: u64) {
    if version.is_multiple_of(EVERY_COMMITS) {
        let node = Shared::clone(node);
        tokio::spawn(async move {
            let parts = &node.parts;
            let life = parts.limits.lease_life;
            in_background(&parts.reads, &parts.submit, &*parts.clock, shop, life).await;
        });
    }
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    shop_id: ShopId,
}

/// `POST /v1/admin/catalog/compact`.
pub(super) async fn run<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    run_now(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn run_now<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (manner, Wish { shop_id }) = admin::read::<Q, Wish>(node, request).await?;
    let parts = &node.parts;
    let mut submit = parts.submit.clone();
    let life = parts.limits.lease_life;
    let done = compact(&parts.reads, &*parts.clock, shop_id, life, &mut submit).await;
    let done = done.map_err(|error| {
        tracing::error!(%error, "compaction failed");
        Problem::storage_failed()
    })?;
    Ok(manner.answer(StatusCode::OK, &done, |_| Vec::new()))
}
