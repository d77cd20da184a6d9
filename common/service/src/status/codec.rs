//! What the codec and the crates below it refuse.

use latentwire_codec::CodecError;
use latentwire_codec::imaging::{Fidelity, ImagingError};
use latentwire_codec::model::ModelError;
use latentwire_inference::InferenceError;
use latentwire_latent::LatentError;
use tonic::Code;

use super::{Classified, internal, reason};

/// Field of a request whose content is refused.
const IMAGE: &str = "image";

pub(super) fn classify(error: &CodecError) -> Classified {
    let new = |code, reason| Classified::new(code, reason, error);
    let invalid = |field: &str, reason| {
        let mut invalid = new(Code::InvalidArgument, reason);
        invalid.details.add_bad_request_violation(field, error.to_string());
        invalid
    };
    let mismatch = |subject: &str| {
        let mut mismatch = new(Code::FailedPrecondition, reason::MODEL_MISMATCH);
        mismatch.details.add_precondition_failure_violation("MODEL", subject, error.to_string());
        mismatch
    };
    match error {
        CodecError::Bitstream { .. } => invalid("coded", reason::INVALID_TENSOR),
        CodecError::DuplicateModel { .. } | CodecError::NoModels => not_ready(error),
        CodecError::PinnedModelMissing { .. } => not_ready(error),
        CodecError::FidelityBelowFloor { fidelity, .. } => below_floor(error, fidelity),
        CodecError::FloorsUnmeasurable => {
            let mut refused = new(Code::FailedPrecondition, reason::FIDELITY_UNMEASURABLE);
            refused.details.add_precondition_failure_violation("DECODER", "floors", error.to_string());
            refused
        }
        CodecError::Imaging(error) => imaging(error),
        CodecError::Inference(error) => inference(error),
        CodecError::GreyOnly { id } => mismatch(id),
        CodecError::InvalidPolicy { .. } => invalid("policy", reason::INVALID_FIELD),
        CodecError::ResearchUnmarked { .. } => invalid("policy.below_floor", reason::INVALID_POLICY),
        CodecError::Latent(error) => latent(error),
        CodecError::Model(error) => model(error),
        CodecError::ModelContradiction { id, .. } => mismatch(id),
        CodecError::ModelMissing { digest } => mismatch(&digest.to_string()),
        CodecError::NoFittingModel { wanted } => mismatch(wanted),
        CodecError::NotEnabled { what } => {
            let mut refused = new(Code::FailedPrecondition, reason::NOT_ENABLED);
            refused.details.add_precondition_failure_violation("VERSION", *what, error.to_string());
            refused
        }
        CodecError::TooLarge { .. } => new(Code::OutOfRange, reason::TRANSFER_TOO_LARGE),
        _ => internal(error),
    }
}

fn below_floor(error: &CodecError, fidelity: &Fidelity) -> Classified {
    let mut refused = Classified::new(Code::FailedPrecondition, reason::FIDELITY_BELOW_FLOOR, error);
    refused.details.add_precondition_failure_violation("FIDELITY", "reconstruction", error.to_string());
    refused.metadata = vec![
        ("ssim", format!("{:.6}", fidelity.ssim)),
        ("min_local_ssim", format!("{:.6}", fidelity.min_local_ssim)),
        ("max_abs_error", fidelity.max_abs_error.to_string()),
    ];
    if let Some(psnr_db) = fidelity.psnr_db {
        refused.metadata.push(("psnr_db", format!("{psnr_db:.3}")));
    }
    refused
}

fn imaging(error: &ImagingError) -> Classified {
    let invalid = |reason| {
        let mut invalid = Classified::new(Code::InvalidArgument, reason, error);
        invalid.details.add_bad_request_violation(IMAGE, error.to_string());
        invalid
    };
    match error {
        ImagingError::Empty => invalid(reason::EMPTY_FILE),
        ImagingError::UnknownFormat => invalid(reason::UNKNOWN_FORMAT),
        ImagingError::Truncated { .. } | ImagingError::Malformed { .. } => invalid(reason::MALFORMED_FILE),
        ImagingError::ZeroSize { .. } | ImagingError::ShapeMismatch | ImagingError::TooSmall { .. } => {
            invalid(reason::INVALID_TENSOR)
        }
        ImagingError::TooLarge { limit, .. } => {
            let mut large = Classified::new(Code::OutOfRange, reason::TRANSFER_TOO_LARGE, error);
            large.metadata.push(("limit", limit.to_string()));
            large
        }
        ImagingError::UnsupportedTransferSyntax { uid } => {
            let mut unsupported = invalid(reason::UNSUPPORTED_TRANSFER_SYNTAX);
            unsupported.metadata.push(("transfer_syntax", uid.clone()));
            unsupported
        }
        ImagingError::Unsupported { .. } | ImagingError::NoPixelData => invalid(reason::UNSUPPORTED_IMAGE),
        ImagingError::BadContainer { .. } | ImagingError::ValueOutOfRange { .. } => {
            invalid(reason::INVALID_TENSOR)
        }
        _ => internal(error),
    }
}

fn inference(error: &InferenceError) -> Classified {
    match error {
        InferenceError::Geometry { .. }
        | InferenceError::LibraryMissing { .. }
        | InferenceError::LibraryUnusable { .. }
        | InferenceError::Load { .. }
        | InferenceError::Shape { .. } => not_ready(error),
        InferenceError::NotFinite { .. } | InferenceError::Run { .. } => internal(error),
        InferenceError::TooLarge { .. } => {
            Classified::new(Code::OutOfRange, reason::TRANSFER_TOO_LARGE, error)
        }
        InferenceError::ZeroSize => Classified::new(Code::InvalidArgument, reason::INVALID_TENSOR, error),
        _ => internal(error),
    }
}

fn latent(error: &LatentError) -> Classified {
    match error {
        LatentError::BaseStep { .. }
        | LatentError::ChannelMismatch { .. }
        | LatentError::DeadZone
        | LatentError::ErrorWeight
        | LatentError::Step { .. }
        | LatentError::Tables { .. }
        | LatentError::TablesKind { .. } => not_ready(error),
        LatentError::CodedChannels { .. }
        | LatentError::Corrupt { .. }
        | LatentError::Level { .. }
        | LatentError::Shape { .. }
        | LatentError::SymbolRange { .. }
        | LatentError::TooLarge { .. }
        | LatentError::TrailingData
        | LatentError::Truncated => {
            let mut invalid = Classified::new(Code::InvalidArgument, reason::INVALID_TENSOR, error);
            invalid.details.add_bad_request_violation("coded", error.to_string());
            invalid
        }
        LatentError::NotFinite { .. } => internal(error),
        _ => internal(error),
    }
}

fn model(error: &ModelError) -> Classified {
    match error {
        ModelError::UnknownModality { .. } => {
            let mut invalid = Classified::new(Code::InvalidArgument, reason::INVALID_FIELD, error);
            invalid.details.add_bad_request_violation("policy.modality", error.to_string());
            invalid
        }
        ModelError::BadDigest { .. }
        | ModelError::DigestMismatch { .. }
        | ModelError::Field { .. }
        | ModelError::Io { .. }
        | ModelError::Missing { .. }
        | ModelError::OnnxMalformed { .. }
        | ModelError::OnnxRefused { .. }
        | ModelError::Toml { .. }
        | ModelError::TooLarge { .. } => not_ready(error),
        _ => internal(error),
    }
}

/// The service's own models or runtime are not in order: its log says which file; a peer learns that it cannot serve.
fn not_ready(error: &dyn std::fmt::Display) -> Classified {
    tracing::error!(%error, "models are not in order");
    let mut refused = Classified::new(
        Code::Unavailable,
        reason::MODEL_NOT_READY,
        &"the service's models are not in order; its log says more",
    );
    refused.details.set_retry_info(Some(super::LATER));
    refused
}
