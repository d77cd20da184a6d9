//! What can go wrong between a file and a coded image.

use latentwire_imaging::{Fidelity, ImagingError};
use latentwire_inference::InferenceError;
use latentwire_latent::LatentError;
use latentwire_model::{DecoderDigest, ModelError, Purpose};
use thiserror::Error;

/// Why `load`, `prepare` or `restore` refused.
///
/// No variant carries a file name, a UID or anything else that could name a patient: the texts may
/// travel.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The coded image is not what docs/BITSTREAM.md describes.
    #[error("coded image is malformed: {what}")]
    Bitstream {
        /// Which rule it breaks.
        what: &'static str,
    },
    /// Two model folders carry the same decoder digest or the same id.
    #[error("two model folders are the same model {id}: remove one of them")]
    DuplicateModel {
        /// The second folder's id.
        id: String,
    },
    /// The reconstruction falls below a floor and the policy says reject.
    #[error(
        "reconstruction is below the floor: SSIM {:.4}, worst tile {:.4}, PSNR {}, largest error {}; \
         send it exact, lower the floor or ask for a smaller quantiser step{}",
        fidelity.ssim, fidelity.min_local_ssim,
        fidelity.psnr_db.map_or_else(|| "infinite".to_owned(), |psnr| format!("{psnr:.2} dB")),
        fidelity.max_abs_error,
        unlike.as_ref().map_or_else(String::new, |unlike| format!("; {unlike}"))
    )]
    FidelityBelowFloor {
        /// The measured figures, worst frame each.
        fidelity: Fidelity,
        /// Why the model that was asked for may not suit the picture, where that can be told.
        unlike: Option<String>,
    },
    /// The request names floors, and this sender has no decoder to measure with.
    #[error(
        "this sender has no decoder, so the requested floors cannot be measured: \
         ask for no floors, for mode exact, or give the sender its decoders"
    )]
    FloorsUnmeasurable,
    /// The picture has colours, and the model that was asked for by its id knows none.
    #[error(
        "model {id} takes grey pictures only, and this one has colours: ask for another model, or for none"
    )]
    GreyOnly {
        /// The model's id.
        id: String,
    },
    /// The image file could not be read or rebuilt.
    #[error(transparent)]
    Imaging(#[from] ImagingError),
    /// The ONNX Runtime or a net failed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The policy is contradictory or out of range.
    #[error("policy is invalid: {what}")]
    InvalidPolicy {
        /// What must be mended.
        what: &'static str,
    },
    /// Quantisation or entropy coding failed.
    #[error(transparent)]
    Latent(#[from] LatentError),
    /// A model folder could not be read, or a digest in it is wrong.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The bitstream names shapes that its model does not have.
    #[error("coded image does not fit its model {id}: {what}")]
    ModelContradiction {
        /// The model's id.
        id: String,
        /// What differs.
        what: &'static str,
    },
    /// No loaded model has the digest that the coded image needs, or its decoder is withheld here.
    #[error(
        "no decoder with digest {digest} is loaded: install the model and pin it; \
         a research model is loaded only where research models are allowed"
    )]
    ModelMissing {
        /// What the coded image was made for.
        digest: DecoderDigest,
    },
    /// No loaded model is what the policy asks for, or none has an encoder.
    #[error(
        "no loaded model with an encoder fits {wanted}: see the list of models; \
         those for research are loaded on demand only (--research-models)"
    )]
    NoFittingModel {
        /// What was asked for: a model id or a modality.
        wanted: String,
    },
    /// The models folder has no model in it.
    #[error("the models folder holds no model: put at least one folder with a decode.toml there")]
    NoModels,
    /// The request asks for what this version does not do.
    #[error("{what} is not enabled in this version: use mode latent or exact")]
    NotEnabled {
        /// What was asked for.
        what: &'static str,
    },
    /// A digest is pinned, and no model folder has it.
    #[error("no model folder has the pinned digest {digest}: install the model or remove the pin")]
    PinnedModelMissing {
        /// The pinned digest.
        digest: DecoderDigest,
    },
    /// The policy names a model that is by request only, and would not have its pictures marked.
    #[error(
        "model {id} is for {}: its pictures travel marked or not at all; \
         ask for below-floor send-marked, or for another model",
        match purpose { Purpose::Denoising => "denoising", Purpose::Product | Purpose::Research => "research" }
    )]
    ResearchUnmarked {
        /// The model's id.
        id: String,
        /// What it is for.
        purpose: Purpose,
    },
    /// The picture or the coded image is larger than this end allows.
    #[error("image is too large: {what} is over the configured limit")]
    TooLarge {
        /// Which measure.
        what: &'static str,
    },
}

impl CodecError {
    /// The stable, machine-readable reason: what an error's `ErrorInfo.reason` and the JSON
    /// `error.reason` carry.
    ///
    /// One of `EMPTY_INPUT`, `FIDELITY_BELOW_FLOOR`, `IMAGE_TOO_LARGE`, `INTERNAL`,
    /// `INVALID_POLICY`, `INVALID_TENSOR`, `MALFORMED_BITSTREAM`, `MALFORMED_IMAGE`,
    /// `MODEL_MISMATCH`, `MODEL_NOT_READY`, `NOT_ENABLED`, `UNKNOWN_FORMAT`, `UNSUPPORTED_IMAGE`,
    /// `UNSUPPORTED_TRANSFER_SYNTAX`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Bitstream { .. } | Self::ModelContradiction { .. } => "MALFORMED_BITSTREAM",
            Self::DuplicateModel { .. } | Self::NoModels | Self::PinnedModelMissing { .. } => {
                "MODEL_NOT_READY"
            }
            Self::FidelityBelowFloor { .. } => "FIDELITY_BELOW_FLOOR",
            Self::FloorsUnmeasurable | Self::InvalidPolicy { .. } | Self::ResearchUnmarked { .. } => {
                "INVALID_POLICY"
            }
            Self::Imaging(error) => imaging_reason(error),
            Self::Inference(error) => inference_reason(error),
            Self::Latent(error) => latent_reason(error),
            Self::Model(error) => model_reason(error),
            Self::GreyOnly { .. } | Self::ModelMissing { .. } | Self::NoFittingModel { .. } => {
                "MODEL_MISMATCH"
            }
            Self::NotEnabled { .. } => "NOT_ENABLED",
            Self::TooLarge { .. } => "IMAGE_TOO_LARGE",
        }
    }
}

fn imaging_reason(error: &ImagingError) -> &'static str {
    match error {
        ImagingError::Empty => "EMPTY_INPUT",
        ImagingError::UnknownFormat => "UNKNOWN_FORMAT",
        ImagingError::Truncated { .. } | ImagingError::Malformed { .. } | ImagingError::ZeroSize { .. } => {
            "MALFORMED_IMAGE"
        }
        ImagingError::TooLarge { .. } => "IMAGE_TOO_LARGE",
        ImagingError::UnsupportedTransferSyntax { .. } => "UNSUPPORTED_TRANSFER_SYNTAX",
        ImagingError::Unsupported { .. } | ImagingError::NoPixelData => "UNSUPPORTED_IMAGE",
        ImagingError::BadContainer { .. } => "MALFORMED_BITSTREAM",
        ImagingError::ShapeMismatch
        | ImagingError::TooSmall { .. }
        | ImagingError::ValueOutOfRange { .. }
        | _ => "INTERNAL",
    }
}

fn inference_reason(error: &InferenceError) -> &'static str {
    match error {
        InferenceError::LibraryMissing { .. } | InferenceError::LibraryUnusable { .. } => "MODEL_NOT_READY",
        InferenceError::Geometry { .. } | InferenceError::Load { .. } | InferenceError::Shape { .. } => {
            "MODEL_MISMATCH"
        }
        InferenceError::NotFinite { .. } => "INVALID_TENSOR",
        InferenceError::TooLarge { .. } => "IMAGE_TOO_LARGE",
        InferenceError::Run { .. } | InferenceError::ZeroSize | _ => "INTERNAL",
    }
}

fn latent_reason(error: &LatentError) -> &'static str {
    match error {
        LatentError::NotFinite { .. } => "INVALID_TENSOR",
        LatentError::CodedChannels { .. }
        | LatentError::Corrupt { .. }
        | LatentError::Level { .. }
        | LatentError::TooLarge { .. }
        | LatentError::TrailingData
        | LatentError::Truncated => "MALFORMED_BITSTREAM",
        LatentError::BaseStep { .. }
        | LatentError::ChannelMismatch { .. }
        | LatentError::DeadZone
        | LatentError::ErrorWeight
        | LatentError::Step { .. }
        | LatentError::Tables { .. }
        | LatentError::TablesKind { .. } => "MODEL_MISMATCH",
        LatentError::Shape { .. } | LatentError::SymbolRange { .. } | _ => "INTERNAL",
    }
}

fn model_reason(error: &ModelError) -> &'static str {
    match error {
        ModelError::UnknownModality { .. } => "INVALID_POLICY",
        ModelError::Io { .. } | ModelError::Missing { .. } => "MODEL_NOT_READY",
        ModelError::BadDigest { .. }
        | ModelError::DigestMismatch { .. }
        | ModelError::Field { .. }
        | ModelError::OnnxMalformed { .. }
        | ModelError::OnnxRefused { .. }
        | ModelError::Toml { .. }
        | ModelError::TooLarge { .. }
        | _ => "MODEL_MISMATCH",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_stable() {
        let digest = DecoderDigest([0; 32]);
        let fidelity = Fidelity { ssim: 0.5, min_local_ssim: 0.1, psnr_db: None, mse: 0.0, max_abs_error: 1 };
        let uid = "1.2.840.10008.1.2.4.100".to_owned();
        let id = "a-model".to_owned();
        let cases: [(CodecError, &str); 21] = [
            (CodecError::Bitstream { what: "" }, "MALFORMED_BITSTREAM"),
            (CodecError::ModelContradiction { id: id.clone(), what: "" }, "MALFORMED_BITSTREAM"),
            (CodecError::DuplicateModel { id: id.clone() }, "MODEL_NOT_READY"),
            (CodecError::NoModels, "MODEL_NOT_READY"),
            (CodecError::PinnedModelMissing { digest }, "MODEL_NOT_READY"),
            (CodecError::FidelityBelowFloor { fidelity, unlike: None }, "FIDELITY_BELOW_FLOOR"),
            (CodecError::GreyOnly { id: id.clone() }, "MODEL_MISMATCH"),
            (CodecError::ResearchUnmarked { id: id.clone(), purpose: Purpose::Denoising }, "INVALID_POLICY"),
            (CodecError::FloorsUnmeasurable, "INVALID_POLICY"),
            (CodecError::InvalidPolicy { what: "" }, "INVALID_POLICY"),
            (CodecError::ModelMissing { digest }, "MODEL_MISMATCH"),
            (CodecError::NoFittingModel { wanted: id }, "MODEL_MISMATCH"),
            (CodecError::NotEnabled { what: "" }, "NOT_ENABLED"),
            (CodecError::TooLarge { what: "" }, "IMAGE_TOO_LARGE"),
            (ImagingError::Empty.into(), "EMPTY_INPUT"),
            (ImagingError::UnknownFormat.into(), "UNKNOWN_FORMAT"),
            (ImagingError::NoPixelData.into(), "UNSUPPORTED_IMAGE"),
            (ImagingError::UnsupportedTransferSyntax { uid }.into(), "UNSUPPORTED_TRANSFER_SYNTAX"),
            (InferenceError::NotFinite { net: "decoder" }.into(), "INVALID_TENSOR"),
            (LatentError::Truncated.into(), "MALFORMED_BITSTREAM"),
            (ModelError::UnknownModality { found: String::new() }.into(), "INVALID_POLICY"),
        ];
        for (error, reason) in cases {
            assert_eq!(error.reason(), reason, "{error}");
            assert!(!error.to_string().is_empty());
        }
    }
}
