//! `POST /sessions/open|cash|close`, `GET /sessions/current`: a register's day.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use counterfoil_protocol::identity::PosId;
use counterfoil_protocol::terminal::{Output, SessionOutput};
use http::StatusCode;
use serde::Deserialize;

use super::body::RecordedBody;
use super::{Api, Posted, Problem, Recorded};
use crate::drawer::{CashBody, CloseBody, Drawer, OpenBody, SessionBody};
use crate::till::TillStore;

pub(super) async fn open<S: TillStore>(
    State(api): State<Api<S>>,
    body: Posted<OpenBody>,
) -> Recorded {
    act(&api, SessionBody::Open(body?.0)).await
}

pub(super) async fn cash<S: TillStore>(
    State(api): State<Api<S>>,
    body: Posted<CashBody>,
) -> Recorded {
    act(&api, SessionBody::Cash(body?.0)).await
}

pub(super) async fn close<S: TillStore>(
    State(api): State<Api<S>>,
    body: Posted<CloseBody>,
) -> Recorded {
    act(&api, SessionBody::Close(body?.0)).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OfRegister {
    pos_id: PosId,
}

pub(super) async fn current<S: TillStore>(
    State(api): State<Api<S>>,
    register: Result<Query<OfRegister>, QueryRejection>,
) -> Result<Json<Drawer>, Problem> {
    let Query(OfRegister { pos_id }) = register?;
    Ok(Json(api.till.drawer(pos_id).await?))
}

async fn act<S: TillStore>(api: &Api<S>, body: SessionBody) -> Recorded {
    let (pos, id) = body.name();
    let at = api.till.stamp(body.at(), pos, id).await?;
    match api.till.session(body.draft(at)).await? {
        Output::Recorded { place, receipt, again } => {
            let status = if again { StatusCode::OK } else { StatusCode::CREATED };
            Ok((status, Json(RecordedBody::new(id, place, receipt, again))))
        }
        Output::Taken(_) => Err(Problem::taken(id)),
        Output::Invalid(error) => Err(Problem::invalid(&error.to_string())),
        Output::Session(refused) => Err(Problem::session(&explain(refused))),
        output @ (Output::Opened { .. }
        | Output::NotInstalled(_)
        | Output::Settled(_)
        | Output::NothingToRetry
        | Output::Catalogued(_)
        | Output::Inbox(_)
        | Output::PlanApplied(_)
        | Output::PlanRefused(_)
        | Output::CatalogUnreadable(_)) => unreachable!("a session does not answer {output:?}"),
    }
}

/// Returns what a cashier is told.
pub(crate) fn explain(refused: SessionOutput) -> String {
    match refused {
        SessionOutput::AlreadyOpen(session) => {
            format!("session {session} is open on this register: close it first")
        }
        SessionOutput::NoneOpen => "no session is open on this register: open one first".to_owned(),
        SessionOutput::Noted(closings) => format!("{closings} closings were noted"),
    }
}
