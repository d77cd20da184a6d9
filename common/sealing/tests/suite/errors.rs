//! The wire learns one reason a step, whatever the cause; the log learns the cause.

use std::collections::BTreeSet;

use latentwire_sealing::at_rest::StorageKeyId;
use latentwire_sealing::{CryptoError, Fingerprint, KeyTextProblem, PeerRefusal, Role, WireReason};

#[test]
fn causes_of_one_step_share_one_reason() {
    let peer = |why| CryptoError::PeerNotAllowed { fingerprint: Fingerprint([1; 20]), why };
    let table: [(WireReason, &str, Vec<CryptoError>); 7] = [
        (
            WireReason::HandshakeFailed,
            "HANDSHAKE_FAILED",
            vec![
                CryptoError::HandshakeLength { expected: 1_280, found: 3 },
                CryptoError::HandshakeAuthentication,
                CryptoError::NonContributory,
                CryptoError::PeerKeyInvalid,
                CryptoError::EncapsulationKeyInvalid,
            ],
        ),
        (
            WireReason::PeerNotAllowed,
            "PEER_NOT_ALLOWED",
            vec![
                peer(PeerRefusal::Unknown),
                peer(PeerRefusal::Role),
                peer(PeerRefusal::NotYetValid),
                peer(PeerRefusal::Expired),
                peer(PeerRefusal::Revoked),
            ],
        ),
        (
            WireReason::PayloadAuthenticationFailed,
            "PAYLOAD_AUTHENTICATION_FAILED",
            vec![
                CryptoError::ControlAuthentication { position: 1 },
                CryptoError::ControlKind { position: 1 },
                CryptoError::OpenMalformed { what: "unknown form" },
                CryptoError::Commitment,
                CryptoError::MetaAuthentication,
                CryptoError::MetaLength { found: 0, limit: 1 },
                CryptoError::SegmentAuthentication { index: 1 },
                CryptoError::SegmentLength { index: 1, expected: 2, found: 3 },
                CryptoError::SegmentLastFlag { index: 1 },
                CryptoError::SegmentAfterLast,
                CryptoError::TransferPoisoned,
                CryptoError::Padding,
                CryptoError::Digest,
            ],
        ),
        (
            WireReason::StreamTruncated,
            "STREAM_TRUNCATED",
            vec![CryptoError::StreamTruncated { expected: 2, received: 1 }],
        ),
        (
            WireReason::VersionUnsupported,
            "VERSION_UNSUPPORTED",
            vec![CryptoError::VersionUnsupported { version: 2, suite: 1 }],
        ),
        (
            WireReason::TransferTooLarge,
            "TRANSFER_TOO_LARGE",
            vec![CryptoError::TransferTooLarge { padded_bytes: 1 << 40, segment_bytes: 1_024 }],
        ),
        (
            WireReason::Internal,
            "INTERNAL",
            vec![
                CryptoError::WrongRole { expected: Role::Sender, found: Role::Receiver },
                CryptoError::OwnKey,
                CryptoError::ControlTooLong { found: 2, limit: 1 },
                CryptoError::ResumeIndex { index: 2, count: 1 },
                CryptoError::KeyText(KeyTextProblem::Checksum),
                CryptoError::TrustStore("line 1: unknown field".into()),
                CryptoError::ObjectMalformed { what: "not a sealed object" },
                CryptoError::ObjectAuthentication,
                CryptoError::StorageKeyUnknown {
                    expected: StorageKeyId([1; 16]),
                    found: StorageKeyId([2; 16]),
                },
            ],
        ),
    ];
    let mut texts = BTreeSet::new();
    for (reason, name, causes) in table {
        assert_eq!(reason.to_string(), name);
        for cause in causes {
            assert_eq!(cause.wire_reason(), reason, "{cause}");
            assert!(texts.insert(cause.to_string()), "the log tells causes apart: {cause}");
        }
    }
}
