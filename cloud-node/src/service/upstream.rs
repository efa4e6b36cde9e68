//! `POST /api/v1/sync/upstream`: what a client has queued while it was offline (S1, S3).
//!
//! `changes` has lists: `sales`, `adjustments`, and `commands` (the envelope of S3.4); an envelope
//! may also be the whole body. A client marks its queue item as done on 200, whatever the body
//! says: so the answer is 200 only if *all* that was brought is in the books. If an item is not,
//! the answer is a problem document (422) that tells what became of each; what was taken stays
//! taken, and is `existing` when the client sends it again.
//!
//! Products, categories and customers are the cloud's (S1.7: the server wins): such items are
//! answered `server_wins`, and change nothing.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::direct::{Direct, EVENTS_MAX};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::problem::ErrorCode;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::body::{Manner, json, object_from_json};
use super::bring::{Taken, bring};
use super::sale::{Bad, Envelope, adjustment, name_of, object, sale};
use super::users::Known;
use super::{Reads, Shared, users};
use crate::problem::Problem;
use crate::timestamp::Written;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    sync_id: Option<String>,
    #[serde(borrow, default)]
    changes: Option<&'a RawValue>,
    /// The body is a command itself.
    #[serde(default)]
    command_id: Option<String>,
}

#[derive(Default, Deserialize)]
struct Changes<'a> {
    #[serde(borrow, default)]
    sales: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    adjustments: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    commands: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    products: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    categories: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    customers: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Command<'a> {
    command_id: String,
    r#type: String,
    entity_id: String,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(default)]
    created_at: Option<String>,
}

/// What became of one item.
#[derive(Debug, Serialize)]
struct Told {
    entity_type: &'static str,
    uuid: Value,
    status: &'static str,
    #[serde(rename = "serverId", skip_serializing_if = "Option::is_none")]
    server_id: Option<String>,
    #[serde(rename = "orderId", skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<ErrorCode>,
}

/// An item that was read, or not.
struct Item {
    entity_type: &'static str,
    uuid: Value,
    read: Result<Direct, Bad>,
}

#[derive(Serialize)]
struct Answer<'a> {
    sync_id: Option<&'a str>,
    /// Names no commit: whoever sends it as `last_synced_at` gets everything, and misses nothing.
    timestamp: String,
    results: &'a [Told],
    /// Of the common format; what the cloud has to tell is told downstream.
    changes: Nothing,
}

#[derive(Default, Serialize)]
struct Nothing {
    products: [(); 0],
    categories: [(); 0],
    sales: [(); 0],
}

pub(super) async fn answer<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    take(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn take<Q: Reads>(node: &Shared<Q>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    // What each item needs is decided with it, in the transaction.
    let known = users::user(node, &head.headers, None).await?;
    let manner = Manner::json(&head.headers)?;
    let bytes = manner.read(&node.parts.limits, body).await?;
    let body: Body<'_> = object_from_json(&bytes)?;
    let (items, mut told) = items(&body, &bytes, &known)?;
    let sync_id = body.sync_id.as_deref().filter(|id| id.len() <= 128);
    let mut events = Vec::new();
    let mut waiting = Vec::new();
    for Item { entity_type, uuid, read } in items {
        match read {
            Ok(event) => {
                events.push(event);
                waiting.push((entity_type, uuid));
            }
            Err(bad) => told.push(failed(entity_type, uuid, bad)),
        }
    }
    let outcomes = bring(node, &known, events).await?;
    for ((entity_type, name), outcome) in waiting.into_iter().zip(outcomes) {
        told.push(match outcome {
            Ok(taken) => done(entity_type, name, taken),
            Err(bad) => failed(entity_type, name, bad),
        });
    }
    let now = Written(node.parts.clock.now()).to_string();
    // With digits below a millisecond it is the time of no commit.
    let timestamp = now.replace('Z', "5Z");
    let answer = Answer { sync_id, timestamp, results: &told, changes: Nothing::default() };
    if told.iter().all(|told| told.code.is_none()) {
        return Ok(json(manner, StatusCode::OK, &answer));
    }
    let detail = "some items were not taken, see `results`: correct these, send all again";
    let extra = serde_json::to_value(&answer).unwrap_or_default();
    Ok(Problem::new(ErrorCode::EventInvalid, detail).response_with(extra))
}

/// Returns the events of a body.
#[cfg(feature = "fuzzing")]
pub(super) fn events(bytes: &[u8], known: &Known) -> Result<Vec<Direct>, Problem> {
    let body: Body<'_> = object_from_json(bytes)?;
    let (items, _) = items(&body, bytes, known)?;
    Ok(items.into_iter().filter_map(|item| item.read.ok()).collect())
}

/// Reads the items of a body, and answers those that change nothing.
fn items(body: &Body<'_>, bytes: &[u8], known: &Known) -> Result<(Vec<Item>, Vec<Told>), Problem> {
    let changes: Changes<'_> = match (body.changes, &body.command_id) {
        (Some(changes), None) => object_from_json(changes.get().as_bytes())?,
        (None, Some(_)) => {
            let raw: &RawValue = object_from_json(bytes)?;
            return Ok((vec![command(raw, known)], Vec::new()));
        }
        (Some(_), Some(_)) | (None, None) => {
            let detail = "the body has either `changes` or a command: correct it";
            return Err(Problem::new(ErrorCode::EventInvalid, detail));
        }
    };
    let Changes { sales, adjustments, commands, products, categories, customers } = changes;
    let count = [&sales, &adjustments, &commands, &products, &categories, &customers];
    if count.iter().map(|list| list.len()).sum::<usize>() > EVENTS_MAX {
        let detail = format!("a request has at most {EVENTS_MAX} items: send fewer at once");
        return Err(Problem::new(ErrorCode::TooLarge, detail));
    }
    let (shop, currency) = (known.caller.site.shop, known.currency);
    let around = Envelope::default();
    let item = |entity_type, raw: &RawValue, read| Item { entity_type, uuid: name_of(raw), read };
    let sold = sales.iter().map(|raw| item("Sale", raw, sale(raw, shop, currency, around)));
    let moved =
        adjustments.iter().map(|raw| item("Adjustment", raw, adjustment(raw, shop, around)));
    let items = sold.chain(moved).chain(commands.iter().map(|raw| command(raw, known)));
    let owned = [("Product", products), ("Category", categories), ("Customer", customers)];
    let told = owned.iter().flat_map(|(entity_type, list)| {
        list.iter().map(|raw| Told {
            entity_type,
            uuid: name_of(raw),
            status: "server_wins",
            server_id: None,
            order_id: None,
            error: None,
            code: None,
        })
    });
    Ok((items.collect(), told.collect()))
}

/// Reads the envelope of S3.4.
fn command(raw: &RawValue, known: &Known) -> Item {
    let command: Command<'_> = match object(raw) {
        Ok(command) => command,
        Err(bad) => {
            let (entity_type, uuid) = ("Command", name_of(raw));
            return Item { entity_type, uuid, read: Err(bad) };
        }
    };
    let around =
        Envelope { id: Some(&command.entity_id), created_at: command.created_at.as_deref() };
    let (shop, currency) = (known.caller.site.shop, known.currency);
    let (entity_type, read) = match command.r#type.as_str() {
        "CREATE_TRANSACTION" => ("Sale", sale(command.payload, shop, currency, around)),
        "CREATE_ADJUSTMENT" => ("Adjustment", adjustment(command.payload, shop, around)),
        _ => {
            let what = "type is CREATE_TRANSACTION or CREATE_ADJUSTMENT";
            ("Command", Err(Bad::new(what)))
        }
    };
    let named =
        Label::parse(&command.command_id).map_err(|error| Bad::new(format!("command_id: {error}")));
    let read = read.and_then(|event| Ok(event.by_command(Some(named?))));
    let shown: String = command.entity_id.chars().take(64).collect();
    Item { entity_type, uuid: shown.into(), read }
}

fn done(entity_type: &'static str, uuid_of: Value, taken: Taken) -> Told {
    Told {
        entity_type,
        uuid: uuid_of,
        status: if taken.created { "created" } else { "existing" },
        server_id: Some(taken.name.uuid()),
        order_id: Some(taken.name.order_id()),
        error: None,
        code: None,
    }
}

fn failed(entity_type: &'static str, uuid: Value, bad: Bad) -> Told {
    tracing::info!(eventId = %uuid, errorCode = bad.code.as_str(), "an item was not taken");
    Told {
        entity_type,
        uuid,
        status: "error",
        server_id: None,
        order_id: None,
        error: Some(bad.what),
        code: Some(bad.code),
    }
}
