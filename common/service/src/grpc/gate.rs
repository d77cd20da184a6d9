//! The one tower layer before every route: metrics, compression, admission, deadline, panics.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use latentwire_wire::refuse_compression;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};

use super::observed_body::{Call, ObservedBody};
use crate::status::{Failure, RequestError, to_status};

/// How many requests a process takes on at once, over all listeners and connections.
///
/// Two counters of the same size: calls that live long and work little by themselves (`Watch…`), so that they cannot starve
/// the rest, and all others. Health and reflection need no permit. Neither does a `Session`: only the session driver can
/// tell a stranger's stream from a peer's, so it counts handshakes and sessions apart; counted here together, strangers
/// that say nothing would keep peers out.
#[derive(Clone)]
pub struct Admission {
    calls: Arc<Semaphore>,
    watches: Arc<Semaphore>,
}

impl Admission {
    /// `most` of each kind, at least 1.
    pub fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self { calls: Arc::new(Semaphore::new(most)), watches: Arc::new(Semaphore::new(most)) }
    }

    /// A permit for the method, taken before any work; `Err` if none is left.
    fn admit(&self, service: &str, method: &str) -> Result<Option<OwnedSemaphorePermit>, RequestError> {
        if service.starts_with("grpc.") || method == "Session" {
            return Ok(None);
        }
        let semaphore = if method.starts_with("Watch") { &self.watches } else { &self.calls };
        let permit = Arc::clone(semaphore).try_acquire_owned();
        permit.map(Some).map_err(|_| RequestError::Overloaded)
    }
}

/// Makes a [`Gate`] of every service.
#[derive(Clone)]
pub struct GateLayer {
    admission: Admission,
    timeout: Duration,
    stop: CancellationToken,
}

impl GateLayer {
    /// `timeout` bounds the time until the response's head; streams bound their messages with [`super::timed`].
    pub fn new(admission: Admission, timeout: Duration) -> Self {
        Self { admission, timeout, stop: CancellationToken::new() }
    }

    /// The same gate, ending streams of health and reflection soon after `stop`: they have no end of their own, and a client
    /// that keeps one open must not hold the process up.
    pub fn ending_watches_at(&self, stop: &CancellationToken) -> Self {
        Self { stop: stop.clone(), ..self.clone() }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, settings: self.clone() }
    }
}

/// The gated service.
#[derive(Clone)]
pub struct Gate<S> {
    inner: S,
    settings: GateLayer,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<S, B> Service<Request<B>> for Gate<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = Call::started(request.uri().path());
        let encoding = request.headers().get("grpc-encoding").map(http::HeaderValue::as_bytes);
        if let Err(compressed) = refuse_compression(encoding) {
            return Box::pin(async move { Ok(refusal(call, compressed)) });
        }
        let permit = match self.settings.admission.admit(call.service(), call.method()) {
            Ok(permit) => permit,
            Err(overloaded) => return Box::pin(async move { Ok(refusal(call, overloaded)) }),
        };
        let (timeout, stop) = (self.settings.timeout, self.settings.stop.clone());
        let response = self.inner.call(request);
        Box::pin(async move {
            match tokio::time::timeout(timeout, CatchPanic(Box::pin(response))).await {
                Ok(Ok(response)) => response.map(|response| observe(call, permit, stop, response)),
                Ok(Err(())) => Ok(refusal(call, RequestError::Panicked)),
                Err(_elapsed) => Ok(refusal(call, RequestError::Deadline)),
            }
        })
    }
}

fn observe(
    mut call: Call,
    permit: Option<OwnedSemaphorePermit>,
    stop: CancellationToken,
    response: Response<Body>,
) -> Response<Body> {
    // A response without a body carries its status in the head.
    if let Some(status) = tonic::Status::from_header_map(response.headers()) {
        call.finish_with(&status);
    }
    response.map(|body| Body::new(ObservedBody::new(body, call, permit, stop)))
}

fn refusal(mut call: Call, error: impl Into<Failure>) -> Response<Body> {
    let status = to_status(&error.into());
    call.finish_with(&status);
    if status.code() == Code::Internal {
        tracing::error!(service = call.service(), method = call.method(), "a handler panicked");
    }
    status.into_http()
}

/// Turns a panic of a future into `Err(())`; the runtime's hook has printed where it was.
struct CatchPanic<F>(Pin<Box<F>>);

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, ()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = self.0.as_mut();
        match std::panic::catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(_panic) => Poll::Ready(Err(())),
        }
    }
}
