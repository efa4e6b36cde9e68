//! A stream of server-sent events, as any HTTP client sees one.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A stream that is open.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    text: String,
    connection: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl Events {
    /// Asks for a stream.
    ///
    /// # Errors
    /// If there is no answer, or it is a refusal.
    pub async fn open(address: &str, path: &str, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = http::Request::get(path)
            .header("host", address)
            .header("authorization", format!("Bearer {token}"))
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        ensure!(response.status() == 200, "{path}: {}", response.status());
        Ok(Self { body: response.into_body(), text: String::new(), connection })
    }

    /// Returns the next event or comment as it came, without the empty line after it; none at the
    /// end of the stream, or if it is cut off.
    ///
    /// # Errors
    /// If nothing comes within `limit`.
    pub async fn next(&mut self, limit: Duration) -> anyhow::Result<Option<String>> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                return Ok(Some(event));
            }
            let frame = tokio::time::timeout(limit, self.body.frame()).await;
            match frame.context("no event comes")? {
                Some(Ok(frame)) => {
                    let bytes = frame.into_data().unwrap_or_default();
                    self.text.push_str(std::str::from_utf8(&bytes)?);
                }
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
