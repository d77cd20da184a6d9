//! The codec: what it loads, and its three operations.

use std::path::PathBuf;

use latentwire_imaging::Limits;
use latentwire_inference::{Runtime, SessionOptions};
use latentwire_model::{DecoderDigest, Parts};

use crate::error::CodecError;
use crate::models::Models;
use crate::policy::Policy;
use crate::report::{ModelInfo, Prepared, Restored};
use crate::{prepare, restore};

/// What a codec loads, and what it refuses.
#[derive(Clone, Debug)]
pub struct CodecConfig {
    /// The folder that holds the model folders.
    pub models: PathBuf,
    /// Digests that may be loaded, each of which must be found; `None` loads every model.
    pub pins: Option<Vec<DecoderDigest>>,
    /// Whether to load what is by request only too: the folders below `models/research`, and any model whose
    /// `decode.toml` says another purpose than a product's.
    pub research: bool,
    /// Which halves to load. A sender without decoders (the papers' split) measures nothing.
    pub parts: Parts,
    /// Size of the session pools.
    pub sessions: SessionOptions,
    /// ONNX Runtime's library; `None` searches the usual places.
    pub dylib: Option<PathBuf>,
    /// Limits on pictures, sent and received.
    pub limits: Limits,
}

/// Image files to coded images and back, with the models it loaded.
///
/// Shared by reference between threads; every call blocks for as long as the nets take.
#[derive(Debug)]
pub struct Codec {
    runtime: Runtime,
    pub(crate) models: Models,
    pub(crate) limits: Limits,
    /// Whether what is sent is decoded and measured first.
    pub(crate) measures: bool,
}

impl Codec {
    /// Loads ONNX Runtime and the models, checks every digest, and makes every session.
    ///
    /// # Errors
    /// [`CodecError::Inference`] where the library is missing or a net is not what its manifest
    /// says, [`CodecError::Model`] where a folder is unsound or a digest wrong,
    /// [`CodecError::Latent`] where `tables.bin` is, [`CodecError::DuplicateModel`],
    /// [`CodecError::PinnedModelMissing`] and [`CodecError::NoModels`].
    pub fn load(config: &CodecConfig) -> Result<Self, CodecError> {
        let runtime = Runtime::load(config.dylib.as_deref())?;
        let models = Models::load(&runtime, config)?;
        Ok(Self { runtime, models, limits: config.limits, measures: config.parts.decoder })
    }

    /// The loaded models, sorted by folder, those of the research folder last.
    pub fn models(&self) -> Vec<ModelInfo> {
        self.models.iter().map(|model| model.info.clone()).collect()
    }

    /// ONNX Runtime's own version, such as `1.31.1`.
    pub fn runtime_version(&self) -> &str {
        self.runtime.version()
    }

    /// Codes a file as the policy asks, and measures what it would send. Blocking.
    ///
    /// In [`Mode::Latent`](crate::Mode::Latent) the image is encoded, decoded again from the coded
    /// bytes by the receiver's own path, and every frame is held against the floors. Pictures that
    /// cannot go through a latent travel in exact form, with the reason in the report. A codec
    /// without decoders measures nothing and certifies nothing.
    ///
    /// # Errors
    /// [`CodecError::FidelityBelowFloor`] where the policy says reject, [`CodecError::ResearchUnmarked`]
    /// where it names a model that is by request only and does not say send marked,
    /// [`CodecError::FloorsUnmeasurable`] where the policy names floors of its own and no decoder
    /// is loaded, [`CodecError::InvalidPolicy`], [`CodecError::NotEnabled`],
    /// [`CodecError::NoFittingModel`], and what imaging, inference and latent refuse.
    pub fn prepare(&self, source: &[u8], policy: &Policy) -> Result<Prepared, CodecError> {
        prepare::prepare(self, source, policy)
    }

    /// Codes a file in exact form: what the peer asks for when it cannot use the latent form of the
    /// same image. Blocking.
    ///
    /// `reason` goes into the report. A file of a known format whose pixels cannot be decoded here
    /// travels unparsed.
    ///
    /// # Errors
    /// [`CodecError::Imaging`] for a file that is empty, too large, damaged or of an unknown format.
    pub fn prepare_exact(&self, source: &[u8], reason: &str) -> Result<Prepared, CodecError> {
        prepare::prepare_exact(self, source, reason, None)
    }

    /// Decodes a coded image and rebuilds its file in kind. Blocking.
    ///
    /// # Errors
    /// [`CodecError::Bitstream`] for malformed bytes, [`CodecError::TooLarge`] over the limits,
    /// [`CodecError::ModelMissing`] where its decoder is not loaded,
    /// [`CodecError::ModelContradiction`] where the header does not fit the model, and what latent,
    /// inference and imaging refuse.
    pub fn restore(&self, coded: &[u8]) -> Result<Restored, CodecError> {
        restore::restore(self, coded)
    }
}
