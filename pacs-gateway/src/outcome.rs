//! What a modality is told of its object (PS3.4 annex B.2.3, PS3.7 annex C), and under which stable reason.
//!
//! | status | when |
//! |---|---|
//! | 0000 | the receiver has stored it, and its receipt is in |
//! | A700 | sender or receiver is away, full, stopping or slow: the modality tries again |
//! | A900 | the data set is not the object that the request announced |
//! | C000 | the object itself cannot be taken: damaged, or too large |
//! | 0110 | anything else: a person must look |
//! | 0117 | its SOP Instance UID is none |
//! | 0122, 0211 | a SOP class or an operation that was not agreed on |
//! | FE00 | the modality gave it up itself |

use latentwire_service::status::{reason, reason_of};
use thiserror::Error;
use tonic::{Code, Status};

use crate::{elements::ElementError, object::Refused};

/// DIMSE status: done.
pub const SUCCESS: u16 = 0x0000;
/// DIMSE status: processing failure.
pub const PROCESSING_FAILURE: u16 = 0x0110;
/// DIMSE status: invalid SOP instance.
pub const INVALID_SOP_INSTANCE: u16 = 0x0117;
/// DIMSE status: SOP class not supported.
pub const SOP_CLASS_NOT_SUPPORTED: u16 = 0x0122;
/// DIMSE status: unrecognized operation.
pub const UNRECOGNIZED_OPERATION: u16 = 0x0211;
/// DIMSE status: refused, out of resources.
pub const OUT_OF_RESOURCES: u16 = 0xa700;
/// DIMSE status: data set does not match SOP class.
pub const DATA_SET_MISMATCH: u16 = 0xa900;
/// DIMSE status: cannot understand.
pub const CANNOT_UNDERSTAND: u16 = 0xc000;
/// DIMSE status: cancel.
pub const CANCELLED: u16 = 0xfe00;

/// Why an object was not delivered.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The memory for objects is full.
    #[error("the gateway's memory for objects is full")]
    BufferFull,
    /// The peer gave it up.
    #[error("the peer gave it up")]
    Cancelled,
    /// The data set cannot be read as one.
    #[error("the data set is damaged: {0}")]
    DataSet(ElementError),
    /// The data set says another SOP class or instance than the request.
    #[error("the data set is not the object that the request announced")]
    Mismatch,
    /// The sender answered, but not that it delivered this object.
    #[error("the sender did not say that it delivered the object")]
    NotDelivered,
    /// The sender refused it, for a reason of its list.
    #[error("the sender answered {reason}")]
    Sender {
        /// gRPC status code.
        code: Code,
        /// Stable reason.
        reason: &'static str,
    },
    /// The sender cannot be reached, or the connection to it broke.
    #[error("the sender cannot be reached: check --sender, and that sender-svc runs")]
    SenderUnavailable,
    /// What listens at --sender is no sender.
    #[error("what listens at --sender is no sender-svc")]
    NoSender,
    /// It was not delivered in time.
    #[error("the object was not delivered within --delivery-timeout")]
    TimedOut,
    /// Larger than allowed.
    #[error("the object is larger than --max-object-bytes")]
    TooLarge,
    /// Its SOP Instance UID is written otherwise than UIDs are.
    #[error("the request's SOP Instance UID is none: digits and dots, at most 64")]
    Uid,
    /// Stored in a presentation context of another SOP class.
    #[error("the request's SOP class is not that of its presentation context")]
    WrongContext,
}

impl Failure {
    /// The DIMSE status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BufferFull | Self::SenderUnavailable | Self::TimedOut => OUT_OF_RESOURCES,
            Self::Cancelled => CANCELLED,
            Self::DataSet(_) | Self::TooLarge => CANNOT_UNDERSTAND,
            Self::Mismatch => DATA_SET_MISMATCH,
            Self::NoSender | Self::NotDelivered => PROCESSING_FAILURE,
            Self::Sender { code, reason } => of_sender(code, reason),
            Self::Uid => INVALID_SOP_INSTANCE,
            Self::WrongContext => SOP_CLASS_NOT_SUPPORTED,
        }
    }

    /// A stable word for it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::BufferFull => "BUFFER_FULL",
            Self::Cancelled => "CANCELLED",
            Self::DataSet(_) => "DATA_SET_MALFORMED",
            Self::Mismatch => "DATA_SET_MISMATCH",
            Self::NoSender => "NO_SENDER",
            Self::NotDelivered => "NOT_DELIVERED",
            Self::Sender { reason, .. } => reason,
            Self::SenderUnavailable => "SENDER_UNAVAILABLE",
            Self::TimedOut => "DELIVERY_TIMEOUT",
            Self::TooLarge => "OBJECT_TOO_LARGE",
            Self::Uid => "INVALID_SOP_INSTANCE_UID",
            Self::WrongContext => "SOP_CLASS_NOT_SUPPORTED",
        }
    }

    /// The Error Comment of the response: at most 64 characters, nothing of the object.
    #[must_use]
    pub fn comment(self) -> String {
        let advice = match self.status() {
            OUT_OF_RESOURCES => "try again later",
            DATA_SET_MISMATCH => "not the object of the request",
            CANNOT_UNDERSTAND | INVALID_SOP_INSTANCE => "this object cannot be sent",
            CANCELLED => "given up",
            _ => "see the gateway's log",
        };
        format!("{}: {advice}", self.reason())
    }

    /// Whether a latent cannot hold this object, whereas its own bytes may well travel.
    #[must_use]
    pub fn asks_for_exact(self) -> bool {
        let reasons = [reason::UNSUPPORTED_IMAGE, reason::UNSUPPORTED_TRANSFER_SYNTAX];
        matches!(self, Self::Sender { reason, .. } if reasons.contains(&reason))
    }
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        let given = reason_of(status);
        let code = status.code();
        match reason::ALL.into_iter().find(|known| *known == given) {
            Some(reason) => Self::Sender { code, reason },
            // No word of a sender: the connection, or somebody else.
            None if code == Code::Unimplemented => Self::NoSender,
            None if code == Code::DeadlineExceeded => Self::TimedOut,
            None => Self::SenderUnavailable,
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooLarge => Self::TooLarge,
            Refused::BufferFull => Self::BufferFull,
        }
    }
}

impl From<ElementError> for Failure {
    fn from(error: ElementError) -> Self {
        Self::DataSet(error)
    }
}

fn of_sender(code: Code, why: &'static str) -> u16 {
    match code {
        Code::Aborted
        | Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Unavailable => OUT_OF_RESOURCES,
        // A field of the request is the gateway's configuration, not the object.
        Code::InvalidArgument if why == reason::INVALID_FIELD => PROCESSING_FAILURE,
        Code::InvalidArgument | Code::OutOfRange => CANNOT_UNDERSTAND,
        Code::AlreadyExists
        | Code::DataLoss
        | Code::FailedPrecondition
        | Code::Internal
        | Code::NotFound
        | Code::Ok
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::Unknown => PROCESSING_FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use latentwire_service::status::{RequestError, to_status};

    use super::*;

    fn of(error: RequestError) -> Failure {
        Failure::from(&to_status(&error.into()))
    }

    #[test]
    fn the_senders_word_becomes_a_status_and_a_reason() {
        let away = RequestError::PeerUnavailable { destination: "b".to_owned(), cause: "away".to_owned() };
        let field = RequestError::InvalidField { field: "f", what: "w".to_owned() };
        for (error, status, reason) in [
            (away, OUT_OF_RESOURCES, "PEER_UNAVAILABLE"),
            (RequestError::Overloaded, OUT_OF_RESOURCES, "OVERLOADED"),
            (RequestError::StorageFull, OUT_OF_RESOURCES, "STORAGE_FULL"),
            (RequestError::ShuttingDown, OUT_OF_RESOURCES, "SHUTTING_DOWN"),
            (RequestError::TooLarge { limit: 1 }, CANNOT_UNDERSTAND, "TRANSFER_TOO_LARGE"),
            (field, PROCESSING_FAILURE, "INVALID_FIELD"),
            (
                RequestError::DestinationUnknown { name: "b".to_owned() },
                PROCESSING_FAILURE,
                "DESTINATION_UNKNOWN",
            ),
            (RequestError::Panicked, PROCESSING_FAILURE, "INTERNAL"),
        ] {
            let failure = of(error);
            assert_eq!((failure.status(), failure.reason()), (status, reason));
        }
    }

    #[test]
    fn a_status_without_a_reason_is_no_word_of_a_sender() {
        for (code, failure) in [
            (Code::Unavailable, Failure::SenderUnavailable),
            (Code::Unknown, Failure::SenderUnavailable),
            (Code::DeadlineExceeded, Failure::TimedOut),
            (Code::Unimplemented, Failure::NoSender),
        ] {
            assert_eq!(Failure::from(&Status::new(code, "DOE^JOHN")), failure);
        }
    }

    #[test]
    fn a_comment_fits_and_never_says_success() {
        let mut all = vec![
            Failure::BufferFull,
            Failure::Cancelled,
            Failure::DataSet(ElementError::Truncated),
            Failure::Mismatch,
            Failure::NoSender,
            Failure::NotDelivered,
            Failure::SenderUnavailable,
            Failure::TimedOut,
            Failure::TooLarge,
            Failure::Uid,
            Failure::WrongContext,
        ];
        for reason in reason::ALL {
            let codes = (0..=16).map(Code::from_i32);
            all.extend(codes.map(|code| Failure::Sender { code, reason }));
        }
        for failure in all {
            assert!(failure.comment().len() <= 64, "{}", failure.comment());
            assert_ne!(failure.status(), SUCCESS, "{failure:?}");
        }
    }
}
