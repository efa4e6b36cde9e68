//! The way to the cloud for what somebody else asks of it: an operator, through the local API.
//!
//! It has nothing of the till's: no credential, no connection that a loop waits for. Each question
//! has a connection of its own, and is asked once: who hears no answer decides what to do.

use std::time::Duration;

use bytes::Bytes;
use counterfoil_protocol::session::Fault;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;

use crate::tls::{CloudConnector, Untrusted};
use crate::transport::{Connector as _, Endpoint};

/// The most bytes of an answer that are passed on.
pub const PASSED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long the cloud may take: a report is read from the ledger.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks the cloud in somebody's name.
#[derive(Clone, Debug)]
pub struct Passage {
    connector: CloudConnector,
    endpoint: Endpoint,
}

/// What the cloud has answered: status, form, body.
pub type Passed = (StatusCode, Option<HeaderValue>, Bytes);

impl Passage {
    /// Makes a way to this cloud.
    #[must_use]
    pub const fn new(connector: CloudConnector, endpoint: Endpoint) -> Self {
        Self { connector, endpoint }
    }

    /// Returns the address of the cloud.
    #[must_use]
    pub fn address(&self) -> &str {
        self.endpoint.as_str()
    }

    /// Asks, with this `Authorization`. Any answer is an answer, a refusal too.
    ///
    /// # Errors
    /// Why nothing was heard: the question may have been carried out all the same.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        authorization: HeaderValue,
        form: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Passed, Fault> {
        let asking = self.ask_now(method, path, authorization, form, body);
        tokio::time::timeout(LIMIT, asking).await.unwrap_or(Err(Fault::Transport))
    }

    async fn ask_now(
        &self,
        method: Method,
        path: &str,
        authorization: HeaderValue,
        form: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Passed, Fault> {
        let to = self.endpoint.route(path).ok_or(Fault::Rejected)?;
        let origin = to.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let stream = self.connector.connect(to).await.map_err(|error| {
            let untrusted = error.downcast_ref::<Untrusted>();
            untrusted.map_or(Fault::Transport, |Untrusted(why)| Fault::Untrusted(*why))
        })?;
        let (mut sender, driver) = http1::handshake(stream).await.map_err(|_| Fault::Transport)?;
        let mut request = Request::builder()
            .method(method)
            .uri(origin)
            .header(header::HOST, self.endpoint.host())
            .header(header::AUTHORIZATION, authorization)
            .header(header::USER_AGENT, crate::sync::APP);
        if let Some(form) = form {
            request = request.header(header::CONTENT_TYPE, form);
        }
        let request = request.body(Full::new(body)).map_err(|_| Fault::Rejected)?;
        // The connection ends with this question.
        let driver = tokio::spawn(driver);
        let answer = async {
            let response = sender.send_request(request).await.map_err(|_| Fault::Transport)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, PASSED_BYTES_MAX).collect().await;
            let body = body.map_err(|_| Fault::Transport)?.to_bytes();
            Ok((parts.status, parts.headers.get(header::CONTENT_TYPE).cloned(), body))
        };
        let answer = answer.await;
        driver.abort();
        answer
    }
}
