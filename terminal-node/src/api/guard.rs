//! Who may ask: programs of this machine that know the token, and pages that came from here.
//!
//! A loopback address keeps the network out, and the token keeps other users out. What is left is
//! the browser: a page from anywhere may send requests to this machine. So the name that it asks
//! by must be one of this machine's (a name of somebody else's that leads here would make that
//! page one of ours), a page's origin must be this very server, and nothing allows another origin
//! to read an answer. The token travels in a header that no browser adds by itself.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::hash::secret_hash;
use http::{HeaderMap, HeaderValue, Uri, header};

use super::{Api, Problem};
use crate::till::TillStore;

/// Lets requests through that ask this machine by its own name, from nowhere else.
pub(super) async fn local(request: Request, next: Next) -> Response {
    match asked_here(request.headers()) {
        Ok(()) => {}
        Err(detail) => return Problem::elsewhere(detail).into_response(),
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets callers through that present the token.
pub(super) async fn authorize<S: TillStore>(
    State(api): State<Api<S>>,
    request: Request,
    next: Next,
) -> Response {
    let presented = request.headers().get(header::AUTHORIZATION);
    let presented = presented.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = presented.strip_prefix("Bearer ").unwrap_or_default();
    if secret_hash(token.as_bytes()).same_secret(&api.secret) {
        next.run(request).await
    } else {
        Problem::unauthorized().into_response()
    }
}

fn asked_here(headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(header::HOST).unwrap_or_default();
    if !is_here(host) {
        return Err("ask by an address of this machine, such as 127.0.0.1");
    }
    match text(header::ORIGIN) {
        Some(origin) if origin.strip_prefix("http://") != Some(host) => {
            Err("pages of other origins may not ask this till")
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns whether a host, perhaps with a port, is a name of this machine for itself.
fn is_here(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let Ok(uri) = host.parse::<Uri>() else { return false };
    let name = uri.host().unwrap_or_default();
    let whole = uri.authority().is_some_and(|authority| authority.as_str() == host);
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    whole && (name == "localhost" || address.is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_asks_by_its_own_name() {
        // host, origin    allowed
        for (host, origin, allowed) in [
            ("127.0.0.1:8701", None, true),
            ("127.0.0.1", None, true),
            ("localhost:8701", Some("http://localhost:8701"), true),
            ("[::1]:8701", Some("http://[::1]:8701"), true),
            ("[::1]", None, true),
            ("127.0.0.1:8701", Some("http://127.0.0.1:8701"), true),
            // a name of somebody else's that leads here
            ("shop.example:8701", Some("http://shop.example:8701"), false),
            ("localhost.example:8701", None, false),
            ("127.0.0.1.example", None, false),
            ("127.0.0.1@shop.example", None, false),
            ("192.168.1.20:8701", None, false),
            ("", None, false),
            // another page, another port, no page
            ("127.0.0.1:8701", Some("https://shop.example"), false),
            ("127.0.0.1:8701", Some("http://127.0.0.1:9000"), false),
            ("127.0.0.1:8701", Some("http://localhost:8701"), false),
            ("127.0.0.1:8701", Some("https://127.0.0.1:8701"), false),
            ("127.0.0.1:8701", Some("null"), false),
            ("127.0.0.1:8701", Some(""), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(asked_here(&headers).is_ok(), allowed, "{host} {origin:?}");
        }
        assert!(asked_here(&HeaderMap::new()).is_err(), "who does not say whom it asks");
    }
}
