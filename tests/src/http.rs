//! One request, one connection, one answer: as a point of sale without a library would ask.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Reads the body as JSON.
    ///
    /// # Errors
    /// With the body, if it is none.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{}: {}", self.status, String::from_utf8_lossy(&self.body)))
    }
}

/// Asks with these headers and no others.
///
/// # Errors
/// If there is no whole answer in time: nobody knows whether the request was served.
pub async fn ask_with(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> anyhow::Result<Answer> {
    tokio::time::timeout(LIMIT, exchange(address, method, path, headers, body))
        .await
        .with_context(|| format!("{method} {path}: no answer in time"))?
}

/// Asks the server at `address`.
///
/// # Errors
/// If there is no whole answer in time: nobody knows whether the request was served.
pub async fn ask(
    address: &str,
    method: &str,
    path: &str,
    token: &str,
    body: Vec<u8>,
) -> anyhow::Result<Answer> {
    ask_as(address, method, path, token, "application/json", body).await
}

/// Asks the server at `address` with a body of this media type.
///
/// # Errors
/// As [`ask`].
pub async fn ask_as(
    address: &str,
    method: &str,
    path: &str,
    token: &str,
    media: &str,
    body: Vec<u8>,
) -> anyhow::Result<Answer> {
    let token = format!("Bearer {token}");
    let headers = [("authorization", token.as_str()), ("content-type", media)];
    ask_with(address, method, path, &headers, body).await
}

/// A connection that is kept for many requests, and opened again when the server has closed it.
#[derive(Debug)]
pub struct Kept {
    address: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Kept {
    /// Names a server.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), sender: None }
    }

    /// Asks with these headers and no others.
    ///
    /// # Errors
    /// As [`ask_with`]; a request that met a closing connection is sent once more.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let again = self.sender.is_some();
        let asked = tokio::time::timeout(LIMIT, self.exchange(method, path, headers, body)).await;
        match asked.with_context(|| format!("{method} {path}: no answer in time"))? {
            Err(_) if again => {
                self.sender = None;
                ask_with(&self.address, method, path, headers, body.to_vec()).await
            }
            told => told,
        }
    }

    async fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        if self.sender.as_ref().is_none_or(SendRequest::is_closed) {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        let sender = self.sender.as_mut().context("a connection that was opened")?;
        sender.ready().await?;
        let request = request(&self.address, method, path, headers, body.to_vec())?;
        answer(sender.send_request(request).await?).await
    }
}

fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> anyhow::Result<http::Request<Full<Bytes>>> {
    let mut request = http::Request::builder().method(method).uri(path).header("host", address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.body(Full::new(Bytes::from(body)))?)
}

async fn answer(response: http::Response<Incoming>) -> anyhow::Result<Answer> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.into_body().collect().await?.to_bytes();
    Ok(Answer { status, headers, body })
}

async fn exchange(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = request(address, method, path, headers, body)?;
    let told = answer(sender.send_request(request).await?).await;
    connection.abort();
    told
}
