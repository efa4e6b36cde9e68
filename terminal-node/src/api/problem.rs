//! Problem documents (RFC 9457) with the stable code.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use counterfoil_protocol::identity::LocalEventId;
use counterfoil_protocol::problem::ErrorCode;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::till::TillError;
use crate::verify::VerifyError;

const RECONCILE: ErrorCode = ErrorCode::ReconcileFailed;

pub(super) const TAKEN: &str = "another event stands under this register and id";

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: ErrorCode,
    /// What a person is told.
    pub detail: String,
}

impl Problem {
    fn new(status: StatusCode, code: ErrorCode, detail: &str) -> Self {
        Self { status: status.as_u16(), code, detail: detail.to_owned() }
    }

    pub(super) fn unauthorized() -> Self {
        let detail = "send `Authorization: Bearer` with the content of the api-token file";
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, detail)
    }

    pub(super) fn invalid(detail: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::EventInvalid, detail)
    }

    pub(super) fn taken(id: LocalEventId) -> Self {
        let detail = format!("{TAKEN}: {id}");
        Self::new(StatusCode::CONFLICT, ErrorCode::EventInvalid, &detail)
    }

    pub(super) fn session(detail: &str) -> Self {
        Self::new(StatusCode::CONFLICT, ErrorCode::EventInvalid, detail)
    }

    pub(super) fn not_as_it_stands(detail: &str) -> Self {
        Self::new(StatusCode::CONFLICT, ErrorCode::EventInvalid, detail)
    }

    pub(super) fn server_owned(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::ServerOwned, detail)
    }

    pub(super) fn no_such_product(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, detail)
    }

    pub(super) fn too_large(detail: &str) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, detail)
    }

    /// A refusal whose code says the status, but for an event, which is one thing and then another.
    pub(super) fn coded(code: ErrorCode, detail: &str) -> Self {
        if code == ErrorCode::EventInvalid {
            return Self::not_as_it_stands(detail);
        }
        let status = StatusCode::from_u16(code.status());
        Self::new(status.unwrap_or(StatusCode::CONFLICT), code, detail)
    }

    pub(super) fn nothing(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, detail)
    }

    pub(super) fn elsewhere(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Unauthorized, detail)
    }

    pub(super) fn nothing_to_review() -> Self {
        let detail = "nobody was asked to look at this product";
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, detail)
    }

    pub(super) fn not_found() -> Self {
        let detail = "there is nothing at this address";
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "this address takes another method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::NotFound, detail)
    }

    pub(super) fn plan_refused(detail: &str) -> Self {
        Self::new(StatusCode::CONFLICT, ErrorCode::ReconcileFailed, detail)
    }

    pub(super) fn unavailable(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, detail)
    }
}

impl From<TillError> for Problem {
    fn from(error: TillError) -> Self {
        let code = match error {
            TillError::StorageFailed(_) | TillError::Witness(_) => ErrorCode::StorageFailed,
            TillError::NotOpen | TillError::NotInstalled(_) | TillError::TooNew(_) => {
                ErrorCode::Unavailable
            }
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, &error.to_string())
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        let detail = error.to_string();
        match error {
            VerifyError::Till(error) => error.into(),
            VerifyError::Link(_) => Self::new(StatusCode::BAD_GATEWAY, RECONCILE, &detail),
            VerifyError::NotReady | VerifyError::Busy => Self::unavailable(&detail),
            VerifyError::Refused(_) | VerifyError::Plan(_) => Self::plan_refused(&detail),
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::too_large(&rejection.body_text()),
            status => Self::new(status, ErrorCode::EventInvalid, &rejection.body_text()),
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid(&rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(&rejection.body_text())
    }
}

/// The document as it travels: `title` is the status in words.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    #[serde(flatten)]
    problem: &'a Problem,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let title = status.canonical_reason().unwrap_or("Error");
        let document = Document { kind: "about:blank", title, problem: &self };
        let body = serde_json::to_string(&document).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}
