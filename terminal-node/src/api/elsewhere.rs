//! What is the cloud's alone (S3.2): reports, users, settings.
//!
//! | of the till | of the cloud |
//! |---|---|
//! | `/reports/sales` | `/v1/admin/reports/sales` |
//! | `/users`, `/users/{id}/revoke` | the same under `/v1/admin` |
//! | `/settings/{sites, buffer, relay, terminals...}` | the same under `/v1/admin` |
//!
//! While the cloud is heard, a request with an operator's token in `x-operator-token` is passed on
//! as it is, and so is its answer: a till's own credential opens none of it. Without that token the
//! answer is 403 and where an operator signs in; without the cloud it is 503, at once.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::{BodyExt as _, Limited};

use super::{Api, BODY_BYTES_MAX, Problem};
use crate::light::{Connection, Heard};
use crate::passage::Passage;
use crate::sync::explain;
use crate::till::TillStore;

/// Where a caller puts the operator's token. The till neither keeps nor logs it.
pub(super) const OPERATOR_TOKEN: &str = "x-operator-token";

/// What there is to set.
const SETTINGS: [&str; 4] = ["sites", "buffer", "relay", "terminals"];

pub(super) async fn in_the_cloud<S: TillStore>(
    State(api): State<Api<S>>,
    request: Request,
) -> Result<Response, Problem> {
    let connection = Connection::of(&api.link.borrow(), None, &api.cloud);
    match connection.state {
        Heard::Online => {}
        Heard::Offline | Heard::Starting => {
            return Err(silent(connection.explanation.unwrap_or("nothing was asked yet")));
        }
    }
    let (parts, body) = request.into_parts();
    let Some(token) = operator(&parts.headers) else {
        return Err(Problem::elsewhere(&format!(
            "reports, users and settings are the head office's: send an operator's token as \
             `{OPERATOR_TOKEN}`, or sign in as an operator at {}",
            api.cloud
        )));
    };
    let Some(path) = there(parts.uri.path()) else { return Err(Problem::not_found()) };
    let path = parts.uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|_| Problem::too_large("the body is too long"))?.to_bytes();
    let kind = parts.headers.get(header::CONTENT_TYPE).cloned();
    pass(&api.outside.passage, parts.method, &path, (token, kind), body).await
}

async fn pass(
    passage: &Passage,
    method: Method,
    path: &str,
    (token, kind): (HeaderValue, Option<HeaderValue>),
    body: Bytes,
) -> Result<Response, Problem> {
    let answer = passage.ask(method, path, token, kind, body).await;
    let (status, kind, body) = answer.map_err(|fault| silent(explain(fault)))?;
    let kind = kind.unwrap_or_else(|| HeaderValue::from_static("application/octet-stream"));
    Ok((status, [(header::CONTENT_TYPE, kind)], body).into_response())
}

fn silent(why: &str) -> Problem {
    Problem::unavailable(&format!(
        "reports, users and settings need the cloud, which does not answer now ({why}): sell on, \
         and ask again when the link is back"
    ))
}

fn operator(headers: &HeaderMap) -> Option<HeaderValue> {
    let token = headers.get(OPERATOR_TOKEN)?.to_str().ok()?.trim();
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    bearer.set_sensitive(true);
    (!token.is_empty()).then_some(bearer)
}

/// Returns the address in the cloud of what is asked for.
fn there(path: &str) -> Option<String> {
    let plain = path.split('/').all(|part| part != "." && part != "..");
    let settings = path.strip_prefix("/settings").map(|rest| rest.trim_start_matches('/'));
    let of = match (path, settings) {
        _ if !plain => return None,
        ("/reports", _) => "/reports/sales".to_owned(),
        (_, Some("")) => "/sites".to_owned(),
        (_, Some(what)) => {
            let first = what.split('/').next().unwrap_or_default();
            SETTINGS.contains(&first).then(|| format!("/{what}"))?
        }
        (path, None) => path.to_owned(),
    };
    Some(format!("/v1/admin{of}"))
}

#[cfg(test)]
mod tests {
    use super::there;

    #[test]
    fn only_what_is_the_head_offices_is_passed_on() {
        for (asked, expected) in [
            ("/reports", Some("/v1/admin/reports/sales")),
            ("/reports/sales", Some("/v1/admin/reports/sales")),
            ("/users", Some("/v1/admin/users")),
            ("/users/anna/revoke", Some("/v1/admin/users/anna/revoke")),
            ("/settings", Some("/v1/admin/sites")),
            ("/settings/buffer", Some("/v1/admin/buffer")),
            ("/settings/terminals/T-1/credential", Some("/v1/admin/terminals/T-1/credential")),
            ("/settings/parked/decide", None),
            ("/settings/../parked", None),
            ("/users/../parked/decide", None),
        ] {
            assert_eq!(there(asked).as_deref(), expected, "{asked}");
        }
    }
}
