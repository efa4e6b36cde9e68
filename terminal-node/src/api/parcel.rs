//! `GET /parcel`, `POST /parcel`: what waits, as a file to carry, and the answers that come back.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use counterfoil_protocol::wire::parcel::{PARCEL_TYPE, ParcelError};
use http::header;

use super::{Api, Problem};
use crate::parcel::{TakeError, Taken};
use crate::till::TillStore;

/// Says how many entries are in a parcel, and how many wait for the next one.
pub(crate) const ENTRIES: &str = "x-counterfoil-entries";
/// See [`ENTRIES`].
pub(crate) const LEFT: &str = "x-counterfoil-left";

pub(super) async fn write<S: TillStore>(State(api): State<Api<S>>) -> Result<Response, Problem> {
    let written = api.till.write_parcel(api.outside.seal).await?;
    let headers = [
        (header::CONTENT_TYPE.as_str(), PARCEL_TYPE.to_owned()),
        (ENTRIES, written.entries.to_string()),
        (LEFT, written.left.to_string()),
    ];
    Ok((headers, written.parcel).into_response())
}

pub(super) async fn take<S: TillStore>(
    State(api): State<Api<S>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Taken>, Problem> {
    let body = body.map_err(|_| Problem::from(TakeError::from(ParcelError::Size)))?;
    Ok(Json(api.till.take_parcel(api.outside.seal, &body).await?))
}

impl From<TakeError> for Problem {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Till(error) => error.into(),
            TakeError::Parcel(ParcelError::Size) => Self::too_large(&ParcelError::Size.to_string()),
            TakeError::Parcel(error) => Self::invalid(&error.to_string()),
        }
    }
}
