//! `serve`: what can be set about a node that runs.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use counterfoil_cloud::credential::operator_digest;
use counterfoil_cloud::node::{self, Options};
use counterfoil_cloud::rate::Rate;
use counterfoil_cloud::service::Limits;
use counterfoil_cloud::till_page::TillPage;
use counterfoil_cloud::tls::Files;
#[cfg(feature = "otel")]
use counterfoil_cloud::traces::Traces;
use counterfoil_protocol::cloud::UnknownProducts;
use counterfoil_protocol::hash::Hash;
use serde_json::json;
#[cfg(not(feature = "otel"))]
use tracing_subscriber::layer::Identity;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use super::{Named, say};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where the database lies: sled:PATH, redb:PATH, postgres://USER:PASSWORD@HOST/DATABASE, or
    /// memory: for trials
    #[arg(long, env = "COUNTERFOIL_STORE", hide_env_values = true, value_name = "LOCATION")]
    store: Named,
    /// Where to listen; port 0 chooses a free one
    #[arg(long, env = "COUNTERFOIL_CLOUD_LISTEN", default_value = "127.0.0.1:8700")]
    listen: SocketAddr,
    /// A file with the operator's token; without it the admin routes listen to nobody
    #[arg(long, env = "COUNTERFOIL_OPERATOR_TOKEN_FILE", value_name = "FILE")]
    operator_token_file: Option<PathBuf>,
    /// What to do with sales of products that nobody defined
    #[arg(long, env = "COUNTERFOIL_UNKNOWN_PRODUCTS", default_value = "accept")]
    unknown_products: Policy,
    /// Requests a second of one terminal; 0 for as many as it likes
    #[arg(long, env = "COUNTERFOIL_RATE", default_value_t = Rate::REQUESTS.per_second)]
    rate: u32,
    /// Requests of one terminal at once, after a pause
    #[arg(long, env = "COUNTERFOIL_BURST", default_value_t = Rate::REQUESTS.burst)]
    burst: u32,
    /// Bytes of bodies a second that one terminal may send; 0 for as many as it likes
    #[arg(long, env = "COUNTERFOIL_BYTE_RATE", default_value_t = Rate::BYTES.per_second)]
    byte_rate: u32,
    /// Bytes of bodies of one terminal at once, after a pause
    #[arg(long, env = "COUNTERFOIL_BYTE_BURST", default_value_t = Rate::BYTES.burst)]
    byte_burst: u32,
    /// Speak TLS with this certificate, in PEM: the node's own, then those between it and an
    /// authority. Once a minute, and on SIGHUP, the node looks whether the files have another
    #[arg(long, env = "COUNTERFOIL_TLS_CERT", value_name = "PEM", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM, without a passphrase
    #[arg(long, env = "COUNTERFOIL_TLS_KEY", value_name = "PEM", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A proxy with TLS stands in front and sets X-Forwarded-Proto: cookies of the operator's pages
    /// are Secure then
    #[arg(long, env = "COUNTERFOIL_FORWARDED_PROTO")]
    forwarded_proto: bool,
    /// Serve the till for browsers at /till/, from this directory, which `cargo xtask web` makes
    #[arg(long, env = "COUNTERFOIL_TILL_PAGE", value_name = "DIR")]
    till_page: Option<PathBuf>,
    /// The form of the log, which goes to standard error. COUNTERFOIL_LOG=debug says how much
    #[arg(long, env = "COUNTERFOIL_LOG_FORMAT", default_value = "text")]
    log_format: Log,
    /// Send traces to the collector at this address, by OTLP over HTTP: http://HOST:4318
    #[cfg(feature = "otel")]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// Post them
    Accept,
    /// Keep them without effect until the product is defined
    Park,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Log {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Serves until told to stop.
pub(super) fn serve(json: bool, wish: &Serve) -> anyhow::Result<ExitCode> {
    #[cfg(feature = "otel")]
    let traces =
        wish.otlp.as_deref().map(Traces::to).transpose().context("no traces can be sent")?;
    #[cfg(feature = "otel")]
    log_as(wish.log_format, traces.as_ref().map(Traces::layer));
    #[cfg(not(feature = "otel"))]
    log_as(wish.log_format, None::<Identity>);
    let operator = wish.operator_token_file.as_ref().map(operator_of).transpose()?;
    let limited = |per_second, burst| (per_second > 0).then_some(Rate { per_second, burst });
    let limits = Limits {
        rate: limited(wish.rate, wish.burst),
        byte_rate: limited(wish.byte_rate, wish.byte_burst),
        forwarded_proto: wish.forwarded_proto,
        ..Limits::default()
    };
    let store = wish.store.place().to_string();
    let tls = match (&wish.tls_cert, &wish.tls_key) {
        (Some(cert), Some(key)) => {
            let files = Files { cert: cert.clone(), key: key.clone() };
            let identity = files.read()?;
            Some((files, identity))
        }
        (Some(_), None) | (None, Some(_)) => unreachable!("each of the two requires the other"),
        (None, None) => None,
    };
    let till_page = wish.till_page.as_deref().map(TillPage::read).transpose();
    let till_page = till_page.context("the till for browsers cannot be served")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let options = Options {
        store: wish.store.place().clone(),
        listen: wish.listen,
        operator,
        unknown_products: match wish.unknown_products {
            Policy::Accept => UnknownProducts::Accept,
            Policy::Park => UnknownProducts::Park,
        },
        limits,
        tls,
        till_page,
    };
    let served = node::serve(&options, |address| {
        if json {
            say(&json!({ "listening": address, "scheme": scheme, "store": store }).to_string());
        } else {
            say(&format!("listening on {scheme}://{address}"));
        }
    });
    #[cfg(feature = "otel")]
    traces.iter().for_each(Traces::end);
    served?;
    Ok(ExitCode::SUCCESS)
}

/// Where spans go to beside the log, if anywhere.
fn log_as<L: Layer<Registry> + Send + Sync>(form: Log, beside: Option<L>) {
    let filter =
        EnvFilter::try_from_env("COUNTERFOIL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = fmt::layer().with_writer(io::stderr);
    let log = match form {
        Log::Text => log.with_ansi(colours).boxed(),
        Log::Json => log.json().boxed(),
    };
    tracing_subscriber::registry().with(beside).with(log.with_filter(filter)).init();
}

fn operator_of(file: &PathBuf) -> anyhow::Result<Hash> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the operator's token cannot be read from {}", file.display()))?;
    let token = text.trim();
    if token.len() < 16 {
        bail!("the operator's token in {} is too short: use 16 bytes or more", file.display());
    }
    Ok(operator_digest(token))
}
