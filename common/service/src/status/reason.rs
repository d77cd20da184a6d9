//! Stable reasons: programs may branch on them, they never change their meaning. docs/OPERATIONS.md says for each what to do.

/// A field of the request is missing or out of range.
pub const INVALID_FIELD: &str = "INVALID_FIELD";
/// Fields of the policy contradict each other, or this image.
pub const INVALID_POLICY: &str = "INVALID_POLICY";
/// Shape or type does not fit.
pub const INVALID_TENSOR: &str = "INVALID_TENSOR";
/// The file is of none of the known formats.
pub const UNKNOWN_FORMAT: &str = "UNKNOWN_FORMAT";
/// The file is empty.
pub const EMPTY_FILE: &str = "EMPTY_FILE";
/// The file is of a known format and broken.
pub const MALFORMED_FILE: &str = "MALFORMED_FILE";
/// The file uses what this version does not read.
pub const UNSUPPORTED_IMAGE: &str = "UNSUPPORTED_IMAGE";
/// The DICOM file's transfer syntax is not decoded here.
pub const UNSUPPORTED_TRANSFER_SYNTAX: &str = "UNSUPPORTED_TRANSFER_SYNTAX";
/// The picture, the file or the transfer is larger than allowed.
pub const TRANSFER_TOO_LARGE: &str = "TRANSFER_TOO_LARGE";
/// The peers speak no common version or suite.
pub const VERSION_UNSUPPORTED: &str = "VERSION_UNSUPPORTED";
/// The model that is needed is not loaded here, or does not fit.
pub const MODEL_MISMATCH: &str = "MODEL_MISMATCH";
/// Models are still loading, or cannot be loaded.
pub const MODEL_NOT_READY: &str = "MODEL_NOT_READY";
/// The session is unknown, expired, or its key budget is spent.
pub const SESSION_EXPIRED: &str = "SESSION_EXPIRED";
/// Key agreement failed; nothing more is said.
pub const HANDSHAKE_FAILED: &str = "HANDSHAKE_FAILED";
/// The peer is not on the list, or its key is expired or revoked.
pub const PEER_NOT_ALLOWED: &str = "PEER_NOT_ALLOWED";
/// The service asks who calls, and knows neither a token nor a certificate of this caller.
pub const CALLER_UNKNOWN: &str = "CALLER_UNKNOWN";
/// The caller is known and may not do this.
pub const CALLER_NOT_ALLOWED: &str = "CALLER_NOT_ALLOWED";
/// What arrived does not authenticate.
pub const PAYLOAD_AUTHENTICATION_FAILED: &str = "PAYLOAD_AUTHENTICATION_FAILED";
/// The stream ended before its last segment or chunk.
pub const STREAM_TRUNCATED: &str = "STREAM_TRUNCATED";
/// The transfer id is known with other content.
pub const TRANSFER_CONFLICT: &str = "TRANSFER_CONFLICT";
/// The reconstruction falls below a floor and the policy says reject.
pub const FIDELITY_BELOW_FLOOR: &str = "FIDELITY_BELOW_FLOOR";
/// Floors were asked for where nothing can be measured.
pub const FIDELITY_UNMEASURABLE: &str = "FIDELITY_UNMEASURABLE";
/// The service has as much to do as it may.
pub const OVERLOADED: &str = "OVERLOADED";
/// The receiver's disk or quota is full.
pub const STORAGE_FULL: &str = "STORAGE_FULL";
/// The receiver cannot be reached.
pub const PEER_UNAVAILABLE: &str = "PEER_UNAVAILABLE";
/// The service is stopping.
pub const SHUTTING_DOWN: &str = "SHUTTING_DOWN";
/// The request's time is over.
pub const DEADLINE: &str = "DEADLINE";
/// The peer let a stream rest for too long.
pub const STREAM_IDLE: &str = "STREAM_IDLE";
/// The destination is not configured.
pub const DESTINATION_UNKNOWN: &str = "DESTINATION_UNKNOWN";
/// There is no such transfer.
pub const TRANSFER_NOT_FOUND: &str = "TRANSFER_NOT_FOUND";
/// There is no such image.
pub const IMAGE_NOT_FOUND: &str = "IMAGE_NOT_FOUND";
/// What was asked for is not enabled in this version.
pub const NOT_ENABLED: &str = "NOT_ENABLED";
/// A stored object is damaged.
pub const STORED_OBJECT_DAMAGED: &str = "STORED_OBJECT_DAMAGED";
/// The transfer was given up by its sender.
pub const CANCELLED: &str = "CANCELLED";
/// A bug, or a fault of the machine.
pub const INTERNAL: &str = "INTERNAL";
/// A message asked for gRPC compression, which patient data never gets.
pub const COMPRESSION_REFUSED: &str = "COMPRESSION_REFUSED";
/// The receiver does not allow the inner layer.
pub const INNER_LAYER_UNSUPPORTED: &str = "INNER_LAYER_UNSUPPORTED";
/// The receiver does not allow the segmentation.
pub const SEGMENTATION_UNSUPPORTED: &str = "SEGMENTATION_UNSUPPORTED";
/// The same transfer is on its way already.
pub const TRANSFER_IN_PROGRESS: &str = "TRANSFER_IN_PROGRESS";

/// The audit log cannot be written, so nothing is transferred.
pub const AUDIT_UNAVAILABLE: &str = "AUDIT_UNAVAILABLE";

/// Every reason, in alphabetical order.
pub const ALL: [&str; 40] = [
    AUDIT_UNAVAILABLE,
    CALLER_NOT_ALLOWED,
    CALLER_UNKNOWN,
    CANCELLED,
    COMPRESSION_REFUSED,
    DEADLINE,
    DESTINATION_UNKNOWN,
    EMPTY_FILE,
    FIDELITY_BELOW_FLOOR,
    FIDELITY_UNMEASURABLE,
    HANDSHAKE_FAILED,
    IMAGE_NOT_FOUND,
    INNER_LAYER_UNSUPPORTED,
    INTERNAL,
    INVALID_FIELD,
    INVALID_POLICY,
    INVALID_TENSOR,
    MALFORMED_FILE,
    MODEL_MISMATCH,
    MODEL_NOT_READY,
    NOT_ENABLED,
    OVERLOADED,
    PAYLOAD_AUTHENTICATION_FAILED,
    PEER_NOT_ALLOWED,
    PEER_UNAVAILABLE,
    SEGMENTATION_UNSUPPORTED,
    SESSION_EXPIRED,
    SHUTTING_DOWN,
    STORAGE_FULL,
    STORED_OBJECT_DAMAGED,
    STREAM_IDLE,
    STREAM_TRUNCATED,
    TRANSFER_CONFLICT,
    TRANSFER_IN_PROGRESS,
    TRANSFER_NOT_FOUND,
    TRANSFER_TOO_LARGE,
    UNKNOWN_FORMAT,
    UNSUPPORTED_IMAGE,
    UNSUPPORTED_TRANSFER_SYNTAX,
    VERSION_UNSUPPORTED,
];

#[cfg(test)]
mod tests {
    use latentwire_wire::Reason;

    use super::*;

    #[test]
    fn all_are_all() {
        let text = include_str!("reason.rs");
        let constants = text.lines().filter_map(|line| line.strip_prefix("pub const "));
        let mut written: Vec<&str> =
            constants.filter_map(|line| line.split_once(": &str = ")).map(|(name, _)| name).collect();
        written.sort_unstable();
        assert_eq!(written, ALL);
    }

    #[test]
    fn a_session_has_no_reason_of_its_own() {
        for reason in Reason::all() {
            assert!(ALL.contains(&reason.as_str()), "{reason} is missing here");
        }
    }
}
