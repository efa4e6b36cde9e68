//! `GET /v1/admin/explain`, `GET /v1/explain/{pos}/{event}`: what the cloud holds of one event, for
//! the operator, and for the till that made it.
//!
//! A till names a register and an event; which till asks is what its credential says, so nothing in
//! a request can name the event of another. Answers come from committed rows.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::direct::{POS, book};
use counterfoil_protocol::identity::{EventKey, LocalEventId, PosId, ShopId, TerminalId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::event::EventKeyV1;
use http::StatusCode;
use serde::Deserialize;

use super::body::{Manner, json};
use super::{Node, Reads, Shared, auth, unreadable};
use crate::explain::{Viewer, explain};
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wish {
    shop_id: Option<ShopId>,
    terminal_id: Option<TerminalId>,
    pos_id: Option<PosId>,
    local_event_id: Option<LocalEventId>,
    /// In place of the three names, with the shop: a sale that came without a till.
    client_temp_id: Option<LocalEventId>,
}

pub(super) type Named = Result<Path<(PosId, LocalEventId)>, PathRejection>;

pub(super) async fn to_operator<Q: Reads>(
    State(node): State<Shared<Q>>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    asked_by_operator(&node, wish, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn to_till<Q: Reads>(
    State(node): State<Shared<Q>>,
    named: Named,
    headers: HeaderMap,
) -> Response {
    asked_by_till(&node, named, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

async fn asked_by_operator<Q: Reads>(
    node: &Node<Q>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let key = wish.ok().and_then(|Query(wish)| wish.key().map(|key| (wish.shop_id, key)));
    let (shop, key) = key.ok_or_else(|| {
        let detail = "say which event: `?terminalId=T-1&posId=1&localEventId=a`, or, for a sale \
                      that came without a till, `?shopId=acme&clientTempId=a`";
        Problem::new(ErrorCode::EventInvalid, detail)
    })?;
    told(node, shop, key, Viewer::Operator).await
}

async fn asked_by_till<Q: Reads>(
    node: &Node<Q>,
    named: Named,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::till(node, headers).await?;
    let Path((pos, local_id)) = named.map_err(|_| {
        let detail = "name the register and the event: `/v1/explain/1/a`";
        Problem::new(ErrorCode::EventInvalid, detail)
    })?;
    let key = EventKey { terminal: caller.terminal, pos, local_id };
    told(node, Some(caller.site.shop), key, Viewer::Till).await
}

async fn told<Q: Reads>(
    node: &Node<Q>,
    shop: Option<ShopId>,
    key: EventKey,
    viewer: Viewer,
) -> Result<Response, Problem> {
    let story = explain(&node.parts.reads, shop, key, viewer).await;
    let Some(story) = story.map_err(|error| unreadable(&error))? else {
        let detail = "nothing has come under this name: check it, or let the till push what waits";
        // The name shows that the question was understood: a node without this route says none.
        let named = serde_json::json!({ "event": EventKeyV1::from_key(key) });
        return Ok(Problem::new(ErrorCode::NotFound, detail).response_with(named));
    };
    tracing::debug!(eventId = %key, state = ?story.state, "an event was asked for");
    Ok(json(Manner::plain_json(), StatusCode::OK, &story))
}

impl Wish {
    fn key(&self) -> Option<EventKey> {
        match (self.terminal_id, self.pos_id, self.local_event_id, self.client_temp_id) {
            (Some(terminal), Some(pos), Some(local_id), None) => {
                Some(EventKey { terminal, pos, local_id })
            }
            (None, None, None, Some(local_id)) => {
                self.shop_id.map(|shop| EventKey { terminal: book(shop), pos: POS, local_id })
            }
            _ => None,
        }
    }
}
