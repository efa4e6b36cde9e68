//! `GET /v1/catalog/delta`, `GET /v1/catalog/snapshot`: a till asks for what its branch can sell;
//! `POST /v1/admin/catalog`: an operator changes it.
//!
//! Answers come from committed rows, so they need no committer and no transaction.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::catalog::{Entity, EntityId, Kind};
use counterfoil_protocol::cloud::catalog::{delta_with_edits, head, snapshot};
use counterfoil_protocol::cloud::compaction::floor;
use counterfoil_protocol::cloud::{Edit, Edits, Input, Output};
use counterfoil_protocol::identity::{BranchId, ShopId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::catalog::{
    CatalogHead, ChangeV1, DELTA_ENTITIES_USUAL, EditName, EntityV1, HeldEdit, RUN_ENTITIES_USUAL,
    SnapshotPage,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::Manner;
use super::packed::{Name, Packed};
use super::{Reads, Shared, admin, auth, lease, wrong_output};
use crate::problem::Problem;

/// What an edit weighs in a transaction.
const EDIT_WEIGHT: usize = 256 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    from: u64,
    /// Edits of the asker, as [`EditName::to_text`] writes them.
    #[serde(default)]
    edits: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct After {
    pinned: Option<u64>,
    kind: Option<Kind>,
    id: Option<Label>,
}

pub(super) async fn changes<Q: Reads>(
    State(node): State<Shared<Q>>,
    since: Result<Query<Since>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer_delta(&node, since, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn run<Q: Reads>(
    State(node): State<Shared<Q>>,
    after: Result<Query<After>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer_run(&node, after, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn edit<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    edit_catalog(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer_delta<Q: Reads>(
    node: &Shared<Q>,
    since: Result<Query<Since>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::till(node, headers).await?;
    let site = caller.site;
    let wrong = |what: &'static str| Problem::new(ErrorCode::EventInvalid, what);
    let Query(Since { from, edits }) = since.map_err(|_| {
        wrong("say which version the till has: `?from=17`, and `edits` if it asks for some")
    })?;
    let edits = EditName::from_text(&edits)
        .map_err(|_| wrong("`edits` has 16 lines at most: register, tab, event"))?;
    let reads = &node.parts.reads;
    let cannot = |error: &dyn std::fmt::Display| failed(ErrorCode::DeltaFailed, error);
    let manner = Manner::accepted(headers);
    node.parts.metrics.delta_sync();
    let head = head(reads, site.shop).await.map_err(|error| cannot(&error))?;
    let name = Name::Delta { site, from, head };
    // What is told of one till's own edits is no other till's answer.
    let shared = edits.is_empty();
    if manner.takes_packed()
        && shared
        && let Some(frame) = node.packed.get(&name)
    {
        lease::note(node, caller, from).await;
        return Ok(manner.packed(frame));
    }
    let limit = DELTA_ENTITIES_USUAL;
    let answer = delta_with_edits(reads, site, caller.terminal, from, limit, &edits).await;
    let answer = answer.map_err(|error| cannot(&error))?;
    tracing::debug!(from, edits = edits.len(), "catalog delta");
    if answer.page().is_some() {
        lease::note(node, caller, from).await;
    } else {
        node.parts.metrics.resync();
    }
    if manner.takes_packed() {
        let frame = answer.encode();
        let of_all = answer.page().is_some_and(|(_, held)| held.is_none());
        let packed = if of_all { node.packed.pack(name, &frame) } else { Packed::once(&frame) };
        if let Some(packed) = packed {
            return Ok(manner.packed(packed));
        }
    }
    Ok(match answer.page() {
        Some((page, held)) => {
            let told = Told {
                from: page.from,
                to: page.to,
                changes: page.changes.iter().map(Shown::of).collect(),
                head: page.head,
                edits: held,
            };
            manner.answer(StatusCode::OK, &told, |_| answer.encode())
        }
        None => {
            let resync = serde_json::json!({ "resync": true });
            manner.answer(StatusCode::OK, &resync, |_| answer.encode())
        }
    })
}

async fn answer_run<Q: Reads>(
    node: &Shared<Q>,
    after: Result<Query<After>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::till(node, headers).await?;
    let site = caller.site;
    let asked = |what: &'static str| Problem::new(ErrorCode::EventInvalid, what);
    let Query(After { pinned, kind, id }) = after
        .map_err(|_| asked("go on as the last page says: `?pinned=17&kind=product&id=sku-9`"))?;
    let after = match (kind, id) {
        (Some(kind), Some(id)) => Some(EntityId { kind, id }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(asked("`kind` and `id` name one entity: send both, or neither"));
        }
    };
    let reads = &node.parts.reads;
    let cannot = |error: &dyn std::fmt::Display| failed(ErrorCode::SnapshotFailed, error);
    let manner = Manner::accepted(headers);
    let pinned = match pinned {
        Some(pinned) => pinned,
        None => {
            let head = head(reads, site.shop).await.map_err(|error| cannot(&error))?;
            let floor = floor(reads, site.shop).await.map_err(|error| cannot(&error))?;
            node.packed.pinned(site, head, floor.version)
        }
    };
    lease::note(node, caller, pinned).await;
    let name = Name::Run { site, pinned, after };
    if manner.takes_packed()
        && let Some(frame) = node.packed.get(&name)
    {
        return Ok(manner.packed(frame));
    }
    let page =
        snapshot(reads, site.shop, site.branch, Some(pinned), after, RUN_ENTITIES_USUAL).await;
    let page: SnapshotPage = page.map_err(|error| cannot(&error))?;
    if manner.takes_packed()
        && let Some(frame) = node.packed.pack(name, &page.encode())
    {
        return Ok(manner.packed(frame));
    }
    let told = ToldRun {
        pinned: page.pinned,
        last: page.last,
        entities: page.entities.iter().map(Shown::of).collect(),
    };
    Ok(manner.answer(StatusCode::OK, &told, |_| page.encode()))
}

fn failed(code: ErrorCode, error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "the catalog cannot be read");
    Problem::new(code, "the catalog cannot be read: sell on with the one you have, ask again")
        .retry_after(5)
}

/// A delta as JSON shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    from: u64,
    to: u64,
    changes: Vec<Shown>,
    head: Option<CatalogHead>,
    /// If edits were asked for: those of them that are decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    edits: Option<&'a [HeldEdit]>,
}

/// A run of a snapshot as JSON shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldRun {
    pinned: u64,
    last: Option<EntityId>,
    entities: Vec<Shown>,
}

/// An entity as JSON shows it, with its fields in place of its bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    #[serde(flatten)]
    id: EntityId,
    version: u64,
    /// None: it was deleted.
    entity: Option<EntityV1>,
}

impl Shown {
    fn of(change: &ChangeV1) -> Self {
        let content = change.content.as_deref();
        let entity = content.and_then(|bytes| Entity::from_canonical(change.id, bytes).ok());
        Self { id: change.id, version: change.version, entity: entity.map(|e| e.to_wire()) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Commit {
    shop_id: ShopId,
    edits: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    branch_id: Option<BranchId>,
    put: Option<EntityV1>,
    delete: Option<EntityId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Committed {
    version: u64,
    changed: u32,
}

async fn edit_catalog<Q: Reads>(node: &Shared<Q>, request: Request) -> Result<Response, Problem> {
    let (manner, commit) = admin::read::<Q, Commit>(node, request).await?;
    let shop = commit.shop_id;
    let edits: Result<Vec<Edit>, Problem> = commit.edits.into_iter().map(parsed).collect();
    let invalid = |error: &dyn std::fmt::Display| {
        Problem::new(ErrorCode::EventInvalid, format!("{error}: correct it, nothing was changed"))
    };
    let edits = Edits::new(shop, edits?).map_err(|error| invalid(&error))?;
    let input = Input::EditCatalog(edits);
    let output = node.ask_logged("catalog.edit", Some(shop), "", input, EDIT_WEIGHT).await?;
    let Output::Edited { version, changed } = output else { return Err(wrong_output()) };
    tracing::info!(version, changed, "the catalog was edited");
    if changed > 0 {
        lease::edited(node, shop, version);
    }
    Ok(manner.answer(StatusCode::OK, &Committed { version, changed }, |_| Vec::new()))
}

fn parsed(change: Change) -> Result<Edit, Problem> {
    let invalid = |what: String| Problem::new(ErrorCode::EventInvalid, what);
    let branch = change.branch_id;
    match (change.put, change.delete) {
        (Some(wire), None) => {
            let entity = Entity::parse(wire)
                .map_err(|error| invalid(format!("{error}: correct it, nothing was changed")))?;
            Ok(Edit { branch, id: entity.id(), entity: Some(entity) })
        }
        (None, Some(id)) => Ok(Edit { branch, id, entity: None }),
        (Some(_), Some(_)) | (None, None) => {
            Err(invalid("an edit has either `put` or `delete`: correct it".to_owned()))
        }
    }
}
