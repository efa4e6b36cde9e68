//! The way to a cloud over TLS: a connector that knows which authorities to believe.
//!
//! What answers must show a certificate for the name in the cloud's address, from an authority
//! that this machine trusts or that the shop has named (`init --ca-file`). There is no way to
//! switch that off. The authorities are read when the first connection is made, and again after
//! each certificate that was not believed: one that is installed meanwhile counts at once.
//!
//! | what is wrong | [`Distrust`] |
//! |---|---|
//! | no file of authorities can be read | `NoAuthorities` |
//! | no TLS is spoken, or none that is safe | `NoTls` |
//! | the certificate | one of the others |

use std::error::Error as StdError;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use counterfoil_protocol::session::Distrust;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::ServiceExt as _;

use crate::transport::{Connector, Endpoint};

/// The most bytes of a file of authorities.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The last second that a certificate can name.
const END_OF_TIME: u64 = 253_402_300_799;

/// What a connection reads and writes, over TLS or not.
pub trait Stream: hyper::rt::Read + hyper::rt::Write + Unpin + Send {}

impl<T: hyper::rt::Read + hyper::rt::Write + Unpin + Send> Stream for T {}

/// Connects to a cloud: over TLS where its address begins with `https`, else without.
#[derive(Clone, Debug)]
pub struct CloudConnector {
    tcp: HttpConnector,
    trust: Trust,
}

/// A certificate, or the lack of one, that was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", explain(*.0))]
pub struct Untrusted(pub Distrust);

/// A file of authorities that cannot be used. The caller shows it.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// It cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no certificate in it that can be understood.
    #[error("{} has no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
}

impl CloudConnector {
    /// Believes what this machine believes, and the authorities in a file.
    #[must_use]
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        Self { tcp, trust: Trust { ca_file, kept: Arc::default() } }
    }
}

impl Connector for CloudConnector {
    type Stream = Box<dyn Stream>;

    async fn connect(&self, to: Uri) -> Result<Self::Stream, Box<dyn StdError + Send + Sync>> {
        let name = match to.scheme_str() {
            Some("https") => Some(server_name(&to).ok_or(Untrusted(Distrust::OtherName))?),
            Some(_) | None => None,
        };
        let stream = self.tcp.clone().oneshot(to).await?;
        let Some(name) = name else { return Ok(Box::new(stream)) };
        let stream = self.trust.handshake(name, stream.into_inner()).await?;
        Ok(Box::new(TokioIo::new(stream)))
    }
}

/// Returns the name that a certificate must be for.
pub(crate) fn server_name(to: &Uri) -> Option<ServerName<'static>> {
    let host = to.host()?.trim_matches(['[', ']']).to_owned();
    ServerName::try_from(host).ok()
}

/// Whom to believe.
#[derive(Clone, Debug)]
struct Trust {
    ca_file: Option<PathBuf>,
    kept: Arc<Mutex<Option<Arc<ClientConfig>>>>,
}

impl Trust {
    async fn handshake(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Box<dyn StdError + Send + Sync>> {
        let config = self.config().await.ok_or(Untrusted(Distrust::NoAuthorities))?;
        TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
            let Some(distrust) = distrust(&error) else { return error.into() };
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
            tracing::debug!(%error, ?distrust, "the cloud's certificate is not believed");
            Untrusted(distrust).into()
        })
    }

    async fn config(&self) -> Option<Arc<ClientConfig>> {
        if let Some(kept) = &*self.kept.lock().unwrap_or_else(PoisonError::into_inner) {
            return Some(Arc::clone(kept));
        }
        let ca_file = self.ca_file.clone();
        let read = tokio::task::spawn_blocking(move || authorities(ca_file.as_deref()));
        let roots = match read.await.ok()? {
            Ok(roots) if !roots.is_empty() => roots,
            Ok(_) => return None,
            Err(error) => {
                tracing::warn!(%error, "a file of authorities cannot be used");
                return None;
            }
        };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .ok()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(kept.insert(config)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Reads the authorities that this machine trusts, and those in a file of the shop.
///
/// # Errors
/// If the shop's file cannot be used. Of the machine's, what cannot be read is passed over.
pub fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, AuthoritiesError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let none = || AuthoritiesError::NoCertificate(path.to_owned());
        let pem = read_file(path)
            .map_err(|error| AuthoritiesError::File { path: path.to_owned(), error })?;
        let named: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let (added, _) = roots.add_parsable_certificates(named.map_err(|_| none())?);
        if added == 0 {
            return Err(none());
        }
    }
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::debug!(%error, "some of this machine's authorities cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    Ok(roots)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns why what answered is not believed, if that is what is wrong.
fn distrust(error: &io::Error) -> Option<Distrust> {
    use CertificateError as Bad;
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(error) = error else {
        return Some(Distrust::NoTls);
    };
    Some(if matches!(error, Bad::UnknownIssuer) {
        Distrust::UnknownAuthority
    } else if matches!(error, Bad::Expired | Bad::ExpiredContext { .. }) {
        Distrust::Expired
    } else if matches!(error, Bad::NotValidYet | Bad::NotValidYetContext { .. }) {
        Distrust::NotYetValid
    } else if matches!(error, Bad::NotValidForName | Bad::NotValidForNameContext { .. }) {
        Distrust::OtherName
    } else {
        Distrust::BadCertificate
    })
}

/// Returns what a person is told.
#[must_use]
pub const fn explain(distrust: Distrust) -> &'static str {
    match distrust {
        Distrust::UnknownAuthority => {
            "the cloud's certificate is from an authority that this machine does not trust: name \
             it with --ca-file, if it is the shop's own"
        }
        Distrust::OtherName => {
            "the cloud's certificate is for another name than the one in the cloud's address"
        }
        Distrust::Expired => {
            "the cloud's certificate has run out, or this machine's clock is ahead"
        }
        Distrust::NotYetValid => {
            "the cloud's certificate is not valid yet, or this machine's clock is behind"
        }
        Distrust::BadCertificate => "the cloud's certificate cannot be believed",
        Distrust::NoTls => "what answers at the cloud's address does not speak TLS as it must",
        Distrust::NoAuthorities => {
            "this till knows no authority to check the cloud's certificate with: look at the file \
             of --ca-file"
        }
    }
}

/// Shakes hands with whatever listens at `endpoint`, and returns how long its certificate is valid;
/// `None` if that cannot be told.
///
/// # Errors
/// In words for people.
pub(crate) async fn look(
    endpoint: &Endpoint,
    ca_file: Option<&Path>,
    stream: TcpStream,
) -> Result<Option<Duration>, String> {
    let uri = endpoint.route("/").ok_or("the address is no URL")?;
    let name = server_name(&uri).ok_or_else(|| explain(Distrust::OtherName).to_owned())?;
    let roots = authorities(ca_file).map_err(|error| error.to_string())?;
    let trust = Trust { ca_file: ca_file.map(Path::to_owned), kept: Arc::default() };
    let stream = trust.handshake(name.clone(), stream).await.map_err(|error| error.to_string())?;
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().unwrap_or_default();
    Ok(valid_for(shown, &name, roots))
}

/// Returns how long a certificate is valid from now on: verified at the end of time, it says when
/// it has run out.
fn valid_for(
    shown: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    roots: RootCertStore,
) -> Option<Duration> {
    let (own, between) = shown.split_first()?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    let verifier = verifier.build().ok()?;
    let end = UnixTime::since_unix_epoch(Duration::from_secs(END_OF_TIME));
    match verifier.verify_server_cert(own, between, name, &[], end) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after,
            ..
        })) => {
            let left = not_after.as_secs().saturating_sub(UnixTime::now().as_secs());
            Some(Duration::from_secs(left))
        }
        Ok(_) | Err(_) => None,
    }
}
