//! A response body that counts itself, holds its permit to the end, and turns a panic into INTERNAL.
//!
//! Streams of health and reflection end by themselves when the process stops.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use latentwire_proto::code_name;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::measures;
use crate::status::{RequestError, reason_of, to_status};

/// One call's metrics: `grpc_server_started_total`, `grpc_server_handled_total` and `grpc_server_handling_seconds`, with the
/// labels of the Prometheus gRPC habit, calls in flight, and errors by reason. A call that is dropped unfinished counts as
/// CANCELLED, and as no error: that is how every client leaves a watch.
pub(super) struct Call {
    service: &'static str,
    method: &'static str,
    begin: Instant,
    finished: bool,
}

impl Call {
    /// Counts a call's start. `path` is `/package.Service/Method`.
    pub(super) fn started(path: &str) -> Self {
        let (service, method) = super::methods::of_path(path);
        metrics::counter!("grpc_server_started_total", "grpc_service" => service, "grpc_method" => method)
            .increment(1);
        in_flight(service, method).increment(1.0);
        Self { service, method, begin: Instant::now(), finished: false }
    }

    pub(super) fn service(&self) -> &'static str {
        self.service
    }

    pub(super) fn method(&self) -> &'static str {
        self.method
    }

    /// Counts the call's end with its status, and the reason where it failed; once.
    pub(super) fn finish_with(&mut self, status: &Status) {
        if !self.finished && status.code() != Code::Ok {
            measures::count_request_error(&reason_of(status));
        }
        self.finish(status.code());
    }

    /// Counts the call's end, once.
    pub(super) fn finish(&mut self, code: Code) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let (service, method) = (self.service, self.method);
        metrics::counter!(
            "grpc_server_handled_total",
            "grpc_service" => service, "grpc_method" => method, "grpc_code" => code_name(code)
        )
        .increment(1);
        metrics::histogram!("grpc_server_handling_seconds", "grpc_service" => service, "grpc_method" => method)
            .record(self.begin.elapsed().as_secs_f64());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.finish(Code::Cancelled);
        in_flight(self.service, self.method).decrement(1.0);
    }
}

fn in_flight(service: &'static str, method: &'static str) -> metrics::Gauge {
    metrics::gauge!("latentwire_requests_in_flight", "grpc_service" => service, "grpc_method" => method)
}

/// Time in which a watcher of the health still hears NOT_SERVING.
const LAST_WORD: Duration = Duration::from_millis(200);

/// The wrapped body.
pub(super) struct ObservedBody {
    /// `None` after a panic, and after the end of a stream that has none of its own.
    inner: Option<Body>,
    call: Call,
    _permit: Option<OwnedSemaphorePermit>,
    /// Resolves when the stream must end; only for streams without an end of their own.
    ended: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl ObservedBody {
    pub(super) fn new(
        inner: Body,
        call: Call,
        permit: Option<OwnedSemaphorePermit>,
        stop: CancellationToken,
    ) -> Self {
        let endless = call.service.starts_with("grpc.");
        let ended = endless.then(|| {
            let ended = async move {
                stop.cancelled().await;
                tokio::time::sleep(LAST_WORD).await;
            };
            Box::pin(ended) as Pin<Box<dyn Future<Output = ()> + Send>>
        });
        Self { inner: Some(inner), call, _permit: permit, ended }
    }

    /// Ends the stream with the status of an error.
    fn end(&mut self, error: RequestError) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.inner = None;
        let status = to_status(&error.into());
        self.call.finish_with(&status);
        let mut trailers = http::HeaderMap::new();
        Poll::Ready(status.add_header(&mut trailers).is_ok().then(|| Ok(Frame::trailers(trailers))))
    }
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(None) };
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(cx)));
        let Ok(polled) = polled else {
            tracing::error!(service = self.call.service(), method = self.call.method(), "a stream panicked");
            return self.end(RequestError::Panicked);
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                    self.call.finish_with(&status);
                }
            }
            Poll::Ready(Some(Err(status))) => self.call.finish_with(status),
            Poll::Ready(None) => self.call.finish(Code::Ok),
            Poll::Pending => {
                let ended = self.ended.as_mut().is_some_and(|ended| ended.as_mut().poll(cx).is_ready());
                if ended {
                    return self.end(RequestError::ShuttingDown);
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
