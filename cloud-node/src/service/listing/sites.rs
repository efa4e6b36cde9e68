//! `GET /v1/admin/sites`: shops and their branches, as terminals and users have them.
//!
//! There is no row of a shop: it is there once somebody speaks for it. A page looks at so many
//! terminals; the first one also has the branches of users. Whoever reads on adds the counts up.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::{Key, Record};
use counterfoil_protocol::identity::{BranchId, ShopId, TerminalId, UserId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::problem::ErrorCode;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::LOOKED_AT;
use crate::problem::Problem;
use crate::service::body::{Manner, json};
use crate::service::{Node, Reads, Shared, auth, unreadable};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::service) struct Wish {
    after: Option<TerminalId>,
}

#[derive(Serialize)]
struct Told {
    sites: Vec<ToldSite>,
    next: Option<TerminalId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldSite {
    shop_id: ShopId,
    branch_id: BranchId,
    terminals: u64,
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
    let Query(Wish { after }) = wish
        .map_err(|_| Problem::new(ErrorCode::EventInvalid, "go on as `next` says: `?after=T-1`"))?;
    let reads = &node.parts.reads;
    let from = Key::Terminal(after.unwrap_or(TerminalId(Label::FIRST)));
    let until = Key::Terminal(TerminalId(Label::LAST));
    let rows = reads.scan(&from, &until, LOOKED_AT + 1).await.map_err(|e| unreadable(&e))?;
    let whole = rows.len() <= LOOKED_AT;
    let mut sites: BTreeMap<(ShopId, BranchId), u64> = BTreeMap::new();
    let mut last = None;
    for (key, record) in rows {
        let (Key::Terminal(id), Record::Terminal(terminal)) = (key, record) else { continue };
        last = Some(id);
        if Some(id) != after {
            *sites.entry((terminal.site.shop, terminal.site.branch)).or_default() += 1;
        }
    }
    if after.is_none() {
        let end = |label| Key::User(UserId(label));
        let users = reads.scan(&end(Label::FIRST), &end(Label::LAST), LOOKED_AT).await;
        for (_, record) in users.map_err(|error| unreadable(&error))? {
            if let Record::User(user) = record {
                sites.entry((user.site.shop, user.site.branch)).or_default();
            }
        }
    }
    let sites = sites.into_iter().map(|((shop_id, branch_id), terminals)| ToldSite {
        shop_id,
        branch_id,
        terminals,
    });
    let told = Told { sites: sites.collect(), next: last.filter(|_| !whole) };
    Ok(json(Manner::plain_json(), StatusCode::OK, &told))
}
