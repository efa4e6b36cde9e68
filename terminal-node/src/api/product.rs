//! `GET /products`, `GET /products/{id}`, `PATCH /products/{id}`, `GET /categories`,
//! `GET /customers`: the catalog.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use counterfoil_protocol::catalog::Kind;
use counterfoil_protocol::identity::{CategoryId, ProductId};
use counterfoil_protocol::label::Label;
use http::StatusCode;
use serde::Deserialize;

use super::body::RecordedBody;
use super::queue::QUEUE_DEFAULT;
use super::{Api, Posted, Problem, Recorded};
use crate::directory::{self, NAMED_MAX, Named};
use crate::edit::{self, EditBody, Refused};
use crate::shelf::{self, OnSale, PRODUCTS_MAX, ProductBody, SEARCH_BYTES_MAX};
use crate::till::TillStore;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    #[serde(default)]
    search: String,
    code: Option<String>,
    category: Option<CategoryId>,
    limit: Option<usize>,
}

pub(super) async fn products<S: TillStore>(
    State(api): State<Api<S>>,
    wish: Result<Query<Search>, QueryRejection>,
) -> Result<Json<Vec<OnSale>>, Problem> {
    let Query(Search { search, code, category, limit }) = wish?;
    if let Some(code) = code {
        let Ok(code) = Label::parse(code.trim()) else {
            return Err(Problem::invalid("a code has 1 to 36 printable ASCII characters"));
        };
        return Ok(Json(shelf::by_code(&api.till, code).await?));
    }
    if search.len() > SEARCH_BYTES_MAX {
        return Err(Problem::invalid("search for at most 128 bytes of text"));
    }
    let limit = limit.unwrap_or(QUEUE_DEFAULT).clamp(1, PRODUCTS_MAX);
    Ok(Json(shelf::products_of(&api.till, search.trim(), category, limit).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Find {
    #[serde(default)]
    search: String,
    limit: Option<usize>,
}

pub(super) async fn categories<S: TillStore>(
    State(api): State<Api<S>>,
    wish: Result<Query<Find>, QueryRejection>,
) -> Result<Json<Vec<Named>>, Problem> {
    named(&api, Kind::Category, wish?.0).await
}

pub(super) async fn customers<S: TillStore>(
    State(api): State<Api<S>>,
    wish: Result<Query<Find>, QueryRejection>,
) -> Result<Json<Vec<Named>>, Problem> {
    named(&api, Kind::Customer, wish?.0).await
}

async fn named<S: TillStore>(
    api: &Api<S>,
    kind: Kind,
    Find { search, limit }: Find,
) -> Result<Json<Vec<Named>>, Problem> {
    if search.len() > SEARCH_BYTES_MAX {
        return Err(Problem::invalid("search for at most 128 bytes of text"));
    }
    let limit = limit.unwrap_or(QUEUE_DEFAULT).clamp(1, NAMED_MAX);
    Ok(Json(directory::named(&api.till, kind, search.trim(), limit).await?))
}

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
