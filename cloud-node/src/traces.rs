//! Traces of requests, for a collector that speaks OTLP: the feature `otel`.
//!
//! A span goes out for each request, and below it one for its wait on the commit; each group commit
//! has a span of its own. What has gathered is sent every five seconds, from a thread of its own,
//! and what a collector does not take in time is dropped: no request waits for it.
//!
//! > The fields are those of the log (S4.14). No credential and no body is among them.
//!
//! `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*` and `OTEL_RESOURCE_ATTRIBUTES` mean what OpenTelemetry's
//! specification says of its environment variables.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use bytes::Bytes;
use http::{Response, StatusCode};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Status, TraceContextExt as _, TracerProvider as _};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::{self, Runtime};
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};

/// How the node calls itself, if `OTEL_SERVICE_NAME` does not.
const SERVICE: &str = "counterfoil-cloud";

/// How long a collector may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Where spans go to.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Prepares to send to a collector, `http://HOST:4318` for instance; nobody is asked yet.
    ///
    /// # Errors
    /// If that is no address, or its scheme is not `http`: TLS is the collector's beside the node.
    pub fn to(collector: &str) -> io::Result<Self> {
        let wrong = |why: String| io::Error::other(format!("{collector}: {why}"));
        if !collector.starts_with("http://") {
            return Err(wrong("a collector is named as http://HOST:PORT".to_owned()));
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", collector.trim_end_matches('/')))
            .with_timeout(LIMIT)
            .with_http_client(Post::new()?)
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let resource = match std::env::var_os("OTEL_SERVICE_NAME") {
            Some(_) => Resource::builder().build(),
            None => Resource::builder().with_service_name(SERVICE).build(),
        };
        let provider = SdkTracerProvider::builder().with_resource(resource);
        Ok(Self(provider.with_batch_exporter(exporter).build()))
    }

    /// Returns what turns the spans of this node into those of a trace.
    #[must_use]
    pub fn layer(&self) -> impl Layer<Registry> + Send + Sync + 'static {
        let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), Level::INFO);
        let tracer = self.0.tracer(SERVICE);
        tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours)
    }

    /// Sends what is left.
    pub fn end(&self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Names a request's span by its route, and puts it below the caller's, if `traceparent` says so.
pub(crate) fn begin(span: &Span, request: &Request) {
    let caller = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
    if caller.has_active_span() {
        // It is refused for a span that nobody records.
        let _unrecorded = span.set_parent(caller);
    }
    let method = request.method();
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    span.context().span().update_name(format!("{method} {route}").trim_end().to_owned());
    span.set_attribute("http.request.method", method.to_string());
    span.set_attribute("http.route", route.to_owned());
}

/// Says what was answered.
pub(crate) fn end(span: &Span, status: StatusCode) {
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(Status::error(status.to_string()));
    }
}

/// Posts from the thread that gathers the spans, which is none of the node's.
struct Post {
    client: HyperClient,
    runtime: Runtime,
}

impl Post {
    fn new() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { client: HyperClient::with_default_connector(LIMIT, None), runtime })
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}

impl HttpClient for Post {
    fn send_bytes<'this, 'sent>(
        &'this self,
        request: http::Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sent>>
    where
        'this: 'sent,
    {
        Box::pin(async move { self.runtime.block_on(self.client.send_bytes(request)) })
    }
}
