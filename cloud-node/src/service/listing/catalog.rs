//! `GET /v1/admin/catalog`: what a shop's catalog has, page by page, or of these names.
//!
//! A search looks at each name, number and barcode: it costs what the catalog has, a page at a
//! time, so a page may be empty and there is more all the same.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::catalog::{Entity, EntityId, Kind};
use counterfoil_protocol::cloud::{Key, Record};
use counterfoil_protocol::identity::{BranchId, ShopId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::catalog::EntityV1;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::LOOKED_AT;
use crate::problem::Problem;
use crate::service::body::{Manner, json};
use crate::service::{Node, Reads, Shared, auth, unreadable};

/// The most entities in one answer.
const FOUND_MAX: usize = 200;
/// The most names that are asked for at once.
const IDS_MAX: usize = 200;
/// The longest text that is searched for.
const SEARCH_BYTES_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::service) struct Wish {
    shop_id: ShopId,
    /// Only the branch's own: its prices.
    branch_id: Option<BranchId>,
    kind: Option<Kind>,
    /// In a name, a number or a barcode; upper and lower case are the same.
    #[serde(default)]
    search: String,
    after: Option<Label>,
    /// Names with line feeds between them: these and no others.
    ids: Option<String>,
}

#[derive(Serialize)]
struct Told {
    entities: Vec<ToldEntity>,
    next: Option<Label>,
}

#[derive(Serialize)]
struct ToldEntity {
    #[serde(flatten)]
    id: EntityId,
    version: u64,
    entity: EntityV1,
}

pub(in crate::service) async fn list<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer(&node, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer<Q: Reads>(
    node: &Node<Q>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let asked = |what: String| Problem::new(ErrorCode::EventInvalid, what);
    let Query(wish) = wish.map_err(|_| {
        asked("say `?shopId=S`, perhaps `&kind=product&search=tea&after=SKU`".to_owned())
    })?;
    if wish.search.len() > SEARCH_BYTES_MAX {
        return Err(asked(format!("a search has {SEARCH_BYTES_MAX} bytes at most: shorten it")));
    }
    let told = match &wish.ids {
        Some(ids) => named(node, &wish, ids).await?,
        None => page(node, &wish).await?,
    };
    Ok(json(Manner::plain_json(), StatusCode::OK, &told))
}

impl Wish {
    fn key(&self, id: Label) -> Key {
        let kind = self.kind.unwrap_or(Kind::Product);
        Key::Item(self.shop_id, self.branch_id, EntityId { kind, id })
    }
}

async fn named<Q: Reads>(node: &Node<Q>, wish: &Wish, ids: &str) -> Result<Told, Problem> {
    let asked = |what: String| Problem::new(ErrorCode::EventInvalid, what);
    let ids: Result<Vec<Label>, _> = ids.split('\n').take(IDS_MAX + 1).map(Label::parse).collect();
    let ids = ids.map_err(|error| asked(format!("{error}: correct `ids`")))?;
    if ids.len() > IDS_MAX {
        return Err(asked(format!("{IDS_MAX} names at most are asked for at once: ask for fewer")));
    }
    let mut entities = Vec::new();
    for id in ids {
        let key = wish.key(id);
        let row = node.parts.reads.get(&key).await.map_err(|error| unreadable(&error))?;
        entities.extend(row.and_then(|record| shown(&key, &record)));
    }
    Ok(Told { entities, next: None })
}

async fn page<Q: Reads>(node: &Node<Q>, wish: &Wish) -> Result<Told, Problem> {
    let (from, until) = (wish.key(wish.after.unwrap_or(Label::FIRST)), wish.key(Label::LAST));
    let rows = node.parts.reads.scan(&from, &until, LOOKED_AT + 1).await;
    let rows = rows.map_err(|error| unreadable(&error))?;
    let mut more = rows.len() > LOOKED_AT;
    let search = wish.search.trim().to_lowercase();
    let mut told = Told { entities: Vec::new(), next: None };
    for (key, record) in rows {
        let Key::Item(_, _, EntityId { id, .. }) = key else { continue };
        if Some(id) == wish.after {
            continue;
        }
        if told.entities.len() == FOUND_MAX {
            more = true;
            break;
        }
        told.next = Some(id);
        told.entities.extend(shown(&key, &record).filter(|found| found.has(&search)));
    }
    if !more {
        told.next = None;
    }
    assert!(told.entities.len() <= FOUND_MAX, "a page is bounded");
    Ok(told)
}

/// Returns what is not deleted.
fn shown(key: &Key, record: &Record) -> Option<ToldEntity> {
    let (Key::Item(_, _, id), Record::Item(item)) = (key, record) else { return None };
    let entity = Entity::from_canonical(*id, item.content.as_deref()?).ok()?;
    Some(ToldEntity { id: *id, version: item.version, entity: entity.to_wire() })
}

impl ToldEntity {
    fn has(&self, search: &str) -> bool {
        let within = |text: &str| text.to_lowercase().contains(search);
        if search.is_empty() || within(self.id.id.as_str()) {
            return true;
        }
        match &self.entity {
            EntityV1::Product(product) => {
                within(&product.name) || product.barcodes.iter().any(|code| within(code.as_str()))
            }
            EntityV1::Category(category) => within(&category.name),
            EntityV1::Customer(customer) => within(&customer.name),
            EntityV1::BranchPrice(_) => false,
        }
    }
}
