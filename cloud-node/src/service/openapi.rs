//! `GET /openapi.json`, and `GET /docs` to read it: every route, who may ask, and what is answered.
//!
//! Both are made from [`table::ROUTES`], the codes from [`ErrorCode`], the scopes from [`Scope`]. A
//! test compares the table with the router, route by route and method by method.

mod table;

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

use Who::{Anybody, Operator, Till, User};
use table::ROUTES;

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
