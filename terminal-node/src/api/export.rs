//! `GET /export`: all events as JSON lines, streamed page by page.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::Api;
use crate::till::{Till, TillError, TillStore};

pub(super) async fn export<S: TillStore + 'static>(State(api): State<Api<S>>) -> Response {
    let (pages, received) = mpsc::channel(2);
    tokio::spawn(async move {
        if let Err(error) = pump(&api.till, &pages).await {
            // The stream has begun: all that can be done is not to end it properly.
            tracing::error!(%error, "the export was cut off");
            let _gone = pages.send(None).await;
        }
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (headers, Body::new(Pages(received))).into_response()
}

async fn pump<S: TillStore>(
    till: &Till<S>,
    pages: &mpsc::Sender<Option<Bytes>>,
) -> Result<(), TillError> {
    let mut after = None;
    loop {
        let (events, last) = till.export(after).await?;
        if last.is_none() {
            return Ok(());
        }
        after = last;
        let mut text = Vec::new();
        for event in events {
            serde_json::to_writer(&mut text, &event)
                .map_err(|error| TillError::StorageFailed(error.to_string()))?;
            text.push(b'\n');
        }
        if pages.send(Some(text.into())).await.is_err() {
            return Ok(());
        }
    }
}

/// A body whose pages come through a channel; `None` cuts it off.
pub(super) struct Pages(pub(super) mpsc::Receiver<Option<Bytes>>);

#[derive(Debug, thiserror::Error)]
#[error("the till's database failed")]
pub(super) struct CutOff;

impl hyper::body::Body for Pages {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        self.0.poll_recv(context).map(|page| match page {
            Some(Some(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(None) => Some(Err(CutOff)),
            None => None,
        })
    }
}
