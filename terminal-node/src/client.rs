//! The command line's side of the local API.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

use crate::api::Problem;

/// How long the daemon may take to show that it is there.
const GREETING: Duration = Duration::from_secs(2);

/// Why the daemon did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// It does not answer (any more).
    #[error("the daemon does not answer: {0}")]
    Silent(String),
    /// It refused.
    #[error("{} ({})", .0.detail, .0.code)]
    Refused(Problem),
}

/// Asks a daemon.
#[derive(Debug)]
pub(crate) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    address: String,
    token: String,
}

impl Client {
    /// Returns a client if a daemon answers at `address`.
    pub(crate) async fn find(address: String, token: String) -> Option<Self> {
        let pool = Pool::builder(TokioExecutor::new()).build(HttpConnector::new());
        let client = Self { pool, address, token };
        let health = client.send(Method::GET, "/healthz", Bytes::new());
        let answered = tokio::time::timeout(GREETING, health).await;
        // Any HTTP answer shows that a daemon holds the till, be it in trouble.
        matches!(answered, Ok(Ok(_))).then_some(client)
    }

    /// Gets a document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Posts a JSON body and reads the answer.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<T, ClientError> {
        self.ask(Method::POST, path, body.into()).await
    }

    /// Sends what is to be changed as JSON and reads the answer.
    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<T, ClientError> {
        self.ask(Method::PATCH, path, body.into()).await
    }

    /// Posts a JSON body whose answer has no content.
    pub(crate) async fn order(
        &self,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<(), ClientError> {
        let response = self.send(Method::POST, path, body.into()).await?;
        accepted(response).await.map(|_| ())
    }

    /// Gets a long body, part by part.
    pub(crate) async fn stream(
        &self,
        path: &str,
        mut part: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<std::io::Result<()>, ClientError> {
        let response = self.send(Method::GET, path, Bytes::new()).await?;
        if response.status() != StatusCode::OK {
            return accepted(response).await.map(|_| Ok(()));
        }
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ClientError::Silent(error.to_string()))?;
            if let Some(data) = frame.data_ref()
                && let Err(error) = part(data)
            {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// Gets a file, with what its headers say.
    pub(crate) async fn file(&self, path: &str) -> Result<(HeaderMap, Bytes), ClientError> {
        let response = self.send(Method::GET, path, Bytes::new()).await?;
        let headers = response.headers().clone();
        Ok((headers, accepted(response).await?))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let response = self.send(method, path, body).await?;
        let bytes = accepted(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Silent(error.to_string()))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| ClientError::Silent(error.to_string()))?;
        let response = self.pool.request(request).await;
        response.map_err(|error| ClientError::Silent(error.to_string()))
    }
}

async fn accepted(response: http::Response<Incoming>) -> Result<Bytes, ClientError> {
    let status = response.status();
    let body = response.into_body().collect().await;
    let bytes = body.map_err(|error| ClientError::Silent(error.to_string()))?.to_bytes();
    if status.is_success() {
        return Ok(bytes);
    }
    match serde_json::from_slice(&bytes) {
        Ok(problem) => Err(ClientError::Refused(problem)),
        Err(_) => Err(ClientError::Silent(format!("status {status} without a problem document"))),
    }
}
