//! What can go wrong in a session, precisely for the log and coarsely for the peer.

use std::time::Duration;

use latentwire_sealing::CryptoError;
use thiserror::Error;
use tonic::Code;

use crate::reason::{Reason, Retry};

/// Every failure of a session or of one transfer in it, at either end.
///
/// `Display` is for our own log and names the precise cause; it holds no key, no plaintext and nothing of the
/// patient's. What a *peer* may see is [`WireError::reason`] with [`WireError::public_message`]: all cryptographic
/// causes of one step look alike there.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The sender's own caller gave the transfer up.
    #[error("transfer was given up")]
    Cancelled,
    /// A stream asked for gRPC compression.
    #[error("stream with grpc-encoding {encoding:?} is refused; only identity is spoken")]
    CompressionRefused {
        /// What the header said, cut to 32 characters.
        encoding: String,
    },
    /// A cryptographic failure found at this end.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// A wait took too long.
    #[error("{waiting_for} did not come within {after:?}")]
    Deadline {
        /// What was waited for.
        waiting_for: &'static str,
        /// How long.
        after: Duration,
    },
    /// The exact form that the receiver asked for could not be made.
    #[error("receiver asked for the exact form, which could not be made: {0}")]
    ExactForm(String),
    /// A fault of our own.
    #[error("internal fault: {0}")]
    Internal(&'static str),
    /// A message that is no valid protobuf, or misses a field.
    #[error("malformed message: {what}")]
    Malformed {
        /// Which message and why.
        what: &'static str,
    },
    /// A gRPC message over the limit of this service.
    #[error("a message exceeds the limit of {limit} bytes")]
    MessageTooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// A message that the peer must not send in this state.
    #[error("peer broke the order of the protocol: {what}")]
    OutOfOrder {
        /// What came, and in which state.
        what: &'static str,
    },
    /// Too much at once, at this end.
    #[error("refused for want of room: {what}")]
    Overloaded {
        /// What ran out.
        what: &'static str,
    },
    /// The peer told us why: it ended the session or refused or failed the transfer.
    #[error("peer says {reason}: {message}")]
    Peer {
        /// Why.
        reason: Reason,
        /// The peer's sentence, cut to 256 printable characters.
        message: String,
    },
    /// The session was over before anything of this transfer was sent: try again over another, as nothing of it is used up.
    #[error("session was over before the transfer began: {cause}")]
    SessionEnded {
        /// What ended it.
        cause: Box<WireError>,
    },
    /// This session may open no more transfers; start another.
    #[error("session may open no more transfers ({limit}); start another")]
    SessionExpired {
        /// Which limit was reached.
        limit: &'static str,
    },
    /// The peer sends too slowly to be worth its place.
    #[error("peer sent {received} bytes in {window:?}, at least {expected} are due while a transfer is open")]
    TooSlow {
        /// Bytes that came.
        received: u64,
        /// Bytes that were due.
        expected: u64,
        /// In this time.
        window: Duration,
    },
    /// The transfer id is known at the receiver with other content: hold it.
    #[error("receiver knows this transfer id with other content; hold the transfer")]
    TransferConflict,
    /// The same transfer is open already.
    #[error("this transfer is on its way already")]
    TransferInProgress,
    /// Larger than allowed.
    #[error("transfer of {bytes} bytes exceeds the limit of {limit}")]
    TransferTooLarge {
        /// Bytes asked for.
        bytes: u64,
        /// Most that are allowed.
        limit: u64,
    },
    /// The stream under the session broke.
    #[error("connection to the peer is gone: {why}")]
    Unavailable {
        /// gRPC code and transport text.
        why: String,
    },
}

impl WireError {
    /// The stable reason, as a peer or a client may see it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Cancelled => Reason::Cancelled,
            Self::CompressionRefused { .. } => Reason::CompressionRefused,
            Self::Crypto(cause) => cause.wire_reason().into(),
            Self::Deadline { .. } | Self::TooSlow { .. } => Reason::Deadline,
            Self::ExactForm(_) | Self::Internal(_) => Reason::Internal,
            // To a peer, a frame out of order is a segment that does not authenticate.
            Self::Malformed { .. } | Self::OutOfOrder { .. } => Reason::PayloadAuthenticationFailed,
            Self::MessageTooLarge { .. } | Self::TransferTooLarge { .. } => Reason::TransferTooLarge,
            Self::Overloaded { .. } => Reason::Overloaded,
            Self::Peer { reason, .. } => *reason,
            Self::SessionEnded { cause } => cause.reason(),
            Self::SessionExpired { .. } => Reason::SessionExpired,
            Self::TransferConflict => Reason::TransferConflict,
            Self::TransferInProgress => Reason::TransferInProgress,
            Self::Unavailable { .. } => Reason::PeerUnavailable,
        }
    }

    /// The gRPC code that goes with the reason.
    #[must_use]
    pub fn code(&self) -> Code {
        self.reason().code()
    }

    /// Whether, and how, to try the whole transfer again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        if matches!(self, Self::SessionEnded { .. }) { Retry::NewSession } else { self.reason().retry() }
    }

    /// The sentence that may travel: it depends on the reason alone.
    #[must_use]
    pub fn public_message(&self) -> &'static str {
        self.reason().sentence()
    }

    /// What the peer's text says, made safe for a log line: printable characters alone, 256 at most.
    pub(crate) fn peer(reason: Reason, message: &str) -> Self {
        Self::Peer { reason, message: printable(message, 256) }
    }
}

pub(crate) fn printable(text: &str, limit: usize) -> String {
    text.chars().filter(|character| !character.is_control()).take(limit).collect()
}
