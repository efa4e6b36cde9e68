//! `GET /` and what belongs to it: the operator's pages, whole in this program.
//!
//! They need no credential: they are the same for everybody, and show nothing before a login
//! ([`super::login`]). What both pages of Counterfoil share is the till page's.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::problem::ErrorCode;
use http::{HeaderValue, StatusCode, header};

use crate::problem::Problem;

/// What the pages may load and ask: themselves.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($folder:literal $name:literal: $kind:ident;)*) => {
        /// Every file of the pages, by the name in its address.
        const FILES: &[(&str, &str, &str)] =
            &[$(($name, $kind, include_str!(concat!("../../../", $folder, "/page/", $name))),)*];
    };
}

files! {
    "cloud-node" "index.html": HTML;
    "cloud-node" "style.css": CSS;
    "terminal-node" "icon.svg": SVG;
    "cloud-node" "main.js": JS;
    "cloud-node" "strings.js": JS;
    "cloud-node" "api.js": JS;
    "cloud-node" "place.js": JS;
    "cloud-node" "parts.js": JS;
    "cloud-node" "icons.js": JS;
    "cloud-node" "names.js": JS;
    "cloud-node" "login.js": JS;
    "cloud-node" "fleet.js": JS;
    "cloud-node" "terminal.js": JS;
    "cloud-node" "plan.js": JS;
    "cloud-node" "story.js": JS;
    "cloud-node" "stock.js": JS;
    "cloud-node" "parked.js": JS;
    "cloud-node" "catalog.js": JS;
    "cloud-node" "orders.js": JS;
    "cloud-node" "buffer.js": JS;
    "cloud-node" "reports.js": JS;
    "cloud-node" "log.js": JS;
    "terminal-node" "dom.js": JS;
    "terminal-node" "money.js": JS;
}

pub(super) async fn index(headers: HeaderMap) -> Response {
    found("index.html", &headers)
}

pub(super) async fn file(
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let name = name.map(|Path(name)| name).unwrap_or_default();
    found(&name, &headers)
}

fn found(name: &str, headers: &HeaderMap) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(known, ..)| *known == name) else {
        let detail = "the pages have no such file: open `/`";
        return Problem::new(ErrorCode::NotFound, detail).into_response();
    };
    let tag = format!("\"{}\"", blake3::hash(content.as_bytes()).to_hex());
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|line| line.to_str().is_ok_and(|line| line.split(',').any(|one| one.trim() == tag)));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, *kind)], *content).into_response()
    };
    let headers = response.headers_mut();
    let tag = HeaderValue::try_from(tag).expect("digits are plain text");
    headers.insert(header::ETAG, tag);
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // A newer program brings newer pages: the browser asks each time.
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_whole_and_ask_nobody_else() {
        for (name, _, content) in FILES {
            assert!(!content.trim().is_empty(), "{name}");
            // The name of a kind of picture, which looks like an address and is none.
            let content = content.replace("http://www.w3.org/2000/svg", "");
            for elsewhere in ["http://", "https://", "//cdn", "eval(", "innerHTML", "style="] {
                assert!(!content.contains(elsewhere), "{name} names {elsewhere}");
            }
            for part in content.split(['"', '\'']) {
                let wanted = part
                    .strip_prefix("/page/")
                    .filter(|name| !name.is_empty())
                    .or_else(|| part.strip_prefix("./").filter(|part| part.ends_with(".js")));
                let there = |wanted: &str| FILES.iter().any(|(known, ..)| *known == wanted);
                assert!(wanted.is_none_or(there), "{name} wants {part}");
            }
        }
    }

    #[test]
    fn files_of_the_pages_are_short() {
        for (name, _, content) in FILES {
            assert!(content.lines().count() <= 500, "{name} is too long");
            for (number, line) in (1..).zip(content.lines()) {
                assert!(line.chars().count() <= 120, "{name}:{number} is too wide");
            }
        }
    }

    /// The colours and measures that stand before the first rule for an element.
    fn palette(style: &str) -> &str {
        style.split("\n* {").next().expect("a style has a beginning")
    }

    #[test]
    fn both_pages_have_the_same_colours() {
        let till = include_str!("../../../terminal-node/page/style.css");
        let own = include_str!("../../page/style.css");
        assert!(palette(own).contains("--main:"), "the palette was found");
        assert_eq!(palette(own), palette(till), "the till page and the operator's are one product");
    }
}
