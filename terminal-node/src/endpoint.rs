//! Where the cloud is.

use http::{HeaderValue, Uri};

use crate::tls::server_name;

/// Where TLS is spoken if the address names no port.
const HTTPS_PORT: u16 = 443;

/// The address of a cloud: `https://host`, `https://host:port` or `http://host:port`, perhaps with
/// a path before the routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    base: String,
    host: HeaderValue,
    socket: String,
}

/// An address that cannot be used. The caller shows it to whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is no URL.
    #[error("`{0}` is not an address such as https://cloud.example or http://cloud.example:8700")]
    NoUrl(String),
    /// No port, and no TLS, which has a usual one.
    #[error("`{0}` names no port: write one, such as http://cloud.example:8700")]
    NoPort(String),
}

impl Endpoint {
    /// Parses an address.
    ///
    /// # Errors
    /// [`EndpointError`] says what to write instead.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let none = || EndpointError::NoUrl(text.to_owned());
        let uri: Uri = text.trim().parse().map_err(|_| none())?;
        let scheme = match uri.scheme_str() {
            Some("http") => "http",
            Some("https") => "https",
            Some(_) | None => return Err(none()),
        };
        let authority = uri.authority().ok_or_else(none)?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(none());
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            None if scheme == "https" && authority.port().is_none() => HTTPS_PORT,
            None => return Err(EndpointError::NoPort(text.to_owned())),
        };
        if scheme == "https" && server_name(&uri).is_none() {
            return Err(none());
        }
        let socket = format!("{}:{port}", authority.host());
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| none())?;
        let base = format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/'));
        Ok(Self { base, host, socket })
    }

    /// Returns the address without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.base
    }

    /// Returns the address of a route; `None` if the two make no URI.
    pub(crate) fn route(&self, path: &str) -> Option<Uri> {
        format!("{}{path}", self.base).parse().ok()
    }

    /// Returns whether it is spoken to over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.base.starts_with("https:")
    }

    /// Returns the host and port to connect to.
    pub(crate) fn socket(&self) -> &str {
        &self.socket
    }

    pub(crate) fn host(&self) -> HeaderValue {
        self.host.clone()
    }
}
