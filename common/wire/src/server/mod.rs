//! The receiver's end of sessions.

mod admission;
mod answers;
mod handshakes;
mod session;
mod shared;
mod transfer;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use latentwire_proto::v1::transfer_service_server::{TransferService, TransferServiceServer};
use latentwire_proto::v1::{SessionRequest, SessionResponse};
use latentwire_sealing::{SecretKey, TrustStore};
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tonic::{Request, Streaming};

use self::shared::Shared;
use crate::error::printable;
use crate::{MAX_MESSAGE_BYTES, ReceiverLimits, TransferSink, WireError};

/// Answers that may wait for a peer to read them.
const ANSWER_QUEUE: usize = 8;

/// Tells the time for checks of validity and revocation.
pub type Clock = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// The system's clock.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(OffsetDateTime::now_utc)
}

/// Wraps the service with the message limits of the protocol; compression stays off.
pub fn transfer_server<T: TransferService>(service: T) -> TransferServiceServer<T> {
    TransferServiceServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// All sessions of a receiver, with what bounds them together.
pub struct SessionServer<S: TransferSink> {
    shared: Arc<Shared<S>>,
}

impl<S: TransferSink> Clone for SessionServer<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S: TransferSink> SessionServer<S> {
    /// A server of sessions under one receiver key.
    ///
    /// A new trust store sent through `trust` holds at once, for live sessions too.
    #[must_use]
    pub fn new(
        identity: Arc<SecretKey>,
        trust: watch::Receiver<Arc<TrustStore>>,
        sink: Arc<S>,
        limits: ReceiverLimits,
        clock: Clock,
    ) -> Self {
        Self { shared: Arc::new(Shared::new(identity, trust, sink, limits, clock)) }
    }

    /// Drives one session on a task of its own; the stream holds its answers and, last, the error that ended it.
    ///
    /// Must be called within a Tokio runtime. Dropping the stream ends the session; what is being stored is stored.
    ///
    /// # Errors
    /// The stream's item; the service maps it with [`WireError::code`], [`WireError::reason`] and
    /// [`WireError::public_message`], and adds nothing.
    pub fn serve(&self, request: Request<Streaming<SessionRequest>>) -> SessionStream {
        let (answers, stream) = mpsc::channel(ANSWER_QUEUE);
        let shared = Arc::clone(&self.shared);
        let encoding = request.metadata().get("grpc-encoding").map(|value| value.as_bytes());
        let refusal = refuse_compression(encoding).err();
        let requests = request.into_inner();
        self.shared.tasks.spawn(async move {
            match refusal {
                None => session::run(shared, requests, answers).await,
                Some(error) => session::end(&shared, &answers, error).await,
            }
        });
        SessionStream { answers: stream }
    }

    /// Sessions that are open now.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.shared.open_sessions()
    }

    /// Padded bytes of all transfers that are open now, as announced by their Opens.
    #[must_use]
    pub fn buffered_bytes(&self) -> u64 {
        self.shared.buffered_bytes()
    }

    /// Takes no more transfers (PEER_UNAVAILABLE), lets open ones finish, ends idle sessions, and returns when the last
    /// session is over and everything received is stored.
    pub async fn drain(&self) {
        self.shared.draining.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

/// The answers of one session, in order.
pub struct SessionStream {
    answers: mpsc::Receiver<Result<SessionResponse, WireError>>,
}

impl Stream for SessionStream {
    type Item = Result<SessionResponse, WireError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.answers.poll_recv(context)
    }
}

/// Looks at a call's `grpc-encoding` header: nothing but `identity` is spoken.
///
/// For whoever stands before the routes: tonic refuses encodings that it was not told to accept, but without a reason of ours.
/// A session looks by itself too, however its service is set up.
///
/// # Errors
/// [`WireError::CompressionRefused`].
pub fn refuse_compression(encoding: Option<&[u8]>) -> Result<(), WireError> {
    match encoding {
        None | Some(b"identity") => Ok(()),
        Some(other) => {
            let encoding = printable(&String::from_utf8_lossy(other), 32);
            Err(WireError::CompressionRefused { encoding })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_identity_is_spoken() {
        assert_eq!(refuse_compression(None), Ok(()));
        assert_eq!(refuse_compression(Some(b"identity")), Ok(()));
        for encoding in ["gzip", "zstd", "deflate", "Identity", ""] {
            let error = refuse_compression(Some(encoding.as_bytes())).expect_err(encoding);
            assert_eq!(error.code(), tonic::Code::Unimplemented, "{encoding}");
        }
    }
}
