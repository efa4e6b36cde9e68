//! Where the cloud is.

use http::{HeaderValue, Uri};

/// The address of a cloud: `http://host:port`, perhaps with a path before the routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    base: String,
    host: HeaderValue,
}

/// An address that cannot be used. The caller shows it to whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is no URL.
    #[error("`{0}` is not an address such as http://cloud.example:8700")]
    NoUrl(String),
    /// It asks for TLS.
    #[error("https is not supported yet: put a TLS proxy on this machine and use http://")]
    Https,
    /// No port.
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
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(EndpointError::Https),
            Some(_) | None => return Err(none()),
        }
        let authority = uri.authority().ok_or_else(none)?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(none());
        }
        if authority.port_u16().is_none() {
            return Err(EndpointError::NoPort(text.to_owned()));
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| none())?;
        let base = format!("http://{authority}{}", uri.path().trim_end_matches('/'));
        Ok(Self { base, host })
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

    pub(crate) fn host(&self) -> HeaderValue {
        self.host.clone()
    }
}
