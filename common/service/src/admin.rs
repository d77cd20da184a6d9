//! The admin port: `/metrics` (Prometheus), `/healthz` (the process lives), `/readyz` (it serves).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::health::Readiness;
use crate::measures::{self, Owner};
use crate::tls::{Accepted, Listener, Protocol};

/// Upper bounds of the histogram buckets, seconds: from a handshake to a large image on a slow link.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];
/// Upper bounds of the histogram of structural similarity: fine where a floor may lie.
const SIMILARITY: [f64; 11] = [0.5, 0.8, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0];
/// Scrapes at once; more wait.
const CONNECTIONS: usize = 16;
/// What a client gets to write its request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the process has no metrics.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the Prometheus recorder cannot be installed: {0}")]
pub struct MetricsError(String);

/// Installs the process's Prometheus recorder and returns the handle to it; a second call returns the same one.
///
/// # Errors
/// [`MetricsError`] if another recorder is installed.
pub fn metrics_handle() -> Result<PrometheusHandle, MetricsError> {
    static HANDLE: OnceLock<Result<PrometheusHandle, MetricsError>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            PrometheusBuilder::new()
                .set_buckets(&SECONDS)
                .and_then(|builder| {
                    builder.set_buckets_for_metric(Matcher::Full("latentwire_ssim".to_owned()), &SIMILARITY)
                })
                .and_then(PrometheusBuilder::install_recorder)
                .map_err(|error| MetricsError(error.to_string()))
        })
        .clone()
}

/// Sets gauges through the `metrics` macros when somebody scrapes.
type Look = Box<dyn Fn() + Send + Sync>;

/// The admin HTTP server, bound but not yet serving.
pub struct AdminServer {
    listener: Listener,
    page: Page,
}

/// What the admin port shows.
struct Page {
    readiness: Readiness,
    metrics: PrometheusHandle,
    looks: Vec<Look>,
}

impl AdminServer {
    /// Takes over a bound listener.
    ///
    /// # Errors
    /// [`MetricsError`] if the Prometheus recorder cannot be installed.
    pub fn new(listener: Listener, readiness: Readiness) -> Result<Self, MetricsError> {
        Ok(Self { listener, page: Page { readiness, metrics: metrics_handle()?, looks: Vec::new() } })
    }

    /// Calls `look` at every scrape. The gauges that it sets live for that scrape alone, so that what is gone (a peer that
    /// was taken off the trust store) leaves no series behind. It must not block.
    #[must_use]
    pub fn looking_up(mut self, look: impl Fn() + Send + Sync + 'static) -> Self {
        self.page.looks.push(Box::new(look));
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.tcp.local_addr()
    }

    /// Serves until `stop`.
    pub async fn serve(self, stop: CancellationToken) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let page = Arc::new(self.page);
        loop {
            let permit = connections.clone().acquire_owned().await.expect("the semaphore is never closed");
            let accepted = tokio::select! {
                accepted = self.listener.tcp.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "admin port cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (page, stop, tls) = (Arc::clone(&page), stop.clone(), self.listener.tls.clone());
            tokio::spawn(async move {
                let Ok(stream) = Accepted::new(stream, tls.as_ref(), Protocol::Http).await else { return };
                let service = service_fn(move |request| {
                    let answer = page.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    _ended = connection => {}
                    () = stop.cancelled() => {}
                }
                drop(permit);
            });
        }
    }
}

impl Page {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/metrics" => text(StatusCode::OK, self.metrics()),
            "/readyz" if self.readiness.is_ready() => text(StatusCode::OK, "ready\n"),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            _ => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n"),
        }
    }

    /// What was counted so far, then what is looked up now; the two have no name in common.
    fn metrics(&self) -> String {
        self.metrics.run_upkeep();
        let mut page = self.metrics.render();
        let now = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&now, || {
            measures::describe(Owner::Both);
            metrics::gauge!("latentwire_clock_timestamp_seconds").set(measures::unix_now());
            metrics::gauge!("latentwire_ready").set(f64::from(u8::from(self.readiness.is_ready())));
            metrics_process::Collector::default().collect();
            for look in &self.looks {
                look();
            }
        });
        page += &now.handle().render();
        page
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
