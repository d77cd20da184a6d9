//! The tower layer that lets a call pass, or not.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::Instrument;

use super::file::{CallerEntry, CallerList};
use super::permission::{Rule, rule_of};
use super::token::TokenDigest;
use super::{Caller, Callers};
use crate::status::{RequestError, to_status};
use crate::tls::{PeerCertificate, TlsConnectInfo};

/// Longest `authorization` header that is looked at.
const MAX_HEADER_BYTES: usize = 512;

/// Makes a [`CallersGate`] of every service; without callers it lets everybody pass.
#[derive(Clone)]
pub struct CallersLayer {
    callers: Option<Callers>,
}

impl CallersLayer {
    /// Lets pass whom `callers` admit; `None` lets everybody pass.
    #[must_use]
    pub fn new(callers: Option<Callers>) -> Self {
        Self { callers }
    }
}

impl<S> Layer<S> for CallersLayer {
    type Service = CallersGate<S>;

    fn layer(&self, inner: S) -> CallersGate<S> {
        CallersGate { inner, callers: self.callers.clone() }
    }
}

/// The service behind the gate.
#[derive(Clone)]
pub struct CallersGate<S> {
    inner: S,
    callers: Option<Callers>,
}

/// What a call brought to prove its caller.
#[derive(Clone)]
enum Proof {
    Token(TokenDigest),
    Certificate(Arc<PeerCertificate>),
}

impl Proof {
    /// A token decides alone: a wrong one is not made good by a certificate. `None`: nothing, or not one thing.
    fn of(headers: &HeaderMap, extensions: &http::Extensions) -> Option<Self> {
        let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
        match (authorizations.next(), authorizations.next()) {
            (Some(value), None) => {
                let value = value.as_bytes();
                if value.len() > MAX_HEADER_BYTES {
                    return None;
                }
                let (scheme, token) = value.split_at_checked(7)?;
                scheme.eq_ignore_ascii_case(b"bearer ").then(|| Self::Token(TokenDigest::of(token)))
            }
            (Some(_), Some(_)) => None,
            (None, _) => {
                let info = extensions.get::<TlsConnectInfo>()?;
                info.certificate.clone().map(Self::Certificate)
            }
        }
    }

    fn entry<'a>(&self, list: &'a CallerList) -> Option<&'a CallerEntry> {
        match self {
            Self::Token(digest) => list.of_token(digest),
            Self::Certificate(certificate) => list.of_certificate(certificate),
        }
    }
}

/// A call that was let in; it stays in while the list admits it.
struct Admitted {
    proof: Proof,
    rule: Rule,
    name: Arc<str>,
    lists: watch::Receiver<Arc<CallerList>>,
}

impl Admitted {
    fn check(proof: &Proof, rule: Rule, list: &CallerList) -> Result<Arc<str>, RequestError> {
        let entry = proof.entry(list).ok_or(RequestError::CallerUnknown)?;
        let admitted = match rule {
            Rule::Open | Rule::Known => true,
            Rule::Needs(permission) => entry.permissions.contains(&permission),
            Rule::Unlisted => false,
        };
        if admitted { Ok(Arc::clone(&entry.name)) } else { Err(RequestError::CallerNotAllowed) }
    }

    /// Resolves when a new list no longer admits the call under the same name; never if that does not happen.
    async fn revoked(mut self) -> RequestError {
        while self.lists.changed().await.is_ok() {
            let list = Arc::clone(&self.lists.borrow_and_update());
            match Self::check(&self.proof, self.rule, &list) {
                Ok(name) if name == self.name => {}
                Ok(_) => return RequestError::CallerUnknown,
                Err(refused) => return refused,
            }
        }
        std::future::pending().await
    }
}

type Revocation = Pin<Box<dyn Future<Output = RequestError> + Send>>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<S, B> Service<Request<B>> for CallersGate<S>
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(callers) = &self.callers else { return Box::pin(self.inner.call(request)) };
        let rule = rule_of(request.uri().path());
        if rule == Rule::Open {
            return Box::pin(self.inner.call(request));
        }
        let proof = Proof::of(request.headers(), request.extensions());
        let lists = callers.subscribe();
        let list = Arc::clone(&lists.borrow());
        let known = proof.as_ref().and_then(|proof| proof.entry(&list)).map(|entry| Arc::clone(&entry.name));
        let admitted = proof.ok_or(RequestError::CallerUnknown).and_then(|proof| {
            let name = Admitted::check(&proof, rule, &list)?;
            Ok(Admitted { proof, rule, name, lists })
        });
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(refused) => {
                let method = (rule != Rule::Unlisted).then(|| request.uri().path());
                let address =
                    request.extensions().get::<TlsConnectInfo>().and_then(|info| info.tcp.remote_addr());
                callers.note_refusal(known.as_deref(), address, method, &refused);
                return Box::pin(std::future::ready(Ok(refusal(&refused).into_http())));
            }
        };
        // What proves a caller goes no further than here.
        request.headers_mut().remove(header::AUTHORIZATION);
        let span = tracing::info_span!("call", caller = &*admitted.name);
        request.extensions_mut().insert(Caller { name: Arc::clone(&admitted.name) });
        let response = self.inner.call(request);
        let mut revocation: Revocation = Box::pin(admitted.revoked());
        let answered = async move {
            tokio::select! {
                biased;
                response = response => Ok(response?.map(|body| Body::new(RevocableBody { body, revocation: Some(revocation) }))),
                refused = &mut revocation => Ok(refusal(&refused).into_http()),
            }
        };
        Box::pin(answered.instrument(span))
    }
}

fn refusal(error: &RequestError) -> Status {
    to_status(&error.clone().into())
}

/// A response's body that ends when its caller is no longer admitted.
struct RevocableBody {
    body: Body,
    /// `None` once it has ended the body.
    revocation: Option<Revocation>,
}

impl HttpBody for RevocableBody {
    type Data = <Body as HttpBody>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let Some(revocation) = &mut self.revocation else { return Poll::Ready(None) };
        if let Poll::Ready(refused) = revocation.as_mut().poll(context) {
            self.revocation = None;
            let mut trailers = HeaderMap::new();
            let status = refusal(&refused);
            // The status is ours, and so its message and details are ASCII or encoded.
            return Poll::Ready(Some(match status.add_header(&mut trailers) {
                Ok(()) => Ok(Frame::trailers(trailers)),
                Err(status) => Err(status),
            }));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.revocation.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
