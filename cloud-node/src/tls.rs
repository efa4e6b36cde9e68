//! TLS: the node's certificate, and handshakes beside the accepting of connections.
//!
//! rustls with its ring provider, TLS 1.3 and 1.2, and HTTP/1.1 above it. Tills show a credential
//! and no certificate.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The most handshakes at once; more connections wait to be accepted until one of them is done.
pub const HANDSHAKES_MAX: usize = 1024;
/// How long a handshake may take.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// The most bytes of a PEM file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

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
}

/// Reads what a node needs to speak TLS: its certificate with those between it and an authority,
/// and its private key.
///
/// # Errors
/// [`TlsError`], with the file to correct.
pub fn read(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let pem = read_file(cert)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| TlsError::Form { path: cert.to_owned(), error })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(cert.to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_slice(&read_file(key)?).map_err(|error| {
        if matches!(error, pem::Error::NoItemsFound) {
            TlsError::NoKey(key.to_owned())
        } else {
            TlsError::Form { path: key.to_owned(), error }
        }
    })?;
    let unusable = |error| {
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            TlsError::Mismatch { cert: cert.to_owned(), key: key.to_owned() }
        } else {
            TlsError::Unusable { cert: cert.to_owned(), error }
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
    acceptor: TlsAcceptor,
    handshakes: JoinSet<Shaken<L>>,
}

impl<L: Listener> TlsListener<L> {
    /// Speaks TLS over the connections of `inner`.
    #[must_use]
    pub fn new(inner: L, config: Arc<ServerConfig>) -> Self {
        Self { inner, acceptor: TlsAcceptor::from(config), handshakes: JoinSet::new() }
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
                    let acceptor = self.acceptor.clone();
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
