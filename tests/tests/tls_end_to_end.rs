//! TLS at both ends: real processes over loopback, with certificates made here.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use counterfoil_tests::binaries::{self, Binaries, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::sales::sale;
use counterfoil_tests::till::{Door, Place, Till};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const OPERATOR: &str = "an operator's token";
const LIMIT: Duration = Duration::from_secs(60);
const PLACE: Place<'static> = Place { shop: "shop", branch: "north", terminal: "T-1" };

/// An authority of a shop, with its files.
struct Authority {
    directory: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(directory: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signed");
        std::fs::write(directory.join("ca.pem"), issuer.pem()).expect("written");
        Self { directory: directory.to_owned(), issuer }
    }

    /// Returns the file that tills are given.
    fn file(&self) -> String {
        self.directory.join("ca.pem").display().to_string()
    }

    /// Shakes hands with a node that this authority stands for.
    async fn connect(&self, address: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await.expect("accepted");
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.expect("a handshake")
    }

    /// Asks a node that this authority stands for, and returns head and body as they came.
    async fn ask(&self, address: &str, request: &str, body: &str) -> String {
        let mut stream = self.connect(address).await;
        let text = format!(
            "{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\
             x-counterfoil-page: person\r\nsec-fetch-site: same-origin\r\n",
            body.len()
        );
        let bearer = format!("authorization: Bearer {OPERATOR}\r\n");
        let bearer = if body.is_empty() { bearer } else { String::new() };
        let text = format!("{text}{bearer}\r\n{body}");
        stream.write_all(text.as_bytes()).await.expect("sent");
        let mut said = String::new();
        stream.read_to_string(&mut said).await.expect("text, to its end");
        said
    }

    /// Signs a certificate, and returns its file and its key's.
    fn sign(&self, name: &str, year: i32) -> [String; 2] {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        let path = |end: &str| self.directory.join(format!("{name}-{year}.{end}"));
        let (cert, secret) = (path("pem"), path("key"));
        std::fs::write(&cert, signed.pem()).expect("written");
        std::fs::write(&secret, key.serialize_pem()).expect("written");
        [cert, secret].map(|path| path.display().to_string())
    }
}

fn programs() -> Binaries {
    binaries::build(Profile::Test).expect("the programs are built")
}

/// A cloud with one enrolled till, its token, and where it listens.
async fn open(directory: &Path, [cert, key]: &[String; 2]) -> (Cloud, String, String) {
    let store = format!("redb:{}", directory.join("cloud").display());
    let cloud = Cloud::new(&programs().cloud, store, directory.join("cloud.log"));
    let operator = directory.join("operator");
    std::fs::write(&operator, OPERATOR).expect("written");
    let cloud = cloud.with_operator(operator);
    let mut cloud = cloud.with_arguments(&["--tls-cert", cert, "--tls-key", key]);
    let token = cloud.enrol("shop", "north", "T-1").await.expect("enrolled");
    let address = cloud.start("127.0.0.1:0").await.expect("it listens");
    (cloud, token, address)
}

fn till(directory: &Path) -> Till {
    Till::new(&programs().terminal, directory.join("till"), directory.join("till.log"))
}

async fn says(door: &Door, word: &str) {
    let until = tokio::time::Instant::now() + LIMIT;
    loop {
        door.sync().await.expect("an answer");
        let fault = door.fault().await.expect("an answer");
        if fault.as_ref().is_some_and(|fault| fault.contains(word)) {
            return;
        }
        assert!(tokio::time::Instant::now() < until, "not `{word}` but {fault:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What `doctor` says of the connection.
fn doctor(till: &Till) -> String {
    let told = Command::new(programs().terminal)
        .args(["doctor", "--json", "--dir"])
        .arg(till.home())
        .output()
        .expect("it runs");
    let found: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let found = found.as_array().expect("a list").iter();
    found.clone().find(|found| found["check"] == "connection").expect("a check").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_with_the_authority_drains_and_one_without_loses_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new(directory.path());
    let (mut cloud, token, address) =
        open(directory.path(), &authority.sign("localhost", 4000)).await;
    let port = address.rsplit_once(':').expect("a port").1;
    let url = format!("https://localhost:{port}");
    let mut till = till(directory.path());
    till.init(PLACE, &url, &token).await.expect("installed");
    let door = till.start().await.expect("it sells");
    door.sell(&[sale("a"), sale("b")]).await.expect("sold");
    says(&door, "authority that this machine does not trust").await;
    let status = door.status().await.expect("an answer");
    assert_eq!((status.pending, status.needs_attention), (2, 0), "no item pays for it");
    let told = door.look("/status").await.expect("an answer");
    assert_eq!(told["connection"]["cause"], "notBelieved", "{told}");
    assert!(doctor(&till).contains("does not trust"), "{}", doctor(&till));

    till.stop().await.expect("it ends");
    let more = ["--ca-file", &authority.file()];
    till.init_with(PLACE, &url, &token, &more).await.expect("installed again");
    let door = till.start().await.expect("it sells");
    door.sell(&[sale("c")]).await.expect("sold");
    door.drain(LIMIT).await.expect("drained");
    assert!(doctor(&till).contains("the certificate is valid for"), "{}", doctor(&till));
    // The stream is a connection of its own.
    until_live(&authority, &address).await;
    let login = format!("{{\"token\": \"{OPERATOR}\"}}");
    let told = authority.ask(&address, "POST /login", &login).await;
    assert!(told.contains("HttpOnly; SameSite=Strict; Secure\r\n"), "{told}");
    let own = door.figures().await.expect("figures");
    till.stop().await.expect("it ends");
    cloud.stop().await.expect("it ends");
    assert_eq!(cloud.figures().await.expect("figures"), (own, 0));
}

async fn until_live(authority: &Authority, address: &str) {
    let until = tokio::time::Instant::now() + LIMIT;
    loop {
        let told = authority.ask(address, "GET /v1/admin/fleet?shopId=shop", "").await;
        if told.contains("\"live\":true") {
            return;
        }
        assert!(tokio::time::Instant::now() < until, "no stream: {told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A till that knows the authority, asks for `localhost`, and has sold `a`.
async fn selling(
    directory: &Path,
    authority: &Authority,
    address: &str,
    token: &str,
) -> (Till, Door) {
    let port = address.rsplit_once(':').expect("a port").1;
    let mut till = till(directory);
    let more = ["--ca-file", &authority.file()];
    let url = format!("https://localhost:{port}");
    till.init_with(PLACE, &url, token, &more).await.expect("installed");
    let door = till.start().await.expect("it sells");
    door.sell(&[sale("a")]).await.expect("sold");
    (till, door)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_run_out_or_is_for_another_name_is_refused() {
    for (name, year, word) in
        [("localhost", 2001, "has run out"), ("other.example", 4000, "another name")]
    {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = Authority::new(directory.path());
        let (_cloud, token, address) = open(directory.path(), &authority.sign(name, year)).await;
        let (till, door) = selling(directory.path(), &authority, &address, &token).await;
        says(&door, word).await;
        assert_eq!(door.status().await.expect("an answer").pending, 1);
        assert!(doctor(&till).contains(word), "{}", doctor(&till));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_plain_http_and_silence_on_the_port_hold_up_nobody() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new(directory.path());
    let (mut cloud, token, address) =
        open(directory.path(), &authority.sign("127.0.0.1", 4000)).await;
    let mut silent = Vec::new();
    for _ in 0..32 {
        silent.push(TcpStream::connect(&address).await.expect("accepted"));
    }
    for garbage in [&b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"[..], &[0xff; 4096], &[22, 3, 1]] {
        let mut stream = TcpStream::connect(&address).await.expect("accepted");
        stream.write_all(garbage).await.expect("sent");
        stream.shutdown().await.expect("no more comes");
        let mut said = Vec::new();
        let closed = tokio::time::timeout(LIMIT, stream.read_to_end(&mut said)).await;
        let _reset = closed.expect("it is closed");
        assert!(!said.starts_with(b"HTTP"), "nothing is answered in the clear");
    }
    let mut till = till(directory.path());
    let more = ["--ca-file", &authority.file()];
    let url = format!("https://{address}");
    till.init_with(PLACE, &url, &token, &more).await.expect("installed");
    let door = till.start().await.expect("it sells");
    door.sell(&[sale("a")]).await.expect("sold");
    door.drain(LIMIT).await.expect("drained");
    cloud.stop().await.expect("it has not panicked");
    let log = std::fs::read_to_string(directory.path().join("cloud.log")).expect("a log");
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_node_without_a_whole_certificate_is_not_started() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new(directory.path());
    let [cert, key] = authority.sign("localhost", 4000);
    let [_, other] = authority.sign("other.example", 4000);
    let absent = directory.path().join("absent").display().to_string();
    let store = directory.path().join("cloud");
    // arguments    exit code, what is said
    for (arguments, code, word) in [
        (vec!["--tls-cert", &cert], 2, "--tls-key"),
        (vec!["--tls-key", &key], 2, "--tls-cert"),
        (vec!["--tls-cert", &absent, "--tls-key", &key], 1, "cannot be read"),
        (vec!["--tls-cert", &cert, "--tls-key", &absent], 1, "cannot be read"),
        (vec!["--tls-cert", &cert, "--tls-key", &other], 1, "does not fit"),
        (vec!["--tls-cert", &key, "--tls-key", &key], 1, "has no certificate"),
        (vec!["--tls-cert", &cert, "--tls-key", &cert], 1, "has no private key"),
    ] {
        let told = Command::new(programs().cloud)
            .args(["serve", "--listen", "127.0.0.1:0", "--store"])
            .arg(format!("redb:{}", store.display()))
            .args(&arguments)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(word) && told.stdout.is_empty(), "{arguments:?}: {said}");
        assert!(!store.exists(), "nothing was opened");
    }
}

/// A connection over TLS that is kept, and the certificate that it was shown.
struct Link {
    stream: TlsStream<TcpStream>,
    shown: Vec<u8>,
}

impl Link {
    async fn open(authority: &Authority, address: &str) -> Self {
        let stream = authority.connect(address).await;
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().expect("a certificate")[0].to_vec();
        Self { stream, shown }
    }

    /// Asks over it once more.
    async fn is_answered(&mut self) {
        let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
        self.stream.write_all(request).await.expect("sent");
        let (mut said, mut part) = (Vec::new(), [0; 1024]);
        while !said.ends_with(b"ok\n") {
            let read = self.stream.read(&mut part).await.expect("an answer");
            assert!(read > 0, "the connection goes on: {}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&part[..read]);
        }
    }
}

/// Tells a node that its files have changed, as `systemctl reload` does.
fn hang_up(cloud: &Cloud) {
    let id = cloud.id().expect("it runs").to_string();
    let told = Command::new("kill").args(["-HUP", &id]).status().expect("it runs");
    assert!(told.success());
}

async fn until_counted(authority: &Authority, address: &str, line: &str) {
    let until = tokio::time::Instant::now() + LIMIT;
    loop {
        let told = authority.ask(address, "GET /metrics", "").await;
        if told.lines().any(|found| found == line) {
            return;
        }
        assert!(tokio::time::Instant::now() < until, "no `{line}`: {told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_while_a_till_syncs_and_a_broken_file_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new(directory.path());
    let [cert, key] = authority.sign("localhost", 2999);
    let (mut cloud, token, address) = open(directory.path(), &[cert.clone(), key.clone()]).await;
    let (mut till, door) = selling(directory.path(), &authority, &address, &token).await;
    door.drain(LIMIT).await.expect("drained");
    let mut first = Link::open(&authority, &address).await;
    until_counted(&authority, &address, "tls_certificate_not_after_seconds 32472144000").await;

    let [next, next_key] = authority.sign("localhost", 3000);
    let whole = std::fs::read_to_string(&next).expect("a file");
    std::fs::write(&cert, &whole[..whole.len() / 2]).expect("half of it is written");
    hang_up(&cloud);
    until_counted(&authority, &address, "tls_renewals_total{outcome=\"refused\"} 1").await;
    std::fs::write(&cert, &whole).expect("written, and the key is still the old one's");
    hang_up(&cloud);
    until_counted(&authority, &address, "tls_renewals_total{outcome=\"refused\"} 2").await;
    door.sell(&[sale("b")]).await.expect("sold");
    door.drain(LIMIT).await.expect("drained");
    assert_eq!(Link::open(&authority, &address).await.shown, first.shown, "the old one stays");

    std::fs::copy(&next_key, &key).expect("written");
    door.sell(&[sale("c")]).await.expect("sold");
    hang_up(&cloud);
    until_counted(&authority, &address, "tls_renewals_total{outcome=\"taken\"} 1").await;
    until_counted(&authority, &address, "tls_certificate_not_after_seconds 32503680000").await;
    until_counted(&authority, &address, "tls_renewal_refused_seconds 0").await;
    let second = Link::open(&authority, &address).await;
    assert_ne!(second.shown, first.shown, "another one is served");
    first.is_answered().await;
    door.sell(&[sale("d")]).await.expect("sold");
    door.drain(LIMIT).await.expect("drained");
    let own = door.figures().await.expect("figures");
    till.stop().await.expect("it ends");
    cloud.stop().await.expect("it ends");
    assert_eq!(cloud.figures().await.expect("figures"), (own, 0));
    let log = std::fs::read_to_string(directory.path().join("cloud.log")).expect("a log");
    assert_eq!(log.matches("CLOUD_TLS_CERTIFICATE_REFUSED").count(), 2, "{log}");
    assert!(!log.contains("PRIVATE KEY") && !log.contains("panicked"), "{log}");
}
