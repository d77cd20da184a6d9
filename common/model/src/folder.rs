//! Reads a model folder and checks every digest.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::decode_spec::DecodeSpec;
use crate::digest::{DecoderDigest, FileDigest};
use crate::error::ModelError;
use crate::manifest::Manifest;
use crate::onnx::refuse_external_data;

/// Largest `manifest.toml` or `decode.toml`, in bytes.
const MAX_MANIFEST_BYTES: u64 = 64 << 10;
/// Largest `tables.bin`, in bytes: sixteen channels of full tables of version 1 are 8.4 MB, version 2 with all its groups
/// and taps stays below that.
const MAX_TABLES_BYTES: u64 = 16 << 20;
/// Largest ONNX file, in bytes: paper B's halves are 135 MB in f32.
const MAX_ONNX_BYTES: u64 = 512 << 20;

/// Which halves of a model a service loads.
///
/// A half that is not loaded need not be there, so that a deployment can withhold the decoder from its senders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parts {
    /// Load the encoder (and `manifest.toml`, which names it).
    pub encoder: bool,
    /// Load the decoder.
    pub decoder: bool,
}

/// A model folder whose files are those its manifests name.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    /// The model's name: the manifest's `id`, or the folder's name where there is no manifest.
    pub id: String,
    /// What `manifest.toml` says, where there is one.
    pub manifest: Option<Manifest>,
    /// What `decode.toml` says.
    pub decode: DecodeSpec,
    /// SHA-256 of `decode.toml`'s exact bytes.
    pub digest: DecoderDigest,
    /// The encoder's ONNX bytes, if asked for.
    pub encoder: Option<Vec<u8>>,
    /// The decoder's ONNX bytes, if asked for.
    pub decoder: Option<Vec<u8>>,
    /// The entropy tables' bytes.
    pub tables: Vec<u8>,
}

impl ModelFolder {
    /// Reads the folder at `path`, with the parts asked for, and checks each file that is read: its size, its digest,
    /// and for ONNX files that they stand alone ([`refuse_external_data`]).
    ///
    /// `manifest.toml` is read where there is one, and must be there if the encoder is asked for.
    ///
    /// # Errors
    /// [`ModelError::Missing`] when a part asked for is not there, [`ModelError::DigestMismatch`] when a file is not
    /// the one its manifest names, [`ModelError::Field`] when the two manifests disagree, [`ModelError::TooLarge`],
    /// [`ModelError::Io`], and what the parsers say.
    pub fn read(path: &Path, parts: Parts) -> Result<Self, ModelError> {
        let decode_toml = read_file(&path.join("decode.toml"), MAX_MANIFEST_BYTES)?;
        let decode = DecodeSpec::parse(&decode_toml)?;
        let digest = DecoderDigest::of(&decode_toml);

        let manifest = match read_file(&path.join("manifest.toml"), MAX_MANIFEST_BYTES) {
            Ok(text) => Some(Manifest::parse(&text)?),
            Err(ModelError::Missing { .. }) if !parts.encoder => None,
            Err(error) => return Err(error),
        };
        if let Some(manifest) = &manifest {
            check_agreement(manifest, &decode, digest)?;
        }
        let id = match &manifest {
            Some(manifest) => manifest.id.clone(),
            None => folder_name(path)?,
        };

        let tables = read_pinned(path, &decode.tables.file, decode.tables.sha256, MAX_TABLES_BYTES)?;
        let decoder = if parts.decoder {
            Some(read_onnx(path, &decode.decoder.file, decode.decoder.sha256)?)
        } else {
            None
        };
        let encoder = match (parts.encoder, manifest.as_ref().and_then(|manifest| manifest.encoder.as_ref()))
        {
            (false, _) => None,
            (true, Some(encoder)) => Some(read_onnx(path, &encoder.file, encoder.sha256)?),
            (true, None) => {
                return Err(ModelError::Field {
                    file: "manifest.toml",
                    field: "encoder".to_owned(),
                    problem: "is missing: this model can only decode, so do not ask for its encoder"
                        .to_owned(),
                });
            }
        };
        Ok(Self { id, manifest, decode, digest, encoder, decoder, tables })
    }
}

/// The folders directly below `models` that hold a `decode.toml`, sorted by path.
///
/// # Errors
/// [`ModelError::Missing`] when `models` does not exist, [`ModelError::Io`] when it cannot be listed.
pub fn find(models: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let failed = |error| failure(models, error);
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(models).map_err(failed)? {
        let folder = entry.map_err(failed)?.path();
        if folder.join("decode.toml").is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    Ok(folders)
}

/// An encoder is only right for the decoder that it was trained with.
fn check_agreement(
    manifest: &Manifest,
    decode: &DecodeSpec,
    digest: DecoderDigest,
) -> Result<(), ModelError> {
    if manifest.decode_sha256 != digest {
        return Err(ModelError::DigestMismatch {
            file: "decode.toml".to_owned(),
            expected: FileDigest(manifest.decode_sha256.0),
            found: FileDigest(digest.0),
        });
    }
    if manifest.family != decode.family {
        return Err(ModelError::Field {
            file: "manifest.toml",
            field: "family".to_owned(),
            problem: format!("is {:?}, but decode.toml says {:?}", manifest.family, decode.family),
        });
    }
    let encoder = manifest.encoder.as_ref();
    let of_levels = encoder.and_then(|encoder| {
        let words = [
            ("encoder.dead_zone", encoder.dead_zone.is_some()),
            ("encoder.error_weight", encoder.error_weight.is_some()),
            ("encoder.rate", encoder.rate.is_some()),
        ];
        words.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    });
    if let (Some(name), false) = (of_levels, decode.latent.quantiser.has_levels()) {
        return Err(ModelError::Field {
            file: "manifest.toml",
            field: name.to_owned(),
            problem: "belongs to models whose decode.toml says quantiser = \"levels\"".to_owned(),
        });
    }
    Ok(())
}

fn folder_name(path: &Path) -> Result<String, ModelError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    crate::manifest::check_name("manifest.toml", "id", &name)?;
    Ok(name)
}

fn read_onnx(folder: &Path, file: &str, expected: FileDigest) -> Result<Vec<u8>, ModelError> {
    let bytes = read_pinned(folder, file, expected, MAX_ONNX_BYTES)?;
    refuse_external_data(&bytes)?;
    Ok(bytes)
}

fn read_pinned(folder: &Path, file: &str, expected: FileDigest, limit: u64) -> Result<Vec<u8>, ModelError> {
    let bytes = read_file(&folder.join(file), limit)?;
    let found = FileDigest::of(&bytes);
    if found != expected {
        return Err(ModelError::DigestMismatch { file: file.to_owned(), expected, found });
    }
    Ok(bytes)
}

/// Reads a regular file of at most `limit` bytes, even if it grows meanwhile.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, ModelError> {
    let failed = |error| failure(path, error);
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    let too_large = |bytes| ModelError::TooLarge { path: path.to_owned(), bytes, limit };
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

fn failure(path: &Path, error: io::Error) -> ModelError {
    if error.kind() == io::ErrorKind::NotFound {
        return ModelError::Missing { path: path.to_owned() };
    }
    ModelError::Io { path: path.to_owned(), source: error }
}
