//! `POST /v1/admin/...`: what an operator does to a running node.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::{Input, Output, Site};
use counterfoil_protocol::identity::{BranchId, ProductId, ShopId, TerminalId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::time::Millis;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::{Manner, from_json, json};
use super::{Node, Reads, Shared, auth, wrong_output};
use crate::credential::Token;
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Enrol {
    terminal_id: TerminalId,
    shop_id: ShopId,
    branch_id: BranchId,
    #[serde(default)]
    expires_at_ms: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Enrolled {
    terminal_id: TerminalId,
    shop_id: ShopId,
    branch_id: BranchId,
    expires_at_ms: Option<u64>,
    /// The only time it is shown.
    token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Revoked {
    terminal_id: TerminalId,
    revoked: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Product {
    shop_id: ShopId,
    product_id: ProductId,
}

pub(super) async fn enrol<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    enrol_terminal(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn revoke<Q: Reads>(
    State(node): State<Shared<Q>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    revoke_terminal(&node, &id, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

pub(super) async fn define_product<Q: Reads>(
    State(node): State<Shared<Q>>,
    request: Request,
) -> Response {
    define(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn enrol_terminal<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (manner, wish) = read::<Q, Enrol>(node, request).await?;
    let random = node.parts.entropy.secret().ok_or_else(|| {
        Problem::unavailable("the system gives no randomness for a secret: try again")
    })?;
    let token = Token::new(wish.terminal_id, random);
    let input = Input::Enrol {
        terminal: wish.terminal_id,
        site: Site { shop: wish.shop_id, branch: wish.branch_id },
        secret: token.digest(),
        expires_at: wish.expires_at_ms.map(Millis),
    };
    let shop = Some(wish.shop_id);
    let output = node.ask_logged("terminal.enrol", shop, wish.terminal_id, input, 0).await?;
    if let Output::OtherSite(site) = output {
        let detail = format!(
            "the terminal stands at shop {}, branch {}, and keeps its site: enrol another name",
            site.shop, site.branch
        );
        return Err(Problem::new(ErrorCode::EventInvalid, detail));
    }
    if let Output::NameReserved = output {
        let detail = "names that begin with `book:` are the cloud's own: choose another";
        return Err(Problem::new(ErrorCode::EventInvalid, detail));
    }
    let Output::Enrolled = output else { return Err(wrong_output()) };
    tracing::info!(terminalId = %wish.terminal_id, branchId = %wish.branch_id, "enrolled");
    let enrolled = Enrolled {
        terminal_id: wish.terminal_id,
        shop_id: wish.shop_id,
        branch_id: wish.branch_id,
        expires_at_ms: wish.expires_at_ms,
        token: token.reveal(),
    };
    Ok(json(manner, StatusCode::CREATED, &enrolled))
}

async fn revoke_terminal<Q: Reads>(
    node: &Node<Q>,
    id: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    auth::operator(node, headers)?;
    let terminal = TerminalId::parse(id).map_err(|error| {
        Problem::new(ErrorCode::EventInvalid, format!("{error}: correct the terminal's name"))
    })?;
    let input = Input::Revoke { terminal };
    let output = node.ask_logged("terminal.revoke", None, terminal, input, 0).await?;
    if let Output::NoSuchTerminal = output {
        let detail = "there is no such terminal: check its name";
        return Err(Problem::new(ErrorCode::NotFound, detail));
    }
    let Output::Revoked = output else { return Err(wrong_output()) };
    tracing::info!(terminalId = %terminal, "revoked");
    let manner = Manner::plain_json();
    Ok(json(manner, StatusCode::OK, &Revoked { terminal_id: terminal, revoked: true }))
}

async fn define<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (manner, product) = read::<Q, Product>(node, request).await?;
    let input = Input::DefineProduct { shop: product.shop_id, product: product.product_id };
    let (shop, target) = (Some(product.shop_id), product.product_id);
    let output = node.ask_logged("product.define", shop, target, input, 0).await?;
    let Output::Defined = output else { return Err(wrong_output()) };
    Ok(json(manner, StatusCode::CREATED, &product))
}

/// Returns what an operator sends, and the form of the answer. Nobody else is heard.
pub(super) async fn read<Q: Reads, T: serde::de::DeserializeOwned>(
    node: &Node<Q>,
    request: Request,
) -> Result<(Manner, T), Problem> {
    let (head, body) = request.into_parts();
    auth::operator(node, &head.headers)?;
    let manner = Manner::json(&head.headers)?;
    let bytes = manner.read(&node.parts.limits, body).await?;
    Ok((manner, from_json(&bytes)?))
}
