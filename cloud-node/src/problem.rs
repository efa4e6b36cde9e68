//! Refusals as RFC 9457 problem documents: a stable code, what happened, what to do next.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::wire::message::MessageError;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A refusal on its way to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: ErrorCode,
    status: u16,
    detail: Cow<'static, str>,
    reason: Option<Denial>,
    retry_after_secs: Option<u64>,
}

/// What the layers around a handler learn of a refusal, to count and to log it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) reason: Option<Denial>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: ErrorCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Denial>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    more: Option<serde_json::Value>,
}

impl Problem {
    /// Makes a problem with the status of its code. `detail` says what happened, then what the
    /// caller does next.
    pub fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { code, status: code.status(), detail, reason: None, retry_after_secs: None }
    }

    /// Says that the terminal is not listened to.
    #[must_use]
    pub fn denied(denial: Denial) -> Self {
        let problem = Self::new(ErrorCode::Unauthorized, denial.explain());
        Self { reason: Some(denial), ..problem }
    }

    /// Says that no credential was presented, or none that can be read.
    #[must_use]
    pub fn no_credential() -> Self {
        Self::new(
            ErrorCode::Unauthorized,
            "no readable credential: send `Authorization: Bearer cf_<terminalId>_<secret>`",
        )
    }

    /// Says that the database cannot answer, and that nothing was acknowledged.
    #[must_use]
    pub fn storage_failed() -> Self {
        Self::new(
            ErrorCode::StorageFailed,
            "the database cannot answer, nothing was acknowledged: keep everything, send it again",
        )
        .retry_after(1)
    }

    /// Says that the node cannot take the request now.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Unavailable, detail).retry_after(1)
    }

    /// Says that a message cannot be taken, and changed nothing.
    #[must_use]
    pub fn message(error: MessageError, empty: bool) -> Self {
        use counterfoil_protocol::codec::DecodeError;
        let code = match error {
            MessageError::Form(DecodeError::Length) if !empty => ErrorCode::TooLarge,
            MessageError::Form(DecodeError::Version(_)) | MessageError::Versions => {
                ErrorCode::VersionUnsupported
            }
            MessageError::Form(
                DecodeError::Length | DecodeError::Shape | DecodeError::Trailing,
            )
            | MessageError::Parts
            | MessageError::Order => ErrorCode::EventInvalid,
            MessageError::Bytes => ErrorCode::TooLarge,
        };
        Self::new(code, format!("{error}: the whole message was refused, correct it"))
    }

    /// Tells the caller to wait.
    #[must_use]
    pub fn retry_after(self, secs: u64) -> Self {
        Self { retry_after_secs: Some(secs), ..self }
    }

    /// Gives it another status than its code's.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Returns its code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }
}

impl Problem {
    /// Answers with further members beside those of every problem.
    pub(crate) fn response_with(self, more: serde_json::Value) -> Response {
        self.respond(Some(more))
    }

    fn respond(self, more: Option<serde_json::Value>) -> Response {
        let document = Document {
            r#type: format!("urn:counterfoil:problem:{}", self.code),
            title: title(self.code),
            status: self.status,
            detail: &self.detail,
            code: self.code,
            reason: self.reason,
            more,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(body.into());
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(secs) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, secs.into());
        }
        if self.code == ErrorCode::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let refusal = Refusal { code: self.code, reason: self.reason };
        response.extensions_mut().insert(refusal);
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.respond(None)
    }
}

const fn title(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Unauthorized => "The caller is not listened to",
        ErrorCode::RateLimited => "Too many requests",
        ErrorCode::SnapshotFailed => "The catalog snapshot cannot be served",
        ErrorCode::DeltaFailed => "The catalog delta cannot be served",
        ErrorCode::ReconcileFailed => "The reconcile request cannot be served",
        ErrorCode::ManifestTooLarge => "Too much differs for a reconcile",
        ErrorCode::EventInvalid => "The message breaks a rule",
        ErrorCode::EventDuplicate => "The event was posted before",
        ErrorCode::StorageFailed => "The database cannot answer",
        ErrorCode::ProductUnknown => "The product is not in the catalog",
        ErrorCode::OriginalPending => "The original sale is not posted",
        ErrorCode::VersionUnsupported => "The form of the message is not spoken here",
        ErrorCode::TooLarge => "The message is too large",
        ErrorCode::NotFound => "There is nothing at this address",
        ErrorCode::OriginalPosted => "What it corrects counts already",
        ErrorCode::Withdrawn => "A correction has its place",
        ErrorCode::ServerOwned => "Only the cloud decides that",
        ErrorCode::Unavailable => "The node cannot take the request now",
    }
}
