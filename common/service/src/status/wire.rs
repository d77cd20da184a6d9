//! What a session at either end fails with.

use latentwire_wire::{Reason, Retry, WireError};

use super::{Classified, LATER, RequestError, SOON, request_id};

pub(super) fn classify(error: &WireError) -> Classified {
    let cause = error.reason();
    // The sentence depends on the reason alone: causes that must look alike to a peer do.
    let mut classified = Classified::new(cause.code(), cause.as_str(), &error.public_message());
    match cause.retry() {
        Retry::Backoff => {
            let delay = if cause == Reason::Overloaded { SOON } else { LATER };
            classified.details.set_retry_info(Some(delay));
        }
        Retry::Never | Retry::NewSession | Retry::OnceOverNewSession => {}
    }
    match cause {
        Reason::FidelityBelowFloor | Reason::ModelMismatch | Reason::VersionUnsupported => {
            let subject = cause.as_str();
            classified.details.add_precondition_failure_violation(
                subject,
                "transfer",
                error.public_message(),
            );
        }
        Reason::InnerLayerUnsupported
        | Reason::InvalidTensor
        | Reason::SegmentationUnsupported
        | Reason::UnsupportedTransferSyntax => {
            classified.details.add_bad_request_violation("transfer", error.public_message());
        }
        Reason::Internal => {
            let id = request_id();
            tracing::error!(request_id = id, %error, "internal error in a session");
            return super::request::classify(&RequestError::Internal { id });
        }
        Reason::TransferConflict => {
            classified.details.set_resource_info("transfer", "", "", "known with other content");
        }
        // Nothing more is said, least of all about key agreement and authentication.
        Reason::AuditUnavailable
        | Reason::Cancelled
        | Reason::CompressionRefused
        | Reason::Deadline
        | Reason::HandshakeFailed
        | Reason::ModelNotReady
        | Reason::Overloaded
        | Reason::PayloadAuthenticationFailed
        | Reason::PeerNotAllowed
        | Reason::PeerUnavailable
        | Reason::SessionExpired
        | Reason::StorageFull
        | Reason::StreamTruncated
        | Reason::TransferInProgress
        | Reason::TransferTooLarge => {}
        _ => {}
    }
    classified
}
