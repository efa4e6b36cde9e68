//! `GET /openapi.json`: every route, what it takes and what it answers, for programs that make
//! clients. It holds no data, so it needs no token.

use axum::response::{IntoResponse, Response};
use http::header;

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::DOCUMENT;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).expect("the document is JSON")
    }

    /// The methods of each route, as the router's text has them.
    fn routed() -> BTreeSet<(String, &'static str)> {
        let flat: String = include_str!("mod.rs").split_whitespace().collect();
        let mut routed = BTreeSet::new();
        for part in flat.split(".route(\"").skip(1) {
            let (path, rest) = part.split_once('"').expect("a path ends");
            let handlers = rest.split(".route(").next().expect("a part");
            if path.contains("{*") {
                continue; // as what stands before it
            }
            for (call, method) in [
                ("get", "get"),
                ("any", "get"),
                ("post", "post"),
                ("put", "put"),
                ("patch", "patch"),
            ] {
                if [",", ")."].iter().any(|mark| handlers.contains(&format!("{mark}{call}("))) {
                    routed.insert((path.to_owned(), method));
                }
            }
        }
        routed
    }

    #[test]
    fn the_document_has_the_routes_of_the_router_and_no_others() {
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        let told: BTreeSet<(String, &str)> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().expect("methods");
                methods.keys().map(|method| (path.clone(), method.as_str()))
            })
            .collect();
        assert!(told.len() > 30, "the router was read");
        assert_eq!(told, routed());
    }

    #[test]
    fn what_it_refers_to_is_there() {
        let document = document();
        let parts: Vec<&str> = DOCUMENT.split("\"$ref\": \"#").skip(1).collect();
        assert!(parts.len() > 30, "there are schemas");
        for part in parts {
            let place = part.split('"').next().expect("a place");
            assert!(document.pointer(place).is_some(), "{place}");
        }
    }
}
