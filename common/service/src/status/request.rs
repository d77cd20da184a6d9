//! What a service itself finds wrong with a call.

use std::time::Duration;

use thiserror::Error;
use tonic::Code;

use super::{Classified, LATER, SOON, reason};

/// What a service itself finds wrong with a call, or cannot do now. The texts travel: nothing in them names a patient.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// What happens could not be written down.
    #[error(
        "the audit log cannot be written, and nothing is transferred without it: free space on its disk; the service's log says more"
    )]
    AuditUnavailable,
    /// Nobody whom the callers' file lists. The same for every method and whatever was shown.
    #[error(
        "this service asks who calls, and does not know this caller: show a token or a client certificate that its callers file lists"
    )]
    CallerUnknown,
    /// A known caller that may not do this.
    #[error("this caller may not do that: what it may do stands in the service's callers file")]
    CallerNotAllowed,
    /// No permit is left.
    #[error("the service has as much to do as it may: try again in a moment")]
    Overloaded,
    /// The request's time is over.
    #[error("the request was not answered in time: try again, or allow it more time")]
    Deadline,
    /// The decoder gives other pixels than those that were vouched for.
    #[error(
        "this machine's decoder no longer gives the pixels that were found equal: restore the former ONNX Runtime or processor"
    )]
    DecoderChanged,
    /// The destination is not configured.
    #[error("there is no destination {name:?}: name one of the sender's configuration")]
    DestinationUnknown {
        /// As asked for.
        name: String,
    },
    /// There is no such image.
    #[error("there is no such image: ListImages says which there are")]
    ImageNotFound,
    /// A fault of this machine; `id` finds it in the log.
    #[error("something failed inside the service: its log says more under request {id}")]
    Internal {
        /// Id in the log.
        id: String,
    },
    /// A field is missing or out of range.
    #[error("{field}: {what}")]
    InvalidField {
        /// Its name in the protobuf message, such as `policy.floors.min_ssim`.
        field: &'static str,
        /// What it must be.
        what: String,
    },
    /// Fields of the policy contradict each other, or this image.
    #[error("{what}")]
    InvalidPolicy {
        /// Which, and what to do.
        what: String,
    },
    /// Asked for something of a later version.
    #[error("{what} is not enabled in this version")]
    NotEnabled {
        /// What was asked for.
        what: &'static str,
    },
    /// Models are not loaded yet.
    #[error("the models are not loaded yet: try again in a moment")]
    NotReady,
    /// A handler panicked.
    #[error("something failed inside the service; its log says more")]
    Panicked,
    /// The receiver cannot be reached.
    #[error("destination {destination:?} cannot be reached ({cause}): try again later")]
    PeerUnavailable {
        /// Its name in the sender's configuration.
        destination: String,
        /// Why, in a few words.
        cause: String,
    },
    /// The service is stopping.
    #[error("the service is stopping: try again in a moment")]
    ShuttingDown,
    /// The disk, or the quota, is full.
    #[error("the receiver's storage is full: free space or raise --max-store-bytes, then try again")]
    StorageFull,
    /// The peer let a stream rest for too long.
    #[error("nothing came for too long: send the next message in time")]
    StreamIdle,
    /// The stream ended too early.
    #[error("the stream ended after {received} bytes, before the image was complete: send it again")]
    StreamTruncated {
        /// Bytes that came.
        received: u64,
    },
    /// Larger than allowed.
    #[error("the file is larger than the {limit} bytes that are allowed")]
    TooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// The transfer id is known with other content.
    #[error("transfer {id} is known with other content: give this image an id of its own")]
    TransferConflict {
        /// Hex.
        id: String,
    },
    /// There is no such transfer.
    #[error("there is no such transfer: ListTransfers says which there are")]
    TransferNotFound,
}

pub(super) fn classify(error: &RequestError) -> Classified {
    let new = |code, reason| Classified::new(code, reason, error);
    match error {
        RequestError::AuditUnavailable => retry(new(Code::Unavailable, reason::AUDIT_UNAVAILABLE), LATER),
        RequestError::CallerNotAllowed => new(Code::PermissionDenied, reason::CALLER_NOT_ALLOWED),
        RequestError::CallerUnknown => new(Code::Unauthenticated, reason::CALLER_UNKNOWN),
        RequestError::Deadline => new(Code::DeadlineExceeded, reason::DEADLINE),
        RequestError::DecoderChanged => {
            let mut changed = new(Code::FailedPrecondition, reason::MODEL_MISMATCH);
            changed.details.add_precondition_failure_violation(
                "DECODER",
                "reconstruction",
                error.to_string(),
            );
            changed
        }
        RequestError::DestinationUnknown { name } => {
            let mut known = new(Code::NotFound, reason::DESTINATION_UNKNOWN);
            known.details.set_resource_info("destination", name, "", "not in the sender's configuration");
            known
        }
        RequestError::ImageNotFound => new(Code::NotFound, reason::IMAGE_NOT_FOUND),
        RequestError::Internal { id } => {
            let mut internal = new(Code::Internal, reason::INTERNAL);
            internal.details.set_request_info(id, "");
            internal
        }
        RequestError::InvalidField { field, what } => {
            let mut invalid = new(Code::InvalidArgument, reason::INVALID_FIELD);
            invalid.details.add_bad_request_violation(*field, what);
            invalid
        }
        RequestError::InvalidPolicy { what } => {
            let mut invalid = new(Code::InvalidArgument, reason::INVALID_POLICY);
            invalid.details.add_bad_request_violation("policy", what);
            invalid
        }
        RequestError::NotEnabled { what } => {
            let mut refused = new(Code::FailedPrecondition, reason::NOT_ENABLED);
            refused.details.add_precondition_failure_violation("VERSION", *what, error.to_string());
            refused
        }
        RequestError::NotReady => retry(new(Code::Unavailable, reason::MODEL_NOT_READY), LATER),
        RequestError::Overloaded => retry(new(Code::ResourceExhausted, reason::OVERLOADED), SOON),
        RequestError::Panicked => new(Code::Internal, reason::INTERNAL),
        RequestError::PeerUnavailable { destination, .. } => {
            let mut away = retry(new(Code::Unavailable, reason::PEER_UNAVAILABLE), LATER);
            away.metadata.push(("destination", destination.clone()));
            away
        }
        RequestError::ShuttingDown => retry(new(Code::Unavailable, reason::SHUTTING_DOWN), LATER),
        RequestError::StorageFull => retry(new(Code::ResourceExhausted, reason::STORAGE_FULL), LATER),
        RequestError::StreamIdle => new(Code::DeadlineExceeded, reason::STREAM_IDLE),
        RequestError::StreamTruncated { .. } => new(Code::DataLoss, reason::STREAM_TRUNCATED),
        RequestError::TooLarge { limit } => {
            let mut large = new(Code::OutOfRange, reason::TRANSFER_TOO_LARGE);
            large.metadata.push(("limit_bytes", limit.to_string()));
            large
        }
        RequestError::TransferConflict { id } => {
            let mut conflict = new(Code::AlreadyExists, reason::TRANSFER_CONFLICT);
            conflict.details.set_resource_info("transfer", id, "", "known with other content");
            conflict
        }
        RequestError::TransferNotFound => new(Code::NotFound, reason::TRANSFER_NOT_FOUND),
    }
}

fn retry(mut classified: Classified, delay: Duration) -> Classified {
    classified.details.set_retry_info(Some(delay));
    classified
}
