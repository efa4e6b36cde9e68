//! Bodies: their form, their limits, and answers in the same form.

use std::io::Read as _;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::message::MEDIA_TYPE;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Limits;
use crate::problem::Problem;

const JSON: &str = "application/json";
const ZSTD: &str = "zstd";

/// Answers below this size are not compressed: it would save nothing.
const COMPRESS_FROM: usize = 1024;

/// The most memory that a compressed body may ask of the decoder, as a power of two.
const WINDOW_LOG_MAX: u32 = 23;

/// The form of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A frame of [`counterfoil_protocol::wire::message`].
    Binary,
    /// The same fields in camel case.
    Json,
}

/// How the caller speaks and wants to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) form: Form,
    compressed: bool,
    compress: bool,
}

impl Manner {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let unsupported = |detail| Problem::new(ErrorCode::VersionUnsupported, detail);
        let form = match media_type(headers) {
            Some(name) if name.eq_ignore_ascii_case(MEDIA_TYPE) => Form::Binary,
            Some(name) if name.eq_ignore_ascii_case(JSON) => Form::Json,
            Some(_) | None => {
                return Err(unsupported(
                    "the content type is not spoken here: send application/json, or \
                     application/vnd.counterfoil.v1+bincode",
                ));
            }
        };
        let compressed = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None => false,
            Some(name) if name.eq_ignore_ascii_case(b"identity") => false,
            Some(name) if name.eq_ignore_ascii_case(ZSTD.as_bytes()) => true,
            Some(_) => {
                return Err(unsupported(
                    "the content encoding is not spoken here: send zstd, or none",
                ));
            }
        };
        Ok(Self { form, compressed, compress: accepts_zstd(headers) })
    }

    /// The manner of the answer to a request without a body: what the caller accepts.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let binary = headers.get_all(header::ACCEPT).iter().any(|value| {
            value.to_str().is_ok_and(|list| list.split(',').any(|name| name.trim() == MEDIA_TYPE))
        });
        let form = if binary { Form::Binary } else { Form::Json };
        Self { form, compressed: false, compress: accepts_zstd(headers) }
    }

    /// Returns whether the caller takes a compressed frame as it is kept.
    pub(super) fn takes_packed(self) -> bool {
        self.compress && self.form == Form::Binary
    }

    /// Answers with a frame that is compressed already.
    pub(super) fn packed(self, frame: Bytes) -> Response {
        assert!(self.takes_packed(), "the caller can read it");
        let mut response = Response::new(frame.into());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(ZSTD));
        response
    }

    /// Answers in JSON whatever was asked: requests without a body.
    pub(super) const fn plain_json() -> Self {
        Self { form: Form::Json, compressed: false, compress: false }
    }

    /// Demands JSON: routes for people.
    pub(super) fn json(headers: &HeaderMap) -> Result<Self, Problem> {
        let manner = Self::of(headers)?;
        match manner.form {
            Form::Json => Ok(manner),
            Form::Binary => Err(Problem::new(
                ErrorCode::VersionUnsupported,
                "this route speaks JSON only: send application/json",
            )),
        }
    }

    /// Reads the body by the deadline and within both limits.
    pub(super) async fn read(self, limits: &Limits, body: Body) -> Result<Bytes, Problem> {
        let collected = Limited::new(body, limits.wire_bytes).collect();
        let wire = match tokio::time::timeout(limits.deadline, collected).await {
            Ok(Ok(collected)) => collected.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
            Ok(Err(_)) => {
                let detail = "the body broke off: send it again";
                return Err(Problem::new(ErrorCode::EventInvalid, detail).with_status(400));
            }
            Err(_) => {
                return Err(Problem::unavailable("the body took too long: send it again"));
            }
        };
        if self.compressed { decompress(&wire, limits.plain_bytes) } else { Ok(wire) }
    }

    /// Answers with `message` in the caller's form.
    pub(super) fn answer<T: Serialize>(
        self,
        status: StatusCode,
        message: &T,
        binary: impl FnOnce(&T) -> Vec<u8>,
    ) -> Response {
        let (bytes, media_type) = match self.form {
            Form::Binary => (binary(message), MEDIA_TYPE),
            // Plain structures with text keys always have a JSON form.
            Form::Json => (serde_json::to_vec(message).unwrap_or_default(), JSON),
        };
        let compressed = if self.compress && bytes.len() > COMPRESS_FROM {
            zstd::bulk::compress(&bytes, 1).ok()
        } else {
            None
        };
        let encoded = compressed.is_some();
        let mut response = Response::new(compressed.unwrap_or(bytes).into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        if encoded {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(ZSTD));
        }
        response
    }
}

/// Reads JSON that must have exactly this shape.
pub(super) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| bad_json(&error))
}

/// Reads an object that may have fields nobody here knows; a list in its place is no object.
pub(super) fn object_from_json<'a, T: serde::Deserialize<'a>>(
    bytes: &'a [u8],
) -> Result<T, Problem> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        let detail = "the body is one JSON object: correct it";
        return Err(Problem::new(ErrorCode::EventInvalid, detail));
    }
    serde_json::from_slice(bytes).map_err(|error| bad_json(&error))
}

pub(super) fn bad_json(error: &serde_json::Error) -> Problem {
    let mut what = error.to_string();
    if let Some((end, _)) = what.char_indices().nth(200) {
        what.truncate(end);
    }
    Problem::new(ErrorCode::EventInvalid, format!("the JSON cannot be read ({what}): correct it"))
}

pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split_once(';').map_or(value, |(name, _)| name).trim())
}

/// Answers with JSON, to those who have no frames of their own.
pub(super) fn json<T: Serialize>(manner: Manner, status: StatusCode, message: &T) -> Response {
    manner.answer(status, message, |_| Vec::new())
}

fn accepts_zstd(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT_ENCODING).iter().any(|value| {
        value.to_str().is_ok_and(|list| {
            list.split(',').any(|item| {
                let (name, weight) = item.split_once(';').unwrap_or((item, ""));
                let never = weight.replace(' ', "").trim_end_matches(['0', '.']) == "q=";
                name.trim().eq_ignore_ascii_case(ZSTD) && !never
            })
        })
    })
}

pub(super) fn decompress(wire: &[u8], most: usize) -> Result<Bytes, Problem> {
    let unreadable = |_| {
        let detail = "the body is not what its content encoding says: send it again";
        Problem::new(ErrorCode::EventInvalid, detail)
    };
    let mut decoder = zstd::stream::read::Decoder::with_buffer(wire).map_err(unreadable)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(unreadable)?;
    let mut plain = Vec::with_capacity(wire.len().saturating_mul(4).min(most));
    decoder.take(most as u64 + 1).read_to_end(&mut plain).map_err(unreadable)?;
    if plain.len() > most { Err(too_large()) } else { Ok(plain.into()) }
}

fn too_large() -> Problem {
    Problem::new(
        ErrorCode::TooLarge,
        "the body is larger than this node takes: send fewer items at once",
    )
}
