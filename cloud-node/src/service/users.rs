//! Users: who speaks for a shop with a token of its own, what it may do, and how it is added.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::users::{AddUser, Scope, User, UserCaller};
use counterfoil_protocol::cloud::{Input, Key, Output, Record, Site};
use counterfoil_protocol::identity::{BranchId, ShopId, UserId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::money::Currency;
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::time::Millis;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use super::body::{Manner, json};
use super::bring::{denied, forbidden};
use super::{Node, Reads, Shared, admin, auth, wrong_output};
use crate::credential::{PresentedUser, UserToken};
use crate::problem::Problem;

/// The header that repeats the shop (S2.2).
const SHOP_HEADER: &str = "x-shop-id";
/// The most users in one answer.
const LIST_MAX: usize = 1_000;

/// A user that was let in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) caller: UserCaller,
    pub(super) currency: Currency,
}

/// Authenticates a user by its committed row, and takes one request from its rates. Shop and branch
/// are those of the row: nothing in a request can name others.
pub(super) async fn user<Q: Reads>(
    node: &Node<Q>,
    headers: &HeaderMap,
    scope: Option<Scope>,
) -> Result<Known, Problem> {
    let presented = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| PresentedUser::parse(value.as_bytes()))
        .ok_or_else(|| {
            let detail =
                "no readable credential: send `Authorization: Bearer cu_<userId>_<secret>`";
            Problem::new(ErrorCode::Unauthorized, detail)
        })?;
    let PresentedUser { user: id, secret } = presented;
    let now = node.parts.clock.now();
    let row = node.parts.reads.get(&Key::User(id)).await.map_err(|error| {
        tracing::error!(%error, "a committed row cannot be read");
        Problem::storage_failed()
    })?;
    let Some(Record::User(row)) = row else { return Err(denied(Denial::UnknownTerminal)) };
    row.admits(now, secret).map_err(denied)?;
    node.user_gate.admit(id.0, now, headers).map_err(auth::too_often)?;
    if let Some(scope) = scope.filter(|scope| !row.may(*scope)) {
        return Err(forbidden(scope));
    }
    let span = tracing::Span::current();
    span.record("terminalId", id.as_str());
    span.record("branchId", row.site.branch.as_str());
    let User { site, currency, .. } = row;
    Ok(Known { caller: UserCaller { user: id, secret, site }, currency })
}

/// Demands that the request names the shop of its credential.
pub(super) fn shop_agrees(known: &Known, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(said) = headers.get(SHOP_HEADER) else {
        let detail = "the header x-shop-id is required: send the shop of the token";
        return Err(Problem::new(ErrorCode::EventInvalid, detail).with_status(400));
    };
    if said.as_bytes() == known.caller.site.shop.as_str().as_bytes() {
        return Ok(());
    }
    let detail = "x-shop-id is not the shop of this token: send its own, or use another token";
    Err(Problem::new(ErrorCode::Unauthorized, detail).with_status(403))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    user_id: UserId,
    shop_id: ShopId,
    branch_id: BranchId,
    scopes: Vec<Scope>,
    currency: Currency,
    #[serde(default)]
    expires_at_ms: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    user_id: UserId,
    shop_id: ShopId,
    branch_id: BranchId,
    scopes: Vec<Scope>,
    currency: Currency,
    expires_at_ms: Option<Millis>,
    revoked: bool,
    /// The only time it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

pub(super) async fn add<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    add_user(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn list<Q: Reads>(State(node): State<Shared<Q>>, headers: HeaderMap) -> Response {
    list_users(&node, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn revoke<Q: Reads>(
    State(node): State<Shared<Q>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    revoke_user(&node, &id, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

async fn add_user<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (manner, wish) = admin::read::<Q, Wish>(node, request).await?;
    let random = node.parts.entropy.secret().ok_or_else(|| {
        Problem::unavailable("the system gives no randomness for a secret: try again")
    })?;
    let token = UserToken::new(wish.user_id, random);
    let expires_at = wish.expires_at_ms.map(Millis);
    let input = Input::AddUser(AddUser {
        user: wish.user_id,
        site: Site { shop: wish.shop_id, branch: wish.branch_id },
        secret: token.digest(),
        expires_at,
        scopes: wish.scopes.clone(),
        currency: wish.currency,
    });
    let shop = Some(wish.shop_id);
    let output = node.ask_logged("user.add", shop, wish.user_id, input, 0).await?;
    if let Output::OtherSite(site) = output {
        let detail = format!(
            "the user speaks for shop {}, branch {}, and keeps site and currency: add another",
            site.shop, site.branch
        );
        return Err(Problem::new(ErrorCode::EventInvalid, detail));
    }
    let Output::UserAdded = output else { return Err(wrong_output()) };
    tracing::info!(userId = %wish.user_id, branchId = %wish.branch_id, "a user was added");
    let told = Told {
        user_id: wish.user_id,
        shop_id: wish.shop_id,
        branch_id: wish.branch_id,
        scopes: wish.scopes,
        currency: wish.currency,
        expires_at_ms: expires_at,
        revoked: false,
        token: Some(token.reveal()),
    };
    Ok(json(manner, StatusCode::CREATED, &told))
}

async fn list_users<Q: Reads>(node: &Node<Q>, headers: &HeaderMap) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let (from, until) = (Key::User(UserId(Label::FIRST)), Key::User(UserId(Label::LAST)));
    let rows = node.parts.reads.scan(&from, &until, LIST_MAX).await.map_err(|error| {
        tracing::error!(%error, "the users cannot be read");
        Problem::storage_failed()
    })?;
    let told = rows.into_iter().filter_map(|row| match row {
        (Key::User(user_id), Record::User(user)) => Some(Told {
            user_id,
            shop_id: user.site.shop,
            branch_id: user.site.branch,
            scopes: user.scopes,
            currency: user.currency,
            expires_at_ms: user.expires_at,
            revoked: user.revoked,
            token: None,
        }),
        _ => None,
    });
    let users: Vec<Told> = told.collect();
    let body = serde_json::json!({ "users": users });
    Ok(json(Manner::plain_json(), StatusCode::OK, &body))
}

async fn revoke_user<Q: Reads>(
    node: &Node<Q>,
    id: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let user = UserId::parse(id).map_err(|error| {
        Problem::new(ErrorCode::EventInvalid, format!("{error}: correct the user's name"))
    })?;
    let output = node.ask_logged("user.revoke", None, user, Input::RevokeUser(user), 0).await?;
    if let Output::NoSuchUser = output {
        let detail = "there is no such user: check the name";
        return Err(Problem::new(ErrorCode::NotFound, detail));
    }
    let Output::Revoked = output else { return Err(wrong_output()) };
    tracing::info!(userId = %user, "revoked");
    let body = serde_json::json!({ "userId": user, "revoked": true });
    Ok(json(Manner::plain_json(), StatusCode::OK, &body))
}
