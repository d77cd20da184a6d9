//! Which models may be loaded: those that the configuration pins, or those that this release was made with.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use latentwire_codec::model::{self, DecodeSpec, DecoderDigest, ModelError, Purpose};
use serde::Deserialize;
use thiserror::Error;

/// Digests of the models that this release was made with; part of the program, so that whoever swaps a model file, its manifest
/// and its pin has to swap the program too. `make model-pins` writes it, `tests/tests/model_pins.rs` holds it to the models.
const SHIPPED: &str = include_str!("../../../models/PINS.toml");
/// Where the codec looks for models that serve research.
const RESEARCH: &str = "research";
/// Most that is read of a `decode.toml` to know its digest; one that is longer has none that could be pinned.
const MOST_BYTES: u64 = 1 << 20;

/// Why no model may be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PinError {
    /// A pin is not a digest, or a folder cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There are models, and none of them is pinned.
    #[error(
        "none of the models in {} is one that this release was made with: pin each by --model-pin DIGEST (`latentwire models` shows \
         the digests), or pass --unpinned-models to load whatever lies there",
        folder.display()
    )]
    NonePinned {
        /// The folder of models.
        folder: PathBuf,
    },
}

#[derive(Deserialize)]
struct Shipped {
    model: Vec<ShippedModel>,
}

#[derive(Deserialize)]
struct ShippedModel {
    digest: DecoderDigest,
}

/// The digests that this release was made with.
///
/// # Panics
/// Never: a test reads the same text.
pub fn shipped() -> Vec<DecoderDigest> {
    let shipped: Shipped = toml::from_str(SHIPPED).expect("models/PINS.toml is checked by a test");
    shipped.model.into_iter().map(|model| model.digest).collect()
}

/// Of the models that would be loaded from a folder, those that this release was made with; each other one is named in the log.
///
/// # Errors
/// [`PinError::NonePinned`] where there are models and none is pinned.
pub fn shipped_of(folder: &Path, research: bool) -> Result<Vec<DecoderDigest>, PinError> {
    let shipped = shipped();
    // What is wrong with the folder itself is said when it is loaded.
    let mut found = model::find(folder).unwrap_or_default();
    if research {
        found.extend(model::find(&folder.join(RESEARCH)).unwrap_or_default());
    }
    let mut pinned = Vec::new();
    for path in &found {
        let (digest, by_request_only) = peek(path)?;
        if !shipped.contains(&digest) {
            let model = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            tracing::warn!(%model, %digest, "this model is not pinned and is left alone: pin it by --model-pin, or pass --unpinned-models");
        } else if research || !by_request_only {
            pinned.push(digest);
        }
    }
    if pinned.is_empty() && !found.is_empty() {
        return Err(PinError::NonePinned { folder: folder.to_owned() });
    }
    Ok(pinned)
}

/// A model's digest, and whether it serves research.
fn peek(folder: &Path) -> Result<(DecoderDigest, bool), ModelError> {
    let path = folder.join("decode.toml");
    let mut text = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut text));
    read.map_err(|source| ModelError::Io { path, source })?;
    let purpose = DecodeSpec::parse(&text).map_or(Purpose::default(), |spec| spec.purpose);
    Ok((DecoderDigest::of(&text), purpose.is_by_request_only()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    #[test]
    fn the_shipped_models_are_pinned_and_others_are_not() {
        let models = repository().join("models");
        let products = shipped_of(&models, false).expect("pinned");
        assert_eq!(products.len(), model::find(&models).expect("a folder").len());
        let all = shipped_of(&models, true).expect("pinned");
        assert!(all.len() > products.len(), "{all:?}");
        let tests = repository().join("common/codec/tests/models/sound");
        assert!(matches!(shipped_of(&tests, true), Err(PinError::NonePinned { .. })));
    }

    #[test]
    fn one_changed_byte_of_a_decoder_unpins_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let from = model::find(&repository().join("models")).expect("a folder").remove(0);
        let to = folder.path().join("swapped");
        std::fs::create_dir(&to).expect("made");
        let text = std::fs::read_to_string(from.join("decode.toml")).expect("there");
        std::fs::write(to.join("decode.toml"), format!("{text}\n")).expect("written");
        let refused = shipped_of(folder.path(), false).expect_err("not pinned").to_string();
        assert!(refused.contains("--model-pin") && refused.contains("--unpinned-models"), "{refused}");
        std::fs::write(to.join("decode.toml"), text).expect("written");
        assert_eq!(shipped_of(folder.path(), false).expect("pinned").len(), 1);
    }

    #[test]
    fn a_folder_that_is_none_or_empty_is_the_codecs_to_refuse() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(shipped_of(folder.path(), true).expect("nothing to pin").is_empty());
        assert!(shipped_of(&folder.path().join("none"), true).expect("nothing to pin").is_empty());
    }
}
