//! Steps 1 and 2 at the sender, and what a peer's gRPC status means.

use latentwire_proto::v1::session_request::Step;
use latentwire_proto::v1::session_response::Step as AnswerStep;
use latentwire_proto::v1::transfer_service_client::TransferServiceClient;
use latentwire_proto::v1::{Hello, SessionRequest, SessionResponse};
use latentwire_sealing::{Established, Initiator, PublicKey, SecretKey};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use tonic_types::{ErrorInfo, StatusExt as _};

use crate::error::printable;
use crate::messages::{request, system_rng, within};
use crate::{MAX_MESSAGE_BYTES, Reason, Timeouts, WireError};

/// Messages that may wait for HTTP/2: few, so that an urgent transfer waits behind few.
const REQUEST_QUEUE: usize = 2;

/// `ErrorInfo.domain` of our services.
const DOMAIN: &str = "latentwire.v1";

/// An established session's two directions and its keys.
pub(super) struct SessionIo {
    pub(super) requests: mpsc::Sender<SessionRequest>,
    pub(super) responses: Streaming<SessionResponse>,
    pub(super) established: Established,
}

pub(super) async fn connect(
    channel: Channel,
    identity: &SecretKey,
    receiver: &PublicKey,
    timeouts: &Timeouts,
) -> Result<SessionIo, WireError> {
    let (initiator, hello) = Initiator::start(identity, receiver, &mut system_rng())?;
    let mut client = TransferServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let (requests, outbound) = mpsc::channel(REQUEST_QUEUE);
    let hello = Hello { version: hello.version, suite: hello.suite, noise: hello.noise.into() };
    requests
        .try_send(request(Step::Hello(hello)))
        .map_err(|_| WireError::Internal("no room for the first message"))?;
    let answer = within(timeouts.handshake, "a connection", client.session(ReceiverStream::new(outbound)));
    let mut responses = answer
        .await?
        .map_err(|status| told(status.code(), status.message(), status.get_details_error_info()))?
        .into_inner();
    let first = within(timeouts.handshake, "HelloReply", responses.message());
    let first = first
        .await?
        .map_err(|status| told(status.code(), status.message(), status.get_details_error_info()))?;
    let Some(AnswerStep::HelloReply(reply)) = first.and_then(|message| message.step) else {
        return Err(WireError::OutOfOrder { what: "the first answer is not HelloReply" });
    };
    let established = initiator.finish(&reply.noise)?;
    Ok(SessionIo { requests, responses, established })
}

/// What a gRPC status of the peer says: our own reason where it carries one, else what the code tells.
pub(super) fn told(code: Code, message: &str, info: Option<ErrorInfo>) -> WireError {
    let reason = info.filter(|info| info.domain == DOMAIN).and_then(|info| Reason::parse(&info.reason));
    match (reason, code) {
        (Some(reason), _) => WireError::peer(reason, message),
        (None, Code::Unauthenticated) => WireError::peer(Reason::HandshakeFailed, message),
        (None, Code::PermissionDenied) => WireError::peer(Reason::PeerNotAllowed, message),
        (None, Code::ResourceExhausted) => WireError::peer(Reason::Overloaded, message),
        (None, Code::DeadlineExceeded) => WireError::peer(Reason::Deadline, message),
        (None, Code::OutOfRange) => WireError::peer(Reason::TransferTooLarge, message),
        (None, code) => WireError::Unavailable { why: format!("{code:?}: {}", printable(message, 128)) },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_reason_counts_only_in_our_domain() {
        let info = |domain: &str| Some(ErrorInfo::new("PEER_NOT_ALLOWED", domain, HashMap::new()));
        assert_eq!(told(Code::Internal, "x", info(DOMAIN)).reason(), Reason::PeerNotAllowed);
        assert_eq!(told(Code::Internal, "x", info("elsewhere")).reason(), Reason::PeerUnavailable);
        assert_eq!(told(Code::Unauthenticated, "x", None).reason(), Reason::HandshakeFailed);
    }

    #[test]
    fn a_peer_cannot_write_into_the_log() {
        let error = told(Code::Unavailable, "one\n\u{1b}[31mtwo", None);
        assert_eq!(error, WireError::Unavailable { why: "Unavailable: one[31mtwo".into() });
    }
}
