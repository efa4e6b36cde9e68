//! `GET /openapi.json`, and `GET /docs` to read it: every route, who may ask, and what is answered.
//!
//! Both are made from [`ROUTES`], the codes from [`ErrorCode`], the scopes from [`Scope`]. A test
//! compares the table with the router, route by route and method by method.

use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::users::Scope;
use counterfoil_protocol::problem::ErrorCode;
use http::header;
use serde_json::{Map, Value, json};

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Anybody,
    Till,
    User,
    Operator,
}

/// One method of one path.
struct Route {
    method: &'static str,
    path: &'static str,
    who: Who,
    /// What it does, in one line.
    what: &'static str,
    /// The media type of its body, if it has one.
    body: Option<&'static str>,
    /// The statuses of its answers beside those that any route may give.
    answers: &'static [u16],
}

const JSON: Option<&str> = Some("application/json");

const fn route(
    method: &'static str,
    path: &'static str,
    who: Who,
    body: Option<&'static str>,
    answers: &'static [u16],
    what: &'static str,
) -> Route {
    Route { method, path, who, what, body, answers }
}

use Who::{Anybody, Operator, Till, User};

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    route("post", "/api/pos/sync", User, JSON, &[200, 400, 413, 415, 422], "Brings sales that were made offline (S2)"),
    route("get", "/api/v1/sync/downstream", User, None, &[200, 422, 500], "What has changed in the catalog (S1)"),
    route("post", "/api/v1/sync/upstream", User, JSON, &[200, 413, 415, 422], "Brings what a client has queued (S1, S3)"),
    route("post", "/v1/handshake", Till, JSON, &[200, 413, 415, 422], "Where a till's journals stand"),
    route("post", "/v1/sales-events", Till, JSON, &[200, 413, 415, 422], "Offers journal entries"),
    route("get", "/v1/catalog/delta", Till, None, &[200, 422, 500], "What has changed after a version"),
    route("get", "/v1/catalog/snapshot", Till, None, &[200, 422, 500], "The whole catalog, run by run"),
    route("post", "/v1/catalog/reconcile", Till, JSON, &[200, 413, 415, 422, 500], "Which rows have drifted"),
    route("post", "/v1/catalog/reconcile/entities", Till, JSON, &[200, 413, 415, 422, 500], "The rows that differ"),
    route("get", "/v1/sessions/{pos}/{session}", Till, None, &[200, 404, 422], "Whether the cloud has what a till states of its day"),
    route("get", "/v1/inventory-events/pending", Till, None, &[200, 422], "What moved the branch's stock elsewhere"),
    route("post", "/v1/inventory-events/ack", Till, JSON, &[200, 413, 415, 422], "How far a till has applied it"),
    route("get", "/v1/storefront/stock", Operator, None, &[200, 422], "What the online store may show"),
    route("get", "/v1/admin/users", Operator, None, &[200], "Users and their scopes"),
    route("post", "/v1/admin/users", Operator, JSON, &[201, 413, 415, 422], "Adds a user, or gives one a new token"),
    route("post", "/v1/admin/users/{id}/revoke", Operator, None, &[200, 404, 422], "Turns a user away"),
    route("get", "/v1/admin/terminals", Operator, None, &[200, 422], "Enrolled terminals"),
    route("post", "/v1/admin/terminals", Operator, JSON, &[201, 413, 415, 422], "Enrols a terminal"),
    route("put", "/v1/admin/terminals/{id}/credential", Operator, JSON, &[200, 404, 413, 415, 422], "Rotates a credential, by its digest"),
    route("post", "/v1/admin/terminals/{id}/revoke", Operator, None, &[200, 404, 422], "Turns a terminal away"),
    route("get", "/v1/admin/forks", Operator, None, &[200, 422], "Partings of histories"),
    route("post", "/v1/admin/products", Operator, JSON, &[201, 413, 415, 422], "Makes a product known"),
    route("post", "/v1/admin/catalog", Operator, JSON, &[200, 413, 415, 422], "Changes the catalog"),
    route("post", "/v1/admin/catalog/import", Operator, Some("text/csv"), &[200, 413, 415, 422], "Products as CSV"),
    route("post", "/v1/admin/catalog/compact", Operator, JSON, &[200, 413, 415, 422], "Takes old deletions out of the feed"),
    route("get", "/v1/admin/edits", Operator, None, &[200, 422], "What tills have edited"),
    route("get", "/v1/admin/parked", Operator, None, &[200, 422], "Events that wait"),
    route("post", "/v1/admin/parked/decide", Operator, JSON, &[200, 404, 413, 415, 422], "Accepts, rejects or retries one"),
    route("get", "/v1/admin/notifications", Operator, None, &[200, 422], "Stocks that fell below zero"),
    route("post", "/v1/admin/notifications/settle", Operator, JSON, &[200, 413, 415, 422], "Takes one off the list"),
    route("post", "/v1/admin/adjustments", Operator, JSON, &[200, 201, 413, 415, 422], "Corrects a stock"),
    route("get", "/v1/admin/stock", Operator, None, &[200, 422], "What a branch has"),
    route("get", "/v1/admin/buffer", Operator, None, &[200, 422], "What the store front holds back"),
    route("put", "/v1/admin/buffer", Operator, JSON, &[200, 413, 415, 422], "Sets it"),
    route("put", "/v1/admin/relay", Operator, JSON, &[200, 413, 415, 422], "Whether tills of a branch hear of each other"),
    route("post", "/v1/admin/orders", Operator, JSON, &[200, 201, 409, 413, 415, 422], "Enters an online order"),
    route("post", "/v1/admin/orders/{id}/cancel", Operator, JSON, &[200, 404, 413, 415, 422], "Cancels one"),
    route("get", "/v1/admin/sessions", Operator, None, &[200, 422], "Days of registers"),
    route("get", "/v1/admin/reports/sales", Operator, None, &[200, 413, 422], "What was sold, per day, branch, product"),
    route("get", "/v1/admin/log", Operator, None, &[200, 422], "What operators did"),
    route("get", "/healthz", Anybody, None, &[200], "The process answers"),
    route("get", "/readyz", Anybody, None, &[200], "The node can be asked"),
    route("get", "/metrics", Anybody, None, &[200], "Counters"),
    route("get", "/openapi.json", Anybody, None, &[200], "This document"),
    route("get", "/docs", Anybody, None, &[200], "This document, to read"),
];

/// The document.
pub(super) async fn document() -> Response {
    let body = serde_json::to_vec(&described()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The page.
pub(super) async fn page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, html()).into_response()
}

fn described() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(route.method.to_owned(), operation(route));
        }
    }
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    let scheme = |what: &str| json!({"type": "http", "scheme": "bearer", "description": what});
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Counterfoil cloud node", "version": env!("CARGO_PKG_VERSION"),
                 "description": "Every route with a line to paste is in docs/api.md."},
        "paths": paths,
        "components": {
            "securitySchemes": {
                "till": scheme("cf_<terminalId>_<secret>"),
                "user": scheme("cu_<userId>_<secret>, with the scopes that an item needs"),
                "operator": scheme("the operator's token"),
            },
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "code"],
                    "properties": {
                        "type": {"type": "string"}, "title": {"type": "string"},
                        "status": {"type": "integer"}, "detail": {"type": "string"},
                        "code": {"type": "string", "enum": codes},
                        "reason": {"type": "string"},
                    },
                },
                "Scope": {"type": "string", "enum": Scope::ALL.map(Scope::as_str)},
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut answers: Map<String, Value> = Map::new();
    // Any route may be busy; whoever has a credential may lack it, or ask too often.
    let (busy, barred): (&[u16], &[u16]) = match route.who {
        Anybody => (&[503], &[]),
        Till | Operator => (&[503], &[401, 429]),
        User => (&[503], &[401, 403, 429]),
    };
    for status in route.answers.iter().chain(busy).chain(barred) {
        let answer = if *status < 300 {
            json!({ "description": "done" })
        } else {
            let schema = json!({ "$ref": "#/components/schemas/Problem" });
            json!({ "description": "refused, see its code",
                    "content": { "application/problem+json": { "schema": schema } } })
        };
        answers.insert(status.to_string(), answer);
    }
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<Value> = names
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true,
                    "schema": { "type": "string", "maxLength": 36 } })
        })
        .collect();
    let mut operation = json!({
        "summary": route.what, "parameters": parameters, "responses": answers,
        "security": match route.who {
            Anybody => json!([]),
            Till => json!([{ "till": [] }]),
            User => json!([{ "user": [] }]),
            Operator => json!([{ "operator": [] }]),
        },
    });
    if let Some(media) = route.body {
        let schema = if media == "text/csv" {
            json!({ "type": "string" })
        } else {
            json!({ "type": "object" })
        };
        operation["requestBody"] =
            json!({ "required": true, "content": { media: { "schema": schema } } });
    }
    operation
}

fn html() -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Counterfoil: routes</title>\
         <style>body{font:1rem system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem;\
         color-scheme:light dark}table{border-collapse:collapse;width:100%}\
         td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884}\
         code{white-space:nowrap}</style><h1>Routes of this node</h1>\
         <p><a href=\"/openapi.json\">The same for programs</a></p>\
         <table><thead><tr><th>Route<th>Who<th>What<th>Answers</thead><tbody>",
    );
    for route in ROUTES {
        let who = match route.who {
            Anybody => "anybody",
            Till => "till",
            User => "user",
            Operator => "operator",
        };
        let answers: Vec<String> = route.answers.iter().map(ToString::to_string).collect();
        let method = route.method.to_uppercase();
        // Nothing in the table needs to be escaped: it is this file's own text.
        let _ = write!(
            page,
            "<tr><td><code>{method} {}</code><td>{who}<td>{}<td>{}",
            route.path,
            route.what,
            answers.join(" ")
        );
    }
    page.push_str("</tbody></table></html>");
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The methods of each route, as the router's text has them.
    fn routed() -> BTreeSet<(String, &'static str)> {
        let flat: String = include_str!("mod.rs").split_whitespace().collect();
        let mut routed = BTreeSet::new();
        for part in flat.split(".route(\"").skip(1) {
            let (path, rest) = part.split_once('"').expect("a path ends");
            let handlers = rest.split(".route(").next().expect("a part");
            for (call, method) in [("get(", "get"), ("post(", "post"), ("put(", "put")] {
                if [",", ")."].iter().any(|mark| handlers.contains(&format!("{mark}{call}"))) {
                    routed.insert((path.to_owned(), method));
                }
            }
        }
        routed
    }

    #[test]
    fn the_document_has_the_routes_of_the_router_and_no_others() {
        let told: BTreeSet<_> =
            ROUTES.iter().map(|route| (route.path.to_owned(), route.method)).collect();
        assert_eq!(told.len(), ROUTES.len(), "each is told once");
        assert_eq!(told, routed());
        for route in ROUTES {
            assert!(!html().contains("{}"), "a page is written whole");
            assert!(!route.what.contains(['<', '&', '"']), "{}", route.what);
        }
        let document = described();
        assert_eq!(
            document["paths"].as_object().map(Map::len),
            Some(told.iter().map(|(path, _)| path).collect::<BTreeSet<_>>().len())
        );
    }
}
