//! `GET /openapi.json`, and `GET /docs` to read it: every route, who may ask, what it takes, and
//! each status, code and body that it answers.
//!
//! The routes are [`table::ROUTES`]; what is the same for all routes of a kind follows from that
//! ([`route`]); the bodies are in `schemas.json`, the codes from [`ErrorCode`]. Tests compare the
//! table with the router, and all of it with real answers (`tests/tests/docs_api_lines.rs`,
//! `tests/tests/contract`).

mod route;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::users::Scope;
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::wire::message::MEDIA_TYPE as BINARY;
use http::header;
use serde_json::{Map, Value, json};

use crate::problem::MEDIA_TYPE as PROBLEM;
use route::Who::{Anybody, Operator, Till, User};
use route::{Content, Route};
use table::ROUTES;

const JSON: &str = "application/json";
const SCHEMAS: &str = include_str!("openapi/schemas.json");

/// The document.
pub(super) async fn document() -> Response {
    let body = serde_json::to_vec(&described()).unwrap_or_default();
    ([(header::CONTENT_TYPE, JSON)], body).into_response()
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
    let mut refused = BTreeMap::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(route.method.to_owned(), operation(route, &mut refused));
        }
    }
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
            "schemas": schemas(),
            "responses": refused,
            "headers": {
                "RequestId": {"description": "the caller's own, or the node's",
                              "schema": {"type": "string", "maxLength": 128}},
                "RetryAfter": {"description": "seconds to wait", "schema": {"type": "integer"}},
            },
        },
    })
}

/// The bodies; those that follow from the code are made here.
fn schemas() -> Value {
    let mut schemas: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    let reasons =
        [Denial::UnknownTerminal, Denial::Revoked, Denial::Expired, Denial::WrongCredential];
    schemas["Scope"] = json!({"type": "string", "enum": Scope::ALL.map(Scope::as_str)});
    schemas["Code"] = json!({"type": "string", "enum": codes});
    schemas["Problem"] = json!({
        "type": "object",
        "description": "RFC 9457; the code is stable, the detail is for people",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string"}, "title": {"type": "string"},
            "status": {"type": "integer"}, "detail": {"type": "string"},
            "code": {"$ref": "#/components/schemas/Code"},
            "reason": {"type": "string", "enum": reasons},
            "event": {"$ref": "#/components/schemas/EventKey"},
        },
    });
    schemas
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The media types of a body, each with its schema.
fn content(of: Content) -> Map<String, Value> {
    let mut all = Map::new();
    let mut put = |media: &str, schema| all.insert(media.to_owned(), json!({ "schema": schema }));
    match of {
        Content::Json(name) => {
            put(JSON, schema(name));
        }
        Content::Framed(name) => {
            put(JSON, schema(name));
            put(BINARY, json!({ "type": "string", "format": "binary" }));
        }
        Content::Text(media) => {
            put(media, json!({ "type": "string" }));
        }
        Content::Nothing => {}
    }
    all
}

fn operation(route: &Route, refused: &mut BTreeMap<String, Value>) -> Value {
    let security = match route.who {
        Anybody => json!([]),
        Till => json!([{ "till": [] }]),
        User => json!([{ "user": [] }]),
        Operator => json!([{ "operator": [] }]),
    };
    let mut operation = json!({
        "summary": route.what, "parameters": parameters(route),
        "responses": answers(route, refused), "security": security,
    });
    if route.takes != Content::Nothing {
        operation["requestBody"] = json!({ "required": true, "content": content(route.takes) });
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let name = |name: &str| {
        let kind = if name == "runId" { "RunId" } else { "Name" };
        json!({ "name": name, "in": "path", "required": true, "schema": schema(kind) })
    };
    let mut all: Vec<Value> = route.names().map(name).collect();
    all.extend(route.query.iter().map(|asked| {
        json!({ "name": asked.name, "in": "query", "required": asked.needed,
                "schema": schema(asked.schema) })
    }));
    // The header of S2.2.
    if route.path == "/api/pos/sync" {
        all.push(json!({ "name": "x-shop-id", "in": "header", "required": true,
                         "schema": schema("Name") }));
    }
    all
}

fn answers(route: &Route, refused: &mut BTreeMap<String, Value>) -> Map<String, Value> {
    let mut all: Map<String, Value> = Map::new();
    for (status, of) in route.gives {
        let answer = all.entry(status.to_string()).or_insert_with(
            || json!({ "description": "done", "headers": headers(false), "content": {} }),
        );
        if let Value::Object(known) = &mut answer["content"] {
            known.append(&mut content(*of));
        }
    }
    let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (status, code) in route.refusals() {
        codes.entry(status).or_default().push(code.as_str());
    }
    for (status, codes) in codes {
        let told = route.told.filter(|_| status == 422);
        let name = format!("{}{status}", told.unwrap_or("Refused"));
        let name = codes.iter().fold(name, |name, code| name + "." + short(code));
        let place = format!("#/components/responses/{name}");
        refused.entry(name).or_insert_with(|| refusal(status, &codes, told));
        all.insert(status.to_string(), json!({ "$ref": place }));
    }
    all
}

/// The end of a code, for a name of an answer.
fn short(code: &str) -> &str {
    code.trim_start_matches("POS_").trim_start_matches("SYNC_")
}

fn refusal(status: u16, codes: &[&str], told: Option<&str>) -> Value {
    let known =
        json!({ "properties": { "status": { "const": status }, "code": { "enum": codes } } });
    let schema = json!({ "allOf": [schema(told.unwrap_or("Problem")), known] });
    json!({
        "description": format!("refused: {}", codes.join(", ")),
        "headers": headers(matches!(status, 429 | 503)),
        "content": { PROBLEM: { "schema": schema } },
    })
}

fn headers(wait: bool) -> Value {
    let mut headers = json!({ "x-request-id": { "$ref": "#/components/headers/RequestId" } });
    if wait {
        headers["retry-after"] = json!({ "$ref": "#/components/headers/RetryAfter" });
    }
    headers
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
        let mut answers: Vec<u16> = route.gives.iter().map(|(status, _)| *status).collect();
        answers.extend(route.refusals().iter().map(|(status, _)| *status));
        answers.dedup();
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
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

    #[test]
    fn what_it_refers_to_is_there_and_nothing_is_there_for_nobody() {
        let document = described();
        let text = document.to_string();
        let places = |prefix: &str| -> BTreeSet<String> {
            let mark = format!("\"$ref\":\"#/components/{prefix}/");
            let parts = text.split(mark.as_str()).skip(1);
            parts.map(|part| part.split('"').next().expect("a name").to_owned()).collect()
        };
        for kind in ["schemas", "responses", "headers"] {
            let known = document["components"][kind].as_object().expect("a list");
            let known: BTreeSet<String> = known.keys().cloned().collect();
            assert_eq!(places(kind), known, "{kind}");
        }
    }

    #[test]
    fn every_code_that_a_node_answers_as_a_problem_is_told() {
        let told: BTreeSet<ErrorCode> =
            ROUTES.iter().flat_map(Route::refusals).map(|(_, code)| code).collect();
        // Verdicts about one event each, inside an answer; a known event is `existing`.
        let verdicts = [
            ErrorCode::EventDuplicate,
            ErrorCode::OriginalPending,
            ErrorCode::ServerOwned,
            ErrorCode::OriginalPosted,
            ErrorCode::Withdrawn,
        ];
        for code in ErrorCode::ALL {
            assert_ne!(told.contains(code), verdicts.contains(code), "{code}");
        }
    }
}
