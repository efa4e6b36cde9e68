//! `POST /v1/handshake`: a till introduces itself and learns where its journals stand, and beside
//! that where the catalog and its inbox end.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::cloud::heads::heads;
use counterfoil_protocol::cloud::{Caller, Input, Output};
use counterfoil_protocol::wire::heads::HEADS_HEADER;
use counterfoil_protocol::wire::message::{Hello, Welcome};
use http::{HeaderValue, StatusCode};

use super::body::{Form, Manner, from_json};
use super::{Node, Reads, Shared, auth, wrong_output};
use crate::problem::Problem;

/// What a hello weighs in a transaction: the rows it reads are bounded by its lanes.
pub(super) const HELLO_WEIGHT: usize = 4 * 1024;

pub(super) async fn answer<Q: Reads>(State(node): State<Shared<Q>>, request: Request) -> Response {
    handshake(&node, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn handshake<Q: Reads>(node: &Node<Q>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = auth::till_to_be_judged(node, &head.headers).await?;
    let manner = Manner::of(&head.headers)?;
    let bytes = manner.read(&node.parts.limits, body).await?;
    let hello = match manner.form {
        Form::Binary => Hello::decode(&bytes),
        Form::Json => from_json::<Hello>(&bytes)?.check(),
    };
    let hello = hello.map_err(|error| Problem::message(error, bytes.is_empty()))?;
    let output = node.ask_for(&caller, Input::Hello { caller, hello }, HELLO_WEIGHT).await?;
    let Output::Welcome(welcome) = output else { return Err(wrong_output()) };
    if let Some(lane) = welcome.lanes.first() {
        tracing::debug!(standing = ?lane.standing, head = lane.head.seq, "greeted");
    }
    let mut answer = manner.answer(StatusCode::OK, &welcome, Welcome::encode);
    if let Some(heads) = said(node, caller).await {
        answer.headers_mut().insert(HEADS_HEADER, heads);
    }
    Ok(answer)
}

/// Says where everything ends that this till asks for. What cannot be said is asked for.
async fn said<Q: Reads>(node: &Node<Q>, caller: Caller) -> Option<HeaderValue> {
    match heads(&node.parts.reads, caller.site, caller.terminal).await {
        Ok(heads) => HeaderValue::from_str(&heads?.to_string()).ok(),
        Err(error) => {
            tracing::warn!(%error, "the heads cannot be read");
            None
        }
    }
}
