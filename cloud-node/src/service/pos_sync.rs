//! `POST /api/pos/sync`: sales that any HTTP client has made offline (S2).
//!
//! The body, the answer and the policies are those of the contract. An item's failure is its own:
//! it stands in `errors`, and its neighbours are posted.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::direct::{Direct, EVENTS_MAX};
use counterfoil_protocol::cloud::users::Scope;
use counterfoil_protocol::problem::ErrorCode;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::body::{Manner, json, object_from_json};
use super::bring::bring;
use super::sale::{Bad, Envelope, name_of, sale};
use super::users::Known;
use super::{Reads, Shared, users};
use crate::problem::Problem;

#[derive(Deserialize)]
struct Wish<'a> {
    #[serde(borrow)]
    sales: Vec<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    synced: Vec<Synced>,
    errors: Vec<Failed>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Synced {
    client_temp_id: Value,
    server_id: String,
    order_id: String,
    status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    client_temp_id: Value,
    error: String,
    /// More than the contract has: the stable code, for programs.
    code: ErrorCode,
}

pub(super) async fn answer<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    sync(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn sync<Q: Reads>(node: &Shared<Q>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let known = users::user(node, &head.headers, Some(Scope::SalesCreate)).await?;
    users::shop_agrees(&known, &head.headers)?;
    let manner = Manner::json(&head.headers)?;
    let bytes = manner.read(&node.parts.limits, body).await?;
    let mut answer = Answer { synced: Vec::new(), errors: Vec::new() };
    let (mut names, mut sales) = (Vec::new(), Vec::new());
    for (name, sale) in read(&bytes, &known)? {
        match sale {
            Ok(sale) => {
                names.push(name);
                sales.push(sale);
            }
            Err(bad) => answer.errors.push(failed(name, bad)),
        }
    }
    drop(bytes);
    let outcomes = bring(node, &known, sales).await?;
    for (name, outcome) in names.into_iter().zip(outcomes) {
        match outcome {
            Ok(taken) => answer.synced.push(Synced {
                client_temp_id: name,
                server_id: taken.name.uuid(),
                order_id: taken.name.order_id(),
                status: if taken.created { "created" } else { "existing" },
            }),
            Err(bad) => answer.errors.push(failed(name, bad)),
        }
    }
    tracing::debug!(synced = answer.synced.len(), errors = answer.errors.len(), "sales synced");
    Ok(json(manner, StatusCode::OK, &answer))
}

/// A sale as it was read, under the name that the client has for it.
type Named = (Value, Result<Direct, Bad>);

/// Reads the sales of a body, each by itself.
pub(super) fn read(bytes: &[u8], known: &Known) -> Result<Vec<Named>, Problem> {
    let wish: Wish<'_> = object_from_json(bytes)?;
    if wish.sales.len() > EVENTS_MAX {
        let detail = format!("a request has at most {EVENTS_MAX} sales: send fewer at once");
        return Err(Problem::new(ErrorCode::TooLarge, detail));
    }
    let (shop, currency) = (known.caller.site.shop, known.currency);
    let read = |raw: &&RawValue| (name_of(raw), sale(raw, shop, currency, Envelope::default()));
    Ok(wish.sales.iter().map(read).collect())
}

fn failed(client_temp_id: Value, bad: Bad) -> Failed {
    let code = bad.code.as_str();
    tracing::info!(eventId = %client_temp_id, errorCode = code, "a sale was not taken");
    Failed { client_temp_id, error: bad.what, code: bad.code }
}
