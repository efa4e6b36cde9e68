//! `GET /products/{id}`, `PATCH /products/{id}`.

use axum::Json;
use axum::extract::{Path, State};
use counterfoil_protocol::identity::ProductId;
use http::StatusCode;

use super::body::RecordedBody;
use super::{Api, Posted, Problem, Recorded};
use crate::edit::{self, EditBody, Refused};
use crate::shelf::{self, ProductBody};
use crate::till::TillStore;

pub(super) async fn show<S: TillStore>(
    State(api): State<Api<S>>,
    Path(id): Path<String>,
) -> Result<Json<ProductBody>, Problem> {
    let product = shelf::product(&api.till, parsed(&id)?).await?;
    product.map(Json).ok_or_else(|| Refused::Unknown(parsed_known(&id)).into())
}

pub(super) async fn change<S: TillStore>(
    State(api): State<Api<S>>,
    Path(id): Path<String>,
    body: Posted<EditBody>,
) -> Recorded {
    let Json(body) = body?;
    let (place, again) = edit::product(&api.till, parsed(&id)?, &body).await?;
    let status = if again { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(RecordedBody::new(body.local_event_id, place, None, again))))
}

fn parsed(id: &str) -> Result<ProductId, Problem> {
    ProductId::parse(id).map_err(|error| Problem::invalid(&error.to_string()))
}

fn parsed_known(id: &str) -> ProductId {
    ProductId::parse(id).expect("it was parsed to be looked up")
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::ServerOwned(_) => Self::server_owned(&detail),
            Refused::Unknown(_) => Self::no_such_product(&detail),
            Refused::Nothing | Refused::Invalid(_) => Self::invalid(&detail),
            Refused::Taken(id) => Self::taken(id),
            Refused::Till(error) => error.into(),
        }
    }
}
