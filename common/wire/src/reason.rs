//! The table of reasons: what a peer may be told, its gRPC code, and whether trying again helps.

use std::fmt;

use latentwire_sealing::WireReason;
use tonic::Code;

/// Stable reason of a failure, as it stands in `ErrorInfo.reason` and in control messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The receiver cannot write its audit log, and takes nothing without it.
    AuditUnavailable,
    /// The sender gave the transfer up.
    Cancelled,
    /// A message asked for a gRPC compression; patient data is never compressed by the transport.
    CompressionRefused,
    /// A wait took too long, or the peer sent too slowly.
    Deadline,
    /// Below the fidelity floor with REJECT.
    FidelityBelowFloor,
    /// Any failure of key agreement.
    HandshakeFailed,
    /// An inner layer that the receiver does not allow.
    InnerLayerUnsupported,
    /// A fault on the own side.
    Internal,
    /// A field, shape or message that cannot be.
    InvalidTensor,
    /// The receiver does not hold the decoder that the transfer names.
    ModelMismatch,
    /// The decoder is still loading.
    ModelNotReady,
    /// Too much at once; later there is room.
    Overloaded,
    /// Tag, commitment, order or trailing data.
    PayloadAuthenticationFailed,
    /// The trust store does not admit the peer, or not this form or model from it.
    PeerNotAllowed,
    /// The peer is away or draining.
    PeerUnavailable,
    /// A segmentation that the receiver does not allow.
    SegmentationUnsupported,
    /// The session may open no more transfers.
    SessionExpired,
    /// The receiver's disk or the peer's share of it is full.
    StorageFull,
    /// The stream ended before the last segment.
    StreamTruncated,
    /// The transfer id is known with other content.
    TransferConflict,
    /// The same transfer is on its way already.
    TransferInProgress,
    /// Larger than the protocol or the quota allows.
    TransferTooLarge,
    /// The pixels of this DICOM transfer syntax cannot be read.
    UnsupportedTransferSyntax,
    /// Another protocol version or suite.
    VersionUnsupported,
}

/// What a failed transfer can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Later, with backoff, over this session or another.
    Backoff,
    /// Nothing: the same transfer fails again.
    Never,
    /// At once, over a new session.
    NewSession,
    /// Once, over a new session; a second time means an attack or a broken link.
    OnceOverNewSession,
}

const ALL: [Reason; 24] = [
    Reason::AuditUnavailable,
    Reason::Cancelled,
    Reason::CompressionRefused,
    Reason::Deadline,
    Reason::FidelityBelowFloor,
    Reason::HandshakeFailed,
    Reason::InnerLayerUnsupported,
    Reason::Internal,
    Reason::InvalidTensor,
    Reason::ModelMismatch,
    Reason::ModelNotReady,
    Reason::Overloaded,
    Reason::PayloadAuthenticationFailed,
    Reason::PeerNotAllowed,
    Reason::PeerUnavailable,
    Reason::SegmentationUnsupported,
    Reason::SessionExpired,
    Reason::StorageFull,
    Reason::StreamTruncated,
    Reason::TransferConflict,
    Reason::TransferInProgress,
    Reason::TransferTooLarge,
    Reason::UnsupportedTransferSyntax,
    Reason::VersionUnsupported,
];

impl Reason {
    /// Every reason, in alphabetical order.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &ALL
    }

    /// The text that travels, for example `TRANSFER_CONFLICT`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The reason behind a text, if it is one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// The gRPC status code that goes with it.
    #[must_use]
    pub fn code(self) -> Code {
        self.row().1
    }

    /// Whether trying again helps.
    #[must_use]
    pub fn retry(self) -> Retry {
        self.row().2
    }

    /// A sentence for the peer: what went wrong and what to do, without any detail of the case.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> (&'static str, Code, Retry, &'static str) {
        use Retry::{Backoff, Never, NewSession, OnceOverNewSession};
        match self {
            Self::AuditUnavailable => (
                "AUDIT_UNAVAILABLE",
                Code::Unavailable,
                Backoff,
                "the receiver cannot write its audit log and takes nothing without it; its operator must free space",
            ),
            Self::Cancelled => ("CANCELLED", Code::Cancelled, Never, "the sender gave the transfer up"),
            Self::CompressionRefused => (
                "COMPRESSION_REFUSED",
                Code::Unimplemented,
                Never,
                "gRPC compression is not spoken on this service; send with grpc-encoding identity",
            ),
            Self::Deadline => (
                "DEADLINE",
                Code::DeadlineExceeded,
                Backoff,
                "a step of the session took longer than its limit; try again later",
            ),
            Self::FidelityBelowFloor => (
                "FIDELITY_BELOW_FLOOR",
                Code::FailedPrecondition,
                Never,
                "the reconstruction is below the fidelity floor; allow the exact form or lower the floor",
            ),
            Self::HandshakeFailed => (
                "HANDSHAKE_FAILED",
                Code::Unauthenticated,
                Never,
                "key agreement failed; check that both ends pin each other's current key",
            ),
            Self::InnerLayerUnsupported => (
                "INNER_LAYER_UNSUPPORTED",
                Code::InvalidArgument,
                Never,
                "the receiver does not allow this inner layer; send with inner layer NONE, or ask its operator for it",
            ),
            Self::Internal => ("INTERNAL", Code::Internal, Never, "a fault inside the service; see its log"),
            Self::InvalidTensor => (
                "INVALID_TENSOR",
                Code::InvalidArgument,
                Never,
                "a field or shape of the coded image cannot be; the sender must code it anew",
            ),
            Self::ModelMismatch => (
                "MODEL_MISMATCH",
                Code::FailedPrecondition,
                Never,
                "the receiver does not hold the decoder that the transfer names; install the model at both ends, and allow \
                 research models at the receiver if it is one",
            ),
            Self::ModelNotReady => {
                ("MODEL_NOT_READY", Code::Unavailable, Backoff, "the decoder is still loading; try again")
            }
            Self::Overloaded => {
                ("OVERLOADED", Code::ResourceExhausted, Backoff, "too much at once; try again later")
            }
            Self::PayloadAuthenticationFailed => (
                "PAYLOAD_AUTHENTICATION_FAILED",
                Code::DataLoss,
                OnceOverNewSession,
                "a sealed message does not authenticate",
            ),
            Self::PeerNotAllowed => (
                "PEER_NOT_ALLOWED",
                Code::PermissionDenied,
                Never,
                "a trust store does not allow this; the receiver's operator, or the sender's for the receiver's key, can say why",
            ),
            Self::PeerUnavailable => {
                ("PEER_UNAVAILABLE", Code::Unavailable, Backoff, "the peer is away or draining; try again")
            }
            Self::SegmentationUnsupported => (
                "SEGMENTATION_UNSUPPORTED",
                Code::InvalidArgument,
                Never,
                "the receiver does not allow this segmentation; send with segmentation FIXED, or ask its operator for it",
            ),
            Self::SessionExpired => (
                "SESSION_EXPIRED",
                Code::FailedPrecondition,
                NewSession,
                "this session may open no more transfers; start another",
            ),
            Self::StorageFull => (
                "STORAGE_FULL",
                Code::ResourceExhausted,
                Backoff,
                "the receiver has no room; free some or raise the quota, the transfer waits meanwhile",
            ),
            Self::StreamTruncated => (
                "STREAM_TRUNCATED",
                Code::DataLoss,
                OnceOverNewSession,
                "the stream ended before the last segment",
            ),
            Self::TransferConflict => (
                "TRANSFER_CONFLICT",
                Code::AlreadyExists,
                Never,
                "the transfer id is known with other content; send the other content under another id",
            ),
            Self::TransferInProgress => (
                "TRANSFER_IN_PROGRESS",
                Code::Aborted,
                Backoff,
                "the same transfer is on its way over another stream; try again when that has ended",
            ),
            Self::TransferTooLarge => (
                "TRANSFER_TOO_LARGE",
                Code::OutOfRange,
                Never,
                "the transfer is larger than the protocol or the receiver's quota allows",
            ),
            Self::UnsupportedTransferSyntax => (
                "UNSUPPORTED_TRANSFER_SYNTAX",
                Code::InvalidArgument,
                Never,
                "the pixels of this transfer syntax cannot be read; send it in exact mode",
            ),
            Self::VersionUnsupported => (
                "VERSION_UNSUPPORTED",
                Code::FailedPrecondition,
                Never,
                "the peer speaks another protocol version or suite; upgrade the older end",
            ),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<WireReason> for Reason {
    fn from(reason: WireReason) -> Self {
        // `WireReason` may grow; an unknown one says nothing to the peer.
        Self::parse(reason.as_str()).unwrap_or(Self::Internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_unique_sorted_and_parse_back() {
        for pair in ALL.windows(2) {
            assert!(pair[0].as_str() < pair[1].as_str(), "{} before {}", pair[0], pair[1]);
        }
        for reason in ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(Reason::parse("NO_SUCH_REASON"), None);
    }

    #[test]
    fn every_reason_of_the_sealing_layer_is_known() {
        for reason in [
            WireReason::HandshakeFailed,
            WireReason::Internal,
            WireReason::PayloadAuthenticationFailed,
            WireReason::PeerNotAllowed,
            WireReason::StreamTruncated,
            WireReason::TransferTooLarge,
            WireReason::VersionUnsupported,
        ] {
            assert_eq!(Reason::from(reason).as_str(), reason.as_str());
        }
    }

    #[test]
    fn codes_follow_the_error_table() {
        for (reason, code) in [
            (Reason::VersionUnsupported, Code::FailedPrecondition),
            (Reason::ModelMismatch, Code::FailedPrecondition),
            (Reason::SessionExpired, Code::FailedPrecondition),
            (Reason::HandshakeFailed, Code::Unauthenticated),
            (Reason::PeerNotAllowed, Code::PermissionDenied),
            (Reason::PayloadAuthenticationFailed, Code::DataLoss),
            (Reason::StreamTruncated, Code::DataLoss),
            (Reason::TransferConflict, Code::AlreadyExists),
            (Reason::TransferTooLarge, Code::OutOfRange),
            (Reason::Overloaded, Code::ResourceExhausted),
            (Reason::ModelNotReady, Code::Unavailable),
            (Reason::PeerUnavailable, Code::Unavailable),
            (Reason::Deadline, Code::DeadlineExceeded),
            (Reason::Internal, Code::Internal),
        ] {
            assert_eq!(reason.code(), code, "{reason}");
        }
    }
}
