//! `GET /` and what belongs to it: the till page, whole in this program.
//!
//! It needs no token: it is the same for everybody. The token comes to it in the part of its
//! address that no browser sends (`terminal-node page` prints it).

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use http::header;

use super::Problem;

/// What the page may load and ask: itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal: $kind:ident;)*) => {
        /// Every file of the page, by the name in its address.
        const FILES: &[(&str, &str, &str)] =
            &[$(($name, $kind, include_str!(concat!("../../page/", $name))),)*];
    };
}

files! {
    "index.html": HTML;
    "style.css": CSS;
    "print.css": CSS;
    "icon.svg": SVG;
    "main.js": JS;
    "strings.js": JS;
    "money.js": JS;
    "dom.js": JS;
    "api.js": JS;
    "memory.js": JS;
    "scanner.js": JS;
    "topbar.js": JS;
    "sell.js": JS;
    "basket.js": JS;
    "pay.js": JS;
    "receipt.js": JS;
    "sales.js": JS;
    "attention.js": JS;
    "fix.js": JS;
    "drawer.js": JS;
    "check.js": JS;
    "worker.js": JS;
}

pub(super) async fn index() -> Response {
    found("index.html")
}

pub(super) async fn file(name: Result<Path<String>, PathRejection>) -> Response {
    name.map_or_else(|_| Problem::not_found().into_response(), |Path(name)| found(&name))
}

fn found(name: &str) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(known, ..)| *known == name) else {
        return Problem::not_found().into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, *kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // A newer program brings a newer page: the browser asks each time.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let mut response = (headers, *content).into_response();
    if name == "worker.js" {
        // It stands in a folder and serves the whole page.
        let root = http::HeaderValue::from_static("/");
        response.headers_mut().insert("service-worker-allowed", root);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_asks_nobody_else() {
        for (name, _, content) in FILES {
            assert!(!content.trim().is_empty(), "{name}");
            // The name of a kind of picture, which looks like an address and is none.
            let content = content.replace("http://www.w3.org/2000/svg", "");
            for elsewhere in ["http://", "https://", "//cdn", "eval(", "innerHTML"] {
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
    fn files_of_the_page_are_short() {
        for (name, _, content) in FILES {
            assert!(content.lines().count() <= 500, "{name} is too long");
            for (number, line) in (1..).zip(content.lines()) {
                assert!(line.chars().count() <= 120, "{name}:{number} is too wide");
            }
        }
    }
}
