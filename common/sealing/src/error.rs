//! What can go wrong, precisely for the log and coarsely for the wire.

use thiserror::Error;

/// Every failure of this crate, precise: for our own log and audit trail, never for the peer.
///
/// No text holds a key, a plaintext byte or anything of the patient's.
///
/// # Security
/// Tell a peer [`CryptoError::wire_reason`] and nothing else: the cryptographic causes of one step share one reason,
/// so that an attacker learns only *that* it failed (`docs/PROTOCOL.md`, section "Errors").
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CryptoError {
    /// The peer speaks another protocol version or cipher suite.
    #[error(
        "protocol version {version}, suite {suite} is not spoken here (version 1, suite 1 is); upgrade the older end"
    )]
    VersionUnsupported {
        /// What the peer's Hello said.
        version: u32,
        /// What the peer's Hello said.
        suite: u32,
    },
    /// A handshake message has a length that no honest peer sends.
    #[error("handshake message of {found} bytes, expected {expected}")]
    HandshakeLength {
        /// Bytes that the protocol fixes.
        expected: usize,
        /// Bytes received.
        found: usize,
    },
    /// A handshake message did not authenticate: wrong static key at either end, other prologue, or changed bytes.
    #[error("handshake message does not authenticate: check that both ends pin each other's current key")]
    HandshakeAuthentication,
    /// A Diffie-Hellman result was all zero: the peer sent a low-order point (RFC 7748, section 6.1).
    #[error("peer sent a low-order X25519 point")]
    NonContributory,
    /// The peer's static key is no canonical, full-order X25519 public key.
    #[error("peer's static key is not a canonical X25519 public key of full order")]
    PeerKeyInvalid,
    /// The ML-KEM-768 encapsulation key failed the modulus check of FIPS 203, section 7.2.
    #[error("peer sent an invalid ML-KEM-768 encapsulation key")]
    EncapsulationKeyInvalid,
    /// Our identity has the wrong role for this end, or the peer's key has.
    #[error("a {found} key stands where a {expected} key is needed")]
    WrongRole {
        /// Role that this place needs.
        expected: crate::Role,
        /// Role that the key has.
        found: crate::Role,
    },
    /// Both ends hold the same key.
    #[error("the peer's key is our own; give each end a key of its own")]
    OwnKey,
    /// The peer authenticated but the trust store does not admit it.
    #[error("peer {fingerprint} is refused: {why}")]
    PeerNotAllowed {
        /// Fingerprint of the refused key, public.
        fingerprint: crate::Fingerprint,
        /// Why.
        why: PeerRefusal,
    },
    /// A control message did not authenticate, or came out of order.
    #[error("control message {position} does not authenticate")]
    ControlAuthentication {
        /// Place in its direction, from 0.
        position: u64,
    },
    /// A control message authenticated but is of another kind than the frame says.
    #[error("control message {position} is of another kind than its frame says")]
    ControlKind {
        /// Place in its direction, from 0.
        position: u64,
    },
    /// A control message is longer than a Noise message can be.
    #[error("control message of {found} bytes, at most {limit} fit")]
    ControlTooLong {
        /// Bytes offered.
        found: usize,
        /// Most that fit.
        limit: usize,
    },
    /// An Open authenticated but does not follow the fixed layout.
    #[error("open body is malformed: {what}")]
    OpenMalformed {
        /// The field and what it breaks.
        what: &'static str,
    },
    /// A transfer larger than the protocol allows.
    #[error(
        "padded transfer of {padded_bytes} bytes in segments of {segment_bytes} exceeds 1 GiB or 2^20 segments"
    )]
    TransferTooLarge {
        /// Padded length asked for, bytes.
        padded_bytes: u64,
        /// Segment size asked for, bytes.
        segment_bytes: u32,
    },
    /// The key commitment of an Open is not ours: the ML-KEM halves differ or the Open was changed.
    #[error("key commitment differs")]
    Commitment,
    /// A Meta record did not authenticate.
    #[error("meta record does not authenticate")]
    MetaAuthentication,
    /// A Meta record is empty or too long.
    #[error("meta record of {found} bytes, 1..={limit} are allowed")]
    MetaLength {
        /// Bytes of plaintext.
        found: usize,
        /// Most that are allowed.
        limit: usize,
    },
    /// A segment did not authenticate: changed, moved, repeated, or of another transfer.
    #[error("segment {index} does not authenticate")]
    SegmentAuthentication {
        /// Index that was due.
        index: u32,
    },
    /// A segment has another length than its place prescribes.
    #[error("segment {index} has {found} bytes, its place prescribes {expected}")]
    SegmentLength {
        /// Index that was due.
        index: u32,
        /// Bytes that its place prescribes.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// A frame's `last` hint contradicts the place of its segment.
    #[error("segment {index} carries a wrong last flag")]
    SegmentLastFlag {
        /// Index that was due.
        index: u32,
    },
    /// A segment after the last one.
    #[error("a segment follows the last one")]
    SegmentAfterLast,
    /// A resume index outside the transfer, or after the first segment.
    #[error("cannot start at segment {index} of {count}")]
    ResumeIndex {
        /// Index asked for.
        index: u32,
        /// Segments of the transfer.
        count: u32,
    },
    /// An earlier segment failed; this transfer is over.
    #[error("an earlier segment of this transfer failed; open it anew")]
    TransferPoisoned,
    /// The stream ended before its last segment.
    #[error("stream ended after {received} of {expected} segments")]
    StreamTruncated {
        /// Segments of the transfer.
        expected: u32,
        /// Segments that authenticated.
        received: u32,
    },
    /// The padding is not what the policy prescribes for the stated length.
    #[error("padding of the opened transfer is not what its policy prescribes")]
    Padding,
    /// The opened bytes have another digest than the sealed record states.
    #[error("opened bytes have another SHA-256 than the sealed record states")]
    Digest,
    /// A key text could not be read.
    #[error("key text: {0}")]
    KeyText(#[from] KeyTextProblem),
    /// A trust store could not be read or changed.
    #[error("trust store: {0}")]
    TrustStore(String),
    /// A stored object, wrapped key or record does not follow its layout.
    #[error("stored object is malformed: {what}")]
    ObjectMalformed {
        /// The field and what it breaks.
        what: &'static str,
    },
    /// A stored object, wrapped key or record did not authenticate under this key and id.
    #[error("stored object does not authenticate under this key and id")]
    ObjectAuthentication,
    /// A wrapped key names another storage key.
    #[error("data key is wrapped by storage key {found}, not by {expected}; load that key or re-wrap")]
    StorageKeyUnknown {
        /// Id of the key given.
        expected: crate::at_rest::StorageKeyId,
        /// Id in the wrapped key.
        found: crate::at_rest::StorageKeyId,
    },
}

/// Why the trust store does not admit a peer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerRefusal {
    /// No entry holds this key.
    #[error("no entry of the trust store holds this key; compare fingerprints and add it")]
    Unknown,
    /// The entry has another role.
    #[error("its entry has the other role")]
    Role,
    /// `not_before` is in the future.
    #[error("its entry is not valid yet")]
    NotYetValid,
    /// `not_after` has passed.
    #[error("its entry has expired")]
    Expired,
    /// `revoked_at` has passed.
    #[error("its key is revoked")]
    Revoked,
}

/// Why a key text was refused. Never holds a part of the text.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyTextProblem {
    /// No line, or several lines, that are neither blank nor a `#` comment.
    #[error("expected exactly one line with a key")]
    NotOneLine,
    /// Not bech32m, a typo, or a wrong checksum.
    #[error("not a bech32m text with a valid checksum; a character may be mistyped")]
    Checksum,
    /// A public key stands where a secret key is needed.
    #[error("this is a public key; a secret key is needed here")]
    PublicForSecret,
    /// A secret key stands where a public key is needed.
    #[error(
        "this is a SECRET key; give the public key here, and replace the secret one if it was shown to anyone"
    )]
    SecretForPublic,
    /// Another kind of key altogether.
    #[error("not a Latentwire key of the kind needed here")]
    OtherKind,
    /// Right checksum, but not in the one canonical spelling (case, length, padding bits).
    #[error("not in canonical form (secret keys are upper case, public keys lower case)")]
    NotCanonical,
    /// The role byte is neither 1 (sender) nor 2 (receiver).
    #[error("unknown role in the key")]
    Role,
    /// The 32 bytes are no usable X25519 key.
    #[error("not a usable X25519 key")]
    WeakKey,
}

/// Stable reason of a failure, as a peer may see it (`ErrorInfo.reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireReason {
    /// Any failure of key agreement.
    HandshakeFailed,
    /// A fault on our own side; says nothing about the peer.
    Internal,
    /// Tag, commitment, order, layout, padding or trailing data.
    PayloadAuthenticationFailed,
    /// The trust store does not admit the peer.
    PeerNotAllowed,
    /// The stream ended before its last segment.
    StreamTruncated,
    /// Larger than the protocol allows.
    TransferTooLarge,
    /// Unknown version or suite.
    VersionUnsupported,
}

impl WireReason {
    /// The reason as it stands in `ErrorInfo.reason` and in control messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HandshakeFailed => "HANDSHAKE_FAILED",
            Self::Internal => "INTERNAL",
            Self::PayloadAuthenticationFailed => "PAYLOAD_AUTHENTICATION_FAILED",
            Self::PeerNotAllowed => "PEER_NOT_ALLOWED",
            Self::StreamTruncated => "STREAM_TRUNCATED",
            Self::TransferTooLarge => "TRANSFER_TOO_LARGE",
            Self::VersionUnsupported => "VERSION_UNSUPPORTED",
        }
    }
}

impl std::fmt::Display for WireReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl CryptoError {
    /// What a peer may be told: one reason for all cryptographic causes of a step.
    #[must_use]
    pub fn wire_reason(&self) -> WireReason {
        match self {
            Self::VersionUnsupported { .. } => WireReason::VersionUnsupported,
            Self::HandshakeLength { .. }
            | Self::HandshakeAuthentication
            | Self::NonContributory
            | Self::PeerKeyInvalid
            | Self::EncapsulationKeyInvalid => WireReason::HandshakeFailed,
            Self::PeerNotAllowed { .. } => WireReason::PeerNotAllowed,
            Self::TransferTooLarge { .. } => WireReason::TransferTooLarge,
            Self::StreamTruncated { .. } => WireReason::StreamTruncated,
            Self::ControlAuthentication { .. }
            | Self::ControlKind { .. }
            | Self::OpenMalformed { .. }
            | Self::Commitment
            | Self::MetaAuthentication
            | Self::MetaLength { .. }
            | Self::SegmentAuthentication { .. }
            | Self::SegmentLength { .. }
            | Self::SegmentLastFlag { .. }
            | Self::SegmentAfterLast
            | Self::TransferPoisoned
            | Self::Padding
            | Self::Digest => WireReason::PayloadAuthenticationFailed,
            Self::WrongRole { .. }
            | Self::OwnKey
            | Self::ControlTooLong { .. }
            | Self::ResumeIndex { .. }
            | Self::KeyText(_)
            | Self::TrustStore(_)
            | Self::ObjectMalformed { .. }
            | Self::ObjectAuthentication
            | Self::StorageKeyUnknown { .. } => WireReason::Internal,
        }
    }
}
