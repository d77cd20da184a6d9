//! The models a codec has loaded.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use latentwire_inference::{DecoderNet, EncoderNet, Geometry, Runtime, SessionOptions};
use latentwire_latent::Tables;
use latentwire_model::{Choose, DecodeSpec, DecoderDigest, Modality, ModelError, ModelFolder};

use crate::codec::CodecConfig;
use crate::error::CodecError;
use crate::quantiser::Rounding;
use crate::rate::RateCurves;
use crate::report::{ModelInfo, SelfCheck};

/// A model with its sessions.
#[derive(Debug)]
pub(crate) struct LoadedModel {
    pub(crate) info: ModelInfo,
    pub(crate) choose: Choose,
    pub(crate) dicom_modalities: Vec<String>,
    pub(crate) spec: DecodeSpec,
    pub(crate) tables: Tables,
    /// How values become integers, where blocks have levels.
    pub(crate) rounding: Rounding,
    /// Where the search for the rate knob begins; `None` where blocks have no levels.
    pub(crate) rate: Option<RateCurves>,
    pub(crate) encoder: Option<EncoderNet>,
    pub(crate) decoder: Option<DecoderNet>,
}

impl LoadedModel {
    fn load(runtime: &Runtime, folder: ModelFolder, options: &SessionOptions) -> Result<Self, CodecError> {
        let geometry = Geometry::from(&folder.decode);
        let tables = Tables::parse(&folder.tables)?;
        if tables.channels() != folder.decode.latent.channels {
            return Err(CodecError::ModelContradiction {
                id: folder.id,
                what: "its entropy tables are for another number of latent channels",
            });
        }
        if tables.has_levels() != folder.decode.latent.quantiser.has_levels() {
            return Err(CodecError::ModelContradiction {
                id: folder.id,
                what: "its entropy tables are for latents with block levels, or it is, but not both",
            });
        }
        let encoder = folder.encoder.as_deref();
        let encoder = encoder.map(|onnx| EncoderNet::new(runtime, onnx, geometry, options)).transpose()?;
        let output = folder.decode.decoder.output;
        let decoder = folder.decoder.as_deref();
        let decoder =
            decoder.map(|onnx| DecoderNet::new(runtime, onnx, geometry, options, output)).transpose()?;
        let check = match (&decoder, &folder.decode.decoder.check) {
            (Some(decoder), Some(check)) => match decoder.gives_what_it_should(check)? {
                true => SelfCheck::Passed,
                false => SelfCheck::Differs,
            },
            (None, _) | (_, None) => SelfCheck::None,
        };
        let manifest = folder.manifest.as_ref();
        let info = ModelInfo {
            id: folder.id,
            family: folder.decode.family.clone(),
            purpose: folder.decode.purpose,
            modality: manifest.map_or(Modality::Other, |manifest| manifest.modality),
            label: manifest.and_then(|manifest| manifest.label.clone()),
            digest: folder.digest,
            encoder: encoder.is_some(),
            decoder: decoder.is_some(),
            certified: folder.decode.decoder.certified && check != SelfCheck::Differs,
            check,
        };
        let quantisation = manifest.and_then(|manifest| manifest.encoder.as_ref());
        let rounding = Rounding::new(quantisation);
        let rate = folder
            .decode
            .latent
            .quantiser
            .has_levels()
            .then(|| RateCurves::new(quantisation.and_then(|encoder| encoder.rate.as_ref())));
        let (choose, dicom_modalities) =
            folder.manifest.map(|manifest| (manifest.choose, manifest.dicom_modalities)).unwrap_or_default();
        Ok(Self {
            info,
            choose,
            dicom_modalities,
            spec: folder.decode,
            tables,
            rounding,
            rate,
            encoder,
            decoder,
        })
    }

    /// Whether the latent's blocks have levels.
    pub(crate) fn has_levels(&self) -> bool {
        self.spec.latent.quantiser.has_levels()
    }

    /// Whether the model takes pictures of so many channels: any takes grey, only three planes take
    /// colour.
    pub(crate) fn takes(&self, channels: u8) -> bool {
        channels == 1 || self.spec.pixels.channels == channels
    }
}

/// All loaded models, sorted by folder, those of the research folder last.
#[derive(Debug)]
pub(crate) struct Models(Vec<LoadedModel>);

impl Models {
    /// Reads every model folder, or those whose digest is pinned, and makes their sessions. What is by request only is
    /// passed over unless `config` asks for research.
    pub(crate) fn load(runtime: &Runtime, config: &CodecConfig) -> Result<Self, CodecError> {
        let CodecConfig { parts, research, .. } = *config;
        let pins = config.pins.as_deref();
        let pinned = |digest| pins.is_none_or(|pins| pins.contains(&digest));
        let mut loaded = Vec::<LoadedModel>::new();
        for path in folders(&config.models, research)? {
            // Of a folder that is not pinned, nothing is read but the file that tells so.
            if pins.is_some() && !pinned(peek_digest(&path)?) {
                continue;
            }
            let folder = ModelFolder::read(&path, parts)?;
            if !pinned(folder.digest) || (folder.decode.purpose.is_by_request_only() && !research) {
                continue;
            }
            let twin = |model: &LoadedModel| model.info.digest == folder.digest || model.info.id == folder.id;
            if loaded.iter().any(twin) {
                return Err(CodecError::DuplicateModel { id: folder.id });
            }
            loaded.push(LoadedModel::load(runtime, folder, &config.sessions)?);
        }
        let found: HashSet<_> = loaded.iter().map(|model| model.info.digest).collect();
        if let Some(digest) = pins.unwrap_or_default().iter().find(|pin| !found.contains(pin)) {
            return Err(CodecError::PinnedModelMissing { digest: *digest });
        }
        if loaded.is_empty() {
            return Err(CodecError::NoModels);
        }
        Ok(Self(loaded))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LoadedModel> {
        self.0.iter()
    }

    pub(crate) fn by_digest(&self, digest: DecoderDigest) -> Option<&LoadedModel> {
        self.iter().find(|model| model.info.digest == digest)
    }
}

/// The model folders, those of the research folder last and on demand only. There need not be such a folder.
fn folders(models: &Path, research: bool) -> Result<Vec<PathBuf>, CodecError> {
    let mut folders = latentwire_model::find(models)?;
    let below = models.join(RESEARCH_FOLDER);
    if research && below.is_dir() {
        folders.extend(latentwire_model::find(&below)?);
    }
    Ok(folders)
}

/// The digest of a model folder, without its other files.
fn peek_digest(folder: &Path) -> Result<DecoderDigest, CodecError> {
    let path = folder.join("decode.toml");
    let mut text = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(DECODE_TOML_MAX_BYTES).read_to_end(&mut text));
    read.map_err(|source| ModelError::Io { path, source })?;
    Ok(DecoderDigest::of(&text))
}

/// Below the folder of models: the models that are loaded on demand only.
pub const RESEARCH_FOLDER: &str = "research";

/// More than any sound `decode.toml` has.
const DECODE_TOML_MAX_BYTES: u64 = 1 << 20;
