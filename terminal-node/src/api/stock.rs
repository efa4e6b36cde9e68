//! `GET /stock`, `GET /movements`, `GET /review`, `POST /review`: what the till knows of its stock.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use counterfoil_protocol::identity::ProductId;
use http::StatusCode;
use serde::Deserialize;

use super::{Api, Posted, Problem};
use crate::stock::{MovementItem, ROWS_MAX, ReviewItem, StockItem, movements, reviewed, reviews};
use crate::till::TillStore;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    product: Option<ProductId>,
    after: Option<ProductId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Reviewed {
    product_id: ProductId,
}

pub(super) async fn stock<S: TillStore>(
    State(api): State<Api<S>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Vec<StockItem>>, Problem> {
    let Query(Which { product, after }) = which?;
    Ok(Json(crate::stock::stock(&api.till, product, after).await?))
}

pub(super) async fn moved<S: TillStore>(
    State(api): State<Api<S>>,
    after: Result<Query<After>, QueryRejection>,
) -> Result<Json<Vec<MovementItem>>, Problem> {
    let Query(After { after, limit }) = after?;
    let limit = limit.unwrap_or(ROWS_MAX).clamp(1, ROWS_MAX);
    Ok(Json(movements(&api.till, after, limit).await?))
}

pub(super) async fn review<S: TillStore>(
    State(api): State<Api<S>>,
) -> Result<Json<Vec<ReviewItem>>, Problem> {
    Ok(Json(reviews(&api.till).await?))
}

pub(super) async fn done<S: TillStore>(
    State(api): State<Api<S>>,
    body: Posted<Reviewed>,
) -> Result<StatusCode, Problem> {
    let Json(Reviewed { product_id }) = body?;
    if reviewed(&api.till, product_id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::nothing_to_review())
    }
}
