//! `POST /login`, `POST /logout`: the operator's pages trade the operator's token for a session.
//!
//! A session is 256 random bits in a cookie that no script can read; this node keeps a digest of
//! it, in memory: a restart ends all sessions, and other nodes know nothing of them. It ends after
//! [`LIFE`], or [`IDLE`] after a person last did something on a page.
//!
//! A browser adds a cookie to whatever any page sends, so a cookie alone opens nothing: a request
//! by cookie has [`PAGE`], which pages of other hosts cannot send unasked, and one that changes
//! something must also come from a page of this host ([`guard`]). Whoever sends a token is judged
//! by that alone.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use serde::Deserialize;

use super::body::{Manner, json};
use super::{Limits, Node, Reads, Shared};
use crate::credential::operator_digest;
use crate::problem::Problem;

/// How long a session lasts at most.
const LIFE: Millis = Millis::from_secs(12 * 60 * 60);
/// How long it lasts while nobody does anything.
const IDLE: Millis = Millis::from_secs(30 * 60);
/// The most sessions; one more ends the one that was idle for longest.
const SESSIONS_MAX: usize = 64;
/// So many wrong tokens may be tried at once, by all who try together.
const TRIES_MAX: u64 = 10;
/// After this time one more.
const TRY_EVERY: Millis = Millis::from_secs(6);
/// The most bytes of a login.
const LOGIN_BYTES_MAX: usize = 4096;

const COOKIE: &str = "counterfoil-session";
/// What a page adds to whatever it asks: `person` if a person does it, `page` if it refreshes.
const PAGE: HeaderName = HeaderName::from_static("x-counterfoil-page");
const PERSON: &[u8] = b"person";
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who is logged in, and who tried to.
#[derive(Debug, Default)]
pub(super) struct Desk {
    sessions: Mutex<BTreeMap<Hash, Session>>,
    tries: Mutex<Tries>,
    pub(super) seats: super::committed::Seats,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    since: Millis,
    seen: Millis,
}

/// Wrong tokens that are not forgotten yet.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    made: u64,
    /// Up to when tries were forgotten.
    at: Millis,
}

impl Session {
    fn lasts(self, now: Millis) -> bool {
        now.since(self.since) < LIFE && now.since(self.seen) < IDLE
    }
}

impl Desk {
    fn open(&self, id: Hash, now: Millis) {
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, session| session.lasts(now));
        if sessions.len() >= SESSIONS_MAX {
            let idle = sessions.iter().min_by_key(|(_, session)| session.seen);
            if let Some(id) = idle.map(|(id, _)| *id) {
                sessions.remove(&id);
            }
        }
        sessions.insert(id, Session { since: now, seen: now });
        assert!(sessions.len() <= SESSIONS_MAX, "sessions are bounded");
    }

    /// Returns whether this session lasts; a person makes it last on.
    pub(super) fn holds(&self, id: Hash, now: Millis, person: bool) -> bool {
        let mut sessions = lock(&self.sessions);
        let Some(session) = sessions.get_mut(&id) else { return false };
        if !session.lasts(now) {
            sessions.remove(&id);
            return false;
        }
        if person {
            session.seen = now;
        }
        true
    }

    fn close(&self, id: Hash) {
        lock(&self.sessions).remove(&id);
    }

    /// Takes a try, or says in how many seconds there is one.
    fn try_token(&self, now: Millis) -> Result<(), u64> {
        let mut tries = lock(&self.tries);
        let forgotten = now.since(tries.at).0 / TRY_EVERY.0;
        tries.made = tries.made.saturating_sub(forgotten);
        // Also when the clock was set back: otherwise nothing is forgotten until it has caught up.
        let passed = Millis(forgotten.saturating_mul(TRY_EVERY.0));
        let fresh = tries.made == 0 || now < tries.at;
        tries.at = if fresh { now } else { tries.at.after(passed) };
        if tries.made >= TRIES_MAX {
            let wait = TRY_EVERY.0.saturating_sub(now.since(tries.at).0);
            return Err(wait.div_ceil(1_000).max(1));
        }
        tries.made += 1;
        Ok(())
    }

    /// Gives a try back: the token was right.
    fn was_right(&self) {
        let mut tries = lock(&self.tries);
        tries.made = tries.made.saturating_sub(1);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    token: String,
}

pub(super) async fn enter<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    open_session(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn leave<Q: Reads>(State(node): State<Shared<Q>>, headers: HeaderMap) -> Response {
    if let Some(id) = presented(&headers) {
        node.desk.close(id);
        tracing::info!("an operator's session was ended");
    }
    let ended = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    let ended = HeaderValue::try_from(ended).expect("a cookie without a value is plain text");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, ended)]).into_response()
}

async fn open_session<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let refused = |detail: &'static str| Problem::new(ErrorCode::Unauthorized, detail);
    let expected = node
        .parts
        .operator
        .ok_or_else(|| refused("this node has no operator: start it with --operator-token-file"))?;
    let manner = Manner::json(&head.headers)?;
    let small = LOGIN_BYTES_MAX;
    let limits = Limits { wire_bytes: small, plain_bytes: small, ..node.parts.limits };
    let bytes = manner.read(&limits, body).await?;
    // What is wrong with it is not said: it may hold the token.
    let Wish { token } = serde_json::from_slice(&bytes).map_err(|_| {
        Problem::new(ErrorCode::EventInvalid, "a login is `{\"token\": \"...\"}`: correct it")
    })?;
    let now = node.parts.clock.now();
    node.desk.try_token(now).map_err(|secs| {
        let detail = "too many wrong tokens were tried: wait as `Retry-After` says, then try again";
        Problem::new(ErrorCode::RateLimited, detail).retry_after(secs)
    })?;
    if !operator_digest(token.trim()).same_secret(&expected) {
        tracing::warn!("a wrong token was tried at the operator's login");
        return Err(refused(
            "this is not the operator's token: see the file after \
                            --operator-token-file, whose content it is",
        ));
    }
    node.desk.was_right();
    let random = node.parts.entropy.secret().ok_or_else(|| {
        Problem::unavailable("the system gives no randomness for a secret: try again")
    })?;
    let id = Hash(random).to_string();
    if let Some(before) = presented(&head.headers) {
        node.desk.close(before);
    }
    node.desk.open(secret_hash(id.as_bytes()), now);
    tracing::info!("an operator has logged in");
    let secure = if over_tls(node, &head.headers) { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict{secure}");
    let cookie = HeaderValue::try_from(cookie).expect("digits are plain text");
    let body = serde_json::json!({ "endsAtMs": now.after(LIFE), "idleMs": IDLE });
    let mut response = json(Manner::plain_json(), StatusCode::OK, &body);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Where links to this node are plain HTTP, a proxy in front of it may say that its own are not.
fn over_tls<Q>(node: &Node<Q>, headers: &HeaderMap) -> bool {
    let said = headers.get(FORWARDED_PROTO);
    let Limits { own_tls, forwarded_proto, .. } = node.parts.limits;
    let proxied = forwarded_proto
        && said.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    own_tls || proxied
}

/// Returns whether the request is a page's in a session that lasts.
///
/// # Errors
/// With what to do, if it names a session and is not heard.
pub(super) fn admits<Q>(node: &Node<Q>, headers: &HeaderMap) -> Result<bool, Problem> {
    let Some(id) = presented(headers) else { return Ok(false) };
    let page = headers.get(PAGE).ok_or_else(not_from_here)?;
    let person = page.as_bytes() == PERSON;
    if node.desk.holds(id, node.parts.clock.now(), person) {
        return Ok(true);
    }
    Err(Problem::new(ErrorCode::Unauthorized, "the session has ended: log in again"))
}

/// Returns the digest of the session that the request names.
pub(super) fn presented(headers: &HeaderMap) -> Option<Hash> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let id = cookies.flat_map(|line| line.split(';')).find_map(|cookie| {
        let (name, id) = cookie.trim().split_once('=')?;
        (name == COOKIE).then_some(id)
    })?;
    let digits = id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (id.len() == 64 && digits).then(|| secret_hash(id.as_bytes()))
}

/// Lets a request that changes something by cookie through only if a page of this host sent it, and
/// keeps answers for operators out of every cache.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let login = path == "/login" || path == "/logout";
    let private = login || path.starts_with("/v1/admin/") || path.starts_with("/v1/storefront/");
    let headers = request.headers();
    let by_cookie =
        !headers.contains_key(header::AUTHORIZATION) && headers.contains_key(header::COOKIE);
    let changes = !request.method().is_safe();
    if changes && private && (login || by_cookie) && !from_here(headers) {
        return not_from_here().into_response();
    }
    let mut response = next.run(request).await;
    if private {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    response
}

/// Returns whether a page of this host sent it, as the browser says.
fn from_here(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let host = text(&header::HOST).unwrap_or_default();
    let origin = text(&header::ORIGIN).map(|origin| {
        let of = origin.parse::<Uri>().ok();
        let of = of.and_then(|uri| uri.authority().map(ToString::to_string));
        of.is_some_and(|authority| !host.is_empty() && authority.eq_ignore_ascii_case(host))
    });
    let site = text(&FETCH_SITE).map(|site| site == "same-origin");
    let said = origin.is_some() || site.is_some();
    headers.contains_key(PAGE) && said && origin != Some(false) && site != Some(false)
}

fn not_from_here() -> Problem {
    let detail = "this did not come from a page of this node: open its address, or send a token";
    Problem::new(ErrorCode::Unauthorized, detail).with_status(403)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn a_session_ends_by_age_by_idleness_and_when_it_is_closed() {
        let desk = Desk::default();
        let [a, b] = [1, 2].map(|byte| Hash([byte; 32]));
        desk.open(a, Millis(0));
        desk.open(b, Millis(0));
        assert!(!desk.holds(Hash([3; 32]), Millis(0), true), "nobody has this one");
        assert!(desk.holds(a, Millis(29 * MINUTE), false), "a page alone is no person");
        assert!(!desk.holds(a, Millis(30 * MINUTE), true), "so it was idle");
        for minute in (0..12 * 60).step_by(20) {
            assert!(desk.holds(b, Millis(minute * MINUTE), true), "{minute}");
        }
        assert!(!desk.holds(b, Millis(12 * 60 * MINUTE), true), "it is old");
        desk.open(a, Millis(0));
        desk.close(a);
        assert!(!desk.holds(a, Millis(0), true));
    }

    #[test]
    fn one_session_too_many_ends_the_idlest() {
        let desk = Desk::default();
        let id = |number: u64| Hash([u8::try_from(number).expect("few"); 32]);
        for number in 0..SESSIONS_MAX as u64 {
            desk.open(id(number), Millis(number));
        }
        assert!(desk.holds(id(0), Millis(1_000), true));
        desk.open(id(200), Millis(1_001));
        assert!(!desk.holds(id(1), Millis(1_002), false), "it was idle for longest");
        assert!(
            desk.holds(id(0), Millis(1_002), false) && desk.holds(id(200), Millis(1_002), false)
        );
    }

    #[test]
    fn wrong_tokens_run_out_and_come_back() {
        let desk = Desk::default();
        let start = Millis(1_000_000);
        for _ in 0..TRIES_MAX {
            assert_eq!(desk.try_token(start), Ok(()));
        }
        assert_eq!(desk.try_token(start), Err(6));
        assert_eq!(desk.try_token(start.after(Millis(5_999))), Err(1));
        assert_eq!(desk.try_token(start.after(Millis(6_000))), Ok(()));
        assert_eq!(desk.try_token(start.after(Millis(6_001))), Err(6));
        assert_eq!(desk.try_token(Millis(0)), Err(6), "the clock was set back");
        assert_eq!(desk.try_token(TRY_EVERY), Ok(()));
        for _ in 0..3 * TRIES_MAX {
            assert_eq!(desk.try_token(start.after(start)), Ok(()), "right ones cost nothing");
            desk.was_right();
        }
    }

    #[test]
    fn only_pages_of_this_host_change_something() {
        // page, host, origin, fetch site    from here
        for (page, host, origin, site, here) in [
            (true, "shop.example", Some("https://shop.example"), None, true),
            (true, "shop.example", Some("http://shop.example"), Some("same-origin"), true),
            (true, "127.0.0.1:8700", Some("http://127.0.0.1:8700"), None, true),
            (true, "[::1]:8700", Some("http://[::1]:8700"), None, true),
            (true, "Shop.Example", Some("https://shop.example"), None, true),
            (true, "shop.example", None, Some("same-origin"), true),
            (false, "shop.example", Some("https://shop.example"), Some("same-origin"), false),
            (true, "shop.example", None, None, false),
            (true, "shop.example", Some("https://rival.example"), None, false),
            (true, "shop.example", Some("https://rival.example"), Some("same-origin"), false),
            (true, "shop.example", Some("https://shop.example:8443"), None, false),
            (true, "shop.example", Some("https://shop.example.rival.example"), None, false),
            (true, "shop.example", Some("null"), None, false),
            (true, "shop.example", Some(""), None, false),
            (true, "", Some("https://shop.example"), None, false),
            (true, "shop.example", Some("https://shop.example"), Some("same-site"), false),
            (true, "shop.example", Some("https://shop.example"), Some("cross-site"), false),
            (true, "shop.example", None, Some("none"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if page {
                headers.insert(PAGE, HeaderValue::from_static("person"));
            }
            for (name, value) in [(header::ORIGIN, origin), (FETCH_SITE, site)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(from_here(&headers), here, "{page} {host} {origin:?} {site:?}");
        }
    }

    #[test]
    fn a_session_is_found_among_other_cookies() {
        let id = "ab".repeat(32);
        for (line, found) in [
            (format!("{COOKIE}={id}"), true),
            (format!("a=b; {COOKIE}={id};c=d"), true),
            (format!("x{COOKIE}={id}"), false),
            (format!("{COOKIE}={id}0"), false),
            (format!("{COOKIE}={}", id.to_uppercase()), false),
            (format!("{COOKIE}="), false),
            (COOKIE.to_owned(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::try_from(&line).expect("text"));
            let expected = found.then(|| secret_hash(id.as_bytes()));
            assert_eq!(presented(&headers), expected, "{line}");
        }
    }
}
