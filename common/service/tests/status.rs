//! Every error of every crate becomes the status of the error table: code, reason, domain, details, and nothing that must not travel.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use latentwire_codec::CodecError;
use latentwire_codec::imaging::{Fidelity, Format, ImagingError};
use latentwire_codec::model::{DecoderDigest, ModelError, Purpose};
use latentwire_inference::InferenceError;
use latentwire_latent::LatentError;
use latentwire_proto::code_name;
use latentwire_sealing::{CryptoError, Fingerprint, PeerRefusal};
use latentwire_service::status::{
    DOMAIN, Failure, RequestError, reason, reason_of, to_status, transfer_error,
};
use latentwire_storage::StorageError;
use latentwire_wire::{Reason, Retry, WireError};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Must appear in no status that travels.
const SECRET_PATH: &str = "/data/patient-meier";

fn path() -> PathBuf {
    PathBuf::from(SECRET_PATH)
}

#[track_caller]
fn check(failure: impl Into<Failure>, code: Code, expected: &str) -> Status {
    let failure = failure.into();
    let status = to_status(&failure);
    assert_eq!(code_name(status.code()), code_name(code), "{failure}");
    assert_eq!(reason_of(&status), expected, "{failure}");
    let info = status.get_details_error_info().expect("every status carries ErrorInfo");
    assert_eq!(info.domain, DOMAIN);
    assert!(!status.message().is_empty());
    assert!(!format!("{status:?} {info:?}").contains("meier"), "{status:?}");
    assert_eq!(transfer_error(&status).code, code_name(code));
    status
}

#[track_caller]
fn check_retried(failure: impl Into<Failure>, code: Code, expected: &str) {
    let status = check(failure, code, expected);
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert!(delay.is_some_and(|delay| delay > Duration::ZERO), "{status:?}");
}

#[track_caller]
fn check_field(failure: impl Into<Failure>, expected: &str, field: &str) {
    let status = check(failure, Code::InvalidArgument, expected);
    let request = status.get_details_bad_request().expect("a bad request says which field");
    assert_eq!(request.field_violations[0].field, field, "{status:?}");
}

#[track_caller]
fn check_precondition(failure: impl Into<Failure>, expected: &str) -> Status {
    let status = check(failure, Code::FailedPrecondition, expected);
    assert!(status.get_details_precondition_failure().is_some(), "{status:?}");
    status
}

#[track_caller]
fn check_internal(failure: impl Into<Failure>) {
    let status = check(failure, Code::Internal, reason::INTERNAL);
    let request = status.get_details_request_info().expect("an id finds it in the log");
    assert!(status.message().contains(&request.request_id), "{status:?}");
}

#[test]
fn requests() {
    let name = || "clinic".to_owned();
    check(RequestError::CallerUnknown, Code::Unauthenticated, reason::CALLER_UNKNOWN);
    check(RequestError::CallerNotAllowed, Code::PermissionDenied, reason::CALLER_NOT_ALLOWED);
    check(RequestError::Deadline, Code::DeadlineExceeded, reason::DEADLINE);
    check_precondition(RequestError::DecoderChanged, reason::MODEL_MISMATCH);
    let unknown =
        check(RequestError::DestinationUnknown { name: name() }, Code::NotFound, reason::DESTINATION_UNKNOWN);
    assert_eq!(unknown.get_details_resource_info().expect("named").resource_name, "clinic");
    check(RequestError::ImageNotFound, Code::NotFound, reason::IMAGE_NOT_FOUND);
    check_internal(RequestError::Internal { id: "id-1".to_owned() });
    let invalid = RequestError::InvalidField { field: "policy.mode", what: "must be known".to_owned() };
    check_field(invalid, reason::INVALID_FIELD, "policy.mode");
    let contradictory = RequestError::InvalidPolicy { what: "rows below chaos4".to_owned() };
    check_field(contradictory, reason::INVALID_POLICY, "policy");
    check_precondition(RequestError::NotEnabled { what: "mode BOUNDED" }, reason::NOT_ENABLED);
    check_retried(RequestError::NotReady, Code::Unavailable, reason::MODEL_NOT_READY);
    check_retried(RequestError::Overloaded, Code::ResourceExhausted, reason::OVERLOADED);
    check(RequestError::Panicked, Code::Internal, reason::INTERNAL);
    let away = RequestError::PeerUnavailable { destination: name(), cause: "refused".to_owned() };
    check_retried(away, Code::Unavailable, reason::PEER_UNAVAILABLE);
    check_retried(RequestError::ShuttingDown, Code::Unavailable, reason::SHUTTING_DOWN);
    check_retried(RequestError::StorageFull, Code::ResourceExhausted, reason::STORAGE_FULL);
    check(RequestError::StreamIdle, Code::DeadlineExceeded, reason::STREAM_IDLE);
    check(RequestError::StreamTruncated { received: 7 }, Code::DataLoss, reason::STREAM_TRUNCATED);
    let large = check(RequestError::TooLarge { limit: 5 }, Code::OutOfRange, reason::TRANSFER_TOO_LARGE);
    assert_eq!(large.get_details_error_info().expect("has one").metadata["limit_bytes"], "5");
    let conflict = RequestError::TransferConflict { id: "00ff".to_owned() };
    let conflict = check(conflict, Code::AlreadyExists, reason::TRANSFER_CONFLICT);
    assert_eq!(conflict.get_details_resource_info().expect("named").resource_name, "00ff");
    check(RequestError::TransferNotFound, Code::NotFound, reason::TRANSFER_NOT_FOUND);
}

#[test]
fn codec() {
    let digest = || DecoderDigest([7; 32]);
    let id = || "ae224-fundus".to_owned();
    check_field(CodecError::Bitstream { what: "magic" }, reason::INVALID_TENSOR, "coded");
    check_retried(CodecError::DuplicateModel { id: id() }, Code::Unavailable, reason::MODEL_NOT_READY);
    let fidelity =
        Fidelity { ssim: 0.9, min_local_ssim: 0.5, psnr_db: Some(30.0), mse: 0.001, max_abs_error: 9 };
    let below = check_precondition(
        CodecError::FidelityBelowFloor { fidelity, unlike: None },
        reason::FIDELITY_BELOW_FLOOR,
    );
    let figures = below.get_details_error_info().expect("has one").metadata;
    assert_eq!((figures["ssim"].as_str(), figures["psnr_db"].as_str()), ("0.900000", "30.000"));
    check_precondition(CodecError::GreyOnly { id: id() }, reason::MODEL_MISMATCH);
    check_field(
        CodecError::ResearchUnmarked { id: id(), purpose: Purpose::Research },
        reason::INVALID_POLICY,
        "policy.below_floor",
    );
    check_precondition(CodecError::FloorsUnmeasurable, reason::FIDELITY_UNMEASURABLE);
    check_field(CodecError::InvalidPolicy { what: "step" }, reason::INVALID_FIELD, "policy");
    check_precondition(CodecError::ModelContradiction { id: id(), what: "channels" }, reason::MODEL_MISMATCH);
    check_precondition(CodecError::ModelMissing { digest: digest() }, reason::MODEL_MISMATCH);
    check_precondition(CodecError::NoFittingModel { wanted: id() }, reason::MODEL_MISMATCH);
    check_retried(CodecError::NoModels, Code::Unavailable, reason::MODEL_NOT_READY);
    check_precondition(CodecError::NotEnabled { what: "mode bounded" }, reason::NOT_ENABLED);
    check_retried(
        CodecError::PinnedModelMissing { digest: digest() },
        Code::Unavailable,
        reason::MODEL_NOT_READY,
    );
    check(CodecError::TooLarge { what: "width" }, Code::OutOfRange, reason::TRANSFER_TOO_LARGE);
}

#[test]
fn imaging() {
    let image = |error: ImagingError, expected| check_field(CodecError::from(error), expected, "image");
    let format = Format::Png;
    image(ImagingError::Empty, reason::EMPTY_FILE);
    image(ImagingError::UnknownFormat, reason::UNKNOWN_FORMAT);
    image(ImagingError::Truncated { format, what: "IDAT" }, reason::MALFORMED_FILE);
    image(ImagingError::Malformed { format, what: "checksum" }, reason::MALFORMED_FILE);
    image(ImagingError::ZeroSize { format }, reason::INVALID_TENSOR);
    image(ImagingError::Unsupported { what: "interlace" }, reason::UNSUPPORTED_IMAGE);
    image(ImagingError::NoPixelData, reason::UNSUPPORTED_IMAGE);
    image(ImagingError::ShapeMismatch, reason::INVALID_TENSOR);
    image(ImagingError::TooSmall { what: "SSIM", width: 1, height: 1, minimum: 7 }, reason::INVALID_TENSOR);
    image(ImagingError::BadContainer { what: "length" }, reason::INVALID_TENSOR);
    image(ImagingError::ValueOutOfRange { bits: 8, signed: false }, reason::INVALID_TENSOR);
    let uid = "1.2.840.10008.1.2.4.90".to_owned();
    image(ImagingError::UnsupportedTransferSyntax { uid }, reason::UNSUPPORTED_TRANSFER_SYNTAX);
    let large = ImagingError::TooLarge { what: "pixels", found: 9, limit: 8 };
    check(CodecError::from(large), Code::OutOfRange, reason::TRANSFER_TOO_LARGE);
}

#[test]
fn inference_and_latent() {
    let (net, problem) = ("decoder", || SECRET_PATH.to_owned());
    for error in [
        InferenceError::Geometry { problem: problem() },
        InferenceError::LibraryMissing { name: "libonnxruntime.so", searched: vec![path()] },
        InferenceError::LibraryUnusable { path: path(), problem: problem() },
        InferenceError::Load { net, problem: problem() },
        InferenceError::Shape { net, tensor: "latent".to_owned(), expected: problem(), found: problem() },
    ] {
        check_retried(CodecError::from(error), Code::Unavailable, reason::MODEL_NOT_READY);
    }
    check_internal(CodecError::from(InferenceError::NotFinite { net }));
    check_internal(CodecError::from(InferenceError::Run { net, problem: problem() }));
    let large = InferenceError::TooLarge { width: 70_000, height: 1, limit: 65_535 };
    check(CodecError::from(large), Code::OutOfRange, reason::TRANSFER_TOO_LARGE);
    check(CodecError::from(InferenceError::ZeroSize), Code::InvalidArgument, reason::INVALID_TENSOR);

    for error in [
        LatentError::BaseStep { channel: 1, step: 0 },
        LatentError::ChannelMismatch { tables: 1, latent: 2 },
        LatentError::DeadZone,
        LatentError::ErrorWeight,
        LatentError::Step { channel: 0 },
        LatentError::Tables { problem: "magic".to_owned(), offset: 0 },
        LatentError::TablesKind { problem: "without levels" },
    ] {
        check_retried(CodecError::from(error), Code::Unavailable, reason::MODEL_NOT_READY);
    }
    for error in [
        LatentError::CodedChannels { found: 2, problem: "the model has fewer" },
        LatentError::Corrupt { channel: 0, row: 0, column: 0 },
        LatentError::Level { value: 32, index: 0 },
        LatentError::Shape { problem: "length".to_owned() },
        LatentError::SymbolRange { value: 40_000, index: 0 },
        LatentError::TooLarge { symbols: 9, limit: 8 },
        LatentError::TrailingData,
        LatentError::Truncated,
    ] {
        check_field(CodecError::from(error), reason::INVALID_TENSOR, "coded");
    }
    check_internal(CodecError::from(LatentError::NotFinite { index: 0 }));
}

#[test]
fn models() {
    let problem = || "is wrong".to_owned();
    for error in [
        ModelError::BadDigest { found: problem() },
        ModelError::Field { file: "decode.toml", field: "family".to_owned(), problem: problem() },
        ModelError::Io { path: path(), source: io::Error::other("no") },
        ModelError::Missing { path: path() },
        ModelError::OnnxMalformed { problem: "length", offset: 0 },
        ModelError::OnnxRefused { problem: problem() },
        ModelError::Toml { file: "decode.toml", problem: problem() },
        ModelError::TooLarge { path: path(), bytes: 9, limit: 8 },
    ] {
        check_retried(CodecError::from(error), Code::Unavailable, reason::MODEL_NOT_READY);
    }
    let unknown = ModelError::UnknownModality { found: "foot".to_owned() };
    check_field(CodecError::from(unknown), reason::INVALID_FIELD, "policy.modality");
}

#[test]
fn storage() {
    check_retried(StorageError::NoSpace, Code::ResourceExhausted, reason::STORAGE_FULL);
    check(StorageError::NotFound, Code::NotFound, reason::IMAGE_NOT_FOUND);
    check(StorageError::Duplicate, Code::AlreadyExists, reason::TRANSFER_CONFLICT);
    let damaged = StorageError::Damaged(CryptoError::ObjectAuthentication);
    check(damaged, Code::DataLoss, reason::STORED_OBJECT_DAMAGED);
    check_internal(StorageError::Io { path: path(), cause: io::Error::other("no") });
    check_internal(StorageError::Locked { path: path() });
    check_internal(StorageError::TooNew { found: 2, known: 1 });
}

#[test]
fn sessions_say_the_reason_and_no_more() {
    for (error, code, expected) in [
        (WireError::Cancelled, Code::Cancelled, reason::CANCELLED),
        (WireError::TransferConflict, Code::AlreadyExists, reason::TRANSFER_CONFLICT),
        (WireError::TransferTooLarge { bytes: 9, limit: 8 }, Code::OutOfRange, reason::TRANSFER_TOO_LARGE),
        (WireError::SessionExpired { limit: "age" }, Code::FailedPrecondition, reason::SESSION_EXPIRED),
        (WireError::Malformed { what: "Hello" }, Code::DataLoss, reason::PAYLOAD_AUTHENTICATION_FAILED),
    ] {
        check(error, code, expected);
    }
    check_retried(WireError::Overloaded { what: "slots" }, Code::ResourceExhausted, reason::OVERLOADED);
    let gone = WireError::Unavailable { why: SECRET_PATH.to_owned() };
    check_retried(gone, Code::Unavailable, reason::PEER_UNAVAILABLE);
    let slow = WireError::Deadline { waiting_for: "segment", after: Duration::from_secs(30) };
    check_retried(slow, Code::DeadlineExceeded, reason::DEADLINE);
    check_internal(WireError::Internal("a bug"));
}

#[test]
fn every_reason_of_a_session_has_its_code_and_its_retry() {
    let constants = include_str!("../src/status/reason.rs");
    for cause in Reason::all() {
        assert!(
            constants.contains(&format!("pub const {cause}: &str = \"{cause}\";")),
            "{cause} is no constant"
        );
        let error = WireError::Peer { reason: *cause, message: SECRET_PATH.to_owned() };
        let status = check(error, cause.code(), cause.as_str());
        let retried = status.get_details_retry_info().is_some();
        let backoff = cause.retry() == Retry::Backoff && *cause != Reason::Internal;
        assert_eq!(retried, backoff, "{cause}");
    }
}

#[test]
fn causes_of_one_cryptographic_failure_look_alike() {
    let same = |errors: Vec<CryptoError>, code, expected| {
        let statuses: Vec<Status> =
            errors.into_iter().map(|error| check(WireError::from(error), code, expected)).collect();
        for status in &statuses {
            assert_eq!(status.message(), statuses[0].message());
            assert_eq!(status.details(), statuses[0].details());
        }
    };
    same(
        vec![
            CryptoError::HandshakeAuthentication,
            CryptoError::NonContributory,
            CryptoError::PeerKeyInvalid,
            CryptoError::EncapsulationKeyInvalid,
            CryptoError::HandshakeLength { expected: 1280, found: 3 },
        ],
        Code::Unauthenticated,
        reason::HANDSHAKE_FAILED,
    );
    same(
        vec![
            CryptoError::Commitment,
            CryptoError::MetaAuthentication,
            CryptoError::SegmentAuthentication { index: 3 },
            CryptoError::SegmentAfterLast,
            CryptoError::Padding,
            CryptoError::Digest,
        ],
        Code::DataLoss,
        reason::PAYLOAD_AUTHENTICATION_FAILED,
    );
    let refused = |why| CryptoError::PeerNotAllowed { fingerprint: Fingerprint([0; 20]), why };
    same(
        vec![refused(PeerRefusal::Unknown), refused(PeerRefusal::Expired), refused(PeerRefusal::Revoked)],
        Code::PermissionDenied,
        reason::PEER_NOT_ALLOWED,
    );
}

#[test]
fn foreign_statuses_have_no_reason_of_ours() {
    assert_eq!(reason_of(&Status::internal("from elsewhere")), "");
}
