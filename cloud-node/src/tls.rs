//! TLS: the node's certificate, and handshakes beside the accepting of connections.
//!
//! rustls with its ring provider, TLS 1.3 and 1.2, and HTTP/1.1 above it. Tills show a credential
//! and no certificate. A handshake takes the certificate that is served when it begins; connections
//! that are there already go on when [`renewal`] exchanges it.

pub mod renewal;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use counterfoil_protocol::time::Millis;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The most handshakes at once; more connections wait to be accepted until one of them is done.
pub const HANDSHAKES_MAX: usize = 1024;
/// How long a handshake may take.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// The most bytes of a PEM file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// A time at which every certificate has run out, in seconds since 1970: in the year 9999.
const END_OF_TIME: u64 = 253_402_300_799;

/// A certificate that cannot be served. The operator corrects the file; nothing was served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is longer than a certificate or key ever is.
    #[error("{} has more than 1 MiB: name a file in PEM", .0.display())]
    TooLong(PathBuf),
    /// A file is damaged.
    #[error("{} is no PEM that can be understood: {error}", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Where and why.
        error: pem::Error,
    },
    /// There is no certificate in the file.
    #[error("{} has no certificate: it needs the node's own, then those between", .0.display())]
    NoCertificate(PathBuf),
    /// There is no private key in the file.
    #[error("{} has no private key: it needs one, without a passphrase", .0.display())]
    NoKey(PathBuf),
    /// The key is another certificate's.
    #[error("the key in {} does not fit the certificate in {}", key.display(), cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate or the key is of a kind that cannot be used.
    #[error("the certificate in {} cannot be used: {error}", cert.display())]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// Why.
        error: rustls::Error,
    },
    /// A certificate that is to be exchanged for a later one.
    #[error("the certificate in {} has run out: what is served ends later", .0.display())]
    RunOut(PathBuf),
}

/// Where a node's certificate and its key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, with those between it and an authority, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// What a node needs to speak TLS, as its files had it.
#[derive(Clone, Debug)]
pub struct Identity {
    config: Arc<ServerConfig>,
    /// Of both files: whether they say something else by now.
    digest: blake3::Hash,
    not_after: Option<Millis>,
}

impl Identity {
    /// Returns what handshakes take.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Returns when the certificate runs out; `None` if it does not say so in a form that is known.
    #[must_use]
    pub const fn not_after(&self) -> Option<Millis> {
        self.not_after
    }
}

impl Files {
    /// Reads what a node needs to speak TLS: its certificate with those between it and an
    /// authority, and its private key.
    ///
    /// # Errors
    /// [`TlsError`], with the file to correct.
    pub fn read(&self) -> Result<Identity, TlsError> {
        let Self { cert, key } = self;
        let (pem, secret_pem) = (read_file(cert)?, read_file(key)?);
        let mut digest = blake3::Hasher::new();
        digest.update(&(pem.len() as u64).to_le_bytes()).update(&pem).update(&secret_pem);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|error| TlsError::Form { path: cert.clone(), error })?;
        let Some(own) = chain.first() else { return Err(TlsError::NoCertificate(cert.clone())) };
        let not_after = not_after(own);
        let secret = PrivateKeyDer::from_pem_slice(&secret_pem).map_err(|error| {
            if matches!(error, pem::Error::NoItemsFound) {
                TlsError::NoKey(key.clone())
            } else {
                TlsError::Form { path: key.clone(), error }
            }
        })?;
        let config = self.config(chain, secret)?;
        Ok(Identity { config, digest: digest.finalize(), not_after })
    }

    fn config(
        &self,
        chain: Vec<CertificateDer<'static>>,
        secret: PrivateKeyDer<'static>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let Self { cert, key } = self;
        let unusable = |error| {
            if matches!(error, rustls::Error::InconsistentKeys(_)) {
                TlsError::Mismatch { cert: cert.clone(), key: key.clone() }
            } else {
                TlsError::Unusable { cert: cert.clone(), error }
            }
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Returns when a certificate runs out: verified at the end of time, it says so before anybody
/// asks who has signed it. Whom it is trusted by does not matter here.
fn not_after(own: &CertificateDer<'_>) -> Option<Millis> {
    let mut roots = RootCertStore::empty();
    roots.add(own.clone()).ok()?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.build().ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    let end = UnixTime::since_unix_epoch(Duration::from_secs(END_OF_TIME));
    match verifier.verify_server_cert(own, &[], &name, &[], end) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after,
            ..
        })) => Some(Millis::from_secs(not_after.as_secs())),
        Ok(_) | Err(_) => None,
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let cannot = |error| TlsError::File { path: path.to_owned(), error };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(TlsError::TooLong(path.to_owned()));
    }
    Ok(bytes)
}

/// A connection that speaks TLS by now; none if it does not come to that.
type Shaken<L> = Option<(TlsStream<<L as Listener>::Io>, <L as Listener>::Addr)>;

/// A listener whose connections speak TLS.
///
/// A handshake goes on beside the others, and beside the accepting: who is slow, or speaks
/// something else, is closed, at [`HANDSHAKE_DEADLINE`] at the latest, and holds up nobody.
pub struct TlsListener<L: Listener> {
    inner: L,
    served: watch::Receiver<Arc<ServerConfig>>,
    handshakes: JoinSet<Shaken<L>>,
}

impl<L: Listener> TlsListener<L> {
    /// Speaks TLS over the connections of `inner`, each with what is `served` when it begins.
    #[must_use]
    pub fn new(inner: L, served: watch::Receiver<Arc<ServerConfig>>) -> Self {
        Self { inner, served, handshakes: JoinSet::new() }
    }
}

impl<L: Listener> Listener for TlsListener<L>
where
    L::Addr: 'static,
{
    type Io = TlsStream<L::Io>;
    type Addr = L::Addr;

    // Both branches may be dropped at any await: what was accepted is in the set by then.
    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let room = self.handshakes.len() < HANDSHAKES_MAX;
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = done {
                        return connection;
                    }
                }
                (io, address) = self.inner.accept(), if room => {
                    let acceptor = TlsAcceptor::from(Arc::clone(&self.served.borrow()));
                    self.handshakes.spawn(async move {
                        let io = handshake(acceptor, io).await?;
                        Some((io, address))
                    });
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

async fn handshake<I>(acceptor: TlsAcceptor, io: I) -> Option<TlsStream<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(io)).await {
        Ok(Ok(stream)) => Some(stream),
        // Anybody can send anything to a port.
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            None
        }
    }
}
